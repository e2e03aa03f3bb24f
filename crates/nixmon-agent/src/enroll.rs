//! The exchange of a code that works once for the token of a host.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use nixmon_fleet::HostName;
use nixmon_log::escapes::sanitize;
use serde::Deserialize;

use crate::connect::{ConnectError, HubAddress, Tls};

/// The path at a hub.
const PATH: &str = "/api/v1/enroll";
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Time within which a hub answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// The reason why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrollError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection breaks.
    #[error("the connection breaks: {0}")]
    Http(String),
    /// The hub refuses.
    #[error("the hub refuses with status {status}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// One line for a person.
        message: String,
    },
    /// The answer has no token.
    #[error("the answer of the hub has no token")]
    NoToken,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    error: String,
    message: String,
}

/// Exchanges a code for the token of a host.
///
/// # Errors
///
/// If the hub cannot be reached, or refuses.
pub async fn enroll(
    hub: &HubAddress,
    ca: Option<&Path>,
    code: &str,
    host: &HostName,
) -> Result<String, EnrollError> {
    let late = |_| EnrollError::Http("the hub does not answer".to_owned());
    tokio::time::timeout(PATIENCE, exchange(hub, ca, code, host)).await.map_err(late)?
}

async fn exchange(
    hub: &HubAddress,
    ca: Option<&Path>,
    code: &str,
    host: &HostName,
) -> Result<String, EnrollError> {
    let http = |error: &dyn std::fmt::Display| EnrollError::Http(error.to_string());
    let stream = Tls::new(hub, ca)?.connect(hub).await?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| http(&error))?;
    let body = serde_json::json!({ "code": code, "host": host }).to_string();
    let request = Request::post(hub.path(PATH))
        .header(HOST, hub.authority())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| http(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| http(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok::<_, EnrollError>((status, body.map_err(|error| http(&error))?.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    let (status, body) = tokio::select! {
        answer = &mut answer => answer?,
        ended = connection => {
            ended.map_err(|error| http(&error))?;
            // It may have been closed behind the whole answer.
            answer.await?
        }
    };
    token(status, &body)
}

fn token(status: StatusCode, body: &[u8]) -> Result<String, EnrollError> {
    if status.is_success() {
        let answer: Answer = serde_json::from_slice(body).map_err(|_| EnrollError::NoToken)?;
        let is_token = !answer.token.is_empty() && answer.token.bytes().all(|byte| byte.is_ascii_graphic());
        return if is_token { Ok(answer.token) } else { Err(EnrollError::NoToken) };
    }
    let failure: Failure = serde_json::from_slice(body).unwrap_or_default();
    let message = if failure.message.is_empty() { failure.error } else { failure.message };
    let message = sanitize(message.lines().next().unwrap_or_default()).chars().take(300).collect();
    Err(EnrollError::Refused { status: status.as_u16(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let check = |status: u16, body: &str, expected: Result<&str, &str>| {
            let read = token(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            let read = read.map_err(|error| error.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{body}");
        };
        check(200, r#"{"token":"abc"}"#, Ok("abc"));
        for body in [r#"{"token":""}"#, r#"{"token":"a b"}"#, r#"{"token":"a\u001b[m"}"#, "[]", ""] {
            check(200, body, Err("the answer of the hub has no token"));
        }
        let refused = "the hub refuses with status 403: the code has been used";
        check(403, r#"{"error":"the code \u001b[31mhas been used\nx"}"#, Err(refused));
        check(404, "<html>", Err("the hub refuses with status 404"));
    }
}
