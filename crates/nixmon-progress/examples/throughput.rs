//! Measures the cost of one line: `throughput FILE`, of a log without terminal escapes; without a file of lines that are
//! no progress.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for developers")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use nixmon_progress::{Build, Hints};

fn main() {
    let text = std::env::args().nth(1).and_then(|path| std::fs::read_to_string(path).ok());
    let text = text.unwrap_or_else(|| {
        let line = |n: usize| match n % 5 {
            0 => format!("unpacking source archive /nix/store/abc-source-{n}.tar.gz\n"),
            1 => format!("copying path {n} of many from a cache that is far away, which takes its time\n"),
            2 => format!("/build/source/src/thing_{n}.h:12:3: warning: unused variable\n"),
            3 => format!("  {n} |   int x = 0; // a comment that is long enough to be one\n"),
            _ => format!("{n}: the quick brown fox jumps over the lazy dog\n"),
        };
        (0..100_000).map(line).collect()
    });
    let lines: Vec<&str> = text.lines().collect();
    let mut best = Duration::MAX;
    let mut seen = 0;
    for _ in 0..10 {
        let mut build = Build::new(Hints::default());
        let begun = Instant::now();
        seen = lines.iter().filter(|line| build.line(black_box(line), Duration::ZERO)).count();
        best = best.min(begun.elapsed());
    }
    let each = best.as_nanos() as f64 / lines.len() as f64;
    println!(
        "{} lines, {seen} of progress: {each:.1} ns a line, {:.0} MB/s",
        lines.len(),
        text.len() as f64 / 1e6 / best.as_secs_f64()
    );
}
