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

/// A package of a graph, for its longest chain.
#[derive(Clone, Copy, Debug)]
pub struct Link<'p> {
    /// The name.
    pub name: &'p str,
    /// Names of the packages that must be built before; unknown ones are no hindrance.
    pub depends_on: &'p [String],
    /// Its time; nothing for one that is not built, which then connects others without being named.
    pub time: Option<Duration>,
}

/// Finds the chain of a project's targets whose times add up to most. Targets that are not expected to be built take no time.
pub fn critical_path(project: &Project, cost: impl Fn(&str) -> Duration) -> CriticalPath {
    let links: Vec<Link<'_>> = project
        .targets
        .iter()
        .map(|target| Link {
            name: &target.name,
            depends_on: &target.depends_on,
            time: project.is_expected(target).then(|| cost(&target.name)),
        })
        .collect();
    longest_chain(&links)
}

/// Finds the chain whose times add up to most. Cycles, which CMake allows among static libraries, are cut.
pub fn longest_chain(links: &[Link<'_>]) -> CriticalPath {
    let index: HashMap<&str, usize> = links.iter().enumerate().map(|(at, link)| (link.name, at)).collect();
    let mut best: Vec<Option<(Duration, Option<usize>)>> = vec![None; links.len()];
    let mut is_open = vec![false; links.len()];
    for start in 0..links.len() {
        // Depth first with a stack of its own: a chain may be long.
        let mut stack = vec![(start, false)];
        while let Some((at, is_left)) = stack.pop() {
            let Some(link) = links.get(at) else { continue };
            let needed = || link.depends_on.iter().filter_map(|name| index.get(name.as_str()).copied());
            if is_left {
                let before = needed()
                    .filter_map(|on| best.get(on).copied().flatten().map(|(time, _)| (time, on)))
                    .max_by_key(|(time, on)| (*time, std::cmp::Reverse(*on)));
                let own = link.time.unwrap_or(Duration::ZERO);
                let (time, on) = before.map_or((Duration::ZERO, None), |(time, on)| (time, Some(on)));
                best[at] = Some((time.saturating_add(own), on));
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
        let Some(link) = links.get(here) else { break };
        if link.time.is_some() {
            path.packages.push(link.name.to_owned());
        }
        at = best[here].and_then(|(_, on)| on);
    }
    path.packages.reverse();
    path
}
