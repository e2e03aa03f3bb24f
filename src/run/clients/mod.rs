//! What looks at runs from outside.

use anyhow::{Result, bail};

use super::ExitStatus;
use crate::cli::{ListArgs, LogArgs, StatusArgs, StopArgs, WaitArgs};
use crate::settings::Settings;

pub(super) fn status(_settings: &Settings, _args: &StatusArgs) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn wait(_settings: &Settings, _args: &WaitArgs) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn log(_settings: &Settings, _args: &LogArgs) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn stop(_settings: &Settings, _args: &StopArgs) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn list(_settings: &Settings, _args: &ListArgs) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn prune(_settings: &Settings, _dry_run: bool) -> Result<ExitStatus> {
    bail!("not here yet")
}

pub(super) fn current(_settings: &Settings, _run: &crate::runs::RunDir) -> Result<crate::runs::Status> {
    bail!("not here yet")
}
