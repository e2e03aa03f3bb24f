//! A command below `nixmon run` is as it is below a shell: each case runs twice, with and without nixmon, and both have
//! the same exit status, standard output and files. What differs, and has to, is stated in a table of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "a test starts processes and reads files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::require::require;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing of this takes longer, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Scripts that a shell must run alike with `$N` empty and `$N` as `nixmon run --`.
const SAME: [(&str, &str); 79] = [
    // Exit statuses.
    ("status 0", "$N true"),
    ("status 1", "$N false"),
    ("status 2", "$N sh -c 'exit 2'"),
    ("status 3", "$N sh -c 'exit 3'"),
    ("status 100", "$N sh -c 'exit 100'"),
    ("status 126", "$N sh -c 'exit 126'"),
    ("status 127", "$N sh -c 'exit 127'"),
    ("status 255", "$N sh -c 'exit 255'"),
    ("not found", "$N no-such-command-anywhere"),
    ("no such path", "$N ./no/such/path"),
    ("no name", "$N ''"),
    ("not executable", "echo exit 3 >script; $N ./script"),
    ("a directory", "mkdir dir; $N ./dir"),
    ("a script", "printf '#!/bin/sh\nexit 4\n' >script; chmod +x script; $N ./script"),
    ("a script without #!", "printf 'echo \"$0 $1\"; exit 4\n' >script; chmod +x script; $N ./script 'a b'"),
    (
        "a script without #! on PATH",
        "mkdir bin; printf 'echo \"$1\"; exit 4\n' >bin/script; chmod +x bin/script; PATH=$PWD/bin:$PATH; $N script 'a b'",
    ),
    ("an interpreter that is not there", "printf '#!/no/such\n' >script; chmod +x script; $N ./script"),
    ("killed by TERM", "$N sh -c 'kill -TERM $$'"),
    ("killed by KILL", "$N sh -c 'kill -KILL $$'"),
    ("killed by INT", "$N sh -c 'kill -INT $$'"),
    ("killed by SEGV", "ulimit -c 0; $N sh -c 'kill -SEGV $$'"),
    ("killed by PIPE", "$N sh -c 'kill -PIPE $$'"),
    ("killed by ABRT", "ulimit -c 0; $N sh -c 'kill -ABRT $$'"),
    ("killed by a real-time signal", "$N sh -c 'kill -40 $$'"),
    ("a trap on exit", "$N sh -c 'trap \"echo bye\" EXIT; exit 6'"),
    ("&& and ||", "$N true && echo yes || echo no; $N false && echo yes || echo no"),
    ("set -e", "set -e; $N sh -c 'exit 9'; echo not here"),
    // Standard input.
    ("stdin piped", "printf 'one\ntwo' | $N cat"),
    ("stdin empty", ": | $N cat"),
    ("stdin /dev/null", "$N cat </dev/null"),
    ("stdin from a file", "printf x >in; $N cat <in"),
    ("stdin of 1 MB", "head -c 1000000 /dev/zero | tr '\\0' x | $N cat"),
    ("stdin not read", "head -c 1000000 /dev/zero | $N echo done"),
    ("stdin shared", "printf 'one\ntwo\nthree\n' | { $N sh -c 'read x; echo \"got $x\"'; cat; }"),
    ("stdin in a loop", "printf '1\n2\n' | while read n; do $N echo \"$n\"; done"),
    ("a here document", "$N cat <<END\n$((1 + 1))\nEND\n"),
    // Output.
    ("binary", "$N printf '\\000\\001\\377\\033[31m\\r\\n\\200'"),
    ("NUL bytes", "$N head -c 70000 /dev/zero"),
    ("no final newline", "$N printf x"),
    ("nothing", "$N :; $N true"),
    ("10 MB", "$N sh -c 'head -c 10000000 /dev/zero | tr \"\\\\0\" y' | cksum"),
    ("many lines", "$N seq 300000 | cksum"),
    ("a line of 1 MB", "$N sh -c 'head -c 1000000 /dev/zero | tr \"\\\\0\" z; echo' | cksum"),
    ("stdout closed by itself", "$N sh -c 'echo before; exec >&-; sleep 0.1; exit 5'"),
    ("both closed by itself", "$N sh -c 'exec >&- 2>&-; echo x 2>out || echo failed >out; exit 5'"),
    ("stderr closed", "$N sh -c 'echo out; echo err >&2; exit 5' 2>&-"),
    ("stderr to /dev/full", "$N sh -c 'echo out; exit 5' 2>/dev/full"),
    ("stdout to a file", "$N sh -c 'echo out; echo err >&2' >file 2>/dev/null; echo more >>file"),
    ("stdout appended", "echo first >file; $N echo second >>file"),
    ("stdout of a substitution", "x=$($N printf 'a\n\n b\n\n'); echo \"<$x>\""),
    ("streams swapped by itself", "$N sh -c 'echo out >&2; echo err' 2>/dev/null"),
    // Inheritance.
    (
        "the environment",
        "env -i A= B=\"$(printf '\\377\\n=x')\" PATH=\"$PATH\" HOME=\"$HOME\" $N env -0 | sort -z",
    ),
    ("a user's NIX_CONFIG", "NIX_CONFIG='cores = 3' $N sh -c 'printf %s \"$NIX_CONFIG\" | head -n 1'"),
    ("the directory", "mkdir -p 'a b'; cd 'a b'; $N pwd"),
    ("a directory that is gone", "mkdir gone; cd gone; rmdir ../gone; $N echo here"),
    ("umask", "umask 027; $N sh -c 'umask; >made; stat -c %a made'"),
    ("nice", "nice -n 5 $N nice"),
    ("ulimit", "ulimit -n 200; ulimit -c 0; $N sh -c 'ulimit -n; ulimit -c; ulimit -s; ulimit -u'"),
    ("arguments", "$N printf '<%s>' '' 'a b' '*' \"$(printf '\\377\\n')\" -- -x '$N' '\"'"),
    ("options are the command's", "$N sh -c 'echo \"$@\"' -- --output json -h --version"),
    ("argv[0]", "$N sh -c 'tr \"\\0\" \" \" </proc/$$/cmdline'"),
    ("file descriptor 3", "$N sh -c 'echo more >&3; ls -l /proc/self/fd/3 >/dev/null' 3>three"),
    ("file descriptors 3 and 9", "echo in >in; $N sh -c 'cat <&3; echo nine >&9' 3<in 9>nine"),
    (
        "no others",
        "$N sh -c 'for fd in /proc/$$/fd/*; do n=${fd##*/}; [ $n -gt 2 -a $n -ne 10 ] && echo $n; done; true'",
    ),
    ("SIGHUP ignored", "trap '' HUP; $N sh -c 'kill -HUP $$; echo lives'"),
    ("SIGINT ignored", "trap '' INT QUIT; $N sh -c 'kill -INT $$; kill -QUIT $$; echo lives'"),
    (
        "SIGUSR1 and SIGTSTP ignored",
        "trap '' USR1 TSTP WINCH; $N grep SigIgn /proc/self/status >ign; \
      n=0x$(cut -f 2 ign); rm ign; echo $((n & 0x8080200))",
    ),
    ("nohup", "nohup $N sh -c 'kill -HUP $$; echo lives' 2>/dev/null"),
    // Without those above 31, of which the C library has some for itself.
    (
        "signals are neither blocked nor ignored",
        "$N sed -n '/SigBlk/p; s/SigIgn:.*\\(.......\\)/\\1/p' /proc/self/status",
    ),
    // Processes below it.
    ("a pipeline", "$N sh -c 'seq 1000 | grep 7 | wc -l'"),
    ("exec", "$N sh -c 'exec echo same'"),
    ("a shell that becomes it", "exec $N sh -c 'echo same; exit 8'"),
    ("env, nice and timeout before it", "$N env X=1 nice -n 1 timeout 20 sh -c 'echo $X; exit 4'"),
    ("timeout fires", "$N timeout -s KILL 0.1 sleep 20"),
    ("nested", "$N $N sh -c 'echo in; cat; exit 9' </dev/null"),
    (
        "a child that reads on",
        "$N sh -c '(sleep 0.1; cat >copy; >done) & exit 3' </dev/null; s=$?; \
      until [ -e done ]; do sleep 0.02; done; exit $s",
    ),
    (
        "one that stops itself",
        "$N sh -c '(until grep -q \"State:.T\" /proc/$$/status; do sleep 0.02; done; kill -CONT $$) & kill -STOP $$; wait; \
         echo continued; exit 7'",
    ),
    ("at once", "for i in 1 2 3 4; do $N sh -c \"echo $i >$i; exit $i\" & done; wait; ls"),
    ("many one after another", "for i in 1 2 3 4 5 6; do $N sh -c \"exit $i\"; echo $?; done"),
];

