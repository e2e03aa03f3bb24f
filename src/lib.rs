//! The program `nixmon`, as a library for its own tests and benches.
//!
//! Other programs use the crates below it: `nixmon-log` reads what Nix prints, `nixmon-core` makes a state, lines and JSON
//! of it, `nixmon-runs` keeps and looks up runs. This crate has the edges: arguments, settings, the loops around a
//! pipeline, the monitor of a command. `ARCHITECTURE.md` in the repository is the map.

pub mod cli;
pub mod commands;
#[doc(hidden)]
pub mod drive;
pub mod exit_status;
#[cfg(feature = "agent")]
mod fleet;
#[doc(hidden)]
pub mod history;
mod limited;
mod monitor;
// For the tests that try its command lines on real Nix.
#[doc(hidden)]
pub mod nix_commands;
#[doc(hidden)]
pub mod packages;
pub mod settings;
