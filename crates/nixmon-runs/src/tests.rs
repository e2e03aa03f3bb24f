use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Some moment, in milliseconds since 1970.
const NOW: u64 = 1_790_000_000_000;

fn store() -> (TempDir, Store) {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(temp.path().join("state/nixmon/runs"));
    (temp, store)
}

fn facts(name: &str) -> Facts {
    Facts {
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        command: vec!["make".to_owned(), name.to_owned()],
        created_at: NOW,
        ..Facts::default()
    }
}

/// A run that has ended.
fn ended(store: &Store, name: &str, outcome: RunOutcome) -> RunDir {
    let Created { dir, facts, .. } = store.create(facts(name), true).unwrap();
    let status = Status {
        id: facts.id,
        name: facts.name,
        state: RunState::Ended,
        outcome: Some(outcome),
        exit_code: Some(i32::from(outcome != RunOutcome::Success)),
        ended_at: Some(NOW),
        ..Status::default()
    };
    dir.write_status(&status).unwrap();
    dir
}

fn ids(store: &Store) -> Vec<u64> {
    store.ids().unwrap().into_iter().map(|id| id.0).collect()
}

fn keep(runs: u64) -> Retention {
    Retention { days: 1000, runs, mib: 1000 }
}

#[test]
fn an_absent_store_is_empty() {
    let (_temp, store) = store();
    assert!(ids(&store).is_empty());
    assert!(matches!(store.find(None), Err(StoreError::Empty)));
    assert!(matches!(store.find(Some("home")), Err(StoreError::Empty)));
    assert!(matches!(store.run(RunId(1)), Err(StoreError::Empty)));
    assert_eq!(store.latest_ok("home").unwrap(), None);
    assert_eq!(store.prune(&keep(0), NOW, false).unwrap(), []);
    assert!(!store.root().exists());
}

#[test]
fn a_run_is_made_whole() {
    use std::os::unix::fs::PermissionsExt;
    let (_temp, store) = store();
    let Created { dir, facts: made, lock } = store.create(facts("home"), false).unwrap();
    assert_eq!((made.format, made.id, dir.id()), (FORMAT, RunId(1), RunId(1)));
    assert_eq!(made.socket.as_deref().map(Path::new), Some(dir.file("log.sock").as_path()));
    assert_eq!(dir.facts().unwrap(), made);
    let status = dir.status().unwrap().unwrap();
    assert_eq!((status.state, status.created_at, status.name), (RunState::Running, NOW, made.name));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(dir.path()), mode(&dir.file("facts.json"))), (0o700, 0o600));
    assert!(dir.monitor_lives() && !dir.guard_lives());
    assert_eq!(dir.life(NOW).unwrap(), Life::Monitored);
    assert!(dir.lock_monitor().unwrap().is_none());
    drop(lock);
    assert!(!dir.monitor_lives());
    // For a moment nobody holds the lock while a monitor is started.
    assert_eq!(dir.life(NOW + 1).unwrap(), Life::Monitored);
    assert_eq!(dir.life(NOW + 60_000).unwrap(), Life::Over);
    assert_eq!(RunDir::at(dir.path()), Some(dir));
}

#[test]
fn who_looks_after_a_run() {
    let (_temp, store) = store();
    let Created { dir, facts, lock } = store.create(facts("home"), false).unwrap();
    let own = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let gone = ProcessId { began: Some("long ago".to_owned()), ..own.clone() };
    drop(lock);
    dir.write_facts(&Facts { monitor: Some(gone.clone()), process: Some(own), ..facts.clone() }).unwrap();
    assert_eq!(dir.life(NOW).unwrap(), Life::Unwatched);
    let guard = dir.lock_guard().unwrap().unwrap();
    assert_eq!(dir.life(NOW).unwrap(), Life::Guarded);
    dir.write_exit(&Exit { code: Some(1), signal: None, at: NOW }).unwrap();
    assert_eq!(dir.life(NOW).unwrap(), Life::Guarded);
    drop(guard);
    assert_eq!(dir.life(NOW).unwrap(), Life::Over);
    std::fs::remove_file(dir.file("exit.json")).unwrap();
    dir.write_facts(&Facts { monitor: Some(gone.clone()), process: Some(gone), ..facts }).unwrap();
    assert_eq!(dir.life(NOW).unwrap(), Life::Over);
}

