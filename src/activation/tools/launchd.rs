//! launchd agents in home-manager's step `setupLaunchAgents`, and what `launchctl` itself prints.

use crate::activation::{
    Tool, Verb,
    rule::{Effect::*, Program, ServiceKind, rule},
};

const HM: &str = "HM:modules/launchd/default.nix";
const LAUNCHCTL: &str = "launchctl, observed";

pub(super) static PROGRAM: Program = Program {
    within: &[Tool::HomeManager, Tool::NixDarwin, Tool::Nh, Tool::DeployRs],
    rules: &[
        rule("Failed to start agent '{agent}' with I/O error (code {code})", AgentFailed, HM),
        rule("Failed to start agent '{agent}' with error: {text}", AgentFailed, HM),
        rule("Failed to stop agent '{agent}': {text}", AgentFailed, HM),
        rule("Failed to install agent file for '{word}'", AgentFailed, HM),
        rule("This typically happens when the agent wasn't unloaded before {any}", Note, HM),
        rule("Failed to remove agent file '{text}'", Complain, HM),
        rule("Failed to create LaunchAgents directory '{text}'", Complain, HM),
        rule("Restoring previous agent '{agent}'", Warn, HM),
        rule("Cannot restore previous agent {any}", Warn, HM),
        rule("Skipping deletion of '{text}', since its contents have diverged", Warn, HM),
        rule("Failed to activate one or more LaunchAgents", Fatal, HM),
        // Only with --verbose.
        rule("Stopping agent '{agent}'...", Service(Verb::Stopped, ServiceKind::User), HM),
        rule("Successfully started agent '{agent}'", Service(Verb::Started, ServiceKind::User), HM),
        rule("Starting agent '{agent}'", Note, HM),
        rule("Agent '{agent}' is already up-to-date", Note, HM),
        rule("Processing agent '{text}'", Note, HM),
        rule("Removing agent file '{text}'", Note, HM),
        // Of a job that was not loaded: tolerated everywhere.
        rule("Boot-out failed: {text}", Note, LAUNCHCTL),
        rule("Unload failed: {text}", Note, LAUNCHCTL),
        rule("Bootstrap failed: {text}", LastServiceFailed, LAUNCHCTL),
        rule("Load failed: {text}", LastServiceFailed, LAUNCHCTL),
        rule("Try re-running the command as root for richer errors.", Note, LAUNCHCTL),
        rule("Try running `launchctl {text}` as root for richer errors.", Note, LAUNCHCTL),
        rule(
            "Warning: Expecting a LaunchDaemons path since the command was ran as root.{any}",
            Note,
            LAUNCHCTL,
        ),
        rule("Warning: Expecting a LaunchAgents path{any}", Note, LAUNCHCTL),
        rule("`launchctl {text}` is a recommended alternative.", Note, LAUNCHCTL),
    ],
};

/// Where home-manager's modules let an agent write, by the agent's name: standard error first. `~` is the user's home.
/// Agents not listed write nowhere unless the user says so (HM:modules/{services,programs}).
const LOGS: [(&str, [&str; 2]); 5] = [
    (
        "syncthing",
        ["~/Library/Logs/Syncthing/syncthing-stderr.log", "~/Library/Logs/Syncthing/syncthing-stdout.log"],
    ),
    (
        "borgmatic",
        ["~/Library/Logs/borgmatic/launchd-stderr.log", "~/Library/Logs/borgmatic/launchd-stdout.log"],
    ),
    (
        "home-manager-auto-expire",
        [
            "~/Library/Logs/home-manager-auto-expire/launchd-stderr.log",
            "~/Library/Logs/home-manager-auto-expire/launchd-stdout.log",
        ],
    ),
    ("glance", ["~/Library/Logs/glance.err", "~/Library/Logs/glance.log"]),
    ("aerospace", ["/tmp/aerospace.err.log", "/tmp/aerospace.log"]),
];

/// The files a launchd agent may log to, best first, if it is one whose home-manager module names them. Whether they
/// exist is for the caller to find out, who can also read the agent's plist.
pub fn agent_logs(label: &str, home: &str) -> Vec<String> {
    let name = label.strip_prefix("org.nix-community.home.").unwrap_or(label);
    let logs = LOGS.iter().find(|(agent, _)| *agent == name).map(|(_, logs)| logs);
    logs.into_iter()
        .flatten()
        .map(|log| match log.strip_prefix('~') {
            Some(rest) => format!("{home}{rest}"),
            None => (*log).to_owned(),
        })
        .collect()
}
