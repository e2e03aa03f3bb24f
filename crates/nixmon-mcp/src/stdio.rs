//! The transport over standard input and output.

use rmcp::ServiceExt;

use crate::Server;

/// Serves one client on standard input and output, until it closes them.
///
/// # Errors
///
/// If the client does not begin as the protocol says.
pub async fn serve_stdio(server: Server) -> std::io::Result<()> {
    let running = server.serve(rmcp::transport::io::stdio()).await.map_err(std::io::Error::other);
    match running {
        Ok(running) => running.waiting().await.map(|_| ()).map_err(std::io::Error::other),
        // A client that goes away before it says anything is no failure.
        Err(error) if error.to_string().contains("closed") => Ok(()),
        Err(error) => Err(error),
    }
}
