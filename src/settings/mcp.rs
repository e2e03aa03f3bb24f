//! Settings of `nixmon mcp`: `[mcp]` of the configuration file, and the targets that clients may name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;

use super::Environment;
use super::file::McpFile;
use super::run::{self, RunTask, TargetFile};
use super::source::{Resolver, SettingValue};
use crate::cli::ProfileArg;

/// Settings of `nixmon mcp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpSettings {
    /// The extent of what a client may do; the default depends on the transport.
    pub profile: Option<ProfileArg>,
    /// Patterns of the commands that may run.
    pub allow: Option<Vec<String>>,
    /// Directories in which commands may run; empty for all.
    pub directories: Vec<PathBuf>,
    /// Names of this host in requests over HTTP.
    pub hosts: Vec<String>,
    /// The file with the token of clients over HTTP.
    pub token_file: Option<PathBuf>,
    /// The token in the environment, which precedes the file.
    pub token: Option<String>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The commands of all targets.
    pub targets: BTreeMap<String, RunTask>,
}

/// Puts the settings together.
pub(super) fn resolve(
    file: McpFile,
    targets: &BTreeMap<String, TargetFile>,
    environment: &Environment,
    resolver: &mut Resolver,
) -> McpSettings {
    let home = environment.home.as_deref();
    let list = |items: &Vec<String>| SettingValue::List(items.clone());
    let text = |text: &String| SettingValue::Text(text.clone());
    let profile = |profile: &ProfileArg| {
        let name = profile.to_possible_value().map(|value| value.get_name().to_owned());
        SettingValue::Text(name.unwrap_or_default())
    };
    let McpFile { profile: set, allow, directories, hosts, token_file } = file;
    let paths = |paths: &[String]| paths.iter().filter_map(|path| run::in_home(path, home)).collect();
    let settings = McpSettings {
        profile: set.as_ref().map(|set| set.value),
        allow: allow.as_ref().map(|set| set.value.clone()),
        directories: directories.as_ref().map(|set| paths(&set.value)).unwrap_or_default(),
        hosts: hosts.as_ref().map(|set| set.value.clone()).unwrap_or_default(),
        token_file: token_file.as_ref().and_then(|set| run::in_home(&set.value, home)),
        token: environment.mcp_token.clone(),
        home: home.map(PathBuf::from),
        // A target below a home directory that is not known cannot be run.
        targets: targets
            .keys()
            .filter_map(|name| Some((name.clone(), run::of_target(name, targets, home).ok()?)))
            .collect(),
    };
    resolver.shown("mcp.profile", set, profile);
    resolver.shown("mcp.allow", allow, list);
    resolver.shown("mcp.directories", directories, list);
    resolver.shown("mcp.hosts", hosts, list);
    resolver.shown("mcp.token-file", token_file, text);
    settings
}
