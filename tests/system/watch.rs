//! `nixmon watch` beside real build tools, none of which nixmon started.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::nix::Nix;
use crate::common::ran::Ran;
use crate::common::require::{require, unsupported};
use nixmon_history::record::RunOutcome;
use nixmon_history::store::{RunFilter, Store};
use serde_json::Value;
use tempfile::TempDir;

struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("project/src")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// A command in the project, with an environment that no build tool has touched.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.path("project")).stdin(Stdio::null());
        command
            .env("HOME", self.dir.path())
            .env("LANG", "C.UTF-8")
            .env("PATH", std::env::var_os("PATH").unwrap());
        for name in ["CARGO_HOME", "RUSTUP_HOME"] {
            let usual = std::env::home_dir()
                .unwrap()
                .join(format!(".{}", name.trim_end_matches("_HOME").to_lowercase()));
            command.env(name, std::env::var_os(name).unwrap_or_else(|| usual.into_os_string()));
        }
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(env!("CARGO_BIN_EXE_nixmon")).args(args).output().unwrap())
    }

    /// Runs a script beside a sensor. Both belong to no build: this test is part of one, of cargo's. Returns the lines of the
    /// sensor, or `None` where it does not work.
    fn beside(&self, args: &str, script: &str) -> Option<Vec<String>> {
        require("setsid")?;
        let nixmon = env!("CARGO_BIN_EXE_nixmon");
        let lock = self.path(".local/state/nixmon/watch/sensor.lock");
        let script = format!(
            "'{nixmon}' watch {args} >../told 2>../complaints & sensor=$!\n\
            until [ -s '{}' ]; do kill -0 $sensor || {{ echo none >../status; exit; }}; sleep 0.05; done\n\
            {script}\nsleep 1\nkill -TERM $sensor; wait $sensor; echo $? >../status.new; mv ../status.new ../status\n",
            lock.display()
        );
        self.write("script", &script);
        let started =
            self.command("setsid").args(["--fork", "sh", "../script"]).stderr(Stdio::null()).status();
        assert!(started.unwrap().success());
        let begun = Instant::now();
        let status = loop {
            match fs::read_to_string(self.path("status")) {
                Ok(status) if status.ends_with('\n') => break status,
                _ => assert!(begun.elapsed() < Duration::from_secs(300), "the script does not end"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let complaints = fs::read_to_string(self.path("complaints")).unwrap();
        if status == "none\n" {
            unsupported(complaints.trim());
            return None;
        }
        assert_eq!((status.as_str(), complaints.as_str()), ("0\n", ""));
        Some(fs::read_to_string(self.path("told")).unwrap().lines().map(str::to_owned).collect())
    }

    /// Describes the builds below this directory that JSON lines tell: `make bad fail 2`.
    fn builds(&self, lines: &[String]) -> Vec<String> {
        let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = records.filter(|record| {
            record["type"] == "build.completed"
                && record["directory"]
                    .as_str()
                    .is_some_and(|path| Path::new(path).starts_with(self.dir.path()))
        });
        let describe = |record: Value| {
            let number = [&record["exit_status"], &record["signal"]].into_iter().find_map(Value::as_i64);
            let number = number.map_or("?".to_owned(), |number| number.to_string());
            format!("{} {} {number}", record["label"].as_str().unwrap(), record["result"].as_str().unwrap())
        };
        own.map(describe).collect()
    }
}

const MAKEFILE: &str = "\
good: a b
a b:
\t@sleep 0.8; $(CC) --version >/dev/null
bad:
\t@sleep 0.8; exit 3
long:
\t@sleep 3
quick:
\t@true
threads:
\t@ln -sf /bin/sleep gcc; python3 -c \"$$THREADS\"
export define THREADS
import os, threading, time
threading.Thread(target=lambda: os.execv('./gcc', ['gcc', '1'])).start()
time.sleep(9)
endef
";

const THREADS: &str = "\
import ctypes, os, platform, threading, time
def last():
    time.sleep(1.2)
    os._exit(7)
threading.Thread(target=last).start()
time.sleep(1)
ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)
";

/// Tools of this machine, each with a line that has it build, and its event.
const TOOLS: [(&str, &str, &str); 10] = [
    ("make", "make -j2", "make pass 0"),
    ("make", "make bad", "make bad fail 2"),
    // make waits for its jobs and ends itself with the signal that it got. They do not get it, other than at a terminal.
    ("make", "timeout --foreground -s INT 1 make -j2 long", "make long signal 2"),
    ("cargo", "cargo --offline build --config build.jobs=1", "cargo build pass 0"),
    ("cargo", "cargo --offline test", "cargo test fail 101"),
    ("npm", "npm run build", "npm run build pass 0"),
    ("npm", "npm run fails", "npm run fails fail 7"),
    ("ninja", "ninja", "ninja fail 1"),
    // Another thread than the first executes a compiler in the place of the process.
    ("python3", "make threads", "make threads pass 0"),
    // The first thread ends with 0, and another one ends the process.
    ("python3", "python3 ./meson compile", "meson compile fail 7"),
];

fn project() -> Home {
    let home = Home::new();
    home.write("project/Makefile", MAKEFILE);
    home.write("project/Cargo.toml", "[package]\nname = \"p\"\nedition = \"2021\"\n[workspace]\n");
    // At least as long as a build has to be, however fast the machine.
    home.write("project/build.rs", "fn main() { std::thread::sleep(std::time::Duration::from_secs(1)); }\n");
    home.write("project/meson", THREADS);
    let test = "#[test]\nfn fails() { std::thread::sleep(std::time::Duration::from_secs(1)); panic!() }\n";
    home.write("project/src/main.rs", &format!("fn main() {{}}\n{test}"));
    home.write(
        "project/package.json",
        r#"{"scripts": {"build": "sleep 0.8", "fails": "sleep 0.8; exit 7"}}"#,
    );
    home.write(
        "project/build.ninja",
        "rule r\n  command = sleep 0.8; test $out = a\nbuild a: r\nbuild b: r a\n",
    );
    home
}

/// Runs the tools beside a sensor: one event each, with its result.
#[track_caller]
fn check_tools(backend: &str) {
    let home = project();
    let tools: Vec<_> = TOOLS.iter().filter(|(tool, ..)| require(tool).is_some()).collect();
    let script: Vec<&str> = tools.iter().map(|(_, line, _)| *line).collect();
    let script = format!("exec 3>../output\n{}", script.join(" >&3 2>&3\n") + " >&3 2>&3");
    let Some(lines) = home.beside(&format!("--engage all --json --backend {backend}"), &script) else {
        return;
    };
    let expected: Vec<&str> = tools.iter().map(|(.., event)| *event).collect();
    let output = fs::read_to_string(home.path("output")).unwrap_or_default();
    let mut found = home.builds(&lines);
    if backend == "proc" {
        // A result that is not known is said to be, and no other is wrong.
        assert_eq!(found.len(), expected.len(), "{backend}: {found:?}");
        for (found, expected) in found.iter_mut().zip(&expected) {
            if let Some(label) = found.strip_suffix(" unknown ?")
                && expected.starts_with(label)
            {
                *found = (*expected).to_owned();
            }
        }
    }
    assert_eq!(found, expected, "{backend}: {output}");
    is_valid(&lines);
}

#[test]
fn real_tools_by_connector() {
    check_tools("connector");
}

#[test]
fn real_tools_by_pidfd() {
    check_tools("pidfd");
}

#[test]
fn real_tools_by_proc() {
    check_tools("proc");
}

/// Checks lines against the documented schema.
fn is_valid(lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(!lines.is_empty());
    for line in lines {
        let record: Value = serde_json::from_str(line).unwrap();
        let errors: Vec<_> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{line}: {errors:?}");
    }
}

/// A derivation whose builder runs make, which is no build of its own.
const DERIVATIONS: &str = r#"
let
  build = name: target: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "make -f ${./project/Makefile} ${target} && echo >$out" ];
    PATH = builtins.getEnv "PATH";
  };
