//! `cargo metadata`, `Cargo.lock` and `--unit-graph`.
//!
//! Source: The Cargo Book, "cargo metadata" (format version 1), "Cargo.lock", and the unstable "unit-graph" (version 1).

use std::collections::HashMap;

use serde::Deserialize;

use super::{Origin, Project, Source, Target, TargetKind};
use crate::weights::Language;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Option<Resolve>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    targets: Vec<CrateTarget>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

/// A dependency as the manifest names it.
#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct CrateTarget {
    src_path: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dep>,
}

#[derive(Deserialize)]
struct Dep {
    pkg: String,
    #[serde(default)]
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    kind: Option<String>,
}

pub(super) fn read(json: &str) -> Option<Project> {
    let metadata: Metadata = serde_json::from_str(json).ok()?;
    let names: HashMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let nodes: HashMap<&str, &Node> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| (node.id.as_str(), node))
        .collect();
    let is_resolved = metadata.resolve.is_some();
    let targets = metadata.packages.iter().map(|package| {
        // With `--no-deps` nothing is resolved: what the manifests say of each other is known all the same.
        let by_name = || {
            let builds = package.dependencies.iter().filter(|dep| dep.kind.as_deref() != Some("dev"));
            let known = builds.filter(|dep| metadata.packages.iter().any(|other| other.name == dep.name));
            known.map(|dep| dep.name.clone()).collect()
        };
        let depends_on = nodes.get(package.id.as_str()).map_or_else(Vec::new, |node| {
            // Dependencies of tests alone do not hold up a build.
            let builds = |dep: &&Dep| {
                dep.dep_kinds.is_empty()
                    || dep.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
            };
            let deps = node.deps.iter().filter(builds);
            deps.filter_map(|dep| names.get(dep.pkg.as_str())).map(|name| (*name).to_owned()).collect()
        });
        let depends_on = if is_resolved { depends_on } else { by_name() };
        let is_member = metadata.workspace_members.contains(&package.id);
        let builds = |target: &&CrateTarget| {
            !target.kind.iter().any(|kind| matches!(kind.as_str(), "test" | "bench" | "example"))
        };
        let sources = package.targets.iter().filter(builds).map(|target| Source {
            path: target.src_path.clone(),
            object: None,
            language: Language::Rust,
            bytes: None,
        });
        let is_program = package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "bin"));
        Target {
            name: package.name.clone(),
            kind: if is_member && is_program { TargetKind::Executable } else { TargetKind::Crate },
            output: None,
            depends_on,
            sources: sources.collect(),
            lto: false,
            is_default: is_member.then_some(true),
            position: None,
        }
    });
    Project::new(Origin::CargoMetadata, targets.collect())
}

/// Counts the packages of a `Cargo.lock`. Those for other platforms and features are among them, so it is an upper bound.
pub fn cargo_lock_packages(text: &str) -> u64 {
    text.lines().filter(|line| line.trim() == "[[package]]").count() as u64
}

/// Counts the units of `cargo build --unit-graph`, which is exact.
pub fn unit_graph_len(json: &str) -> Option<u64> {
    let graph: serde_json::Value = serde_json::from_str(json).ok()?;
    Some(graph.get("units")?.as_array()?.len() as u64)
}
