//! `nix shell` and `nix develop`, which give the terminal to a shell when they have built what it needs.

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

/// Returns whether this option is followed by the command that the shell runs.
pub(super) fn is_command_option(word: &OsStr) -> bool {
    word == "--command" || tables::letters(word).is_some_and(|letters| letters.ends_with('c'))
}

/// Plans `nix shell …` and `nix develop …`, the options of which begin with argument `begin`.
pub(super) fn shell(name: &str, words: &Words<'_>, begin: usize) -> Plan {
    let arguments = words.arguments();
    let options = tables::options(name, arguments, begin);
    let mut plan = words.as_given();
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
    let adds_flags = !words.has_log_format() && !words.known.has_socket() && words.known.takes_flag();
    let flags: &[&str] = if adds_flags { &tables::flags() } else { &[] };
    prepare.extend(super::insert(&options, tables::place(&options, 0, words.known), flags));
    if name != "develop" {
        // By its path, since with --ignore-environment there is nothing on PATH but what was asked for.
        prepare.extend(["--command", "/bin/sh", "-c", "exit"].map(OsString::from));
    }
    if words.has_log_format() {
        plan.socket = words.with_its_log_format().socket;
    }
    plan.stdout_is_result = true;
    plan.interactive = Some(Interactive { prepare, then: plan.command.clone() });
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
