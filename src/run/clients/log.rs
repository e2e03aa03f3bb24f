//! `nixmon log`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use regex::bytes::{Regex, RegexBuilder};

use super::recover::{Look, look};
use super::select::Selected;
use super::steps::Steps;
use super::store;
use crate::cli::LogArgs;
use crate::frontend::{Closeness, Log, LogLines, LogOf, is_unit};
use crate::pipeline::{Pipeline, Step};
use crate::render::{Style, Thresholds, log_files_of};
use crate::run::{ExitStatus, command, complain, options, service_logs};
use crate::runs::RunDir;
use crate::settings::{Settings, nearest};
use crate::state::{Derivation, DerivationState, State};
use crate::text::{Line, Role, count, last_carriage, sanitize, strip_escapes};

/// How often it is looked whether there is more.
const POLL: Duration = Duration::from_millis(200);
/// Names of derivations or units in an error.
const NAMES: usize = 8;

type Out = Selected<BufWriter<StdoutLock<'static>>>;

pub(in crate::run) fn log(settings: &Settings, args: &LogArgs) -> Result<ExitStatus> {
    let dir = store(settings)?.find(args.run.as_deref())?;
    let grep = args.grep.as_deref().map(regex).transpose()?;
    let look = look(&dir, settings)?;
    let has_recording = dir.input().exists() || dir.rest().exists();
    let may_come = args.follow && look.life.goes_on();
    if !has_recording && !may_come {
        bail!("run {} has no recording", dir.id());
    }
    let out = Selected::new(BufWriter::new(std::io::stdout().lock()), grep, args.lines);
    let result = if args.raw { raw(settings, args, look, out) } else { readable(settings, args, look, out) };
    match result {
        // Whoever read it has enough.
        Err(error) if is_closed(&error) => Ok(ExitStatus::Success),
        Err(error) => Err(error),
        Ok(()) => Ok(ExitStatus::Success),
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn regex(text: &str) -> Result<Regex> {
    // The usual limit, said here so that it is known to exist.
    RegexBuilder::new(text).size_limit(10 << 20).build().with_context(|| format!("--grep {text}"))
}

/// Hands on all steps, and if asked for those that come later, until the run has ended. Where it waits for more, it hands
/// on none.
fn play(
    settings: &Settings,
    follow: bool,
    look_first: &Look,
    mut take: impl FnMut(Option<(Duration, &Step)>) -> Result<()>,
) -> Result<Steps> {
    let mut steps = Steps::of(&look_first.dir);
    let mut goes_on = look_first.life.goes_on();
    loop {
        while let Some((at, step)) = steps.next().context("cannot read the recording")? {
            take(Some((at, &step)))?;
        }
        if !follow || !goes_on {
            break;
        }
        take(None)?;
        std::thread::sleep(POLL);
        // Looked at before the steps: once it has ended there are no more.
        goes_on = look(&look_first.dir, settings)?.life.goes_on();
    }
    Ok(steps)
}

/// Says that a part of a recording cannot be read.
pub(crate) fn complain_of_damage(run: &RunDir) {
    complain(&anyhow::anyhow!("the recording of run {} is damaged; the rest of it is lost", run.id()));
}

/// Says what of a recording is not there.
fn warn(look: &Look, follow: bool, steps: &Steps) {
    let id = look.dir.id();
    if steps.is_damaged() {
        complain_of_damage(&look.dir);
    } else if steps.breaks_off() && (follow || !look.life.goes_on()) {
        complain(&anyhow::anyhow!("the recording of run {id} breaks off"));
    }
}

fn raw(settings: &Settings, args: &LogArgs, look: Look, mut out: Out) -> Result<()> {
    let steps = play(settings, args.follow, &look, |step| {
        match step {
            Some((_, Step::Bytes(_, bytes))) => out.write_all(bytes)?,
            Some(_) => {}
            None => out.settle(false)?,
        }
        Ok(())
    })?;
    warn(&look, args.follow, &steps);
    Ok(out.settle(true)?)
}

fn readable(settings: &Settings, args: &LogArgs, look: Look, mut out: Out) -> Result<()> {
    let style = options(&settings.output, Thresholds::default()).style;
    let mut of = LogOf::Run;
    let mut shown = Vec::new();
    if let Some(wanted) = &args.derivation {
        let may_come = args.follow && look.life.goes_on();
        let chosen = choose(settings, &look, wanted, style, may_come)?;
        if let Some(name) = chosen.not_begun {
            complain(&anyhow::anyhow!("run {} has not begun to build {}", look.dir.id(), sanitize(&name)));
        }
        of = LogOf::Derivations { wanted: chosen.wanted, closeness: chosen.closeness };
        for (path, name) in chosen.without_lines {
            if nix_log(settings, &path, &name, &mut out)? {
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
    let steps = play(settings, args.follow, &look, |step| {
        match step {
            Some((at, step)) => pipeline.step(step, at),
            None => {
                release(&mut pipeline);
                check(&log, Selected::settle)?;
            }
        }
        check(&log, |_, _| Ok(()))
    })?;
    warn(&look, args.follow, &steps);
    finish(&mut pipeline, &look, &steps, args.follow)?;
    let mut last = Vec::new();
    if let Some(unit) = &args.unit {
        let is_said = log.borrow().writer().n_lines() > 0;
        last = unit_log(settings, &look, pipeline.state(), unit, is_said)?;
    }
    drop(pipeline);
    let Some(log) = Rc::into_inner(log) else { return Ok(()) };
    let mut out = log.into_inner().into_writer();
    for line in last {
        writeln!(out, "{}", line.plain())?;
    }
    Ok(out.settle(true)?)
}

fn pipeline<W: Write + 'static>(look: &Look, log: &Rc<RefCell<Log<W>>>) -> Pipeline {
    let mut pipeline = Pipeline::new(Rc::clone(log), LogLines::All(None));
    if let Some(facts) = &look.facts {
        command::expect(&mut pipeline, &facts.command);
    }
    pipeline
}

/// The recording has no more steps. The last line may lack its end; of a run that goes on, it may yet come.
fn finish(pipeline: &mut Pipeline, look: &Look, steps: &Steps, is_followed: bool) -> Result<()> {
    if look.life.goes_on() && !is_followed {
        release(pipeline);
        pipeline.settle(steps.now());
    } else {
        let exit = look.dir.exit()?.map(|exit| exit.status());
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

/// Does something with the writer, and tells what became of it.
fn check(log: &RefCell<Log<Out>>, with: impl FnOnce(&mut Out, bool) -> std::io::Result<()>) -> Result<()> {
    let mut log = log.borrow_mut();
    if let Some(error) = log.sink().broken() {
        return Err(std::io::Error::from(error.kind()).into());
    }
    Ok(with(log.writer_mut(), false)?)
}

/// What `--derivation` means in a run.
struct Chosen {
    wanted: String,
    closeness: Closeness,
    /// Those that have begun and of whose log there is nothing: path and name.
    without_lines: Vec<(String, String)>,
    /// The name of one, where none has begun.
    not_begun: Option<String>,
}

fn choose(settings: &Settings, look: &Look, wanted: &str, style: Style, may_come: bool) -> Result<Chosen> {
    let log = Rc::new(RefCell::new(Log::new(std::io::sink(), LogOf::Nothing, style)));
    let mut pipeline = pipeline(look, &log);
    let steps = play(settings, false, look, |step| {
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
    // Of some failures no more than the name is known.
    let failed = || state.failures().filter(|(_, failure)| failure.derivation.is_none());
    let failed = || failed().filter_map(|(_, failure)| failure.name.as_deref());
    let known = || derivations.iter().map(|(_, derivation)| (&*derivation.path, derivation.name()));
    let known = || known().chain(failed().map(|name| ("", name)));
    let best = known().filter_map(|(path, name)| close(path, name)).min();
    let Some(closeness) = best.or(may_come.then_some(Closeness::Prefix)) else {
        let mut names: Vec<&str> = known().map(|(_, name)| name).collect();
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        bail!("run {} has no derivation {}; {}", look.dir.id(), sanitize(&wanted), similar(&wanted, &names));
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

/// What else there is, for whoever asks for something that is not there.
fn similar(wanted: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return "it names none".to_owned();
    }
    let holds = |name: &&&str| !wanted.is_empty() && name.contains(wanted);
    let mut found: Vec<&str> = names.iter().filter(holds).take(NAMES).copied().collect();
    found.extend(nearest(wanted, names));
    if found.is_empty() {
        let stems: Vec<&str> = names.iter().map(|name| Closeness::without_version(name)).collect();
        found.extend(nearest(wanted, &stems));
    }
    found.dedup();
    match found.is_empty() {
        true if names.len() <= NAMES => format!("it names {}", sanitize(&names.join(", "))),
        true => format!("it names {}", count(names.len() as u64, "other", "others")),
        false => format!("similar are {}", sanitize(&found.join(", "))),
    }
}

/// What the unit's own log says, or where it is.
fn unit_log(
    settings: &Settings,
    look: &Look,
    state: &State,
    wanted: &str,
    is_said: bool,
) -> Result<Vec<Line>> {
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
            true => "it says nothing of any".to_owned(),
            false => format!("it says something of {}", sanitize(&names.join(", "))),
        };
        bail!("run {} says nothing of a unit {}; {known}", look.dir.id(), sanitize(wanted));
    };
    let began = look.status.started_at.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_millis(at)));
    let evidence = service_logs::evidence(state, settings, began);
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

/// What Nix has kept of a derivation's log, which the recording lacks. Returns whether there is anything.
fn nix_log(settings: &Settings, path: &str, name: &str, out: &mut Out) -> Result<bool> {
    let files = log_files_of(path, &settings.log_dir).into_iter().flatten();
    let Some(file) = files.map(PathBuf::from).find(|file| file.is_file()) else {
        complain(&anyhow::anyhow!(
            "the recording has no log of {}, and Nix has kept none here",
            sanitize(name)
        ));
        return Ok(false);
    };
    let (reader, child) = open_log(&file)?;
    let mut reader = BufReader::new(reader);
    if reader.fill_buf()?.is_empty() {
        complain(&anyhow::anyhow!("{} printed nothing", sanitize(name)));
    } else {
        complain(&anyhow::anyhow!(
            "the recording has no log of {}; this is what Nix has kept: {}",
            sanitize(name),
            file.display()
        ));
    }
    let mut line = Vec::new();
    // A longer line is cut there: it is none of a text.
    while (&mut reader).take(1 << 20).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = strip_escapes(&text);
        let line_out = Line::new().with(Role::Muted, format!("{name}> "));
        let text = last_carriage(text.trim_end_matches('\n')).trim_end();
        writeln!(out, "{}", line_out.with(Role::Plain, text).plain())?;
        line.clear();
    }
    if let Some(mut child) = child {
        let status = child.wait()?;
        if !status.success() {
            bail!("cannot decompress {}: bzip2 ended with {status}", file.display());
        }
    }
    Ok(true)
}

fn open_log(file: &Path) -> Result<(Box<dyn Read>, Option<Child>)> {
    if file.extension().is_none_or(|extension| extension != "bz2") {
        let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        return Ok((Box::new(opened), None));
    }
    let mut command = Command::new("bzip2");
    command.arg("-dc").arg(file).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child =
        command.spawn().with_context(|| format!("cannot decompress {} without bzip2", file.display()))?;
    let stdout = child.stdout.take().context("bzip2 has no output")?;
    Ok((Box::new(stdout), Some(child)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/00000000000000000000000000000000-a-1.0.drv";

    /// What is written of a command that has printed this and failed.
    fn check(input: &str, of: &LogOf, expected: &str) {
        let style = options(&crate::settings::Output::default(), Thresholds::default()).style;
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
            "✗ a-1.0 has another hash than specified\n    specified: sha256-AAAA\n    got:       sha256-BBBB\n    \
             → if the new content is to be trusted, put the hash after `got` in place of the specified one\n    \
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
        // What Nix quotes is all where the lines did not come.
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
