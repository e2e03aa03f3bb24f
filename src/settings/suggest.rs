//! The known word that a mistyped one is nearest to.

/// The nearest of `known`, if it is near enough to be what was meant: at most a third of its characters differ, two at
/// least where the word has four.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer than any word we know, and the time of comparing is the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let (distance, nearest) = known.iter().map(|known| (distance(word, known), *known)).min()?;
    let longest = word.chars().count().max(nearest.chars().count());
    let most = if longest < 4 { 2 } else { (longest / 3).max(2) };
    (distance <= most && distance < longest).then_some(nearest)
}

/// Characters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut table = vec![0; (a.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[at(i, j)] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = table[at(i - 1, j - 1)] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = replaced.min(table[at(i - 1, j)] + 1).min(table[at(i, j - 1)] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(table[at(i - 2, j - 2)] + 1);
                }
                least
            };
        }
    }
    table[at(a.len(), b.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("color", "colour", 1),
            ("lgo", "log", 1),
            ("quite", "quiet", 1),
            ("max_lines", "max-lines", 1),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_what_is_near() {
        let known = ["log", "every", "services"];
        for (word, expected) in [
            ("lgo", Some("log")),
            ("ever", Some("every")),
            ("service", Some("services")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }
}
