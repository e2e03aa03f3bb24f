//! `status`, `wait`, `log`, `stop`, `list`, `replay RUN` and `runs prune` on stores that the tests make.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::home::at_home;
use crate::common::ran::Ran;
use nixmon_runs::Recorder;
use nixmon_runs::{
    Created, Exit, FORMAT, Facts, ProcessId, ReadOn, RootCause, RunDir, RunId, RunOutcome, RunState, Status,
    Store,
};
use serde_json::Value;
use tempfile::TempDir;

/// A build that fails with a line of its log, and one whose log is not there.
const FAILURE: &str = r#"@nix {"action":"start","fields":["/nix/store/00000000000000000000000000000000-lib-1.0.drv","",1,1],"id":1,"level":3,"text":"","type":105}
@nix {"action":"start","fields":["/nix/store/11111111111111111111111111111111-app-2.1.drv","",1,1],"id":2,"level":3,"text":"","type":105}
@nix {"action":"result","fields":["compiling"],"id":1,"type":101}
@nix {"action":"result","fields":["ld: \u001b]0;evil\u0007cannot find -lz"],"id":1,"type":101}
@nix {"action":"stop","id":2}
@nix {"action":"msg","level":0,"msg":"error: builder for '/nix/store/00000000000000000000000000000000-lib-1.0.drv' failed with exit code 1;\n       last 2 log lines:\n       > compiling\n       > ld: cannot find -lz"}
@nix {"action":"stop","id":1}
"#;

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

struct Home {
    dir: TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("state/nixmon/runs"));
        Self { dir, store }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = at_home(Command::new(env!("CARGO_BIN_EXE_nixmon")), self.dir.path(), args);
        command.env("NIX_LOG_DIR", self.dir.path().join("log")).env("TZ", "UTC");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A run whose monitor is not there any more.
    fn abandoned(&self, name: &str) -> Created {
        self.abandoned_of(Facts { name: Some(name.to_owned()), ..facts() })
    }

    fn abandoned_of(&self, facts: Facts) -> Created {
        let made = self.store.create(facts, true).unwrap();
        let facts = Facts { monitor: Some(gone()), process: Some(gone()), ..made.facts };
        made.dir.write_facts(&facts).unwrap();
        Created { facts, ..made }
    }

    /// A run that has ended, with a recording.
    fn ended(&self, name: &str, code: i32) -> RunDir {
        let made = self.abandoned(name);
        record(&made.dir.input(), FAILURE, &[]);
        std::fs::write(made.dir.lines(), "one\ntwo\nthree\n").unwrap();
        made.dir
            .write_exit(&Exit { code: Some(code), signal: None, at: made.facts.created_at + 9_000 })
            .unwrap();
        made.dir.write_status(&ended_status(&made.facts, code)).unwrap();
        made.dir
    }
}

fn facts() -> Facts {
    Facts {
        command: vec!["make".to_owned(), "home".to_owned()],
        created_at: now() - 60_000,
        ..Facts::default()
    }
}

fn gone() -> ProcessId {
    ProcessId { pid: 1, began: Some("at another time".to_owned()) }
}

fn ended_status(facts: &Facts, code: i32) -> Status {
    Status {
        id: facts.id,
        name: facts.name.clone(),
        command: facts.command.clone(),
        state: RunState::Ended,
        created_at: facts.created_at,
        started_at: Some(facts.created_at),
        ended_at: Some(facts.created_at + 9_000),
        heartbeat_at: facts.created_at + 9_000,
        line: "the verdict".to_owned(),
        outcome: Some(if code == 0 { RunOutcome::Success } else { RunOutcome::Failure }),
        exit_code: Some(code),
        cursor: 3,
        built: 2,
        last_failure: (code != 0).then(|| RootCause { name: None, message: "it broke".to_owned() }),
        ..Status::default()
    }
}

/// Writes a recording, and more to it as a recorder does that has not ended.
fn record(path: &Path, input: &str, torn: &[u8]) {
    let mut recorder = Recorder::create(path).unwrap();
    for (at, line) in (0..).zip(input.split_inclusive('\n')) {
        recorder.bytes(line.as_bytes(), Duration::from_millis(at * 100));
    }
    drop(recorder);
    if !torn.is_empty() {
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(torn).unwrap();
    }
}

/// A command that ignores nothing and leads a process group, as the guard starts them. Reaped by nobody but init if the
/// test ends before.
struct Sleeper(Child);

