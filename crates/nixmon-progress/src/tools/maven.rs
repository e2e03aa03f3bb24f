//! Maven: modules of the reactor, goals, and Surefire's counts.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const EVENTS: &str = "Maven 3.8.7 maven-embedder ExecutionEventLogger.java";
const COMPILER: &str = "maven-compiler-plugin 3.10 AbstractCompilerMojo.java";
const SUREFIRE: &str = "maven-surefire-plugin 2.22 DefaultReporterFactory.java";

pub(super) static TABLE: Table = Table {
    tool: Tool::Maven,
    within: &[],
    rows: &[
        row("[INFO] Scanning for projects...", Opens(Stage::Configure), EVENTS),
        inner("[INFO] Building {package} {any}[{done}/{total}]", Counts(Stage::Compile), EVENTS),
        inner("[INFO] Building {package} {word}", Begins(Stage::Compile), EVENTS),
        inner("[INFO] --- {any}compile ({any}) @ {package} ---", Opens(Stage::Compile), EVENTS),
        inner("[INFO] --- {any}:test ({any}) @ {package} ---", Opens(Stage::Test), EVENTS),
        inner("[INFO] --- {any}:jar ({any}) @ {package} ---", Opens(Stage::Link), EVENTS),
        inner("[INFO] --- {any}:install ({any}) @ {package} ---", Opens(Stage::Install), EVENTS),
        inner("[INFO] --- {any} @ {package} ---", Opens(Stage::Compile), EVENTS),
        inner("[INFO] Compiling {n} source files {any}", Opens(Stage::Compile), COMPILER),
        inner(
            "[INFO] Tests run: {total}, Failures: {failed}, Errors: {n}, Skipped: {skipped}",
            Tally,
            SUREFIRE,
        ),
        inner(
            "[ERROR] Tests run: {total}, Failures: {failed}, Errors: {n}, Skipped: {skipped}",
            Tally,
            SUREFIRE,
        ),
        inner("[INFO] BUILD SUCCESS", Closes, EVENTS),
        inner("[INFO] BUILD FAILURE", Closes, EVENTS),
    ],
};
