//! Drives a pipeline in the present: standard input or files, the clock, signals, `.drv` files, recordings, the terminal.

#![expect(clippy::disallowed_methods, reason = "the clock and files are this module's business")]

pub(crate) mod background;
pub(crate) mod diagnostics;
pub(crate) mod drv_reader;
pub(crate) mod filter;
pub(crate) mod progress;
pub(crate) mod recording;
pub(crate) mod replay;
pub(crate) mod session;
pub(crate) mod signals;
#[cfg(feature = "live")]
mod terminal;

use std::io::Write;
use std::time::SystemTime;

use crate::cli::{LogsArg, PassthroughArg};
use crate::frontend::{Condition, Json, Limits, Lines, LinesOptions, LogLines, Passthrough, Results};
#[cfg(feature = "live")]
use crate::frontend::{Live, LiveOptions};
use crate::pipeline::Pipeline;
use crate::render::{Style, Thresholds};
use crate::settings::{self, Form, Output, Settings};
use crate::text::{Palette, Symbols};
use crate::wire;
use background::{Backlog, Stream};

/// Writes an error or a warning to standard error, without waiting for its reader while a command or a stream is watched.
pub fn complain(error: &anyhow::Error) {
    background::write_message(&format!("nixmon: {error:#}\n"));
}

/// The terminal behind a live view, if there is one, and the pending output.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    #[cfg(feature = "live")]
    terminal: Option<terminal::Watch>,
    /// The writes that are pending.
    output: Backlog,
}

impl Watch {
    /// Returns whether there is a view to be drawn.
    fn is_live(&self) -> bool {
        #[cfg(feature = "live")]
        return self.terminal.is_some();
        #[cfg(not(feature = "live"))]
        false
    }

    /// Returns the condition of the terminal at the moment.
    fn condition(&mut self) -> Condition {
        #[cfg(feature = "live")]
        return self.terminal.as_mut().map(terminal::Watch::condition).unwrap_or_default();
        #[cfg(not(feature = "live"))]
        Condition::default()
    }
}

impl Watch {
    /// Returns whether the user has typed since the last frame.
    fn has_typed(&self) -> bool {
        #[cfg(feature = "live")]
        return self.terminal.as_ref().is_some_and(terminal::Watch::has_typed);
        #[cfg(not(feature = "live"))]
        false
    }

    /// Waits a short time for the terminal to take what was written.
    fn settle(&self) {
        #[cfg(feature = "live")]
        if let Some(terminal) = &self.terminal {
            terminal.settle();
        }
    }
}

/// Makes a pipeline whose output is what the settings ask for; `writer` is for all but a live view, which draws on
/// `stream`.
pub(crate) fn pipeline<W: Write + 'static>(
    writer: impl FnOnce() -> (W, Backlog),
    stream: Stream,
    settings: &Settings,
) -> (Pipeline, Watch) {
    let thresholds = thresholds(settings);
    #[cfg(feature = "live")]
    if settings.output.form == Form::Live {
        let output = &settings.output;
        let LinesOptions { palette, style, passthrough, logs, .. } = options(output, thresholds);
        let options = LiveOptions {
            palette,
            style,
            passthrough,
            logs,
            report_lines: output.max_lines,
            title: output.title,
            progress: output.progress,
        };
        terminal::reset_at_panic(stream, Live::reset_sequence(&options));
        let (terminal, watch) = terminal::open(stream);
        let pipeline = Pipeline::new(Live::new(Box::new(terminal), options), logs);
        let output = watch.backlog.clone();
        return (pipeline, Watch { terminal: Some(watch), output });
    }
    #[cfg(not(feature = "live"))]
    let _ = stream;
    let (writer, output) = writer();
    (pipeline_to(writer, &settings.output, thresholds), Watch { output, ..Watch::default() })
}

/// Makes a pipeline that writes what the settings ask for: condensed lines instead of a live view.
pub fn to_writer(writer: impl Write + 'static, output: &Output) -> Pipeline {
    pipeline_to(writer, output, Thresholds::default())
}

fn pipeline_to(writer: impl Write + 'static, output: &Output, thresholds: Thresholds) -> Pipeline {
    let options = options(output, thresholds);
    let logs = options.logs;
    match output.form {
        #[cfg(feature = "live")]
        Form::Live => Pipeline::new(Lines::new(writer, options), logs),
        Form::Lines => Pipeline::new(Lines::new(writer, options), logs),
        Form::Json => Pipeline::new(Json::new(writer, output.snapshots), logs),
        Form::Quiet => Pipeline::new(Results::new(writer), logs),
    }
}

/// Makes a pipeline that shows nothing.
pub(crate) fn silent_pipeline() -> (Pipeline, Watch) {
    (Pipeline::new(Results::new(std::io::sink()), LogLines::default()), Watch::default())
}

/// Makes condensed lines for a file.
pub(crate) fn plain_lines<W: Write>(writer: W, settings: &Settings) -> Lines<W> {
    let output = Output { color: false, ascii: false, ..settings.output.clone() };
    Lines::new(writer, options(&output, thresholds(settings))).kept()
}

/// Returns the user's thresholds in the type of `render`, which knows no settings.
pub(crate) fn thresholds(settings: &Settings) -> Thresholds {
    let settings::Thresholds { slow, quiet } = settings.thresholds;
    Thresholds { slow, quiet }
}

/// Returns the time in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    wire::millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

pub(crate) fn options(output: &Output, thresholds: Thresholds) -> LinesOptions {
    let symbols = if output.ascii { Symbols::ascii() } else { Symbols::unicode() };
    LinesOptions {
        palette: if output.color { Palette::colored() } else { Palette::default() },
        style: Style { symbols, ascii: output.ascii, thresholds },
        limits: Limits { lines: output.max_lines, bytes: output.max_bytes, every: output.every },
        passthrough: match output.passthrough {
            PassthroughArg::Auto => Passthrough::Auto,
            PassthroughArg::All => Passthrough::All,
            PassthroughArg::None => Passthrough::None,
        },
        logs: match output.logs {
            LogsArg::Failed => LogLines::Failed(output.log_lines.unwrap_or(crate::render::LOG_LINES)),
            LogsArg::None => LogLines::None,
            LogsArg::All => LogLines::All(output.log_lines),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_the_same_for_settings_and_rendering() {
        let settings::Thresholds { slow, quiet } = settings::Thresholds::default();
        assert_eq!(Thresholds { slow, quiet }, Thresholds::default());
    }
}
