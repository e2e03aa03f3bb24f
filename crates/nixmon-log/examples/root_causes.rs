//! Prints the errors of a log on standard input that are root causes, with their kind and place, and counts the builds.
//!
//! `nix build --log-format internal-json -v |& cargo run -p nixmon-log --example root_causes`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

use std::io::Read;

use nixmon_log::input::{Event, Reader};
use nixmon_log::nix::error::{ErrorText, is_error, parse_error};
use nixmon_log::nix::log::{ActivityType, LogMessage};

fn main() -> std::io::Result<()> {
    let mut builds = 0;
    let mut on_event = |event: Event<'_>| match event {
        Event::Record(LogMessage::Start { kind: ActivityType::Build, .. }) => builds += 1,
        Event::Record(LogMessage::Msg { msg, raw_msg, .. }) => {
            let raw_msg = raw_msg.map(|text| text.decode());
            show(&ErrorText { msg: &msg.decode(), raw_msg: raw_msg.as_deref(), ..ErrorText::default() });
        }
        Event::Error(msg) => show(&ErrorText { msg, ..ErrorText::default() }),
        Event::Problem(problem) => eprintln!("{}: {}", problem.kind, problem.excerpt),
        _ => {}
    };
    let mut reader = Reader::default();
    let mut stdin = std::io::stdin().lock();
    let mut bytes = [0; 64 << 10];
    loop {
        let n = stdin.read(&mut bytes)?;
        if n == 0 {
            break;
        }
        reader.feed(&bytes[..n], &mut on_event);
    }
    reader.finish(&mut on_event);
    println!("{builds} builds were started");
    Ok(())
}

/// Prints an error, unless it only follows from another.
fn show(text: &ErrorText<'_>) {
    if !is_error(text.msg) {
        return;
    }
    let error = parse_error(text);
    if error.is_cascade() {
        return;
    }
    println!("{}: {}", error.kind.as_str(), error.message);
    if let Some(place) = error.user_location.or(error.location) {
        println!("  at {}:{}", place.file, place.line.unwrap_or(1));
    }
    if let Some(advice) = error.kind.advice() {
        println!("  {advice}");
    }
}
