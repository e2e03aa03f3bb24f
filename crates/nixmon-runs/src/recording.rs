//! Recordings: the raw input with its times.
//!
//! A text of lines. The first is `nixmon-recording 1`, or `2` where several streams of a command were read. Each other
//! line is the milliseconds since the beginning, in version 2 the stream, one character, and a piece of the input:
//!
//! - a space: a line of the input, without its newline;
//! - `~`: bytes after which no newline came yet;
//! - `!`: JSON that is no input: `{"exit_status":1}`, `{"closed":7}` for the end of the connection 7, a derivation that was
//!   read, `{"path":…,"inputs":[…],"outputs":[…]}`, the machine, `{"facts":{"host":…,"system":…,"max_jobs":…,"cores":…}}`, facts
//!   about the project that is built, `{"inside":{"derivation":…,"hints":{…}}}`, or `{"lost":4096}` where that many bytes could not be kept. A reader skips JSON that it does not know.
//!
//! The stream is nothing for stderr, `o` for stdout and `c7` for the connection 7 of a Nix process.
//!
//! So a recording is the log with times at its margin, can be searched with grep, and holds the input exactly. A
//! recording that breaks off is good up to there, and another process may go on with it: its part begins with a first
//! line again, and with a zstd frame of its own.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use nixmon_core::pipeline::{Machine, Step};
use nixmon_core::state::{DerivationFacts, Moment};
use nixmon_log::input::Source;

use crate::played::Played;

/// The first line of every recording begins with it; the version of the format follows.
pub(crate) const HEADER: &str = "nixmon-recording ";
/// The version for one stream.
pub(crate) const ONE_STREAM: &str = "1";
/// The version for several.
pub(crate) const SEVERAL_STREAMS: &str = "2";

/// A failure to write or read a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be created.
    #[error("cannot write {}: {error}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// The recording is of a version that this nixmon does not know.
    #[error("recording of version {0}, which this nixmon does not know")]
    Version(String),
    /// The recording cannot be decompressed.
    #[error("cannot decompress: {0}")]
    Decompress(io::Error),
}

type Result<T, E = RecordingError> = std::result::Result<T, E>;

/// Writes a recording.
///
/// Bytes of a command's streams that a file does not take are kept for later, up to a limit. Beyond it pieces are lost;
/// the recording then says how many bytes, in a note like `{"lost":4096}`.
pub struct Recorder {
    writer: Writer,
    broken: Option<io::Error>,
    gap: Gap,
}

enum Writer {
    Plain(Box<dyn Write + Send>),
    Packed(Packer),
}

/// Bytes that were lost since the last piece that was kept.
#[derive(Debug, Default)]
struct Gap {
    bytes: u64,
    /// Sources of which a part was lost: what comes first of them is the rest of a line.
    cut: BTreeSet<Source>,
    /// Sources of which the last piece was no whole line.
    unfinished: BTreeSet<Source>,
}

