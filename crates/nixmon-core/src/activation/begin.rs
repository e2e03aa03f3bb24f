//! The beginnings of activations, and how far each is believed.

use super::{
    Activation, ActivationChange, MachinePhase, Tool,
    last_words::reports_error,
    line::{AT_THE_END, LastBuild, Line, MAX_TEXT, is_build_failure},
    rule::{Program, Stage, fit},
    run::{Run, Standing, Weight},
    tool::Nesting,
    tools::{TABLES, deploy_rs, home_manager, sudo},
};
use nixmon_log::escapes::sanitize;

impl Activation {
    /// Notes that a switch is announced, which ends the one before it.
    pub(super) fn announce(&mut self, tool: Option<Tool>, out: &mut Vec<ActivationChange>) {
        // darwin-rebuild and nixos-rebuild announce the same: a command that was echoed before says which it is.
        let known = tool.is_none() && self.announced && self.runs.current().is_none_or(|run| run.closed);
        if !known {
            self.expected = tool;
        }
        self.announced = true;
        // The builds of an activation are over with it; a build for another reason may still be printing.
        if self.under_way() {
            self.last_build = LastBuild::None;
        }
        self.close_current(true, out);
    }

    /// Ends the current run, because another begins or because another command is announced.
    pub(super) fn close_current(&mut self, announced: bool, out: &mut Vec<ActivationChange>) {
        let Some(run) = self.runs.current_mut() else { return };
        let over = match run.standing {
            Standing::Sure => true,
            Standing::Tentative => run.has_more_lines(),
            Standing::Doubtful => run.has_more_lines() && announced && run.unrelated <= AT_THE_END,
        };
        if !over {
            self.runs.forget_current();
            return;
        }
        if let Some(at) = self.runs.current_at() {
            self.believe(at, out);
            self.runs.close(at);
        }
    }

    /// Takes a command behind `sudo`, or one that a shell (`+ `) or nixos-rebuild (`$ `) shows.
    pub(super) fn echoed(&mut self, line: &Line<'_>, out: &mut Vec<ActivationChange>) -> bool {
        let shown =
            line.text.strip_prefix("+ ").or_else(|| line.text.strip_prefix("$ ")).unwrap_or(line.text);
        let (command, privileged) = match sudo::command(shown) {
            Some(command) => (command, true),
            None => (shown, false),
        };
        if !privileged && shown.len() == line.text.len() {
            return false;
        }
        let known = TABLES.commands().find_map(|(rule, tool)| fit(rule, command).map(|_| tool));
        match known {
            Some(tool) => self.announce(Some(tool), out),
            // Within a run a step may well show what it does, and a wrapper shows what it does by itself.
            None if privileged
                && shown.len() == line.text.len()
                && self.runs.current().is_none_or(|run| run.closed) =>
            {
                self.expected = None;
                self.announced = false;
            }
            None => return false,
        }
        true
    }

    /// Returns how far a beginning on this line is believed.
    pub(super) fn standing(&self) -> Standing {
        match self.last_build {
            LastBuild::Other => Standing::Doubtful,
            LastBuild::Configuration(_) => Standing::Sure,
            LastBuild::None if self.announced => Standing::Sure,
            LastBuild::None => Standing::Tentative,
        }
    }

    /// Begins a run. The one before it on the same lines is over.
    pub(super) fn begin(&mut self, tool: Tool, line: &Line<'_>, out: &mut Vec<ActivationChange>) -> usize {
        if line.node.is_none() {
            self.close_current(false, out);
        }
        // colmena says itself where an activation begins.
        let standing = if line.node.is_some() && self.labels { Standing::Sure } else { self.standing() };
        let node = line.node.map(str::to_owned).or_else(|| deploy_rs::node(line.text));
        let node = node.map(|node| sanitize(&node).into_owned());
        let at = self.runs.add(tool, node.clone(), line.node, line.ctx.at, standing);
        if let Some(id) = self.runs.get(at).map(|run| run.id) {
            self.emit(at, ActivationChange::Began { run: id, tool, node }, out);
        }
        self.translated = None;
        if let Some(node) = self.runs.get(at).and_then(|run| run.node.clone()) {
            self.reach(&node, MachinePhase::Activating, out);
        }
        at
    }

