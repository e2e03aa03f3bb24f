//! `nixmon status`.

use anyhow::Result;

use super::recover::look;
use super::{say, store, tell, tell_json, unix_ms};
use crate::cli::StatusArgs;
use crate::run::{ExitStatus, options};
use crate::settings::Settings;

pub(in crate::run) fn status(settings: &Settings, args: &StatusArgs) -> Result<ExitStatus> {
    let dir = store(settings)?.find(args.run.as_deref())?;
    let look = look(&dir, settings)?;
    if args.json {
        tell_json(&say::json(&look.status));
        return Ok(ExitStatus::Success);
    }
    let symbols = options(&settings.output, crate::render::Thresholds::default()).style.symbols;
    tell(settings, &say::status(&look.status, unix_ms(), &symbols));
    Ok(ExitStatus::Success)
}
