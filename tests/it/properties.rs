//! What holds for every input: the pieces it comes in do not matter, counters are those of a recount, the output is
//! bounded, and nothing makes the program panic.

use std::time::Duration;

use crate::common::corpus::{self, Case};
use crate::common::play;
use nixmon::settings::Output;
use nixmon_core::pipeline::Step;
use nixmon_core::state::{Effects, Input, State};
use nixmon_core::view::Evidence;
use nixmon_log::input::{Reader, Source};
use nixmon_runs::Recording;
use proptest::prelude::*;

/// What a stream leads to when it comes in these pieces: all changes and questions, and what is counted.
///
/// After every input the counters are those of a recount.
fn effects(pieces: &[&[u8]]) -> String {
    let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
    let mut told = String::new();
    let at = Duration::ZERO;
    let mut take = |state: &mut State, input: Input<'_>| {
        state.apply(input, at, &mut effects);
        assert_eq!(state.derivations().counts(), state.derivations().recount());
        for change in effects.changes.drain(..) {
            told.push_str(&format!("{change:?}\n"));
        }
        for request in effects.requests.drain(..) {
            told.push_str(&format!("{request:?}\n"));
        }
    };
    for piece in pieces {
        reader.feed(piece, |event| take(&mut state, Input::Event(event)));
    }
    reader.finish(|event| take(&mut state, Input::Event(event)));
    take(&mut state, Input::End(None));
    told.push_str(&format!("{:?} {:?}", reader.counts(), state.counts()));
    told
}

/// Cuts a stream at these places, given as shares of its length.
fn pieces<'a>(log: &'a [u8], cuts: &[f64]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|share| (share * log.len() as f64) as usize).collect();
    cuts.extend([0, log.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &log[pair[0]..pair[1]]).collect()
}

/// Cases of every kind of stream, none of them long.
fn several() -> Vec<Case> {
    let mut cases = corpus::archive_of(|name| {
        [
            "nix-2.3.7/05-fail",
            "nix-2.3.7/09-eval-infinite",
            "nix-2.6.0/19-bad-utf8-raw",
            "nix-2.6.0/25-sequential-fail",
            "nix-2.18.1/14-lock-new",
            "nix-2.18.1/25-nested",
            "nix-2.26.3/25-concurrent-mixed",
            "nix-2.34.8/19-cr-ansi-raw",
            "nix-2.34.8/23-build-pty-fail",
            "activation/make-home-success",
        ]
        .contains(&name)
    });
    cases.extend(corpus::plain());
    assert!(cases.len() >= 25, "{}", cases.len());
    cases
}

#[test]
fn single_bytes_give_the_same_changes() {
    for case in several() {
        let bytes: Vec<&[u8]> = case.log.chunks(1).collect();
        assert_eq!(effects(&bytes), effects(&[&case.log]), "{}", case.name);
    }
}

#[test]
fn random_pieces_give_the_same_changes() {
    let whole: Vec<(Case, String)> = several()
        .into_iter()
        .map(|case| {
            let effects = effects(&[&case.log]);
            (case, effects)
        })
        .collect();
    let strategy = (0..whole.len(), prop::collection::vec(0.0..1.0, 1..60));
    proptest!(ProptestConfig::with_cases(100), |((which, cuts) in strategy)| {
        let (case, expected) = &whole[which];
        prop_assert_eq!(&effects(&pieces(&case.log, &cuts)), expected, "{}", case.name);
    });
}

