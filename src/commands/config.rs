//! `nixmon config`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::settings::{Setting, SettingValue, Settings, Source};
use nixmon_log::escapes::escape;

/// Describes a configuration that could be read, or need not exist.
pub(super) fn checked(settings: &Settings) -> String {
    escape(&checked_file(settings)).into_owned()
}

fn checked_file(settings: &Settings) -> String {
    match &settings.config_file {
        Some(path) if settings.config_exists => format!("{}: no mistakes", path.display()),
        Some(path) => format!("no configuration: {} does not exist", path.display()),
        None => "no configuration: there is no home directory".to_owned(),
    }
}

/// Lists the directories of targets that are not there, each with its place in the file: such a target cannot run.
pub(super) fn missing_directories(settings: &Settings) -> Vec<String> {
    let home = settings.places.home.as_deref();
    let missing = settings.origins.iter().filter_map(|Setting { key, value, source }| {
        let target = key.strip_prefix("target.")?.strip_suffix(".directory")?;
        let (SettingValue::Text(directory), Source::File { path, line }) = (value, source) else {
            return None;
        };
        let place = match directory.strip_prefix("~/") {
            Some(rest) => Path::new(home?).join(rest),
            None => PathBuf::from(directory),
        };
        let message =
            format!("{}:{line}: the directory of target {target} is not there: {directory}", path.display());
        (!place.is_dir()).then(|| escape(&message).into_owned())
    });
    missing.collect()
}

/// Every setting in force as a configuration file, with its source in a comment.
pub(super) fn text(settings: &Settings) -> String {
    let mut text = String::new();
    if !settings.config_exists {
        text.push_str(&format!("# {}\n", checked(settings)));
    }
    for setting in &settings.origins {
        text.push_str(&format!("{setting}\n"));
    }
    text
}

/// The same as JSON.
pub(super) fn json(settings: &Settings) -> String {
    let file = settings.config_file.as_ref().filter(|_| settings.config_exists);
    let list: Vec<_> = settings.origins.iter().map(Setting::to_json).collect();
    let json = json!({"file": file.map(|path| path.display().to_string()), "settings": list});
    format!("{json:#}\n")
}
