//! A command with a home directory of its own.

#![expect(clippy::disallowed_methods, reason = "a test passes PATH on")]

use std::path::Path;
use std::process::{Command, Stdio};

/// Gives a program, such as nixmon, arguments and an environment that holds nothing of this machine's but `PATH`.
pub(crate) fn at_home(mut command: Command, home: &Path, args: &[&str]) -> Command {
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("LANG", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}
