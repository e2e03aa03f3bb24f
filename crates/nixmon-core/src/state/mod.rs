//! Knowledge about a run: inputs in, changes and requests out.
//!
//! [`State::apply`] is the only way in. It does no I/O and reads no clock: every input carries its time, `.drv` files are
//! asked for with a [`Request`] and come back as an input, late or never. Memory is bounded by derivations, paths and
//! live activities, not by log lines.

mod activity;
mod causes;
mod change;
mod derivation;
mod dropped;
mod errors;
mod failure;
mod forecast;
mod ids;
mod inside;
mod invariants;
mod log_tail;
mod loose;
mod process;
mod raw_log;
mod records;
mod texts;
mod tool_errors;
mod transfer;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

pub use change::{BuildEnd, Change, Effects, Moment, Outcome, Phase, Request, TextKind};
pub use derivation::{Derivation, DerivationState, Derivations, StateCounts};
pub use dropped::Dropped;
pub use failure::Failure;
pub use forecast::{Eta, Expected, Forecast};
pub use ids::{DerivationId, FailureId, PathId};
pub use inside::{Insight, Scope, Worked};
pub use log_tail::LogTail;
pub use transfer::{Announced, PathState, StorePathInfo, Transfers};
pub use verdict::Counts;

use crate::activation::{Activation, FlakeInputs};
use activity::Activities;
use loose::LooseError;
use nixmon_log::input::{Event, ProblemKind};
use nixmon_log::nix::error::NixError;
use process::{MAX_PROCESSES, Pid, Process};
use raw_log::RawLog;

/// Anything that is fed to the state.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The stream says something.
    Event(Event<'a>),
    /// Time has passed.
    Tick,
    /// The answer to [`Request::ReadDerivation`].
    Derivation(&'a DerivationFacts),
    /// The end of the run is foreseen, from a past that the state does not know. In a box, since every event is moved as an
    /// input, and a forecast is larger than any.
    Forecast(Box<Forecast>),
    /// Facts about what is built inside a derivation or by the command.
    Insight(Box<Insight>),
    /// So many rows of the history of builds could not be written.
    LostHistory(u64),
    /// The user has interrupted us.
    Interrupt,
    /// The stream has ended, with the command's exit status where it is known.
    End(Option<i32>),
}

/// The needed parts of a `.drv` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivationFacts {
    /// The file.
    pub path: String,
    /// The `.drv` files of its inputs.
    pub inputs: Vec<String>,
    /// The paths of its outputs.
    pub outputs: Vec<String>,
}

/// Knowledge about a run.
#[derive(Debug, Default)]
pub struct State {
    builds: Builds,
    transfers: Transfers,
    errors: Errors,
    text: Texts,
    activation: Activation,
    activation_changes: Vec<crate::activation::ActivationChange>,
    flake_inputs: FlakeInputs,
    clock: Clock,
    forecast: Forecast,
    insides: inside::Insides,
    end: End,
    options: Options,
    /// Losses to the limits, except those that derivations and transfers count themselves.
    dropped: Dropped,
}

/// Derivations, and everything that decides how their builds ended.
#[derive(Debug, Default)]
struct Builds {
    derivations: Derivations,
    activities: Activities,
    processes: HashMap<Pid, Process, RandomState>,
    /// A list of derivations to build was read.
    announced: bool,
    /// A build or a transfer has begun since the last list.
    begun: bool,
    /// A build has begun by a line of text after another one of the same list had failed: `--keep-going`.
    keeps_going: bool,
    /// Root causes that were known when the last list began.
    failures_before: usize,
    /// A request was made, in any process: the lists were more than the answer to a dry run.
    requested: bool,
    /// A request has ended since the last list, or a result was printed: nothing of the list is left to do.
    answered: bool,
    /// Number of builds that were started by a line of text and have no known end.
    endless: usize,
    /// The build by a line of text that writes to the stream itself, if no other one may.
    writer: Option<DerivationId>,
    /// Builds by the name that `name> ` prefixes use.
    by_log_name: HashMap<Box<str>, DerivationId, RandomState>,
    /// Post-build hooks of builds that Nix has not counted, with the lines that they print: several run at once from
    /// 2.35 on.
    hooks: BTreeMap<DerivationId, LogTail>,
    /// The build whose hook began last.
    last_hook: Option<DerivationId>,
    /// The build that ended first without a count although its hook had begun: the hook has failed.
    failed_hook: Option<DerivationId>,
    /// Buffers of logs that are no longer needed, for the next builds.
    spare_buffers: Vec<String>,
}

