//! Text that came without a name while builders may have written to the stream themselves.
//!
//! Bare `nix-build` and its kind print builders' lines as they are; the new `nix` prints none, or with `name> ` before
//! each (`src/libutil/logging.cc`, `src/libmain/progress-bar.cc`). Their other lines are the same, and a build that was
//! begun by a line of text has no end. So such a line may be a builder's, or that of a program which came after. It is
//! kept as either until something tells: then it is one build's log, of builders and nobody's concern, or the last words
//! of other programs.

use std::collections::VecDeque;

use super::{Dropped, LogTail};

/// Lines that are kept from before the last build began.
pub(super) const MAX_BEFORE: usize = 20;

/// The lines since a command of Nix's began to build.
#[derive(Debug, Default)]
pub(super) struct RawLog {
    /// A builder may be writing.
    open: bool,
    /// This command is known to print builders' lines with their names, or not at all.
    elsewhere: bool,
    /// The lines since the last build began.
    log: LogTail,
    /// The last of the lines before them.
    before: VecDeque<String>,
    /// Number of undecided lines.
    undecided: u64,
    /// Number of lines that were not shown and are, or may be, other programs'.
    others: u64,
}

impl RawLog {
    /// Returns whether a line may be a builder's.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Adds a line that may be a builder's.
    pub(super) fn push(&mut self, line: &str, dropped: &mut Dropped) {
        self.log.push_str(line);
        self.log.count_dropped(dropped);
        self.undecided += u64::from(!line.is_empty());
    }

    /// A build begins: what comes now may be its lines.
    pub(super) fn build_began(&mut self) {
        self.keep_end();
        self.open = !self.elsewhere;
    }

    /// Takes note that this command's builders print with names, or not at all. Returns the last lines so far, which
    /// are of other programs.
    pub(super) fn builders_are_elsewhere(&mut self) -> VecDeque<String> {
        self.elsewhere = true;
        self.open = false;
        self.are_others()
    }

    /// Another command says what it will do. Returns the last lines so far, which may be of other programs.
    pub(super) fn command_began(&mut self) -> VecDeque<String> {
        self.elsewhere = false;
        self.are_others()
    }

    /// No builder writes any more.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// The lines so far were builders'. Those since the last build began are kept all the same, in case it fails.
    pub(super) fn are_builders(&mut self) {
        self.before.clear();
        self.undecided = 0;
    }

    /// The lines so far may be of other programs, and nothing will tell. Returns the last of them.
    pub(super) fn are_others(&mut self) -> VecDeque<String> {
        self.keep_end();
        self.others += std::mem::take(&mut self.undecided);
        std::mem::take(&mut self.before)
    }

    /// The lines since the last build began.
    pub(super) fn take(&mut self) -> LogTail {
        std::mem::take(&mut self.log)
    }

    /// Returns whether any of these lines is one of the last.
    pub(super) fn has_any(&self, lines: &[String]) -> bool {
        let known = self.log.tail(MAX_BEFORE);
        let mut known = known.iter().chain(&self.before).map(|line| line.trim());
        known.any(|known| !known.is_empty() && lines.iter().any(|line| line.trim() == known))
    }

    /// Returns the number of lines that may be other programs'.
    pub(super) fn len(&self) -> u64 {
        self.others + self.undecided
    }

    /// Returns the number of lines that are kept apart from the log.
    pub(super) fn n_before(&self) -> usize {
        self.before.len()
    }

    /// Keeps the end of the log, and begins another one.
    fn keep_end(&mut self) {
        if self.undecided > 0 {
            let n_lines = usize::try_from(self.undecided).unwrap_or(MAX_BEFORE).min(MAX_BEFORE);
            let end = self.log.tail(n_lines).into_iter().filter(|line| !line.trim().is_empty());
            self.before.extend(end);
            let from = self.before.len().saturating_sub(MAX_BEFORE);
            self.before.drain(..from);
        }
        self.log = LogTail::new(self.take().into_buffer());
    }
}