/// Longest note about a project: a reader takes lines of 16 MiB.
const MAX_NOTE: usize = 15 << 20;
/// The maximum number of packed bytes that wait for the disk. Beyond, pieces are lost.
const MAX_WAITING: usize = 4 << 20;

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Makes the file for a filter's only stream, compressed if its name ends in `.zst`.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self::to(writer(path, create(path)?)?))
    }

    /// Makes the file for the streams of a command.
    /// If that is not possible now, it is tried again at each flush.
    ///
    /// # Errors
    ///
    /// If the library that compresses has no memory.
    pub fn create_of_command(path: &Path) -> Result<Self> {
        let packer = Packer::new(path, 3);
        let packer = packer.map_err(|error| RecordingError::Create { path: path.to_owned(), error })?;
        let mut recorder = Self::of_version(SEVERAL_STREAMS, Writer::Packed(packer));
        // An error is tried again and told later.
        recorder.flush();
        Ok(recorder)
    }

    /// Writes a filter's only stream to a writer.
    pub fn to(writer: Box<dyn Write + Send>) -> Self {
        Self::of_version(ONE_STREAM, Writer::Plain(writer))
    }

    /// Writes the streams of a command to a writer.
    pub fn of_command(writer: Box<dyn Write + Send>) -> Self {
        Self::of_version(SEVERAL_STREAMS, Writer::Plain(writer))
    }

    fn of_version(version: &str, writer: Writer) -> Self {
        let mut recorder = Self { writer, broken: None, gap: Gap::default() };
        recorder.write(format!("{HEADER}{version}\n").as_bytes());
        recorder
    }

    /// Keeps bytes of the only stream, or of the command's stderr, as they came.
    pub fn bytes(&mut self, bytes: &[u8], at: Moment) {
        self.bytes_from(Source::Main, bytes, at);
    }

    /// Keeps bytes of one of a command's streams as they came, in the order in which they were handled.
    pub fn bytes_from(&mut self, source: Source, bytes: &[u8], at: Moment) {
        if self.is_full() {
            self.lose(source, bytes.len());
            return;
        }
        let bytes = self.bridge(source, bytes, at);
        if bytes.is_empty() {
            return;
        }
        match bytes.ends_with(b"\n") {
            true => self.gap.unfinished.remove(&source),
            false => self.gap.unfinished.insert(source),
        };
        self.pieces(source, bytes, at);
    }

    /// Takes note of bytes that are not kept.
    pub fn lose(&mut self, source: Source, n_bytes: usize) {
        self.gap.bytes += n_bytes as u64;
        self.gap.cut.insert(source);
    }

    /// After a gap, says how much is lost, and ends the line that broke off. Returns the bytes without the rest of a line of
    /// which the beginning is lost.
    fn bridge<'a>(&mut self, source: Source, bytes: &'a [u8], at: Moment) -> &'a [u8] {
        if self.gap.bytes > 0 {
            let lost = std::mem::take(&mut self.gap.bytes);
            let broken_off = std::mem::take(&mut self.gap.unfinished);
            for source in broken_off {
                match self.gap.cut.contains(&source) {
                    true => self.pieces(source, b"\n", at),
                    false => drop(self.gap.unfinished.insert(source)),
                }
            }
            self.note(&json!({"lost": lost}), at);
        }
        if !self.gap.cut.contains(&source) {
            return bytes;
        }
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.gap.cut.remove(&source);
                bytes.get(end + 1..).unwrap_or_default()
            }
            None => &[],
        }
    }

    /// The file of a command's recording, to be synced.
    pub fn file(&self) -> Option<File> {
        match &self.writer {
            Writer::Plain(_) => None,
            Writer::Packed(packer) => packer.packed.file.as_ref()?.try_clone().ok(),
        }
    }

    /// The number of bytes that were lost since the last one that is kept.
    pub fn lost(&self) -> u64 {
        self.gap.bytes
    }

    /// Returns whether so much waits for the disk that pieces are lost.
    fn is_full(&self) -> bool {
        matches!(&self.writer, Writer::Packed(packer) if self.broken.is_some() && packer.waiting() >= MAX_WAITING)
    }

    fn pieces(&mut self, source: Source, bytes: &[u8], at: Moment) {
        let margin = match source {
            Source::Main => at.as_millis().to_string(),
            Source::Stdout => format!("{}o", at.as_millis()),
            Source::Log(number) => format!("{}c{number}", at.as_millis()),
        };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(line) => self.piece(&margin, ' ', line),
                None => self.piece(&margin, '~', piece),
            }
        }
    }

    /// Keeps that a connection has ended. Of the other streams it need not be known.
    pub fn closed(&mut self, source: Source, at: Moment) {
        if let Source::Log(number) = source {
            self.note(&json!({"closed": number}), at);
        }
    }

    /// Keeps that it was this late, and nothing came.
    pub fn moment(&mut self, at: Moment) {
        self.piece(&at.as_millis().to_string(), '~', b"");
    }

    /// Keeps a derivation that was read.
    pub fn derivation(&mut self, facts: &DerivationFacts, at: Moment) {
        let DerivationFacts { path, inputs, outputs } = facts;
        self.note(&json!({"path": path, "inputs": inputs, "outputs": outputs}), at);
    }

    /// Keeps the machine on which the recording is made.
    pub fn machine(&mut self, machine: &Machine, at: Moment) {
        let Machine { host, system, max_jobs, cores } = machine;
        let facts = json!({"host": host, "system": system, "max_jobs": max_jobs, "cores": cores});
        self.note(&json!({"facts": facts}), at);
    }

    /// Keeps facts about what is built in a derivation, or by the command. Facts that are longer than a reader takes are left out.
    pub fn inside(&mut self, derivation: Option<&str>, hints: &serde_json::Value, at: Moment) {
        let note = json!({"inside": {"derivation": derivation, "hints": hints}}).to_string();
        if note.len() < MAX_NOTE {
            self.piece(&at.as_millis().to_string(), '!', note.as_bytes());
        }
    }

    /// Keeps the exit status of the command.
    pub fn exit_status(&mut self, status: i32, at: Moment) {
        self.note(&json!({"exit_status": status}), at);
    }

    /// Writes what is gathered.
    pub fn flush(&mut self) {
        match &mut self.writer {
            Writer::Plain(writer) if self.broken.is_none() => self.broken = writer.flush().err(),
            Writer::Plain(_) => {}
            Writer::Packed(packer) => self.broken = packer.flush().err(),
        }
    }

    /// Writes what is gathered, and sees to it that the disk has it.
    pub fn sync(&mut self) {
        self.flush();
        if let Writer::Packed(packer) = &self.writer
            && self.broken.is_none()
        {
            self.broken = packer.sync().err();
        }
    }

    /// Writes what is gathered, and the end of the compressed file.
    pub fn finish(&mut self) {
        if let Writer::Packed(packer) = &mut self.writer {
            self.broken = packer.finish().err();
        }
        self.sync();
    }

    /// Why the last flush has not written all that was gathered.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    fn note(&mut self, json: &serde_json::Value, at: Moment) {
        self.piece(&at.as_millis().to_string(), '!', json.to_string().as_bytes());
    }

    fn piece(&mut self, margin: &str, mark: char, bytes: &[u8]) {
        self.write(format!("{margin}{mark}").as_bytes());
        self.write(bytes);
        self.write(b"\n");
    }

    fn write(&mut self, bytes: &[u8]) {
        match &mut self.writer {
            Writer::Plain(writer) if self.broken.is_none() => self.broken = writer.write_all(bytes).err(),
            Writer::Plain(_) => {}
            Writer::Packed(packer) => packer.write(bytes),
        }
    }
}

