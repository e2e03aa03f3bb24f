//! Limits on the length of texts.

/// Bytes kept of one line.
pub(super) const LINE_BYTES: usize = 1000;

/// Cuts a line to [`LINE_BYTES`].
pub(super) fn clip(line: &str) -> &str {
    cut(line, LINE_BYTES)
}

/// Returns the longest beginning of at most `limit` bytes.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    // `floor_char_boundary` of the standard library is younger than the oldest compiler we support.
    let end = (0..=limit.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}
