//! CMake's file API, version 1: `index-*.json`, the codemodel and one file for each target.
//!
//! Source: CMake 3.25 Help/manual/cmake-file-api.7.rst, "Object Kind codemodel".

use std::collections::HashMap;

use serde::Deserialize;

use super::{Origin, Project, Read, Source, Target, TargetKind, join, relative};
use crate::weights::Language;

const REPLY: &str = ".cmake/api/v1/reply";

#[derive(Deserialize)]
struct Codemodel {
    paths: Paths,
    configurations: Vec<Configuration>,
}

#[derive(Deserialize)]
struct Paths {
    source: String,
    build: String,
}

#[derive(Deserialize)]
struct Configuration {
    targets: Vec<TargetRef>,
}

#[derive(Deserialize)]
struct TargetRef {
    id: String,
    name: String,
    #[serde(rename = "jsonFile")]
    json_file: String,
    #[serde(default, rename = "directoryIndex")]
    directory: usize,
}

#[derive(Deserialize)]
struct TargetFile {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "nameOnDisk")]
    name_on_disk: Option<String>,
    paths: Paths,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    sources: Vec<SourceRef>,
    #[serde(default, rename = "compileGroups")]
    groups: Vec<Group>,
    link: Option<Link>,
    backtrace: Option<usize>,
    #[serde(default, rename = "backtraceGraph")]
    graph: Graph,
}

#[derive(Default, Deserialize)]
struct Graph {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    line: Option<usize>,
}

#[derive(Deserialize)]
struct Dependency {
    id: String,
}

#[derive(Deserialize)]
struct SourceRef {
    path: String,
    #[serde(rename = "compileGroupIndex")]
    group: Option<usize>,
}

#[derive(Deserialize)]
struct Group {
    language: String,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    lto: bool,
    #[serde(default, rename = "commandFragments")]
    fragments: Vec<Fragment>,
}

#[derive(Deserialize)]
struct Fragment {
    fragment: String,
}

pub(super) fn read(dir: &dyn Read) -> Option<Project> {
    // CMake: "the lexicographically largest index file is the most recent one".
    let names = dir.list(REPLY);
    let index = names.iter().filter(|name| name.starts_with("index-") && name.ends_with(".json")).max();
    let codemodel = index
        .and_then(|index| dir.text(&format!("{REPLY}/{index}")))
        .and_then(|text| codemodel_of(&text))
        .or_else(|| names.iter().filter(|name| name.starts_with("codemodel-v2-")).max().cloned())?;
    let codemodel: Codemodel = parse(dir, &codemodel)?;
    let configuration = codemodel.configurations.first()?;
    let names: HashMap<&str, &str> =
        configuration.targets.iter().map(|target| (target.id.as_str(), target.name.as_str())).collect();
    let targets = configuration.targets.iter().filter_map(|target| {
        let file: TargetFile = parse(dir, &target.json_file)?;
        // Directories in their order, targets in the order of the commands that made them: the file API sorts by name.
        let line = file.backtrace.and_then(|at| file.graph.nodes.get(at)?.line).unwrap_or(0);
        let position = Some((target.directory, line));
        Some(Target { position, ..read_target(dir, &codemodel.paths, &target.name, file, &names) })
    });
    Project::new(Origin::CmakeFileApi, targets.collect())
}

fn parse<T: for<'de> Deserialize<'de>>(dir: &dyn Read, name: &str) -> Option<T> {
    // A name comes from a file: it may not lead out of the directory.
    if name.contains('/') {
        return None;
    }
    serde_json::from_str(&dir.text(&format!("{REPLY}/{name}"))?).ok()
}

/// Returns the codemodel's file, which the index names below `objects`.
fn codemodel_of(index: &str) -> Option<String> {
    let index: serde_json::Value = serde_json::from_str(index).ok()?;
    let objects = index.get("objects")?.as_array()?;
    let codemodel = objects.iter().find(|object| {
        object.get("kind").and_then(|kind| kind.as_str()) == Some("codemodel")
            && object.pointer("/version/major").and_then(serde_json::Value::as_u64) == Some(2)
    })?;
    Some(codemodel.get("jsonFile")?.as_str()?.to_owned())
}

fn read_target(
    dir: &dyn Read,
    top: &Paths,
    name: &str,
    file: TargetFile,
    names: &HashMap<&str, &str>,
) -> Target {
    let source_dir = join(&top.source, &file.paths.source);
    let build_dir = join(&top.build, &file.paths.build);
    let sources = file.sources.iter().filter_map(|source| {
        let group = file.groups.get(source.group?)?;
        let path = join(&top.source, &source.path);
        // Objects are named after the source's path from the target's source directory, or from its build directory
        // if it is in there (CMake 3.25 Source/cmLocalGenerator.cxx, GetObjectFileNameWithoutTarget).
        let is_generated = path.starts_with(&format!("{}/", build_dir.trim_end_matches('/')));
        let inside =
            relative(if is_generated { &build_dir } else { &source_dir }, &path).replace("../", "__/");
        let object = join(&file.paths.build, &format!("CMakeFiles/{name}.dir/{inside}.o"));
        let bytes = dir.size(&path);
        let language = Language::named(&group.language).unwrap_or_else(|| Language::of_path(&path));
        Some(Source { path, object: Some(object), language, bytes })
    });
    let link = file.link.as_ref();
    Target {
        name: name.to_owned(),
        kind: kind(&file.kind),
        output: file.name_on_disk.clone(),
        depends_on: file
            .dependencies
            .iter()
            .filter_map(|dependency| names.get(dependency.id.as_str()))
            .map(|name| (*name).to_owned())
            .collect(),
        sources: sources.collect(),
        lto: link.is_some_and(|link| link.lto || link.fragments.iter().any(|f| f.fragment.contains("-flto"))),
        is_default: None,
        position: None,
    }
}

fn kind(kind: &str) -> TargetKind {
    match kind {
        "EXECUTABLE" => TargetKind::Executable,
        "STATIC_LIBRARY" => TargetKind::StaticLibrary,
        "SHARED_LIBRARY" | "MODULE_LIBRARY" => TargetKind::SharedLibrary,
        "OBJECT_LIBRARY" => TargetKind::ObjectLibrary,
        _ => TargetKind::Utility,
    }
}
