//! `nixmon stop`.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{describe, print_lines};
use crate::cli::StopArgs;
use crate::drive;
use crate::exit_status::ExitStatus;
use crate::settings::Settings;
use nixmon_core::text::{Line, Role};
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::Stopping;

/// Time between two looks whether the run has ended.
const POLL: Duration = Duration::from_millis(50);

pub(super) fn stop(settings: &Settings, args: &StopArgs) -> Result<ExitStatus> {
    let runs = drive::runs(settings)?;
    let dir = runs.stop_target(args.run.as_deref(), unix_ms())?;
    let first = runs.look(&dir, unix_ms())?;
    if !first.life.goes_on() {
        let line = describe::title(&first.status).with(Role::Plain, " has ended already: ");
        print_lines(settings, &[with(line, describe::outcome(&first.status))])?;
        return Ok(ExitStatus::Success);
    }
    dir.mark_stopped()?;
    let begun = Instant::now();
    let mut stopping = Stopping::default();
    loop {
        let look = runs.look(&dir, unix_ms())?;
        if !look.life.goes_on() {
            let line = describe::title(&look.status).with(Role::Plain, " was stopped");
            let how = if stopping.has_killed() { " by SIGKILL: " } else { ": " };
            print_lines(settings, &[with(line.with(Role::Plain, how), describe::outcome(&look.status))])?;
            return Ok(ExitStatus::Success);
        }
        stopping.signal(&look, begun.elapsed(), args.grace)?;
        std::thread::sleep(POLL);
    }
}

fn with(mut line: Line, rest: Line) -> Line {
    line.append(rest);
    line
}
