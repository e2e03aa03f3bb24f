//! Keep-going builds of random graphs in the dialects of several versions, held against what truly happened.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// How a version tells the end of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// 2.8 and later: the count, the message, the end of the activity.
    CountFirst,
    /// 2.6: the message, the count, the end of the activity.
    MessageFirst,
    /// A failure is named only when all is over, as for what was asked for.
    MessageLast,
    /// `ssh://`: what the machine said, the count, the end, and the message of the goal.
    Remote,
    /// `ssh-ng://`: the machine's own activities inside the request, then as before.
    Nested,
    /// The same before 2.18, where activities have no parents.
    NestedWithoutParents,
}

const DIALECTS: [Dialect; 6] = [
    Dialect::CountFirst,
    Dialect::MessageFirst,
    Dialect::MessageLast,
    Dialect::Remote,
    Dialect::Nested,
    Dialect::NestedWithoutParents,
];

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n.max(1) as u64).unwrap_or(0)
    }
}

/// A build of a graph as Nix prints it.
struct Nix {
    dialect: Dialect,
    lines: Vec<String>,
    last: Vec<String>,
    done: u64,
    running: u64,
    failed: u64,
}

fn name(node: usize) -> String {
    /// Digits of the base 32 that Nix uses, which has no e.
    const DIGITS: &[u8] = b"abcdfghijklmnpqrs";
    format!("{}-{node}", DIGITS[node] as char)
}

const INNER: u64 = 10_000;

impl Nix {
    fn count(&mut self) {
        self.lines.push(progress(1, self.done, self.running, self.failed));
    }

    fn parent(&self) -> u64 {
        if self.dialect == Dialect::Nested { 9 } else { 0 }
    }

    fn is_nested(&self) -> bool {
        matches!(self.dialect, Dialect::Nested | Dialect::NestedWithoutParents)
    }

    fn begin(&mut self, node: usize) {
        let (id, path) = (100 + node as u64, drv(&name(node)));
        let machine = if self.is_nested() || self.dialect == Dialect::Remote { "ssh://m" } else { "" };
        self.lines.push(start(id, 105, 0, &[&path, machine]));
        self.running += 1;
        self.count();
        if self.is_nested() {
            let inner = INNER + 10 * node as u64;
            self.lines.push(start(inner, 102, self.parent(), &[]));
            let parent = if self.dialect == Dialect::Nested { inner } else { 0 };
            self.lines.push(start(inner + 1, 104, parent, &[]));
            self.lines.push(start(inner + 2, 105, parent, &[&path, ""]));
            self.lines.push(progress(inner + 1, 0, 1, 0));
        }
    }

    fn end(&mut self, node: usize, ok: bool) {
        let id = 100 + node as u64;
        let path = drv(&name(node));
        let cause = format!("builder for '{path}' failed with exit code 2");
        if self.is_nested() {
            let inner = INNER + 10 * node as u64;
            if !ok {
                self.lines.push(message(0, &format!("error: {cause}")));
            }
            self.lines.push(progress(inner + 1, u64::from(ok), 0, u64::from(!ok)));
            self.lines.extend([stop(inner + 2), stop(inner + 1), stop(inner)]);
        }
        self.running -= 1;
        if ok {
            self.done += 1;
            self.count();
            self.lines.push(stop(id));
            return;
        }
        self.failed += 1;
        match self.dialect {
            Dialect::CountFirst => {
                self.count();
                self.lines.extend([error(&cause), stop(id)]);
            }
            Dialect::MessageFirst => {
                self.lines.push(error(&cause));
                self.count();
                self.lines.push(stop(id));
            }
            Dialect::MessageLast => {
                self.count();
                self.lines.push(stop(id));
                self.last.push(error(&cause));
            }
            Dialect::Remote | Dialect::Nested | Dialect::NestedWithoutParents => {
                self.lines
                    .push(message(0, &format!("error: build of '{path}' on 'ssh://m' failed: {cause}")));
                self.count();
                self.lines.extend([stop(id), error(&cause)]);
            }
        }
    }

