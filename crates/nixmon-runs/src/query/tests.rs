use std::cell::Cell;

use tempfile::TempDir;

use super::*;
use crate::{Created, ErrorKind, Life, RunOutcome, Status};
use nixmon_core::frontend::{Json, LogLines};
use nixmon_core::pipeline::Pipeline;

/// Some moment, in milliseconds since 1970.
const NOW: u64 = 1_790_000_000_000;
/// Later than a monitor needs to start.
const LATER: u64 = NOW + 60_000;

fn store() -> (TempDir, Store) {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(temp.path().join("runs"));
    (temp, store)
}

/// Look-ups that must not replay anything.
fn runs(store: &Store) -> Runs<'static> {
    Runs::new(store.clone(), |dir, _, _| panic!("run {} needs no replay", dir.id()))
}

fn create(store: &Store, name: &str) -> Created {
    let facts = Facts {
        name: Some(name.to_owned()),
        command: vec!["make".to_owned(), name.to_owned()],
        created_at: NOW,
        ..Facts::default()
    };
    store.create(facts, true).unwrap()
}

fn end(dir: &RunDir) {
    let status = Status {
        id: dir.id(),
        state: RunState::Ended,
        outcome: Some(RunOutcome::Success),
        ..Status::default()
    };
    dir.write_status(&status).unwrap();
}

