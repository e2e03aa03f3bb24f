//! `switch-to-configuration` of NixOS, in Rust and in Perl: what nixos-rebuild, nh, colmena and deploy-rs run.

use crate::activation::{
    Tool::{self, NixosRebuild},
    Verb,
    rule::{
        Effect::*,
        Manager::{System, User},
        Program, Quote, Stage, rule,
    },
};

const STC: &str = "STC:do_system_switch";
const USER: &str = "STC:do_user_switch";
const PERL: &str = "STC-old: nixos/modules/system/activation/switch-to-configuration.pl";
const SD: &str = "SD:src/shared/bus-wait-for-jobs.c";
const ETC: &str = "NixOS/nixpkgs:nixos/modules/system/etc/setup-etc.pl";
const USERS: &str = "NixOS/nixpkgs:nixos/modules/config/update-users-groups.pl";
const INHIBITORS: &str = "NixOS/nixpkgs:nixos/modules/system/activation/switchable-system.nix";
const SYSTEMD_BOOT: &str =
    "NixOS/nixpkgs:nixos/modules/system/boot/loader/systemd-boot/systemd-boot-builder.py";
const GRUB: &str = "NixOS/nixpkgs:nixos/modules/system/boot/loader/grub/install-grub.pl, observed";
const STATUS: &str = "systemctl status, observed";

