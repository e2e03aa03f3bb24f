//! The inside of builds: which line belongs to which scope, what is believed, and root causes of commands that are not Nix.

use super::*;
use nixmon_log::nix::error::FailureKind;
use nixmon_progress::{Hints, Past, PastUnit, Tool};

/// A line of a build's log as a record.
fn log(id: u64, line: &str) -> String {
    format!(r#"@nix {{"action":"result","fields":[{}],"id":{id},"type":101}}"#, serde_json::json!(line))
}

fn phase(id: u64, name: &str) -> String {
    format!(r#"@nix {{"action":"result","fields":["{name}"],"id":{id},"type":104}}"#)
}

fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|line| (*line).to_owned()).collect()
}

fn ninja(n: usize, of: usize) -> Vec<String> {
    (1..=n).map(|n| format!("[{n}/{of}] Building C object CMakeFiles/x.dir/f{n}.c.o")).collect()
}

impl Run {
    fn tick(&mut self) {
        self.state.apply(Input::Tick, self.state.now(), &mut self.effects);
    }

    /// Each scope with its tool and counts: `command ninja 3/9`, `a make 2/?`.
    fn inside(&mut self) -> String {
        self.tick();
        assert_eq!(self.state.check_invariants(), Ok(()));
        let scopes = self.state.scopes().into_iter().filter_map(|(id, scope)| {
            let unit = scope.unit()?;
            let name = id.map_or("command", |id| self.state.derivations().get(id).name());
            let total = unit.total.map_or("?".to_owned(), |total| total.to_string());
            Some(format!("{name} {} {}/{total}", unit.tool.name(), unit.done))
        });
        scopes.collect::<Vec<_>>().join(", ")
    }
}

/// Feeds a stream and returns what is known inside.
#[track_caller]
fn check(stream: &[Vec<String>], expected: &str) -> Run {
    let mut run = Run::default();
    stream.iter().for_each(|lines| run.feed(lines));
    assert_eq!(run.inside(), expected);
    run
}

#[test]
fn lines_of_records_belong_to_their_builds() {
    let of = |id: u64, n, total| ninja(n, total).iter().map(|line| log(id, line)).collect::<Vec<_>>();
    let begin = vec![build(1, "a"), build(2, "b")];
    check(&[begin.clone(), of(1, 3, 9), of(2, 5, 20)], "a ninja 3/9, b ninja 5/20");
    // Escapes and redraws are no part of it.
    let drawn = "\u{1b}[32m[1/9] Building C object a.c.o\u{1b}[0m\r[2/9] Building C object b.c.o";
    let rest = log(1, "[3/9] Building C object c.c.o");
    check(&[begin.clone(), vec![log(1, drawn), rest]], "a ninja 3/9");
    // A build that begins again begins anew, and one that has ended is gone.
    let again = vec![stop(1), build(3, "a")];
    check(&[begin.clone(), of(1, 3, 9), again], "");
    check(&[begin, of(2, 5, 20), vec![stop(2)]], "");
}

#[test]
fn lines_with_names_belong_to_their_builds() {
    let begin = vec![format!("building '{}'...", drv("a-1")), format!("building '{}'...", drv("b-2"))];
    let of = |name: &str| ninja(3, 9).iter().map(|line| format!("{name}> {line}")).collect::<Vec<_>>();
    check(&[begin.clone(), of("a"), of("b")], "a-1 ninja 3/9, b-2 ninja 3/9");
    // A name that no build has is a program's own way to mark its lines.
    check(&[begin, of("c")], "");
}

#[test]
fn lines_without_names_belong_to_the_only_build_that_may_have_written_them() {
    let one = vec![format!("building '{}'...", drv("a"))];
    let two = vec![format!("building '{}'...", drv("a")), format!("building '{}'...", drv("b"))];
    check(&[one, ninja(3, 9)], "a ninja 3/9");
    check(&[two, ninja(3, 9)], "");
}

