//! Random trees of real processes, of known truth, seen by each backend as root and as an unprivileged user.
//!
//! `NIXMON_TREES` is their number for each backend and user, by default 40.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test starts processes, and reads the clock, files and the environment"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/common/require.rs"]
mod require;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nixmon_sensor::model::build::{Build, End};
use nixmon_sensor::model::event::Backend;
use nixmon_sensor::model::programs::Rules;
use nixmon_sensor::{Happened, Losses, Sensor};

/// The job of the process that a test starts, in its environment.
const JOB: &str = "NIXMON_TREES_JOB";
/// The user `nobody`.
const NOBODY: u32 = 65534;
/// Trees at once. More would only make the machine slow.
const AT_ONCE: usize = 12;
const TOOLS: [&str; 5] = ["make", "cargo", "gcc", "ninja", "cmake"];

/// Random numbers that a seed decides (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A tree: a script for each of its processes. A shell with the name of a tool reads it.
struct Tree<'a> {
    dir: &'a Path,
    number: usize,
    n_scripts: usize,
    random: &'a mut Random,
    /// Time that its root sleeps, in milliseconds: it takes at least as long.
    least: u64,
}

impl Tree<'_> {
    fn script(&mut self, text: &str) -> PathBuf {
        self.n_scripts += 1;
        let path = self.dir.join(format!("t{}-{}", self.number, self.n_scripts));
        fs::write(&path, text).unwrap();
        path
    }

    fn tool(&mut self) -> String {
        let name = TOOLS[usize::try_from(self.random.below(5)).unwrap()];
        self.dir.join(name).display().to_string()
    }

    /// Returns a line that starts a child.
    fn child(&mut self, depth: u64) -> String {
        let sleep = 10 + self.random.below(600);
        let mut text = String::new();
        for _ in 0..if depth < 2 { self.random.below(3) } else { 0 } {
            let line = self.child(depth + 1);
            writeln!(text, "{line}").unwrap();
        }
        writeln!(text, "sleep {}", seconds(sleep)).unwrap();
        if self.random.below(4) == 0 {
            writeln!(text, "exec {} {}", self.tool(), self.end()).unwrap();
        } else {
            writeln!(text, "exit {}", self.random.below(3)).unwrap();
        }
        let script = self.script(&text);
        let program = if self.random.below(3) == 0 { "/bin/sh".to_owned() } else { self.tool() };
        let run = format!("{program} {}", script.display());
        match self.random.below(6) {
            // Its parent ends at once.
            0 => format!("( {run} & )"),
            // As a daemon.
            1 => format!("( setsid {run} & )"),
            2 => run,
            3 => format!("( {run} )"),
            _ => format!("{run} &"),
        }
    }

    /// Returns the script of an end after a sleep.
    fn end(&mut self) -> String {
        let sleep = 10 + self.random.below(300);
        self.script(&format!("sleep {}; exit 0", seconds(sleep))).display().to_string()
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Makes a tree. Returns its command, its true end and the time that it takes at least.
fn tree(dir: &Path, number: usize, random: &mut Random) -> (Vec<String>, End, Duration) {
    let mut tree = Tree { dir, number, n_scripts: 0, random, least: 0 };
    let end = match tree.random.below(8) {
        0..=2 => End::Status(0),
        3 => End::Status(1),
        4 => End::Status(2 + i32::try_from(tree.random.below(250)).unwrap()),
        5 => End::Signal(9),
        6 => End::Signal(15),
        // SIGINT is ignored below a background job of a shell.
        _ => End::Signal(10),
    };
    let is_short = tree.random.below(5) == 0;
    let mut sleep = if is_short { tree.random.below(100) } else { 800 + tree.random.below(700) };
    tree.least = sleep;
    // As make does.
    let mut text = "MAKELEVEL=1; export MAKELEVEL\n".to_owned();
    if !is_short {
        for _ in 0..tree.random.below(4) {
            let line = tree.child(0);
            writeln!(text, "{line}").unwrap();
        }
    }
    let last = match end {
        End::Status(status) => format!("exit {status}"),
        End::Signal(signal) => format!("kill -{signal} $$; sleep 5"),
    };
    // A chain of execs, each of which sleeps a while.
    let mut tail = last;
    for _ in 0..tree.random.below(3) {
        let part = sleep / 3;
        sleep -= part;
        let script = tree.script(&format!("sleep {}\n{tail}\n", seconds(part)));
        tail = format!("exec {} {}", tree.tool(), script.display());
    }
    writeln!(text, "sleep {}\n{tail}", seconds(sleep)).unwrap();
    let script = tree.script(&text).display().to_string();
    let mut command = vec![tree.tool(), script];
    // A wrapper is none of it.
    if tree.random.below(3) == 0 {
        let wrapper = tree.script(&format!("{} {}\nexit 0\n", command[0], command[1]));
        command = vec!["/bin/sh".to_owned(), wrapper.display().to_string()];
    }
    (command, end, Duration::from_millis(tree.least))
}

/// The number of the tree that a build is of, if it is one of ours.
fn number(build: &Build, dir: &Path) -> Option<usize> {
    let begin = format!("{}/t", dir.display());
    let at = build.image.command.find(&begin)? + begin.len();
    build.image.command[at..].split('-').next()?.parse().ok()
}

/// Returns a shell that does not mind its name, as busybox' does.
fn shell() -> PathBuf {
    fs::canonicalize(require::require("bash").unwrap()).unwrap()
}

/// Runs trees below a sensor and compares what it says with the truth. Returns faults.
fn run(backend: Backend, n_trees: usize, seed: u64, dir: &Path) -> Vec<String> {
    let shell = shell();
    for tool in TOOLS {
        std::os::unix::fs::symlink(&shell, dir.join(tool)).unwrap();
    }
    let mut random = Random(seed);
    let mut sensor = match Sensor::start(Rules::default(), Some(backend)) {
        Ok(sensor) => sensor,
        Err(error) => return vec![format!("UNAVAILABLE {error}")],
    };
    let mut told: BTreeMap<usize, Vec<Build>> = BTreeMap::new();
    // Where the machine has no time for the sensor, it sees ends as late.
    let (mut asked, mut late) = (Instant::now(), Duration::ZERO);
    let mut take = |sensor: &mut Sensor, limit| {
        let happened = sensor.next(limit, None).unwrap();
        late = late.max(asked.elapsed().saturating_sub(limit));
        asked = Instant::now();
        for happened in happened {
            if let Happened::Ended(build) = happened
                && let Some(number) = number(&build, dir)
            {
                told.entry(number).or_default().push(build);
            }
        }
    };
    let mut truths = Vec::new();
    let mut running: Vec<(usize, Child, Instant)> = Vec::new();
    while truths.len() < n_trees || !running.is_empty() {
        // A burst of several, now and then.
        while truths.len() < n_trees && running.len() < AT_ONCE {
            let (command, end, least) = tree(dir, truths.len(), &mut random);
            let mut process = Command::new(&command[0]);
            process.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if random.below(2) == 0 {
                process.process_group(0);
            }
            running.push((truths.len(), process.spawn().unwrap(), Instant::now()));
            truths.push((end, least, Duration::ZERO));
        }
        take(&mut sensor, Duration::from_millis(50));
        running.retain_mut(|(number, child, begun)| {
            let has_ended = child.try_wait().unwrap().is_some();
            if has_ended {
                truths[*number].2 = begun.elapsed();
            }
            !has_ended
        });
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        take(&mut sensor, Duration::from_millis(100));
    }
    let Losses { missed, .. } = sensor.losses();
    let mut faults = Vec::new();
    let mut n_results = 0;
    for (number, (end, least, most)) in truths.iter().enumerate() {
        let builds = told.remove(&number).unwrap_or_default();
        let is_build = match (*least >= Duration::from_millis(750), *most < Duration::from_millis(500)) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            // The machine was slow, and it may have taken long enough.
            _ => None,
        };
        let is_missed = builds.is_empty() && missed > 0;
        if builds.len() > 1 || is_build.is_some_and(|is_build| is_build == builds.is_empty() && !is_missed) {
            faults.push(format!(
                "tree {number} ({least:?} to {most:?}) is {} builds: {builds:?}",
                builds.len()
            ));
        }
        for build in builds {
            let is_right = build.end == Some(*end) || build.end.is_none() && backend == Backend::Proc;
            n_results += usize::from(build.end.is_some());
            if !is_right {
                faults.push(format!("tree {number} ended with {end:?}, not {:?}", build.end));
            }
            let elapsed = build.elapsed().unwrap_or_default();
            if elapsed > *most + late + Duration::from_millis(600)
                || elapsed + Duration::from_millis(400) < *least
            {
                faults.push(format!("tree {number} took {least:?} to {most:?}, not {elapsed:?}"));
            }
        }
    }
    faults.push(format!("TREES {n_trees} RESULTS {n_results} LOSSES {:?} LATE {late:?}", sensor.losses()));
    faults
}

