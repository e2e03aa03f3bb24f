//! Splitting of texts at a label: `warning: x`, `make: *** x`.

/// Splits a text at its first colon with a space behind it.
pub fn split_label(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let at = memchr::memchr_iter(b':', bytes).find(|at| bytes.get(at + 1) == Some(&b' '))?;
    Some((text.get(..at)?, text.get(at + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::split_label;

    #[test]
    fn labels() {
        for text in ["a: b", "a:b: c: d", ": x", "a:", "a: ", "é: ü", "::", "", "a :b"] {
            assert_eq!(split_label(text), text.split_once(": "), "{text}");
        }
    }
}
