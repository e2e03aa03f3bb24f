//! `nixmon watch --install`: a unit of the user's service manager.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cli::WatchArgs;
use crate::commands::unit::{self, ServiceUnit};
use crate::exit_status::ExitStatus;
use crate::settings::Settings;

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
    let unit = ServiceUnit {
        name: "watch",
        description: "one event per build",
        words,
        of_unit: "",
        of_service: "Restart=on-failure\nRestartSec=5\nNice=5\n".to_owned(),
        target: "default.target",
        keys: "  <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    \
            <false/>\n  </dict>\n  <key>ProcessType</key>\n  <string>Background</string>\n",
    };
    if cfg!(target_os = "macos") {
        let home = settings.watch.home.as_deref().map(PathBuf::from).context("no home directory is known")?;
        let path = home.join("Library/LaunchAgents/nixmon.watch.plist");
        let start = format!("launchctl bootstrap gui/$(id -u) '{}'", path.display());
        return unit.write(&path, unit.launchd(), &start);
    }
    let own = settings.watch.config_home.clone();
    let path = own.context("no home directory is known")?.join("systemd/user/nixmon-watch.service");
    unit.write(
        &path,
        unit.systemd(),
        "systemctl --user daemon-reload && systemctl --user enable --now nixmon-watch",
    )
}