/// The file that is waited for, and the signal that is then sent.
type Signals = &'static [(&'static str, Signal)];

/// Signals to what runs the command, while it does: the script waits in `up`, and in `up2` if there is a second one.
const SIGNALLED: [(&str, &str, Signals); 8] = [
    (
        "INT is handled",
        "exec $N sh -c 'trap \"exit 7\" INT; >up; while :; do sleep 0.05; done'",
        &[("up", Signal::INT)],
    ),
    (
        "INT is not handled",
        "exec $N sh -c 'echo a; >up; while :; do sleep 0.05; done'",
        &[("up", Signal::INT)],
    ),
    (
        "TERM",
        "exec $N sh -c 'trap \"echo bye; exit 3\" TERM; >up; while :; do sleep 0.05; done'",
        &[("up", Signal::TERM)],
    ),
    ("TERM is not handled", "exec $N sh -c 'echo a; >up; exec sleep 20'", &[("up", Signal::TERM)]),
    (
        "HUP",
        "exec $N sh -c 'trap \"echo bye; exit 4\" HUP; >up; while :; do sleep 0.05; done'",
        &[("up", Signal::HUP)],
    ),
    (
        "QUIT",
        "exec $N sh -c 'trap \"echo bye; exit 5\" QUIT; >up; while :; do sleep 0.05; done'",
        &[("up", Signal::QUIT)],
    ),
    (
        "HUP is ignored, then TERM",
        "trap '' HUP; exec $N sh -c 'trap \"exit 6\" TERM; >up; >up2; while :; do sleep 0.05; done'",
        &[("up", Signal::HUP), ("up2", Signal::TERM)],
    ),
    (
        "HUP and TERM are both handled",
        "exec $N sh -c 'trap \">up2\" HUP; trap \"echo end; exit 6\" TERM; >up; while :; do sleep 0.05; done'",
        &[("up", Signal::HUP), ("up2", Signal::TERM)],
    ),
];

