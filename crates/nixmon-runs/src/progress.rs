//! The part of a status that the state of a run tells.

use super::{ReadOn, RootCause, Status};
use nixmon_core::render;
use nixmon_core::state::{Failure, Moment, Outcome, State};
use nixmon_core::view::View;
use nixmon_log::escapes::sanitize;

/// Returns the part of a status that the state gives: progress and failures. `wanted` and `to_fetch` are as in a
/// snapshot: the known number, announced or not.
pub fn progress(state: &State, at: Moment) -> Status {
    let view = View::new(state, at);
    let (builds, fetches) = (view.builds(), view.fetches());
    let of_activation = || {
        let run = state.activation_failed()?;
        let message = run.message().map(|message| sanitize(message).into_owned());
        // systemd's switch calls it a warning that units failed.
        let message = message.map(|text| text.strip_prefix("warning: ").map_or(text.clone(), str::to_owned));
        let message = match (&run.failed_step, message) {
            (Some(_), Some(message)) => format!("failed: {message}"),
            (Some(_), None) => "failed".to_owned(),
            (None, message) => message.unwrap_or_else(|| "the activation failed".to_owned()),
        };
        Some(RootCause { name: run.failed_step.clone(), message })
    };
    let in_short = |(_, failure): (_, &Failure)| RootCause {
        name: failure.name.clone(),
        message: sanitize(&render::failure_in_short(failure)).into_owned(),
    };
    let snapshot = nixmon_core::wire::snapshot(state, at);
    Status {
        wanted: state.derivations().counts().wanted(),
        running: builds.running,
        built: builds.built,
        failed: state.counts().failed,
        to_fetch: state.transfers().wanted(),
        fetched: fetches.done,
        first_failure: state.failures().next().map(in_short).or_else(of_activation),
        last_failure: state.failures().last().map(in_short).or_else(of_activation),
        read_on: read_on(state),
        outcome: state.outcome().map(Into::into),
        eta: if state.outcome().is_none() { snapshot.eta } else { None },
        waits_for: snapshot.waits_for,
        parallel_opportunities: snapshot.parallel_opportunities,
        work: snapshot.work,
        packages: snapshot.packages,
        derivations: nixmon_core::wire::derivations(state, at),
        ..Status::default()
    }
}

/// Returns the part of the recording that says more about the failure of a run than the first failure in short.
fn read_on(state: &State) -> Option<ReadOn> {
    if matches!(state.outcome()?, Outcome::Success) {
        return None;
    }
    let mut failures = state.failures().map(|(_, failure)| failure);
    match failures.next() {
        Some(failure) if says_more(failure) => {
            Some(if failure.name.is_some() { ReadOn::Derivation } else { ReadOn::End })
        }
        Some(_) => failures.next().map(|_| ReadOn::End),
        // A failure without an explanation may be explained by other output.
        None => (state.activation().started() || !state.other_text().is_empty()).then_some(ReadOn::End),
    }
}

/// Returns whether there is more to say about a failure than [`render::failure_in_short`] does.
fn says_more(failure: &Failure) -> bool {
    let is_told = |detail: &String| failure.message.contains(detail.trim());
    let n_told = usize::from(render::is_said_by_heading(failure));
    failure.log_tail.len() > n_told
        || !failure.details.iter().all(is_told)
        || failure.location.is_some()
        || failure.user_location.is_some()
        || failure.hashes.is_some()
        || failure.advice.is_some()
}
