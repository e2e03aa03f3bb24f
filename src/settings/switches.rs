//! The targets of the configuration that switch to what a flake says.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::run::RunTask;
use nixmon_core::activation::Tool;
use nixmon_runs::SwitchTarget;

/// Programs that run a recipe by its name.
const RUNNERS: [&str; 5] = ["just", "make", "gmake", "mask", "task"];
/// Usual names of recipes that switch.
const RECIPES: [&str; 7] = ["darwin", "home", "nixos", "os", "rebuild", "switch", "system"];

/// Lists the targets whose command is known to switch a configuration, by name.
pub(super) fn switches(targets: &BTreeMap<String, RunTask>) -> Vec<SwitchTarget> {
    let switching = targets.iter().filter(|(_, task)| is_switch(&task.command));
    switching
        .map(|(name, task)| SwitchTarget { name: name.clone(), directory: task.directory.clone() })
        .collect()
}

/// Returns whether a command, or a line for a shell, runs one of the tools to switch, or a recipe of such a name.
fn is_switch(command: &[OsString]) -> bool {
    let line: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let line = line.join(" ");
    // Commands of a shell's line are separate: `home-manager build && echo switch`.
    line.split(['\n', ';', '&', '|']).any(|command| {
        let words: Vec<&str> =
            command.split_whitespace().map(|word| word.trim_matches(['\'', '"'])).collect();
        (0..words.len()).any(|at| runs_tool(&words, at) || runs_recipe(&words, at))
    })
}

/// Returns whether the word at a position names a tool, and the words behind it tell it to switch.
fn runs_tool(words: &[&str], at: usize) -> bool {
    let (Some(word), Some(rest)) = (words.get(at), words.get(at + 1..)) else { return false };
    // `/run/current-system/sw/bin/nixos-rebuild`, `github:nix-community/home-manager/release-26.05`, `nixpkgs#nh`
    let mut parts = word.split(['/', '#', ':']);
    let Some((_, tool)) = parts.find_map(Tool::command) else { return false };
    let is_among = |list: &[&str]| rest.iter().any(|word| list.contains(word));
    (tool.switches.is_empty() || is_among(tool.switches)) && !is_among(tool.harmless)
}

/// Returns whether the word at a position is a runner of recipes, and one behind it the name of a switch.
fn runs_recipe(words: &[&str], at: usize) -> bool {
    let (Some(word), Some(rest)) = (words.get(at), words.get(at + 1..)) else { return false };
    let program = word.rsplit('/').next().unwrap_or(word);
    RUNNERS.contains(&program) && rest.iter().any(|word| RECIPES.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_switch() {
        for (command, expected) in [
            (&["make", "home"][..], true),
            (&["make", "-C", "nix-flakes", "darwin"], true),
            (&["home-manager", "switch", "--flake", "."], true),
            (&["sudo", "nixos-rebuild", "switch"], true),
            (&["nh", "os", "switch", "."], true),
            (&["deploy", ".#web"], true),
            (&["nix", "run", "github:nix-community/home-manager/release-26.05", "--", "switch"], true),
            (&["sh", "-c", "cd ~/flake && git pull && darwin-rebuild switch --flake ."], true),
            (&["just", "switch"], true),
            (&["make", "update"], false),
            (&["make"], false),
            (&["home-manager", "build"], false),
            (&["home-manager", "switch", "--dry-run"], false),
            (&["nixos-rebuild", "build", "--flake", "."], false),
            (&["sh", "-c", "home-manager build && echo switch"], false),
            (&["nix", "build", ".#home"], false),
            (&["nix", "flake", "update"], false),
            (&[], false),
        ] {
            let words: Vec<OsString> = command.iter().map(OsString::from).collect();
            assert_eq!(is_switch(&words), expected, "{command:?}");
        }
    }
}
