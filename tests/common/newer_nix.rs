//! A Nix of 2.30 or later, for machines whose own is older.

#![expect(
    clippy::disallowed_methods,
    reason = "it is fetched and unpacked, and the environment says from where"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::require::{require, skip};

/// The commands that tests use; all are the program `nix`, which goes by the name that it was called by.
const COMMANDS: [&str; 5] = ["nix-build", "nix-env", "nix-instantiate", "nix-shell", "nix-store"];

/// The directory with the commands of a Nix that knows `json-log-path`. The test is skipped where it is `None`, and that
/// has been said: see [`require`].
///
/// It is the machine's Nix if that is new enough. Else it is that of Debian's unstable distribution, fetched once as
/// packages from the mirror that this machine's apt is configured for, verified by apt and unpacked below the target
/// directory: 30 MB of packages and 17 MB of lists to download, 69 MB that stay, and half a minute. Nothing is installed and no
/// root is needed: it runs with the dynamic linker and the libraries that come with it. Its builds run where the test
/// says with the variables of `Nix::command`.
pub(crate) fn newer_nix() -> Option<PathBuf> {
    let nix = require("nix")?;
    let version = Command::new(&nix).arg("--version").output().unwrap().stdout;
    if is_new_enough(&String::from_utf8_lossy(&version)) {
        return Some(nix.parent().unwrap().to_owned());
    }
    let tools = ["apt-get", "dpkg-deb"].map(require);
    if tools.iter().any(Option::is_none) {
        return None;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = target.join("newer-nix");
    let commands = dir.join("commands");
    // Tests run in processes of their own, and the first of them fetches for all.
    let lock = File::create(target.join("newer-nix.lock")).unwrap();
    lock.lock().unwrap();
    if !commands.join("nix").exists() {
        let new = tempfile::Builder::new().prefix("newer-nix").tempdir_in(target).unwrap();
        if let Err(fault) = unpack(new.path()) {
            skip(&fault);
            return None;
        }
        // Leftovers of an older version of this file, or of an interrupted removal.
        let _ = fs::remove_dir_all(&dir);
        write_commands(new.path(), &dir);
        fs::rename(new.keep(), &dir).unwrap();
    }
    Some(commands)
}

/// Returns true for upstream's Nix only: Lix counts differently and has no `json-log-path`.
fn is_new_enough(version: &str) -> bool {
    let Some(version) = version.trim().strip_prefix("nix (Nix) ") else { return false };
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(2), Some(30))
}

/// Fetches the packages of Nix and of its libraries to `dir/packages`, and unpacks them to `dir/root`.
fn unpack(dir: &Path) -> Result<(), String> {
    let mirror = mirror().ok_or("apt has no mirror of Debian")?;
    // A directory of apt's own, so that neither root nor the state of the machine's apt is needed.
    for part in ["apt/lists/partial", "apt/archives/partial", "packages", "root"] {
        fs::create_dir_all(dir.join(part)).unwrap();
    }
    fs::write(dir.join("apt/status"), "").unwrap();
    fs::write(dir.join("apt/sources.list"), format!("deb [signed-by={KEYRING}] {mirror} sid main\n"))
        .unwrap();
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(dir.join("packages")).args(["-q", "-o", "Acquire::Languages=none"]);
        // apt would drop root for a user who cannot write here.
        command.args(["-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=true"]);
        for (name, part) in [
            ("Dir::State", "apt"),
            ("Dir::State::status", "apt/status"),
            ("Dir::Cache", "apt"),
            ("Dir::Etc::sourcelist", "apt/sources.list"),
            ("Dir::Etc::sourceparts", "apt/no-sources"),
        ] {
            command.arg("-o").arg(format!("{name}={}", dir.join(part).display()));
        }
        output(command.args(arguments))
    };
    apt(&["update"])?;
    let plan = apt(&["install", "--simulate", "--no-install-recommends", "nix-bin"])?;
    // Only libraries among Nix's dependencies: not the perl and the curl of its scripts.
    let packages = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .filter(|name| *name == "nix-bin" || (name.starts_with("lib") && !name.contains("perl")));
    apt(&[&["download"], packages.collect::<Vec<_>>().as_slice()].concat())?;
    for package in fs::read_dir(dir.join("packages")).unwrap() {
        output(Command::new("dpkg-deb").arg("-x").arg(package.unwrap().path()).arg(dir.join("root")))?;
    }
    for part in ["apt", "packages", "root/usr/share"] {
        fs::remove_dir_all(dir.join(part)).unwrap();
    }
    Ok(())
}

/// The keyring of the package debian-archive-keyring, which Debian has and Ubuntu knows.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The first mirror of Debian, not of its security updates, among the sources of this machine's apt.
fn mirror() -> Option<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let mirrors = output(&mut command).ok()?;
    mirrors.lines().find(|uri| uri.trim_end_matches('/').ends_with("/debian")).map(str::to_owned)
}

/// Runs a command and returns what it printed, or its last words.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed: {}", stderr.lines().last().unwrap_or("without a word")))
}

/// Writes the commands to `new/commands`, for a time when `new` is called `dir`.
fn write_commands(new: &Path, dir: &Path) {
    let libraries = fs::read_dir(new.join("root/usr/lib"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .find(|name| name.to_string_lossy().ends_with("-linux-gnu"))
        .unwrap();
    let libraries = Path::new("root/usr/lib").join(libraries);
    let linker = fs::read_dir(new.join(&libraries))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .find(|name| name.to_string_lossy().starts_with("ld-linux"))
        .unwrap();
    // NIX_BIN_DIR, since Nix starts itself as its build hook, and would start the linker.
    let script = format!(
        "#!/bin/sh\nNIX_BIN_DIR='{dir}/commands' exec '{dir}/{libraries}/{linker}' --argv0 \"$0\" \
         --library-path '{dir}/{libraries}' '{dir}/root/usr/bin/nix' \"$@\"\n",
        dir = dir.display(),
        libraries = libraries.display(),
        linker = linker.display(),
    );
    let commands = new.join("commands");
    fs::create_dir(&commands).unwrap();
    fs::write(commands.join("nix"), script).unwrap();
    fs::set_permissions(commands.join("nix"), Permissions::from_mode(0o755)).unwrap();
    for name in COMMANDS {
        symlink("nix", commands.join(name)).unwrap();
    }
}
