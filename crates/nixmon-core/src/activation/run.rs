//! One activation: its units, its steps, what explains its failure.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::{
    ActivationChange, Tool, Verb,
    last_words::{Said, Traceback, is_advice, is_service_manager, reports_error},
    named_log::named_log,
    rule::{Quote, Stage},
    tools::{
        disko,
        home_manager::{LINK, StepForm, is_own_step},
    },
};
use nixmon_log::escapes::sanitize;

/// Units kept per list and run. A switch of more is not read by anyone name by name.
const MAX_UNITS: usize = 1024;
/// Lines kept before a failure, and as many after it.
const MAX_EVIDENCE: usize = 24;
const MAX_WARNINGS: usize = 24;
const MAX_FILES: usize = 100;
/// Units whose `systemctl status` excerpt is kept, and lines of each.
const MAX_EXCERPTS: usize = 16;
const MAX_EXCERPT_LINES: usize = 12;
/// Longest line kept, in bytes.
const MAX_LINE: usize = 600;
/// Changes held back while a run is not believed yet.
const MAX_HELD: usize = 256;

/// Says which run, in the order in which they began. Numbers of beginnings that turned out to be none are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwitchId(pub(super) u32);

/// The stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunStage {
    /// Steps are running.
    Activating,
    /// It did not begin: not privileged, profile not set, a check, another switch under way.
    Refused,
    /// It ended well, perhaps with failed units.
    Done,
    /// It ended badly.
    Failed,
    /// It ended badly, and the previous configuration is active again.
    RolledBack,
    /// A signal ended it.
    Interrupted,
}

/// Whose manager runs a unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The system's systemd.
    System,
    /// A user's systemd: of the user who switched, or of the one named.
    User(Option<String>),
    /// launchd.
    Launchd {
        /// `system`, `gui/501`, `user/501`.
        domain: String,
    },
}

/// A systemd unit, by its full name, or a launchd service, by its label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// The name as printed.
    pub name: String,
    /// Whose it is.
    pub scope: Scope,
}

impl Unit {
    /// The command that shows its log, without a time.
    pub fn log_hint(&self) -> String {
        match &self.scope {
            Scope::System => format!("journalctl -u {}", self.name),
            Scope::User(_) => format!("journalctl --user -u {}", self.name),
            Scope::Launchd { domain } => format!("launchctl print {domain}/{}", self.name),
        }
    }
}

/// Units by what happened to them, each list in the order of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// Started and not stopped before.
    pub started: Vec<Unit>,
    /// Restarted, or stopped and started.
    pub restarted: Vec<Unit>,
    /// Stopped and not started again.
    pub stopped: Vec<Unit>,
    /// Reloaded.
    pub reloaded: Vec<Unit>,
    /// Failed; also in the list of what was done to them.
    pub failed: Vec<Unit>,
}

impl Units {
    /// Returns whether all lists are empty.
    pub fn is_empty(&self) -> bool {
        let Units { started, restarted, stopped, reloaded, failed } = self;
        [started, restarted, stopped, reloaded, failed].iter().all(|list| list.is_empty())
    }
}

/// Units in the order in which they were first named.
#[derive(Debug, Clone, Default)]
pub(super) struct UnitList {
    order: Vec<Unit>,
    known: BTreeSet<Unit>,
}

impl UnitList {
    /// Adds a unit and returns whether it is new.
    pub(super) fn insert(&mut self, unit: Unit) -> bool {
        let new = self.order.len() < MAX_UNITS && self.known.insert(unit.clone());
        if new {
            self.order.push(unit);
        }
        new
    }

    fn contains(&self, unit: &Unit) -> bool {
        self.known.contains(unit)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn without(&self, other: &UnitList) -> impl Iterator<Item = &Unit> {
        self.order.iter().filter(|unit| !other.contains(unit))
    }
}

/// The last journal lines of a failed unit, as `systemctl status` quotes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The unit's name.
    pub unit: String,
    /// Messages without time, host and process; systemd's own left out.
    pub lines: Vec<String>,
}

/// The credit given to a beginning, see the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Sure,
    /// Needs a second line.
    Tentative,
    /// Perhaps a builder's: decided at the end.
    Doubtful,
}

/// Why a run fails.
#[derive(Debug, Clone, Default)]
pub(super) struct RunFailure {
    /// A name for the summary; without one it is the step that was running.
    pub(super) step: Option<String>,
    /// A later step proves that the error was survived.
    pub(super) survivable: bool,
}