impl Sleeper {
    fn start(script: &str) -> Self {
        Self(Command::new("/bin/sh").args(["-c", script]).process_group(0).spawn().unwrap())
    }

    fn id(&self) -> ProcessId {
        ProcessId::of(i32::try_from(self.0.id()).unwrap()).unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(id) = ProcessId::of(i32::try_from(self.0.id()).unwrap()) {
            id.signal_group(rustix::process::Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_absent_store_has_no_runs() {
    let home = Home::new();
    for command in ["status", "wait", "log", "stop"] {
        home.run(&[command])
            .check(66, &[if command == "stop" { "no run is in progress" } else { "no runs yet" }]);
        home.run(&[command, "home"]).check(66, &["no runs yet"]);
    }
    home.run(&["list"]).check(0, &["no runs"]);
    assert_eq!(home.run(&["list", "--json"]).out, "");
    home.run(&["runs", "prune"]).check(0, &["nothing to remove"]);
    home.run(&["replay", "12"]).check(66, &["no runs yet"]);
    assert!(!home.store.root().exists());
}

#[test]
fn no_home_no_store() {
    let home = Home::new();
    for command in ["status", "wait", "log", "stop", "list"] {
        let output =
            home.command(&[command]).env_remove("HOME").env_remove("XDG_STATE_HOME").output().unwrap();
        Ran::of(output).check(66, &["neither XDG_STATE_HOME nor HOME"]);
    }
    let output = home.command(&["replay", "12"]).env_remove("HOME").env_remove("XDG_STATE_HOME").output();
    Ran::of(output.unwrap()).check(66, &["cannot read 12"]);
}

#[test]
fn unknown_run() {
    let home = Home::new();
    home.ended("home", 0);
    for command in ["status", "wait", "log", "stop"] {
        home.run(&[command, "7"]).check(66, &["there is no run 7; there is run 1, named home"]);
        home.run(&[command, "hmoe"]).check(66, &["no run is called hmoe; did you mean home?"]);
    }
    home.run(&["replay", "nothing"]).check(66, &["there is no file nothing: no run is called nothing"]);
}

#[test]
fn json_has_no_control_character() {
    let home = Home::new();
    let command = vec!["\u{9b}31m\u{7f}\u{1b}]".to_owned()];
    let dir = home.ended("home", 0);
    let status = dir.status().unwrap().unwrap();
    dir.write_status(&Status { command: command.clone(), ..status }).unwrap();
    for args in [&["status", "--json"][..], &["list", "--json"], &["wait", "--json"]] {
        let ran = home.run(args);
        ran.check(0, &[]);
        assert!(!ran.out.contains(|c: char| c.is_control() && c != '\n'), "{args:?}: {:?}", ran.out);
        let last: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
        assert_eq!(last["command"], serde_json::json!(command), "{args:?}");
    }
}

#[test]
fn status_of_a_run() {
    let home = Home::new();
    home.ended("home", 0);
    let dir = home.ended("home", 3);
    let ran = home.run(&["status"]);
    ran.check(0, &["run 2 (home: make home) ended: failure, exit status 3, after 9s, at ", "it broke"]);
    let first = RootCause { name: Some("lib-1.0".to_owned()), message: "failed: no -lz".to_owned() };
    let status = dir.status().unwrap().unwrap();
    let read_on = Some(ReadOn::Derivation);
    dir.write_status(&Status { first_failure: Some(first), read_on, ..status }).unwrap();
    let ran = home.run(&["status", "home"]);
    ran.check(0, &["✗ lib-1.0 failed: no -lz", "nixmon log 2 --derivation lib-1.0"]);
    home.run(&["status", "1"]).check(0, &["run 1 (home: make home) ended: success, exit status 0"]);
    let json: Value = serde_json::from_str(&home.run(&["status", "1", "--json"]).out).unwrap();
    assert_eq!((&json["type"], &json["schema"], &json["run"]), (&"status".into(), &1.into(), &1.into()));
    assert_eq!((&json["state"], &json["exit_code"]), (&"ended".into(), &0.into()));
}

#[test]
fn a_queued_run_waits() {
    let home = Home::new();
    let first = home.store.create(Facts { name: Some("a".to_owned()), ..facts() }, false).unwrap();
    let after = Some(first.dir.id());
    let queued = home.store.create(Facts { after, name: Some("b".to_owned()), ..facts() }, false).unwrap();
    home.run(&["status"]).check(0, &["run 2 (b: make home) queued behind run 1 for 1m0"]);
    home.run(&["list"]).check(0, &["queued"]);
    drop(queued.lock);
    // It will never begin.
    home.run(&["status", "2"]).check(0, &["ended: not started", "died at", "before the command began"]);
    home.run(&["wait", "2"]).check(1, &["run 2 (b: make home) ended: not started"]);
    home.run(&["log", "2"]).check(66, &["run 2 has no recording"]);
}

#[test]
fn lost_run_is_recovered() {
    let home = Home::new();
    let Created { dir, facts, lock } = home.abandoned("home");
    let sleeper = Sleeper::start("exec sleep 60");
    dir.write_facts(&Facts { process: Some(sleeper.id()), ..facts.clone() }).unwrap();
    record(&dir.input(), FAILURE, b"");
    drop(lock);
    let pid = format!("the command (pid {})", sleeper.id().pid);
    let unwatched = format!("{pid} keeps running unmonitored; its output since then is not recorded");
    home.run(&["status"]).check(0, &[&unwatched]);
    home.run(&["list"]).check(0, &["lost its monitor"]);
    let guard = dir.lock_guard().unwrap().unwrap();
    home.run(&["status"]).check(0, &[&format!("{pid} keeps running, and its output is recorded")]);
    home.run(&["wait", "--timeout", "0s"])
        .check(124, &["run 1 is in progress, cursor 0: its monitor died at"]);
    home.run(&["runs", "prune", "--keep-runs", "0"]).check(0, &["nothing to remove"]);
    assert!(!dir.file("summary.json").exists());
    // The guard keeps the rest and sees the end.
    record(
        &dir.rest(),
        "@nix {\"action\":\"start\",\"fields\":[\"/nix/store/22222222222222222222222222222222-last-1.drv\",\"\",1,1],\"id\":9,\"type\":105}\n",
        b"",
    );
    dir.write_exit(&Exit { code: Some(1), signal: None, at: now() - 5_000 }).unwrap();
    drop((guard, sleeper));
    let ended = ["ended: failure, exit status 1", "lib-1.0", "its guard recorded the rest"];
    home.run(&["status"]).check(0, &ended);
    let status = dir.status().unwrap().unwrap();
    assert_eq!((status.state, status.wanted, status.failed), (RunState::Ended, 3, 1));
    let summary = dir.summary().unwrap().unwrap();
    assert_eq!((&summary["type"], &summary["outcome"]), (&"summary".into(), &"failure".into()));
    let lines = std::fs::read_to_string(dir.lines()).unwrap();
    assert_eq!(lines.lines().count() as u64, status.cursor);
    assert!(lines.contains("lib-1.0"), "{lines}");
    // From here on it is kept.
    std::fs::remove_file(dir.input()).unwrap();
    home.run(&["status"]).check(0, &ended);
    home.run(&["wait"]).check(1, &["run 1 (home: make home) ended: failure, exit status 1"]);
}

#[test]
fn unseen_end() {
    let home = Home::new();
    for (input, torn, expected) in [
        (Some(FAILURE), &b""[..], "its end was not seen"),
        // As a power failure leaves it.
        (Some(FAILURE), b"(\xb5/\xfd\x04\x00garbage garbage garbage", "its recording is damaged"),
        (None, b"", "there is no recording"),
    ] {
        let Created { dir, lock, .. } = home.abandoned("home");
        if let Some(input) = input {
            record(&dir.input(), input, torn);
        }
        std::fs::write(dir.file("status.json"), "{\"format\":1,\"na").unwrap();
        std::fs::write(dir.file("exit.json"), "").unwrap();
        drop(lock);
        home.run(&["status"]).check(0, &["ended: ", "exit status unknown", expected, "(home: make home)"]);
        let status = dir.status().unwrap().unwrap();
        assert_eq!((status.exit_code, status.state), (None, RunState::Ended));
        home.run(&["wait"]).check(1, &["ended"]);
    }
}

#[test]
fn concurrent_recovery() {
    let home = Home::new();
    let Created { dir, lock, .. } = home.abandoned("home");
    record(&dir.input(), FAILURE, b"");
    dir.write_exit(&Exit { code: None, signal: Some(9), at: now() - 5_000 }).unwrap();
    drop(lock);
    let children: Vec<_> = (0..6).map(|_| home.spawn(&["status"])).collect();
    let outs: Vec<_> = children.into_iter().map(|child| Ran::of(child.wait_with_output().unwrap())).collect();
    for ran in &outs {
        ran.check(0, &["exit status 137"]);
        assert_eq!(ran.out, outs[0].out);
    }
    home.run(&["wait"]).check(137, &[]);
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_str().unwrap().starts_with('.')), "{names:?}");
}

#[test]
fn other_formats_and_damage() {
    let home = Home::new();
    home.ended("home", 0);
    let newer = home.ended("newer", 0);
    let damaged = home.ended("damaged", 0);
    std::fs::write(newer.file("facts.json"), r#"{"format":9,"environment":{"nixmon":"4.0.0"}}"#).unwrap();
    std::fs::write(newer.file("status.json"), r#"{"format":9}"#).unwrap();
    for name in ["facts.json", "status.json", "exit.json", "input.zst", "lines.txt"] {
        std::fs::write(damaged.file(name), b"\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    }
    for command in ["status", "wait", "log", "stop"] {
        let told = ["run 2 was written by another nixmon", "a newer nixmon is needed (4.0.0)"];
        home.run(&[command, "2"]).check(65, &told);
    }
    let list = home.run(&["list"]);
    list.check(0, &["home", "another nixmon"]);
    assert_eq!(list.out.lines().count(), 3, "{}", list.out);
    home.run(&["list", "--json"]).check(0, &["\"unreadable-run\"", "\"run\":2", "\"run\":1,", "\"run\":3,"]);
    home.run(&["status", "3"]).check(0, &["run 3 ended", "its recording breaks off"]);
    home.run(&["log", "3"]).check(0, &["the recording of run 3 breaks off"]);
    home.run(&["runs", "prune", "--keep-runs", "0"]).check(0, &["removed 2 runs"]);
    assert_eq!(home.store.ids().unwrap(), [RunId(2)]);
}

#[test]
fn a_store_that_cannot_be_written() {
    let Some(mount) = crate::common::require::require("mount") else { return };
    let home = Home::new();
    home.ended("home", 0);
    let Created { dir, lock, .. } = home.abandoned("lost");
    record(&dir.input(), FAILURE, b"");
    drop(lock);
    let mounted = |args: &[&str]| {
        Command::new(&mount)
            .args(args)
            .arg(home.store.root())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    let root = home.store.root().to_str().unwrap();
    if !(mounted(&["--bind", root]) && mounted(&["-o", "remount,bind,ro"])) {
        eprintln!("SKIPPED: a_store_that_cannot_be_written: mounting is not allowed");
        let _ = Command::new("umount").arg(root).stderr(Stdio::null()).status();
        return;
    }
    let status = home.run(&["status"]);
    let rest = [
        home.run(&["list"]),
        home.run(&["log", "--derivation", "lib"]),
        home.run(&["replay", "lost"]),
        home.run(&["wait"]),
        home.run(&["runs", "prune", "--keep-runs", "0"]),
    ];
    let is_kept = dir.file("summary.json").exists();
    assert!(Command::new("umount").arg(root).status().unwrap().success());
    status.check(0, &["run 2 (lost: make home) ended", "its end was not seen"]);
    let [list, log, replay, wait, prune] = rest;
    list.check(0, &["home", "lost"]);
    log.check(0, &["lib-1.0> compiling"]);
    replay.check(1, &["lib-1.0"]);
    wait.check(1, &["run 2 (lost: make home) ended"]);
    prune.check(74, &["Read-only"]);
    assert!(!is_kept);
}

#[test]
fn wait_prints_new_lines() {
    let home = Home::new();
    let made = home.store.create(Facts { name: Some("home".to_owned()), ..facts() }, false).unwrap();
    let dir = &made.dir;
    std::fs::write(dir.lines(), "one\ntwo\nthr").unwrap();
    let wait = |args: &[&str]| home.run(&[&["wait"], args].concat());
    let ran = wait(&["--timeout", "0s"]);
    ran.check(124, &["run 1 is in progress, cursor 2"]);
    assert_eq!(ran.out.lines().count(), 1);
    let ran = wait(&["--timeout", "0s", "--since", "1"]);
    assert_eq!((ran.code, ran.out.lines().next()), (Some(124), Some("two")));
    let ran = wait(&["--for", "change", "--since", "0"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "one\ntwo\nrun 1 is in progress, cursor 2\n"));
    // A cursor that is not reached yet.
    wait(&["--timeout", "0s", "--since", "9"]).check(124, &["cursor 9"]);
    let ran = wait(&["--for", "change", "--since", "1", "--json"]);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["text"], &lines[0]["cursor"]), (&"two".into(), &2.into()));
    assert_eq!((&lines[1]["type"], &lines[1]["cursor"]), (&"status".into(), &2.into()));
    let change = home.spawn(&["wait", "--for", "change"]);
    let end = home.spawn(&["wait", "--since", "0"]);
    // Lines from before the first look are not new.
    std::thread::sleep(Duration::from_secs(2));
    std::fs::write(dir.lines(), "one\ntwo\nthree\n").unwrap();
    let ran = Ran::of(change.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "three\nrun 1 is in progress, cursor 3\n"));
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(dir.lines(), "one\ntwo\nthree\nfour\n").unwrap();
    dir.write_status(&ended_status(&made.facts, 7)).unwrap();
    let ran = Ran::of(end.wait_with_output().unwrap());
    ran.check(7, &["one\ntwo\nthree\nfour\nrun 1 ended: failure, exit status 7, after 9s, cursor 4\n"]);
    assert_eq!(wait(&["--for", "change", "--since", "4"]).code, Some(7));
}

#[test]
fn late_wait_prints_end() {
    let home = Home::new();
    home.ended("home", 3);
    let status = home.run(&["status"]).out;
    for args in [&["wait"][..], &["wait", "--for", "change"], &["wait", "--timeout", "0s"]] {
        let ran = home.run(args);
        assert_eq!((ran.code, &ran.out), (Some(3), &status), "{args:?}");
    }
    let seen = home.run(&["wait", "--since", "3"]);
    assert_eq!((seen.code, seen.out.lines().count()), (Some(3), 1), "{}", seen.out);
    assert_eq!(home.run(&["wait", "--json"]).out, home.run(&["status", "--json"]).out);
}

#[test]
fn no_command_is_behind_another() {
    let home = Home::new();
    let made = home.store.create(facts(), false).unwrap();
    let status = Status { line: "Evaluating…".to_owned(), ..made.dir.status().unwrap().unwrap() };
    made.dir.write_status(&status).unwrap();
    let says = |args: &[&str], cursor: &str, line: &str| {
        let ran = home.run(args);
        assert!(ran.out.contains(cursor) && ran.out.contains(line), "{args:?}: {}", ran.out);
    };
    says(&["status"], "cursor 0", "Evaluating…");
    // The status is written later.
    std::fs::write(made.dir.lines(), "[0s] Building… 2 to build\nsome text\n").unwrap();
    let all: [&[&str]; 4] = [
        &["wait", "--for", "change", "--since", "0"],
        &["wait", "--timeout", "0s"],
        &["status"],
        &["wait", "--timeout", "0s", "--since", "2"],
    ];
    for args in all {
        says(args, "cursor 2", "Building… 2 to build");
        assert!(!home.run(args).out.contains("Evaluating"), "{args:?}");
    }
    for args in [&["status", "--json"][..], &["list", "--json"], &["wait", "--timeout", "0s", "--json"]] {
        says(args, "\"cursor\":2", "\"line\":\"Building… 2 to build\"");
    }
    says(&["wait", "--timeout", "0s"], "; continue with nixmon wait 1 --since 2", "");
}

#[test]
fn logs_are_readable() {
    let home = Home::new();
    home.ended("home", 1);
    let log = |args: &[&str]| home.run(&[&["log"], args].concat());
    let all = log(&[]);
    all.check(0, &["lib-1.0> compiling\nlib-1.0> ld: cannot find -lz\n", "✗ lib-1.0 failed"]);
    assert!(!all.out.contains("evil"), "{}", all.out);
    let n = all.out.lines().count();
    for reference in
        ["lib-1.0", "lib", "li", "00000", "/nix/store/00000000000000000000000000000000-lib-1.0.drv"]
    {
        let ran = log(&["--derivation", reference]);
        ran.check(0, &["lib-1.0> compiling", "cannot find -lz"]);
        assert!(!ran.out.contains("app"), "{}", ran.out);
    }
    log(&["--derivation", "lbi"]).check(66, &["run 1 has no derivation lbi; did you mean lib"]);
    log(&["--derivation", "zlib"]).check(66, &["run 1 has no derivation zlib; did you mean lib"]);
    log(&["--derivation", "other"]).check(66, &["run 1 has no derivation other; it has lib-1.0, app-2.1"]);
    log(&["--unit", "nginx"]).check(66, &["run 1 does not mention a unit nginx; it mentions none"]);
    assert_eq!(log(&["--grep", "compil", "--derivation", "lib"]).out, "lib-1.0> compiling\n");
    assert_eq!(log(&["--lines", "2:2"]).out, all.out.lines().nth(1).unwrap().to_owned() + "\n");
    assert_eq!(log(&["--lines", "-1"]).out.lines().count(), 1);
    assert_eq!(log(&["--lines=:-2"]).out.lines().count(), n - 1);
    log(&["--grep", "("]).check(2, &["--grep (", "unclosed group"]);
    assert_eq!(home.run(&["log", "--raw"]).out, FAILURE);
    let replay = home.run(&["replay", "home"]);
    replay.check(1, &["lib-1.0"]);
    assert_eq!(replay.out, home.run(&["replay", "1"]).out);
    home.run(&["replay", "home", "--output", "json"]).check(1, &["\"type\":\"summary\""]);
}

#[test]
fn log_kept_by_nix() {
    let home = Home::new();
    home.ended("home", 1);
    let log = |args: &[&str]| home.run(&[&["log"], args].concat());
    log(&["--derivation", "app"]).check(0, &["no log of app-2.1, and Nix has kept none here"]);
    let dir = home.dir.path().join("log/drvs/11");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("111111111111111111111111111111-app-2.1.drv");
    std::fs::write(&file, "configuring\n50%\rlinking \u{1b}[31mapp\u{1b}[0m\n\u{1b}]0;evil\u{7}done")
        .unwrap();
    let expected = "app-2.1> configuring\napp-2.1> linking app\napp-2.1> done\n";
    let ran = log(&["--derivation", "app"]);
    ran.check(0, &["the recording has no log of app-2.1; this is what Nix has kept: "]);
    assert_eq!(ran.out, expected);
    let Some(bzip2) = crate::common::require::require("bzip2") else { return };
    assert!(Command::new(bzip2).arg(&file).status().unwrap().success());
    assert_eq!(log(&["--derivation", "app"]).out, expected);
    assert_eq!(log(&["--derivation", "app", "--lines=-1:", "--grep", "n"]).out, "app-2.1> done\n");
}

#[test]
fn status_read_on_commands_work() {
    let home = Home::new();
    let path = "/nix/store/00000000000000000000000000000000-fo-1.0.drv";
    // The error is the last of what came, and nothing says that it is whole.
    let hash = format!(
        "building '{path}'...\nerror: hash mismatch in fixed-output derivation '{path}':\n         \
         specified: sha256-AAAA\n            got:    sha256-BBBB\n"
    );
    let silent = format!("building '{path}'...\nerror: builder for '{path}' failed with exit code 5\n");
    let variable = "error: undefined variable 'x'\n\n       at /a.nix:1:2:\n\n            1| {x}\n";
    for (text, pointer, expected) in [
        (&*hash, Some("--derivation fo-1.0"), "specified: sha256-AAAA"),
        (&*silent, None, ""),
        (variable, Some("--lines -50:"), "1| {x}"),
    ] {
        let made = home.abandoned("home");
        record(&made.dir.input(), text, b"");
        made.dir.write_exit(&Exit { code: Some(1), signal: None, at: now() }).unwrap();
        drop(made);
        let status = home.run(&["status"]).out;
        let found = status.lines().find_map(|line| line.trim().strip_prefix("read on: nixmon "));
        assert_eq!(found.is_some(), pointer.is_some(), "{status}");
        let Some((found, pointer)) = found.zip(pointer) else { continue };
        assert!(found.ends_with(pointer) && !status.contains(expected), "{status}");
        home.run(&found.split(' ').collect::<Vec<_>>()).check(0, &[expected]);
    }
}

#[test]
fn closed_pipe() {
    let home = Home::new();
    let dir = home.ended("home", 0);
    record(&dir.input(), &"a line of a program\n".repeat(200_000), b"");
    for args in [&["log"][..], &["log", "--raw"], &["log", "--lines", "1:3"]] {
        let mut child = home.spawn(args);
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
            .unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.err.as_str(), line.as_str()), (Some(0), "", "a line of a program\n"));
    }
}

#[test]
fn a_log_is_followed_to_its_end() {
    let home = Home::new();
    let made = home.store.create(Facts { name: Some("home".to_owned()), ..facts() }, false).unwrap();
    let dir = made.dir.clone();
    // It may begin before there is a recording.
    let follow = home.spawn(&["log", "--follow"]);
    std::thread::sleep(Duration::from_millis(300));
    let mut recorder = Recorder::create(&dir.input()).unwrap();
    recorder.bytes(b"first\nsec", Duration::ZERO);
    recorder.flush();
    std::thread::sleep(Duration::from_millis(300));
    let late = home.spawn(&["log", "-f", "--lines", "-1:"]);
    let now_only = home.run(&["log"]);
    assert_eq!(now_only.out, "first\n", "{}", now_only.err);
    std::thread::sleep(Duration::from_millis(300));
    recorder.bytes(b"ond\n", Duration::from_millis(900));
    drop(recorder);
    // The monitor dies, the guard goes on.
    let guard = dir.lock_guard().unwrap();
    dir.write_facts(&Facts { monitor: Some(gone()), process: Some(gone()), ..made.facts.clone() }).unwrap();
    drop(made.lock);
    std::thread::sleep(Duration::from_millis(300));
    record(&dir.rest(), "third\n", b"");
    std::thread::sleep(Duration::from_millis(300));
    dir.write_exit(&Exit { code: Some(0), signal: None, at: now() - 10_000 }).unwrap();
    drop(guard);
    let ran = Ran::of(follow.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "first\nsecond\nthird\n"), "{}", ran.err);
    let ran = Ran::of(late.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "first\nsecond\nthird\n"), "{}", ran.err);
    home.run(&["status"]).check(0, &["ended: success, exit status 0"]);
}

