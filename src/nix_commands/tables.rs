//! The commands that come with Nix.

use std::ffi::{OsStr, OsString};

use super::{Known, LOG_FORMAT, NixVersion, Plan, Words, shells};

/// The use of a command's output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// It does something, and says on standard error what. It prints a result if `--json` or `--print-out-paths` is given.
    Work,
    /// It does something, and prints a result.
    Result,
    /// It prints what it knows, and nothing is there to be watched.
    Answer,
    /// It has nothing to be watched, or is a service. Left alone.
    Alone,
    /// It has the terminal.
    Terminal,
}

/// The subcommands of `nix` from 2.4 to 2.34, Lix and Determinate Nix.
const NEW: [(&str, Output); 79] = {
    use Output::{Alone, Answer, Result, Terminal, Work};
    [
        ("build", Work),
        ("bundle", Work),
        ("config check", Answer),
        ("config show", Answer),
        ("copy", Work),
        ("daemon", Alone),
        ("derivation add", Answer),
        ("derivation show", Result),
        ("describe-stores", Answer),
        ("develop", Work),
        ("doctor", Answer),
        ("edit", Terminal),
        ("env shell", Work),
        ("eval", Result),
        ("flake archive", Work),
        ("flake check", Work),
        ("flake clone", Work),
        ("flake info", Result),
        ("flake init", Work),
        ("flake lock", Work),
        ("flake metadata", Result),
        ("flake new", Work),
        ("flake prefetch", Result),
        ("flake prefetch-inputs", Work),
        ("flake show", Result),
        ("flake update", Work),
        ("fmt", Work),
        ("formatter build", Result),
        ("formatter run", Work),
        ("hash convert", Answer),
        ("hash file", Answer),
        ("hash path", Answer),
        ("hash to-base16", Answer),
        ("hash to-base32", Answer),
        ("hash to-base64", Answer),
        ("hash to-sri", Answer),
        ("help", Terminal),
        ("help-stores", Terminal),
        ("key convert-secret-to-public", Answer),
        ("key generate-secret", Answer),
        ("log", Answer),
        ("nar cat", Answer),
        ("nar ls", Answer),
        ("nar pack", Answer),
        ("path-info", Result),
        ("print-dev-env", Result),
        ("profile add", Work),
        ("profile diff-closures", Answer),
        ("profile history", Answer),
        ("profile install", Work),
        ("profile list", Answer),
        ("profile remove", Work),
        ("profile rollback", Work),
        ("profile upgrade", Work),
        ("profile wipe-history", Work),
        ("realisation info", Result),
        ("registry add", Alone),
        ("registry list", Answer),
        ("registry pin", Work),
        ("registry remove", Alone),
        ("repl", Terminal),
        ("run", Result),
        ("search", Result),
        ("shell", Work),
        ("show-config", Answer),
        ("show-derivation", Result),
        ("store add", Answer),
        ("store add-file", Answer),
        ("store add-path", Answer),
        ("store cat", Answer),
        ("store copy-sigs", Work),
        ("store delete", Work),
        ("store gc", Work),
        ("store ls", Answer),
        ("store optimise", Work),
        ("store prefetch-file", Result),
        ("store repair", Work),
        ("store verify", Work),
        ("why-depends", Result),
    ]
};

/// The subcommand among the arguments of `nix`, and the number of the argument behind it.
struct Subcommand {
    name: &'static str,
    output: Output,
    end: usize,
}

/// Looks for the subcommand. Options may stand before it, of which only `--option` has two values; another's value is
/// told from a subcommand by not being the name of one.
fn subcommand(arguments: &[OsString]) -> Option<Subcommand> {
    let mut words = arguments.iter().enumerate();
    let mut group: Option<&str> = None;
    while let Some((at, word)) = words.next() {
        if word == "--" {
            return None;
        }
        if word == "--option" {
            words.nth(1);
            continue;
        }
        let Some(word) = word.to_str() else { continue };
        let mut rows = NEW.iter().filter_map(|(name, output)| {
            let rest = match group {
                Some(group) => name.strip_prefix(group)?.strip_prefix(' ')?,
                None => name,
            };
            Some((*name, *output, rest.strip_prefix(word)?))
        });
        if let Some((name, output, _)) = rows.clone().find(|(_, _, rest)| rest.is_empty()) {
            return Some(Subcommand { name, output, end: at + 1 });
        }
        if group.is_none() && rows.any(|(_, _, rest)| rest.starts_with(' ')) {
            group = Some(word);
        }
    }
    None
}

