//! Units of service managers: systemd and launchd.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nixmon_log::escapes::escape;

use super::print;
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;

/// A service that runs this program.
pub(super) struct ServiceUnit {
    /// Its name, as `watch`.
    pub(super) name: &'static str,
    /// One line about it.
    pub(super) description: &'static str,
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// Lines for the section `[Unit]` of systemd.
    pub(super) of_unit: &'static str,
    /// Lines for the section `[Service]` of systemd.
    pub(super) of_service: String,
    /// The target of systemd that wants it.
    pub(super) target: &'static str,
    /// The directory of states, if it is not the usual one: a service does not have the environment of this terminal.
    pub(super) state: Option<String>,
    /// Keys of launchd, two spaces in front of each line.
    pub(super) keys: &'static str,
}

impl ServiceUnit {
    /// Returns a unit of systemd (systemd.service(5); quoting as in systemd.syntax(7)).
    pub(super) fn systemd(&self) -> String {
        let quote = |word: &str| {
            let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
            format!("\"{escaped}\"")
        };
        // Variables are put in here, and nowhere else.
        let words = self.words.iter().map(|word| quote(&word.replace('$', "$$")));
        let command = words.collect::<Vec<_>>().join(" ");
        let state = self.state.as_ref().map(|state| quote(&format!("XDG_STATE_HOME={state}")));
        let state = state.map(|variable| format!("Environment={variable}\n")).unwrap_or_default();
        let Self { description, of_unit, of_service, target, .. } = self;
        format!(
            "[Unit]\nDescription=nixmon: {description}\n{of_unit}\n[Service]\nExecStart={command}\n{state}{of_service}\n\
            [Install]\nWantedBy={target}\n"
        )
    }

    /// Returns an agent or a daemon of launchd (launchd.plist(5)).
    pub(super) fn launchd(&self) -> String {
        let escape = |word: &str| word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let arguments: String =
            self.words.iter().map(|word| format!("    <string>{}</string>\n", escape(word))).collect();
        let state = self.state.as_ref().map(|state| {
            format!(
                "  <key>EnvironmentVariables</key>\n  <dict>\n    <key>XDG_STATE_HOME</key>\n    \
                <string>{}</string>\n  </dict>\n",
                escape(state)
            )
        });
        let state = state.unwrap_or_default();
        let Self { name, keys, .. } = self;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
            <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>nixmon.{name}</string>\n  \
            <key>ProgramArguments</key>\n  <array>\n{arguments}  </array>\n{state}{keys}</dict>\n</plist>\n"
        )
    }

    /// Writes the unit to a file, and says how to start it. It starts nothing itself.
    pub(super) fn write(&self, path: &Path, text: String, start: &str) -> Result<ExitStatus> {
        if self.words.iter().chain(&self.state).any(|word| word.contains(|c: char| c.is_control())) {
            return Err(Failed::error(
                ExitStatus::Usage,
                "an argument has control characters, which a unit cannot hold",
            ));
        }
        let directory = path.parent().context("no directory")?;
        std::fs::create_dir_all(directory).and_then(|()| std::fs::write(path, text)).map_err(|error| {
            Failed::error(ExitStatus::Io, escape(&format!("cannot write {}: {error}", path.display())))
        })?;
        let said = format!("wrote {}\nstart it with: {start}", path.display());
        print(format!("{}\n", escape(&said)).as_bytes())?;
        Ok(ExitStatus::Success)
    }
}

/// Returns the words that run a subcommand of this program with the same configuration.
pub(super) fn words(settings: &Settings, subcommand: &str) -> Result<Vec<String>> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let mut words = vec![text(program)?, subcommand.to_owned()];
    if let Some(path) = settings.config_file.as_ref().filter(|_| settings.config_exists) {
        words.extend(["--config".to_owned(), text(std::path::absolute(path)?)?]);
    }
    Ok(words)
}

/// Returns the directory of states, if it is not that of `home`.
pub(super) fn state(settings: &Settings, home: Option<&Path>) -> Result<Option<String>> {
    let usual = home.map(|home| home.join(".local/state"));
    settings.state_home.clone().filter(|state| usual.as_ref() != Some(state)).map(text).transpose()
}

/// Returns a path as text.
pub(super) fn text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        Failed::error(
            ExitStatus::Usage,
            format!("{}: not UTF-8, which a unit cannot hold", path.to_string_lossy()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        let words =
            ["/a b/nixmon", "watch", "--hook", "echo \"$HOME\" 100% \\ <&>"].map(str::to_owned).to_vec();
        let unit = ServiceUnit {
            name: "watch",
            description: "x",
            words,
            of_unit: "",
            of_service: String::new(),
            target: "default.target",
            state: Some("/a b/&$x%".to_owned()),
            keys: "",
        };
        let (systemd, launchd) = (unit.systemd(), unit.launchd());
        let start = "ExecStart=\"/a b/nixmon\" \"watch\" \"--hook\" \"echo \\\"$$HOME\\\" 100%% \\\\ <&>\"\n";
        assert!(systemd.contains(start), "{systemd}");
        assert!(systemd.contains("\nEnvironment=\"XDG_STATE_HOME=/a b/&$x%%\"\n"), "{systemd}");
        assert!(
            launchd.contains("    <key>XDG_STATE_HOME</key>\n    <string>/a b/&amp;$x%</string>\n"),
            "{launchd}"
        );
        assert!(launchd.contains("    <string>echo \"$HOME\" 100% \\ &lt;&amp;&gt;</string>\n"), "{launchd}");
    }
}
