//! The cost of a command's processes so far, to distinguish silent work from no work.
//!
//! A look at all processes of the machine, at most every ten seconds and only while the command is silent. With 600 of them
//! it costs three system calls each; on a machine that is busy that can take a tenth of a second, so a loop that must not
//! wait does it on another thread. It never fails: processes vanish while they are looked at, and what is not known is
//! `None`.
//!
//! Builders of a Nix daemon are no descendants of ours. Where a client of the daemon is among our processes, those below
//! the daemon's worker for that client count as well. A worker has the client's number as its first argument, since Nix
//! 1.1 (`processConnection` in `nix-daemon.cc`: "for debugging, stuff the pid into `argv[1]`"); where none can be matched,
//! all builders of the daemon count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::builders::{BuilderProcess, builders};
use super::{Proc, Stat};

/// The cost at a moment, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Processor time of all processes, with that of children which were waited for.
    pub cpu: Option<Duration>,
    /// Resident memory of all processes together, in bytes; what they share counts for each.
    pub resident: Option<u64>,
    /// Bytes sent and received by all interfaces but `lo`, since they are up.
    pub network: Option<u64>,
    /// A program is among the processes whose work is done elsewhere: on another machine, by a service manager.
    pub elsewhere: bool,
    /// A program is among the processes that has no child and nothing to do but to ask for a password.
    pub asking: Option<String>,
}

/// A process, as far as it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    parent: i32,
    group: i32,
    /// On Linux its first 15 bytes.
    name: String,
    pub(super) cpu: Duration,
    pub(super) resident: Option<u64>,
}

/// Programs that have others do the work, by the first 15 bytes of their names.
const ELSEWHERE: [&str; 8] =
    ["ssh", "systemctl", "systemd-run", "launchctl", "sd-switch", "switch-to-confi", "docker", "podman"];
/// Programs that start a command once they have a password, and until then have no child.
const ASKING: [&str; 5] = ["sudo", "doas", "su", "ssh-askpass", "pinentry"];
/// Nix's daemon; `nix daemon` is `nix` and cannot be told from a client by its name.
const DAEMON: &str = "nix-daemon";
/// Nix's state, and in it the daemon's socket.
const STATE: &str = "/nix/var/nix";
const SOCKET: &str = "/nix/var/nix/daemon-socket/socket";
/// A clock tick of `/proc/PID/stat`: `USER_HZ` is 100 on all systems that Nix runs on.
const TICK: Duration = Duration::from_millis(10);

/// Looks at the processes of `command`: those below it, those of its process group, and those below `adopter`, which takes
/// in orphans and does not count itself.
pub fn sample(command: i32, adopter: Option<i32>) -> Sample {
    look(command, adopter, false).0
}

/// The same, with the builders of Nix among the processes, as far as their environments may be read.
pub fn sample_with_builders(command: i32, adopter: Option<i32>) -> (Sample, Vec<BuilderProcess>) {
    look(command, adopter, true)
}

fn look(command: i32, adopter: Option<i32>, with_builders: bool) -> (Sample, Vec<BuilderProcess>) {
    if cfg!(any(target_os = "linux", target_os = "android")) {
        let proc = Proc::default();
        let Some(processes) = processes(&proc) else { return Default::default() };
        let family = Family::of(&processes, command, adopter, |pid| proc.arguments(pid));
        let found = if with_builders { family.builders(&proc, &processes, adopter) } else { Vec::new() };
        let sample = add_up(&processes, family, uses_daemon());
        return (Sample { network: proc.network(), ..sample }, found);
    }
    let sample =
        ps().map(|processes| add_up(&processes, Family::of(&processes, command, adopter, |_| None), false));
    (sample.unwrap_or_default(), Vec::new())
}

