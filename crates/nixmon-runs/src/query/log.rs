//! The logs of a run and of its builds and units, as text.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use regex::bytes::RegexBuilder;

use super::{LineRange, Look, Matches, Runs, Selected, expect};
use crate::clock::unix_ms;
use crate::{Places, QueryError, RunDir, Steps, evidence};
use nixmon_core::frontend::{Closeness, Log, LogLines, LogOf, is_unit};
use nixmon_core::pipeline::{Pipeline, Step};
use nixmon_core::render::{Style, log_files_of};
use nixmon_core::state::{Derivation, DerivationState, State};
use nixmon_core::text::{Line, Role, count, nearest};
use nixmon_log::escapes::{last_carriage, sanitize, strip_escapes};
use nixmon_log::nix::store_path;

/// Time between two looks for more.
const POLL: Duration = Duration::from_millis(200);
/// A monitor's complaint of its recording begins so.
const WHOLE: &str = "the recording ";
/// Names of derivations or units in an error.
const NAMES: usize = 8;

type Out = Selected<Box<dyn Write>>;
type Result<T> = std::result::Result<T, QueryError>;

/// A part of a run's log to be printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Only the log of a derivation: its name or path, the beginning of either, or an output's path.
    pub derivation: Option<String>,
    /// Only lines about a unit or service, and the end of its own log.
    pub unit: Option<String>,
    /// The input as it came.
    pub raw: bool,
    /// Only lines that match this regular expression.
    pub grep: Option<String>,
    /// Only these of the lines.
    pub lines: Option<LineRange>,
    /// Continue until the run ends.
    pub follow: bool,
}

/// A remark about a log, beside its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogNote {
    /// The run has not begun to build this derivation.
    NotBegun(String),
    /// Neither the recording nor Nix has a log of this derivation.
    NoLog(String),
    /// This derivation printed nothing.
    PrintedNothing(String),
    /// The log of a derivation is not in the recording; the lines come from a file that Nix has kept.
    FromNix {
        /// The name of the derivation.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// The recording is damaged; the rest of it is lost.
    Damaged,
    /// The recording breaks off.
    BreaksOff,
    /// So many bytes could not be recorded.
    Lost(u64),
    /// The rest could not be recorded, for this reason.
    NotRecorded(String),
}

/// The logs of runs.
pub struct Logs<'a> {
    /// The runs.
    pub runs: &'a Runs<'a>,
    /// Places of logs that the recording lacks.
    pub places: &'a Places,
    /// The style of lines.
    pub style: Style,
    /// Takes remarks.
    pub note: &'a dyn Fn(LogNote),
}

impl Logs<'_> {
    /// Writes a log. With `follow`, this takes until the run ends.
    ///
    /// # Errors
    ///
    /// If the run, its recording, derivation or unit is not there or cannot be read; or if `out` cannot be written:
    /// [`QueryError::Write`].
    pub fn write(&self, dir: &RunDir, request: &LogRequest, out: Box<dyn Write>) -> Result<()> {
        let grep = request.grep.as_deref().map(matches).transpose()?;
        let look = self.runs.look(dir, unix_ms())?;
        let has_recording = dir.input().exists() || dir.has_rest();
        let may_come = request.follow && look.life.goes_on();
        if !has_recording && !may_come {
            return Err(QueryError::NoRecording { id: dir.id() });
        }
        let out = Selected::new(out, grep, request.lines);
        if request.raw { raw(self, request, look, out) } else { readable(self, request, look, out) }
    }

    fn note(&self, note: LogNote) {
        (self.note)(note);
    }
}

fn matches(pattern: &str) -> Result<Matches> {
    // The default limit, stated so that it is known to exist.
    let regex = RegexBuilder::new(pattern).size_limit(10 << 20).build();
    let regex = regex
        .map_err(|error| QueryError::Pattern { pattern: pattern.to_owned(), reason: error.to_string() })?;
    Ok(Box::new(move |line| regex.is_match(line)))
}

/// Maps an error of the recording.
fn unreadable(look: &Look) -> impl Fn(std::io::Error) -> QueryError {
    let id = look.dir.id();
    move |error| QueryError::Unreadable { id, error }
}