#[test]
fn numbers_are_never_given_twice() {
    let (_temp, store) = store();
    for _ in 0..3 {
        ended(&store, "a", RunOutcome::Success);
    }
    assert_eq!(store.prune(&keep(0), NOW, false).unwrap().len(), 3);
    assert!(ids(&store).is_empty());
    let next = store.root().join("next");
    std::fs::remove_file(&next).unwrap();
    assert_eq!(ended(&store, "a", RunOutcome::Success).id(), RunId(4));
    for damage in ["", "garbage", "-7", "2", "99999999999999999999999", "18446744073709551615"] {
        let before = *store.ids().unwrap().last().unwrap();
        std::fs::write(&next, damage).unwrap();
        assert_eq!(ended(&store, "a", RunOutcome::Success).id().0, before.0 + 1, "{damage:?}");
    }
    // Both are lost, but the directories are there.
    std::fs::remove_file(&next).unwrap();
    std::fs::remove_file(store.root().join("lock")).unwrap();
    std::fs::create_dir(store.root().join(".removed-40")).unwrap();
    assert_eq!(ended(&store, "a", RunOutcome::Success).id(), RunId(41));
    std::fs::write(&next, "1000000000000\n").unwrap();
    assert_eq!(ended(&store, "a", RunOutcome::Success).id(), RunId(1_000_000_000_000));
    assert!(matches!(store.create(facts("a"), true), Err(StoreError::NoNumbers { .. })));
}

#[test]
fn many_may_begin_at_once() {
    let (_temp, store) = store();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                (0..5).map(|_| store.create(facts(""), false).unwrap().dir.id().0).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut all: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=40).collect::<Vec<_>>());
    assert_eq!(ids(&store), all);
}

#[test]
fn a_name_runs_once() {
    let (_temp, store) = store();
    let later = |name: &str| Facts { created_at: NOW + 250_000, ..facts(name) };
    let first = store.create(facts("home"), false).unwrap();
    let busy = store.create(later("home"), false).unwrap_err().to_string();
    assert_eq!(busy, "home is running already (run 1, for 4m10s)");
    store.create(later("other"), false).unwrap();
    store.create(later(""), false).unwrap();
    store.create(later(""), false).unwrap();
    let concurrent = store.create(later("home"), true).unwrap();
    // Behind one of two is in the way of the other.
    let behind = |run: &Created| Facts { after: Some(run.dir.id()), ..later("home") };
    assert!(store.create(behind(&concurrent), false).is_err());
    drop(concurrent);
    std::fs::remove_dir_all(store.root().join("5")).unwrap();
    let second = store.create(behind(&first), false).unwrap();
    let third = store.create(behind(&second), false).unwrap();
    assert_eq!(third.dir.status().unwrap().unwrap().state, RunState::Queued);
    let busy = store.create(behind(&second), false).unwrap_err().to_string();
    assert!(busy.starts_with("home is queued already (run 7, for 0s)"), "{busy}");
    // A refused run takes no number.
    assert_eq!(store.create(later("x"), false).unwrap().dir.id(), RunId(8));
}

#[test]
fn a_run_whose_monitor_died_is_in_nobodys_way() {
    let (_temp, store) = store();
    drop(store.create(facts("home"), false).unwrap());
    let later = Facts { created_at: NOW + 60_000, ..facts("home") };
    assert!(store.create(later, false).is_ok());
}

#[test]
fn runs_are_found() {
    let (_temp, store) = store();
    ended(&store, "home", RunOutcome::Success);
    ended(&store, "web", RunOutcome::Failure);
    ended(&store, "home", RunOutcome::Failure);
    ended(&store, "", RunOutcome::Success);
    let find = |reference: Option<&str>| match store.find(reference) {
        Ok(dir) => dir.id().to_string(),
        Err(error) => format!("{error}; {}", error.hint().unwrap()),
    };
    let cases = [
        (None, "4"),
        (Some("2"), "2"),
        (Some("home"), "3"),
        (Some("web"), "2"),
        (Some("hmoe"), "no run is called hmoe; did you mean home?"),
        (Some("xyzzy"), "no run is called xyzzy; there are 4 runs, 1 to 4; names: home, web"),
        (Some("99"), "there is no run 99; there are 4 runs, 1 to 4; names: home, web"),
        (Some("007"), "no run is called 007; there are 4 runs, 1 to 4; names: home, web"),
        (Some("../1"), "no run is called ../1; did you mean web?"),
        (Some("\u{1b}[31m"), "no run is called ; there are 4 runs, 1 to 4; names: home, web"),
    ];
    for (reference, expected) in cases {
        if reference == Some("../1") {
            assert!(find(reference).starts_with("no run is called ../1; "), "{}", find(reference));
        } else {
            assert_eq!(find(reference), expected, "{reference:?}");
        }
    }
    assert_eq!(store.latest_ok("home").unwrap().unwrap().id(), RunId(1));
    assert_eq!(store.latest_ok("web").unwrap(), None);
    // Of this one nobody has seen the end.
    let dir = ended(&store, "other", RunOutcome::Success);
    dir.write_status(&Status { exit_code: None, ..dir.status().unwrap().unwrap() }).unwrap();
    assert_eq!(store.latest_ok("other").unwrap(), None);
}

