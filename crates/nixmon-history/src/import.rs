//! Importing: our own JSON lines, and the files of nix-output-monitor and rom. Twice is once.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::record::{
    BuildOutcome, BuildRecord, Line, RunOutcome, RunRecord, SCHEMA, format_moment, parse_moment,
};
use crate::store::{Batch, Store, StoreError};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON lines, as [`export`](crate::export::export) writes them.
    Lines,
    /// `build-reports.csv` of nix-output-monitor: package names, UTC times, whole seconds.
    Nom,
    /// `build-reports-v1.csv` of rom: names with versions, RFC 3339 times, whole seconds.
    Rom,
}

impl Format {
    /// Tells the format from the first line.
    pub fn detect(first_line: &str) -> Option<Format> {
        let line = first_line.trim_start_matches('\u{feff}').trim();
        match line {
            "hostname,derivation name,utc time,build seconds" => Some(Format::Nom),
            "hostname,derivation_name,utc_time,build_seconds" => Some(Format::Rom),
            _ => line.starts_with('{').then_some(Format::Lines),
        }
    }
}

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The runs that were new.
    pub runs: usize,
    /// The builds, downloads and so on that were new.
    pub rows: usize,
    /// The lines of a type that this nixmon does not know.
    pub unknown: usize,
    /// The lines that could not be read, and of rows whose run is missing.
    pub unreadable: usize,
    /// The first of those: its number and the reason.
    pub first_unreadable: Option<(usize, String)>,
}

/// A failure of an import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is in none of the formats.
    #[error("the file is neither an exported history nor a build report of nix-output-monitor or rom")]
    Format,
    /// The file is of a newer nixmon.
    #[error("the file has format {found}, and this nixmon knows up to {SCHEMA}")]
    Newer {
        /// The version found.
        found: u32,
    },
    /// The file could not be read.
    #[error("failed to read the file")]
    Read(#[source] std::io::Error),
    /// The history failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the places in which nix-output-monitor and rom keep their reports, below a state directory.
pub fn known_files(state_home: &Path) -> [PathBuf; 2] {
    [state_home.join("nix-output-monitor/build-reports.csv"), state_home.join("rom/build-reports-v1.csv")]
}

/// The rows after which what has been read is written.
const CHUNK: usize = 50_000;

/// Reads a file into the history. `this_host` is the name for builds of the machine that wrote a report.
pub fn import(store: &mut Store, mut reader: impl BufRead, this_host: &str) -> Result<Imported, ImportError> {
    let mut first = String::new();
    reader.read_line(&mut first).map_err(ImportError::Read)?;
    let format = Format::detect(&first).ok_or(ImportError::Format)?;
    let mut importer =
        Importer { store, done: Imported::default(), runs: Vec::new(), by_id: HashMap::new(), rows: 0 };
    match format {
        Format::Lines => importer.lines(&first, reader)?,
        Format::Nom | Format::Rom => importer.reports(reader, format, this_host)?,
    }
    importer.write(format == Format::Lines, 0)?;
    Ok(importer.done)
}

struct Importer<'a> {
    store: &'a mut Store,
    done: Imported,
    runs: Vec<(RunRecord, Batch)>,
    by_id: HashMap<String, usize>,
    rows: usize,
}

