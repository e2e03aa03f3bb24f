//! `nixmon status`.

use anyhow::Result;

use super::{describe, print_json, print_lines, symbols};
use crate::cli::StatusArgs;
use crate::drive::unix_ms;
use crate::exit_status::ExitStatus;
use crate::query;
use crate::runs::StatusRecord;
use crate::settings::Settings;

pub(super) fn status(settings: &Settings, args: &StatusArgs) -> Result<ExitStatus> {
    let runs = query::runs(settings)?;
    let look = runs.look(&runs.find(args.run.as_deref())?, unix_ms())?;
    if args.json {
        print_json(&StatusRecord::from(look.status));
    } else {
        print_lines(settings, &describe::status(&look.status, unix_ms(), &symbols(settings)));
    }
    Ok(ExitStatus::Success)
}
