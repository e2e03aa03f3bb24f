//! Actions that a hub may ask for: those of the configuration, and the built-in ones of this system if it allows them.

use std::ffi::OsString;
use std::path::Path;

use nixmon_agent::Action;

use crate::nix_commands::{self, Known};
use crate::settings::AgentSettings;

/// Actions that change the running system, whatever their commands are.
const SWITCHES: [&str; 4] = ["reboot", "rollback", "switch", "test"];

/// The parts of a system that decide which built-in actions it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct System {
    is_root: bool,
    has_nixos: bool,
    has_darwin: bool,
    has_home_manager: bool,
    /// The configuration of the system is a flake.
    is_flake: bool,
    /// The configuration of the system is a repository of Git.
    is_git: bool,
}

impl System {
    fn of_machine(is_root: bool) -> Self {
        let place = if cfg!(target_os = "macos") { "/etc/nix-darwin" } else { "/etc/nixos" };
        Self {
            is_root,
            has_nixos: has("nixos-rebuild"),
            has_darwin: has("darwin-rebuild"),
            has_home_manager: has("home-manager"),
            is_flake: Path::new(place).join("flake.nix").exists(),
            is_git: Path::new(place).join(".git").exists(),
        }
    }

    /// Returns the built-in actions, by name.
    fn actions(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self { is_root: true, has_nixos: true, is_flake, is_git, .. } => {
                let mut actions = vec![
                    ("switch", "nixos-rebuild switch"),
                    ("boot", "nixos-rebuild boot"),
                    ("test", "nixos-rebuild test"),
                    ("build", "nixos-rebuild build"),
                ];
                actions.extend(is_git.then_some(("pull", "git -C /etc/nixos pull --ff-only")));
                actions.push(match is_flake {
                    true => ("update", "nix flake update --flake /etc/nixos"),
                    false => ("update", "nix-channel --update"),
                });
                actions.extend([
                    ("rollback", "nixos-rebuild switch --rollback"),
                    ("reboot", "systemctl reboot"),
                ]);
                actions
            }
            Self { is_root: true, has_darwin: true, is_flake, is_git, .. } => {
                let mut actions =
                    vec![("switch", "darwin-rebuild switch"), ("build", "darwin-rebuild build")];
                actions.extend(is_git.then_some(("pull", "git -C /etc/nix-darwin pull --ff-only")));
                actions.extend(is_flake.then_some(("update", "nix flake update --flake /etc/nix-darwin")));
                actions.extend([("rollback", "darwin-rebuild --rollback"), ("reboot", "shutdown -r now")]);
                actions
            }
            Self { has_home_manager: true, .. } => {
                vec![("switch", "home-manager switch"), ("build", "home-manager build")]
            }
            _ => Vec::new(),
        }
    }
}

/// Returns whether a program is on the path.
#[expect(clippy::disallowed_methods, reason = "the programs of this system are in the environment")]
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// Returns the actions that the settings allow, in the order of their names.
///
/// # Errors
///
/// If an action is to be the built-in one, and there is none.
pub(super) fn actions(settings: &AgentSettings, is_root: bool) -> Result<Vec<Action>, String> {
    of_system(settings, System::of_machine(is_root))
}

fn of_system(settings: &AgentSettings, system: System) -> Result<Vec<Action>, String> {
    let built_in = system.actions();
    if settings.has_defaults {
        let mut actions: Vec<Action> =
            built_in.iter().map(|(name, line)| action(name, words(line))).collect();
        actions.sort_by(|a, b| a.name.cmp(&b.name));
        return Ok(actions);
    }
    let command = |(name, command): (&String, &Option<Vec<String>>)| {
        let command = command.clone().or_else(|| {
            let (_, line) = built_in.iter().find(|(known, _)| known == name)?;
            Some(words(line))
        });
        let command = command.ok_or_else(|| {
            format!("[agent.actions] {name} = \"default\": this system has no built-in action of this name")
        })?;
        Ok(action(name, command))
    };
    settings.actions.iter().map(command).collect()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn action(name: &str, command: Vec<String>) -> Action {
    let line: Vec<OsString> = command.iter().map(Into::into).collect();
    let known = Known { nix: None, socket: false, takes_log_format: &|_| false };
    // `nixos-rebuild boot` changes the next start alone.
    let is_next = command.iter().any(|word| word == "boot");
    let is_switch = SWITCHES.contains(&name) || (!is_next && nix_commands::plan(&line, known).is_switch);
    Action { name: name.to_owned(), command, is_switch, reboots: name == "reboot" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_actions_are_those_of_the_system() {
        let check = |system: System, expected: &str| {
            let settings = AgentSettings { has_defaults: true, ..AgentSettings::default() };
            let actions = of_system(&settings, system).unwrap();
            let names: Vec<&str> = actions.iter().map(|action| action.name.as_str()).collect();
            assert_eq!(names.join(" "), expected, "{system:?}");
        };
        let nixos = System { is_root: true, has_nixos: true, has_home_manager: true, ..System::default() };
        check(nixos, "boot build reboot rollback switch test update");
        check(
            System { is_git: true, is_flake: true, ..nixos },
            "boot build pull reboot rollback switch test update",
        );
        check(System { is_root: false, ..nixos }, "build switch");
        check(
            System { is_root: true, has_darwin: true, ..System::default() },
            "build reboot rollback switch",
        );
        check(System::default(), "");
    }

    #[test]
    fn only_what_the_settings_name_is_allowed() {
        let words = |line: &str| Some(words(line));
        let settings = |actions: &[(&str, Option<Vec<String>>)]| AgentSettings {
            actions: actions.iter().map(|(name, command)| ((*name).to_owned(), command.clone())).collect(),
            ..AgentSettings::default()
        };
        let nixos = System { is_root: true, has_nixos: true, ..System::default() };
        assert_eq!(of_system(&settings(&[]), nixos), Ok(Vec::new()));
        let named = settings(&[
            ("deploy", words("nixos-rebuild switch --flake /srv/config")),
            ("clean", words("nix-collect-garbage -d")),
            ("boot", None),
            ("reboot", words("echo no")),
        ]);
        let actions = of_system(&named, nixos).unwrap();
        let told: Vec<_> = actions
            .iter()
            .map(|action| (action.name.as_str(), action.is_switch, action.command.len()))
            .collect();
        assert_eq!(told, [("boot", false, 2), ("clean", false, 2), ("deploy", true, 4), ("reboot", true, 2)]);
        let error = of_system(&settings(&[("pull", None)]), nixos).unwrap_err();
        assert!(error.contains("pull"), "{error}");
    }
}