/// Bytes of the kinds that mean something here, in any order.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let drv = "/nix/store/00000000000000000000000000000000-a-1.0.drv";
    let texts: Vec<Vec<u8>> = [
        "@nix ".to_owned(),
        "@nix {\"action\":\"stop\",\"id\":1}".to_owned(),
        format!("@nix {{\"action\":\"start\",\"fields\":[\"{drv}\",\"\",1,1],\"id\":1,\"type\":105}}"),
        "@nix {\"action\":\"start\",\"id\":2,\"type\":104}".to_owned(),
        "@nix {\"action\":\"start\",\"id\":1,\"parent\":1,\"type\":103}".to_owned(),
        "@nix {\"action\":\"result\",\"fields\":[9,18446744073709551615,0,3],\"id\":2,\"type\":105}".to_owned(),
        "@nix {\"action\":\"result\",\"fields\":[0,0,18446744073709551615,0],\"id\":2,\"type\":105}".to_owned(),
        "@nix {\"action\":\"result\",\"fields\":[\"\\ud800\\u0000\\u001b[31m\"],\"id\":1,\"type\":101}".to_owned(),
        "@nix {\"action\":\"result\",\"id\":1,\"payload\":{\"path\":7},\"type\":110}".to_owned(),
        "@nix {\"action\":\"result\",\"fields\":[],\"id\":1,\"type\":104}".to_owned(),
        format!("@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"error: builder for '{drv}' failed with exit code 1\"}}"),
        format!("building '{drv}'..."),
        format!("error: builder for '{drv}' failed with exit code 1;\n       last 10 log lines:\n       > x"),
        "error:\n       error: ".to_owned(),
        format!("these 99999999999999999999 derivations will be built:\n  {drv}"),
        "these 2 paths will be fetched (1e400 MiB download, NaN GiB unpacked):".to_owned(),
        "a> b".to_owned(),
        "warning: ".to_owned(),
        "Starting Home Manager activation\nActivating ".to_owned(),
        "restarting the following units: a.service, ".to_owned(),
        "\r".to_owned(),
        "\u{1b}[".to_owned(),
        "\u{1b}]0;title".to_owned(),
        "'".to_owned(),
        "ä\u{301}\u{200d}🦀".to_owned(),
        "timed out after 3 seconds".to_owned(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    let part = prop_oneof![
        3 => prop::sample::select(texts),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        2 => Just(b"\n".to_vec()),
    ];
    prop::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_panics_and_pieces_of_garbage_do_not_matter(
        bytes in garbage(),
        cuts in prop::collection::vec(0.0..1.0, 0..20),
    ) {
        prop_assert_eq!(effects(&pieces(&bytes, &cuts)), effects(&[&bytes]));
    }

    #[test]
    fn a_capture_with_garbage_in_it_never_panics(
        which in 0..18_usize,
        at in 0.0..1.0,
        dropped in 0..400_usize,
        bytes in garbage(),
    ) {
        let mut cases = corpus::plain();
        let log = &mut cases[which].log;
        let from = (at * log.len() as f64) as usize;
        let to = (from + dropped).min(log.len());
        log.splice(from..to, bytes);
        for output in [Output::default(), play::json_output()] {
            let (out, _) = play::play(&play::untimed(log), &output, None);
            prop_assert!(!out.contains(['\u{1b}', '\r', '\0']), "{out:?}");
        }
    }

}

proptest! {
    // Each case is hours of ticks.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn condensed_lines_hold_their_limits_whatever_comes(
        parts in prop::collection::vec((garbage(), 0..600_000_u64), 0..40),
        max_lines in 6..200_usize,
        max_bytes in 512..20_000_usize,
    ) {
        let output = Output { max_lines, max_bytes, ..Output::default() };
        let mut at = Duration::ZERO;
        let steps = parts.into_iter().map(|(bytes, later)| {
            at += Duration::from_millis(later);
            (at, Step::Bytes(Source::Main, bytes))
        });
        let recording = Recording { steps: steps.collect(), timed: true };
        let (out, _) = play::play(&recording, &output, None);
        // The result of a command always passes.
        let (lines, bytes) = size(&out);
        prop_assert!(lines <= max_lines && bytes <= max_bytes, "{lines} lines, {bytes} bytes:\n{out}");
    }
}

proptest! {
    /// Where each line pauses before its end, as of a program that says what it checks and then the result.
    #[test]
    fn unfinished_lines_hold_the_limits(
        parts in prop::collection::vec(("[a-zß/ ]{0,80}[:.]? ?", "(yes)?\n?", 60..900_u64), 0..200),
        max_lines in 6..100_usize,
        max_bytes in 512..10_000_usize,
    ) {
        let output = Output { max_lines, max_bytes, ..Output::default() };
        let (mut pipeline, written) = play::pipeline(&output);
        let (mut at, mut all) = (Duration::ZERO, String::new());
        for (begin, rest, pause) in parts {
            for (text, pause) in [(begin, pause), (rest, 1)] {
                all.push_str(&text);
                pipeline.feed(text.as_bytes(), at);
                at += Duration::from_millis(pause);
                if pause > 1 {
                    pipeline.settle(at);
                    pipeline.tick(at);
                }
            }
        }
        pipeline.end(None, at, |_| Evidence::default());
        let out = written.text();
        let (lines, bytes) = size(&out);
        prop_assert!(lines <= max_lines && bytes <= max_bytes, "{lines} lines, {bytes} bytes:\n{out}");
        // Where there is room for all, all is shown.
        if all.lines().count() * 10 < max_lines && all.len() * 10 < max_bytes {
            let seen = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let shown = seen(&out);
            prop_assert!(seen(&all).iter().all(|word| shown.contains(word)), "{all}\n---\n{out}");
        }
    }
}

/// Lines and bytes of the condensed output, without results of commands, which always pass.
fn size(out: &str) -> (usize, usize) {
    let lines = out.lines().filter(|line| !line.starts_with("/nix/store/"));
    lines.fold((0, 0), |(n, bytes), line| (n + 1, bytes + line.len() + 1))
}

