//! nixmon's recorded runs and builds as tools of the Model Context Protocol.
//!
//! [`Server`] answers from a store of runs; the program around it says where that is and how a run starts ([`Program`]).
//! Transports are features: `stdio` and `http`. The server keeps no state that matters: a run, its id and its news are in the
//! store, so that they outlive the server and the client.

mod access;
mod answers;
mod args;
mod call;
#[cfg(feature = "http")]
pub mod http;
mod logs;
mod plan;
mod program;
mod prompts;
mod refusal;
mod resources;
mod server;
#[cfg(feature = "stdio")]
mod stdio;
mod tasks;
mod tools;
mod wait;
mod words;

pub use access::{Access, Profile, matches_pattern};
pub use answers::{
    BuildProgress, EventAnswer, HistoryAnswer, JobsAnswer, PackageHistoryAnswer, PackageStatusAnswer,
    PackageTimes, PastRun, ResourcePrediction,
};
pub use program::{
    CommandKind, Estimate, Events, Generation, History, NothingYet, Order, Packages, PlanCheck, Program,
    StartError,
};
pub use refusal::Refusal;
pub use server::Server;
#[cfg(feature = "stdio")]
pub use stdio::serve_stdio;
pub use words::{LONG, SHORT, clean};