impl Importer<'_> {
    fn unreadable(&mut self, line: usize, reason: String) {
        self.done.unreadable += 1;
        self.done.first_unreadable.get_or_insert((line, reason));
    }

    /// Writes all runs but the last `keep`, whose rows may still come.
    fn write(&mut self, whole: bool, keep: usize) -> Result<(), ImportError> {
        let rest = self.runs.split_off(self.runs.len().saturating_sub(keep));
        let mut runs = std::mem::replace(&mut self.runs, rest);
        if whole {
            for (_, batch) in &mut runs {
                batch.count_concurrency();
            }
        }
        let written = runs.len();
        let (new, rows) = self.store.merge(&runs)?;
        self.done.runs += new;
        self.done.rows += rows;
        self.by_id.retain(|_, at| *at >= written);
        self.by_id.values_mut().for_each(|at| *at -= written);
        self.rows = self.runs.iter().map(|(_, batch)| batch.len()).sum();
        Ok(())
    }

    fn lines(&mut self, first: &str, reader: impl BufRead) -> Result<(), ImportError> {
        let mut number = 1;
        self.line(number, first)?;
        for line in reader.split(b'\n') {
            number += 1;
            let line = line.map_err(ImportError::Read)?;
            let text = String::from_utf8_lossy(&line);
            if !text.trim().is_empty() {
                self.line(number, &text)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, number: usize, text: &str) -> Result<(), ImportError> {
        let value: serde_json::Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                self.unreadable(number, error.to_string());
                return Ok(());
            }
        };
        const TYPES: [&str; 7] =
            ["nixmon-history", "run", "build", "download", "unit", "package", "prediction"];
        match value.get("type").and_then(serde_json::Value::as_str) {
            Some(kind) if TYPES.contains(&kind) => {}
            Some(_) => {
                self.done.unknown += 1;
                return Ok(());
            }
            None => {
                self.unreadable(number, "it has no type".to_owned());
                return Ok(());
            }
        }
        let line: Line = match serde_json::from_value(value) {
            Ok(line) => line,
            Err(error) => {
                self.unreadable(number, error.to_string());
                return Ok(());
            }
        };
        let run = match &line {
            Line::Header { schema } if *schema > SCHEMA => return Err(ImportError::Newer { found: *schema }),
            Line::Header { .. } => return Ok(()),
            Line::Run(run) => {
                if parse_moment(&run.started).is_none() {
                    self.unreadable(number, format!("`started` is no moment: {:?}", run.started));
                    return Ok(());
                }
                if self.rows >= CHUNK {
                    self.write(true, 0)?;
                }
                self.by_id.insert(run.id.clone(), self.runs.len());
                self.runs.push((run.clone(), Batch::default()));
                return Ok(());
            }
            Line::Build(b) => &b.run,
            Line::Download(d) => &d.run,
            Line::Unit(u) => &u.run,
            Line::Package(p) => &p.run,
            Line::Prediction(p) => &p.run,
        };
        let Some(&at) = self.by_id.get(run) else {
            let reason = format!("its run {run:?} is not in the file before it");
            self.unreadable(number, reason);
            return Ok(());
        };
        let batch = &mut self.runs[at].1;
        match line {
            Line::Build(b) if b.name.is_empty() => self.unreadable(number, "it has no name".to_owned()),
            Line::Build(b) => batch.builds.push(b),
            Line::Download(d) => batch.downloads.push(d),
            Line::Unit(u) => batch.units.push(u),
            Line::Package(p) => batch.packages.push(p),
            Line::Prediction(p) => batch.predictions.push(p),
            Line::Header { .. } | Line::Run(_) => {}
        }
        self.rows += 1;
        Ok(())
    }

    /// Reads a table of builds without runs. They become one run per host and day, since estimates ask for the run of each.
    fn reports(&mut self, reader: impl BufRead, format: Format, this_host: &str) -> Result<(), ImportError> {
        let source = if format == Format::Nom { "nom" } else { "rom" };
        for (i, line) in reader.split(b'\n').enumerate() {
            let line = line.map_err(ImportError::Read)?;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let Some((host, name, stop_ms, seconds)) = report(text, format) else {
                self.unreadable(i + 2, "it is no row of this table".to_owned());
                continue;
            };
            let host = if host.is_empty() || host == "localhost" { this_host } else { &host };
            let day = stop_ms.div_euclid(DAY_MS) * DAY_MS;
            // A build that began before midnight begins with the day: it is the time that it took which counts.
            let in_day = (stop_ms - day).unsigned_abs();
            let elapsed_ms = seconds.saturating_mul(1000);
            let id = format!("{source} {host} {}", &format_moment(day)[..10]);
            let at = *self.by_id.entry(id.clone()).or_insert_with(|| {
                let run = RunRecord {
                    id,
                    host: Some(host.to_owned()),
                    started: format_moment(day),
                    outcome: RunOutcome::Unknown,
                    source: Some(source.to_owned()),
                    ..RunRecord::default()
                };
                self.runs.push((run, Batch::default()));
                self.runs.len() - 1
            });
            self.runs[at].1.builds.push(BuildRecord {
                name,
                started_ms: in_day.saturating_sub(elapsed_ms),
                elapsed_ms,
                outcome: BuildOutcome::Built,
                ..BuildRecord::default()
            });
        }
        Ok(())
    }
}

const DAY_MS: i64 = 86_400_000;

/// Reads one row: host, name, end in milliseconds of the epoch, seconds.
fn report(line: &str, format: Format) -> Option<(String, String, i64, u64)> {
    let fields = csv_fields(line)?;
    let [host, name, time, seconds] = <[String; 4]>::try_from(fields).ok()?;
    let stop = match format {
        Format::Nom => jiff::civil::DateTime::strptime("%F %T", time.trim())
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?,
        _ => time.trim().parse::<jiff::Timestamp>().ok()?.to_zoned(jiff::tz::TimeZone::UTC),
    };
    let seconds = seconds.trim().parse().ok()?;
    (!name.is_empty()).then(|| (host, name, stop.timestamp().as_millisecond(), seconds))
}

/// Splits a line of CSV, with quotes as RFC 4180 has them. A field with a line break in it is unknown to both programs.
fn csv_fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_line() {
        let cases = [
            ("hostname,derivation name,utc time,build seconds\r\n", Some(Format::Nom)),
            ("hostname,derivation_name,utc_time,build_seconds", Some(Format::Rom)),
            (r#"{"type":"nixmon-history","schema":1}"#, Some(Format::Lines)),
            ("a,b,c", None),
            ("", None),
        ];
        for (line, format) in cases {
            assert_eq!(Format::detect(line), format, "{line}");
        }
    }

    #[test]
    fn rows_of_reports_are_read_as_their_programs_write_them() {
        let row = |line, format| report(line, format);
        let end = parse_moment("2024-05-01T12:00:10Z").unwrap();
        let nom = row(",gcc,2024-05-01 12:00:10,61", Format::Nom);
        assert_eq!(nom, Some((String::new(), "gcc".to_owned(), end, 61)));
        let rom = row("localhost,chatty-1.0,2024-05-01T12:00:10.25Z,2", Format::Rom);
        assert_eq!(rom, Some(("localhost".to_owned(), "chatty-1.0".to_owned(), end + 250, 2)));
        let quoted = row("\"a,b\"\"c\",gcc,2024-05-01 12:00:10,61", Format::Nom);
        assert_eq!(quoted.map(|r| r.0), Some("a,b\"c".to_owned()));
        for bad in [
            "",
            "a,b",
            ",gcc,yesterday,61",
            ",gcc,2024-05-01 12:00:10,-1",
            ",,2024-05-01 12:00:10,1",
            "\"a,b,c,d",
        ] {
            assert_eq!(row(bad, Format::Nom), None, "{bad}");
        }
    }
}
