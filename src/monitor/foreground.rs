//! The foreground process group of the terminal: nixmon's or the command's.
//!
//! The command leads a group of its own, and at first we keep the terminal: ^C comes to us, and a second one can do more
//! than the first. A program that reads from the terminal (sudo, ssh, an editor) is stopped by the system for it, with its
//! group. Then it gets the terminal and goes on, as a job of a shell that is brought to the foreground.

use std::fs::File;
use std::os::fd::AsFd;

use posix::sys::signal::{SigSet, Signal as PosixSignal};
use rustix::process::{Pid, Signal, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// The terminal that controls us, if there is one.
#[derive(Debug)]
pub(super) struct Foreground {
    terminal: Option<File>,
    /// The command has the terminal.
    lent: bool,
}

impl Foreground {
    /// Looks whether there is a terminal.
    pub(super) fn open() -> Self {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok();
        Self { terminal, lent: false }
    }

    /// Returns whether the command has the terminal.
    pub(super) fn is_lent(&self) -> bool {
        self.lent
    }

    /// Gives the terminal to a stopped command, if it is ours to give, and lets it go on. Says whether it was given.
    pub(super) fn lend(&mut self, pid: i32) -> bool {
        let (Some(terminal), Some(group)) = (&self.terminal, Pid::from_raw(pid)) else { return false };
        let ours = self.lent || tcgetpgrp(terminal).is_ok_and(|foreground| foreground == getpgrp());
        if !ours || !give(terminal, group) {
            return false;
        }
        self.lent = true;
        super::child::signal_group(pid, Signal::CONT);
        true
    }

    /// Takes the terminal back, if it was lent.
    pub(super) fn take_back(&mut self) {
        if let (true, Some(terminal)) = (std::mem::take(&mut self.lent), &self.terminal) {
            give(terminal, getpgrp());
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// Brings a group to the foreground. A process that does so from the background is stopped, unless it blocks the signal.
fn give(terminal: &impl AsFd, group: Pid) -> bool {
    let mut signals = SigSet::empty();
    signals.add(PosixSignal::SIGTTOU);
    let blocked = signals.thread_block();
    let given = tcsetpgrp(terminal, group).is_ok();
    if blocked.is_ok() {
        let _ = signals.thread_unblock();
    }
    given
}
