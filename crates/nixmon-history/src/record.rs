//! The lines of an exported history: one JSON object per line, the first a [`Line::Header`].
//!
//! These types are the whole contract; `docs/history.schema.json` is made from them. A reader takes what it knows and counts the
//! rest, so a newer writer may add fields and types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the contract that this crate writes.
pub const SCHEMA: u32 = 1;

/// One line of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum Line {
    /// The first line.
    #[serde(rename = "nixmon-history")]
    Header {
        /// The version of the contract.
        schema: u32,
    },
    /// A run.
    #[serde(rename = "run")]
    Run(RunRecord),
    /// A build of a derivation.
    #[serde(rename = "build")]
    Build(BuildRecord),
    /// A download of store paths.
    #[serde(rename = "download")]
    Download(DownloadRecord),
    /// A file that was compiled, or another unit of work inside a build.
    #[serde(rename = "unit")]
    Unit(UnitRecord),
    /// A package inside a build or a project: a CMake target, a cargo crate.
    #[serde(rename = "package")]
    Package(PackageRecord),
    /// A prediction that was made while the run went on.
    #[serde(rename = "prediction")]
    Prediction(PredictionRecord),
}

/// The end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
    /// It was ended from outside.
    Cancelled,
    /// It has not ended, or nothing saw its end.
    #[default]
    #[serde(other)]
    Unknown,
}

impl RunOutcome {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            RunOutcome::Success => "success",
            RunOutcome::Failure => "failure",
            RunOutcome::Cancelled => "cancelled",
            RunOutcome::Unknown => "unknown",
        }
    }

    /// Returns the outcome for a word; any other is [`RunOutcome::Unknown`].
    pub fn parse(word: &str) -> Self {
        match word {
            "success" => RunOutcome::Success,
            "failure" => RunOutcome::Failure,
            "cancelled" => RunOutcome::Cancelled,
            _ => RunOutcome::Unknown,
        }
    }
}

/// The end of a build or of a unit in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildOutcome {
    /// It was built.
    #[default]
    Built,
    /// It failed.
    Failed,
    /// It was ended from outside.
    Cancelled,
}

impl BuildOutcome {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            BuildOutcome::Built => "built",
            BuildOutcome::Failed => "failed",
            BuildOutcome::Cancelled => "cancelled",
        }
    }

    /// Returns the outcome for a word; any other is [`BuildOutcome::Cancelled`], which teaches nothing.
    pub fn parse(word: &str) -> Self {
        match word {
            "built" => BuildOutcome::Built,
            "failed" => BuildOutcome::Failed,
            _ => BuildOutcome::Cancelled,
        }
    }
}

/// The use of CPU and memory, and how it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Resources {
    /// CPU seconds, of user and system.
    pub cpu_s: Option<f64>,
    /// The most memory that was resident at once, in bytes.
    pub peak_rss_bytes: Option<u64>,
    /// The way in which it was measured: `tree`, `cgroup`, `environ`, `nix`, or two of them, as `nix+cgroup`.
    pub source: String,
    /// True if all processes and the whole time are in it.
    pub complete: bool,
}

/// A run of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunRecord {
    /// A text that names the run among those of its host that began at its moment.
    pub id: String,
    /// The target: a flake output, a project, a name that was given.
    pub target: Option<String>,
    /// The command line.
    pub command: Option<String>,
    /// The kind of command: `nix`, `switch`, `make`, `ninja`, `cargo`, `cmake`, `other`.
    pub kind: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The system.
    pub system: Option<String>,
    /// The version of Nix.
    pub nix_version: Option<String>,
    /// `max-jobs` of Nix, or `-j` of the tool where that is the command.
    pub max_jobs: Option<u32>,
    /// `cores` of Nix, or of the machine.
    pub cores: Option<u32>,
    /// `-j` of make, ninja or cargo.
    pub tool_jobs: Option<u32>,
    /// The moment at which it began (RFC 3339).
    pub started: String,
    /// The milliseconds that it took.
    pub elapsed_ms: Option<u64>,
    /// Its end.
    pub outcome: RunOutcome,
    /// The milliseconds until the first build or download began.
    pub evaluation_ms: Option<u64>,
    /// The milliseconds in which something was downloaded.
    pub downloads_ms: Option<u64>,
    /// The milliseconds in which something was built.
    pub builds_ms: Option<u64>,
    /// The milliseconds of the activation.
    pub activation_ms: Option<u64>,
    /// The derivations that were built.
    pub built: Option<u32>,
    /// The derivations that failed.
    pub failed: Option<u32>,
    /// The store paths that were fetched.
    pub downloaded: Option<u32>,
    /// The bytes that were fetched.
    pub downloaded_bytes: Option<u64>,
    /// The CPU and memory of all its processes.
    pub resources: Option<Resources>,
    /// The program that recorded it, if not nixmon: `nom`, `rom`.
    pub source: Option<String>,
}

