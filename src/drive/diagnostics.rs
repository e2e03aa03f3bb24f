//! Diagnostics of nixmon itself, for bug reports and its developers: `NIXMON_LOG=debug` or `--verbose`.
//!
//! They say which way nixmon has taken, never what Nix does, and nothing in them depends on the number of lines or
//! records: a subscriber is not asked in the hot path.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::time::uptime;

use super::background::write_message;
use crate::exit_status::{ExitStatus, Failed};

/// Starts to write diagnostics to standard error, if the environment names a level or `--verbose` asks for them.
pub(crate) fn start(level: Option<&str>, verbose: bool) -> Result<()> {
    let Some(level) = self::level(level, verbose)? else { return Ok(()) };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_timer(uptime())
        .with_writer(|| Messages)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot write diagnostics: {error}"))
}

/// Starts to write diagnostics to a file, if they are asked for: a process in the background has no standard error.
pub(crate) fn start_in_file(path: &Path, level: Option<&str>, verbose: bool) -> Result<()> {
    let Some(level) = self::level(level, verbose)? else { return Ok(()) };
    let file = nixmon_runs::create_file(path).context("cannot write diagnostics")?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_timer(uptime())
        .with_writer(Mutex::new(file))
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot write diagnostics: {error}"))
}

/// Returns the level that the environment asks for, else that of `--verbose`.
fn level(level: Option<&str>, verbose: bool) -> Result<Option<LevelFilter>> {
    match level {
        Some(level) => match level.parse() {
            Ok(level) => Ok(Some(level)),
            Err(_) => {
                let expected = "off, error, warn, info, debug or trace";
                Err(Failed::error(
                    ExitStatus::Usage,
                    format!("NIXMON_LOG is `{level}`, but must be {expected}"),
                ))
            }
        },
        None => Ok(verbose.then_some(LevelFilter::DEBUG)),
    }
}

/// Standard error, without waiting for its reader while a command or a stream is watched.
struct Messages;

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_message(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
