//! One check for all texts: what is read from them, rendered one field a line.

mod constructed;
mod others;
mod places;
mod records;
mod texts;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A text and what is to be read from it.
struct Case {
    /// Version and scenario of the capture, or `constructed`.
    origin: &'static str,
    /// A record as Nix wrote it, or human-readable text.
    text: &'static str,
    /// As [`render`] writes it.
    expect: &'static str,
}

/// Renders what is set, one line each.
fn render(error: &NixError) -> String {
    use std::fmt::Write as _;
    let mut out = format!("{}: {}\n", error.kind, error.message);
    let place = |place: &Location| {
        let numbers = [place.line, place.column].into_iter().flatten();
        numbers.fold(place.file.clone(), |text, number| format!("{text}:{number}"))
    };
    let mut line = |label: &str, text: Option<String>| {
        if let Some(text) = text {
            writeln!(out, "{label} {text}").unwrap();
        }
    };
    line("derivation", error.derivation.clone());
    line("output", error.output_path.clone());
    line("name", error.name.clone());
    line("failed", (!error.failed_derivations.is_empty()).then(|| error.failed_derivations.join(" ")));
    line("exit", error.exit_status.map(|status| status.to_string()));
    line("signal", error.signal.map(|signal| signal.to_string()));
    line("dependencies", error.failed_dependencies.map(|count| count.to_string()));
    line("machine", error.machine.clone());
    line("url", error.url.clone());
    line("program", error.program.clone());
    line("attribute", error.attribute.clone());
    line("specified", error.hashes.as_ref().map(|hashes| hashes.specified.clone()));
    line("got", error.hashes.as_ref().map(|hashes| hashes.got.clone()));
    line("likely", error.hashes.as_ref().and_then(|hashes| hashes.likely_url.clone()));
    line("at", error.location.as_ref().map(place));
    line("user", error.user_location.as_ref().map(place));
    for detail in &error.details {
        line("|", Some(detail.clone()));
    }
    for frame in &error.frames {
        let at = frame.location.as_ref().map(|at| format!(" at {}", place(at)));
        line("…", Some(format!("{}{}", frame.message, at.unwrap_or_default())));
    }
    for logged in &error.log_tail {
        line(">", Some(logged.clone()));
    }
    line("log", error.full_log.clone());
    out
}

fn check(case: &Case) {
    let (msg, error) = match case.text.strip_prefix("@nix ") {
        None => (case.text.to_owned(), parse_error(&ErrorText { msg: case.text, ..ErrorText::default() })),
        Some(record) => {
            let record: Value = serde_json::from_str(record).unwrap();
            let frames = record["trace"].as_array().cloned().unwrap_or_default();
            let trace: Vec<_> = frames
                .iter()
                .map(|frame| TraceFrame {
                    raw_msg: frame["raw_msg"].as_str().unwrap(),
                    file: frame["file"].as_str(),
                    line: frame["line"].as_u64(),
                    column: frame["column"].as_u64(),
                })
                .collect();
            let text = ErrorText {
                msg: record["msg"].as_str().unwrap(),
                raw_msg: record["raw_msg"].as_str(),
                file: record["file"].as_str(),
                line: record["line"].as_u64(),
                column: record["column"].as_u64(),
                trace: &trace,
            };
            (text.msg.to_owned(), parse_error(&text))
        }
    };
    // Errors that Nix survives, and messages of its build hook at another level.
    const NO_ERRORS: &[&str] = &["error (ignored):", "warning: error:", "Failed to find a machine"];
    let is_none = NO_ERRORS.iter().any(|start| strip_escapes(&msg).starts_with(start));
    assert_eq!(is_error(&msg), !is_none, "{}", case.origin);
    assert_eq!(render(&error), case.expect.trim_start(), "{}", case.origin);
}

#[test]
fn records_of_every_version() {
    records::CASES.iter().for_each(check);
}

#[test]
fn human_readable_texts() {
    texts::CASES.iter().for_each(check);
}

#[test]
fn texts_not_captured() {
    constructed::CASES.iter().chain(others::CASES).chain(places::CASES).for_each(check);
}