#[test]
fn what_is_damaged_is_missing() {
    let (_temp, store) = store();
    let dir = ended(&store, "home", RunOutcome::Success);
    for damage in ["", "{", "{}", "[1]", "\0\0\0\0", "{\"format\":\"x\"}"] {
        for name in ["facts.json", "status.json", "exit.json", "summary.json"] {
            std::fs::write(dir.file(name), damage).unwrap();
        }
        assert!(matches!(dir.facts(), Err(StoreError::Damaged { .. })), "{damage:?}");
        assert!(matches!(dir.status(), Ok(None)), "{damage:?}: {:?}", dir.status());
        assert!(dir.exit().unwrap().is_none(), "{damage:?}");
        assert_eq!(dir.life(NOW).unwrap(), Life::Over, "{damage:?}");
    }
    // It is no obstacle.
    assert_eq!(ended(&store, "home", RunOutcome::Success).id(), RunId(2));
    assert_eq!(store.find(Some("home")).unwrap().id(), RunId(2));
}

#[test]
fn a_status_of_version_0_1_0_is_read() {
    let (_temp, store) = store();
    let dir = ended(&store, "home", RunOutcome::Success);
    let json = r#"{"format":1,"id":1,"name":"home","command":["make"],"state":"ended","activity":"busy",
        "phase":"done","line":"OK","outcome":"not-started","cursor":7,"read_on":"end"}"#;
    std::fs::write(dir.file("status.json"), json).unwrap();
    let expected = Status {
        id: RunId(1),
        name: Some("home".to_owned()),
        command: vec!["make".to_owned()],
        state: RunState::Ended,
        phase: RunPhase::Done,
        line: "OK".to_owned(),
        outcome: Some(RunOutcome::NotStarted),
        cursor: 7,
        read_on: Some(ReadOn::End),
        ..Status::default()
    };
    assert_eq!(dir.status().unwrap(), Some(expected.clone()));
    dir.write_status(&expected).unwrap();
    assert_eq!(dir.status().unwrap(), Some(expected));
}

#[test]
fn other_formats_are_left_alone() {
    let (_temp, store) = store();
    let dir = ended(&store, "home", RunOutcome::Success);
    let json = r#"{"format":7,"environment":{"nixmon":"3.1.0"},"id":"one"}"#;
    std::fs::write(dir.file("facts.json"), json).unwrap();
    std::fs::write(dir.file("status.json"), r#"{"format":7,"id":"one"}"#).unwrap();
    let expected = "run 1 was written by another nixmon: its format is 7, this one knows 1; \
        a newer nixmon is needed (3.1.0)";
    assert_eq!(dir.facts().unwrap_err().to_string(), expected);
    assert!(matches!(dir.status(), Err(StoreError::Format { format: 7, .. })));
    assert!(dir.life(NOW).is_err());
    assert_eq!(store.prune(&keep(0), NOW + 10_000_000, false).unwrap(), []);
    assert_eq!(ids(&store), [1]);
}

#[test]
fn what_goes_on_is_kept() {
    let (_temp, store) = store();
    let first = ended(&store, "a", RunOutcome::Success);
    std::fs::write(first.file("input.zst"), vec![0; 5000]).unwrap();
    let queued = store.create(Facts { after: Some(first.id()), ..facts("b") }, false).unwrap();
    ended(&store, "c", RunOutcome::Success);
    let locked = ended(&store, "d", RunOutcome::Success);
    let guard = locked.lock_guard().unwrap().unwrap();
    let removed = |dry_run| -> Vec<u64> {
        store.prune(&keep(0), NOW, dry_run).unwrap().iter().map(|removed| removed.id.0).collect()
    };
    assert_eq!(removed(true), [3]);
    assert_eq!(ids(&store), [1, 2, 3, 4]);
    std::fs::create_dir(store.root().join(".removed-3")).unwrap();
    assert_eq!(removed(false), [3]);
    assert_eq!(ids(&store), [1, 2, 4]);
    drop((queued, guard));
    let all = store.prune(&keep(0), NOW + 60_000, false).unwrap();
    assert!(all[0].bytes >= 5000, "{all:?}");
    assert!(ids(&store).is_empty());
    let left: Vec<_> =
        std::fs::read_dir(store.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "lock" || name == "next"), "{left:?}");
}

