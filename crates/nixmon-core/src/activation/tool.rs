//! The tools that switch configurations: one row for each.
//!
//! A new tool is a variant of [`Tool`] and a row of [`ROWS`] here, and a table of its lines under `tools`.

/// The program that runs an activation, as the user knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// `home-manager switch`, or the activation script of a generation.
    HomeManager,
    /// `darwin-rebuild`.
    NixDarwin,
    /// `nixos-rebuild`, its rewrite, `nixos-install`, or `switch-to-configuration` by itself.
    NixosRebuild,
    /// `colmena apply`.
    Colmena,
    /// `deploy`.
    DeployRs,
    /// `nh os`, `nh home`, `nh darwin`.
    Nh,
    /// `disko`, which prepares disks; not as a part of nixos-anywhere.
    Disko,
    /// `system-manager switch`.
    SystemManager,
    /// A switch, but the stream does not say by what.
    Unknown,
}

impl Tool {
    /// Returns the program's own name, which the records use as well.
    pub fn name(self) -> &'static str {
        self.row().map_or("unknown", |row| row.name)
    }

    /// Returns all tools but [`Tool::Unknown`].
    pub fn all() -> impl Iterator<Item = Tool> {
        ROWS.iter().map(|row| row.tool)
    }

    /// Returns the tool and its command of this name, as `nixos-rebuild` or `deploy`.
    pub fn command(program: &str) -> Option<(Tool, &'static Command)> {
        ROWS.iter().find_map(|row| {
            let is_named = |command: &&Command| command.programs.contains(&program);
            row.commands.iter().find(is_named).map(|command| (row.tool, command))
        })
    }

    /// Returns whose configuration a derivation is, by its name: `None` if it is none.
    pub(super) fn of_configuration(derivation: &str) -> Option<Tool> {
        let builds = |row: &&Row| row.configurations.iter().any(|start| derivation.starts_with(start));
        ROWS.iter().find(builds).map(|row| row.tool)
    }

    /// Returns whose profile this is, by its name.
    pub(super) fn of_profile(name: &str) -> Option<Tool> {
        ROWS.iter().find(|row| row.profile == Some(name)).map(|row| row.tool)
    }

    /// Returns when home-manager's activation is a part of a run of this tool.
    pub(super) fn home_manager(self) -> Nesting {
        self.row().map_or(Nesting::Never, |row| row.home_manager)
    }

    /// Returns whether a second line that begins an activation belongs to the run that is under way.
    pub(super) fn begins_in_parts(self) -> bool {
        self.row().is_some_and(|row| row.begins_in_parts)
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.tool == self)
    }
}

/// The place of a tool's command line where the Nix that it runs takes flags from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NixFlags {
    /// Among its own options, if it is new enough.
    Own,
    /// Behind `--`, in all versions.
    BehindDashes,
    /// No place.
    None,
}

/// A tool's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Names of the program.
    pub programs: &'static [&'static str],
    /// The place of flags for Nix.
    pub flags: NixFlags,
    /// The flag that turns off a view of the builds that only people can read.
    pub plain: Option<&'static str>,
    /// Words before the action, one of them.
    pub groups: &'static [&'static str],
    /// Actions that change a running system or home.
    pub switches: &'static [&'static str],
    /// Actions that build, but change nothing.
    pub builds: &'static [&'static str],
    /// Actions that print something for its own sake.
    pub results: &'static [&'static str],
    /// Arguments with which nothing is switched after all.
    pub harmless: &'static [&'static str],
}

impl Command {
    const NONE: Command = Command {
        programs: &[],
        flags: NixFlags::None,
        plain: None,
        groups: &[],
        switches: &[],
        builds: &[],
        results: &[],
        harmless: &[],
    };
}

/// When the activation of home-manager is a part of another tool's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nesting {
    Never,
    /// Only where the tool has announced it.
    Announced,
    /// Wherever it begins within a run.
    Always,
}

struct Row {
    tool: Tool,
    /// The name for people and records.
    name: &'static str,
    /// Beginnings of the names of the derivations that are a whole configuration.
    configurations: &'static [&'static str],
    /// The profile's name where no other tool has the same.
    profile: Option<&'static str>,
    home_manager: Nesting,
    begins_in_parts: bool,
    commands: &'static [Command],
}

