//! Runs in the background: many at once, one after the other, stopped, waited for, and without whoever started them.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nixmon_runs::{Life, RunDir};
use rustix::process::Signal;
use serde_json::Value;

use super::{Home, Ran, kill_all, lives, names, wait_until};

/// A busy machine starts a few processes in this time.
const AT_ONCE: Duration = Duration::from_secs(5);

fn has_ended(dir: &RunDir) -> bool {
    dir.life(0).unwrap() == Life::Ended
}

#[test]
fn eight_at_once() {
    let home = Home::new();
    let children: Vec<_> = (0..8)
        .map(|n| {
            let script = format!("echo line {n}; sleep 3; exit {n}");
            let mut command = home.command(&["start", "--", "sh", "-c", &script]);
            (n, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        })
        .collect();
    let started: Vec<(i32, String)> = children
        .into_iter()
        .map(|(n, child)| {
            let ran = Ran::of(child.wait_with_output().unwrap());
            ran.check(0, &[]);
            (n, ran.out.trim().to_owned())
        })
        .collect();
    let mut ids: Vec<_> = started.iter().map(|(_, id)| id.parse::<u64>().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=8).collect::<Vec<_>>());
    for (n, id) in &started {
        home.run(&["wait", id]).check(*n, &["ended"]);
        let status = home.status(&home.dir_of(id));
        assert_eq!((&status["state"], status["exit_code"].as_i64()), (&"ended".into(), Some(i64::from(*n))));
        home.run(&["log", id]).check(0, &[&format!("line {n}")]);
    }
    let next = home.start(&[], "true");
    assert_eq!(next.id().0, 9);
}

#[test]
fn a_run_after_another() {
    let home = Home::new();
    let start = |args: &[&str]| {
        let ran = home.run(args);
        ran.check(0, &[]);
        ran.out.trim().to_owned()
    };
    let first = start(&["start", "--", "sh", "-c", "sleep 1; echo 1 >> order"]);
    let second = start(&["start", "--after", &first, "--", "sh", "-c", "echo 2 >> order"]);
    let third = start(&["start", "--after", &second, "--", "sh", "-c", "echo 3 >> order"]);
    home.run(&["wait", &third]).check(0, &["success"]);
    assert_eq!(std::fs::read_to_string(home.path().join("order")).unwrap(), "1\n2\n3\n");

    let first = start(&["start", "--", "sh", "-c", "sleep 1; exit 3"]);
    let second = start(&["start", "--after", &first, "--", "touch", "never"]);
    let third = start(&["start", "--after", &second, "--", "touch", "never"]);
    for id in [&second, &third] {
        let ran = home.run(&["wait", id]);
        assert!(ran.code.is_some_and(|code| code != 0 && code != 124), "{:?} {}", ran.code, ran.err);
        assert_eq!(home.status(&home.dir_of(id))["outcome"], "not-started");
    }

    let first = start(&["start", "--", "sleep", "60"]);
    let second = start(&["start", "--after", &first, "--", "touch", "never"]);
    assert_eq!(home.status(&home.dir_of(&second))["state"], "queued");
    home.run(&["stop", &second]).check(0, &["not started"]);
    let dir = home.dir_of(&second);
    assert_eq!(home.status(&dir)["outcome"], "not-started");
    wait_until("its monitor ends", || !lives(dir.facts().unwrap().monitor.as_ref()));
    home.run(&["stop"]).check(0, &["was stopped"]);
    assert!(!home.path().join("never").exists());
}

#[test]
fn a_queued_run_without_its_monitor() {
    let home = Home::new();
    let first = home.start(&[], "sleep 60");
    let second = home.start(&["--after", "1"], "touch never");
    assert!(second.facts().unwrap().monitor.unwrap().signal(Signal::KILL));
    // Asked while the system may still be tidying up after it.
    let status = home.status(&second);
    assert_eq!((&status["state"], &status["outcome"]), (&"ended".into(), &"not-started".into()));
    kill_all(&first);
}

#[test]
fn two_of_one_name() {
    let home = Home::new();
    let first = home.start(&["--name", "it"], "sleep 60");
    let start = ["start", "--name", "it", "--", "true"];
    home.run(&start).check(75, &["it is running already (run 1", "--allow-concurrent"]);
    home.run(&["run", "--name", "it", "--", "true"]).check(75, &["it is running already"]);
    home.run(&["start", "--name", "it", "--allow-concurrent", "--", "true"]).check(0, &["2"]);
    assert_eq!(
        names(&home.path().join("state/nixmon/runs"))
            .iter()
            .filter(|name| name.parse::<u64>().is_ok())
            .count(),
        2
    );
    home.run(&["wait", "2"]).check(0, &["success"]);
    // Its processes die all at once: the name is free, also while the system may still be tidying up after them.
    kill_all(&first);
    home.run(&start).check(0, &["3"]);
}

