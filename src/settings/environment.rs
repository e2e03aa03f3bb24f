//! The process's environment, read once: terminals, locale, directories.

use std::ffi::OsString;
use std::path::PathBuf;

use super::NotifyWays;

/// The variable with the token of agents over HTTP, which no command inherits.
pub(crate) const MCP_TOKEN: &str = "NIXMON_MCP_TOKEN";
/// The variable with the token of the hub's clients.
const HUB_TOKEN: &str = "NIXMON_HUB_TOKEN";

/// The environment of the process.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// Standard output and standard error are the same file, so that what goes to one stands among what goes to the other.
    pub stdout_is_stderr: bool,
    /// Standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and neither empty nor 0 (bixense.com/clicolors).
    pub clicolor_force: bool,
    /// `TERM` is `dumb`.
    pub dumb_terminal: bool,
    /// The terminal can move its cursor: `TERM` names one that is not known for the opposite.
    pub moves_cursor: bool,
    /// The terminal takes a window title.
    pub takes_title: bool,
    /// The terminal takes progress by OSC 9;4.
    pub takes_progress: bool,
    /// The locale's characters are UTF-8.
    pub utf8: bool,
    /// The user's home directory.
    pub home: Option<String>,
    /// The directory of the user's configuration files: `XDG_CONFIG_HOME`, else `.config` in the home directory.
    pub config_home: Option<PathBuf>,
    /// The directory for state of the user's programs: `XDG_STATE_HOME`, else `.local/state` in the home directory.
    pub state_home: Option<PathBuf>,
    /// Directories for the sockets of the user's programs: `XDG_RUNTIME_DIR` and the directory for temporary files.
    pub socket_dirs: Vec<PathBuf>,
    /// `NIX_CONFIG`: settings of Nix.
    pub nix_config: Option<OsString>,
    /// Nix's log directory.
    pub nix_log_dir: Option<String>,
    /// `NIX_STATE_DIR`: Nix's state directory.
    pub nix_state_dir: Option<PathBuf>,
    /// `NIXMON_LOG`: the level of diagnostics of nixmon itself.
    pub nixmon_log: Option<String>,
    /// `NIXMON_MCP_TOKEN`: the token of agents over HTTP.
    pub mcp_token: Option<String>,
    /// `NIXMON_HUB_TOKEN`: the token of the hub's clients.
    pub hub_token: Option<String>,
    /// `NIXMON_ALLOW_OTHER_OWNER`: the store of runs is written even if it belongs to another user.
    pub allow_other_owner: bool,
    /// The ways to notify the user of the end of a run.
    pub notify: NotifyWays,
}

impl Environment {
    /// Asks the process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn read() -> Self {
        use std::io::IsTerminal;
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let value = |name: &str| std::env::var(name).unwrap_or_default();
        let home = std::env::var("HOME").ok().filter(|home| home.starts_with('/'));
        // Relative paths are to be ignored (XDG Base Directory Specification).
        let xdg = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // A path need not be text.
        let in_home = |path| Some(xdg("HOME")?.join(path));
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(value).find(|value| !value.is_empty());
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdout_is_stderr: is_same_file(&std::io::stdout(), &std::io::stderr()),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            no_color: set("NO_COLOR"),
            clicolor_force: set("CLICOLOR_FORCE") && value("CLICOLOR_FORCE") != "0",
            dumb_terminal: value("TERM") == "dumb",
            moves_cursor: moves_cursor(&value("TERM")),
            takes_title: takes_title(&value("TERM")),
            takes_progress: takes_progress(&value("TERM_PROGRAM"), set("WT_SESSION"), &value("ConEmuANSI")),
            notify: NotifyWays::read(value, std::io::stderr().is_terminal()),
            utf8: locale.is_some_and(|locale| is_utf8(&locale)),
            config_home: xdg("XDG_CONFIG_HOME").or_else(|| in_home(".config")),
            nix_config: std::env::var_os("NIX_CONFIG"),
            state_home: xdg("XDG_STATE_HOME").or_else(|| in_home(".local/state")),
            socket_dirs: xdg("XDG_RUNTIME_DIR").into_iter().chain([std::env::temp_dir()]).collect(),
            nix_state_dir: xdg("NIX_STATE_DIR"),
            nix_log_dir: std::env::var("NIX_LOG_DIR").ok().or_else(|| {
                let state = std::env::var("NIX_STATE_DIR").ok()?;
                Some(std::path::Path::new(&state).parent()?.join("log/nix").to_string_lossy().into_owned())
            }),
            allow_other_owner: value("NIXMON_ALLOW_OTHER_OWNER") == "1",
            nixmon_log: std::env::var("NIXMON_LOG").ok().filter(|level| !level.is_empty()),
            mcp_token: std::env::var(MCP_TOKEN).ok().filter(|token| !token.is_empty()),
            hub_token: std::env::var(HUB_TOKEN).ok().filter(|token| !token.is_empty()),
            home,
        }
    }
}

fn is_same_file(a: &impl std::os::fd::AsFd, b: &impl std::os::fd::AsFd) -> bool {
    let identity = |file: &dyn std::os::fd::AsFd| {
        let stat = rustix::fs::fstat(file.as_fd()).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    identity(a).is_some_and(|a| Some(a) == identity(b))
}

/// Returns whether a terminal with this name can move its cursor. Editors' shells and consoles of CI systems cannot.
pub(super) fn moves_cursor(term: &str) -> bool {
    !matches!(term, "" | "dumb" | "unknown" | "emacs" | "network" | "dialup")
}

/// Returns whether a terminal with this name takes a title and keeps the old one; others would print it or ignore it.
pub(super) fn takes_title(term: &str) -> bool {
    const FAMILIES: [&str; 10] =
        ["xterm", "rxvt", "tmux", "screen", "alacritty", "foot", "ghostty", "wezterm", "vte", "st-"];
    FAMILIES.iter().any(|family| term.starts_with(family))
}

/// Returns whether the terminal takes OSC 9;4 for progress. Others show it as a notification.
pub(super) fn takes_progress(program: &str, windows_terminal: bool, con_emu: &str) -> bool {
    windows_terminal || con_emu == "ON" || matches!(program, "ghostty" | "WezTerm")
}

pub(super) fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
