//! The places to read more that a report names where a step failed and no unit, and the next step after an update.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test: starts the program with files of its own, and fails where it does not work"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::config::{home, nixmon, text};

/// The report on a log, and the log hints of its summary record.
fn report(home: &Path, log: &str, args: &[&str]) -> (String, Vec<String>) {
    let file = home.join("input.log");
    fs::write(&file, log).unwrap();
    let replay = |more: &[&str]| {
        let file = [file.to_str().unwrap()];
        text(&nixmon(home, &[&["replay"], args, more, &file].concat()).stdout)
    };
    let json: serde_json::Value =
        serde_json::from_str(replay(&["--output=json"]).lines().last().unwrap()).unwrap();
    let hints = json["failures"].as_array().unwrap().iter().flat_map(|failure| {
        failure["log_hints"].as_array().into_iter().flatten().map(|hint| hint.as_str().unwrap().to_owned())
    });
    (replay(&[]), hints.collect())
}

fn pointers(report: &str) -> Vec<&str> {
    report.lines().filter_map(|line| line.trim_start().strip_prefix("log: ")).collect()
}

#[test]
fn words_of_a_failed_step_name_its_log() {
    let home = home("");
    for (log, expected) in [
        (
            "Starting Home Manager activation
Activating writeBoundary
Activating rcloneMount
mount failed: exit status 1
Check logs: ~/nix-flakes/logs/rclone.log
",
            &["~/nix-flakes/logs/rclone.log"][..],
        ),
        (
            "Starting Home Manager activation
Activating writeBoundary
Activating installNpm
npm error code E404
npm error A complete log of this run can be found in: /home/demo/.npm/_logs/2026-debug-0.log
make: *** [Makefile:4: home] Error 1
",
            &["/home/demo/.npm/_logs/2026-debug-0.log"],
        ),
        (
            "activating the configuration...
setting up /etc...
migration 12 failed
inspect 'journalctl -u postgresql.service' for more
Activation script snippet 'database' failed (1)
Failed to run activate script
warning: error(s) occurred while switching to the new configuration
",
            &["journalctl -u postgresql.service"],
        ),
        // The line that says why names the log as well.
        (
            "Starting Home Manager activation
Activating writeBoundary
Activating a
error: migration 12 failed; see /var/log/a.log
",
            &[],
        ),
        // Controls: a log that cannot be used, one in a step that went well, and one of a failed unit.
        (
            "Starting Home Manager activation
Activating writeBoundary
Activating a
error: cannot open log file /var/log/a.log: Permission denied
",
            &[],
        ),
        (
            "Starting Home Manager activation
Activating writeBoundary
Activating a
Check logs: /var/log/a.log
Activating b
cp: cannot stat 'x': No such file or directory
",
            &[],
        ),
    ] {
        let (report, hints) = report(home.path(), log, &["--exit-status=1"]);
        assert_eq!(pointers(&report), expected, "{report}");
        assert!(
            hints.starts_with(&expected.iter().map(|&log| log.to_owned()).collect::<Vec<_>>()),
            "{hints:?}"
        );
        // The place is named once.
        for place in &hints {
            assert!(report.matches(place).count() <= 1, "{report}");
        }
    }
}

#[test]
fn configured_logs_of_failed_steps() {
    let home = home("[services]\nlog = \"~/logs/{service}.log\"\n[services.database]\nlog = \"~/db.txt\"\n");
    let logs = home.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let of_home = "Starting Home Manager activation
Activating writeBoundary
Activating syncNotes
cannot reach the server
";
    let of_system = "activating the configuration...
setting up /etc...
psql: error: connection refused
Activation script snippet 'database' failed (2)
Failed to run activate script
warning: error(s) occurred while switching to the new configuration
";
    let check = |log: &str, files: &[&str]| {
        let (report, hints) = report(home.path(), log, &["--exit-status=1"]);
        let mut files: Vec<String> =
            files.iter().map(|file| home.path().join(file).display().to_string()).collect();
        assert!(hints.starts_with(&files), "{hints:?}");
        // The journal is the second choice.
        if files.is_empty() && log == of_system {
            files.push("journalctl -u nixos-rebuild-switch-to-configuration.service -b".to_owned());
        }
        assert_eq!(pointers(&report), files, "{report}");
    };
    // Files that are not there are not named.
    check(of_home, &[]);
    check(of_system, &[]);
    fs::write(logs.join("home-manager.log"), "x\n").unwrap();
    check(of_home, &["logs/home-manager.log"]);
    fs::write(logs.join("syncNotes.log"), "x\n").unwrap();
    check(of_home, &["logs/syncNotes.log", "logs/home-manager.log"]);
    fs::write(home.path().join("db.txt"), "x\n").unwrap();
    check(of_system, &["db.txt"]);
    // A directory is no log.
    fs::create_dir(logs.join("nixos-rebuild.log")).unwrap();
    check(of_system, &["db.txt"]);
}

