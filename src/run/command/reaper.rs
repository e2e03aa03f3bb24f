//! Reaps processes that became children of the monitor because their parents died. The system hands them over since the
//! monitor adopts orphans, so that it gets the command if the guard dies.

use std::collections::BTreeSet;

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::runs::proc::Proc;

/// Reaps orphans.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    /// Dead children at the last look. Children that the monitor started are waited for at once, so one that is dead at two
    /// looks was adopted.
    dead: BTreeSet<i32>,
}

impl Reaper {
    /// Looks once; to be called every few seconds. `known` is waited for elsewhere.
    pub(super) fn look(&mut self, known: Option<i32>) {
        let proc = Proc::default();
        let is_dead = |pid: i32| proc.stat(pid).is_some_and(|stat| stat.is_zombie());
        let children = proc.own_children().into_iter();
        let dead: BTreeSet<i32> = children.filter(|pid| Some(*pid) != known && is_dead(*pid)).collect();
        for pid in dead.intersection(&self.dead) {
            // It may have been reaped already.
            let _ = waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG);
        }
        self.dead = dead;
    }
}