/// Differences with their reasons, and status and standard output without nixmon and with it.
const DIFFERENT: [(&str, &str, Outcome, Outcome); 7] = [
    (
        "a reader that has gone ends no build",
        "$N sh -c 'seq 200000; echo $? >status' | head -n 1; while [ ! -e status ] && [ -z \"$D\" ]; do sleep 0.02; done",
        (0, "1\n"),
        (0, "1\n"),
    ),
    (
        "a full disk behind our stdout ends no build",
        "$N sh -c 'echo x 2>/dev/null; exit $?' >/dev/full",
        (1, ""),
        (0, ""),
    ),
    ("a closed stdin is an empty one", "$N cat <&- 2>/dev/null", (1, ""), (0, "")),
    ("a closed stdout is one that nobody reads", "$N sh -c 'echo x' 2>/dev/null >&-", (1, ""), (0, "")),
    (
        "what a child prints when the run is over is dropped, and the child lives",
        "$N sh -c '(trap \"\" HUP; until [ -e go ]; do sleep 0.02; done; echo late; echo $? >late) & echo first' >out; \
         >go; until [ -s late ]; do sleep 0.02; done; cat out late",
        (0, "first\nlate\n0\n"),
        (0, "first\n0\n"),
    ),
    (
        "so with one that has left the session",
        "$N sh -c 'setsid sh -c \"until [ -e go ]; do sleep 0.02; done; echo late; echo \\$? >late\" & echo first' >out; \
         >go; until [ -s late ]; do sleep 0.02; done; cat out late",
        (0, "first\nlate\n0\n"),
        (0, "first\n0\n"),
    ),
    (
        "the command leads a process group",
        "$N sh -c 'set -- $(cat /proc/$$/stat); [ $1 = $5 ]'",
        (1, ""),
        (0, ""),
    ),
];

