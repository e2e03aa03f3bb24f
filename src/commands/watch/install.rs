//! `nixmon watch --install`: a unit of the user's service manager.

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
    let home = settings.watch.home.as_deref().map(PathBuf::from);
    let (path, unit, start) = if cfg!(target_os = "macos") {
        let home = home.context("no home directory is known")?;
        let path = home.join("Library/LaunchAgents/nixmon.watch.plist");
        let start = format!("launchctl bootstrap gui/$(id -u) '{}'", path.display());
        (path, agent(&words), start)
    } else {
        let own = settings.watch.config_home.clone();
        let path = own.context("no home directory is known")?.join("systemd/user/nixmon-watch.service");
        let start = "systemctl --user daemon-reload && systemctl --user enable --now nixmon-watch".to_owned();
        (path, service(&words), start)
    };
    let directory = path.parent().context("no directory")?;
    std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, unit)).map_err(|error| {
        Failed::error(ExitStatus::Io, escape(&format!("cannot write {}: {error}", path.display())))
    })?;
    let said = format!("wrote {}\nstart it with: {start}", path.display());
    print(format!("{}\n", escape(&said)).as_bytes())?;
    Ok(ExitStatus::Success)
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
fn service(words: &[String]) -> String {
    let quote = |word: &String| {
        let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
        format!("\"{escaped}\"")
    };
    let command = words.iter().map(quote).collect::<Vec<_>>().join(" ");
    format!(
        "[Unit]\nDescription=nixmon: one event per build\n\n[Service]\nExecStart={command}\nRestart=on-failure\n\
        RestartSec=5\nNice=5\n\n[Install]\nWantedBy=default.target\n"
    )
}

/// Returns an agent of launchd (launchd.plist(5)).
fn agent(words: &[String]) -> String {
    let escape = |word: &String| word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let arguments: String =
        words.iter().map(|word| format!("    <string>{}</string>\n", escape(word))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
        <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>nixmon.watch</string>\n  \
        <key>ProgramArguments</key>\n  <array>\n{arguments}  </array>\n  <key>RunAtLoad</key>\n  <true/>\n  \
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
        let unit = service(&words);
        let start = "ExecStart=\"/a b/nixmon\" \"watch\" \"--hook\" \"echo \\\"$$HOME\\\" 100%% \\\\ <&>\"\n";
        assert!(unit.contains(start), "{unit}");
        let agent = agent(&words);
        assert!(agent.contains("    <string>echo \"$HOME\" 100% \\ &lt;&amp;&gt;</string>\n"), "{agent}");
    }
}
