//! `nixmon run` and its short forms with real Nix: the machine's own, an old one where it is Debian's, and one that sends its
//! records to a socket.
//!
//! Records that come several ways must be told once. So the summary of each run is held against that of nixmon as a filter
//! behind the same command, which has one way only.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Output;

use crate::common::newer_nix::newer_nix;
use crate::common::require::require;
use crate::common::world::World;
use serde_json::{Value, json};

const EXPRESSION: &str = r#"
let
  make = name: attributes: script: derivation ({
    inherit name;
    system = "@system@";
    builder = "/bin/sh";
    args = [ "-c" script ];
    PATH = "/usr/bin:/bin";
  } // attributes);
in rec {
  dep = make "dep" { } "echo making; echo made > $out";
  top = make "top" { } "read x < ${dep}; echo $x > $out";
  other = make "other" { } "echo working; echo x > $out";
  third = make "third" { } "echo x > $out";
  loud = make "loud" { } "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i + 1)); done; echo x > $out";
  bad = make "bad" { } "echo compiling; echo 'main.c:3:1: error: expected expression'; exit 7";
  bad2 = make "bad2" { } "sleep 0.3; echo 'configure: error: no acceptable C compiler' >&2; exit 77";
  needs = make "needs" { } "echo ${bad} > $out";
  several = make "several" { } "echo ${needs} ${bad2} ${top} > $out";
  fixed = make "fixed" {
    outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
  } "echo other > $out";
  thrown = throw "this package is broken";
  assertion = assert 1 + 1 == 3; top;
  traced = builtins.trace "a trace" third;
  shell = make "shell" {
    builder = "@bash@";
    outputs = [ "out" ];
    inherit dep;
    shellHook = "echo the-hook-ran >&2";
  } "exit 1";
}
"#;

/// Other files of the directory in which everything runs. `$FLAGS` is empty below nixmon.
const FILES: [(&str, &str); 6] = [
    (
        "flake.nix",
        r#"{
  outputs = _: {
    packages.@system@ = { inherit (import ./default.nix) top bad; };
    devShells.@system@.default = (import ./default.nix).shell;
  };
}"#,
    ),
    (
        "script.sh",
        "echo first line\n\
         nix build --no-link -f default.nix top $FLAGS\n\
         echo second line\n\
         nix build --no-link -f default.nix other $FLAGS\n\
         echo third line >&2\n\
         nix-build --no-out-link -A third $FLAGS >/dev/null\n\
         echo last line\n",
    ),
    (
        "fails.sh",
        "echo first line\n\
         nix build --no-link -f default.nix top $FLAGS\n\
         echo second line\n\
         nix build --no-link -f default.nix bad $FLAGS || { echo last line; exit 5; }\n",
    ),
    (
        "both.sh",
        "echo first line\n\
         nix build --no-link -f default.nix top $FLAGS &\n\
         nix build --no-link -L -f default.nix loud $FLAGS &\n\
         wait\n\
         echo last line\n",
    ),
    (
        "Makefile",
        "home:\n\
         \t@echo first line\n\
         \t@nix build --no-link -f default.nix top $(FLAGS)\n\
         \tnix build --no-link -f default.nix other $(FLAGS)\n\
         \t@echo last line\n\
         broken:\n\
         \t@echo first line\n\
         \tnix build --no-link -f default.nix bad $(FLAGS)\n",
    ),
    ("empty", ""),
];

/// The flags that make Nix write records to its standard error.
const RECORDS: &str = "--log-format internal-json -v";

impl World {
    fn of_runs(commands: Option<&Path>) -> Option<World> {
        Self::with_files(commands, &[&FILES[..], &[("default.nix", EXPRESSION)]].concat())
    }

    fn nixmon(&self, words: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_nixmon")).args(words).output().unwrap()
    }

    /// The command alone.
    fn plain(&self, words: &str) -> Output {
        self.run(&words.split(' ').collect::<Vec<_>>())
    }

