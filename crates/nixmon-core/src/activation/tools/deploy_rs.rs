//! deploy-rs: its own lines by role; those of the machine's activation come in between without any mark.

use crate::activation::{
    MachinePhase,
    Tool::DeployRs,
    rule::{EarlyStage, Effect::*, Program, rule},
};

const DEPLOY: &str = "DR:src/deploy.rs";
const ACTIVATE: &str = "DR:src/bin/activate.rs";
const CLI: &str = "DR:src/cli.rs";

/// Forms begin with the role, see [`text`].
pub(super) static PROGRAM: Program = Program {
    within: &[DeployRs],
    rules: &[
        rule("deploy .{any}", Command(DeployRs), CLI),
        rule("deploy -{any}", Command(DeployRs), CLI),
        rule("deploy| Running checks for flake in {any}", Introduces(DeployRs), CLI),
        rule("deploy| Evaluating flake in {any}", Introduces(DeployRs), CLI),
        rule(
            "deploy| Building profile `{any}` for node `{any}`{any}",
            NodePhase(MachinePhase::Building),
            DEPLOY,
        ),
        rule("deploy| Copying profile `{any}` to node `{any}`", NodePhase(MachinePhase::Copying), DEPLOY),
        rule("deploy| Activating profile `{any}` for node `{any}`", Begin(DeployRs), DEPLOY),
        rule("deploy| Success activating, attempting to confirm activation", Note, DEPLOY),
        rule("deploy| Deployment confirmed.", Done, DEPLOY),
        rule("deploy| Success activating, done!", Done, DEPLOY),
        rule("deploy| Completed dry-activate!", Done, DEPLOY),
        rule("deploy| Success activating for next boot, done!", Done, DEPLOY),
        rule("activate| Activating profile", Begin(DeployRs), ACTIVATE),
        rule(
            "activate| The activation script resulted in a bad exit code: Some({code})",
            ExitStatus,
            ACTIVATE,
        ),
        rule("activate| The activation script resulted in a bad exit code: {any}", Fatal, ACTIVATE),
        rule("activate| De-activating due to error", RollingBack, ACTIVATE),
        rule("activate| Attempting to re-activate the last generation", RollingBack, ACTIVATE),
        rule("activate| Failed to get activation confirmation: {any}", NotConfirmed, ACTIVATE),
        rule("activate| Error waiting for confirmation event: {any}", NotConfirmed, ACTIVATE),
        rule("wait| Error waiting for activation: {any}", NotConfirmed, ACTIVATE),
        rule("deploy| Confirming activation over SSH resulted in a bad exit code{any}", NotConfirmed, DEPLOY),
        rule("deploy| Activating over SSH resulted in a bad exit code: {any}", Failed, DEPLOY),
        rule("deploy| Waiting over SSH resulted in a bad exit code: {any}", Failed, DEPLOY),
        rule("deploy| Revoking previous deploys", Revoking, CLI),
        rule("deploy| Deployment to node {word} failed, rolled back to previous generation", RolledBack, CLI),
        rule("deploy| Failed to evaluate deployment data: {any}", StageFailed(EarlyStage::Evaluation), CLI),
        rule(
            "deploy| Evaluation resulted in a bad exit code: {any}",
            StageFailed(EarlyStage::Evaluation),
            CLI,
        ),
        rule("deploy| Failed to build profile on node {any}", StageFailed(EarlyStage::Build), CLI),
        rule("deploy| Failed to push profile to node {any}", StageFailed(EarlyStage::Copy), CLI),
        rule("deploy| {any}", Note, CLI),
        rule("activate| {any}", Note, ACTIVATE),
        rule("wait| {any}", Note, ACTIVATE),
        rule("revoke| {any}", Note, ACTIVATE),
        // Nix on the machine, while rolling back.
        rule("switching profile from version {any}", Note, "NIX:src/libstore/profiles.cc"),
        rule("removing profile version {any}", Note, "NIX:src/libstore/profiles.cc"),
    ],
};

const ROLES: [(&str, &str); 4] = [("🚀", "deploy"), ("⭐", "activate"), ("👀", "wait"), ("↩", "revoke")];

/// `🚀 ℹ️ [deploy] [INFO] text` into `deploy| text`. The emoji may or may not carry a variation selector
/// (DR:src/lib.rs, the logger).
pub(in crate::activation) fn text(line: &str) -> Option<String> {
    let (emoji, role) = ROLES.iter().find(|(emoji, _)| line.starts_with(emoji))?;
    let rest = line.strip_prefix(emoji)?;
    let (_, rest) = rest.split_once('[').filter(|(between, _)| between.len() <= 16)?;
    let rest = rest.strip_prefix(role)?.strip_prefix("] [")?;
    let (level, text) = rest.split_once(']')?;
    (level.len() <= 16).then(|| format!("{role}| {}", text.strip_prefix(' ').unwrap_or(text)))
}

/// The node and the profile of a line such as ``deploy| Activating profile `PROFILE` for node `NODE` ``. The system's
/// profile, which every NixOS node has, goes without saying.
pub(in crate::activation) fn node(text: &str) -> Option<String> {
    let (_, rest) = text.strip_prefix("deploy| ")?.split_once(" profile `")?;
    let (profile, rest) = rest.split_once('`')?;
    let (_, rest) = rest.split_once(" node `")?;
    let (node, _) = rest.split_once('`')?;
    Some(if profile == "system" { node.to_owned() } else { format!("{node}.{profile}") })
}