/// Hands on all steps, and if asked for those that come later, until the run has ended. Where it waits for more, it hands
/// on none.
fn play(
    logs: &Logs<'_>,
    follow: bool,
    look_first: &Look,
    mut take: impl FnMut(Option<(Duration, &Step)>) -> Result<()>,
) -> Result<Steps> {
    let mut steps = Steps::of(&look_first.dir);
    let mut goes_on = look_first.life.goes_on();
    loop {
        while let Some((at, step)) = steps.next_step().map_err(unreadable(look_first))? {
            take(Some((at, &step)))?;
        }
        if !follow || !goes_on {
            break;
        }
        take(None)?;
        std::thread::sleep(POLL);
        // Looked at before the steps: once it has ended there are no more.
        goes_on = logs.runs.look(&look_first.dir, unix_ms())?.life.goes_on();
    }
    Ok(steps)
}

/// Notes which part of a recording is missing.
fn warn(logs: &Logs<'_>, look: &Look, follow: bool, steps: &Steps) {
    if steps.is_damaged() {
        logs.note(LogNote::Damaged);
    } else if steps.breaks_off() && (follow || !look.life.goes_on()) {
        logs.note(LogNote::BreaksOff);
    }
    if steps.lost() > 0 {
        logs.note(LogNote::Lost(steps.lost()));
    }
    let of_monitor = || look.status.incomplete.clone().filter(|reason| reason.starts_with(WHOLE));
    if let Some(reason) = look.dir.guard_note().trouble.or_else(of_monitor) {
        logs.note(LogNote::NotRecorded(reason));
    }
}

fn raw(logs: &Logs<'_>, args: &LogRequest, look: Look, mut out: Out) -> Result<()> {
    let steps = play(logs, args.follow, &look, |step| {
        match step {
            Some((_, Step::Bytes(_, bytes))) => out.write_all(bytes).map_err(QueryError::Write)?,
            Some(_) => {}
            None => out.settle(false).map_err(QueryError::Write)?,
        }
        Ok(())
    })?;
    warn(logs, &look, args.follow, &steps);
    out.settle(true).map_err(QueryError::Write)
}

fn readable(logs: &Logs<'_>, args: &LogRequest, look: Look, mut out: Out) -> Result<()> {
    let style = logs.style;
    let mut of = LogOf::Run;
    let mut shown = Vec::new();
    if let Some(wanted) = &args.derivation {
        let may_come = args.follow && look.life.goes_on();
        let chosen = choose(logs, &look, wanted, style, may_come)?;
        if let Some(name) = chosen.not_begun {
            logs.note(LogNote::NotBegun(name));
        }
        of = LogOf::Derivations { wanted: chosen.wanted, closeness: chosen.closeness };
        for (path, name) in chosen.without_lines {
            if nix_log(logs, &path, &name, &mut out)? {
                shown.push(path);
            }
        }
    } else if let Some(unit) = &args.unit {
        of = LogOf::Unit(unit.clone());
    }
    let mut log = Log::new(out, of, style);
    shown.into_iter().for_each(|path| log.is_shown(path));
    let log = Rc::new(RefCell::new(log));
    let mut pipeline = pipeline(&look, &log);
    let steps = play(logs, args.follow, &look, |step| {
        match step {
            Some((at, step)) => pipeline.step(step, at),
            None => {
                release(&mut pipeline);
                check(&log, Selected::settle)?;
            }
        }
        check(&log, |_, _| Ok(()))
    })?;
    warn(logs, &look, args.follow, &steps);
    finish(&mut pipeline, &look, &steps, args.follow)?;
    let mut last = Vec::new();
    if let Some(unit) = &args.unit {
        let is_said = log.borrow().writer().n_lines() > 0;
        last = unit_log(logs, &look, pipeline.state(), unit, is_said)?;
    }
    drop(pipeline);
    let Some(log) = Rc::into_inner(log) else { return Ok(()) };
    let mut out = log.into_inner().into_writer();
    for line in last {
        writeln!(out, "{}", line.plain()).map_err(QueryError::Write)?;
    }
    out.settle(true).map_err(QueryError::Write)
}

fn pipeline<W: Write + 'static>(look: &Look, log: &Rc<RefCell<Log<W>>>) -> Pipeline {
    let mut pipeline = Pipeline::new(Rc::clone(log), LogLines::All(None));
    if let Some(facts) = &look.facts {
        expect(&mut pipeline, facts);
    }
    pipeline
}