type Outcome = (i32, &'static str);

/// The results of a script.
#[derive(PartialEq, Eq)]
struct Left {
    /// As a shell has it: 128 and the number of the signal.
    status: i32,
    stdout: Vec<u8>,
    /// By path; a directory has no content.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    stderr: String,
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]);
            format!("{} bytes: {shown:?}", bytes.len())
        };
        writeln!(f, "status {}, stdout {}", self.status, text(&self.stdout))?;
        for (path, content) in &self.files {
            writeln!(
                f,
                "{}: {}",
                path.display(),
                content.as_deref().map_or_else(|| "a directory".into(), text)
            )?;
        }
        write!(f, "stderr:\n{}", self.stderr)
    }
}

/// A place for scripts: with a home, a `nixmon` on PATH and a directory that is emptied before each.
struct Place {
    dir: TempDir,
    path: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for part in ["home", "bin"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_nixmon"), dir.path().join("bin/nixmon")).unwrap();
        let path = format!("{}:{}", dir.path().join("bin").display(), std::env::var("PATH").unwrap());
        Self { dir, path }
    }

    fn cwd(&self) -> PathBuf {
        self.dir.path().join("here")
    }

    /// A script, in an empty directory.
    fn script(&self, script: &str, n: &str) -> Command {
        let _ = fs::remove_dir_all(self.cwd());
        fs::create_dir(self.cwd()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.cwd());
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_encoded_bytes();
            if [&b"NIX"[..], b"XDG_", b"MAKE", b"MFLAGS"].iter().any(|start| bytes.starts_with(start)) {
                command.env_remove(name);
            }
        }
        command.env("PATH", &self.path).env("HOME", self.dir.path().join("home")).env("N", n);
        // For a script that waits for what happens with nixmon alone.
        command.env("D", if n.is_empty() { "1" } else { "" });
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, script: &str, n: &str, signals: &[(&str, Signal)]) -> Left {
        let mut child = self.script(script, n).spawn().unwrap();
        for (file, signal) in signals {
            wait_for(file, || self.cwd().join(file).exists());
            kill_process(Pid::from_child(&child), *signal).unwrap();
        }
        let (status, stdout, stderr) = end(&mut child);
        let mut files = BTreeMap::new();
        walk(&self.cwd(), &mut files);
        Left { status, stdout, files, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }
}

/// Returns the exit status and all output of a process; one that does not end is killed.
fn end(child: &mut Child) -> (i32, Vec<u8>, Vec<u8>) {
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return (NEVER, Vec::new(), Vec::new());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let status = child.wait().unwrap();
    let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
    (status, stdout.join().unwrap(), stderr.join().unwrap())
}

fn read_all(mut stream: impl std::io::Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn walk(dir: &Path, files: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
            files.insert(path, None);
        } else {
            let content = fs::read(&path).unwrap();
            files.insert(path, Some(content));
        }
    }
}

/// The status of what does not end.
const NEVER: i32 = -1;

const NIXMON: &str = "nixmon run --";

/// Runs a script both ways; says what differs.
fn difference(place: &Place, name: &str, script: &str, signals: &[(&str, Signal)]) -> Option<String> {
    let direct = place.run(script, "", signals);
    let ours = place.run(script, NIXMON, signals);
    let is_same = (direct.status, &direct.stdout, &direct.files) == (ours.status, &ours.stdout, &ours.files);
    (!is_same).then(|| format!("--- {name}\nwithout nixmon: {direct:?}\nwith nixmon: {ours:?}\n"))
}