/// A phase of a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseRecord {
    /// The name.
    pub name: String,
    /// The moment at which it began, in milliseconds of the run.
    pub started_ms: u64,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
}

/// A build of a derivation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BuildRecord {
    /// The run.
    pub run: String,
    /// The path of the derivation, or its digest.
    pub drv: Option<String>,
    /// The name, with the version.
    pub name: String,
    /// The system.
    pub system: Option<String>,
    /// The machine that built it; null is the host of the run.
    pub machine: Option<String>,
    /// The moment at which it began, in milliseconds of the run.
    pub started_ms: u64,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
    /// Its end.
    pub outcome: BuildOutcome,
    /// The derivations it depended on that were built in this run before it: paths or digests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// The phases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseRecord>,
    /// The bytes of its log.
    pub log_bytes: Option<u64>,
    /// The builds that ran at once on its machine meanwhile, itself included, as a geometric mean over its time.
    pub concurrency: Option<f64>,
    /// The CPU and memory.
    pub resources: Option<Resources>,
}

/// A download.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DownloadRecord {
    /// The run.
    pub run: String,
    /// The address of the cache.
    pub cache: String,
    /// The name of the store path, if it is a single one.
    pub name: Option<String>,
    /// The bytes.
    pub bytes: u64,
    /// The moment at which it began, in milliseconds of the run.
    pub started_ms: u64,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
}

/// A unit of work inside a build: a file that was compiled, a link, a test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UnitRecord {
    /// The run.
    pub run: String,
    /// The name of the derivation it belongs to; null where the command itself is the build.
    pub scope: Option<String>,
    /// The package: a CMake target, a crate, a directory.
    pub package: Option<String>,
    /// The file or test.
    pub file: String,
    /// The stage: `compile`, `link`, `test`, `install`.
    pub stage: Option<String>,
    /// The moment at which it began, in milliseconds of the run.
    pub started_ms: u64,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
    /// Its end.
    pub outcome: BuildOutcome,
}

/// A package inside a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PackageRecord {
    /// The run.
    pub run: String,
    /// The name of the derivation it belongs to; null where the command itself is the build.
    pub scope: Option<String>,
    /// The name.
    pub name: String,
    /// The moment at which it began, in milliseconds of the run.
    pub started_ms: u64,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
    /// The files that were compiled.
    pub files: u32,
    /// The files that the package has, if it is known: fewer compiled ones are an incremental build.
    pub files_total: Option<u32>,
    /// The milliseconds of its compile units together.
    pub compile_ms: Option<u64>,
    /// The milliseconds of its links together.
    pub link_ms: Option<u64>,
    /// Its end.
    pub outcome: BuildOutcome,
}

/// A prediction, and what simple predictors would have said at the same moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PredictionRecord {
    /// The run.
    pub run: String,
    /// The part of the run that it was made for, in percent: 5, 25, 50 or 75.
    pub percent: u8,
    /// The moment, in milliseconds of the run.
    pub at_ms: u64,
    /// The milliseconds that were said to remain.
    pub remaining_ms: u64,
    /// The lower end of the band.
    pub low_ms: u64,
    /// The upper end of the band.
    pub high_ms: u64,
    /// The share of cases that the band was to hold.
    pub coverage: f64,
    /// Simple predictors: elapsed time times the derivations to do over those done.
    pub by_count_ms: Option<u64>,
    /// The sum of medians.
    pub by_sum_ms: Option<u64>,
    /// That sum over the number of jobs.
    pub by_share_ms: Option<u64>,
    /// The larger of that and the longest chain of medians.
    pub by_chain_ms: Option<u64>,
}

/// Returns the JSON schema of a line.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Line).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), "nixmon history: one line of an export".into());
    }
    schema
}

/// Parses a moment in RFC 3339 into milliseconds of the Unix epoch.
pub fn parse_moment(text: &str) -> Option<i64> {
    text.trim().parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Formats milliseconds of the Unix epoch as RFC 3339.
pub fn format_moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}
