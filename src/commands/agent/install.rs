//! `nixmon agent --install`: a service of the system or of the user.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::{AgentArgs, MirroredArg};
use crate::commands::unit::{self, ServiceUnit};
use crate::exit_status::ExitStatus;
use crate::fleet::Client;
use crate::settings::Settings;

/// Commands have processes of their own, which outlive the agent; and a switch neither stops nor restarts the agent that runs it.
const OF_SERVICE: &str = "Restart=always\nRestartSec=30\nKillMode=process\n";
const OF_UNIT: &str = "After=network-online.target\nWants=network-online.target\nX-RestartIfChanged=false\nX-StopIfChanged=false\n";
const KEYS: &str = "  <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <true/>\n  <key>ThrottleInterval</key>\n  \
    <integer>30</integer>\n  <key>AbandonProcessGroup</key>\n  <true/>\n";

/// Writes the unit, and says how to start it.
pub(super) fn install(settings: &Settings, args: &AgentArgs, client: &Client) -> Result<ExitStatus> {
    let mut words = unit::words(settings, "agent")?;
    words.extend(["--hub".to_owned(), client.hub.to_string(), "--host".to_owned(), client.host.to_string()]);
    let absolute = |path: &Path| -> Result<String> { unit::text(std::path::absolute(path)?) };
    words.extend(["--token-file".to_owned(), absolute(&client.token_file)?]);
    if let Some(ca) = &client.ca {
        words.extend(["--ca".to_owned(), absolute(ca)?]);
    }
    if args.hub.insecure {
        words.push("--insecure".to_owned());
    }
    if args.runs == Some(MirroredArg::Commands) {
        words.push("--runs=commands".to_owned());
    }
    let is_root = rustix::process::geteuid().is_root();
    let home = settings.agent.home.clone();
    let home = || home.clone().context("no home directory is known");
    // Services of the system have no home directory, nor the programs of a login.
    let environment = || -> Result<String> {
        let home = unit::text(home()?)?;
        Ok(format!(
            "Environment=\"HOME={home}\"\nEnvironment=PATH=/run/wrappers/bin:/nix/var/nix/profiles/default/bin:\
            /run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        ))
    };
    let of_service = if is_root { format!("{OF_SERVICE}{}", environment()?) } else { OF_SERVICE.to_owned() };
    let unit = ServiceUnit {
        name: "agent",
        description: "reports runs to a hub",
        words,
        of_unit: OF_UNIT,
        of_service,
        target: if is_root { "multi-user.target" } else { "default.target" },
        state: unit::state(settings, settings.agent.home.as_deref())?,
        keys: KEYS,
    };
    if cfg!(target_os = "macos") {
        let (path, domain) = if is_root {
            (PathBuf::from("/Library/LaunchDaemons/nixmon.agent.plist"), "system")
        } else {
            (home()?.join("Library/LaunchAgents/nixmon.agent.plist"), "gui/$(id -u)")
        };
        let start = format!("launchctl bootstrap {domain} '{}'", path.display());
        return unit.write(&path, unit.launchd(), &start);
    }
    if is_root {
        let path = Path::new("/etc/systemd/system/nixmon-agent.service");
        let start = "systemctl daemon-reload && systemctl enable --now nixmon-agent";
        return unit.write(path, unit.systemd(), start);
    }
    let own = settings.agent.config_home.clone().context("no home directory is known")?;
    let path = own.join("systemd/user/nixmon-agent.service");
    let start = "systemctl --user daemon-reload && systemctl --user enable --now nixmon-agent; loginctl enable-linger lets it run \
        without a login";
    unit.write(&path, unit.systemd(), start)
}
