//! Messages between nixmon's agents and its hub, and the states of hosts.
//!
//! One WebSocket joins an agent to a hub. Text messages are JSON: [`FromAgent`] and [`FromHub`]. Binary messages are
//! [`Piece`]s of the growing files of a run.

mod command;
mod file;
mod host;
mod message;
mod piece;

pub use command::{CommandId, CommandNews, CommandRequest, CommandState, OnDeadline};
pub use file::{RunFile, UnknownFile};
pub use host::{Beat, BusyRun, HostName, HostState, InvalidName, Load, host_state};
pub use message::{
    Ack, Document, FromAgent, FromHub, Gap, Hello, KnownDocument, KnownFile, KnownRun, Refusal, RunEnd,
    Welcome,
};
pub use piece::{MAX_PIECE, Piece, PieceError};

use std::time::Duration;

/// The version of the messages. A hub refuses an agent of another one, and says which it wants.
pub const PROTOCOL: u32 = 1;
/// The path of the WebSocket at a hub.
pub const AGENT_PATH: &str = "/api/v1/agent";
/// Time between two beats of an agent.
pub const BEAT: Duration = Duration::from_secs(10);
/// Number of missed beats after which a host is stale.
pub const STALE_BEATS: u32 = 3;
/// Number of missed beats after which a host is offline.
pub const OFFLINE_BEATS: u32 = 10;
/// Number of missed beats for which a host that went away during a switch counts as restarting.
pub const RESTART_BEATS: u32 = 60;
/// Time between two pieces of a file while nobody looks at its run.
pub const PACE_UNWATCHED: Duration = Duration::from_secs(1);
/// Time between two pieces of a file while somebody looks at its run.
pub const PACE_WATCHED: Duration = Duration::from_millis(250);
/// Largest text message, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