/// A run that ended at this time.
fn ended_at(store: &Store, at: u64) -> RunDir {
    let dir = ended(store, "", RunOutcome::Success);
    let status = dir.status().unwrap().unwrap();
    dir.write_status(&Status { ended_at: Some(at), ..status }).unwrap();
    dir
}

#[test]
fn a_clock_that_jumps_removes_no_runs() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (_temp, store) = store();
    let month = Retention { days: 30, runs: 100, mib: 1000 };
    for n in 0..6 {
        ended_at(&store, NOW + n * 1000);
        assert_eq!(store.prune_after_run(&month, NOW + n * 1000).unwrap(), []);
    }
    // One run with a clock that is years ahead, and then a right one again.
    for now in [NOW + 3000 * DAY, NOW + 10_000] {
        ended_at(&store, now);
        assert_eq!(store.prune_after_run(&month, now).unwrap(), [], "{now}");
    }
    // Time that passes from run to run makes them old.
    let mut removed = Vec::new();
    for day in 1..=40 {
        ended_at(&store, NOW + day * DAY);
        removed.extend(store.prune_after_run(&month, NOW + day * DAY).unwrap().iter().map(|run| run.id.0));
    }
    assert!((1..=6).all(|id| removed.contains(&id)), "{removed:?}");
    // The user's own request goes by the clock.
    assert!(!store.prune(&month, NOW + 3000 * DAY, true).unwrap().is_empty());
}

#[test]
fn the_latest_runs_and_those_that_are_waited_for_stay() {
    let (_temp, store) = store();
    let nothing = Retention { days: 0, runs: 0, mib: 0 };
    let later = NOW + 10_000_000;
    for _ in 0..6 {
        ended(&store, "", RunOutcome::Success);
    }
    let runs = query::Runs::new(store.clone(), |_, _, _| Ok(query::Replayed::default()));
    let follow = runs.follow(&runs.find(Some("2")).unwrap(), None).unwrap();
    // They have ended a moment ago.
    assert_eq!(store.prune_after_run(&nothing, NOW + 1000).unwrap(), []);
    store.prune_after_run(&nothing, later).unwrap();
    assert_eq!(ids(&store), [2, 4, 5, 6]);
    assert_eq!(store.prune(&nothing, later, true).unwrap().len(), 3);
    drop(follow);
    store.prune_after_run(&nothing, later).unwrap();
    assert_eq!(ids(&store), [4, 5, 6]);
}

#[test]
fn a_lock_that_stays_held_has_its_holder() {
    let (_temp, store) = store();
    ended(&store, "", RunOutcome::Success);
    let held = store.lock().unwrap();
    let impatient = store.clone().with_patience(std::time::Duration::from_millis(10));
    let error = impatient.create(facts(""), false).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    if cfg!(target_os = "linux") {
        let own = format!("(process {})", std::process::id());
        assert!(error.to_string().contains(&own), "{error}");
    }
    drop(held);
    impatient.create(facts(""), false).unwrap();
}

#[test]
fn sockets_are_removed() {
    let temp = tempfile::tempdir_in("/tmp").unwrap();
    let root = temp.path().join("x".repeat(100));
    let store = Store::open(root).with_socket_dirs(vec![temp.path().to_owned()]);
    let Created { dir, facts, .. } = store.create(facts("home"), false).unwrap();
    let socket = facts.socket.clone().unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    dir.remove_socket(&facts);
    assert!(!Path::new(&socket).parent().unwrap().exists());
    // Nothing else is.
    let other = dir.file("facts.json");
    dir.remove_socket(&Facts { socket: Some(other.to_str().unwrap().to_owned()), ..facts });
    assert!(other.exists());
}

