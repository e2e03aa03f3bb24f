//! The flake with real Nix. Its nixpkgs is the stand-in of `tests/nixpkgs`, see `docs/decisions/0004-flake-and-stand-in.md`.

#![expect(clippy::disallowed_methods, reason = "these tests run Nix on a copy of the repository")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::nix::Nix;
use crate::common::tree;

const SYSTEMS: [&str; 4] = ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"];

/// The flake's files in the temporary directory of `nix`: there `.` is no Git repository, so that files which are not yet
/// added count, too, and Git's ideas of who owns a work tree do not matter.
fn copy_of_flake(nix: &Nix) -> PathBuf {
    let copy = nix.root().join("flake");
    for file in tree::files() {
        let to = copy.join(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(tree::root().join(&file), to).unwrap();
    }
    copy
}

/// `nix COMMAND --override-input nixpkgs path:./tests/nixpkgs ARGS` in the directory of the flake.
fn nix_command(nix: &Nix, flake: &Path, command: &[&str], args: &[&str]) -> Command {
    let mut nix = nix.command("nix");
    nix.args(command)
        .args(["--override-input", "nixpkgs", "path:./tests/nixpkgs"])
        .args(args)
        .current_dir(flake);
    nix
}

/// The standard output of a command that must succeed.
fn stdout_of(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{}", String::from_utf8_lossy(&stderr));
    stdout
}

#[test]
fn flake_has_every_output_for_every_system() {
    let Some(nix) = Nix::new() else { return };
    let flake = copy_of_flake(&nix);

    let is_derivation = |value: &str| value.ends_with(".drv");
    let is_program = |value: &str| value.ends_with("/bin/nixmon");
    type Case = (&'static str, &'static [&'static str], &'static str, fn(&str) -> bool);
    let cases: [Case; 4] = [
        ("packages", &["default"], "drvPath", is_derivation),
        ("apps", &["default", "monitor"], "program", is_program),
        ("devShells", &["default"], "drvPath", is_derivation),
        ("checks", &["clippy", "fmt", "package", "tests"], "drvPath", is_derivation),
    ];
    for (output, names, attribute, is_right) in cases {
        let apply = format!("builtins.mapAttrs (_: builtins.mapAttrs (_: value: value.{attribute}))");
        let installable = format!(".#{output}");
        let json = stdout_of(&mut nix_command(
            &nix,
            &flake,
            &["eval"],
            &["--json", "--apply", &apply, &installable],
        ));
        let systems: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&json).unwrap();
        assert_eq!(systems.keys().collect::<Vec<_>>(), SYSTEMS, "{output}");
        for (system, values) in systems {
            assert_eq!(values.keys().collect::<Vec<_>>(), names, "{output}.{system}");
            for (name, value) in values {
                assert!(is_right(&value), "{output}.{system}.{name}: {value}");
            }
        }
    }

    // Nix's own idea of what a flake may have.
    stdout_of(&mut nix_command(&nix, &flake, &["flake", "check"], &["--no-build"]));
}

#[test]
fn lock_file_is_as_nix_would_write_it() {
    let Some(nix) = Nix::new() else { return };
    let flake = copy_of_flake(&nix);
    let lock = tree::text(Path::new("flake.lock")).unwrap();

    // `nix flake lock` would have to fetch nixpkgs, which fails here, if the input of flake.nix were not the one locked.
    stdout_of(nix.command("nix").args(["flake", "lock"]).current_dir(&flake));
    assert_eq!(fs::read_to_string(flake.join("flake.lock")).unwrap(), lock);
}

#[test]
fn nix_run_monitor_builds_and_runs() {
    let Some(nix) = Nix::new() else { return };
    let flake = copy_of_flake(&nix);

    // The environment is read by the stand-in, which runs the host's cargo; `Nix::command` has given Nix another home.
    // What it compiles stays in the target directory for the next run, apart from our own: that is in use by the tests.
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    let of_home = |name, dir| env::var_os(name).map_or_else(|| home.join(dir), PathBuf::from);
    let monitor = |args: &[&str]| {
        let mut command = nix_command(&nix, &flake, &["run", "--impure"], &[".#monitor", "--"]);
        command
            .args(args)
            .env("CARGO_HOME", of_home("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", of_home("RUSTUP_HOME", ".rustup"))
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("flake"));
        command
    };
    let version = stdout_of(&mut monitor(&["--version"]));
    assert_eq!(version, concat!("nixmon ", env!("CARGO_PKG_VERSION"), "\n"));

    let build = nix
        .command("nix")
        .args(["build", "--no-link", "--log-format", "internal-json", "-v", "path:./tests/demo#small"])
        .current_dir(&flake)
        .output()
        .unwrap();
    assert!(build.status.success());
    let log = nix.root().join("log");
    fs::write(&log, build.stderr).unwrap();

    let shown = stdout_of(monitor(&[]).stdin(Stdio::from(fs::File::open(log).unwrap())));
    assert!(shown.contains("1 built"), "{shown}");
}
