//! Recordings and plain logs from files, read step by step: a small file may unpack to very much.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use zstd::Decoder;

use crate::recording::{self, HEADER, RecordingError, SEVERAL_STREAMS, ZSTD};
use nixmon_core::pipeline::Step;
use nixmon_core::state::Moment;
use nixmon_log::escapes::sanitize;
use nixmon_log::input::Source;

/// Plain logs are fed in pieces of this size.
const PIECE: u64 = 64 << 10;
/// A longer line is none that a recorder has written: it writes what one read took.
const MAX_LINE: u64 = 16 << 20;

type Result<T, E = RecordingError> = std::result::Result<T, E>;

/// A recording, or a plain log, which is a recording in which no time passes; compressed or not.
pub struct Played {
    text: BufReader<Box<dyn Read>>,
    form: Form,
    now: Moment,
    /// Bytes of the text, where that is known.
    total: Option<u64>,
}

impl std::fmt::Debug for Played {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Played").field("form", &self.form).field("now", &self.now).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Nothing was read.
    Unknown,
    /// A recording of several streams, or of one.
    Recording { several: bool },
    /// A plain log.
    Plain,
    /// Nothing more is read.
    Over,
}

/// An input that can be read again.
trait Input: BufRead + Seek {}

impl<R: BufRead + Seek> Input for R {}

impl Played {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or if nothing of it can be unpacked.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(RecordingError::Read)?;
        let metadata = file.metadata().map_err(RecordingError::Read)?;
        if !metadata.is_file() {
            return Self::of_reader(file);
        }
        let mut magic = Vec::new();
        (&mut file).take(ZSTD.len() as u64).read_to_end(&mut magic).map_err(RecordingError::Read)?;
        file.rewind().map_err(RecordingError::Read)?;
        match magic == ZSTD {
            true => Self::packed(Box::new(BufReader::new(file))),
            false => Ok(Self::plain(Box::new(file), Some(metadata.len()))),
        }
    }

    /// Reads what cannot be read twice, as a pipe. Only compressed it is kept in memory.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or if nothing of it can be unpacked.
    pub fn of_reader(mut reader: impl Read + 'static) -> Result<Self> {
        let mut bytes = Vec::new();
        (&mut reader).take(ZSTD.len() as u64).read_to_end(&mut bytes).map_err(RecordingError::Read)?;
        if bytes != ZSTD {
            return Ok(Self::plain(Box::new(Cursor::new(bytes).chain(reader)), None));
        }
        reader.read_to_end(&mut bytes).map_err(RecordingError::Read)?;
        Self::packed(Box::new(Cursor::new(bytes)))
    }

    fn plain(text: Box<dyn Read>, total: Option<u64>) -> Self {
        Self { text: BufReader::new(text), form: Form::Unknown, now: Moment::ZERO, total }
    }

    fn packed(mut input: Box<dyn Input>) -> Result<Self> {
        let (frames, broken) = frames(&mut *input).map_err(RecordingError::Read)?;
        let total = frames.iter().map(|frame| frame.n_bytes).sum();
        match broken {
            Some(error) if total == 0 => Err(RecordingError::Decompress(error)),
            _ => Ok(Self::plain(Box::new(Unpacked { at: Some(At::Between(input)), frames }), Some(total))),
        }
    }

    /// Returns the number of bytes of the whole text, if it is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Returns whether it has times.
    pub fn is_timed(&self) -> bool {
        matches!(self.form, Form::Recording { .. })
    }

    /// Returns the next step, and its length in the text; `None` at the end.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is of a version that is not known.
    pub fn next_step(&mut self) -> Result<Option<(Moment, Step, u64)>> {
        loop {
            let is_first = self.form == Form::Unknown;
            let most = match self.form {
                Form::Over => return Ok(None),
                Form::Unknown | Form::Plain => PIECE,
                Form::Recording { .. } => MAX_LINE,
            };
            let mut line = Vec::new();
            let mut text = (&mut self.text).take(most);
            let read = match self.form {
                Form::Plain => text.read_to_end(&mut line),
                _ => text.read_until(b'\n', &mut line),
            };
            let n = read.map_err(RecordingError::Read)? as u64;
            if n == 0 {
                return Ok(None);
            }
            if is_first && !line.starts_with(HEADER.as_bytes()) {
                self.form = Form::Plain;
            }
            let several = match self.form {
                Form::Plain => return Ok(Some((Moment::ZERO, Step::Bytes(Source::Main, line), n))),
                Form::Recording { several } => several,
                Form::Unknown | Form::Over => false,
            };
            let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
            if let Some(version) = line.strip_prefix(HEADER.as_bytes()) {
                let several = version == SEVERAL_STREAMS.as_bytes();
                if !several && version != recording::ONE_STREAM.as_bytes() {
                    let version = sanitize(&String::from_utf8_lossy(version)).into_owned();
                    return Err(RecordingError::Version(version));
                }
                self.form = Form::Recording { several };
                if several {
                    return Ok(Some((self.now, Step::SeveralStreams, n)));
                }
                continue;
            }
            if is_whole && recording::lost(&line).is_some() {
                continue;
            }
            // A recording that breaks off in the middle of a line is good up to there.
            let step = recording::step(&line, several).filter(|_| is_whole || n < most);
            let Some((at, step)) = step else {
                self.form = Form::Over;
                return Ok(None);
            };
            self.now = at;
            return Ok(Some((at, step, n)));
        }
    }
}

