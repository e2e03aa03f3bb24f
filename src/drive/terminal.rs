//! The terminal behind a live view: its size, its modes, and writing to it without waiting.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::TermLike;
use rustix::termios::{self, LocalModes};

use super::background::{Background, Backlog, Stream};
use nixmon_core::frontend::{Condition, Screen};

/// Standard output or standard error, which is a terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    stream: Stream,
    background: Mutex<Background>,
    /// Text since the last flush: a frame goes out in one piece.
    buffer: Mutex<String>,
}

/// Watches the terminal for input and other programs.
#[derive(Debug)]
pub(crate) struct TerminalWatch {
    stream: Stream,
    pub(crate) backlog: Backlog,
    /// Bytes that were typed and not read by any program.
    typed: u64,
    /// The terminal has shown what is typed at least once.
    echoes: bool,
    opened: Instant,
}

/// A terminal that does not show what is typed from the beginning on belongs to a password prompt, for so long.
const PROMPT: Duration = Duration::from_secs(60);

/// Takes a stream.
pub(crate) fn open(stream: Stream) -> (Terminal, TerminalWatch) {
    let background = Background::spawn(stream);
    let backlog = background.backlog();
    let terminal = Terminal { stream, background: Mutex::new(background), buffer: Mutex::new(String::new()) };
    let watch = TerminalWatch {
        stream,
        backlog,
        typed: typed(stream),
        echoes: echoes(stream),
        opened: Instant::now(),
    };
    (terminal, watch)
}

/// Restores the terminal before the message of a panic, which would otherwise be printed into the view.
pub(crate) fn reset_at_panic(stream: Stream, sequence: String) {
    let next = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Not through the standard library, whose lock another thread may hold. A failure cannot be reported.
        let _ = rustix::io::write(stream.fd(), sequence.as_bytes());
        next(panic);
    }));
}

impl TerminalWatch {
    /// Returns the condition of the terminal at the moment.
    pub(crate) fn condition(&mut self) -> Condition {
        let typed = typed(self.stream);
        let echoes = echoes(self.stream);
        self.echoes |= echoes;
        let busy = self.backlog.is_busy();
        Condition {
            busy,
            typed: std::mem::replace(&mut self.typed, typed) != typed,
            // sudo, ssh and their kind turn the echo off for as long as they read a password.
            asking: !echoes && (self.echoes || self.opened.elapsed() < PROMPT),
        }
    }
}

impl TerminalWatch {
    /// Returns whether the user has typed since the last frame.
    pub(crate) fn has_typed(&self) -> bool {
        typed(self.stream) != self.typed
    }

    /// Waits a short time for the terminal to take what was written.
    pub(crate) fn settle(&self) {
        for _ in 0..20 {
            if !self.backlog.is_busy() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Bytes that wait to be read from the terminal: whole lines, which have moved the cursor.
fn typed(stream: Stream) -> u64 {
    rustix::io::ioctl_fionread(stream.fd()).unwrap_or(0)
}

fn echoes(stream: Stream) -> bool {
    termios::tcgetattr(stream.fd()).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO))
}

impl Terminal {
    fn push(&self, text: &str) -> io::Result<()> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        Ok(())
    }

    fn window_size(&self) -> (u16, u16) {
        termios::tcgetwinsize(self.stream.fd()).map_or((0, 0), |size| (size.ws_col, size.ws_row))
    }

    fn go(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.push(&format!("\x1b[{n}{direction}")) }
    }
}

impl Screen for Terminal {
    fn size(&self) -> (u16, u16) {
        (self.width(), self.height())
    }

    fn write(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.flush()
    }
}

/// For progress bars.
impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.window_size().0
    }

    fn height(&self) -> u16 {
        self.window_size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.push(s)?;
        self.push("\r\n")
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.push(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let text = std::mem::take(&mut *self.buffer.lock().unwrap_or_else(PoisonError::into_inner));
        if text.is_empty() {
            return Ok(());
        }
        self.background.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes())
    }
}