/// Errors: root causes, and those that may become one.
#[derive(Debug, Default)]
struct Errors {
    /// Root causes by number, with those that were taken back.
    failures: Vec<Failure>,
    /// Errors without a derivation, which may have ended a command.
    loose: Vec<LooseError>,
    /// A build failure whose message does not name the derivation.
    ownerless: Option<NixError>,
    /// Named dependents that failed because of something else.
    cascades: BTreeSet<DerivationId>,
    /// The last line of text, unless Nix has reported something else meanwhile.
    last_line: String,
    /// The line in which a build server says that a step failed: what follows is its cleaning up.
    failed_step: Option<String>,
}

/// Text: lists, lines that may be builders', and lines of other programs.
#[derive(Debug, Default)]
struct Texts {
    /// The list whose entries follow.
    list: Option<nixmon_log::input::human::List>,
    /// Entries of the list that are still to come.
    missing: u64,
    /// A list is being read; it is complete only when something else follows.
    announcing: bool,
    /// Lines without a name that may be builders'.
    raw_log: RawLog,
    /// The last lines of other programs, for a failure that nothing else explains.
    of_others: LogTail,
    /// A warning about a download was read, and the server's answer may follow.
    response_body: bool,
    /// Texts that were shown already, by hash.
    seen: HashSet<u64, RandomState>,
    seen_problems: BTreeSet<ProblemKind>,
    /// The step that the evaluation is in, if Nix names one.
    evaluating: Option<String>,
    /// The lock or machine that Nix waits for, if the stream has said nothing since.
    waiting: Option<String>,
    /// The path that a line of text has sent last.
    last_upload: Option<PathId>,
    /// The last account that a command gave of what it has done.
    closing: Option<String>,
    /// The changes that follow were not written to a lock file.
    unwritten_lock: bool,
    /// A flake is being checked.
    checks_flake: bool,
    /// A flake is a plain directory, of which Nix sees all files.
    copies_flake: bool,
    /// Any record at all was read.
    records_seen: bool,
    /// Something that only Nix says was heard.
    nix_heard: bool,
}

/// The phase of the run, and times.
#[derive(Debug, Default)]
struct Clock {
    phase: Phase,
    /// The phase before the end.
    phase_at_end: Phase,
    /// Time of the last input.
    now: Moment,
    /// When the phase began.
    phase_since: Moment,
    /// When the stream last said anything.
    last_input: Moment,
}

/// End of the run.
#[derive(Debug, Default)]
struct End {
    /// Nix says that it was interrupted; the phase of the run at that time.
    interrupted: Option<Phase>,
    exit_status: Option<i32>,
    /// The stream is of a command whose exit status is lost.
    unseen: bool,
    /// Why the command could not be started.
    not_started: Option<String>,
    outcome: Option<Outcome>,
}

/// Requests of the reader.
#[derive(Debug, Default)]
struct Options {
    /// Report every line of every log.
    log_lines: bool,
    /// Report every line that may be a builder's or another program's.
    unnamed_lines: bool,
    /// Number of a failed build's last lines to keep, if more than usual.
    tail_lines: usize,
    /// The command may be any program, and nothing of Nix was heard yet.
    other_command: bool,
}

impl State {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a [`Change::LogLine`] for every line of a build's log.
    pub fn report_log_lines(&mut self) {
        self.options.log_lines = true;
        self.options.unnamed_lines = true;
    }

    /// Asks for a [`TextKind::Unnamed`] for every line that may be a builder's or another program's.
    pub fn report_unnamed_lines(&mut self) {
        self.options.unnamed_lines = true;
    }

    /// Keeps so many of a failed build's last lines, if that is more than usual. A log's tail is bounded all the same.
    pub fn keep_log_lines(&mut self, lines: usize) {
        self.options.tail_lines = lines;
    }

    /// The command may be any program: nothing is said of an evaluation before something of Nix is heard.
    pub fn expect_any_command(&mut self) {
        self.options.other_command = true;
    }