    /// The summary of nixmon as a filter behind a command that writes records.
    fn filtered(&self, words: &str, flags: &str, variable: &str) -> Value {
        let script = format!("{words} {flags} 2>&1 | {} --output json", env!("CARGO_BIN_EXE_nixmon"));
        let output = self.command("sh").args(["-c", &script]).env("FLAGS", variable).output().unwrap();
        self.summary(&output)
    }

    /// Returns the last record, in words that are the same for another store.
    fn summary(&self, output: &Output) -> Value {
        let text = self.text(&output.stdout);
        let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(record["type"], "summary");
        let mut failures = record["failures"].clone();
        for failure in failures.as_array_mut().unwrap() {
            failure.as_object_mut().unwrap().remove("after_ms");
        }
        json!({"outcome": record["outcome"], "counts": record["counts"], "failures": failures})
    }
}

/// A command, the flags with which it writes records, how many times each text has to be in the lines, and what must not
/// be there.
struct Case {
    words: &'static str,
    flags: &'static str,
    /// Built and failed.
    counts: [u64; 2],
    once: &'static [&'static str],
}

/// Nix's own words, which a report replaces.
const RAW: [&str; 6] =
    ["error: builder", "error: Cannot build", "@nix", "last 2 log lines", "For full logs", "\u{1b}"];

const FAILED: &[&str] = &["  bad failed, exit 7\n", "main.c:3:1: error: expected expression", "✗"];

/// Commands of Nix itself, which can do all of it in both versions.
const DIRECT: [Case; 12] = [
    Case { words: "nix build --no-link -f default.nix top", flags: RECORDS, counts: [2, 0], once: &["✓ "] },
    Case {
        words: "nix build --no-link -L -f default.nix loud",
        flags: RECORDS,
        counts: [1, 0],
        once: &["✓ "],
    },
    Case { words: "nix build --no-link path:.#top", flags: RECORDS, counts: [2, 0], once: &["✓ "] },
    Case { words: "nix build --no-link -f default.nix bad", flags: RECORDS, counts: [0, 1], once: FAILED },
    Case { words: "nix build --no-link -L -f default.nix bad", flags: RECORDS, counts: [0, 1], once: FAILED },
    Case {
        words: "nix build --no-link -j2 --keep-going -f default.nix several",
        flags: RECORDS,
        counts: [2, 2],
        once: &[
            "  bad failed, exit 7 · blocks 2\n",
            "  bad2 failed, exit 77\n",
            "✗",
            "no acceptable C compiler",
        ],
    },
    Case {
        words: "nix build --no-link -f default.nix thrown",
        flags: RECORDS,
        counts: [0, 0],
        once: &["✗", "  this package is broken\n"],
    },
    Case {
        words: "nix build --no-link -f default.nix assertion",
        flags: RECORDS,
        counts: [0, 0],
        once: &["✗", "assertion '((1 + 1) == 3)' failed"],
    },
    Case {
        words: "nix build --no-link -f default.nix fixed",
        flags: RECORDS,
        counts: [0, 1],
        once: &["✗", "sha256-AAAA"],
    },
    Case {
        words: "nix-build --no-out-link -A top",
        flags: "--log-format internal-json",
        counts: [2, 0],
        once: &["✓ "],
    },
    Case {
        words: "nix-build --no-out-link -A bad",
        flags: "--log-format internal-json",
        counts: [0, 1],
        once: FAILED,
    },
    Case {
        words: "nix-shell -A shell --run true",
        flags: "--log-format internal-json",
        counts: [1, 0],
        once: &["✓ "],
    },
];

/// Commands that call Nix, which needs the socket.
const INDIRECT: [Case; 5] = [
    Case {
        words: "sh script.sh",
        flags: "",
        counts: [4, 0],
        once: &["✓ ", "first line\n", "second line\n", "third line", "last line\n"],
    },
    Case {
        words: "sh fails.sh",
        flags: "",
        counts: [2, 1],
        once: &["  bad failed, exit 7\n", "✗", "first line\n", "second line\n", "last line\n"],
    },
    Case { words: "sh both.sh", flags: "", counts: [3, 0], once: &["✓ ", "first line\n", "last line\n"] },
    Case {
        words: "make home",
        flags: "",
        counts: [3, 0],
        once: &["✓ ", "first line\n", "nix build --no-link -f default.nix other", "last line\n"],
    },
    Case {
        words: "make broken",
        flags: "",
        counts: [0, 1],
        once: &["  bad failed, exit 7\n", "✗", "first line\n", "nix build --no-link -f default.nix bad"],
    },
];

