//! Valid records in orders that no Nix produces.

use std::sync::LazyLock;
use std::time::Duration;

use nixmon_core::state::{DerivationFacts, Input};
use nixmon_log::input::{Event, InputCounts, Reader};
use nixmon_log::nix::log::{ActivityType, Field, Fields, LogMessage, Position, ResultType, Text};

use super::run::Run;

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

    /// One of few paths, so that records are about the same, or one of many.
    fn path(&mut self) -> &'static str {
        match self.byte() {
            byte @ 200.. => &MANY[usize::from(byte - 200) << 8 | usize::from(self.byte())],
            byte => PATHS[usize::from(byte) % PATHS.len()],
        }
    }

    fn text(&mut self) -> &'static str {
        match self.byte() {
            250.. => &LONG,
            byte => TEXTS[usize::from(byte) % TEXTS.len()],
        }
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

/// Derivations of which most depend on each other.
static MANY: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..56 << 8).map(|n| format!("/nix/store/{n:0>32}-many-{n}.drv")).collect());

/// Longer than what is kept of a line or a path.
static LONG: LazyLock<String> = LazyLock::new(|| format!("/nix/store/{}.drv", "é\u{1b}[1m".repeat(2000)));

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

/// Valid records in orders that no Nix produces: ends before beginnings, ids used again, progress that runs backwards,
/// parents that are their own children, very many activities at once, phases of builds that are over, derivations that
/// need themselves.
pub fn records(data: &[u8]) {
    let mut source = Source(data);
    let mut run = Run::new(source.byte());
    for _ in 0..1024 {
        if source.0.is_empty() {
            break;
        }
        step(&mut run, &mut source);
    }
    let status = source.of(&[None, Some(0), Some(1), Some(-1)]);
    run.end(status, InputCounts::default());
}

fn step(run: &mut Run, source: &mut Source<'_>) {
    match source.byte() % 20 {
        0..=3 => start(run, source),
        4..=5 => run.apply(record(&LogMessage::Stop { id: source.id() })),
        6..=9 => result(run, source),
        10..=11 => {
            let msg = Text::plain(source.text());
            let raw_msg = source.byte().is_multiple_of(2).then_some(msg);
            let level = source.number();
            let position = match source.byte() % 4 {
                0 => Position {
                    file: Some(Text::plain(source.path())),
                    line: Some(source.number()),
                    column: Some(source.number()),
                },
                _ => Position::default(),
            };
            let trace = source.of(&[
                None,
                Some("[]"),
                Some(r#"[{"raw_msg":"while x","file":"/flake.nix","line":18446744073709551615}]"#),
                Some("{"),
            ]);
            run.apply(record(&LogMessage::Msg { level, msg, raw_msg, position, trace }));
        }
        12..=13 => {
            // Cycles and all.
            let n = if source.byte() < 250 { source.byte() % 4 } else { 255 };
            let mut paths = || (0..n).map(|_| source.path().to_owned()).collect();
            let (inputs, outputs) = (paths(), paths());
            let facts = DerivationFacts { path: source.path().to_owned(), inputs, outputs };
            run.apply(Input::Derivation(&facts));
        }
        14 => {
            // A line as another program prints it.
            let mut reader = Reader::default();
            let line = source.text();
            reader.feed(line.as_bytes(), |event| run.apply(Input::Event(event)));
            reader.finish(|event| run.apply(Input::Event(event)));
        }
        15..=16 => {
            let seconds = match source.byte() {
                255 => u64::MAX,
                byte => u64::from(byte) * u64::from(source.byte()) / 64,
            };
            run.now = run.now.saturating_add(Duration::from_secs(seconds));
            run.tick();
        }
        17 => burst(run, source),
        18 => match source.byte() {
            0 => run.apply(Input::Interrupt),
            1 => run.apply(record(&LogMessage::Other { action: Text::plain(source.text()) })),
            _ => run.apply(record(&LogMessage::SetPhase { phase: Text::plain(source.text()) })),
        },
        _ => run.partial(source.text().as_bytes()),
    }
}

fn start(run: &mut Run, source: &mut Source<'_>) {
    let kind = activity(source);
    let fields = fields(source);
    let id = source.id();
    let parent = if source.byte().is_multiple_of(8) { id } else { source.id() };
    let (level, text) = (source.number(), Text::plain(source.text()));
    run.apply(record(&LogMessage::Start { id, level, parent, kind, text, fields }));
}

fn activity(source: &mut Source<'_>) -> ActivityType {
    match ActivityType::from(100 + u64::from(source.byte() % 15)) {
        ActivityType::Other(114) => ActivityType::Unknown,
        kind => kind,
    }
}

/// Mostly of the types that they should have.
fn fields(source: &mut Source<'_>) -> Fields<'static> {
    let mut fields = Fields::default();
    for _ in 0..source.byte() % 7 {
        fields.push(match source.byte() % 16 {
            0 => Field::Int(source.number()),
            1 => Field::Other,
            2 => Field::Str(Text::plain(source.text())),
            _ => Field::Str(Text::plain(source.path())),
        });
    }
    fields
}

fn result(run: &mut Run, source: &mut Source<'_>) {
    let kind = ResultType::from(100 + u64::from(source.byte() % 12));
    let mut fields = Fields::default();
    if matches!(kind, ResultType::Progress | ResultType::SetExpected) {
        for _ in 0..source.byte() % 6 {
            fields.push(Field::Int(source.number()));
        }
    } else {
        fields.push(Field::Str(Text::plain(source.text())));
    }
    let payload = source.of(&[
        None,
        Some(r#"{"success":true,"status":"Built","path":{"drvPath":"/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.0.drv"}}"#),
        Some("[]"),
    ]);
    run.apply(record(&LogMessage::Result { id: source.id(), kind, fields, payload }));
}

/// Many of the same: activities that never end, or end all; or lines of one log.
fn burst(run: &mut Run, source: &mut Source<'_>) {
    let n = u64::from(source.byte());
    let kind = activity(source);
    let first = source.id();
    match source.byte() % 4 {
        0 => {
            for id in (0..n).map(|n| first.wrapping_add(n)) {
                run.apply(record(&LogMessage::Stop { id }));
            }
        }
        1 => {
            let text = source.text();
            for _ in 0..n {
                let mut fields = Fields::default();
                fields.push(Field::Str(Text::plain(text)));
                let kind = ResultType::BuildLogLine;
                run.apply(record(&LogMessage::Result { id: first, kind, fields, payload: None }));
            }
        }
        _ => {
            // Of one process, or each of its own.
            let step = source.of(&[1, 1 << 32]);
            let from = usize::from(source.byte());
            let parent = source.id();
            for i in 0..n {
                let mut fields = Fields::default();
                fields.push(Field::Str(Text::plain(&MANY[from + i as usize])));
                let id = first.wrapping_add(i.wrapping_mul(step));
                let text = Text::plain("");
                run.apply(record(&LogMessage::Start { id, level: 3, parent, kind, text, fields }));
            }
        }
    }
}

fn record<'a>(message: &'a LogMessage<'a>) -> Input<'a> {
    Input::Event(Event::Record(message))
}