#[test]
fn logs_of_units() {
    let home = Home::new();
    let dir = home.ended("home", 1);
    let log = "building the system configuration...\nactivating the configuration...\nsetting up /etc...\n\
        restarting the following units: nginx.service, php.service\n\
        starting the following units: sshd.service\n\
        warning: the following units failed: nginx.service\n\
        × nginx.service - Nginx Web Server\n     Active: failed (Result: exit-code)\n\
        another line\n";
    record(&dir.input(), log, b"");
    std::fs::create_dir_all(home.dir.path().join(".config/nixmon")).unwrap();
    let file = home.dir.path().join("nginx.log");
    std::fs::write(&file, "starting\n[emerg] bind() to 0.0.0.0:80 failed\n").unwrap();
    let config = format!("[services.nginx]\nlog = {:?}\n", file.to_str().unwrap());
    std::fs::write(home.dir.path().join(".config/nixmon/config.toml"), config).unwrap();
    let ran = home.run(&["log", "--unit", "nginx"]);
    ran.check(0, &["nginx.service", "[emerg] bind()", "journalctl -u nginx.service"]);
    assert!(!ran.out.contains("another line"), "{}", ran.out);
    home.run(&["log", "--unit", "redis"]).check(66, &["it mentions nginx.service, php.service"]);
}

