//! `nixmon config`.

use serde_json::json;

use crate::settings::{Setting, Settings};
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