/// A snippet of an activation script that failed; the script goes on with the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedSnippet {
    /// Its name.
    pub step: String,
    /// The line that says why, of those it printed.
    pub reason: Option<String>,
}

/// One activation.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: SwitchId,
    /// The tool that runs it.
    pub tool: Tool,
    /// The machine, and the profile if it is not the system's, where the tool handles several.
    pub node: Option<String>,
    /// Its stage.
    pub stage: RunStage,
    /// When it began.
    pub began_at: Duration,
    /// When its last line was read.
    pub last_at: Duration,
    /// The step under way or the last one.
    pub step: Option<String>,
    /// The step that failed or was interrupted; known when the run has ended.
    pub failed_step: Option<String>,
    /// Only said what would be done.
    pub dry_run: bool,
    /// The configuration takes effect only after a reboot.
    pub reboot_needed: bool,
    /// The exit status of the activation itself, where a wrapper hides it: 2 (script failed), 4 (units failed), 100
    /// (reboot needed) of `switch-to-configuration`.
    pub exit_status: Option<i32>,
    /// Files that stand in the way.
    pub files: Vec<String>,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
    /// Journal excerpts of failed units.
    pub excerpts: Vec<Excerpt>,
    /// The home directory, where home-manager names it.
    pub home: Option<String>,
    /// The new configuration's store path, where the tool names it.
    pub configuration: Option<String>,

    pub(super) standing: Standing,
    /// Lines of this activation so far.
    pub(super) signals: u32,
    /// Lines of anything else since the last one of these.
    pub(super) unrelated: u32,
    pub(super) held: Vec<ActivationChange>,
    pub(super) closed: bool,
    /// The tool says that it went well, but lines of the machine may still come that say otherwise.
    pub(super) confirmed: bool,
    /// Its beginning is missing.
    pub(super) headless: bool,
    /// home-manager has linked its files.
    pub(super) linked: bool,
    /// Steps of home-manager's own in a row, without other lines between them.
    pub(super) own_steps: u32,
    /// The script of disko partitions disks, and removes a scratch directory at its end.
    pub(super) makes_partitions: bool,
    traceback: Traceback,
    /// Snippets of an activation script that failed, each with its reason.
    snippets: Vec<FailedSnippet>,
    pub(super) refused: bool,
    pub(super) failure: Option<RunFailure>,
    /// Says itself, or through a wrapper, that it fails.
    pub(super) fails: bool,
    pub(super) rolling_back: bool,
    pub(super) rolled_back: bool,
    pub(super) interrupted: bool,
    /// The last line reports an error.
    pub(super) ends_in_error: bool,
    pub(super) reached: Option<Stage>,
    /// home-manager's activation is announced as a part of this one.
    pub(super) nested: bool,
    /// It has begun.
    pub(super) in_home_manager: bool,
    pub(super) step_form: Option<StepForm>,
    pub(super) user: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) last_service: Option<Unit>,
    pub(super) last_list: Vec<Unit>,
    pub(super) hung: bool,
    pub(super) quote: Option<Quote>,
    pub(super) quoted_unit: Option<String>,
    pub(super) collecting_files: bool,
    pub(super) reporting: bool,
    pub(super) failed: UnitList,
    done: BTreeMap<Verb, UnitList>,
    evidence: VecDeque<Evidence>,
    explanation: Vec<Evidence>,
}

/// The value of a line as an explanation of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It is near the failure.
    Context,
    /// It says that something failed.
    Verdict,
    /// It names the thing that failed.
    Subject,
    /// It names all things that failed.
    List,
    /// It says why.
    Cause,
}

/// A line kept to explain a failure.
#[derive(Debug, Clone)]
struct Evidence {
    weight: Weight,
    text: String,
}

impl Run {
    pub(super) fn new(
        id: SwitchId,
        tool: Tool,
        node: Option<String>,
        at: Duration,
        standing: Standing,
    ) -> Run {
        Run {
            id,
            tool,
            node,
            stage: RunStage::Activating,
            began_at: at,
            last_at: at,
            step: None,
            failed_step: None,
            dry_run: false,
            reboot_needed: false,
            exit_status: None,
            files: Vec::new(),
            warnings: Vec::new(),
            excerpts: Vec::new(),
            home: None,
            configuration: None,
            standing,
            signals: 0,
            unrelated: 0,
            held: Vec::new(),
            closed: false,
            confirmed: false,
            headless: false,
            linked: false,
            own_steps: 0,
            makes_partitions: false,
            traceback: Traceback::default(),
            snippets: Vec::new(),
            refused: false,
            failure: None,
            fails: false,
            rolling_back: false,
            rolled_back: false,
            interrupted: false,
            ends_in_error: false,
            reached: None,
            nested: false,
            in_home_manager: false,
            step_form: None,
            user: None,
            domain: None,
            last_service: None,
            last_list: Vec::new(),
            hung: false,
            quote: None,
            quoted_unit: None,
            collecting_files: false,
            reporting: false,
            failed: UnitList::default(),
            done: BTreeMap::new(),
            evidence: VecDeque::new(),
            explanation: Vec::new(),
        }
    }

