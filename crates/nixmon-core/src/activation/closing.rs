//! The words of the tools around an activation about how all of it ended.

use super::{EarlyStage, line::MAX_TEXT, run::cut, tools::make::Said};
use nixmon_log::escapes::sanitize;

/// The common outcome of the activations of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchOutcome {
    /// All of them well, perhaps with failed units.
    Success,
    /// One of them badly.
    Failure,
    /// A signal ended one.
    Interrupted,
}

/// The end of a stream in the words of its tools, as far as it is not a run's: their own failure, or that of a stage
/// before the activation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reported {
    /// Something failed, says `make`, nixos-rebuild, colmena or deploy-rs.
    pub failed: bool,
    /// It was interrupted, says one of them.
    pub interrupted: bool,
    /// Before the activation, says colmena or deploy-rs: in this stage.
    pub stage: Option<EarlyStage>,
    /// The exit status they name, which their own hides.
    pub exit_status: Option<i32>,
    /// The line in which `make` says that it failed: of several makes the innermost's, which names the target.
    pub make: Option<String>,
    /// The line that says which command a signal ended.
    pub killed: Option<String>,
}

/// The words about the end, of which some count only as the last ones.
#[derive(Debug, Default)]
pub(super) struct Closing {
    reported: Reported,
    /// The claim of the last line about the whole stream, which any other line takes back.
    tail: Reported,
    /// The tail counts though other lines follow: make waits for what still runs, and ends without a further word.
    stays: bool,
    /// The line in which make last said that something failed.
    make_failure: Option<String>,
}

impl Closing {
    pub(super) fn reported(&self) -> &Reported {
        &self.reported
    }

    /// A tool says that a stage before the activation failed.
    pub(super) fn stage_failed(&mut self, stage: EarlyStage) {
        self.reported.failed = true;
        self.reported.stage.get_or_insert(stage);
    }

    /// A tool says that the whole operation failed.
    pub(super) fn operation_failed(&mut self) {
        self.reported.failed = true;
    }

    /// A wrapper says how its command ended; it counts if no other line follows.
    pub(super) fn command_failed(&mut self, status: Option<i32>) {
        self.tail.failed = true;
        self.tail.exit_status = self.tail.exit_status.or(status);
    }

    /// A signal ended the command of a wrapper, sent by the user or not; it counts if no other line follows.
    pub(super) fn command_killed(&mut self, by_user: bool, line: &str) {
        self.tail.interrupted |= by_user;
        self.tail.failed |= !by_user;
        self.tail.killed = Some(cut(&sanitize(line), MAX_TEXT).to_owned());
    }

    /// Reads a line of make's. `may_stay` says that no builder may have printed it.
    pub(super) fn make_said(&mut self, said: Said<'_>, line: &str, may_stay: bool) {
        match said {
            Said::Failed { status, .. } => {
                self.tail.failed = true;
                // The innermost make speaks first.
                self.tail.exit_status = self.tail.exit_status.or(status);
                self.make_failed(line);
            }
            Said::Stopped => {
                self.tail.failed = true;
                self.make_failed(line);
            }
            Said::Interrupted(_) => self.tail.interrupted = true,
            // Builders run make too, and some go on when it fails.
            Said::Waits => self.stays = self.tail.failed && may_stay,
            Said::NotRemade => {
                self.tail.failed = true;
                if self.tail.make.is_none() {
                    self.tail.make = self.make_failure.take();
                    self.make_failed(line);
                }
            }
            Said::Ignored => {
                self.stays = false;
                self.tail = Reported::default();
            }
            Said::Beside => {}
        }
    }

    fn make_failed(&mut self, line: &str) {
        let line = || cut(&sanitize(line), MAX_TEXT).to_owned();
        self.make_failure = Some(self.tail.make.get_or_insert_with(line).clone());
    }

    /// A new build begins: what was said before is of another command.
    pub(super) fn another_begins(&mut self) {
        self.stays = false;
    }

    /// Another line follows what said how the stream ended.
    pub(super) fn take_back(&mut self) {
        if !self.stays {
            self.tail = Reported::default();
        }
    }

    /// The stream has ended: the last words count.
    pub(super) fn finish(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        self.reported.failed |= tail.failed;
        self.reported.interrupted |= tail.interrupted;
        self.reported.exit_status = self.reported.exit_status.or(tail.exit_status);
        self.reported.make = tail.make;
        self.reported.killed = tail.killed;
    }
}
