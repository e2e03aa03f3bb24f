//! Arguments of `nixmon agent`.

#[cfg(feature = "agent")]
use std::path::PathBuf;

use clap::ValueEnum;
#[cfg(feature = "agent")]
use clap::{Args, Subcommand, ValueHint};

#[cfg(feature = "agent")]
pub(super) const EXAMPLES: &str = "\
Examples:
  nixmon agent enroll --hub https://hub.example.org CODE  # once: gets a token
  nixmon agent --hub https://hub.example.org              # until ^C
  nixmon agent --hub https://hub.example.org --install    # as a service";

/// The hub, and the name of this host there.
#[cfg(feature = "agent")]
#[derive(Clone, Debug, Default, Args)]
pub struct HubClientArgs {
    /// The address of the hub, as https://hub.example.org:7766 [default: `hub` in [agent] of the configuration]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub hub: Option<String>,
    /// The name of this host at the hub [default: that of the machine]
    #[arg(long = "host", value_name = "NAME")]
    pub host: Option<String>,
    /// The token of this host is in FILE [default: token beside the state of the agent]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Trust the authorities in FILE instead of those of the system
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca: Option<PathBuf>,
    /// Speak with a hub on another machine without TLS: anyone on the network path can read the logs and the token
    #[arg(long)]
    pub insecure: bool,
}

/// The work of an agent.
#[cfg(feature = "agent")]
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AgentArgs {
    /// Something else than to serve the hub.
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    /// The hub.
    #[command(flatten)]
    pub hub: HubClientArgs,
    /// The runs to mirror [default: all]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub runs: Option<MirroredArg>,
    /// Write a service for this command, and print how to start it: of systemd, for the system if you are root, or of launchd
    #[arg(long)]
    pub install: bool,
}

/// Work of an agent that ends at once.
#[cfg(feature = "agent")]
#[derive(Clone, Debug, Subcommand)]
pub enum AgentCommand {
    /// Exchange a code of the hub, which works once, for the token of this host
    Enroll {
        /// The hub.
        #[command(flatten)]
        hub: HubClientArgs,
        /// The code
        #[arg(value_name = "CODE")]
        code: String,
    },
}

/// Runs that an agent mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MirroredArg {
    /// All runs of this user
    All,
    /// Those that the hub has asked for
    Commands,
}
