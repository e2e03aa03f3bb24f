//! The transport over HTTP: `/mcp` on one address, with the checks that a local server needs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use crate::Server;

/// The address to serve at, and the clients to serve.
#[derive(Clone, Debug)]
pub struct Http {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// The token that requests have to carry. There must be one unless the address is a loopback address.
    pub token: Option<String>,
    /// Further names of this host that requests may use, beside the address and `localhost`.
    pub hosts: Vec<String>,
}

/// A failure to serve.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Other machines could use it without a token.
    #[error(
        "{0} can be reached from other machines, which needs a token: set NIXMON_MCP_TOKEN, or token-file in [mcp]"
    )]
    NoToken(SocketAddr),
    /// The address cannot be used.
    #[error("cannot serve on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Serving failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Serves clients until the process ends. `on_ready` is called with the address once it accepts connections.
///
/// # Errors
///
/// If the address cannot be used, or a token is needed and there is none.
pub async fn serve(server: Server, http: Http, on_ready: impl FnOnce(SocketAddr)) -> Result<(), HttpError> {
    let Http { address, token, hosts } = http;
    if token.is_none() && !address.ip().is_loopback() {
        return Err(HttpError::NoToken(address));
    }
    let listener =
        TcpListener::bind(address).await.map_err(|source| HttpError::Address { address, source })?;
    let address = listener.local_addr()?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    names.extend(hosts);
    // Pages of other origins must not reach a server on this machine, not even by a name that resolves to it.
    let origins = names.iter().flat_map(|name| {
        let name = if name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
            format!("[{name}]")
        } else {
            name.clone()
        };
        [format!("http://{name}:*"), format!("https://{name}:*")]
    });
    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(origins.collect::<Vec<_>>())
        .with_allowed_hosts(names)
        .enforce_origin_validation();
    let service = StreamableHttpService::new(
        move || Ok(server.new_session()),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let router = axum::Router::new()
        .nest_service("/mcp", service)
        .layer(middleware::from_fn_with_state(Arc::new(token), check));
    on_ready(address);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn check(
    State(token): State<Arc<Option<String>>>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    if let Some(token) = &*token {
        let given = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        if !given.is_some_and(|given| is_same(given, token.as_bytes())) {
            return Err(StatusCode::UNAUTHORIZED);
        }
    }
    Ok(next.run(request).await)
}

/// Compares in a time that does not tell how much of a guess is right.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len()
        && given.iter().zip(token).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared() {
        assert!(is_same(b"secret", b"secret"));
        assert!(
            !is_same(b"secrets", b"secret") && !is_same(b"", b"secret") && !is_same(b"secreT", b"secret")
        );
    }
}