#[test]
fn text_of_a_command_belongs_to_the_command() {
    let run = check(&[ninja(3, 9)], "command ninja 3/9");
    assert!(run.state.plain_scope().is_some());
    let texts = run.effects.changes.iter().filter(|change| matches!(change, Change::Text(TextKind::Tool, _)));
    // The first count is believed when others follow it.
    assert!(texts.count() >= 2, "{:?}", run.effects.changes);
    // Nix runs inside a command: then its builds are what counts.
    let run = check(&[ninja(3, 9), vec![build(1, "a")]], "command ninja 3/9");
    assert!(run.state.plain_scope().is_none());
    // Redraws come one by one, with and without a line end, whatever the chunks are.
    for chunk in [1, 7, 1000] {
        let mut run = Run::default();
        let text = ninja(5, 9).join("\r");
        let Run { reader, state, effects } = &mut run;
        for chunk in text.as_bytes().chunks(chunk) {
            reader.feed(chunk, |event| state.apply(Input::Event(event), Moment::ZERO, effects));
        }
        // The last drawing is not known to be whole.
        assert_eq!(run.inside(), "command ninja 4/9", "{chunk}");
        run.feed(&lines(&[""]));
        assert_eq!(run.inside(), "command ninja 5/9", "{chunk}");
    }
}

#[test]
fn text_that_looks_like_progress_is_not_believed() {
    for text in [
        &["[99/100] of the users agree"][..],
        &["[3/3] tests of [9/9] suites", "done", "[1/7] again"],
        &["100% sure", "[ 12%] a discount", "[ 99%] of it"],
        &["Compiling a report", "Building trust", "make: a wish"],
    ] {
        check(&[lines(text)], "");
        let of_build: Vec<String> = text.iter().map(|line| log(1, line)).collect();
        check(&[vec![build(1, "a")], of_build], "");
    }
}

#[test]
fn a_percent_does_not_fall_when_more_becomes_known() {
    let past = |n: usize| {
        let unit = |n: usize| PastUnit {
            package: None,
            file: format!("f{n}.c"),
            started: Duration::from_secs(n as u64),
            elapsed: Duration::from_secs(1),
        };
        Past::new(Duration::from_secs(100), (1..=n).map(unit)).unwrap()
    };
    let mut run = Run::default();
    run.state.expect_insights();
    run.feed(&ninja(8, 10));
    run.tick();
    let percent = |run: &Run| run.state.command_scope().and_then(|scope| scope.unit()?.percent).unwrap();
    let before = percent(&run);
    assert!(before > 50.0, "{before}");
    let hints = Hints { past: Some(past(10)), jobs: Some(1), ..Hints::default() };
    let insight = Insight { scope: None, hints };
    run.state.apply(Input::Insight(Box::new(insight)), run.state.now(), &mut run.effects);
    run.tick();
    assert!(percent(&run) >= before);
    // What was read before is not forgotten.
    assert_eq!(run.inside(), "command ninja 8/10");
    assert_eq!(run.state.command_scope().unwrap().finished().len(), 8);
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let (mut state, mut effects, mut reader) = (State::new(), Effects::default(), Reader::default());
    let text = ninja(9_000, 10_000).join("\n");
    reader.feed(text.as_bytes(), |event| {
        state.apply(Input::Event(event), Moment::ZERO, &mut effects);
        effects.changes.clear();
    });
    let dropped = state.dropped().progress_lines;
    assert!((7_000..9_000).contains(&dropped), "{dropped}");
    state.apply(Input::Tick, Moment::ZERO, &mut effects);
    // The last lines of it are read all the same.
    let unit = state.command_scope().unwrap().unit().unwrap();
    assert_eq!((unit.done, unit.total), (8_999, Some(10_000)));
    assert_eq!(state.check_invariants(), Ok(()));
}

