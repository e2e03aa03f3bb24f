//! Tests of the reader with mixed, cut and misleading streams.

use super::*;

/// The events of a stream, one short text for each.
fn events(input: &[u8]) -> Vec<String> {
    let mut reader = Reader::default();
    let mut events = Vec::new();
    reader.feed(input, |event| events.push(short(&event)));
    reader.finish(|event| events.push(short(&event)));
    events
}

fn short(event: &Event<'_>) -> String {
    match event {
        Event::Record(LogMessage::Start { id, text, .. }) => format!("start {id} {}", text.decode()),
        Event::Record(LogMessage::Stop { id }) => format!("stop {id}"),
        Event::Record(LogMessage::Result { id, fields, .. }) => {
            format!(
                "result {id} {}",
                fields.str(0).map(|text| text.decode().into_owned()).unwrap_or_default()
            )
        }
        Event::Record(LogMessage::Msg { level, msg, .. }) => format!("msg {level} {}", msg.decode()),
        Event::Record(other) => format!("{other:?}"),
        Event::Line(Line { text, human: HumanLine::Other, .. }) => format!("line {text}"),
        Event::Line(Line { human, .. }) => format!("{human:?}"),
        Event::Error(text) => format!("error {text}"),
        Event::Redraw(text) => format!("redraw {text}"),
        Event::Problem(problem) => format!("problem {:?}", problem.kind),
    }
}

fn check(input: impl AsRef<[u8]>, expected: &[&str]) {
    let input = input.as_ref();
    assert_eq!(events(input), expected, "{}", String::from_utf8_lossy(input));
}

const STOP: &str = r#"@nix {"action":"stop","id":7}"#;

