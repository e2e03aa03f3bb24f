//! Builds that are not Nix, by make and the compiler of this machine: progress, causes, the history, replays; and a derivation
//! whose builder is a build tool.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::home::at_home;
use crate::common::nix::Nix;
use crate::common::ran::Ran;
use crate::common::require::require;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Sources of a project.
const N_FILES: usize = 24;

struct Project {
    dir: TempDir,
}

impl Project {
    /// A project in C of many files, with a Makefile and a script for ninja's and other lines.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        for n in 0..N_FILES {
            let text = format!("int f{n}(int x)\n{{\n    return x + {n};\n}}\n");
            write(&format!("src/f{n}.c"), &text);
        }
        write("src/main.c", "int f0(int);\nint main(void)\n{\n    return f0(0);\n}\n");
        write(
            "Makefile",
            "OBJ := $(patsubst %.c,%.o,$(wildcard src/*.c))\napp: $(OBJ)\n\t$(CC) -o $@ $(OBJ)\n%.o: %.c\n\t$(CC) -Wall -c -o $@ $<\n\
             clean:\n\trm -f app src/*.o\n",
        );
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        at_home(Command::new(env!("CARGO_BIN_EXE_nixmon")), self.path(), args)
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    fn summary(&self, run: &str) -> Value {
        let replayed = self.run(&["replay", run, "--output", "json"]);
        serde_json::from_str(replayed.out.lines().next_back().unwrap()).unwrap()
    }
}

/// Returns whether this machine has make and a C compiler.
fn has_compiler() -> bool {
    require("make").is_some() && require("cc").is_some()
}

