//! The hub with what it keeps: engines, agents, and what becomes of the data when one of them dies.

#![expect(clippy::disallowed_methods, reason = "tests start servers, and wait by the clock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agents;
mod client;
mod cluster;
mod engines;
mod kills;
#[path = "../../../../tests/common/require.rs"]
mod require;
mod suite;
