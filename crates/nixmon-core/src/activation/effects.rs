//! The effect of each rule on the runs.

use super::{
    Activation, ActivationChange, Tool, Verb,
    line::{Line, MAX_TEXT},
    rule::{Effect, Holes, Manager, Program, Rule, ServiceKind, is_unit, split_agent},
    run::{Run, Scope, Unit, Weight, cut},
    tools::{deploy_rs, home_manager},
};
use nixmon_log::escapes::sanitize;

impl Activation {
    /// Does what the rule says. False if it turns out not to apply.
    pub(super) fn perform(
        &mut self,
        program: &Program,
        rule: &Rule,
        holes: &Holes<'_>,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> bool {
        use Effect::*;
        match rule.effect {
            Command(tool) => self.announce(Some(tool), out),
            Announces(tool) => self.announce(tool, out),
            Introduces(tool) => {
                if self.expected != Some(tool) {
                    self.announce(Some(tool), out);
                }
                self.labels |= tool == Tool::Colmena;
                self.expected = Some(tool);
                self.announced = true;
            }
            NodePhase(phase) => {
                let named = deploy_rs::node(line.text);
                match named.as_deref().or(line.node) {
                    Some(node) => self.reach(node, phase, out),
                    None => return false,
                }
            }
            StageFailed(stage) => self.stage_failed(stage, line.node.is_some()),
            OperationFailed => self.closing.operation_failed(),
            SudoFailed => return self.sudo_failed(line, out),
            MaybeNotPrivileged => self.maybe_not_privileged = true,
            CommandFailed => self.command_failed(holes, line, out),
            CommandKilled => self.command_killed(line, out),
            ProfileFailed => return self.profile_failed(holes, line, out),
            Begin(tool) => return self.begin_line(tool, line, out),
            BeginStep(tool, step) => {
                let at = self.within(program, tool, line, out);
                self.enter(at, step, out);
            }
            BeginStage(tool, stage) => {
                let at = self.stage(program, tool, stage, line, out);
                self.signal(at, line, out);
            }
            BeginUnits(tool, stage, verb, manager) => {
                let at = self.stage(program, tool, stage, line, out);
                self.units(at, verb, manager, holes, out);
                self.signal(at, line, out);
            }
            Refused(tool, step) | RefusedQuietly(tool, step) => {
                let tool = tool.or(self.expected).unwrap_or(Tool::Unknown);
                self.refuse(program, tool, Some(step), line, out);
            }
            Aborted(tool) => {
                let at = self.within(program, tool, line, out);
                let step = self.runs.get(at).is_none_or(|run| run.step.is_none()).then_some("checks");
                if let Some(run) = self.runs.get_mut(at) {
                    run.keep(Weight::Subject, line.shown);
                    run.refused |= step.is_some();
                    run.fail(step, false);
                }
                self.signal(at, line, out);
                self.problem(at, line.shown, out);
            }
            SwitchFailed(tool) => {
                let at = match self.target(line) {
                    Some(at) if self.runs.get(at).is_some_and(|run| program.within.contains(&run.tool)) => at,
                    _ => self.begin(tool, line, out),
                };
                if let Some(run) = self.runs.get_mut(at) {
                    run.fails = true;
                }
                self.runs.close(at);
                self.signal(at, line, out);
            }
            RebootNeeded => {
                let at = self.refuse(program, Tool::NixosRebuild, Some("checks"), line, out);
                if let Some(run) = self.runs.get_mut(at) {
                    run.reboot_needed = true;
                    run.keep(Weight::Cause, "the new configuration takes effect only after a reboot");
                    let id = run.id;
                    self.emit(at, ActivationChange::RebootNeeded { run: id }, out);
                }
            }
            DryRun(tool) => {
                let at = match tool {
                    Some(tool) => self.within(program, tool, line, out),
                    None => self.target(line).unwrap_or(0),
                };
                if let Some(run) = self.runs.get_mut(at) {
                    run.dry_run = true;
                }
                self.signal(at, line, out);
            }
            _ => {
                let beyond = |run: &Run| {
                    run.closed
                        && !matches!(rule.effect, Note | RolledBack | RollingBack | Revoking | Failed | Done)
                };
                let at = match self.target(line) {
                    Some(at) if self.runs.get(at).is_some_and(|run| !beyond(run)) => at,
                    _ => match self.begin_within(program, rule, holes, line, out) {
                        Some(at) => at,
                        None => return false,
                    },
                };
                return self.in_run(at, rule, holes, line, out);
            }
        }
        true
    }

    /// Begins a run whose beginning is missing, on a line that no other program has.
    fn begin_within(
        &mut self,
        program: &Program,
        rule: &Rule,
        holes: &Holes<'_>,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> Option<usize> {
        use Effect::*;
        let is_known = match rule.effect {
            // The script of disko shows its commands; only it has said before that they come.
            NamedStep if *program.within == [Tool::Disko] => {
                let at = self.begin_announced(Tool::Disko, line, out)?;
                return Some(at);
            }
            NamedStep => holes.step.is_some_and(home_manager::is_own_step),
            Units(..) | UnitsFailed(_) | ForUser | SnippetFailed | ScriptFailed => true,
            _ => false,
        };
        let tool = program.within.first().filter(|_| is_known)?;
        let at = self.begin(*tool, line, out);
        if let Some(run) = self.runs.get_mut(at) {
            run.headless = true;
        }
        Some(at)
    }

