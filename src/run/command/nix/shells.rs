//! `nix shell` and `nix develop`, which give the terminal to a shell when they have built what it needs.

use std::ffi::{OsStr, OsString};

use super::{Interactive, Plan, Words, tables};

/// Options of `nix develop` that `nix print-dev-env` has not got, with the number of their values: what the shell is to run
/// and with which variables, none of which changes what is built.
const ONLY_DEVELOP: [(&str, usize); 19] = [
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
    // A cluster of the letters without values.
    ("-ii", 0),
];

/// Whether this option is followed by the command that the shell runs.
pub(super) fn is_command_option(word: &OsStr) -> bool {
    word == "--command" || word == "-c" || word == "-ic"
}

/// Plans `nix shell …` and `nix develop …`, the options of which begin with argument `begin`.
pub(super) fn shell(name: &str, words: &Words<'_>, begin: usize) -> Plan {
    let arguments = words.arguments();
    let options = tables::options(name, arguments, begin);
    let mut plan = words.as_given();
    let mut prepare: Vec<OsString> = words.all.iter().take(words.at + 1).cloned().collect();
    // Options before the subcommand, and the subcommand.
    let head = arguments.get(..begin).unwrap_or_default();
    let adds_flags = !words.has_log_format() && !words.known.has_socket() && words.known.takes_flag();
    let place = tables::place(options, 0);
    let (before, behind) = options.split_at(place.min(options.len()));
    let flags: Vec<OsString> = tables::flags().iter().filter(|_| adds_flags).map(OsString::from).collect();
    if name == "develop" {
        let before_subcommand = head.split_last().map_or(head, |(_, rest)| rest);
        prepare.extend(before_subcommand.iter().cloned());
        prepare.push("print-dev-env".into());
        prepare.extend(without(&ONLY_DEVELOP, before));
        prepare.extend(flags);
        prepare.extend(without(&ONLY_DEVELOP, behind));
    } else {
        prepare.extend(head.iter().chain(before).cloned());
        prepare.extend(flags);
        prepare.extend(behind.iter().cloned());
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

/// `words` without some options and their values.
fn without<'a>(options: &'a [(&str, usize)], words: &'a [OsString]) -> impl Iterator<Item = OsString> + 'a {
    let mut words = words.iter();
    std::iter::from_fn(move || {
        loop {
            let word = words.next()?;
            let Some((_, n_values)) = options.iter().find(|(option, _)| word == option) else {
                return Some(word.clone());
            };
            words.by_ref().take(*n_values).for_each(drop);
        }
    })
}
