#![doc = include_str!("../README.md")]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests write files"))]

mod active_builds;
#[cfg(target_os = "linux")]
mod connector;
#[cfg(target_os = "linux")]
mod ends;
mod journal;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod linux;
#[cfg(target_os = "linux")]
mod look;
mod marker;
pub mod model;
#[cfg(target_os = "linux")]
mod self_test;
mod sensor;
mod shell;

pub use active_builds::ActiveBuilds;
pub use journal::{Held, Journal, Page};
pub use marker::Markers;
pub use sensor::{Happened, Losses, NoBackend, Sensor, Trial};
pub use shell::{Report, Shell, Spool};
