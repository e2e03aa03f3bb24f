//! Builds of others in the history, if the configuration wants them there.

use crate::drive::history_file;
use crate::history::{self, Context, Subject};
use crate::settings::Settings;
use nixmon_history::record::{Resources, RunOutcome, RunRecord};
use nixmon_history::store::Store;
use nixmon_sensor::model::event::{Backend, BuildEvent, Verdict};

/// The history, opened for each build: they are seldom, and others write it as well.
pub(super) struct WatchHistory {
    context: Option<Context>,
}

impl WatchHistory {
    /// `is_only`: this sensor keeps the journal, so that no other one teaches the history.
    pub(super) fn new(settings: &Settings, is_only: bool) -> Self {
        Self { context: Context::here(&history_file(settings)).filter(|_| settings.watch.history && is_only) }
    }

    /// Adds a build of this user whose beginning and end are known.
    pub(super) fn learn(&self, build: &BuildEvent) {
        let Some(context) = &self.context else { return };
        // Others have histories of their own, and what a daemon builds is no run.
        let is_own = build.user.is_none_or(|user| user == rustix::process::getuid().as_raw());
        if !is_own || build.backend == Backend::ActiveBuilds {
            return;
        }
        let Some(record) = record(context, build) else { return };
        // A history that cannot be written is no fault of the build, and `nixmon history` says more.
        if let Ok((mut store, _)) = Store::open(&context.path, history::now_ms())
            && let Ok(run) = store.begin_run(&record)
        {
            let _ = store.finish_run(run, &record);
        }
    }
}

fn record(context: &Context, build: &BuildEvent) -> Option<RunRecord> {
    let (started, elapsed) = (build.started_ms?, build.elapsed_ms?);
    // The words as a run has them, without quotes; a line that was cut in the middle of a word has none.
    let words =
        shlex::split(&build.command).unwrap_or_else(|| build.command.split(' ').map(str::to_owned).collect());
    let context = Context { subject: Subject::of(None, &words), ..context.clone() };
    let resources = Resources {
        #[expect(clippy::cast_precision_loss, reason = "no build takes so long")]
        cpu_s: build.cpu_ms.map(|ms| ms as f64 / 1000.0),
        peak_rss_bytes: build.peak_bytes,
        ..Resources::default()
    };
    Some(RunRecord {
        elapsed_ms: Some(elapsed),
        outcome: match build.result? {
            Verdict::Pass => RunOutcome::Success,
            Verdict::Fail if build.was_interrupted() => RunOutcome::Cancelled,
            Verdict::Fail => RunOutcome::Failure,
            // A crash is a failure, and so is the end of a build for want of memory.
            Verdict::Signal if build.was_interrupted() => RunOutcome::Cancelled,
            Verdict::Signal => RunOutcome::Failure,
            Verdict::Unknown => RunOutcome::Unknown,
        },
        resources: Some(resources),
        source: Some("sensor".to_owned()),
        ..history::begun(&context, format!("sensor-{}", build.id), started, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: serde_json::Value, expected: (&str, &str, Option<u32>, RunOutcome)) {
        let mut event = serde_json::json!({
            "id": "7-1", "program": "make", "command": "make -j2 'a b'", "label": "make", "pid": 7, "result": "pass",
            "exit_status": 0, "started_ms": 1_000, "ended_ms": 3_000, "elapsed_ms": 2_000, "backend": "connector",
        });
        for (key, value) in fields.as_object().unwrap() {
            event[key] = value.clone();
        }
        let build: BuildEvent = serde_json::from_value(event).unwrap();
        let run = record(&Context::default(), &build).unwrap();
        let found =
            (run.kind.as_deref().unwrap(), run.target.as_deref().unwrap(), run.tool_jobs, run.outcome);
        assert_eq!(found, expected, "{build:?}");
        assert_eq!(run.elapsed_ms, Some(2_000));
        assert_eq!((run.started.as_str(), run.source.as_deref()), ("1970-01-01T00:00:01Z", Some("sensor")));
    }

    #[test]
    fn builds_are_runs_of_others() {
        use RunOutcome::{Cancelled, Failure, Success, Unknown};
        check(serde_json::json!({}), ("make", "make a b", Some(2), Success));
        check(
            serde_json::json!({"result": "fail", "exit_status": 2, "command": "cargo build --jobs 3"}),
            ("cargo", "cargo build", Some(3), Failure),
        );
        check(
            serde_json::json!({"result": "signal", "exit_status": null, "signal": 2}),
            ("make", "make a b", Some(2), Cancelled),
        );
        check(
            serde_json::json!({"result": "fail", "exit_status": 130}),
            ("make", "make a b", Some(2), Cancelled),
        );
        check(
            serde_json::json!({"result": "signal", "exit_status": null, "signal": 9}),
            ("make", "make a b", Some(2), Failure),
        );
        check(
            serde_json::json!({"result": "unknown", "exit_status": null}),
            ("make", "make a b", Some(2), Unknown),
        );
        // Cut in the middle of a word.
        check(serde_json::json!({"command": "make 'a…"}), ("make", "make 'a…", None, Success));
        // Without a beginning it has no duration.
        let build: BuildEvent = serde_json::from_value(serde_json::json!({
            "id": "7-1", "program": "make", "command": "make", "label": "make", "result": "pass", "started_ms": null,
            "ended_ms": 3_000, "elapsed_ms": null, "backend": "connector",
        }))
        .unwrap();
        assert!(record(&Context::default(), &build).is_none());
    }
}
