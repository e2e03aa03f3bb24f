//! The graph of packages: the longest chain by time.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::Project;

/// The longest chain of packages that wait for each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CriticalPath {
    /// Names, the first to be built first.
    pub packages: Vec<String>,
    /// The sum of their times.
    pub total: Duration,
}

/// Finds the chain whose times add up to most. Cycles, which CMake allows among static libraries, are cut.
pub fn critical_path(project: &Project, cost: impl Fn(&str) -> Duration) -> CriticalPath {
    let index: HashMap<&str, usize> =
        project.targets.iter().enumerate().map(|(at, target)| (target.name.as_str(), at)).collect();
    let mut best: Vec<Option<(Duration, Option<usize>)>> = vec![None; project.targets.len()];
    let mut is_open = vec![false; project.targets.len()];
    for start in 0..project.targets.len() {
        // Depth first with a stack of its own: a chain may be long.
        let mut stack = vec![(start, false)];
        while let Some((at, is_left)) = stack.pop() {
            let Some(target) = project.targets.get(at) else { continue };
            let needed = || target.depends_on.iter().filter_map(|name| index.get(name.as_str()).copied());
            if is_left {
                let before = needed()
                    .filter_map(|on| best.get(on).copied().flatten().map(|(time, _)| (time, on)))
                    .max_by_key(|(time, on)| (*time, std::cmp::Reverse(*on)));
                let own = if project.is_expected(target) { cost(&target.name) } else { Duration::ZERO };
                let (time, on) = before.map_or((Duration::ZERO, None), |(time, on)| (time, Some(on)));
                best[at] = Some((time + own, on));
                is_open[at] = false;
            } else if best[at].is_none() && !is_open[at] {
                is_open[at] = true;
                stack.push((at, true));
                stack
                    .extend(needed().filter(|on| best[*on].is_none() && !is_open[*on]).map(|on| (on, false)));
            }
        }
    }
    let end = (0..best.len())
        .filter(|at| best[*at].is_some())
        .max_by_key(|at| (best[*at].map(|b| b.0), std::cmp::Reverse(*at)));
    let mut path = CriticalPath {
        total: end.and_then(|at| best[at]).map_or(Duration::ZERO, |b| b.0),
        packages: Vec::new(),
    };
    let mut at = end;
    while let Some(here) = at {
        let Some(target) = project.targets.get(here) else { break };
        if project.is_expected(target) {
            path.packages.push(target.name.clone());
        }
        at = best[here].and_then(|(_, on)| on);
    }
    path.packages.reverse();
    path
}
