//! The writers of a pipe: from processes and what they hold to one process for each part of a pipeline. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use super::program::Kind;
use nixmon_core::pipeline::WriterEnd;

/// Most parts of a pipeline that are followed.
const MAX_STAGES: usize = 16;
/// The parts of a pipeline are started one after the other, so those that cannot be looked into began at most this long
/// before us: in ticks of ten milliseconds.
const TOGETHER: u64 = 200;

/// A process and its pipes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// When it began, in ticks since the machine did.
    pub(super) began: u64,
    /// Each pipe with the number of the descriptor that it is open as.
    pub(super) pipes: Vec<(u64, i32)>,
    /// Another user's, or at its end: what it holds or held is not shown.
    pub(super) is_hidden: bool,
}

/// A part of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// The oldest member of the family of processes.
    pub(super) pid: i32,
    /// It reads from another pipe, into which somebody else writes.
    pub(super) reads_pipe: bool,
    /// It is above us, as a shell that has just started us and holds what it gives to us, or one that has
    /// started us as `> >(nixmon)`.
    pub(super) is_above: bool,
}

/// Processes by number.
pub(super) type Processes = BTreeMap<i32, Process>;

/// The parts of the pipeline whose end is `pipe`, from us to its beginning.
///
/// `writes` says whether a process has a descriptor open for writing.
pub(super) fn stages(
    processes: &Processes,
    own: i32,
    pipe: u64,
    writes: impl Fn(i32, i32) -> bool,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut seen = BTreeSet::from([pipe]);
    let mut pipe = pipe;
    while stages.len() < MAX_STAGES {
        let Some(pid) = root(processes, own, pipe, &writes) else { break };
        let Some(process) = processes.get(&pid) else { break };
        let reads = |process: &Process| {
            process.pipes.iter().find(|(_, descriptor)| *descriptor == 0).map(|(pipe, _)| *pipe)
        };
        // What a shell hands down to all that it starts is no part of the pipeline.
        let of_parent = processes.get(&process.parent).and_then(reads);
        let next = reads(process).filter(|next| Some(*next) != of_parent && seen.insert(*next));
        let is_above = above(processes, own).any(|above| above == pid);
        stages.push(Stage { pid, reads_pipe: next.is_some(), is_above });
        let Some(next) = next else { break };
        pipe = next;
    }
    stages
}

/// The oldest of the processes that write into a pipe, if there is one that belongs to our pipeline.
fn root(processes: &Processes, own: i32, pipe: u64, writes: &impl Fn(i32, i32) -> bool) -> Option<i32> {
    let holds = |pid: i32, process: &Process| {
        process.pipes.iter().any(|(held, descriptor)| *held == pipe && writes(pid, *descriptor))
    };
    let holders: BTreeSet<i32> = processes
        .iter()
        .filter(|(pid, process)| **pid != own && holds(**pid, process))
        .map(|(pid, _)| *pid)
        .collect();
    if holders.is_empty() {
        return hidden(processes, own);
    }
    let mut oldest =
        holders.iter().filter(|pid| !above(processes, **pid).any(|above| holders.contains(&above)));
    // Several, where the one that started them has ended before we looked.
    let (root, None) = (*oldest.next()?, oldest.next()) else { return None };
    let process = processes.get(&root)?;
    let is_started_with_us = |starter: i32| {
        starter == process.parent
            // An orphan gets another parent, which may be above us as well, but is not of our session.
            && (above(processes, own).next() == Some(starter)
                || starter != 1
                    && processes.get(&starter).is_some_and(|starter| starter.session == process.session))
    };
    // It may be below us: `nixmon < <(nix build)`.
    let is_of_pipeline = process.parent == own
        || above(processes, own).any(|starter| starter == root || is_started_with_us(starter));
    is_of_pipeline.then_some(root)
}

/// The only process that began together with us, below the same parent and in the same group, and is another user's, as
/// `sudo` is, or has ended and was not waited for yet.
fn hidden(processes: &Processes, own: i32) -> Option<i32> {
    let us = processes.get(&own)?;
    let mut found = processes.iter().filter(|(_, process)| {
        process.is_hidden
            && process.parent == us.parent
            && process.group == us.group
            && us.began.abs_diff(process.began) <= TOGETHER
    });
    let (Some((pid, _)), None) = (found.next(), found.next()) else { return None };
    Some(*pid)
}

/// The processes above one, from its parent on.
fn above(processes: &Processes, pid: i32) -> impl Iterator<Item = i32> {
    let parent = |pid: &i32| processes.get(pid).map(|process| process.parent).filter(|parent| *parent > 0);
    // No system has a cycle, but numbers are read one after the other.
    std::iter::successors(parent(&pid), parent).take(processes.len())
}

