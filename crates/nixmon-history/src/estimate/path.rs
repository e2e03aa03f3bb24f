//! The critical path of what remains.

use super::plan::{NodeId, Plan};
use super::schedule::{Schedule, Slowdown};

/// A step of the critical path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The node.
    pub node: NodeId,
    /// The milliseconds that it still takes, alone.
    pub remaining_ms: u64,
    /// True if it is running.
    pub running: bool,
}

/// Builds that the end of a run waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CriticalPath {
    /// The longest chain, the first step first.
    pub steps: Vec<Step>,
    /// The milliseconds of the chain: the run cannot end sooner, whatever the number of jobs.
    pub length_ms: u64,
    /// The milliseconds of all work over all slots: the run cannot end sooner with these jobs.
    pub work_ms: u64,
    /// The nodes that are ready or running and not on the chain, the longest first: what could run beside it.
    pub parallel: Vec<NodeId>,
}

/// Returns for each rank the next one of its longest chain and the seconds of that chain, with itself; the entry of the
/// longest chain of all comes first in the second place. Ranks are in an order of dependencies.
pub(crate) fn longest(schedule: &Schedule, work: &[f64], rate: f64) -> Vec<(u32, f64)> {
    let (next, length) = chains(schedule, work, rate);
    let mut all: Vec<(u32, f64)> = length.iter().enumerate().map(|(i, &l)| (i as u32, l)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    drop(next);
    all
}

fn chains(schedule: &Schedule, work: &[f64], rate: f64) -> (Vec<Option<u32>>, Vec<f64>) {
    let n = schedule.len();
    // An order in which each comes after those that use it: by counting, from those that nothing uses.
    let mut open_users = vec![0u32; n];
    let mut deps: Vec<Vec<u32>> = vec![Vec::new(); n];
    for (rank, open) in open_users.iter_mut().enumerate() {
        *open = schedule.users(rank).len() as u32;
        for &user in schedule.users(rank) {
            deps[user as usize].push(rank as u32);
        }
    }
    let mut ready: Vec<u32> = (0..n as u32).filter(|&r| open_users[r as usize] == 0).collect();
    let (mut next, mut length) = (vec![None; n], vec![0.0f64; n]);
    while let Some(rank) = ready.pop() {
        let r = rank as usize;
        let own = if schedule.is_download(r) { work[r] / rate } else { work[r] };
        let best = schedule
            .users(r)
            .iter()
            .copied()
            .max_by(|&a, &b| length[a as usize].total_cmp(&length[b as usize]).then(b.cmp(&a)));
        next[r] = best;
        length[r] = own + best.map_or(0.0, |b| length[b as usize]);
        for &dep in &deps[r] {
            open_users[dep as usize] -= 1;
            if open_users[dep as usize] == 0 {
                ready.push(dep);
            }
        }
    }
    (next, length)
}

pub(crate) fn critical_path(
    plan: &Plan,
    schedule: &Schedule,
    work: &[f64],
    slow: &Slowdown,
    rate: f64,
) -> CriticalPath {
    let (next, length) = chains(schedule, work, rate);
    let first = (0..schedule.len()).max_by(|&a, &b| length[a].total_cmp(&length[b]).then(b.cmp(&a)));
    let ms = |seconds: f64| (seconds * 1000.0).round() as u64;
    let seconds = |rank: usize| if schedule.is_download(rank) { work[rank] / rate } else { work[rank] };
    let mut path = CriticalPath::default();
    let mut on_path = vec![false; schedule.len()];
    let mut at = first;
    while let Some(rank) = at {
        on_path[rank] = true;
        path.steps.push(Step {
            node: NodeId(schedule.order[rank]),
            remaining_ms: ms(seconds(rank)),
            running: schedule.is_running(rank),
        });
        at = next[rank].map(|r| r as usize);
    }
    path.length_ms = first.map_or(0, |f| ms(length[f]));
    let slots = schedule.build_slots();
    let builds: f64 = (0..schedule.len()).filter(|&r| !schedule.is_download(r)).map(|r| work[r]).sum();
    path.work_ms = ms(builds * slow.factor(slots as usize) / f64::from(slots.max(1)));
    let mut beside: Vec<usize> = (0..schedule.len())
        .filter(|&r| !on_path[r] && (schedule.is_ready(r) || schedule.is_running(r)))
        .collect();
    beside.sort_by(|&a, &b| length[b].total_cmp(&length[a]).then(a.cmp(&b)));
    path.parallel = beside.into_iter().map(|r| NodeId(schedule.order[r])).collect();
    debug_assert!(path.steps.iter().all(|s| plan.node(s.node).is_some()));
    path
}
