#![doc = include_str!("../README.md")]

pub mod estimate;
#[cfg(feature = "sqlite")]
pub mod export;
#[cfg(feature = "sqlite")]
pub mod import;
pub mod jobs;
pub mod name;
pub mod packages;
pub mod record;
pub mod stats;
#[cfg(feature = "sqlite")]
pub mod store;
