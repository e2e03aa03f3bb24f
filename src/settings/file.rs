//! The configuration file: TOML to what it sets, with the line of each, and to mistakes with their places.
//!
//! A key that is not known is a mistake: it would be one more setting that seems to be in force and is not.

mod agent;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use clap::ValueEnum;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::agent::AgentFile;
use super::run::TargetFile;
use super::source::Set;
use super::watch::WatchFile;
use crate::cli::{
    LogsArg, MIN_BYTES, MIN_EVERY, MIN_LINES, MIN_SNAPSHOTS, OutputForm, PassthroughArg, ProfileArg,
    StatusFromWriter, When, duration, run_name,
};
use nixmon_core::text::nearest;
use nixmon_runs::{ServiceLogs, check_pattern};

/// The settings in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ConfigFile {
    pub(super) output: Option<Set<OutputForm>>,
    pub(super) color: Option<Set<When>>,
    pub(super) ascii: Option<Set<bool>>,
    pub(super) passthrough: Option<Set<PassthroughArg>>,
    pub(super) logs_shown: Option<Set<LogsArg>>,
    pub(super) log_lines: Option<Set<u64>>,
    pub(super) no_title: Option<Set<bool>>,
    /// Seconds.
    pub(super) every: Option<Set<u64>>,
    pub(super) max_lines: Option<Set<u64>>,
    pub(super) max_bytes: Option<Set<u64>>,
    /// Seconds.
    pub(super) snapshots: Option<Set<u64>>,
    pub(super) status_from_writer: Option<Set<StatusFromWriter>>,
    /// Seconds.
    pub(super) slow: Option<Set<u64>>,
    /// Seconds.
    pub(super) quiet: Option<Set<u64>>,
    /// Patterns for services that have none of their own.
    pub(super) log: Option<Set<Vec<String>>>,
    /// Patterns of single services, by name.
    pub(super) logs: BTreeMap<String, Set<Vec<String>>>,
    /// Days.
    pub(super) keep_days: Option<Set<u64>>,
    pub(super) keep_runs: Option<Set<u64>>,
    pub(super) keep_mib: Option<Set<u64>>,
    /// True if the history is used.
    pub(super) history: Option<Set<bool>>,
    /// Days.
    pub(super) history_days: Option<Set<u64>>,
    pub(super) history_mib: Option<Set<u64>>,
    /// By name.
    pub(super) targets: BTreeMap<String, TargetFile>,
    pub(super) mcp: McpFile,
    pub(super) watch: WatchFile,
    pub(super) agent: AgentFile,
}

/// The table `[mcp]`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct McpFile {
    pub(super) profile: Option<Set<ProfileArg>>,
    /// Patterns of commands.
    pub(super) allow: Option<Set<Vec<String>>>,
    /// Directories; may begin with `~/`.
    pub(super) directories: Option<Set<Vec<String>>>,
    /// Names of this host in requests over HTTP.
    pub(super) hosts: Option<Set<Vec<String>>>,
    /// A file with the token of clients over HTTP; may begin with `~/`.
    pub(super) token_file: Option<Set<String>>,
}

impl ConfigFile {
    /// The patterns that hold for a target, whose own come first.
    pub(super) fn service_logs(&self, target: Option<&str>) -> ServiceLogs {
        let target = target.and_then(|name| self.targets.get(name));
        let general = target.and_then(|target| target.log.as_ref()).or(self.log.as_ref());
        let mut single = self.logs.clone();
        single.extend(target.into_iter().flat_map(|target| target.logs.clone()));
        ServiceLogs::new(
            general.map(|set| set.value.clone()).unwrap_or_default(),
            single.into_iter().map(|(name, set)| (name, set.value)).collect(),
        )
    }
}

/// A mistake and its place, both counted from 1; columns are characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// The mistake, and a suggestion.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Reads the text of a file. Finds all mistakes, but stops at the first where the text is no TOML.
pub(super) fn parse(text: &str) -> Result<ConfigFile, Vec<Mistake>> {
    let mut reader = Reader { text, mistakes: Vec::new() };
    let mut file = ConfigFile::default();
    match DeTable::parse(text) {
        Ok(table) => reader.top(table.get_ref(), &mut file),
        Err(error) => reader.mistake(error.span().unwrap_or_default(), error.message().to_owned()),
    }
    reader.mistakes.sort();
    if reader.mistakes.is_empty() { Ok(file) } else { Err(reader.mistakes) }
}

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

