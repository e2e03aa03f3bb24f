//! Vite, and Rollup below it: modules have no total until they are transformed.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const BUILD: &str = "Vite 5 packages/vite/src/node/build.ts";
const REPORTER: &str = "Vite 5 packages/vite/src/node/plugins/reporter.ts";

pub(super) static TABLE: Table = Table {
    tool: Tool::Vite,
    within: &[],
    rows: &[
        row("vite v{word} building {any}", Opens(Stage::Compile), BUILD),
        inner("transforming ({done}) {item}", Counts(Stage::Compile), REPORTER),
        inner("✓ {total} modules transformed.", Totals(Stage::Link), REPORTER),
        inner("rendering chunks{any}", Opens(Stage::Link), REPORTER),
        inner("dist/{any} kB{any}", Opens(Stage::Link), REPORTER),
        inner("✓ built in {any}", Closes, BUILD),
    ],
};
