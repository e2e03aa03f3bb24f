//! `build.ninja`, as CMake and Meson write it.
//!
//! Source: ninja's manual, "Ninja file reference"; rule names from CMake 3.25 Source/cmNinjaNormalTargetGenerator.cxx
//! (`C_COMPILER__TARGET_CONFIG`) and Meson 1.0.1 mesonbuild/backend/ninjabackend.py (`c_COMPILER`).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Origin, Project, Read, Source, Target, TargetKind};
use crate::{step, weights::Language};

/// One `build` statement.
struct Edge<'t> {
    outputs: Vec<&'t str>,
    rule: &'t str,
    inputs: Vec<&'t str>,
    /// Implicit and order-only inputs.
    others: Vec<&'t str>,
}

pub(super) fn read(dir: &dyn Read) -> Option<Project> {
    let text = dir.text("build.ninja")?;
    // A `$` at the end of a line continues it.
    let text = text.replace("$\n", " ");
    let edges: Vec<Edge<'_>> = text.lines().filter_map(edge).collect();
    let lto: HashSet<&str> = with_lto(&text);
    let mut targets: BTreeMap<String, Target> = BTreeMap::new();
    let mut maker: HashMap<&str, String> = HashMap::new();
    for (number, edge) in edges.iter().enumerate() {
        let Some(output) = edge.outputs.first() else { continue };
        if is_compiler(edge.rule) {
            let Some(name) = step::target_of(output) else { continue };
            let Some(path) = edge.inputs.first() else { continue };
            let source = Source {
                path: (*path).to_owned(),
                object: Some((*output).to_owned()),
                language: Language::of_path(path),
                bytes: dir.size(path),
            };
            let target = entry(&mut targets, name);
            target.sources.push(source);
            target.position.get_or_insert((0, number));
            maker.insert(output, name.to_owned());
        } else if let Some(kind) = linker(edge.rule) {
            let made_by_input = || edge.inputs.iter().find_map(|input| maker.get(input)).cloned();
            let named = linked_target(edge.rule, output)
                .filter(|name| targets.contains_key(*name))
                .map(str::to_owned);
            let Some(name) = named.or_else(made_by_input) else { continue };
            let target = entry(&mut targets, &name);
            target.kind = kind;
            target.output = output.rsplit('/').next().map(str::to_owned);
            target.lto = lto.contains(output);
            for output in &edge.outputs {
                maker.insert(output, name.clone());
            }
        }
    }
    // A target depends on those whose outputs its link takes, and on those its objects wait for.
    for edge in edges.iter().filter(|edge| linker(edge.rule).is_some()) {
        let Some(name) = edge.outputs.first().and_then(|output| maker.get(output)) else { continue };
        let inputs = edge.inputs.iter().chain(&edge.others);
        let needed: Vec<String> =
            inputs.filter_map(|input| maker.get(input)).filter(|on| *on != name).cloned().collect();
        entry(&mut targets, name).depends_on.extend(needed);
    }
    let default = defaults(&text, &edges);
    for target in targets.values_mut() {
        // An object library has no edge of its own in `all` that names it.
        let is_default = maker.iter().any(|(output, name)| *name == target.name && default.contains(output));
        target.is_default = (!default.is_empty()).then_some(is_default);
    }
    Project::new(Origin::NinjaFile, targets.into_values().collect())
}

/// Returns the target that a link is of: CMake's rule names it (`C_STATIC_LIBRARY_LINKER__NAME_CONFIG`), Meson's directory of
/// objects is called after the output. The objects alone do not tell, since a target may take another one's.
fn linked_target<'t>(rule: &'t str, output: &'t str) -> Option<&'t str> {
    match rule.split_once("_LINKER__") {
        Some((_, rest)) => Some(rest.rsplit_once('_')?.0),
        None => output.rsplit('/').next(),
    }
}

fn entry<'m>(targets: &'m mut BTreeMap<String, Target>, name: &str) -> &'m mut Target {
    targets.entry(name.to_owned()).or_insert_with(|| Target {
        name: name.to_owned(),
        kind: TargetKind::ObjectLibrary,
        output: None,
        depends_on: Vec::new(),
        sources: Vec::new(),
        lto: false,
        is_default: None,
        position: None,
    })
}

/// Reads `build OUTPUTS | IMPLICIT: RULE INPUTS | IMPLICIT || ORDER`.
fn edge(line: &str) -> Option<Edge<'_>> {
    let rest = line.strip_prefix("build ")?;
    // `$:` is an escaped colon, as in a drive.
    let colon = rest.match_indices(": ").map(|(at, _)| at).find(|at| !rest[..*at].ends_with('$'))?;
    let (outputs, rest) = rest.split_at_checked(colon)?;
    let mut words = rest.get(2..)?.split_ascii_whitespace();
    let rule = words.next()?;
    let (mut inputs, mut others, mut explicit) = (Vec::new(), Vec::new(), true);
    for word in words {
        match word {
            "|" | "||" | "|@" => explicit = false,
            _ if explicit => inputs.push(word),
            _ => others.push(word),
        }
    }
    let outputs = outputs.split_ascii_whitespace().take_while(|word| *word != "|").collect();
    Some(Edge { outputs, rule, inputs, others })
}

fn is_compiler(rule: &str) -> bool {
    rule.contains("_COMPILER") && !rule.contains("_LINKER")
}

fn linker(rule: &str) -> Option<TargetKind> {
    if rule.contains("STATIC_LIBRARY_LINKER") || rule == "STATIC_LINKER" {
        Some(TargetKind::StaticLibrary)
    } else if rule.contains("SHARED_LIBRARY_LINKER") || rule.contains("MODULE_LIBRARY_LINKER") {
        Some(TargetKind::SharedLibrary)
    } else if rule.contains("EXECUTABLE_LINKER") || rule.ends_with("_LINKER") {
        Some(TargetKind::Executable)
    } else {
        None
    }
}

/// Returns outputs whose link flags ask for link-time optimization.
fn with_lto(text: &str) -> HashSet<&str> {
    let mut output = "";
    let mut found = HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("build ") {
            output = rest.split([' ', ':']).next().unwrap_or("");
        } else if line.contains("-flto") && (line.contains("FLAGS") || line.contains("LINK_ARGS")) {
            found.insert(output);
        }
    }
    found
}

/// Returns all outputs that the default target leads to.
fn defaults<'t>(text: &'t str, edges: &[Edge<'t>]) -> HashSet<&'t str> {
    let makes: HashMap<&str, &Edge<'t>> =
        edges.iter().flat_map(|edge| edge.outputs.iter().map(move |output| (*output, edge))).collect();
    let mut stack: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("default "))
        .flat_map(str::split_ascii_whitespace)
        .collect();
    let mut reached = HashSet::new();
    while let Some(output) = stack.pop() {
        if reached.insert(output)
            && let Some(edge) = makes.get(output)
        {
            stack.extend(edge.inputs.iter().chain(&edge.others));
        }
    }
    reached
}
