//! The table `[watch]` of the configuration file.

use toml::de::DeValue;

use super::super::watch::{QuietHours, WatchFile};
use super::{Key, Reader, Value};
use crate::cli::EngagementArg;
use crate::settings::source::Set;
use nixmon_sensor::model::programs::Pattern;

const WATCH: [&str; 11] = [
    "programs",
    "not-builds",
    "engage",
    "long",
    "quiet",
    "backend",
    "hook",
    "notify",
    "history",
    "directories",
    "markers",
];

impl Reader<'_> {
    pub(super) fn watch(&mut self, key: &Key<'_>, value: &Value<'_>, file: &mut WatchFile) {
        for (key, value) in self.table(key, value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "programs" => file.programs = self.texts(key, value, "programs"),
                "not-builds" => file.not_builds = self.not_builds(key, value),
                "engage" => file.engage = self.engagement(key, value),
                "long" => file.long = self.duration(key, value, std::time::Duration::from_secs(1)),
                "quiet" => file.quiet = self.quiet_hours(key, value),
                "backend" => file.backend = self.choice(key, value),
                "hook" => file.hook = self.line(key, value),
                "notify" => file.notify = self.switch(key, value),
                "history" => file.history = self.switch(key, value),
                "directories" => {
                    for (key, value) in self.table(key, value).into_iter().flatten() {
                        let name = key.get_ref().as_ref();
                        if !name.starts_with('/') && !name.starts_with("~/") && name != "~" {
                            let message = format!("`{}` begins with neither / nor ~/", name.escape_debug());
                            self.mistake(key.span(), message);
                            continue;
                        }
                        if let Some(state) = self.engagement(key, value) {
                            file.directories.insert(name.to_owned(), state);
                        }
                    }
                }
                "markers" => {
                    for (key, value) in self.table(key, value).into_iter().flatten() {
                        if let Some(path) = self.directory(key, value) {
                            file.markers.insert(key.get_ref().as_ref().to_owned(), path);
                        }
                    }
                }
                _ => self.unknown(key, "[watch]", &WATCH),
            }
        }
    }

    fn engagement(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<EngagementArg>> {
        let set = self.choice::<EngagementArg>(key, value)?;
        if set.value == EngagementArg::Default {
            self.mistake(
                value.span(),
                format!("`{}` is one of off, failures, transitions, all", key.get_ref()),
            );
            return None;
        }
        Some(set)
    }

    fn not_builds(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<Vec<String>>> {
        let texts = self.texts(key, value, "command lines")?;
        let mistakes: Vec<String> = texts
            .value
            .iter()
            .filter_map(|text| {
                Some(format!("\"{}\" is not {}", text.escape_debug(), text.parse::<Pattern>().err()?))
            })
            .collect();
        let is_good = mistakes.is_empty();
        for message in mistakes {
            self.mistake(value.span(), message);
        }
        is_good.then_some(texts)
    }

    fn quiet_hours(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<QuietHours>> {
        let hours = match value.get_ref() {
            DeValue::String(text) => QuietHours::parse(text),
            _ => None,
        };
        if hours.is_none() {
            self.wrong(value, &format!("`{}`", key.get_ref()), "two times of day like \"22:00-07:00\"");
        }
        hours.map(|hours| self.set(key, hours))
    }

    fn line(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<String>> {
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(self.set(key, text.as_ref().to_owned())),
            _ => {
                self.wrong(value, &format!("`{}`", key.get_ref()), "a line for sh");
                None
            }
        }
    }
}
