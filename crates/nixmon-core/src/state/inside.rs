//! The inside of builds: files, packages and a percent, from the lines that build tools print.
//!
//! A *scope* is the log of one derivation, or the text of a command that is not Nix. What its tool prints is read by
//! [`nixmon_progress`]; here is the routing of lines to scopes, and the limits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use nixmon_log::escapes::{sanitize, strip_escapes};
use nixmon_log::input::{Event, Line};
use nixmon_progress::causes::Cause;
use nixmon_progress::{Build, Finished, Hints, Package, Unit, may_begin};

use super::change::{BuildEnd, Change, Effects};
use super::derivation::DerivationState;
use super::ids::DerivationId;
use super::log_tail::LogTail;
use super::{Dropped, Eta, Moment, Phase, State};
use crate::activation::is_of_make;
use crate::excerpt::is_diagnostic;
use nixmon_log::input::human::HumanLine;

/// Lines of progress that are read at once. Each costs as much as several other lines, and a log may be nothing else.
const BURST: u32 = 1 << 10;
/// The last lines of a flood, which are read all the same: a count is believed when others follow it.
const CAUGHT_UP: u64 = 8;
/// Lines of progress that are read in each millisecond after that. Tools print a few in a second; the rest is a flood.
const LINES_PER_MS: u64 = 20;
/// Bytes of progress that all scopes together keep. A browser's build prints about 10 MiB.
pub(super) const MAX_BYTES: usize = 128 << 20;
/// Lines of a build, and bytes, that wait until somebody looks at it: most builds end before that, and are not read at all.
const MAX_PENDING: usize = 256;
const MAX_PENDING_BYTES: usize = 16 << 10;
/// Buffers for such lines that are kept for the next builds.
const MAX_SPARE: usize = 32;
/// The files of a build that takes less say nothing about its next time, and a system is made of thousands of such builds.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// Lines of progress, and bytes, that are kept until facts about the build arrive.
const MAX_EARLY: usize = 2048;
const MAX_EARLY_BYTES: usize = 128 << 10;
/// Scopes for which facts have arrived before their first line.
const MAX_HINTED: usize = 1024;
/// The share of cases in which the band around an end by progress is meant to hold the truth.
const COVERAGE: f64 = 0.8;
/// Longest name of a file or package that is kept, in bytes.
const MAX_NAME: usize = 300;

/// Facts about what is built in a scope, from outside the stream.
#[derive(Clone, Debug, Default)]
pub struct Insight {
    /// The derivation; `None` is the command.
    pub scope: Option<DerivationId>,
    /// The facts.
    pub hints: Hints,
}

/// The work of a scope that has ended, for a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Worked {
    /// The derivation; `None` is the command.
    pub scope: Option<DerivationId>,
    /// The moment from which its times count.
    pub begun: Moment,
    /// The steps that ended, in their order.
    pub finished: Vec<Finished>,
    /// The packages, sorted by name.
    pub packages: Vec<Package>,
}

/// The inside of one derivation's build, or of a command.
#[derive(Debug)]
pub struct Scope {
    build: Build,
    /// The moment from which its times count.
    begun: Moment,
    /// The work as of the last tick.
    unit: Option<Unit>,
    eta: Option<Duration>,
    /// An earlier run measures the percent.
    has_past: bool,
    /// Time of the last line of progress.
    last: Option<Moment>,
    ended: bool,
    /// Lines of progress so far, as long as facts may still arrive.
    early: Option<Early>,
    /// Bytes of its lines of progress.
    bytes: usize,
    /// Lines of progress that may still be read, and when that was found out.
    room: u32,
    filled: Moment,
    /// Lines that were not read since the last tick.
    skipped: u64,
    /// Lines since the last tick that wait to be read.
    pending: Pending,
}

/// Lines that wait to be read.
#[derive(Debug, Default)]
struct Pending {
    text: String,
    /// The time of each, and where it ends in the text.
    ends: Vec<(Moment, usize)>,
}

/// Lines of progress that are read again once more is known.
#[derive(Debug, Default)]
struct Early {
    lines: Vec<(Duration, Box<str>)>,
    bytes: usize,
}