fn check(commands: Option<&Path>, cases: &[Case]) {
    for case in cases {
        let new = || World::of_runs(commands);
        let (Some(plain), Some(filter), Some(json), Some(lines)) = (new(), new(), new(), new()) else {
            return;
        };
        let alone = plain.plain(case.words);
        let words: Vec<_> = case.words.split(' ').collect();
        let run = |world: &World, options: &[&str]| {
            let output = world.nixmon(&[&["run"], options, &["--"], &words].concat());
            let shown =
                format!("{}\n{}", case.words, world.text(&[&*output.stdout, &*output.stderr].concat()));
            assert_eq!(output.status.code(), alone.status.code(), "{shown}");
            (output, shown)
        };

        let (output, shown) = run(&json, &["--output", "json"]);
        let summary = json.summary(&output);
        assert_eq!(summary, filter.filtered(case.words, case.flags, RECORDS), "{shown}");
        let [built, failed] = case.counts;
        assert_eq!([&summary["counts"]["built"], &summary["counts"]["failed"]], [built, failed], "{shown}");
        let again = json.nixmon(&["replay", "--output", "json", "1"]);
        assert_eq!(json.summary(&again), summary, "the replay of {shown}");

        let (output, shown) = run(&lines, &[]);
        assert_eq!(lines.text(&output.stdout), plain.text(&alone.stdout), "{shown}");
        let all = lines.text(&[&*output.stdout, &*output.stderr].concat());
        for part in case.once {
            assert_eq!(all.matches(part).count(), 1, "{part:?} of {shown}");
        }
        for part in RAW {
            assert!(!all.contains(part), "{part:?} in {shown}");
        }
    }
}

#[test]
fn installed_nix_events_once() {
    check(None, &DIRECT);
}

#[test]
fn newer_nix_events_once() {
    if let Some(commands) = newer_nix() {
        check(Some(&commands), &DIRECT);
    }
}

#[test]
fn newer_nix_below_programs_events_once() {
    if let Some(commands) = newer_nix()
        && require("make").is_some()
    {
        check(Some(&commands), &INDIRECT);
    }
}

/// Below other programs this Nix has no other way than text, if it has no socket; where it has, so much the better.
#[test]
fn installed_nix_below_programs_is_read() {
    if require("make").is_none() {
        return;
    }
    for case in &INDIRECT {
        let (Some(filter), Some(json), Some(lines)) =
            (World::of_runs(None), World::of_runs(None), World::of_runs(None))
        else {
            return;
        };
        let words: Vec<_> = case.words.split(' ').collect();
        let output = json.nixmon(&[&["run", "--output", "json", "--"], &words[..]].concat());
        let summary = json.summary(&output);
        let shown = format!("{}\n{}", case.words, json.text(&output.stdout));
        // A filter does not know how its command ended.
        let filtered = filter.filtered(case.words, "", "");
        assert_eq!(summary["counts"], filtered["counts"], "{shown}");
        assert_eq!(summary["failures"], filtered["failures"], "{shown}");
        assert_eq!(json.summary(&json.nixmon(&["replay", "--output", "json", "1"])), summary, "{shown}");
        let output = lines.nixmon(&[&["run", "--"], &words[..]].concat());
        let all = lines.text(&[&*output.stdout, &*output.stderr].concat());
        // Behind `building …` in text, a line on standard error may be one of the builder's.
        for part in case.once.iter().filter(|part| **part != "third line") {
            assert_eq!(all.matches(part).count(), 1, "{part:?} of {}\n{all}", case.words);
        }
        assert!(RAW.iter().all(|part| !all.contains(part)), "{}\n{all}", case.words);
    }
}

