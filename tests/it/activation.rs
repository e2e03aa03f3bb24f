//! Transcripts of whole switches, each with what really happened, read with and without the exit status.
//!
//! `tests/fixtures/activation/CASE/log.txt` is what the tool printed, standard output and standard error in one, as its
//! sources say it prints it; `truth.json` is what happened.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: reads its cases from files and fails where they are not as they should be"
)]

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use nixmon_core::activation::{
    Activation, ActivationChange, LineContext, Recognised, RunStage, SwitchOutcome, Unit,
};
use nixmon_log::escapes::strip_escapes;
use serde_json::Value;

/// Name, log and truth of every transcript, by name.
fn cases() -> Vec<(String, String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/activation");
    let mut cases: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let truth = fs::read_to_string(path.join("truth.json")).unwrap();
            (name, fs::read_to_string(path.join("log.txt")).unwrap(), serde_json::from_str(&truth).unwrap())
        })
        .collect();
    cases.sort_by(|a: &(String, String, Value), b| a.0.cmp(&b.0));
    assert!(cases.len() >= 28, "transcripts are missing");
    cases
}

/// Feeds a transcript as the program does: records are not text, `name> ` is a builder's, errors that the activation does
/// not claim are Nix's.
fn read(log: &str, exit_status: Option<i32>) -> (Activation, Vec<ActivationChange>) {
    let mut activation = Activation::new();
    let mut out = Vec::new();
    let mut live = BTreeSet::new();
    for (at, line) in log.lines().enumerate() {
        if let Some(record) = line.strip_prefix("@nix ") {
            let record: Value = serde_json::from_str(record).unwrap();
            match record["action"].as_str() {
                Some("start") => live.insert(record["id"].as_u64()),
                Some("stop") => live.remove(&record["id"].as_u64()),
                _ => false,
            };
            continue;
        }
        let line = strip_escapes(line);
        let build_log =
            line.split_once("> ").is_some_and(|(name, _)| !name.is_empty() && !name.contains(' '));
        let ctx =
            LineContext { at: Duration::from_secs(at as u64), builds_running: !live.is_empty(), build_log };
        let recognised = activation.line(&line, &ctx, &mut out);
        if recognised == Recognised::No && line.starts_with("error:") {
            activation.nix_error(&line);
        }
    }
    activation.finish(exit_status, &mut out);
    (activation, out)
}

fn names(units: &[Unit]) -> Vec<String> {
    let mut names: Vec<String> = units.iter().map(|unit| unit.name.clone()).collect();
    names.sort();
    names
}

fn strings(value: &Value) -> Vec<String> {
    let mut strings: Vec<String> =
        value.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect();
    strings.sort();
    strings
}

