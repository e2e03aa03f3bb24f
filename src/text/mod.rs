//! Text for people: escape removal, display width, styles by role, durations, sizes, plurals.
//!
//! A leaf: imports nothing of ours, and any module may use it.

pub mod excerpt;
mod line;
mod sanitize;
mod suggest;
mod symbols;
mod units;
mod width;

pub use line::{Line, Palette, Role, Span};
pub use sanitize::{last_carriage, sanitize, strip_escapes};
pub use suggest::nearest;
pub use symbols::{Symbols, ascii};
pub use units::{bytes, bytes_of, count, duration, plural, rate, thousands};
pub use width::{pad, pad_start, truncate, width};
