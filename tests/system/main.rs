//! Tests of the program among other processes: real Nix, terminals, pipes, signals, kills, full disks.

mod command_lines;
mod command_table;
mod command_terminal;
mod common;
mod e2e;
mod faults;
mod flake;
#[cfg(feature = "agent")]
mod fleet;
mod history;
#[cfg(feature = "hub")]
mod hub;
mod inside;
mod live;
#[cfg(feature = "mcp")]
mod mcp;
mod measured;
mod newer_nix;
mod order;
mod package_runs;
mod packages;
#[cfg(feature = "mcp")]
mod past;
mod pty;
mod run_nix;
mod runs;
#[cfg(target_os = "linux")]
mod watch;
mod writer;