const TOP: [&str; 20] = [
    "output",
    "color",
    "ascii",
    "passthrough",
    "logs",
    "log-lines",
    "no-title",
    "every",
    "max-lines",
    "max-bytes",
    "snapshots",
    "status-from-writer",
    "thresholds",
    "services",
    "runs",
    "history",
    "target",
    "mcp",
    "watch",
    "agent",
];
const MCP: [&str; 5] = ["profile", "allow", "directories", "hosts", "token-file"];
const RUNS: [&str; 3] = ["keep-days", "keep-runs", "keep-mib"];
const HISTORY: [&str; 3] = ["enabled", "keep-days", "keep-mib"];
const TARGET: [&str; 5] = ["command", "directory", "expected", "timeout", "services"];
const THRESHOLDS: [&str; 2] = ["slow", "quiet"];
const SERVICE: [&str; 1] = ["log"];

struct Reader<'t> {
    text: &'t str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, file: &mut ConfigFile) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "output" => file.output = self.choice(key, value),
                "color" => file.color = self.choice(key, value),
                "passthrough" => file.passthrough = self.choice(key, value),
                "logs" => file.logs_shown = self.choice(key, value),
                "log-lines" => file.log_lines = self.number(key, value, 0),
                "no-title" => file.no_title = self.switch(key, value),
                "ascii" => file.ascii = self.switch(key, value),
                "every" => file.every = self.number(key, value, MIN_EVERY),
                "max-lines" => file.max_lines = self.number(key, value, MIN_LINES),
                "max-bytes" => file.max_bytes = self.number(key, value, MIN_BYTES),
                "snapshots" => file.snapshots = self.number(key, value, MIN_SNAPSHOTS),
                "status-from-writer" => file.status_from_writer = self.choice(key, value),
                "thresholds" => {
                    for (key, value) in self.table(key, value).into_iter().flatten() {
                        match key.get_ref().as_ref() {
                            "slow" => file.slow = self.number(key, value, 1),
                            "quiet" => file.quiet = self.number(key, value, 1),
                            _ => self.unknown(key, "[thresholds]", &THRESHOLDS),
                        }
                    }
                }
                "services" => self.services(key, value, &mut file.log, &mut file.logs),
                "runs" => {
                    for (key, value) in self.table(key, value).into_iter().flatten() {
                        match key.get_ref().as_ref() {
                            "keep-days" => file.keep_days = self.number(key, value, 0),
                            "keep-runs" => file.keep_runs = self.number(key, value, 0),
                            "keep-mib" => file.keep_mib = self.number(key, value, 0),
                            _ => self.unknown(key, "[runs]", &RUNS),
                        }
                    }
                }
                "history" => {
                    for (key, value) in self.table(key, value).into_iter().flatten() {
                        match key.get_ref().as_ref() {
                            "enabled" => file.history = self.switch(key, value),
                            "keep-days" => file.history_days = self.number(key, value, 0),
                            "keep-mib" => file.history_mib = self.number(key, value, 0),
                            _ => self.unknown(key, "[history]", &HISTORY),
                        }
                    }
                }
                "target" => {
                    for (key, value) in self.table(key, value).into_iter().flatten() {
                        let target = self.target(key, value);
                        file.targets.insert(key.get_ref().as_ref().to_owned(), target);
                    }
                }
                "mcp" => {
                    for (key, value) in self.table(key, value).into_iter().flatten() {
                        match key.get_ref().as_ref() {
                            "profile" => file.mcp.profile = self.choice(key, value),
                            "allow" => file.mcp.allow = self.texts(key, value, "commands"),
                            "directories" => file.mcp.directories = self.directories(key, value),
                            "hosts" => file.mcp.hosts = self.texts(key, value, "host names"),
                            "token-file" => file.mcp.token_file = self.directory(key, value),
                            _ => self.unknown(key, "[mcp]", &MCP),
                        }
                    }
                }
                "watch" => self.watch(key, value, &mut file.watch),
                "agent" => self.agent(key, value, &mut file.agent),
                _ => self.unknown(key, "", &TOP),
            }
        }
    }

    fn target(&mut self, key: &Key<'_>, value: &Value<'_>) -> TargetFile {
        let name = key.get_ref().as_ref();
        if let Err(message) = run_name(name) {
            self.mistake(key.span(), format!("`{}` is no name of a target: {message}", name.escape_debug()));
        }
        let label = format!("[target.{name}]");
        let mut target = TargetFile { line: self.place(key.span()).0, ..TargetFile::default() };
        for (key, value) in self.table(key, value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "command" => target.command = self.command(key, value),
                "directory" => target.directory = self.directory(key, value),
                "expected" => target.expected = self.duration(key, value, Duration::from_nanos(1)),
                // As with --timeout: no time is never too long.
                "timeout" => target.timeout = self.duration(key, value, Duration::ZERO),
                "services" => self.services(key, value, &mut target.log, &mut target.logs),
                _ => self.unknown(key, &label, &TARGET),
            }
        }
        if let DeValue::Table(table) = value.get_ref()
            && !table.contains_key("command")
        {
            self.mistake(key.span(), format!("{label} has no `command`"));
        }
        target
    }

    /// The program and its arguments; a single text is split into words, or is for `sh -c` where a shell sees more in it.
    fn command(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<Vec<String>>> {
        let words = match value.get_ref() {
            DeValue::String(text) => Some(
                plain_words(text).unwrap_or_else(|| ["sh", "-c", text.as_ref()].map(str::to_owned).to_vec()),
            ),
            DeValue::Array(items) => items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.as_ref().to_owned()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        match words.filter(|words| words.first().is_some_and(|program| !program.is_empty())) {
            Some(words) => Some(self.set(key, words)),
            None => {
                self.wrong(value, "`command`", "a list of the program and its arguments, or a line for sh");
                None
            }
        }
    }

    /// The path of a directory or a file.
    fn directory(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<String>> {
        let DeValue::String(text) = value.get_ref() else {
            let is_file = ["token-file", "ca"].contains(&key.get_ref().as_ref());
            let what = if is_file { "the name of a file" } else { "the name of a directory" };
            self.wrong(value, &format!("`{}`", key.get_ref()), what);
            return None;
        };
        let path = self.absolute(key, value, text)?;
        Some(self.set(key, path))
    }

    fn directories(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<Vec<String>>> {
        let texts = self.texts(key, value, "directories")?;
        let paths: Option<Vec<String>> =
            texts.value.iter().map(|text| self.absolute(key, value, text)).collect();
        Some(self.set(key, paths?))
    }

    fn absolute(&mut self, key: &Key<'_>, value: &Value<'_>, text: &str) -> Option<String> {
        if !text.starts_with('/') && !text.starts_with("~/") && text != "~" {
            self.mistake(value.span(), format!("`{}` begins with neither / nor ~/", key.get_ref()));
            return None;
        }
        Some(text.to_owned())
    }

    /// A list of texts.
    fn texts(&mut self, key: &Key<'_>, value: &Value<'_>, what: &str) -> Option<Set<Vec<String>>> {
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) if !text.trim().is_empty() => Some(text.as_ref().to_owned()),
                _ => None,
            })
            .collect();
        match texts.filter(|_| matches!(value.get_ref(), DeValue::Array(_))) {
            Some(texts) => Some(self.set(key, texts)),
            None => {
                self.wrong(value, &format!("`{}`", key.get_ref()), &format!("a list of {what}"));
                None
            }
        }
    }

    fn duration(&mut self, key: &Key<'_>, value: &Value<'_>, least: Duration) -> Option<Set<Duration>> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(integer) => integer.as_str(),
            _ => "",
        };
        match duration(text) {
            Ok(duration) if duration >= least => Some(self.set(key, duration)),
            _ => {
                let what = "a duration like \"15m\", or a number of seconds";
                self.wrong(value, &format!("`{}`", key.get_ref()), what);
                None
            }
        }
    }

    fn services(
        &mut self,
        key: &Key<'_>,
        value: &Value<'_>,
        log: &mut Option<Set<Vec<String>>>,
        logs: &mut BTreeMap<String, Set<Vec<String>>>,
    ) {
        for (key, value) in self.table(key, value).into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if name == "log" {
                *log = self.patterns(key, value, true);
            } else if let DeValue::Table(table) = value.get_ref() {
                for (key, value) in table {
                    if key.get_ref() == "log" {
                        let patterns = self.patterns(key, value, false);
                        logs.extend(patterns.map(|patterns| (name.to_owned(), patterns)));
                    } else {
                        self.unknown(key, &format!("[services.{name}]"), &SERVICE);
                    }
                }
            } else if nearest(name, &SERVICE).is_some() {
                self.unknown(key, "[services]", &SERVICE);
            } else {
                self.wrong(value, &format!("`{name}`"), "a table of a service, with `log`");
            }
        }
    }

    /// A list of patterns, or a single one.
    fn patterns(&mut self, key: &Key<'_>, value: &Value<'_>, general: bool) -> Option<Set<Vec<String>>> {
        let items: Vec<&Value<'_>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut patterns = Vec::new();
        for item in items {
            let DeValue::String(text) = item.get_ref() else {
                self.wrong(item, "`log`", "a list of file names");
                return None;
            };
            match check_pattern(text, general) {
                Ok(()) => patterns.push(text.as_ref().to_owned()),
                Err(message) => self.mistake(item.span(), format!("\"{}\" {message}", text.escape_debug())),
            }
        }
        Some(self.set(key, patterns))
    }

    fn table<'v, 'a>(&mut self, key: &Key<'_>, value: &'v Value<'a>) -> Option<&'v DeTable<'a>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.wrong(value, &format!("`{}`", key.get_ref()), "a table");
                None
            }
        }
    }

    fn choice<T: ValueEnum>(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<T>> {
        let values: Vec<_> = T::value_variants().iter().filter_map(T::to_possible_value).collect();
        let names: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
        if let DeValue::String(text) = value.get_ref() {
            if let Ok(choice) = T::from_str(text, false) {
                return Some(self.set(key, choice));
            }
            let mut message = format!(
                "`{}` is one of {}, not \"{}\"",
                key.get_ref(),
                names.join(", "),
                text.escape_debug()
            );
            if let Some(name) = nearest(text, &names) {
                message.push_str(&format!("; did you mean \"{name}\"?"));
            }
            self.mistake(value.span(), message);
        } else {
            self.wrong(value, &format!("`{}`", key.get_ref()), &format!("one of {}", names.join(", ")));
        }
        None
    }

    fn switch(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<Set<bool>> {
        if let DeValue::Boolean(switch) = value.get_ref() {
            return Some(self.set(key, *switch));
        }
        self.wrong(value, &format!("`{}`", key.get_ref()), "true or false");
        None
    }

    fn number(&mut self, key: &Key<'_>, value: &Value<'_>, least: u64) -> Option<Set<u64>> {
        let name = format!("`{}`", key.get_ref());
        let what = format!("a whole number, at least {least}");
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong(value, &name, &what);
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if number >= least => Some(self.set(key, number)),
            _ => {
                self.mistake(value.span(), format!("{name} is {what}, not {integer}"));
                None
            }
        }
    }

    fn unknown(&mut self, key: &Key<'_>, table: &str, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let within = if table.is_empty() { String::new() } else { format!(" in {table}") };
        let mut message = format!("unknown key `{}`{within}", name.escape_debug());
        match nearest(name, known) {
            Some(known) => message.push_str(&format!("; did you mean `{known}`?")),
            None => message.push_str(&format!("; known are {}", known.join(", "))),
        }
        self.mistake(key.span(), message);
    }

    fn wrong(&mut self, value: &Value<'_>, what: &str, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.mistake(value.span(), format!("{what} is {expected}, not {found}"));
    }

    fn set<T>(&self, key: &Key<'_>, value: T) -> Set<T> {
        Set { value, line: self.place(key.span()).0 }
    }

    fn mistake(&mut self, span: Range<usize>, message: String) {
        let (line, column) = self.place(span);
        self.mistakes.push(Mistake { line, column, message });
    }

    fn place(&self, span: Range<usize>) -> (usize, usize) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before.get(begin..).unwrap_or_default().chars().count() + 1)
    }
}

