//! Arguments that are wrong, and files that are.

use std::process::Stdio;

use super::harness::{Ended, nixmon, write};

#[test]
fn wrong_usage_ends_with_2_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    write(&dir.path().join("newer.nixrec"), "nixmon-recording 999\n0 x\n");
    let (missing, newer) = (path("missing"), path("newer.nixrec"));
    let (directory, unwritable) = (path(""), path("missing/x.nixrec"));
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--no-such-option"], 2, "--no-such-option"),
        (&["no-such-command"], 2, "no-such-command"),
        (&["--every", "4"], 2, "--every"),
        (&["--max-lines", "0"], 2, "--max-lines"),
        (&["--output", "xml"], 2, "possible values"),
        (&["--color", "perhaps"], 2, "possible values"),
        (&["--snapshots", "0"], 2, "--snapshots"),
        (&["--record", &unwritable], 66, "missing/x.nixrec"),
        (&["replay"], 2, "FILE"),
        (&["replay", &missing], 66, "missing: No such file"),
        (&["replay", &directory], 74, "cannot read"),
        (&["replay", &newer], 65, "version 999"),
        (&["replay", &newer, "--speed", "0"], 2, "--speed"),
        (&["replay", &newer, "--exit-status", "256"], 2, "--exit-status"),
        (&["completions", "tcsh"], 2, "possible values"),
    ];
    for (args, status, why) in cases {
        let ended = Ended::of(nixmon(args).stdin(Stdio::null()).spawn().unwrap());
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(*status), ""), "{args:?}");
        assert!(ended.stderr.contains(why), "{args:?}: no {why:?}\n{}", ended.stderr);
    }
}

#[test]
fn what_is_asked_of_the_program_itself() {
    let cases: &[(&[&str], &str)] = &[
        (&["--version"], concat!("nixmon ", env!("CARGO_PKG_VERSION"), "\n")),
        (&["--help"], "130 interrupted"),
        (&["replay", "--help"], "--exit-status"),
        (&["completions", "bash"], "complete -F _nixmon"),
        (&["completions", "fish"], "complete -c nixmon"),
        (&["man"], ".TH nixmon 1"),
        (&["status", "--help"], "--color"),
    ];
    for (args, part) in cases {
        let ended = Ended::of(nixmon(args).stdin(Stdio::null()).spawn().unwrap());
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(ended.stdout.contains(part), "{args:?}: no {part:?}\n{}", ended.stdout);
    }
}

#[test]
fn options_are_named_where_they_are_of_use() {
    for (args, is_named) in [
        (&["--help"][..], true),
        (&["run", "-h"], true),
        (&["config", "show", "--help"], true),
        (&["help", "status"], false),
        (&["status", "--help"], false),
        (&["runs", "prune", "-h"], false),
    ] {
        let ended = Ended::of(nixmon(args).stdin(Stdio::null()).spawn().unwrap());
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert_eq!(ended.stdout.contains("--max-lines"), is_named, "{args:?}\n{}", ended.stdout);
    }
}

#[test]
fn each_manual_page_that_is_named_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Ended::of(nixmon(&["man", "--directory", dir.path().to_str().unwrap()]).spawn().unwrap());
    assert_eq!((ended.status, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    let page = std::fs::read_to_string(dir.path().join("nixmon.1")).unwrap();
    let named: Vec<&str> = page.lines().filter_map(|line| line.strip_suffix("(1)")).collect();
    assert!(named.len() > 10, "{page}");
    for name in named {
        let name = name.replace('\\', "");
        assert!(dir.path().join(format!("{name}.1")).exists(), "{name}");
    }
}

#[test]
fn the_exit_status_of_a_replay_is_that_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let cases: &[(&str, &[&str], i32)] = &[
        ("hello\n", &[], 0),
        ("hello\n", &["--exit-status", "0"], 0),
        ("hello\n", &["--exit-status", "7"], 1),
        ("hello\n", &["--exit-status", "130"], 130),
        ("error: undefined variable 'x'\n", &[], 1),
        ("nixmon-recording 1\n5 hello\n9!{\"exit_status\":1}\n", &[], 1),
        ("error: interrupted by the user\n", &[], 130),
    ];
    for (log, args, status) in cases {
        let file = dir.path().join("log");
        write(&file, log);
        let args = [&["replay", file.to_str().unwrap()], *args].concat();
        let ended = Ended::of(nixmon(&args).spawn().unwrap());
        assert_eq!(
            (ended.status, ended.stderr.as_str()),
            (Some(*status), ""),
            "{log:?} {args:?}\n{}",
            ended.stdout
        );
    }
}

#[test]
fn the_recorded_demo_can_be_watched_without_nix() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/demo.nixrec");
    let ended = Ended::of(nixmon(&["replay", recording]).spawn().unwrap());
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(1), ""));
    for part in
        ["14 built, 1 failed, at least 2 not started", "parser-0.4 failed in buildPhase, exit 2 · blocks 2\n"]
    {
        assert!(ended.stdout.contains(part), "no {part:?}\n{}", ended.stdout);
    }
}
