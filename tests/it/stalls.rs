//! What is said of a run that hangs, from records and lines as Nix prints them: which things, in which order, how it reads
//! and what is advised.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::time::Duration;

use nixmon_core::frontend::{Limits, Lines, LinesOptions, LogLines, Passthrough};
use nixmon_core::render::{self, Style, Thresholds};
use nixmon_core::state::{Effects, Input, State};
use nixmon_core::text::{Line, Palette, Role, Symbols};
use nixmon_core::view::{self, StallOptions, View};
use nixmon_log::input::Reader;

/// What has been heard: at which second, which line.
type Stream<'a> = &'a [(u64, String)];

/// Looked at so many seconds after the last line.
struct Look<'a> {
    after: u64,
    partial: Option<&'a str>,
    asking: Option<&'a str>,
    background: bool,
}

const LOOK: Look<'_> = Look { after: 400, partial: None, asking: None, background: false };

fn drv(name: &str) -> String {
    format!("/nix/store/00000000000000000000000000000000-{name}.drv")
}

fn path(name: &str) -> String {
    format!("/nix/store/00000000000000000000000000000000-{name}")
}

fn start(id: u64, kind: u64, text: &str, fields: &[&str]) -> String {
    let (text, fields) = (serde_json::json!(text), serde_json::json!(fields));
    format!(
        r#"@nix {{"action":"start","id":{id},"level":1,"parent":0,"text":{text},"type":{kind},"fields":{fields}}}"#
    )
}

fn build(id: u64, name: &str, machine: &str) -> String {
    start(id, 105, "", &[&drv(name), machine])
}

fn substitute(id: u64, name: &str, from: &str) -> Vec<String> {
    let child = format!(
        r#"@nix {{"action":"start","id":{},"level":3,"parent":{id},"text":"","type":100,"fields":["{}","{from}","local"]}}"#,
        id + 500,
        path(name)
    );
    let transfer = format!(
        r#"@nix {{"action":"start","id":{},"level":3,"parent":{},"text":"","type":101,"fields":["{from}/nar/x.nar.xz"]}}"#,
        id + 600,
        id + 500
    );
    vec![start(id, 108, "", &[&path(name), from]), child, transfer]
}

