//! Progress bars for long work of nixmon itself, such as the replay of a large recording.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shorter work shows no bar.
const DELAY: Duration = Duration::from_millis(500);
/// Number of steps between two looks at the clock.
const STEPS: u32 = 256;

/// A bar on standard error, if that is a terminal, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    is_shown: bool,
    done: u64,
    steps: u32,
}

impl Progress {
    /// Begins some work. `total` is in the unit of [`Progress::advance_to`], `None` if it is not known.
    pub(crate) fn new(message: String, total: Option<u64>, ascii: bool) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {percent}%",
            None => "{spinner} {msg}: {pos} steps",
        };
        // The templates are constant, and a wrong one shows indicatif's own.
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = if ascii {
                style.progress_chars("=> ").tick_chars("-\\|/ ")
            } else {
                style.progress_chars("█▌ ")
            };
            bar.set_style(style);
        }
        bar.set_message(message);
        Self { bar, begun: Instant::now(), is_shown: false, done: 0, steps: 0 }
    }

    /// Takes note of a step of the work, after which so much is done.
    pub(crate) fn advance_to(&mut self, done: u64) {
        self.done = done;
        self.steps += 1;
        if self.steps < STEPS {
            return;
        }
        self.steps = 0;
        if !self.is_shown && self.begun.elapsed() >= DELAY {
            self.is_shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(self.done);
    }

    /// Returns a writer above the bar.
    pub(crate) fn above<W: Write>(&self, writer: W) -> Above<W> {
        Above { bar: self.bar.clone(), writer }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A writer that clears the bar for as long as it writes: both may go to the same terminal.
#[derive(Debug)]
pub(crate) struct Above<W> {
    bar: ProgressBar,
    writer: W,
}

impl<W: Write> Write for Above<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Self { bar, writer } = self;
        bar.suspend(|| writer.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}