/// Ends the pipeline. The last line may lack its end, which may yet come if the run is in progress.
fn finish(pipeline: &mut Pipeline, look: &Look, steps: &Steps, is_followed: bool) -> Result<()> {
    if look.life.goes_on() && !is_followed {
        release(pipeline);
        pipeline.settle(steps.now());
    } else {
        let exit = look.dir.exit()?.map(|exit| exit.status());
        if exit.is_none() {
            pipeline.end_is_unseen();
        }
        pipeline.end(exit, steps.now(), |_| Default::default());
    }
    Ok(())
}

/// Text that waits for a record that says the same has waited long enough.
fn release(pipeline: &mut Pipeline) {
    if let Some(due) = pipeline.next_release() {
        pipeline.release(due);
    }
}

/// Does something with the writer, and returns the error that it had.
fn check(log: &RefCell<Log<Out>>, with: impl FnOnce(&mut Out, bool) -> std::io::Result<()>) -> Result<()> {
    let mut log = log.borrow_mut();
    if let Some(error) = log.sink().broken() {
        return Err(QueryError::Write(error.kind().into()));
    }
    with(log.writer_mut(), false).map_err(QueryError::Write)
}

/// The derivations that `--derivation` selects in a run.
struct Chosen {
    wanted: String,
    closeness: Closeness,
    /// Those that have begun and of whose log there is nothing: path and name.
    without_lines: Vec<(String, String)>,
    /// The name of one, where none has begun.
    not_begun: Option<String>,
}

fn choose(logs: &Logs<'_>, look: &Look, wanted: &str, style: Style, may_come: bool) -> Result<Chosen> {
    let log = Rc::new(RefCell::new(Log::new(std::io::sink(), LogOf::Nothing, style)));
    let mut pipeline = pipeline(look, &log);
    let steps = play(logs, false, look, |step| {
        if let Some((at, step)) = step {
            pipeline.step(step, at);
        }
        Ok(())
    })?;
    // An error is whole only once something else follows, or nothing more.
    finish(&mut pipeline, look, &steps, false)?;
    let (state, log) = (pipeline.state(), log.borrow());
    let derivations = state.derivations();
    // An output stands for what it is built by.
    let by_output = derivations.find_by_output(wanted).map(|id| derivations.get(id).path.to_string());
    let wanted = by_output.unwrap_or_else(|| wanted.to_owned());
    let close = |path: &str, name: &str| Closeness::of(path, name, &wanted);
    // Some failures are known by name only.
    let failed = || state.failures().filter(|(_, failure)| failure.derivation.is_none());
    let failed = || failed().filter_map(|(_, failure)| failure.name.as_deref());
    let known = || derivations.iter().map(|(_, derivation)| (&*derivation.path, derivation.name()));
    let known = || known().chain(failed().map(|name| ("", name)));
    let best = known().filter_map(|(path, name)| close(path, name)).min();
    let Some(closeness) = best.or(may_come.then_some(Closeness::Prefix)) else {
        let mut names: Vec<&str> = known().map(|(_, name)| name).collect();
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        let known = similar(&wanted, &names);
        return Err(QueryError::UnknownDerivation { id: look.dir.id(), wanted, known });
    };
    let chosen = || {
        derivations
            .iter()
            .filter(|(_, other)| close(&other.path, other.name()).is_some_and(|close| close <= closeness))
    };
    let has_begun = |other: &Derivation| other.started.is_some() || other.failure.is_some();
    let not_begun = match chosen().any(|(_, other)| has_begun(other)) || may_come {
        true => None,
        false => chosen().next().map(|(_, other)| other.name().to_owned()),
    };
    let without_lines = chosen()
        .filter(|(id, _)| log.n_lines(*id) == 0)
        .filter(|(_, other)| {
            matches!(other.state(), DerivationState::Built | DerivationState::Failed | DerivationState::Ended)
        })
        .map(|(_, other)| (other.path.to_string(), other.name().to_owned()))
        .collect();
    Ok(Chosen { wanted, closeness, without_lines, not_begun })
}

