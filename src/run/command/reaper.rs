//! Takes leave of processes that became our children because their parents died: the system gives them to us since we
//! want the command if the guard dies.

use std::collections::BTreeSet;

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::runs::proc::Proc;

/// Reaps what nobody waits for.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    /// Dead children of the last look. Those that we started ourselves are waited for at once, so whoever is dead at two
    /// looks was given to us.
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
            // If somebody was faster, so much the better.
            let _ = waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG);
        }
        self.dead = dead;
    }
}
