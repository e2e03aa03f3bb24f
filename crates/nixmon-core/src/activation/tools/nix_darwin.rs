//! nix-darwin: `darwin-rebuild` and its activation script.

use crate::activation::{
    Tool, Verb,
    rule::{Effect::*, Program, ServiceKind, rule},
};

const ACTIVATION: &str = "ND:modules/system/activation-scripts.nix";
const USERS: &str = "ND:modules/users/default.nix";
const LAUNCHD: &str = "ND:modules/system/launchd.nix";
const CHECKS: &str = "ND:modules/system/checks.nix";
const REBUILD: &str = "ND:pkgs/nix-tools/darwin-rebuild.sh";
const BREW: &str = "brew, observed";

pub(super) static PROGRAM: Program = Program {
    within: &[Tool::NixDarwin, Tool::Nh, Tool::DeployRs],
    rules: &[
        rule("darwin-rebuild switch{any}", Command(Tool::NixDarwin), REBUILD),
        rule("darwin-rebuild activate{any}", Command(Tool::NixDarwin), REBUILD),
        rule("darwin-rebuild check{any}", Command(Tool::NixDarwin), REBUILD),
        rule("nix run {text}darwin{text} switch{any}", Command(Tool::NixDarwin), REBUILD),
        rule(
            "{word}: system activation must now be run as root",
            Refused(Some(Tool::NixDarwin), "sudo"),
            REBUILD,
        ),
        rule("error: `activate` must be run as root", Refused(Some(Tool::NixDarwin), "sudo"), ACTIVATION),
        // The checks come before any step. Not part of them, but also before: the link to /run.
        rule(
            "setting up /run via /etc/synthetic.conf...",
            Begin(Tool::NixDarwin),
            "ND:modules/system/base.nix",
        ),
        rule("error: {text}, aborting activation", Aborted(Tool::NixDarwin), CHECKS),
        rule(
            "The following files have unrecognized content and would be overwritten:",
            FilesFollow,
            "ND:modules/system/etc.nix",
        ),
        rule("Please check there is nothing critical in these files{any}", Note, "ND:modules/system/etc.nix"),
        // Steps, in their order. Which of the first ones prints anything depends on the configuration.
        rule("setting up groups...", BeginStep(Tool::NixDarwin, "groups"), USERS),
        rule("creating group {text}...", Note, USERS),
        rule("updating group members {text}...", Note, USERS),
        rule("deleting group {text}...", Note, USERS),
        rule("setting up users...", BeginStep(Tool::NixDarwin, "users"), USERS),
        rule("creating user {text}...", Note, USERS),
        rule("deleting user {text}...", Note, USERS),
        rule("warning: existing {text} '{text}' has unexpected {text}", Warn, USERS),
        rule(
            "setting up /Applications/Nix Apps...",
            BeginStep(Tool::NixDarwin, "applications"),
            "ND:modules/system/applications.nix",
        ),
        rule("setting up pam...", BeginStep(Tool::NixDarwin, "pam"), "ND:modules/security/pam.nix"),
        rule("applying patches...", BeginStep(Tool::NixDarwin, "patches"), "ND:modules/system/patches.nix"),
        rule("setting up /etc...", Step("etc"), "ND:modules/system/etc.nix"),
        rule("system defaults...", Step("defaults"), "ND:modules/system/defaults-write.nix"),
        rule("user defaults...", Step("userDefaults"), "ND:modules/system/defaults-write.nix"),
        rule("restarting Dock...", Note, "ND:modules/system/defaults-write.nix"),
        rule("setting up launchd services...", BeginStep(Tool::NixDarwin, "launchd"), LAUNCHD),
        rule("creating service {word}", Service(Verb::Started, ServiceKind::System), LAUNCHD),
        rule("reloading service {word}", Service(Verb::Reloaded, ServiceKind::System), LAUNCHD),
        rule("removing service {word}", Service(Verb::Stopped, ServiceKind::System), LAUNCHD),
        rule("setting up user launchd services...", BeginStep(Tool::NixDarwin, "userLaunchd"), LAUNCHD),
        rule("creating user service {word}", Service(Verb::Started, ServiceKind::User), LAUNCHD),
        rule("reloading user service {word}", Service(Verb::Reloaded, ServiceKind::User), LAUNCHD),
        rule("removing user service {word}", Service(Verb::Stopped, ServiceKind::User), LAUNCHD),
        rule("reloading nix-daemon...", Step("nix-daemon"), "ND:modules/nix/default.nix"),
        rule("waiting for nix-daemon", Note, "ND:modules/nix/default.nix"),
        rule("restoring unmanaged Nix daemon...", Step("nix-daemon"), "ND:modules/nix/default.nix"),
        rule("configuring time...", Step("time"), "ND:modules/time/default.nix"),
        rule("{word} is not a valid timezone. The command {any}", Fatal, "ND:modules/time/default.nix"),
        rule("configuring networking...", Step("networking"), "ND:modules/networking/default.nix"),
        rule("restoring /etc/hosts...", Note, "ND:modules/networking/default.nix"),
        rule(
            "configuring application firewall...",
            Step("networking"),
            "ND:modules/networking/applicationFirewall.nix",
        ),
        rule("configuring power...", Step("power"), "ND:modules/power/default.nix"),
        rule("configuring keyboard...", Step("keyboard"), "ND:modules/system/keyboard.nix"),
        rule("setting up /Library/Fonts/Nix Fonts...", Step("fonts"), "ND:modules/fonts/default.nix"),
        rule("setting nvram variables...", Step("nvram"), "ND:modules/system/nvram.nix"),
        rule("Homebrew bundle...", Step("homebrew"), "ND:modules/homebrew.nix"),
        rule("error: Homebrew is not installed, skipping...", Warn, "ND:modules/homebrew.nix"),
        rule("Using {text}", Note, BREW),
        rule("Installing {text} has failed!", Complain, BREW),
        rule("`brew bundle` failed!{any}", Fatal, BREW),
        rule(
            "Activating home-manager configuration for {word}",
            Nested("postActivation"),
            "HM:nix-darwin/default.nix",
        ),
    ],
};
