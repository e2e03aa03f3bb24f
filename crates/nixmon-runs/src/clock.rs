//! The present, and times of day in the time zone of this machine.

use std::time::SystemTime;

use nixmon_core::wire;

/// Returns the time in milliseconds since 1970.
pub fn unix_ms() -> u64 {
    wire::millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Formats a time, in milliseconds since 1970, with the date if it is not that of `now`.
pub fn local_clock(at: u64, now: u64) -> String {
    clock(at, now, |_| "%Y-%m-%d %H:%M")
}

/// Formats a time for a table, in at most twelve columns, as `ls -l` does.
pub fn short_clock(at: u64, now: u64) -> String {
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
