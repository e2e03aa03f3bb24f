//! nixmon: a real Nix build in, a condensed and truthful summary out.
//!
//! The crate is the program `nixmon` and the library behind it, for programs that run Nix and want to say how it goes.
//! Nothing here but [`commands`], [`runs`] and [`settings`] (feature `cli`) touches files, clocks or the environment: bytes go in with
//! the time at which they came, changes come out.
//!
//! ```
//! use std::time::Duration;
//!
//! use nixmon::input::Reader;
//! use nixmon::state::{Change, Effects, Input, State};
//!
//! let log = br#"@nix {"action":"start","id":1,"level":3,"type":105,"text":"",
//! "fields":["/nix/store/r8y95xadk9qzggyyfjq0xf5z88knam70-hello-2.12.1.drv","",1,1]}"#;
//! let log: Vec<u8> = log.iter().copied().filter(|byte| *byte != b'\n').collect();
//!
//! let mut reader = Reader::default();
//! let mut state = State::new();
//! let mut effects = Effects::default();
//! let at = Duration::from_secs(3);
//! reader.feed(&log, |event| state.apply(Input::Event(event), at, &mut effects));
//! reader.finish(|event| state.apply(Input::Event(event), at, &mut effects));
//!
//! let started = effects.changes.iter().find_map(|change| match change {
//!     Change::BuildStarted(id) => Some(state.derivations().get(*id).name().to_owned()),
//!     _ => None,
//! });
//! assert_eq!(started.as_deref(), Some("hello-2.12.1"));
//! ```
//!
//! From the bytes on: [`input`] reads records and lines, [`state`] keeps what is known and tells what changed, [`view`]
//! looks at it at a moment, [`render`] makes lines and [`wire`] makes JSON of it, [`frontend`] writes. [`activation`] knows
//! the tools that switch configurations, [`nix`] Nix's own formats and words, [`excerpt`] the lines of a log that say why,
//! [`text`] how text is shown. The file
//! `ARCHITECTURE.md` of the repository is the map.

pub mod activation;
pub mod cli;
pub mod commands;
#[doc(hidden)]
pub mod drive;
pub mod excerpt;
pub mod exit_status;
pub mod frontend;
pub mod input;
mod limited;
mod monitor;
pub mod nix;
// For the tests that try its command lines on real Nix.
#[doc(hidden)]
pub mod nix_commands;
pub mod pipeline;
mod query;
pub mod recording;
pub mod render;
pub mod runs;
pub mod settings;
pub mod state;
pub mod text;
pub mod view;
pub mod wire;
