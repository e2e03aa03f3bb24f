//! nixmon: a real Nix build in, a condensed and truthful summary out.

pub mod activation;
#[cfg(feature = "cli")]
pub mod cli;
pub mod frontend;
pub mod input;
pub mod nix;
pub mod render;
#[cfg(feature = "cli")]
pub mod run;
#[cfg(feature = "cli")]
pub mod settings;
pub mod state;
pub mod text;
pub mod view;
pub mod wire;
