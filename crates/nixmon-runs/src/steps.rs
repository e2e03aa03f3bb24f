//! The recording of a run, read while it may still grow.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use zstd::stream::raw::{Decoder, Operation};

use crate::RunDir;
use crate::files;
use crate::recording::{self, ZSTD};
use nixmon_core::pipeline::Step;
use nixmon_core::state::Moment;

/// Bytes read and unpacked at once.
const CHUNK: usize = 128 << 10;
/// A longer line is none that a recorder has written: it writes what one read took.
const MAX_LINE: usize = 16 << 20;

/// Steps of several files that are one recording, as far as they are there.
pub struct Steps {
    /// Those that come after the current one, there or not.
    files: VecDeque<PathBuf>,
    /// The number of files before them.
    n_opened: usize,
    current: Option<Growing>,
    current_path: PathBuf,
    /// The next file exists, so that the current one grows no more.
    is_complete: bool,
    now: Moment,
    /// Several streams were read.
    several: bool,
    damaged: bool,
    lost: u64,
    /// Bytes of the files before the current one.
    n_read: u64,
}

impl Steps {
    /// The recording of a run: what its monitor kept, and then what its guard did.
    pub fn of(dir: &RunDir) -> Self {
        Self {
            files: std::iter::once(dir.input()).chain(dir.rests()).collect(),
            n_opened: 0,
            current: None,
            current_path: PathBuf::new(),
            is_complete: false,
            now: Moment::ZERO,
            several: false,
            damaged: false,
            lost: 0,
            n_read: 0,
        }
    }

    /// The next step; `None` if there is no more for now.
    pub fn next_step(&mut self) -> std::io::Result<Option<(Moment, Step)>> {
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some(current) = &mut self.current else { return Ok(None) };
            let line = match current.line() {
                Ok(line) => line,
                // Data behind the damage cannot be read.
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    self.damaged = true;
                    current.is_over = true;
                    None
                }
                Err(error) => return Err(files::named(&self.current_path, &error)),
            };
            let version = line.and_then(|line| line.strip_prefix(recording::HEADER.as_bytes()));
            if let Some(version) = version {
                self.several = version == recording::SEVERAL_STREAMS.as_bytes();
                if self.several {
                    return Ok(Some((self.now, Step::SeveralStreams)));
                }
                continue;
            }
            if let Some(lost) = line.and_then(recording::lost) {
                self.lost += lost;
                continue;
            }
            match line.map(|line| recording::step(line, self.several)) {
                Some(Some((at, step))) => {
                    // Times of both writers count from the beginning of the run, and never go back.
                    self.now = self.now.max(at);
                    return Ok(Some((self.now, step)));
                }
                Some(None) => {
                    self.damaged = true;
                    current.is_over = true;
                }
                None if !self.files.iter().any(|later| later.exists()) => return Ok(None),
                // It may have grown between the two looks.
                None if !self.is_complete => self.is_complete = true,
                None => {
                    self.n_read += current.n_read;
                    self.current = None;
                }
            }
        }
    }

    /// Returns whether the last step was recorded by a guard.
    pub(crate) fn is_rest(&self) -> bool {
        self.n_opened > 1
    }

    /// The number of bytes that could not be kept, as far as the recording was read.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The number of bytes of the files that were read so far.
    pub fn n_read(&self) -> u64 {
        self.n_read + self.current.as_ref().map_or(0, |current| current.n_read)
    }

    /// The moment of the last step.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Returns whether it ends in the middle of a line: so far, or because its writer died.
    pub fn breaks_off(&self) -> bool {
        let torn = |file: &Growing| !file.is_over && (file.text.len() > file.begin || !file.is_known());
        self.current.as_ref().is_some_and(torn)
    }

    /// Returns whether a part could not be read.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    fn open_next(&mut self) -> std::io::Result<bool> {
        while let Some(path) = self.files.front() {
            match files::open(path) {
                Ok(file) => {
                    self.current = Some(Growing::new(file));
                    self.current_path = self.files.pop_front().unwrap_or_default();
                    self.n_opened += 1;
                    self.is_complete = false;
                    return Ok(true);
                }
                // The guard's may be there without the monitor's.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if !self.files.iter().skip(1).any(|later| later.exists()) {
                        return Ok(false);
                    }
                    self.files.pop_front();
                    self.n_opened += 1;
                }
                Err(error) => return Err(files::named(path, &error)),
            }
        }
        Ok(false)
    }
}

