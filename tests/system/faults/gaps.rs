//! Disks that are full for a while, and runs that never begin.

use std::time::Duration;

use rustix::process::Signal;

use super::disks::Mounted;
use super::{Home, lives, wait_until};

/// A small disk for the runs; `None` where mounting is not allowed.
fn disk(home: &Home, size: &str) -> Option<Mounted> {
    Mounted::new(home.path().join("state"), &["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
}

/// Fills a disk to its last byte.
fn fill(home: &Home) -> std::path::PathBuf {
    let filler = home.path().join("state/filler");
    let mut file = std::fs::File::options().create(true).append(true).open(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[b'x'; 4096]).is_ok() {}
    filler
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing() {
    let home = Home::new();
    let Some(_disk) = disk(&home, "4m") else { return };
    let dir =
        home.start(&[], "n=0; while [ ! -e over ]; do echo line $n; n=$((n + 1)); sleep 0.1; done; exit 7");
    wait_until("it is kept", || dir.lines().exists());
    for _ in 0..8 {
        fill(&home);
        std::thread::sleep(Duration::from_millis(500));
    }
    std::fs::remove_file(fill(&home)).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    std::fs::write(home.path().join("over"), "").unwrap();
    home.run(&["wait"]).check(7, &["exit status 7"]);
    let status = home.status(&dir);
    assert_eq!(status["incomplete"], serde_json::Value::Null, "{status}");
    let log = home.run(&["log", "--raw"]);
    log.check(0, &[]);
    let numbers: Vec<u32> =
        log.out.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    assert!(numbers.len() > 20 && numbers.iter().copied().eq(0..numbers.len() as u32), "{numbers:?}");
    assert_eq!(log.err, "");
}

#[test]
fn what_a_full_disk_costs_is_said() {
    for size in ["64k", "128k", "256k", "512k"] {
        for is_killed in [false, true] {
            let home = Home::new();
            let Some(_disk) = disk(&home, size) else { return };
            let noise = "head -c 1000000 /dev/urandom | od -An -tx1 >&2";
            let dir = home.start(&[], &format!("sleep 0.5; {noise}; sleep 0.7; touch whole; exit 7"));
            if is_killed {
                std::thread::sleep(Duration::from_millis(700));
                assert!(dir.facts().unwrap().monitor.unwrap().signal(Signal::KILL));
            }
            let told = format!("{size}, killed: {is_killed}");
            let ran = home.run(&["wait"]);
            assert_eq!(ran.code, Some(7), "{told}: {} {}", ran.out, ran.err);
            assert!(home.path().join("whole").exists(), "{told}");
            let status = home.status(&dir);
            assert_eq!((&status["exit_code"], &status["outcome"]), (&7.into(), &"failure".into()), "{told}");
            let incomplete = status["incomplete"].as_str().unwrap_or_default();
            let expected = if is_killed { "its monitor died" } else { "is not whole: " };
            assert!(incomplete.contains(expected), "{told}: {incomplete}");
            assert!(!dir.reserve().exists(), "{told}");
        }
    }
}

#[test]
fn a_queued_run_survives_a_full_disk() {
    let home = Home::new();
    let Some(_disk) = disk(&home, "2m") else { return };
    home.start(&[], "while [ ! -e over ]; do sleep 0.1; done");
    let second = home.start(&["--after", "1"], "touch began");
    // Longer than the time between two signs of life.
    for _ in 0..20 {
        fill(&home);
        std::thread::sleep(Duration::from_millis(500));
    }
    std::fs::remove_file(fill(&home)).unwrap();
    assert!(lives(second.facts().unwrap().monitor.as_ref()));
    std::fs::write(home.path().join("over"), "").unwrap();
    home.run(&["wait", "2"]).check(0, &["success"]);
    assert!(home.path().join("began").exists());
}

#[test]
fn the_end_of_a_run_that_never_began_is_told() {
    let home = Home::new();
    home.start(&[], "sleep 0.5; exit 3");
    let on_end = "cat > record; echo $NIXMON_OUTCOME $NIXMON_EXIT_CODE > told";
    home.start(&["--after", "1", "--on-end", on_end], "touch never");
    let told = home.path().join("told");
    wait_until("it is told", || std::fs::read_to_string(&told).is_ok_and(|text| text.ends_with('\n')));
    assert_eq!(std::fs::read_to_string(told).unwrap(), "not-started 1\n");
    let record = std::fs::read_to_string(home.path().join("record")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["outcome"], "not-started", "{record}");
}

#[test]
fn a_guard_that_cannot_record_says_so() {
    let home = Home::new();
    let Some(_disk) = disk(&home, "4m") else { return };
    let dir = home.start(&[], "while [ ! -e over ]; do echo line; sleep 0.1; done; exit 5");
    wait_until("a line is kept", || home.run(&["log"]).out.contains("line\n"));
    // Also root cannot write into a directory that is not there.
    std::os::unix::fs::symlink("/nonexistent/file", dir.rest()).unwrap();
    assert!(dir.facts().unwrap().monitor.unwrap().signal(Signal::KILL));
    let incomplete = || home.status(&dir)["incomplete"].as_str().unwrap_or_default().to_owned();
    wait_until("it is told", || incomplete().contains("its output is not recorded: cannot write"));
    std::fs::write(home.path().join("over"), "").unwrap();
    home.run(&["wait"]).check(5, &["exit status 5"]);
    assert!(incomplete().contains("could not record all output: cannot write"), "{}", incomplete());
    let log = home.run(&["log"]);
    log.check(0, &["line"]);
    assert!(log.err.contains("could not be recorded to its end"), "{}", log.err);
}

#[test]
fn a_command_outlives_monitor_and_guard_one_after_the_other() {
    for guard_first in [false, true] {
        let home = Home::new();
        let dir = home.start(
            &[],
            "n=0; while [ $n -lt 30 ]; do echo line $n; n=$((n + 1)); sleep 0.1; done; touch whole",
        );
        let facts = dir.facts().unwrap();
        let (monitor, guard) = (facts.monitor.unwrap(), facts.guard.unwrap());
        let (first, second) = if guard_first { (&guard, &monitor) } else { (&monitor, &guard) };
        // A monitor that is killed at once has read lines and kept none.
        wait_until("a line is kept", || home.run(&["log", "--raw"]).out.contains("line 0\n"));
        assert!(first.signal(Signal::KILL));
        std::thread::sleep(Duration::from_secs(1));
        assert!(second.signal(Signal::KILL));
        wait_until("it ends", || !lives(facts.process.as_ref()));
        assert!(home.path().join("whole").exists(), "guard first: {guard_first}");
        wait_until("that is known", || home.status(&dir)["state"] == "ended");
        let status = home.status(&dir);
        assert_eq!(
            (&status["outcome"], &status["exit_code"]),
            (&"incomplete".into(), &serde_json::Value::Null)
        );
        let log = home.run(&["log", "--raw"]);
        // The last lines were read by a process that took the place of the second.
        assert!(log.out.contains("line 0\n") && log.out.contains("line 29\n"), "{}", log.out);
    }
}
