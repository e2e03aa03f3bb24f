//! Answers of the API as JSON.

use nixmon_core::wire::Summary;
use nixmon_runs::Status;
use schemars::JsonSchema;
use serde::Serialize;

use crate::board::Entry;
use crate::detail::Detail;
use crate::log::Kind;

/// The runs of this machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RunsAnswer {
    /// Failures first, then runs in progress, then others; the newest first.
    pub(crate) runs: Vec<Entry>,
    /// Number of older runs, which are not listed.
    pub(crate) older: usize,
    /// When the store was looked at, in milliseconds since 1970.
    pub(crate) looked_at: u64,
    /// Why the store cannot be read at the moment.
    pub(crate) error: Option<String>,
}

/// A run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RunAnswer {
    /// The host; null for this machine.
    pub(crate) host: Option<String>,
    /// Number of the run.
    pub(crate) run: u64,
    /// Its status.
    pub(crate) status: Status,
    /// Its working directory; empty if it is unknown.
    pub(crate) directory: String,
    /// The facts that its recording tells so far.
    pub(crate) detail: Detail,
    /// Its summary; null until it has ended.
    pub(crate) summary: Option<Summary>,
    /// Its condensed lines, at most the last 500.
    pub(crate) lines: Vec<String>,
    /// Number of lines of its log so far.
    pub(crate) log_lines: u64,
}

/// Lines of a log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LogAnswer {
    /// The host; null for this machine.
    pub(crate) host: Option<String>,
    /// Number of the run.
    pub(crate) run: u64,
    /// Path of the `.drv` file, if these are the lines of one.
    pub(crate) derivation: Option<String>,
    /// Number of lines so far.
    pub(crate) total: u64,
    /// No more lines will come.
    pub(crate) is_complete: bool,
    /// Why the log cannot be read to its end.
    pub(crate) error: Option<String>,
    /// The lines. There may be fewer than asked for: an answer has at most 1 MiB of text.
    pub(crate) lines: Vec<LogLine>,
    /// The number of the line to ask for next; null at the end of the log so far.
    pub(crate) next: Option<u64>,
}

/// A line of a log. Its text has no control characters.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LogLine {
    /// Its number, from 1.
    pub(crate) n: u64,
    /// Time since the run began, in milliseconds.
    pub(crate) at_ms: u64,
    /// Name of the derivation whose builder printed it; null for Nix and other programs.
    pub(crate) derivation: Option<String>,
    /// The build phase, or for other lines the phase of the run.
    pub(crate) phase: Option<String>,
    /// `text`, or `failure` for nixmon's words about one.
    pub(crate) kind: Kind,
    /// The text, at most 4096 bytes of it.
    pub(crate) text: String,
    /// The text was cut. The raw log has all of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_cut: bool,
    /// The text in parts, if some of it has a colour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Part>,
}

/// A part of a line.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Part {
    /// Its text.
    pub(crate) text: String,
    /// Classes, separated by spaces: `c0` to `c15` for a colour of ANSI, `b0` to `b15` for a background, `inverse`, `bold`,
    /// `faint`, `italic`, `underline`, `strike`.
    pub(crate) style: String,
}

/// Sections of a log: neighbouring lines that belong together.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SectionsAnswer {
    /// The host; null for this machine.
    pub(crate) host: Option<String>,
    /// Number of the run.
    pub(crate) run: u64,
    /// Path of the `.drv` file, if these are the lines of one.
    pub(crate) derivation: Option<String>,
    /// Number of lines so far.
    pub(crate) total: u64,
    /// No more lines will come.
    pub(crate) is_complete: bool,
    /// The sections. The last two may still change.
    pub(crate) sections: Vec<LogSection>,
}

/// A section of a log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LogSection {
    /// Number of its first line, from 1.
    pub(crate) first: u64,
    /// Number of its lines.
    pub(crate) lines: u64,
    /// A title: derivations and phases of its lines.
    pub(crate) title: String,
}

/// Lines that match.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SearchAnswer {
    /// The host; null for this machine.
    pub(crate) host: Option<String>,
    /// Number of the run.
    pub(crate) run: u64,
    /// Path of the `.drv` file, if its lines were searched.
    pub(crate) derivation: Option<String>,
    /// Numbers of the lines that match, at most the first 10,000.
    pub(crate) lines: Vec<u64>,
    /// Number of all lines that match.
    pub(crate) total: u64,
    /// Number of lines that were searched.
    pub(crate) searched: u64,
    /// All lines so far were searched. False while the hub still reads a long recording: then ask again.
    pub(crate) is_current: bool,
    /// No more lines will come.
    pub(crate) is_complete: bool,
}

/// Lines about a unit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UnitAnswer {
    /// The host; null for this machine.
    pub(crate) host: Option<String>,
    /// The number or name of the run, as it was asked for.
    pub(crate) run: String,
    /// The name of the unit, as it was asked for.
    pub(crate) unit: String,
    /// Lines of the run that name it, and the end of its own log.
    pub(crate) lines: Vec<String>,
}

/// Instructions for programs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct InstructionsAnswer {
    /// The instructions as Markdown.
    pub(crate) text: String,
}

/// A refusal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorAnswer {
    /// The refusal itself.
    pub(crate) error: ErrorDetail,
}

/// The reason of a refusal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorDetail {
    /// A short name: `not-found`, `bad-request`, `forbidden`, `unauthorized`, `method-not-allowed`, `too-large`, `too-many`, `conflict`,
    /// `damaged`, `unavailable`.
    pub(crate) kind: String,
    /// One or more sentences for people.
    pub(crate) message: String,
}
