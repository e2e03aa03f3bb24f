//! Settings of `nixmon watch`: `[watch]` of the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Environment;
use super::run;
use super::source::{self, Resolver, Set, SettingValue};
use crate::cli::{BackendArg, EngagementArg};
use nixmon_sensor::model::engage::{Engagement, Policy};
use nixmon_sensor::model::programs::Rules;

/// The table `[watch]`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WatchFile {
    pub(super) programs: Option<Set<Vec<String>>>,
    /// Command lines, each of which is a pattern.
    pub(super) not_builds: Option<Set<Vec<String>>>,
    pub(super) engage: Option<Set<EngagementArg>>,
    pub(super) long: Option<Set<Duration>>,
    pub(super) quiet: Option<Set<QuietHours>>,
    pub(super) backend: Option<Set<BackendArg>>,
    pub(super) hook: Option<Set<String>>,
    pub(super) notify: Option<Set<bool>>,
    pub(super) history: Option<Set<bool>>,
    /// By directory, which may begin with `~/`.
    pub(super) directories: BTreeMap<String, Set<EngagementArg>>,
    /// Files by the name of their build; may begin with `~/`.
    pub(super) markers: BTreeMap<String, Set<String>>,
}

/// Settings of `nixmon watch`.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// The programs that build, and the exceptions.
    pub rules: Rules,
    /// The builds that are told.
    pub policy: Policy,
    /// Hours in which nobody is notified.
    pub quiet: Option<QuietHours>,
    /// The way to see builds, if not the best.
    pub backend: Option<BackendArg>,
    /// A line for sh for each report.
    pub hook: Option<String>,
    /// The user is notified of each report.
    pub notify: bool,
    /// The history learns of each build.
    pub history: bool,
    /// Marker files by the name of their build.
    pub markers: BTreeMap<String, PathBuf>,
    /// Nix's state directory.
    pub nix_state: PathBuf,
    /// The directory of the user's configuration files, for a unit.
    pub config_home: Option<PathBuf>,
    /// The home directory, for `~` in reports.
    pub home: Option<String>,
}

/// Hours of the day, in the machine's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minutes of the day at which they begin.
    pub from: u16,
    /// Minutes of the day at which they end; before the beginning, on the next day.
    pub to: u16,
}