/// The wrong answers for one case, read with this exit status.
fn wrong(log: &str, truth: &Value, exit_status: Option<i32>) -> Vec<String> {
    let (activation, changes) = read(log, exit_status);
    let mut wrong = Vec::new();
    let mut ask = |question: &str, said: String, wanted: String| {
        if said != wanted {
            wrong.push(format!("{question} (exit status {exit_status:?}): said {said}, true is {wanted}"));
        }
    };
    let phase = truth["failed_phase"].as_str();
    let none = matches!(phase, Some("evaluation" | "build")) || truth["activation"] == Value::Bool(false);
    let Some(summary) = activation.summary() else {
        ask("an activation", "none".into(), if none { "none" } else { "one" }.into());
        return wrong;
    };
    if truth["activation"] != Value::Bool(true) {
        ask("an activation", "one".into(), if none { "none" } else { "one" }.into());
    }
    let tool = match truth["tool"].as_str().unwrap() {
        "nixos-rebuild-ng" | "switch-to-configuration" => "nixos-rebuild",
        tool => tool,
    };
    ask("tool", summary.tool.name().into(), tool.into());
    let outcome = match summary.outcome {
        SwitchOutcome::Success => "success",
        SwitchOutcome::Failure => "failure",
        SwitchOutcome::Interrupted => "interrupted",
    };
    // A transcript of a killed run just stops.
    if exit_status.is_some() || truth["exit_code"] != 130 {
        let wanted = if phase.is_none() || phase == Some("activation") {
            truth["outcome"].as_str().unwrap()
        } else {
            "success"
        };
        ask("outcome", outcome.into(), wanted.into());
        let step = summary.failed_step.clone().unwrap_or("null".into());
        ask("failed step", step, truth["failed_step"].as_str().unwrap_or("null").into());
    }
    for (list, said) in [
        ("started", &summary.units.started),
        ("restarted", &summary.units.restarted),
        ("stopped", &summary.units.stopped),
        ("reloaded", &summary.units.reloaded),
    ] {
        ask(list, format!("{:?}", names(said)), format!("{:?}", strings(&truth["units"][list])));
    }
    ask(
        "failed",
        format!("{:?}", names(&summary.units.failed)),
        format!("{:?}", strings(&truth["failed_units"])),
    );
    let mut hints = summary.log_hints.clone();
    hints.sort();
    // Files of a launchd agent are the driver's to find.
    let wanted: Vec<String> = strings(&truth["log_hints"])
        .into_iter()
        .filter(|hint| hint.starts_with("journalctl") || hint.starts_with("launchctl"))
        .collect();
    ask("log hints", format!("{hints:?}"), format!("{wanted:?}"));
    for (field, said) in [
        (
            "inner_exit_status",
            activation.runs().find_map(|run| run.exit_status).map_or(Value::Null, Value::from),
        ),
        ("files", activation.runs().flat_map(|run| run.files.clone()).collect()),
        ("reboot_needed", activation.runs().any(|run| run.reboot_needed).into()),
        (
            "nodes",
            activation
                .runs()
                .map(|run| Value::from(format!("{}: {:?}", run.node.as_deref().unwrap_or("-"), run.stage)))
                .collect(),
        ),
        (
            "message",
            activation
                .runs()
                .find(|run| run.stage != RunStage::Done)
                .and_then(|run| run.message())
                .map_or(Value::Null, Value::from),
        ),
    ] {
        if let Some(wanted) = truth.get(field) {
            ask(field, said.to_string(), wanted.to_string());
        }
    }
    let began = changes.iter().filter(|change| matches!(change, ActivationChange::Began { .. })).count();
    ask("runs that began", began.to_string(), activation.runs().count().to_string());
    wrong
}

/// A begun build whose builder's lines follow unmarked, as bare `nix-build` prints them.
const BUILDER: &str = "building '/nix/store/99pb5r71hj7vm38gds8mysbn015cndbf-nixos-disk-image.drv'...\n";
const HOME: &str =
    "Starting Home Manager activation\nActivating checkFilesChanged\nActivating writeBoundary\n";
const SWITCH: &str = "stopping the following units: nginx.service\nactivating the configuration...\nsetting up /etc...\n\
                      restarting sysinit-reactivation.target\nstarting the following units: nginx.service\n";
const DARWIN: &str =
    "setting up groups...\nsetting up users...\nsetting up /etc...\nsetting up launchd services...\n";
const OTHER: &str =
    "installing\npost-installation fixup\nshrinking RPATHs of ELF executables\nchecking for references\n";
const NEXT: &str = "building '/nix/store/130dzvmiir42cf03jlqs5s2qr2i8iagw-next.drv'...\n";
const FAILED: &str = "error: builder for '/nix/store/99pb5r71hj7vm38gds8mysbn015cndbf-nixos-disk-image.drv' failed with exit code 1;\n       \
                      last 2 log lines:\n       > Starting Home Manager activation\n       > Activating writeBoundary\n";
const OUTPUT: &str = "/nix/store/99pb5r71hj7vm38gds8mysbn015cndbf-nixos-disk-image\n";