    /// Returns whether the command may be any program and nothing of Nix was heard yet.
    pub fn is_other_command(&self) -> bool {
        self.options.other_command && !self.activation.started()
    }

    /// Takes one input. What it leads to is appended to `effects`.
    pub fn apply(&mut self, input: Input<'_>, at: Moment, effects: &mut Effects) {
        self.clock.now = self.clock.now.max(at);
        match input {
            Input::Event(event) => {
                self.clock.last_input = self.clock.now;
                self.text.nix_heard |= is_of_nix(&event);
                self.options.other_command &= !self.text.nix_heard;
                self.command_event(&event);
                self.event(event, effects);
            }
            Input::Tick => {
                self.transfers.tick(self.clock.now);
                self.look_inside();
            }
            Input::Derivation(facts) => self.derivation_read(facts),
            Input::Forecast(forecast) => self.forecast = *forecast,
            Input::Insight(insight) => self.insight(*insight),
            Input::LostHistory(rows) => self.dropped.history += rows,
            Input::Interrupt => self.interrupt(),
            Input::End(exit_status) => self.end(exit_status, effects),
        }
    }

    fn event(&mut self, event: Event<'_>, effects: &mut Effects) {
        if let Event::Redraw(drawing) = event {
            return self.redrawn(drawing);
        }
        self.text.waiting = None;
        match event {
            Event::Record(message) => {
                self.text.records_seen = true;
                self.record(message, effects);
            }
            Event::Line(line) => self.line(line, effects),
            Event::Error(text) => self.error_text(text, effects),
            Event::Redraw(_) => {}
            Event::Problem(problem) => {
                self.dropped.long_lines += u64::from(problem.kind == ProblemKind::LineTooLong);
                if self.text.seen_problems.insert(problem.kind) {
                    let excerpt = nixmon_log::escapes::sanitize(problem.excerpt);
                    effects.changes.push(Change::Problem(format!("{}: {excerpt}", problem.kind)));
                }
            }
        }
    }

    fn derivation_read(&mut self, facts: &DerivationFacts) {
        let Some(id) = self.builds.derivations.find(&facts.path) else { return };
        self.builds.derivations.add_inputs(id, &facts.inputs, &facts.outputs);
    }

    /// Asks for a derivation's file, once.
    fn ask(&mut self, id: DerivationId, effects: &mut Effects) {
        let derivation = self.builds.derivations.get_mut(id);
        if !std::mem::replace(&mut derivation.asked, true) {
            effects.requests.push(Request::ReadDerivation(Arc::clone(&derivation.path)));
        }
    }

    /// Enters a later phase.
    fn enter(&mut self, phase: Phase, effects: &mut Effects) {
        if phase > self.clock.phase {
            self.clock.phase = phase;
            self.clock.phase_since = self.clock.now;
            effects.changes.push(Change::Phase(phase));
        }
    }

    /// Returns whether a process has no entry of its own and will have none.
    fn is_further(&self, pid: Pid) -> bool {
        self.builds.processes.len() >= MAX_PROCESSES && !self.builds.processes.contains_key(&pid)
    }

    fn process(&mut self, pid: Pid) -> &mut Process {
        let n = self.builds.processes.len();
        let pid = if self.is_further(pid) { Pid::FURTHER } else { pid };
        self.builds.processes.entry(pid).or_insert_with(|| Process::new(n))
    }

    /// Derivations.
    pub fn derivations(&self) -> &Derivations {
        &self.builds.derivations
    }

    /// Store paths on their way.
    pub fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    /// Root causes in the order in which they were seen, without those that were taken back.
    pub fn failures(&self) -> impl Iterator<Item = (FailureId, &Failure)> {
        self.errors.failures.iter().enumerate().filter(|(_, f)| !f.retracted).map(|(i, f)| (FailureId(i), f))
    }

    /// Returns one of them.
    pub fn failure(&self, id: FailureId) -> &Failure {
        &self.errors.failures[id.0]
    }

    /// Returns what is foreseen of the run.
    pub fn forecast(&self) -> &Forecast {
        &self.forecast
    }

    /// Returns the current phase.
    pub fn phase(&self) -> Phase {
        self.clock.phase
    }

