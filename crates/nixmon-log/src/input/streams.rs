//! Several streams of one command as one: its stderr, its stdout, and the connections on which its Nix processes write
//! records (`json-log-path`, Nix 2.30 and later).
//!
//! Such a process says everything twice, as text on stderr and as records on its connection; with `--log-format
//! internal-json` as records on both. Nothing is to be heard twice, and nothing is to be lost:
//!
//! - Connections are heard at once. Where there may be any, stderr and stdout wait for [`HOLD`], so that the records,
//!   which say more, come first.
//! - A process, which is the upper half of its activities' ids, is heard on the stream where it speaks first. Its other
//!   records are repetitions.
//! - A line of text, or a message, is a repetition if a connection said it and it was not found to be repeated before:
//!   the k-th occurrence on one way is dropped if the other way had k. Compared is what can be seen of a line; where Nix
//!   writes to no terminal it removes escapes and carriage returns and makes spaces of tabs (`libutil/terminal.cc`).
//!
//! Nix prints for a record its `msg`, the `text` of an activity with `...` after it, or `name> ` and a line of
//! a build's log, `name (post)> ` and one of its hook's (`libmain/progress-bar.cc`, `libutil/logging.cc`).

mod repetition;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::frame::Framer;
use super::human::{self, HumanLine};
use super::{DecodeError, Event, InputCounts, Line, MAX_TEXT, Problem, ProblemKind, Reader, cut};
use crate::escapes::strip_escapes;
use crate::nix::log::{LogMessage, ResultType};
use repetition::{Key, Repetitions};

/// So long text waits for the record that says the same. Nix writes both at once; what differs is when they are read.
pub const HOLD: Duration = Duration::from_millis(50);
/// If more than this waits, the oldest goes on.
const MAX_HELD: usize = 4 << 20;
/// Records of a process on another stream than its own are repetitions for so long after its own has ended; later the
/// system may have given its number to another process.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Processes that are remembered. Those beyond are heard wherever they speak.
const MAX_PROCESSES: usize = 1 << 12;

/// Source of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The command's stderr, or the only stream of a filter.
    Main,
    /// The command's stdout.
    Stdout,
    /// A connection of a Nix process, by number.
    Log(u32),
}

/// Makes one sequence of events of several streams.
///
/// With [`Source::Main`] alone it is a [`Reader`].
#[derive(Debug, Default)]
pub struct Streams {
    main: Reader,
    stdout: Reader,
    /// Cuts stdout where its lines are results, which are not read.
    results: Framer,
    stdout_is_result: bool,
    logs: BTreeMap<u32, Log>,
    /// There may be connections: text waits.
    holding: bool,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// [`Streams::settle`] came while something was waiting.
    settle_later: bool,
    heard: Heard,
    /// Input of streams that have ended.
    ended: InputCounts,
}

/// A connection.
#[derive(Debug, Default)]
struct Log {
    reader: Reader,
    /// The processes that are heard on it: one, or with a daemon some.
    processes: Vec<u64>,
}

/// Bytes that wait, or the end of their stream.
#[derive(Debug)]
struct Held {
    at: Duration,
    source: Source,
    bytes: Option<Vec<u8>>,
}

/// Texts that were heard, to know repetitions.
#[derive(Debug, Default)]
struct Heard {
    processes: HashMap<u64, Process, RandomState>,
    repetitions: Repetitions,
    /// Records and lines that were dropped.
    repeated: InputCounts,
}

/// Streams on which processes are heard.
#[derive(Clone, Copy, Debug)]
struct Process {
    source: Source,
    /// When that stream ended.
    ended: Option<Duration>,
}

impl Streams {
    /// There may be connections from now on: text waits for their records. The first byte on a connection says so too.
    pub fn expect_logs(&mut self) {
        self.holding = true;
    }

    /// Says that stdout is the result of the command: each of its lines is an [`Event::Line`] at once, whatever it looks
    /// like, and none is a repetition. To be said before stdout speaks.
    pub fn stdout_is_result(&mut self, is_result: bool) {
        self.stdout_is_result = is_result;
    }

