//! rustc, called by make, by Meson or by `cargo -v`.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, row},
    unit::{Stage, Tool},
};

const CALL: &str = "cargo 1.95 src/cargo/core/compiler/mod.rs, rustc 1.95 --help";

pub(super) static TABLE: Table = Table {
    tool: Tool::Rustc,
    within: &[],
    rows: &[
        row("Running `{any}rustc --crate-name {package} {any}`", Begins(Stage::Compile), CALL),
        row("rustc {any}", Custom(call), CALL),
    ],
};

fn call(line: &str) -> Option<Sighting<'_>> {
    let words = line.split(' ');
    let source = words.clone().find(|word| word.ends_with(".rs"))?;
    let mut sighting = Sighting::new(Kind::Begins, Stage::Compile).item(source);
    sighting.package = words.skip_while(|word| *word != "--crate-name").nth(1);
    Some(sighting)
}