/// Knowledge about scopes beside that of derivations.
#[derive(Debug, Default)]
pub(super) struct Insides {
    command: Option<Box<Command>>,
    /// Facts of derivations that have printed no progress yet.
    hints: BTreeMap<DerivationId, Hints>,
    /// Facts will come after the first lines.
    learns: bool,
    /// The work of a scope is told at its end.
    tells_work: bool,
    /// Bytes of progress of all scopes.
    bytes: usize,
    /// Buffers of builds that are over, for the next ones.
    spare: Vec<Pending>,
    /// The line of text that is being read is a build tool's.
    is_of_tool: bool,
    /// The line before names a step that failed.
    after_failure: bool,
    /// The redrawn line that was read last, and whether it is a build tool's.
    drawn: Option<(String, bool)>,
}

#[derive(Debug)]
struct Command {
    scope: Scope,
    /// The end of its text, and lines before that look like errors.
    log: LogTail,
}

impl Command {
    fn new(hints: Hints, learns: bool) -> Self {
        Self { scope: Scope::new(hints, Moment::ZERO, learns), log: LogTail::default() }
    }
}

impl Scope {
    fn new(hints: Hints, begun: Moment, learns: bool) -> Self {
        Self {
            has_past: hints.past.is_some(),
            build: Build::new(hints),
            begun,
            unit: None,
            eta: None,
            last: None,
            ended: false,
            early: learns.then(Early::default),
            bytes: 0,
            room: BURST,
            filled: Moment::ZERO,
            skipped: 0,
            pending: Pending::default(),
        }
    }

    /// Returns the work as of the last tick: that of the tool of the latest line, with the percent of the whole.
    pub fn unit(&self) -> Option<&Unit> {
        self.unit.as_ref()
    }

    /// Returns the expected time to the end as of the last tick.
    pub fn eta(&self) -> Option<Duration> {
        self.eta
    }

    /// Returns the time of the last line of progress.
    pub fn last_progress(&self) -> Option<Moment> {
        self.last
    }

    /// Returns the moment from which the scope's times count.
    pub fn begun(&self) -> Moment {
        self.begun
    }

    /// Returns all packages, sorted by name. Names are safe to show.
    pub fn packages(&self, now: Moment) -> Vec<Package> {
        let mut packages = self.build.packages(now.saturating_sub(self.begun));
        for package in &mut packages {
            clean(&mut package.name);
            package.current_file.as_mut().into_iter().for_each(clean);
            package.depends_on.iter_mut().for_each(clean);
        }
        packages
    }

    /// Returns the steps that have ended, in their order.
    pub fn finished(&self) -> &[Finished] {
        self.build.finished()
    }

    /// Takes a line, with its redraws, that is to be read before the next look. Returns the bytes of progress in what was read.
    fn line_later(&mut self, line: &str, now: Moment, dropped: &mut Dropped) -> usize {
        let Pending { text, ends } = &mut self.pending;
        if self.room == 0 && ends.is_empty() {
            return self.line(line, now, dropped);
        }
        text.push_str(line);
        ends.push((now, text.len()));
        if ends.len() < MAX_PENDING && text.len() < MAX_PENDING_BYTES {
            return 0;
        }
        self.read_pending(dropped)
    }

    /// Reads the lines that wait. Returns the bytes of progress in them.
    fn read_pending(&mut self, dropped: &mut Dropped) -> usize {
        if self.pending.ends.is_empty() {
            return 0;
        }
        let Pending { mut text, mut ends } = std::mem::take(&mut self.pending);
        let (mut from, mut n_bytes) = (0, 0);
        for &(at, end) in &ends {
            n_bytes += self.line(text.get(from..end).unwrap_or_default(), at, dropped);
            from = end;
        }
        // The next lines need as much room.
        text.clear();
        ends.clear();
        self.pending = Pending { text, ends };
        n_bytes
    }

    /// Reads a line with its redraws. Returns the bytes of progress in it.
    fn line(&mut self, line: &str, now: Moment, dropped: &mut Dropped) -> usize {
        if self.room == 0 && !self.fill(now) {
            dropped.progress_lines += 1;
            self.skipped += 1;
            return 0;
        }
        if memchr::memchr3(0x1b, b'\r', 0xc2, line.as_bytes()).is_none() {
            return self.read(line, now);
        }
        line.split('\r').map(|drawing| self.read(&strip_escapes(drawing), now)).sum()
    }

