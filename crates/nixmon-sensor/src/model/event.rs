//! Events as records: what a sensor writes, and what others read.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::{Build, End, Moment};

/// A record of the sensor: one line of JSON. Readers ignore fields and types that they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum Record {
    /// A build is going on for more than ten seconds. Its end is another record with the same `id`.
    #[serde(rename = "build.started")]
    Started(BuildEvent),
    /// A build ended.
    #[serde(rename = "build.completed")]
    Completed(BuildEvent),
    /// Something escaped the sensor.
    #[serde(rename = "sensor.loss")]
    Loss(LossEvent),
}

impl Record {
    /// Returns the build that it is about.
    pub fn build(&self) -> Option<&BuildEvent> {
        match self {
            Self::Started(build) | Self::Completed(build) => Some(build),
            Self::Loss(_) => None,
        }
    }
}

/// The result of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its root ended with status 0.
    Pass,
    /// Its root ended with another status.
    Fail,
    /// A signal ended its root.
    Signal,
    /// Nothing on this machine says how it ended. It is never guessed.
    Unknown,
}

/// The way in which the result of a build came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Linux' process connector: the kernel reports each fork, exec and exit.
    Connector,
    /// Lists of all processes, and for results a descriptor of each root (`PIDFD_GET_INFO`).
    Pidfd,
    /// Lists of all processes alone. The result is unknown unless the root is still there as a zombie.
    Proc,
    /// The builds that the Nix daemon lists in `/nix/var/nix/active-builds`.
    ActiveBuilds,
    /// A file that a build writes at its end.
    Marker,
    /// The hook of an interactive shell.
    Shell,
}

impl Backend {
    /// All of them, in the order in which a sensor prefers them.
    pub const ALL: [Self; 6] =
        [Self::Connector, Self::Pidfd, Self::Proc, Self::ActiveBuilds, Self::Marker, Self::Shell];

    /// Returns its name in options and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Pidfd => "pidfd",
            Self::Proc => "proc",
            Self::ActiveBuilds => "active-builds",
            Self::Marker => "marker",
            Self::Shell => "shell",
        }
    }
}

/// A build. Fields whose value is not known are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuildEvent {
    /// Identifies the build until the machine is started again: the number of its root and when that was seen first.
    pub id: String,
    /// The program of its root, as in the list of programs.
    pub program: String,
    /// Its command line, with `…` in the place of secrets.
    pub command: String,
    /// Short name for builds of this kind, as `cargo check`.
    pub label: String,
    /// The working directory of its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The number of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// The process number of its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The result; absent as long as it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Verdict>,
    /// Exit status of its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// The signal that ended its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Its beginning in milliseconds since 1970; null if it began before the sensor.
    pub started_ms: Option<u64>,
    /// Its end in milliseconds since 1970; absent as long as it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// Its duration in milliseconds, without time for which the machine was suspended; null if it began before the sensor.
    pub elapsed_ms: Option<u64>,
    /// Milliseconds for which the machine was suspended meanwhile.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suspended_ms: u64,
    /// Processor time of its processes in milliseconds, at the last measure before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Most memory that its processes had together, in bytes, as measured from time to time. Shared pages count for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Number of its processes, if all were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// The way in which it was seen.
    pub backend: Backend,
    /// Events were lost while it ran.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lossy: bool,
    /// Number of builds that are told in one, of which this is the newest: more than 1 for a burst of the same kind.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    /// It ended in the quiet hours of the configuration.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quiet: bool,
}

impl BuildEvent {
    /// Returns whether somebody ended it: SIGHUP, SIGINT or SIGTERM did, or it says so in its exit status.
    pub fn was_interrupted(&self) -> bool {
        // A tool that takes the signal itself ends with 128 more, by the custom of shells.
        let signal = self.signal.or(self.exit_status.map(|status| status - 128));
        signal.is_some_and(|signal| matches!(signal, 1 | 2 | 15))
    }

    /// Describes a build that was seen in this way and of which no more is known. `name` stands for its program, its command
    /// and its label.
    pub fn new(id: String, name: &str, backend: Backend) -> Self {
        Self {
            id,
            program: name.to_owned(),
            command: name.to_owned(),
            label: name.to_owned(),
            directory: None,
            user: None,
            pid: None,
            result: None,
            exit_status: None,
            signal: None,
            started_ms: None,
            ended_ms: None,
            elapsed_ms: None,
            suspended_ms: 0,
            cpu_ms: None,
            peak_bytes: None,
            processes: None,
            backend,
            lossy: false,
            count: 1,
            quiet: false,
        }
    }

