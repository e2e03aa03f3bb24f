//! The captures of `tests/fixtures/corpus.tar.zst`, and the few plain ones of `tests/fixtures/cases`.

#![expect(clippy::disallowed_methods, reason = "a test reads its fixtures")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// One run of Nix or of a tool around it.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// `nix-2.34.8/05-fail`, `activation/colmena-success`.
    pub(crate) name: String,
    /// Its output.
    pub(crate) log: Vec<u8>,
    /// The log is human-readable, rather than internal-json.
    pub(crate) human: bool,
    /// The truth about the run.
    pub(crate) truth: Value,
}

impl Case {
    /// The name of the scenario without `-v`, which only makes it say more. Empty for an activation's transcript.
    pub(crate) fn scenario(&self) -> &str {
        self.truth["scenario"].as_str().unwrap_or_default()
    }

    /// The exit status as a shell gives it: 128 and the signal.
    pub(crate) fn exit_status(&self) -> i32 {
        let code = self.truth["exit_code"].as_i64().unwrap();
        i32::try_from(if code < 0 { 128 - code } else { code }).unwrap()
    }
}

/// All of the archive's cases, by name.
pub(crate) fn archive() -> Vec<Case> {
    archive_of(|_| true)
}

/// Those of the archive's cases of which `wanted` likes the name.
pub(crate) fn archive_of(wanted: impl Fn(&str) -> bool) -> Vec<Case> {
    let file = File::open(fixtures().join("corpus.tar.zst")).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if !entry.header().entry_type().is_file() || path.file_name().unwrap() == "README" {
            continue;
        }
        let name = path.parent().unwrap().to_str().unwrap().to_owned();
        if !wanted(&name) {
            continue;
        }
        let case = cases.entry(name.clone()).or_insert_with(|| Case { name, ..Case::default() });
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        match path.file_name().unwrap().to_str().unwrap() {
            "truth.json" => case.truth = serde_json::from_slice(&bytes).unwrap(),
            file @ ("log.jsonl" | "log.txt") => {
                case.log = bytes;
                case.human = file == "log.txt";
            }
            other => panic!("{other} in the archive"),
        }
    }
    cases.into_values().collect()
}

/// The directory of the fixtures.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The plain cases, by name.
pub(crate) fn plain() -> Vec<Case> {
    let mut dirs: Vec<PathBuf> =
        fs::read_dir(fixtures().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    let read = |dir: PathBuf| {
        let human = dir.join("log.txt").exists();
        Case {
            name: dir.file_name().unwrap().to_str().unwrap().to_owned(),
            log: fs::read(dir.join(if human { "log.txt" } else { "log.jsonl" })).unwrap(),
            human,
            truth: serde_json::from_slice(&fs::read(dir.join("truth.json")).unwrap()).unwrap(),
        }
    };
    dirs.into_iter().map(read).collect()
}

/// Does the same with each case, on as many threads as there are processors. Results are in the order of the cases.
pub(crate) fn each<T: Send>(cases: &[Case], work: impl Fn(&Case) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match cases.get(at) {
                Some(case) => done.push((at, work(case))),
                None => return done,
            }
        }
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