    /// A derivation that cannot be built: Nix counts it as failed although it never ran.
    fn skip(&mut self, node: usize) {
        self.failed += 1;
        let text = format!("1 dependencies of derivation '{}' failed to build", drv(&name(node)));
        self.lines.push(error(&text));
        self.count();
    }
}

/// Builds a random graph. Returns the stream, and what becomes of each derivation.
fn build_all(
    dialect: Dialect,
    seed: u64,
    n: usize,
    jobs: usize,
) -> (Vec<String>, BTreeMap<usize, &'static str>) {
    let mut dice = Dice(seed | 1);
    let inputs: Vec<BTreeSet<usize>> =
        (0..n).map(|node| (0..node).filter(|_| dice.below(4) == 0).collect()).collect();
    let fails: Vec<bool> = (0..n).map(|_| dice.below(3) == 0).collect();
    let names: Vec<String> = (0..n).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut nix = Nix { dialect, lines: plan(&names), last: Vec::new(), done: 0, running: 0, failed: 0 };
    nix.lines.extend([start(9, 102, 0, &[]), start(1, 104, 0, &[]), start(2, 103, 0, &[])]);
    let mut fates: BTreeMap<usize, &'static str> = BTreeMap::new();
    let mut running: Vec<usize> = Vec::new();
    loop {
        let fate = |node: &usize| fates.get(node).copied();
        let ready: Vec<usize> = (0..n)
            .filter(|node| fate(node).is_none() && !running.contains(node))
            .filter(|node| inputs[*node].iter().all(|input| fate(input) == Some("built")))
            .collect();
        let blocked = (0..n).find(|node| {
            fate(node).is_none()
                && inputs[*node].iter().any(|input| matches!(fate(input), Some("failed" | "skipped")))
        });
        if let Some(node) = blocked {
            nix.skip(node);
            fates.insert(node, "skipped");
        } else if running.len() < jobs && !ready.is_empty() && (running.is_empty() || dice.below(2) == 0) {
            let node = ready[dice.below(ready.len())];
            nix.begin(node);
            running.push(node);
        } else if !running.is_empty() {
            let node = running.swap_remove(dice.below(running.len()));
            nix.end(node, !fails[node]);
            fates.insert(node, if fails[node] { "failed" } else { "built" });
        } else {
            break;
        }
    }
    let last = std::mem::take(&mut nix.last);
    nix.lines.extend([stop(2), stop(1), stop(9)]);
    nix.lines.extend(last);
    (nix.lines, fates)
}

#[track_caller]
fn check(dialect: Dialect, seed: u64, n: usize, jobs: usize) {
    let (lines, truth) = build_all(dialect, seed, n, jobs);
    for exit_status in [None, Some(i32::from(truth.values().any(|fate| *fate != "built")))] {
        let mut run = Run::default();
        run.feed(&lines);
        run.end(exit_status);
        let state = &run.state;
        assert_eq!(state.check_invariants(), Ok(()));
        let told: BTreeMap<usize, &'static str> = state
            .derivations()
            .iter()
            .map(|(_, d)| {
                (d.name().rsplit('-').next().unwrap_or_default().parse().unwrap_or(n), d.state().as_str())
            })
            .collect();
        assert_eq!(told, truth, "{dialect:?} {seed} {n} {jobs}\n{}", lines.join("\n"));
        let failed = truth.values().filter(|fate| **fate == "failed").count();
        assert_eq!(state.failures().count(), failed, "{dialect:?}");
        let outcome = if failed > 0 { Failed } else { Success };
        assert_eq!(state.outcome(), Some(outcome), "{dialect:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn counts_are_those_of_the_graph(
        dialect in 0..DIALECTS.len(), seed in 1..u64::MAX, n in 1..14_usize, jobs in 1..6_usize,
    ) {
        check(DIALECTS[dialect], seed, n, jobs);
    }
}