/// Looks at all cases, some at once; the message of a failure says how all that differ do.
fn check<T: Sync>(cases: &[T], look: impl Fn(&Place, &T) -> Option<String> + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || {
        let place = Place::new();
        let mut found = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            found.extend(look(&place, case));
        }
        found
    };
    let differences: Vec<String> = thread::scope(|scope| {
        let workers = [(); 4].map(|()| scope.spawn(worker));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn same_as_in_a_shell() {
    check(&SAME, |place, (name, script)| difference(place, name, script, &[]));
}

#[test]
fn signals_are_forwarded() {
    check(&SIGNALLED, |place, (name, script, signals)| difference(place, name, script, signals));
}

#[test]
fn documented_differences() {
    check(&DIFFERENT, |place, (why, script, direct, ours)| {
        let left = [("", direct), (NIXMON, ours)].map(|(n, expected)| (place.run(script, n, &[]), expected));
        let holds = left.iter().all(|(left, (status, stdout))| {
            (left.status, left.stdout.as_slice()) == (*status, stdout.as_bytes())
        });
        (!holds).then(|| format!("--- {why}\n{left:#?}\n"))
    });
}

/// A signal is for the command, or ends us before there is one: none is lost, and no command is left behind.
#[test]
fn signals_at_any_moment_of_the_start() {
    let moments: Vec<u64> = (0..40).collect();
    check(&moments, |place, ms| {
        // It holds the lock for as long as it lives, and no other process does.
        let mut child = place.script("exec 9>lock; flock 9; exec $N sleep 20", NIXMON).spawn().unwrap();
        thread::sleep(Duration::from_millis(ms * 2));
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let (status, ..) = end(&mut child);
        let lock = fs::File::create(place.cwd().join("lock")).unwrap();
        wait_for("the end of the command", || lock.try_lock().is_ok());
        (status != 128 + Signal::TERM.as_raw()).then(|| format!("--- after {} ms: {status}\n", ms * 2))
    });
}

/// Other forms of output, and places where the report cannot go: script, status, standard output.
const FORMS: [(&str, i32, &str); 10] = [
    ("nixmon run --output quiet -- sh -c 'echo out; echo err >&2; exit 9' 2>&1 >/dev/null", 9, ""),
    ("nixmon run --output quiet -- sh -c 'echo out; echo err >&2; exit 9' 2>/dev/null", 9, "out\n"),
    ("nixmon run --output quiet -- sh -c 'kill -KILL $$'", 137, ""),
    ("nixmon run -- sh -c 'echo out; exit 9' 2>&1 | grep -c '^out$'", 0, "1\n"),
    ("nixmon run -- sh -c 'echo out; exit 9' >/dev/full 2>&1", 9, ""),
    ("nixmon run -- sh -c 'echo out; exit 9' >&- 2>&-", 9, ""),
    ("nixmon run -- sh -c 'echo out; exit 9' <&- >&- 2>&-", 9, ""),
    ("nixmon run --output json -- sh -c 'echo out; exit 9' >/dev/full 2>/dev/full", 9, ""),
    ("nixmon run --output json -- sh -c 'echo out; exit 9' >&-", 9, ""),
    ("HOME=/proc/1/none nixmon run -- sh -c 'echo out; exit 9' 2>/dev/null", 9, "out\n"),
];

#[test]
fn forms_of_output() {
    check(&FORMS, |place, (script, status, stdout)| {
        let left = place.run(script, NIXMON, &[]);
        ((left.status, left.stdout.as_slice()) != (*status, stdout.as_bytes()))
            .then(|| format!("--- {script}\n{left:?}\n"))
    });
}

#[test]
fn json_alone_on_stdout() {
    let scripts = [
        ("echo out; printf '{\"a\":1}\nno end'; echo err >&2; exit 9", 9),
        ("head -c 3000 /dev/urandom; kill -TERM $$", 143),
        (":", 0),
    ];
    check(&scripts, |place, (script, status)| {
        let left = place.run(
            &format!("nixmon run --output json -- sh -c '{}'", script.replace('\'', "'\\''")),
            NIXMON,
            &[],
        );
        let lines: Result<Vec<Value>, _> =
            left.stdout.split_inclusive(|&byte| byte == b'\n').map(serde_json::from_slice).collect();
        let last = lines.as_ref().ok().and_then(|lines| lines.last());
        let holds = left.status == *status
            && last.is_some_and(|last| last["type"] == "summary" && last["exit_code"] == *status);
        (!holds).then(|| format!("--- {script}\n{left:?}\n"))
    });
}

/// A command that leaves a child behind has ended all the same.
#[test]
fn a_child_that_holds_stdout_is_not_waited_for() {
    let place = Place::new();
    // The child lives until the file is there, which is made only afterwards.
    let script = "$N sh -c '(until [ -e go ]; do sleep 0.02; done; >gone) & echo first'; >go; \
                  until [ -e gone ]; do sleep 0.02; done";
    let left = place.run(script, NIXMON, &[]);
    assert_eq!((left.status, left.stdout.as_slice()), (0, &b"first\n"[..]), "{left:?}");
    let begun = Instant::now();
    place.run("$N sh -c 'sleep 30 >&2 & sleep 30 &'", NIXMON, &[]);
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[test]
fn make_and_its_jobserver() {
    if require("make").is_none() {
        return;
    }
    let makefile = "all: a b c d\n\t@cat a b c d\na b c d:\n\t@echo $@ >$@\n\
                    sub:\n\t+@$$N $(MAKE) all\nbad:\n\t@$$N sh -c 'exit 3'\n";
    let scripts = [
        "$N make -j4 all",
        "make -j4 sub",
        "make bad",
        "$N make -k -j2 bad sub",
        "make -j2 --jobserver-style=pipe sub",
    ];
    check(&scripts, |place, script| {
        let script = format!("printf '%s' '{}' >Makefile; {script}", makefile.replace('\'', "'\\''"));
        let left = ["", NIXMON].map(|n| place.run(&script, n, &[]));
        let quiet = |left: &Left| !left.stderr.contains("jobserver");
        let holds = (left[0].status, &left[0].stdout) == (left[1].status, &left[1].stdout)
            && left[0].files == left[1].files
            && quiet(&left[1]) == quiet(&left[0]);
        (!holds).then(|| format!("--- {script}\n{left:#?}\n"))
    });
}

/// The command line and the `NIX_CONFIG` of a Nix of this version for `nix ARGUMENTS`.
const NIX: [(&str, &str, &[&str]); 12] = [
    (
        "2.8.0",
        "build .#x -L --option a b -- y",
        &["<build><.#x><-L><--log-format><internal-json><-v><--option><a><b><--><y> C"],
    ),
    (
        "2.8.0",
        "shell a b --command c -d",
        &["<shell><--log-format><internal-json><-v><a><b><--command><c><-d> C"],
    ),
    (
        "2.8.0",
        "develop .#x -c make -j4",
        &["<develop><--log-format><internal-json><-v><.#x><-c><make><-j4> C"],
    ),
    (
        "2.8.0",
        "flake check --no-build ./x",
        &["<flake><check><--log-format><internal-json><-v><--no-build><./x> C"],
    ),
    ("2.8.0", "run .#x -- -L --log-format raw", &["<run><.#x><--><-L><--log-format><raw> C"]),
    ("2.8.0", "build '' 'a b' --log-format raw", &["<build><><a b><--log-format><raw> C"]),
    ("2.31.1", "build .#x -L --option a b -- y", &["<build><.#x><-L><--option><a><b><--><y> CS"]),
    ("2.31.1", "shell a b --command c -d", &["<shell><a><b><--command><c><-d> CS"]),
    ("2.31.1", "develop .#x -c make -j4", &["<develop><.#x><-c><make><-j4> CS"]),
    ("2.31.1", "flake check --no-build ./x", &["<flake><check><--no-build><./x> CS"]),
    ("2.31.1", "run .#x -- -L --log-format raw", &["<run><.#x><--><-L><--log-format><raw> CS"]),
    ("2.31.1", "build '' 'a b'", &["<build><><a b> CS"]),
];

/// Writes down its arguments, `C` if the user's settings are there and `S` if there is a socket for its log.
const FAKE_NIX: &str = r#"#!/bin/sh
[ "$*" = --version ] && { echo "nix (Nix) $VERSION"; exit; }
line=$(printf '<%s>' "$@")' '
case $NIX_CONFIG in "cores = 3"*) line=${line}C ;; esac
case $NIX_CONFIG in *json-log-path*) line=${line}S ;; esac
printf '%s\n' "$line" >>calls
"#;

#[test]
fn nix_arguments_are_kept() {
    check(&NIX, |place, (version, arguments, calls)| {
        let nix = place.dir.path().join("bin/nix");
        fs::write(&nix, FAKE_NIX).unwrap();
        fs::set_permissions(&nix, fs::Permissions::from_mode(0o755)).unwrap();
        let script =
            format!("VERSION={version} NIX_CONFIG='cores = 3' $N nix {arguments}; s=$?; cat calls; exit $s");
        let left = place.run(&script, NIXMON, &[]);
        let expected = calls.join("\n") + "\n";
        ((left.status, left.stdout.as_slice()) != (0, expected.as_bytes()))
            .then(|| format!("--- {version}: {arguments}\nnot {expected}{left:?}\n"))
    });
}
