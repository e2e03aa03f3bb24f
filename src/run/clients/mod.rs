//! What looks at runs from outside: it reads what their monitors write, and never speaks with them.

mod lines;
mod list;
mod log;
mod prune;
mod recover;
mod say;
mod select;
mod status;
mod steps;
mod stop;
#[cfg(test)]
mod tests;
mod wait;

use std::io::Write;

use anyhow::{Context, Result};

pub(super) use list::list;
pub(crate) use log::complain_of_damage;
pub(super) use log::log;
pub(super) use prune::prune;
pub(super) use status::status;
pub(crate) use steps::Steps;
pub(super) use stop::stop;
pub(super) use wait::wait;

use super::{options, unix_ms};
use crate::frontend::json_line;
use crate::render::Thresholds;
use crate::runs::{RunDir, Status, Store};
use crate::settings::Settings;
use crate::text::{self, Line, Palette, Symbols};

/// The store of runs.
pub(crate) fn store(settings: &Settings) -> Result<Store> {
    let home = settings.state_home.as_ref();
    let home = home
        .context("there is no home directory: neither XDG_STATE_HOME nor HOME is set to an absolute path")?;
    Ok(Store::new(home.join("nixmon/runs")).with_socket_dirs(settings.socket_dirs.clone()))
}

/// How a run stands. The end of one whose monitor has died is found out.
pub(crate) fn current(settings: &Settings, run: &RunDir) -> Result<Status> {
    Ok(recover::look(run, settings)?.status)
}

/// A time in the time zone of this machine, with the date if it is another one than that of `now`.
fn local_clock(at: u64, now: u64) -> String {
    clock(at, now, |_| "%Y-%m-%d %H:%M")
}

/// The same for a table, in at most twelve columns, as `ls -l` has it.
fn short_clock(at: u64, now: u64) -> String {
    const HALF_A_YEAR: u64 = 182 * 24 * 60 * 60 * 1000;
    clock(at, now, |age| if age < HALF_A_YEAR { "%b %d %H:%M" } else { "%Y-%m-%d" })
}

fn clock(at: u64, now: u64, of_another_day: impl Fn(u64) -> &'static str) -> String {
    let zoned = |millis: u64| {
        let millis = i64::try_from(millis).ok()?;
        let time = jiff::Timestamp::from_millisecond(millis).ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::system()))
    };
    if at == 0 {
        return "an unknown time".to_owned();
    }
    let age = now.abs_diff(at);
    let (Some(at), Some(now)) = (zoned(at), zoned(now)) else { return "an unknown time".to_owned() };
    let format = if at.date() == now.date() { "%H:%M" } else { of_another_day(age) };
    at.strftime(format).to_string()
}

/// The signs of the terminal.
fn symbols(settings: &Settings) -> Symbols {
    options(&settings.output, Thresholds::default()).style.symbols
}

/// A line as it is written.
fn written(settings: &Settings, line: &Line) -> String {
    let palette = if settings.output.color { Palette::colored() } else { Palette::default() };
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = line.write(&palette, &mut out);
    out.push('\n');
    if settings.output.ascii { text::ascii(&out).into_owned() } else { out }
}

/// Writes lines. A reader who has gone is no error.
fn tell(settings: &Settings, lines: &[Line]) {
    let text: String = lines.iter().map(|line| written(settings, line)).collect();
    super::print(text.as_bytes());
}

/// Writes a line of JSON. Says whether somebody still reads.
fn tell_json(value: &impl serde::Serialize) -> bool {
    let mut json = Vec::new();
    json_line(value, &mut json);
    std::io::stdout().write_all(&json).is_ok()
}
