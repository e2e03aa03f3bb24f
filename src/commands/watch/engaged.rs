//! `nixmon watch engage`: choices for directories, beside those of the configuration.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::cli::EngagementArg;
use crate::commands::print;
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;
use nixmon_log::escapes::escape;
use nixmon_sensor::model::engage::{Engagement, Policy};

/// Size limit of the file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The choices, as they were read.
pub(super) struct Engaged {
    path: Option<PathBuf>,
    changed: Option<SystemTime>,
    directories: BTreeMap<PathBuf, Engagement>,
}

impl Engaged {
    pub(super) fn read(settings: &Settings) -> Self {
        let path = settings.journal().map(|journal| journal.directory().join("engaged.json"));
        let changed = path.as_deref().and_then(changed);
        let directories = path.as_deref().and_then(|path| {
            let mut text = String::new();
            std::fs::File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
            serde_json::from_str(&text).ok()
        });
        Self { path, changed, directories: directories.unwrap_or_default() }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.path.as_deref().and_then(changed) != self.changed
    }

    /// Returns the wishes in force: an argument, these choices, the configuration.
    pub(super) fn policy(&self, settings: &Settings, argument: Option<EngagementArg>) -> Policy {
        let mut policy = settings.watch.policy.clone();
        policy.default = argument.and_then(EngagementArg::state).unwrap_or(policy.default);
        policy.directories.extend(self.directories.clone());
        policy
    }

    fn write(&self) -> Result<()> {
        let path = self.path.as_deref().context("no home directory is known")?;
        let directory = path.parent().context("no directory")?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let temporary = directory.join(format!(".engaged.json.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = serde_json::to_writer_pretty(&mut file, &self.directories)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| std::fs::rename(&temporary, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        Ok(written?)
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

/// Makes a choice, or lists them.
pub(super) fn engage(
    settings: &Settings,
    directory: Option<&Path>,
    state: Option<EngagementArg>,
) -> Result<ExitStatus> {
    let mut engaged = Engaged::read(settings);
    let (Some(directory), Some(state)) = (directory, state) else {
        let policy = engaged.policy(settings, None);
        let mut text = format!("{}  everywhere else\n", word(policy.default));
        for (directory, state) in &policy.directories {
            let source = if engaged.directories.contains_key(directory) { "" } else { "  (configuration)" };
            let line = format!("{}  {}{source}", word(*state), directory.display());
            text.insert_str(0, &format!("{}\n", escape(&line)));
        }
        print(text.as_bytes())?;
        return Ok(ExitStatus::Success);
    };
    // Links are followed, as they are in the working directories of processes.
    let directory = directory.canonicalize().map_err(|error| {
        Failed::error(ExitStatus::NotFound, escape(&format!("{}: {error}", directory.display())))
    })?;
    match state.state() {
        Some(state) => drop(engaged.directories.insert(directory, state)),
        None => drop(engaged.directories.remove(&directory)),
    }
    let path = engaged.path.clone().unwrap_or_default();
    engaged.write().map_err(|error| {
        Failed::error(ExitStatus::Io, escape(&format!("cannot write {}: {error}", path.display())))
    })?;
    Ok(ExitStatus::Success)
}

fn word(state: Engagement) -> &'static str {
    match state {
        Engagement::Off => "off        ",
        Engagement::Failures => "failures   ",
        Engagement::Transitions => "transitions",
        Engagement::All => "all        ",
    }
}
