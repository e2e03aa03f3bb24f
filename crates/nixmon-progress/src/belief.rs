//! Which counts are believed: a builder can print anything, and `[99/100]` in a sentence is no progress.

/// A count of done steps, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// A count that follows from the one before: about the same total, and not much more done.
fn follows(before: Count, now: Count) -> bool {
    let leap = (before.total / 20).max(8);
    is_later(before, now) && now.done - before.done <= leap
}

/// Returns whether a count is a later one of the same sequence, of which some may be missing between both.
fn is_later(before: Count, now: Count) -> bool {
    // ninja's total falls when outputs turn out unchanged, and grows with dynamic dependencies.
    let change = (before.total / 4).max(2);
    now.done >= before.done && now.total.abs_diff(before.total) <= change
}

/// Accepts counts that make a sequence.
///
/// A first count is believed when it starts a sequence (at most one step is done) and the next count follows it, or
/// when the tool is known to run. A count that does not follow is believed only after two more that follow it: a second
/// run of the tool, or a log of which a part is missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Belief {
    accepted: Option<Count>,
    candidate: Option<Count>,
    n_following: u8,
}

/// The verdict on a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It continues the sequence.
    Continues,
    /// It is the first of a sequence.
    Starts,
    /// It is not believed, or not yet.
    Doubted,
}

/// Counts that must follow a candidate before it is believed.
const N_CONFIRMING: u8 = 2;

impl Belief {
    /// Judges a count. `known` says that the tool is known to run, and that the line is in the tool's own words.
    pub(crate) fn judge(&mut self, count: Count, known: bool) -> Verdict {
        if count.total == 0 || count.done > count.total {
            return Verdict::Doubted;
        }
        if let Some(before) = self.accepted
            && follows(before, count)
        {
            self.accepted = Some(count);
            self.candidate = None;
            self.n_following = 0;
            return Verdict::Continues;
        }
        if known
            && count.done <= 1
            && self.accepted.is_none_or(|before| before.done >= before.total || count.done == 1)
        {
            self.accept(count);
            return Verdict::Starts;
        }
        match self.candidate {
            Some(candidate) if follows(candidate, count) && count != candidate => self.n_following += 1,
            _ => self.n_following = 0,
        }
        self.candidate = Some(count);
        let needed = if self.accepted.is_none() && known { 1 } else { N_CONFIRMING };
        if self.n_following >= needed {
            // Where lines are missing, as after a flood, it is the same run.
            let goes_on =
                self.accepted.is_some_and(|before| before.done < before.total && is_later(before, count));
            self.accept(count);
            return if goes_on { Verdict::Continues } else { Verdict::Starts };
        }
        Verdict::Doubted
    }

    fn accept(&mut self, count: Count) {
        *self = Self { accepted: Some(count), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        use Verdict::*;
        type Case = (bool, &'static [(u64, u64, Verdict)]);
        let cases: [Case; 8] = [
            (true, &[(1, 10, Starts), (2, 10, Continues), (3, 10, Continues)]),
            (false, &[(1, 10, Doubted), (2, 10, Doubted), (3, 10, Starts), (4, 10, Continues)]),
            // A sentence amid a real sequence.
            (true, &[(1, 300, Starts), (99, 100, Doubted), (2, 300, Continues)]),
            // The same sentence again and again is no sequence.
            (false, &[(99, 100, Doubted), (99, 100, Doubted), (99, 100, Doubted), (99, 100, Doubted)]),
            // A second run.
            (true, &[(1, 2, Starts), (2, 2, Continues), (0, 1, Starts)]),
            (true, &[(5, 3, Doubted), (0, 0, Doubted)]),
            // A leap forward in the middle is held until it is confirmed.
            (true, &[(1, 300, Starts), (250, 300, Doubted), (251, 300, Doubted), (252, 300, Continues)]),
            // So is a second run, of which the beginning is missing.
            (
                true,
                &[(9, 9, Doubted), (1, 9, Starts), (90, 99, Doubted), (91, 99, Doubted), (92, 99, Starts)],
            ),
        ];
        for (known, counts) in cases {
            let mut belief = Belief::default();
            for (done, total, verdict) in counts {
                let count = Count { done: *done, total: *total };
                assert_eq!(belief.judge(count, known), *verdict, "{count:?} of {counts:?}");
            }
        }
    }
}