#[test]
fn a_start_returns_at_once_and_closes_its_output() {
    let home = Home::new();
    let script = r#"x=$("$NIXMON" start -- sh -c 'sleep 4; echo end'); echo "run $x""#;
    let begun = Instant::now();
    let mut shell = home.command_with(Command::new("sh"), &["-c", script]);
    let ran = Ran::of(shell.env("NIXMON", env!("CARGO_BIN_EXE_nixmon")).output().unwrap());
    let took = begun.elapsed();
    ran.check(0, &["run 1"]);
    assert!(took < Duration::from_secs(3), "{took:?}");
    home.run(&["wait", "1"]).check(0, &["success"]);
    home.run(&["log", "1"]).check(0, &["end"]);
}

#[test]
fn what_cannot_be_started_has_ended_when_that_is_told() {
    let home = Home::new();
    std::fs::write(home.path().join("text"), "no program").unwrap();
    for (id, program, status, why) in
        [("1", "no-such-program", 127, "command not found"), ("2", "./text", 126, "permission denied")]
    {
        home.run(&["start", "--", program]).check(status, &[&format!("{program}: {why}")]);
        let said = home.status(&home.dir_of(id));
        assert_eq!((&said["state"], said["exit_code"].as_i64()), (&"ended".into(), Some(status.into())));
    }
}

