//! Locks that are held, and processes that are stopped: nothing waits for ever, nor in silence.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Home, lives, wait_until};

/// Holds a lock until it is dropped.
struct Held(Child);

impl Held {
    fn new(home: &Home, path: &str) -> Self {
        let locked = home.path().join("locked");
        let script = format!("touch {}; exec sleep 60", locked.display());
        let mut flock = Command::new("flock");
        flock.args(["-x", path, "sh", "-c", &script]).stdin(Stdio::null());
        let child = flock.spawn().unwrap();
        wait_until("it is locked", || locked.exists());
        Self(child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Its child holds the lock, too.
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        for pid in std::fs::read_to_string(children).unwrap_or_default().split_whitespace() {
            let pid = pid.parse().ok().and_then(Pid::from_raw).unwrap();
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_run_starts_while_the_store_is_locked() {
    let home = Home::new();
    home.run(&["run", "--", "true"]).check(0, &[]);
    let lock = home.path().join("state/nixmon/runs/lock");
    let _held = Held::new(&home, lock.to_str().unwrap());
    let begun = Instant::now();
    let ran = home.run(&["run", "--", "sh", "-c", "exit 6"]);
    ran.check(6, &["waiting: ", "is locked by", "this run is not kept"]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    home.run(&["start", "--", "true"]).check(75, &["is locked by"]);
    home.run(&["list"]).check(0, &["1"]);
}

#[test]
fn a_stopped_look_holds_up_no_other() {
    let home = Home::new();
    let dir = home.start(&[], "echo line; sleep 60");
    super::kill_all(&dir);
    let lock = dir.path().join("recovery.lock");
    let held = Held::new(&home, lock.to_str().unwrap());
    let flock = Pid::from_child(&held.0);
    kill_process(flock, Signal::STOP).unwrap();
    for args in [&["status"][..], &["list"], &["log"]] {
        let begun = Instant::now();
        home.run(args).check(0, &[]);
        assert!(begun.elapsed() < Duration::from_secs(15), "{args:?}: {:?}", begun.elapsed());
    }
    // What was found out meanwhile was not kept, so that nothing is written twice.
    assert!(!dir.status().unwrap().unwrap().has_ended());
    drop(held);
    home.run(&["status"]).check(0, &["ended"]);
    assert!(dir.status().unwrap().unwrap().has_ended());
}

#[test]
fn a_stopped_command_cleans_up_when_it_is_to_end() {
    let home = Home::new();
    let dir = home.start(&[], "trap 'touch cleaned; exit 9' TERM; touch ready; while :; do sleep 0.05; done");
    wait_until("it runs", || home.path().join("ready").exists());
    let command = dir.facts().unwrap().process.unwrap();
    assert!(command.signal_group(Signal::STOP));
    home.run(&["stop", "--grace", "20s"]).check(0, &["was stopped: "]);
    assert!(home.path().join("cleaned").exists() && !lives(Some(&command)));
}

#[test]
fn a_run_that_is_waited_for_is_not_removed() {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join(".config/nixmon")).unwrap();
    std::fs::write(home.path().join(".config/nixmon/config.toml"), "[runs]\nkeep-mib = 0\n").unwrap();
    for n in 1..=6 {
        let dir = home.start(&[], "head -c 100000 /dev/urandom | od >&2; exit 3");
        if n == 2 {
            // It ends long before the wait.
            wait_until("it ends", || dir.status().unwrap().unwrap().has_ended());
            std::thread::sleep(Duration::from_millis(500));
        }
        home.run(&["wait", &n.to_string()]).check(3, &["exit status 3"]);
    }
}