    /// Reads the lines that wait, and the last ones of a flood, of which the rest is not read. Returns the bytes of progress in them.
    fn catch_up(&mut self, log: Option<&LogTail>, now: Moment, dropped: &mut Dropped) -> usize {
        let mut n_bytes = self.read_pending(dropped);
        let Some(log) = log else { return n_bytes };
        let n_skipped = std::mem::take(&mut self.skipped).min(CAUGHT_UP);
        if n_skipped > 0 {
            for line in log.tail(usize::try_from(n_skipped).unwrap_or(0)) {
                n_bytes += self.read(&line, now);
            }
        }
        n_bytes
    }

    /// Reads a line without redraws and escapes.
    fn read(&mut self, line: &str, now: Moment) -> usize {
        let at = now.saturating_sub(self.begun);
        if !self.build.line(line, at) {
            return 0;
        }
        self.room = self.room.saturating_sub(1);
        self.last = Some(now);
        if let Some(early) = &mut self.early {
            early.bytes += line.len();
            if early.lines.len() < MAX_EARLY && early.bytes <= MAX_EARLY_BYTES {
                early.lines.push((at, line.into()));
            } else {
                self.early = None;
            }
        }
        self.bytes += line.len();
        line.len()
    }

    /// Makes room for as many lines as the time since the last call allows. Returns whether there is any.
    fn fill(&mut self, now: Moment) -> bool {
        if now == self.filled {
            return false;
        }
        let passed = u64::try_from(now.saturating_sub(self.filled).as_millis()).unwrap_or(u64::MAX);
        self.room = u32::try_from(passed.saturating_mul(LINES_PER_MS)).unwrap_or(BURST).min(BURST);
        self.filled = now;
        self.room > 0
    }

    /// Takes facts that came after the first lines.
    fn learn(&mut self, hints: Hints) {
        let Some(early) = self.early.as_ref().filter(|_| !self.ended) else { return };
        self.has_past = hints.past.is_some();
        let mut build = Build::new(hints);
        for (at, line) in &early.lines {
            build.line(line, *at);
        }
        self.build = build;
    }

    /// Looks at the work at a moment. A percent that was told does not fall.
    fn look(&mut self, now: Moment) {
        if self.last.is_none() {
            return;
        }
        let at = now.saturating_sub(self.begun);
        let told = self.unit.as_ref().and_then(|unit| unit.percent);
        self.unit = self.build.unit(at);
        self.eta = self.build.eta(at);
        if let Some(unit) = &mut self.unit {
            unit.percent = match (unit.percent, told) {
                (Some(percent), Some(told)) => Some(percent.max(told)),
                (percent, told) => percent.or(told),
            };
            unit.current.as_mut().into_iter().for_each(clean);
            unit.package.as_mut().into_iter().for_each(clean);
        }
    }

    /// Ends the work.
    fn end(&mut self, success: bool, now: Moment) {
        if !std::mem::replace(&mut self.ended, true) {
            self.build.end(success, now.saturating_sub(self.begun));
            self.look(now);
        }
    }

    /// Returns the work of each tool, that of the latest line first.
    pub(super) fn units(&mut self) -> Vec<Unit> {
        self.build.units(self.last.unwrap_or_default().saturating_sub(self.begun))
    }

    /// Finds the causes of a failure in lines that are left of the log.
    pub(super) fn causes(&mut self, lines: &[String]) -> Vec<Cause> {
        lines.iter().for_each(|line| self.build.error_line(line));
        let mut causes = self.build.causes();
        causes.iter_mut().for_each(clean_cause);
        causes
    }

    fn worked(&self, scope: Option<DerivationId>, now: Moment) -> Option<Box<Worked>> {
        let mut finished = self.build.finished().to_vec();
        if finished.is_empty() {
            return None;
        }
        for step in &mut finished {
            clean(&mut step.file);
            step.package.as_mut().into_iter().for_each(clean);
        }
        Some(Box::new(Worked { scope, begun: self.begun, finished, packages: self.packages(now) }))
    }
}

/// Makes the end of a run of the time that its progress says is left. Progress that an earlier run measures is seldom off by
/// more than a quarter, other progress by a half of what it says or by as much again.
fn by_progress(left: Duration, has_past: bool, foreseen: Option<Eta>) -> Eta {
    let remaining_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let (low_ms, high_ms) = if has_past {
        (remaining_ms / 4 * 3, remaining_ms.saturating_add(remaining_ms / 4))
    } else {
        (remaining_ms / 2, remaining_ms.saturating_mul(2))
    };
    let known = Eta {
        coverage: COVERAGE,
        known: 0,
        unknown: 0,
        finish_at: None,
        remaining_ms,
        low_ms,
        high_ms,
        other_jobs: false,
    };
    match foreseen {
        Some(eta) => Eta {
            remaining_ms,
            low_ms,
            high_ms,
            finish_at: eta
                .finish_at
                .map(|at| at.saturating_sub(eta.remaining_ms).saturating_add(remaining_ms)),
            ..eta
        },
        None => known,
    }
}

