//! npm: the scripts it runs, and how many packages it added.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const SCRIPT: &str = "npm 11 @npmcli/run-script lib/run-script-pkg.js";
const REIFY: &str = "npm 11 lib/utils/reify-output.js";
const FETCH: &str = "npm 11 npm-registry-fetch lib/index.js";

pub(super) static TABLE: Table = Table {
    tool: Tool::Npm,
    within: &[],
    rows: &[
        row("npm http fetch GET {n} {item} {any}", Ends(Stage::Download), FETCH),
        row("npm warn {any}", Opens(Stage::Configure), "npm 11 proc-log"),
        row("npm WARN {any}", Opens(Stage::Configure), "npm 9 npmlog"),
        row("npm error {any}", Opens(Stage::Configure), "npm 11 proc-log"),
        row("npm ERR! {any}", Opens(Stage::Configure), "npm 9 npmlog"),
        row("added {total} packages{any} in {any}", Totals(Stage::Download), REIFY),
        inner("> {package}@{word} {item}", Begins(Stage::Compile), SCRIPT),
    ],
};
