//! The configuration file as a user meets it: `nixmon config`, and the logs it names in a report.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test: starts the program with files of its own, and fails where it does not work"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home directory with this configuration.
pub(crate) fn home(config: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join(".config/nixmon")).unwrap();
    fs::write(home.path().join(".config/nixmon/config.toml"), config).unwrap();
    home
}

pub(crate) fn nixmon(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nixmon"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check() {
    let cases = [
        ("every = 9\n", 0, "config.toml: no mistakes"),
        ("\ncolour = \"never\"\n", 2, "config.toml:2:1: unknown key `colour`; did you mean `color`?"),
        ("every = \"9\"\n", 2, "config.toml:1:9: `every` is a whole number, at least 5, not a string"),
        ("every = \n", 2, "config.toml:1:"),
    ];
    for (config, status, expected) in cases {
        let home = home(config);
        let output = nixmon(home.path(), &["config", "check"]);
        let said = text(if status == 0 { &output.stdout } else { &output.stderr });
        assert_eq!(output.status.code(), Some(status), "{config}: {said}");
        assert!(said.contains(expected), "{config}: {said}");
        // A mistake stops every command that would have to guess what was meant.
        let replay = nixmon(home.path(), &["replay", "/dev/null"]);
        assert_eq!(replay.status.code(), Some(status), "{config}");
    }
}

#[test]
fn show_says_where_each_setting_comes_from() {
    let home = home("max-lines = 20\n[services]\nlog = \"~/{service}.log\"\n");
    let file = home.path().join(".config/nixmon/config.toml").display().to_string();
    let shown = text(&nixmon(home.path(), &["config", "show", "--every=9"]).stdout);
    for line in [
        "every = 9  # argument".to_owned(),
        format!("max-lines = 20  # {file}:1"),
        format!("services.log = [\"~/{{service}}.log\"]  # {file}:3"),
        "max-bytes = 8192  # default".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&nixmon(home.path(), &["config", "show", "--json"]).stdout).unwrap();
    assert_eq!(json["file"], file);
    let settings = json["settings"].as_array().unwrap();
    let max_lines = settings.iter().find(|setting| setting["key"] == "max-lines").unwrap();
    assert_eq!(max_lines["line"], 1);
}

const UNIT_FAILED: &str = "tests/fixtures/activation/home-manager-linux-sd-switch-unit-failed/log.txt";

#[test]
fn a_configured_log_is_shown_if_it_exists() {
    let home = home("[services]\nlog = [\"~/none/{service}.log\", \"~/logs/{service}.log\"]\n");
    let log = home.path().join("logs/notes-sync.log");
    let report = || text(&nixmon(home.path(), &["replay", UNIT_FAILED]).stdout);
    assert!(report().contains("    log: journalctl --user -u notes-sync.service -b\n"), "{}", report());
    fs::create_dir(home.path().join("logs")).unwrap();
    let mut lines = "INFO nothing of note\n".repeat(10_000);
    lines.push_str("\x1b[31mERROR: cannot reach notes.example.org\x1b[0m\x07\r\n");
    fs::write(&log, lines).unwrap();
    let log = log.display().to_string();
    let report = report();
    let unit: Vec<&str> =
        report.lines().skip_while(|line| *line != "  notes-sync.service failed").skip(1).collect();
    let at = unit.iter().position(|line| line.contains("log: ")).unwrap();
    assert!((1..=5).contains(&at), "{report}");
    assert!(unit[..at].contains(&"    ERROR: cannot reach notes.example.org"), "{report}");
    assert_eq!(unit[at], format!("    log: {log}   journalctl --user -u notes-sync.service -b"));
    assert!(!report.contains("none/"), "{report}");
    let summary = text(&nixmon(home.path(), &["replay", "--output=json", UNIT_FAILED]).stdout);
    let summary: serde_json::Value = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
    let hints = serde_json::json!([log, "journalctl --user -u notes-sync.service"]);
    assert_eq!(summary["activation"]["log_hints"], hints);
}

#[test]
fn the_filter_knows_when_the_switch_began() {
    let home = home("[services]\nlog = \"~/{service}.log\"\n");
    // Written before the switch: the place to look, but not why this one failed.
    let log = home.path().join("notes-sync.log");
    fs::write(&log, "ERROR: of last week\n").unwrap();
    let week_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().append(true).open(&log).unwrap().set_modified(week_ago).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nixmon"))
        .env_clear()
        .env("HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(fs::File::open(UNIT_FAILED).unwrap())
        .output()
        .unwrap();
    let report = text(&output.stdout);
    let (_, since) = report.split_once("journalctl --user -u notes-sync.service -b --since \"").unwrap();
    let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let form: String = since.chars().take(20).map(digits).collect();
    assert_eq!(form, "0000-00-00 00:00:00\"", "{report}");
    assert!(report.contains(&log.display().to_string()) && !report.contains("last week"), "{report}");
}

/// Diagnostics go to standard error and change nothing else.
#[test]
fn diagnostics() {
    let home = home("");
    let plain = nixmon(home.path(), &["replay", UNIT_FAILED]);
    let verbose = nixmon(home.path(), &["replay", "--verbose", UNIT_FAILED]);
    assert_eq!(text(&verbose.stdout), text(&plain.stdout));
    assert_eq!(verbose.status, plain.status);
    assert!(text(&verbose.stderr).contains("DEBUG") && text(&plain.stderr).is_empty());
    for (level, expected, status) in [
        ("debug", "DEBUG", plain.status.code()),
        ("off", "", plain.status.code()),
        ("loud", "nixmon: NIXMON_LOG is `loud`, but must be off, error", Some(2)),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixmon"));
        command.args(["replay", "--config=/dev/null", UNIT_FAILED]).env("NIXMON_LOG", level);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{level}: {said}");
        assert_eq!(output.status.code(), status, "{level}");
    }
}