/// Returns whether some of the command's processes belong to another user, so that they cannot be signalled, as below `sudo`.
pub fn is_beyond_reach(command: i32) -> bool {
    let processes = if cfg!(any(target_os = "linux", target_os = "android")) {
        processes(&Proc::default())
    } else {
        ps()
    };
    let may_not = |pid: i32| {
        let pid = rustix::process::Pid::from_raw(pid);
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::PERM))
    };
    processes.is_some_and(|processes| {
        let of_group = processes.iter().filter(|(pid, process)| **pid == command || process.group == command);
        below(&children(&processes), of_group.map(|(pid, _)| *pid)).into_iter().any(may_not)
    })
}

/// Returns whether Nix uses a daemon here, whose processes may be hidden from us, as its store `auto` decides it
/// (`libstore/store-api.cc`), where it may not write to its state and there is a socket.
fn uses_daemon() -> bool {
    rustix::fs::access(STATE, rustix::fs::Access::WRITE_OK).is_err() && Path::new(SOCKET).exists()
}

/// The processes that belong to a command.
struct Family {
    children: BTreeMap<i32, Vec<i32>>,
    tree: BTreeSet<i32>,
    /// Clients of Nix among them.
    clients: BTreeSet<i32>,
    /// There is a daemon of Nix on this machine.
    has_daemon: bool,
    /// Processes of the daemon that work for the clients.
    workers: Vec<i32>,
}

impl Family {
    /// Finds what belongs to `command`. `arguments` reads a process's arguments.
    fn of(
        processes: &BTreeMap<i32, Process>,
        command: i32,
        adopter: Option<i32>,
        arguments: impl Fn(i32) -> Option<Vec<String>>,
    ) -> Self {
        let children = children(processes);
        let ours = |(pid, process): (&i32, &Process)| {
            let is_ours = *pid == command || process.group == command || Some(process.parent) == adopter;
            is_ours.then_some(*pid)
        };
        let mut tree = below(&children, processes.iter().filter_map(ours));
        let is_nix = |pid: &&i32| processes.get(pid).is_some_and(|process| is_client(&process.name));
        let clients: BTreeSet<i32> = tree.iter().filter(is_nix).copied().collect();
        let daemons: Vec<i32> =
            processes.iter().filter(|(_, p)| p.name == DAEMON).map(|(pid, _)| *pid).collect();
        let mut found = Vec::new();
        if !clients.is_empty() {
            found = workers(&daemons, processes, &clients, arguments);
            tree.extend(below(&children, found.iter().copied()));
        }
        Self { children, tree, clients, has_daemon: !daemons.is_empty(), workers: found }
    }

    /// Finds the builders of its Nix.
    fn builders(
        &self,
        proc: &Proc,
        processes: &BTreeMap<i32, Process>,
        adopter: Option<i32>,
    ) -> Vec<BuilderProcess> {
        if self.clients.is_empty() {
            return Vec::new();
        }
        let orphans = adopter.and_then(|adopter| self.children.get(&adopter)).into_iter().flatten().copied();
        let nix = self.clients.iter().chain(&self.workers).copied();
        builders(proc, processes, &self.children, nix, orphans)
    }
}

/// Adds up what a command's processes cost. `hidden_daemon`: should no daemon be seen, there is one all the same.
fn add_up(processes: &BTreeMap<i32, Process>, family: Family, hidden_daemon: bool) -> Sample {
    let Family { children, tree, clients, has_daemon, .. } = family;
    let known = !tree.is_empty() && (clients.is_empty() || has_daemon || !hidden_daemon);
    let of_tree = || tree.iter().filter_map(|pid| processes.get(pid).map(|process| (pid, process)));
    let asking = of_tree()
        .find(|(pid, process)| {
            ASKING.iter().any(|name| process.name == *name || process.name.starts_with("pinentry"))
                && !children.contains_key(pid)
        })
        .map(|(_, process)| process.name.clone());
    Sample {
        cpu: known.then(|| of_tree().map(|(_, process)| process.cpu).sum()),
        resident: of_tree().filter_map(|(_, process)| process.resident).reduce(u64::saturating_add),
        network: None,
        elsewhere: of_tree().any(|(_, process)| ELSEWHERE.contains(&process.name.as_str())),
        asking,
    }
}