/// Describes the derivations that there are, to a user who asked for one that is not there.
fn similar(wanted: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return "it has no derivations".to_owned();
    }
    let holds = |name: &&&str| !wanted.is_empty() && name.contains(wanted);
    let mut found: Vec<&str> = names.iter().filter(holds).take(NAMES).copied().collect();
    found.extend(nearest(wanted, names));
    if found.is_empty() {
        let stems: Vec<&str> = names.iter().map(|name| store_path::without_version(name)).collect();
        found.extend(nearest(wanted, &stems));
    }
    found.dedup();
    match found.is_empty() {
        true if names.len() <= NAMES => format!("it has {}", sanitize(&names.join(", "))),
        true => format!("it has {}", count(names.len() as u64, "other", "others")),
        false => format!("did you mean {}?", sanitize(&found.join(", "))),
    }
}

/// Returns the last lines of the unit's own log, or its place.
fn unit_log(logs: &Logs<'_>, look: &Look, state: &State, wanted: &str, is_said: bool) -> Result<Vec<Line>> {
    let mut names: Vec<String> = Vec::new();
    let mut found = None;
    for run in state.activation().runs() {
        let units = run.units();
        let lists = [units.failed, units.restarted, units.started, units.reloaded, units.stopped];
        for unit in lists.into_iter().flatten() {
            if found.is_none() && is_unit(&unit.name, wanted) {
                found = Some(unit);
            } else if !names.contains(&unit.name) {
                names.push(unit.name);
            }
        }
    }
    let Some(unit) = found else {
        if is_said {
            return Ok(Vec::new());
        }
        names.truncate(NAMES);
        let known = match names.is_empty() {
            true => "it mentions none".to_owned(),
            false => format!("it mentions {}", sanitize(&names.join(", "))),
        };
        return Err(QueryError::UnknownUnit { id: look.dir.id(), wanted: wanted.to_owned(), known });
    };
    let began = look.status.started_at.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_millis(at)));
    let evidence = evidence(state, logs.places, began);
    let mut lines = Vec::new();
    for log in evidence.of_unit(&unit) {
        if log.lines.is_empty() {
            lines.push(Line::new().with(Role::Muted, format!("its log: {}", log.file)));
            continue;
        }
        lines.push(Line::new().with(Role::Muted, format!("from the end of {}:", log.file)));
        lines.extend(log.lines.iter().map(|line| Line::new().with(Role::Plain, format!("  {line}"))));
    }
    lines.push(Line::new().with(Role::Muted, format!("read on: {}", unit.log_hint())));
    Ok(lines)
}

/// Writes the log of a derivation that Nix has kept and the recording lacks. Returns whether there is one.
fn nix_log(logs: &Logs<'_>, path: &str, name: &str, out: &mut Out) -> Result<bool> {
    let is_here = !logs.places.is_elsewhere;
    let files = log_files_of(path, &logs.places.log_dir).into_iter().flatten().filter(|_| is_here);
    let Some(file) = files.map(PathBuf::from).find(|file| file.is_file()) else {
        logs.note(LogNote::NoLog(name.to_owned()));
        return Ok(false);
    };
    let failed = |error| QueryError::Log { path: file.clone(), error };
    let mut reader = BufReader::new(open_log(&file).map_err(failed)?);
    if reader.fill_buf().map_err(failed)?.is_empty() {
        logs.note(LogNote::PrintedNothing(name.to_owned()));
    } else {
        logs.note(LogNote::FromNix { name: name.to_owned(), file: file.clone() });
    }
    let mut line = Vec::new();
    // A longer line is cut: text has no such lines.
    while (&mut reader).take(1 << 20).read_until(b'\n', &mut line).map_err(failed)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = strip_escapes(&text);
        let line_out = Line::new().with(Role::Muted, format!("{name}> "));
        let text = last_carriage(text.trim_end_matches('\n')).trim_end();
        writeln!(out, "{}", line_out.with(Role::Plain, text).plain()).map_err(QueryError::Write)?;
        line.clear();
    }
    Ok(true)
}

