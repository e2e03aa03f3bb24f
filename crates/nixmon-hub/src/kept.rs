//! Logs of derivations that a recording lacks and Nix has kept: builders print nothing to a command that does not ask for it.

use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nixmon_core::render::Style;
use nixmon_log::escapes::sanitize;
use nixmon_log::nix::store_path::derivation_name;
use nixmon_runs::query::{LogRequest, Logs, Runs};
use nixmon_runs::{QueryError, RunId};

use crate::log::{Key, Kind, Log, NewLine, Writer};
use crate::program::Program;

/// Number of logs that are held at once; the one that was made first makes room.
const MAX_LOGS: usize = 12;

/// Logs that Nix has kept, by run and path of the derivation.
#[derive(Debug)]
pub(crate) struct KeptLogs {
    directory: PathBuf,
    logs: Mutex<VecDeque<(RunId, String, Log)>>,
}

impl KeptLogs {
    /// Keeps copies in `directory`.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, logs: Mutex::default() }
    }

    /// Returns the log of a derivation of which a run has recorded no lines; a log without lines if there is none.
    ///
    /// # Errors
    ///
    /// If the run or the log cannot be read, or there is no room for a copy.
    pub(crate) fn get(
        &self,
        program: &dyn Program,
        runs: &Runs<'_>,
        run: RunId,
        path: &str,
    ) -> Result<Log, QueryError> {
        let lock = || self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., log)) = lock().iter().find(|(of, other, _)| *of == run && other == path) {
            return Ok(log.clone());
        }
        let dir = runs.store().run(run)?;
        let (mut writer, log) = Writer::new(&self.directory).map_err(QueryError::Write)?;
        let name = derivation_name(path).unwrap_or(path);
        let source = writer.add_source(&sanitize(path), &sanitize(name));
        let prefix = format!("{}> ", sanitize(name));
        let lines = Lines(Arc::new(Mutex::new(Unfinished { writer, source, prefix, line: Vec::new() })));
        let logs = Logs { runs, places: program.places(), style: Style::default(), note: &|_| {} };
        let request = LogRequest { derivation: Some(path.to_owned()), ..LogRequest::default() };
        let written = logs.write(&dir, &request, Box::new(lines.clone()));
        lines.0.lock().unwrap_or_else(PoisonError::into_inner).writer.finish(None);
        written?;
        let mut kept = lock();
        if kept.len() >= MAX_LOGS {
            kept.pop_front();
        }
        kept.push_back((run, path.to_owned(), log.clone()));
        Ok(log)
    }
}

/// Takes the text of a log, and writes its lines.
#[derive(Clone)]
struct Lines(Arc<Mutex<Unfinished>>);

struct Unfinished {
    writer: Writer,
    source: u32,
    /// The name of the derivation before each line.
    prefix: String,
    line: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut unfinished = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Unfinished { writer, source, prefix, line } = &mut *unfinished;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if !line.ends_with(b"\n") {
                continue;
            }
            let text = String::from_utf8_lossy(line);
            let text = sanitize(text.trim_end_matches('\n'));
            let key = Key { source: *source, phase: 0 };
            let name = if text.starts_with(&**prefix) { prefix.len() } else { 0 };
            writer.push(&NewLine { key, kind: Kind::Text, at_ms: 0, text: &text, name, spans: &[] });
            line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
