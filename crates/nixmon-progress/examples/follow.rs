//! Follows a build's output and prints one line a second: `make 2>&1 | follow`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program: it has a clock and writes")]

use std::io::BufRead;
use std::time::{Duration, Instant};

use nixmon_progress::{Build, Hints, jobs};

fn main() {
    // What follows the program's name is the command whose output is read, for its `-j`.
    let argv: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut build = Build::new(Hints { jobs: jobs(&words, |_| None), ..Hints::default() });
    let begun = Instant::now();
    let mut told = Duration::ZERO;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let now = begun.elapsed();
        build.line(&line, now);
        build.error_line(&line);
        if now >= told + Duration::from_secs(1)
            && let Some(unit) = build.unit(now)
        {
            told = now;
            let percent = unit.percent.map_or_else(String::new, |percent| format!("{percent:3.0} % "));
            let total = unit.total.map_or_else(String::new, |total| format!("/{total}"));
            println!("{percent}({}{total}) {}", unit.done, unit.current.unwrap_or_default());
        }
    }
    for cause in build.causes() {
        println!("{:?}: {}", cause.place, cause.message);
    }
}
