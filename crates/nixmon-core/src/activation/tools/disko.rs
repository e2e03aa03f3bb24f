//! disko, which partitions, formats and mounts disks: its command, its script, and the programs that the script runs.
//!
//! The script shows its commands (`set -efux`) and ends with the first that fails. When it has made partitions it removes a
//! scratch directory at its end, whichever way it ends.

use crate::activation::{
    Tool::{Disko, NixosRebuild},
    rule::{Effect::*, Program, rule},
};

/// The step in which the script partitions and formats, until it shows its first command.
pub(in crate::activation) const STEP: &str = "disko";

const COMMAND: &str = "nix-community/disko:disko";
const INSTALL: &str = "nix-community/disko:disko-install";
const SCRIPT: &str = "nix-community/disko:lib/default.nix";
const SGDISK: &str = "sgdisk, observed";
const CRYPTSETUP: &str = "cryptsetup, observed";

/// Also a part of nixos-anywhere.
pub(super) static PROGRAM: Program = Program {
    within: &[Disko, NixosRebuild],
    rules: &[
        rule("disko version {any}", Announces(Some(Disko)), COMMAND),
        rule("aborted: disko config must be {text}", Refused(Some(Disko), "checks"), COMMAND),
        rule("aborted: mode must be {text}", Refused(Some(Disko), "checks"), COMMAND),
        rule(
            "Please specify the name of the NixOS configuration to be installed, as a URI fragment in the flake-uri.",
            Refused(Some(Disko), "checks"),
            COMMAND,
        ),
        rule(
            "WARNING: This will destroy all data on the disks defined in disko.devices, which are:",
            BeginStep(Disko, "confirmation"),
            SCRIPT,
        ),
        rule("+ disko_devices_dir={path}", BeginStep(Disko, STEP), SCRIPT),
        rule("disko-install succeeded", Done, INSTALL),
        rule("disko-install failed", WillFail, INSTALL),
    ],
};

/// The commands of the script by itself, and what they say if they fail.
pub(super) static SCRIPT_COMMANDS: Program = Program {
    within: &[Disko],
    rules: &[
        rule("Aborted.", FatalIn("confirmation"), SCRIPT),
        rule("+ rm -rf /tmp/tmp.{word}", ScriptEnds, SCRIPT),
        rule("+ {step} {any}", NamedStep, SCRIPT),
        rule("Error encountered; not saving changes.", Complain, SGDISK),
        rule("Could not create partition {text}", Complain, SGDISK),
        rule("Problem opening {text}", Complain, SGDISK),
        rule("Device {text} is in use. Can not proceed with format operation.", Complain, CRYPTSETUP),
        rule("Cannot {text}", Complain, CRYPTSETUP),
        rule("No key available with this passphrase.", Complain, CRYPTSETUP),
        rule("cannot {text}", Complain, "zpool and zfs, observed"),
        rule("mount: {text}", Complain, "mount of util-linux, observed"),
        rule("{text} is mounted; will not make a filesystem here!", Complain, "mke2fs, observed"),
        rule("mkfs.xfs: {text} contains a mounted filesystem", Complain, "mkfs.xfs, observed"),
    ],
};
