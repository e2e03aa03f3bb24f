//! One file per program, one table per file.

use super::rule::Program;

pub(super) mod colmena;
pub(super) mod deploy_rs;
pub(super) mod home_manager;
pub(super) mod launchd;
pub(super) mod make;
pub(super) mod nh;
mod nix_darwin;
pub(super) mod nix_profile;
pub(super) mod nixos_rebuild;
mod sd_switch;
mod secrets;
pub(super) mod sudo;
mod switch_to_configuration;
pub(super) mod system_manager;

/// Every program we know. Order matters where two programs print the same line and both take part in a run: the
/// first whose rule is possible wins.
pub(super) static PROGRAMS: [&Program; 13] = [
    &sudo::PROGRAM,
    &nix_profile::PROGRAM,
    &colmena::PROGRAM,
    &deploy_rs::PROGRAM,
    &nh::PROGRAM,
    &system_manager::PROGRAM,
    &nixos_rebuild::PROGRAM,
    &switch_to_configuration::PROGRAM,
    &nix_darwin::PROGRAM,
    &launchd::PROGRAM,
    &sd_switch::PROGRAM,
    &home_manager::PROGRAM,
    &secrets::PROGRAM,
];
