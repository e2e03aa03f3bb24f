//! `nixmon log`.

use std::io::{BufWriter, ErrorKind};

use anyhow::Result;

use super::describe;
use crate::cli::LogArgs;
use crate::drive::{self, complain, options};
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;
use nixmon_runs::query::{LogNote, LogRequest, Logs};
use nixmon_runs::{QueryError, RunId};

pub(super) fn log(settings: &Settings, args: &LogArgs) -> Result<ExitStatus> {
    let runs = drive::runs(settings)?;
    let dir = runs.find(args.run.as_deref())?;
    let request = LogRequest {
        derivation: args.derivation.clone(),
        unit: args.unit.clone(),
        raw: args.raw,
        grep: args.grep.clone(),
        lines: args.lines,
        follow: args.follow,
    };
    let logs = Logs {
        runs: &runs,
        places: &settings.places,
        style: options(&settings.output, settings.thresholds).style,
        note: &|note| complain_of(dir.id(), &note),
    };
    match logs.write(&dir, &request, Box::new(BufWriter::new(std::io::stdout().lock()))) {
        // The reader has gone, or has all the lines that were asked for.
        Err(QueryError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitStatus::Success),
        Err(QueryError::Write(error)) => Err(Failed::unwritten(&error)),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(ExitStatus::Success),
    }
}

fn complain_of(run: RunId, note: &LogNote) {
    complain(&anyhow::anyhow!(describe::note(run, note)));
}
