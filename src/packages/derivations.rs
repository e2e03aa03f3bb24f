//! The derivations of a Nix graph. The outputs are not looked at: what a cache has is among them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nixmon_log::nix::derivation::DerivationInputs;

use super::NotFound;
use super::record::{PackageKind, PackageRow, PackagesOrigin, PackagesRecord};
use crate::limited;

/// Time that an evaluation has.
const LIMIT: Duration = Duration::from_secs(600);
/// Bytes of Nix's answer that are read.
const MOST: u64 = 1 << 20;
/// Largest `.drv` file; Nix makes none that is larger.
const MAX_FILE: u64 = 64 << 20;
/// Derivations that are read; the largest graphs of nixpkgs have fewer.
const MOST_DERIVATIONS: usize = 200_000;

/// Returns whether a text names a derivation or an installable of Nix rather than a directory.
pub(super) fn is_named(place: &str) -> bool {
    let is_file = Path::new(place).exists();
    let schemes = ["path:", "git+", "github:", "gitlab:", "sourcehut:", "flake:", "tarball+", "https://"];
    derivation_path(place).is_some()
        || place.starts_with("/nix/store/")
        || !is_file && (place.contains('#') || schemes.iter().any(|scheme| place.starts_with(scheme)))
}

/// Returns the path of a `.drv` file without the outputs behind it: `x.drv^out`, `x.drv!out`.
fn derivation_path(place: &str) -> Option<&str> {
    let path = place.split(['^', '!']).next()?;
    path.ends_with(".drv").then_some(path)
}

/// Reads the derivations of an installable and all that they need.
pub(super) fn read(place: &str) -> Result<PackagesRecord, NotFound> {
    let roots = match derivation_path(place) {
        Some(path) => vec![path.to_owned()],
        None => evaluate(place)?,
    };
    let mut graph: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut stack = roots;
    while let Some(path) = stack.pop() {
        if graph.contains_key(&path) {
            continue;
        }
        if graph.len() >= MOST_DERIVATIONS {
            let reason = format!("there are more than {MOST_DERIVATIONS} derivations");
            return Err(NotFound::Tool { tool: "the store", place: place.to_owned(), reason });
        }
        let inputs = inputs(&path).map_err(|reason| NotFound::Tool {
            tool: "the store",
            place: place.to_owned(),
            reason,
        })?;
        stack.extend(inputs.iter().cloned());
        graph.insert(path, inputs);
    }
    Ok(PackagesRecord::new(place.to_owned(), PackagesOrigin::Derivations, rows(&graph)))
}

/// Asks Nix for the derivations of an installable.
fn evaluate(place: &str) -> Result<Vec<String>, NotFound> {
    let refused = |reason| NotFound::Tool { tool: "nix", place: place.to_owned(), reason };
    let mut command = Command::new("nix");
    command.args(["--extra-experimental-features", "nix-command flakes", "path-info", "--derivation"]);
    // A word that begins with a dash would be an option.
    command.args(["--", place]);
    let answer = limited::answer(&mut command, LIMIT, MOST).map_err(refused)?;
    let paths: Vec<String> = answer.stdout.lines().map(str::trim).map(str::to_owned).collect();
    if !answer.success || paths.is_empty() {
        return Err(refused(answer.last_error().unwrap_or_else(|| "it names no derivation".to_owned())));
    }
    Ok(paths)
}

/// Returns the paths of the derivations that one needs.
fn inputs(path: &str) -> Result<Vec<String>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    let derivation = DerivationInputs::from_aterm_bytes(&bytes)
        .map_err(|error| format!("{path} is no derivation: {error}"))?;
    Ok(derivation.input_derivations.iter().map(|input| input.path.to_string()).collect())
}

/// Makes packages of derivations, by name. Those that share one have their digest before it.
fn rows(graph: &BTreeMap<String, Vec<String>>) -> Vec<PackageRow> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for path in graph.keys() {
        *uses.entry(name(path)).or_default() += 1;
    }
    let unique = |path: &str| {
        let own = name(path);
        if uses.get(own).is_some_and(|uses| *uses < 2) {
            return own.to_owned();
        }
        let file = path.rsplit('/').next().unwrap_or(path);
        file.strip_suffix(".drv").unwrap_or(file).to_owned()
    };
    let mut rows: Vec<PackageRow> = graph
        .iter()
        .map(|(path, inputs)| {
            let mut depends_on: Vec<String> = inputs.iter().map(|input| unique(input)).collect();
            depends_on.sort();
            PackageRow {
                name: unique(path),
                kind: PackageKind::Derivation,
                output: None,
                derivation: Some(path.clone()),
                is_own: true,
                is_built: true,
                depends_on,
                sources: Vec::new(),
                languages: Vec::new(),
                expected_ms: None,
                expected_from: None,
                samples: None,
            }
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// Returns the name of a derivation without its digest.
pub(super) fn name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    let file = file.strip_suffix(".drv").unwrap_or(file);
    file.split_once('-').map_or(file, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installables_are_told_from_directories() {
        let cases = [
            (".#hello", true),
            ("nixpkgs#hello", true),
            ("github:NixOS/nixpkgs", true),
            ("/nix/store/00000000000000000000000000000000-a.drv", true),
            ("/nix/store/00000000000000000000000000000000-a.drv^out", true),
            ("x.drv", true),
            (".", false),
            ("build", false),
            ("/tmp/project", false),
        ];
        for (place, expected) in cases {
            assert_eq!(is_named(place), expected, "{place}");
        }
    }

    #[test]
    fn names_are_unique() {
        let path = |digest: &str, name: &str| format!("/nix/store/{}-{name}.drv", digest.repeat(32));
        let (app, one, two) = (path("a", "app-1.0"), path("b", "source"), path("c", "source"));
        let graph =
            BTreeMap::from([(app, vec![two.clone(), one.clone()]), (one, Vec::new()), (two, Vec::new())]);
        let (b, c) = ("b".repeat(32) + "-source", "c".repeat(32) + "-source");
        let said: Vec<(String, Vec<String>)> =
            rows(&graph).into_iter().map(|row| (row.name, row.depends_on)).collect();
        let expected = [("app-1.0".to_owned(), vec![b.clone(), c.clone()]), (b, Vec::new()), (c, Vec::new())];
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_no_derivation_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.drv");
        std::fs::write(&path, "Derive(").unwrap();
        let refused = read(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(refused.contains("is no derivation"), "{refused}");
        let refused = read("/nix/store/nothing.drv").unwrap_err().to_string();
        assert!(refused.contains("cannot read /nix/store/nothing.drv"), "{refused}");
    }
}
