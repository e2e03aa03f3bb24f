//! Crates that cargo downloads.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const DOWNLOAD: &str = "cargo 1.95 src/cargo/core/package.rs";
const LOCKFILE: &str = "cargo 1.95 src/cargo/ops/lockfile.rs";

pub(super) static TABLE: Table = Table {
    tool: Tool::CargoFetch,
    within: &[],
    rows: &[
        row("Updating crates.io index", Opens(Stage::Download), "cargo 1.95 src/cargo/sources/registry"),
        row("Locking {n} packages to latest{any}", Opens(Stage::Download), LOCKFILE),
        row("Downloading crates ...", Opens(Stage::Download), DOWNLOAD),
        inner("Downloaded {package} v{word}{any}", Ends(Stage::Download), DOWNLOAD),
        inner("Downloaded {total} crates ({any}", Totals(Stage::Download), DOWNLOAD),
    ],
};
