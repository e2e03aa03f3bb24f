//! Reaps orphans. The monitor is a subreaper, so that it gets the command if the guard dies; therefore it also gets other
//! processes whose parents die.

use std::collections::BTreeSet;

use rustix::process::{Pid, WaitOptions, waitpid};

use nixmon_runs::proc::Proc;

/// Reaps children that are not waited for elsewhere.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    /// Dead children at the last look. Children that nixmon started are waited for at once, so a child that is dead at two
    /// looks is an orphan.
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
            // Another thread may have been faster.
            let _ = waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG);
        }
        self.dead = dead;
    }
}
