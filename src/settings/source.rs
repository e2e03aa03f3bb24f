//! The sources of settings.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Value, json};

/// A value that a file sets, and the line of its key, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// The source of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The default.
    Default,
    /// A configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// This environment variable, or one of these.
    Environment(&'static str),
    /// The command line.
    Argument,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment: {variable}"),
            Self::Argument => f.write_str("argument"),
        }
    }
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// None.
    Unset,
    /// A word.
    Text(String),
    /// A number, of seconds, lines or bytes.
    Number(u64),
    /// Yes or no.
    Switch(bool),
    /// A list of words.
    List(Vec<String>),
}

/// A setting in force, and where it comes from. Displayed as a line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key in the file, from its top.
    pub key: String,
    /// The value.
    pub value: SettingValue,
    /// Its source.
    pub source: Source,
}

impl Setting {
    /// As JSON: `key`, `value`, `source` (`default`, `file` with `path` and `line`, `environment` with `variable`,
    /// `argument`).
    pub fn to_json(&self) -> Value {
        let value = match &self.value {
            SettingValue::Unset => Value::Null,
            SettingValue::Text(text) => json!(text),
            SettingValue::Number(number) => json!(number),
            SettingValue::Switch(switch) => json!(switch),
            SettingValue::List(list) => json!(list),
        };
        let key = &self.key;
        match &self.source {
            Source::Default => json!({"key": key, "value": value, "source": "default"}),
            Source::File { path, line } => {
                json!({"key": key, "value": value, "source": "file", "path": path.display().to_string(), "line": line})
            }
            Source::Environment(variable) => {
                json!({"key": key, "value": value, "source": "environment", "variable": variable})
            }
            Source::Argument => json!({"key": key, "value": value, "source": "argument"}),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, source } = self;
        let value = match value {
            SettingValue::Unset => return write!(f, "# {key} is not set  # {source}"),
            SettingValue::Text(text) => quoted(text),
            SettingValue::Number(number) => number.to_string(),
            SettingValue::Switch(switch) => switch.to_string(),
            SettingValue::List(list) => {
                format!("[{}]", list.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
            }
        };
        write!(f, "{key} = {value}  # {source}")
    }
}

/// A TOML string: JSON's escapes are TOML's as well, which wants one for DEL too.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A part of a TOML key, with quotes if it needs them.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// The name of a choice.
pub(super) fn name<T: ValueEnum>(choice: &T) -> SettingValue {
    SettingValue::Text(
        choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default(),
    )
}

/// Chooses each setting's value and keeps where it comes from.
#[derive(Debug)]
pub(super) struct Resolver {
    path: Option<PathBuf>,
    settings: Vec<Setting>,
}

impl Resolver {
    /// For the file at `path`.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, settings: Vec::new() }
    }

    /// The argument, else what the file sets, else the default.
    pub(super) fn pick<T>(
        &mut self,
        key: &str,
        argument: Option<T>,
        file: Option<Set<T>>,
        default: T,
        show: impl Fn(&T) -> SettingValue,
    ) -> T {
        let (value, source) = match (argument, file) {
            (Some(value), _) => (value, Source::Argument),
            (None, Some(Set { value, line })) => {
                (value, Source::File { path: self.path.clone().unwrap_or_default(), line })
            }
            (None, None) => (default, Source::Default),
        };
        self.settings.push(Setting { key: key.to_owned(), value: show(&value), source });
        value
    }

    /// Notes what only the file can set, if it does.
    pub(super) fn shown<T>(&mut self, key: &str, file: Option<Set<T>>, show: impl Fn(&T) -> SettingValue) {
        if let Some(Set { value, line }) = file {
            let source = Source::File { path: self.path.clone().unwrap_or_default(), line };
            self.settings.push(Setting { key: key.to_owned(), value: show(&value), source });
        }
    }

    /// The environment decides what was left open by the setting picked last.
    pub(super) fn environment(&mut self, value: SettingValue, variable: &'static str) {
        if let Some(last) = self.settings.last_mut() {
            last.value = value;
            last.source = Source::Environment(variable);
        }
    }

    /// Returns the settings in the order in which they were picked.
    pub(super) fn into_settings(self) -> Vec<Setting> {
        self.settings
    }
}