    /// Describes a build. `is_over`: it has ended. `unix_ms` says what time a moment was, in milliseconds since 1970.
    pub fn of(build: &Build, backend: Backend, is_over: bool, unix_ms: impl Fn(Moment) -> u64) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (result, exit_status, signal) = match build.end {
            Some(End::Status(0)) => (Verdict::Pass, Some(0), None),
            Some(End::Status(status)) => (Verdict::Fail, Some(status), None),
            Some(End::Signal(signal)) => (Verdict::Signal, None, Some(signal)),
            None => (Verdict::Unknown, None, None),
        };
        let image = &build.image;
        Self {
            id: format!("{}-{}", build.pid, millis(build.seen.since_boot())),
            program: image.program.clone(),
            command: image.command.clone(),
            label: image.label.clone(),
            directory: image.directory.clone(),
            user: image.user,
            pid: Some(build.pid),
            result: is_over.then_some(result),
            exit_status,
            signal,
            started_ms: build.since.map(&unix_ms),
            ended_ms: is_over.then(|| unix_ms(build.until)),
            elapsed_ms: build.elapsed().map(millis),
            suspended_ms: millis(build.suspended()),
            cpu_ms: build.cpu.map(millis),
            peak_bytes: build.peak,
            processes: build.n_processes,
            backend,
            lossy: build.is_lossy,
            count: 1,
            quiet: false,
        }
    }
}

/// Something escaped the sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LossEvent {
    /// The time, in milliseconds since 1970.
    pub at_ms: u64,
    /// Number of times that events were lost, which lists of all processes made up for.
    pub overruns: u64,
    /// Number of processes that could have been builds and had ended before they were looked at.
    pub missed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(n: &u64) -> bool {
    *n == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn one() -> u64 {
    1
}

/// A record in the journal of a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Its number: counts up from 1. Readers ask for those after the last one that they know.
    pub cursor: u64,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// Returns the schema of the records, as a document of JSON Schema.
pub fn schema() -> serde_json::Value {
    let mut generator = schemars::SchemaGenerator::default();
    generator.subschema_for::<Record>();
    let mut schema = serde_json::Value::from(generator.into_root_schema_for::<Entry>());
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), "Events of nixmon watch".into());
        let what = "A line of `nixmon watch --output json`, which has no cursor, or of the sensor's journal, which has one.";
        schema.insert("description".to_owned(), what.into());
        if let Some(required) = schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
            required.retain(|field| field != "cursor");
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::super::build::{BuildId, Image};
    use super::super::programs::Class;
    use super::*;

    /// A build that ended after 160 s of a machine that was started at 1,000,000 s since 1970, and was suspended for so many seconds
    /// before the build and during it.
    fn event(before: u64, during: u64, since: Option<u64>) -> BuildEvent {
        let at = |awake, suspended| Moment {
            awake: Duration::from_secs(awake),
            suspended: Duration::from_secs(suspended),
        };
        let build = Build {
            id: BuildId(1),
            pid: 7,
            process_began: None,
            image: Image {
                class: Class::Build,
                program: "make".to_owned(),
                label: "make".to_owned(),
                command: "make".to_owned(),
                directory: None,
                user: None,
                is_nested: false,
            },
            since: since.map(|since| at(since, before)),
            seen: at(since.unwrap_or(130), before),
            until: at(160, before + during),
            end: Some(End::Status(0)),
            n_processes: None,
            cpu: None,
            peak: None,
            is_lossy: false,
        };
        let unix_ms = |moment: Moment| {
            u64::try_from((Duration::from_secs(1_000_000) + moment.since_boot()).as_millis()).unwrap()
        };
        BuildEvent::of(&build, Backend::Connector, true, unix_ms)
    }

    #[test]
    fn durations_are_without_suspended_time() {
        for (before, during) in [(0, 0), (3600, 0), (0, 3600), (100, 50)] {
            let event = event(before, during, Some(100));
            assert_eq!((event.elapsed_ms, event.suspended_ms), (Some(60_000), during * 1000));
            // By the clock on the wall it took longer.
            let (started, ended) = (event.started_ms.unwrap(), event.ended_ms.unwrap());
            assert_eq!(started, (1_000_100 + before) * 1000);
            assert_eq!(ended - started, 60_000 + during * 1000);
        }
        let event = event(100, 50, None);
        assert_eq!((event.started_ms, event.elapsed_ms, event.suspended_ms), (None, None, 50_000));
    }

    #[test]
    fn interruptions() {
        let ended = |end| BuildEvent {
            signal: match end {
                End::Signal(signal) => Some(signal),
                End::Status(_) => None,
            },
            exit_status: match end {
                End::Status(status) => Some(status),
                End::Signal(_) => None,
            },
            ..event(0, 0, None)
        };
        for (end, expected) in [
            (End::Signal(2), true),
            (End::Signal(15), true),
            (End::Signal(9), false),
            (End::Status(130), true),
            (End::Status(137), false),
            (End::Status(2), false),
            (End::Status(0), false),
        ] {
            assert_eq!(ended(end).was_interrupted(), expected, "{end:?}");
        }
    }
}
