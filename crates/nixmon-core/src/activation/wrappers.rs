//! Lines around an activation: of `make`, `sudo` and nixos-rebuild, and of Nix when it sets the profile.

use super::{
    Activation, ActivationChange, Tool,
    line::{LastBuild, Line, MAX_TEXT, PendingSudo},
    rule::{EarlyStage, Holes},
    run::{Standing, Weight, cut},
    tools::{home_manager, make::Said, nix_profile, nixos_rebuild},
};
use nixmon_log::escapes::sanitize;

impl Activation {
    pub(super) fn stage_failed(&mut self, stage: EarlyStage, of_node: bool) {
        self.closing.stage_failed(stage);
        if !of_node
            && let Some(at) = self.runs.current_at()
            && self.runs.get(at).is_some_and(|run| run.standing == Standing::Sure)
        {
            self.runs.close(at);
        }
    }

    pub(super) fn make_said(&mut self, said: Said<'_>, line: &str) {
        self.closing.make_said(said, line, self.last_build == LastBuild::None);
        if let Said::Failed { target, .. } | Said::Interrupted(target) = said {
            self.sudo_below_make(target);
        }
    }

    /// Takes the tool that `sudo` was to run from the name of make's target.
    fn sudo_below_make(&mut self, target: &str) {
        if let Some(sudo) = self.sudo.as_mut().filter(|sudo| sudo.tool.is_none()) {
            let target = target.rsplit([' ', ':']).next().unwrap_or_default();
            let tool = if target.contains("darwin") {
                Some(Tool::NixDarwin)
            } else if target.contains("nixos") {
                Some(Tool::NixosRebuild)
            } else {
                None
            };
            sudo.credible |= tool.is_some();
            sudo.tool = tool;
        }
    }

    pub(super) fn sudo_failed(&mut self, line: &Line<'_>, out: &mut Vec<ActivationChange>) -> bool {
        let run =
            self.target(line).and_then(|at| Some((at, self.runs.get_mut(at).filter(|run| !run.closed)?)));
        if let Some((at, run)) = run {
            // Most activations run as root. home-manager's does not, and a step of the user's may call sudo: then that
            // step has failed. nh and deploy-rs call sudo to begin.
            let in_step = match run.tool {
                Tool::HomeManager => !run.step.as_deref().is_some_and(home_manager::is_own_step),
                Tool::Nh | Tool::DeployRs => true,
                _ => false,
            };
            if in_step {
                run.keep(Weight::Cause, line.shown);
                run.ends_in_error = true;
                if run.tool != Tool::HomeManager {
                    run.fail(Some("sudo"), true);
                }
                self.signal(at, line, out);
                return true;
            }
        }
        if line.ctx.builds_running || self.last_build == LastBuild::Other {
            return false;
        }
        let tool = self.expected_tool();
        if self.sudo.is_none() {
            self.sudo = Some(PendingSudo {
                tool,
                credible: tool.is_some() || self.announced || self.started(),
                line: cut(&sanitize(line.text), MAX_TEXT).to_owned(),
                at: line.ctx.at,
                unrelated: 0,
            });
        }
        true
    }

    /// Returns whether a switch is expected next, or the stream holds nothing else.
    pub(super) fn is_expected(&self) -> bool {
        self.standing() == Standing::Sure || (self.standing() == Standing::Tentative && !self.other_text)
    }

    /// Returns the tool that is expected to switch.
    pub(super) fn expected_tool(&self) -> Option<Tool> {
        match self.last_build {
            LastBuild::Configuration(tool) => Some(tool),
            _ => self.expected,
        }
    }

    pub(super) fn profile_failed(
        &mut self,
        holes: &Holes<'_>,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) -> bool {
        let Some(owner) = holes.path.and_then(nix_profile::owner) else { return false };
        let tool = owner.or(self.expected_tool()).unwrap_or(Tool::NixosRebuild);
        let own_step = self.runs.current().is_some_and(|run| {
            !run.closed && run.standing == Standing::Sure && run.tool == tool && !run.refused
        });
        if own_step {
            return false;
        }
        if self.last_build == LastBuild::Other {
            return false;
        }
        let at = self.begin(tool, line, out);
        if let Some(run) = self.runs.get_mut(at) {
            run.refused = true;
            run.keep(Weight::Cause, line.shown);
            run.fail(Some("set-profile"), false);
        }
        self.signal(at, line, out);
        self.problem(at, line.shown, out);
        true
    }

    pub(super) fn command_failed(
        &mut self,
        holes: &Holes<'_>,
        line: &Line<'_>,
        out: &mut Vec<ActivationChange>,
    ) {
        use nixos_rebuild::Failed;
        let open = self
            .runs
            .current_at()
            .filter(|at| self.runs.get(*at).is_some_and(|run| !run.closed && run.tool == Tool::NixosRebuild));
        let not_privileged = self.sudo.is_some() || self.maybe_not_privileged;
        let (step, at) = match (nixos_rebuild::failed_command(holes.text.unwrap_or_default()), open) {
            // Python programs of all kinds end like this: without a run it is a wrapper's only as the last line.
            (Failed::Nix | Failed::Other, None) => {
                self.closing.command_failed(holes.code);
                return;
            }
            (Failed::Nix | Failed::Other, Some(at)) => (None, at),
            (Failed::SetProfile, open) => {
                let step = if not_privileged { "sudo" } else { "set-profile" };
                (Some(step), open.unwrap_or_else(|| self.begin(Tool::NixosRebuild, line, out)))
            }
            (Failed::Activate, Some(at)) => (None, at),
            (Failed::Activate, None) => {
                let step = (not_privileged && holes.code == Some(1)).then_some("sudo");
                (step, self.begin(Tool::NixosRebuild, line, out))
            }
        };
        let sudo = self.sudo.take();
        if let Some(run) = self.runs.get_mut(at) {
            if let Some(sudo) = sudo {
                run.keep(Weight::Cause, &sudo.line);
            }
            if step.is_some() && run.failure.is_none() {
                run.refused = true;
                run.fail(step, false);
            }
            run.refused |= run.signals == 0;
            run.fails = true;
            run.reboot_needed |= holes.code == Some(100);
            run.exit_status =
                holes.code.filter(|_| run.reached.is_some() || run.failure.is_some()).or(run.exit_status);
        }
        self.runs.close(at);
        self.signal(at, line, out);
    }

    pub(super) fn command_killed(&mut self, line: &Line<'_>, out: &mut Vec<ActivationChange>) {
        let by_user = line.text.contains("SIGINT") || line.text.contains("SIGTERM");
        self.closing.command_killed(by_user, line.text);
        if let Some(at) = self.runs.current_at()
            && let Some(run) = self.runs.get_mut(at).filter(|run| !run.closed)
        {
            run.interrupted |= by_user;
            run.fails |= !by_user;
            self.signal(at, line, out);
        }
    }
}
