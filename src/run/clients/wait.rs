//! `nixmon wait`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::recover::look;
use super::{say, store, tell, tell_json, unix_ms};
use crate::cli::{WaitArgs, WaitFor};
use crate::run::ExitStatus;
use crate::runs::{RunState, Status};
use crate::settings::Settings;
use crate::text::{Line, Role};
use crate::wire::{RunLine, SCHEMA};

/// How often it is looked whether there is something new.
const POLL: Duration = Duration::from_millis(200);

pub(in crate::run) fn wait(settings: &Settings, args: &WaitArgs) -> Result<ExitStatus> {
    let begun = Instant::now();
    let dir = store(settings)?.find(args.run.as_deref())?;
    let mut lines = CondensedLines::new(dir.lines());
    // Without a cursor, what is there already is not new.
    let mut cursor = match args.since {
        Some(since) => since,
        None => lines.read()?.map_or(0, |all| all.len() as u64),
    };
    loop {
        // Looked at first: once it has ended there are no more lines.
        let look = look(&dir, settings)?;
        let has_ended = look.status.state == RunState::Ended;
        let mut is_new = false;
        if let Some(all) = lines.read()? {
            let skip = usize::try_from(cursor).unwrap_or(usize::MAX);
            for line in all.iter().skip(skip) {
                cursor = cursor.saturating_add(1);
                is_new = true;
                if !print(settings, args.json, dir.id().0, cursor, line) {
                    // Nobody reads any more.
                    return Ok(ExitStatus::Success);
                }
            }
        }
        let timed_out = args.timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
        if has_ended || timed_out || (is_new && args.what == WaitFor::Change) {
            match args.json {
                true => drop(tell_json(&say::json(&Status { cursor, ..look.status.clone() }))),
                false => tell(settings, &[say::how_it_stands(&look.status, cursor, unix_ms())]),
            }
            return Ok(match has_ended {
                true => exit_status(&look.status),
                false if timed_out && !(is_new && args.what == WaitFor::Change) => ExitStatus::TimedOut,
                false => ExitStatus::Success,
            });
        }
        let left = args.timeout.map_or(POLL, |timeout| timeout.saturating_sub(begun.elapsed()));
        std::thread::sleep(left.min(POLL));
    }
}

fn print(settings: &Settings, json: bool, run: u64, cursor: u64, text: &str) -> bool {
    if json {
        let text = crate::text::sanitize(text).into_owned();
        return tell_json(&RunLine { r#type: "line", schema: SCHEMA, run, cursor, text });
    }
    use std::io::Write;
    let line = super::written(settings, &Line::new().with(Role::Plain, text));
    std::io::stdout().write_all(line.as_bytes()).is_ok()
}

/// That of the command; where nobody has seen it, what the stream tells.
fn exit_status(status: &Status) -> ExitStatus {
    match (status.exit_code, status.outcome.as_deref()) {
        (Some(code), _) => ExitStatus::Command(u8::try_from(code & 0xff).unwrap_or(1)),
        (None, Some("success")) => ExitStatus::Success,
        (None, Some("interrupted")) => ExitStatus::Interrupted,
        (None, _) => ExitStatus::Failure,
    }
}

/// The condensed lines of a run, read again only when there may be more.
struct CondensedLines {
    path: PathBuf,
    seen: Option<(u64, u64, i64, i64)>,
}

impl CondensedLines {
    fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// All whole lines; `None` if nothing has changed. They are few: that is what condensed lines are for.
    fn read(&mut self) -> std::io::Result<Option<Vec<String>>> {
        let Some(seen) = identity(&self.path)? else { return Ok(None) };
        if self.seen == Some(seen) {
            return Ok(None);
        }
        let bytes = std::fs::read(&self.path)?;
        self.seen = Some(seen);
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let has_lines = text.contains('\n');
        Ok(Some(whole.split('\n').filter(|_| has_lines).map(str::to_owned).collect()))
    }
}

fn identity(path: &Path) -> std::io::Result<Option<(u64, u64, i64, i64)>> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