/// Children by their parents.
fn children(processes: &BTreeMap<i32, Process>) -> BTreeMap<i32, Vec<i32>> {
    let mut children = BTreeMap::<i32, Vec<i32>>::new();
    for (pid, process) in processes {
        children.entry(process.parent).or_default().push(*pid);
    }
    children
}

/// The daemon's processes whose children build for us: its workers for our clients, or, where workers do not say for whom
/// they work, all.
fn workers(
    daemons: &[i32],
    processes: &BTreeMap<i32, Process>,
    clients: &BTreeSet<i32>,
    arguments: impl Fn(i32) -> Option<Vec<String>>,
) -> Vec<i32> {
    let is_worker = |pid: &i32| processes.get(pid).is_some_and(|process| daemons.contains(&process.parent));
    let client_of = |pid: i32| arguments(pid)?.get(1)?.parse::<i32>().ok();
    let labelled: Vec<(i32, i32)> = daemons
        .iter()
        .filter(|pid| is_worker(pid))
        .filter_map(|pid| Some((*pid, client_of(*pid)?)))
        .collect();
    let ours: Vec<i32> =
        labelled.iter().filter(|(_, client)| clients.contains(client)).map(|(pid, _)| *pid).collect();
    // The label is cut to the length of the daemon's first argument, and another container numbers otherwise.
    if ours.is_empty() { daemons.to_vec() } else { ours }
}

/// `nix`, `nix-build`, `nix-env`, …
fn is_client(name: &str) -> bool {
    name != DAEMON && (name == "nix" || name.starts_with("nix-"))
}

/// The roots and all that is below them. A cycle, which no system has, ends.
pub(super) fn below(
    children: &BTreeMap<i32, Vec<i32>>,
    roots: impl IntoIterator<Item = i32>,
) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<i32> = roots.into_iter().collect();
    while let Some(pid) = todo.pop() {
        if found.insert(pid) {
            todo.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found
}

/// Reads all visible processes.
fn processes(proc: &Proc) -> Option<BTreeMap<i32, Process>> {
    Some(proc.pids()?.filter_map(|pid| Some((pid, Process::of(&proc.stat(pid)?)?))).collect())
}

impl Process {
    fn of(stat: &Stat) -> Option<Self> {
        Some(Self {
            parent: stat.parent()?,
            group: stat.group()?,
            name: stat.name().to_owned(),
            resident: stat.resident(),
            cpu: TICK.saturating_mul(u32::try_from(stat.cpu_ticks()?).unwrap_or(u32::MAX)),
        })
    }
}

/// Other systems say it with `ps`.
fn ps() -> Option<BTreeMap<i32, Process>> {
    let output = Command::new("ps").args(["-A", "-o", "pid=,ppid=,pgid=,time=,comm="]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let processes: BTreeMap<i32, Process> = text.lines().filter_map(parse_ps).collect();
    (!processes.is_empty()).then_some(processes)
}

/// A line of `ps`; the last column, on macOS the program's path, may hold spaces.
fn parse_ps(line: &str) -> Option<(i32, Process)> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.trim_start().split_once(char::is_whitespace)?;
        rest = after;
        Some(word)
    };
    let (pid, parent, group) = (word()?, word()?, word()?);
    let cpu = parse_time(word()?)?;
    let path = rest.trim();
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    let process =
        Process { parent: parent.parse().ok()?, group: group.parse().ok()?, name, cpu, resident: None };
    Some((pid.parse().ok()?, process))
}

