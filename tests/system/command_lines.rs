//! The command lines that nixmon makes of others, on real Nix: an old one and one with a socket.

#![expect(clippy::disallowed_methods, reason = "these tests start processes")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::path::Path;

use crate::common::newer_nix::newer_nix;
use crate::common::require::require;
use crate::common::world::World;
use nixmon::nix_commands::{Known, Plan, detect, plan};

/// Derivations that are new in every store: `top` needs `dep`, `bad` fails, and `shell` has what `nix develop` asks for.
const EXPRESSION: &str = r#"
{ system ? builtins.currentSystem }:
let
  make = name: attributes: script: derivation ({
    inherit name system;
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // attributes);
in rec {
  dep = make "dep" { } "echo made > $out";
  top = make "top" { } "read x < ${dep}; echo $x > $out";
  bad = make "bad" { } "exit 7";
  shell = make "shell" {
    builder = "@bash@";
    outputs = [ "out" ];
    inherit dep;
    shellHook = "echo the-hook-ran >&2";
  } "exit 1";
}
"#;

const FLAKE: &str = r#"{
  outputs = { self }: {
    checks.@system@ = { inherit (import ./default.nix { system = "@system@"; }) top; };
    packages.@system@ = { inherit (import ./default.nix { system = "@system@"; }) top; };
  };
}"#;

/// The expected standard error of a command with flags; exit status and standard output are those without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stderr {
    /// Builds, in records.
    Builds,
    /// Records, but no builds, since nothing is built.
    Records,
    /// The same as without flags.
    Same,
}

use Stderr::{Builds, Records, Same};

/// The commands and what has to come of them. Each runs in a store of its own, in a directory with default.nix and
/// flake.nix.
const COMMANDS: [(&str, Stderr); 29] = [
    ("nix build --no-link -f default.nix top", Builds),
    ("nix build --no-link -L -f default.nix top", Builds),
    ("nix build --no-link -f default.nix -vL top", Builds),
    ("nix build --no-link -f default.nix bad", Builds),
    ("nix build --no-link --json -f default.nix top", Builds),
    ("nix build --no-link path:.#top", Builds),
    ("nix build --no-link -f default.nix -- top", Builds),
    ("nix build --no-link --dry-run -f default.nix top", Records),
    ("nix --offline build --no-link -f default.nix top", Builds),
    ("nix --option cores 1 build --no-link -f default.nix top", Builds),
    ("nix eval -f default.nix top.name", Records),
    ("nix eval --raw -f default.nix top.name", Records),
    ("nix flake check path:.", Builds),
    ("nix flake metadata --json path:.", Same),
    ("nix flake show path:.", Records),
    ("nix flake lock path:.", Same),
    ("nix path-info --derivation -f default.nix top", Records),
    ("nix store gc", Records),
    ("nix profile list --profile ./profile", Same),
    ("nix log -f default.nix top", Same),
    ("nix-build --no-out-link -A top", Builds),
    ("nix-build --no-out-link -A bad", Builds),
    ("nix-build --no-out-link -A top -j 2 --option cores 1", Builds),
    ("nix-instantiate -A top", Same),
    ("nix-instantiate --eval -A top.name", Same),
    ("nix-env -f default.nix -qaP", Same),
    ("nix-env --profile ./profile -q", Same),
    ("nix-store -q --roots default.nix", Same),
    ("nix-shell -p --run true", Same),
];

impl World {
    fn of_command_lines(commands: Option<&Path>) -> Option<World> {
        Self::with_files(commands, &[("default.nix", EXPRESSION), ("flake.nix", FLAKE)])
    }

