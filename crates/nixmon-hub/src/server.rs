//! Connections, with limits on their number, size and patience; and checks that hold for every request.

#![expect(clippy::disallowed_methods, reason = "the server reads the clock to limit rates")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nixmon_runs::clock::unix_ms;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::access::{Access, Refused, credentials};
use crate::actions;
use crate::board::Poller;
use crate::caller::Caller;
use crate::engine::{Engine, EngineError, Hash, Kept};
use crate::enroll;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::hub::{Hub, Peer};
use crate::limits::Limits;
use crate::mirror::Mirrors;
use crate::program::Program;
use crate::routes;
use crate::source::Source;

/// Connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 512;
/// Time in which the head of a request has to come.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of the head of a request.
const MAX_HEAD: usize = 16 << 10;
/// Bytes of an address.
const MAX_URI: usize = 4 << 10;
/// Policy about the sources of a page's parts.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The address of a hub, and who may use it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// The token that requests have to carry.
    pub token: Option<String>,
    /// Further names of this host, as of a proxy in front of the hub.
    pub hosts: Vec<String>,
    /// Serve other machines without TLS.
    pub insecure: bool,
    /// The directory for copies of logs, whose files have no name, and for the embedded engine.
    pub directory: PathBuf,
    /// The address of a PostgreSQL database that keeps everything in the place of the embedded engine.
    pub engine: Option<String>,
    /// Limits on what is kept of each host.
    pub kept: Kept,
}

/// A failure to serve.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Other machines could use it without a token.
    #[error(
        "{0} can be reached from other machines, which needs a token: set NIXMON_HUB_TOKEN or --token-file"
    )]
    NoToken(String),
    /// Other machines would send the token, and get logs, in the clear.
    #[error(
        "{0} can be reached from other machines, and nixmon hub has no TLS of its own: listen on 127.0.0.1 behind a proxy that \
         has, with --host NAME; or pass --insecure: then anyone on the network path can read the logs and the token"
    )]
    NoTls(SocketAddr),
    /// The token is too short to be a secret.
    #[error("the token is shorter than {MIN_TOKEN} characters")]
    ShortToken,
    /// The address cannot be used.
    #[error("cannot serve on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Serving failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Characters of the shortest token.
const MIN_TOKEN: usize = 16;

impl Config {
    /// Checks that the hub is not open to others by mistake.
    fn check(&self) -> Result<(), HubError> {
        let is_local = self.address.ip().is_loopback();
        if self.token.as_ref().is_some_and(|token| token.len() < MIN_TOKEN) {
            return Err(HubError::ShortToken);
        }
        // A name for others says that a proxy lets them in.
        if self.token.is_none() && (!is_local || !self.hosts.is_empty()) {
            let place = self.hosts.first().filter(|_| is_local).cloned();
            return Err(HubError::NoToken(place.unwrap_or_else(|| self.address.to_string())));
        }
        if !is_local && !self.insecure {
            return Err(HubError::NoTls(self.address));
        }
        Ok(())
    }
}

/// Serves until the process ends. `on_ready` is called with the address once it accepts connections.
///
/// # Errors
///
/// If the address cannot be used, or is open to others by mistake.
pub async fn serve(
    program: Arc<dyn Program>,
    config: Config,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<(), HubError> {
    config.check()?;
    let address = config.address;
    let listener =
        TcpListener::bind(address).await.map_err(|source| HubError::Address { address, source })?;
    let address = listener.local_addr()?;
    let engine = match &config.engine {
        Some(address) => Engine::connect(address).await?,
        None => Engine::open(&config.directory.join("hub.db"))?,
    };
    let mirrors = Mirrors::new(engine.clone(), &config.directory)?;
    let fleet = Fleet::start(engine, config.kept).await?;
    let first = Arc::clone(&program);
    let poller =
        tokio::task::spawn_blocking(move || Poller::start(first)).await.map_err(std::io::Error::other)??;
    let hub = Arc::new(Hub {
        fleet,
        mirrors,
        turns: Default::default(),
        poller,
        own: Arc::new(Source::new(None, program, config.directory)),
        access: Access::new(address.ip(), &config.hosts, config.token),
        limits: Limits::default(),
        counts: Default::default(),
        started_at: unix_ms(),
    });
    on_ready(address);
    accept(listener, hub).await
}

async fn accept(listener: TcpListener, hub: Arc<Hub>) -> Result<(), HubError> {
    let router = routes::router(Arc::clone(&hub)).layer(middleware::from_fn_with_state(hub, guard));
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return Ok(()) };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: others have to be closed first.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let peer = Peer(from.ip());
        let router = router.clone().layer(axum::Extension(peer));
        tokio::spawn(async move {
            let _permit = permit;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection has ended");
            }
        });
    }
}