/// Texts that look like an activation and are none.
#[test]
fn no_false_activation() {
    let spoofs = [HOME, SWITCH, DARWIN].into_iter().flat_map(|lines| {
        [
            // A builder's, and the stream goes on.
            format!("{BUILDER}{lines}{NEXT}{OTHER}"),
            format!("{BUILDER}{lines}{OTHER}"),
            format!("{BUILDER}{lines}{OUTPUT}"),
            format!("{BUILDER}{OTHER}{lines}{OTHER}{OUTPUT}"),
            format!("{BUILDER}{lines}{lines}{OTHER}{lines}{OTHER}"),
            // The wrapper has announced a switch, but this is still the build.
            format!("building the system configuration...\n{BUILDER}{lines}{OTHER}{NEXT}"),
            // Marked as a builder's.
            lines.lines().map(|line| format!("disk-image> {line}\n")).collect(),
            // The output of a virtual machine, a search, a quotation.
            lines.lines().map(|line| format!("machine # {line}\n")).collect(),
            lines.lines().map(|line| format!("logs/switch.log:{line}\n")).collect(),
            lines.lines().map(|line| format!("  {line}\n")).collect(),
            lines.lines().map(|line| format!("> {line}\n")).collect(),
            lines.lines().map(|line| format!("Aug 20 10:12:03 host hm-activate-demo[1]: {line}\n")).collect(),
            // While a build of the same stream is running.
            format!("@nix {{\"action\":\"start\",\"id\":1,\"level\":3,\"type\":105}}\n{lines}"),
        ]
    });
    let failing = [HOME, SWITCH, DARWIN].into_iter().flat_map(|lines| {
        [
            format!("{BUILDER}{lines}{FAILED}"),
            format!("{BUILDER}{lines}{OTHER}{FAILED}"),
            format!("{BUILDER}{FAILED}{lines}{OTHER}{NEXT}"),
        ]
    });
    let single = [
        // Lines of which none is an activation by itself, in the middle of other text.
        "Activating writeBoundary\n",
        "Activating virtualenv\n",
        "setting up /etc...\n",
        "user defaults...\n",
        "Failed to start nginx.service\n",
        "nginx.service failed\n",
        "warning: the following units failed: nginx.service\n",
        "starting the following units: nginx.service\n",
        "Stopping units: a.service\nStarting units: a.service\n",
        "creating service org.nixos.redis\n",
        "Load failed: 5: Input/output error\n",
        "Activation script snippet 'users' failed (1)\n",
        "Failed to run activate script\n",
        "Done. The new configuration is /nix/store/x\n",
        "Existing file '/home/demo/.bashrc' would be clobbered\n",
        "Failed to activate one or more LaunchAgents\n",
        "There are 12 unread and relevant news items.\n",
        "Homebrew bundle...\n",
        "× nginx.service - A web server\n",
        "web | Evaluating web\n",
        "[INFO ] Using flake: .\n",
        "[ERROR] Failed to deploy to web - Last 1 lines of logs:\n[ERROR]   stderr) activating the configuration...\n",
        "The option reloadSystemd of checkLinkTargets is documented in the manual of home-manager\n",
        "home-manager has many steps\nof these checkLinkTargets\n",
        "home-manager has many steps\nrun checkFilesChanged first\nthen run linkGeneration\n",
        "ERROR Failed to connect\n[ERROR] Failed to execute goal\n",
        "make[2]: *** [Makefile:12: all] Interrupt\n",
        "make: *** [Makefile:12: home] Error 2\n",
        "Command '['nix', 'build', '.#x']' returned non-zero exit status 1.\n",
        "error: opening lock file '/nix/var/nix/profiles/per-user/demo/profile.lock': Permission denied\n",
        "error: opening lock file '/nix/store/x.lock': Permission denied\n",
        "> Building NixOS configuration\n",
        "building the system configuration...\n",
        "home-manager switch --flake .\n",
        "sudo nixos-rebuild switch\n",
        "switching profile from version 42 to 41\n",
    ]
    .into_iter()
    .flat_map(|line| [line.to_owned(), format!("{OTHER}{line}"), format!("{OTHER}{line}{OTHER}"), format!("{BUILDER}{OTHER}{line}{OTHER}")]);
    // One beginning, then a long text about something else: a quotation.
    let quoted =
        ["Starting Home Manager activation\n", "activating the configuration...\n", "setting up groups...\n"]
            .into_iter()
            .map(|line| format!("{OTHER}{line}{}", OTHER.repeat(60)));
    // One beginning at the end of a stream that ended well.
    let last =
        ["Starting Home Manager activation\n", "activating the configuration...\n", "setting up pam...\n"]
            .into_iter()
            .map(|line| format!("{OTHER}{line}"));
    let refused = [
        format!("{BUILDER}sudo: a password is required\n{OTHER}{FAILED}"),
        format!("{OTHER}sudo: a password is required\n{}", OTHER.repeat(3)),
        format!("{BUILDER}Failed to install bootloader\n{FAILED}"),
        format!("{BUILDER}error: Unexpected files in /etc, aborting activation\n{FAILED}"),
        format!("{OTHER}Could not acquire lock\n"),
        format!("{BUILDER}Could not acquire lock\n{OTHER}{NEXT}"),
    ];
    for (logs, exits) in [
        (spoofs.collect::<Vec<_>>(), &[Some(0), None][..]),
        (failing.collect(), &[Some(1), None]),
        (single.collect(), &[Some(0), Some(1), None]),
        (quoted.collect(), &[Some(0), Some(1), None]),
        (last.collect(), &[Some(0), None]),
        (refused.to_vec(), &[Some(1), None]),
    ] {
        for log in logs {
            for exit_status in exits {
                let (activation, changes) = read(&log, *exit_status);
                assert_eq!(activation.summary(), None, "exit status {exit_status:?}:\n{log}");
                assert_eq!(changes, [], "exit status {exit_status:?}:\n{log}");
            }
        }
    }
}

