//! The kind of a command, as far as the profiles of `nixmon mcp` tell commands apart.

use std::ffi::OsString;

use nixmon_mcp::CommandKind;

use crate::nix_commands::{self, Known};

/// Subcommands of nix that build or look, and change neither a system nor a home.
const BUILDS: [&str; 6] = ["build", "eval", "log", "path-info", "why-depends", "flake"];
/// Subcommands of `nix flake`.
const FLAKE: [&str; 6] = ["check", "info", "lock", "metadata", "show", "update"];
/// Older commands of the same kind.
const OLDER: [&str; 2] = ["nix-build", "nix-instantiate"];
/// Options with a value that may stand before a subcommand.
const FEATURES: [&str; 2] = ["--extra-experimental-features", "--experimental-features"];

/// Returns the kind of a command. What is not known to be harmless is [`CommandKind::Other`].
pub(super) fn kind(command: &[String]) -> CommandKind {
    let words: Vec<OsString> = command.iter().map(Into::into).collect();
    let known = Known { nix: None, socket: false, takes_log_format: &|_| false };
    if nix_commands::plan(&words, known).is_switch {
        return CommandKind::Switch;
    }
    let mut words = command.iter().map(String::as_str);
    // A path may be of any program that calls itself nix.
    let Some(program) = words.next() else { return CommandKind::Other };
    let arguments: Vec<&str> = words.collect();
    let runs_programs =
        |word: &&&str| word.ends_with("-hook") || ["--option", "--builders", "--plugin-files"].contains(word);
    if arguments.iter().any(|word| runs_programs(&word)) {
        return CommandKind::Other;
    }
    let builds = match program {
        "nix" => is_build(&arguments),
        program if OLDER.contains(&program) => true,
        program => nixmon_core::activation::Tool::command(program).is_some_and(|(_, tool)| {
            let is_harmless = arguments.iter().any(|word| tool.harmless.contains(word));
            let action = arguments.iter().find(|word| !word.starts_with('-') && !tool.groups.contains(word));
            action.is_some_and(|action| {
                tool.builds.contains(action) || (is_harmless && tool.switches.contains(action))
            })
        }),
    };
    if builds { CommandKind::Build } else { CommandKind::Other }
}

fn is_build(arguments: &[&str]) -> bool {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if FEATURES.contains(word) {
            words.next();
        } else if *word == "flake" {
            return words.next().is_some_and(|word| FLAKE.contains(word));
        } else if !word.starts_with('-') {
            return BUILDS.contains(word);
        } else if !matches!(*word, "-L" | "-v" | "--offline" | "--print-build-logs") {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_apart() {
        use CommandKind::{Build, Other, Switch};
        for (line, expected) in [
            ("nix build .#hello", Build),
            ("nix -L build", Build),
            ("nix --extra-experimental-features flakes build .#x", Build),
            ("nix flake update --flake .", Build),
            ("nix flake init", Other),
            ("nix run .#x", Other),
            ("nix --option build x run .#evil", Other),
            ("nix build --option post-build-hook /tmp/x", Other),
            ("nix build --post-build-hook /tmp/x", Other),
            ("nix develop -c sh", Other),
            ("nix-build", Build),
            ("./nix build", Other),
            ("nixos-rebuild switch --flake .", Switch),
            ("sudo nixos-rebuild switch", Switch),
            ("nixos-rebuild build --flake .", Build),
            ("home-manager switch", Switch),
            ("home-manager build", Build),
            ("home-manager switch --dry-run", Build),
            ("darwin-rebuild switch", Switch),
            ("nh os switch .", Switch),
            ("make home", Other),
            ("sh -c true", Other),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(kind(&words), expected, "{line}");
        }
    }
}
