//! The history beside real runs: what builds cost, warnings, regressions, estimates in a terminal, and disks that take nothing.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test of the program starts it, writes files and needs the clock"
)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nixmon_history::record::{BuildRecord, RunOutcome};
use nixmon_history::store::{RunFilter, Store};
use serde_json::{Value, json};

use crate::common::ran::Ran;
use crate::common::require::skip;
use crate::common::world::World;
use crate::faults::disks::Mounted;
use crate::history::{Home, builds};

/// A builder that has forty megabytes for a while and works a little, and one that prints.
const EXPRESSION: &str = r#"
let
  make = name: inputs: script: derivation ({
    inherit name;
    system = "@system@";
    builder = "/bin/sh";
    args = [ "-c" script ];
    PATH = "/usr/bin:/bin";
  } // inputs);
in rec {
  loud = make "loud-1.0" { } "echo one; echo 'two words'; echo ok > $out";
  hungry = make "hungry-2.1" { inherit loud; outputs = [ "out" "dev" ]; }
    "x=$(head -c 40000000 /dev/zero | tr '\\0' a); i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; sleep 4; echo > $dev; echo > $out";
}
"#;

/// All builds of a history; none while its tables are not there.
fn stored(database: &Path) -> Vec<BuildRecord> {
    Store::open_read_only(database).and_then(|store| store.newest_builds(None, 1000)).unwrap_or_default()
}

#[test]
fn builds_of_nix_have_their_cost_and_its_source() {
    let Some(world) = World::with_files(None, &[("default.nix", EXPRESSION)]) else { return };
    let nixmon = ["run", "--", "nix", "build", "--no-link", "-f", "default.nix", "hungry"];
    let ran = Ran::of(world.command(env!("CARGO_BIN_EXE_nixmon")).args(nixmon).output().unwrap());
    ran.check(0, &["2 built"]);
    let builds = stored(&world.nix.root().join("state/nixmon/history.db"));
    let of = |name: &str| builds.iter().find(|build| build.name == name).unwrap();
    assert_eq!(of("loud-1.0").log_bytes, Some("one\ntwo words\n".len() as u64));
    let cost = of("hungry-2.1").resources.clone().unwrap();
    assert!(cost.peak_rss_bytes.unwrap() >= 40_000_000, "{cost:?}");
    assert!(cost.cpu_s.unwrap() > 0.0 && !cost.complete, "{cost:?}");
    assert_eq!(cost.source, "environ");
}

/// A recording of a run teaches none of it: a replay sees no processes.
#[test]
fn a_stream_has_no_cost() {
    let home = Home::new();
    home.filter(&[], &builds(0..1)).check(0, &["1 built"]);
    assert_eq!(home.builds()[0].resources, None);
}

#[test]
fn short_memory_is_told_once_with_the_build() {
    let home = Home::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let past = [
        json!({"type": "nixmon-history", "schema": 1}),
        json!({"type": "run", "id": "r", "host": host, "started": "2026-01-01T00:00:00Z", "elapsed_ms": 1000, "outcome": "success"}),
        json!({"type": "build", "run": "r", "name": "package7-0.9", "started_ms": 0, "elapsed_ms": 1000, "outcome": "built",
            "resources": {"peak_rss_bytes": 9_u64 << 30, "source": "cgroup", "complete": true}}),
    ];
    let past: String = past.iter().map(|line| format!("{line}\n")).collect();
    fs::write(home.path().join("past.jsonl"), past).unwrap();
    home.run(&["history", "import", "past.jsonl"]).check(0, &["1 new run"]);
    // A machine with 16 GiB, of which one is left.
    let kib = |gib: u64| gib << 20;
    let meminfo = format!("MemTotal: {} kB\nMemFree: 0 kB\nMemAvailable: {} kB\n", kib(16), kib(1));
    fs::write(home.path().join("meminfo"), meminfo).unwrap();
    let stream = builds(7..8);
    // Begun, and not ended.
    let begun: String = stream.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(home.path().join("begun"), begun).unwrap();
    // The command lasts until the warning is there, and then for two further looks at the memory.
    let wait = "cat begun >&2; n=0; until grep -q memory: told || [ $n = 600 ]; do n=$((n + 1)); sleep 0.1; done; sleep 2.5";
    let script = format!(
        "mount --bind meminfo /proc/meminfo || exit 99; '{}' run --name home -- sh -c '{wait}' 2> told; code=$?; cat told >&2; exit $code",
        env!("CARGO_BIN_EXE_nixmon")
    );
    let mut command = home.with(Command::new("unshare"));
    let ran = command.args(["-m", "sh", "-c", &script]).stdin(Stdio::null()).output();
    let Some(ran) = ran.ok().map(Ran::of).filter(|ran| !matches!(ran.code, Some(1 | 99))) else {
        return skip("mounting is not allowed");
    };
    let expected = "memory: 15 GiB of 16 GiB in use, 1 build; package7-1.0 took 9.0 GiB before";
    assert_eq!(ran.err.matches(expected).count(), 1, "{}", ran.err);
    assert_eq!(ran.err.matches("memory: ").count(), 1, "{}", ran.err);
}

#[test]
fn a_slower_package_is_told_by_the_run_that_shows_it() {
    let home = Home::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut past = vec![json!({"type": "nixmon-history", "schema": 1})];
    for (n, ms) in [900, 1000, 1100, 1000, 950, 4500].into_iter().enumerate() {
        past.push(json!({"type": "run", "id": n.to_string(), "host": host, "started": format!("2026-01-0{}T00:00:00Z", n + 1),
            "elapsed_ms": ms, "outcome": "success"}));
        past.push(json!({"type": "build", "run": n.to_string(), "name": "package0-1.0", "started_ms": 0, "elapsed_ms": ms,
            "outcome": "built"}));
    }
    let past: String = past.iter().map(|line| format!("{line}\n")).collect();
    fs::write(home.path().join("past.jsonl"), past).unwrap();
    home.run(&["history", "import", "past.jsonl"]).check(0, &["6 new runs"]);
    let stream = builds(0..1);
    let lines: Vec<&str> = stream.lines().collect();
    fs::write(home.path().join("begin"), format!("{}\n{}\n{}\n", lines[0], lines[1], lines[2])).unwrap();
    fs::write(home.path().join("end"), format!("{}\n", lines[3..].join("\n"))).unwrap();
    let mut told = Vec::new();
    for _ in 0..3 {
        let ran = home.run(&["run", "--", "sh", "-c", "cat begin >&2; sleep 4; cat end >&2"]);
        ran.check(0, &["1 built"]);
        told.push(ran.err.matches("package0 now takes").count());
    }
    // Three samples are needed, and one was there. A fourth tells it no more.
    assert_eq!(told, [0, 1, 0]);
}

#[test]
fn a_terminal_shows_the_time_left() {
    let home = Home::new();
    for _ in 0..2 {
        home.run(&["run", "--name", "job", "--", "sleep", "6"]).check(0, &[]);
    }
    let (mut pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(pty_process::Size::new(24, 100)).unwrap();
    let mut command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_nixmon"));
    command = command.args(["run", "--name", "job", "--", "sleep", "6"]).env_clear();
    for (name, value) in home.environment() {
        command = command.env(name, value);
    }
    let mut child = command.env("TERM", "xterm-256color").current_dir(home.path()).spawn(pts).unwrap();
    let mut parser = vt100::Parser::new(24, 100, 0);
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    // The terminal is closed when the program has ended.
    while let Ok(n @ 1..) = pty.read(&mut buffer) {
        parser.process(&buffer[..n]);
        let screen = parser.screen().contents();
        let left = screen.lines().find(|line| line.contains(" left (")).map(str::to_owned);
        seen.extend(left.filter(|line| seen.last() != Some(line)));
    }
    assert!(child.wait().unwrap().success());
    let left = |line: &String| {
        let (_, after) = line.split_once('~')?;
        after.split_once("s left")?.0.parse::<u64>().ok()
    };
    let times: Vec<u64> = seen.iter().filter_map(left).collect();
    // It falls from about six seconds.
    assert!(times.len() >= 2 && times.iter().all(|left| *left <= 12), "{seen:?}");
    assert!(times.last().unwrap() < times.first().unwrap(), "{seen:?}");
}

#[test]
fn a_filter_on_a_full_disk() {
    let home = Home::new();
    let state = home.path().join("state");
    let Some(_disk) = Mounted::new(state.clone(), &["-t", "tmpfs", "-o", "size=96k", "none"]) else { return };
    let begun = Instant::now();
    // The disk takes the tables and some rows.
    let ran = home.filter(&[], &builds(0..2000));
    ran.check(0, &["2,000 built", "the disk is full"]);
    assert_eq!(ran.err.matches("nixmon: ").count(), 1, "{}", ran.err);
    assert!(begun.elapsed() < Duration::from_secs(60));
    // A disk without any room at all.
    fs::write(state.join("filler"), vec![0; 1 << 20]).unwrap_err();
    let ran = home.filter(&[], &builds(0..3));
    ran.check(0, &["3 built"]);
    assert_eq!(ran.err.matches("nixmon: ").count(), 1, "{}", ran.err);
    // Once there is room, all is as before.
    fs::remove_file(state.join("filler")).unwrap();
    drop(_disk);
    home.filter(&[], &builds(0..3)).check(0, &["3 built"]);
    assert_eq!(home.builds().len(), 3);
}

#[test]
fn a_filter_on_a_read_only_disk() {
    let home = Home::new();
    let state = home.path().join("state");
    let Some(_disk) = Mounted::new(state.clone(), &["-t", "tmpfs", "none"]) else { return };
    let writes = |how: &str| {
        let remounted = Command::new("mount").args(["-o", how]).arg(&state).status();
        assert!(remounted.unwrap().success());
    };
    home.filter(&[], &builds(0..3)).check(0, &["3 built"]);
    writes("remount,ro");
    let ran = home.filter(&[], &builds(3..5));
    ran.check(0, &["2 built", "read-only"]);
    assert_eq!(ran.err.matches("nixmon: ").count(), 1, "{}", ran.err);
    // It can be read, as far as it was written.
    home.run(&["history", "slowest"]).check(0, &["package"]);
    writes("remount,rw");
    home.filter(&[], &builds(5..6)).check(0, &["1 built"]);
    assert_eq!(home.builds().len(), 4);
}

#[test]
fn a_run_whose_monitor_was_killed_gets_its_end() {
    let home = Home::new();
    fs::write(home.path().join("log"), builds(0..2)).unwrap();
    let script = "cat log >&2; sleep 2; exit 7";
    let ran = home.run(&["start", "--name", "home", "--", "sh", "-c", script]);
    ran.check(0, &[]);
    let facts = home.path().join("state/nixmon/runs").join(ran.out.trim()).join("facts.json");
    let pid = || -> Option<i32> {
        let facts: Value = serde_json::from_str(&fs::read_to_string(&facts).ok()?).ok()?;
        facts["process"]["pid"].as_i64()?;
        i32::try_from(facts["monitor"]["pid"].as_i64()?).ok()
    };
    let begun = Instant::now();
    // What has ended is written within a second.
    while pid().is_none() || !home.database().exists() || stored(&home.database()).len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is written");
        std::thread::sleep(Duration::from_millis(50));
    }
    let monitor = rustix::process::Pid::from_raw(pid().unwrap()).unwrap();
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).unwrap();
    let run = || {
        let store = Store::open_read_only(&home.database()).unwrap();
        let filter = RunFilter { target: Some("home"), ..RunFilter::default() };
        store.runs(&filter).unwrap().pop().unwrap().record
    };
    assert_eq!(run().outcome, RunOutcome::Unknown);
    assert_eq!(home.run(&["wait", "home"]).code, Some(7));
    let ended = run();
    assert_eq!((ended.outcome, ended.built), (RunOutcome::Failure, Some(2)), "{ended:?}");
    assert!(ended.elapsed_ms.unwrap() >= 2_000, "{ended:?}");
    // What it had taught stays, and nothing is there twice.
    assert_eq!(home.builds().len(), 2);
    home.run(&["history", "trends", "home"]).check(0, &["0 of 1 attempt succeeded"]);
}

