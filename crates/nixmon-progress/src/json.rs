//! Single texts out of JSON of one line, without reading the rest.

use memchr::memmem;

/// Returns the first text under a key, if it has no escapes.
pub(crate) fn text<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let quoted = format!("\"{key}\":");
    let at = memmem::find(line.as_bytes(), quoted.as_bytes())? + quoted.len();
    let rest = line.get(at..)?.trim_start().strip_prefix('"')?;
    let text = rest.get(..rest.find('"')?)?;
    (!text.contains('\\')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"a b"},"n":1,"x":"a\"b"}"#;
        assert_eq!(text(line, "reason"), Some("compiler-artifact"));
        assert_eq!(text(line, "name"), Some("a b"));
        assert_eq!(text(line, "x"), None);
        assert_eq!(text(line, "n"), None);
        assert_eq!(text(line, "absent"), None);
    }
}
