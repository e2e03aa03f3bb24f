//! The command lines of Nix and of the tools around it: how a command is made to say in records what it does.
//!
//! There are two ways. The new commands of Nix 2.30 and later write records to a socket that `NIX_CONFIG` names, which
//! reaches whatever runs below the command and leaves its output alone. Where that does not reach, `--log-format
//! internal-json` goes to the command line of what takes it. Where neither is possible the text has to do. What is added
//! is decided from arguments alone, and what is not known is left as it is: a command that fails for a flag of ours
//! would be worse than one that is read as text.

#![expect(clippy::disallowed_methods, reason = "Nix is asked for its version and settings")]

mod shells;
mod tables;
mod tools;
mod version;
mod wrappers;

use std::ffi::{OsStr, OsString};
use std::path::Path;

pub(crate) use tools::find;
pub use tools::program_takes_log_format;
pub(crate) use version::max_jobs;
pub use version::{NixVersion, detect};

/// Makes Nix say in records what it does, on standard error.
const LOG_FORMAT: [&str; 2] = ["--log-format", "internal-json"];

/// The largest `NIX_CONFIG` to which something is appended. The system allows 128 KiB for a variable.
const MAX_NIX_CONFIG: usize = 96 * 1024;

/// Facts about the machine for which a command is planned.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The Nix that the command would use: [`detect`].
    pub nix: Option<NixVersion>,
    /// There is a socket that can be named to Nix: [`nix_config`] gives something.
    pub socket: bool,
    /// Returns whether a program, a script around Nix, knows `--log-format`: [`program_takes_log_format`].
    pub takes_log_format: &'a dyn Fn(&OsStr) -> bool,
}

impl Known<'_> {
    fn takes_flag(self) -> bool {
        self.nix.is_some_and(NixVersion::takes_log_format)
    }

    fn has_socket(self) -> bool {
        self.socket && self.nix.is_some_and(NixVersion::takes_json_log_path)
    }
}

/// The plan of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The program and its arguments, with flags added where they help.
    pub command: Vec<OsString>,
    /// `NIX_CONFIG` is to name a socket. Never together with records on standard error from the same processes.
    pub socket: bool,
    /// The user wants the command's standard output; it is not a report about its work.
    pub stdout_is_result: bool,
    /// It changes a running system or home, so text of an activation follows.
    pub is_switch: bool,
    /// It is Nix's, or runs Nix for all that is known.
    pub is_known: bool,
    /// It prints help or a version: there is nothing to watch, and nothing to keep.
    pub asks_help: bool,
    /// It gives the terminal to a shell or another program. `command` is then how to watch it where there is no terminal.
    pub interactive: Option<Interactive>,
}

/// A command that needs the terminal for itself, perhaps once it has built something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interactive {
    /// Builds the same and ends, to be watched; its standard output is of no use. `None` if there is no such command.
    pub prepare: Option<Vec<OsString>>,
    /// The command as it was given, to take nixmon's place when `prepare` has ended well.
    pub then: Vec<OsString>,
}

/// Says how to run `command`, which may be any program.
pub fn plan(command: &[OsString], known: Known<'_>) -> Plan {
    let inner = wrappers::inner(command);
    let words = Words {
        all: command,
        at: inner.at,
        known: Known { socket: known.socket && inner.sees_nix_config, ..known },
    };
    let planned = match words.all.get(words.at).and_then(|program| name(program)) {
        Some("nix") => tables::new_command(&words),
        Some(name) => tables::old_command(name, &words).or_else(|| tools::tool(name, &words)),
        None => None,
    };
    match planned {
        Some(plan) => Plan { is_known: true, asks_help: words.ask_help(), ..plan },
        None => words.as_given(),
    }
}

/// The value of `NIX_CONFIG` with which Nix writes its records to `socket`: `existing`, and a line behind it.
///
/// `None` if the user has a `json-log-path` of his own, which stays in force, or if a line of Nix's configuration cannot
/// hold the path: it ends at a `#`, and blanks separate words.
pub fn nix_config(existing: Option<&OsStr>, socket: &Path) -> Option<OsString> {
    let path = socket.as_os_str().as_encoded_bytes();
    if path.is_empty() || path.iter().any(|byte| matches!(byte, b'#' | b'\0') || byte.is_ascii_whitespace()) {
        return None;
    }
    let existing = existing.unwrap_or_default();
    if existing.len() > MAX_NIX_CONFIG || sets_json_log_path(existing) {
        return None;
    }
    let mut config = existing.to_owned();
    if !config.is_empty() && !config.as_encoded_bytes().ends_with(b"\n") {
        config.push("\n");
    }
    config.push("json-log-path = ");
    config.push(socket);
    config.push("\n");
    Some(config)
}

