//! The live view piece by piece: which rows a graph gives, and what stands on a screen in memory.

use std::time::Duration;

use indicatif::{InMemoryTerm, TermLike};
use nixmon_core::frontend::{Condition, Live, LiveOptions, LogLines, Passthrough, Screen};
use nixmon_core::render::{Style, Thresholds};
use nixmon_core::state::{DerivationFacts, Effects, Input, Moment, State};
use nixmon_core::text::{Line, Palette, Role, Symbols};
use nixmon_core::view::{Blockers, Evidence, Node, TreeOptions, View, tree};
use nixmon_log::input::Reader;

/// A screen in memory.
#[derive(Debug)]
struct OnTerm(InMemoryTerm);

impl Screen for OnTerm {
    fn size(&self) -> (u16, u16) {
        (self.0.width(), self.0.height())
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        self.0.write_str(text)?;
        self.0.flush()
    }
}

/// A state after text lines and `.drv` files, and the rows of its tree, as `depth:name`.
fn check_rows(started: &[&str], graph: &[(&str, &[&str])], rows: usize, expected: &[&str]) {
    let mut state = State::new();
    let mut effects = Effects::default();
    let path = |name: &str| format!("/nix/store/{}-{name}.drv", "a".repeat(32));
    let mut reader = Reader::default();
    let mut text = String::from("these derivations will be built:\n");
    for (name, _) in graph {
        text.push_str(&format!("  {}\n", path(name)));
    }
    for (i, name) in started.iter().enumerate() {
        text.push_str(&format!(
            "@nix {{\"action\":\"start\",\"id\":{},\"level\":3,\"parent\":0,\"text\":\"\",\"type\":105,\"fields\":[\"{}\",\"\",1,1]}}\n",
            i + 1,
            path(name)
        ));
    }
    reader.feed(text.as_bytes(), |event| state.apply(Input::Event(event), Moment::ZERO, &mut effects));
    for (name, inputs) in graph {
        let facts = DerivationFacts {
            path: path(name),
            inputs: inputs.iter().map(|input| path(input)).collect(),
            outputs: Vec::new(),
        };
        state.apply(Input::Derivation(&facts), Moment::ZERO, &mut effects);
    }
    let view = View::new(&state, Moment::ZERO);
    let mut blockers = Blockers::default();
    let tree = tree(&view, TreeOptions { rows, ancestors: true, blockers: &mut blockers });
    let found: Vec<String> = tree
        .rows
        .iter()
        .map(|row| match row.node {
            Node::Derivation { id, blocks } => {
                let name = state.derivations().get(id).name();
                let indirect = if row.indirect { "~" } else { "" };
                format!("{}:{indirect}{name} {blocks}", row.last.len())
            }
            Node::Path(id) => state.transfers().get(id).name().to_owned(),
            Node::More { running, moving } => format!("+{running} +{moving}"),
        })
        .collect();
    assert_eq!(found, expected, "{started:?} in {rows} rows");
}

const DIAMOND: &[(&str, &[&str])] =
    &[("lib", &[]), ("left", &["lib"]), ("right", &["lib"]), ("app", &["left", "right"])];

#[test]
fn each_once_below_what_needs_it() {
    check_rows(&["lib"], DIAMOND, 10, &["0:app 0", "1:left 0", "2:lib 3"]);
    check_rows(&["lib"], DIAMOND, 2, &["0:app 0", "1:~lib 3"]);
    check_rows(&["lib"], DIAMOND, 1, &["0:lib 3"]);
    check_rows(&["lib"], DIAMOND, 0, &[]);
    check_rows(&["left", "right"], DIAMOND, 10, &["0:app 0", "1:left 1", "1:right 1"]);
    check_rows(&["app"], DIAMOND, 10, &["0:app 0"]);
    check_rows(&[], DIAMOND, 10, &[]);
}

