//! Text for people: escape removal, display width, durations, sizes, plurals.
//!
//! A leaf: imports nothing of ours, and any module may use it.

pub mod excerpt;
mod sanitize;

pub use sanitize::{sanitize, strip_escapes};