    /// Rules that apply to a run that exists.
    pub(super) fn in_run(
        &mut self,
        at: usize,
        rule: &Rule,
        holes: &Holes<'_>,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> bool {
        use Effect::*;
        let Some(run) = self.runs.get_mut(at) else { return false };
        let id = run.id;
        run.last_at = line.ctx.at;
        if run.headless && matches!(rule.effect, UnitsFailed(_) | SnippetFailed | ScriptFailed) {
            // No other program has such a line.
            run.signals = run.signals.saturating_add(1);
        }
        let step = match rule.effect {
            Step(step) => {
                run.in_home_manager = false;
                Some(step)
            }
            Nested(step) => {
                run.nested = true;
                Some(step)
            }
            NamedStep => holes.step,
            _ => None,
        };
        if let Some(step) = step {
            self.enter(at, step, out);
            return true;
        }
        match rule.effect {
            Units(verb, manager) => self.units(at, verb, manager, holes, out),
            UnitFailed(manager) | UnitsFailed(manager) => {
                let listed = holes.units.or(holes.unit).unwrap_or_default();
                let units: Vec<Unit> = split_units(run, listed, manager);
                // A unit's failure is an exit status for switch-to-configuration, and none for sd-switch.
                run.fails |= rule.source.starts_with("ST") || rule.source.starts_with("SD:");
                run.keep(if holes.units.is_some() { Weight::List } else { Weight::Subject }, line.shown);
                self.fail_units(at, units, out);
            }
            AgentFailed => {
                let (domain, label) = match (holes.agent.and_then(split_agent), holes.word) {
                    (Some((domain, label)), _) => (Some(domain), label),
                    (None, Some(label)) => (None, label),
                    _ => return false,
                };
                if let Some(domain) = domain {
                    run.domain = Some(domain.to_owned());
                }
                let unit =
                    Unit { name: label.to_owned(), scope: Scope::Launchd { domain: user_domain(run) } };
                run.keep(Weight::Subject, line.shown);
                self.fail_units(at, vec![unit], out);
            }
            Service(verb, kind) => {
                let (domain, label) = match (holes.agent.and_then(split_agent), holes.word, kind) {
                    (Some((domain, label)), ..) => (domain.to_owned(), label),
                    (None, Some(label), ServiceKind::System) => ("system".to_owned(), label),
                    (None, Some(label), ServiceKind::User) => (user_domain(run), label),
                    _ => return false,
                };
                let unit = Unit { name: label.to_owned(), scope: Scope::Launchd { domain } };
                run.act(verb, std::slice::from_ref(&unit));
                run.last_service = Some(unit.clone());
                self.emit(at, ActivationChange::Units { run: id, verb, units: vec![unit] }, out);
            }
            LastServiceFailed => {
                // home-manager's own step goes on, and says at the end if it minds.
                let of_user =
                    run.last_service.is_none() && !run.step.as_deref().is_some_and(home_manager::is_own_step);
                run.keep(if of_user { Weight::Cause } else { Weight::Subject }, line.shown);
                run.ends_in_error = of_user || run.tool == Tool::NixDarwin && !run.in_home_manager;
                let unit = run.last_service.clone();
                self.fail_units(at, unit.into_iter().collect(), out);
            }
            Hung => {
                run.hung = true;
                run.keep(Weight::Cause, line.shown);
                run.fail(None, true);
                self.problem(at, line.shown, out);
            }
            ForUser => run.user = holes.word.map(str::to_owned),
            Home => run.home = holes.path.map(str::to_owned),
            Note => {}
            Warn => {
                let text = cut(&sanitize(line.shown), MAX_TEXT).to_owned();
                run.warn(&text);
                run.keep(Weight::Context, &text);
                self.emit(at, ActivationChange::Warning { run: id, text }, out);
            }
            Complain => {
                run.keep(Weight::Cause, line.shown);
                run.ends_in_error = true;
                self.problem(at, line.shown, out);
            }
            Fatal => {
                run.keep(Weight::Verdict, line.shown);
                run.fail(None, true);
                self.problem(at, line.shown, out);
            }
            ScriptEnds if run.ends_in_error => run.fail(None, false),
            ScriptEnds => self.runs.close(at),
            FatalIn(step) => {
                run.keep(Weight::Verdict, line.shown);
                run.fail(Some(step), false);
                self.problem(at, line.shown, out);
            }
            SnippetFailed => {
                run.fails = true;
                if let Some(step) = holes.step {
                    run.fail_snippet(step);
                }
                run.keep(Weight::Subject, line.shown);
                run.fail(holes.step, false);
                self.problem(at, line.shown, out);
            }
            ScriptFailed => {
                run.fails = true;
                run.exit_status.get_or_insert(2);
                run.keep(Weight::Verdict, line.shown);
                self.problem(at, line.shown, out);
            }
            WillFail => {
                run.fails = true;
                self.problem(at, line.shown, out);
            }
            FileInTheWay => {
                run.file(&sanitize(holes.text.unwrap_or_default()));
                run.keep(Weight::Subject, line.shown);
                run.fail(None, true);
                self.problem(at, line.shown, out);
            }
            FilesFollow => run.collecting_files = true,
            Quote(quote) => {
                run.quote = Some(quote);
                run.quoted_unit = holes.unit.map(str::to_owned);
            }
            ExitStatus => run.exit_status = run.exit_status.or(holes.code),
            Report => {
                run.reporting = true;
                run.fails = true;
            }
            RollingBack => self.roll_back(at, out),
            Revoking => {
                for run in self.runs.iter_mut() {
                    // Machines that had succeeded are revoked with the one that failed.
                    run.rolled_back |= run.tool == Tool::DeployRs && run.closed && !run.fails;
                }
                self.roll_back(at, out);
            }
            // Also said of a node that never got so far.
            NotConfirmed if !run.failed.is_empty() || run.failure.is_some() || run.exit_status.is_some() => {
                run.fails = true;
            }
            NotConfirmed => {
                run.keep(Weight::Cause, line.shown);
                run.fail(Some("magic-rollback"), false);
                self.problem(at, line.shown, out);
            }
            RolledBack => self.rolled_back(at, holes),
            Done => {
                let path = holes.path.or(holes.text.map(str::trim)).filter(|path| path.starts_with('/'));
                run.configuration = path.map(str::to_owned).or(run.configuration.take());
                // Lines of the machine come over another connection, and may come later.
                if run.tool == Tool::DeployRs {
                    run.confirmed = true;
                } else {
                    self.runs.close(at);
                }
            }
            Failed => {
                run.exit_status = run.exit_status.or(holes.code);
                run.fails = true;
                if line.node.is_some() {
                    self.runs.close(at);
                }
            }
            _ => return false,
        }
        self.signal(at, line, out);
        true
    }

