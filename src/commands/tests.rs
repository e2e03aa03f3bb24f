use super::{describe, list, prune};
use nixmon_core::text::{Line, Symbols};
use nixmon_runs::clock::{local_clock, short_clock};
use nixmon_runs::{Activity, ReadOn, Reason, Removed, RootCause, RunId, RunOutcome, RunState, Status};

/// 2026-09-21 14:13:20 in UTC.
const NOW: u64 = 1_790_000_000_000;

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| line.plain() + "\n").collect()
}

/// A run of four minutes that builds.
fn running() -> Status {
    Status {
        id: RunId(12),
        name: Some("home".to_owned()),
        command: vec!["make".to_owned(), "home".to_owned()],
        created_at: NOW - 251_000,
        started_at: Some(NOW - 250_000),
        heartbeat_at: NOW - 3_000,
        line: "Building… 3/7 built".to_owned(),
        wanted: 7,
        built: 3,
        fetched: 12,
        cursor: 17,
        ..Status::default()
    }
}

fn ended(outcome: RunOutcome, code: Option<i32>) -> Status {
    Status {
        state: RunState::Ended,
        ended_at: Some(NOW - 1_000),
        outcome: Some(outcome),
        exit_code: code,
        line: format!("the verdict: {}", outcome.as_str()),
        ..running()
    }
}

fn failure() -> Option<RootCause> {
    let message = "failed, exit 2: no rule to make all".to_owned();
    Some(RootCause { name: Some("badlib-0.9".to_owned()), message })
}

fn queued() -> Status {
    let line = String::new();
    Status { state: RunState::Queued, after: Some(RunId(11)), started_at: None, line, cursor: 0, ..running() }
}

fn lost() -> Status {
    let incomplete =
        "its monitor died at 14:09; the command (pid 4711) keeps running, and its output is recorded";
    Status { state: RunState::Lost, incomplete: Some(incomplete.to_owned()), ..running() }
}