#[test]
fn stopping_ends_the_process_group() {
    let home = Home::new();
    home.ended("other", 0);
    home.run(&["stop"]).check(66, &["no run is in progress"]);
    home.run(&["stop", "1"]).check(0, &["run 1 (other: make home) has ended already: success"]);
    // The monitor has gone, so this client finds out how the run ended.
    for (script, args, expected) in [
        ("sleep 60 & touch ready; sleep 60", &["stop"][..], "was stopped: "),
        (
            "trap '' TERM; touch ready; while :; do sleep 0.1; done",
            &["stop", "--grace", "1s"],
            "was stopped by SIGKILL: ",
        ),
    ] {
        let Created { dir, facts, lock } = home.abandoned("home");
        let sleeper = Sleeper::start(&format!("cd {:?}; {script}", home.dir.path()));
        dir.write_facts(&Facts { process: Some(sleeper.id()), ..facts }).unwrap();
        drop(lock);
        while !home.dir.path().join("ready").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::remove_file(home.dir.path().join("ready")).unwrap();
        home.run(args).check(0, &["(home: make home)", expected]);
        assert!(!sleeper.id_lives());
        assert!(dir.is_stopped());
        assert_eq!(dir.status().unwrap().unwrap().state, RunState::Ended);
    }
}

impl Sleeper {
    fn id_lives(&self) -> bool {
        ProcessId::of(i32::try_from(self.0.id()).unwrap()).is_some()
    }
}