/// Makes a name safe to show, and short.
fn clean(name: &mut String) {
    if let Cow::Owned(safe) = sanitize(name) {
        *name = safe;
    }
    if name.len() > MAX_NAME {
        name.truncate(name.floor_char_boundary(MAX_NAME));
    }
}

/// The same for the texts of a cause, which are longer.
pub(super) fn clean_cause(cause: &mut Cause) {
    let texts = [Some(&mut cause.message), cause.target.as_mut(), cause.command.as_mut()];
    for text in texts.into_iter().flatten() {
        if let Cow::Owned(safe) = sanitize(text) {
            *text = safe;
        }
    }
    cause.package.as_mut().into_iter().for_each(clean);
    cause.place.as_mut().into_iter().for_each(|place| clean(&mut place.file));
}

impl Insides {
    /// Reads a line of a derivation's log. `place` is the derivation, the begin of its build and its scope.
    #[inline]
    pub(super) fn build_line(
        &mut self,
        place: (DerivationId, Option<Moment>, &mut Option<Box<Scope>>),
        line: &str,
        now: Moment,
        dropped: &mut Dropped,
    ) {
        let (id, begun, scope) = place;
        let scope = match scope {
            Some(scope) => scope,
            None => {
                // Escapes, and redraws, may stand before what counts.
                let is_drawn = || memchr::memchr2(0x1b, b'\r', line.as_bytes()).is_some();
                if !may_begin(line) && !self.hints.contains_key(&id) && !is_drawn() {
                    return;
                }
                let hints = self.hints.remove(&id).unwrap_or_default();
                let mut new = Box::new(Scope::new(hints, begun.unwrap_or(now), self.learns));
                new.pending = self.spare.pop().unwrap_or_default();
                scope.insert(new)
            }
        };
        if self.bytes >= MAX_BYTES {
            dropped.progress_lines += 1;
            return;
        }
        self.bytes += scope.line_later(line, now, dropped);
    }

    /// Takes note that a scope is gone.
    pub(super) fn forget(&mut self, scope: &mut Scope) {
        self.bytes = self.bytes.saturating_sub(scope.bytes);
        if self.spare.len() < MAX_SPARE {
            let mut pending = std::mem::take(&mut scope.pending);
            pending.text.clear();
            pending.ends.clear();
            self.spare.push(pending);
        }
    }
}

impl State {
    /// Takes note that facts about builds will arrive after their first lines.
    pub fn expect_insights(&mut self) {
        self.insides.learns = true;
    }

    /// Asks for a [`Change::Worked`] at the end of each scope, but for builds that succeed within a second.
    pub fn report_work(&mut self) {
        self.insides.tells_work = true;
    }

    /// Takes facts about a scope.
    pub(super) fn insight(&mut self, insight: Insight) {
        let Insight { scope, hints } = insight;
        match scope {
            None => match &mut self.insides.command {
                Some(command) => command.scope.learn(hints),
                None => self.insides.command = Some(Box::new(Command::new(hints, self.insides.learns))),
            },
            Some(id) => match &mut self.builds.derivations.get_mut(id).inside {
                Some(scope) => scope.learn(hints),
                None if self.insides.hints.len() < MAX_HINTED => drop(self.insides.hints.insert(id, hints)),
                None => {}
            },
        }
    }

    /// Returns the inside of the command itself, if it has printed progress of a build tool.
    pub fn command_scope(&self) -> Option<&Scope> {
        self.insides.command.as_deref().map(|command| &command.scope).filter(|scope| scope.last.is_some())
    }

    /// Returns the same for a command that is not known to have anything to do with Nix.
    pub fn plain_scope(&self) -> Option<&Scope> {
        self.command_scope().filter(|_| self.is_plain())
    }

    /// Returns the inside of a build in progress, if it has printed progress.
    pub fn scope(&self, id: DerivationId) -> Option<&Scope> {
        self.builds.derivations.get(id).inside.as_deref().filter(|scope| scope.last.is_some())
    }

