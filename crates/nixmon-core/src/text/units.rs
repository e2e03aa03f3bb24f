//! Numbers for people: durations, sizes, counts.

use std::time::Duration;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Formats a duration with its two greatest units: `0s`, `33s`, `1m04s`, `2h05m`, `3d04h`. Rounded down.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Formats the time before a line about the whole run: `[1m04s] `. [`stamped`] finds it again.
pub fn stamp(at: Duration) -> String {
    format!("[{}] ", duration(at))
}

/// Returns the text behind the time that [`stamp`] puts before a line; `None` if the line has none.
pub fn stamped(line: &str) -> Option<&str> {
    let (time, text) = line.strip_prefix('[')?.split_once("] ")?;
    let mut rest = time;
    let mut n_units = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest.get(digits..).filter(|_| digits > 0)?;
        rest = unit.strip_prefix(['s', 'm', 'h', 'd'])?;
        n_units += 1;
    }
    (1..=2).contains(&n_units).then_some(text)
}

/// Formats a number of bytes in binary units: `812 B`, `1.9 GiB`, `31 MiB`. One decimal below ten, rounded to nearest.
pub fn bytes(n_bytes: u64) -> String {
    let (number, unit) = rounded(n_bytes);
    format!("{number} {unit}")
}

/// Formats a part of a total in the unit of the total: `0.9/1.9 GiB`.
///
/// The part is rounded down, so that it does not look finished too early. A total of zero is unknown: then only the part
/// is shown.
pub fn bytes_of(done: u64, total: u64) -> String {
    if total == 0 {
        return bytes(done);
    }
    let (number, unit) = rounded(total);
    if done == total {
        return format!("{number}/{number} {unit}");
    }
    let exponent = UNITS.iter().position(|u| *u == unit).unwrap_or_default();
    let scale = 1_u128 << (10 * exponent);
    let tenths = u128::from(done) * 10 / scale;
    let done = if tenths < 100 && exponent > 0 && tenths > 0 {
        format!("{}.{}", tenths / 10, tenths % 10)
    } else {
        format!("{}", tenths / 10)
    };
    format!("{done}/{number} {unit}")
}

/// Formats a rate in bytes per second: `12 MiB/s`.
pub fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// Returns the number in the unit that gives it at most three digits, and that unit.
fn rounded(n_bytes: u64) -> (String, &'static str) {
    for (exponent, unit) in UNITS.into_iter().enumerate() {
        let scale = 1_u128 << (10 * exponent);
        let n_bytes = u128::from(n_bytes);
        let whole = (n_bytes + scale / 2) / scale;
        if whole < 1_000 {
            let tenths = (n_bytes * 10 + scale / 2) / scale;
            let one_decimal = exponent > 0 && tenths < 100;
            let number =
                if one_decimal { format!("{}.{}", tenths / 10, tenths % 10) } else { format!("{whole}") };
            return (number, unit);
        }
    }
    // Not reached: 2^64 bytes are 16 EiB.
    (thousands(n_bytes), "B")
}

/// Formats a number with separators: `1,234`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns the word for a number of things.
pub fn plural<'a>(n: u64, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

/// Formats a number of things: `1 derivation`, `1,234 derivations`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), plural(n, one, many))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stamps_are_found_again() {
        for seconds in [0, 9, 59, 60, 64, 3_599, 3_600, 7_500, 86_400, 273_600, 8_640_000] {
            let line = format!("{}text [x] y", stamp(Duration::from_secs(seconds)));
            assert_eq!(stamped(&line), Some("text [x] y"), "{line}");
        }
        for line in [
            "text",
            "[x] y",
            "[12] y",
            "[] y",
            "[s] y",
            "[1m] ",
            "[1m2m3m] y",
            "[1.5s] y",
            "[1s]y",
            " [1s] y",
        ] {
            let expected = (line == "[1m] ").then_some("");
            assert_eq!(stamped(line), expected, "{line}");
        }
    }

    #[test]
    fn durations() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (0.999, "0s"),
            (33.0, "33s"),
            (59.9, "59s"),
            (60.0, "1m00s"),
            (64.0, "1m04s"),
            (3_599.0, "59m59s"),
            (7_500.0, "2h05m"),
            (86_399.0, "23h59m"),
            (86_400.0, "1d00h"),
            (273_600.0, "3d04h"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), expected);
        }
        assert_eq!(duration(Duration::MAX), "213503982334601d07h");
    }

    #[test]
    fn sizes() {
        let (kib, mib, gib) = (1_u64 << 10, 1_u64 << 20, 1_u64 << 30);
        for (n, expected) in [
            (0, "0 B"),
            (9, "9 B"),
            (812, "812 B"),
            (999, "999 B"),
            (1_000, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (10 * kib - 1, "10 KiB"),
            (31 * mib, "31 MiB"),
            (999 * mib, "999 MiB"),
            (1_000 * mib, "1.0 GiB"),
            (19 * gib / 10, "1.9 GiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(n), expected, "{n}");
        }
        assert_eq!(rate(12 * mib), "12 MiB/s");
        for (done, total, expected) in [
            (0, 0, "0 B"),
            (5 * mib, 0, "5.0 MiB"),
            (0, 31 * mib, "0/31 MiB"),
            (12 * mib, 31 * mib, "12/31 MiB"),
            (5 * mib / 2, 31 * mib, "2.5/31 MiB"),
            (97 * gib / 100, 19 * gib / 10, "0.9/1.9 GiB"),
            (19 * gib / 10, 19 * gib / 10, "1.9/1.9 GiB"),
            (2 * gib - 1, 2 * gib, "1.9/2.0 GiB"),
            (5, 812, "5/812 B"),
            (3 * gib, mib, "3072/1.0 MiB"),
            (u64::MAX, 1, "18446744073709551615/1 B"),
        ] {
            assert_eq!(bytes_of(done, total), expected, "{done} of {total}");
        }
    }

    #[test]
    fn counts() {
        for (n, expected) in [
            (0, "0 derivations"),
            (1, "1 derivation"),
            (999, "999 derivations"),
            (1_234, "1,234 derivations"),
            (1_234_567, "1,234,567 derivations"),
        ] {
            assert_eq!(count(n, "derivation", "derivations"), expected);
        }
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
    }

    proptest! {
        #[test]
        fn sizes_are_short_and_near(n: u64, shift in 0..64_u32) {
            let n = n >> shift;
            let text = bytes(n);
            prop_assert!(text.len() <= 7, "{}", text);
            let (number, unit) = text.split_once(' ').unwrap();
            let exponent = UNITS.iter().position(|u| *u == unit).unwrap();
            let value = number.parse::<f64>().unwrap() * 1024_f64.powi(exponent as i32);
            prop_assert!((value - n as f64).abs() <= n as f64 * 0.051, "{} for {}", text, n);
        }

        #[test]
        fn thousands_keeps_the_digits(n: u64) {
            prop_assert_eq!(thousands(n).replace(',', ""), n.to_string());
        }
    }
}