#[test]
fn make_is_followed_to_its_end() {
    if !has_compiler() {
        return;
    }
    let project = Project::new();
    let ran = project.run(&["run", "--", "make", "-j2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let status: Value = serde_json::from_str(&project.run(&["status", "--json"]).out).unwrap();
    let work = &status["work"][0];
    assert_eq!(
        (&work["scope"], &work["tool"], &work["percent"]),
        (&Value::Null, &json!("make"), &json!(100.0))
    );
    assert_eq!(work["done"], N_FILES + 2, "{work}");
    // What was compiled is the past of the next run, with the jobs of its command line.
    let exported = project.run(&["history", "export"]).out;
    let rows: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| rows.iter().filter(|row| row["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("run")[0]["tool_jobs"], 2);
    assert_eq!(of("unit").iter().filter(|unit| unit["stage"] == "compile").count(), N_FILES + 1);
    assert!(of("unit").iter().any(|unit| unit["file"] == "src/f7.c"));
    project.run(&["run", "--", "make", "clean"]);
    let again = project.run(&["run", "--", "make", "-j2"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    let recorded = project.run(&["log", "3", "--raw"]).out;
    assert!(recorded.contains("-c -o src/f7.o src/f7.c"), "{recorded}");
    // Its recording has the past that was known then.
    assert_eq!(project.summary("3")["work"][0]["total"], Value::Null);
    let replayed = project.run(&["replay", "3", "--output", "json", "--snapshots", "1"]).out;
    assert!(replayed.contains("\"estimated\":"), "{replayed}");
}

#[test]
fn jobs_come_from_the_environment_too() {
    if !has_compiler() {
        return;
    }
    let project = Project::new();
    let out = project.command(&["run", "--", "make"]).env("MAKEFLAGS", "-j3").output().unwrap();
    assert!(out.status.success());
    let exported = project.run(&["history", "export"]).out;
    let run = exported.lines().find(|line| line.contains("\"type\":\"run\"")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(run).unwrap()["tool_jobs"], 3);
}

#[test]
fn a_compile_error_of_make_is_in_the_first_lines_of_the_report() {
    if !has_compiler() {
        return;
    }
    let project = Project::new();
    fs::write(project.path().join("src/f7.c"), "int f7(int x)\n{\n    return undefined_name;\n}\n").unwrap();
    let ran = project.run(&["run", "--", "make", "-j2"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let report: Vec<&str> = ran.err.lines().skip_while(|line| !line.contains('✗')).take(3).collect();
    assert!(report[0].contains("Build failed"), "{report:?}");
    assert!(report[1].starts_with("  src/f7.c:3:12: ") && report[1].contains("undefined_name"), "{report:?}");
    assert!(report[2].contains("target src/f7.o"), "{report:?}");
    let failure = &project.summary("1")["failures"][0];
    assert_eq!((&failure["kind"], &failure["target"]), (&json!("compile-error"), &json!("src/f7.o")));
    assert_eq!(failure["location"], json!({"file": "src/f7.c", "line": 3, "column": 12}));
}

#[test]
fn a_link_error_of_make_is_in_the_first_lines_of_the_report() {
    if !has_compiler() {
        return;
    }
    let project = Project::new();
    fs::write(
        project.path().join("src/main.c"),
        "int nowhere(int);\nint main(void)\n{\n    return nowhere(0);\n}\n",
    )
    .unwrap();
    let ran = project.run(&["run", "--", "make", "-j2"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    let report: Vec<&str> = ran.err.lines().skip_while(|line| !line.contains('✗')).take(3).collect();
    assert!(report.iter().any(|line| line.contains("undefined reference to `nowhere'")), "{report:?}");
    assert_eq!(project.summary("1")["failures"][0]["kind"], "link-error");
}

#[test]
fn text_that_only_looks_like_a_build_is_none() {
    let project = Project::new();
    let script =
        "echo '[99/100] of all users agree'; echo 'a.c:1:1: error: none of mine'; echo '100% of it'; exit 0";
    let ran = project.run(&["run", "--", "sh", "-c", script]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("✓ Complete"), "{}", ran.err);
    let summary = project.summary("1");
    assert_eq!(
        (&summary["outcome"], &summary["failures"], &summary["work"]),
        (&json!("success"), &json!([]), &json!([]))
    );
}

#[test]
fn a_filter_follows_a_build_and_records_its_project() {
    let project = Project::new();
    let script = project.path().join("build.sh");
    let lines: String =
        (1..=9).map(|n| format!("echo '[{n}/9] Building C object CMakeFiles/x.dir/f{n}.c.o'\n")).collect();
    fs::write(&script, format!("#!/bin/sh\n{lines}")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let out = Command::new(&script).output().unwrap();
    let mut child = project
        .command(&["--output", "json", "--record", "r.nixrec"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &out.stdout).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    let summary: Value = serde_json::from_str(ran.out.lines().next_back().unwrap()).unwrap();
    assert_eq!((&summary["work"][0]["tool"], &summary["work"][0]["done"]), (&json!("ninja"), &json!(9)));
    let replayed = project.run(&["replay", "r.nixrec", "--output", "json"]).out;
    let summary: Value = serde_json::from_str(replayed.lines().next_back().unwrap()).unwrap();
    assert_eq!(summary["work"][0]["total"], 9);
}

/// A derivation whose builder prints what ninja prints, and fails in the end if it is to.
const EXPRESSION: &str = r#"{ fails ? false }: derivation {
  name = "app-1.0";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" ''
    i=0
    while [ $i -lt 20 ]; do
      i=$((i + 1))
      echo "[$i/40] Building C object CMakeFiles/app.dir/f$i.c.o"
    done
    read line < "$gate"
    ${if fails then ''
      echo "FAILED: CMakeFiles/app.dir/f21.c.o"
      echo "cc -o CMakeFiles/app.dir/f21.c.o -c /src/f21.c"
      echo "/src/f21.c:3:5: error: unknown type name 'thing'"
      echo "ninja: build stopped: subcommand failed."
      exit 1
    '' else "echo done > $out"}
  '' ];
  gate = builtins.getEnv "GATE";
}"#;

/// The builder waits at a gate until its progress was seen, so that no time matters.
fn build_at_a_gate(nix: &Nix, fails: bool) -> (Value, String, Value) {
    let root = nix.root();
    fs::write(root.join("default.nix"), EXPRESSION).unwrap();
    let gate = root.join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let nixmon = |words: &[&str]| {
        let mut command = nix.command(env!("CARGO_BIN_EXE_nixmon"));
        command.args(words).current_dir(root).env("GATE", &gate).env("LANG", "C.UTF-8");
        command.env("XDG_STATE_HOME", root.join("state"));
        command
    };
    let fails = if fails { "true" } else { "false" };
    let words = ["start", "--", "nix-build", "--no-out-link", "--arg", "fails", fails, "default.nix"];
    assert!(nixmon(&words).output().unwrap().status.success());
    let status = || -> Value {
        serde_json::from_slice(&nixmon(&["status", "--json"]).output().unwrap().stdout).unwrap()
    };
    let mut seen = status();
    for _ in 0..1200 {
        if seen["work"][0]["done"] == 20 || seen["state"] == "ended" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        seen = status();
    }
    // Nobody would open the gate's other end.
    assert_ne!(seen["state"], "ended", "{seen}");
    fs::write(&gate, "go\n").unwrap();
    let waited = Ran::of(nixmon(&["wait"]).output().unwrap());
    let replayed = Ran::of(nixmon(&["replay", "1", "--output", "json"]).output().unwrap());
    let summary = serde_json::from_str(replayed.out.lines().next_back().unwrap()).unwrap();
    (seen, format!("{}{}", waited.out, waited.err), summary)
}

#[test]
fn a_derivation_that_ninja_builds_is_followed() {
    let Some(nix) = Nix::new() else { return };
    let (seen, _, summary) = build_at_a_gate(&nix, false);
    let work = &seen["work"][0];
    assert!(work["scope"].as_str().unwrap().ends_with("-app-1.0.drv"), "{seen}");
    assert_eq!((&work["tool"], &work["done"], &work["total"]), (&json!("ninja"), &json!(20), &json!(40)));
    assert_eq!(work["current"], "f20.c");
    assert_eq!((&summary["outcome"], &summary["failures"]), (&json!("success"), &json!([])));
}

#[test]
fn a_failed_derivation_has_the_compilers_error() {
    let Some(nix) = Nix::new() else { return };
    let (_, report, summary) = build_at_a_gate(&nix, true);
    let failure = &summary["failures"][0];
    assert_eq!((&failure["kind"], &failure["name"]), (&json!("builder-failed"), &json!("app-1.0")));
    assert_eq!(failure["location"], json!({"file": "/src/f21.c", "line": 3, "column": 5}));
    assert_eq!(failure["target"], "CMakeFiles/app.dir/f21.c.o");
    assert_eq!((&failure["package"], &failure["exit_status"]), (&json!("app"), &json!(1)));
    assert!(report.contains("f21.c:3:5"), "{report}");
}
