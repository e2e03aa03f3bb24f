//! nixos-rebuild, the shell script and its rewrite ("ng").

use crate::activation::{
    Tool::NixosRebuild,
    rule::{Effect::*, Program, Stage, rule},
};

const NR: &str = "NR:nixos-rebuild.sh";
const INSTALL: &str = "NixOS/nixpkgs:pkgs/by-name/ni/nixos-install/nixos-install.sh";
const ANYWHERE: &str = "nix-community/nixos-anywhere:src/nixos-anywhere.sh";
const NG: &str = "NG:nixos_rebuild/services.py";
const PROCESS: &str = "NG:nixos_rebuild/process.py";

pub(super) static PROGRAM: Program = Program {
    within: &[NixosRebuild],
    rules: &[
        rule("nixos-rebuild switch{any}", Command(NixosRebuild), NR),
        rule("nixos-rebuild boot{any}", Command(NixosRebuild), NR),
        rule("nixos-rebuild test{any}", Command(NixosRebuild), NR),
        rule("nixos-rebuild dry-activate{any}", Command(NixosRebuild), NR),
        rule("building Nix...", Announces(Some(NixosRebuild)), NR),
        // Also of darwin-rebuild.
        rule("building the system configuration...", Announces(None), NR),
        rule(
            "warning: could not build a newer version of nixos-rebuild, using current version",
            Announces(Some(NixosRebuild)),
            NG,
        ),
        rule(
            "warning: could not re-exec in a newer version of nixos-rebuild, using current version",
            Announces(Some(NixosRebuild)),
            NG,
        ),
        rule("warning: skipping systemd-run since {any}", Note, NR),
        // nixos-install, which nixos-anywhere and disko-install call.
        rule("nixos-install {any}", Command(NixosRebuild), INSTALL),
        rule("copying channel...", Announces(Some(NixosRebuild)), INSTALL),
        rule("building the configuration in {text}...", Announces(Some(NixosRebuild)), INSTALL),
        rule("building the flake in {text}...", Announces(Some(NixosRebuild)), INSTALL),
        rule("installing the boot loader...", BeginStage(NixosRebuild, Stage::Bootloader), INSTALL),
        rule("installing the boot loader failed{any}", FatalIn("bootloader"), INSTALL),
        rule("setting root password...", Step("password"), INSTALL),
        rule("installation finished!", Done, INSTALL),
        rule("nixos-install: {text}", Complain, INSTALL),
        // nixos-anywhere, around nixos-install.
        rule("### Uploading install SSH keys ###", Announces(Some(NixosRebuild)), ANYWHERE),
        rule("### Gathering machine facts ###", Announces(Some(NixosRebuild)), ANYWHERE),
        rule("### Building the system closure ###", Announces(Some(NixosRebuild)), ANYWHERE),
        rule("### Switching system into kexec ###", BeginStep(NixosRebuild, "kexec"), ANYWHERE),
        rule("### Formatting hard drive with disko ###", BeginStep(NixosRebuild, "disko"), ANYWHERE),
        rule("### Uploading the system closure ###", BeginStep(NixosRebuild, "copy"), ANYWHERE),
        rule("### Copying extra files ###", BeginStep(NixosRebuild, "extra-files"), ANYWHERE),
        rule("### Installing NixOS ###", BeginStep(NixosRebuild, "install"), ANYWHERE),
        rule("### Rebooting ###", BeginStep(NixosRebuild, "reboot"), ANYWHERE),
        rule("### Waiting for the machine to become unreachable due to reboot ###", Note, ANYWHERE),
        rule("### Done! ###", Done, ANYWHERE),
        rule(
            "Failed to start transient service unit: Interactive authentication required.{any}",
            Refused(Some(NixosRebuild), "sudo"),
            "systemd-run, observed",
        ),
        rule(
            "Failed to start transient service unit: Access denied{any}",
            Refused(Some(NixosRebuild), "sudo"),
            "systemd-run, observed",
        ),
        rule(
            "Failed to start transient service unit: {text}",
            Refused(Some(NixosRebuild), "systemd-run"),
            "systemd-run, observed",
        ),
        rule(
            "warning: error(s) occurred while switching to the new configuration",
            SwitchFailed(NixosRebuild),
            NR,
        ),
        rule("error: specialisation not found: {text}", Refused(Some(NixosRebuild), "checks"), NR),
        rule(
            "your NixOS configuration path seems to be missing essential files.",
            Refused(Some(NixosRebuild), "checks"),
            NG,
        ),
        // Also after `nixos-rebuild build`, where no activation precedes it. The path is printed to standard output.
        rule("Done. The new configuration is{any}", Done, NG),
        rule(
            "Command '{text}' returned non-zero exit status {code}.",
            CommandFailed,
            "Python's subprocess.CalledProcessError",
        ),
        rule(
            "Command '{text}' died with <Signals.{text}>.",
            CommandKilled,
            "Python's subprocess.CalledProcessError",
        ),
        rule(
            "error: while running command with remote sudo, did you forget to use {any}",
            MaybeNotPrivileged,
            PROCESS,
        ),
        rule("cleaning-up remote process, please wait...", Note, PROCESS),
    ],
};

/// The purpose of the command of nixos-rebuild-ng that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::activation) enum Failed {
    /// Evaluate, build or copy: Nix says why.
    Nix,
    /// Set the profile.
    SetProfile,
    /// Activate.
    Activate,
    /// Something else.
    Other,
}

/// Reads a Python list of arguments: quoted strings, some as `PosixPath('...')`, or a command in one string.
pub(in crate::activation) fn failed_command(list: &str) -> Failed {
    let mut failed = Failed::Other;
    // Every second piece between quotes is an argument; a command with a quote in an argument uses double quotes there.
    let words =
        list.split(['\'', '"', ' ', ',', '[', ']', '(', ')']).filter(|word| !word.is_empty()).take(512);
    let mut profile_command = false;
    for word in words {
        match word.rsplit('/').next().unwrap_or(word) {
            "switch-to-configuration" => return Failed::Activate,
            "nix-env" => profile_command = true,
            "--set" if profile_command => return Failed::SetProfile,
            "nix" | "nix-build" | "nix-instantiate" | "nix-copy-closure" | "nix-store" | "nix-channel" => {
                failed = Failed::Nix;
            }
            _ => {}
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_commands() {
        for (list, failed) in [
            ("['nix', '--extra-experimental-features', 'nix-command flakes', 'build', '.#x']", Failed::Nix),
            ("['nix-build', '<nixpkgs/nixos>', '--attr', 'system']", Failed::Nix),
            (
                "['nix-env', '-p', PosixPath('/nix/var/nix/profiles/system'), '--set', PosixPath('/nix/store/x')]",
                Failed::SetProfile,
            ),
            (
                "['sudo', 'env', '-i', 'PATH=/bin', 'nix-env', '-p', '/nix/var/nix/profiles/system', '--set', '/nix/store/x']",
                Failed::SetProfile,
            ),
            ("['nix-env', '-p', '/nix/var/nix/profiles/system', '--rollback']", Failed::Other),
            (
                "['systemd-run', '--unit=nixos-rebuild-switch-to-configuration', PosixPath('/nix/store/x/bin/switch-to-configuration'), 'test']",
                Failed::Activate,
            ),
            (
                "['ssh', 'web', '--', \"sudo sh -c '/nix/store/x/bin/switch-to-configuration switch'\"]",
                Failed::Activate,
            ),
            ("['test', '-d', '/run/systemd/system']", Failed::Other),
            ("", Failed::Other),
        ] {
            assert_eq!(failed_command(list), failed, "{list}");
        }
    }
}
