//! Tests of several streams that carry the same events, and of events that only one carries.

use proptest::prelude::*;

use super::*;
use Source::{Log, Main, Stdout};

/// A step: milliseconds, stream, bytes; `None` is the end of the stream.
type Step<'a> = (u64, Source, Option<&'a str>);

fn short(source: Source, event: &Event<'_>) -> String {
    let from = match source {
        Main => "main".to_owned(),
        Stdout => "out".to_owned(),
        Log(number) => format!("c{number}"),
    };
    let said = match event {
        Event::Record(LogMessage::Start { id, text, .. }) => {
            format!("start {}.{} {}", id >> 32, id & 0xff, text.decode())
        }
        Event::Record(LogMessage::Stop { id }) => format!("stop {}.{}", id >> 32, id & 0xff),
        Event::Record(LogMessage::Result { fields, .. }) => {
            format!("result {}", fields.str(0).map(|text| text.decode().into_owned()).unwrap_or_default())
        }
        Event::Record(LogMessage::Msg { msg, .. }) => format!("msg {}", msg.decode()),
        Event::Record(other) => format!("{other:?}"),
        Event::Line(line) => format!("line {}", line.text),
        Event::Error(text) => format!("error {text}"),
        Event::Redraw(text) => format!("redraw {text}"),
        Event::Problem(problem) => format!("problem {:?}", problem.kind),
    };
    format!("{from} {said}")
}