/// The condition of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has not ended.
    Lives,
    /// It has ended with this status, as a shell says it.
    Ended(i32),
    /// It has ended, and nobody can say how.
    Unknown,
}

/// A stage, and how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    pub(super) standing: Standing,
    pub(super) reads_pipe: bool,
}

/// The joint verdict of the stages of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// One that counts has not ended.
    Waits,
    Known(WriterEnd),
    Unknown,
}

/// The exit status of a process that SIGPIPE has ended, and a shell's word for it.
const BROKEN_PIPE: i32 = 128 + 13;

/// Judges a build by a pipeline's stages, from nixmon to its beginning. Shells and unknown programs that read from
/// another stage are taken as a shell's `pipefail` takes them.
pub(super) fn verdict(stages: &[Seen]) -> Verdict {
    let Some((stage, rest)) = stages.split_first() else { return Verdict::Unknown };
    if stage.kind == Kind::Filter {
        return if stage.reads_pipe { verdict(rest) } else { Verdict::Unknown };
    }
    let status = match stage.standing {
        Standing::Lives => return Verdict::Waits,
        // Whoever read from it has gone before its end.
        Standing::Unknown | Standing::Ended(BROKEN_PIPE) => return Verdict::Unknown,
        Standing::Ended(status) => status,
    };
    let own = Verdict::Known(WriterEnd { status, is_of_nix: stage.kind == Kind::Nix });
    if stage.kind == Kind::Nix || status != 0 || !stage.reads_pipe {
        return own;
    }
    match verdict(rest) {
        // What lives on has nothing to do with it: a stage that reads to the end outlives the one before.
        Verdict::Waits => own,
        Verdict::Known(end) if end.status == 0 => own,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Filter, Nix, Other};
    use Standing::{Ended, Lives, Unknown};

    /// The pipe that we read from.
    const OURS: u64 = 1;
    const OWN: i32 = 100;
    const SHELL: i32 = 10;

    /// Number, parent, what it reads from, what it writes into.
    type MadeUp = (i32, i32, &'static [u64], &'static [u64]);

    fn made_up(processes: &[MadeUp]) -> Processes {
        let fixed: [MadeUp; 4] =
            [(1, 0, &[], &[]), (5, 1, &[], &[]), (SHELL, 5, &[9], &[]), (OWN, SHELL, &[OURS], &[])];
        let made = |(pid, parent, reads, writes): &MadeUp| {
            let reads = reads.iter().map(|pipe| (*pipe, 0));
            let session = if *pid < SHELL { *pid } else { SHELL };
            let pipes = reads.chain(writes.iter().map(|pipe| (*pipe, 1))).collect();
            let process =
                Process { parent: *parent, group: 20, session, began: 1000, pipes, is_hidden: false };
            (*pid, process)
        };
        fixed.iter().chain(processes).map(made).collect()
    }

    #[track_caller]
    fn check(processes: &[MadeUp], expected: &[(i32, bool)]) {
        let found = stages(&made_up(processes), OWN, OURS, |_, descriptor| descriptor == 1);
        let found: Vec<(i32, bool)> = found.iter().map(|stage| (stage.pid, stage.reads_pipe)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_writer() {
        // The shell's own input is a pipe, too, and `nix` has it.
        check(&[(20, SHELL, &[9], &[OURS])], &[(20, false)]);
        check(&[(20, SHELL, &[], &[OURS, OURS])], &[(20, false)]);
    }

    #[test]
    fn a_family() {
        check(&[(20, SHELL, &[], &[OURS]), (21, 20, &[], &[OURS]), (22, 21, &[], &[])], &[(20, false)]);
        // The one between them has its output elsewhere.
        check(&[(20, SHELL, &[], &[OURS]), (21, 20, &[], &[]), (22, 21, &[], &[OURS])], &[(20, false)]);
    }

    #[test]
    fn a_pipeline() {
        check(
            &[
                (20, SHELL, &[], &[2]),
                (21, 20, &[], &[2]),
                (22, SHELL, &[2], &[3]),
                (23, SHELL, &[3], &[OURS]),
            ],
            &[(23, true), (22, true), (20, false)],
        );
        // The beginning has ended already.
        check(&[(22, SHELL, &[2], &[OURS])], &[(22, true)]);
        // A circle ends.
        check(&[(22, SHELL, &[2], &[OURS]), (23, SHELL, &[OURS], &[2])], &[(22, true), (23, false)]);
    }

    #[test]
    fn a_process_above_us() {
        // `nix build > >(nixmon)`, a program that starts us and writes itself, and `nixmon < <(nix build)`.
        check(&[(SHELL, 5, &[], &[OURS])], &[(SHELL, false)]);
        check(&[(20, OWN, &[], &[OURS])], &[(20, false)]);
        // The subshell of `nix build |& (read; nixmon)` is one of the others'.
        check(
            &[(30, SHELL, &[OURS], &[]), (OWN, 30, &[OURS], &[]), (20, SHELL, &[], &[OURS])],
            &[(20, false)],
        );
    }

    #[test]
    fn strangers() {
        check(&[], &[]);
        // Only readers.
        check(&[(20, SHELL, &[OURS], &[])], &[]);
        // Orphans: of a session's manager, of the first process, and two.
        check(&[(20, 5, &[], &[OURS])], &[]);
        check(&[(20, 1, &[], &[OURS])], &[]);
        check(&[(20, SHELL, &[], &[OURS]), (21, SHELL, &[], &[OURS])], &[]);
    }

    #[test]
    fn another_users_process() {
        let found = |processes: &Processes| {
            stages(processes, OWN, OURS, |_, descriptor| descriptor == 1).first().map(|stage| stage.pid)
        };
        let mut processes = made_up(&[(20, SHELL, &[], &[]), (21, 20, &[], &[]), (22, SHELL, &[], &[])]);
        processes.get_mut(&20).unwrap().is_hidden = true;
        processes.get_mut(&21).unwrap().is_hidden = true;
        assert_eq!(found(&processes), Some(20));
        let of = |change: fn(&mut Process)| {
            let mut processes = processes.clone();
            change(processes.get_mut(&20).unwrap());
            found(&processes)
        };
        assert_eq!(of(|process| process.group = 30), None);
        assert_eq!(of(|process| process.began -= 201), None);
        assert_eq!(of(|process| process.parent = 5), None);
        // One that is seen, and two that are not.
        let mut seen = processes.clone();
        seen.get_mut(&22).unwrap().pipes.push((OURS, 1));
        assert_eq!(found(&seen), Some(22));
        processes.get_mut(&22).unwrap().is_hidden = true;
        assert_eq!(found(&processes), None);
    }

    #[test]
    fn what_the_stages_say() {
        let known = |status, is_of_nix| Verdict::Known(WriterEnd { status, is_of_nix });
        let piped = |kind, standing| Seen { kind, standing, reads_pipe: true };
        let first = |kind, standing| Seen { kind, standing, reads_pipe: false };
        let cases: [(&[Seen], Verdict); 20] = [
            (&[], Verdict::Unknown),
            (&[first(Nix, Ended(0))], known(0, true)),
            (&[first(Nix, Ended(1))], known(1, true)),
            (&[first(Nix, Ended(137))], known(137, true)),
            (&[first(Nix, Lives)], Verdict::Waits),
            (&[first(Nix, Unknown)], Verdict::Unknown),
            (&[first(Other, Ended(0))], known(0, false)),
            (&[first(Other, Ended(7))], known(7, false)),
            // A log that is read.
            (&[first(Filter, Ended(0))], Verdict::Unknown),
            (&[piped(Filter, Ended(0))], Verdict::Unknown),
            // `nix build |& tee log | grep -v x | nixmon`
            (&[piped(Filter, Ended(1)), piped(Filter, Ended(0)), first(Nix, Ended(0))], known(0, true)),
            (&[piped(Filter, Lives), first(Nix, Ended(1))], known(1, true)),
            // `nix build |& head | nixmon`
            (&[piped(Filter, Ended(0)), first(Nix, Ended(141))], Verdict::Unknown),
            // `yes | nix build |& nixmon`
            (&[piped(Nix, Ended(0)), first(Other, Ended(141))], known(0, true)),
            // `nix build |& while read …; done | nixmon`
            (&[piped(Other, Ended(0)), first(Nix, Ended(1))], known(1, true)),
            (&[piped(Other, Ended(0)), first(Nix, Ended(0))], known(0, false)),
            (&[piped(Other, Ended(0)), first(Nix, Unknown)], Verdict::Unknown),
            (&[piped(Other, Ended(0))], Verdict::Unknown),
            (&[piped(Other, Ended(2)), first(Nix, Ended(0))], known(2, false)),
            // The pipe of a program that runs scripts and lives on.
            (&[piped(Other, Ended(0)), first(Other, Lives)], known(0, false)),
        ];
        for (stages, expected) in cases {
            assert_eq!(verdict(stages), expected, "{stages:?}");
        }
    }
}
