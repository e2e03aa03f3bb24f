//! system-manager, for systemd systems that are not NixOS.

use crate::activation::{
    Tool::SystemManager,
    rule::{Effect::*, Program, rule},
};

const SM: &str = "SM:crates/system-manager-engine/src/activate.rs";
const BUILD: &str = "SM:crates/system-manager/src/main.rs";

pub(super) static PROGRAM: Program = Program {
    within: &[SystemManager],
    rules: &[
        rule("system-manager switch{any}", Command(SystemManager), BUILD),
        rule("Built system-manager profile {text}", Announces(Some(SystemManager)), BUILD),
        rule("Activating system-manager profile: {path}", Begin(SystemManager), SM),
        rule("Running pre-activation assertions...", Step("checks"), SM),
        rule("Failure in pre-activation assertions.", FatalIn("checks"), SM),
        rule("Activating etc files...", Step("etc"), SM),
        rule("Activating tmp files...", Step("tmpfiles"), SM),
        rule("Activating systemd services...", Step("services"), SM),
        rule("Reloading the systemd daemon...", Note, SM),
        rule("Restarting sysinit-reactivation.target...", Note, SM),
        rule("Done", Note, SM),
        rule("Error during activation{any}", Fatal, SM),
        rule("Timeout waiting for systemd jobs", Hung, SM),
    ],
};

/// The text behind env_logger's `[TIME LEVEL  MODULE] `, for modules of system-manager.
pub(in crate::activation) fn text(line: &str) -> Option<&str> {
    let (head, text) = line.strip_prefix('[')?.split_once("] ")?;
    (head.len() < 128 && head.contains("system_manager")).then_some(text)
}
