//! Reaps orphans. The monitor is a subreaper, so that it gets the command if the guard dies; therefore it also gets other
//! processes whose parents die. Without nixmon an init would reap them at once: dead children count against the limit of
//! processes.

use std::collections::BTreeSet;

use rustix::process::{Pid, WaitOptions, waitpid};

use nixmon_runs::proc::Proc;

/// Reaps children that are not waited for elsewhere.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    /// Dead children at the last look.
    dead: BTreeSet<i32>,
}

impl Reaper {
    /// Reaps dead children; to be called when one may have died. `known` is waited for elsewhere. While `others` may be, only
    /// children are reaped that were dead at the last look already: one that is waited for does not stay so long.
    pub(super) fn look(&mut self, known: Option<i32>, others: bool) {
        let proc = Proc::default();
        let is_dead = |pid: i32| proc.stat(pid).is_some_and(|stat| stat.is_zombie());
        let children = proc.own_children().into_iter();
        let dead: BTreeSet<i32> = children.filter(|pid| Some(*pid) != known && is_dead(*pid)).collect();
        for pid in dead.iter().filter(|pid| !others || self.dead.contains(pid)) {
            // Another thread may have been faster.
            let _ = waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG);
        }
        self.dead = dead;
    }
}