fn bytes(id: u64, done: u64, expected: u64) -> String {
    format!(r#"@nix {{"action":"result","id":{},"type":105,"fields":[{done},{expected},0,0]}}"#, id + 600)
}

fn phase(id: u64, phase: &str) -> String {
    format!(r#"@nix {{"action":"result","id":{id},"type":104,"fields":["{phase}"]}}"#)
}

fn log(id: u64, line: &str) -> String {
    let line = serde_json::json!(line);
    format!(r#"@nix {{"action":"result","id":{id},"type":101,"fields":[{line}]}}"#)
}

fn message(text: &str) -> String {
    format!(r#"@nix {{"action":"msg","level":0,"msg":{}}}"#, serde_json::json!(text))
}

fn style(ascii: bool) -> Style {
    let symbols = if ascii { Symbols::ascii() } else { Symbols::unicode() };
    Style { symbols, ascii, thresholds: Thresholds::default() }
}

/// What is said, at several widths.
fn said(stream: Stream<'_>, look: &Look<'_>) -> String {
    let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
    let mut now = Duration::ZERO;
    for (at, line) in stream {
        now = Duration::from_secs(*at);
        let mut take =
            |event: nixmon_log::input::Event<'_>| state.apply(Input::Event(event), now, &mut effects);
        reader.feed(format!("{line}\n").as_bytes(), &mut take);
        reader.settle(&mut take);
    }
    let now = now + Duration::from_secs(look.after);
    let options =
        StallOptions { quiet: Thresholds::default().quiet, partial: look.partial, asking: look.asking };
    let stalls = view::stalls(&View::new(&state, now), &options);
    let mut text = String::new();
    for columns in [40, 80, usize::MAX] {
        let width = if columns == usize::MAX { "any".to_owned() } else { columns.to_string() };
        writeln!(text, "{width}:").unwrap();
        for line in render::stalls(&stalls, look.background, columns, &style(false)) {
            assert!(line.width() <= columns, "{}", line.plain());
            writeln!(text, "|{}", line.plain()).unwrap();
        }
    }
    for columns in [0, 1, 2, 10, 20] {
        for line in render::stalls(&stalls, look.background, columns, &style(true)) {
            assert!(line.width() <= columns && line.plain().is_ascii(), "{:?}", line.plain());
        }
    }
    assert!(render::stalls(&stalls, look.background, usize::MAX, &style(false)).len() <= 5);
    text
}

fn at(second: u64, lines: impl IntoIterator<Item = String>) -> Vec<(u64, String)> {
    lines.into_iter().map(|line| (second, line)).collect()
}

macro_rules! check {
    ($name:ident, $stream:expr, $look:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), said(&$stream, &$look));
        }
    };
}

check!(
    a_download_without_a_byte_and_one_that_stopped,
    [
        at(10, substitute(1, "firefox-130.0", "https://cache.example.org")),
        at(10, substitute(2, "gcc-14", "https://other.example.org/cache?priority=10")),
        at(20, [bytes(2, 4 << 20, 90 << 20)]),
    ]
    .concat(),
    Look { after: 110, ..LOOK }
);

check!(
    downloads_from_one_place_are_one_line,
    (0..30).flat_map(|i| at(i, substitute(i, &format!("lib-{i}"), "s3://user@bucket"))).collect::<Vec<_>>(),
    LOOK
);

check!(
    what_has_all_its_bytes_is_unpacked,
    [at(1, substitute(1, "linux-6.12", "https://cache.example.org")), at(2, [bytes(1, 9000, 9000)])].concat(),
    LOOK
);

check!(
    builds_with_their_phase_and_their_last_line,
    [
        at(0, [build(1, "hello-2.12", ""), phase(1, "checkPhase")]),
        at(5, [log(1, "test 1 ok\r\u{1b}[31mtest 2 of 3\u{1b}[0m  ")]),
        at(9, [build(2, "llvm-19", "ssh-ng://root@builder?x=1"), build(3, "silent-1", "")]),
    ]
    .concat(),
    LOOK
);

check!(
    a_build_that_prints_is_not_told,
    [at(0, [build(1, "slow-1", ""), build(2, "busy-1", "")]), at(300, [log(2, "still here")]),].concat(),
    Look { after: 10, ..LOOK }
);

check!(
    more_than_four_are_counted_and_the_longest_come_first,
    (0..9).flat_map(|i| at(9 - i, [build(i, &format!("lib-{i}"), "")])).rev().collect::<Vec<_>>(),
    LOOK
);

check!(
    builds_that_wait,
    [
        at(
            0,
            (0..3).map(|i| {
                let text = format!("waiting for a machine to build '{}'", drv(&format!("remote-{i}")));
                start(i, 111, &text, &[])
            })
        ),
        at(40, [start(7, 111, &format!("waiting for lock on '{}'", drv("locked-1")), &[])]),
        at(50, [start(8, 111, &format!("waiting for a free build user ID for '{}'", drv("user-1")), &[])]),
    ]
    .concat(),
    Look { after: 100, ..LOOK }
);

check!(
    a_wait_that_has_ended_is_not_told,
    [
        at(0, [start(7, 111, &format!("waiting for lock on '{}'", drv("locked-1")), &[])]),
        at(
            5,
            [
                r#"@nix {"action":"stop","id":7}"#.to_owned(),
                message("waiting for the big garbage collector lock...")
            ]
        ),
        at(6, [build(1, "locked-1", "")]),
    ]
    .concat(),
    Look { after: 100, ..LOOK }
);

check!(the_garbage_collector, at(5, [message("waiting for the big garbage collector lock...")]), LOOK);

check!(the_store_of_another, at(5, ["waiting for exclusive access to the Nix store...".to_owned()]), LOOK);

check!(
    a_profile_in_text,
    at(5, ["waiting for lock on profile '/nix/var/nix/profiles/per-user/demo/profile'...".to_owned()]),
    LOOK
);

check!(
    an_upload_to_a_machine,
    at(5, [start(3, 0, "waiting for the upload lock to 'ssh-ng://builder'", &[])]),
    LOOK
);

check!(
    an_upload,
    at(
        5,
        [
            start(1, 100, "", &[&path("hello-2.12"), "local", "ssh://cache.example.org"]),
            start(2, 100, "", &[&path("glibc-2.40"), "local", "ssh://cache.example.org"]),
        ]
    ),
    LOOK
);

check!(an_evaluation_that_begins_with_the_same_letter, at(5, [start(3, 0, "wandering about", &[])]), LOOK);

check!(
    an_evaluation,
    at(5, [r#"@nix {"action":"start","id":1,"level":4,"parent":0,"text":"evaluating derivation 'git+file:///etc/nixos#x'","type":0}"#.to_owned()]),
    LOOK
);

check!(nothing_yet, [], LOOK);

check!(not_yet, at(5, [build(1, "hello-2.12", "")]), Look { after: 100, ..LOOK });

check!(
    a_home_that_hangs_at_its_units,
    at(
        5,
        [
            "Starting Home Manager activation",
            "Activating checkFilesChanged",
            "Activating linkGeneration",
            "Activating reloadSystemd",
            "Starting units: rclone.service, sync.service",
        ]
        .map(str::to_owned)
    ),
    LOOK
);

check!(
    a_question_comes_before_all_else,
    at(5, [build(1, "hello-2.12", "")]),
    Look { partial: Some("\u{1b}[1m[sudo] password for alice: "), ..LOOK }
);

check!(
    a_question_in_the_background,
    at(5, ["cloning".to_owned()]),
    Look {
        after: 30,
        partial: Some("Enter passphrase for key '/root/.ssh/id_ed25519': "),
        background: true,
        ..LOOK
    }
);

check!(
    a_question_that_nobody_sees,
    at(5, ["cloning".to_owned()]),
    Look { after: 30, asking: Some("sudo"), background: true, ..LOOK }
);

check!(
    hostile_names,
    [
        at(0, [build(1, &format!("\u{1b}[31m{}\u{202e}", "wide漢字".repeat(40)), "\u{7}x")]),
        at(1, [phase(1, &"p".repeat(1000)), log(1, &"\u{1b}]0;title\u{7}x".repeat(1000))]),
        at(2, substitute(2, "a\nb", &"no-uri".repeat(100))),
    ]
    .concat(),
    LOOK
);

/// Condensed lines under so tight a limit, and a notice of so many lines.
fn notice(most: usize, n_lines: usize) -> String {
    let limits = Limits { lines: most, ..Limits::default() };
    let options = LinesOptions {
        palette: Palette::default(),
        style: style(false),
        limits,
        passthrough: Passthrough::Auto,
        logs: LogLines::default(),
    };
    let mut frontend = Lines::new(Vec::new(), options);
    let lines: Vec<Line> =
        (1..=n_lines).map(|n| Line::new().with(Role::Warning, format!("{n}\u{7}"))).collect();
    frontend.notice(&lines, Duration::from_secs(900));
    String::from_utf8(frontend.into_writer()).unwrap()
}

#[test]
fn a_notice_stands_among_the_condensed_lines_and_within_their_limit() {
    assert_eq!(notice(60, 2), "[15m00s] 1\n[15m00s] 2\n");
    assert_eq!(notice(60, 6).lines().count(), 6);
    for most in 0..60 {
        assert!(notice(most, 100).lines().count() <= most, "{most}");
    }
}
