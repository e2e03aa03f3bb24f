//! What the fuzz targets do with their bytes. The tests of nixmon take in this file too and run it on the kept corpora, so
//! it needs nothing of libFuzzer.

use std::time::Duration;

use nixmon::frontend::{Limits, Lines, LinesOptions, LogLines, Passthrough};
use nixmon::input::Reader;
use nixmon::nix::derivation::{Derivation, DerivationInputs};
use nixmon::nix::log::{ActivityType, Field, Fields, LogMessage, Position, ResultType, Text};
use nixmon::render::{Style, Thresholds};
use nixmon::state::{DerivationFacts, Effects, Input, State};
use nixmon::text::{Palette, Symbols, sanitize, strip_escapes};
use nixmon::view::{Evidence, View};

/// State and frontend, with what must hold checked after every input.
struct Run {
    state: State,
    effects: Effects,
    lines: Lines<Vec<u8>>,
    now: Duration,
    n_inputs: usize,
}

impl Run {
    fn new() -> Self {
        let options = LinesOptions {
            palette: Palette::default(),
            style: Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() },
            limits: Limits::default(),
            passthrough: Passthrough::Auto,
            logs: LogLines::default(),
        };
        let lines = Lines::new(Vec::new(), options);
        Self { state: State::new(), effects: Effects::default(), lines, now: Duration::ZERO, n_inputs: 0 }
    }

    fn apply(&mut self, input: Input<'_>) {
        self.n_inputs += 1;
        self.state.apply(input, self.now, &mut self.effects);
        self.lines.changes(&self.state, &self.effects.changes, self.now);
        self.effects.changes.clear();
        self.effects.requests.clear();
        // A recount costs as much as the state is large.
        if self.n_inputs < 256 || self.n_inputs.is_multiple_of(64) {
            self.check();
        }
    }

    fn tick(&mut self) {
        self.apply(Input::Tick);
        self.lines.tick(&self.state, self.now);
        let view = View::new(&self.state, self.now);
        let running = view.running().len();
        assert!(view.builds().running >= running);
        let _ = (view.fetches(), view.fetching());
    }

    fn check(&self) {
        if let Err(broken) = self.state.check_invariants() {
            panic!("{broken}");
        }
    }

    fn end(mut self, exit_status: Option<i32>) {
        self.apply(Input::End(exit_status));
        self.lines.end(&self.state, &Evidence::default(), self.now);
        self.check();
        let written = self.lines.into_writer();
        let text = std::str::from_utf8(&written).expect("the output is UTF-8");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        // Results, such as paths that a command prints, are never held back; nothing else goes beyond the limits.
        let is_result = |line: &&str| line.starts_with('/');
        let counted: Vec<&str> = text.lines().filter(|line| !is_result(line)).collect();
        let limits = Limits::default();
        assert!(counted.len() <= limits.lines, "{} lines", counted.len());
    }
}

/// Anything at all, in pieces: the first byte says of what length.
pub fn stream(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let mut run = Run::new();
    let mut reader = Reader::default();
    for chunk in bytes.chunks(usize::from(piece) * 4 + 1) {
        reader.feed(chunk, |event| run.apply(Input::Event(event)));
        run.now += Duration::from_millis(u64::from(piece));
        if piece % 3 == 0 {
            reader.settle(|event| run.apply(Input::Event(event)));
            run.tick();
        }
    }
    reader.finish(|event| run.apply(Input::Event(event)));
    run.end(None);
}

/// Takes values from the front of some bytes; zeros when they have run out.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::from(self.byte()) % items.len()]
    }

    fn id(&mut self) -> u64 {
        let byte = self.byte();
        match byte % 16 {
            0 => 0,
            1 => u64::MAX,
            // Many processes, and many activities of each.
            2 => u64::from(byte / 16) << 32 | u64::from(self.byte()),
            low => 7 << 32 | u64::from(low),
        }
    }

    fn number(&mut self) -> u64 {
        match self.byte() {
            250.. => u64::MAX,
            240.. => u64::MAX / 2 + 1,
            byte => u64::from(byte % 16),
        }
    }

    fn path(&mut self) -> &'static str {
        self.of(&PATHS)
    }
}

const PATHS: [&str; 10] = [
    "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.0.drv",
    "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b-1.0.drv",
    "/nix/store/cccccccccccccccccccccccccccccccc-c-1.0.drv",
    "/nix/store/dddddddddddddddddddddddddddddddd-a-1.0",
    "/nix/store/ffffffffffffffffffffffffffffffff-b-1.0",
    "",
    "x\u{1b}[31m\u{7}é\u{202e}",
    "/nix/store/gggggggggggggggggggggggggggggggg-nixos-system-x-25.05.drv",
    "https://cache.example/nar/x.nar.xz",
    "ssh://host",
];

