//! Recordings: the raw input with its times.
//!
//! A text of lines. The first is `nixmon-recording 1`. Each other line is the milliseconds since the beginning, one
//! character, and a piece of the input:
//!
//! - a space: a line of the input, without its newline;
//! - `~`: bytes after which no newline came yet;
//! - `!`: JSON that is no input: `{"exit_status":1}`, or a derivation that was read, `{"path":…,"inputs":[…],"outputs":[…]}`.
//!
//! So a recording is the log with times at its margin, can be searched with grep, and holds the input exactly. A
//! recording that breaks off is good up to there.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::state::{DerivationFacts, Moment};

/// The first line of every recording; the number is the version of the format.
const HEADER: &str = "nixmon-recording 1";

/// Writes a recording.
pub struct Recorder {
    writer: Box<dyn Write + Send>,
    broken: Option<io::Error>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Makes the file, compressed if its name ends in `.zst`.
    pub fn create(path: &Path) -> Result<Self> {
        let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let writer: Box<dyn Write + Send> = if path.extension().is_some_and(|extension| extension == "zst") {
            Box::new(zstd::Encoder::new(file, 3)?.auto_finish())
        } else {
            Box::new(BufWriter::new(file))
        };
        Ok(Self::to(writer))
    }

    /// Writes to a writer.
    pub fn to(writer: Box<dyn Write + Send>) -> Self {
        let mut recorder = Self { writer, broken: None };
        recorder.write(format!("{HEADER}\n").as_bytes());
        recorder
    }

    /// Keeps bytes as they came.
    pub fn bytes(&mut self, bytes: &[u8], at: Moment) {
        let at = at.as_millis();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(line) => self.piece(at, ' ', line),
                None => self.piece(at, '~', piece),
            }
        }
    }

    pub(super) fn create_for_run(path: &Path) -> Result<Self> {
        Self::create(path)
    }

    pub(super) fn bytes_from(&mut self, _source: crate::input::Source, bytes: &[u8], at: Moment) {
        self.bytes(bytes, at);
    }

    pub(super) fn closed(&mut self, _source: crate::input::Source, _at: Moment) {}

    pub(super) fn sync(&mut self) {
        self.flush();
    }

    /// Keeps a derivation that was read.
    pub fn derivation(&mut self, facts: &DerivationFacts, at: Moment) {
        let DerivationFacts { path, inputs, outputs } = facts;
        let json = json!({"path": path, "inputs": inputs, "outputs": outputs}).to_string();
        self.piece(at.as_millis(), '!', json.as_bytes());
    }

    /// Keeps the exit status of the command.
    pub fn exit_status(&mut self, status: i32, at: Moment) {
        self.piece(at.as_millis(), '!', json!({"exit_status": status}).to_string().as_bytes());
    }

    /// Writes what is gathered.
    pub fn flush(&mut self) {
        if self.broken.is_none()
            && let Err(error) = self.writer.flush()
        {
            self.broken = Some(error);
        }
    }

    /// Why nothing is kept any more.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    fn piece(&mut self, at: u128, mark: char, bytes: &[u8]) {
        self.write(format!("{at}{mark}").as_bytes());
        self.write(bytes);
        self.write(b"\n");
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.broken.is_none()
            && let Err(error) = self.writer.write_all(bytes)
        {
            self.broken = Some(error);
        }
    }
}

/// One step of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Input.
    Bytes(Vec<u8>),
    /// A derivation was read.
    Derivation(DerivationFacts),
    /// The command ended.
    ExitStatus(i32),
}

/// A recording, or a plain log, which is a recording in which no time passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Steps with their times.
    pub steps: Vec<(Moment, Step)>,
    /// Whether it has times.
    pub timed: bool,
}

/// The magic number of a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Plain logs are fed in pieces of this size.
const PIECE: usize = 64 << 10;

