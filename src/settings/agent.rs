//! Settings of `nixmon agent`: `[agent]` of the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Environment;
use super::run;
use super::source::{self, Resolver, Set, SettingValue};
use crate::cli::MirroredArg;

/// Default limit for what waits for the hub, in MiB.
const SPOOL: u64 = 1024;

/// The table `[agent]`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AgentFile {
    pub(super) hub: Option<Set<String>>,
    pub(super) host: Option<Set<String>>,
    /// A file with the token; may begin with `~/`.
    pub(super) token_file: Option<Set<String>>,
    /// A file with certificates; may begin with `~/`.
    pub(super) ca: Option<Set<String>>,
    pub(super) runs: Option<Set<MirroredArg>>,
    pub(super) spool_mib: Option<Set<u64>>,
    /// All built-in actions of this system are allowed.
    pub(super) has_defaults: Option<Set<bool>>,
    /// By name; no command is the built-in one of this name.
    pub(super) actions: BTreeMap<String, Set<Option<Vec<String>>>>,
}

/// Settings of `nixmon agent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSettings {
    /// The address of the hub.
    pub hub: Option<String>,
    /// The name of this host at the hub.
    pub host: Option<String>,
    /// The file with the token of this host.
    pub token_file: Option<PathBuf>,
    /// The file with certificates to trust.
    pub ca: Option<PathBuf>,
    /// The runs to mirror.
    pub runs: Option<MirroredArg>,
    /// Limit for what waits for the hub, in MiB.
    pub spool_mib: u64,
    /// All built-in actions of this system are allowed.
    pub has_defaults: bool,
    /// Actions that the hub may ask for, by name, with their commands; no command is the built-in one of this name.
    pub actions: BTreeMap<String, Option<Vec<String>>>,
    /// The directory of the user's configuration files, for a unit.
    pub config_home: Option<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
}

/// Puts the settings together.
pub(super) fn resolve(file: AgentFile, environment: &Environment, resolver: &mut Resolver) -> AgentSettings {
    let home = environment.home.as_deref();
    let text = |text: &String| SettingValue::Text(text.clone());
    let value = |set: &Option<Set<String>>| set.as_ref().map(|set| set.value.clone());
    let path = |set: &Option<Set<String>>| set.as_ref().and_then(|set| run::in_home(&set.value, home));
    let settings = AgentSettings {
        hub: value(&file.hub),
        host: value(&file.host),
        token_file: path(&file.token_file),
        ca: path(&file.ca),
        runs: file.runs.as_ref().map(|set| set.value),
        spool_mib: file.spool_mib.as_ref().map_or(SPOOL, |set| set.value),
        has_defaults: file.has_defaults.as_ref().is_some_and(|set| set.value),
        actions: file.actions.iter().map(|(name, set)| (name.clone(), set.value.clone())).collect(),
        config_home: environment.config_home.clone(),
        home: home.map(PathBuf::from),
    };
    resolver.shown("agent.hub", file.hub, text);
    resolver.shown("agent.host", file.host, text);
    resolver.shown("agent.token-file", file.token_file, text);
    resolver.shown("agent.ca", file.ca, text);
    resolver.shown("agent.runs", file.runs, source::name);
    resolver.shown("agent.spool-mib", file.spool_mib, |n| SettingValue::Number(*n));
    let default = || SettingValue::Text("default".to_owned());
    resolver.shown("agent.actions", file.has_defaults, |_| default());
    for (name, set) in file.actions {
        let key = format!("agent.actions.{}", source::key(&name));
        resolver.shown(&key, Some(set), |command| match command {
            Some(words) => SettingValue::List(words.clone()),
            None => default(),
        });
    }
    settings
}
