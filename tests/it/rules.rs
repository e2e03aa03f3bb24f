//! The rules of this repository that neither the compiler nor clippy holds: imports inside the core, dependencies of the
//! lower crates, the contents of files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::tree;

/// The modules of `nixmon-core` and the modules that each may import. Between crates the manifests say it.
const CORE: [(&str, &[&str]); 9] = [
    ("text", &[]),
    ("excerpt", &[]),
    ("activation", &["text"]),
    ("state", &["activation", "excerpt", "text"]),
    ("view", &["state", "activation", "text"]),
    ("render", &["view", "excerpt", "text", "state", "activation"]),
    ("wire", &["view", "state", "activation", "text"]),
    ("frontend", &["render", "wire", "text", "view", "state", "activation"]),
    ("pipeline", &["frontend", "render", "wire", "text", "view", "state", "activation"]),
];

/// The modules of the program, and the modules that each may import. `commands` is above all, `lib` and `main` only hand over.
const PROGRAM: [(&str, &[&str]); 11] = [
    ("cli", &[]),
    ("exit_status", &[]),
    ("limited", &[]),
    ("nix_commands", &["limited"]),
    ("settings", &["cli"]),
    ("packages", &["limited", "nix_commands"]),
    ("history", &["nix_commands", "packages"]),
    ("drive", &["history", "settings", "nix_commands", "cli", "exit_status"]),
    ("fleet", &["drive", "history", "settings", "cli", "exit_status"]),
    (
        "monitor",
        &[
            "fleet",
            "drive",
            "history",
            "packages",
            "settings",
            "nix_commands",
            "limited",
            "cli",
            "exit_status",
        ],
    ),
    (
        "commands",
        &[
            "monitor",
            "fleet",
            "drive",
            "history",
            "packages",
            "settings",
            "nix_commands",
            "limited",
            "cli",
            "exit_status",
        ],
    ),
];

/// Crates that other programs embed, and dependencies that none of them may have.
const LIBRARIES: [&str; 5] = ["nixmon-log", "nixmon-core", "nixmon-runs", "nixmon-progress", "nixmon-sensor"];
const HEAVY: [&str; 7] = ["tokio", "clap", "rusqlite", "axum", "hyper", "anyhow", "indicatif"];

#[test]
fn core_modules_import_only_those_below_them() {
    assert_no_faults(&imports_beyond("crates/nixmon-core/src", &CORE));
}

#[test]
fn modules_of_the_program_import_only_those_below_them() {
    assert_no_faults(&imports_beyond("src", &PROGRAM));
}

#[test]
fn tables_of_imports_go_one_way() {
    for table in [&CORE[..], &PROGRAM[..]] {
        // A module that imports another may not be imported by it, not even by way of a third: take away those that import
        // nothing that is left, until none is.
        let mut left: Vec<_> = table.to_vec();
        while !left.is_empty() {
            let names: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
            let n = left.len();
            left.retain(|(_, allowed)| allowed.iter().any(|import| names.contains(import)));
            assert!(left.len() < n, "these import one another in a circle: {names:?}");
        }
    }
}

#[test]
fn imports_are_found() {
    let cases: [(&str, &[&str]); 4] = [
        ("use crate::text::Line;\nfn f() -> crate::state::Change {}", &["state", "text"]),
        ("use crate::{text, view::View};", &["text", "view"]),
        ("// crate::wire\n    /// [`crate::view`]\nlet a = 1;", &[]),
        ("pub(crate) fn f() {}", &[]),
    ];
    for (source, expected) in cases {
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(imports(source), expected, "{source}");
    }
}

#[test]
fn lower_crates_need_no_executor_and_no_arguments() {
    let mut faults = Vec::new();
    for library in LIBRARIES {
        let manifest = PathBuf::from(format!("crates/{library}/Cargo.toml"));
        let text = tree::text(&manifest).unwrap();
        let is_heavy = |line: &str| HEAVY.iter().any(|name| line.split(['.', ' ', '=']).next() == Some(name));
        faults.extend(places(&manifest, &text, is_heavy, "too heavy for a library"));
    }
    assert_no_faults(&faults);
}

#[test]
fn sources_are_short_and_finished() {
    let mut faults = Vec::new();
    for file in sources() {
        let text = tree::text(&file).unwrap();
        let n_lines = text.lines().count();
        if n_lines > 800 {
            faults.push(format!("{}: {n_lines} lines, over 800", file.display()));
        }
        for (phrase, instead) in [
            ("#[allow(", "#[expect(…, reason = …)]"),
            ("#![allow(", "#![expect(…, reason = …)]"),
            ("todo!", "the code, or an issue"),
            ("unimplemented!", "the code, or an issue"),
        ] {
            faults.extend(places(
                &file,
                &text,
                |line| line.contains(phrase),
                &format!("`{phrase}`, not {instead}"),
            ));
        }
    }
    assert_no_faults(&faults);
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    let mut faults = Vec::new();
    for file in tree::files() {
        // Compressed fixtures and the like.
        let Some(text) = tree::text(&file) else { continue };
        faults.extend(places(&file, &text, names_a_machine, "a path of one machine"));
    }
    assert_no_faults(&faults);
}