    /// Lists the scopes that have printed progress: the command, then builds in progress, the longest first.
    pub fn scopes(&self) -> Vec<(Option<DerivationId>, &Scope)> {
        let mut builds: Vec<_> = self
            .builds
            .derivations
            .building()
            .filter_map(|(id, derivation)| Some((derivation.started, id, self.scope(id)?)))
            .collect();
        builds.sort_by_key(|(started, id, _)| (*started, *id));
        let command = self.command_scope().map(|scope| (None, scope));
        command.into_iter().chain(builds.into_iter().map(|(_, id, scope)| (Some(id), scope))).collect()
    }

    /// Returns the scope whose packages are worth a table: that of a plain command, also before its first line if its project
    /// is known, else that of the build that has run longest.
    pub fn first_scope(&self) -> Option<&Scope> {
        let command =
            self.insides.command.as_deref().filter(|_| self.is_plain()).map(|command| &command.scope);
        command.or_else(|| self.scopes().into_iter().find_map(|(id, scope)| id.map(|_| scope)))
    }

    /// Returns the end of the run as it is foreseen, moved on to `now`: by the history, and by the progress inside what is being
    /// built, where that tells more.
    pub fn eta(&self, now: Moment) -> Option<Eta> {
        if self.end.outcome.is_some() {
            return None;
        }
        let foreseen = self.forecast.eta(now);
        if let Some(scope) = self.plain_scope() {
            return scope.eta.map(|left| by_progress(left, scope.has_past, foreseen)).or(foreseen);
        }
        let scopes = self.scopes();
        let builds: Vec<&Scope> =
            scopes.iter().filter(|(id, _)| id.is_some()).map(|(_, scope)| *scope).collect();
        let longest = builds.iter().filter_map(|scope| Some((scope.eta?, scope.has_past))).max();
        let Some((left, has_past)) = longest else { return foreseen };
        let counts = self.builds.derivations.counts();
        let n_building = counts.get(DerivationState::Building);
        let n_open = n_building + counts.get(DerivationState::Planned) + counts.get(DerivationState::Waiting);
        let is_last =
            n_open == n_building && builds.iter().filter(|scope| scope.eta.is_some()).count() == n_open;
        match foreseen {
            _ if is_last => Some(by_progress(left, has_past, foreseen)),
            // The run does not end before its builds do.
            Some(eta) if Duration::from_millis(eta.remaining_ms) < left => {
                Some(by_progress(left, has_past, foreseen))
            }
            foreseen => foreseen,
        }
    }

    /// Returns whether nothing of Nix and no activation was heard.
    pub(super) fn is_plain(&self) -> bool {
        !self.text.nix_heard && !self.activation.started()
    }

    /// Reads a line without a name that may be a builder's, if only one can have written it.
    pub(super) fn writers_line(&mut self, line: &str) {
        let Some(id) = self.builds.writer else { return };
        let derivation = self.builds.derivations.get_mut(id);
        if derivation.state() == DerivationState::Building {
            let place = (id, derivation.started, &mut derivation.inside);
            self.insides.build_line(place, line, self.clock.now, &mut self.dropped);
        }
    }

    /// Reads an event for the command itself, before the state does.
    pub(super) fn command_event(&mut self, event: &Event<'_>) {
        self.insides.is_of_tool = false;
        match event {
            Event::Line(line) if self.may_be_commands(line) => {
                self.insides.is_of_tool = self.command_line(line.text);
            }
            Event::Error(text) if self.clock.phase < Phase::Activating => {
                for line in text.lines() {
                    self.command_line(line);
                }
            }
            _ => {}
        }
    }

    /// Reads what a line looked like before it was drawn anew.
    pub(super) fn redrawn(&mut self, drawing: &str) {
        if self.clock.phase >= Phase::Activating || self.may_be_a_builders() {
            return;
        }
        let text = strip_escapes(drawing);
        if text.trim().is_empty() {
            return;
        }
        let is_of_tool = self.command_line(&text);
        self.insides.drawn = Some((text.into_owned(), is_of_tool));
    }

    fn may_be_commands(&self, line: &Line<'_>) -> bool {
        let is_other = match line.human {
            HumanLine::Other | HumanLine::Error | HumanLine::Warning(_) | HumanLine::Trace(_) => true,
            HumanLine::BuildLog { name, .. } => !self.builds.by_log_name.contains_key(name),
            _ => false,
        };
        is_other && self.clock.phase < Phase::Activating && !self.may_be_a_builders()
    }

