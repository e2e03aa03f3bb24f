//! Gradle: tasks, and the percent of its rich console.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, row},
    unit::{Stage, Tool},
};

const HEADER: &str = "Gradle 8 build-operations logging, TaskExecutionLogger and BuildLogger";
const PROGRESS: &str = "Gradle 8 logging ProgressBar.java";

pub(super) static TABLE: Table = Table {
    tool: Tool::Gradle,
    within: &[],
    rows: &[
        row("> Task {any}", Custom(task), HEADER),
        row("<{any}> {percent}% EXECUTING [{any}]", Counts(Stage::Compile), PROGRESS),
        row("<{any}> {percent}% CONFIGURING [{any}]", Opens(Stage::Configure), PROGRESS),
        row("Starting a Gradle Daemon{any}", Opens(Stage::Configure), "Gradle 8 DaemonStartListener"),
        row(
            "To honour the JVM settings for this build {any}",
            Opens(Stage::Configure),
            "Gradle 4.4 launcher",
        ),
        row("Initialized native services in: {any}", Opens(Stage::Configure), "Gradle 4.4 launcher"),
        inner(":{any}", Custom(old_task), "Gradle 4.4 TaskExecutionLogger"),
        row("BUILD SUCCESSFUL in {any}", Closes, HEADER),
        row("BUILD FAILED in {any}", Closes, HEADER),
    ],
};

/// Reads `> Task :module:compileJava UP-TO-DATE`.
fn task(line: &str) -> Option<Sighting<'_>> {
    old_task(line.strip_prefix("> Task ")?)
}

fn old_task(text: &str) -> Option<Sighting<'_>> {
    let mut words = text.split(' ');
    let path = words.next()?;
    let outcome = words.next();
    let name = path.rsplit(':').next()?;
    let is_task = path.starts_with(':')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.".contains(&b));
    if !is_task || outcome.is_some_and(|word| word.bytes().any(|b| b.is_ascii_lowercase())) {
        return None;
    }
    let stage = if name.starts_with("test") || name.ends_with("Test") {
        Stage::Test
    } else if name.contains("jar") || name.contains("Jar") || name.starts_with("link") {
        Stage::Link
    } else {
        Stage::Compile
    };
    let kind = if outcome == Some("FAILED") { Kind::Fails } else { Kind::Begins };
    let mut sighting = Sighting::new(kind, stage).item(path);
    sighting.package =
        path.rsplit_once(':').map(|(module, _)| module.trim_start_matches(':')).filter(|m| !m.is_empty());
    Some(sighting)
}