#[test]
fn paths_of_a_machine_are_told_from_examples() {
    // In parts, since this file is looked through as well.
    let at = |top: &str, rest: &str| format!("/{top}/{rest}");
    let cases = [
        (at("work", "main/src"), true),
        (format!("dir={}", at("work", "x")), true),
        (at("home", "jane/flake"), true),
        (at("Users", "jane"), true),
        (at("home", "demo/flake"), false),
        (at("Users", "demo"), false),
        (at("home", "<person>"), false),
        (at("home", "$USER"), false),
        (format!("tests{}", at("work", "x")), false),
        ("https://example.org/home/page".to_owned(), false),
    ];
    for (line, expected) in cases {
        assert_eq!(names_a_machine(&line), expected, "{line}");
    }
}

#[test]
fn dependencies_come_from_crates_io() {
    let crates_io = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let lock = PathBuf::from("Cargo.lock");
    let text = tree::text(&lock).unwrap();
    let is_foreign = |line: &str| line.contains("://") && line != crates_io;
    assert_no_faults(&places(&lock, &text, is_foreign, "another source than crates.io"));
}

#[test]
fn decisions_are_numbered_and_in_the_overview() {
    let overview = tree::text(Path::new("ARCHITECTURE.md")).unwrap();
    let mut faults = Vec::new();
    let mut numbers = BTreeSet::new();
    for file in tree::files().iter().filter(|file| file.starts_with("docs/decisions")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let number = decision_number(name);
        if number.is_none() {
            faults.push(format!("{}: not named NNNN-title.md", file.display()));
        } else if !numbers.insert(number) {
            faults.push(format!("{}: the number is taken", file.display()));
        }
        if !overview.contains(name) {
            faults.push(format!("{}: not mentioned in ARCHITECTURE.md", file.display()));
        }
    }
    assert_no_faults(&faults);
}

#[test]
fn decision_names() {
    assert_eq!(decision_number("0004-flake-and-stand-in.md"), Some(4));
    for name in
        ["4-flake.md", "0004.md", "0004-.md", "0004-Flake.md", "0004-a b.md", "0004-flake.txt", "notes.md"]
    {
        assert_eq!(decision_number(name), None, "{name}");
    }
}

/// Returns the source files of all crates.
fn sources() -> Vec<PathBuf> {
    let is_source = |file: &PathBuf| {
        let mut parts = file.iter();
        let first = parts.next().and_then(|part| part.to_str());
        let is_of_crate =
            first == Some("src") || (first == Some("crates") && parts.nth(1) == Some("src".as_ref()));
        is_of_crate && file.extension().is_some_and(|extension| extension == "rs")
    };
    let sources: Vec<_> = tree::files().into_iter().filter(is_source).collect();
    assert!(sources.len() > 100, "{sources:?}");
    sources
}

/// Returns the modules that a source names behind `crate::`, outside comments.
fn imports(source: &str) -> BTreeSet<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (at, needle) in code.match_indices("crate::") {
        let rest = &code[at + needle.len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name.trim_start().chars().take_while(|&c| is_of_word(c)).collect();
            found.insert(name);
        }
    }
    found
}

/// Lists the imports of the modules below `root` that `table` does not allow.
fn imports_beyond(root: &str, table: &[(&str, &[&str])]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut unseen: BTreeSet<&str> = table.iter().map(|(name, _)| *name).collect();
    for file in sources() {
        let Ok(inside) = file.strip_prefix(root) else { continue };
        let Some(module) = inside.iter().next().and_then(|name| name.to_str()) else { continue };
        let module = module.trim_end_matches(".rs");
        // Unit tests may look at a module through those above it.
        let is_test = inside.iter().any(|part| part == "tests" || part == "tests.rs");
        if matches!(module, "lib" | "main") || is_test {
            continue;
        }
        let Some((name, allowed)) = table.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{}: `{module}` has no row", file.display()));
            continue;
        };
        unseen.remove(name);
        for import in imports(&tree::text(&file).expect("sources are UTF-8")) {
            if import != module && !allowed.contains(&import.as_str()) {
                faults.push(format!("{}: `{module}` may not import `{import}`", file.display()));
            }
        }
    }
    faults.extend(unseen.iter().map(|name| format!("{root}: there is no module `{name}`")));
    faults
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A path in a home directory or a work directory, unless its person is one of the examples.
fn names_a_machine(line: &str) -> bool {
    // Also of the captures that are fixtures.
    const EXAMPLES: [&str; 4] = ["demo", "user", "alice", "me"];
    for top in ["work", "home", "Users"] {
        let needle = format!("/{top}/");
        for (at, _) in line.match_indices(&needle) {
            // A part of another path, or of an address.
            let is_inside = line[..at].ends_with(|c: char| is_of_word(c) || ".-}".contains(c));
            let name: String =
                line[at + needle.len()..].chars().take_while(|&c| is_of_word(c) || c == '-').collect();
            if !is_inside && !name.is_empty() && (top == "work" || !EXAMPLES.contains(&name.as_str())) {
                return true;
            }
        }
    }
    false
}

/// The number of a decision record named `NNNN-title.md`, with a title of lower-case words.
fn decision_number(name: &str) -> Option<u32> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let is_title = !title.is_empty()
        && title.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.');
    if number.len() == 4 && is_title { number.parse().ok() } else { None }
}

/// `FILE:LINE: FAULT` for every line for which `is_fault`.
fn places(file: &Path, text: &str, is_fault: impl Fn(&str) -> bool, fault: &str) -> Vec<String> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| is_fault(line))
        .map(|(number, _)| format!("{}:{number}: {fault}", file.display()))
        .collect()
}

fn assert_no_faults(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