    /// Reads a line of the command. Returns whether a build tool, or a compiler that it runs, has printed it.
    fn command_line(&mut self, line: &str) -> bool {
        let Self { insides, clock, dropped, .. } = self;
        let now = clock.now;
        let learns = insides.learns;
        let command = insides.command.get_or_insert_with(|| Box::new(Command::new(Hints::default(), learns)));
        // The last state of a redrawn line may have been read already.
        let drawn = insides.drawn.take();
        if let Some((_, is_of_tool)) = drawn.filter(|(drawn, _)| drawn == line) {
            return is_of_tool;
        }
        command.log.push_str(line);
        // The text of other programs is counted where it is kept for everybody.
        command.log.count_dropped(&mut Dropped::default());
        if insides.bytes >= MAX_BYTES {
            dropped.progress_lines += 1;
            return false;
        }
        let read = command.scope.line(line, now, dropped);
        insides.bytes += read;
        // ninja prints the command behind the name of what it failed to make.
        let is_command =
            std::mem::replace(&mut insides.after_failure, read > 0 && line.starts_with("FAILED: "));
        let runs = command.scope.last.is_some();
        read > 0 || runs && (is_command || is_of_make(line) || is_diagnostic(line))
    }

    /// Returns whether the line of text that is being read is a build tool's or a compiler's.
    pub(super) fn is_of_tool(&self) -> bool {
        self.insides.is_of_tool
    }

    /// Looks at all scopes.
    pub(super) fn look_inside(&mut self) {
        let now = self.clock.now;
        let Insides { command, bytes, .. } = &mut self.insides;
        let dropped = &mut self.dropped;
        if let Some(command) = command
            && !command.scope.ended
        {
            *bytes += command.scope.catch_up(Some(&command.log), now, dropped);
            command.scope.look(now);
        }
        self.builds.derivations.look_inside(|scope, log| {
            *bytes += scope.catch_up(log, now, dropped);
            scope.look(now);
        });
    }

    /// Reads what is left of the log of a build that is over, if anybody will look at it.
    pub(super) fn catch_up(&mut self, id: DerivationId, end: BuildEnd) {
        if end == BuildEnd::Built && !(self.insides.tells_work && self.is_long(id)) {
            return;
        }
        let derivation = self.builds.derivations.get_mut(id);
        if let Some(scope) = &mut derivation.inside {
            let log = derivation.log.as_deref();
            self.insides.bytes += scope.catch_up(log, self.clock.now, &mut self.dropped);
        }
    }

    /// Returns whether a build has taken so long that its files tell something about the next time.
    fn is_long(&self, id: DerivationId) -> bool {
        let started = self.builds.derivations.get(id).started;
        started.is_some_and(|started| self.clock.now.saturating_sub(started) >= WORTH_TELLING)
    }

    /// Takes the end of a build.
    pub(super) fn inside_ended(&mut self, id: DerivationId, success: bool, effects: &mut Effects) {
        self.insides.hints.remove(&id);
        let is_told = self.insides.tells_work && (!success || self.is_long(id));
        let Some(mut scope) = self.builds.derivations.get_mut(id).inside.take() else { return };
        self.insides.forget(&mut scope);
        if !is_told {
            return;
        }
        scope.end(success, self.clock.now);
        let worked = scope.worked(Some(id), self.clock.now);
        effects.changes.extend(worked.map(Change::Worked));
    }

    /// Takes the end of the command.
    pub(super) fn command_ended(&mut self, success: bool, effects: &mut Effects) {
        let now = self.clock.now;
        let Insides { command, bytes, .. } = &mut self.insides;
        let Some(command) = command else { return };
        *bytes += command.scope.catch_up(Some(&command.log), now, &mut self.dropped);
        command.scope.end(success, now);
        if self.insides.tells_work && self.is_plain() {
            let worked = self.insides.command.as_ref().and_then(|command| command.scope.worked(None, now));
            effects.changes.extend(worked.map(Change::Worked));
        }
    }

    /// Returns the scope of the command and the lines that are left of its text: early errors, of which it returns the
    /// number, then the end.
    pub(super) fn command_words(&mut self) -> Option<(&mut Scope, usize, Vec<String>)> {
        let command = self.insides.command.as_deref_mut()?;
        let (early, lines) = command.log.lines();
        Some((&mut command.scope, early, lines))
    }
}
