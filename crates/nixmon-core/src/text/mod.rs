//! Text for people: escape removal, display width, styles by role, durations, sizes, plurals.
//!
//! This module imports no other module, and every module may use it.

mod line;
mod suggest;
mod symbols;
mod table;
mod units;
mod width;

pub use line::{Line, Palette, Role, Span};
pub use suggest::nearest;
pub use symbols::{Symbols, ascii};
pub use table::{Column, table};
pub use units::{bytes, bytes_of, count, duration, plural, rate, stamp, stamped, thousands};
pub use width::{pad, pad_start, truncate, width};
