//! Holds what this crate says of a recorded build against the truth beside it.
//!
//! `score [--past OTHER] DIR...`: each DIR has `log.nixrec`, `truth.json` (files with their true times and packages), perhaps
//! `project` (a build directory's `.cmake`) and `cause.json`. `OTHER` is a directory of the same form, whose truth is taken
//! as an earlier run. A snapshot is taken every second of the recording.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program for developers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nixmon_progress::{
    Build, Hints, Past, PastUnit, Status, Tool,
    packages::{Disk, Project},
};
use serde_json::Value;

const SLACK: u64 = 1500;

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    let past = args.next_if_eq("--past").and_then(|_| args.next());
    let mut total: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for dir in args {
        for (name, (right, asked)) in score(&dir, past.as_deref()) {
            let sum = total.entry(name).or_default();
            *sum = (sum.0 + right, sum.1 + asked);
        }
    }
    for (name, (right, asked)) in total {
        println!("{:6.1} %  {right}/{asked}  {name}", 100.0 * right as f64 / asked as f64);
    }
}

/// The truth of a file.
struct File {
    package: String,
    begin: u64,
    end: u64,
    failed: bool,
}

fn json(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn past_of(dir: &str) -> Option<Past> {
    let truth = json(&format!("{dir}/truth.json"));
    let millis = |value: &Value| Duration::from_millis(value.as_u64().unwrap());
    let files = truth["files"].as_array().unwrap().iter().filter(|file| file["kind"] == "compile");
    let units = files.map(|file| PastUnit {
        package: file["package"].as_str().map(str::to_owned),
        file: file["file"].as_str().unwrap().to_owned(),
        started: millis(&file["begin_ms"]),
        elapsed: millis(&file["end_ms"]) - millis(&file["begin_ms"]),
    });
    Past::new(millis(&truth["elapsed_ms"]), units)
}

fn score(dir: &str, past: Option<&str>) -> BTreeMap<&'static str, (usize, usize)> {
    let truth = json(&format!("{dir}/truth.json"));
    let files: Vec<File> = truth["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| file["kind"] == "compile")
        .map(|file| File {
            package: file["package"].as_str().unwrap().to_owned(),
            begin: file["begin_ms"].as_u64().unwrap(),
            end: file["end_ms"].as_u64().unwrap(),
            failed: file["exit"] != 0,
        })
        .collect();
    let end = truth["elapsed_ms"].as_u64().unwrap();
    let success = truth["exit_status"] == 0;
    let argv: Vec<&str> =
        truth["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    // A replay does not know the command line of a recorded filter.
    let jobs = std::env::var("JOBS")
        .ok()
        .map_or(nixmon_progress::jobs(&argv, |_| None), |jobs| jobs.parse().ok().filter(|jobs| *jobs > 0));
    let mut build = Build::new(Hints {
        jobs,
        project: Project::read(&Disk::new(format!("{dir}/project")))
            .filter(|_| std::env::var_os("NO_PROJECT").is_none()),
        past: past.and_then(past_of),
        ..Hints::default()
    });
    let mut answers: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut notes: Vec<String> = Vec::new();
    let mut ask = |name: &'static str, right: bool, note: &dyn Fn() -> String| {
        let sum = answers.entry(name).or_default();
        *sum = (sum.0 + usize::from(right), sum.1 + 1);
        if !right && std::env::var_os("NOTES").is_some() {
            notes.push(format!("{name}: {}", note()));
        }
    };
    let (mut distances, mut own, mut last) = (Vec::new(), Vec::new(), -1.0);
    let text = String::from_utf8_lossy(&std::fs::read(format!("{dir}/log.nixrec")).unwrap()).into_owned();
    let mut next = 1000;
    let mut partial = String::new();
    let trace = std::env::var_os("TRACE").is_some();
    for record in text.lines().skip(1).map(Some).chain([None]) {
        let parsed = record.and_then(|record| {
            let digits = record.find(|c: char| !c.is_ascii_digit())?;
            Some((
                record[..digits].parse::<u64>().unwrap(),
                record[digits..].chars().next()?,
                &record[digits + 1..],
            ))
        });
        let at = parsed.map_or(end, |(at, _, _)| at);
        while next <= at.min(end) {
            let now = Duration::from_millis(next);
            let share = 100.0 * next as f64 / end as f64;
            let Some(unit) = build.unit(now) else {
                next += 1000;
                continue;
            };
            if let Some(percent) = unit.percent {
                ask("percent never falls", percent >= last, &|| format!("{last} then {percent}"));
                last = percent;
                distances.push((percent - share).abs());
                if trace && next % 20_000 == 0 {
                    println!(
                        "{:4} s: {share:5.1} % of the time, {percent:5.1} % said, {:?} {:?}",
                        next / 1000,
                        unit.package,
                        unit.current
                    );
                }
            }
            if let Some(total) = unit.total.filter(|_| unit.tool == Tool::Ninja) {
                own.push((100.0 * unit.done as f64 / total as f64 - share).abs());
            }
            let is_now = |file: &&File| file.begin.saturating_sub(SLACK) <= next && next <= file.end + SLACK;
            let running: BTreeSet<&str> =
                files.iter().filter(is_now).map(|file| file.package.as_str()).collect();
            if let Some(package) = &unit.package
                && !running.is_empty()
            {
                ask("package of the moment", running.contains(package.as_str()), &|| {
                    format!("{package} at {next}, true {running:?}")
                });
            }
            for package in build.packages(now) {
                let of: Vec<&File> = files.iter().filter(|file| file.package == package.name).collect();
                let Some(begun) = of.iter().map(|file| file.begin).min() else { continue };
                let ended = of.iter().map(|file| file.end).max().unwrap();
                if next + SLACK < begun {
                    ask("status", package.status == Status::Queued, &|| {
                        format!("{} {:?} at {next}, begins {begun}", package.name, package.status)
                    });
                } else if begun + SLACK < next && next + SLACK < ended {
                    let right = package.status == Status::Compiling || of.iter().any(|file| file.failed);
                    ask("status", right, &|| {
                        format!(
                            "{} {:?} at {next}, compiles {begun} to {ended}",
                            package.name, package.status
                        )
                    });
                    let low = of.iter().filter(|file| file.end + SLACK < next).count() as u64;
                    let high = of.iter().filter(|file| file.begin < next + SLACK).count() as u64;
                    ask("files done", (low..=high).contains(&package.done), &|| {
                        format!("{} {} at {next}, true {low} to {high}", package.name, package.done)
                    });
                }
            }
            next += 1000;
        }
        let Some((at, mark, text)) = parsed else { continue };
        match mark {
            '~' => partial.push_str(text),
            ' ' => {
                let line = std::mem::take(&mut partial) + text;
                build.line(&line, Duration::from_millis(at));
                build.error_line(&line);
            }
            _ => build.end(success, Duration::from_millis(at)),
        }
    }
    let packages = build.packages(Duration::from_millis(end));
    for name in files.iter().map(|file| file.package.as_str()).collect::<BTreeSet<_>>() {
        let of: Vec<&File> = files.iter().filter(|file| file.package == name).collect();
        let failed = of.iter().any(|file| file.failed);
        let found = packages.iter().find(|package| package.name == name);
        if failed || success {
            let expected = if failed { Status::Failed } else { Status::Built };
            ask("package at the end", found.is_some_and(|package| package.status == expected), &|| {
                format!("{name} {:?}", found.map(|p| p.status))
            });
        }
        if success {
            ask("files at the end", found.is_some_and(|package| package.done == of.len() as u64), &|| {
                format!("{name} {:?} of {}", found.map(|p| p.done), of.len())
            });
        }
    }
    for package in truth["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(found) = packages.iter().find(|found| found.name == name) else { continue };
        let expected: BTreeSet<&str> =
            package["depends_on"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let said: BTreeSet<&str> = found.depends_on.iter().map(String::as_str).collect();
        ask("dependencies", said == expected, &|| name.to_owned());
    }
    if let Ok(cause) = std::fs::read_to_string(format!("{dir}/cause.json")) {
        let cause: Value = serde_json::from_str(&cause).unwrap();
        let causes = build.causes();
        let hit = causes.iter().find(|found| {
            found.place.as_ref().is_some_and(|place| {
                place.file.ends_with(cause["file"].as_str().unwrap())
                    && place.line.map(u64::from) == cause["line"].as_u64()
            }) && found.message.contains(cause["message~"].as_str().unwrap())
        });
        ask("cause", hit.is_some(), &|| format!("{causes:?}"));
        ask(
            "package of the cause",
            hit.is_some_and(|hit| hit.package.as_deref() == cause["package"].as_str()),
            &|| format!("{hit:?}"),
        );
    }
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len().max(1) as f64;
    println!(
        "{dir}: mean distance {:.1} points of {} snapshots; by ninja's own count {:.1}",
        mean(&distances),
        distances.len(),
        mean(&own)
    );
    for note in notes.iter().take(40) {
        println!("  wrong: {note}");
    }
    answers
}
