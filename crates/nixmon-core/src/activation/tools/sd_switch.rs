//! sd-switch, in home-manager's step `reloadSystemd`. It exits 0 also when units fail.

use crate::activation::{
    Tool, Verb,
    rule::{Effect::*, Manager::User, Program, rule},
};

const SDS: &str = "SDS:src/lib.rs";
const MAIN: &str = "SDS:src/main.rs";

pub(super) static PROGRAM: Program = Program {
    within: &[Tool::HomeManager, Tool::Nh, Tool::DeployRs],
    rules: &[
        rule("Stopping units: {units}", Units(Verb::Stopped, User), SDS),
        rule("Reloading units: {units}", Units(Verb::Reloaded, User), SDS),
        rule("Restarting units: {units}", Units(Verb::Restarted, User), SDS),
        rule("Starting units: {units}", Units(Verb::Started, User), SDS),
        rule("Keeping old units: {any}", Note, SDS),
        rule("Keeping unchanged units: {any}", Note, SDS),
        rule("Resetting failed units", Note, SDS),
        rule("Reloading systemd", Note, SDS),
        rule("Unit switch plan:", Note, SDS),
        rule("sd-switch {text}", Note, MAIN),
        rule("Options are Options{any}", Note, MAIN),
        rule("Skipping switch since systemd has {text} status", Warn, MAIN),
        // The result of a job, where it is not "done". "skipped" means that there was nothing to do.
        rule("{unit} failed", UnitFailed(User), SDS),
        rule("{unit} dependency", UnitFailed(User), SDS),
        rule("{unit} timeout", UnitFailed(User), SDS),
        rule("{unit} canceled", UnitFailed(User), SDS),
        rule("{unit} skipped", Note, SDS),
        // Units that failed before this switch.
        rule("The service manager is degraded.", Note, MAIN),
        rule("Failed services: {any}", Note, MAIN),
        rule("Attempting to continue anyway...", Note, MAIN),
        rule("Error: Error switching systemd units", Fatal, MAIN),
        rule("Error: Error switching", Fatal, MAIN),
        rule("Caused by:", Note, MAIN),
        rule("    {text}: timed out waiting on channel", Hung, SDS),
        rule("    {text}: Failed to {word} unit {unit}", UnitFailed(User), SDS),
        rule("Failed to connect to systemd using D-Bus or systemctl", Fatal, MAIN),
        rule("Connected to systemd on D-Bus socket {any}", Note, MAIN),
    ],
};
