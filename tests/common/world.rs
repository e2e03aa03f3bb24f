//! Real Nix, which may be another one than the machine's, with a directory of files to build.

#![expect(clippy::disallowed_methods, reason = "a test with real Nix writes files and reads the environment")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use super::nix::Nix;
use super::require::require;

/// A Nix with an empty store, and a directory with the files.
pub(crate) struct World {
    /// The store.
    pub(crate) nix: Nix,
    /// Directory of Nix's commands, if not on the machine's PATH.
    pub(crate) commands: Option<PathBuf>,
}

impl World {
    /// Makes both, or says that the test is skipped. In the files, `@system@` and `@bash@` are replaced by this machine's.
    pub(crate) fn with_files(commands: Option<&Path>, files: &[(&str, &str)]) -> Option<Self> {
        let nix = Nix::new()?;
        let bash = require("bash")?;
        let dir = nix.root().join("files");
        fs::create_dir(&dir).unwrap();
        let system =
            format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS.replace("macos", "darwin"));
        for (name, text) in files {
            let text = text.replace("@system@", &system).replace("@bash@", bash.to_str().unwrap());
            fs::write(dir.join(name), text).unwrap();
            date(&dir.join(name));
        }
        date(&dir);
        let world = Self { nix, commands: commands.map(Path::to_owned) };
        // Two processes that make the same database at once disturb each other.
        assert!(world.run(&["nix-store", "--init"]).status.success());
        Some(world)
    }

    /// A command that finds this Nix on its PATH, in the directory of the files.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = std::env::var_os("PATH").unwrap();
        let dirs = self.commands.clone().into_iter().chain(std::env::split_paths(&path));
        let mut command = self.nix.command(program);
        command
            .env("PATH", std::env::join_paths(dirs).unwrap())
            .env("XDG_STATE_HOME", self.nix.root().join("state"))
            .env("LC_ALL", "C.UTF-8")
            .env("NIX_BUILD_SHELL", require("bash").unwrap())
            .current_dir(self.nix.root().join("files"));
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "TERM", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "FLAGS"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command of several words.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Output {
        let program = words[0].as_ref().to_str().unwrap();
        self.command(program).args(&words[1..]).output().unwrap()
    }

    /// Text in which the store of one test looks like that of another.
    pub(crate) fn text(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).replace(self.nix.root().to_str().unwrap(), "@root@");
        // A digest depends on where the store is.
        let mut words: Vec<&str> = text.split_inclusive(['-', '/', '"']).collect();
        for at in 0..words.len() {
            if words[at].len() == 33 && words[at].ends_with('-') {
                words[at] = "@digest@-";
            }
            // The digest's first two characters are a directory for a log file.
            if let ["drvs/", head, tail] = &mut words[at.saturating_sub(2)..=at]
                && (head.len(), tail.len()) == (3, 31)
            {
                (*head, *tail) = ("", "@digest@-");
            }
        }
        words.concat()
    }
}

/// Gives it the age that it has in all tests, since a flake is known by the age of its files, too.
fn date(path: &Path) {
    let day = Duration::from_secs(24 * 60 * 60);
    fs::File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + 20_000 * day).unwrap();
}
