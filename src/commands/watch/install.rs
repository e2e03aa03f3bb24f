//! `nixmon watch --install` and `--uninstall`: a unit of the user's service manager.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cli::WatchArgs;
use crate::commands::print;
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;
use nixmon_log::escapes::escape;

/// Writes the unit, and says how to start it. It starts nothing itself.
pub(super) fn install(settings: &Settings, args: &WatchArgs) -> Result<ExitStatus> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let mut words = vec![text(program)?, "watch".to_owned()];
    if let Some(path) = settings.config_file.as_ref().filter(|_| settings.config_exists) {
        words.extend(["--config".to_owned(), text(std::path::absolute(path)?)?]);
    }
    let value = |arg: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        arg().map(|value| value.get_name().to_owned())
    };
    if let Some(engage) = args.engage {
        words.extend(
            value(&|| clap::ValueEnum::to_possible_value(&engage)).map(|name| format!("--engage={name}")),
        );
    }
    if let Some(backend) = args.backend {
        words.extend(
            value(&|| clap::ValueEnum::to_possible_value(&backend)).map(|name| format!("--backend={name}")),
        );
    }
    if let Some(hook) = &args.hook {
        words.extend(["--hook".to_owned(), hook.clone()]);
    }
    if args.notify {
        words.push("--notify".to_owned());
    }
    if words.iter().any(|word| word.contains(|c: char| c.is_control())) {
        return Err(Failed::error(
            ExitStatus::Usage,
            "an argument has control characters, which a unit cannot hold",
        ));
    }
    // A service does not have the environment of this terminal, and others look for its events where this one has them.
    let usual = settings.watch.home.as_deref().map(|home| PathBuf::from(home).join(".local/state"));
    let state = settings.state_home.clone().filter(|state| usual.as_ref() != Some(state));
    let state = state.map(text).transpose()?;
    let path = path(settings)?;
    let (unit, start) = if cfg!(target_os = "macos") {
        (agent(&words, state.as_deref()), format!("launchctl bootstrap gui/$(id -u) '{}'", path.display()))
    } else {
        let start = "systemctl --user daemon-reload && systemctl --user enable --now nixmon-watch".to_owned();
        (service(&words, state.as_deref()), start)
    };
    let directory = path.parent().context("no directory")?;
    std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, unit)).map_err(|error| {
        Failed::error(ExitStatus::Io, escape(&format!("cannot write {}: {error}", path.display())))
    })?;
    let said = format!("wrote {}\nstart it with: {start}", path.display());
    print(format!("{}\n", escape(&said)).as_bytes())?;
    Ok(ExitStatus::Success)
}

/// Removes the unit, and says how to end the service. It ends nothing itself.
pub(super) fn uninstall(settings: &Settings) -> Result<ExitStatus> {
    let path = path(settings)?;
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("{}: there is no unit", path.display());
            return Err(Failed::error(ExitStatus::NotFound, escape(&message)));
        }
        Err(error) => {
            let message = format!("cannot remove {}: {error}", path.display());
            return Err(Failed::error(ExitStatus::Io, escape(&message)));
        }
    }
    let stop = if cfg!(target_os = "macos") {
        "launchctl bootout gui/$(id -u)/nixmon.watch"
    } else {
        // `systemctl enable` has made it, and `disable` knows no unit without a file.
        let enabled = path.with_file_name("default.target.wants").join("nixmon-watch.service");
        if std::fs::read_link(&enabled).is_ok() {
            std::fs::remove_file(&enabled).with_context(|| format!("cannot remove {}", enabled.display()))?;
        }
        "systemctl --user stop nixmon-watch && systemctl --user daemon-reload"
    };
    let said = format!("removed {}\nif it is running, stop it with: {stop}", path.display());
    print(format!("{}\n", escape(&said)).as_bytes())?;
    Ok(ExitStatus::Success)
}

/// Returns the place of the unit.
fn path(settings: &Settings) -> Result<PathBuf> {
    let (base, name) = if cfg!(target_os = "macos") {
        (settings.watch.home.as_deref().map(PathBuf::from), "Library/LaunchAgents/nixmon.watch.plist")
    } else {
        (settings.watch.config_home.clone(), "systemd/user/nixmon-watch.service")
    };
    Ok(base.context("no home directory is known")?.join(name))
}

fn text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        Failed::error(
            ExitStatus::Usage,
            format!("{}: not UTF-8, which a unit cannot hold", path.to_string_lossy()),
        )
    })
}

/// Returns a unit of systemd (systemd.service(5); quoting as in systemd.syntax(7)).
fn service(words: &[String], state: Option<&str>) -> String {
    let quote = |word: &str| {
        let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
        format!("\"{escaped}\"")
    };
    // Variables are put in here, and nowhere else.
    let command = words.iter().map(|word| quote(&word.replace('$', "$$"))).collect::<Vec<_>>().join(" ");
    let environment = state.map(|state| quote(&format!("XDG_STATE_HOME={state}")));
    let environment = environment.map(|variable| format!("Environment={variable}\n")).unwrap_or_default();
    format!(
        "[Unit]\nDescription=nixmon: one event per build\n\n[Service]\nExecStart={command}\n{environment}Restart=on-failure\n\
        RestartSec=5\nNice=5\n\n[Install]\nWantedBy=default.target\n"
    )
}

/// Returns an agent of launchd (launchd.plist(5)).
fn agent(words: &[String], state: Option<&str>) -> String {
    let escape = |word: &str| word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let arguments: String =
        words.iter().map(|word| format!("    <string>{}</string>\n", escape(word))).collect();
    let environment = state.map(|state| {
        format!(
            "  <key>EnvironmentVariables</key>\n  <dict>\n    <key>XDG_STATE_HOME</key>\n    \
            <string>{}</string>\n  </dict>\n",
            escape(state)
        )
    });
    let environment = environment.unwrap_or_default();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
        <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>nixmon.watch</string>\n  \
        <key>ProgramArguments</key>\n  <array>\n{arguments}  </array>\n{environment}  <key>RunAtLoad</key>\n  <true/>\n  \
        <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n  \
        <key>ProcessType</key>\n  <string>Background</string>\n</dict>\n</plist>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        let words = ["/a b/nixmon", "watch", "--hook", "echo \"$HOME\" 100% \\ <&>"].map(str::to_owned);
        let unit = service(&words, Some("/a b/$x%"));
        let start = "ExecStart=\"/a b/nixmon\" \"watch\" \"--hook\" \"echo \\\"$$HOME\\\" 100%% \\\\ <&>\"\n";
        assert!(unit.contains(start), "{unit}");
        assert!(unit.contains("\nEnvironment=\"XDG_STATE_HOME=/a b/$x%%\"\n"), "{unit}");
        let agent = agent(&words, Some("/a&b"));
        assert!(agent.contains("    <key>XDG_STATE_HOME</key>\n    <string>/a&amp;b</string>\n"), "{agent}");
        assert!(agent.contains("    <string>echo \"$HOME\" 100% \\ &lt;&amp;&gt;</string>\n"), "{agent}");
    }
}