/// Appends to a file, and keeps what the file does not take until it does: a disk may be full for a while.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    /// `None` until it could be made.
    file: Option<File>,
    unwritten: Vec<u8>,
}

impl Appender {
    /// Writes to a new file, which is made at the first flush.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, unwritten: Vec::new() }
    }

    /// Takes bytes to be written.
    pub fn push(&mut self, bytes: &[u8]) {
        self.unwritten.extend_from_slice(bytes);
    }

    /// Writes everything so far.
    ///
    /// # Errors
    ///
    /// If the file cannot be made or does not take all of it. The rest is written by a later call.
    pub fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(super::files::create(&self.path)?),
        };
        let mut n_written = 0;
        let mut written = Ok(());
        while let Some(rest) = self.unwritten.get(n_written..).filter(|rest| !rest.is_empty()) {
            match file.write(rest) {
                Ok(0) => written = Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => n_written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => written = Err(error),
            }
            if written.is_err() {
                break;
            }
        }
        self.unwritten.drain(..n_written);
        written
    }

    /// Sees to it that the disk has what was written.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// The number of bytes that the file has not taken.
    pub fn waiting(&self) -> usize {
        self.unwritten.len()
    }
}

/// Compresses into a file, and keeps what the file does not take until it does.
pub struct Packer {
    encoder: zstd::Encoder<'static, Vec<u8>>,
    packed: Appender,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").field("path", &self.packed.path).finish_non_exhaustive()
    }
}