/// Checks a request before anything else looks at it, and marks every answer.
async fn guard(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut response = match check(&hub, &parts).await {
        Err(failure) => {
            let needs_token = failure.status == StatusCode::UNAUTHORIZED;
            let is_method = failure.status == StatusCode::METHOD_NOT_ALLOWED;
            let mut response = failure.into_response();
            if is_method {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            if needs_token {
                let challenge =
                    HeaderValue::from_static("Basic realm=\"nixmon hub: the token is the password\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
    };
    hub.counts.add(response.status().as_u16());
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(header::CACHE_CONTROL, "no-cache");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    response
}

async fn check(hub: &Hub, request: &Parts) -> Result<Caller, Failure> {
    let from = request.extensions.get::<Peer>().map(|peer| peer.0);
    let path = request.uri.path();
    let is_agent = path == nixmon_fleet::AGENT_PATH;
    // Agents have tokens that nobody guesses, and may be many behind one address.
    if let Some(from) = from.filter(|_| !is_agent) {
        hub.limits.request(from, Instant::now()).map_err(later)?;
    }
    let headers = &request.headers;
    let get = |name: &str| one(headers, name);
    let is_navigation = get("sec-fetch-mode") == Some(b"navigate") && request.method == Method::GET;
    let checked = hub.access.check(one(headers, "host"), get("origin"), get("sec-fetch-site"), is_navigation);
    checked.map_err(|refused| refusal(hub, from, refused))?;
    let uri = &request.uri;
    if uri.path().len() + uri.query().map_or(0, str::len) > MAX_URI {
        return Err(Failure::new(StatusCode::URI_TOO_LONG, "the address is too long"));
    }
    let is_enrolment =
        request.method == Method::POST && actions::at(path).is_some_and(|action| action.path == enroll::PATH);
    let caller = match is_enrolment {
        // A code takes the place of a token. It cannot be guessed, but nobody should try for long.
        true => {
            let wait = from.map_or(Ok(()), |from| hub.limits.guess(from, Instant::now()));
            wait.map_err(later)?;
            Caller::with_code()
        }
        false => caller(hub, from, headers, is_agent).await?,
    };
    if let Caller::Host { name, .. } = &caller
        && !is_agent
        && !["logs", "heartbeat"].iter().any(|last| {
            [format!("/api/v1/hosts/{name}/{last}"), format!("/api/hosts/{name}/{last}")]
                .contains(&path.to_owned())
        })
    {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "a host reports about itself, and sees nothing else",
        ));
    }
    if matches!(request.method, Method::GET | Method::HEAD) {
        let has_body = get("content-length").is_some_and(|length| length != b"0")
            || headers.contains_key(header::TRANSFER_ENCODING);
        if has_body {
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "a request has no body here"));
        }
        return Ok(caller);
    }
    let action = actions::at(path).filter(|_| request.method == Method::POST);
    let Some(action) = action else {
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this address only answers GET"));
    };
    let length =
        get("content-length").and_then(|length| std::str::from_utf8(length).ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > action.body.limit() as u64) {
        return Err(too_large(action));
    }
    // A page of another site cannot send this type without asking first.
    let is_json = get("content-type").is_some_and(|kind| kind.starts_with(b"application/json"));
    if matches!(action.body, actions::Body::Json(_)) && !is_json {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body has to be `application/json`",
        ));
    }
    if matches!(action.body, actions::Body::Form) {
        // Forms need no script, and any page may send one: this one has to be known as one of this hub.
        let is_form =
            get("content-type").is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"));
        let is_own = get("origin").is_some() || get("sec-fetch-site") == Some(b"same-origin");
        if !is_form || !is_own {
            return Err(Failure::new(StatusCode::FORBIDDEN, "a form has to come from a page of this hub"));
        }
    }
    Ok(caller)
}

