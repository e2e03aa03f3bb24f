//! Sections of a log: neighbouring lines that belong together and can be folded.
//!
//! Builds that run at once print in turns, so a section for every turn would be as many as lines. Turns that are shorter
//! than a limit are put together, and the limit grows with the number of sections. Sections only grow at the end: the
//! number of a line, and all sections but the last two, stay as they are while a run continues.

/// Owner and phase of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Number of the derivation; 0 for the run itself.
    pub(crate) source: u32,
    /// Number of the phase.
    pub(crate) phase: u16,
}

/// Lines that are shown or folded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The first line, from 0.
    pub(crate) first: u64,
    /// Owners and phases of its lines in the order in which they came, at most [`MAX_KEYS`].
    pub(crate) keys: Vec<Key>,
}

/// Largest number of owners that a section names.
pub(crate) const MAX_KEYS: usize = 4;
/// Lines of a turn that get a section of their own, as long as there are few sections.
const MIN_LINES: u64 = 8;
/// Number of sections at which a turn has to be twice as long.
const STEP: usize = 500;

/// The sections of a growing sequence of lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sections {
    done: Vec<Section>,
    /// Short turns that came one after another.
    mixed: Option<Section>,
    /// The current turn: its first line and its key.
    turn: Option<(u64, Key)>,
    n_lines: u64,
}

impl Sections {
    fn min_lines(&self) -> u64 {
        let doublings = u32::try_from(self.done.len() / STEP).unwrap_or(u32::MAX);
        MIN_LINES.checked_shl(doublings).unwrap_or(u64::MAX).max(MIN_LINES)
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, key: Key) {
        let line = self.n_lines;
        self.n_lines += 1;
        match self.turn {
            Some((_, current)) if current == key => {}
            Some((first, current)) => {
                self.end_turn(first, current, line);
                self.turn = Some((line, key));
            }
            None => self.turn = Some((line, key)),
        }
    }

    fn end_turn(&mut self, first: u64, key: Key, end: u64) {
        if end - first >= self.min_lines() {
            self.done.extend(self.mixed.take());
            self.done.push(Section { first, keys: vec![key] });
            return;
        }
        let mixed = self.mixed.get_or_insert_with(|| Section { first, keys: Vec::new() });
        if mixed.keys.len() < MAX_KEYS && !mixed.keys.contains(&key) {
            mixed.keys.push(key);
        }
    }

    /// Returns all sections, of which the last ones may still change.
    pub(crate) fn all(&self) -> Vec<Section> {
        let mut whole = self.clone();
        if let Some((first, key)) = whole.turn.take() {
            whole.end_turn(first, key, whole.n_lines);
        }
        whole.done.extend(whole.mixed.take());
        whole.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes `sources`, written as letter and number of lines, and checks the sections.
    fn check(turns: &[(u32, u64)], expected: &[(u64, &[u32])]) {
        let mut sections = Sections::default();
        for (source, n) in turns {
            (0..*n).for_each(|_| sections.push(Key { source: *source, phase: 0 }));
        }
        let all = sections.all();
        let all: Vec<(u64, Vec<u32>)> =
            all.into_iter().map(|s| (s.first, s.keys.iter().map(|key| key.source).collect())).collect();
        let expected: Vec<(u64, Vec<u32>)> = expected.iter().map(|(n, keys)| (*n, keys.to_vec())).collect();
        assert_eq!(all, expected, "{turns:?}");
    }

    #[test]
    fn turns_become_sections() {
        check(&[], &[]);
        check(&[(1, 1)], &[(0, &[1])]);
        check(&[(1, 9), (2, 9)], &[(0, &[1]), (9, &[2])]);
        check(&[(1, 2), (2, 3), (1, 1), (3, 20)], &[(0, &[1, 2]), (6, &[3])]);
        check(&[(3, 20), (1, 2), (2, 3)], &[(0, &[3]), (20, &[1, 2])]);
        check(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)], &[(0, &[1, 2, 3, 4])]);
    }

    #[test]
    fn a_million_lines_in_turns_have_few_sections() {
        let mut sections = Sections::default();
        for line in 0..1_000_000_u32 {
            sections.push(Key { source: line / 9 % 2, phase: 0 });
        }
        let n = sections.all().len();
        assert!((STEP..3 * STEP).contains(&n), "{n}");
    }

    #[test]
    fn earlier_sections_stay() {
        let mut sections = Sections::default();
        let mut before: Vec<Section> = Vec::new();
        for line in 0..5_000_u32 {
            sections.push(Key { source: (line / 11 * 7919) % 5, phase: 0 });
            let all = sections.all();
            let kept = before.len().saturating_sub(2);
            assert_eq!(all.get(..kept), before.get(..kept), "line {line}");
            before = all;
        }
    }
}
