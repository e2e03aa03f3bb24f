//! The state machine: lines in, runs and changes out.

use std::collections::{BTreeMap, VecDeque};

use super::{
    ActivationChange, LineContext, MachinePhase, Recognised, Reported, SwitchOutcome, Tool,
    closing::Closing,
    last_words::{Said, Traceback, is_service_manager, reports_error},
    line::{LastBuild, Line, MAX_TEXT, PendingSudo, is_build_failure},
    rule::{Effect, Entry, Program, Quote, Rule, is_unit},
    run::{Run, Standing, SwitchId, Weight, cut, is_journal_line},
    runs::Runs,
    tools::{TABLES, colmena, deploy_rs, home_manager, make, nh, sudo, system_manager},
};
use nixmon_log::escapes::sanitize;

/// Longest line read. Longer ones are lists of nothing we know.
const MAX_LINE: usize = 64 * 1024;
/// Lines between home-manager's first one and its first step, which it prints with `--verbose`.
const NAMED_FOR: u8 = 20;
/// Machines whose phase is kept.
const MAX_NODES: usize = 1024;
/// Lines kept outside runs.
const MAX_RECENT: usize = 12;
/// Steps of home-manager's own in a row that no builder prints by chance.
const STEPS_IN_A_ROW: u32 = 4;
/// Lines of something else after which a beginning without a second line is forgotten.
const FORGET_AFTER: u32 = 200;

/// The recogniser. Feed it every line of text that is no record, then [`finish`](Activation::finish).
#[derive(Debug)]
pub struct Activation {
    pub(super) runs: Runs,
    pub(super) phases: BTreeMap<String, MachinePhase>,
    pub(super) labels: bool,
    pub(super) expected: Option<Tool>,
    pub(super) announced: bool,
    pub(super) last_build: LastBuild,
    pub(super) sudo: Option<PendingSudo>,
    pub(super) maybe_not_privileged: bool,
    /// The last lines outside any run: they may say why one is refused.
    pub(super) recent: VecDeque<String>,
    /// The number of further lines in which a step may follow a line that named home-manager.
    pub(super) named: u8,
    pub(super) translated: Option<(&'static str, home_manager::StepForm)>,
    /// Text that is neither ours nor a wrapper's has been seen.
    pub(super) other_text: bool,
    traceback: Traceback,
    pub(super) closing: Closing,
    pub(super) outcome: Option<SwitchOutcome>,
}

impl Default for Activation {
    fn default() -> Activation {
        Activation::new()
    }
}

impl Activation {
    /// Makes a recogniser that has read nothing.
    pub fn new() -> Activation {
        Activation {
            runs: Runs::default(),
            phases: BTreeMap::new(),
            labels: false,
            expected: None,
            announced: false,
            last_build: LastBuild::None,
            sudo: None,
            maybe_not_privileged: false,
            recent: VecDeque::new(),
            named: 0,
            translated: None,
            other_text: false,
            traceback: Traceback::default(),
            closing: Closing::default(),
            outcome: None,
        }
    }

    /// The runs that are believed, in the order in which they began.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.standing == Standing::Sure)
    }

    /// The run with this id.
    pub fn run(&self, id: SwitchId) -> Option<&Run> {
        self.runs().find(|run| run.id == id)
    }

    /// Returns the phase of each machine by name, where the tool handles several.
    pub fn phases(&self) -> impl Iterator<Item = (&str, MachinePhase)> {
        self.phases.iter().map(|(node, phase)| (node.as_str(), *phase))
    }

    /// Returns whether an activation has been seen, including one that was refused before it began.
    pub fn started(&self) -> bool {
        self.runs().next().is_some()
    }

    /// Returns whether an activation is under way, so that a failure now is its own.
    pub fn under_way(&self) -> bool {
        self.runs().any(|run| !run.is_over())
    }

    /// Returns the tools' own words about the end, outside any run.
    pub fn reported(&self) -> &Reported {
        self.closing.reported()
    }

