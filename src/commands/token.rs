//! The tokens of clients.

#![expect(clippy::disallowed_methods, reason = "a token is in a file")]

use std::path::Path;

use anyhow::{Context, Result};

/// Reads the token in a file.
pub(super) fn read_token(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the token in {}", file.display()))?;
    let token = text.trim();
    anyhow::ensure!(!token.is_empty(), "{} has no token", file.display());
    Ok(token.to_owned())
}