#[test]
fn a_configured_log_of_another_day_is_not_named() {
    let home = home("[services]\nlog = \"~/{service}.log\"\n");
    let log = home.path().join("home-manager.log");
    fs::write(&log, "x\n").unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().append(true).open(&log).unwrap().set_modified(old).unwrap();
    let input = home.path().join("input");
    fs::write(&input, "Starting Home Manager activation\nActivating a\nActivating b\nerror: x\n").unwrap();
    let filter = || {
        let filter = std::process::Command::new(env!("CARGO_BIN_EXE_nixmon"))
            .env_clear()
            .env("HOME", home.path())
            .env("LC_ALL", "C.UTF-8")
            .stdin(fs::File::open(&input).unwrap())
            .output()
            .unwrap();
        text(&filter.stdout)
    };
    let report = filter();
    assert!(report.contains("Activation failed in b") && pointers(&report).is_empty(), "{report}");
    fs::File::options().append(true).open(&log).unwrap().set_modified(SystemTime::now()).unwrap();
    assert_eq!(pointers(&filter()), [log.display().to_string()]);
}

#[test]
fn a_recorded_run_has_its_full_log() {
    let home = home("");
    let failing = "echo Starting Home Manager activation; echo Activating writeBoundary; echo Activating a; \
        echo boom; exit 1";
    let run = |script: &str, args: &[&str]| {
        text(&nixmon(home.path(), &[&["run"], args, &["--", "sh", "-c", script]].concat()).stderr)
    };
    let report = run(failing, &[]);
    assert!(report.contains("\n    full log: nixmon log 1\n"), "{report}");
    // A better place is known, or the log is named for another reason, or nothing failed.
    let named = run(&failing.replace("boom", "boom; echo Check logs: /var/log/a.log"), &[]);
    assert!(!named.contains("nixmon log") && pointers(&named) == ["/var/log/a.log"], "{named}");
    let good = run(&failing.replace("exit 1", "exit 0"), &[]);
    assert!(!good.contains("nixmon log"), "{good}");
    let quiet = run(failing, &["--passthrough=none"]);
    assert_eq!(quiet.matches("nixmon log 4").count(), 1, "{quiet}");
}

#[test]
fn the_next_step_after_an_update_is_a_target() {
    let update = |flake: &Path| {
        format!(
            "warning: updating lock file \"{}/flake.lock\":
• Updated input 'nixpkgs':
    'github:NixOS/nixpkgs/356a192b7913b04c54574d18c28d46e6395428ab' (2026-08-01)
  → 'github:NixOS/nixpkgs/da4b9237bacccdf19c0760cab7aec4a8359010b0' (2026-08-18)
",
            flake.display()
        )
    };
    let general = "switch to the new inputs";
    for (targets, expected) in [
        ("[target.home]\ncommand = [\"make\", \"home\"]\ndirectory = \"~/flake\"\n", "nixmon run home"),
        (
            "[target.home]\ncommand = \"home-manager switch --flake .\"\ndirectory = \"~/flake\"\n\
             [target.mac]\ncommand = [\"darwin-rebuild\", \"switch\"]\ndirectory = \"~/link\"\n",
            "nixmon run home or mac",
        ),
        (
            "[target.sys]\ncommand = [\"sudo\", \"nixos-rebuild\", \"switch\"]\ndirectory = \"~/flake\"\n",
            "nixmon run sys",
        ),
        // Another flake, no switch, no target.
        ("[target.home]\ncommand = [\"make\", \"home\"]\ndirectory = \"~\"\n", general),
        ("[target.home]\ncommand = [\"make\", \"check\"]\ndirectory = \"~/flake\"\n", general),
        ("[target.home]\ncommand = [\"make\", \"home\"]\n", general),
        ("", general),
    ] {
        let home = home(targets);
        let flake = home.path().join("flake");
        fs::create_dir(&flake).unwrap();
        std::os::unix::fs::symlink(&flake, home.path().join("link")).unwrap();
        let (report, _) = report(home.path(), &update(&flake), &["--exit-status=0"]);
        let next: Vec<&str> = report.lines().filter_map(|line| line.strip_prefix("  next: ")).collect();
        assert_eq!(next, [format!("{expected}, then commit flake.lock")], "{targets}\n{report}");
    }
}
