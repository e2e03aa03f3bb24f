//! Suggestions for mistyped words.

/// Returns the word in `known` that is nearest to a mistyped one, if it is near enough to be the intended one: at most a
/// third of its characters differ, or two in a short word.
///
/// The distance counts inserted, removed, replaced and swapped characters (optimal string alignment).
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // The comparison takes time proportional to the product of the lengths, and no known word is this long.
    if word.len() > 64 {
        return None;
    }
    let (distance, nearest) = known.iter().map(|known| (strsim::osa_distance(word, known), *known)).min()?;
    let longest = word.chars().count().max(nearest.chars().count());
    let most = if longest < 4 { 2 } else { (longest / 3).max(2) };
    (distance <= most && distance < longest).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near() {
        let known = ["log", "every", "services"];
        for (word, expected) in [
            ("lgo", Some("log")),
            ("ever", Some("every")),
            ("evrey", Some("every")),
            ("évery", Some("every")),
            ("service", Some("services")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }
}
