//! Drives a pipeline in the present: standard input or files, the clock, signals, `.drv` files, recordings, the terminal.

#![expect(clippy::disallowed_methods, reason = "the clock and files are this module's business")]

pub(crate) mod background;
pub(crate) mod diagnostics;
pub(crate) mod drv_reader;
pub(crate) mod filter;
pub(crate) mod progress;
pub(crate) mod replay;
pub(crate) mod session;
pub(crate) mod signals;
mod terminal;
pub mod writer;

use std::io::Write;

use crate::cli::{LogsArg, PassthroughArg};
use crate::history::{HistoryFile, Recovered};
use crate::settings::{Form, Output, Settings};
use background::{Backlog, Stream};
use nixmon_core::frontend::{Condition, Json, Limits, Lines, LinesOptions, LogLines, Passthrough, Results};
use nixmon_core::frontend::{Live, LiveOptions};
use nixmon_core::pipeline::Pipeline;
use nixmon_core::render::{Style, Thresholds};
use nixmon_core::text::{Palette, Symbols};
use nixmon_history::store::Retention;
use nixmon_log::escapes::escape;
use nixmon_runs::query::{OnRead, Recovery, Runs};
use nixmon_runs::{Exit, Facts, RunDir, StoreError};

/// Writes an error or a warning to standard error, without waiting for its reader while a command or a stream is watched.
pub fn complain(error: &anyhow::Error) {
    // Arguments and names of files may be part of it.
    background::write_message(&format!("nixmon: {}\n", escape(&format!("{error:#}"))));
}

/// The terminal behind a live view, if there is one, and the pending output.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    terminal: Option<terminal::TerminalWatch>,
    /// The writes that are pending.
    output: Backlog,
}

impl Watch {
    /// Returns whether there is a view to be drawn.
    fn is_live(&self) -> bool {
        self.terminal.is_some()
    }

    /// Returns the condition of the terminal at the moment.
    fn condition(&mut self) -> Condition {
        self.terminal.as_mut().map(terminal::TerminalWatch::condition).unwrap_or_default()
    }

    /// Returns whether the user has typed since the last frame.
    fn has_typed(&self) -> bool {
        self.terminal.as_ref().is_some_and(terminal::TerminalWatch::has_typed)
    }

    /// Waits a short time for the terminal to take what was written.
    fn settle(&self) {
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
    output: &Output,
    thresholds: Thresholds,
) -> (Pipeline, Watch) {
    if output.form == Form::Live {
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
    let (writer, backlog) = writer();
    (pipeline_to(writer, output, thresholds), Watch { output: backlog, ..Watch::default() })
}

/// Makes a pipeline that writes what the settings ask for: condensed lines instead of a live view.
pub fn to_writer(writer: impl Write + 'static, output: &Output) -> Pipeline {
    pipeline_to(writer, output, Thresholds::default())
}

fn pipeline_to(writer: impl Write + 'static, output: &Output, thresholds: Thresholds) -> Pipeline {
    let options = options(output, thresholds);
    let logs = options.logs;
    match output.form {
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
pub(crate) fn plain_lines<W: Write>(writer: W, output: &Output, thresholds: Thresholds) -> Lines<W> {
    let output = Output { color: false, ascii: false, ..output.clone() };
    Lines::new(writer, options(&output, thresholds)).kept()
}

pub(crate) fn options(output: &Output, thresholds: Thresholds) -> LinesOptions {
    let symbols = Symbols::new(output.ascii);
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
            LogsArg::Failed => LogLines::Failed(output.log_lines.unwrap_or(nixmon_core::render::LOG_LINES)),
            LogsArg::None => LogLines::None,
            LogsArg::All => LogLines::All(output.log_lines),
        },
    }
}

/// Returns the place of the history and the rules for its use.
pub(crate) fn history_file(settings: &Settings) -> HistoryFile {
    const DAY_MS: i64 = 86_400_000;
    HistoryFile {
        path: settings.history_path(),
        is_used: settings.history.enabled,
        retention: Retention {
            max_age_ms: Some(i64::try_from(settings.history.days).unwrap_or(i64::MAX).saturating_mul(DAY_MS)),
            max_bytes: Some(settings.history.mib.saturating_mul(1 << 20)),
        },
        allow_other_owner: settings.allow_other_owner,
    }
}

/// Opens the runs of the user's store for look-ups.
///
/// # Errors
///
/// If no place for it is known.
pub(crate) fn runs(settings: &Settings) -> Result<Runs<'_>, StoreError> {
    let output = Output { color: false, ascii: false, ..settings.output.clone() };
    let recovery = Recovery {
        lines: options(&output, settings.thresholds),
        places: &settings.places,
        on_replay: if settings.output.ascii {
            &|dir| recovering(dir, true)
        } else {
            &|dir| recovering(dir, false)
        },
    };
    let file = history_file(settings);
    let replay = move |dir: &RunDir, facts: Option<&Facts>, exit: Option<Exit>| {
        // What the monitor would have told the history.
        let recovered = Recovered::of(&file, facts);
        let replayed = recovery.replay_with(dir, facts, exit, |pipeline| {
            if let Some(recovered) = &recovered {
                pipeline.report_work();
                pipeline.keep(recovered.sink());
            }
        })?;
        if let Some(recovered) = recovered {
            recovered.keep(replayed.status.outcome, replayed.at);
        }
        Ok(replayed)
    };
    Ok(Runs::new(settings.store()?, replay))
}

/// Shows the progress of a replay.
fn recovering(dir: &RunDir, ascii: bool) -> OnRead {
    let total = Some(dir.recording_size());
    let mut progress = progress::Progress::new(format!("Recovering run {}", dir.id()), total, ascii);
    Box::new(move |n_read| progress.advance_to(n_read))
}
