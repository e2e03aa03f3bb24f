//! `nixmon status`.

use anyhow::Result;

use super::recover::look;
use super::{say, symbols, tell, tell_json, unix_ms};
use crate::cli::StatusArgs;
use crate::run::ExitStatus;
use crate::runs::StatusRecord;
use crate::settings::Settings;

pub(in crate::run) fn status(settings: &Settings, args: &StatusArgs) -> Result<ExitStatus> {
    let dir = settings.store()?.find(args.run.as_deref())?;
    let look = look(&dir, settings)?;
    if args.json {
        tell_json(&StatusRecord::from(look.status));
        return Ok(ExitStatus::Success);
    }
    tell(settings, &say::status(&look.status, unix_ms(), &symbols(settings)));
    Ok(ExitStatus::Success)
}