    pub(super) fn enter(&mut self, at: usize, step: &str, out: &mut Vec<ActivationChange>) {
        let Some(run) = self.runs.get_mut(at) else { return };
        run.enter(step);
        run.signals = run.signals.saturating_add(1);
        run.unrelated = 0;
        let id = run.id;
        self.emit(at, ActivationChange::Step { run: id, name: step.to_owned() }, out);
        self.promote(at, out);
    }

    pub(super) fn units(
        &mut self,
        at: usize,
        verb: Verb,
        manager: Manager,
        holes: &Holes<'_>,
        out: &mut Vec<ActivationChange>,
    ) {
        let Some(run) = self.runs.get_mut(at) else { return };
        let units = split_units(run, holes.units.unwrap_or_default(), manager);
        run.act(verb, &units);
        run.ends_in_error = false;
        if !units.is_empty() && !run.rolling_back {
            let id = run.id;
            self.emit(at, ActivationChange::Units { run: id, verb, units }, out);
        }
    }

    pub(super) fn fail_units(&mut self, at: usize, units: Vec<Unit>, out: &mut Vec<ActivationChange>) {
        let Some(run) = self.runs.get_mut(at) else { return };
        let units = run.fail_units(units);
        if !units.is_empty() {
            let id = run.id;
            self.emit(at, ActivationChange::UnitsFailed { run: id, units }, out);
        }
    }

    pub(super) fn roll_back(&mut self, at: usize, out: &mut Vec<ActivationChange>) {
        if let Some(run) = self.runs.get_mut(at).filter(|run| !run.closed && !run.rolling_back) {
            run.rolling_back = true;
            run.fails = true;
            let id = run.id;
            self.emit(at, ActivationChange::RollingBack { run: id }, out);
        }
    }

    pub(super) fn rolled_back(&mut self, at: usize, holes: &Holes<'_>) {
        let named = holes.word.and_then(|node| {
            let of = |run: &Run| {
                run.node.as_deref().is_some_and(|name| {
                    name == node || name.strip_prefix(node).is_some_and(|rest| rest.starts_with('.'))
                })
            };
            self.runs.iter().rposition(of)
        });
        let at = named.unwrap_or(at);
        if let Some(run) = self.runs.get_mut(at) {
            run.rolled_back = true;
            run.fails = true;
        }
        self.runs.close(at);
    }
}

/// The names of a list, with their scope; `sysinit-reactivation.target` is in every switch and says nothing.
fn split_units(run: &Run, list: &str, manager: Manager) -> Vec<Unit> {
    let scope = match manager {
        Manager::System => Scope::System,
        Manager::User => Scope::User(run.user.clone()),
    };
    list.split(", ")
        .filter(|name| is_unit(name) && *name != "sysinit-reactivation.target")
        .map(|name| Unit { name: name.to_owned(), scope: scope.clone() })
        .collect()
}

/// The domain of the user's agents: as named before, else in the words a shell of that user completes.
fn user_domain(run: &Run) -> String {
    run.domain.clone().unwrap_or_else(|| "gui/$(id -u)".to_owned())
}
