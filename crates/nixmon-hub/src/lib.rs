//! nixmon's recorded runs as pages and an HTTP API.
//!
//! [`serve`] answers from a store of runs, which it only reads; the program around it says where that is ([`Program`]). The hub
//! keeps nothing that matters: a hub that is killed and started again serves the same, and streams go on where they were.

mod accept;
mod access;
mod actions;
mod answers;
mod api;
mod board;
mod caller;
mod detail;
pub mod engine;
mod enroll;
mod events;
mod failure;
mod fleet;
mod hosts;
mod hub;
mod ingest;
mod kept;
mod limits;
mod log;
mod metrics;
mod mirror;
mod openapi;
mod page;
mod play;
mod program;
mod routes;
mod server;
mod source;

pub use program::Program;
pub use server::{Config, HubError, serve};
