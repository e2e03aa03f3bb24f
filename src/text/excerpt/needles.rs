//! One pass over a log line that says whether any of a fixed set of four-byte needles occurs, in either case.
//!
//! Shift-and matching (Baeza-Yates and Gonnet): one bit per needle byte, a table of bits per input byte. The time is
//! the same for every needle count up to 32 and for every input, so a hostile line costs no more than another: about one
//! nanosecond per byte. A vectorised substring search per needle was measured too and is slower from eleven needles on:
//! log lines are short, and each search has a fixed cost.

/// What occurs in every line that [`super::score()`] may find remarkable, apart from the few told by their first byte.
const NEEDLES: [[u8; 4]; 32] = [
    *b"rror", *b"fail", *b"not ", *b"ndef", *b"pani", *b"*** ", *b"xcep",
    *b"atal", // error, undefined, fatal
    *b"no s", *b"deni", *b"err!", *b"kill", *b"ceba", *b"egme", *b"wron",
    *b"an't", // no such, traceback, segment
    *b"(cor", *b"emor", *b"hrow", *b"no p", *b"forb", *b"go: ", *b".go:",
    *b"l: (", // memory, throw, curl: (22)
    *b"bad_", *b"boun", *b"unab", *b"miss", *b"err_", *b"le d", *b".kt:",
    *b"** (", // unbound, missing, multiple definition
];

/// First and last bit of each needle, four bits each.
const STARTS: u64 = 0x1111_1111_1111_1111;
const ENDS: u64 = 0x8888_8888_8888_8888;

/// For each byte, the positions in the needles where it may stand; 16 needles in each half.
static MASKS: [[u64; 2]; 256] = masks();

const fn masks() -> [[u64; 2]; 256] {
    let mut masks = [[0; 2]; 256];
    let mut needle_idx = 0;
    while needle_idx < NEEDLES.len() {
        let mut byte_idx = 0;
        while byte_idx < 4 {
            let byte = NEEDLES[needle_idx][byte_idx];
            let bit = 1 << (needle_idx % 16 * 4 + byte_idx);
            masks[byte.to_ascii_lowercase() as usize][needle_idx / 16] |= bit;
            masks[byte.to_ascii_uppercase() as usize][needle_idx / 16] |= bit;
            byte_idx += 1;
        }
        needle_idx += 1;
    }
    masks
}

/// Which needles occur in a text, in upper or lower case: the bit of each one's last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hits([u64; 2]);

impl Hits {
    /// Looks for all needles in one pass.
    pub(super) const fn of(text: &[u8]) -> Self {
        let (mut low, mut high) = (0, 0);
        let (mut hits_low, mut hits_high) = (0, 0);
        let mut at = 0;
        while at < text.len() {
            let [mask_low, mask_high] = MASKS[text[at] as usize];
            low = (low << 1 | STARTS) & mask_low;
            high = (high << 1 | STARTS) & mask_high;
            hits_low |= low;
            hits_high |= high;
            at += 1;
        }
        Self([hits_low & ENDS, hits_high & ENDS])
    }

    /// Those of each phrase: a text without one of them does not have the phrase.
    pub(super) const fn of_each<const N: usize>(phrases: &[&[u8]]) -> [Self; N] {
        let mut hits = [Self([0; 2]); N];
        let mut at = 0;
        while at < N {
            hits[at] = Self::of(phrases[at]);
            at += 1;
        }
        hits
    }

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self.0 == [0; 2]
    }

    /// Whether all of `other` are among them.
    pub(super) fn include(self, other: Self) -> bool {
        self.0[0] & other.0[0] == other.0[0] && self.0[1] & other.0[1] == other.0[1]
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
