//! Reaps orphans. The monitor is a subreaper, so that it gets the command if the guard dies; therefore it also gets other
//! processes whose parents die.

use std::collections::BTreeSet;

use rustix::process::{Pid, WaitOptions, waitpid};

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
        let dead: BTreeSet<i32> = children().filter(|pid| Some(*pid) != known && is_dead(*pid)).collect();
        for pid in dead.intersection(&self.dead) {
            // Another thread may have been faster.
            let _ = waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG);
        }
        self.dead = dead;
    }
}

/// Our children, where the system tells (proc_pid_children(5)).
fn children() -> impl Iterator<Item = i32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> =
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    pids.into_iter()
}

fn is_dead(pid: i32) -> bool {
    // proc_pid_stat(5): the state follows the name, which may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}