/// Plans `nix SUBCOMMAND …`.
pub(super) fn new_command(words: &Words<'_>) -> Option<Plan> {
    let arguments = words.arguments();
    let Subcommand { name, output, end } = subcommand(arguments)?;
    let options = options(name, arguments, end);
    if matches!(name, "shell" | "env shell" | "develop") {
        return Some(shells::shell(name, words, end));
    }
    if output == Output::Terminal {
        return Some(words.alone());
    }
    let is_watched = matches!(output, Output::Work | Output::Result);
    let mut plan = if words.has_log_format() {
        words.with_its_log_format()
    } else if is_watched && !words.known.has_socket() && words.known.takes_flag() {
        words.with_flags(place(options, end, words.known), &flags())
    } else {
        words.as_given()
    };
    plan.is_switch = name == "run" && runs_switch(arguments);
    let asks_for_result = options.iter().any(|word| word == "--json" || word == "--print-out-paths");
    plan.stdout_is_result = match output {
        Output::Work => asks_for_result,
        Output::Result | Output::Answer => !plan.is_switch,
        Output::Alone | Output::Terminal => false,
    };
    Some(plan)
}

/// For Nix itself `-v` belongs to it: it adds which file is evaluated, which is all there is to see of an evaluation.
pub(super) fn flags() -> [&'static str; 3] {
    let [flag, format] = LOG_FORMAT;
    [flag, format, "-v"]
}

/// The options and installables behind a subcommand: up to `--`, or to the command that a shell is to run.
pub(super) fn options<'a>(name: &str, arguments: &'a [OsString], begin: usize) -> &'a [OsString] {
    let behind = arguments.get(begin..).unwrap_or_default();
    let is_shell = name.ends_with("shell") || name == "develop";
    let end = behind.iter().position(|word| word == "--" || (is_shell && shells::is_command_option(word)));
    behind.get(..end.unwrap_or(behind.len())).unwrap_or_default()
}

/// The number of the argument before which flags of ours go: right behind the subcommand, or behind the last `-L` where
/// that would undo an earlier `--log-format`.
pub(super) fn place(options: &[OsString], begin: usize, known: Known<'_>) -> usize {
    // Letters of new commands with a value, which follows the word in which they are.
    const WITH_VALUE: &str = "Ifjkou";

    if !known.nix.is_some_and(NixVersion::print_build_logs_sets_format) {
        return begin;
    }
    let behind = options.iter().enumerate().rev().find_map(|(at, word)| {
        let n_values = match letters(word) {
            Some(letters) if letters.contains('L') => {
                letters.chars().filter(|c| WITH_VALUE.contains(*c)).count()
            }
            _ if word == "--print-build-logs" => 0,
            _ => return None,
        };
        Some(at + 1 + n_values)
    });
    begin + behind.unwrap_or(0)
}

/// The letters of a word such as `-kL`, each of which is an option.
pub(super) fn letters(word: &OsStr) -> Option<&str> {
    let letters = word.to_str()?.strip_prefix('-')?;
    (!letters.is_empty() && letters.bytes().all(|letter| letter.is_ascii_alphabetic())).then_some(letters)
}