const TEXTS: [&str; 16] = [
    "",
    "error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.0.drv' failed with exit code 1",
    "\u{1b}[31;1merror:\u{1b}[0m Cannot build '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b-1.0.drv'.\n       Reason: builder failed with exit code 2.\n       Last 1 log lines:\n       > gcc: error: x",
    "error: 1 dependencies of derivation '/nix/store/cccccccccccccccccccccccccccccccc-c-1.0.drv' failed to build",
    "error: build of '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.0.drv' failed",
    "error: interrupted by the user",
    "these 2 derivations will be built:",
    "  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.0.drv",
    "  /nix/store/cccccccccccccccccccccccccccccccc-c-1.0.drv",
    "these 9 paths will be fetched (18446744073709551615.0 MiB download, 1e300 MiB unpacked):",
    "  /nix/store/dddddddddddddddddddddddddddddddd-a-1.0",
    "warning: x\u{1b}]0;t\u{7}\r\n",
    "trace: y",
    "error: timed out",
    "waiting for lock on '/nix/store/dddddddddddddddddddddddddddddddd-a-1.0'",
    "waiting for a machine to build '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b-1.0.drv'",
];

/// Valid records in an order that no Nix produces: ends before beginnings, ids used again, progress that runs backwards,
/// parents that are their own children, derivations that need themselves.
pub fn records(data: &[u8]) {
    let mut run = Run::new();
    let mut source = Source(data);
    for _ in 0..4096 {
        if source.0.is_empty() {
            break;
        }
        step(&mut run, &mut source);
    }
    let status = source.of(&[None, Some(0), Some(1), Some(-1)]);
    run.end(status);
}

fn step(run: &mut Run, source: &mut Source<'_>) {
    let mut fields = Fields::default();
    match source.byte() % 16 {
        0..=3 => {
            let kind = ActivityType::from(100 + u64::from(source.byte() % 15));
            let kind = if kind == ActivityType::Other(114) { ActivityType::Unknown } else { kind };
            for _ in 0..source.byte() % 4 {
                fields.push(Field::Str(Text::plain(source.path())));
            }
            let (id, parent, level) = (source.id(), source.id(), source.number());
            let text = Text::plain(source.of(&TEXTS));
            run.apply(record(&LogMessage::Start { id, level, parent, kind, text, fields }));
        }
        4..=5 => run.apply(record(&LogMessage::Stop { id: source.id() })),
        6..=9 => {
            let kind = ResultType::from(100 + u64::from(source.byte() % 12));
            if matches!(kind, ResultType::Progress | ResultType::SetExpected) {
                for _ in 0..source.byte() % 6 {
                    fields.push(Field::Int(source.number()));
                }
            } else {
                fields.push(Field::Str(Text::plain(source.of(&TEXTS))));
            }
            let payload = source.of(&[
                None,
                Some(r#"{"success":true,"status":"Built","path":{"drvPath":"/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.0.drv"}}"#),
                Some("[]"),
            ]);
            run.apply(record(&LogMessage::Result { id: source.id(), kind, fields, payload }));
        }
        10..=11 => {
            let msg = Text::plain(source.of(&TEXTS));
            let raw_msg = source.byte().is_multiple_of(2).then_some(msg);
            let level = source.number();
            run.apply(record(&LogMessage::Msg {
                level,
                msg,
                raw_msg,
                position: Position::default(),
                trace: None,
            }));
        }
        12 => {
            // Cycles and all.
            let mut paths = || {
                (0..source.byte() % 4)
                    .map(|_| PATHS[usize::from(source.byte()) % PATHS.len()].to_owned())
                    .collect()
            };
            let (inputs, outputs) = (paths(), paths());
            let facts = DerivationFacts { path: source.path().to_owned(), inputs, outputs };
            run.apply(Input::Derivation(&facts));
        }
        13 => {
            // A line as another program prints it.
            let mut reader = Reader::default();
            let line = source.of(&TEXTS);
            reader.feed(line.as_bytes(), |event| run.apply(Input::Event(event)));
            reader.finish(|event| run.apply(Input::Event(event)));
        }
        14 => {
            run.now += Duration::from_secs(source.number() % 1000);
            run.tick();
        }
        _ => match source.byte() {
            0 => run.apply(Input::Interrupt),
            _ => run.apply(record(&LogMessage::SetPhase { phase: Text::plain(source.of(&TEXTS)) })),
        },
    }
}

fn record<'a>(message: &'a LogMessage<'a>) -> Input<'a> {
    Input::Event(nixmon::input::Event::Record(message))
}

/// Files that claim to be derivations.
pub fn drv(data: &[u8]) {
    let inputs = DerivationInputs::from_aterm_bytes(data);
    if let Ok(derivation) = Derivation::from_aterm_bytes(data) {
        let inputs = inputs.expect("what the whole parser reads, the short one reads");
        assert!(inputs.input_derivations.len() >= derivation.input_derivations.len());
        let written = derivation.to_aterm_bytes();
        assert_eq!(Derivation::from_aterm_bytes(&written).expect("what was written can be read"), derivation);
    }
}

/// Text of other programs.
pub fn sanitize_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let clean = sanitize(&text);
    assert!(!clean.chars().any(char::is_control), "{clean:?}");
    assert_eq!(sanitize(&clean), clean);
    let stripped = strip_escapes(&text);
    assert!(!stripped.contains('\u{1b}'));
    assert_eq!(strip_escapes(&stripped), stripped);
}