impl Packer {
    /// Compresses into a new file, which is made at the first flush.
    ///
    /// # Errors
    ///
    /// If the library that compresses has no memory.
    pub fn new(path: &Path, level: i32) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
        encoder.window_log(WINDOW_LOG)?;
        Ok(Self { encoder, packed: Appender::new(path) })
    }

    /// Compresses bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        // Writing to memory does not fail.
        let _ = self.encoder.write_all(bytes);
    }

    /// Writes everything so far.
    ///
    /// # Errors
    ///
    /// As of [`Appender::flush`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()?;
        self.write_out()
    }

    /// Ends the compressed frame and writes it. Nothing may be written afterwards.
    ///
    /// # Errors
    ///
    /// As of [`Appender::flush`].
    pub fn finish(&mut self) -> io::Result<()> {
        self.encoder.do_finish()?;
        self.write_out()
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.packed.push(&std::mem::take(self.encoder.get_mut()));
        self.packed.flush()
    }

    /// Sees to it that the disk has what was written.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn sync(&self) -> io::Result<()> {
        self.packed.sync()
    }

    /// The number of packed bytes that the file has not taken.
    pub fn waiting(&self) -> usize {
        self.packed.waiting()
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| RecordingError::Create { path: path.to_owned(), error })
}

/// Window of the compression, as a power of two; by default zstd would take megabytes of memory for each run.
const WINDOW_LOG: u32 = 18;

/// Returns a writer that compresses into a file.
fn compressed(file: File, level: i32) -> io::Result<zstd::Encoder<'static, File>> {
    let mut encoder = zstd::Encoder::new(file, level)?;
    encoder.window_log(WINDOW_LOG)?;
    Ok(encoder)
}

/// A file, compressed if its name ends in `.zst`.
fn writer(path: &Path, file: File) -> Result<Box<dyn Write + Send>> {
    Ok(if path.extension().is_some_and(|extension| extension == "zst") {
        Box::new(
            compressed(file, 3)
                .map_err(|error| RecordingError::Create { path: path.to_owned(), error })?
                .auto_finish(),
        )
    } else {
        Box::new(BufWriter::new(file))
    })
}

/// A recording, or a plain log, which is a recording in which no time passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Steps with their times.
    pub steps: Vec<(Moment, Step)>,
    /// Says whether it has times.
    pub timed: bool,
}

/// The magic number of a zstd frame.
pub(crate) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Recording {
    /// Reads a recording or a plain log, compressed or not.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let mut played = Played::of_reader(io::Cursor::new(bytes))?;
        let mut steps = Vec::new();
        let mut timed = false;
        while let Some((at, step, _)) = played.next_step()? {
            timed |= played.is_timed();
            steps.push((at, step));
        }
        Ok(Self { steps, timed })
    }
}

/// Reads a line behind the first, of a recording of several streams or of one.
pub fn step(line: &[u8], several: bool) -> Option<(Moment, Step)> {
    let (at, rest) = number(line)?;
    let (source, rest) = match rest.split_first()? {
        (b'o', rest) if several => (Source::Stdout, rest),
        (b'c', rest) if several => {
            let (connection, rest) = number(rest)?;
            (Source::Log(u32::try_from(connection).ok()?), rest)
        }
        _ => (Source::Main, rest),
    };
    let (mark, rest) = rest.split_first()?;
    let step = match mark {
        b' ' => Step::Bytes(source, [rest, b"\n"].concat()),
        b'~' => Step::Bytes(source, rest.to_vec()),
        b'!' => note(rest)?,
        _ => return None,
    };
    Some((Duration::from_millis(at), step))
}

/// The number at the beginning, and what follows.
fn number(line: &[u8]) -> Option<(u64, &[u8])> {
    let end = line.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = line.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The number of bytes that are missing after a line, if the line says so.
pub fn lost(line: &[u8]) -> Option<u64> {
    let (_, rest) = number(line)?;
    let value: serde_json::Value = serde_json::from_slice(rest.strip_prefix(b"!")?).ok()?;
    value.get("lost")?.as_u64()
}

fn note(json: &[u8]) -> Option<Step> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    if let Some(status) = value.get("exit_status").and_then(serde_json::Value::as_i64) {
        return Some(Step::ExitStatus(i32::try_from(status).ok()?));
    }
    if let Some(connection) = value.get("closed").and_then(serde_json::Value::as_u64) {
        return Some(Step::Closed(Source::Log(u32::try_from(connection).ok()?)));
    }
    if let Some(facts) = value.get("facts") {
        return Some(Step::Machine(machine(facts)));
    }
    if let Some(inside) = value.get("inside") {
        let derivation = inside.get("derivation").and_then(serde_json::Value::as_str).map(str::to_owned);
        return Some(Step::Inside { derivation, hints: inside.get("hints")?.clone() });
    }
    // A newer nixmon may keep more; half a line is no JSON.
    Some(derivation(&value).map_or(Step::Unknown, Step::Derivation))
}