/// `M:SS.ss` of macOS and the BSDs, `[D-]HH:MM:SS` of POSIX.
fn parse_time(text: &str) -> Option<Duration> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let (clock, hundredths) = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, format!("{fraction:0<2}").get(..2)?.parse::<u64>().ok()?),
        None => (clock, 0),
    };
    let mut seconds = 0_u64;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let seconds = days.checked_mul(86_400)?.checked_add(seconds)?;
    Some(Duration::from_millis(seconds.checked_mul(1000)?.checked_add(hundredths * 10)?))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Child, Stdio};
    use std::time::Instant;

    use super::*;

    /// A line of `stat`: number, name, parent, group, session, and processor time of itself and its children in ticks.
    fn stat(pid: i32, name: &str, parent: i32, group: i32, session: i32, ticks: [i64; 4]) -> String {
        let [user, system, children_user, children_system] = ticks;
        format!(
            "{pid} ({name}) S {parent} {group} {session} 0 -1 4194560 200 0 0 0 {user} {system} \
             {children_user} {children_system} 20 0 1 0 12345 1000000 100 18446744073709551615 1 1 0\n"
        )
    }

    /// Number, name, parent, group, ticks, arguments.
    type MadeUp = (i32, &'static str, i32, i32, i64, &'static [&'static str]);

    /// A directory like `/proc` with these processes.
    fn made_up(processes: &[MadeUp]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (pid, name, parent, group, ticks, arguments) in processes {
            let of_process = directory.path().join(pid.to_string());
            std::fs::create_dir(&of_process).unwrap();
            let stat = stat(*pid, name, *parent, *group, 1, [*ticks, 0, 0, 0]);
            std::fs::write(of_process.join("stat"), stat).unwrap();
            std::fs::write(of_process.join("cmdline"), arguments.join("\0")).unwrap();
        }
        // Other entries, and a process that has gone since.
        std::fs::write(directory.path().join("uptime"), "1 1").unwrap();
        std::fs::create_dir(directory.path().join("self")).unwrap();
        std::fs::create_dir(directory.path().join("4711")).unwrap();
        directory
    }

    /// Ticks of what belongs to the process 10, if they are known.
    #[track_caller]
    fn check(processes: &[MadeUp], hidden: bool, expected: Option<u64>) -> Sample {
        let directory = made_up(processes);
        let proc = Proc::new(directory.path());
        let processes = super::processes(&proc).unwrap();
        let family = Family::of(&processes, 10, Some(9), |pid| proc.arguments(pid));
        let sample = add_up(&processes, family, hidden);
        assert_eq!(sample.cpu, expected.map(|ticks| Duration::from_millis(10 * ticks)));
        sample
    }

    #[test]
    fn what_is_below_the_command_or_of_its_group_or_taken_in_counts() {
        check(
            &[
                (1, "init", 0, 1, 1_000_000, &[]),
                (10, "sh", 9, 10, 1, &[]),
                (11, "make) (S 1", 10, 10, 20, &[]),
                (12, "cc1", 11, 12, 300, &[]),
                // Its parent has died, and it is of the group.
                (13, "orphan", 1, 10, 4_000, &[]),
                (14, "of orphan", 13, 14, 50_000, &[]),
                // The same, and of a group of its own.
                (15, "orphan", 9, 15, 0, &[]),
                (16, "of orphan", 15, 15, 100_000, &[]),
                (9, "nixmon", 1, 9, 7_000_000, &[]),
                (20, "other", 1, 20, 600_000, &[]),
            ],
            true,
            Some(154_321),
        );
    }

    #[test]
    fn builders_of_a_daemon_count_for_its_clients() {
        const DAEMON_TREE: [MadeUp; 6] = [
            (2, "nix-daemon", 1, 2, 1_000_000, &["nix-daemon", "--daemon"]),
            (30, "nix-daemon", 2, 30, 10, &["nix-daemon", "11"]),
            (31, "bash", 30, 31, 200, &[]),
            (40, "nix-daemon", 2, 40, 3_000, &["nix-daemon", "99"]),
            (41, "bash", 40, 41, 40_000, &[]),
            (10, "sh", 9, 10, 1, &[]),
        ];
        let with = |client: &[MadeUp]| [DAEMON_TREE.as_slice(), client].concat();
        check(&with(&[(11, "nix-build", 10, 10, 5, &[])]), true, Some(216));
        check(&with(&[(11, "git", 10, 10, 5, &[])]), true, Some(6));
        // A client whose worker cannot be found: all of the daemon's.
        check(&with(&[(12, "nix", 10, 10, 5, &[])]), true, Some(1_043_216));
        // A client, and a daemon that is hidden from us, or none.
        let alone: [MadeUp; 2] = [(10, "sh", 9, 10, 1, &[]), (11, "nix", 10, 10, 5, &[])];
        check(&alone, true, None);
        check(&alone, false, Some(6));
        // The command has gone.
        check(&[(1, "init", 0, 1, 1, &[])], false, None);
    }

    #[test]
    fn a_cycle_ends() {
        check(&[(10, "a", 11, 10, 1, &[]), (11, "b", 10, 10, 2, &[])], false, Some(3));
    }

    #[test]
    fn programs_that_ask_and_programs_whose_work_is_elsewhere() {
        let sudo: MadeUp = (11, "sudo", 10, 10, 0, &[]);
        let sh: MadeUp = (10, "sh", 9, 10, 0, &[]);
        let sample = check(&[sh, sudo], false, Some(0));
        assert_eq!((sample.asking.as_deref(), sample.elsewhere), (Some("sudo"), false));
        let sample = check(&[sh, sudo, (12, "systemctl", 11, 10, 0, &[])], false, Some(0));
        assert_eq!((sample.asking.as_deref(), sample.elsewhere), (None, true));
    }

    #[test]
    fn lines_of_ps() {
        for (line, expected) in [
            ("  123     1   123   0:01.25 /usr/sbin/some thing", Some((123, 1, 123, 1250, "some thing"))),
            ("    9     8     7  83:20.5 nix-daemon", Some((9, 8, 7, 5_000_500, "nix-daemon"))),
            ("    9     8     7 1-02:03:04 (sh)", Some((9, 8, 7, 93_784_000, "(sh)"))),
            ("    9     8     7 00:00:00 -zsh", Some((9, 8, 7, 0, "-zsh"))),
            ("  PID  PPID  PGID TIME COMMAND", None),
            ("1 2 3", None),
            ("", None),
        ] {
            let process = parse_ps(line);
            let found = process.as_ref().map(|(pid, p)| {
                (*pid, p.parent, p.group, u64::try_from(p.cpu.as_millis()).unwrap(), p.name.as_str())
            });
            assert_eq!(found, expected, "{line}");
        }
    }

    /// A shell with this script in a process group of its own.
    fn shell(script: &str) -> Child {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    fn end(mut child: Child) {
        let group = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = child.wait();
    }

    fn pid(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[test]
    fn a_loop_takes_time_and_a_sleep_takes_none() {
        let (busy, idle) = (shell("while :; do :; done"), shell("sleep 100"));
        let begun = Instant::now();
        let cpu = |child: &Child| sample(pid(child), None).cpu.unwrap();
        while cpu(&busy) < Duration::from_millis(100) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no time passes");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(cpu(&idle) < Duration::from_millis(50), "{:?}", cpu(&idle));
        assert!(sample(pid(&idle), None).network.is_some() || cfg!(not(target_os = "linux")));
        end(idle);
        end(busy);
    }

    #[test]
    fn a_grandchild_counts_after_its_parent_has_died() {
        // The inner shell ends at once; the loop belongs to whoever takes orphans in, and is of the group.
        let mut child = shell("sh -c 'while :; do :; done & echo $!'; sleep 100");
        let mut said = [0; 16];
        let n = child.stdout.as_mut().unwrap().read(&mut said).unwrap();
        let grandchild: i32 = std::str::from_utf8(&said[..n]).unwrap().trim().parse().unwrap();
        let begun = Instant::now();
        while sample(pid(&child), None).cpu.unwrap() < Duration::from_millis(100) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no time passes");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_ne!(grandchild, pid(&child));
        end(child);
    }

    #[test]
    fn ps_says_the_same() {
        let busy = shell("while :; do :; done");
        let begun = Instant::now();
        while sample(pid(&busy), None).cpu.unwrap() < Duration::from_secs(1) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no time passes");
            std::thread::sleep(Duration::from_millis(20));
        }
        let processes = ps().unwrap();
        let sample = add_up(&processes, Family::of(&processes, pid(&busy), None, |_| None), false);
        assert!(sample.cpu.unwrap() >= Duration::from_secs(1), "{sample:?}");
        end(busy);
    }
}