fn kind<T: std::fmt::Debug>(result: Result<T, QueryError>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn runs_of_another_machine_are_left_as_they_are() {
    let (temp, store) = store();
    let dir = create(&store, "home").dir;
    dir.write_status(&Status { id: dir.id(), state: RunState::Running, ..Status::default() }).unwrap();
    let mirror = Store::mirror(store.root());
    let copy = mirror.run(dir.id()).unwrap();
    // Its monitor is no process of this machine, so nothing says that it has died.
    assert_eq!(store.run(dir.id()).unwrap().life(LATER).unwrap(), Life::Over);
    assert_eq!(copy.life(LATER).unwrap(), Life::Monitored);
    let look = runs(&mirror).look(&copy, LATER).unwrap();
    assert_eq!((look.life, look.status.state), (Life::Monitored, RunState::Running));
    // A run of which nothing has come yet goes on as well.
    std::fs::remove_file(copy.file("status.json")).unwrap();
    std::fs::remove_file(copy.file("facts.json")).unwrap();
    assert_eq!(runs(&mirror).look(&copy, LATER).unwrap().life, Life::Monitored);
    end(&dir);
    assert_eq!(copy.life(LATER).unwrap(), Life::Ended);
    drop(temp);
}

#[test]
fn errors_have_kinds_and_hints() {
    let (_temp, store) = store();
    let runs = runs(&store);
    assert_eq!(kind(runs.find(None)), ErrorKind::UnknownRun);
    assert_eq!(kind(runs.stop_target(None, NOW)), ErrorKind::UnknownRun);
    let first = create(&store, "home");
    let hint = |reference| runs.find(Some(reference)).unwrap_err().hint();
    assert_eq!(hint("hmoe").as_deref(), Some("did you mean home?"));
    assert_eq!(hint("7").as_deref(), Some("there is run 1, named home"));
    assert_eq!(runs.stop_target(None, NOW).unwrap(), first.dir);
    let second = create(&store, "web");
    let error = runs.stop_target(None, NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    let expected = "2 runs are in progress; name one:\n  run 2 (web: make web)\n  run 1 (home: make home)";
    assert_eq!(error.to_string(), expected);
    assert_eq!(runs.stop_target(Some("home"), NOW).unwrap(), first.dir);
    std::fs::write(second.dir.file("facts.json"), r#"{"format":7}"#).unwrap();
    assert_eq!(kind(runs.look(&second.dir, NOW)), ErrorKind::Incompatible);
}

#[test]
fn a_list_has_the_newest_first() {
    let (_temp, store) = store();
    for name in ["a", "b", "c"] {
        end(&create(&store, name).dir);
    }
    let runs = runs(&store);
    let list = |limit| {
        let (ids, n_older) = runs.list(limit).unwrap();
        (ids.map(|id| id.0).collect::<Vec<_>>(), n_older)
    };
    assert_eq!(list(Some(2)), (vec![3, 2], 1));
    assert_eq!(list(None), (vec![3, 2, 1], 0));
    assert!(runs.listed(RunId(3), NOW).look.unwrap().status.has_ended());
    assert_eq!(kind(runs.listed(RunId(9), NOW).look), ErrorKind::UnknownRun);
    let retention = Retention { runs: 1, ..Retention::default() };
    let planned: Vec<u64> =
        runs.prune_plan(&retention, NOW).unwrap().iter().map(|removed| removed.id.0).collect();
    assert_eq!(planned, [1, 2]);
    assert_eq!(list(None).0.len(), 3, "a plan removes nothing");
}

#[test]
fn lines_are_followed_from_a_cursor() {
    let (_temp, store) = store();
    let run = create(&store, "home");
    let runs = runs(&store);
    std::fs::write(run.dir.lines(), "one\ntwo\nunfinish").unwrap();
    let mut all = runs.follow(&run.dir, Some(0)).unwrap();
    let mut new = runs.follow(&run.dir, None).unwrap();
    let lines = |follow: &mut Follow| {
        let news = follow.next(&runs, NOW).unwrap();
        let lines: Vec<_> = news.lines.into_iter().map(|line| (line.cursor, line.text)).collect();
        (lines, news.status.cursor, news.look_again.is_some())
    };
    let line = |cursor, text: &str| (cursor, text.to_owned());
    assert_eq!(lines(&mut all), (vec![line(1, "one"), line(2, "two")], 2, true));
    assert_eq!(lines(&mut new), (vec![], 2, true));
    std::fs::write(run.dir.lines(), "one\ntwo\nunfinished\n").unwrap();
    end(&run.dir);
    assert_eq!(lines(&mut new), (vec![line(3, "unfinished")], 3, false));
    assert_eq!(lines(&mut new), (vec![], 3, false));
}

/// The summary record of a command that has printed nothing and ended well.
fn summary() -> Vec<u8> {
    let mut pipeline = Pipeline::new(Json::new(std::io::sink(), None), LogLines::default());
    let end = pipeline.end_of_command(Some(0), std::time::Duration::ZERO, |_| Default::default());
    serde_json::to_vec(&end.summary).unwrap()
}

/// A look that finds out how a run ended may be killed at any moment. The next one finishes what it began.
#[test]
fn a_report_is_there_once() {
    let report = b"[4s] the report\nits end\n".to_vec();
    let replayed = Replayed {
        later: report.clone(),
        summary: summary(),
        status: Status { line: "OK".to_owned(), ..Status::default() },
        has_read: true,
        ..Replayed::default()
    };
    let before = b"one\ntwo\n".to_vec();
    // Its lines so far, the place of the report if that was noted, and whether there is a summary.
    for (lines, report_at, has_summary, is_told_to_be_whole) in [
        (before.clone(), None, false, false),
        ([&before[..], b"torn"].concat(), None, false, false),
        (before.clone(), Some(8), false, false),
        (before.clone(), Some(8), true, false),
        ([&before[..], b"[4s] the rep"].concat(), Some(8), true, false),
        ([&before[..], b"[4s] the report\n"].concat(), Some(8), true, false),
        ([&before[..], &report].concat(), Some(8), true, false),
        // Written by a nixmon that did not note it: then its summary says that the report is there.
        ([&before[..], &report].concat(), None, true, true),
        // What cannot be is not believed.
        (before.clone(), Some(3), false, false),
        (before.clone(), Some(99), false, false),
    ] {
        let (_temp, store) = store();
        let Created { dir, lock, facts } = create(&store, "home");
        drop(lock);
        std::fs::write(dir.lines(), &lines).unwrap();
        let running = Status { id: facts.id, state: RunState::Running, created_at: NOW, ..Status::default() };
        if let Some(at) = report_at {
            dir.write_status_before_report(&running, at).unwrap();
        }
        if has_summary {
            dir.write_summary(&serde_json::json!({"outcome": "success"})).unwrap();
        }
        std::fs::write(dir.reserve(), "room").unwrap();
        std::fs::write(dir.file(".status.json.1-2"), "half").unwrap();
        let told = Replayed {
            later: if is_told_to_be_whole { Vec::new() } else { report.clone() },
            ..replayed.clone()
        };
        let runs = Runs::new(store, move |_, _, _| Ok(told.clone()));
        let status = runs.look(&dir, LATER).unwrap().status;
        let kept = String::from_utf8(std::fs::read(dir.lines()).unwrap()).unwrap();
        assert_eq!(kept, "one\ntwo\n[4s] the report\nits end\n", "{lines:?} {report_at:?}");
        assert_eq!((status.cursor, status.outcome), (4, Some(RunOutcome::Incomplete)));
        assert_eq!(dir.report_at().unwrap(), None);
        let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> =
            left.filter(|name| name == "reserve" || name.to_str().unwrap().starts_with('.')).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_dead_monitor_is_replayed_once() {
    let (_temp, store) = store();
    let Created { dir, lock, .. } = create(&store, "home");
    drop(lock);
    let n_replays = Cell::new(0);
    let replayed = Replayed {
        later: b"the report\n".to_vec(),
        summary: summary(),
        status: Status { line: "OK".to_owned(), outcome: Some(RunOutcome::Success), ..Status::default() },
        has_read: true,
        ..Replayed::default()
    };
    let runs = Runs::new(store, |_, _, _| {
        n_replays.set(n_replays.get() + 1);
        Ok(replayed.clone())
    });
    for _ in 0..2 {
        let look = runs.look(&dir, LATER).unwrap();
        assert_eq!((look.life, look.status.state), (Life::Ended, RunState::Ended));
        // Its end was not seen, so that it is no success.
        assert_eq!((look.status.outcome, look.status.cursor), (Some(RunOutcome::Incomplete), 1));
    }
    assert_eq!(n_replays.get(), 1);
    assert_eq!(dir.summary().unwrap().unwrap()["outcome"], "incomplete");
    assert_eq!(std::fs::read(dir.lines()).unwrap(), b"the report\n");
}
