//! A graph of 100,000 derivations read beside the stream: when it is whole, and what the stream waits for it.
//!
//! `cargo bench --bench graph`; on Linux, since it reads `/proc`. Writes the files, 250 MB, to a directory for temporary
//! ones.

#![expect(clippy::disallowed_methods, reason = "it measures a process")]
#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::unwrap_used, reason = "it fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use nixmon_core::pipeline::Step;
use nixmon_log::nix::derivation::{Derivation, Output};
use nixmon_runs::Recording;

const N: usize = 100_000;
/// Each derivation needs so many others.
const INPUTS: usize = 12;
/// The graph is to be whole after this.
const LIMIT: Duration = Duration::from_secs(2);
/// The stream is open for so long.
const OPEN: Duration = Duration::from_secs(8);
/// Log lines that follow the announcement.
const LINES: usize = 2_000_000;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let with = dir.path().join("with/store");
    std::fs::create_dir_all(&with).unwrap();
    for n in 0..N {
        std::fs::write(path(&with, n), derivation(&with, n)).unwrap();
    }
    // The same names without files.
    let without = dir.path().join("none/store");
    let recording = dir.path().join("recorded");
    watch(&with, Some(&recording));
    let steps = Recording::parse(std::fs::read(&recording).unwrap()).unwrap().steps;
    let n_read = steps.iter().filter(|(_, step)| matches!(step, Step::Derivation(_))).count();
    assert_eq!(n_read, N);
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let [none, all] = [&without, &with].map(|store| watch(store, None));
        println!(
            "{N} derivations read after {:.2} s; the stream took {:.2} s and without files {:.2} s, its longest wait \
             {:.0} ms and {:.0} ms; the reader used {:.2} s of CPU, all threads {:.2} s and without files {:.2} s",
            all.read_after.as_secs_f64(),
            all.written_after.as_secs_f64(),
            none.written_after.as_secs_f64(),
            all.longest_wait.as_secs_f64() * 1000.0,
            none.longest_wait.as_secs_f64() * 1000.0,
            all.reader.as_secs_f64(),
            all.all.as_secs_f64(),
            none.all.as_secs_f64(),
        );
        fastest = fastest.min(all.read_after);
    }
    assert!(fastest <= LIMIT, "{fastest:?}");
}

#[derive(Debug, Default)]
struct Seen {
    /// From the first input until the thread that reads files had nothing to do any more.
    read_after: Duration,
    /// The pipe has taken everything.
    written_after: Duration,
    /// What one write of 64 KiB has waited for.
    longest_wait: Duration,
    /// CPU time of the thread that reads files.
    reader: Duration,
    /// CPU time of all threads.
    all: Duration,
}

/// Announces all derivations, then prints the log of one.
fn watch(store: &Path, record: Option<&Path>) -> Seen {
    let mut nixmon = Command::new(env!("CARGO_BIN_EXE_nixmon"));
    if let Some(path) = record {
        nixmon.arg("--record").arg(path);
    }
    let mut nixmon = nixmon.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = nixmon.stdin.take().unwrap();
    // It is ready.
    sleep(Duration::from_millis(100));
    let stream = stream(store);
    let begun = Instant::now();
    let pid = nixmon.id();
    let looking = spawn(move || {
        let mut seen = Seen::default();
        while begun.elapsed() < OPEN {
            let (reader, all) = cpu(pid);
            if reader > seen.reader {
                seen.read_after = begun.elapsed();
            }
            (seen.reader, seen.all) = (reader, all);
            sleep(Duration::from_millis(10));
        }
        seen
    });
    let mut longest_wait = Duration::ZERO;
    for piece in stream.as_bytes().chunks(64 << 10) {
        let from = Instant::now();
        stdin.write_all(piece).unwrap();
        longest_wait = longest_wait.max(from.elapsed());
    }
    let written_after = begun.elapsed();
    let seen = looking.join().unwrap();
    drop(stdin);
    nixmon.wait().unwrap();
    Seen { written_after, longest_wait, ..seen }
}

/// CPU time of the thread that reads files, and of all threads.
fn cpu(pid: u32) -> (Duration, Duration) {
    let (mut reader, mut all) = (Duration::ZERO, Duration::ZERO);
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let task = task.unwrap().path();
        let text = |file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
        let nanos = text("schedstat").split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
        let time = Duration::from_nanos(nanos);
        all += time;
        if text("comm").trim() == "drv-reader" {
            reader = time;
        }
    }
    (reader, all)
}

fn stream(store: &Path) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, r#"@nix {{"action":"msg","level":3,"msg":"these {N} derivations will be built:"}}"#);
    for n in 0..N {
        let _ = writeln!(out, r#"@nix {{"action":"msg","level":3,"msg":"  {}"}}"#, path(store, n));
    }
    let first = path(store, 0);
    let _ = writeln!(
        out,
        r#"@nix {{"action":"start","fields":["{first}","",1,1],"id":1,"level":3,"parent":0,"text":"","type":105}}"#
    );
    for n in 0..LINES {
        let _ = writeln!(
            out,
            r#"@nix {{"action":"result","fields":["line {n} as a compiler prints it"],"id":1,"type":101}}"#
        );
    }
    out
}

fn path(store: &Path, n: usize) -> String {
    format!("{}/{n:0>32}-package-{n}-1.0.drv", store.display())
}

/// As large as one of nixpkgs.
fn derivation(store: &Path, n: usize) -> Vec<u8> {
    // Most of what is needed is close by, some of it is needed by all.
    let inputs = (0..INPUTS).map(|i| if i < 4 { i * n / N } else { n.saturating_sub(i * i * i) });
    let inputs = inputs.filter(|input| *input < n).map(|input| path(store, input));
    let output = path(store, n).trim_end_matches(".drv").to_owned();
    let text = "stdenv configureFlags --disable-static --prefix=/nix/store ".repeat(2).into_bytes();
    let derivation = Derivation {
        outputs: BTreeMap::from([("out".to_owned(), Output { path: Some(output), ..Output::default() })]),
        input_derivations: inputs.map(|input| (input, BTreeSet::from(["out".to_owned()]))).collect(),
        input_sources: BTreeSet::from([format!("{}/default-builder.sh", store.display())]),
        system: "x86_64-linux".to_owned(),
        builder: "/bin/sh".to_owned(),
        arguments: vec![b"-e".to_vec()],
        environment: (0..12).map(|i| (format!("attribute{i}"), text.clone())).collect(),
    };
    derivation.to_aterm_bytes()
}
