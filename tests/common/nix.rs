//! Real Nix with a store of its own.

#![expect(clippy::disallowed_methods, reason = "a test with real Nix starts processes and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::require::require;

/// The Nix of this machine with a store, state, configuration and home in a temporary directory, removed at the end.
///
/// It needs neither root nor a daemon, leaves the machine's own store alone, and no two tests see each other's builds.
/// Builders run without a sandbox, and nothing is substituted unless the test names a substituter.
pub(crate) struct Nix {
    dir: TempDir,
    root: PathBuf,
}

impl Nix {
    /// Prepares the directory, or says that the test is skipped: see [`require`].
    pub(crate) fn new() -> Option<Nix> {
        require("nix")?;
        let dir = tempfile::tempdir().unwrap();
        // Nix refuses a store below a symbolic link, which /tmp is on macOS.
        let root = dir.path().canonicalize().unwrap();
        for part in ["conf", "home", "nix/store", "nix/var/nix", "nix/var/log/nix"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        let registry = root.join("conf/registry.json");
        fs::write(&registry, r#"{"version":2,"flakes":[]}"#).unwrap();
        // Without build users builds run as the user of the test, root as well.
        let conf = format!(
            "experimental-features = nix-command flakes\n\
             sandbox = false\n\
             substituters =\n\
             build-users-group =\n\
             flake-registry = {}\n",
            registry.display()
        );
        fs::write(root.join("conf/nix.conf"), conf).unwrap();
        Some(Nix { dir, root })
    }

    /// A command of Nix (`nix`, `nix-build`, …), or another that is to see this store, with an empty standard input.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"NIX_") {
                command.env_remove(name);
            }
        }
        for (name, part) in [
            ("HOME", "home"),
            ("NIX_CONF_DIR", "conf"),
            ("NIX_STORE_DIR", "nix/store"),
            ("NIX_STATE_DIR", "nix/var/nix"),
            ("NIX_LOG_DIR", "nix/var/log/nix"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_CONFIG_HOME", "home/.config"),
        ] {
            command.env(name, self.root.join(part));
        }
        command.stdin(std::process::Stdio::null());
        command
    }

    /// The temporary directory, without symbolic links; for files of the test.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Nix {
    fn drop(&mut self) {
        // Directories of a store are read-only, and only root can remove what is in them.
        make_writable(self.dir.path());
    }
}

fn make_writable(dir: &Path) {
    // A failure leaves files behind in the temporary directory, which is no reason to fail a test.
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}
