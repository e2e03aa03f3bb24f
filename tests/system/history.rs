//! The history of builds: filled by runs and streams, of several processes and killed ones, and never in their way.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::common::ran::Ran;
use nixmon_history::record::BuildRecord;
use nixmon_history::store::{RunFilter, Store, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The variables of this home.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("PATH", std::env::var_os("PATH").unwrap_or_default()),
            ("HOME", self.path().into()),
            ("XDG_STATE_HOME", self.path().join("state").into()),
            ("LANG", "C.UTF-8".into()),
        ]
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("state/nixmon/history.db")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.with(Command::new(env!("CARGO_BIN_EXE_nixmon")));
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Gives a command the environment of this home.
    pub(crate) fn with(&self, mut command: Command) -> Command {
        command.env_clear().envs(self.environment()).current_dir(self.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Filters a stream.
    pub(crate) fn filter(&self, args: &[&str], stream: &str) -> Ran {
        let mut child = self.spawn(args);
        child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// All builds of the history; none while its tables are not there.
    pub(crate) fn builds(&self) -> Vec<BuildRecord> {
        match Store::open_read_only(&self.database()) {
            Err(StoreError::Missing) => Vec::new(),
            store => store.unwrap().newest_builds(None, 1000).unwrap(),
        }
    }
}

/// Builds of a stream, begun and ended, by number.
pub(crate) fn builds(numbers: std::ops::Range<usize>) -> String {
    let mut stream = String::from(
        "@nix {\"action\":\"start\",\"id\":1,\"level\":0,\"parent\":0,\"text\":\"\",\"type\":104}\n",
    );
    let (mut done, total) = (0, numbers.len());
    for n in numbers {
        let drv = format!("/nix/store/{n:032}-package{n}-1.0.drv");
        let id = n + 100;
        let start = json!({"action": "start", "id": id, "level": 3, "parent": 1, "text": "", "type": 105, "fields": [drv, "", 1, 1]});
        let count = |done: usize, running: usize| json!({"action": "result", "id": 1, "type": 105, "fields": [done, total, running, 0]});
        let (begun, ended) = (count(done, 1), count(done + 1, 0));
        done += 1;
        let stop = json!({"action": "stop", "id": id});
        stream.push_str(&format!("@nix {start}\n@nix {begun}\n@nix {ended}\n@nix {stop}\n"));
    }
    stream.push_str("@nix {\"action\":\"stop\",\"id\":1}\n");
    stream
}

#[test]
fn a_stream_teaches_and_only_if_it_may() {
    let home = Home::new();
    home.filter(&["--no-history"], &builds(0..3)).check(0, &["3 built"]);
    assert!(!home.database().exists());
    home.filter(&[], &builds(0..3)).check(0, &["3 built"]);
    assert_eq!(home.builds().len(), 3);
    assert_eq!(home.builds()[0].name, "package0-1.0");
    // A replay is no run.
    fs::write(home.dir.path().join("log"), builds(3..5)).unwrap();
    home.run(&["replay", "log"]).check(0, &["2 built"]);
    assert_eq!(home.builds().len(), 3);
    fs::create_dir_all(home.dir.path().join(".config/nixmon")).unwrap();
    fs::write(home.dir.path().join(".config/nixmon/config.toml"), "[history]\nenabled = false\n").unwrap();
    home.filter(&[], &builds(5..6)).check(0, &["1 built"]);
    assert_eq!(home.builds().len(), 3);
}

#[test]
fn runs_are_kept_and_looked_into() {
    let home = Home::new();
    fs::write(home.dir.path().join("log"), builds(0..2)).unwrap();
    home.run(&["run", "--name", "home", "--", "sh", "-c", "cat log >&2"]).check(0, &["2 built"]);
    let store = Store::open_read_only(&home.database()).unwrap();
    let runs = store.runs(&RunFilter { target: Some("home"), ..RunFilter::default() }).unwrap();
    assert_eq!((runs.len(), runs[0].record.built), (1, Some(2)));
    home.run(&["history", "slowest"]).check(0, &["package0"]);
    home.run(&["history", "critical-path", "home"]).check(0, &["run 1 (home)", "package1-1.0"]);
    home.run(&["history", "trends", "home"]).check(0, &["1 of 1 attempt succeeded"]);
    home.run(&["history", "diff", "home", "1"]).check(0, &["run 1 (home)", "the same derivation"]);
    home.run(&["history", "accuracy"]).check(0, &["no run that succeeded has a prediction yet"]);
    home.run(&["history", "trends", "nothing"]).check(66, &["neither a target nor a package nothing"]);
    // An export is read again, and twice is once; recorded runs are known already.
    let export = home.run(&["history", "export"]);
    fs::write(home.dir.path().join("export.jsonl"), &export.out).unwrap();
    home.run(&["history", "import", "export.jsonl"]).check(0, &["nothing new"]);
    home.run(&["history", "import"]).check(0, &["1 recorded run: nothing new"]);
    let other = Home::new();
    fs::write(other.dir.path().join("export.jsonl"), &export.out).unwrap();
    other.run(&["history", "slowest"]).check(66, &["there is no history yet"]);
    other.run(&["history", "import", "export.jsonl"]).check(0, &["1 new run, 2 rows"]);
    assert_eq!(other.run(&["history", "export"]).out, export.out);
    other.run(&["history", "prune", "--keep-days", "0"]).check(0, &["removed 1 run"]);
}

#[test]
fn a_replay_foresees_from_the_past_of_its_machine() {
    let home = Home::new();
    let drv = |n: usize| format!("/nix/store/{n:032}-package{n}-1.0.drv");
    let mut past = vec![json!({"type": "nixmon-history", "schema": 1})];
    for run in 0..4 {
        past.push(json!({"type": "run", "id": format!("r{run}"), "host": "desk", "system": "x86_64-linux", "max_jobs": 1,
            "started": format!("2026-01-0{}T00:00:00Z", run + 1), "elapsed_ms": 120_000, "outcome": "success"}));
        for n in 0..2_u64 {
            past.push(json!({"type": "build", "run": format!("r{run}"), "drv": drv(usize::try_from(n).unwrap()),
                "name": format!("package{n}-1.0"), "started_ms": n * 60_000, "elapsed_ms": 60_000, "outcome": "built"}));
        }
    }
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    fs::write(home.dir.path().join("past.jsonl"), lines(&past)).unwrap();
    home.run(&["history", "import", "past.jsonl"]).check(0, &["4 new runs, 8 rows"]);
    let msg = |text: &str| json!({"action": "msg", "level": 3, "msg": text});
    let start = json!({"action": "start", "id": 9, "level": 3, "parent": 0, "text": "", "type": 105, "fields": [drv(0), "", 1, 1]});
    let recording = format!(
        "nixmon-recording 1\n0!{}\n0!{}\n0 @nix {}\n0 @nix {}\n0 @nix {}\n0!{}\n0 @nix {start}\n30000~\n",
        json!({"facts": {"host": "desk", "system": "x86_64-linux", "max_jobs": 1, "cores": 4}}),
        json!({"weather": "fine"}),
        msg("these 2 derivations will be built:"),
        msg(&format!("  {}", drv(0))),
        msg(&format!("  {}", drv(1))),
        json!({"path": drv(1), "inputs": [drv(0)], "outputs": []}),
    );
    fs::write(home.dir.path().join("run.nixrec"), recording).unwrap();
    let ran = home.run(&["replay", "run.nixrec", "--output", "json", "--snapshots", "10"]);
    assert!(ran.err.contains("1 note is of a kind that this nixmon does not know"), "{}", ran.err);
    let rows = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut shots: Vec<Value> = rows.filter(|row| row["type"] == "snapshot").collect();
    // The first one comes as soon as there is something to tell.
    assert_eq!(shots.len(), 5);
    assert!(shots[0]["at_ms"].as_i64().unwrap() < 1_000, "{}", shots[0]);
    // The last one is of the end, of which nothing is foreseen.
    assert_eq!(shots.pop().unwrap()["eta"], Value::Null);
    for shot in &shots {
        let left = 120_000 - shot["at_ms"].as_i64().unwrap();
        let said = shot["eta"]["remaining_ms"].as_i64().unwrap();
        assert!((said - left).abs() < 25_000, "{left} {shot}");
        assert_eq!((&shot["eta"]["known"], &shot["eta"]["unknown"]), (&json!(2), &json!(0)));
        assert_eq!(shot["waits_for"], json!(["package0-1.0", "package1-1.0"]));
    }
    // Without the history nothing is said.
    let ran = home.run(&["replay", "run.nixrec", "--output", "json", "--snapshots", "10", "--no-history"]);
    assert!(ran.out.contains("\"eta\":null") && !ran.out.contains("remaining_ms"), "{}", ran.out);
}

#[test]
fn processes_write_at_once_and_a_killed_one_has_taught() {
    let home = Home::new();
    let mut children: Vec<Child> = (0..4).map(|_| home.spawn(&[])).collect();
    for (i, child) in children.iter_mut().enumerate() {
        let stdin = child.stdin.as_mut().unwrap();
        stdin.write_all(builds(i * 100..i * 100 + 100).as_bytes()).unwrap();
        stdin.flush().unwrap();
    }
    // What has ended is written within a second; a killed process has taught it.
    // The file is there a moment before its tables are.
    let written = || {
        let store = Store::open_read_only(&home.database());
        store.and_then(|store| store.newest_builds(None, 1000)).is_ok_and(|builds| builds.len() == 400)
    };
    for _ in 0..300 {
        if written() {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    assert_eq!(home.builds().len(), 400);
    for child in children.iter_mut().take(2) {
        child.kill().unwrap();
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        if output.status.code().is_some() {
            Ran::of(output).check(0, &["100 built"]);
        }
    }
    assert_eq!(home.builds().len(), 400);
}

/// A run goes on whatever the history is like, and says what it could not keep.
#[track_caller]
fn check_broken(prepare: impl Fn(&Home), expected: &str) -> Home {
    let home = Home::new();
    fs::create_dir_all(home.database().parent().unwrap()).unwrap();
    prepare(&home);
    home.filter(&[], &builds(0..3)).check(0, &["3 built", expected]);
    home
}

#[test]
fn a_broken_history_disturbs_no_run() {
    let home = check_broken(
        |home| fs::write(home.database(), "this is no database, but a long text.".repeat(100)).unwrap(),
        "the history was damaged and has been moved to",
    );
    assert_eq!(home.builds().len(), 3);
    let newer = |home: &Home| {
        drop(Store::open(&home.database(), 0).unwrap());
        let database = rusqlite::Connection::open(home.database()).unwrap();
        database.pragma_update(None, "user_version", 999).unwrap();
    };
    let home = check_broken(newer, "the history has format 999");
    home.run(&["history", "slowest"]).check(65, &["the history has format 999"]);
    // A directory where the file should be can be neither read nor written, also by root.
    check_broken(|home| fs::create_dir(home.database()).unwrap(), "the history");
    if !rustix::process::geteuid().is_root() {
        let read_only = |home: &Home| {
            let place = home.database();
            let place = place.parent().unwrap();
            fs::set_permissions(place, fs::Permissions::from_mode(0o500)).unwrap();
        };
        check_broken(read_only, "read-only");
    }
}
