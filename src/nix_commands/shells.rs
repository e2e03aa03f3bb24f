//! `nix shell` and `nix develop`, which run a shell or another command when they have built what it needs.
//!
//! A command that works by itself is watched to its end with all that is before it. A shell, an editor and the like need
//! the terminal for themselves: then only what is built for them is watched.

use std::ffi::{OsStr, OsString};

use super::{Interactive, Plan, Words, tables};

/// Options of `nix develop` that `nix print-dev-env` has not got, with the number of their values: what the shell is to run
/// and with which variables, none of which changes what is built.
const ONLY_DEVELOP: [(&str, usize); 18] = [
    ("--build", 0),
    ("--check", 0),
    ("--configure", 0),
    ("--ignore-env", 0),
    ("--ignore-environment", 0),
    ("--install", 0),
    ("--installcheck", 0),
    ("--keep", 1),
    ("--keep-env-var", 1),
    ("--phase", 1),
    ("--set-env-var", 2),
    ("--unpack", 0),
    ("--unset", 1),
    ("--unset-env-var", 1),
    ("-i", 0),
    ("-k", 1),
    ("-s", 2),
    ("-u", 1),
];

/// Options with which `nix develop` runs a phase instead of a shell.
const PHASES: [&str; 7] =
    ["--build", "--check", "--configure", "--install", "--installcheck", "--phase", "--unpack"];

/// Shells, and other programs that read commands from the terminal where they are given no script.
const READERS: [&str; 29] = [
    "bash", "csh", "dash", "elvish", "fish", "gdb", "ghci", "ipython", "irb", "ksh", "lldb", "lua", "mysql",
    "node", "nu", "oil", "osh", "psql", "pwsh", "python", "python3", "rlwrap", "ruby", "scala", "sh",
    "sqlite3", "tcsh", "xonsh", "zsh",
];

/// Programs that always draw on the terminal.
const SCREENS: [&str; 22] = [
    "btop",
    "emacs",
    "emacsclient",
    "helix",
    "htop",
    "hx",
    "kak",
    "lazygit",
    "less",
    "man",
    "mc",
    "micro",
    "more",
    "nano",
    "nnn",
    "nvim",
    "ranger",
    "screen",
    "tig",
    "tmux",
    "vi",
    "vim",
];

/// Returns whether a command needs the terminal for itself: a shell without a script or an editor, as far as names tell.
pub(super) fn is_interactive(command: &[OsString]) -> bool {
    let Some((program, arguments)) = command.split_first() else { return false };
    let Some(name) = super::name(program) else { return false };
    // Options as `-l` and `-i` leave it a shell; a word is a script, and `-c` is followed by one.
    let is_script = |word: &OsString| {
        !super::starts_with(word, "-") || letters_of(word).contains('c') || word == "-e" || word == "-m"
    };
    SCREENS.contains(&name) || READERS.contains(&name) && !arguments.iter().any(is_script)
}

fn letters_of(word: &OsStr) -> &str {
    tables::letters(word).unwrap_or_default()
}

/// Returns whether this option is followed by the command that the shell runs.
pub(super) fn is_command_option(word: &OsStr) -> bool {
    word == "--command" || tables::letters(word).is_some_and(|letters| letters.ends_with('c'))
}

/// Plans `nix shell …` and `nix develop …`, the options of which begin with argument `begin`.
pub(super) fn shell(name: &str, words: &Words<'_>, begin: usize) -> Plan {
    let arguments = words.arguments();
    let options = tables::options(name, arguments, begin);
    let command = arguments.get(begin + options.len() + 1..).unwrap_or_default();
    let adds_flags = !words.has_log_format() && !words.known.has_socket() && words.known.takes_flag();
    let flags: &[&str] = if adds_flags { &tables::flags() } else { &[] };
    let mut plan = words.as_given();
    plan.command = words.with(tables::place(options, begin, words.known), flags);
    plan.stdout_is_result = true;
    if words.has_log_format() {
        plan.socket = words.with_its_log_format().socket;
    }
    let runs_phase = name == "develop" && options.iter().any(|word| PHASES.iter().any(|phase| word == phase));
    let asks_help = options.iter().any(|word| word == "--help");
    if runs_phase || asks_help || !command.is_empty() && !is_interactive(command) {
        return plan;
    }
    // Options before the subcommand, and the subcommand.
    let head = arguments.get(..begin).unwrap_or_default();
    let mut prepare: Vec<OsString> = words.all.iter().take(words.at + 1).chain(head).cloned().collect();
    let options = if name == "develop" {
        prepare.pop();
        prepare.push("print-dev-env".into());
        without(&ONLY_DEVELOP, options)
    } else {
        options.to_vec()
    };
    prepare.extend(super::insert(&options, tables::place(&options, 0, words.known), flags));
    if name != "develop" {
        // By its path, since with --ignore-environment there is nothing on PATH but what was asked for.
        prepare.extend(["--command", "/bin/sh", "-c", "exit"].map(OsString::from));
    }
    plan.interactive = Some(Interactive { prepare: Some(prepare), then: words.all.to_vec() });
    plan
}

/// `words` without some options and their values. Letters in one word become words, as they do in Nix.
fn without(options: &[(&str, usize)], words: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = words.iter().flat_map(|word| match tables::letters(word) {
        Some(letters) => letters.chars().map(|letter| format!("-{letter}").into()).collect(),
        None => vec![word.clone()],
    });
    while let Some(word) = words.next() {
        match options.iter().find(|(option, _)| word == *option) {
            Some((_, n_values)) => words.by_ref().take(*n_values).for_each(drop),
            None => kept.push(word),
        }
    }
    kept
}