#[test]
fn a_start_survives_its_terminal_and_its_shell() {
    let home = Home::new();
    // The shell leads a session with a terminal, and is killed; the terminal goes away with SIGHUP.
    for (n, by_terminal) in [(1, true), (2, false)] {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        let mut shell = pty_process::blocking::Command::new("sh")
            .args(["-c", r#""$NIXMON" start -- sh -c 'sleep 3; echo end' && touch started && sleep 60"#])
            .env("NIXMON", env!("CARGO_BIN_EXE_nixmon"))
            .env("XDG_STATE_HOME", home.path().join("state"))
            .env("HOME", home.path())
            .current_dir(home.path())
            .spawn(pts)
            .unwrap();
        let started = home.path().join("started");
        wait_until("it is started", || started.exists());
        std::fs::remove_file(&started).unwrap();
        if by_terminal {
            drop(pty);
            wait_until("the shell is hung up", || shell.try_wait().unwrap().is_some());
        } else {
            shell.kill().unwrap();
            shell.wait().unwrap();
            drop(pty);
        }
        let id = n.to_string();
        home.run(&["wait", &id]).check(0, &["success"]);
        home.run(&["log", &id]).check(0, &["end"]);
    }
}

#[test]
fn stopping_ends_the_whole_group() {
    let home = Home::new();
    // The child ignores what the command does not.
    let dir = home.start(&[], "sh -c 'trap \"\" TERM; while :; do echo tick; sleep 0.2; done' & sleep 60");
    wait_until("it ticks", || home.run(&["log", "1"]).out.contains("tick"));
    home.run(&["stop", "--grace", "1s"]).check(0, &["was stopped by SIGKILL"]);
    let facts = dir.facts().unwrap();
    for process in [&facts.process, &facts.guard, &facts.monitor] {
        wait_until("all have ended", || !lives(process.as_ref()));
    }
    assert_eq!(home.status(&dir)["outcome"], "interrupted");
}

#[test]
fn orphans_of_a_run_without_a_monitor_are_stopped() {
    let home = Home::new();
    for (n, script) in [
        "(while :; do echo tick; sleep 0.1; done) & echo $! > orphan; sleep 1",
        "(trap '' TERM; while :; do echo tick; sleep 0.1; done) & echo $! > orphan; sleep 1",
    ]
    .into_iter()
    .enumerate()
    {
        let dir = home.start(&[], script);
        let facts = dir.facts().unwrap();
        assert!(facts.monitor.unwrap().signal(Signal::KILL));
        wait_until("the command ends", || dir.exit().unwrap().is_some());
        assert_eq!(home.status(&dir)["state"], "lost");
        let how = if n == 0 { "was stopped: " } else { "was stopped by SIGKILL: " };
        home.run(&["stop", "--grace", "1s"]).check(0, &[how]);
        let orphan = std::fs::read_to_string(home.path().join("orphan")).unwrap();
        let orphan = nixmon_runs::ProcessId::of(orphan.trim().parse().unwrap());
        wait_until("the orphan ends", || !lives(orphan.as_ref()));
        wait_until("the guard ends", || !lives(facts.guard.as_ref()));
    }
}

#[test]
fn a_wait_gives_up() {
    let home = Home::new();
    home.start(&[], "sleep 60");
    let begun = Instant::now();
    home.run(&["wait", "--timeout", "1s"]).check(124, &["run 1 is in progress"]);
    assert!((1.0..6.0).contains(&begun.elapsed().as_secs_f64()));
}

#[test]
fn a_busy_run_shows_a_sign_of_life_every_ten_seconds() {
    let home = Home::new();
    let dir = home.start(&[], "n=0; while [ $n -lt 220 ]; do echo line; n=$((n + 1)); sleep 0.1; done");
    let mut last = Instant::now();
    let mut heartbeat = 0;
    while !has_ended(&dir) {
        let now = dir.status().unwrap().unwrap().heartbeat_at;
        if now != heartbeat {
            heartbeat = now;
            last = Instant::now();
        }
        assert!(last.elapsed() < Duration::from_secs(10) + AT_ONCE / 5, "{:?}", last.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(home.status(&dir)["exit_code"], 0);
}

#[test]
fn silence_is_told_from_work() {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join(".config/nixmon")).unwrap();
    std::fs::write(home.path().join(".config/nixmon/config.toml"), "[thresholds]\nquiet = 1\n").unwrap();
    let sleeps = home.start(&[], "sleep 60");
    let works = home.start(&[], "while :; do :; done");
    // Of another group and session, with a parent that ends at once.
    std::fs::write(home.path().join("go"), "").unwrap();
    let elsewhere = home.start(&[], "setsid -f sh -c 'while [ -e go ]; do :; done'; sleep 60");
    let activity = |dir: &RunDir| home.status(dir)["activity"].as_str().unwrap().to_owned();
    wait_until("it is stuck", || activity(&sleeps) == "stuck");
    wait_until("it is quiet", || activity(&works) == "quiet");
    wait_until("its orphan works", || activity(&elsewhere) == "quiet");
    std::fs::remove_file(home.path().join("go")).unwrap();
    wait_until("that is stuck, too", || activity(&elsewhere) == "stuck");
    kill_all(&works);
}

#[test]
fn a_killed_guard_leaves_no_zombie() {
    let home = Home::new();
    let dir = home.start(&[], "while [ ! -e over ]; do echo line; sleep 0.3; done; exit 5");
    let guard = dir.facts().unwrap().guard.unwrap();
    assert!(guard.signal(Signal::KILL));
    let stat = std::path::PathBuf::from(format!("/proc/{}/stat", guard.pid));
    wait_until("it is taken leave of", || !stat.exists());
    assert_eq!(home.status(&dir)["state"], "running");
    std::fs::write(home.path().join("over"), "").unwrap();
    home.run(&["wait"]).check(5, &["exit status 5"]);
}

#[test]
fn a_line_is_told_once_if_the_monitor_dies() {
    let home = Home::new();
    let script = "echo begin; while [ ! -e over ]; do sleep 0.1; done; echo end; exit 4";
    let run = ["run", "--every", "5", "--passthrough", "all", "--", "sh", "-c", script];
    let mut monitor = home.command(&run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let dir = home.dir_of("1");
    let lines = || std::fs::read_to_string(dir.lines()).unwrap_or_default();
    // Some lines come with time alone.
    wait_until("signs of life", || lines().lines().count() >= 3);
    let before = lines();
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    std::fs::write(home.path().join("over"), "").unwrap();
    home.run(&["wait"]).check(4, &["exit status 4"]);
    let after = lines();
    assert!(after.starts_with(&before), "{before}\n---\n{after}");
    let later = &after[before.len()..];
    // The report tells the last lines again, and a sign of life may have come before we killed.
    let n_signs = later.lines().filter(|line| line.contains("Running")).count();
    assert!(later.contains("end") && !later.starts_with("begin") && n_signs <= 1, "{before}\n---\n{later}");
    assert_eq!(home.status(&dir)["cursor"].as_u64().unwrap(), after.lines().count() as u64);
    eprintln!("{after}");
}

#[test]
fn a_thousand_runs_do_not_slow_a_start() {
    let home = Home::new();
    let first = home.start(&["--name", "it"], "true");
    wait_until("it ends", || has_ended(&first));
    for n in 2..=1000 {
        let dir = home.dir_of(&n.to_string());
        std::fs::create_dir(dir.path()).unwrap();
        for name in ["facts.json", "status.json"] {
            let json: Value = serde_json::from_slice(&std::fs::read(first.file(name)).unwrap()).unwrap();
            let mut json = json;
            json["id"] = n.into();
            std::fs::write(dir.file(name), json.to_string()).unwrap();
        }
    }
    for args in [&["list"][..], &["status"], &["status", "it"], &["start", "--name", "it", "--", "true"]] {
        let begun = Instant::now();
        home.run(args).check(0, &[]);
        let took = begun.elapsed();
        eprintln!("{args:?}: {took:?}");
        assert!(took < AT_ONCE, "{args:?}: {took:?}");
    }
    let mut text = String::new();
    std::fs::File::open(home.path().join("state/nixmon/runs/next"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.trim(), "1002");
}