    /// The line without the label colmena puts before what Nix and the nodes print, so that Nix's own words can be
    /// recognized behind it. The line itself as long as colmena has not introduced itself.
    pub fn text_of<'l>(&self, line: &'l str) -> &'l str {
        if self.labels { colmena::split(line).map_or(line, |(_, text)| text) } else { line }
    }

    /// Reads one line of text, without its newline and without escape sequences.
    pub fn line(&mut self, line: &str, ctx: &LineContext, out: &mut Vec<ActivationChange>) -> Recognised {
        self.labelled_line(None, line, ctx, out)
    }

    /// Reads one line of text as [`line`](Self::line) does, which a collector of logs has put behind the name of a machine
    /// or program.
    pub fn labelled_line(
        &mut self,
        label: Option<&str>,
        line: &str,
        ctx: &LineContext,
        out: &mut Vec<ActivationChange>,
    ) -> Recognised {
        let recognised = self.read(line, label, ctx, out);
        self.tell_ends(out);
        recognised
    }

    fn read(
        &mut self,
        line: &str,
        node: Option<&str>,
        ctx: &LineContext,
        out: &mut Vec<ActivationChange>,
    ) -> Recognised {
        if ctx.build_log || line.len() > MAX_LINE {
            self.closing.take_back();
            return Recognised::No;
        }
        let line = sudo::after_prompt(line.trim_end_matches(['\r', '\n']));
        if let Some((label, text)) = colmena::split(line)
            && (self.labels || text == "Activating system profile")
        {
            return self.labelled(label, text, ctx, out);
        }
        let line = Line { text: line, shown: line, node, ctx: *ctx };
        // Layers that are recognized by their form first, so that a quote inside them is never taken for a line.
        let layer = colmena::logged(line.text).or_else(|| deploy_rs::text(line.text));
        if let Some(text) = layer
            && let Some((_, shown)) = text.split_once("| ")
            && self.matched(&Line { text: &text, shown, ..line }, out)
        {
            return self.recognised(node);
        }
        if let Some(recognised) = self.in_block(&line, out) {
            return recognised;
        }
        if let Some(said) = make::said(line.text) {
            self.make_said(said, line.text);
            // Around anything but an activation it is a line like any other.
            return if self.started() { self.recognised(node) } else { Recognised::No };
        }
        if let Some(text) = system_manager::text(line.text)
            && self.matched(&Line { text, shown: text, ..line }, out)
        {
            return self.recognised(node);
        }
        if self.matched(&line, out) || self.echoed(&line, out) || self.step_in_another_language(&line, out) {
            self.named = 0;
            return self.recognised(node);
        }
        let reporting = self.runs.current().is_some_and(|run| run.reporting && !run.closed);
        if reporting
            && let Some(text) = nh::reported(line.text)
            && self.matched(&Line { text, shown: text, ..line }, out)
        {
            return self.recognised(node);
        }
        self.watch_builds(line.text, out);
        if home_manager::names_itself(line.text) {
            self.named = NAMED_FOR;
        } else {
            self.named = self.named.saturating_sub(1);
        }
        let recognised = self.other(&line, out);
        // colmena logs the output of a node that failed a second time.
        let repeated = self.labels && self.started() && colmena::logged(line.text).is_some();
        if repeated && recognised == Recognised::No { Recognised::Relevant } else { recognised }
    }

    /// Notes that a record says that this derivation, by its name without digest, was built or is valid: if it is a whole
    /// configuration, its activation is what comes next.
    pub fn built(&mut self, name: &str, out: &mut Vec<ActivationChange>) {
        if let Some(tool) = Tool::of_configuration(name) {
            self.next_configuration(out);
            self.last_build = LastBuild::Configuration(tool);
        }
        self.tell_ends(out);
    }

    /// Takes a Nix error by its first line: from a record, or from a line that was [`Recognised::No`]. Returns whether it belongs
    /// to an activation under way.
    pub fn nix_error(&mut self, message: &str) -> bool {
        let Some(run) = self.runs.current_mut().filter(|run| !run.is_over()) else {
            self.sudo = None;
            return false;
        };
        if run.standing != Standing::Sure {
            if is_build_failure(message) {
                // The build that fails now was still running, so the lines were its builder's.
                self.runs.forget_current();
            }
            return false;
        }
        run.keep(Weight::Cause, message.trim());
        run.ends_in_error = true;
        true
    }

    /// Notes that a machine has reached a phase; it never goes back.
    pub(super) fn reach(&mut self, node: &str, phase: MachinePhase, out: &mut Vec<ActivationChange>) {
        let node = cut(&sanitize(node), MAX_TEXT).to_owned();
        let known = self.phases.get(&node).copied();
        if known < Some(phase) && (known.is_some() || self.phases.len() < MAX_NODES) {
            self.phases.insert(node.clone(), phase);
            out.push(ActivationChange::NodePhase { node, phase });
        }
    }

    pub(super) fn recognised(&self, node: Option<&str>) -> Recognised {
        let at = self.runs.of(node);
        match at.and_then(|at| self.runs.get(at)) {
            Some(run) if run.standing == Standing::Sure => Recognised::Consumed,
            _ => Recognised::Relevant,
        }
    }

    /// Takes a line behind a node's label.
    pub(super) fn labelled(
        &mut self,
        label: &str,
        text: &str,
        ctx: &LineContext,
        out: &mut Vec<ActivationChange>,
    ) -> Recognised {
        let line = Line { text, shown: text, node: Some(label), ctx: *ctx };
        let whole = label.is_empty() || label == "(...)";
        let job = format!("{}| {text}", if whole { "all" } else { "job" });
        if self.matched(&Line { text: &job, shown: text, ..line }, out) {
            return self.recognised(Some(label));
        }
        if whole {
            return if self.started() { Recognised::Relevant } else { Recognised::No };
        }
        if let Some(recognised) = self.in_block(&line, out) {
            return recognised;
        }
        if self.matched(&line, out) {
            return self.recognised(Some(label));
        }
        self.other(&line, out)
    }

    pub(super) fn target(&self, line: &Line<'_>) -> Option<usize> {
        self.runs.of(line.node)
    }

    /// Takes a line inside a block of quoted text or a list of files.
    pub(super) fn in_block(
        &mut self,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> Option<Recognised> {
        let at = self.target(line)?;
        let run = self.runs.get_mut(at)?;
        if run.closed {
            return None;
        }
        if run.collecting_files {
            if let Some(file) = line.text.strip_prefix("  ") {
                let file = sanitize(file.trim()).into_owned();
                run.file(&file);
                let id = run.id;
                self.emit(at, ActivationChange::Problem { run: id, text: file }, out);
                return Some(self.recognised(line.node));
            }
            run.collecting_files = line.text.is_empty();
            return run.collecting_files.then_some(Recognised::Relevant);
        }
        match run.quote? {
            Quote::DegradedTable => {
                // A step or a list of units also ends it, should the closing line be missing.
                let over = line.text == home_manager::DEGRADED_END
                    || line.text.starts_with("Activating ")
                    || line.text.contains(" units: ");
                if over {
                    run.quote = None;
                    return None;
                }
            }
            Quote::Status => {
                let bullet = ["× ", "● ", "○ "].iter().find_map(|bullet| line.text.strip_prefix(bullet));
                if let Some(unit) =
                    bullet.and_then(|text| text.split(' ').next()).filter(|unit| is_unit(unit))
                {
                    run.quoted_unit = Some(unit.to_owned());
                } else if is_journal_line(line.text) {
                    run.quote_line(line.text);
                } else {
                    let inside = line.text.trim().is_empty()
                        || line.text.starts_with(char::is_whitespace)
                        || ["Hint: ", "Notice: ", "Warning: "].iter().any(|word| line.text.starts_with(word));
                    if !inside {
                        run.quote = None;
                        return None;
                    }
                }
            }
        }
        Some(Recognised::Relevant)
    }

    /// Tries the tables.
    pub(super) fn matched(&mut self, line: &Line<'_>, out: &mut Vec<ActivationChange>) -> bool {
        TABLES.fitting(line.text).any(|(Entry { program, rule, .. }, holes)| {
            self.possible(program, rule, line) && self.perform(program, rule, &holes, line, out)
        })
    }

    /// Returns whether a rule can apply at this moment.
    pub(super) fn possible(&self, program: &Program, rule: &Rule, line: &Line<'_>) -> bool {
        use Effect::*;
        let run = self.target(line).and_then(|at| self.runs.get(at));
        let within = run.is_some_and(|run| !run.closed && program.within.contains(&run.tool));
        match rule.effect {
            Command(_) | Announces(_) => line.node.is_none(),
            NodePhase(_) => self.labels || self.announced,
            Introduces(_) | SudoFailed | CommandFailed | CommandKilled => true,
            // Other programs have such lines too.
            StageFailed(_) => self.announced,
            OperationFailed => self.labels,
            RefusedQuietly(..) => within || (!line.ctx.builds_running && self.is_expected()),
            Begin(_) | BeginStep(..) | BeginStage(..) | BeginUnits(..) | Refused(..) | Aborted(_)
            | SwitchFailed(_) | RebootNeeded | DryRun(Some(_)) => within || !line.ctx.builds_running,
            ProfileFailed | MaybeNotPrivileged => !line.ctx.builds_running,
            // Lines after the end of a run may still be its own.
            Note | RolledBack | RollingBack | Revoking | Failed | Done => {
                within || run.is_some_and(|run| program.within.contains(&run.tool))
            }
            // The beginning may be missing: `tail` cut it off.
            NamedStep | Units(..) | UnitsFailed(_) | ForUser | SnippetFailed | ScriptFailed => {
                within || (!line.ctx.builds_running && run.is_none_or(|run| run.closed) && !self.labels)
            }
            _ => within,
        }
    }

    /// Takes a line that no table knows.
    pub(super) fn other(&mut self, line: &Line<'_>, out: &mut Vec<ActivationChange>) -> Recognised {
        let text = line.text;
        if text.trim().is_empty() {
            return Recognised::No;
        }
        self.closing.take_back();
        if let Some(sudo) = &mut self.sudo {
            sudo.unrelated = sudo.unrelated.saturating_add(1);
        }
        let open = self.target(line).filter(|at| self.runs.get(*at).is_some_and(|run| !run.is_over()));
        let Some(at) = open else {
            self.other_text = true;
            if self.traceback.read(text) == Said::Frame {
                return Recognised::No;
            }
            if self.recent.len() == MAX_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(cut(text, MAX_TEXT).to_owned());
            return Recognised::No;
        };
        let Some(run) = self.runs.get_mut(at) else { return Recognised::No };
        run.unrelated = run.unrelated.saturating_add(1);
        if run.standing != Standing::Sure {
            self.other_text = true;
            if run.standing == Standing::Tentative && run.unrelated > FORGET_AFTER {
                self.runs.forget_current();
                return Recognised::No;
            }
        }
        run.last_at = line.ctx.at;
        run.ends_in_error = run.keep_other(text);
        if reports_error(text) && !is_service_manager(text) {
            self.problem(at, text, out);
        }
        match self.runs.get(at) {
            Some(run) if run.standing == Standing::Sure => Recognised::Relevant,
            _ => Recognised::No,
        }
    }

    /// Notes that a line of this run was understood.
    pub(super) fn signal(&mut self, at: usize, line: &Line<'_>, out: &mut Vec<ActivationChange>) {
        let Some(run) = self.runs.get_mut(at) else { return };
        run.signals = run.signals.saturating_add(1);
        run.unrelated = 0;
        run.last_at = line.ctx.at;
        self.promote(at, out);
    }

    pub(super) fn promote(&mut self, at: usize, out: &mut Vec<ActivationChange>) {
        let is_enough = |run: &Run| match run.standing {
            Standing::Sure => false,
            Standing::Tentative => run.has_more_lines(),
            Standing::Doubtful => run.own_steps >= STEPS_IN_A_ROW,
        };
        if self.runs.get(at).is_some_and(is_enough) {
            self.believe(at, out);
        }
    }

    /// Accepts a beginning and reports the changes that were held back.
    pub(super) fn believe(&mut self, at: usize, out: &mut Vec<ActivationChange>) {
        if let Some(run) = self.runs.get_mut(at) {
            run.standing = Standing::Sure;
            out.append(&mut run.held);
        }
    }

    pub(super) fn emit(&mut self, at: usize, change: ActivationChange, out: &mut Vec<ActivationChange>) {
        if let Some(run) = self.runs.get_mut(at) {
            if run.standing == Standing::Sure { out.push(change) } else { run.hold(change) }
        }
    }

    pub(super) fn problem(&mut self, at: usize, text: &str, out: &mut Vec<ActivationChange>) {
        let Some(run) = self.runs.get(at).map(|run| run.id) else { return };
        let text = cut(&sanitize(text), MAX_TEXT).to_owned();
        self.emit(at, ActivationChange::Problem { run, text }, out);
    }
}