    /// When it began to.
    pub fn phase_since(&self) -> Moment {
        self.clock.phase_since
    }

    /// Time of the last input.
    pub fn now(&self) -> Moment {
        self.clock.now
    }

    /// When the stream last said anything.
    pub fn last_input(&self) -> Moment {
        self.clock.last_input
    }

    /// Returns whether Nix has said which derivations it will build.
    pub fn builds_announced(&self) -> bool {
        self.builds.announced
    }

    /// Returns the number of builds that a line of text started and that have no known end.
    pub fn endless_builds(&self) -> usize {
        self.builds.endless
    }

    /// The last phase before the end.
    pub fn phase_reached(&self) -> Phase {
        if self.end.outcome.is_some() { self.clock.phase_at_end } else { self.clock.phase }
    }

    /// Returns whether what became of some builds is not known: they were started by a line of text and the run failed.
    pub fn outcome_of_text_builds_unknown(&self) -> bool {
        self.builds.endless > 0
    }

    /// Returns the activations.
    pub fn activation(&self) -> &Activation {
        &self.activation
    }

    /// Returns the changes of a flake's inputs.
    pub fn flake_inputs(&self) -> &FlakeInputs {
        &self.flake_inputs
    }

    /// Takes note that the exit status of the command is lost. Without it the run is no success, whatever was printed.
    pub fn end_is_unseen(&mut self) {
        self.end.unseen = true;
    }

    /// Takes note that the command could not be started, and why: `foo: command not found`.
    pub fn not_started(&mut self, why: String) {
        self.end.not_started = Some(nixmon_log::escapes::sanitize(&why).into_owned());
    }

    /// Returns why the command could not be started.
    pub fn why_not_started(&self) -> Option<&str> {
        self.end.not_started.as_deref()
    }

    /// Returns whether the exit status of the command is lost.
    pub fn is_end_unseen(&self) -> bool {
        self.end.unseen
    }

    /// Returns how the run ended; `None` before its end.
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.outcome
    }

    /// Returns the last words in which a command says what it has done: `31 store paths deleted, 20.1 KiB freed`.
    pub fn closing_words(&self) -> Option<&str> {
        self.text.closing.as_deref()
    }

    /// Returns the output of other programs: its end, and lines before that look like errors.
    pub fn other_text(&self) -> &LogTail {
        &self.text.of_others
    }

    /// Returns the number of [`TextKind::Unnamed`] lines that may be another program's.
    pub fn unnamed_lines(&self) -> u64 {
        self.text.raw_log.len()
    }

    /// Returns the losses to the limits.
    pub fn dropped(&self) -> Dropped {
        let (derivations, paths) = (self.builds.derivations.dropped(), self.transfers.dropped());
        Dropped {
            derivations: self.dropped.derivations + derivations.derivations,
            graph: derivations.graph,
            store_paths: paths.store_paths,
            paths_cut: derivations.paths_cut + paths.paths_cut,
            ..self.dropped
        }
    }

    /// Returns the current step of the evaluation, in Nix's words.
    pub fn evaluating(&self) -> Option<&str> {
        self.text.evaluating.as_deref()
    }

    /// The lock or the machine that Nix waits for, in its words, if that is the last that the stream has said. Builds
    /// that wait say so themselves.
    pub fn waits_for(&self) -> Option<&str> {
        self.text.waiting.as_deref()
    }

    /// Returns the number of wanted derivations that cannot be built because of a failure.
    pub fn blocked_by(&self, failure: &Failure) -> usize {
        let by_graph = failure.derivation.map_or(0, |id| self.builds.derivations.blocked_by(id).len());
        by_graph.max(failure.named_blocked)
    }
}

/// Returns whether only Nix says such a thing. Other programs have errors, warnings and paths too.
fn is_of_nix(event: &Event<'_>) -> bool {
    use nixmon_log::input::human::HumanLine;
    match event {
        Event::Record(_) => true,
        Event::Line(line) => matches!(
            line.human,
            HumanLine::Building { .. }
                | HumanLine::Copying { .. }
                | HumanLine::ListHeader(_)
                | HumanLine::Chatter
        ),
        Event::Error(_) | Event::Redraw(_) | Event::Problem(_) => false,
    }
}

#[cfg(test)]
mod tests;