in { good = build "good" "good"; bad = build "bad" "bad"; }
"#;

#[test]
fn builds_of_a_daemon_are_those_of_its_clients() {
    if require("nix-daemon").is_none() {
        return;
    }
    for backend in ["connector", "pidfd"] {
        let Some(nix) = Nix::new() else { return };
        let home = project();
        home.write("all.nix", DERIVATIONS);
        let socket = home.path("daemon.sock");
        let variables = nix.command("nix");
        let variables = variables.get_envs().filter_map(|(name, value)| {
            let (name, value) = (name.to_str()?, value?.to_str()?);
            name.starts_with("NIX_").then(|| format!("{name}='{value}'"))
        });
        let variables: Vec<String> = variables.collect();
        let script = format!(
            "export {variables} NIX_DAEMON_SOCKET_PATH='{socket}' TMPDIR='{temp}' PATH\n\
            nix-daemon >../daemon 2>&1 & daemon=$!\n\
            until [ -S '{socket}' ]; do kill -0 $daemon || break; sleep 0.05; done\n\
            export NIX_REMOTE='unix://{socket}'\n\
            nix build --file ../all.nix --no-link good >../output 2>&1\n\
            nix-build --no-out-link ../all.nix -A bad >>../output 2>&1; echo $? >../failed\n\
            kill $daemon; wait $daemon",
            variables = variables.join(" "),
            socket = socket.display(),
            temp = home.dir.path().display(),
        );
        let Some(lines) = home.beside(&format!("--engage all --json --backend {backend}"), &script) else {
            continue;
        };
        let output = ["output", "daemon"].map(|name| fs::read_to_string(home.path(name)).unwrap_or_default());
        // 1 or 100, by the version.
        let failed = fs::read_to_string(home.path("failed")).unwrap();
        assert_ne!(failed, "0\n", "{output:?}");
        let expected = ["nix build pass 0", &format!("nix-build fail {}", failed.trim())];
        assert_eq!(home.builds(&lines), expected, "{backend}: {output:?}");
    }
}

