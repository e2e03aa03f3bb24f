//! Which texts were said on one way and are expected on the other.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::{FixedState, RandomState};

use crate::escapes::strip_escapes;

/// Texts of records that are remembered until they come as text: without a limit of time, since a pipe behind Nix may
/// keep its output until it ends, and since what is taken for a repetition was told at least.
const MAX_SAID: usize = 1 << 15;
/// Lines of builds' logs, which come as text with `--print-build-logs` only, are apart, so that a flood of them does not
/// displace the others.
const MAX_LOG_LINES: usize = 1 << 15;
/// Texts that are remembered in case a record comes late.
const MAX_TOLD: usize = 1 << 13;
/// Not for long: a record knows more than the text, and the same text may be meant again.
const LATE: Duration = Duration::from_secs(2);

/// The visible characters of a line: no escapes, no white space, no control characters, nothing that was no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    hash: u64,
    is_log_line: bool,
}

impl Key {
    pub(super) fn of(text: &str) -> Self {
        Self { hash: hash(text), is_log_line: false }
    }

    /// A line of a build's log, without the build's name.
    pub(super) fn of_log(line: &str) -> Self {
        Self { hash: hash(line), is_log_line: true }
    }
}

fn hash(text: &str) -> u64 {
    let text = strip_escapes(text);
    let is_unseen = |c: char| c.is_whitespace() || c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let seen: String = text.split(is_unseen).collect();
    FixedState::default().hash_one(seen)
}

/// Texts of both ways that have not been found on the other.
#[derive(Debug)]
pub(super) struct Repetitions {
    /// Said by records.
    said: Tally,
    /// Said by records of builds' logs.
    log_lines: Tally,
    /// Told as text.
    told: Tally,
}

impl Default for Repetitions {
    fn default() -> Self {
        let [said, log_lines, told] = [MAX_SAID, MAX_LOG_LINES, MAX_TOLD].map(Tally::new);
        Self { said, log_lines, told }
    }
}

impl Repetitions {
    /// A record with these lines. Returns whether it is a repetition; one that `is_needed` never is.
    pub(super) fn record(&mut self, keys: &[Key], is_needed: bool, at: Duration) -> bool {
        self.told.forget(at.saturating_sub(LATE));
        if self.told.take_all(keys) {
            return !is_needed;
        }
        for key in keys {
            self.said(*key).add(*key, at);
        }
        false
    }

    /// The same lines as text, or as a record on the main stream. Returns whether they are a repetition.
    pub(super) fn text(&mut self, keys: &[Key], at: Duration) -> bool {
        let Some(first) = keys.first() else { return false };
        if self.said(*first).take_all(keys) {
            return true;
        }
        for key in keys {
            self.told(*key, at);
        }
        false
    }

    /// A line that is no repetition has come as text.
    pub(super) fn told(&mut self, key: Key, at: Duration) {
        self.told.add(key, at);
    }

    fn said(&mut self, key: Key) -> &mut Tally {
        if key.is_log_line { &mut self.log_lines } else { &mut self.said }
    }
}

/// Counts texts; beyond a limit the oldest are forgotten.
#[derive(Debug)]
struct Tally {
    counts: HashMap<Key, Count, RandomState>,
    /// Each text that was added, also those that were taken since.
    order: VecDeque<(Duration, Key)>,
    limit: usize,
}

/// Number of times that a text is in the order.
#[derive(Debug, Default)]
struct Count {
    left: u32,
    taken: u32,
}

impl Tally {
    fn new(limit: usize) -> Self {
        Self { counts: HashMap::default(), order: VecDeque::new(), limit }
    }

    fn add(&mut self, key: Key, at: Duration) {
        if self.order.len() >= self.limit {
            self.forget_oldest();
        }
        self.order.push_back((at, key));
        self.counts.entry(key).or_default().left += 1;
    }

    /// Takes each of the texts, if all are there.
    fn take_all(&mut self, keys: &[Key]) -> bool {
        for (n, key) in keys.iter().enumerate() {
            if let Some(count) = self.counts.get_mut(key)
                && count.left > 0
            {
                count.left -= 1;
                count.taken += 1;
                continue;
            }
            for key in &keys[..n] {
                if let Some(count) = self.counts.get_mut(key) {
                    count.left += 1;
                    count.taken -= 1;
                }
            }
            return false;
        }
        !keys.is_empty()
    }

    /// Forgets what was added before a moment.
    fn forget(&mut self, before: Duration) {
        while self.order.front().is_some_and(|(at, _)| *at < before) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.order.pop_front() else { return };
        let Some(count) = self.counts.get_mut(&key) else { return };
        // The oldest were taken first.
        if count.taken > 0 {
            count.taken -= 1;
        } else {
            count.left -= 1;
        }
        if count.left == 0 && count.taken == 0 {
            self.counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(1);

    #[test]
    fn lines_are_compared_by_what_is_seen() {
        for (record, text) in [
            ("\u{1b}[31;1merror:\u{1b}[0m no", "error: no"),
            ("  indented", "indented"),
            ("a\tb", "a       b"),
            ("10%\r20%", "10%20%"),
            ("caf\u{fffd}", "caf\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(Key::of(record), Key::of(text), "{record:?}");
        }
        assert_ne!(Key::of("a"), Key::of("b"));
        assert_ne!(Key::of("a"), Key::of_log("a"));
    }

    #[test]
    fn each_occurrence_counts_once() {
        let mut repetitions = Repetitions::default();
        let a = [Key::of("a")];
        assert!(!repetitions.record(&a, false, AT));
        assert!(!repetitions.record(&a, false, AT));
        assert!(repetitions.text(&a, AT));
        assert!(repetitions.text(&a, AT));
        assert!(!repetitions.text(&a, AT), "the third is another's");
        assert!(repetitions.record(&a, false, AT), "or its record comes late");
        assert!(!repetitions.record(&a, false, AT));
        // An activity is needed, but its text is not expected a second time.
        let b = [Key::of("b")];
        assert!(!repetitions.text(&b, AT));
        assert!(!repetitions.record(&b, true, AT));
        assert!(!repetitions.text(&b, AT));
        // Much later the same text is another.
        assert!(!repetitions.record(&b, false, AT + 2 * LATE));
    }

    #[test]
    fn a_message_is_all_of_its_lines() {
        let mut repetitions = Repetitions::default();
        let [a, b, c] = ["a", "b", "c"].map(Key::of);
        assert!(!repetitions.record(&[a, b], false, AT));
        assert!(!repetitions.text(&[a, c], AT));
        assert!(repetitions.text(&[b, a], AT), "nothing was taken by the other");
        assert!(!repetitions.record(&[], false, AT));
        assert!(!repetitions.text(&[], AT));
    }

    #[test]
    fn memory_is_bounded() {
        let mut repetitions = Repetitions::default();
        for n in 0..3 * MAX_SAID {
            let (text, log) = (Key::of(&n.to_string()), Key::of_log(&n.to_string()));
            assert!(!repetitions.record(&[text], false, AT));
            assert!(!repetitions.record(&[log], false, AT));
            if n % 3 == 0 {
                assert!(repetitions.text(&[text], AT));
            }
        }
        for tally in [&repetitions.said, &repetitions.log_lines] {
            assert_eq!(tally.order.len(), tally.limit);
            assert!(tally.counts.len() <= tally.limit);
        }
        assert!(!repetitions.text(&[Key::of_log("0")], AT), "forgotten");
        assert!(repetitions.text(&[Key::of_log(&(3 * MAX_SAID - 1).to_string())], AT));
    }
}