#[test]
fn every_kind_has_a_case() {
    let cases = || {
        records::CASES
            .iter()
            .chain(texts::CASES)
            .chain(constructed::CASES)
            .chain(others::CASES)
            .chain(places::CASES)
    };
    // The cases of build tools are beside the rules that find them, in `nixmon-core`.
    for kind in FailureKind::ALL.iter().filter(|kind| !kind.is_of_tool()) {
        let start = format!("{kind}: ");
        assert!(cases().any(|case| case.expect.trim_start().starts_with(&start)), "{kind}");
    }
}

/// Without `raw_msg`, as a daemon passes on the errors of inner goals, the same is read from `msg`.
#[test]
fn raw_message_adds_nothing() {
    for case in records::CASES {
        let record: Value = serde_json::from_str(case.text.strip_prefix("@nix ").unwrap()).unwrap();
        let msg = record["msg"].as_str().unwrap();
        let with =
            parse_error(&ErrorText { msg, raw_msg: record["raw_msg"].as_str(), ..ErrorText::default() });
        let without = parse_error(&ErrorText { msg, ..ErrorText::default() });
        assert_eq!(render(&with), render(&without), "{}", case.origin);
    }
}

#[test]
fn errors_and_others() {
    let check = |expect: bool, text: &str| assert_eq!(is_error(text), expect, "{text:?}");
    check(true, "error: x");
    check(true, "\u{1b}[31;1merror:\u{1b}[0m\n       … while calling");
    check(true, "\r\u{1b}[K\u{1b}[31;1merror:\u{1b}[0m x");
    check(true, "\n\nerror: x");
    check(true, "builder for '/nix/store/a.drv' failed with exit code 1; last 3 log lines:");
    check(true, "cannot build derivation '/nix/store/a.drv': 1 dependencies couldn't be built");
    check(true, "cannot build on 'ssh://x': error: cannot connect");
    check(false, "");
    check(false, "errors: 3");
    check(false, "error (ignored): error: SQLite database 'x' is busy");
    check(false, "warning: error: unable to download 'http://x': HTTP error 500; retrying in 250 ms");
    check(false, "trace: error: x");
    check(false, "(use '--show-trace' to show detailed location information)");
    check(false, "hello> error: x");
    check(false, "spoofed error message from a builder");
    check(false, "disabling binary cache 'http://x' for 60 seconds");
    check(false, "note: keeping build directory '/tmp/x'");
}

/// Every line of a captured error belongs to it; what Nix prints next does not.
#[test]
fn lines_of_one_error() {
    let belongs = |text: &str, next: &str| {
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            assert!(continues_error(lines[0], pair[0], pair[1]), "{:?} in {text}", pair[1]);
        }
        assert!(!continues_error(lines[0], lines[lines.len() - 1], next), "{next:?} after {text}");
    };
    for case in texts::CASES {
        let text = case.text.strip_suffix("\n(use '--show-trace' to show detailed location information)");
        for next in [
            "error: build of '/nix/store/a.drv' failed",
            "building '/nix/store/a.drv'...",
            "these derivations:",
        ] {
            belongs(text.unwrap_or(case.text), next);
        }
    }
}

#[test]
fn log_lines() {
    let check = |expect, line: &str| assert_eq!(kind_of_log_line(line), expect, "{line:?}");
    let escaped = "\u{1b}[31;1merror:\u{1b}[0m executing '\u{1b}[35;1m/no/such/interpreter\u{1b}[0m': \
                   \u{1b}[35;1mNo such file or directory\u{1b}[0m";
    check(Some(FailureKind::BadBuilder), escaped);
    check(Some(FailureKind::DiskFull), "head: error writing 'standard output': No space left on device");
    check(None, "cat: /x: No such file or directory");
}