#[test]
fn stop_names_candidates() {
    let home = Home::new();
    let held: Vec<_> = ["a", "b"]
        .iter()
        .map(|name| home.store.create(Facts { name: Some((*name).to_owned()), ..facts() }, false).unwrap())
        .collect();
    home.run(&["stop"])
        .check(2, &["2 runs are in progress; name one:\n  run 2 (b: make home)\n  run 1 (a: make home)"]);
    drop(held);
}

#[test]
fn a_queued_run_is_stopped_by_its_monitor() {
    let home = Home::new();
    let sleeper = Sleeper::start("exec sleep 60");
    let after = Some(RunId(7));
    let made = home.store.create(Facts { after, ..facts() }, false).unwrap();
    made.dir.write_facts(&Facts { monitor: Some(sleeper.id()), ..made.facts }).unwrap();
    let stop = home.spawn(&["stop"]);
    let begun = Instant::now();
    while sleeper.id_lives() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(made.lock);
    let ran = Ran::of(stop.wait_with_output().unwrap());
    ran.check(0, &["run 1 (make home) was stopped: not started"]);
}

#[test]
fn prune_output() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.ended(name, 0);
    }
    home.run(&["runs", "prune", "--keep-runs", "2", "--dry-run"])
        .check(0, &["would remove run 1 (a) of", "too many"]);
    assert_eq!(home.store.ids().unwrap().len(), 3);
    home.run(&["runs", "prune", "--keep-runs", "1"])
        .check(0, &["removed run 1 (a)", "removed run 2 (b)", "removed 2 runs"]);
    assert_eq!(home.store.ids().unwrap(), [RunId(3)]);
    home.run(&["runs", "prune"]).check(0, &["nothing to remove"]);
}