#[test]
fn what_was_built_is_told_once_at_the_end() {
    let worked = |run: &Run| -> Vec<(bool, usize)> {
        let told = run.effects.changes.iter().filter_map(|change| match change {
            Change::Worked(worked) => Some((worked.scope.is_some(), worked.finished.len())),
            _ => None,
        });
        told.collect()
    };
    let feed = |stream: &[Vec<String>]| {
        let mut run = Run::default();
        run.state.report_work();
        stream.iter().for_each(|lines| run.feed(lines));
        run
    };
    let mut run = feed(&[ninja(9, 9)]);
    run.end(Some(0));
    run.end(Some(0));
    assert_eq!(worked(&run), [(false, 9)]);
    let of_build: Vec<String> = ninja(9, 9).iter().map(|line| log(1, line)).collect();
    let run = feed(&[vec![build(1, "a")], of_build.clone(), vec![stop(1)]]);
    assert_eq!(worked(&run), [(true, 9)]);
    // A build that succeeds within a second says nothing about the next time; one that fails is told all the same.
    for (end, expected) in [(stop(1), vec![]), (error(&failed("a")), vec![(true, 9)])] {
        let mut run = Run::default();
        run.state.report_work();
        let Run { reader, state, effects } = &mut run;
        for line in [vec![build(1, "a")], of_build.clone(), vec![end]].concat() {
            let mut take = |event: Event<'_>| state.apply(Input::Event(event), Duration::ZERO, effects);
            reader.feed(format!("{line}\n").as_bytes(), &mut take);
            reader.settle(&mut take);
        }
        assert_eq!(worked(&run), expected);
    }
    // It costs something, so nothing is told that is not asked for.
    let run = check(&[vec![build(1, "a")], of_build, vec![stop(1)]], "");
    assert_eq!(worked(&run), []);
}

/// The root causes of a command that ended with a status: kind, place, package and target.
#[track_caller]
fn fails(text: &[&str], exit_status: i32, expected: &[&str]) -> Run {
    let mut run = Run::default();
    run.feed(&lines(text));
    run.end(Some(exit_status));
    let failures = run.state.failures().map(|(_, failure)| {
        let place = failure.place().map(|place| {
            let numbers = [place.line, place.column].into_iter().flatten().map(|number| format!(":{number}"));
            format!(" {}{}", place.file, numbers.collect::<String>())
        });
        let cause = failure.cause.as_ref();
        let target = cause.and_then(|cause| cause.target.as_deref()).map(|target| format!(" [{target}]"));
        format!(
            "{}{} {}{}",
            failure.kind.as_str(),
            place.unwrap_or_default(),
            failure.message,
            target.unwrap_or_default()
        )
    });
    assert_eq!(failures.collect::<Vec<_>>(), expected, "{text:?}");
    run
}

const GCC: [&str; 5] = [
    "cc -c -o a.o a.c",
    "a.c: In function 'main':",
    "a.c:2:31: error: 'x' undeclared (first use in this function)",
    "    2 | int main(void) { return x; }",
    "make: *** [Makefile:3: a.o] Error 1",
];

