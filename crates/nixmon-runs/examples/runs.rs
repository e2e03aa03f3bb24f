//! Lists the recorded runs of nixmon, or prints the log of one.
//!
//! `cargo run -p nixmon-runs --example runs [RUN]`, with the number or name of a run.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "an example prints"
)]

use std::process::ExitCode;

use nixmon_core::frontend::LinesOptions;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::{LogRequest, Logs, Recovery, Runs};
use nixmon_runs::{Places, QueryError, Store};

fn main() -> ExitCode {
    match run(std::env::args().nth(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the log of the run named by `reference`, or lists the newest runs.
fn run(reference: Option<String>) -> Result<(), QueryError> {
    let home = std::env::var("HOME").unwrap_or_default();
    let state = std::env::var("XDG_STATE_HOME").unwrap_or(format!("{home}/.local/state"));
    let places = Places { log_dir: "/nix/var/log/nix".to_owned(), ..Places::default() };
    // A run whose monitor was killed is replayed, once, to find out how it ended.
    let lines = LinesOptions::default();
    let recovery = Recovery { lines: lines.clone(), places: &places, on_replay: &|_| Box::new(|_| {}) };
    let runs = Runs::new(Store::open(format!("{state}/nixmon/runs")), |dir, facts, exit| {
        recovery.replay(dir, facts, exit)
    });
    if let Some(reference) = reference {
        let dir = runs.find(Some(&reference))?;
        let note = |note| eprintln!("{note:?}");
        let logs = Logs { runs: &runs, places: &places, style: lines.style, note: &note };
        return logs.write(&dir, &LogRequest::default(), Box::new(std::io::stdout()));
    }
    let (ids, n_older) = runs.list(Some(20))?;
    for id in ids {
        match runs.listed(id, unix_ms()).look {
            Ok(look) => println!("{id}  {:?}  {}", look.status.state, look.status.line),
            Err(error) => println!("{id}  {error}"),
        }
    }
    println!("and {n_older} older runs");
    Ok(())
}
