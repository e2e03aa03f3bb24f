//! Files of the pages, which are part of the program.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::failure::Failure;
use crate::hub::Asked;

/// Names, media types and contents.
const FILES: [(&str, &str, &str); 5] = [
    ("style.css", "text/css; charset=utf-8", include_str!("files/style.css")),
    ("theme.js", "text/javascript; charset=utf-8", include_str!("files/theme.js")),
    ("hub.js", "text/javascript; charset=utf-8", include_str!("files/hub.js")),
    ("log.js", "text/javascript; charset=utf-8", include_str!("files/log.js")),
    ("icon.svg", "image/svg+xml", include_str!("files/icon.svg")),
];

/// Answers with a file.
pub(crate) fn get(asked: &Asked) -> Result<Response, Failure> {
    let name = asked.part("name");
    let file = FILES.iter().find(|(file, ..)| *file == name);
    let (_, kind, content) = file.ok_or_else(|| Failure::not_found("there is no such file"))?;
    // With the program's version as its tag, a browser asks again after an update, and gets nothing twice in between.
    let tag = format!("\"{}-{:x}\"", env!("CARGO_PKG_VERSION"), digest(content));
    if asked.header("if-none-match") == Some(&tag) {
        return Ok(axum::http::StatusCode::NOT_MODIFIED.into_response());
    }
    let mut response = ([(header::CONTENT_TYPE, *kind)], *content).into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Returns the FNV-1a hash of a file: it only tells versions apart.
fn digest(content: &str) -> u64 {
    content
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
