//! `CMakeLists.txt` below a directory: what can be read without evaluating it.
//!
//! Conditions, loops and variables of other files are not evaluated: what `if()` leaves out may be listed, and a source
//! that only a variable names may be missing.

use std::collections::HashMap;

use super::{Origin, Project, Read, Source, Target, TargetKind, join};
use crate::{step::is_source, weights::Language};

/// Deepest directory, and most directories, that are read.
const DEPTH: usize = 8;
const N_DIRS: usize = 4096;

pub(super) fn read(dir: &dyn Read, root: &str) -> Option<Project> {
    let mut targets = Vec::new();
    let mut links: Vec<(String, String)> = Vec::new();
    let mut stack = vec![(root.to_owned(), 0)];
    let mut n_dirs = 0;
    while let Some((at, depth)) = stack.pop() {
        n_dirs += 1;
        if n_dirs > N_DIRS {
            break;
        }
        if let Some(text) = dir.text(&join(&at, "CMakeLists.txt")) {
            read_file(dir, &at, &text, &mut targets, &mut links);
        }
        if depth < DEPTH {
            let mut names = dir.list(&at);
            names.sort();
            // A file lists nothing, and has an extension as a rule.
            let below =
                names.iter().filter(|name| !name.contains('.') && *name != "build" && *name != "CMakeFiles");
            stack.extend(below.map(|name| (join(&at, name), depth + 1)));
        }
    }
    for (target, needed) in links {
        if targets.iter().any(|other: &Target| other.name == needed)
            && let Some(target) = targets.iter_mut().find(|other| other.name == target)
        {
            target.depends_on.push(needed);
        }
    }
    Project::new(Origin::CmakeLists, targets)
}

fn read_file(
    dir: &dyn Read,
    at: &str,
    text: &str,
    targets: &mut Vec<Target>,
    links: &mut Vec<(String, String)>,
) {
    let mut variables: HashMap<String, Vec<String>> = HashMap::new();
    for (command, words) in commands(text) {
        let words = expand(&words, &variables);
        let Some((first, rest)) = words.split_first() else { continue };
        match command.as_str() {
            "set" => {
                variables.insert(first.clone(), rest.to_vec());
            }
            "file" if first.starts_with("GLOB") => {
                if let Some((name, patterns)) = rest.split_first() {
                    let found = patterns.iter().flat_map(|pattern| glob(dir, at, pattern)).collect();
                    variables.insert(name.clone(), found);
                }
            }
            "list" if first == "APPEND" => {
                if let Some((name, values)) = rest.split_first() {
                    variables.entry(name.clone()).or_default().extend(values.iter().cloned());
                }
            }
            "add_library" | "add_executable" if !first.contains('$') && !first.contains("::") => {
                let has = |word: &str| rest.iter().any(|other| other == word);
                if has("ALIAS") || has("IMPORTED") {
                    continue;
                }
                let kind = match command.as_str() {
                    "add_executable" => TargetKind::Executable,
                    _ if has("SHARED") || has("MODULE") => TargetKind::SharedLibrary,
                    _ if has("OBJECT") => TargetKind::ObjectLibrary,
                    _ if has("INTERFACE") => TargetKind::Utility,
                    _ => TargetKind::StaticLibrary,
                };
                targets.push(Target {
                    name: first.clone(),
                    kind,
                    output: None,
                    depends_on: Vec::new(),
                    sources: sources(dir, at, rest),
                    lto: false,
                    is_default: has("EXCLUDE_FROM_ALL").then_some(false),
                    position: None,
                });
            }
            "target_sources" => {
                if let Some(target) = targets.iter_mut().find(|target| target.name == *first) {
                    target.sources.extend(sources(dir, at, rest));
                }
            }
            "target_link_libraries" | "add_dependencies" => {
                links.extend(rest.iter().map(|needed| (first.clone(), needed.clone())));
            }
            _ => {}
        }
    }
}

fn sources(dir: &dyn Read, at: &str, words: &[String]) -> Vec<Source> {
    let paths = words.iter().filter(|word| is_source(word) && !word.contains("${"));
    paths
        .map(|word| {
            let path = join(at, word);
            Source { language: Language::of_path(word), bytes: dir.size(&path), object: None, path }
        })
        .collect()
}

/// Returns the files of a directory that a pattern with one `*` in its last part fits, from the directory of the list.
fn glob(dir: &dyn Read, at: &str, pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_start_matches("${CMAKE_CURRENT_SOURCE_DIR}/");
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let Some((start, end)) = name.split_once('*') else { return Vec::new() };
    let inside = if folder.is_empty() { at.to_owned() } else { join(at, folder) };
    let mut names = dir.list(&inside);
    names.retain(|name| {
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    });
    names.sort();
    names.iter().map(|name| join(folder, name)).collect()
}

/// Puts in the values of variables that the same file set. The directory's own variables become nothing.
fn expand(words: &[String], variables: &HashMap<String, Vec<String>>) -> Vec<String> {
    let mut expanded = Vec::new();
    for word in words {
        let name = word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match name.and_then(|name| variables.get(name)) {
            Some(values) => expanded.extend(values.iter().cloned()),
            None => expanded.push(
                word.trim_start_matches("${CMAKE_CURRENT_SOURCE_DIR}/")
                    .trim_start_matches("${CMAKE_CURRENT_LIST_DIR}/")
                    .to_owned(),
            ),
        }
    }
    expanded
}

/// Splits a file into commands with their words (CMake 3.25 Help/manual/cmake-language.7.rst).
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let mut commands = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('(') {
        let before = rest.get(..open).unwrap_or("");
        let name = before.lines().last().unwrap_or("").trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            rest = rest.get(open + 1..).unwrap_or("");
            continue;
        }
        let (words, after) = words(rest.get(open + 1..).unwrap_or(""));
        commands.push((name.to_ascii_lowercase(), words));
        rest = after;
    }
    commands
}

/// Reads words up to the closing parenthesis.
fn words(text: &str) -> (Vec<String>, &str) {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut depth, mut in_quotes, mut in_comment) = (0_usize, false, false);
    for (at, char) in text.char_indices() {
        if in_comment {
            in_comment = char != '\n';
            continue;
        }
        match char {
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => word.push(char),
            '#' => in_comment = true,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ')' => {
                if !word.is_empty() {
                    words.push(word);
                }
                return (words, text.get(at + 1..).unwrap_or(""));
            }
            _ if char.is_whitespace() || char == ';' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(char),
        }
    }
    (words, "")
}
