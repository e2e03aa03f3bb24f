//! npm: the scripts it runs, and how many packages it added. And Yarn 1, whose four steps are no measure of time but look
//! like a count of ninja, so that this table comes before ninja's.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const SCRIPT: &str = "npm 11 @npmcli/run-script lib/run-script-pkg.js";
const REIFY: &str = "npm 11 lib/utils/reify-output.js";
const FETCH: &str = "npm 11 npm-registry-fetch lib/index.js";
const YARN: &str = "Yarn 1.22 src/cli/commands/install.js, src/reporters/console/console-reporter.js";

pub(super) static TABLE: Table = Table {
    tool: Tool::Npm,
    within: &[],
    rows: &[
        row("yarn install v{word}", Opens(Stage::Download), "Yarn 1.22 src/cli/index.js"),
        row("[{n}/{n}] {any}Validating package.json...", Opens(Stage::Download), YARN),
        row("[{n}/{n}] {any}Resolving packages...", Opens(Stage::Download), YARN),
        row("[{n}/{n}] {any}Fetching packages...", Opens(Stage::Download), YARN),
        row("[{n}/{n}] {any}Linking dependencies...", Opens(Stage::Download), YARN),
        row("[{n}/{n}] {any}Building fresh packages...", Opens(Stage::Download), YARN),
        row("[{n}/{n}] {any}Rebuilding all packages...", Opens(Stage::Download), YARN),
        row("[{n}/{n}] {any}Cleaning modules...", Opens(Stage::Download), YARN),
        row("npm http fetch GET {n} {item} {any}", Ends(Stage::Download), FETCH),
        row("npm warn {any}", Opens(Stage::Configure), "npm 11 proc-log"),
        row("npm WARN {any}", Opens(Stage::Configure), "npm 9 npmlog"),
        row("npm error {any}", Opens(Stage::Configure), "npm 11 proc-log"),
        row("npm ERR! {any}", Opens(Stage::Configure), "npm 9 npmlog"),
        row("added {total} packages{any} in {any}", Totals(Stage::Download), REIFY),
        inner("> {package}@{word} {item}", Begins(Stage::Compile), SCRIPT),
    ],
};
