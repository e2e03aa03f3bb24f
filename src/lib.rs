//! nixmon: a real Nix build in, a condensed and truthful summary out.

pub mod activation;
pub mod nix;
pub mod text;
