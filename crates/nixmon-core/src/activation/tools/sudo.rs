//! `sudo` and its like, where they refuse. What it was to run says which activation that was.

use crate::activation::rule::{Effect::*, Program, rule};

const SUDO: &str = "sudo, observed";
const DOAS: &str = "Duncaen/OpenDoas:doas.c";

pub(super) static PROGRAM: Program = Program {
    within: &[],
    rules: &[
        rule("sudo: a terminal is required to {any}", SudoFailed, SUDO),
        rule("sudo: a terminal is required{any}", SudoFailed, SUDO),
        rule("sudo: a password is required", SudoFailed, SUDO),
        rule("sudo: no tty present and no askpass program specified", SudoFailed, SUDO),
        rule("sudo: {code} incorrect password attempt{any}", SudoFailed, SUDO),
        rule("{word} is not in the sudoers file{any}", SudoFailed, SUDO),
        rule("Sorry, user {word} is not allowed to execute {any}", SudoFailed, SUDO),
        rule("doas: Operation not permitted", SudoFailed, DOAS),
        rule("doas: Authentication failed", SudoFailed, DOAS),
        rule("doas: Authorization required", SudoFailed, DOAS),
        rule("doas: a tty is required", SudoFailed, DOAS),
        rule("su: Authentication failure", SudoFailed, "shadow:src/su.c"),
    ],
};

/// The command behind `sudo` and its options; `None` if the line is no such command.
pub(in crate::activation) fn command(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix("sudo ")?.trim_start();
    loop {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let option = word.starts_with('-') || word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        if word.is_empty() || !option {
            return (!word.is_empty()).then_some(rest);
        }
        rest = after.trim_start();
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The text after a prompt, which ends without a newline.
pub(in crate::activation) fn after_prompt(line: &str) -> &str {
    if let Some(rest) = line.strip_prefix("Password:") {
        return rest;
    }
    line.strip_prefix("[sudo] ")
        .filter(|rest| rest.len() < 4096)
        .and_then(|rest| rest.split_once(": "))
        .map_or(line, |(_, rest)| rest)
}
