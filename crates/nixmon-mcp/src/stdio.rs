//! The transport over standard input and output.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use tokio::io::{AsyncRead, ReadBuf};

use crate::Server;

/// Serves one client on standard input and output, until it closes them.
///
/// # Errors
///
/// If the client does not begin as the protocol says.
pub async fn serve_stdio(server: Server) -> io::Result<()> {
    let (stdin, stdout) = rmcp::transport::io::stdio();
    let stdin = Watched { stdin, server: server.clone() };
    match server.serve((stdin, stdout)).await {
        Ok(running) => running.waiting().await.map(|_| ()).map_err(io::Error::other),
        // A client that goes away before it says anything is no failure.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Standard input, whose end ends all waits: nothing else would before the runs end.
struct Watched<R> {
    stdin: R,
    server: Server,
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stdin).poll_read(context, buffer);
        if matches!(read, Poll::Ready(_)) && buffer.filled().len() == before && buffer.remaining() > 0 {
            self.server.end_waits();
        }
        read
    }
}
