//! What a person gets to read of whole switches, from the transcripts to the printed lines.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test: starts the program, and fails where it does not work"
)]

use std::path::Path;
use std::process::Command;

/// The lines of a replay, without those of the machine it runs on.
fn lines(case: &str) -> String {
    let log = Path::new("tests/fixtures/activation").join(case).join("log.txt");
    let output = Command::new(env!("CARGO_BIN_EXE_nixmon"))
        .args(["replay", "--config", "/dev/null"])
        .arg(log)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// One for each form that a report takes.
#[test]
fn transcripts() {
    for case in [
        "colmena-failed-units",
        "colmena-one-node-failed",
        "darwin-rebuild-etc-conflict",
        "home-manager-darwin-agent-failed",
        "home-manager-linux-file-collision",
        "home-manager-linux-sd-switch-unit-failed",
        "home-manager-linux-success",
        "home-manager-sd-switch-refused",
        "home-manager-then-darwin",
        "make-update",
        "nixos-rebuild-ng-failed-units",
        "nixos-rebuild-ng-snippet-failed",
        "switch-to-configuration-reboot-needed",
    ] {
        insta::assert_snapshot!(case, lines(case));
    }
}

/// What holds for every transcript: a failed unit is named with a log, no line twice, no unit quoted from elsewhere.
#[test]
fn every_transcript_is_short_and_says_nothing_twice() {
    let mut n = 0;
    for entry in std::fs::read_dir("tests/fixtures/activation").unwrap() {
        let dir = entry.unwrap().path();
        if !dir.is_dir() {
            continue;
        }
        n += 1;
        let case = dir.file_name().unwrap().to_str().unwrap();
        let text = lines(case);
        let report: Vec<&str> = text.lines().skip_while(|line| !line.contains(['✓', '✗'])).collect();
        assert!((1..=20).contains(&report.len()), "{case}:\n{text}");
        for (i, line) in report.iter().enumerate() {
            let again = report[i + 1..].contains(line) && line.trim() != "…";
            assert!(!again, "{case}: twice: {line}\n{text}");
        }
        let truth: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join("truth.json")).unwrap()).unwrap();
        for unit in truth["failed_units"].as_array().into_iter().flatten() {
            let unit = unit.as_str().unwrap();
            let failed = report.iter().position(|line| line.trim().starts_with(&format!("{unit} failed")));
            let log = failed.and_then(|at| report[at..].iter().find(|line| line.trim().starts_with("log: ")));
            assert!(log.is_some_and(|log| log.contains(unit)), "{case}: {unit}\n{text}");
        }
    }
    assert!(n > 80, "transcripts are missing");
}
