//! Look-ups in a store that is damaged: files that break off, bits that have changed, files in the place of others, and files
//! of other versions.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::{Created, Places, Recorder, RunOutcome, Status, Store};
use nixmon_core::frontend::{Limits, LinesOptions, LogLines, Passthrough};
use nixmon_core::render::{Style, Thresholds};
use nixmon_core::text::{Palette, Symbols};
use nixmon_log::input::Source;

/// Some moment, in milliseconds since 1970, and one at which no monitor is starting any more.
const NOW: u64 = 1_790_000_000_000;
const LATER: u64 = NOW + 60_000;
const VARIANTS: u32 = 1000;
const FILES: [&str; 8] =
    ["facts.json", "status.json", "exit.json", "summary.json", "lines.txt", "input.zst", "rest.zst", "stop"];

fn options() -> LinesOptions {
    let style = Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() };
    LinesOptions {
        palette: Palette::default(),
        style,
        limits: Limits::default(),
        passthrough: Passthrough::Auto,
        logs: LogLines::default(),
    }
}

/// Makes a run with all its files; of the dead one the monitor was killed over its report.
fn run(store: &Store, is_dead: bool) -> RunDir {
    let facts = Facts {
        name: Some("home".to_owned()),
        command: vec!["make".to_owned()],
        created_at: NOW,
        ..Facts::default()
    };
    let Created { dir, facts, .. } = store.create(facts, true).unwrap();
    for (path, status) in [(dir.input(), None), (dir.rest(), Some(7))] {
        let mut recorder = Recorder::create_of_command(&path).unwrap();
        for n in 0..40 {
            recorder.bytes_from(Source::Main, format!("line {n}\n").as_bytes(), Duration::from_millis(n));
        }
        status.into_iter().for_each(|status| recorder.exit_status(status, Duration::from_secs(1)));
        recorder.sync();
    }
    dir.write_exit(&Exit { code: Some(7), signal: None, at: NOW + 1000 }).unwrap();
    dir.write_lines(b"[0s] Running\nline 0\n").unwrap();
    dir.write_summary(&serde_json::json!({"outcome": "failure"})).unwrap();
    let status = Status {
        id: facts.id,
        created_at: NOW,
        started_at: Some(NOW),
        cursor: 2,
        state: if is_dead { RunState::Running } else { RunState::Ended },
        outcome: (!is_dead).then_some(RunOutcome::Failure),
        exit_code: (!is_dead).then_some(7),
        ..Status::default()
    };
    match is_dead {
        true => dir.write_status_before_report(&status, 20).unwrap(),
        false => dir.write_status(&status).unwrap(),
    }
    dir
}

fn contents(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> =
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect();
    all.sort();
    all
}

/// The generator xorshift64, so that every variant depends on its number only.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % (n.max(1) as u64)).unwrap()
    }

    /// Damages a file, and returns how.
    fn damage(&mut self, dir: &RunDir) -> String {
        let name = FILES[self.below(FILES.len())];
        let path = dir.file(name);
        let mut bytes = std::fs::read(&path).unwrap_or_default();
        let how = match self.below(7) {
            0 => {
                bytes.truncate(self.below(bytes.len()));
                "cut"
            }
            1 => {
                for _ in 0..=self.below(8) {
                    let at = self.below(bytes.len());
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                "flipped"
            }
            2 => {
                bytes = std::fs::read(dir.file(FILES[self.below(FILES.len())])).unwrap_or_default();
                "swapped"
            }
            3 => {
                let format = self.below(5);
                bytes =
                    format!(r#"{{"format":{format},"environment":{{"nixmon":"9.9.9\u001b[2J"}}}}"#).into();
                "of another version"
            }
            4 => {
                bytes = (0..self.below(5000)).map(|_| u8::try_from(self.below(256)).unwrap()).collect();
                "noise"
            }
            5 => {
                let _ = std::fs::remove_file(&path);
                return format!("{name} missing");
            }
            _ => {
                let _ = std::fs::remove_file(&path);
                let _ = std::fs::create_dir(&path);
                return format!("{name} a directory");
            }
        };
        if !path.is_dir() {
            std::fs::write(&path, bytes).unwrap();
        }
        format!("{name} {how}")
    }
}

/// Describes a damaged run in one line, without control characters.
fn check_words(error: &QueryError, told: &str) {
    let words = error.to_string();
    let is_clear = words.len() > 10 && words.len() < 400 && !words.contains("os error 0");
    assert!(is_clear && !words.chars().any(char::is_control), "{told}: {words:?}");
}

#[test]
fn a_damaged_run_is_told_and_harms_no_other() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(temp.path().join("runs"));
    let dirs = [run(&store, false), run(&store, true), run(&store, false)];
    let [first, victim, last] = &dirs;
    let sound = contents(victim.path());
    let others = [first, last].map(|dir| contents(dir.path()));
    let places = Places::default();
    let recovery = Recovery { lines: options(), places: &places, on_replay: &|_| Box::new(|_| {}) };
    let runs = Runs::new(store.clone(), |dir, facts, exit| recovery.replay(dir, facts, exit));
    let mut n_told = 0;
    for variant in 0..VARIANTS {
        std::fs::remove_dir_all(victim.path()).unwrap();
        std::fs::create_dir(victim.path()).unwrap();
        for (name, bytes) in &sound {
            std::fs::write(victim.path().join(name), bytes).unwrap();
        }
        let damage: Vec<_> = (0..=random.below(3)).map(|_| random.damage(victim)).collect();
        let told = format!("variant {variant}: {damage:?}");
        // Looked at twice: what the first one keeps is what the second one finds.
        let looks = [runs.look(victim, LATER), runs.look(victim, LATER + 1)];
        let seen = looks.map(|look| {
            look.map(|look| look.status).map_err(|error| {
                check_words(&error, &told);
                error.to_string()
            })
        });
        if let [Ok(one), Ok(other)] = &seen {
            assert!(one.has_ended() && other.has_ended(), "{told}");
            // Only an exit status that was seen makes a success, and nothing here has ended well unless that is damaged.
            assert!(one.outcome != Some(RunOutcome::Success) || one.exit_code == Some(0), "{told}");
            assert_eq!((one.outcome, one.exit_code), (other.outcome, other.exit_code), "{told}");
        } else {
            n_told += 1;
        }
        let style = options().style;
        let logs = Logs { runs: &runs, places: &places, style, note: &|_| {} };
        for raw in [false, true] {
            let request = LogRequest { raw, ..LogRequest::default() };
            if let Err(error) = logs.write(victim, &request, Box::new(std::io::sink())) {
                check_words(&error, &told);
            }
        }
        let (ids, _) = runs.list(None).unwrap();
        let listed: Vec<_> = ids.map(|id| runs.listed(id, LATER)).collect();
        assert_eq!(listed.len(), 3, "{told}");
        for other in [&listed[0], &listed[2]] {
            assert_eq!(other.look.as_ref().unwrap().status.outcome, Some(RunOutcome::Failure), "{told}");
        }
        assert_eq!([first, last].map(|dir| contents(dir.path())), others, "{told}");
    }
    assert!(n_told > 10, "only {n_told} were told to be damaged");
    // It is in the way of nothing.
    for damage in [&b""[..], b"x", b"999999999999999999999", b"\0\0"] {
        std::fs::write(store.root().join("next"), damage).unwrap();
        store.create(Facts { created_at: LATER, ..Facts::default() }, false).unwrap();
    }
}
