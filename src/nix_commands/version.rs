//! The version of Nix, as it reports it itself.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::limited;

/// Time limit for Nix to print its version, which takes about 40 ms.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes read of the version: it is one line, but a wrapper script may print more.
const MAX_ANSWER: u64 = 4096;

/// Bytes read of Nix's settings, which are some 10 KiB.
const MAX_CONFIG: u64 = 256 << 10;

/// The version of a Nix, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NixVersion {
    /// Lix, which counts its versions from Nix 2.18 on as 2.90.
    is_lix: bool,
    /// Determinate Nix has a version of its own; this is the one of the Nix in it.
    major: u32,
    minor: u32,
    /// Made before the release of that number, as `2.31pre20250624_a0e1a51` is.
    is_pre_release: bool,
}

impl std::fmt::Display for NixVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { is_lix, major, minor, is_pre_release } = self;
        let name = if *is_lix { "Lix" } else { "Nix" };
        write!(f, "{name} {major}.{minor}{}", if *is_pre_release { "pre" } else { "" })
    }
}

impl NixVersion {
    /// Reads what `nix --version` prints: `nix (Nix) 2.34.8`, `nix (Determinate Nix 3.8.5) 2.30.2`,
    /// `nix (Lix, like Nix) 2.93.0`. The line may stand behind others, such as warnings of a wrapper.
    pub fn parse(output: &str) -> Option<NixVersion> {
        output.lines().find_map(|line| {
            let (program, rest) = line.trim().split_once(" (")?;
            let (maker, version) = rest.rsplit_once(") ")?;
            if !program.starts_with("nix") {
                return None;
            }
            let (major, rest) = number(version)?;
            let (minor, rest) = number(rest.strip_prefix('.')?)?;
            Some(NixVersion {
                is_lix: maker.starts_with("Lix"),
                major,
                minor,
                is_pre_release: rest.starts_with("pre"),
            })
        })
    }

    /// Returns whether its new commands know the setting `json-log-path`, which came with 2.30. Lix has not got it.
    pub fn takes_json_log_path(self) -> bool {
        // A pre-release of 2.30 may be older than the setting.
        !self.is_lix && self.is_at_least(2, if self.is_pre_release { 31 } else { 30 })
    }

    /// Returns whether its commands, the old ones too, know `--log-format internal-json`, which came with 2.4.
    pub fn takes_log_format(self) -> bool {
        self.is_at_least(2, if self.is_pre_release { 5 } else { 4 })
    }

    /// Returns whether `-L` undoes a `--log-format` before it, as it did up to 2.10.
    pub fn print_build_logs_sets_format(self) -> bool {
        !self.is_at_least(2, 11)
    }

    fn is_at_least(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

/// The number at the beginning of `text`, and what follows it.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

/// Asks the Nix that `command` would use for its version; `None` if there is none that answers within two seconds.
///
/// A command given by its path, as `/nix/store/…-nix/bin/nix-build`, uses the `nix` beside it; any other the one on PATH.
pub fn detect(command: &[OsString]) -> Option<NixVersion> {
    let program = super::program(command)?;
    let beside = Path::new(program).parent().filter(|dir| !dir.as_os_str().is_empty());
    let beside = beside.map(|dir| dir.join("nix")).filter(|nix| super::is_of_nix(program) && nix.is_file());
    let nix = beside.as_deref().map_or(OsStr::new("nix"), Path::as_os_str);
    NixVersion::parse(&ask(nix, &["--version"], MAX_ANSWER)?)
}

/// Asks Nix how many builds it runs at once: its setting `max-jobs`.
pub(crate) fn max_jobs(version: NixVersion) -> Option<String> {
    // `nix config show` came with 2.20, and is `nix show-config` before.
    let show: &[&str] =
        if version.is_at_least(2, 20) && !version.is_lix { &["config", "show"] } else { &["show-config"] };
    let flags = ["--extra-experimental-features", "nix-command"];
    let text = ask(OsStr::new("nix"), &[&flags, show].concat(), MAX_CONFIG)?;
    let jobs = text.lines().find_map(|line| line.strip_prefix("max-jobs = "))?;
    Some(jobs.trim().to_owned())
}

/// Returns what Nix prints, if it does so within the time limit.
fn ask(nix: &OsStr, args: &[&str], most: u64) -> Option<String> {
    limited::output(Command::new(nix).args(args), PATIENCE, most)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    #[test]
    fn versions() {
        // The output, whether it takes json-log-path, and whether it takes --log-format.
        for (output, socket, flag) in [
            ("nix (Nix) 2.34.8\n", true, true),
            ("nix (Nix) 2.30.0", true, true),
            ("nix (Nix) 2.29.1", false, true),
            ("nix (Nix) 2.4", false, true),
            ("nix (Nix) 2.3.16", false, false),
            ("nix (Nix) 3.0.0", true, true),
            ("nix (Nix) 2.31pre20250624_a0e1a51", true, true),
            ("nix (Nix) 2.30pre20250521_deadbee", false, true),
            ("nix (Nix) 2.4pre20210601_abcdefa", false, false),
            ("nix (Nix) 2.34.8+dfsg", true, true),
            ("nix-build (Nix) 2.8.0", false, true),
            ("nix (Determinate Nix 3.8.5) 2.30.2", true, true),
            ("nix (Determinate Nix 3.5.0) 2.28.3", false, true),
            ("nix (Lix, like Nix) 2.93.0", false, true),
            ("nix (Lix, like Nix) 2.95.0-dev-pre20251001-abc", false, true),
            ("warning: unknown setting 'x'\nnix (Nix) 2.30.2\n", true, true),
        ] {
            let version = NixVersion::parse(output).unwrap_or_else(|| panic!("{output}"));
            assert_eq!(
                (version.takes_json_log_path(), version.takes_log_format()),
                (socket, flag),
                "{output}"
            );
        }
    }

    #[test]
    fn no_versions() {
        for output in [
            "",
            "nix",
            "nix (Nix) ",
            "nix (Nix) 2",
            "nix (Nix) 2.",
            "nix (Nix) x.y",
            "nix (Nix) 99999999999.1",
            "nixé (N",
            "bash (GNU) 5.2",
            "(Nix) 2.30",
        ] {
            assert_eq!(NixVersion::parse(output), None, "{output}");
        }
    }

    #[test]
    fn a_nix_beside_the_command_is_asked_and_one_that_hangs_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let command = |text: &str| {
            let script = |name: &str, text: &str| {
                fs::write(dir.path().join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
                fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o755)).unwrap();
            };
            script("nix", text);
            script("nix-build", "exit 1");
            [dir.path().join("nix-build").into_os_string()]
        };
        let version = detect(&command("echo 'nix (Nix) 2.77.1'")).unwrap();
        assert!(version.is_at_least(2, 77));
        assert_eq!(detect(&command("exit 1")), None);
        // The first line is enough of a program that never stops talking.
        assert!(detect(&command("while echo 'nix (Nix) 2.77.1'; do :; done")).is_some());
        let begin = Instant::now();
        assert_eq!(detect(&command("exec sleep 60")), None);
        assert!(begin.elapsed() < PATIENCE * 5, "{:?}", begin.elapsed());
    }
}