/// A real activation is seen wherever it fails, also right after its beginning.
#[test]
fn short_activations() {
    let cases = [
        ("Starting Home Manager activation\n", Some(1), "home-manager", None),
        ("Starting Home Manager activation\n", Some(130), "home-manager", None),
        (
            "Starting Home Manager activation\nActivating checkFilesChanged\n",
            Some(130),
            "home-manager",
            Some("checkFilesChanged"),
        ),
        ("activating the configuration...\n", Some(130), "nixos-rebuild", None),
        ("updating GRUB 2 menu...\n", Some(130), "nixos-rebuild", Some("bootloader")),
        ("stopping the following units: a.service\n", Some(1), "nixos-rebuild", None),
        ("setting up groups...\n", Some(1), "nix-darwin", Some("groups")),
        ("error: Determinate detected, aborting activation\n", Some(2), "nix-darwin", Some("checks")),
        ("Failed to install bootloader\n", Some(1), "nixos-rebuild", Some("bootloader")),
        ("sudo: a password is required\n", Some(1), "unknown", Some("sudo")),
        (
            "warning: error(s) occurred while switching to the new configuration\n",
            Some(1),
            "nixos-rebuild",
            None,
        ),
    ];
    for (lines, exit_status, tool, step) in cases {
        // Also where something was built that is no configuration, as by a configuration that needs a build to be evaluated.
        for log in [lines.to_owned(), format!("Building...\n{lines}")] {
            let (activation, _) = read(&log, exit_status);
            let Some(summary) = activation.summary() else {
                // sudo without a word about what it was to run, among other text.
                assert!(tool == "unknown" && log.len() > lines.len(), "none in\n{log}");
                continue;
            };
            assert_eq!((summary.tool.name(), summary.failed_step.as_deref()), (tool, step), "{log}");
            assert_ne!(summary.outcome, SwitchOutcome::Success, "{log}");
        }
    }
    // After a build that is none of a configuration: with two lines, at the end of the stream.
    for (lines, tool) in [(HOME, "home-manager"), (SWITCH, "nixos-rebuild"), (DARWIN, "nix-darwin")] {
        for exit_status in [Some(0), Some(1), None] {
            let (activation, _) = read(&format!("{BUILDER}{lines}"), exit_status);
            assert_eq!(activation.summary().map(|summary| summary.tool.name()), Some(tool));
        }
    }
}