    /// Begins a run of a tool that was announced; `None` if it was not.
    pub(super) fn begin_announced(
        &mut self,
        tool: Tool,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> Option<usize> {
        (self.announced && self.expected == Some(tool)).then(|| self.begin(tool, line, out))
    }

    /// Returns the run that this program's line belongs to, and begins one if there is none.
    pub(super) fn within(
        &mut self,
        program: &Program,
        tool: Tool,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> usize {
        match self.target(line) {
            Some(at)
                if self.runs.get(at).is_some_and(|run| !run.closed && program.within.contains(&run.tool)) =>
            {
                at
            }
            _ => self.begin(tool, line, out),
        }
    }

    /// Takes a line that is a beginning by itself.
    pub(super) fn begin_line(
        &mut self,
        tool: Tool,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> bool {
        let node = deploy_rs::node(line.text);
        let open = self.target(line).filter(|at| self.runs.get(*at).is_some_and(|run| !run.closed));
        let hosts = |run: &Run| match (tool, run.tool.home_manager()) {
            (Tool::HomeManager, Nesting::Always) => true,
            (Tool::HomeManager, Nesting::Announced) => run.nested,
            (Tool::HomeManager, Nesting::Never) => false,
            // deploy-rs names the machine where another activation begins.
            _ => run.tool == tool && tool.begins_in_parts() && node.is_none(),
        };
        let at = match open {
            Some(at) if self.runs.get(at).is_some_and(hosts) => {
                if let Some(run) = self.runs.get_mut(at).filter(|_| tool == Tool::HomeManager) {
                    run.nested = false;
                    run.in_home_manager = true;
                }
                at
            }
            _ => self.begin(tool, line, out),
        };
        self.signal(at, line, out);
        true
    }

    /// Enters a stage of `switch-to-configuration`. One that comes before the stage reached is another switch, unless the tool
    /// is one that goes back by itself.
    pub(super) fn stage(
        &mut self,
        program: &Program,
        tool: Tool,
        stage: Stage,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> usize {
        let mut at = self.within(program, tool, line, out);
        let back = self.runs.get(at).is_some_and(|run| {
            run.tool == Tool::NixosRebuild && run.reached == Some(Stage::Activate) && !run.refused
        });
        if back {
            at = self.begin(tool, line, out);
        }
        if let Some(run) = self.runs.get_mut(at) {
            run.reached = Some(stage);
            // A stage that has a name is more exact than the step of an installer that runs it.
            run.step = run.step.take().filter(|_| stage.step().is_none());
            run.ends_in_error = false;
        }
        at
    }

    /// Notes that nothing was activated, or that this part was not.
    pub(super) fn refuse(
        &mut self,
        program: &Program,
        tool: Tool,
        step: Option<&str>,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> usize {
        let at = self.within(program, tool, line, out);
        let recent = std::mem::take(&mut self.recent);
        if let Some(run) = self.runs.get_mut(at) {
            // A boot loader half written is no refusal.
            run.refused |=
                run.reached < Some(Stage::Stop) && run.step.is_none() && step != Some("bootloader");
            // switch-to-configuration is silent until one of these ends, and says why only in their own words.
            if run.signals == 0 && matches!(step, Some("bootloader" | "checks")) {
                for text in &recent {
                    run.keep(if reports_error(text) { Weight::Cause } else { Weight::Context }, text);
                }
            }
            run.keep(Weight::Subject, line.shown);
            run.fail(step, false);
        }
        self.signal(at, line, out);
        self.problem(at, line.shown, out);
        at
    }

    /// Takes a step of home-manager in a language without a rule: one of its own, after a line that names home-manager or
    /// after another such step.
    pub(super) fn step_in_another_language(
        &mut self,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> bool {
        let open = self.runs.current_at().filter(|at| {
            self.runs.get(*at).is_some_and(|run| {
                !run.closed
                    && matches!(run.tool, Tool::HomeManager | Tool::NixDarwin | Tool::Nh | Tool::DeployRs)
            })
        });
        let translated = home_manager::translated_step(line.text);
        // Another activation after this one: home-manager names itself and begins anew.
        let anew = self.named > 0
            && translated.as_ref().is_some_and(|(step, _)| home_manager::is_first_step(step))
            && open
                .and_then(|at| self.runs.get(at))
                .is_some_and(|run| run.tool == Tool::HomeManager && run.step.is_some());
        let open = open.filter(|_| !anew);
        if let Some(at) = open
            && let Some(run) = self.runs.get(at)
            && let Some(form) = &run.step_form
        {
            let Some(step) = form.step(line.text).map(str::to_owned) else { return false };
            self.enter(at, &step, out);
            return true;
        }
        let Some((step, form)) = translated else { return false };
        let at = match open {
            // In a run whose steps have another form it is prose.
            Some(at) if self.runs.get(at).is_some_and(|run| run.tool == Tool::HomeManager) => {
                if self.runs.get(at).is_some_and(|run| run.step.is_some()) {
                    return false;
                }
                at
            }
            _ if line.ctx.builds_running => return false,
            open => {
                let again = self.translated.take().is_some_and(|(last, known)| last != step && known == form);
                if !again && !home_manager::is_first_step(step) {
                    return false;
                }
                if self.named == 0 && !again {
                    self.translated = Some((step, form));
                    return false;
                }
                match open {
                    Some(at) => at,
                    None => self.begin(Tool::HomeManager, line, out),
                }
            }
        };
        if let Some(run) = self.runs.get_mut(at) {
            run.step_form = Some(form);
            run.nested = false;
        }
        self.enter(at, step, out);
        true
    }

    /// Notes which derivation Nix's human-readable output says was built last, whose builder may print the next lines.
    pub(super) fn watch_builds(&mut self, line: &str, out: &mut Vec<ActivationChange>) {
        let unsure = self.runs.current().is_some_and(|run| run.standing != Standing::Sure);
        if let Some(name) = built_name(line) {
            self.recent.clear();
            self.closing.another_begins();
            // home-manager builds these after its activation has begun.
            if name == "user-environment.drv" || name.starts_with("news.json") {
                return;
            }
            let tool = Tool::of_configuration(name);
            if tool.is_some() {
                self.next_configuration(out);
            }
            self.last_build = tool.map_or(LastBuild::Other, LastBuild::Configuration);
            self.sudo = None;
            if unsure {
                self.runs.forget_current();
            }
        } else if let Some(name) = line.strip_prefix("  ").and_then(store_name) {
            // In the list of what will be built.
            if name.ends_with(".drv") && Tool::of_configuration(name).is_some() {
                self.next_configuration(out);
            }
        } else if let Some(name) = store_name(line) {
            // nix-build prints what it has built: its builders are done.
            let tool = Tool::of_configuration(name);
            if unsure && tool.is_none() {
                self.runs.forget_current();
            }
            self.last_build = tool.map_or(LastBuild::None, LastBuild::Configuration);
        } else if unsure && line.len() < MAX_TEXT && is_build_failure(line) {
            self.runs.forget_current();
        }
    }

    /// Ends the run when a whole configuration is built: no activation does that, so it is another command.
    pub(super) fn next_configuration(&mut self, out: &mut Vec<ActivationChange>) {
        if self.runs.current().is_some_and(|run| run.standing == Standing::Sure && !run.closed) {
            self.close_current(true, out);
        }
    }
}

/// Returns the derivation's name in `building '/nix/store/DIGEST-NAME.drv'...` or `building '...' on 'ssh://...'...`.
fn built_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("building '")?;
    let (path, rest) = rest.split_once('\'')?;
    (rest.ends_with("...") && path.ends_with(".drv")).then(|| name_of(path)).flatten()
}

/// Returns the name of a store path that is all of a line.
fn store_name(line: &str) -> Option<&str> {
    (line.starts_with('/') && !line.contains(char::is_whitespace)).then(|| name_of(line)).flatten()
}

fn name_of(path: &str) -> Option<&str> {
    let (_, base) = path.rsplit_once("/store/")?;
    let (digest, name) = base.split_at_checked(32)?;
    let name = name.strip_prefix('-')?;
    (digest.bytes().all(|b| b.is_ascii_alphanumeric()) && !name.is_empty() && !name.contains('/'))
        .then_some(name)
}
