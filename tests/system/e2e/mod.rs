//! The program behind real Nix, and beside other programs in a pipe.

#![expect(clippy::disallowed_methods, reason = "these tests start processes and watch the clock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arguments;
mod builds;
mod harness;
mod pipes;
mod scripts;
mod signals;
