//! Tests of the program among other processes: real Nix, terminals, pipes, signals, kills, full disks.

mod command_lines;
mod command_table;
mod command_terminal;
mod common;
mod e2e;
mod faults;
mod flake;
mod history;
#[cfg(feature = "hub")]
mod hub;
mod live;
#[cfg(feature = "mcp")]
mod mcp;
mod newer_nix;
mod order;
mod pty;
mod run_nix;
mod runs;
mod writer;