/// Checks that results, and users' own settings, do not change.
fn check_results(commands: Option<&Path>) {
    for (words, run) in [
        (
            "nix build --no-link path:.#top --print-out-paths",
            &["build", "--no-link", "path:.#top", "--print-out-paths"][..],
        ),
        (
            "nix eval --json -f default.nix top.name",
            &["run", "--", "nix", "eval", "--json", "-f", "default.nix", "top.name"],
        ),
        (
            "nix eval --raw -f default.nix traced.name",
            &["run", "--", "nix", "eval", "--raw", "-f", "default.nix", "traced.name"],
        ),
        ("nix-build --no-out-link -A top", &["run", "--", "nix-build", "--no-out-link", "-A", "top"]),
        (
            "nix-instantiate --eval --strict --json -A top.name",
            &["run", "--", "nix-instantiate", "--eval", "--strict", "--json", "-A", "top.name"],
        ),
    ] {
        let Some(world) = World::of_runs(commands) else { return };
        let ran = world.nixmon(run);
        let alone = world.plain(words);
        let shown = format!("{words}\n{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.stdout, alone.stdout, "{shown}");
        assert_eq!(ran.status.code(), alone.status.code(), "{shown}");
        // An old Nix cannot print paths.
        assert!(alone.status.success() || words.contains("print-out-paths") && commands.is_none(), "{shown}");
    }
}

#[test]
fn results_pass_installed_nix() {
    check_results(None);
}

#[test]
fn results_pass_newer_nix() {
    if let Some(commands) = newer_nix() {
        check_results(Some(&commands));
    }
}

/// `nixmon shell` and `nixmon develop` watch the command that they are given to its end.
fn check_shells(commands: Option<&Path>) {
    for (words, hooks) in [
        (&["shell", "-f", "default.nix", "top", "--command", "/bin/sh", "-c", "echo here; exit 3"][..], 0),
        (&["develop", "path:.", "--command", "/bin/sh", "-c", "echo here; exit 3"], 1),
    ] {
        let Some(world) = World::of_runs(commands) else { return };
        let ran = world.nixmon(words);
        let stderr = world.text(&ran.stderr);
        let shown = format!("{words:?}\n{stderr}");
        assert_eq!(ran.status.code(), Some(3), "{shown}");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "here\n", "{shown}");
        // The report shows it once more, indented.
        assert_eq!(stderr.lines().filter(|line| *line == "the-hook-ran").count(), hooks, "{shown}");
        assert!(stderr.contains("✗ ") && !stderr.contains("✓ "), "{shown}");
        assert!(RAW.iter().all(|part| !stderr.contains(part)), "{shown}");
        let status: Value = serde_json::from_slice(&world.nixmon(&["status", "1", "--json"]).stdout).unwrap();
        assert_eq!((&status["outcome"], &status["exit_code"]), (&json!("failure"), &json!(3)), "{status}");
        // A shell without a terminal reads a script.
        let script = format!("echo 'echo here; exit 4' | {} \"$@\"", env!("CARGO_BIN_EXE_nixmon"));
        let end = words.iter().position(|word| *word == "-c").unwrap();
        let piped = world.command("sh").args(["-c", &script, "sh"]).args(&words[..end]).output().unwrap();
        let shown = world.text(&piped.stderr);
        assert_eq!((piped.status.code(), &*piped.stdout), (Some(4), &b"here\n"[..]), "{shown}");
    }
}

#[test]
fn shells_of_this_machines_nix() {
    check_shells(None);
}

#[test]
fn shells_of_a_newer_nix() {
    if let Some(commands) = newer_nix() {
        check_shells(Some(&commands));
    }
}

#[test]
fn user_settings_kept() {
    let Some(commands) = newer_nix() else { return };
    let Some(world) = World::of_runs(Some(&commands)) else { return };
    let script = "nix config show cores; nix build --no-link -f default.nix top";
    let mut command = world.command(env!("CARGO_BIN_EXE_nixmon"));
    command.args(["run", "--", "sh", "-c", script]).env("NIX_CONFIG", "cores = 7\nlog-lines = 3");
    let ran = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "7\n", "{stderr}");
    assert!(stderr.contains("✓ Complete: 2 built in "), "{stderr}");
}