    /// Units by what happened to them. One that is stopped in one list and started in another was restarted.
    pub fn units(&self) -> Units {
        let none = UnitList::default();
        let list = |verb| self.done.get(&verb).unwrap_or(&none);
        let (starting, stopping, restarting) =
            (list(Verb::Started), list(Verb::Stopped), list(Verb::Restarted));
        let both = |unit: &&Unit| stopping.contains(unit) && starting.contains(unit);
        let mut restarted: Vec<Unit> = stopping.order.iter().filter(both).cloned().collect();
        restarted.extend(restarting.order.iter().filter(|unit| !both(unit)).cloned());
        Units {
            started: starting.without(stopping).filter(|unit| !restarting.contains(unit)).cloned().collect(),
            stopped: stopping.without(starting).filter(|unit| !restarting.contains(unit)).cloned().collect(),
            reloaded: list(Verb::Reloaded).order.clone(),
            failed: self.failed.order.clone(),
            restarted,
        }
    }

    /// The units that were acted upon last.
    pub fn last_units(&self) -> &[Unit] {
        &self.last_list
    }

    /// The lines that explain the failure, in their order: those before it was recognized and those after.
    pub fn evidence(&self) -> impl Iterator<Item = &str> {
        self.explanation.iter().chain(&self.evidence).map(|line| line.text.as_str())
    }

