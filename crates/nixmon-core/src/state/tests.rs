//! The rules by which it is told what became of a derivation, each with the smallest stream that needs it.

mod graphs;
mod human;
mod inside;
mod kinds;

use std::time::Duration;

use super::*;
use nixmon_log::input::Reader;

/// The path of a derivation with this name.
fn drv(name: &str) -> String {
    let digit = name.as_bytes()[0] as char;
    format!("/nix/store/{}-{name}.drv", digit.to_string().repeat(32))
}

/// The path of a derivation's output.
fn out(name: &str) -> String {
    drv(name).trim_end_matches(".drv").to_owned()
}

fn start(id: u64, kind: u64, parent: u64, fields: &[&str]) -> String {
    let fields = serde_json::json!(fields);
    format!(
        r#"@nix {{"action":"start","fields":{fields},"id":{id},"level":3,"parent":{parent},"text":"","type":{kind}}}"#
    )
}

/// A build of process 0 without a parent.
fn build(id: u64, name: &str) -> String {
    start(id, 105, 0, &[&drv(name), ""])
}

fn stop(id: u64) -> String {
    format!(r#"@nix {{"action":"stop","id":{id}}}"#)
}

/// Values of a counter: done, running, failed.
fn progress(id: u64, done: u64, running: u64, failed: u64) -> String {
    format!(r#"@nix {{"action":"result","fields":[{done},9,{running},{failed}],"id":{id},"type":105}}"#)
}

/// An error with a raw message, as a command's own last word has.
fn error(raw: &str) -> String {
    let msg = serde_json::json!(format!("\u{1b}[31;1merror:\u{1b}[0m {raw}"));
    let raw = serde_json::json!(raw);
    format!(
        r#"@nix {{"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":{msg},"raw_msg":{raw}}}"#
    )
}

/// A text of this level.
fn message(level: u64, text: &str) -> String {
    format!(r#"@nix {{"action":"msg","level":{level},"msg":{}}}"#, serde_json::json!(text))
}

fn failed(name: &str) -> String {
    format!("builder for '{}' failed with exit code 2", drv(name))
}

fn plan(names: &[&str]) -> Vec<String> {
    let header = message(3, &format!("these {} derivations will be built:", names.len()));
    std::iter::once(header).chain(names.iter().map(|name| message(3, &format!("  {}", drv(name))))).collect()
}

/// A run, line by line.
#[derive(Default)]
struct Run {
    reader: Reader,
    state: State,
    effects: Effects,
}

impl Run {
    fn feed(&mut self, lines: &[String]) {
        for line in lines {
            let Self { reader, state, effects } = self;
            let at = state.now() + Duration::from_secs(1);
            let mut take = |event: Event<'_>| state.apply(Input::Event(event), at, effects);
            reader.feed(format!("{line}\n").as_bytes(), &mut take);
            reader.settle(&mut take);
            assert_eq!(self.state.derivations().counts(), self.state.derivations().recount(), "{line}");
        }
    }

    fn read(&mut self, name: &str, inputs: &[&str]) {
        let inputs = inputs.iter().map(|name| drv(name)).collect();
        let facts = DerivationFacts { path: drv(name), inputs, outputs: vec![out(name)] };
        self.state.apply(Input::Derivation(&facts), self.state.now(), &mut self.effects);
    }

    fn end(&mut self, exit_status: Option<i32>) {
        self.state.apply(Input::End(exit_status), self.state.now(), &mut self.effects);
        assert_eq!(self.state.derivations().counts(), self.state.derivations().recount());
    }

    /// Each derivation and where it stands, in the order in which they were named.
    fn fates(&self) -> String {
        let fates =
            self.state.derivations().iter().map(|(_, d)| format!("{} {}", d.name(), d.state().as_str()));
        fates.collect::<Vec<_>>().join(", ")
    }

    /// Names and kinds of the root causes.
    fn causes(&self) -> String {
        let causes = self.state.failures().map(|(_, failure)| {
            format!("{} {}", failure.name.as_deref().unwrap_or("-"), failure.kind.as_str())
        });
        causes.collect::<Vec<_>>().join(", ")
    }
}

/// Checks the derivations of a stream without an exit status, the root causes, and the outcome.
#[track_caller]
fn check(lines: &[String], fates: &str, causes: &str, outcome: Outcome) {
    let mut run = Run::default();
    run.feed(lines);
    run.end(None);
    assert_eq!((run.fates().as_str(), run.causes().as_str()), (fates, causes));
    assert_eq!(run.state.outcome(), Some(outcome));
}

use Outcome::{Failure as Failed, Incomplete, Interrupted, Success};

/// A filter has no exit status, and takes what the stream tells; of a command whose exit status is lost that is not enough.
#[test]
fn inputs_are_as_small_as_events() {
    assert!(size_of::<Input<'_>>() <= size_of::<Event<'_>>(), "{}", size_of::<Input<'_>>());
}

#[test]
fn a_command_whose_end_was_not_seen_is_no_success() {
    let built = [start(1, 104, 0, &[]), build(2, "a"), stop(2), progress(1, 1, 1, 0), stop(1)];
    let failed = ["error: attribute 'x' missing".to_owned()];
    for (lines, filtered, unseen, verdict) in [
        (&built[..], Success, Incomplete, "✗ Incomplete after 5s: its end was not seen · 1 built"),
        (&[], Success, Incomplete, "✗ Incomplete after 0s: its end was not seen"),
        (&failed, Failed, Failed, ""),
    ] {
        for (is_lost, expected) in [(false, filtered), (true, unseen)] {
            let mut run = Run::default();
            run.feed(lines);
            if is_lost {
                run.state.end_is_unseen();
            }
            run.end(None);
            assert_eq!(run.state.outcome(), Some(expected), "{lines:?} {is_lost}");
            if is_lost && !verdict.is_empty() {
                let style = crate::render::Style {
                    symbols: crate::text::Symbols::unicode(),
                    ascii: false,
                    thresholds: crate::render::Thresholds::default(),
                };
                assert_eq!(crate::render::verdict(&run.state, &style).plain(), verdict);
                assert_eq!(run.state.exit_code(), 1);
            }
        }
    }
}

#[test]
fn an_end_is_what_the_counter_said_before_it() {
    let begin = [start(1, 104, 0, &[]), build(2, "a"), build(3, "b"), progress(1, 0, 2, 0)];
    let with = |rest: &[String]| [&begin, rest].concat();
    let close = [stop(1)];
    // Built one after the other.
    check(
        &with(&[progress(1, 1, 1, 0), stop(3), progress(1, 2, 0, 0), stop(2), stop(1)]),
        "a built, b built",
        "",
        Success,
    );
    // The first failed; the other was killed and is not counted.
    let one_failed = with(&[progress(1, 0, 1, 1), stop(2), progress(1, 0, 0, 1), stop(3)]);
    check(
        &[&one_failed[..], &[error(&failed("a"))], &close].concat(),
        "a failed, b cancelled",
        "a builder-failed",
        Failed,
    );
    // The ends come in another order than the counts: the name in the message decides.
    check(
        &[&one_failed[..], &[error(&failed("b"))], &close].concat(),
        "a cancelled, b failed",
        "b builder-failed",
        Failed,
    );
    // The message comes before the ends.
    check(
        &with(&[progress(1, 0, 1, 1), error(&failed("b")), stop(3), progress(1, 0, 0, 1), stop(2), stop(1)]),
        "a cancelled, b failed",
        "b builder-failed",
        Failed,
    );
    // One is built in the same moment.
    check(
        &with(&[progress(1, 1, 0, 1), stop(2), stop(3), error(&failed("b")), stop(1)]),
        "a built, b failed",
        "b builder-failed",
        Failed,
    );
}

#[test]
fn a_name_in_a_message_settles_the_others_at_once() {
    let begin = [start(1, 104, 0, &[]), build(2, "a"), build(3, "b"), progress(1, 0, 2, 0)];
    // The counted failure was taken for the first that ended.
    let mut run = Run::default();
    run.feed(&begin);
    run.feed(&[progress(1, 0, 0, 1), stop(2), stop(3)]);
    assert_eq!(run.fates(), "a ended, b cancelled");
    run.feed(&[error(&failed("b"))]);
    assert_eq!(run.fates(), "a cancelled, b failed");
    // It was named before any ended, so those that end later are what they are counted as.
    let mut run = Run::default();
    run.feed(&begin);
    run.feed(&[progress(1, 0, 1, 1), error(&failed("b")), stop(3), progress(1, 1, 0, 1), stop(2)]);
    assert_eq!(run.fates(), "a built, b failed");
}

#[test]
fn the_end_of_the_stream_settles_what_is_open() {
    let open = [start(1, 104, 0, &[]), build(2, "a"), progress(1, 0, 1, 0)];
    check(&open, "a cancelled", "", Incomplete);
    check(&[&open[..], &[error("interrupted by the user")]].concat(), "a cancelled", "", Interrupted);
    check(&[], "", "", Success);
    // The exit status is worth more than the stream.
    for (status, outcome) in
        [(0, Success), (1, Failed), (130, Interrupted), (143, Interrupted), (137, Incomplete)]
    {
        let mut run = Run::default();
        run.feed(&open);
        run.end(Some(status));
        assert_eq!(run.state.outcome(), Some(outcome), "{status}");
    }
}

#[test]
fn what_failed_and_was_built_after_all_is_no_failure() {
    let mut run = Run::default();
    run.feed(&[build(1, "a"), error(&failed("a")), stop(1)]);
    assert_eq!(run.causes(), "a builder-failed");
    run.feed(&[build(2, "a"), stop(2)]);
    assert_eq!((run.fates().as_str(), run.causes().as_str()), ("a built", ""));
    let retracted = run.effects.changes.iter().filter(|change| matches!(change, Change::Retracted(_)));
    assert_eq!(retracted.count(), 1);
}

#[test]
fn a_failure_is_told_once_however_often_nix_says_it() {
    // A machine's own message, then the local one with the status of the build hook.
    let mut run = Run::default();
    run.feed(&[
        start(1, 105, 0, &[&drv("a"), "ssh://root@host1?x=y"]),
        message(
            0,
            &format!(
                "error: build of '{}' on 'ssh://root@host1' failed: builder for '{}' failed with exit code 3",
                drv("a"),
                drv("a")
            ),
        ),
        stop(1),
        error(&format!("builder for '{}' failed with exit code 1", drv("a"))),
    ]);
    run.end(None);
    assert_eq!(run.causes(), "a builder-failed");
    let (_, failure) = run.state.failures().next().unwrap();
    assert_eq!(failure.exit_status, Some(3));
    assert_eq!(failure.machine.as_deref(), Some("ssh://root@host1"));
}

#[test]
fn a_timeout_without_a_name_is_that_of_the_build_that_ended() {
    // 2.34 and later name nothing. Two builds run, one is counted as failed.
    let begin = [start(1, 104, 0, &[]), build(2, "a"), build(3, "b"), progress(1, 0, 2, 0)];
    let timeout = error("timed out after 3 seconds");
    let end = [progress(1, 0, 1, 1), stop(3)];
    let close = [progress(1, 1, 0, 1), stop(2), stop(1)];
    for lines in [
        [&begin[..], &end, std::slice::from_ref(&timeout), &close].concat(),
        // The message comes first.
        [&begin[..], std::slice::from_ref(&timeout), &end, &close].concat(),
    ] {
        check(&lines, "a built, b failed", "b timeout", Failed);
    }
    // Without any build it is a cause without a name.
    check(&[timeout], "", "- timeout", Failed);
}

#[test]
fn a_build_on_a_machine_that_reports_its_own_is_one() {
    // ssh-ng: the machine's request is below the local one, and builds the same derivation.
    let remote = 7 << 32;
    check(
        &[
            start(1, 102, 0, &[]),
            start(2, 104, 0, &[]),
            start(3, 105, 0, &[&drv("a"), "ssh-ng://host1"]),
            progress(2, 0, 1, 0),
            start(remote + 1, 102, 1, &[]),
            start(remote + 2, 104, remote + 1, &[]),
            start(remote + 3, 108, remote + 1, &[&out("dep"), "https://cache.example.org"]),
            stop(remote + 3),
            start(remote + 4, 105, remote + 1, &[&drv("a"), ""]),
            progress(remote + 2, 0, 1, 0),
            progress(remote + 2, 1, 0, 0),
            stop(remote + 4),
            stop(remote + 2),
            stop(remote + 1),
            progress(2, 1, 0, 0),
            stop(3),
            stop(2),
            stop(1),
        ],
        "a built",
        "",
        Success,
    );
}

#[test]
fn what_a_builder_starts_below_its_build_is_none_of_ours() {
    // Lix takes activities of any type from a builder.
    check(
        &[
            build(1, "a"),
            start(2, 105, 1, &[&drv("fake"), ""]),
            start(3, 105, 2, &[&drv("worse"), ""]),
            stop(3),
            stop(2),
            stop(1),
        ],
        "a built",
        "",
        Success,
    );
}

#[test]
fn a_resolved_derivation_is_the_one_that_was_wanted() {
    let resolved = drv("zresolved");
    let mut lines = plan(&["a"]);
    lines.extend([
        start(1, 104, 0, &[]),
        start(2, 111, 0, &[&drv("a"), &resolved]),
        stop(2),
        start(3, 105, 0, &[&resolved, ""]),
        progress(1, 0, 1, 0),
        progress(1, 1, 0, 0),
        // The original goal is counted too, and has not run.
        progress(1, 2, 0, 0),
        stop(3),
        stop(1),
    ]);
    check(&lines, "a built", "", Success);
}

#[test]
fn dependents_are_blocked_as_far_as_is_known() {
    let lines = [plan(&["app", "lib", "bad", "more"]), vec![build(1, "bad"), error(&failed("bad")), stop(1)]]
        .concat();
    let mut run = Run::default();
    run.feed(&lines);
    assert_eq!(run.state.blocked_by(run.state.failures().next().unwrap().1), 0, "nothing is known yet");
    let asked: Vec<_> =
        run.effects.requests.iter().map(|Request::ReadDerivation(path)| path.clone()).collect();
    assert_eq!(asked, ["app", "lib", "bad", "more"].map(|name| drv(name).into()), "each is asked for once");
    // Late answers. Nobody wants `vague`, so it is not blocked, but what is behind it is.
    run.read("lib", &["bad"]);
    run.read("app", &["vague"]);
    run.feed(&[]);
    let lib = run.state.derivations().find(&drv("lib")).unwrap();
    let bad = run.state.derivations().find(&drv("bad")).unwrap();
    assert_eq!(run.state.derivations().blocked_by(bad), [lib]);
    assert_eq!(run.state.derivations().inputs(lib).collect::<Vec<_>>(), [bad]);
    run.read("more", &["lib"]);
    assert_eq!(run.state.blocked_by(run.state.failures().next().unwrap().1), 2);
    run.end(None);
    assert_eq!(run.state.counts().not_started, 3);
}

#[test]
fn hostile_derivations_do_not_lead_in_circles() {
    let mut run = Run::default();
    run.feed(&plan(&["a", "b"]));
    run.read("a", &["b", "a"]);
    run.read("b", &["a"]);
    run.feed(&[build(1, "a"), error(&failed("a")), stop(1)]);
    assert_eq!(run.state.blocked_by(run.state.failures().next().unwrap().1), 1);
    // This one was not requested.
    run.read("stranger", &["a"]);
    assert_eq!(run.state.derivations().find(&drv("stranger")), None);
}

#[test]
fn failures_that_follow_from_others_are_no_causes() {
    let mut lines = plan(&["app", "lib", "bad"]);
    lines.extend([
        build(1, "bad"),
        stop(1),
        error(&failed("bad")),
        message(0, &format!("error: 1 dependencies of derivation '{}' failed to build", drv("lib"))),
        error(&format!("1 dependencies of derivation '{}' failed to build", drv("app"))),
    ]);
    check(&lines, "app skipped, lib skipped, bad failed", "bad builder-failed", Failed);
}

#[test]
fn errors_after_which_nix_goes_on_are_survived() {
    let missing =
        message(0, "error: file 'nar/0x.nar.xz' does not exist in binary cache 'http://127.0.0.1:1'");
    let fetch = |id| start(id, 108, 0, &[&out("a"), "http://127.0.0.1:1"]);
    let begin = [start(1, 103, 0, &[]), fetch(2), progress(1, 0, 1, 0), progress(1, 0, 0, 1), stop(2)];
    let lines = [&begin[..], std::slice::from_ref(&missing), &[build(3, "a"), stop(3), stop(1)]].concat();
    check(&lines, "a built", "", Success);
    // The same as the last word of a command that failed.
    let mut run = Run::default();
    run.feed(&[&begin[..], &[missing, stop(1)]].concat());
    run.end(Some(1));
    assert_eq!(run.state.outcome(), Some(Failed));
    assert_eq!(run.state.failures().count(), 1);
}

#[test]
fn an_error_of_one_command_is_not_survived_because_another_begins() {
    let second = 9 << 32;
    check(
        &[
            build(1, "a"),
            stop(1),
            error("undefined variable 'x'"),
            start(second + 1, 105, 0, &[&drv("b"), ""]),
            stop(second + 1),
        ],
        "a built, b built",
        "- eval-undefined-variable",
        Failed,
    );
}

#[test]
fn paths_arrive_or_not_as_they_are_counted() {
    let mut run = Run::default();
    let fetch = |id, name| start(id, 108, 0, &[&out(name), "https://cache.example.org"]);
    run.feed(&[
        start(1, 103, 0, &[]),
        fetch(2, "a"),
        fetch(3, "b"),
        start(4, 100, 3, &[&out("b"), "https://cache.example.org", "local"]),
        start(5, 101, 4, &["https://cache.example.org/nar/b.nar.xz"]),
        progress(1, 0, 2, 0),
        r#"@nix {"action":"result","fields":[300,1000,0,0],"id":5,"type":105}"#.to_owned(),
    ]);
    assert_eq!(run.state.transfers().count(PathState::Fetching), 2);
    assert_eq!(run.state.transfers().bytes(), 300);
    run.feed(&[progress(1, 0, 1, 1), stop(2), progress(1, 1, 0, 1), stop(5), stop(4), stop(3), stop(1)]);
    let state =
        |name: &str| run.state.transfers().get(run.state.transfers().find(&out(name)).unwrap()).state();
    assert_eq!((state("a"), state("b")), (PathState::Failed, PathState::Fetched));
}

#[test]
fn waiting_is_seen_and_ends() {
    let mut run = Run::default();
    run.feed(&plan(&["a", "b"]));
    let waiting = |id, text: &str| {
        format!(r#"@nix {{"action":"start","id":{id},"level":1,"parent":0,"text":"{text}","type":111}}"#)
    };
    run.feed(&[waiting(1, &format!("waiting for a machine to build '\\u001b[35;1m{}\\u001b[0m'", drv("a")))]);
    assert_eq!(run.fates(), "a waiting, b planned");
    let a = run.state.derivations().find(&drv("a")).unwrap();
    assert_eq!(run.state.derivations().get(a).waiting_for.as_deref(), Some("a machine"));
    run.feed(&[stop(1)]);
    assert_eq!(run.fates(), "a planned, b planned");
    // A lock is named by the output, which only the graph can tell.
    run.read("b", &[]);
    run.feed(&[waiting(2, &format!("waiting for lock on '{}'", out("b")))]);
    assert_eq!(run.fates(), "a planned, b waiting");
    run.feed(&[build(3, "b"), stop(2)]);
    assert_eq!(run.fates(), "a planned, b building");
}

#[test]
fn a_second_command_tries_again_what_the_first_could_not() {
    let second = 9 << 32;
    let lines = [
        plan(&["a", "parent"]),
        vec![build(1, "a"), stop(1), error(&failed("a"))],
        plan(&["a", "parent"]),
        vec![start(second + 1, 105, 0, &[&drv("a"), ""]), stop(second + 1)],
        vec![start(second + 2, 105, 0, &[&drv("parent"), ""]), stop(second + 2)],
    ]
    .concat();
    check(&lines, "a built, parent built", "", Success);
}

#[test]
fn builders_lines_are_kept_with_their_build_only() {
    let log =
        |id, line: &str| format!(r#"@nix {{"action":"result","fields":["{line}"],"id":{id},"type":101}}"#);
    let mut run = Run::default();
    run.feed(&[build(1, "a"), build(2, "b"), log(1, "of a"), log(2, "of b"), log(99, "of nobody")]);
    run.feed(&[error(&failed("a")), stop(1), stop(2)]);
    let (_, failure) = run.state.failures().next().unwrap();
    assert_eq!(failure.log_tail, ["of a"]);
    // The log of a good build is not kept.
    let b = run.state.derivations().find(&drv("b")).unwrap();
    assert!(run.state.derivations().get(b).log.is_none());
    assert!(!run.effects.changes.iter().any(|change| matches!(change, Change::Text(..))));
}

#[test]
fn human_readable_builds_have_no_end_of_their_own() {
    let building = |name: &str| format!("building '{}'...", drv(name));
    let lines = [building("a"), building("b")];
    check(&lines, "a built, b built", "", Success);
    // After a failure only those that others were built upon are known to be built.
    let failing = [building("a"), building("b"), format!("error: {};", failed("b"))];
    let mut run = Run::default();
    run.feed(&failing);
    run.read("b", &["a"]);
    run.end(Some(1));
    assert_eq!((run.fates().as_str(), run.causes().as_str()), ("a built, b failed", "b builder-failed"));
}

#[test]
fn time_and_phases_only_go_forward() {
    let mut run = Run::default();
    let at = Duration::from_secs;
    run.state.apply(Input::Tick, at(10), &mut run.effects);
    run.state.apply(Input::Tick, at(5), &mut run.effects);
    assert_eq!(run.state.now(), at(10));
    run.feed(&[build(1, "a"), start(2, 108, 0, &[&out("b"), "x"]), stop(1), stop(2)]);
    assert_eq!(run.state.phase(), Phase::Building);
    run.end(None);
    run.end(Some(1));
    assert_eq!(run.state.outcome(), Some(Success), "the end comes once");
    assert_eq!(run.state.phase(), Phase::Done);
}

#[test]
fn a_build_result_on_no_activity_is_heard() {
    let mut run = Run::default();
    // The end was not counted, as if the counter's record had been lost.
    run.feed(&[start(9, 104, 0, &[]), progress(9, 0, 1, 0), build(1, "a"), stop(1)]);
    let id = run.state.derivations().find(&drv("a")).unwrap();
    assert_eq!(run.state.derivations().get(id).state(), DerivationState::Cancelled);
    let path = drv("a");
    run.feed(&[format!(
        r#"@nix {{"action":"result","id":0,"type":110,"payload":{{"path":{{"drvPath":"{path}"}},"success":true,"status":"Built"}}}}"#
    )]);
    assert_eq!(run.state.derivations().get(id).state(), DerivationState::Built);
}

#[test]
fn an_error_that_names_an_output_is_about_the_last_build_that_was_started_with_it() {
    let mismatch =
        |output: &str| error(&format!("hash mismatch in fixed-output derivation '/nix/store/{output}'"));
    let digest = "z".repeat(32);
    let mut run = Run::default();
    run.feed(&[build(1, "a"), build(2, "a-lib"), build(3, "b")]);
    let owner = |run: &mut Run, name: &str| {
        let id = run.state.builds.derivations.started_with_name(name);
        id.map(|id| run.state.builds.derivations.get(id).name().to_owned()).unwrap_or_default()
    };
    for (name, expected) in
        [("a", "a"), ("a-doc", "a"), ("a-lib-dev", "a-lib"), ("ab", ""), ("", ""), ("c", "")]
    {
        assert_eq!(owner(&mut run, name), expected, "{name}");
    }
    // A build that starts later counts too.
    run.feed(&[build(4, "c")]);
    assert_eq!(owner(&mut run, "c-dev"), "c");
    run.feed(&[mismatch(&format!("{digest}-c-dev"))]);
    run.end(None);
    assert_eq!(run.causes(), "c hash-mismatch");
}

/// Found by fuzzing: results go to the output as they are.
#[test]
fn a_result_has_no_control_characters() {
    let (mut state, mut effects) = (State::new(), Effects::default());
    let text = format!("/x\u{7f}\0{}", out("a"));
    let human = nixmon_log::input::human::HumanLine::StorePath(&text);
    let line = nixmon_log::input::Line { raw: &text, text: &text, human, label: None };
    state.apply(Input::Event(Event::Line(line)), Moment::ZERO, &mut effects);
    let [Change::Text(TextKind::Result, told)] = &effects.changes[..] else {
        panic!("{:?}", effects.changes)
    };
    assert!(told.ends_with(&out("a")) && !told.contains(char::is_control), "{told:?}");
}
