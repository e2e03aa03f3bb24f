//! The end of a run by signals: SIGTERM, and SIGKILL after a grace period.

use std::time::Duration;

use rustix::process::Signal;

use super::Look;
use crate::QueryError;

/// Time after SIGKILL in which the monitor writes how the run ended, and Nix's daemon notices.
const LAST: Duration = Duration::from_secs(15);

/// A run that is being stopped. A queued run may begin meanwhile.
#[derive(Debug, Default)]
pub struct Stopping {
    terminated: bool,
    terminated_orphans: bool,
    killed: bool,
    told_monitor: bool,
}

impl Stopping {
    /// Returns whether SIGKILL was sent.
    pub fn has_killed(&self) -> bool {
        self.killed
    }

    /// Sends the signals that are due; to be called every few milliseconds until the run has ended. `elapsed` is the time
    /// since the first call, `grace` the time between SIGTERM and SIGKILL.
    ///
    /// # Errors
    ///
    /// If the run does not end long after SIGKILL.
    pub fn signal(&mut self, look: &Look, elapsed: Duration, grace: Duration) -> Result<(), QueryError> {
        self.send(look, elapsed, grace);
        if elapsed > grace.saturating_add(LAST) {
            let command = look.facts.as_ref().and_then(|facts| facts.process.as_ref());
            let pid = command.map(|process| process.pid);
            return Err(QueryError::DoesNotEnd { id: look.dir.id(), pid });
        }
        Ok(())
    }

    fn send(&mut self, look: &Look, elapsed: Duration, grace: Duration) {
        let Some(facts) = &look.facts else { return };
        match &facts.process {
            Some(process) if process.lives() => {
                if !self.terminated {
                    self.terminated = process.signal_group(Signal::TERM);
                    // What is stopped takes no other signal before, and has to clean up, too.
                    process.signal_group(Signal::CONT);
                }
                if elapsed >= grace && process.signal_group(Signal::KILL) {
                    self.killed = true;
                }
            }
            // The command has not begun, or has ended and its children hold on to its output.
            process => {
                if let (Some(process), Some(guard)) = (process, &facts.guard) {
                    if !self.terminated_orphans {
                        self.terminated_orphans = process.signal_orphans(guard, Signal::TERM);
                        process.signal_orphans(guard, Signal::CONT);
                    }
                    if elapsed >= grace && process.signal_orphans(guard, Signal::KILL) {
                        self.killed = true;
                    }
                }
                let is_left = facts.process.is_some() && elapsed < grace;
                if !self.told_monitor && !is_left {
                    let monitor = facts.monitor.as_ref().filter(|_| look.dir.monitor_lives());
                    self.told_monitor = monitor.is_some_and(|monitor| monitor.signal(Signal::TERM));
                }
            }
        }
    }
}
