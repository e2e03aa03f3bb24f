//! One pass over a log line that says whether any of a fixed set of four-byte needles occurs, in either case.
//!
//! As in shift-and matching (Baeza-Yates and Gonnet) there are tables of bits per input byte, but one for each place in a
//! needle, so that no step waits for more than the one before it. The time is the same for every needle count up to 32
//! and for every input, so a hostile line costs no more than another: less than a nanosecond per byte. A vectorised
//! substring search per needle was measured too and is slower from eleven needles on: log lines are short, and each
//! search has a fixed cost. Many lines together are looked through by `search.rs` first.

/// Needles, one of which occurs in every line that [`super::score()`] may find remarkable, apart from the few told by
/// their first byte.
pub(super) const NEEDLES: [[u8; 4]; 32] = [
    *b"rror", *b"fail", *b"not ", *b"ndef", *b"pani", *b"*** ", *b"xcep",
    *b"atal", // error, undefined, fatal
    *b"no s", *b"deni", *b"err!", *b"kill", *b"ceba", *b"egme", *b"wron",
    *b"an't", // no such, traceback, segment
    *b"(cor", *b"emor", *b"hrow", *b"no p", *b"forb", *b"go: ", *b".go:",
    *b"l: (", // memory, throw, curl: (22)
    *b"bad_", *b"boun", *b"unab", *b"miss", *b"err_", *b"le d", *b".kt:",
    *b"** (", // unbound, missing, multiple definition
];

/// For each byte and each of the four places in a needle, the needles that have the byte there.
static MASKS: [[u32; 4]; 256] = masks();

const fn masks() -> [[u32; 4]; 256] {
    let mut masks = [[0; 4]; 256];
    let mut needle_idx = 0;
    while needle_idx < NEEDLES.len() {
        let mut place = 0;
        while place < 4 {
            let byte = NEEDLES[needle_idx][place];
            masks[byte.to_ascii_lowercase() as usize][place] |= 1 << needle_idx;
            masks[byte.to_ascii_uppercase() as usize][place] |= 1 << needle_idx;
            place += 1;
        }
        needle_idx += 1;
    }
    masks
}

/// Which needles occur in a text, in upper or lower case: one bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hits(u32);

impl Hits {
    /// Looks for all needles in one pass.
    pub(super) const fn of(text: &[u8]) -> Self {
        let mut hits = 0;
        // The needles of which one, two or three bytes end at the byte before.
        let (mut one, mut two, mut three) = (0, 0, 0);
        let mut at = 0;
        while at < text.len() {
            let [first, second, third, fourth] = MASKS[text[at] as usize];
            hits |= three & fourth;
            (three, two, one) = (two & third, one & second, first);
            at += 1;
        }
        Self(hits)
    }

    /// Those of each phrase: a text without one of them does not have the phrase.
    pub(super) const fn of_each<const N: usize>(phrases: &[&[u8]]) -> [Self; N] {
        let mut hits = [Self(0); N];
        let mut at = 0;
        while at < N {
            hits[at] = Self::of(phrases[at]);
            at += 1;
        }
        hits
    }

    /// Returns whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether all of `other` are among them.
    pub(super) fn include(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_finds_every_needle_anywhere() {
        for needle in NEEDLES {
            for (before, after) in [("", ""), ("x", "y"), ("rro", ""), ("", "fai")] {
                for cased in [needle.to_ascii_lowercase(), needle.to_ascii_uppercase()] {
                    let line = [before.as_bytes(), &cased, after.as_bytes()].concat();
                    assert!(!Hits::of(&line).is_empty(), "{}", String::from_utf8_lossy(&line));
                }
            }
        }
    }

    #[test]
    fn any_rejects_parts_and_mixtures() {
        for line in
            ["", "rro", "rrro", "ror", "fai l", "cc -O2 -c src/file1.c", "rrfail".get(..5).unwrap_or("")]
        {
            assert!(Hits::of(line.as_bytes()).is_empty(), "{line}");
        }
    }
}