/// A frame of a compressed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    start: u64,
    end: u64,
    /// Bytes of its text that are good.
    n_bytes: u64,
}

/// Finds the frames of a file, each of which may break off: then its writer was killed in the middle, and another one went
/// on with a frame of its own. Also returns the first error.
fn frames(input: &mut dyn Input) -> io::Result<(VecDeque<Frame>, Option<io::Error>)> {
    let mut frames = VecDeque::new();
    let mut broken = None;
    let mut start = 0;
    loop {
        input.seek(SeekFrom::Start(start))?;
        if !begins_frame(input)? {
            break;
        }
        input.seek(SeekFrom::Start(start))?;
        let mut unpacked = Counted::default();
        let Err(error) = unpack(&mut *input, &mut unpacked) else {
            let end = input.stream_position()?;
            frames.push_back(Frame { start, end, n_bytes: unpacked.n_bytes });
            start = end;
            continue;
        };
        broken.get_or_insert(error);
        // What follows is no part of the frame, and a decoder that sees it does not give what it had.
        let next = next_frame(input, start + 1)?;
        input.seek(SeekFrom::Start(start))?;
        let mut unpacked = Counted::default();
        let end = next.unwrap_or(u64::MAX);
        // It is known to break off.
        let _ = unpack((&mut *input).take(end - start), &mut unpacked);
        // A line that breaks off would get the beginning of another one as its rest.
        let n_bytes = if next.is_some() { unpacked.n_whole } else { unpacked.n_bytes };
        frames.push_back(Frame { start, end, n_bytes });
        match next {
            Some(next) => start = next,
            None => break,
        }
    }
    Ok((frames, broken))
}

fn begins_frame(input: &mut dyn Input) -> io::Result<bool> {
    let mut magic = Vec::new();
    input.take(ZSTD.len() as u64).read_to_end(&mut magic)?;
    Ok(magic == ZSTD)
}

/// Finds the next beginning of a frame.
fn next_frame(input: &mut dyn Input, from: u64) -> io::Result<Option<u64>> {
    input.seek(SeekFrom::Start(from))?;
    let mut at = from;
    let mut window: Vec<u8> = Vec::new();
    loop {
        let n = (&mut *input).take(PIECE).read_to_end(&mut window)?;
        if let Some(found) = memchr::memmem::find(&window, &ZSTD) {
            return Ok(Some(at + found as u64));
        }
        if n == 0 {
            return Ok(None);
        }
        // It may lie across two pieces.
        let done = window.len().saturating_sub(ZSTD.len() - 1);
        window.drain(..done);
        at += done as u64;
    }
}

/// Unpacks one frame.
fn unpack(input: impl BufRead, out: &mut Counted) -> io::Result<()> {
    let mut decoder = Decoder::with_buffer(input)?.single_frame();
    io::copy(&mut decoder, out).map(drop)
}

/// Counts what is written.
#[derive(Debug, Default)]
struct Counted {
    n_bytes: u64,
    /// Up to the end of the last whole line.
    n_whole: u64,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(end) = memchr::memrchr(b'\n', bytes) {
            self.n_whole = self.n_bytes + end as u64 + 1;
        }
        self.n_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of frames.
struct Unpacked {
    at: Option<At>,
    frames: VecDeque<Frame>,
}

enum At {
    Between(Box<dyn Input>),
    Within(io::Take<Decoder<'static, io::Take<Box<dyn Input>>>>),
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.at.take() {
                Some(At::Between(mut input)) => {
                    let Some(frame) = self.frames.pop_front() else { return Ok(0) };
                    input.seek(SeekFrom::Start(frame.start))?;
                    let decoder = Decoder::with_buffer(input.take(frame.end - frame.start))?.single_frame();
                    self.at = Some(At::Within(decoder.take(frame.n_bytes)));
                }
                Some(At::Within(mut decoder)) => match decoder.read(buffer)? {
                    0 => self.at = Some(At::Between(decoder.into_inner().finish().into_inner())),
                    n => {
                        self.at = Some(At::Within(decoder));
                        return Ok(n);
                    }
                },
                None => return Ok(0),
            }
        }
    }
}