/// Returns the events of the steps; `|` marks one that was held back.
fn heard(streams: &mut Streams, steps: &[Step<'_>]) -> Vec<String> {
    let mut heard = Vec::new();
    let mut keep = |source, event: Event<'_>| heard.push(short(source, &event));
    for &(millis, source, bytes) in steps {
        let at = Duration::from_millis(millis);
        while let Some(due) = streams.next_release().filter(|due| *due <= at) {
            streams.release(due, &mut keep);
        }
        match bytes {
            Some(bytes) => streams.feed(source, bytes.as_bytes(), at, &mut keep),
            None => streams.close(source, at, &mut keep),
        }
    }
    streams.finish(&mut keep);
    heard
}

fn check(steps: &[Step<'_>], expected: &[&str]) {
    let mut streams = Streams::default();
    streams.expect_logs();
    assert_eq!(heard(&mut streams, steps), expected, "{steps:#?}");
}

fn start(process: u64, n: u64, text: &str) -> String {
    format!(
        r#"{{"action":"start","id":{},"level":3,"parent":0,"text":"{text}","type":0}}"#,
        (process << 32) + n
    ) + "\n"
}

fn stop(process: u64, n: u64) -> String {
    format!(r#"{{"action":"stop","id":{}}}"#, (process << 32) + n) + "\n"
}

fn msg(text: &str) -> String {
    format!(r#"{{"action":"msg","level":1,"msg":"{text}"}}"#) + "\n"
}

fn log_line(process: u64, text: &str) -> String {
    format!(r#"{{"action":"result","fields":["{text}"],"id":{},"type":101}}"#, process << 32) + "\n"
}

#[test]
fn what_a_record_says_is_not_heard_again_as_text() {
    let error = "\\u001b[31;1merror:\\u001b[0m\\n       … while\\n\\n       error: no";
    check(
        &[
            (0, Main, Some("building 'x'...\n")),
            (1, Log(1), Some(&start(7, 1, "building 'x'"))),
            (2, Main, Some("warning: old\nx> a line\nx (post)> a line\nmake: hello\n")),
            (3, Log(1), Some(&(msg("warning: old") + &log_line(7, "a line").repeat(2)))),
            (4, Main, Some("error:\n       … while\n\n       error: no\n  of make's\n")),
            (5, Log(1), Some(&msg(error))),
            (6, Log(1), Some(&stop(7, 1))),
        ],
        &[
            "c1 start 7.1 building 'x'",
            "c1 msg warning: old",
            "c1 result a line",
            "c1 result a line",
            "c1 msg \u{1b}[31;1merror:\u{1b}[0m\n       … while\n\n       error: no",
            "c1 stop 7.1",
            "main line make: hello",
            "main line   of make's",
        ],
    );
}

#[test]
fn text_waits_for_its_record_but_not_long() {
    check(
        &[
            (0, Main, Some("a\n")),
            (49, Log(1), Some(&msg("a"))),
            (100, Main, Some("b\n")),
            (150, Log(1), Some(&msg("c"))),
            (160, Log(1), Some(&msg("b"))),
            (9000, Log(1), Some(&msg("b"))),
        ],
        &["c1 msg a", "main line b", "c1 msg c", "c1 msg b"],
    );
}

#[test]
fn the_kth_occurrence_is_dropped_where_the_other_way_had_k() {
    let same = msg("same") + &msg("same");
    check(
        &[(0, Log(1), Some(&same)), (1, Main, Some("same\nsame\nsame\n"))],
        &["c1 msg same", "c1 msg same", "main line same"],
    );
    let path = "/nix/store/r8y95xadk9qzggyyfjq0xf5z88knam70-hello-2.12.1.drv";
    check(
        &[(0, Log(1), Some(&msg(&format!("  {path}")))), (1, Stdout, Some(&format!("{path}\n")))],
        &[&format!("c1 msg   {path}"), &format!("out line {path}")],
    );
}

#[test]
fn a_process_is_heard_on_one_stream() {
    let (on_main, other) = (format!("@nix {}", start(7, 1, "")), format!("@nix {}", start(8, 1, "")));
    let end = format!("@nix {}@nix {}", stop(7, 1), stop(8, 1));
    check(
        &[
            (0, Main, Some(&on_main)),
            (1, Main, Some(&other)),
            (2, Log(1), Some(&(start(7, 1, "") + &stop(7, 1)))),
            (3, Log(1), None),
            (5, Main, Some(&end)),
            // The system has given the number away again.
            (10, Log(2), Some(&start(7, 1, ""))),
            (5000, Log(2), None),
            (9000, Main, Some(&on_main)),
        ],
        &[
            "c1 start 7.1 ",
            "c1 stop 7.1",
            "c2 start 7.1 ",
            "main start 8.1 ",
            "main stop 8.1",
            "main start 7.1 ",
        ],
    );
    let message = format!("@nix {}", msg("a"));
    check(&[(0, Main, Some(&message)), (1, Log(1), Some(&msg("a")))], &["c1 msg a"]);
}

#[test]
fn a_connection_that_breaks_off_is_a_problem() {
    check(
        &[(0, Log(1), Some(r#"{"action":"sto"#)), (1, Log(1), None), (2, Log(2), Some(&stop(7, 1)))],
        &["c1 problem Record(NotJson)", "c2 stop 7.1"],
    );
}

#[test]
fn results_are_lines_whatever_they_look_like() {
    let mut streams = Streams::default();
    streams.expect_logs();
    streams.stdout_is_result(true);
    let steps = [
        (0, Log(1), Some(&*msg("a"))),
        (0, Main, Some("b\n")),
        (1, Stdout, Some("a\nerror: b\n  c\n")),
        (2, Stdout, Some("{\"action\":\"stop\",\"id\":7}")),
    ];
    let expected = [
        "c1 msg a",
        "out line a",
        "out line error: b",
        "out line   c",
        "main line b",
        "out line {\"action\":\"stop\",\"id\":7}",
    ];
    assert_eq!(heard(&mut streams, &steps), expected);
    let counts = streams.counts();
    assert_eq!([counts.records, counts.text_lines], [1, 5]);
}

#[test]
fn a_prompt_is_seen_when_what_came_before_it_was_handed_on() {
    let mut streams = Streams::default();
    streams.expect_logs();
    let at = Duration::from_millis;
    let mut seen = Vec::new();
    streams.feed(Main, b"error: a\n       b\npassword: ", at(10), &mut |source, event| {
        seen.push(short(source, &event))
    });
    streams.settle(at(50), &mut |_, _| panic!("it waits"));
    assert_eq!(streams.partial_text(), None);
    assert_eq!(streams.next_release(), Some(at(60)));
    streams.release(at(59), &mut |_, _| panic!("it waits"));
    streams.release(at(60), &mut |source, event| seen.push(short(source, &event)));
    assert_eq!(seen, ["main error error: a\n       b"]);
    assert_eq!(streams.partial_text(), Some(&b"password: "[..]));
    assert_eq!(streams.next_release(), None);
}

#[test]
fn too_much_text_does_not_wait() {
    let mut streams = Streams::default();
    streams.expect_logs();
    let line = format!("{}\n", "x".repeat(1 << 16));
    let mut lines = 0_usize;
    for _ in 0..200 {
        streams.feed(Main, line.as_bytes(), Duration::ZERO, &mut |_, _| lines += 1);
    }
    assert!(streams.held_bytes <= MAX_HELD && lines >= 200 - MAX_HELD / line.len() - 1, "{lines}");
    streams.finish(&mut |_, _| lines += 1);
    assert_eq!(lines, 200);
}

/// Lines of a few words, so that they are often the same, and records of a few processes.
fn pieces() -> impl Strategy<Value = Vec<(u64, Source, String)>> {
    let source = prop_oneof![
        3 => Just(Main),
        1 => Just(Stdout),
        3 => (1u32..4).prop_map(Log),
    ];
    let text = prop_oneof![Just("a"), Just("b"), Just("error: c"), Just("   d"), Just("")];
    let record =
        (prop_oneof![Just("a"), Just("error: c\\n   d")], 0u64..4, 0u64..3).prop_map(|(text, kind, n)| {
            match kind {
                0 => msg(text),
                1 => start(n + 1, n, text),
                2 => stop(n + 1, n),
                _ => log_line(n + 1, text),
            }
        });
    let piece =
        (0u64..80, source, text, record, any::<bool>()).prop_map(|(later, source, text, record, bare)| {
            let bytes = match source {
                Log(_) => record,
                _ if bare => format!("@nix {record}"),
                _ => format!("{text}\n"),
            };
            (later, source, bytes)
        });
    prop::collection::vec(piece, 0..40)
}

proptest! {
    /// A filter has one stream: it is read as by a reader alone.
    #[test]
    fn one_stream_is_read_as_ever(pieces in pieces()) {
        let (mut reader, mut streams) = (Reader::default(), Streams::default());
        let (mut expected, mut heard) = (Vec::new(), Vec::new());
        for (later, _, bytes) in &pieces {
            reader.feed(bytes.as_bytes(), |event| expected.push(short(Main, &event)));
            streams.feed(Main, bytes.as_bytes(), Duration::from_millis(*later), &mut |source, event| heard.push(short(source, &event)));
            prop_assert_eq!(reader.partial_text(), streams.partial_text());
            prop_assert_eq!(streams.next_release(), None);
        }
        prop_assert_eq!(reader.counts(), streams.counts());
        reader.finish(|event| expected.push(short(Main, &event)));
        streams.finish(&mut |source, event| heard.push(short(source, &event)));
        prop_assert_eq!(heard, expected);
    }

    /// Nothing is lost: each text is heard as often as the way on which it was said most often.
    #[test]
    fn each_text_is_heard_at_least_as_often_as_on_either_way(pieces in pieces()) {
        let mut at = 0;
        let steps: Vec<Step<'_>> = pieces.iter().map(|(later, source, bytes)| {
            at += later;
            (at, *source, Some(bytes.as_str()))
        }).collect();
        let mut streams = Streams::default();
        streams.expect_logs();
        let told = heard(&mut streams, &steps);
        // Letters stand in nothing else than in texts.
        let count = |lines: &mut dyn Iterator<Item = &str>| lines.filter(|line| line.trim_end().ends_with(" a") || *line == "a").count();
        let told = count(&mut told.iter().map(|line| line.trim_start_matches(|c| c != ' ').trim_start_matches(" line").trim_start_matches(" msg")));
        let texts = pieces.iter().filter(|(_, source, bytes)| !matches!(source, Log(_)) && bytes == "a\n").count();
        let records = pieces.iter().filter(|(_, source, bytes)| matches!(source, Log(_)) && *bytes == msg("a")).count();
        prop_assert!(told >= texts.max(records).saturating_sub(starts(&pieces)), "{told} of {texts} and {records}");
        prop_assert!(streams.counts().bytes == pieces.iter().map(|(_, _, bytes)| bytes.len() as u64).sum::<u64>());
    }
}

/// Activities that are texts too.
fn starts(pieces: &[(u64, Source, String)]) -> usize {
    pieces.iter().filter(|(_, _, bytes)| bytes.contains("\"start\"")).count()
}
