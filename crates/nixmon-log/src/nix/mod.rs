//! Nix's own words and formats, under the names that nix-compat gives them.
//!
//! Imports nothing of ours but `text`.

pub mod closing;
pub mod derivation;
pub mod error;
pub mod log;
pub mod nixbase32;
pub mod store_path;
