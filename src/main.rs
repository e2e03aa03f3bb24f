//! The `nixmon` program.

fn main() {}
