//! Commands that nixmon starts.

pub mod nix;

use std::path::Path;

use anyhow::{Result, bail};

use super::ExitStatus;
use crate::settings::{RunTask, Settings};

pub(super) fn run(_settings: &Settings, _task: &RunTask) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn start(_settings: &Settings, _task: &RunTask, _after: Option<&str>) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn guard() -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn monitor(_settings: &Settings, _directory: &Path) -> Result<ExitStatus> {
    bail!("not here yet")
}
