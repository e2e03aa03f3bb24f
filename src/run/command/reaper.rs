//! Takes leave of processes that became our children because their parents died: the system gives them to us since we
//! want the command if the guard dies.

use std::collections::BTreeSet;

use rustix::process::{Pid, WaitOptions, waitpid};

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
        let dead: BTreeSet<i32> = children().filter(|pid| Some(*pid) != known && is_dead(*pid)).collect();
        for pid in dead.intersection(&self.dead) {
            // If somebody was faster, so much the better.
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
