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
        // The job was not loaded, which is tolerated everywhere.
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

/// The files that home-manager's modules let an agent write to, by the agent's name: standard error first. `~` is the user's home.
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

/// The files that an agent's plist names, standard error first: `StandardErrorPath` and `StandardOutPath`
/// (launchd.plist(5)), as the XML that home-manager and nix-darwin write. What is no such XML names none.
pub fn plist_logs(xml: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for key in ["StandardErrorPath", "StandardOutPath"] {
        let after = xml.split_once(&format!("<key>{key}</key>")).map(|(_, after)| after.trim_start());
        let text = after
            .and_then(|after| after.strip_prefix("<string>"))
            .and_then(|text| text.split_once("</string>"))
            .map(|(text, _)| without_entities(text));
        files.extend(
            text.filter(|file| file.starts_with('/') && file != "/dev/null" && !files.contains(file)),
        );
    }
    files
}

/// The five entities that XML has by itself; `&` last, since it may be the beginning of an escaped other.
fn without_entities(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, is)| text.replace(entity, is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_plists() {
        let plist = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">\n<dict>\n\
            \t<key>Label</key>\n\t<string>org.nix-community.home.rclone</string>\n\
            \t<key>StandardErrorPath</key>\n\t<string>/Users/demo/Logs &amp;amp; more/rclone.err</string>\n\
            \t<key>StandardOutPath</key>\n\t<string>/Users/demo/rclone.log</string>\n</dict>\n</plist>\n";
        let out = "/Users/demo/rclone.log";
        let cases: [(String, &[&str]); 6] = [
            (plist.to_owned(), &["/Users/demo/Logs &amp; more/rclone.err", out]),
            (plist.replace("Logs &amp;amp; more/rclone.err", "rclone.log"), &[out]),
            (plist.replace("/Users/demo/Logs &amp;amp; more/rclone.err", "/dev/null"), &[out]),
            (plist.replace("<string>/Users", "<integer>/Users"), &[]),
            (plist.replace("</string>", ""), &[]),
            ("bplist00\u{0}".to_owned(), &[]),
        ];
        for (xml, expected) in cases {
            assert_eq!(plist_logs(&xml), expected, "{xml}");
        }
    }
}
