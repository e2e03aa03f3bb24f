//! Reaps orphans. The monitor is a subreaper, so that it gets the command if the guard dies; therefore it also gets other
//! processes whose parents die. Without nixmon an init would reap them at once: dead children count against the limit of
//! processes.

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::limited::with_awaited;
use nixmon_runs::proc::Proc;

/// Reaps dead children that are not waited for elsewhere, as `known` is; to be called when one may have died.
pub(super) fn reap(known: Option<i32>) {
    let proc = Proc::default();
    let is_dead = |pid: i32| proc.stat(pid).is_some_and(|stat| stat.is_zombie());
    with_awaited(|awaited| {
        let others =
            proc.own_children().into_iter().filter(|pid| Some(*pid) != known && !awaited.contains(pid));
        for pid in others.filter(|pid| is_dead(*pid)) {
            // Another thread may have been faster.
            let _ = waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
        }
    });
}