#[test]
fn a_thousand_runs_are_listed_quickly() {
    let home = Home::new();
    // Copies of a directory: making each would write all to the disk.
    let first = home.ended("home", 0);
    let status = first.status().unwrap().unwrap();
    let facts = first.facts().unwrap();
    for n in 2..=1000 {
        let path: PathBuf = home.store.root().join(n.to_string());
        std::fs::create_dir(&path).unwrap();
        let write = |name: &str, json: String| std::fs::write(path.join(name), json).unwrap();
        write("facts.json", serde_json::to_string(&Facts { id: RunId(n), ..facts.clone() }).unwrap());
        let mut stored = serde_json::to_value(Status { id: RunId(n), ..status.clone() }).unwrap();
        stored["format"] = FORMAT.into();
        write("status.json", stored.to_string());
    }
    for args in [&["list"][..], &["list", "--all"], &["status"], &["status", "home"], &["status", "nobody"]] {
        let begun = Instant::now();
        let ran = home.run(args);
        let elapsed = begun.elapsed();
        eprintln!("{args:?}: {elapsed:?}");
        assert!(ran.code == Some(0) || args == ["status", "nobody"], "{}", ran.err);
        assert!(elapsed < Duration::from_secs(5), "{args:?}: {elapsed:?}");
    }
    let list = home.run(&["list"]);
    assert_eq!(list.out.lines().count(), 21, "{}", list.out);
    list.check(0, &["1000  home", "980 runs more: nixmon list --all"]);
}