fn open_log(file: &Path) -> std::io::Result<Box<dyn Read>> {
    let opened = File::open(file)?;
    Ok(match file.extension().is_some_and(|extension| extension == "bz2") {
        true => Box::new(bzip2::read::MultiBzDecoder::new(BufReader::new(opened))),
        false => Box::new(opened),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/00000000000000000000000000000000-a-1.0.drv";

    /// Checks the log of a command that has printed this and failed.
    fn check(input: &str, of: &LogOf, expected: &str) {
        let style = Style {
            symbols: nixmon_core::text::Symbols::unicode(),
            ascii: false,
            thresholds: nixmon_core::render::Thresholds::default(),
        };
        let log = Rc::new(RefCell::new(Log::new(Vec::new(), of.clone(), style)));
        let mut pipeline = Pipeline::new(Rc::clone(&log), LogLines::All(None));
        pipeline.feed(input.as_bytes(), Duration::ZERO);
        pipeline.end(Some(1), Duration::ZERO, |_| Default::default());
        drop(pipeline);
        let log = Rc::into_inner(log).unwrap().into_inner();
        let written = String::from_utf8(log.into_writer()).unwrap();
        assert_eq!(written, expected, "{of:?} of {input}");
    }

    fn of_a() -> LogOf {
        LogOf::Derivations { wanted: "a".to_owned(), closeness: Closeness::Name }
    }

    #[test]
    fn a_failure_without_lines_is_told_in_whole() {
        let input = format!(
            "building '{A}'...\nerror: hash mismatch in fixed-output derivation '{A}':\n\
             \x20        specified: sha256-AAAA\n            got:    sha256-BBBB\n"
        );
        let expected = format!(
            "✗ a-1.0 does not match its specified hash\n    specified: sha256-AAAA\n    got:       sha256-BBBB\n    \
             → if you trust the new content, replace the specified hash with the one after `got`\n    \
             log: nix log {A}\n"
        );
        check(&input, &LogOf::Run, &expected);
        check(&input, &of_a(), &expected);
        check(&input, &LogOf::Unit("nginx".to_owned()), "");
    }

    #[test]
    fn an_error_of_the_evaluation_is_told_as_it_came() {
        let text = "error: undefined variable 'foo'\n\n       at /a.nix:1:7:\n\n            1| { x = foo; }.x\n             \
                    |       ^\n\n       … while evaluating the attribute 'x'\n";
        let told = format!("{text}✗ undefined variable 'foo'\n    at /a.nix:1:7\n");
        check(text, &LogOf::Run, &told);
        check(text, &of_a(), "");
        let json = serde_json::json!({
            "action": "msg", "level": 0, "msg": text.replace("foo", "\u{1b}[35;1mfoo\u{1b}[0m"),
            "raw_msg": "undefined variable 'foo'", "file": "/a.nix", "line": 1, "column": 7,
        });
        check(&format!("@nix {json}\n"), &LogOf::Run, &told);
        // Nothing is said twice.
        let short = "error: undefined variable 'foo'\n";
        check(short, &LogOf::Run, "✗ undefined variable 'foo'\n");
    }

    #[test]
    fn lines_of_a_builder_without_its_name_are_written() {
        let error = format!("error: builder for '{A}' failed with exit code 2");
        let input = format!("building '{A}'...\ncompiling\n\u{1b}[31mld: no -lz\u{1b}[0m\n{error}\n");
        check(&input, &LogOf::Run, "compiling\nld: no -lz\n✗ a-1.0 failed, exit 2\n");
        // Whose they are is not sure; for a failure they are the best that there is.
        let expected =
            format!("✗ a-1.0 failed, exit 2\n    compiling\n    ld: no -lz\n    log: nix log {A}\n");
        check(&input, &of_a(), &expected);
        // With names before them they are not told again.
        let input = format!("building '{A}'...\na> compiling\na> ld: no -lz\n{error}\n");
        let expected = "a-1.0> compiling\na-1.0> ld: no -lz\n✗ a-1.0 failed, exit 2\n";
        check(&input, &LogOf::Run, expected);
        check(&input, &of_a(), expected);
        // Nix's quotation is the whole log if the lines did not arrive.
        let quoted =
            format!("building '{A}'...\n{error};\n       last 2 log lines:\n       > one\n       > two\n");
        let expected = format!("✗ a-1.0 failed, exit 2\n    one\n    two\n    log: nix log {A}\n");
        check(&quoted, &LogOf::Run, &expected);
        check(&quoted, &of_a(), &expected);
    }

    #[test]
    fn steps_of_an_activation_are_written() {
        let input = "building the system configuration...\nactivating the configuration...\nsetting up /etc...\n\
                     restarting the following units: nginx.service, php.service\nanother line\n";
        check(input, &LogOf::Run, input);
        let unit = "restarting the following units: nginx.service, php.service\n";
        check(input, &LogOf::Unit("nginx".to_owned()), unit);
    }
}
