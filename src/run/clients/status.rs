//! `nixmon status`.

use anyhow::Result;

use super::recover::look;
use super::{say, store, tell, tell_json, unix_ms};
use crate::cli::StatusArgs;
use crate::run::{ExitStatus, options};
use crate::runs::{RunDir, RunState};
use crate::settings::Settings;
use crate::wire::RunFailure;

pub(in crate::run) fn status(settings: &Settings, args: &StatusArgs) -> Result<ExitStatus> {
    let dir = store(settings)?.find(args.run.as_deref())?;
    let look = look(&dir, settings)?;
    if args.json {
        tell_json(&say::json(&look.status));
        return Ok(ExitStatus::Success);
    }
    let failure = if look.status.state == RunState::Ended { first_failure(&dir)? } else { None };
    let symbols = options(&settings.output, crate::render::Thresholds::default()).style.symbols;
    tell(settings, &say::status(&look.status, failure.as_ref(), unix_ms(), &symbols));
    Ok(ExitStatus::Success)
}

/// The failure that the summary record names first.
fn first_failure(dir: &RunDir) -> Result<Option<RunFailure>> {
    let Some(summary) = dir.summary()? else { return Ok(None) };
    let first = summary.get("failures").and_then(|failures| failures.get(0));
    let text = |key: &str| first?.get(key)?.as_str().map(str::to_owned);
    Ok(text("message").map(|message| RunFailure { name: text("name"), message }))
}