#[test]
fn what_has_no_room_is_counted() {
    let wide: Vec<(&str, &[&str])> =
        vec![("a", &[]), ("b", &[]), ("c", &[]), ("d", &[]), ("all", &["a", "b", "c", "d"])];
    check_rows(&["a", "b", "c", "d"], &wide, 3, &["0:a 1", "0:b 1", "+2 +0"]);
    check_rows(&["a", "b", "c", "d"], &wide, 4, &["0:a 1", "0:b 1", "0:c 1", "0:d 1"]);
    check_rows(&["a", "b", "c", "d"], &wide, 5, &["0:all 0", "1:a 1", "1:b 1", "1:c 1", "1:d 1"]);
}

#[test]
fn a_graph_that_turns_round_ends() {
    check_rows(&["a", "b"], &[("a", &["b"]), ("b", &["a"])], 10, &["0:a 1", "1:b 1"]);
}

fn options() -> LiveOptions {
    LiveOptions {
        palette: Palette::default(),
        style: Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() },
        passthrough: Passthrough::Auto,
        logs: LogLines::default(),
        report_lines: 60,
        title: false,
        progress: false,
    }
}

/// Feeds each piece at its second and draws; the screen after each is what is expected.
fn check_screens(options: LiveOptions, rows: u16, columns: u16, pieces: &[(u64, &str, &str)]) {
    let term = InMemoryTerm::new(rows, columns);
    let mut live = Live::new(Box::new(OnTerm(term.clone())), options);
    let mut state = State::new();
    state.report_log_lines();
    let mut reader = Reader::default();
    let mut effects = Effects::default();
    for (second, piece, expected) in pieces {
        let at = Duration::from_secs(*second);
        live.touch();
        reader.feed(piece.as_bytes(), |event| {
            state.apply(Input::Event(event), at, &mut effects);
            live.changes(&state, &effects.changes, at);
            effects.changes.clear();
        });
        if let Some(partial) = reader.partial_text() {
            live.partial(partial);
        }
        live.draw(&state, at, Condition::default());
        assert_eq!(term.contents(), *expected, "after {piece:?}");
    }
    state.apply(Input::End(Some(0)), state.now(), &mut effects);
    live.end(&state, &Evidence::default());
    assert!(term.contents().lines().last().is_some_and(|line| line.contains(" in ")), "{term:?}");
}

const START: &str = "@nix {\"action\":\"start\",\"id\":1,\"level\":3,\"parent\":0,\"text\":\"\",\"type\":105,\
    \"fields\":[\"/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-hello-2.12.drv\",\"\",1,1]}\n";
const LOG: &str = "@nix {\"action\":\"result\",\"id\":1,\"type\":101,\"fields\":[\"compiling\"]}\n";

#[test]
fn text_scrolls_above_the_view() {
    check_screens(
        options(),
        10,
        40,
        &[
            (1, START, "\n▶ hello-2.12       0s\nBuilding · 0 built · 1 running · 1s"),
            (
                2,
                "warning: old\n",
                "warning: old\n\n▶ hello-2.12       1s\nBuilding · 0 built · 1 running · 2s",
            ),
            (3, "", "warning: old\n\n▶ hello-2.12       2s\nBuilding · 0 built · 1 running · 3s"),
            (
                4,
                "Password: ",
                "warning: old\nPassword:\n▶ hello-2.12       3s\nBuilding · 0 built · 1 running · 4s",
            ),
        ],
    );
}

#[test]
fn a_notice_scrolls_above_the_view() {
    let term = InMemoryTerm::new(10, 40);
    let mut live = Live::new(Box::new(OnTerm(term.clone())), options());
    let state = State::new();
    live.notice(&[Line::new().with(Role::Warning, "home takes longer than 15m; it goes on\x1b[2J")]);
    live.draw(&state, Duration::from_secs(900), Condition::default());
    let screen = term.contents();
    assert!(screen.starts_with("home takes longer than 15m; it goes on\n"), "{screen}");
    assert!(screen.contains("Evaluating"), "{screen}");
    live.draw(&state, Duration::from_secs(901), Condition::default());
    assert_eq!(term.contents().matches("takes longer").count(), 1);
}

