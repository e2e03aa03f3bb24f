//! Signals and limits: what the command has without nixmon it has with it, and no signal leaves it without a reader.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Home, PATIENCE, Ran, wait_until};

const NIXMON: &str = env!("CARGO_BIN_EXE_nixmon");

impl Home {
    /// Runs a script of a shell that knows the program as `$NIXMON`.
    fn script(&self, script: &str) -> Ran {
        let mut shell = self.command_with(Command::new("bash"), &["-c", script]);
        Ran::of(shell.env("NIXMON", NIXMON).output().unwrap())
    }
}

#[test]
fn a_limit_of_the_size_of_files_is_like_a_full_disk() {
    let home = Home::new();
    let noise = "head -c 600000 /dev/urandom | od -An -tx1 >&2; sleep 1; touch whole; exit 7";
    let ran = home.script(&format!("ulimit -f 64; exec $NIXMON run -- sh -c '{noise}'"));
    ran.check(7, &["is not whole: File too large"]);
    assert!(home.path().join("whole").exists());
    let status = home.status(&home.dir_of("1"));
    assert_eq!((&status["exit_code"], &status["state"]), (&7.into(), &"ended".into()));
    assert!(status["incomplete"].as_str().unwrap().contains("File too large"), "{status}");
}

#[test]
fn signals_that_end_a_program_reach_the_command_or_end_nothing() {
    let handed_on =
        [("USR2", Signal::USR2), ("ALRM", Signal::ALARM), ("PROF", Signal::PROF), ("ABRT", Signal::ABORT)];
    let survived = [("XCPU", Signal::XCPU), ("XFSZ", Signal::XFSZ), ("PIPE", Signal::PIPE)];
    let all = handed_on
        .into_iter()
        .map(|(name, signal)| (name, signal, 9))
        .chain(survived.into_iter().map(|(name, signal)| (name, signal, 4)));
    for (name, signal, expected) in all {
        let home = Home::new();
        let script = format!(
            "trap 'exit 9' {name}; touch ready; n=0; while [ $n -lt 40 ]; do sleep 0.05; n=$((n + 1)); done; exit 4"
        );
        let mut command = home.command(&["run", "--output", "quiet", "--", "sh", "-c", &script]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let ready = home.path().join("ready");
        wait_until("it runs", || ready.exists());
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{name}");
    }
}

#[test]
fn a_parent_that_ignores_the_ends_of_its_children() {
    let home = Home::new();
    for code in [0, 3] {
        home.script(&format!("trap '' CHLD; exec $NIXMON run -- sh -c 'exit {code}'")).check(code, &[]);
    }
    // SIGCHLD is 17: the command finds it ignored, as it would without nixmon. Some shells undo that.
    let ran = home.script("trap '' CHLD; exec $NIXMON run -- grep SigIgn /proc/self/status");
    let mask = u64::from_str_radix(ran.out.split_whitespace().last().unwrap(), 16).unwrap();
    assert_ne!(mask & (1 << 16), 0, "{} {}", ran.out, ran.err);
    let plain = home.run(&["run", "--", "grep", "SigIgn", "/proc/self/status"]);
    let mask = u64::from_str_radix(plain.out.split_whitespace().last().unwrap(), 16).unwrap();
    // Of the signals that are caught here, none is ignored there.
    for signal in [17, 24, 25, 12, 14] {
        assert_eq!(mask & (1 << (signal - 1)), 0, "{signal}: {}", plain.out);
    }
}

#[test]
fn a_parent_that_ignores_broken_pipes() {
    let home = Home::new();
    let mask = |script: &str| {
        let ran = home.script(script);
        // 32 and 33 belong to the C library, which ignores them in what it starts.
        u64::from_str_radix(ran.out.split_whitespace().last().unwrap(), 16).unwrap() & !(3 << 31)
    };
    let grep = "grep SigIgn /proc/self/status";
    for trap in ["", "trap '' PIPE;", "trap '' CHLD PIPE;", "trap '' PIPE USR2;"] {
        let plain = mask(&format!("{trap} exec {grep}"));
        assert_eq!(mask(&format!("{trap} exec $NIXMON run -- {grep}")), plain, "{trap}");
    }
    // An error at the start is nixmon's.
    let ran = home.script("trap '' PIPE; exec $NIXMON run -- no-such-program");
    ran.check(127, &["Not started: no-such-program: command not found"]);
    // Its end is known all the same.
    for code in [0, 3] {
        home.script(&format!("trap '' PIPE; exec $NIXMON run -- sh -c 'exit {code}'")).check(code, &[]);
    }
}

#[test]
fn a_command_notices_that_nobody_reads_its_output() {
    let home = Home::new();
    let begun = Instant::now();
    let ran = home.script("$NIXMON run --output quiet -- yes | head -1; echo ${PIPESTATUS[0]}");
    assert_eq!(ran.out, "y\n141\n", "{}", ran.err);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn a_command_that_is_not_there_is_told_once() {
    let home = Home::new();
    let ran = home.run(&["run", "--", "no-such-command"]);
    ran.check(127, &[]);
    assert_eq!(ran.err.matches("no-such-command: command not found").count(), 1, "{}", ran.err);
    assert_eq!(home.status(&home.dir_of("1"))["exit_code"], 127);
}

#[test]
fn orphans_are_reaped_at_once() {
    let home = Home::new();
    // Each inner shell ends before what it has begun.
    let script = "for n in $(seq 30); do sh -c 'sleep 0.05 & :'; done; sleep 1; touch made; sleep 2";
    let mut command = home.command(&["run", "--output", "quiet", "--", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let made = home.path().join("made");
    wait_until("they are made", || made.exists());
    let parent = child.id().to_string();
    let zombies = || {
        let ps = Command::new("ps").args(["-o", "stat=", "--ppid", &parent]).output().unwrap();
        String::from_utf8_lossy(&ps.stdout).lines().filter(|stat| stat.starts_with('Z')).count()
    };
    let begun = Instant::now();
    while zombies() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(1), "{} zombies", zombies());
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    super::kill_all(&home.dir_of("1"));
}

#[test]
fn too_few_processes_are_told_before_anything_is_started() {
    let home = Home::new();
    // Only users other than root have this limit.
    let nobody = 65534;
    let temp = home.path().to_owned();
    let own = Command::new("chown").args(["-R", "65534"]).arg(&temp).status();
    if !own.is_ok_and(|status| status.success()) {
        crate::common::require::skip("only root can become another user");
        return;
    }
    let bin = temp.join("nixmon");
    std::fs::copy(NIXMON, &bin).unwrap();
    let script = "ulimit -u 1; exec ./nixmon run -- touch begun";
    let mut bash = home.command_with(Command::new("bash"), &["-c", script]);
    let ran = Ran::of(bash.uid(nobody).output().unwrap());
    ran.check(71, &["the system allows only", "ulimit -u"]);
    assert!(!temp.join("begun").exists());
}
