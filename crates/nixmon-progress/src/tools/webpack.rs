//! webpack's progress plugin.

use crate::{
    form::{Effect::*, Table, row},
    unit::{Stage, Tool},
};

const PLUGIN: &str = "webpack 5 lib/ProgressPlugin.js";
const STATS: &str = "webpack 5 lib/stats/DefaultStatsPrinterPlugin.js";

pub(super) static TABLE: Table = Table {
    tool: Tool::Webpack,
    within: &[],
    rows: &[
        row("<s> [webpack.Progress] {percent}% {item}", Counts(Stage::Compile), PLUGIN),
        row("<s> [webpack.Progress] {percent}%", Counts(Stage::Compile), PLUGIN),
        row("webpack {word} compiled {any}", Closes, STATS),
    ],
};