#[test]
fn logs_are_shown_if_asked_for() {
    let all = LiveOptions { logs: LogLines::All(Some(1)), ..options() };
    let status = "\n▶ hello-2.12       0s  compiling\nBuilding · 0 built · 1 running · 1s";
    let twice = format!("{START}{LOG}{LOG}{LOG}");
    check_screens(all, 10, 40, &[(1, &twice, &format!("hello-2.12> compiling\nhello-2.12> …\n{status}"))]);
    let none = LiveOptions { logs: LogLines::None, ..options() };
    check_screens(none, 10, 40, &[(1, &twice, status)]);
}

#[test]
fn what_stands_above_is_not_reported_again() {
    let term = InMemoryTerm::new(40, 100);
    let mut live = Live::new(Box::new(OnTerm(term.clone())), options());
    let (mut state, mut reader, mut effects) = (State::new(), Reader::default(), Effects::default());
    let failed = "@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"error: builder for \
        '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-hello-2.12.drv' failed with exit code 2\",\"raw_msg\":\"builder for \
        '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-hello-2.12.drv' failed with exit code 2\"}\n";
    for (second, piece) in [(1, START), (2, LOG), (3, failed), (9, "")] {
        let at = Duration::from_secs(second);
        live.touch();
        reader.feed(piece.as_bytes(), |event| {
            state.apply(Input::Event(event), at, &mut effects);
            live.changes(&state, &effects.changes, at);
            effects.changes.clear();
        });
        live.draw(&state, at, Condition::default());
    }
    let told = term.contents();
    assert!(told.contains("hello-2.12 failed, exit 2") && told.contains("    compiling"), "{told}");
    state.apply(Input::End(Some(1)), Duration::from_secs(9), &mut effects);
    live.end(&state, &Evidence::default());
    let all = term.contents();
    assert_eq!(all.matches("    compiling").count(), 1, "{all}");
    assert!(all.contains("Build failed") && all.matches("hello-2.12 failed").count() == 2, "{all}");
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let term = InMemoryTerm::new(24, 80);
    let mut live = Live::new(Box::new(OnTerm(term.clone())), options());
    let state = State::new();
    let at = Duration::from_secs(1);
    live.draw(&state, at, Condition::default());
    assert!(!term.moves_since_last_check().is_empty());
    live.draw(&state, at + Duration::from_millis(900), Condition::default());
    assert_eq!(term.moves_since_last_check(), "");
    live.draw(&state, at + Duration::from_millis(1100), Condition { busy: true, ..Condition::default() });
    assert_eq!(term.moves_since_last_check(), "");
    live.draw(&state, at + Duration::from_millis(1100), Condition::default());
    assert!(term.moves_since_last_check().contains("2s"));
}

#[test]
fn title_and_progress_are_put_back() {
    let term = InMemoryTerm::new(24, 80);
    let mut live =
        Live::new(Box::new(OnTerm(term.clone())), LiveOptions { title: true, progress: true, ..options() });
    live.draw(&State::new(), Duration::from_secs(1), Condition::default());
    let drawn = term.moves_since_last_check();
    for control in ["9;4;3;0", "[22;2t", "]2;nixmon: evaluating"] {
        assert!(drawn.contains(control), "{control}: {drawn}");
    }
    live.leave();
    let left = term.moves_since_last_check();
    for control in ["9;4;0;0", "[23;2t", "[?25h"] {
        assert!(left.contains(control), "{control}: {left}");
    }
}

/// What a panic hook writes clears the view and nothing above it.
#[test]
fn a_panic_finds_the_terminal_right() {
    let term = InMemoryTerm::new(24, 80);
    let mut live = Live::new(Box::new(OnTerm(term.clone())), options());
    let mut state = State::new();
    let mut effects = Effects::default();
    let at = Duration::from_secs(1);
    Reader::default().feed(format!("warning: old\n{START}").as_bytes(), |event| {
        state.apply(Input::Event(event), at, &mut effects);
        live.changes(&state, &effects.changes, at);
        effects.changes.clear();
    });
    live.draw(&state, at, Condition::default());
    assert!(term.contents().contains("hello-2.12"), "{}", term.contents());
    term.write_str(&Live::reset_sequence(&options())).unwrap();
    assert_eq!(term.contents().trim_end(), "warning: old");
    assert!(term.moves_since_last_check().contains("[?25h"));
    // Its end would clear once more, as it must not at a panic.
    std::mem::forget(live);
}
