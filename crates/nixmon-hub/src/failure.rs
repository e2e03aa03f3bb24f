//! Refusals and failures as answers.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nixmon_log::escapes::sanitize;
use nixmon_runs::{ErrorKind, QueryError, StoreError};

use crate::answers::{ErrorAnswer, ErrorDetail};

/// A failure to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Seconds after which to ask again.
    pub(crate) retry_after: Option<u64>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn too_many(message: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Returns the name of the kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => "forbidden",
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::URI_TOO_LONG => "too-large",
            StatusCode::TOO_MANY_REQUESTS => "too-many",
            StatusCode::CONFLICT => "conflict",
            StatusCode::INTERNAL_SERVER_ERROR => "damaged",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "bad-request",
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let status = match error.kind() {
            ErrorKind::UnknownRun | ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Usage | ErrorKind::Ambiguous | ErrorKind::Busy | ErrorKind::DoesNotEnd => {
                StatusCode::BAD_REQUEST
            }
            ErrorKind::Damaged | ErrorKind::Incompatible => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::NoStore | ErrorKind::Io => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, sanitize(&error.to_string()))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        QueryError::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::unavailable(format!("a copy of the log cannot be read or written: {error}"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let kind = self.kind().to_owned();
        let retry_after = self.retry_after;
        let answer = ErrorAnswer { error: ErrorDetail { kind, message: self.message } };
        let mut response = (self.status, axum::Json(answer)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