#[test]
fn the_history_learns_each_build_once() {
    let home = project();
    home.write(".config/nixmon/config.toml", "[watch]\nhistory = true\n");
    let nixmon = env!("CARGO_BIN_EXE_nixmon");
    // A word by which they are told from builds elsewhere on this machine.
    let own = format!("OWN={}", home.dir.path().file_name().unwrap().to_str().unwrap());
    // Two sensors, one of which keeps journal and history. A run of nixmon writes its own.
    let script = format!(
        "'{nixmon}' watch --engage all --json >/dev/null 2>../second & second=$!\n\
        until [ -s ../second ]; do kill -0 $second || break; sleep 0.05; done\n\
        {{ make -j2 good {own}; make bad {own}; timeout --foreground -s INT 1 make long {own}; }} >/dev/null 2>&1\n\
        '{nixmon}' run --output quiet -- make -j3 bad {own} 2>/dev/null\n\
        sleep 1; kill $second; wait $second"
    );
    if home.beside("--engage all --json", &script).is_none() {
        return;
    }
    let second = fs::read_to_string(home.path("second")).unwrap();
    assert!(second.contains("another sensor is running"), "{second}");
    let store = Store::open_read_only(&home.path(".local/state/nixmon/history.db")).unwrap();
    let mut runs = store.runs(&RunFilter::default()).unwrap();
    runs.sort_by(|a, b| a.record.started.cmp(&b.record.started));
    let found: Vec<_> = runs
        .iter()
        .map(|run| &run.record)
        .filter_map(|run| {
            let target = run.target.as_deref()?.strip_suffix(&own)?.trim_end();
            let elapsed = run.elapsed_ms.unwrap();
            assert!((700..20_000).contains(&elapsed), "{run:?}");
            let source = run.source.as_deref().unwrap_or("run");
            Some((target, run.tool_jobs, run.outcome, source))
        })
        .collect();
    use RunOutcome::{Cancelled, Failure, Success};
    let expected = [
        ("make good", Some(2), Success, "sensor"),
        ("make bad", None, Failure, "sensor"),
        ("make long", None, Cancelled, "sensor"),
        ("make bad", Some(3), Failure, "run"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_build_has_no_event() {
    let home = project();
    let nixmon = env!("CARGO_BIN_EXE_nixmon");
    // Too short, a question, and runs that nixmon watches itself; then one that is seen.
    let script = format!(
        "make quick\nmake -n good\n'{nixmon}' run --output quiet -- make bad 2>/dev/null\n\
        '{nixmon}' start -- make bad >/dev/null; '{nixmon}' wait >/dev/null\n\
        make good DEPLOY_TOKEN=abc >/dev/null"
    );
    let Some(lines) = home.beside("--engage all --json", &script) else { return };
    assert_eq!(home.builds(&lines), ["make good pass 0"]);
    let all = lines.join("\n");
    assert!(all.contains("make good DEPLOY_TOKEN=…") && !all.contains("abc"), "{all}");
    let journal = fs::read_to_string(home.path(".local/state/nixmon/watch/events.jsonl")).unwrap();
    let lines: Vec<String> = journal.lines().map(str::to_owned).collect();
    assert_eq!(home.builds(&lines), ["make good pass 0"]);
    assert!(!journal.contains("abc"));
    is_valid(&lines);
    let mode =
        fs::metadata(home.path(".local/state/nixmon/watch/events.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn transitions_are_told_as_lines_and_to_the_hook() {
    let home = project();
    let hook = "cat >>../hooked; echo $NIXMON_RESULT $NIXMON_EXIT_STATUS >>../words";
    let script = "{ make good; make bad; make bad; make bad FIX=1; make good; } >/dev/null 2>&1";
    let Some(lines) = home.beside(&format!("--hook '{hook}'"), script) else { return };
    let project = fs::canonicalize(home.path("project")).unwrap();
    let own: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains(&*project.to_string_lossy()) || line.contains("~/project"))
        .collect();
    assert_eq!(own.len(), 1, "{lines:?}");
    assert!(own[0].starts_with("✗ make bad failed, exit 2, after "), "{own:?}");
    let words = fs::read_to_string(home.path("words")).unwrap();
    assert!(words.lines().any(|line| line == "fail 2"), "{words}");
    let hooked = fs::read_to_string(home.path("hooked")).unwrap();
    let hooked: Vec<String> = hooked.lines().map(str::to_owned).collect();
    assert_eq!(home.builds(&hooked), ["make bad fail 2"]);
}

/// A session of an interactive shell with its hook: without a sensor, and beside one that sees no results.
#[track_caller]
fn check_shell(shell: &str, start: &str) {
    // fish runs its hook at a terminal only.
    if [shell, "script"].iter().any(|tool| require(tool).is_none()) {
        return;
    }
    let home = project();
    let hook = home.run(&["watch", "--shell-hook", shell]);
    hook.check(0, &["nixmon watch --report"]);
    home.write("hook", &hook.out);
    let bin = Path::new(env!("CARGO_BIN_EXE_nixmon")).parent().unwrap();
    // Typed as a user would: a line when the one before is done.
    let session = format!(
        "export PATH='{}':\"$PATH\" TERM=dumb HISTCONTROL=ignoredups\n\
        type_lines() {{ echo 'source ../hook'; sleep 1; while read -r line; do echo \"$line\"; sleep 1.6; done; }}\n\
        type_lines <<'END' | script -qec '{start}' /dev/null >../output 2>&1\n\
        make bad\nmake bad\nmake quick\nmake -n good\ntrue && make good\nmake bad | cat\nexit\nEND\n",
        bin.display()
    );
    // Without a sensor.
    let journal = home.path(".local/state/nixmon/watch/events.jsonl");
    assert!(home.command("sh").args(["-c", &session]).status().unwrap().code().is_some());
    let begun = Instant::now();
    // Which of several commands of a line gave the status is not known.
    let expected = ["make bad fail 2", "make bad fail 2", "make bad unknown ?", "make good pass 0"];
    // A repeated build may be told later.
    let sorted = |mut builds: Vec<String>| {
        builds.sort();
        builds
    };
    loop {
        let text = fs::read_to_string(&journal).unwrap_or_default();
        let found = sorted(home.builds(&text.lines().map(str::to_owned).collect::<Vec<_>>()));
        if found == expected {
            break;
        }
        let output = fs::read_to_string(home.path("output")).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "{shell}: {found:?}: {output}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // A sensor that sees no results gets them from the shell, and tells each build once.
    let script = format!("{session}\nsleep 6");
    let Some(lines) = home.beside("--engage all --json --backend proc", &script) else { return };
    assert_eq!(sorted(home.builds(&lines)), expected, "{shell}");
}

#[test]
fn bash_reports_where_no_sensor_has_results() {
    check_shell("bash", "bash --norc -i");
}

#[test]
fn zsh_reports_where_no_sensor_has_results() {
    check_shell("zsh", "zsh -f -i");
}

#[test]
fn fish_reports_where_no_sensor_has_results() {
    check_shell("fish", "fish --no-config -i");
}

#[test]
fn marker_files_are_builds_of_elsewhere() {
    let home = project();
    home.write(".config/nixmon/config.toml", "[watch.markers]\ndeploy = \"~/deploy.status\"\n");
    let Some(lines) = home.beside("--engage all --backend marker", "echo 3 >../deploy.status; sleep 3")
    else {
        return;
    };
    assert_eq!(lines, ["✗ deploy failed, exit 3 (~)"]);
}

#[test]
fn choices_for_directories() {
    let home = project();
    let project = fs::canonicalize(home.path("project")).unwrap();
    home.run(&["watch", "engage", ".", "off"]).check(0, &[]);
    home.run(&["watch", "engage"])
        .check(0, &["off          ", &project.to_string_lossy(), "everywhere else"]);
    home.run(&["watch", "engage", "missing", "off"]).check(66, &["missing: No such file"]);
    home.run(&["watch", "engage", ".", "default"]).check(0, &[]);
    let listed = home.run(&["watch", "engage"]);
    assert_eq!(listed.out, "transitions  everywhere else\n");
}

#[test]
fn the_ways_are_explained_and_forced() {
    let home = project();
    home.run(&["watch", "--explain", "--backend", "proc"]).check(0, &["proc: used", "connector: not used"]);
    home.run(&["watch", "--explain", "--backend", "marker"]).check(71, &["[watch.markers] names none"]);
    home.run(&["watch", "--backend", "marker"]).check(71, &["no way to see builds works here"]);
    home.run(&["watch", "--backend", "magic"]).check(2, &["invalid value"]);
}

#[test]
fn a_unit_is_installed() {
    let home = project();
    let installed = home.run(&["watch", "--install", "--engage", "all", "--hook", "echo \"$HOME\" 100%"]);
    installed.check(0, &["wrote ", "start it with: "]);
    let path = match cfg!(target_os = "macos") {
        true => home.path("Library/LaunchAgents/nixmon.watch.plist"),
        false => home.path(".config/systemd/user/nixmon-watch.service"),
    };
    let unit = fs::read_to_string(&path).unwrap();
    assert!(unit.contains("--engage=all") && unit.contains(env!("CARGO_BIN_EXE_nixmon")), "{unit}");
    if cfg!(target_os = "linux") && require("systemd-analyze").is_some() {
        let verified = home
            .command("systemd-analyze")
            .args(["--user", "verify"])
            .arg(&path)
            .env("XDG_RUNTIME_DIR", home.dir.path())
            .output()
            .unwrap();
        Ran::of(verified).check(0, &[]);
    }
    home.run(&["watch", "--uninstall"]).check(0, &["removed ", "stop it with: "]);
    assert!(!path.exists());
    home.run(&["watch", "--uninstall"]).check(66, &["there is no unit"]);
}

/// A service manager in namespaces of its own, in which the unit is installed, used and removed.
const SERVICE: &str = r#"
set -e
mount -t tmpfs none /run && mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
dbus-daemon --session --address="$DBUS_SESSION_BUS_ADDRESS" --nofork >../bus 2>&1 & bus=$!
"$SYSTEMD" --user --log-target=console >../manager 2>&1 & manager=$!
for n in $(seq 100); do systemctl --user show-environment >/dev/null 2>&1 && break; sleep 0.1; done
systemctl --user show-environment >/dev/null || exit 77
"$NIXMON" watch --install --engage all --hook "(echo \"\$HOME\" 100%; cat) >>\"\$HOME/hooked\""
systemctl --user daemon-reload && systemctl --user enable --now nixmon-watch
until [ -s "$HOME/.local/state/nixmon/watch/sensor.lock" ]; do sleep 0.1; done
sleep 0.5
make bad || true
for n in $(seq 50); do [ -s ~/hooked ] && break; sleep 0.1; done
"$NIXMON" watch --uninstall
systemctl --user stop nixmon-watch && systemctl --user daemon-reload
! systemctl --user is-active nixmon-watch
kill $manager $bus
"#;

#[test]
fn a_unit_is_a_service_of_systemd() {
    let tools = ["unshare", "dbus-daemon", "systemctl"].map(require);
    let manager = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let (true, Some(manager)) = (tools.iter().all(Option::is_some), manager) else { return };
    if !rustix::process::geteuid().is_root() {
        unsupported("only root has namespaces for a service manager everywhere");
        return;
    }
    let home = project();
    let runtime = home.path("runtime");
    let output = home
        .command("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "timeout", "60", "sh", "-c", SERVICE])
        .env("NIXMON", env!("CARGO_BIN_EXE_nixmon"))
        .env("SYSTEMD", manager)
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/bus", runtime.display()))
        .output()
        .unwrap();
    let said = fs::read_to_string(home.path("manager")).unwrap_or_default();
    let output = Ran::of(output);
    if output.code == Some(77) {
        unsupported(&format!("no service manager of a user: {said}"));
        return;
    }
    output.check(0, &["wrote ", "removed "]);
    let hooked = fs::read_to_string(home.path("hooked")).unwrap_or_default();
    let (words, record) = hooked.split_once('\n').unwrap_or_default();
    assert_eq!(words, format!("{} 100%", home.dir.path().display()), "{said}");
    assert_eq!(home.builds(&[record.trim().to_owned()]), ["make bad fail 2"]);
    assert!(!home.path(".config/systemd/user/default.target.wants/nixmon-watch.service").exists());
}
