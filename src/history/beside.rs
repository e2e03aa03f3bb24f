//! The history beside a run in the present: it is filled, and foresees the end.

use std::time::Duration;

use super::filled::{Filled, begun, outcome};
use super::foreseen::{AskJobs, Forecaster};
use super::measures::Measures;
use super::resources::Meter;
use super::{Context, HistoryFile};
use nixmon_core::pipeline::Pipeline;
use nixmon_core::render::rough;
use nixmon_core::state::{Forecast, Moment, State};
use nixmon_core::text::{Line, Role, count};
use nixmon_history::store::Losses;
use nixmon_log::escapes::sanitize;

/// Packages that now take longer of which a run tells.
const MOST_SLOWER: usize = 3;

/// The identity of a run in the history.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The text that names it among those of its moment.
    pub(crate) id: String,
    /// The moment of its beginning that names it, in milliseconds since 1970.
    pub(crate) started_at: u64,
    /// The version of Nix.
    pub(crate) nix: Option<String>,
    /// It is kept even if nothing was built or fetched.
    pub(crate) always: bool,
}

/// The history beside a run.
#[derive(Debug)]
pub(crate) struct Beside {
    filled: Option<Filled>,
    forecaster: Option<Forecaster>,
    meter: Option<Meter>,
    measures: Measures,
    /// The database and the machine, for what builds needed before.
    past: (std::path::PathBuf, String),
    /// Why the history is not filled, if it is not.
    refused: Option<String>,
    /// It was said that memory is short.
    warned: bool,
}

impl Beside {
    /// Begins with a run whose first moment is now. The pipeline fills the history from then on.
    pub(crate) fn begin(
        file: &HistoryFile,
        pipeline: &mut Pipeline,
        context: Context,
        identity: Identity,
        ask: Option<AskJobs>,
    ) -> Self {
        let Identity { id, started_at, nix, always } = identity;
        let record = begun(&context, id, started_at, nix);
        let measures = Measures::default();
        let refused = file.check_owner().err().map(|error| error.to_string());
        let filled = match &refused {
            None => Filled::begin(&context, record, file.retention, always, measures.clone()),
            Some(_) => None,
        };
        let filled = filled.map(|(filled, sink)| {
            pipeline.keep(sink);
            pipeline.report_work();
            filled
        });
        let past = (context.path.clone(), context.host.clone());
        let forecaster = Forecaster::beside(context, nixmon_runs::clock::unix_ms(), ask);
        Self { filled, forecaster, meter: None, measures, past, refused, warned: false }
    }

    /// Measures the processes of a command from now on.
    pub(crate) fn measure(&mut self, command: i32) {
        self.meter = Meter::of(command, self.measures.clone(), self.past.clone());
    }

    /// Returns a warning if memory is short, once.
    pub(crate) fn warning(&mut self, state: &State) -> Option<Line> {
        let meter = self.meter.as_ref().filter(|_| !self.warned)?;
        let text = meter.warning(state.derivations().building().map(|(_, derivation)| derivation.name()))?;
        self.warned = true;
        Some(warning(&text))
    }

    /// Takes note of the time. Returns what is foreseen, if there is something new.
    pub(crate) fn tick(&mut self, state: &State, at: Moment) -> Option<Forecast> {
        self.forecaster.as_mut()?.tick(state, at)
    }

    /// Returns lines about the run that only the history can tell, shortly before its end, and the number of rows lost so far.
    pub(crate) fn news(&self) -> (Vec<Line>, u64) {
        let Some(filled) = &self.filled else { return (Vec::new(), 0) };
        let news = filled.news();
        let mut lines: Vec<Line> = news.notice.iter().map(|text| warning(text)).collect();
        for (name, slower) in news.slower.iter().take(MOST_SLOWER) {
            let time = |ms| rough(Duration::from_millis(ms));
            let text = format!(
                "{} now takes {}, it took {} before (medians of {} and {} builds)",
                sanitize(name),
                time(slower.after_ms),
                time(slower.before_ms),
                slower.after,
                slower.before
            );
            lines.push(warning(&text));
        }
        if news.slower.len() > MOST_SLOWER {
            let more = (news.slower.len() - MOST_SLOWER) as u64;
            lines.push(warning(&format!(
                "{} more take longer than before",
                count(more, "package", "packages")
            )));
        }
        (lines, news.losses.rows)
    }

    /// Ends the run. Returns a message about what the history lacks, if something.
    pub(crate) fn finish(mut self, state: &State, at: Moment) -> Option<String> {
        if let Some(refused) = self.refused.take() {
            return Some(format!("the history does not have this run: {}", sanitize(&refused)));
        }
        let foretold = self.forecaster.as_ref().map(|f| f.foretold(at)).unwrap_or_default();
        let mut filled = self.filled.take()?;
        filled.set_resources(self.meter.take().and_then(Meter::stop));
        filled.set_max_jobs(self.forecaster.as_ref().and_then(Forecaster::found_jobs));
        let (losses, notice) = filled.finish(outcome(state), at, foretold);
        if losses.is_empty() {
            return notice;
        }
        let message = told(&losses);
        tracing::debug!(rows = losses.rows, run = losses.run, "the history is not whole");
        Some(message)
    }
}

fn warning(text: &str) -> Line {
    Line::new().with(Role::Warning, text)
}

fn told(losses: &Losses) -> String {
    let lost = match (losses.rows, losses.run) {
        (0, _) => "the history does not have this run in full".to_owned(),
        (rows, _) => format!("the history lacks {} of this run", count(rows, "row", "rows")),
    };
    match &losses.reason {
        Some(reason) => format!("{lost}: {}", sanitize(reason)),
        None => lost,
    }
}
