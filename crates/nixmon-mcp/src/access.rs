//! Which tools may be called, which commands may run, and where.

use std::path::{Component, Path, PathBuf};

use nixmon_core::activation::Tool;

use crate::program::CommandKind;
use crate::refusal::Refusal;

/// The extent of what a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Look at runs.
    ReadOnly,
    /// Also start and stop commands that build and change nothing.
    Build,
    /// Also switch this machine to another configuration.
    Switch,
    /// Also start any other command.
    All,
}

impl Profile {
    /// All profiles, with their names.
    pub const NAMES: [(&'static str, Profile); 4] = [
        ("read-only", Profile::ReadOnly),
        ("build", Profile::Build),
        ("switch", Profile::Switch),
        ("all", Profile::All),
    ];

    /// Returns the name in a configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, profile)| *profile == self).map_or("", |(name, _)| name)
    }
}

/// The rules for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The profile.
    pub profile: Profile,
    /// Patterns of the commands that may run; `None` if the profile alone decides.
    pub allow: Option<Vec<String>>,
    /// Directories in which, and below which, commands may run; empty for all.
    pub directories: Vec<PathBuf>,
}

impl Access {
    /// Returns the rules of standard input and output without a configuration: an agent there has a shell already.
    pub fn of_stdio() -> Self {
        Self { profile: Profile::All, allow: None, directories: Vec::new() }
    }

    /// Returns the rules of HTTP without a configuration: nothing may be started.
    pub fn of_http() -> Self {
        Self { profile: Profile::ReadOnly, allow: None, directories: Vec::new() }
    }

    /// Checks whether a tool may be called.
    pub(crate) fn tool(&self, name: &str, needs: Profile) -> Result<(), Refusal> {
        if self.profile >= needs {
            return Ok(());
        }
        Err(Refusal::new(
            format!("{name} is not allowed: the profile of this server is `{}`", self.profile.name()),
            format!("ask the user to set profile = \"{}\" in [mcp] of nixmon's configuration", needs.name()),
        ))
    }

    /// Checks whether a command may run.
    pub(crate) fn command(&self, command: &[String], kind: CommandKind) -> Result<(), Refusal> {
        let said = crate::words::clean(&command.join(" "), 60);
        let is_listed = self
            .allow
            .as_ref()
            .is_some_and(|allow| allow.iter().any(|pattern| matches_pattern(pattern, command)));
        if self.allow.is_some() && !is_listed {
            let allowed = self.allow.as_deref().unwrap_or_default().join(", ");
            return Err(Refusal::new(
                format!("`{said}` is not allowed; [mcp] allow has: {}", crate::words::clean(&allowed, 200)),
                "start one of these, or ask the user to add a pattern",
            ));
        }
        let needs = match kind {
            CommandKind::Build => Profile::Build,
            CommandKind::Switch => Profile::Switch,
            CommandKind::Other if is_listed => Profile::Build,
            CommandKind::Other => Profile::All,
        };
        if self.profile >= needs {
            return Ok(());
        }
        let why = match kind {
            CommandKind::Switch => "switches a configuration",
            _ => "is not known to build and nothing else",
        };
        Err(Refusal::new(
            format!("`{said}` {why}, and the profile of this server is `{}`", self.profile.name()),
            format!(
                "build it with an installable, or ask the user to set profile = \"{}\" or a pattern in [mcp] allow",
                needs.name()
            ),
        ))
    }

    /// Checks whether commands may run in a directory, whose path is absolute and free of links.
    pub(crate) fn directory(&self, directory: &Path) -> Result<(), Refusal> {
        let is_plain = !directory.components().any(|part| part == Component::ParentDir);
        if self.directories.is_empty()
            || (is_plain && self.directories.iter().any(|allowed| directory.starts_with(allowed)))
        {
            return Ok(());
        }
        let allowed: Vec<_> = self.directories.iter().map(|dir| dir.display().to_string()).collect();
        Err(Refusal::new(
            format!("commands may not run in {}", directory.display()),
            format!("pass cwd within {}", allowed.join(", ")),
        ))
    }
}

/// Returns whether a command matches a pattern: the same words, where `*` within a word stands for any text, and a last word `*`
/// for any further words, also none.
pub fn matches_pattern(pattern: &str, command: &[String]) -> bool {
    let mut patterns: Vec<&str> = pattern.split_whitespace().collect();
    let is_open = patterns.last() == Some(&"*");
    if is_open {
        patterns.pop();
    }
    let fits = if is_open { command.len() >= patterns.len() } else { command.len() == patterns.len() };
    fits && !patterns.is_empty()
        && patterns.iter().zip(command).all(|(pattern, word)| fits_word(pattern, word))
}

fn fits_word(pattern: &str, word: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == word };
    let Some(word) = word.strip_prefix(head) else { return false };
    // The ends of characters, and the end of the word.
    let mut ends = word.char_indices().map(|(at, _)| at).chain([word.len()]);
    ends.any(|at| word.get(at..).is_some_and(|word| fits_word(rest, word)))
}