/// The words of a line in which a shell would see nothing but words: then it needs none, and what the command is can be
/// told from its first word.
fn plain_words(line: &str) -> Option<Vec<String>> {
    let plain = |c: char| c.is_alphanumeric() || " _-./:,+@%=#".contains(c);
    let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
    let is_command = words.first().is_some_and(|word| !word.contains('='));
    // A word that begins with it begins a comment.
    let has_comment = words.iter().any(|word| word.starts_with('#'));
    (is_command && !has_comment && line.chars().all(plain)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key() {
        let text = "output = \"json\"\ncolor = 'never'\nascii = false\npassthrough = \"none\"\nevery = 0x10\n\
            max-lines = 1_000\nmax-bytes = 512\nsnapshots = 2\n\n[thresholds]\nslow = 60\nquiet = 600\n\n\
            [services]\nlog = [\"~/logs/{service}.log\"]\n[services.rclone]\nlog = \"/var/log/rclone\"\n\
            [services.\"a.timer\"]\nlog = []\n";
        let file = parse(text).unwrap();
        let set = |value, line| Some(Set { value, line });
        assert_eq!(file.output, Some(Set { value: OutputForm::Json, line: 1 }));
        assert_eq!(file.color, Some(Set { value: When::Never, line: 2 }));
        assert_eq!(file.ascii, Some(Set { value: false, line: 3 }));
        assert_eq!(file.passthrough, Some(Set { value: PassthroughArg::None, line: 4 }));
        assert_eq!((file.every, file.max_lines), (set(16, 5), set(1000, 6)));
        assert_eq!((file.max_bytes, file.snapshots), (set(512, 7), set(2, 8)));
        assert_eq!((file.slow, file.quiet), (set(60, 11), set(600, 12)));
        assert_eq!(file.log, Some(Set { value: vec!["~/logs/{service}.log".to_owned()], line: 15 }));
        let logs: Vec<_> =
            file.logs.iter().map(|(name, set)| (name.as_str(), set.line, set.value.len())).collect();
        assert_eq!(logs, [("a.timer", 19, 0), ("rclone", 17, 1)]);
        assert_eq!(parse(""), Ok(ConfigFile::default()));
        let file = parse("logs = \"all\"\nlog-lines = 0\nno-title = true\n").unwrap();
        assert_eq!(file.logs_shown, Some(Set { value: LogsArg::All, line: 1 }));
        assert_eq!(file.log_lines, Some(Set { value: 0, line: 2 }));
        assert_eq!(file.no_title, Some(Set { value: true, line: 3 }));
    }

    #[test]
    fn targets() {
        let text = "[target.home]\ncommand = \"make home\"\ndirectory = \"~/flake\"\nexpected = \"8m\"\ntimeout = 90\n\
            [target.home.services]\nlog = \"/l/{service}\"\n[target.\"a.b\"]\ncommand = [\"x\", \"y z\"]\n\
            [runs]\nkeep-days = 7\nkeep-mib = 0\n";
        let file = parse(text).unwrap();
        let home = &file.targets["home"];
        let words = |target: &TargetFile| target.command.clone().unwrap().value;
        assert_eq!(words(home), ["make", "home"]);
        assert_eq!(home.directory.clone().unwrap().value, "~/flake");
        assert_eq!(home.expected, Some(Set { value: Duration::from_secs(480), line: 4 }));
        assert_eq!(home.timeout, Some(Set { value: Duration::from_secs(90), line: 5 }));
        assert_eq!(file.service_logs(Some("home")).files("x.service", None), ["/l/x"]);
        assert_eq!(file.service_logs(None), ServiceLogs::default());
        assert_eq!(words(&file.targets["a.b"]), ["x", "y z"]);
        assert_eq!((file.keep_days.unwrap().value, file.keep_mib.unwrap().value), (7, 0));
        let shell = |line: &str| plain_words(line).is_none();
        assert!(
            ["a && b", "a | b", "A=1 b", "a ~/b", "a 'b c'", "a $B", "a # b", "", "a;b"]
                .iter()
                .all(|l| shell(l))
        );
        assert_eq!(plain_words("nix build path:.#x -j4").unwrap(), ["nix", "build", "path:.#x", "-j4"]);
    }

    #[test]
    fn mistakes_have_a_place_and_a_suggestion() {
        let cases = [
            ("colour = \"auto\"", "1:1: unknown key `colour`; did you mean `color`?"),
            ("\n  max_lines = 7", "2:3: unknown key `max_lines`; did you mean `max-lines`?"),
            ("xyzzy = 1", "1:1: unknown key `xyzzy`; known are output, color, ascii, "),
            ("[thresholds]\nquite = 3", "2:1: unknown key `quite` in [thresholds]; did you mean `quiet`?"),
            ("[services]\nlogs = []", "2:1: unknown key `logs` in [services]; did you mean `log`?"),
            ("[services.\"é\"]\nlgo = []", "2:1: unknown key `lgo` in [services.é]; did you mean `log`?"),
            ("services.rclone = 1", "1:19: `rclone` is a table of a service, with `log`, not a whole number"),
            (
                "color = \"alwasy\"",
                "1:9: `color` is one of auto, always, never, not \"alwasy\"; did you mean \"always\"?",
            ),
            ("color = 1", "1:9: `color` is one of auto, always, never, not a whole number"),
            ("ascii = \"no\"", "1:9: `ascii` is true or false, not a string"),
            ("every = 4", "1:9: `every` is a whole number, at least 5, not 4"),
            ("every = -4", "1:9: `every` is a whole number, at least 5, not -4"),
            ("every = 99999999999999999999", "1:9: `every` is a whole number, at least 5, not 999"),
            ("every = 1.5", "1:9: `every` is a whole number, at least 5, not a number with a fraction"),
            ("thresholds = 1", "1:14: `thresholds` is a table, not a whole number"),
            ("[services]\nlog = [1]", "2:8: `log` is a list of file names, not a whole number"),
            ("[services]\nlog = [\"logs/{service}\"]", "2:8: \"logs/{service}\" is not absolute"),
            ("[services]\nlog = [\"/log\"]", "2:8: \"/log\" is the same file for every service"),
            (
                "[services]\nlog = \"/l/{servcie}\"",
                "2:7: \"/l/{servcie}\" has an unknown placeholder {servcie}; did you mean {service}?",
            ),
            ("[target.home]\ncomand = \"x\"", "1:9: [target.home] has no `command`"),
            ("[target.12]\ncommand = \"x\"", "1:9: `12` is no name of a target: "),
            ("[target.a]\ncommand = []", "2:11: `command` is a list of the program"),
            (
                "[target.a]\ncommand = \"x\"\ntimeout = \"soon\"",
                "3:11: `timeout` is a duration like \"15m\", ",
            ),
            ("[target.a]\ncommand = \"x\"\ndirectory = \"x\"", "3:13: `directory` begins with neither"),
            ("[runs]\nkeep-day = 3", "2:1: unknown key `keep-day` in [runs]; did you mean `keep-days`?"),
            ("[mcp]\nprofle = \"all\"", "2:1: unknown key `profle` in [mcp]; did you mean `profile`?"),
            (
                "[mcp]\nprofile = \"biuld\"",
                "2:11: `profile` is one of read-only, build, switch, all, not \"biuld\"; did you mean \"build\"?",
            ),
            ("[mcp]\nallow = \"make home\"", "2:9: `allow` is a list of commands, not a string"),
            ("[mcp]\nallow = [1]", "2:9: `allow` is a list of commands, not a"),
            ("[mcp]\ndirectories = [\"flake\"]", "2:15: `directories` begins with neither / nor ~/"),
            ("every = ", "1:9: "),
            ("every = 5\nevery = 6", "2:1: duplicate key"),
            ("é = é", "1:1: "),
        ];
        for (text, expected) in cases {
            let mistakes = parse(text).expect_err(text);
            assert!(mistakes[0].to_string().starts_with(expected), "{text:?}: {mistakes:?}");
        }
        let both = parse("b = 1\nevery = 1\n").unwrap_err();
        assert_eq!(both.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [1, 2]);
    }
}
