//! Kinds of streams whose reading is easily wrong, each with inputs of its own and controls.

use crate::common::play::{play, summary, untimed};
use nixmon::settings::Output;

/// A stream: its exit status if it is known, its outcome, and what the report has and lacks.
struct Case<'a> {
    log: &'a str,
    status: Option<i32>,
    outcome: &'a str,
    has: &'a [&'a str],
    lacks: &'a [&'a str],
}

fn check(cases: &[Case<'_>]) {
    let mut faults = Vec::new();
    for Case { log, status, outcome, has, lacks } in cases {
        let (said, _) = summary(log.as_bytes(), *status);
        let (report, _) = play(&untimed(log.as_bytes()), &Output::default(), *status);
        if said["outcome"] != *outcome {
            faults.push(format!("{}, not {outcome}:\n{log}\n{report}", said["outcome"]));
        }
        for text in has.iter().filter(|text| !report.contains(**text)) {
            faults.push(format!("no `{text}`:\n{log}\n{report}"));
        }
        for text in lacks.iter().filter(|text| report.contains(**text)) {
            faults.push(format!("`{text}` is too much:\n{log}\n{report}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const LIB: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib";
const APP: &str = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app";

fn message(level: u8, text: &str) -> String {
    format!("@nix {}\n", serde_json::json!({"action": "msg", "level": level, "msg": text}))
}

fn start(id: u64, kind: u64, text: &str, fields: &[serde_json::Value]) -> String {
    let record = serde_json::json!({
        "action": "start", "id": id, "level": 3, "parent": 0, "text": text, "type": kind, "fields": fields,
    });
    format!("@nix {record}\n")
}

fn stop(id: u64) -> String {
    format!("@nix {{\"action\":\"stop\",\"id\":{id}}}\n")
}

fn counter(id: u64, fields: [u64; 4]) -> String {
    format!("@nix {}\n", serde_json::json!({"action": "result", "id": id, "type": 105, "fields": fields}))
}

#[test]
fn logs_that_nix_names() {
    let hint = format!("log: nix log {LIB}.drv");
    // No line says that the build began: Nix shows a bar in a terminal.
    let old = format!(
        "error: builder for '{LIB}.drv' failed with exit code 2;
       last 1 log lines:
       > cc: x.c: No such file or directory
       For full logs, run 'nix log {LIB}.drv'.
"
    );
    let newer = old.replace("run 'nix log", "run:\n         nix log").replace("drv'.\n", "drv\n");
    let newest = format!(
        "error: Cannot build '{LIB}.drv'.
       Reason: builder failed with exit code 2.
       Output paths:
         {LIB}
       Last 1 log lines:
       > cc: x.c: No such file or directory
       For full logs, run:
         nix log {LIB}.drv
error: Cannot build '{APP}.drv'.
       Reason: 1 dependency failed.
       Output paths:
         {APP}
"
    );
    for log in [&old, &newer, &newest] {
        check(&[Case { log, status: None, outcome: "failure", has: &[&hint, "No such file"], lacks: &[] }]);
        let (said, _) = summary(log.as_bytes(), Some(1));
        assert_eq!(
            said["failures"][0]["log_hints"],
            serde_json::json!([format!("nix log {LIB}.drv")]),
            "{log}"
        );
    }
    // What was not built has no log.
    check(&[
        Case {
            log: "error: attribute 'lib' missing\n",
            status: None,
            outcome: "failure",
            has: &["attribute 'lib' missing"],
            lacks: &["nix log"],
        },
        Case {
            log: &format!("error: path '{LIB}' is required, but there is no substituter that can build it\n"),
            status: None,
            outcome: "failure",
            has: &[],
            lacks: &["nix log"],
        },
    ]);
}

#[test]
fn nix_shell_takes_another_bash() {
    let missing =
        "error: file 'nixpkgs' was not found in the Nix search path (add it using $NIX_PATH or -I)\n";
    let traced = "error:
       … while calling the 'import' builtin
         at «string»:1:2:
            1| (import <nixpkgs> {}).bashInteractive
             |  ^

       error: file 'nixpkgs' was not found in the Nix search path (add it using $NIX_PATH or -I)
";
    let builds = format!("building '{LIB}.drv'...\n{LIB}\n");
    let fails = format!("building '{LIB}.drv'...\nerror: builder for '{LIB}.drv' failed with exit code 1\n");
    let record = message(0, missing.trim_end());
    let (old, new) = ("will use bash from your environment\n", "uses bash from your environment\n");
    for error in [missing, traced, &record] {
        for notice in [old.to_owned(), new.to_owned(), message(2, new.trim_end())] {
            check(&[
                Case {
                    log: &format!("{error}{notice}{builds}"),
                    status: None,
                    outcome: "success",
                    has: &["✓"],
                    lacks: &["✗"],
                },
                Case {
                    log: &format!("{error}{notice}{fails}"),
                    status: None,
                    outcome: "failure",
                    has: &["✗ Build failed", "lib failed"],
                    lacks: &["Evaluation failed"],
                },
            ]);
        }
        check(&[Case {
            log: error,
            status: None,
            outcome: "failure",
            has: &["✗ Evaluation failed"],
            lacks: &[],
        }]);
    }
}

#[test]
fn dry_runs() {
    let fetched = format!("  {LIB}\n  {APP}\n");
    let paths = format!("these 2 paths will be fetched (9.5 MiB download, 19.1 MiB unpacked):\n{fetched}");
    let builds = format!("these 2 derivations will be built:\n  {LIB}.drv\n  {APP}.drv\n");
    let records: String = paths.lines().map(|line| message(0, line)).collect();
    let copying = format!("copying path '{LIB}' from 'https://cache.example.org'...\n");
    check(&[
        Case {
            log: &paths,
            status: None,
            outcome: "success",
            has: &["✓ Dry run: 2 to fetch (9.5 MiB)"],
            lacks: &[],
        },
        Case {
            log: &records,
            status: Some(0),
            outcome: "success",
            has: &["2 to fetch (9.5 MiB)"],
            lacks: &["Complete"],
        },
        Case {
            log: &format!("{builds}{paths}"),
            status: Some(0),
            outcome: "success",
            has: &["2 to build, 2 to fetch (9.5 MiB)"],
            lacks: &["Complete"],
        },
        Case {
            log: &format!("these paths will be fetched (0.01 MiB download, 0.05 MiB unpacked):\n  {LIB}\n"),
            status: None,
            outcome: "success",
            has: &["1 to fetch"],
            lacks: &["Complete"],
        },
        // What begins is no dry run.
        Case {
            log: &format!("{paths}{copying}"),
            status: None,
            outcome: "incomplete",
            has: &[],
            lacks: &["Dry run"],
        },
        Case {
            log: &format!("{paths}{copying}{}", copying.replace(LIB, APP)),
            status: Some(0),
            outcome: "success",
            has: &["✓ Complete: 2 fetched"],
            lacks: &["Dry run"],
        },
    ]);
}

#[test]
fn builds_that_turn_out_not_to_be_needed() {
    let list = |paths: &[&str]| -> String {
        let text = match paths {
            [_] => "this derivation will be built:".to_owned(),
            _ => format!("these {} derivations will be built:", paths.len()),
        };
        message(3, &text) + &paths.iter().map(|path| message(3, &format!("  {path}.drv"))).collect::<String>()
    };
    let opens = start(1, 102, "", &[]) + &start(2, 104, "", &[]) + &start(3, 103, "", &[]);
    let closes = stop(3) + &stop(2) + &stop(1);
    let built = start(9, 105, "building", &[format!("{LIB}.drv").into(), "".into(), 1.into(), 1.into()])
        + &stop(9)
        + &counter(2, [1, 1, 0, 0]);
    for (what, log) in [
        ("nothing is left to build", list(&[LIB]) + &opens + &counter(2, [0, 0, 0, 0]) + &closes),
        ("of two only one", list(&[LIB, APP]) + &opens + &built + &closes),
        (
            "another process builds it",
            list(&[LIB]) + &opens + &start(7, 111, "waiting for lock on", &[]) + &stop(7) + &closes,
        ),
    ] {
        let report = play(&untimed(log.as_bytes()), &Output::default(), Some(0)).0;
        check(&[Case {
            log: &log,
            status: Some(0),
            outcome: "success",
            has: &["✓ Complete"],
            lacks: &["to build in", "not started"],
        }]);
        assert!(!report.contains("Dry run"), "{what}: {report}");
    }
    // Controls: a dry run opens nothing; a build that fails leaves the others.
    check(&[Case {
        log: &list(&[LIB]),
        status: Some(0),
        outcome: "success",
        has: &["1 to build"],
        lacks: &["Complete"],
    }]);
    let error = message(0, &format!("error: builder for '{LIB}.drv' failed with exit code 1"));
    let fails = start(9, 105, "building", &[format!("{LIB}.drv").into(), "".into(), 1.into(), 1.into()])
        + &stop(9)
        + &error
        + &counter(2, [0, 1, 0, 1]);
    let log = list(&[LIB, APP]) + &opens + &fails + &closes;
    check(&[Case {
        log: &log,
        status: Some(1),
        outcome: "failure",
        has: &["1 failed, 1 not started"],
        lacks: &[],
    }]);
}

#[test]
fn lines_that_end_in_a_colon() {
    let noise: String = (1..40).map(|n| format!("       > [{n}/40] CC src/file{n}.o\n")).collect();
    for (lines, wanted) in [
        (&["Error: these files are missing:", "  src/locale/en.po"][..], "src/locale/en.po"),
        (&["ERROR: Could not find a version that satisfies these requirements:", "numpy>=99"], "numpy>=99"),
        (&["configure: error: Missing dependencies:", "  libfoo >= 1.2"], "libfoo >= 1.2"),
        (&["error: unknown targets:", "install-docs"], "install-docs"),
    ] {
        let lines: String = lines.iter().map(|line| format!("       > {line}\n")).collect();
        for after in ["", "       > make: *** [Makefile:3: all] Error 1\n"] {
            let log = format!(
                "building '{LIB}.drv'...\nerror: builder for '{LIB}.drv' failed with exit code 1;\n       last 42 log lines:\n\
                 {noise}{lines}{after}       For full logs, run 'nix log {LIB}.drv'.\n"
            );
            check(&[Case {
                log: &log,
                status: None,
                outcome: "failure",
                has: &[wanted],
                lacks: &["CC src/file3.o"],
            }]);
        }
    }
}

#[test]
fn outputs_of_a_flake_that_fail_their_check() {
    let text = |output: &str, kind: &str, attribute: &str| {
        format!(
            "warning: unknown flake output 'foo'
error:
       … while checking flake output '{output}'
         at /w/flake/flake.nix:16:5:
           15|   in {{
           16|     {output}.${{sys}} = {{ a = throw \"not here\"; }};
             |     ^

       … while checking {kind} '{attribute}'
         at /w/flake/flake.nix:16:29:
           15|   in {{
           16|     {output}.${{sys}} = {{ a = throw \"not here\"; }};
             |                             ^

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error: not here
"
        )
    };
    for (output, kind, attribute) in [
        ("packages", "the derivation", "packages.x86_64-linux.a"),
        ("checks", "the derivation", "checks.x86_64-linux.a"),
        ("nixosConfigurations", "the NixOS configuration", "nixosConfigurations.web"),
        ("apps", "the app definition", "apps.x86_64-linux.a"),
    ] {
        let log = text(output, kind, attribute);
        let error = log.split_once("error:").unwrap().1;
        let record = start(1, 0, "evaluating flake", &[]) + &stop(1) + &message(0, &format!("error:{error}"));
        for log in [&log, &record] {
            check(&[Case {
                log,
                status: None,
                outcome: "failure",
                has: &["not here", attribute],
                lacks: &[],
            }]);
        }
    }
    check(&[Case {
        log: &(start(1, 0, "evaluating flake", &[])
            + &stop(1)
            + &message(1, "warning: unknown flake output 'foo'")),
        status: Some(0),
        outcome: "success",
        has: &["✓"],
        lacks: &["✗"],
    }]);
}