pub(super) static PROGRAM: Program = Program {
    within: &[NixosRebuild, Tool::Colmena, Tool::DeployRs, Tool::Nh],
    rules: &[
        rule("Checking switch inhibitors...{any}", BeginStage(NixosRebuild, Stage::Checks), INHIBITORS),
        rule("Not checking switch inhibitors{any}", BeginStage(NixosRebuild, Stage::Checks), INHIBITORS),
        rule(
            "Pre-switch check '{text}' failed",
            Refused(Some(NixosRebuild), "checks"),
            "NixOS/nixpkgs:nixos/modules/system/activation/pre-switch-check.nix",
        ),
        rule("Pre-switch checks failed", Refused(Some(NixosRebuild), "checks"), STC),
        rule("Could not open lock", RefusedQuietly(Some(NixosRebuild), "checks"), STC),
        rule("Could not acquire lock", RefusedQuietly(Some(NixosRebuild), "checks"), STC),
        rule("This is not a NixOS installation!", Refused(Some(NixosRebuild), "checks"), STC),
        rule(
            "Error: switch-to-configuration must be run as the root user",
            Refused(Some(NixosRebuild), "sudo"),
            STC,
        ),
        rule("updating systemd-boot from {text}", BeginStage(NixosRebuild, Stage::Bootloader), SYSTEMD_BOOT),
        rule("updating systemd-boot...", BeginStage(NixosRebuild, Stage::Bootloader), SYSTEMD_BOOT),
        rule("updating GRUB 2 menu...", BeginStage(NixosRebuild, Stage::Bootloader), GRUB),
        rule("installing the GRUB 2 boot loader {text}", BeginStage(NixosRebuild, Stage::Bootloader), GRUB),
        rule("failed to create initrd secrets!", Complain, SYSTEMD_BOOT),
        rule("warning: failed to create initrd secrets for {text}", Warn, SYSTEMD_BOOT),
        rule("Failed to install bootloader", Refused(Some(NixosRebuild), "bootloader"), STC),
        rule("Warning: the new NixOS configuration has an ‘init’ that is{any}", RebootNeeded, STC),
        rule("stopping swap device: {text}", BeginStage(NixosRebuild, Stage::Stop), STC),
        rule("Failed to stop swapping to {text}", Warn, STC),
        rule(
            "stopping the following units: {units}",
            BeginUnits(NixosRebuild, Stage::Stop, Verb::Stopped, System),
            STC,
        ),
        rule(
            "NOT restarting the following changed units: {units}",
            BeginStage(NixosRebuild, Stage::Stop),
            STC,
        ),
        rule("activating the configuration...", BeginStage(NixosRebuild, Stage::Activate), STC),
        // The activation script.
        rule("setting up /etc...", Note, ETC),
        rule("removing obsolete symlink {text}", Note, ETC),
        rule("removing obsolete file {text}", Note, ETC),
        rule("could not create symlink {text}", Warn, ETC),
        rule("removing user {text}", Note, USERS),
        rule("removing group {text}", Note, USERS),
        rule("reviving user {text}", Note, USERS),
        rule("warning: not applying {text}", Warn, USERS),
        rule("warning: user {text} has unknown group {text}", Warn, USERS),
        rule("warning: password file {text} does not exist", Warn, USERS),
        rule(
            "Activation script snippet '{step}' failed ({code})",
            SnippetFailed,
            "NixOS/nixpkgs:nixos/modules/system/activation/activation-script.nix",
        ),
        rule("Failed to run activate script", ScriptFailed, STC),
        rule(
            "WARN: restarting or reloading systemd units from the activation script is deprecated{any}",
            Warn,
            STC,
        ),
        rule("restarting systemd...", Note, STC),
        // Users' units.
        rule("reloading user units for {word}...", ForUser, STC),
        rule("stopping the following user units: {units}", Units(Verb::Stopped, User), USER),
        rule("reloading the following user units: {units}", Units(Verb::Reloaded, User), USER),
        rule("restarting the following user units: {units}", Units(Verb::Restarted, User), USER),
        rule("starting the following user units: {units}", Units(Verb::Started, User), USER),
        rule(
            "stopping (post-activation) the following user units: {units}",
            Units(Verb::Stopped, User),
            USER,
        ),
        rule(
            "reloading (post-activation) the following user units: {units}",
            Units(Verb::Reloaded, User),
            USER,
        ),
        rule(
            "restarting (post-activation) the following user units: {units}",
            Units(Verb::Restarted, User),
            USER,
        ),
        rule(
            "starting (post-activation) the following user units: {units}",
            Units(Verb::Started, User),
            USER,
        ),
        rule("NOT restarting the following user units: {any}", Note, USER),
        rule("NOT restarting (post-activation) the following user units: {any}", Note, USER),
        rule("Failed to {word} user unit {unit}: {text}", UnitFailed(User), USER),
        rule("Failed to {word} user unit {unit}", UnitFailed(User), USER),
        rule("warning: the following user units failed: {units}", UnitsFailed(User), USER),
        rule("See `systemctl --user status {any}", Note, USER),
        rule("warning: user activation for {word} failed", WillFail, STC),
        rule("Unable to list users with logind: {text}", Fatal, STC),
        // The system's units.
        rule("restarting sysinit-reactivation.target", Note, STC),
        rule("setting up tmpfiles", Note, PERL),
        rule("reloading the following units: {units}", Units(Verb::Reloaded, System), STC),
        rule("restarting the following units: {units}", Units(Verb::Restarted, System), STC),
        rule("starting the following units: {units}", Units(Verb::Started, System), STC),
        rule("Failed to {word} {unit}: {text}", UnitFailed(System), STC),
        rule("Failed to {word} {unit}", UnitFailed(System), STC),
        rule("the following new units were started: {units}", Units(Verb::Started, System), STC),
        rule("warning: the following units failed: {units}", UnitsFailed(System), STC),
        rule("Job for {unit} failed{any}", UnitFailed(System), SD),
        rule("Job for {unit} timed out.", UnitFailed(System), SD),
        rule("Job for {unit} canceled.", UnitFailed(System), SD),
        rule("A dependency job for {unit} failed.{any}", UnitFailed(System), SD),
        rule("See \"systemctl {any}", Note, SD),
        rule("× {unit} - {any}", Quote(Quote::Status), STATUS),
        rule("● {unit} - {any}", Quote(Quote::Status), STATUS),
        rule("○ {unit} - {any}", Quote(Quote::Status), STATUS),
        rule("× {unit}", Quote(Quote::Status), STATUS),
        rule("● {unit}", Quote(Quote::Status), STATUS),
        // dry-activate.
        rule("would stop the following units: {any}", DryRun(Some(NixosRebuild)), STC),
        rule("would NOT stop the following changed units: {any}", DryRun(Some(NixosRebuild)), STC),
        rule("would stop swap device: {any}", DryRun(Some(NixosRebuild)), STC),
        rule("would activate the configuration...", DryRun(Some(NixosRebuild)), STC),
        rule("would restart systemd", Note, STC),
        rule("would {word} the following units: {any}", Note, STC),
        rule("would {word} the following user units: {any}", Note, USER),
    ],
};
