//! Arguments of what serves agents and browsers.

#[cfg(feature = "hub")]
use std::path::PathBuf;

#[cfg(any(feature = "hub", feature = "mcp"))]
use clap::Args;
use clap::ValueEnum;
#[cfg(feature = "hub")]
use clap::{Subcommand, ValueHint};

/// The way to serve agents, and the extent of what they may do.
#[cfg(feature = "mcp")]
#[derive(Clone, Debug, Args)]
pub struct McpArgs {
    /// Serve over HTTP at /mcp, on this address
    #[cfg(feature = "mcp-http")]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8271")]
    pub http: Option<std::net::SocketAddr>,
    /// The extent of what a client may do [default: all; over HTTP: read-only]
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub profile: Option<ProfileArg>,
}

/// The address of the hub, and who may use it.
#[cfg(feature = "hub")]
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HubArgs {
    /// The hosts whose agents may report to the hub
    #[command(subcommand)]
    pub manage: Option<HubManage>,
    /// Serve at this address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7766")]
    pub listen: std::net::SocketAddr,
    /// Also answer to this name of this host, as of a proxy in front; needs a token
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Ask for the token in FILE, or in NIXMON_HUB_TOKEN; a browser asks for it as a password
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// The engine
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Serve other machines without TLS: anyone on the network path can read the logs and the token
    #[arg(long)]
    pub insecure: bool,
}

/// The engine of a hub.
#[cfg(feature = "hub")]
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// Keep hosts, runs and accounts in the PostgreSQL database at this address, which several hubs may share
    #[arg(long, value_name = "postgres://…")]
    pub engine: Option<String>,
}

/// Parts of a hub that can be managed.
#[cfg(feature = "hub")]
#[derive(Clone, Debug, Subcommand)]
pub enum HubManage {
    /// Manage the hosts whose agents may report to the hub
    #[command(subcommand)]
    Host(HubHost),
}

/// Changes of the hosts of a hub.
#[cfg(feature = "hub")]
#[derive(Clone, Debug, Subcommand)]
pub enum HubHost {
    /// Add a host, and print a code that works once, within an hour: `nixmon agent enroll` takes it
    Add(HubHostArgs),
    /// Take back all tokens of a host: its agent can report no more
    Revoke(HubHostArgs),
    /// Remove a host with all that is kept of it
    Remove(HubHostArgs),
    /// List the hosts
    List(EngineArgs),
}

/// A host of a hub.
#[cfg(feature = "hub")]
#[derive(Clone, Debug, Args)]
pub struct HubHostArgs {
    /// The name of the host
    pub name: String,
    /// The engine
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The extent of what a client of `nixmon mcp` may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// Look at runs
    ReadOnly,
    /// Also start commands that build and change nothing, and those that [mcp] allow names; stop runs
    Build,
    /// Also switch this machine to another configuration
    Switch,
    /// Also start any other command
    All,
}