/// A file of lines that may grow, compressed or not.
struct Growing {
    file: File,
    n_read: u64,
    decoder: Option<Decoder<'static>>,
    is_plain: bool,
    /// Bytes read; those before `unpacked` are unpacked.
    packed: Vec<u8>,
    unpacked: usize,
    /// The decoder has more than it could write.
    is_full: bool,
    buffer: Vec<u8>,
    /// A frame has ended; another one may follow.
    frame_ended: bool,
    /// Nothing more is read of it.
    is_over: bool,
    text: Vec<u8>,
    /// The beginning of the first line that was not returned yet.
    begin: usize,
    /// Up to here there is no line's end.
    searched: usize,
}

impl Growing {
    fn new(file: File) -> Self {
        Self {
            file,
            n_read: 0,
            decoder: None,
            is_plain: false,
            packed: Vec::new(),
            unpacked: 0,
            is_full: false,
            buffer: Vec::new(),
            frame_ended: false,
            is_over: false,
            text: Vec::new(),
            begin: 0,
            searched: 0,
        }
    }

    /// Returns whether enough was read to know the format.
    fn is_known(&self) -> bool {
        self.is_plain || self.decoder.is_some()
    }

    /// The next whole line, without its end.
    fn line(&mut self) -> std::io::Result<Option<&[u8]>> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            if let Some(found) = memchr::memchr(b'\n', self.text.get(self.searched..).unwrap_or_default()) {
                let (begin, end) = (self.begin, self.searched + found);
                self.begin = end + 1;
                self.searched = self.begin;
                return Ok(self.text.get(begin..end));
            }
            self.text.drain(..self.begin);
            self.begin = 0;
            self.searched = self.text.len();
            if self.text.len() > MAX_LINE {
                return Err(ErrorKind::InvalidData.into());
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Reads or unpacks a piece. Says whether there was any.
    fn read(&mut self) -> std::io::Result<bool> {
        if self.decoder.is_some() && (self.unpacked < self.packed.len() || self.is_full) {
            self.unpack()?;
            return Ok(true);
        }
        self.buffer.resize(CHUNK, 0);
        let n = match self.file.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            n => n?,
        };
        self.n_read += n as u64;
        let bytes = self.buffer.get(..n).unwrap_or_default();
        if self.is_plain {
            self.text.extend_from_slice(bytes);
            return Ok(n > 0);
        }
        // Nothing is left to unpack, so it holds only the first bytes before a decoder is chosen.
        self.packed.drain(..self.unpacked);
        self.unpacked = 0;
        self.packed.extend_from_slice(bytes);
        if self.decoder.is_none() && self.packed.len() >= ZSTD.len() {
            if self.packed.starts_with(&ZSTD) {
                self.decoder = Some(Decoder::new()?);
            } else {
                self.is_plain = true;
                self.text.append(&mut self.packed);
            }
        }
        Ok(n > 0)
    }

    /// Unpacks what fits into the buffer: a few bytes can become very many.
    fn unpack(&mut self) -> std::io::Result<()> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        self.buffer.resize(CHUNK, 0);
        if std::mem::take(&mut self.frame_ended) {
            decoder.reinit()?;
        }
        let packed = self.packed.get(self.unpacked..).unwrap_or_default();
        let status = decoder.run_on_buffers(packed, &mut self.buffer);
        // zstd's own errors have no kind.
        let status = status.map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
        if status.bytes_read == 0 && status.bytes_written == 0 && !self.is_full {
            return Err(ErrorKind::InvalidData.into());
        }
        self.text.extend_from_slice(self.buffer.get(..status.bytes_written).unwrap_or_default());
        self.unpacked += status.bytes_read;
        self.frame_ended = status.remaining == 0;
        self.is_full = !self.frame_ended && status.bytes_written == self.buffer.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;
    use crate::{Created, Facts, Store};