/// Returns whether a configuration of Nix has a line `json-log-path = …`. Included files are not read.
fn sets_json_log_path(config: &OsStr) -> bool {
    config.as_encoded_bytes().split(|&byte| byte == b'\n').any(|line| {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.next() == Some(b"json-log-path") && words.next() == Some(b"=")
    })
}

/// The program that a command runs in the end, behind `sudo`, `env` and the like.
fn program(command: &[OsString]) -> Option<&OsStr> {
    command.get(wrappers::inner(command).at).map(OsString::as_os_str)
}

/// Returns the words of a command from its program on, behind `sudo`, `env` and the like.
pub(crate) fn behind_wrappers<W: AsRef<OsStr>>(command: &[W]) -> &[W] {
    command.get(wrappers::inner(command).at..).unwrap_or_default()
}

/// Returns the place of the program that a command runs in the end, behind `sudo`, `env` and the like.
pub(crate) fn inner_place(command: &[OsString]) -> Option<usize> {
    let at = wrappers::inner(command).at;
    (at < command.len()).then_some(at)
}

/// Returns whether a program comes with Nix, and so is installed beside `nix`.
fn is_of_nix(program: &OsStr) -> bool {
    name(program).is_some_and(|name| name == "nix" || tables::is_old(name))
}

/// The last part of the program's path.
fn name(program: &OsStr) -> Option<&str> {
    Path::new(program).file_name()?.to_str()
}

/// A command line of which `at` words are wrappers and the next is a program.
struct Words<'a> {
    all: &'a [OsString],
    at: usize,
    /// The socket is only there if the program sees `NIX_CONFIG`.
    known: Known<'a>,
}

impl Words<'_> {
    /// The program's arguments.
    fn arguments(&self) -> &[OsString] {
        self.all.get(self.at + 1..).unwrap_or_default()
    }

    /// Returns whether help or a version is asked for, of the program itself and not of what it runs.
    fn ask_help(&self) -> bool {
        const COMMANDS: [&str; 4] = ["--", "-c", "--command", "--run"];

        let own = self.arguments().iter().take_while(|word| !COMMANDS.iter().any(|command| word == command));
        own.into_iter().any(|word| word == "--help" || word == "--version")
    }

    /// The command as it was given. A socket reaches whatever it runs.
    fn as_given(&self) -> Plan {
        Plan { command: self.all.to_vec(), socket: self.known.has_socket(), ..Plan::default() }
    }

    /// The command as it was given, which needs the terminal for itself.
    fn alone(&self) -> Plan {
        let interactive = Interactive { prepare: None, then: self.all.to_vec() };
        Plan { interactive: Some(interactive), ..self.as_given() }
    }

    /// The command with `flags` before its argument number `argument`, and records on standard error instead of a socket.
    fn with_flags(&self, argument: usize, flags: &[&str]) -> Plan {
        Plan { command: self.with(argument, flags), ..Plan::default() }
    }

    /// The command with `flags` before its argument number `argument`.
    fn with(&self, argument: usize, flags: &[&str]) -> Vec<OsString> {
        insert(self.all, self.at + 1 + argument, flags)
    }

    /// The user has chosen a log format among the arguments. Nothing is added to his, and if it is ours there are records
    /// already.
    fn has_log_format(&self) -> bool {
        self.arguments().iter().any(|word| word == "--log-format" || starts_with(word, "--log-format="))
    }

    /// The plan of a command with a log format of its user's choice.
    fn with_its_log_format(&self) -> Plan {
        let mut plan = self.as_given();
        plan.socket &= !self.arguments().iter().any(|word| ends_with(word, "internal-json"));
        plan
    }
}

fn insert(words: &[OsString], at: usize, flags: &[&str]) -> Vec<OsString> {
    let (before, behind) = words.split_at(at.min(words.len()));
    before.iter().cloned().chain(flags.iter().map(OsString::from)).chain(behind.iter().cloned()).collect()
}

fn starts_with(word: &OsStr, prefix: &str) -> bool {
    word.as_encoded_bytes().starts_with(prefix.as_bytes())
}

fn ends_with(word: &OsStr, suffix: &str) -> bool {
    word.as_encoded_bytes().ends_with(suffix.as_bytes())
}

#[cfg(test)]
mod tests;