impl QuietHours {
    /// Reads `22:00-07:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let minutes = |text: &str| {
            let (hours, minutes) = text.trim().split_once(':')?;
            let is_plain = [hours, minutes]
                .iter()
                .all(|part| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()));
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (is_plain && hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        let (from, to) = text.split_once('-')?;
        Some(Self { from: minutes(from)?, to: minutes(to)? }).filter(|hours| hours.from != hours.to)
    }

    /// Returns whether a minute of the day is among them.
    pub fn contains(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl std::fmt::Display for QuietHours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl EngagementArg {
    /// Returns the state; `None` for the default.
    pub(crate) fn state(self) -> Option<Engagement> {
        match self {
            Self::Off => Some(Engagement::Off),
            Self::Failures => Some(Engagement::Failures),
            Self::Transitions => Some(Engagement::Transitions),
            Self::All => Some(Engagement::All),
            Self::Default => None,
        }
    }
}

/// Puts the settings together.
pub(super) fn resolve(file: WatchFile, environment: &Environment, resolver: &mut Resolver) -> WatchSettings {
    let home = environment.home.as_deref();
    let usual = Policy::default();
    let mut rules = Rules::default();
    let value = |set: &Option<Set<Vec<String>>>| set.as_ref().map(|set| set.value.clone());
    if let Some(programs) = value(&file.programs) {
        rules = rules.with_programs(programs);
    }
    // The reader of the file has complained of others.
    let exceptions = value(&file.not_builds).unwrap_or_default();
    rules = rules.with_exceptions(exceptions.iter().filter_map(|text| text.parse().ok()));
    let state = |set: &Set<EngagementArg>| set.value.state();
    let directories =
        file.directories.iter().filter_map(|(path, set)| Some((run::in_home(path, home)?, state(set)?)));
    let markers =
        file.markers.iter().filter_map(|(name, set)| Some((name.clone(), run::in_home(&set.value, home)?)));
    let settings = WatchSettings {
        policy: Policy {
            default: file.engage.as_ref().and_then(state).unwrap_or(usual.default),
            directories: directories.collect(),
            long: file.long.as_ref().map_or(usual.long, |set| set.value),
        },
        rules,
        quiet: file.quiet.as_ref().map(|set| set.value),
        backend: file.backend.as_ref().map(|set| set.value),
        hook: file.hook.as_ref().map(|set| set.value.clone()),
        notify: file.notify.as_ref().is_some_and(|set| set.value),
        history: file.history.as_ref().is_some_and(|set| set.value),
        markers: markers.collect(),
        nix_state: environment.nix_state_dir.clone().unwrap_or_else(|| "/nix/var/nix".into()),
        config_home: environment.config_home.clone(),
        home: environment.home.clone(),
    };
    let list = |items: &Vec<String>| SettingValue::List(items.clone());
    let text = |text: &String| SettingValue::Text(text.clone());
    let switch = |switch: &bool| SettingValue::Switch(*switch);
    resolver.shown("watch.programs", file.programs, list);
    resolver.shown("watch.not-builds", file.not_builds, list);
    resolver.shown("watch.engage", file.engage, source::name);
    resolver.shown("watch.long", file.long, |long| SettingValue::Number(long.as_secs()));
    resolver.shown("watch.quiet", file.quiet, |hours| SettingValue::Text(hours.to_string()));
    resolver.shown("watch.backend", file.backend, source::name);
    resolver.shown("watch.hook", file.hook, text);
    resolver.shown("watch.notify", file.notify, switch);
    resolver.shown("watch.history", file.history, switch);
    for (path, set) in file.directories {
        resolver.shown(&format!("watch.directories.{}", source::key(&path)), Some(set), source::name);
    }
    for (name, set) in file.markers {
        resolver.shown(&format!("watch.markers.{}", source::key(&name)), Some(set), text);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn quiet_hours() {
        for (text, minute, expected) in [
            ("22:00-07:00", 23 * 60, Some(true)),
            ("22:00-07:00", 0, Some(true)),
            ("22:00-07:00", 7 * 60, Some(false)),
            ("22:00-07:00", 12 * 60, Some(false)),
            ("9:30 - 10:00", 9 * 60 + 30, Some(true)),
            ("9:30-10:00", 10 * 60, Some(false)),
            ("24:00-07:00", 0, None),
            ("9-10", 0, None),
            ("09:00-09:00", 0, None),
            ("+9:00-10:00", 0, None),
        ] {
            assert_eq!(QuietHours::parse(text).map(|hours| hours.contains(minute)), expected, "{text}");
        }
    }

    #[test]
    fn every_key() {
        let text = "[watch]\nprograms = [\"zig\"]\nnot-builds = [\"zig fetch\"]\nengage = \"all\"\nlong = \"5m\"\n\
            quiet = \"22:00-07:00\"\nbackend = \"proc\"\nhook = \"cat\"\nnotify = true\nhistory = true\n\
            [watch.directories]\n\"~/src\" = \"off\"\n[watch.markers]\ndeploy = \"~/deploy.status\"\n";
        let environment = Environment { home: Some("/h".to_owned()), ..Environment::default() };
        let mut resolver = Resolver::new(None);
        let settings = resolve(file::parse(text).unwrap().watch, &environment, &mut resolver);
        assert_eq!(settings.rules.programs().collect::<Vec<_>>(), ["zig"]);
        assert_eq!(settings.policy.default, Engagement::All);
        assert_eq!(settings.policy.of(Some("/h/src/x")), Engagement::Off);
        assert_eq!(settings.policy.long, Duration::from_secs(300));
        assert_eq!(settings.markers["deploy"], PathBuf::from("/h/deploy.status"));
        assert_eq!((settings.hook.as_deref(), settings.notify, settings.history), (Some("cat"), true, true));
        assert_eq!(settings.backend, Some(BackendArg::Proc));
        // What is shown is a valid file.
        let shown: Vec<String> = resolver.into_settings().iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 11, "{shown:?}");
        assert!(file::parse(&shown.join("\n")).is_ok(), "{shown:?}");
        for (text, expected) in [
            ("[watch]\nengaged = \"all\"", "2:1: unknown key `engaged` in [watch]; did you mean `engage`?"),
            ("[watch]\nengage = \"default\"", "2:10: `engage` is one of off, failures, transitions, all"),
            (
                "[watch]\nnot-builds = [\"cargo\"]",
                "2:14: \"cargo\" is not a program and at least one argument, as in",
            ),
            (
                "[watch]\nquiet = \"late\"",
                "2:9: `quiet` is two times of day like \"22:00-07:00\", not a string",
            ),
            ("[watch.directories]\nsrc = \"all\"", "2:1: `src` begins with neither / nor ~/"),
            ("[watch]\nhook = 1", "2:8: `hook` is a line for sh, not a whole number"),
        ] {
            let mistakes = file::parse(text).expect_err(text);
            assert!(mistakes[0].to_string().starts_with(expected), "{text:?}: {mistakes:?}");
        }
    }
}
