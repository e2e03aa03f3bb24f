//! nixmon: a real Nix build in, a condensed and truthful summary out.

pub mod activation;
pub mod frontend;
pub mod input;
pub mod nix;
pub mod render;
pub mod state;
pub mod text;
pub mod view;
pub mod wire;