    /// The lines of [`evidence`](Self::evidence) that say why or how: without what is said by the failed step and units
    /// themselves, the tool's advice beside a list of files, and warnings, which were told before.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let lines = || self.explanation.iter().chain(&self.evidence);
        let most = lines().map(|line| line.weight).max();
        // It is a log hint and no more, unless failed units have logs of their own.
        let points = |line: &Evidence| {
            self.failed.is_empty() && line.weight == Weight::Context && named_log(&line.text).is_some()
        };
        let repeats = move |line: &Evidence| {
            // Others say how it failed as well.
            let only_names =
                |unit: &Unit| line.text.strip_suffix(" failed").unwrap_or(&line.text).ends_with(&unit.name);
            let said_by_unit = line.weight > Weight::Context
                && line.weight < Weight::Cause
                && self.failed.order.iter().any(only_names);
            let said_by_step =
                line.weight == Weight::Verdict && (most > Some(Weight::Verdict) || !self.failed.is_empty());
            let beside_files = line.weight == Weight::Context && !self.files.is_empty();
            let told = line.weight == Weight::Context
                && (self.warnings.contains(&line.text) || line.text.starts_with("building '/nix/store/"));
            said_by_unit || said_by_step || beside_files || told || points(line)
        };
        lines().filter(move |line| !repeats(line)).map(|line| line.text.as_str())
    }

    /// Snippets that failed, in their order.
    pub fn failed_snippets(&self) -> &[FailedSnippet] {
        &self.snippets
    }

    /// Returns whether enough of its lines were read to rule out chance.
    pub(super) fn has_more_lines(&self) -> bool {
        self.signals >= if self.headless { 3 } else { 2 }
    }

    /// Returns whether its tool says that nothing is under way any more.
    pub(super) fn is_over(&self) -> bool {
        self.closed || self.confirmed
    }

    /// The one line that says most: why it failed, else what failed, else the last line.
    pub fn message(&self) -> Option<&str> {
        let of_snippet =
            self.snippets.iter().find(|snippet| Some(&snippet.step) == self.failed_step.as_ref());
        let of_snippet = of_snippet.filter(|_| self.failed.is_empty());
        if let Some(reason) = of_snippet.and_then(|snippet| snippet.reason.as_deref()) {
            return Some(reason);
        }
        // Lines after a failure of Nix's only say what else could not be built.
        let follows = |line: &&Evidence| {
            !line.text.contains("dependencies of derivation") && !line.text.contains("Cannot build ")
        };
        let cause = |line: &&Evidence| line.weight == Weight::Cause;
        let before = self.explanation.iter().rev().filter(follows).find(cause);
        let why = before.or_else(|| self.evidence.iter().rev().filter(follows).find(cause));
        let lines = || self.explanation.iter().chain(&self.evidence);
        let what = || {
            let most = lines().map(|line| line.weight).filter(|weight| *weight > Weight::Context).max()?;
            lines().find(|line| line.weight == most)
        };
        let last = || lines().rfind(|line| named_log(&line.text).is_none()).or_else(|| lines().last());
        why.or_else(what).or_else(last).map(|line| line.text.trim())
    }

    /// Returns the logs that the failed step, or what runs it, tells its reader to look at: files and commands, the last first.
    pub fn named_logs(&self) -> Vec<&str> {
        /// A program that names more says nothing by it.
        const MOST: usize = 2;
        let mut logs: Vec<&str> = Vec::new();
        for log in
            self.explanation.iter().chain(&self.evidence).rev().filter_map(|line| named_log(&line.text))
        {
            if logs.len() < MOST && !logs.contains(&log) {
                logs.push(log);
            }
        }
        logs
    }

    /// Returns files and commands that show more, best first: the logs of [`unit_log_hints`](Self::unit_log_hints), without
    /// failed units after those of [`named_logs`](Self::named_logs).
    pub fn log_hints(&self) -> Vec<String> {
        let named = if self.failed.is_empty() { self.named_logs() } else { Vec::new() };
        named.into_iter().map(str::to_owned).chain(self.unit_log_hints()).collect()
    }

    /// Returns commands that show the logs of units, best first: one for each failed unit; if units hang and none is named, one
    /// for each of the last list; for a NixOS switch that fails outside its units, the unit that ran it.
    pub fn unit_log_hints(&self) -> Vec<String> {
        let mut hints: Vec<String> = self.failed.order.iter().map(Unit::log_hint).collect();
        if self.hung && self.failed.is_empty() {
            hints.extend(self.last_list.iter().map(Unit::log_hint));
        }
        // nixos-rebuild runs the switch as a transient unit of this name (NR, NG).
        let before = self.failed_step.as_deref().is_some_and(|step| step == "set-profile" || step == "sudo");
        let outside = self.failed_step.is_some() || self.failed.is_empty();
        let failed = matches!(self.stage, RunStage::Failed | RunStage::Refused);
        if self.tool == Tool::NixosRebuild && failed && outside && !before {
            hints.push("journalctl -u nixos-rebuild-switch-to-configuration.service".to_owned());
        }
        hints
    }

    /// Adds units to what was done; a rollback does not count.
    pub(super) fn act(&mut self, verb: Verb, units: &[Unit]) {
        if !self.rolling_back && !self.dry_run {
            let list = self.done.entry(verb).or_default();
            for unit in units {
                list.insert(unit.clone());
            }
            self.last_list = units.iter().take(MAX_UNITS).cloned().collect();
        }
    }

    /// Adds failed units and says which are new.
    pub(super) fn fail_units(&mut self, units: Vec<Unit>) -> Vec<Unit> {
        if self.rolling_back {
            return Vec::new();
        }
        units.into_iter().filter(|unit| self.failed.insert(unit.clone())).collect()
    }

    /// Records a failure. The first one counts, but a named one is worth more than one without a name.
    pub(super) fn fail(&mut self, step: Option<&str>, survivable: bool) {
        if self.rolling_back && step != Some("magic-rollback") {
            self.fails = true;
            return;
        }
        match &mut self.failure {
            None => self.failure = Some(RunFailure { step: step.map(str::to_owned), survivable }),
            Some(known) if known.step.is_none() && step.is_some() => {
                *known =
                    RunFailure { step: step.map(str::to_owned), survivable: known.survivable && survivable };
            }
            Some(known) => known.survivable &= survivable,
        }
        self.explain();
    }

    /// Fixes the lines so far as an explanation.
    fn explain(&mut self) {
        let room = MAX_EVIDENCE.saturating_sub(self.explanation.len());
        let skip = self.evidence.len().saturating_sub(room);
        self.explanation.extend(self.evidence.drain(..).skip(skip));
    }

    /// A step begins: what the one before printed explains nothing any more.
    pub(super) fn enter(&mut self, step: &str) {
        self.step = Some(step.to_owned());
        self.makes_partitions |= self.tool == Tool::Disko && step == disko::STEP;
        self.linked |= step == LINK;
        self.own_steps = match is_own_step(step) {
            true if self.unrelated == 0 => self.own_steps.saturating_add(1),
            is_own => u32::from(is_own),
        };
        self.ends_in_error = false;
        self.evidence.clear();
        if self.failure.as_ref().is_some_and(|failure| failure.survivable) {
            self.failure = None;
            self.explanation.clear();
        }
    }

    /// A snippet failed: the lines since the one before say why.
    pub(super) fn fail_snippet(&mut self, step: &str) {
        /// More are not told one by one.
        const MOST: usize = 100;
        let lines = || self.evidence.iter().rev();
        let reason = lines()
            .find(|line| line.weight == Weight::Cause)
            .or_else(|| lines().find(|line| line.weight == Weight::Context));
        let reason = reason.map(|line| line.text.trim().to_owned());
        if self.snippets.len() < MOST {
            self.snippets.push(FailedSnippet { step: step.to_owned(), reason });
        }
    }

    /// Keeps a line of any program as evidence. Returns whether it reports an error.
    pub(super) fn keep_other(&mut self, line: &str) -> bool {
        match self.traceback.read(line) {
            // It says where in a program that is not the user's.
            Said::Frame => return true,
            Said::Exception => {
                // The called program has said the reason before.
                let called = line.contains("CalledProcessError");
                let before =
                    self.evidence.back_mut().filter(|before| called && before.weight <= Weight::Cause);
                let weight = match before {
                    Some(before) => {
                        before.weight = Weight::Cause;
                        Weight::Context
                    }
                    None => Weight::Cause,
                };
                self.keep(weight, line);
                return true;
            }
            Said::Else => {}
        }
        if is_service_manager(line) {
            self.keep(Weight::Verdict, line);
            return true;
        }
        let error = reports_error(line) || self.ends_in_error && is_advice(line);
        let weight = if reports_error(line) { Weight::Cause } else { Weight::Context };
        self.keep(weight, line);
        error
    }

    pub(super) fn keep(&mut self, weight: Weight, line: &str) {
        if self.evidence.len() == MAX_EVIDENCE {
            self.evidence.pop_front();
        }
        self.evidence.push_back(Evidence { weight, text: cut(&sanitize(line), MAX_LINE).to_owned() });
    }

    pub(super) fn warn(&mut self, text: &str) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(cut(text, MAX_LINE).to_owned());
        }
    }

    pub(super) fn file(&mut self, file: &str) {
        if self.files.len() < MAX_FILES {
            self.files.push(cut(file, MAX_LINE).to_owned());
        }
    }

    /// Keeps a journal line of the unit whose status is being quoted.
    pub(super) fn quote_line(&mut self, line: &str) {
        let Some(text) = journal_message(line) else { return };
        let Some(unit) = &self.quoted_unit else { return };
        let at = match self.excerpts.iter().position(|excerpt| excerpt.unit == *unit) {
            Some(at) => at,
            None if self.excerpts.len() < MAX_EXCERPTS => {
                self.excerpts.push(Excerpt { unit: unit.clone(), lines: Vec::new() });
                self.excerpts.len() - 1
            }
            None => return,
        };
        if let Some(excerpt) =
            self.excerpts.get_mut(at).filter(|excerpt| excerpt.lines.len() < MAX_EXCERPT_LINES)
        {
            excerpt.lines.push(cut(text, MAX_LINE).to_owned());
        }
    }

    pub(super) fn hold(&mut self, change: ActivationChange) {
        if self.held.len() < MAX_HELD {
            self.held.push(change);
        }
    }
}

/// The message of a journal line, `Aug 20 10:12:03 host ident[123]: message`; `None` if it is none, or systemd's own,
/// which say no more than that the unit failed.
fn journal_message(line: &str) -> Option<&str> {
    if !is_journal_line(line) {
        return None;
    }
    let (head, message) = line.split_once(": ")?;
    (!head.contains(" systemd[")).then_some(message)
}

/// A time of day near the beginning: months are translated, times are not.
pub(super) fn is_journal_line(line: &str) -> bool {
    let head = line.as_bytes().get(..line.len().min(40)).unwrap_or_default();
    head.windows(8).any(|w| {
        w.iter().enumerate().all(|(at, b)| if at == 2 || at == 5 { *b == b':' } else { b.is_ascii_digit() })
    })
}

/// At most so many bytes, at a character's boundary.
pub(super) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