impl Row {
    const fn new(tool: Tool, name: &'static str, configurations: &'static [&'static str]) -> Row {
        Row {
            tool,
            name,
            configurations,
            profile: None,
            home_manager: Nesting::Never,
            begins_in_parts: false,
            commands: &[],
        }
    }
}

static ROWS: [Row; 8] = [
    Row {
        profile: Some("home-manager"),
        commands: &[Command {
            programs: &["home-manager"],
            flags: NixFlags::Own,
            switches: &["switch"],
            builds: &["build"],
            results: &["generations", "news", "option", "packages"],
            harmless: &["-n", "--dry-run"],
            ..Command::NONE
        }],
        ..Row::new(Tool::HomeManager, "home-manager", &["home-manager-generation"])
    },
    Row {
        home_manager: Nesting::Announced,
        begins_in_parts: true,
        commands: &[Command {
            programs: &["darwin-rebuild"],
            flags: NixFlags::Own,
            switches: &["switch", "activate"],
            builds: &["build", "check"],
            results: &["changelog", "--list-generations"],
            harmless: &["--dry-run"],
            ..Command::NONE
        }],
        ..Row::new(Tool::NixDarwin, "nix-darwin", &["darwin-system-"])
    },
    Row {
        commands: &[Command {
            // The second is the rewrite's name before it took the place of the script.
            programs: &["nixos-rebuild", "nixos-rebuild-ng"],
            flags: NixFlags::Own,
            switches: &["switch", "boot", "test"],
            builds: &[
                "build",
                "dry-build",
                "dry-run",
                "dry-activate",
                "build-vm",
                "build-vm-with-bootloader",
                "build-image",
            ],
            results: &["list-generations"],
            ..Command::NONE
        }],
        ..Row::new(Tool::NixosRebuild, "nixos-rebuild", &["nixos-system-"])
    },
    Row {
        commands: &[Command {
            programs: &["colmena"],
            switches: &["apply", "apply-local"],
            builds: &["build"],
            results: &["eval"],
            harmless: &["build", "push", "dry-activate", "keys", "upload-keys"],
            ..Command::NONE
        }],
        ..Row::new(Tool::Colmena, "colmena", &[])
    },
    Row {
        home_manager: Nesting::Always,
        begins_in_parts: true,
        // It has no actions.
        commands: &[Command {
            programs: &["deploy"],
            flags: NixFlags::BehindDashes,
            harmless: &["--dry-activate"],
            ..Command::NONE
        }],
        ..Row::new(Tool::DeployRs, "deploy-rs", &["activatable-"])
    },
    Row {
        home_manager: Nesting::Always,
        begins_in_parts: true,
        commands: &[Command {
            programs: &["nh"],
            flags: NixFlags::BehindDashes,
            plain: Some("--no-nom"),
            groups: &["os", "home", "darwin"],
            switches: &["switch", "boot", "test"],
            builds: &["build", "build-vm", "build-image"],
            harmless: &["-n", "--dry"],
            ..Command::NONE
        }],
        ..Row::new(Tool::Nh, "nh", &[])
    },
    Row {
        commands: &[Command { programs: &["disko"], harmless: &["--dry-run"], ..Command::NONE }],
        ..Row::new(Tool::Disko, "disko", &["disko"])
    },
    Row {
        profile: Some("system-manager"),
        commands: &[Command {
            programs: &["system-manager"],
            switches: &["switch", "activate"],
            builds: &["build"],
            ..Command::NONE
        }],
        ..Row::new(Tool::SystemManager, "system-manager", &["system-manager"])
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_has_one_row() {
        for tool in Tool::all() {
            assert_eq!(Tool::all().filter(|other| *other == tool).count(), 1, "{tool:?}");
            assert_ne!(tool, Tool::Unknown);
        }
        assert_eq!((Tool::Nh.name(), Tool::Unknown.name()), ("nh", "unknown"));
    }

    #[test]
    fn programs_and_derivations() {
        for (program, tool) in [
            ("nixos-rebuild", Some(Tool::NixosRebuild)),
            ("nixos-rebuild-ng", Some(Tool::NixosRebuild)),
            ("deploy", Some(Tool::DeployRs)),
            ("deploy-rs", None),
            ("nix", None),
        ] {
            assert_eq!(Tool::command(program).map(|(tool, _)| tool), tool, "{program}");
        }
        for (name, tool) in [
            ("nixos-system-host-26.05", Some(Tool::NixosRebuild)),
            ("home-manager-generation", Some(Tool::HomeManager)),
            ("activatable-system", Some(Tool::DeployRs)),
            ("nixos-option", None),
            ("disko-destroy-format-mount", Some(Tool::Disko)),
            ("hello-2.12", None),
        ] {
            assert_eq!(Tool::of_configuration(name), tool, "{name}");
        }
    }
}
