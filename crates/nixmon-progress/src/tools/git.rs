//! git clone and fetch, with `--progress`.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const PROGRESS: &str = "git 2.39 progress.c";
const CLONE: &str = "git 2.39 builtin/clone.c";

pub(super) static TABLE: Table = Table {
    tool: Tool::Git,
    within: &[],
    rows: &[
        row("Cloning into '{item}'...", Opens(Stage::Download), CLONE),
        row("Receiving objects: {percent}% ({done}/{total}){any}", Counts(Stage::Download), PROGRESS),
        inner("Resolving deltas: {percent}% ({done}/{total}){any}", Opens(Stage::Download), PROGRESS),
        inner("Updating files: {percent}% ({done}/{total}){any}", Opens(Stage::Download), PROGRESS),
    ],
};
