//! What nixmon keeps of a stream that does not end: of a line without an end, and of a day's records.
//!
//! `cargo bench --bench memory`; on Linux, since it reads `/proc`. Fails where memory is beyond the limits that
//! `docs/performance.md` states.

#![expect(clippy::disallowed_methods, reason = "it measures a process")]
#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::unwrap_used, reason = "it fails by panicking")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use nixmon::drive::to_writer;
use nixmon::settings::Output;
use nixmon_core::state::{DerivationFacts, Request};
use nixmon_core::view::Evidence;

const MIB: u64 = 1 << 20;
/// No newline comes in so many bytes.
const FLOOD: u64 = 10_000_000_000;
const FLOOD_LIMIT: u64 = 64 * MIB;
/// After two hours a day's memory grows by no more than this where the same is built again and again,
const SAME_LIMIT: u64 = 2 * MIB;
/// and by no more than this for each derivation that was not built before.
const FRESH_LIMIT: u64 = 2048;
const DAY: u64 = 24 * 3600;
const WARM: u64 = 2 * 3600;

fn main() {
    if !cfg!(target_os = "linux") {
        println!("memory is measured on Linux only");
        return;
    }
    match std::env::args().nth(1).as_deref() {
        Some("same") => day(false),
        Some("fresh") => day(true),
        _ => {
            flood();
            // In processes of their own, so that one does not begin with what another has left.
            for case in ["same", "fresh"] {
                let status = Command::new(std::env::current_exe().unwrap()).arg(case).status().unwrap();
                assert!(status.success(), "{case}");
            }
        }
    }
}

fn flood() {
    let mut nixmon = Command::new(env!("CARGO_BIN_EXE_nixmon"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = nixmon.stdin.take().unwrap();
    let piece = vec![b'x'; 1_000_000];
    for _ in 0..FLOOD / 1_000_000 {
        stdin.write_all(&piece).unwrap();
    }
    let peak = status(nixmon.id(), "VmHWM");
    drop(stdin);
    nixmon.wait().unwrap();
    println!("10 GB without a newline: peak {}", mib(peak));
    assert!(peak < FLOOD_LIMIT, "more than {}", mib(FLOOD_LIMIT));
}

/// A day of fifty records a second, in as little time as it takes.
fn day(fresh: bool) {
    let mut pipeline = to_writer(std::io::sink(), &Output::default());
    let mut records = String::new();
    let (mut n_records, mut early) = (0, 0);
    for second in 0..DAY {
        records.clear();
        write_second(&mut records, second, fresh).unwrap();
        n_records += records.matches('\n').count();
        let at = Duration::from_secs(second);
        pipeline.feed(records.as_bytes(), at);
        let asked: Vec<_> = pipeline.requests().collect();
        for Request::ReadDerivation(path) in asked {
            let path = path.to_string();
            let build = second / 2;
            let inputs = (1..=10).map(|n| derivation(build.saturating_sub(n * 7))).collect();
            let outputs = vec![path.trim_end_matches(".drv").to_owned()];
            pipeline.derivation(&DerivationFacts { path, inputs, outputs }, at);
        }
        for tick in 0..4 {
            pipeline.tick(at + Duration::from_millis(250 * tick));
        }
        if second == WARM {
            early = status(std::process::id(), "VmRSS");
        }
    }
    let late = status(std::process::id(), "VmRSS");
    pipeline.end(None, Duration::from_secs(DAY), |_| Evidence::default());
    let growth = late.saturating_sub(early);
    if fresh {
        let each = growth / ((DAY - WARM) / 2);
        println!("a day, {n_records} records, {} derivations: {}, {each} bytes for each", DAY / 2, mib(late));
        assert!(each < FRESH_LIMIT, "more than {FRESH_LIMIT}");
    } else {
        println!("a day, {n_records} records, 200 derivations: {} after {}", mib(late), mib(early));
        assert!(growth < SAME_LIMIT, "{} more", mib(growth));
    }
}

fn derivation(n: u64) -> String {
    format!("/nix/store/{n:0>32}-package-{n}-1.0.drv")
}

/// A build takes two seconds, and so does a path. One build of a hundred fails; once an hour a configuration is applied.
fn write_second(out: &mut String, second: u64, fresh: bool) -> std::fmt::Result {
    let (build, begins) = (second / 2, second.is_multiple_of(2));
    let n = if fresh { build } else { build % 200 };
    let drv = derivation(n);
    let path = format!("/nix/store/{n:0>32}-source-{n}");
    let fails = build % 100 == 99;
    let failed = (build + 1) / 100;
    if second == 0 {
        writeln!(out, r#"@nix {{"action":"start","id":1,"level":0,"parent":0,"text":"","type":104}}"#)?;
        writeln!(out, r#"@nix {{"action":"start","id":2,"level":0,"parent":0,"text":"","type":103}}"#)?;
    }
    let [id, substitute, copy, download] = [0, 1, 2, 3].map(|of| 100 + build * 4 + of);
    if begins {
        for (id, parent, kind, fields) in [
            (id, 0, 105, format!(r#""{drv}","",1,1"#)),
            (substitute, 0, 108, format!(r#""{path}","https://cache.example""#)),
            (copy, substitute, 100, format!(r#""{path}","https://cache.example","local""#)),
            (download, copy, 101, format!(r#""https://cache.example/nar/{n}.nar.xz""#)),
        ] {
            writeln!(
                out,
                r#"@nix {{"action":"start","fields":[{fields}],"id":{id},"level":3,"parent":{parent},"text":"","type":{kind}}}"#
            )?;
        }
        let done = build - build / 100;
        writeln!(
            out,
            r#"@nix {{"action":"result","fields":[{done},9,1,{}],"id":1,"type":105}}"#,
            build / 100
        )?;
        writeln!(out, r#"@nix {{"action":"result","fields":["buildPhase"],"id":{id},"type":104}}"#)?;
    }
    for line in 0..34 {
        writeln!(
            out,
            r#"@nix {{"action":"result","fields":["line {line} of second {second} as a compiler prints it, of usual length"],"id":{id},"type":101}}"#
        )?;
    }
    for part in 1..=8 {
        writeln!(
            out,
            r#"@nix {{"action":"result","fields":[{},16000000,0,0],"id":{download},"type":105}}"#,
            part * 1_000_000
        )?;
    }
    writeln!(out, r#"@nix {{"action":"msg","level":1,"msg":"warning: this is second {second}"}}"#)?;
    if !begins {
        for id in [download, copy, substitute] {
            writeln!(out, r#"@nix {{"action":"stop","id":{id}}}"#)?;
        }
        writeln!(out, r#"@nix {{"action":"result","fields":[{},9,0,0],"id":2,"type":105}}"#, build + 1)?;
        let done = build + 1 - failed;
        writeln!(out, r#"@nix {{"action":"result","fields":[{done},9,0,{failed}],"id":1,"type":105}}"#)?;
        writeln!(out, r#"@nix {{"action":"stop","id":{id}}}"#)?;
        if fails {
            let error = format!("builder for '{drv}' failed with exit code 2");
            writeln!(out, r#"@nix {{"action":"msg","level":0,"msg":"error: {error}","raw_msg":"{error}"}}"#)?;
        }
    }
    if second % 3600 == 3599 {
        writeln!(out, "Starting Home Manager activation")?;
        for step in ["writeBoundary", "linkGeneration", "installPackages", "reloadSystemd"] {
            writeln!(out, "Activating {step}")?;
        }
    }
    Ok(())
}

/// A line of a process's status, in bytes.
fn status(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}