fn later(wait: Duration) -> Failure {
    Failure::too_many("too many requests", wait.as_secs() + 1)
}

/// Says that a body is too large.
pub(crate) fn too_large(action: &actions::Action) -> Failure {
    let limit = action.body.limit();
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {limit} bytes here"))
}

fn refusal(hub: &Hub, from: Option<std::net::IpAddr>, refused: Refused) -> Failure {
    match refused {
        Refused::Host => Failure::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this hub does not go by that name; --host NAME adds one",
        ),
        Refused::Origin => Failure::new(StatusCode::FORBIDDEN, "pages of other sites may not ask this hub"),
        Refused::NoToken => Failure::new(StatusCode::UNAUTHORIZED, "this hub needs a token"),
        Refused::WrongToken => match from.map(|from| hub.limits.guess(from, Instant::now())) {
            Some(Err(wait)) => later(wait),
            _ => Failure::new(StatusCode::UNAUTHORIZED, "this is not the token of this hub"),
        },
    }
}

/// Finds out who asks.
async fn caller(
    hub: &Hub,
    from: Option<std::net::IpAddr>,
    headers: &HeaderMap,
    is_agent: bool,
) -> Result<Caller, Failure> {
    let authorization = one(headers, "authorization");
    let checked = hub.access.check_token(authorization);
    if hub.access.has_token() && checked.is_ok() {
        return Ok(Caller::with_token());
    }
    let given = authorization.and_then(credentials).and_then(|given| String::from_utf8(given).ok());
    if let Some(given) = given
        && let Some((id, name)) = hub.fleet.engine.host_of_token(Hash::of(&given)).await?
    {
        return Ok(Caller::Host { id, name });
    }
    if is_agent {
        return Err(refusal(hub, from, Refused::WrongToken));
    }
    checked.map_err(|refused| refusal(hub, from, refused))?;
    Ok(Caller::local())
}

/// Returns the value of a header that is there once; a second one makes both void.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    match values.next() {
        None => Some(first.as_bytes()),
        // An empty name is nobody's, and an empty token is wrong.
        Some(_) => Some(b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, token: Option<&str>, hosts: &[&str], insecure: bool, expected: &str) {
        let config = Config {
            address: address.parse().unwrap(),
            token: token.map(str::to_owned),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            insecure,
            directory: PathBuf::new(),
            engine: None,
            kept: Kept::default(),
        };
        let result = config.check();
        let kind = match &result {
            Ok(()) => "ok",
            Err(HubError::NoToken(_)) => "no token",
            Err(HubError::NoTls(_)) => "no tls",
            Err(HubError::ShortToken) => "short",
            Err(_) => "other",
        };
        assert_eq!(kind, expected, "{config:?}");
    }

    #[test]
    fn hubs_that_others_can_reach_need_a_token_and_tls() {
        let token = Some("0123456789abcdef");
        check("127.0.0.1:0", None, &[], false, "ok");
        check("[::1]:0", None, &[], false, "ok");
        check("127.0.0.1:0", token, &["builds.example"], false, "ok");
        check("127.0.0.1:0", None, &["builds.example"], false, "no token");
        check("0.0.0.0:0", None, &[], false, "no token");
        check("0.0.0.0:0", None, &[], true, "no token");
        check("0.0.0.0:0", token, &[], false, "no tls");
        check("[::]:0", token, &[], false, "no tls");
        check("192.168.1.7:0", token, &[], true, "ok");
        check("127.0.0.1:0", Some("short"), &[], false, "short");
    }
}