/// Two commands in one stream, the first of which went well: what happened to the second is told as if it were alone.
#[test]
fn two_commands() {
    // These do not say that they begin; what fails then is taken for a failure of the activation before.
    const SILENT: [&str; 3] =
        ["home-manager-linux-eval-error", "switch-to-configuration-locked", "home-manager-no-step-fails"];
    const FIRST: [&str; 7] = [
        "home-manager-linux-success",
        "home-manager-linux-success-internal-json",
        "make-home-success",
        "darwin-rebuild-success",
        "nixos-rebuild-success-restarts",
        "nixos-rebuild-ng-success",
        "colmena-success",
    ];
    let cases = cases();
    let firsts: Vec<_> = cases.iter().filter(|(name, ..)| FIRST.contains(&name.as_str())).collect();
    assert_eq!(firsts.len(), FIRST.len());
    let mut wrong = Vec::new();
    for (second, log, truth) in &cases {
        let code = i32::try_from(truth["exit_code"].as_i64().unwrap()).unwrap();
        if SILENT.contains(&second.as_str()) {
            continue;
        }
        let (outcome, step) = if truth["failed_phase"] == "activation" {
            (truth["outcome"].as_str().unwrap(), truth["failed_step"].as_str())
        } else {
            ("success", None)
        };
        for (first, before, _) in &firsts {
            for exit_status in [Some(code), None] {
                let (activation, _) = read(&format!("{before}{log}"), exit_status);
                let summary = activation.summary().unwrap();
                let said = format!("{:?}", summary.outcome).to_lowercase();
                let killed = exit_status.is_none() && code == 130;
                if !killed && (said != outcome || summary.failed_step.as_deref() != step) {
                    wrong.push(format!(
                        "{first}, {second} ({exit_status:?}): {said} in {:?}",
                        summary.failed_step
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Hostile input: any lines in any order. Nothing panics, and what is kept stays small.
mod any_lines {
    use proptest::prelude::*;

    use super::*;

    /// All lines of all transcripts, to be mixed.
    fn known_lines() -> Vec<String> {
        let mut lines = BTreeSet::new();
        for (_, log, _) in cases() {
            lines.extend(log.lines().filter(|line| !line.starts_with("@nix")).map(str::to_owned));
        }
        lines.into_iter().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn mixed(
            lines in prop::collection::vec(
                prop_oneof![8 => prop::sample::select(known_lines()), 1 => any::<String>(), 1 => "[×●⭐🚀>|\\[\\]{}'`:, a-z/0-9]{0,60}"],
                0..120,
            ),
            cut in 0usize..80,
            exit_status in prop::option::of(0i32..256),
        ) {
            let lines: Vec<String> =
                lines.iter().enumerate().map(|(at, line)| if at % 7 == 3 { line.chars().take(cut).collect() } else { line.clone() }).collect();
            let (activation, changes) = read(&lines.join("\n"), exit_status);
            let began = changes.iter().filter(|change| matches!(change, ActivationChange::Began { .. })).count();
            let ended: BTreeSet<_> = changes.iter().filter_map(|change| if let ActivationChange::Ended { run, .. } = change { Some(*run) } else { None }).collect();
            prop_assert_eq!(began, ended.len());
            prop_assert_eq!(began, activation.runs().count());
            prop_assert_eq!(activation.summary().is_some(), activation.started());
            if exit_status == Some(0) {
                prop_assert!(activation.outcome().is_none_or(|outcome| outcome == SwitchOutcome::Success));
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut activation = Activation::new();
        let mut out = Vec::new();
        let mut feed = |activation: &mut Activation, line: &str| {
            activation.line(line, &LineContext::default(), &mut out);
            out.clear();
        };
        feed(&mut activation, "[INFO ] Using flake: .");
        for n in 0..3000 {
            feed(&mut activation, &format!("node{n} | Activating system profile"));
        }
        assert!(activation.runs().count() <= 1024);
        feed(&mut activation, "Starting Home Manager activation");
        feed(&mut activation, "Activating checkLinkTargets");
        let units: Vec<String> = (0..1500).map(|n| format!("unit-{n}.service")).collect();
        for n in 0..3000 {
            feed(&mut activation, &format!("error: {}", "x".repeat(5000)));
            feed(&mut activation, &format!("Existing file '/home/{n}' would be clobbered"));
            feed(
                &mut activation,
                &format!("Path '/home/{n}' does not link into a Home Manager generation. Skipping delete."),
            );
            feed(&mut activation, &format!("unit-{n}.service failed"));
            if n % 100 == 0 {
                feed(&mut activation, &format!("Starting units: {}", units.join(", ")));
            }
        }
        feed(&mut activation, &"x".repeat(1_000_000));
        let run = activation.runs().last().unwrap();
        assert!(run.evidence().count() <= 48 && run.evidence().all(|line| line.len() <= 600));
        assert!(run.files.len() <= 100 && run.warnings.len() <= 24);
        assert!(run.units().failed.len() <= 1024 && run.units().started.len() <= 1024);
    }
}

/// Changes for a frontend, in the order of the stream.
#[test]
fn changes() {
    let log = "Starting Home Manager activation\nActivating linkGeneration\nActivating reloadSystemd\n\
               Stopping units: mpd.service\nStarting units: mpd.service, notes-sync.service\nnotes-sync.service failed\n\
               notes-sync.service failed\n";
    let (_, changes) = read(log, Some(0));
    let told: Vec<String> = changes
        .iter()
        .map(|change| match change {
            ActivationChange::Began { tool, .. } => format!("began {}", tool.name()),
            ActivationChange::Step { name, .. } => format!("step {name}"),
            ActivationChange::Units { verb, units, .. } => format!("{verb:?} {}", names(units).join(" ")),
            ActivationChange::UnitsFailed { units, .. } => format!("failed {}", names(units).join(" ")),
            ActivationChange::Ended { stage, .. } => format!("ended {stage:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "began home-manager",
            "step linkGeneration",
            "step reloadSystemd",
            "Stopped mpd.service",
            "Started mpd.service notes-sync.service",
            "failed notes-sync.service",
            "ended Done",
        ]
    );
}

/// The phase of each machine never goes back.
#[test]
fn phases() {
    for (case, wanted) in [
        (
            "colmena-success",
            "db Building, db Copying, db Activating, db Done, web Building, web Copying, web Activating, web Done",
        ),
        ("colmena-build-failed", "web Building, web Evaluating"),
        (
            "deploy-rs-second-node-failed",
            "db Activating, db Done, web Activating, web Building, web Copying, web Done",
        ),
    ] {
        let (_, log, _) = cases().into_iter().find(|(name, ..)| name == case).unwrap();
        let (activation, changes) = read(&log, None);
        let mut told = BTreeSet::new();
        for change in changes {
            if let ActivationChange::NodePhase { node, phase } = change {
                assert!(told.insert(format!("{node} {phase:?}")), "told twice");
            }
        }
        let wanted: BTreeSet<String> = wanted.split(", ").map(str::to_owned).collect();
        assert_eq!(told, wanted);
        assert!(activation.phases().count() > 0);
    }
}

#[test]
fn transcripts() {
    let mut failed = Vec::new();
    for (name, log, truth) in cases() {
        let code = i32::try_from(truth["exit_code"].as_i64().unwrap()).unwrap();
        for exit_status in [Some(code), None] {
            failed
                .extend(wrong(&log, &truth, exit_status).into_iter().map(|wrong| format!("{name}: {wrong}")));
        }
    }
    assert!(failed.is_empty(), "{} wrong answers\n{}", failed.len(), failed.join("\n"));
}
