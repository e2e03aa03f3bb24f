//! The state of a Nix build from its log, and how it reads.
//!
//! Inputs with their times go in, changes and requests come out: [`state`] keeps derivations, the graph between them,
//! transfers, failures, the phase and the activation. [`view`] borrows from it at a moment, [`render`] makes lines and
//! [`wire`] makes JSON of it, [`frontend`] writes, and [`pipeline`] is all of that behind one type. [`activation`] knows the
//! tools that switch configurations, [`excerpt`] picks the lines of a log that say why a build failed, [`text`] has
//! widths, styles, durations and sizes. Nothing here does I/O, reads a clock or needs an executor.

pub mod activation;
pub mod excerpt;
pub mod frontend;
pub mod pipeline;
pub mod render;
pub mod state;
pub mod text;
pub mod view;
pub mod wire;

/// The example of the README, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