#[test]
fn how_a_run_stands() {
    let status = |status: &Status| text(&describe::status(status, NOW, &Symbols::unicode()));
    let slow: Vec<String> = (1..=4).map(|n| format!("lib{n}-1.0 builds since {n}m00s")).collect();
    insta::assert_snapshot!(status(&running()), @"
    run 12 (home: make home) has been running for 4m10s, busy, cursor 17
      Building… 3/7 built
    ");
    insta::assert_snapshot!(status(&Status {
        activity: Some(Activity::Stuck),
        silent_ms: 200_000,
        heartbeat_at: NOW - 35_000,
        overdue: true,
        expected_ms: Some(180_000),
        last_failure: failure(),
        slow,
        ..running()
    }), @"
    run 12 (home: make home) has been running for 4m10s (usually takes 3m), stuck, silent for 3m20s, longer than its timeout, no sign of life for 35s, cursor 17
      Building… 3/7 built
      lib1-1.0 builds since 1m00s
      lib2-1.0 builds since 2m00s
      and 2 more
      ✗ badlib-0.9 failed, exit 2: no rule to make all
    ");
    insta::assert_snapshot!(status(&queued()), @"run 12 (home: make home) queued behind run 11 for 4m11s, cursor 0");
    insta::assert_snapshot!(status(&lost()), @"
    run 12 (home: make home) has been running for 4m10s, cursor 17
      Building… 3/7 built
      its monitor died at 14:09; the command (pid 4711) keeps running, and its output is recorded
    ");
}

#[test]
fn how_a_run_ended() {
    let first =
        RootCause { name: Some("lib-1.0".to_owned()), message: "failed: no rule\nto make it".to_owned() };
    let status = |status: &Status| text(&describe::status(status, NOW, &Symbols::unicode()));
    let zoneless = |text: String| text.replacen(&local_clock(NOW - 1_000, NOW), "HH:MM", 1);
    insta::assert_snapshot!(zoneless(status(&ended(RunOutcome::Success, Some(0)))), @"
    run 12 (home: make home) ended: success, exit status 0, after 4m09s, at HH:MM, cursor 17
      the verdict: success
    ");
    let failed =
        Status { first_failure: Some(first), last_failure: failure(), ..ended(RunOutcome::Failure, Some(2)) };
    insta::assert_snapshot!(zoneless(status(&failed)), @"
    run 12 (home: make home) ended: failure, exit status 2, after 4m09s, at HH:MM, cursor 17
      the verdict: failure
      ✗ lib-1.0 failed: no rule to make it
    ");
    let read_on = |read_on, first: Option<RootCause>| {
        let first_failure = first.or_else(|| failed.first_failure.clone());
        let said = status(&Status { read_on: Some(read_on), first_failure, ..failed.clone() });
        said.lines().skip(2).map(|line| format!("{line}\n")).collect::<String>()
    };
    insta::assert_snapshot!(read_on(ReadOn::Derivation, None), @"
    ✗ lib-1.0 failed: no rule to make it
    read on: nixmon log 12 --derivation lib-1.0
    ");
    insta::assert_snapshot!(read_on(ReadOn::End, None), @"
    ✗ lib-1.0 failed: no rule to make it
    read on: nixmon log 12 --lines -50:
    ");
    // The name stands in front, whatever else names it.
    let message = "timed out: building of 'lib-1.0.drv!out' timed out".to_owned();
    let named = RootCause { name: Some("lib-1.0".to_owned()), message };
    insta::assert_snapshot!(read_on(ReadOn::Derivation, Some(named)), @"
    ✗ lib-1.0 timed out: building of 'lib-1.0.drv!out' timed out
    read on: nixmon log 12 --derivation lib-1.0
    ");
    // No shell takes this for a name.
    let odd = RootCause { name: Some("lib; rm".to_owned()), message: "failed".to_owned() };
    insta::assert_snapshot!(read_on(ReadOn::Derivation, Some(odd)), @"
    ✗ lib; rm failed
    read on: nixmon log 12 --lines -50:
    ");
    let unexplained = Status { read_on: Some(ReadOn::End), ..ended(RunOutcome::Failure, Some(3)) };
    insta::assert_snapshot!(zoneless(status(&unexplained)), @"
    run 12 (home: make home) ended: failure, exit status 3, after 4m09s, at HH:MM, cursor 17
      the verdict: failure
      read on: nixmon log 12 --lines -50:
    ");
    let long = Some(RootCause { name: None, message: "long ".repeat(40) });
    let long = status(&Status { first_failure: long, ..failed.clone() });
    assert!(long.ends_with("…\n  read on: nixmon log 12 --lines -50:\n"), "{long}");
    let incomplete = Some("its monitor died, and its end was not seen".to_owned());
    let unseen = Status { incomplete, ..ended(RunOutcome::Incomplete, None) };
    insta::assert_snapshot!(zoneless(status(&unseen)), @"
    run 12 (home: make home) ended: incomplete, exit status unknown, after 4m09s, at HH:MM, cursor 17
      the verdict: incomplete
      its monitor died, and its end was not seen
    ");
    let never = Status { started_at: None, ..ended(RunOutcome::NotStarted, None) };
    insta::assert_snapshot!(zoneless(status(&never)), @"
    run 12 (home: make home) ended: not started, at HH:MM, cursor 17
      the verdict: not-started
    ");
}

#[test]
fn foreign_text_is_harmless() {
    let evil = "\u{1b}]0;title\u{7}\u{1b}[2J\nx\u{202e}".to_owned();
    let status = Status {
        name: Some(evil.clone()),
        command: vec![evil.clone(); 40],
        line: evil.clone(),
        slow: vec![evil.clone()],
        incomplete: Some(evil.clone()),
        first_failure: Some(RootCause { name: Some(evil.clone()), message: evil.clone() }),
        last_failure: Some(RootCause { name: Some(evil.clone()), message: evil.repeat(1000) }),
        ..running()
    };
    let unreadable = (RunId(3), Err(evil));
    for state in [RunState::Queued, RunState::Running, RunState::Lost, RunState::Ended] {
        let status = Status { state, ..status.clone() };
        let mut lines = describe::status(&status, NOW, &Symbols::unicode());
        lines.push(describe::in_one_line(&status, NOW));
        lines.extend(list::table(
            &[(RunId(2), Ok(status)), unreadable.clone()],
            NOW,
            None,
            &Symbols::unicode(),
        ));
        for line in lines {
            let plain = line.plain();
            assert_eq!(nixmon_log::escapes::sanitize(&plain), plain);
            assert!(plain.len() < 1000, "{plain}");
        }
    }
}

#[test]
fn the_last_line_of_wait() {
    let line = |status: &Status| describe::in_one_line(&Status { cursor: 23, ..status.clone() }, NOW).plain();
    insta::assert_snapshot!(line(&running()), @"run 12 is in progress, cursor 23: Building… 3/7 built");
    insta::assert_snapshot!(line(&queued()), @"run 12 is queued, cursor 23");
    insta::assert_snapshot!(line(&lost()), @"run 12 is in progress, cursor 23: its monitor died at 14:09; the command (pid 4711) keeps running, and its output is recorded");
    insta::assert_snapshot!(line(&ended(RunOutcome::Success, Some(0))), @"run 12 ended: success, exit status 0, after 4m09s, cursor 23");
    let stuck = Status { activity: Some(Activity::Stuck), silent_ms: 200_000, ..running() };
    insta::assert_snapshot!(line(&stuck), @"run 12 is in progress, stuck, silent for 3m20s, cursor 23: Building… 3/7 built");
    let next = |status: &Status| describe::next(status).plain();
    insta::assert_snapshot!(next(&running()), @"; continue with nixmon wait 12 --since 17");
    insta::assert_snapshot!(next(&queued()), @"; continue with nixmon wait 12 --since 0");
    insta::assert_snapshot!(next(&lost()), @"; continue with nixmon wait 12 --since 17");
    insta::assert_snapshot!(next(&stuck), @"; continue with nixmon status 12");
    insta::assert_snapshot!(next(&Status { overdue: true, ..running() }), @"; continue with nixmon status 12");
}

#[test]
fn a_list_of_runs_is_a_table() {
    let clock = local_clock(NOW - 250_000, NOW);
    let long = "nix build --print-build-logs .#checks.x86_64-linux.everything --keep-going".to_owned();
    let old = Status {
        id: RunId(9),
        name: None,
        command: vec![long],
        started_at: Some(NOW - 400_000_000),
        failed: 1_234,
        ..ended(RunOutcome::Failure, Some(1))
    };
    let other =
        "run 8 was written by another nixmon: its format is 7, this one knows 1; a newer nixmon is needed";
    let failed = |id, failed, name: Option<&str>, message: &str| {
        let cause = RootCause { name: name.map(str::to_owned), message: message.to_owned() };
        let status = Status {
            id: RunId(id),
            failed,
            first_failure: Some(cause),
            ..ended(RunOutcome::Failure, Some(1))
        };
        (RunId(id), Ok(status))
    };
    let rows = [
        (RunId(12), Ok(running())),
        (RunId(11), Ok(Status { id: RunId(11), started_at: Some(NOW - 250_000), ..queued() })),
        (RunId(10), Ok(Status { built: 0, fetched: 0, ..ended(RunOutcome::Success, Some(0)) })),
        (RunId(9), Ok(old)),
        (RunId(8), Err(other.to_owned())),
        failed(7, 1, Some("lib-1.0"), "failed, exit 2: main.c:3:1: error: expected expression"),
        failed(6, 3, Some("lib-1.0"), "does not match its specified hash: got sha256-AAAA"),
        failed(5, 0, None, "undefined variable 'x'"),
    ];
    let date = short_clock(NOW - 400_000_000, NOW);
    let table = |columns| {
        let lines = list::table(&rows, NOW, columns, &Symbols::unicode());
        let most = columns.unwrap_or(160);
        assert!(lines.iter().all(|line| line.width() <= most), "{lines:#?}");
        text(&lines).replace(&clock, "HH:MM").replace(&date, "Mon DD HH:MM")
    };
    insta::assert_snapshot!(table(None), @"
    12  home                                                          HH:MM         4m10s  busy     3 built, 12 fetched
    11  home                                                          HH:MM         4m10s  queued   3 built, 12 fetched
    10  home                                                          HH:MM         4m09s  success
     9  nix build --print-build-logs .#checks.x86_64-linux.everythi…  Mon DD HH:MM  4d15h  failure  1,234 failed, 3 built, 12 fetched
     8  was written by another nixmon: its format is 7, this one knows 1; a newer nixmon is needed
     7  home                                                          HH:MM         4m09s  failure  lib-1.0 failed, exit 2: main.c:3:1: error: expected expression …
     6  home                                                          HH:MM         4m09s  failure  lib-1.0 does not match its specified hash: got sha256-AAAA · 3 …
     5  home                                                          HH:MM         4m09s  failure  undefined variable 'x' · 3 built, 12 fetched
    ");
    for columns in 20..200 {
        table(Some(columns));
    }
    insta::assert_snapshot!(table(Some(60)), @"
    12  home              HH:MM         4m10s  busy     3 built…
    11  home              HH:MM         4m10s  queued   3 built…
    10  home              HH:MM         4m09s  success
     9  nix build --pri…  Mon DD HH:MM  4d15h  failure  1,234 f…
     8  was written by another nixmon: its format is 7, this on…
     7  home              HH:MM         4m09s  failure  lib-1.0…
     6  home              HH:MM         4m09s  failure  lib-1.0…
     5  home              HH:MM         4m09s  failure  undefin…
    ");
    insta::assert_snapshot!(table(Some(100)), @"
    12  home                        HH:MM         4m10s  busy     3 built, 12 fetched
    11  home                        HH:MM         4m10s  queued   3 built, 12 fetched
    10  home                        HH:MM         4m09s  success
     9  nix build --print-build-l…  Mon DD HH:MM  4d15h  failure  1,234 failed, 3 built, 12 fetched
     8  was written by another nixmon: its format is 7, this one knows 1; a newer nixmon is needed
     7  home                        HH:MM         4m09s  failure  lib-1.0 failed, exit 2: main.c:3:1: e…
     6  home                        HH:MM         4m09s  failure  lib-1.0 does not match its specified …
     5  home                        HH:MM         4m09s  failure  undefined variable 'x' · 3 built, 12 …
    ");
    insta::assert_snapshot!(table(Some(80)), @"
    12  home              HH:MM         4m10s  busy     3 built, 12 fetched
    11  home              HH:MM         4m10s  queued   3 built, 12 fetched
    10  home              HH:MM         4m09s  success
     9  nix build --pri…  Mon DD HH:MM  4d15h  failure  1,234 failed, 3 built, 12 f…
     8  was written by another nixmon: its format is 7, this one knows 1; a newer n…
     7  home              HH:MM         4m09s  failure  lib-1.0 failed, exit 2: mai…
     6  home              HH:MM         4m09s  failure  lib-1.0 does not match its …
     5  home              HH:MM         4m09s  failure  undefined variable 'x' · 3 …
    ");
    insta::assert_snapshot!(table(Some(120)), @"
    12  home                                            HH:MM         4m10s  busy     3 built, 12 fetched
    11  home                                            HH:MM         4m10s  queued   3 built, 12 fetched
    10  home                                            HH:MM         4m09s  success
     9  nix build --print-build-logs .#checks.x86_64-…  Mon DD HH:MM  4d15h  failure  1,234 failed, 3 built, 12 fetched
     8  was written by another nixmon: its format is 7, this one knows 1; a newer nixmon is needed
     7  home                                            HH:MM         4m09s  failure  lib-1.0 failed, exit 2: main.c:3:1: e…
     6  home                                            HH:MM         4m09s  failure  lib-1.0 does not match its specified …
     5  home                                            HH:MM         4m09s  failure  undefined variable 'x' · 3 built, 12 …
    ");
}

#[test]
fn what_was_removed() {
    let removed = |id, reason| Removed {
        id: RunId(id),
        name: Some("home".to_owned()).filter(|_| id % 2 == 0),
        command: vec!["make".to_owned(), "web".to_owned()],
        at: NOW,
        bytes: 3 << 20,
        reason,
    };
    let clock = local_clock(NOW, NOW);
    let lines =
        |removed: &[Removed], dry_run| text(&prune::lines(removed, dry_run, NOW)).replace(&clock, "HH:MM");
    insta::assert_snapshot!(lines(&[], false), @"nothing to remove");
    insta::assert_snapshot!(lines(&[removed(1, Reason::Age)], false), @"removed run 1 (make web) of HH:MM, 3.0 MiB: too old");
    insta::assert_snapshot!(lines(&[removed(1, Reason::Count), removed(2, Reason::Size)], true), @"
    would remove run 1 (make web) of HH:MM, 3.0 MiB: too many
    would remove run 2 (home) of HH:MM, 3.0 MiB: too large together
    would remove 2 runs, 6.0 MiB
    ");
    let many: Vec<_> = (1..=30).map(|id| removed(id, Reason::Age)).collect();
    insta::assert_snapshot!(lines(&many, false), @"removed 30 runs, 90 MiB");
}