#[test]
fn causes_of_commands_have_kinds() {
    let mut seen = Vec::new();
    let cases: [(&[&str], &[&str]); 9] = [
        (&GCC, &["compile-error a.c:2:31 'x' undeclared (first use in this function) [a.o]"]),
        (
            &["/usr/bin/ld: /tmp/b.o: in function `main':", "b.c:(.text+0x5): undefined reference to `f'"],
            &["link-error b.c undefined reference to `f'"],
        ),
        (
            &[
                "CMake Error at CMakeLists.txt:7 (find_package):",
                "  Could not find Foo",
                "",
                "-- Configuring incomplete",
            ],
            &["configure-error CMakeLists.txt:7 Could not find Foo"],
        ),
        (
            &["checking for gcc... no", "configure: error: no acceptable C compiler found in $PATH"],
            &["configure-error no acceptable C compiler found in $PATH"],
        ),
        (
            &["../meson.build:3:0: ERROR: Dependency \"foo\" not found"],
            &["configure-error ../meson.build:3:0 Dependency \"foo\" not found"],
        ),
        (
            &[
                "     Running unittests src/lib.rs (target/debug/deps/a-4bafe0ac49bb215a)",
                "running 2 tests",
                "test a ... ok",
                "test b ... FAILED",
                "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.14s",
            ],
            &["test-failure 1 of 2 tests failed (cargo test)"],
        ),
        (
            &[
                "   Compiling a v0.1.0 (/x)",
                "error[E0308]: mismatched types",
                " --> src/lib.rs:1:25",
                "error: could not compile `a` (lib) due to 1 previous error",
            ],
            &["compile-error src/lib.rs:1:25 mismatched types"],
        ),
        // Two files, and a second error of the first one.
        (
            &[
                "a.c:1:1: error: one",
                "a.c:2:1: error: two",
                "make: *** [Makefile:3: a.o] Error 1",
                "b.c:1:1: error: three",
                "make: *** [Makefile:3: b.o] Error 1",
            ],
            &["compile-error a.c:1:1 one [a.o]", "compile-error b.c:1:1 three [b.o]"],
        ),
        (
            &["Traceback (most recent call last):", "  File \"g.py\", line 1, in <module>", "ValueError: no"],
            &["unknown g.py:1 ValueError: no"],
        ),
    ];
    for (text, expected) in cases {
        let run = fails(text, 2, expected);
        assert_eq!(run.state.outcome(), Some(Outcome::Failure));
        seen.extend(run.state.failures().map(|(_, failure)| failure.kind));
    }
    let of_tools = FailureKind::ALL.iter().filter(|kind| kind.is_of_tool());
    of_tools.for_each(|kind| assert!(seen.contains(kind), "{kind} has no case"));
}

#[test]
fn text_alone_is_no_failure() {
    let run = fails(&GCC, 0, &[]);
    assert_eq!(run.state.outcome(), Some(Outcome::Success));
    // A time of the day has the form of a place, and any program may say `error: `.
    fails(&["10:00:01: error: the server is late"], 1, &[]);
    for text in ["error: failed to push some refs to 'origin'", "a sentence with a.c:3 in it: error of mine"]
    {
        let mut run = Run::default();
        run.feed(&lines(&[text]));
        run.end(Some(1));
        assert!(!run.causes().contains("compile-error"), "{text}");
    }
}

#[test]
fn a_failed_build_has_the_cause_in_its_log() {
    let mut run = Run::default();
    let mut stream = vec![build(1, "a"), phase(1, "buildPhase")];
    stream.extend(GCC.iter().map(|line| log(1, line)));
    stream.extend([error(&failed("a"))]);
    run.feed(&stream);
    run.end(Some(1));
    let failures: Vec<_> = run.state.failures().map(|(_, failure)| failure).collect();
    let [failure] = failures.as_slice() else { panic!("{failures:?}") };
    let cause = failure.cause.as_ref().unwrap();
    assert_eq!((failure.kind, cause.target.as_deref()), (FailureKind::BuilderFailed, Some("a.o")));
    assert_eq!(failure.place().map(|place| (place.file, place.line)), Some(("a.c".to_owned(), Some(2))));
    assert_eq!(failure.location, None);
}

#[test]
fn tools_of_the_command_line_are_believed_at_once() {
    let mut run = Run::default();
    let hints = Hints { tools: vec![Tool::Go], ..Hints::default() };
    let insight = Insight { scope: None, hints };
    run.state.apply(Input::Insight(Box::new(insight)), Moment::ZERO, &mut run.effects);
    run.feed(&lines(&["internal/cpu", "internal/abi"]));
    assert!(run.inside().starts_with("command go "), "{}", run.inside());
    // Without the hint these are words.
    check(&[lines(&["internal/cpu", "internal/abi"])], "");
}