#[test]
fn frames_are_kept_where_somebody_asked_for_them() {
    let check = |msg: &str, trace: &[TraceFrame<'_>], expect: &[&str], asks_for_more: bool| {
        let error = parse_error(&ErrorText { msg, trace, ..ErrorText::default() });
        let shown = |frame: &Frame| {
            let at = frame.location.as_ref().expect("a place");
            format!("{} {}:{}", frame.message, at.file, at.line.unwrap_or_default())
        };
        assert_eq!(error.trace.iter().map(shown).collect::<Vec<_>>(), expect, "{msg:?}");
        assert_eq!(error.advice().is_some(), asks_for_more, "{msg:?}");
    };
    // 2.8 prints frames after the message, and only if asked.
    let message = "error: infinite recursion encountered\n\n       at /home/me/a.nix:2:9:\n";
    let frame = |what: &str, at: &str| format!("\n       … {what}\n\n       at {at}:\n");
    let again = frame("while evaluating the attribute 'a'", "/home/me/a.nix:2:9");
    let other = frame("while evaluating the attribute 'b'", "/home/me/a.nix:3:9");
    let internal = frame("while calling the 'derivationStrict' builtin", "/builtin/derivation.nix:9:1");
    let b = "while evaluating the attribute 'b' /home/me/a.nix:3";
    check(message, &[], &[], true);
    check(&[message, &again, &other, &internal, &other].concat(), &[], &[b], false);
    // Since 2.18 they come first, and up to three of them without being asked for.
    let first = |frames: &[&str], note: &str| {
        format!(
            "error:{}\n       {note}\n       error: infinite recursion encountered\n       at /home/me/a.nix:2:9:\n",
            frames.concat()
        )
    };
    let truncated = "(stack trace truncated; use '--show-trace' to show the full, detailed trace)\n";
    check(&first(&[&internal, &other, &other], truncated), &[], &[], true);
    check(&first(&[&internal, &other], ""), &[], &[], false);
    check(&first(&[&internal, &other, &other, &again], ""), &[], &[b], false);
    // Records have them if asked.
    let in_record = |raw_msg, file| TraceFrame { raw_msg, file: Some(file), line: Some(3), column: Some(9) };
    let frames = [
        in_record("while calling the 'x' builtin", "<nix/x.nix>"),
        in_record("while evaluating the attribute 'b'", "/home/me/a.nix"),
    ];
    check(message, &frames, &[b], false);
    // All frames are kept if none is the user's.
    let internal = [frames[0], in_record("while calling the 'y' builtin", "<nix/y.nix>")];
    let y = "while calling the 'y' builtin <nix/y.nix>:3";
    check("error: infinite recursion encountered", &internal, &[y], false);
}

#[test]
fn advice_depends_on_the_message() {
    let check = |expect: &str, text: &str| {
        let error = parse_error(&ErrorText { msg: text, ..ErrorText::default() });
        let advice = error.advice().unwrap_or_default();
        assert!(advice.contains(expect) && advice.is_empty() == expect.is_empty(), "{advice:?} for {text}");
    };
    check("out of memory", "error: builder for '/nix/store/a.drv' failed due to signal 9 (Killed)");
    check("", "error: builder for '/nix/store/a.drv' failed due to signal 11 (Segmentation fault)");
    check("git add", "error: getting status of '/nix/store/x-source/foo.nix': No such file or directory");
    check(
        "allowUnfree",
        "error: Package ‘x-1’ in /x.nix:1 has an unfree license (‘unfree’), refusing to evaluate.",
    );
    check("--show-trace", "error: infinite recursion encountered");
    check("`got`", "error: hash mismatch in fixed-output derivation '/nix/store/a.drv':");
    check("", "error: undefined variable 'x'");
}