/// Makes records of a long build.
#[derive(Default)]
struct Build {
    recording: Recording,
    next: u64,
}

impl Build {
    fn line(&mut self, seconds: u64, line: String) {
        self.recording
            .steps
            .push((Duration::from_secs(seconds), Step::Bytes(Source::Main, (line + "\n").into_bytes())));
    }

    fn start(&mut self, seconds: u64, kind: u64, fields: &str) -> u64 {
        self.next += 1;
        let id = (7 << 32) + self.next;
        self.line(
            seconds,
            format!(r#"@nix {{"action":"start","fields":[{fields}],"id":{id},"level":3,"parent":0,"text":"","type":{kind}}}"#),
        );
        id
    }

    fn drv(n: u64) -> String {
        format!("/nix/store/{n:0>32}-package-{n}-1.0.drv")
    }
}

/// A build of so many seconds: each derivation takes its share, and one in so many fails.
fn long_build(
    n_builds: u64,
    seconds: u64,
    fails: impl Fn(u64) -> bool,
    text: impl Fn(u64) -> u64,
) -> Recording {
    let mut build = Build::default();
    build.line(
        0,
        format!(r#"@nix {{"action":"msg","level":3,"msg":"these {n_builds} derivations will be built:"}}"#),
    );
    for n in 0..n_builds {
        build.line(0, format!(r#"@nix {{"action":"msg","level":3,"msg":"  {}"}}"#, Build::drv(n)));
    }
    let builds = build.start(0, 104, "");
    let (mut done, mut failed) = (0, 0);
    for n in 0..n_builds {
        let (from, to) = (n * seconds / n_builds, (n + 1) * seconds / n_builds);
        let drv = Build::drv(n);
        let id = build.start(from, 105, &format!(r#""{drv}","",1,1"#));
        let left = n_builds - done - failed;
        let counter = |build: &mut Build, at, done, running, failed| {
            build.line(
                at,
                format!(r#"@nix {{"action":"result","fields":[{done},{left},{running},{failed}],"id":{builds},"type":105}}"#),
            );
        };
        counter(&mut build, from, done, 1, failed);
        build.line(
            from,
            format!(r#"@nix {{"action":"result","fields":["buildPhase"],"id":{id},"type":104}}"#),
        );
        for i in 0..text(n) {
            build.line(
                from,
                format!("a line of another program, number {i} of build {n}, not like any before it"),
            );
            build.line(
                from,
                format!(r#"@nix {{"action":"msg","level":1,"msg":"warning: number {i} of build {n}"}}"#),
            );
        }
        if fails(n) {
            failed += 1;
        } else {
            done += 1;
        }
        counter(&mut build, to, done, 0, failed);
        build.line(to, format!(r#"@nix {{"action":"stop","id":{id}}}"#));
        if fails(n) {
            let error = format!("builder for '{drv}' failed with exit code 2");
            build.line(
                to,
                format!(r#"@nix {{"action":"msg","level":0,"msg":"error: {error}","raw_msg":"{error}"}}"#),
            );
        }
    }
    build.line(seconds, format!(r#"@nix {{"action":"stop","id":{builds}}}"#));
    build.recording.timed = true;
    build.recording
}

#[test]
fn a_build_of_hours_prints_no_more_than_its_limits() {
    const FOUR_HOURS: u64 = 4 * 3600;
    let never = |_| false;
    let cases: [(&str, Recording, &str); 5] = [
        ("many builds", long_build(2000, FOUR_HOURS, never, |_| 0), "Complete: 2,000 built"),
        ("one long build", long_build(1, FOUR_HOURS, never, |_| 0), "Complete: 1 built"),
        ("300 failures", long_build(2000, FOUR_HOURS, |n| n % 6 == 1 && n < 1800, |_| 0), "300 failed"),
        ("a flood of text", long_build(500, FOUR_HOURS, never, |_| 100), "Complete: 500 built"),
        ("two days", long_build(20_000, 48 * 3600, |n| n % 50 == 0, |n| n % 2), "400 failed"),
    ];
    for (name, recording, said) in cases {
        let (out, _) = play::play(&recording, &Output::default(), None);
        let (lines, bytes) = size(&out);
        println!("{name}: {lines} lines, {bytes} bytes");
        assert!(lines <= 60 && bytes <= 8192, "{name}: {lines} lines, {bytes} bytes:\n{out}");
        // The end is told in full, and there were signs of life until late.
        assert!(out.contains(said), "{name}:\n{out}");
        assert!(out.contains("[1h"), "{name}: nothing in the second hour:\n{out}");
    }
}

/// So many builds that fail one after another, each after a line on its way and one that says why.
fn failures(n_builds: u64) -> Recording {
    let mut build = Build::default();
    let builds = build.start(0, 104, "");
    for n in 0..n_builds {
        let drv = Build::drv(n);
        let id = build.start(0, 105, &format!(r#""{drv}","",1,1"#));
        for text in ["compiling".to_owned(), format!("error: cause {n} of it"), "ending".to_owned()] {
            build.line(0, format!(r#"@nix {{"action":"result","fields":["{text}"],"id":{id},"type":101}}"#));
        }
        let counter = format!("[0,{n_builds},0,{}]", n + 1);
        build.line(0, format!(r#"@nix {{"action":"result","fields":{counter},"id":{builds},"type":105}}"#));
        build.line(0, format!(r#"@nix {{"action":"stop","id":{id}}}"#));
        let error = format!("builder for '{drv}' failed with exit code 2");
        build.line(
            0,
            format!(r#"@nix {{"action":"msg","level":0,"msg":"error: {error}","raw_msg":"{error}"}}"#),
        );
    }
    build.recording
}

#[test]
fn every_failure_that_is_named_comes_with_its_cause() {
    let check = |n: u64, output: &Output, named: u64| {
        let (out, _) = play::play(&failures(n), output, None);
        let (lines, bytes) = size(&out);
        assert!(lines <= output.max_lines && bytes <= output.max_bytes, "{lines}, {bytes}:\n{out}");
        for n in 0..named {
            assert!(out.contains(&format!("package-{n}-1.0 failed, exit 2")), "{n}:\n{out}");
            assert!(out.contains(&format!(": cause {n} of it")), "{n}:\n{out}");
        }
        assert_eq!(out.contains("more failed"), named < n, "{out}");
        // Where each has a line and some are left over, the logs are named.
        assert!(named < n || n > 12 || out.matches("log: nix log").count() as u64 == n.min(named), "{out}");
    };
    for n in 1..=25 {
        check(n, &Output::default(), n);
    }
    check(300, &Output::default(), 20);
    check(1, &Output { max_lines: 6, ..Output::default() }, 1);
    check(1, &Output { max_lines: 10, max_bytes: 1024, ..Output::default() }, 1);
}

#[test]
fn what_the_limits_drop_is_said_where_it_matters() {
    let error = |n: u64| {
        format!(r#"@nix {{"action":"msg","level":0,"msg":"error: number {n}","raw_msg":"number {n}"}}"#)
    };
    let other = |n: u64| format!("line {n} of another program");
    let cases: [(Vec<String>, Option<&str>); 3] = [
        ((0..150).map(error).collect(), Some("  not kept: 50 errors\n")),
        (vec!["x".repeat((16 << 20) + 7)], Some("  not kept: 1 end of a line longer than 16 MiB\n")),
        // That they are not all kept is as it should be.
        ((0..2000).map(other).collect(), None),
    ];
    for (lines, said) in cases {
        let log = lines.join("\n").into_bytes();
        let (out, _) = play::play(&play::untimed(&log), &Output::default(), None);
        assert!(said.is_none_or(|said| out.contains(said)), "{out}");
        assert_eq!(out.contains("not kept"), said.is_some(), "{out}");
        let (out, _) = play::play(&play::untimed(&log), &play::json_output(), None);
        let summary: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        let dropped = summary["dropped"].as_object().unwrap();
        let n: u64 = dropped.values().map(|n| n.as_u64().unwrap()).sum();
        assert!(n > 0 && n <= 2000, "{dropped:?}");
    }
}

#[test]
fn no_more_is_ever_wanted_than_was_announced() {
    // Only what Nix announces is wanted: a list, and what import from derivation and the like build besides.
    let cases = corpus::archive_of(|name| !name.contains("19-flood") && !name.starts_with("nix-2.3.7"));
    let n_checked: usize = corpus::each(&cases, |case| {
        let list = b"will be built:";
        if case.human || case.log.windows(list.len()).filter(|window| window == list).count() != 1 {
            return 0;
        }
        let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
        let (mut most, mut wanted) = (0, 0);
        reader.feed(&case.log, |event| {
            state.apply(Input::Event(event), Duration::ZERO, &mut effects);
            effects.changes.clear();
            wanted = state.derivations().counts().wanted();
            most = most.max(wanted);
        });
        assert_eq!(most, wanted, "{}: more were wanted in the middle than in the end", case.name);
        if let Some(total) = case.truth["derivations"]["total"].as_u64() {
            assert!(wanted as u64 <= total, "{}: {wanted} wanted of {total}", case.name);
        }
        1
    })
    .into_iter()
    .sum();
    assert!(n_checked > 200, "{n_checked}");
}
