//! Times of files that tools write down: `.ninja_log` and cargo's timings.

use std::time::Duration;

use serde::Deserialize;

/// The time of one file or unit, from the tool's own record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTime {
    /// The output, or the crate with its target.
    pub name: String,
    /// The time from the begin of the build.
    pub started: Duration,
    /// Its duration.
    pub elapsed: Duration,
}

/// Reads a `.ninja_log` of version 5 or later (ninja 1.11.1 src/build_log.cc): start, end, mtime, output, hash.
///
/// The file holds several builds, whose times all begin at 0; only the last is returned. A new build is told by an end
/// that is smaller than the one before, since ninja writes a line when a step ends. Outputs of one step have one time;
/// the first stands for all. Returns nothing for another version.
pub fn ninja_log(text: &str) -> Option<Vec<FileTime>> {
    let mut lines = text.lines();
    let version: u32 = lines.next()?.strip_prefix("# ninja log v")?.parse().ok()?;
    if version < 5 {
        return None;
    }
    let mut times: Vec<FileTime> = Vec::new();
    let (mut last, mut last_step) = (0, None);
    for line in lines {
        let mut fields = line.split('\t');
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (Some(start), Some(end), Some(mtime)) = (number(), number(), number()) else { continue };
        let (Some(output), Some(hash)) = (fields.next(), fields.next()) else { continue };
        if end < last {
            times.clear();
        }
        last = end;
        let step = Some((start, end, mtime, hash));
        if step != last_step && end >= start {
            times.push(FileTime {
                name: output.to_owned(),
                started: Duration::from_millis(start),
                elapsed: Duration::from_millis(end - start),
            });
        }
        last_step = step;
    }
    Some(times)
}

#[derive(Deserialize)]
struct CargoUnit {
    name: String,
    #[serde(default)]
    target: String,
    start: f64,
    duration: f64,
}

/// Reads the units of `cargo build --timings`: the JSON array after `const UNIT_DATA = ` in its report, or that array
/// alone (cargo 1.95 src/cargo/core/compiler/timings).
pub fn cargo_timings(text: &str) -> Option<Vec<FileTime>> {
    let json = match text.split_once("UNIT_DATA = ") {
        Some((_, rest)) => rest,
        None => text,
    };
    let mut units = serde_json::Deserializer::from_str(json).into_iter::<Vec<CargoUnit>>();
    let units = units.next()?.ok()?;
    let times = units.into_iter().map(|unit| FileTime {
        name: format!("{}{}", unit.name, unit.target),
        started: crate::weights::duration(unit.start),
        elapsed: crate::weights::duration(unit.duration),
    });
    Some(times.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninja_logs() {
        let text = "# ninja log v5\n0\t100\t1\ta.o\tff\n0\t120\t1\tb.o\tee\n0\t120\t1\tb.d\tee\n1\t30\t2\ta.o\tff\n2\t60\t2\tx\tdd\n";
        let times = ninja_log(text).unwrap();
        let names: Vec<(&str, u128)> =
            times.iter().map(|t| (t.name.as_str(), t.elapsed.as_millis())).collect();
        assert_eq!(names, [("a.o", 29), ("x", 58)]);
        assert_eq!(ninja_log("# ninja log v4\n"), None);
        assert_eq!(ninja_log("garbage"), None);
    }

    #[test]
    fn timings_of_cargo() {
        let text = r#"<script>const UNIT_DATA = [{"i":0,"name":"itoa","target":"","start":0.5,"duration":1.25,"unlocked_units":[]}];
const X = 1;"#;
        let times = cargo_timings(text).unwrap();
        assert_eq!(times.len(), 1);
        assert_eq!((times[0].name.as_str(), times[0].elapsed.as_millis()), ("itoa", 1250));
        assert_eq!(cargo_timings("nothing"), None);
    }
}