#[test]
fn kinds_have_distinct_names() {
    let mut names: Vec<&str> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
    for name in &names {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Whole texts of megabytes in every field: lines, one line, nesting, quotes, colons, frames.
#[test]
fn cost_is_bounded() {
    let size = 10 << 20;
    let log = format!(
        "error: builder for '/nix/store/a.drv' failed with exit code 1;\n       last 9 log lines:\n{}",
        "       > x\n".repeat(size / 11)
    );
    let frames = format!(
        "error:\n{}       error: y\n       at /x.nix:1:2:",
        "       … while\n         at /z.nix:3:4:\n".repeat(size / 39)
    );
    let texts = [
        "x".repeat(size),
        "\n".repeat(size),
        " at /x:1".repeat(size / 8),
        ":1".repeat(size / 2),
        "'/".repeat(size / 2),
        "build of 'a' on 'b' failed: ".repeat(size / 28),
        "\u{1b}[".repeat(size / 2),
        "x\r".repeat(size / 2),
        log,
        frames,
    ];
    for text in &texts {
        let start = text.chars().take(40).collect::<String>();
        for raw_msg in [None, Some(text.as_str())] {
            let error = parse_error(&ErrorText {
                msg: text,
                raw_msg,
                file: Some(text),
                line: None,
                column: None,
                trace: &[],
            });
            assert!(error.message.len() <= 1000, "{start}");
            assert!(
                error.details.len() <= 12 && error.frames.len() <= 32 && error.log_tail.len() <= 200,
                "{start}"
            );
            assert!(is_error(text) || !text.starts_with("error:"), "{start}");
        }
    }
    let frames = parse_error(&ErrorText { msg: &texts[9], ..ErrorText::default() });
    assert_eq!(render(&frames).lines().next(), Some("eval-other: y"), "the end of a long text is read");
}

fn visible(text: &str) -> bool {
    layout::clean_lines(text).any(|line| !sanitize(&line).trim().is_empty())
}

fn assert_clean(error: &NixError, visible: bool) -> Result<(), TestCaseError> {
    let texts =
        [&error.message].into_iter().chain(&error.details).chain(&error.log_tail).chain(&error.full_log);
    let texts =
        texts.chain(&error.name).chain(&error.derivation).chain(&error.output_path).chain(&error.machine);
    let texts =
        texts.chain(&error.url).chain(&error.program).chain(error.frames.iter().map(|frame| &frame.message));
    let files = error.location.iter().chain(&error.user_location).map(|place| &place.file);
    for text in texts.chain(files) {
        prop_assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    prop_assert_eq!(error.message.is_empty(), !visible);
    Ok(())
}

/// Pieces of which errors are made, so that random texts reach more than the first rule.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("error:"),
        Just("error: "),
        Just("\n       "),
        Just("\n"),
        Just("… while calling the 'throw' builtin"),
        Just("at /x/y.nix:1:2:"),
        Just(" at /x:3:4"),
        Just("builder for '"),
        Just("/nix/store/"),
        Just(".drv"),
        Just("'"),
        Just("' failed with exit code 1"),
        Just("; last 3 log lines:"),
        Just("last 3 log lines:"),
        Just("> "),
        Just("  "),
        Just("Cannot build '"),
        Just("'.\nReason: "),
        Just("build of 'a' on 'b' failed: "),
        Just("Failed assertions:"),
        Just("hash mismatch in fixed-output derivation '"),
        Just("specified:"),
        Just("got:"),
        Just("\u{1b}["),
        Just("\u{1b}[35;1m"),
        Just("\u{1b}]0;"),
        Just("\u{7}"),
        Just("\u{0}"),
        Just("é"),
        Just(":"),
        Just("1"),
        Just("`"),
        Just("For full logs, run:"),
        Just("Did you mean x?"),
        Just("   12| "),
        Just("^"),
        Just("\t"),
        Just("\r"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read(msg in "(?s).{0,200}", raw in proptest::option::of("(?s).{0,80}"), file in proptest::option::of("(?s).{0,20}")) {
        let text = ErrorText { msg: &msg, raw_msg: raw.as_deref(), file: file.as_deref(), line: Some(1), column: None, trace: &[] };
        assert_clean(&parse_error(&text), visible(&msg) || raw.as_deref().is_some_and(visible))?;
    }

    #[test]
    fn any_pieces_are_read(msg in pieces(), raw in proptest::option::of(pieces())) {
        let frame = TraceFrame { raw_msg: &msg, file: Some(&msg), line: Some(3), column: Some(4) };
        let text = ErrorText { msg: &msg, raw_msg: raw.as_deref(), trace: &[frame], ..ErrorText::default() };
        assert_clean(&parse_error(&text), visible(&msg) || raw.as_deref().is_some_and(visible))?;
        is_error(&msg);
        kind_of_log_line(&msg);
    }
}