/// Things that another user may have planted in the place of a file: a link, a pipe, a directory.
#[test]
fn nothing_is_written_or_read_through_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (temp, store) = store();
    let dir = ended(&store, "home", RunOutcome::Success);
    let precious = temp.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    let exit = Exit { code: Some(0), signal: None, at: NOW };
    for name in ["lock", "next"] {
        std::fs::remove_file(store.root().join(name)).unwrap();
        symlink(&precious, store.root().join(name)).unwrap();
    }
    let refused = store.create(facts("a"), false).unwrap_err().to_string();
    assert!(refused.ends_with("/lock: it is a symbolic link, which is not followed"), "{refused}");
    std::fs::remove_file(store.root().join("lock")).unwrap();
    // It is replaced.
    assert!(store.create(facts("a"), false).is_ok());
    for name in
        ["exit.json", "status.json", "lines.txt", "input.zst", "stop", "monitor.lock", "recovery.lock"]
    {
        let _ = std::fs::remove_file(dir.file(name));
        symlink(&precious, dir.file(name)).unwrap();
    }
    assert!(dir.exit().is_err() && dir.status().is_err() && Steps::of(&dir).next_step().is_err());
    assert!(dir.mark_stopped().is_err() && dir.lock_monitor().is_err() && dir.lock_recovery().is_err());
    let recorder = Recorder::create_of_command(&dir.input()).unwrap();
    assert!(recorder.broken().is_some() && create_file(&dir.lines()).is_err());
    assert!(crate::recording::Appender::new(&dir.lines()).flush().is_err());
    // These are replaced, not what they point at.
    dir.write_exit(&exit).unwrap();
    dir.write_lines(b"one\n").unwrap();
    dir.write_status(&Status::default()).unwrap();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.lines()), 0o600);
    // A pipe without a writer would be waited for.
    std::fs::remove_file(dir.file("exit.json")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.file("exit.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let refused = dir.exit().unwrap_err().to_string();
    assert!(refused.ends_with("/exit.json: it is no regular file"), "{refused}");
    std::fs::remove_file(dir.file("exit.json")).unwrap();
    std::fs::create_dir(dir.file("exit.json")).unwrap();
    let refused = dir.exit().unwrap_err();
    assert_eq!(refused.to_string().matches("directory").count(), 1, "{refused}");
    assert!(std::error::Error::source(&refused).is_none(), "the system's words would be told twice");
}

#[test]
fn temporary_names_cannot_be_guessed_and_do_not_stay() {
    let (_temp, store) = store();
    let dir = ended(&store, "home", RunOutcome::Success);
    for name in
        [".status.json.12-0", ".lines.txt.7-0123456789abcdef", ".stop.a-b", "reserve", ".keep", ".x.yz-1"]
    {
        std::fs::write(dir.file(name), "half").unwrap();
    }
    std::fs::create_dir(dir.file(".a.1-2")).unwrap();
    dir.remove_leftovers();
    let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = entries.filter(|name| name.to_str().unwrap().starts_with('.')).collect();
    left.sort();
    assert_eq!(left, [".a.1-2", ".keep", ".x.yz-1"]);
    assert!(!dir.reserve().exists());
}

/// Root sees runs of a user, and leaves no file of its own among them. Only root can test that.
#[test]
fn the_store_of_another_user_is_only_read() {
    use std::os::unix::fs::{MetadataExt, chown};
    const OTHER: u32 = 65_534;
    let (temp, store) = store();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let state = temp.path().join("state");
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(OTHER), Some(OTHER)).unwrap();
    let is_refused = |result: Result<(), StoreError>| match result {
        Err(error @ StoreError::OtherOwner { user: OTHER, .. }) => error.is_unwritable(),
        _ => false,
    };
    // It would be made in a directory of theirs.
    assert!(is_refused(store.create(facts("a"), false).map(drop)));
    assert!(!store.root().exists());
    // Where it is asked for, they can use what is made.
    let allowed = store.clone().allow_others(true);
    let dir = ended(&allowed, "home", RunOutcome::Success);
    drop(dir.lock_guard().unwrap());
    let mut all = vec![state.clone()];
    while let Some(path) = all.pop() {
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), OTHER, "{}", path.display());
        if path.is_dir() {
            all.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let dir = store.run(RunId(1)).unwrap();
    assert!(dir.status().unwrap().unwrap().has_succeeded());
    assert!(is_refused(dir.lock_recovery().map(drop)) && is_refused(dir.mark_stopped()));
    assert!(is_refused(dir.write_status(&Status::default())) && is_refused(dir.lock_monitor().map(drop)));
    assert!(is_refused(store.prune(&keep(0), NOW, false).map(drop)));
    assert_eq!(store.prune(&keep(0), NOW, true).unwrap().len(), 1);
}
