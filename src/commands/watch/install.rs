//! `nixmon watch --install` and `--uninstall`: a unit of the user's service manager.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::WatchArgs;
use crate::commands::print;
use crate::commands::unit::{self, ServiceUnit};
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;
use nixmon_log::escapes::escape;

/// Writes the unit, and says how to start it. It starts nothing itself.
pub(super) fn install(settings: &Settings, args: &WatchArgs) -> Result<ExitStatus> {
    let mut words = unit::words(settings, "watch")?;
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
    let home = settings.watch.home.as_deref().map(Path::new);
    let unit = ServiceUnit {
        name: "watch",
        description: "one event per build",
        words,
        of_unit: "",
        of_service: "Restart=on-failure\nRestartSec=5\nNice=5\n".to_owned(),
        target: "default.target",
        // Others look for its events where this terminal has them.
        state: unit::state(settings, home)?,
        keys: "  <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    \
            <false/>\n  </dict>\n  <key>ProcessType</key>\n  <string>Background</string>\n",
    };
    let path = path(settings)?;
    if cfg!(target_os = "macos") {
        let start = format!("launchctl bootstrap gui/$(id -u) '{}'", path.display());
        return unit.write(&path, unit.launchd(), &start);
    }
    let start = "systemctl --user daemon-reload && systemctl --user enable --now nixmon-watch";
    unit.write(&path, unit.systemd(), start)
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