fn machine(facts: &serde_json::Value) -> Machine {
    let text = |key: &str| facts.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    let number = |key: &str| facts.get(key)?.as_u64().and_then(|n| u32::try_from(n).ok());
    Machine {
        host: text("host"),
        system: text("system"),
        max_jobs: number("max_jobs"),
        cores: number("cores"),
    }
}

fn derivation(value: &serde_json::Value) -> Option<DerivationFacts> {
    let list = |key: &str| -> Option<Vec<String>> {
        value.get(key)?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let path = value.get("path")?.as_str()?.to_owned();
    Some(DerivationFacts { path, inputs: list("inputs")?, outputs: list("outputs")? })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn input(recording: &Recording, source: Source) -> Vec<u8> {
        let bytes = recording.steps.iter().filter_map(|(_, step)| match step {
            Step::Bytes(from, bytes) if *from == source => Some(bytes.as_slice()),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    fn source() -> impl Strategy<Value = Source> {
        prop_oneof![Just(Source::Main), Just(Source::Stdout), any::<u32>().prop_map(Source::Log)]
    }

    fn chunk() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40)
    }

    proptest! {
        #[test]
        fn a_recording_holds_the_input_exactly(chunks in prop::collection::vec((chunk(), 0u64..5000), 0..20)) {
            let shared = Shared::default();
            let mut recorder = Recorder::to(Box::new(shared.clone()));
            let mut at = 0;
            for (bytes, later) in &chunks {
                at += later;
                recorder.bytes(bytes, Duration::from_millis(at));
            }
            recorder.exit_status(3, Duration::from_millis(at));
            let recording = Recording::parse(shared.0.lock().unwrap().clone()).unwrap();
            prop_assert_eq!(input(&recording, Source::Main), chunks.iter().flat_map(|(bytes, _)| bytes.clone()).collect::<Vec<_>>());
            prop_assert_eq!(recording.steps.last(), Some(&(Duration::from_millis(at), Step::ExitStatus(3))));
        }

        /// Each stream comes back exactly, in whatever parts and frames the recording was written.
        #[test]
        fn a_recording_holds_all_streams(
            parts in prop::collection::vec(prop::collection::vec((source(), chunk(), 0u64..50), 0..12), 1..4),
            compressed in any::<bool>(),
        ) {
            let mut file = Vec::new();
            let mut at = 0;
            let mut expected = Vec::new();
            for part in &parts {
                let shared = Shared::default();
                let mut recorder = Recorder::of_command(Box::new(shared.clone()));
                for (source, bytes, later) in part {
                    at += later;
                    recorder.bytes_from(*source, bytes, Duration::from_millis(at));
                    recorder.closed(*source, Duration::from_millis(at));
                    let pieces = bytes.split_inclusive(|byte| *byte == b'\n');
                    expected.extend(pieces.map(|piece| (at, Step::Bytes(*source, piece.to_vec()))));
                    if matches!(source, Source::Log(_)) {
                        expected.push((at, Step::Closed(*source)));
                    }
                }
                let part = shared.0.lock().unwrap().clone();
                file.extend(if compressed { zstd::encode_all(&*part, 1).unwrap() } else { part });
            }
            let recording = Recording::parse(file).unwrap();
            let steps = recording.steps.into_iter().filter(|(_, step)| *step != Step::SeveralStreams);
            let steps: Vec<_> = steps.map(|(at, step)| (u64::try_from(at.as_millis()).unwrap(), step)).collect();
            prop_assert_eq!(steps, expected);
        }
    }

    #[test]
    fn what_is_no_recording_is_a_log() {
        let recording = Recording::parse(b"@nix {}\nx".to_vec()).unwrap();
        assert!(!recording.timed);
        assert_eq!(input(&recording, Source::Main), b"@nix {}\nx");
        assert!(Recording::parse(b"nixmon-recording 3\n0 x\n".to_vec()).is_err());
        let broken = Recording::parse(b"nixmon-recording 1\n0 x\n12 y\n1".to_vec()).unwrap();
        assert_eq!(input(&broken, Source::Main), b"x\ny\n");
        // Version 1 knows one stream.
        let broken = Recording::parse(b"nixmon-recording 1\n0 x\n12o y\n".to_vec()).unwrap();
        assert_eq!(input(&broken, Source::Main), b"x\n");
        let compressed = zstd::encode_all(&b"nixmon-recording 1\n7 x\n"[..], 1).unwrap();
        let recording = Recording::parse(compressed).unwrap();
        assert_eq!(recording.steps, [(Duration::from_millis(7), Step::Bytes(Source::Main, b"x\n".to_vec()))]);
    }

    #[test]
    fn what_a_file_does_not_take_is_kept_for_later_and_a_gap_is_said() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("not yet");
        let file = dir.join("input.zst");
        let mut recorder = Recorder::create_of_command(&file).unwrap();
        let at = Duration::from_millis;
        recorder.bytes(b"first\nhalf a ", at(1));
        recorder.flush();
        assert!(recorder.broken().is_some());
        // More than is kept for later, which does not pack well.
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for _ in 0..6 {
            let mut piece: Vec<u8> = std::iter::repeat_with(&mut noise).take(1 << 20).collect();
            piece.push(b'\n');
            recorder.bytes_from(Source::Stdout, &piece, at(2));
            recorder.flush();
        }
        assert_eq!(recorder.lost(), 2 * ((1 << 20) + 1));
        recorder.bytes(b"line\n", at(3));
        std::fs::create_dir(&dir).unwrap();
        recorder.flush();
        assert!(recorder.broken().is_none());
        recorder.bytes(b"the rest of a lost line\nlast\n", at(4));
        recorder.finish();
        assert!(recorder.broken().is_none());
        let bytes = std::fs::read(&file).unwrap();
        let recording = Recording::parse(bytes).unwrap();
        assert_eq!(input(&recording, Source::Main), b"first\nhalf a \nlast\n");
        let raw = zstd::decode_all(File::open(&file).unwrap()).unwrap();
        let lost = raw.split(|byte| *byte == b'\n').find_map(lost);
        assert_eq!(lost, Some(2 * ((1 << 20) + 1) + 5));
    }

    #[test]
    fn notes_that_are_not_known_are_skipped() {
        let shared = Shared::default();
        let mut recorder = Recorder::to(Box::new(shared.clone()));
        let machine = Machine { host: Some("desk".into()), max_jobs: Some(4), ..Machine::default() };
        recorder.machine(&machine, Duration::ZERO);
        recorder.note(&json!({"weather": "fine"}), Duration::ZERO);
        recorder.bytes(b"x\n", Duration::from_millis(1));
        let steps = Recording::parse(shared.0.lock().unwrap().clone()).unwrap().steps;
        let steps: Vec<Step> = steps.into_iter().map(|(_, step)| step).collect();
        assert_eq!(
            steps,
            [Step::Machine(machine), Step::Unknown, Step::Bytes(Source::Main, b"x\n".to_vec())]
        );
    }

    #[test]
    fn another_process_goes_on_where_one_was_ended() {
        let mut first = zstd::Encoder::new(Vec::new(), 3).unwrap();
        first.write_all(b"nixmon-recording 2\n1 x\n2 torn").unwrap();
        first.flush().unwrap();
        // Its end is never written.
        let mut file = first.get_ref().clone();
        file.extend(zstd::encode_all(&b"nixmon-recording 2\n3 y\n"[..], 3).unwrap());
        let recording = Recording::parse(file).unwrap();
        assert_eq!(input(&recording, Source::Main), b"x\ny\n");
    }
}