/// Returns whether `nix run … -- switch …` runs a tool that switches, such as `nix run home-manager -- switch`.
fn runs_switch(arguments: &[OsString]) -> bool {
    const TOOLS: [&str; 5] =
        ["darwin-rebuild", "home-manager", "nix-darwin", "nixos-rebuild", "system-manager"];

    let mut parts = arguments.splitn(2, |word| word == "--");
    let (Some(own), Some(program)) = (parts.next(), parts.next()) else { return false };
    let is_tool = |word: &OsString| {
        word.to_str()
            .is_some_and(|word| TOOLS.iter().any(|tool| word.contains(tool)) || word.ends_with("#nh"))
    };
    own.iter().any(is_tool) && program.iter().any(|word| word == "switch")
}

/// The old commands.
const OLD: [&str; 11] = [
    "nix-build",
    "nix-channel",
    "nix-collect-garbage",
    "nix-copy-closure",
    "nix-daemon",
    "nix-env",
    "nix-hash",
    "nix-instantiate",
    "nix-prefetch-url",
    "nix-shell",
    "nix-store",
];

/// Returns whether this is the name of an old command.
pub(super) fn is_old(name: &str) -> bool {
    OLD.contains(&name)
}

/// Plans `nix-build …` and the like. They do not write to a socket, but new commands below them do, so there is both.
pub(super) fn old_command(name: &str, words: &Words<'_>) -> Option<Plan> {
    let arguments = words.arguments();
    if name == "nix-shell" && is_interactive_nix_shell(arguments) {
        return Some(words.alone());
    }
    let has = |wanted: &[&str]| arguments.iter().any(|word| wanted.iter().any(|wanted| word == wanted));
    let (place, stdout_is_result) = match name {
        "nix-build" | "nix-instantiate" => (Some(0), true),
        "nix-env" => {
            let is_query = arguments.iter().any(|word| super::starts_with(word, "-q"));
            (Some(0), is_query || has(&["--query", "--list-generations"]))
        }
        "nix-store" => (has(&["-r", "--realise", "--realize"]).then_some(0), true),
        "nix-shell" => (command_of_nix_shell(arguments), true),
        "nix-hash" | "nix-prefetch-url" => (None, true),
        name if is_old(name) => (None, false),
        _ => return None,
    };
    let mut plan = words.as_given();
    if let Some(place) = place.filter(|_| words.known.takes_flag() && !words.has_log_format()) {
        plan.command = words.with(place, &LOG_FORMAT);
    }
    plan.stdout_is_result = stdout_is_result;
    Some(plan)
}

/// Returns whether `nix-shell` gives the terminal to a shell: of its own, or to one that it is to run.
fn is_interactive_nix_shell(arguments: &[OsString]) -> bool {
    let has = |wanted: &[&str]| arguments.iter().any(|word| wanted.iter().any(|wanted| word == wanted));
    if arguments.first().is_some_and(is_script) || has(&["--help", "--version"]) {
        return false;
    }
    let Some(at) = arguments.iter().position(|word| word == "--run" || word == "--command") else {
        return true;
    };
    // A line for a shell. One with more than words is a script.
    let line = arguments.get(at + 1).and_then(|line| line.to_str()).unwrap_or_default();
    let words: Vec<OsString> = line.split_ascii_whitespace().map(OsString::from).collect();
    shells::is_interactive(&words)
}

/// `nix-shell SCRIPT …` gives all else to the script, and cannot be told from `nix-shell FILE …` but by its name.
fn is_script(first: &OsString) -> bool {
    !starts_as_option_or_expression(first) && !super::ends_with(first, ".nix")
}

/// The number of the argument `--run` or `--command`, before which flags may go. Those of a script are its own.
fn command_of_nix_shell(arguments: &[OsString]) -> Option<usize> {
    let first = arguments.first()?;
    let at = arguments.iter().position(|word| word == "--run" || word == "--command")?;
    (!is_script(first)).then_some(at)
}

fn starts_as_option_or_expression(word: &OsStr) -> bool {
    word == "."
        || ["-", "<", "./.", ".."].iter().any(|start| super::starts_with(word, start) && !is_file(word))
}

/// A path with something behind its dots and slashes.
fn is_file(word: &OsStr) -> bool {
    super::starts_with(word, ".") && word.as_encoded_bytes().iter().any(|byte| !b"./".contains(byte))
}