    fn run() -> (tempfile::TempDir, Created) {
        let temp = tempfile::tempdir().unwrap();
        let made = Store::open(temp.path()).create(Facts::default(), false).unwrap();
        (temp, made)
    }

    /// Returns the number of steps so far, and the time of the last.
    fn drain(steps: &mut Steps) -> (usize, Duration) {
        let mut n = 0;
        while steps.next_step().unwrap().is_some() {
            n += 1;
        }
        (n, steps.now())
    }

    #[test]
    fn a_growing_file_is_read_as_it_grows() {
        let (_temp, made) = run();
        let dir = made.dir;
        let text = |times: std::ops::Range<u64>| {
            let lines = times.map(|n| format!("{n} line {n}\n")).collect::<String>();
            format!("nixmon-recording 1\n{lines}")
        };
        let mut packed = zstd::encode_all(text(0..500).as_bytes(), 3).unwrap();
        packed.extend(zstd::encode_all(text(500..900).as_bytes(), 3).unwrap());
        for whole in [packed, (text(0..500) + &text(500..900)).into_bytes()] {
            let mut steps = Steps::of(&dir);
            assert_eq!(drain(&mut steps), (0, Duration::ZERO));
            let mut file = File::create(dir.input()).unwrap();
            let mut n = 0;
            for piece in whole.chunks(37) {
                assert!(!steps.is_damaged());
                file.write_all(piece).unwrap();
                n += drain(&mut steps).0;
            }
            assert_eq!((n, steps.now()), (900, Duration::from_millis(899)));
            assert!(!steps.breaks_off() && !steps.is_damaged());
            // The guard's part comes last, and times never go back.
            file.write_all(b"").unwrap();
            std::fs::write(dir.rest(), "nixmon-recording 1\n5 x\n950 y\n951 torn").unwrap();
            assert_eq!(drain(&mut steps), (2, Duration::from_millis(950)));
            assert!(steps.breaks_off() && !steps.is_damaged());
            std::fs::remove_file(dir.rest()).unwrap();
            std::fs::remove_file(dir.input()).unwrap();
        }
        // The guard's alone.
        std::fs::write(dir.rest(), "nixmon-recording 1\n5 x\n").unwrap();
        assert_eq!(drain(&mut Steps::of(&dir)).0, 1);
    }

    #[test]
    fn what_is_damaged_ends_there() {
        let (_temp, made) = run();
        let dir = made.dir;
        let good = zstd::encode_all(&b"nixmon-recording 1\n1 a\n2 b\n"[..], 3).unwrap();
        let endless = zstd::encode_all(std::io::repeat(b'x').take(80 << 20), 1).unwrap();
        let many = zstd::encode_all("7 x\n".repeat(2_000_000).as_bytes(), 1).unwrap();
        for (bytes, expected, is_damaged, breaks_off) in [
            ([&good[..], b"garbage garbage garbage"].concat(), 2, true, false),
            ([&good[..], &good[..good.len() - 3]].concat(), 3, false, true),
            ([&good[..], b"\0\0\0\0\0\0\0\0\0"].concat(), 2, true, false),
            (b"not a recording\nat all\n".to_vec(), 0, true, false),
            (b"nixmon-recording 1\n1 a\n99999999999999999999999 b\n3 c\n".to_vec(), 1, true, false),
            (b"\0\0\0".to_vec(), 0, false, true),
            (endless, 0, true, false),
            (many, 2_000_000, false, false),
        ] {
            std::fs::write(dir.input(), &bytes).unwrap();
            let mut steps = Steps::of(&dir);
            let told = (drain(&mut steps).0, steps.is_damaged(), steps.breaks_off());
            let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            assert_eq!(told, (expected, is_damaged, breaks_off), "{begin}");
            assert_eq!(drain(&mut steps).0, 0);
        }
    }
}