/// Words that a program may stand behind.
const BEFORE: [&str; 6] = ["doas", "env", "exec", "nice", "sudo", "time"];

/// Returns the host that a switch is for, if it is another one: by an option, or by the nature of the tool.
pub(crate) fn remote_host(command: &[String]) -> Option<String> {
    let is_between = |c: char| c.is_whitespace() || ";&|()".contains(c);
    let words: Vec<&str> =
        command.iter().flat_map(|word| word.split(is_between)).filter(|word| !word.is_empty()).collect();
    let mut tool = None;
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        let begins = before.is_none_or(|before| before.starts_with('-') || BEFORE.contains(before));
        let mut behind = words.iter().skip(at + 1);
        match program(word) {
            "ssh" if words.iter().skip(at + 1).any(|word| switches(word)) => {
                return behind.find(|word| !word.starts_with('-')).map(|host| (*host).to_owned());
            }
            "colmena" if begins => tool = Some("the hosts of colmena"),
            "deploy" if begins => tool = tool.or(Some("the hosts of deploy-rs")),
            _ => {}
        }
        if let Some(host) = word.strip_prefix("--target-host=") {
            return Some(host.to_owned());
        }
        if *word == "--target-host" {
            return behind.next().map(|host| (*host).to_owned());
        }
    }
    tool.map(str::to_owned)
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn switches(word: &str) -> bool {
    let program = program(word);
    Tool::command(program).is_some() || matches!(program, "switch-to-configuration" | "activate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn patterns_match_word_by_word() {
        for (pattern, command, expected) in [
            ("make home", "make home", true),
            ("make home", "make home install", false),
            ("make home", "make", false),
            ("nix build *", "nix build", true),
            ("nix build *", "nix build .#x --no-link", true),
            ("nix build *", "nix run .#x", false),
            ("nix build .#*", "nix build .#x", true),
            ("nix build .#*", "nix build .#x evil", false),
            ("nix build .#*-dev", "nix build .#web-dev", true),
            ("nix build .#*-dev", "nix build .#web-prod", false),
            ("make *", "makefoo x", false),
            ("*", "rm -rf", false),
            ("", "x", false),
        ] {
            assert_eq!(matches_pattern(pattern, &words(command)), expected, "{pattern}: {command}");
        }
        // A word is a word, whatever it contains.
        assert!(!matches_pattern("make home", &["make home".to_owned()]));
    }

    #[test]
    fn commands_by_profile() {
        use CommandKind::{Build, Other, Switch};
        let access = |profile, allow: Option<&[&str]>| Access {
            profile,
            allow: allow.map(|allow| allow.iter().map(|&pattern| pattern.to_owned()).collect()),
            directories: Vec::new(),
        };
        let cases = [
            (Profile::ReadOnly, None, Build, false),
            (Profile::Build, None, Build, true),
            (Profile::Build, None, Switch, false),
            (Profile::Build, None, Other, false),
            (Profile::Build, Some(&["make *"][..]), Other, true),
            (Profile::Build, Some(&["make *"]), Switch, false),
            (Profile::Build, Some(&["nix *"]), Build, false),
            (Profile::Switch, None, Switch, true),
            (Profile::Switch, None, Other, false),
            (Profile::All, None, Other, true),
            (Profile::All, Some(&["nix *"]), Other, false),
            (Profile::All, Some(&[]), Other, false),
        ];
        for (profile, allow, kind, expected) in cases {
            let allowed = access(profile, allow).command(&words("make home"), kind);
            assert_eq!(allowed.is_ok(), expected, "{profile:?} {allow:?} {kind:?}: {allowed:?}");
        }
    }

    #[test]
    fn directories_hold_what_is_below_them() {
        let access = Access { directories: vec!["/srv/flake".into()], ..Access::of_stdio() };
        for (directory, expected) in [
            ("/srv/flake", true),
            ("/srv/flake/sub", true),
            ("/srv/flakes", false),
            ("/srv", false),
            ("/srv/flake/../secret", false),
        ] {
            assert_eq!(access.directory(Path::new(directory)).is_ok(), expected, "{directory}");
        }
        assert!(Access::of_stdio().directory(Path::new("/anywhere")).is_ok());
    }

    #[test]
    fn switches_of_other_hosts_are_seen() {
        for (line, expected) in [
            ("nixos-rebuild switch --flake .", None),
            ("nixos-rebuild switch --target-host root@web", Some("root@web")),
            ("nixos-rebuild switch --target-host=web", Some("web")),
            ("ssh -t web nixos-rebuild switch", Some("web")),
            ("sh -c ssh web nixos-rebuild switch", Some("web")),
            ("colmena apply", Some("the hosts of colmena")),
            ("deploy .#web", Some("the hosts of deploy-rs")),
            ("home-manager switch", None),
            ("ssh web uptime", None),
            ("make deploy", None),
            ("sudo deploy .", Some("the hosts of deploy-rs")),
        ] {
            assert_eq!(remote_host(&words(line)).as_deref(), expected, "{line}");
        }
    }
}
