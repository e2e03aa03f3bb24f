//! Builds of others in the history, if the configuration wants them there.

use crate::drive::history_file;
use crate::history::{self, Context, Subject};
use crate::settings::Settings;
use nixmon_history::record::{Resources, RunOutcome, RunRecord};
use nixmon_history::store::Store;
use nixmon_sensor::model::event::{BuildEvent, Verdict};

/// The history, opened for each build: they are seldom, and others write it as well.
pub(super) struct WatchHistory {
    context: Option<Context>,
}

impl WatchHistory {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { context: Context::here(&history_file(settings)).filter(|_| settings.watch.history) }
    }

    /// Adds a build whose beginning and end are known.
    pub(super) fn learn(&self, build: &BuildEvent) {
        let Some(context) = &self.context else { return };
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
    let words: Vec<String> = build.command.split(' ').map(str::to_owned).collect();
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
            Verdict::Fail => RunOutcome::Failure,
            Verdict::Signal => RunOutcome::Cancelled,
            Verdict::Unknown => RunOutcome::Unknown,
        },
        resources: Some(resources),
        source: Some("sensor".to_owned()),
        ..history::begun(&context, format!("sensor-{}", build.id), started, None)
    })
}
