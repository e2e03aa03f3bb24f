//! One name for one thing: types that other files can see and that share a name are listed with the reason.

use std::collections::BTreeMap;

use crate::common::tree;

/// The crates that import one another, below the program. Others, such as `nixmon-history`, import none of them; where the
/// program uses a type of theirs that has the name of another, the crate says which is meant.
const CRATES: [&str; 4] = ["nixmon-log", "nixmon-core", "nixmon-runs", "nixmon-mcp"];

/// Names of several types, and the reason why each is told from the others where it is used: the module says which is meant.
const SHARED: [(&str, &str); 35] = [
    ("Activity", "`state` has Nix's activities, `nixmon_runs` says what a run does"),
    ("Block", "`excerpt` finds blocks in a log, `render` lays blocks of a report out; both stay inside"),
    ("Command", "`cli` has our subcommands, `activation` those of switch tools"),
    ("Derivation", "`nix` has the file, `state` what became of it"),
    ("End", "`pipeline` ends a stream, `notify` tells a user of an end"),
    ("Environment", "`settings` reads all variables, `nixmon_runs` keeps those of a run"),
    ("Eta", "for `state`, and as JSON in `wire`"),
    ("Event", "`input` has what was read, `wire` its JSON"),
    ("Excerpt", "of a unit's journal, of a log for agents"),
    ("Extent", "of a report, of a hole in a template"),
    ("Failed", "`exit_status` has our own failures; the others are what a command failed at"),
    ("FlakeInputs", "as read, and as JSON in `wire`"),
    ("Frame", "of an error's trace, and as JSON in `wire`"),
    ("Kind", "of activities, of programs; both stay inside"),
    ("Line", "each layer has an idea of a line: input, text, activation, JSON"),
    ("Location", "of an error, and as JSON in `wire`"),
    ("Log", "`frontend` shows every line of a log, `excerpt` searches one"),
    ("Look", "`nixmon_runs` looks a run up, `history::mirror` looks at processes"),
    ("Memory", "of the rows of the live view, of a process"),
    ("Order", "of a client for a build, of the command's streams"),
    ("Output", "of a derivation, of this program"),
    ("Plan", "of a command line, of a switch for agents"),
    ("Process", "of Nix in a stream, of the system"),
    ("Program", "`activation` has tables of programs, `nixmon_mcp` the seam to this program"),
    ("Progress", "a bar of our own, how far a reader has come"),
    ("Row", "of the live view, of the database"),
    ("Runs", "`nixmon_runs` looks kept runs up, `activation` lists those of a stream"),
    ("Said", "what make said, what a traceback said; both stay inside"),
    ("Source", "of bytes, of a setting"),
    ("Scope", "`activation` says whose manager runs a unit, `state` has the inside of one build"),
    (
        "Stage",
        "`nix::error` says where a failure belongs; the others are parts of an activation, of a pipe, and stay inside",
    ),
    ("Standing", "how far an activation, a process is believed; both stay inside"),
    ("Streams", "several inputs that become one, the command's standard streams"),
    ("Tool", "`activation` has switch tools, `nixmon_mcp` tools for agents"),
    ("Writer", "`writer` has one for systems that can watch, and an empty one for the others"),
];

#[test]
fn types_that_share_a_name_have_a_reason() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in tree::files() {
        let path = file.to_str().unwrap();
        let is_source = path.starts_with("src/")
            || CRATES.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
        let is_test = path.contains("/tests/") || path.ends_with("tests.rs");
        if is_source && !is_test && path.ends_with(".rs") {
            for name in visible_types(&tree::text(&file).unwrap()) {
                places.entry(name).or_default().push(path.to_owned());
            }
        }
    }
    assert!(places.len() > 200, "{}", places.len());
    let shared: BTreeMap<_, _> = places.into_iter().filter(|(_, files)| files.len() > 1).collect();
    let mut faults: Vec<String> = Vec::new();
    for (name, files) in &shared {
        if !SHARED.iter().any(|(known, _)| known == name) {
            faults.push(format!(
                "`{name}` is several types: {}; rename one, or give a reason",
                files.join(", ")
            ));
        }
    }
    for (name, reason) in SHARED {
        if !shared.contains_key(name) {
            faults.push(format!("`{name}` is one type by now: remove its row"));
        }
        assert!(!reason.is_empty(), "{name}");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn visible_types_are_found() {
    let source = "pub struct A<T>(T);\n    pub(super) enum B {}\nstruct C;\npub(in crate::x) type D = u8;\n// pub struct E;\n\
        pub trait F: G {}\npub fn g() {}\n";
    assert_eq!(visible_types(source), ["A", "B", "D", "F"]);
}

/// Returns the names of the types that a source shows to other files.
fn visible_types(source: &str) -> Vec<String> {
    let type_of = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub")?;
        let rest = match rest.strip_prefix('(') {
            Some(scope) => scope.split_once(')')?.1,
            None => rest,
        };
        let (kind, name) = rest.strip_prefix(' ')?.split_once(' ')?;
        let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
        matches!(kind, "struct" | "enum" | "trait" | "type" | "union").then_some(name)
    };
    source.lines().filter_map(type_of).collect()
}