/// Variable with the directory for [`makes_runs`].
const STORE: &str = "NIXMON_TEST_STORE";
const RUNS_OF_EACH: usize = 10;

/// A process of the next test, which names the store; by itself it makes runs in one of its own.
#[test]
fn makes_runs() {
    let home = Home::new();
    let store = std::env::var_os(STORE).map_or_else(|| home.store.clone(), Store::open);
    for _ in 0..RUNS_OF_EACH {
        // One of them gets the name while the others are refused.
        let named = store.create(Facts { name: Some("one".to_owned()), ..facts() }, false);
        let id = store.create(facts(), false).unwrap().dir.id();
        eprintln!("made {id}");
        if let Ok(named) = named {
            eprintln!("made {} with the name", named.dir.id());
            std::thread::sleep(Duration::from_millis(20));
            named.dir.write_status(&ended_status(&named.facts, 0)).unwrap();
        }
    }
}

#[test]
fn eight_processes_make_runs_at_once() {
    let home = Home::new();
    let root = home.store.root();
    std::fs::create_dir_all(root).unwrap();
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "runs::makes_runs", "--nocapture"]).env(STORE, root);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut made = Vec::new();
    let mut n_named = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        for line in text.lines().filter_map(|line| line.strip_prefix("made ")) {
            n_named += usize::from(line.ends_with("name"));
            made.push(line.split(' ').next().unwrap().parse::<u64>().unwrap());
        }
    }
    made.sort_unstable();
    // No number twice and none left out: a refused run takes none.
    assert_eq!(made, (1..=made.len() as u64).collect::<Vec<_>>());
    assert_eq!(made.len(), 8 * RUNS_OF_EACH + n_named);
    assert!(n_named > 0);
    assert_eq!(home.store.ids().unwrap().len(), made.len());
}