impl Recording {
    /// Reads a recording or a plain log, compressed or not.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let bytes = if bytes.starts_with(&ZSTD) { decompress(&bytes)? } else { bytes };
        let Some(rest) = bytes.strip_prefix(b"nixmon-recording ") else {
            let steps =
                bytes.chunks(PIECE).map(|piece| (Moment::ZERO, Step::Bytes(piece.to_vec()))).collect();
            return Ok(Self { steps, timed: false });
        };
        let mut lines = rest.split(|byte| *byte == b'\n');
        let version = lines.next().unwrap_or_default();
        if version != b"1" {
            bail!(
                "recording of version {}, which this nixmon does not know",
                String::from_utf8_lossy(version)
            );
        }
        // A recording that breaks off in the middle of a line is good up to there, and a line break ends the last one.
        let steps = lines.map_while(step).collect();
        Ok(Self { steps, timed: true })
    }
}

/// What can be had of a frame that may break off.
fn decompress(bytes: &[u8]) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut out = Vec::new();
    let mut decoder = zstd::Decoder::new(bytes)?;
    match decoder.read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(_) if !out.is_empty() => Ok(out),
        Err(error) => Err(error).context("cannot decompress"),
    }
}

fn step(line: &[u8]) -> Option<(Moment, Step)> {
    let mark = line.iter().position(|byte| !byte.is_ascii_digit())?;
    let millis: u64 = std::str::from_utf8(&line[..mark]).ok()?.parse().ok()?;
    let (at, rest) = (Duration::from_millis(millis), &line[mark + 1..]);
    let step = match line[mark] {
        b' ' => Step::Bytes([rest, b"\n"].concat()),
        b'~' => Step::Bytes(rest.to_vec()),
        b'!' => note(rest)?,
        _ => return None,
    };
    Some((at, step))
}

fn note(json: &[u8]) -> Option<Step> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    if let Some(status) = value.get("exit_status").and_then(serde_json::Value::as_i64) {
        return Some(Step::ExitStatus(i32::try_from(status).ok()?));
    }
    let list = |key: &str| -> Option<Vec<String>> {
        value.get(key)?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let path = value.get("path")?.as_str()?.to_owned();
    Some(Step::Derivation(DerivationFacts { path, inputs: list("inputs")?, outputs: list("outputs")? }))
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

    fn input(recording: &Recording) -> Vec<u8> {
        let bytes = recording.steps.iter().filter_map(|(_, step)| match step {
            Step::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    proptest! {
        #[test]
        fn a_recording_holds_the_input_exactly(
            chunks in prop::collection::vec((prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40), 0u64..5000), 0..20)
        ) {
            let shared = Shared::default();
            let mut recorder = Recorder::to(Box::new(shared.clone()));
            let mut at = 0;
            for (bytes, later) in &chunks {
                at += later;
                recorder.bytes(bytes, Duration::from_millis(at));
            }
            recorder.exit_status(3, Duration::from_millis(at));
            let recording = Recording::parse(shared.0.lock().unwrap().clone()).unwrap();
            prop_assert_eq!(input(&recording), chunks.iter().flat_map(|(bytes, _)| bytes.clone()).collect::<Vec<_>>());
            prop_assert_eq!(recording.steps.last(), Some(&(Duration::from_millis(at), Step::ExitStatus(3))));
        }
    }

    #[test]
    fn what_is_no_recording_is_a_log() {
        let recording = Recording::parse(b"@nix {}\nx".to_vec()).unwrap();
        assert!(!recording.timed);
        assert_eq!(input(&recording), b"@nix {}\nx");
        assert!(Recording::parse(b"nixmon-recording 2\n0 x\n".to_vec()).is_err());
        let broken = Recording::parse(b"nixmon-recording 1\n0 x\n12 y\n1".to_vec()).unwrap();
        assert_eq!(input(&broken), b"x\ny\n");
        let compressed = zstd::encode_all(&b"nixmon-recording 1\n7 x\n"[..], 1).unwrap();
        let recording = Recording::parse(compressed).unwrap();
        assert_eq!(recording.steps, [(Duration::from_millis(7), Step::Bytes(b"x\n".to_vec()))]);
    }
}