    /// Returns nixmon's plan for the command without a socket.
    fn plan(&self, words: &[OsString]) -> Plan {
        let nix = self.commands.as_ref().map_or("nix".into(), |dir| dir.join("nix").into_os_string());
        let nix = detect(&[nix]);
        assert!(nix.is_some());
        plan(words, Known { nix, socket: false, takes_log_format: &|_| false })
    }
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn check(commands: Option<&Path>) {
    for (line, stderr) in COMMANDS {
        let (Some(plain), Some(planned)) =
            (World::of_command_lines(commands), World::of_command_lines(commands))
        else {
            return;
        };
        let words = words(line);
        let plan = planned.plan(&words);
        let without = plain.run(&words);
        let with = planned.run(&plan.command);
        let shown = format!("{:?}: {}", plan.command, String::from_utf8_lossy(&with.stderr));
        assert_eq!(with.status.code(), without.status.code(), "{shown}");
        assert_eq!(planned.text(&with.stdout), plain.text(&without.stdout), "{shown}");
        let records: Vec<_> =
            with.stderr.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"@nix {")).collect();
        let builds = records.iter().filter(|record| contains(record, r#""type":105"#)).count();
        match stderr {
            Builds => assert!(builds > 0, "{shown}"),
            Records => assert!(!records.is_empty() && builds == 0, "{shown}"),
            Same => assert!(builds == 0, "{shown}"),
        }
        assert!(plan.interactive.is_none() && !plan.is_switch, "{shown}");
        // Its report about its work goes to standard output.
        let talks = line == "nix store gc";
        assert!(plan.stdout_is_result || with.stdout.is_empty() || talks, "{shown}");
    }
}

fn contains(bytes: &[u8], part: &str) -> bool {
    memchr::memmem::find(bytes, part.as_bytes()).is_some()
}

#[test]
fn flags_accepted_by_installed_nix() {
    check(None);
}

#[test]
fn flags_accepted_by_newer_nix() {
    if let Some(commands) = newer_nix() {
        check(Some(&commands));
    }
}

/// Both stages of `nix shell` and `nix develop`: the first builds and runs no hook, the second finds all built.
fn check_shells(commands: Option<&Path>) {
    for line in [
        "nix shell -f default.nix top --command /bin/sh",
        "nix shell -i -f default.nix top -c /bin/sh",
        "nix shell -L -f default.nix top -c /bin/sh",
        "nix develop -f default.nix shell -c /bin/sh",
        "nix develop -Lik HOME -f default.nix shell --command /bin/sh",
        "nix develop -f default.nix --unset LANG shell --command /bin/sh",
        "nix develop -iLf default.nix shell -c /bin/sh",
        "nix --offline develop --profile ./profile -f default.nix shell -c /bin/sh",
    ] {
        let Some(world) = World::of_command_lines(commands) else { return };
        let shell = world.plan(&words(line)).interactive.unwrap();
        let prepare = shell.prepare.unwrap();
        let first = world.run(&prepare);
        let shown = format!("{prepare:?}: {}", String::from_utf8_lossy(&first.stderr));
        assert!(first.status.success() && contains(&first.stderr, r#""type":105"#), "{shown}");
        assert!(!contains(&first.stderr, HOOK), "{shown}");
        let second = world.run(&shell.then);
        let shown = format!("{:?}: {}", shell.then, String::from_utf8_lossy(&second.stderr));
        assert!(second.status.success() && !contains(&second.stderr, "building"), "{shown}");
        assert_eq!(contains(&second.stderr, HOOK), line.contains("develop"), "{shown}");
    }
}

/// The output of the hook of `shell`.
const HOOK: &str = "the-hook-ran";

#[test]
fn shell_prepared_by_installed_nix() {
    check_shells(None);
}

#[test]
fn shell_prepared_by_newer_nix() {
    if let Some(commands) = newer_nix() {
        check_shells(Some(&commands));
    }
}

#[test]
fn version_query_is_fast() {
    if require("nix").is_none() {
        return;
    }
    let begin = std::time::Instant::now();
    assert!(detect(&["sudo".into(), "nix".into()]).is_some());
    assert!(begin.elapsed().as_millis() < 2000, "{:?}", begin.elapsed());
}