#[test]
fn records_are_found_whatever_stands_before_them() {
    check(STOP, &["stop 7"]);
    // systemd's priority, as Nix up to 2.26 and Lix write it with IN_SYSTEMD.
    check(format!("<3>{STOP}\n"), &["stop 7"]);
    check(format!("[host1] {STOP}\n[host2] {STOP}\n"), &["stop 7", "stop 7"]);
    check(format!("host1 | {STOP}\n"), &["stop 7"]);
    check(format!("12:03:09: {STOP}\n"), &["stop 7"]);
    check(format!("\x1b[1;32mhost1 |\x1b[0m {STOP}\n"), &["stop 7"]);
    check(format!("\x1b[K{STOP}\n"), &["stop 7"]);
    // Another program's line without its end.
    check(format!("remote: Counting objects{STOP}\n"), &["line remote: Counting objects", "stop 7"]);
    // json-log-path writes no prefix.
    check(r#"{"action":"stop","id":7}"#, &["stop 7"]);
    check(r#"{"action":"dance"}"#, &[r#"line {"action":"dance"}"#]);
}

#[test]
fn what_a_builder_prints_is_no_record() {
    check(
        format!("hello> {STOP}\n"),
        &[r#"BuildLog { name: "hello", line: "@nix {\"action\":\"stop\",\"id\":7}" }"#],
    );
    check(
        format!("\x1b[35mhello>\x1b[0m {STOP}\n"),
        &[r#"BuildLog { name: "hello", line: "@nix {\"action\":\"stop\",\"id\":7}" }"#],
    );
    check("mail to @nix please\n", &["line mail to @nix please"]);
}

#[test]
fn records_that_cut_into_each_other_are_taken_apart() {
    let long = r#"@nix {"action":"result","fields":["a long line"],"id":1,"type":101}"#;
    for at in [6, 20, 40, long.len() - 1] {
        let (head, tail) = long.split_at(at);
        // The second process's record ends with a newline, then the first goes on.
        check(format!("{head}{STOP}\n{tail}\n"), &["stop 7", "result 1 a long line"]);
    }
    // The tail never comes.
    let (head, _) = long.split_at(20);
    check(format!("{head}{STOP}\nhello\n"), &["stop 7", "problem Record(NotJson)", "line hello"]);
    // A stream that ends in the middle of a record.
    check(format!("{STOP}\n{head}"), &["stop 7", "problem Record(NotJson)"]);
}

#[test]
fn unusable_records_are_problems_and_the_stream_goes_on() {
    check(format!("@nix {{\n{STOP}\n"), &["problem Record(NotJson)", "stop 7"]);
    check(format!("@nix []\n{STOP}\n"), &["problem Record(Shape)", "stop 7"]);
    check(format!("@nix \n{STOP}\n"), &["problem Record(NotJson)", "stop 7"]);
    check("@nix {\"action\":\"stop\"}\n", &["problem Record(Shape)"]);
    let unknown = events(b"@nix {\"action\":\"dance\"}\n");
    assert_eq!(unknown[0], "problem UnknownAction");
    assert_eq!(unknown.len(), 2);
}

#[test]
fn line_ends_and_odd_bytes() {
    check(format!("{STOP}\r\n{STOP}\r\n"), &["stop 7", "stop 7"]);
    check("one\r\ntwo\r\n", &["line one", "line two"]);
    // A terminal shows what stands after the last carriage return.
    check("10%\r50%\r100%\n", &["redraw 10%", "redraw 50%", "line 100%"]);
    check("100%\r\x1b[K\n", &["redraw 100%", "line 100%"]);
    check("10%\r\r \r100%\r\n", &["redraw 10%", "line 100%"]);
    check(format!("10%\r{STOP}\r\n"), &["line 10%", "stop 7"]);
    check(b"a\0b\n".as_slice(), &["line a\0b"]);
    check(b"caf\xe9 \xff\xfe\n".as_slice(), &["line caf\u{fffd} \u{fffd}\u{fffd}"]);
    check(b"@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"caf\xe9\"}\n".as_slice(), &["msg 0 caf\u{fffd}"]);
    check("\n\n", &["line ", "line "]);
    check("", &[]);
}

#[test]
fn errors_are_put_together_in_every_version_s_form() {
    // 2.3: no indentation, the log below the first line.
    let drv = "/nix/store/95fcv90jjw5v97rnkjfm24k8x8m25vpy-bad-2.drv";
    check(
        format!(
            "builder for '{drv}' failed with exit code 2; last 2 log lines:\n  one\n  two\nerror: build of '{drv}' failed\n"
        ),
        &[
            &format!("error builder for '{drv}' failed with exit code 2; last 2 log lines:\n  one\n  two"),
            &format!("error error: build of '{drv}' failed"),
        ],
    );
    // 2.26.
    let old = format!(
        "error: builder for '{drv}' failed with exit code 2;\n       last 1 log lines:\n       > boom\n       For full logs, run:\n         nix log {drv}"
    );
    check(
        format!("{old}\nmake: *** [Makefile:3: home] Error 1\n"),
        &[&format!("error {old}"), "line make: *** [Makefile:3: home] Error 1"],
    );
    // 2.29 and later.
    let new = format!(
        "error: Cannot build '{drv}'.\n       Reason: builder failed with exit code 2.\n       Output paths:\n         /nix/store/ff7j88plj4zxrbmmwl0a2gxi88igqdv5-bad-2\n       Last 1 log lines:\n       > boom\n       For full logs, run:\n         nix log {drv}"
    );
    check(format!("{new}\n"), &[&format!("error {new}")]);
    // An evaluation error has blank lines in it, and a blank line after it is not its own.
    let eval = "error:\n       … while calling the 'throw' builtin\n         at /x/flake.nix:3:5:\n            2|\n            3|   throw \"no\"\n             |   ^\n\n       error: no";
    check(format!("{eval}\n\n{STOP}\n"), &[&format!("error {eval}"), "stop 7"]);
    // Two in a row.
    check("error: one\nerror: two\n", &["error error: one", "error error: two"]);
}

#[test]
fn a_record_or_a_silence_ends_an_error() {
    let mut reader = Reader::default();
    let mut seen = Vec::new();
    reader.feed(b"error: one\n       two\n", |event| seen.push(short(&event)));
    assert_eq!(seen, [] as [&str; 0], "more of it may follow");
    reader.settle(|event| seen.push(short(&event)));
    assert_eq!(seen, ["error error: one\n       two"]);
    reader.settle(|_| panic!("it was told already"));
}

#[test]
fn unfinished_lines_are_prompts_but_not_unfinished_records() {
    for (input, expected) in [
        ("password: ", Some("password: ")),
        ("done\npassword: ", Some("password: ")),
        ("Are you sure (yes/no)? ", Some("Are you sure (yes/no)? ")),
        ("done\n", None),
        ("@", None),
        ("@nix", None),
        ("@nix {\"action\":\"st", None),
        ("{\"action\":\"st", None),
        ("[host1] @nix {\"act", None),
        ("", None),
    ] {
        let mut reader = Reader::default();
        reader.feed(input.as_bytes(), |_| ());
        let partial = reader.partial_text().map(String::from_utf8_lossy);
        assert_eq!(partial.as_deref(), expected, "{input:?}");
    }
}

#[test]
fn everything_is_counted() {
    let mut reader = Reader::default();
    let input = format!("{STOP}\nhello\nerror: x\n@nix {{\n{STOP}\n[h] {STOP}\n");
    reader.feed(input.as_bytes(), |_| ());
    reader.finish(|_| ());
    let expected = InputCounts {
        bytes: input.len() as u64,
        records: 3,
        text_lines: 2,
        problems: 1,
        ..InputCounts::default()
    };
    assert_eq!(reader.counts(), expected);
}

#[test]
fn a_line_without_end_is_cut_and_said() {
    let mut input = vec![b'x'; MAX_LINE + 5];
    input.extend_from_slice(format!("\n{STOP}\n").as_bytes());
    let events = events(&input);
    assert_eq!(events.len(), 3);
    assert_eq!([events[0].as_str(), events[2].as_str()], ["problem LineTooLong", "stop 7"]);
}

#[test]
fn a_line_of_torn_records_is_looked_at_a_few_times() {
    let mut reader = Reader::default();
    let mut n_events = 0;
    reader.feed("@nix {".repeat(1 << 20).as_bytes(), |_| n_events += 1);
    reader.finish(|_| n_events += 1);
    assert_eq!(n_events, 1);
}