#[test]
fn root_writes_no_history_of_a_user() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can meet a history of another user");
    }
    let home = Home::new();
    let state = home.path().join("state/nixmon");
    fs::create_dir_all(&state).unwrap();
    let nobody = Some(65534);
    std::os::unix::fs::chown(&state, nobody, nobody).unwrap();
    // A link that the user planted.
    let precious = home.path().join("precious");
    std::os::unix::fs::symlink(&precious, home.database()).unwrap();
    let expected = "belongs to another user (uid 65534)";
    for precious_text in [None, Some("data of root")] {
        if let Some(text) = precious_text {
            fs::write(&precious, text).unwrap();
        }
        home.filter(&[], &builds(0..2))
            .check(0, &["2 built", "the history does not have this run", expected]);
        home.run(&["run", "--", "true"]).check(0, &["Complete"]);
        let import = home.run(&["history", "prune"]);
        assert!(import.code != Some(0) && import.err.contains(expected), "{}", import.err);
        assert_eq!(fs::read_to_string(&precious).ok().as_deref(), precious_text);
        let files: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["history.db"], "{files:?}");
    }
    // Unless that is asked for.
    fs::remove_file(home.database()).unwrap();
    let mut command = home.command(&["run", "--", "true"]);
    Ran::of(command.env("NIXMON_ALLOW_OTHER_OWNER", "1").output().unwrap()).check(0, &["Complete"]);
    assert!(home.database().exists());
}
