//! `nixmon status`.

use anyhow::Result;

use super::{describe, package_status, print_json, print_lines, symbols};
use crate::cli::StatusArgs;
use crate::drive;
use crate::exit_status::ExitStatus;
use crate::settings::Settings;
use nixmon_runs::StatusRecord;
use nixmon_runs::clock::unix_ms;

pub(super) fn status(settings: &Settings, args: &StatusArgs) -> Result<ExitStatus> {
    let runs = drive::runs(settings)?;
    let look = runs.look(&runs.find(args.run.as_deref())?, unix_ms())?;
    if args.packages {
        package_status::print(settings, &look.status, args.json)?;
    } else if args.json {
        print_json(&StatusRecord::from(look.status))?;
    } else {
        print_lines(settings, &describe::status(&look.status, unix_ms(), &symbols(settings)))?;
    }
    Ok(ExitStatus::Success)
}
