//! cargo build: crates as they begin, and its JSON messages as they end.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, row},
    json,
    unit::{Stage, Tool},
};

const QUEUE: &str = "cargo 1.95 src/cargo/core/compiler/job_queue/mod.rs";
const PROGRESS: &str = "cargo 1.95 src/cargo/util/progress.rs";
const MESSAGES: &str = "The Cargo Book, External tools, JSON messages";

pub(super) static TABLE: Table = Table {
    tool: Tool::Cargo,
    within: &[],
    rows: &[
        row("Compiling {package} v{word} ({any})", Begins(Stage::Compile), QUEUE),
        row("Compiling {package} v{word}", Begins(Stage::Compile), QUEUE),
        row("Checking {package} v{word} ({any})", Begins(Stage::Compile), QUEUE),
        row("Checking {package} v{word}", Begins(Stage::Compile), QUEUE),
        inner("Documenting {package} v{word}{any}", Begins(Stage::Compile), QUEUE),
        inner("Fresh {package} v{word}{any}", Built, QUEUE),
        row("Building [{any}] {done}/{total}: {item}", Counts(Stage::Compile), PROGRESS),
        row("Building [{any}] {done}/{total}", Counts(Stage::Compile), PROGRESS),
        row("Finished {any} target(s) in {any}", Closes, QUEUE),
        row("error: could not compile `{package}` {any}", Fails, QUEUE),
        row("{{\"reason\":\"{any}", Custom(message), MESSAGES),
    ],
};

/// Reads one JSON message: an artifact is a unit that ended.
fn message(line: &str) -> Option<Sighting<'_>> {
    let reason = json::text(line, "reason")?;
    match reason {
        "compiler-artifact" => {
            let mut sighting = Sighting::new(Kind::Ends, Stage::Compile);
            // `target` is the only object with a `name`.
            sighting.item = json::text(line, "name");
            sighting.package = json::text(line, "package_id").and_then(package_of);
            Some(sighting)
        }
        "build-script-executed" => {
            let mut sighting = Sighting::new(Kind::Ends, Stage::Configure);
            sighting.item = Some("build.rs");
            sighting.package = json::text(line, "package_id").and_then(package_of);
            Some(sighting)
        }
        "build-finished" => Some(Sighting::new(Kind::Closes, Stage::Compile)),
        _ => None,
    }
}

/// Returns the name in a package id: `registry+https://…#serde@1.0.0`, `path+file:///x/alpha#0.1.0`, `serde 1.0.0 (…)`.
pub(crate) fn package_of(id: &str) -> Option<&str> {
    let Some((before, after)) = id.rsplit_once('#') else {
        return id.split(' ').next().filter(|name| !name.is_empty());
    };
    match after.split_once('@') {
        Some((name, _)) => Some(name),
        None => before.rsplit('/').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_ids() {
        let cases = [
            ("registry+https://github.com/rust-lang/crates.io-index#serde@1.0.0", "serde"),
            ("path+file:///x/alpha#0.1.0", "alpha"),
            ("path+file:///x/dir#beta@0.1.0", "beta"),
            ("serde 1.0.0 (registry+https://x)", "serde"),
        ];
        for (id, name) in cases {
            assert_eq!(package_of(id), Some(name), "{id}");
        }
    }
}