    /// Takes the next bytes of a stream, which came at `at`. No bytes say that a connection was made.
    ///
    /// Times are compared in milliseconds, which is what a recording keeps.
    pub fn feed(
        &mut self,
        source: Source,
        bytes: &[u8],
        at: Duration,
        event: &mut dyn FnMut(Source, Event<'_>),
    ) {
        if source == Source::Main && !self.holding {
            return self.main.feed(bytes, |heard| event(Source::Main, heard));
        }
        self.release(at, event);
        self.settle_later = false;
        match source {
            Source::Log(number) => {
                self.holding = true;
                let log = self.logs.entry(number).or_default();
                let Log { reader, processes } = log;
                let heard = &mut self.heard;
                reader.feed(bytes, |said| heard.log(number, processes, said, at, event));
            }
            Source::Stdout if self.stdout_is_result => self.result(bytes, event),
            Source::Main | Source::Stdout if self.holding => {
                self.held_bytes += bytes.len();
                self.held.push_back(Held { at: floor(at), source, bytes: Some(bytes.to_vec()) });
                while self.held_bytes > MAX_HELD {
                    self.let_go(at, event);
                }
            }
            Source::Main => self.main.feed(bytes, |heard| event(source, heard)),
            Source::Stdout => self.stdout.feed(bytes, |heard| event(source, heard)),
        }
    }

    /// A stream has ended: whatever was begun on it is whole now.
    pub fn close(&mut self, source: Source, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        if self.holding {
            self.release(at, event);
        }
        match source {
            Source::Log(number) => self.close_log(number, at, event),
            Source::Stdout if self.stdout_is_result => self.end(source, at, event),
            Source::Main | Source::Stdout if self.holding => {
                self.held.push_back(Held { at: floor(at), source, bytes: None });
            }
            Source::Main | Source::Stdout => self.end(source, at, event),
        }
    }

    /// Nothing came for a moment: an error that is being put together is whole, once what waits has gone on.
    pub fn settle(&mut self, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        self.release(at, event);
        if !self.held.is_empty() {
            self.settle_later = true;
            return;
        }
        self.settle_readers(at, event);
    }

    /// Hands on what has waited long enough.
    pub fn release(&mut self, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        let mut any = false;
        while self.next_release().is_some_and(|due| due <= floor(at)) {
            self.let_go(at, event);
            any = true;
        }
        if any && self.held.is_empty() && std::mem::take(&mut self.settle_later) {
            self.settle_readers(at, event);
        }
    }

    /// When [`Streams::release`] has something to do.
    pub fn next_release(&self) -> Option<Duration> {
        self.held.front().map(|held| held.at + HOLD)
    }

    /// The end of all streams.
    pub fn finish(&mut self, event: &mut dyn FnMut(Source, Event<'_>)) {
        // The last moment that is known; the next would not make a difference.
        let at = self.held.back().map_or(Duration::ZERO, |held| held.at);
        while let Some((&number, _)) = self.logs.first_key_value() {
            self.close_log(number, at, event);
        }
        while !self.held.is_empty() {
            self.let_go(at, event);
        }
        self.end(Source::Main, at, event);
        self.end(Source::Stdout, at, event);
    }

    /// The beginning of a line of text that has not ended: of the main stream, else of stdout. None while something
    /// waits that belongs before it, and none of what a record says: a pipe behind Nix may cut its lines anywhere.
    pub fn partial_text(&self) -> Option<&[u8]> {
        if !self.holding {
            return self.main.partial_text().or_else(|| self.stdout.partial_text());
        }
        let is_prompt = |partial: &&[u8]| {
            let text = String::from_utf8_lossy(&partial[..partial.len().min(MAX_TEXT)]);
            let text = strip_escapes(&text);
            !matches!(human::parse(&text), HumanLine::BuildLog { line, .. } if !line.is_empty())
        };
        let partials = [self.main.partial_text(), self.stdout.partial_text()];
        partials.into_iter().flatten().find(is_prompt).filter(|_| self.held.is_empty())
    }

    /// Returns the amount of input on all streams. Bytes are all that were read; records and lines that were dropped as
    /// repetitions are left out.
    pub fn counts(&self) -> InputCounts {
        let readers = [&self.main, &self.stdout].into_iter().chain(self.logs.values().map(|log| &log.reader));
        let mut sum = self.ended;
        readers.for_each(|reader| add(&mut sum, reader.counts()));
        let held: usize = self.held.iter().filter_map(|held| held.bytes.as_ref()).map(Vec::len).sum();
        sum.bytes += held as u64;
        sum.records = sum.records.saturating_sub(self.heard.repeated.records);
        sum.text_lines = sum.text_lines.saturating_sub(self.heard.repeated.text_lines);
        sum
    }

    /// A part of stdout that is a result.
    fn result(&mut self, bytes: &[u8], event: &mut dyn FnMut(Source, Event<'_>)) {
        self.ended.bytes += bytes.len() as u64;
        let counts = &mut self.ended;
        self.results.feed(bytes, |framed| result_line(framed.bytes, counts, event));
    }

    /// Hands on the oldest that waits.
    fn let_go(&mut self, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        let Some(Held { source, bytes, .. }) = self.held.pop_front() else { return };
        let Some(bytes) = bytes else { return self.end(source, at, event) };
        self.held_bytes -= bytes.len();
        let reader = if source == Source::Main { &mut self.main } else { &mut self.stdout };
        let heard = &mut self.heard;
        reader.feed(&bytes, |said| heard.text(source, said, at, event));
    }

    fn settle_readers(&mut self, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        let Self { main, stdout, heard, .. } = self;
        main.settle(|said| heard.text(Source::Main, said, at, event));
        stdout.settle(|said| heard.text(Source::Stdout, said, at, event));
    }

    /// The end of the main stream or of stdout.
    fn end(&mut self, source: Source, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        let Self { main, stdout, heard, .. } = self;
        let reader = if source == Source::Main { main } else { stdout };
        reader.finish(|said| heard.text(source, said, at, event));
        if source == Source::Stdout {
            let counts = &mut self.ended;
            self.results.finish(|framed| result_line(framed.bytes, counts, event));
        }
    }

    fn close_log(&mut self, number: u32, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        let Some(Log { mut reader, mut processes }) = self.logs.remove(&number) else { return };
        let heard = &mut self.heard;
        reader.finish(|said| heard.log(number, &mut processes, said, at, event));
        heard.log_ended(number, &processes, at);
        add(&mut self.ended, reader.counts());
    }
}

impl Heard {
    /// An event of a connection.
    fn log(
        &mut self,
        number: u32,
        processes: &mut Vec<u64>,
        said: Event<'_>,
        at: Duration,
        event: &mut dyn FnMut(Source, Event<'_>),
    ) {
        let source = Source::Log(number);
        let is_repetition = match &said {
            Event::Record(message) => match self.is_elsewhere(source, message, at) {
                Some(true) => true,
                was_heard => {
                    if was_heard == Some(false)
                        && let Some(process) = process_of(message)
                        && !processes.contains(&process)
                    {
                        processes.push(process);
                    }
                    self.repetitions.record(&keys(message), is_of_activity(message), at)
                }
            },
            // Nothing but records comes on a connection: this one broke off.
            Event::Line(Line { text, .. }) | Event::Error(text) => {
                if !text.trim().is_empty() {
                    let kind = ProblemKind::Record(DecodeError::NotJson);
                    event(source, Event::Problem(Problem { kind, excerpt: cut(text) }));
                }
                return;
            }
            Event::Redraw(_) => return,
            Event::Problem(_) => false,
        };
        if is_repetition {
            self.repeated.records += 1;
        } else {
            event(source, said);
        }
    }

    /// A connection has ended.
    fn log_ended(&mut self, number: u32, processes: &[u64], at: Duration) {
        for process in processes {
            if let Some(process) = self.processes.get_mut(process)
                && process.source == Source::Log(number)
            {
                process.ended = Some(at);
            }
        }
    }

    /// An event of the main stream or of stdout.
    fn text(
        &mut self,
        source: Source,
        said: Event<'_>,
        at: Duration,
        event: &mut dyn FnMut(Source, Event<'_>),
    ) {
        match &said {
            Event::Record(message) => {
                let is_repetition = match self.is_elsewhere(source, message, at) {
                    Some(is_elsewhere) => is_elsewhere,
                    None => self.repetitions.text(&keys(message), at),
                };
                if is_repetition {
                    self.repeated.records += 1;
                    return;
                }
            }
            // No record says a store path alone: it is a result.
            Event::Line(Line { human: HumanLine::StorePath(_), .. }) => {}
            Event::Line(line) => {
                if self.repetitions.text(&line_key(line), at) {
                    self.repeated.text_lines += 1;
                    return;
                }
            }
            Event::Error(text) => return self.error(source, text, at, event),
            Event::Redraw(_) | Event::Problem(_) => {}
        }
        event(source, said);
    }

    /// An error in human-readable form. Lines of other programs may have been taken for a part of it.
    fn error(&mut self, source: Source, text: &str, at: Duration, event: &mut dyn FnMut(Source, Event<'_>)) {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        if !self.repetitions.text(&[Key::of(first)], at) {
            for line in lines {
                self.repetitions.told(Key::of(line), at);
            }
            return event(source, Event::Error(text));
        }
        self.repeated.text_lines += 1;
        for line in lines {
            if line.trim().is_empty() || self.repetitions.text(&[Key::of(line)], at) {
                self.repeated.text_lines += 1;
            } else {
                event(
                    source,
                    Event::Line(Line { raw: line, text: line, human: human::parse(line), label: None }),
                );
            }
        }
    }

    /// Returns whether a process is heard on another stream; `None` if the record is of no process.
    fn is_elsewhere(&mut self, source: Source, message: &LogMessage<'_>, at: Duration) -> Option<bool> {
        let number = process_of(message)?;
        if let Some(process) = self.processes.get_mut(&number) {
            if process.source == source {
                return Some(false);
            }
            let is_over = process.ended.is_some_and(|ended| match source {
                Source::Log(_) => true,
                Source::Main | Source::Stdout => ended + AFTERWARDS < at,
            });
            if is_over {
                *process = Process { source, ended: None };
            }
            return Some(!is_over);
        }
        if self.processes.len() >= MAX_PROCESSES {
            self.processes.retain(|_, process| process.ended.is_none_or(|ended| ended + AFTERWARDS >= at));
        }
        if self.processes.len() < MAX_PROCESSES {
            self.processes.insert(number, Process { source, ended: None });
        }
        Some(false)
    }
}

/// A line of stdout that is a result.
fn result_line(bytes: &[u8], counts: &mut InputCounts, event: &mut dyn FnMut(Source, Event<'_>)) {
    counts.text_lines += 1;
    let raw = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]);
    let text = strip_escapes(&raw);
    event(Source::Stdout, Event::Line(Line { raw: &raw, text: &text, human: HumanLine::Other, label: None }));
}

/// The process that an activity's record is of. Results that are of no activity have the id 0.
fn process_of(message: &LogMessage<'_>) -> Option<u64> {
    match message {
        LogMessage::Start { id, .. } | LogMessage::Stop { id } | LogMessage::Result { id, .. } => {
            Some(id >> 32).filter(|process| *process > 0)
        }
        LogMessage::Msg { .. } | LogMessage::SetPhase { .. } | LogMessage::Other { .. } => None,
    }
}

/// Returns whether a record is needed even if its text was told already.
fn is_of_activity(message: &LogMessage<'_>) -> bool {
    matches!(message, LogMessage::Start { .. } | LogMessage::Stop { .. })
}

/// Returns the text that Nix prints for a record, or a stand-in for one without text.
fn keys(message: &LogMessage<'_>) -> Vec<Key> {
    match message {
        LogMessage::Msg { msg, .. } => {
            msg.decode().lines().filter(|line| !line.trim().is_empty()).map(Key::of).collect()
        }
        LogMessage::Start { text, .. } if !text.is_empty() => {
            vec![Key::of(&format!("{}...", text.decode()))]
        }
        LogMessage::Result {
            kind: ResultType::BuildLogLine | ResultType::PostBuildLogLine, fields, ..
        } => fields.str(0).map(|line| Key::of_log(&line.decode())).into_iter().collect(),
        LogMessage::Result { id: 0, kind, fields, payload } => {
            vec![Key::of(&format!("{kind:?} {fields:?} {payload:?}"))]
        }
        _ => Vec::new(),
    }
}

fn line_key(line: &Line<'_>) -> Vec<Key> {
    match line.human {
        _ if line.text.trim().is_empty() => Vec::new(),
        HumanLine::BuildLog { line, .. } => vec![Key::of_log(line)],
        _ => vec![match line.text.split_once(" (post)> ") {
            Some((name, line)) if !name.contains(' ') => Key::of_log(line),
            _ => Key::of(line.text),
        }],
    }
}

/// A moment as a recording keeps it.
fn floor(at: Duration) -> Duration {
    Duration::new(at.as_secs(), at.subsec_millis() * 1_000_000)
}

fn add(sum: &mut InputCounts, counts: InputCounts) {
    let InputCounts { bytes, records, text_lines, problems, dropped_bytes, texts_cut } = counts;
    sum.bytes += bytes;
    sum.records += records;
    sum.text_lines += text_lines;
    sum.problems += problems;
    sum.dropped_bytes += dropped_bytes;
    sum.texts_cut += texts_cut;
}

#[cfg(test)]
mod tests;
