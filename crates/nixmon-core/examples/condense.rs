//! Condenses a log on standard input into a few lines, and ends with the exit status of the build.
//!
//! `nix build --log-format internal-json -v |& cargo run -p nixmon-core --example condense`

#![expect(clippy::disallowed_methods, reason = "the caller of the core has the clock")]

use std::io::Read;
use std::process::ExitCode;
use std::time::Instant;

use nixmon_core::frontend::{Lines, LinesOptions};
use nixmon_core::pipeline::Pipeline;
use nixmon_core::view::Evidence;

fn main() -> std::io::Result<ExitCode> {
    let options = LinesOptions::default();
    let logs = options.logs;
    let mut pipeline = Pipeline::new(Lines::new(std::io::stdout(), options), logs);
    let begun = Instant::now();
    let mut stdin = std::io::stdin().lock();
    let mut bytes = [0; 64 << 10];
    loop {
        let n = stdin.read(&mut bytes)?;
        if n == 0 {
            break;
        }
        // The core knows no clock. A program that waits for input elsewhere also calls `tick` four times a second.
        pipeline.feed(&bytes[..n], begun.elapsed());
        pipeline.tick(begun.elapsed());
    }
    let code = pipeline.end(None, begun.elapsed(), |_| Evidence::default());
    Ok(u8::try_from(code).unwrap_or(1).into())
}