/// The others start this one, as a process that no build has started.
#[test]
fn child() {
    let Ok(job) = std::env::var(JOB) else { return };
    let words: Vec<&str> = job.split(' ').collect();
    let backend = Backend::ALL.into_iter().find(|backend| backend.name() == words[0]).unwrap();
    let dir = Path::new(words[3]);
    let faults = match words[4] {
        "storm" => storm(backend, dir),
        "overrun" => overrun(backend, dir),
        _ => run(backend, words[1].parse().unwrap(), words[2].parse().unwrap(), dir),
    };
    fs::write(dir.join("faults.new"), faults.join("\n")).unwrap();
    fs::rename(dir.join("faults.new"), dir.join("faults")).unwrap();
}

/// Runs [`child`] outside of the family of this test, and returns its report.
fn detached(backend: Backend, what: &str, user: Option<u32>, n_trees: usize) -> String {
    detached_by("setsid", backend, what, user, n_trees)
}

/// The same behind another command than `setsid`.
fn detached_by(by: &str, backend: Backend, what: &str, user: Option<u32>, n_trees: usize) -> String {
    if require::require("setsid").is_none() || require::require("bash").is_none() {
        return "UNAVAILABLE setsid or bash".to_owned();
    }
    let temp = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    open(temp.path());
    let dir = temp.path().join("work");
    fs::create_dir(&dir).unwrap();
    open(&dir);
    // Other users may not reach this program.
    let program = temp.path().join("trees-of-processes");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    open(&program);
    let seed = std::process::id();
    let mut starter = Command::new("/bin/sh");
    starter
        .args(["-c", &format!(r#"{by} "$0" --exact child --nocapture </dev/null >"$1/out" 2>&1 &"#)])
        .arg(&program)
        .arg(&dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env(JOB, format!("{} {n_trees} {seed} {} {what}", backend.name(), dir.display()))
        .current_dir("/");
    if let Some(user) = user {
        starter.uid(user).gid(user);
    }
    assert!(starter.status().unwrap().success());
    let begun = Instant::now();
    // Each takes a second or two, on a machine that does nothing else.
    let limit = Duration::from_secs(120) + Duration::from_secs(n_trees as u64 * 4);
    loop {
        if let Ok(faults) = fs::read_to_string(dir.join("faults")) {
            return faults;
        }
        let out = fs::read_to_string(dir.join("out")).unwrap_or_default();
        assert!(begun.elapsed() < limit && !out.contains("panicked"), "no report: {out}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// In a namespace of its own, or before Linux 6.6 and 6.15, a backend does not work.
#[track_caller]
fn judge(report: &str) {
    match report.strip_prefix("UNAVAILABLE ") {
        Some(why) => require::unsupported(why),
        None => assert!(report.starts_with("TREES "), "{report}"),
    }
}

#[track_caller]
#[expect(clippy::print_stdout, reason = "numbers of trees and results are what was measured")]
fn check(backend: Backend) {
    let n_trees = std::env::var("NIXMON_TREES").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let is_root = rustix::process::geteuid().is_root();
    for user in [None, Some(NOBODY)].into_iter().take(if is_root { 2 } else { 1 }) {
        let report = detached(backend, "trees", user, n_trees);
        println!("{backend:?}, user {user:?}: {report}");
        judge(&report);
    }
}

#[test]
fn trees_by_connector() {
    check(Backend::Connector);
}

#[test]
fn trees_by_pidfd() {
    check(Backend::Pidfd);
}

#[test]
fn trees_by_proc() {
    check(Backend::Proc);
}

/// In a PID namespace, as of a container, the second process is no thread of the kernel, and all others may be below it.
#[test]
fn trees_in_a_namespace() {
    if !rustix::process::geteuid().is_root() || require::require("unshare").is_none() {
        require::unsupported("only root has PID namespaces everywhere");
        return;
    }
    // The shell is the first process, and what it starts the second.
    let by = r#"setsid unshare --pid --fork --mount-proc sh -c '"$@"; exit' sh"#;
    for backend in [Backend::Pidfd, Backend::Proc] {
        judge(&detached_by(by, backend, "trees", None, 12));
    }
    assert!(detached_by(by, Backend::Connector, "trees", None, 1).contains("another namespace"));
}

/// Processes that fork as fast as they can, until the value is dropped.
struct Storm {
    dir: PathBuf,
    shells: Vec<Child>,
    begun: Instant,
}

impl Storm {
    fn new(dir: &Path) -> Self {
        let forks = "n=0; while [ -e \"$0\" ]; do ( : ) & n=$((n + 1)); [ $((n % 20)) = 0 ] && wait; done; \
            wait; echo $n > \"$1\"";
        let flag = dir.join("flag");
        fs::write(&flag, "").unwrap();
        let shell = |n| {
            let mut process = Command::new("/bin/sh");
            process.args(["-c", forks]).arg(&flag).arg(dir.join(format!("n{n}"))).spawn().unwrap()
        };
        Self { dir: dir.to_owned(), shells: (0..4).map(shell).collect(), begun: Instant::now() }
    }

    /// Ends it. Returns the number of forks in a second.
    fn end(self) -> u64 {
        fs::remove_file(self.dir.join("flag")).unwrap();
        let mut n_forks = 0;
        for (n, mut shell) in self.shells.into_iter().enumerate() {
            shell.wait().unwrap();
            let count = fs::read_to_string(self.dir.join(format!("n{n}"))).unwrap();
            n_forks += count.trim().parse::<u64>().unwrap();
        }
        n_forks / self.begun.elapsed().as_secs().max(1)
    }
}

/// Trees in a storm. A build is told, or its loss is.
fn storm(backend: Backend, dir: &Path) -> Vec<String> {
    let storm = Storm::new(dir);
    let mut report = run(backend, 16, 7, dir);
    report.push(format!("FORKS {} per second", storm.end()));
    report
}

/// A sensor that does not read until the kernel's queue is full: a build that begins meanwhile is seen, with its result.
fn overrun(backend: Backend, dir: &Path) -> Vec<String> {
    let make = dir.join("make");
    std::os::unix::fs::symlink(shell(), &make).unwrap();
    let mut sensor = match Sensor::start(Rules::default(), Some(backend)) {
        Ok(sensor) => sensor,
        Err(error) => return vec![format!("UNAVAILABLE {error}")],
    };
    let storm = Storm::new(dir);
    std::thread::sleep(Duration::from_secs(2));
    let (go, script) = (dir.join("go"), dir.join("t1-1"));
    fs::write(&script, format!("until [ -e {} ]; do sleep 0.1; done; exit 3", go.display())).unwrap();
    let mut build = Command::new(&make).arg(&script).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    storm.end();
    let mut ended = Vec::new();
    let begun = Instant::now();
    while ended.is_empty() && begun.elapsed() < Duration::from_secs(60) {
        for happened in sensor.next(Duration::from_millis(100), None).unwrap() {
            ended.extend(match happened {
                Happened::Ended(build) => Some(build).filter(|build| number(build, dir).is_some()),
                _ => None,
            });
        }
        if begun.elapsed() > Duration::from_secs(2) {
            fs::write(&go, "").unwrap();
            // The sensor asks for its end once it was waited for.
            build.wait().unwrap();
        }
    }
    fs::write(&go, "").unwrap();
    build.wait().unwrap();
    let losses = sensor.losses();
    if losses.overruns == 0 {
        return vec!["UNAVAILABLE the queue held all events".to_owned()];
    }
    match &*ended {
        [build] if build.end == Some(End::Status(3)) => vec![format!("TREES 1 LOSSES {losses:?}")],
        _ => vec![format!("{losses:?}: {ended:?}")],
    }
}

#[test]
fn a_storm_of_forks() {
    let is_root = rustix::process::geteuid().is_root();
    let report = detached(Backend::Connector, "storm", is_root.then_some(NOBODY), 16);
    println!("{report}");
    judge(&report);
}

#[test]
fn an_overrun_costs_no_build() {
    let report = detached(Backend::Connector, "overrun", None, 1);
    println!("{report}");
    judge(&report);
}
