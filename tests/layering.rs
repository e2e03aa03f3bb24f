//! The rules of this repository that neither the compiler nor clippy holds: which module may import which, and what may
//! stand in a file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common {
    pub(crate) mod tree;
}

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::tree;

/// The modules of the crate root and what each may import of ours. `ARCHITECTURE.md` says why.
const LAYERS: [(&str, &[&str]); 15] = [
    ("text", &[]),
    ("nix", &["text"]),
    ("input", &["nix", "text"]),
    ("activation", &["nix", "text"]),
    ("state", &["nix", "input", "activation", "text"]),
    ("view", &["nix", "state", "activation", "text"]),
    ("render", &["view", "text", "state", "activation", "nix"]),
    ("wire", &["nix", "input", "view", "state", "activation", "text"]),
    ("frontend", &["render", "wire", "text", "view", "state", "input", "nix", "activation"]),
    ("pipeline", &["frontend", "render", "wire", "text", "view", "state", "input"]),
    ("runs", &["activation", "render", "state", "text", "view", "wire"]),
    ("cli", &["runs"]),
    ("settings", &["cli", "render", "runs", "text"]),
    (
        "run",
        &[
            "text",
            "nix",
            "input",
            "activation",
            "state",
            "view",
            "render",
            "wire",
            "frontend",
            "pipeline",
            "runs",
            "cli",
            "settings",
        ],
    ),
    (
        "commands",
        &[
            "text",
            "nix",
            "input",
            "activation",
            "state",
            "view",
            "render",
            "wire",
            "frontend",
            "runs",
            "cli",
            "run",
            "settings",
        ],
    ),
];

/// Files of `src` that only put the modules together.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

#[test]
fn modules_import_only_what_is_below_them() {
    let mut faults = Vec::new();
    for file in sources() {
        let in_src = file.strip_prefix("src").unwrap();
        if ROOTS.iter().any(|root| in_src == Path::new(root)) {
            continue;
        }
        let path = module_path(in_src);
        let module = path[0].as_str();
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{}: `{module}` has no row in LAYERS", file.display()));
            continue;
        };
        for import in imports(&tree::text(&file).unwrap(), path.len()) {
            if import != module && !allowed.contains(&import.as_str()) {
                faults.push(format!("{}: `{module}` may not import `{import}`", file.display()));
            }
        }
    }
    assert_no_faults(&faults);
}

#[test]
fn imports_are_found_in_every_form() {
    let cases: [(&str, usize, &[&str]); 12] = [
        ("use crate::nix::StorePath;", 1, &["nix"]),
        ("use crate::{nix, text::{Line, Span}, view as shown};", 1, &["nix", "text", "view"]),
        ("use crate :: {\n  // a comment\n  nix::{self},\n};", 2, &["nix"]),
        ("fn f() -> crate::state::Change { crate::text::plural(1) }", 1, &["state", "text"]),
        ("pub(crate) fn f() {} pub(in crate::view) struct S;", 1, &["view"]),
        ("use crate::*;", 1, &["*"]),
        // One `super` of a module right below the root is the root; inline modules are a level each.
        ("use super::nix;", 1, &["nix"]),
        ("use super::helper; use super::super::text;", 2, &["text"]),
        ("mod tests { use super::*; use super::super::view::View; }", 1, &["view"]),
        ("mod tests { fn f() { if a { b } } } use super::run;", 1, &["run"]),
        // What is no code.
        ("/// [`crate::view`]\n/* crate::run /* nested */ */ const A: &str = \"crate::wire\";", 1, &[]),
        (
            "const A: &str = r#\"\"crate::wire\"#; const B: char = '\"'; fn f<'a>(x: &'a crate::nix::Log) {}",
            1,
            &["nix"],
        ),
    ];
    for (source, depth, expected) in cases {
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(imports(source, depth), expected, "{source}");
    }
}

#[test]
fn files_of_src_are_short_and_finished() {
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

/// The files of `src`, of which there are some.
fn sources() -> Vec<PathBuf> {
    let files = tree::files();
    let sources: Vec<_> = files
        .into_iter()
        .filter(|file| file.starts_with("src") && file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(sources.len() > ROOTS.len(), "{sources:?}");
    sources
}

/// `state/graph.rs` is the module `state::graph`, `state/mod.rs` and `state.rs` are `state`.
fn module_path(in_src: &Path) -> Vec<String> {
    let mut path: Vec<String> =
        in_src.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    path.pop_if(|last| last == "mod");
    path
}

/// The names right below the crate root that a file refers to, by `crate::` or by enough `super::`.
///
/// `depth` is the number of modules from the root down to the file's own.
fn imports(source: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(&without_text(source));
    let mut found = BTreeSet::new();
    // The levels of braces that are bodies of inline modules.
    let mut modules = Vec::new();
    let mut braces = 0;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let mut after = at + 1;
        match token.as_str() {
            "{" => {
                braces += 1;
                if at >= 2 && tokens[at - 2] == "mod" {
                    modules.push(braces);
                }
            }
            "}" => {
                modules.pop_if(|level| *level == braces);
                braces -= 1;
            }
            "crate" => found.extend(names_after(&tokens, after)),
            "super" => {
                let mut n_up = 1;
                while tokens.get(after).is_some_and(|token| token == "::")
                    && tokens.get(after + 1).is_some_and(|token| token == "super")
                {
                    n_up += 1;
                    after += 2;
                }
                if n_up == depth + modules.len() {
                    found.extend(names_after(&tokens, after));
                }
            }
            _ => {}
        }
        at = after;
    }
    found
}

/// What follows `crate` or `super` at `at`: the name behind `::`, or those of a group in braces; none elsewhere.
fn names_after(tokens: &[String], at: usize) -> Vec<String> {
    if tokens.get(at).is_none_or(|token| token != "::") {
        return Vec::new();
    }
    let rest = &tokens[at + 1..];
    if rest.first().is_none_or(|token| token != "{") {
        return rest.first().cloned().into_iter().collect();
    }
    let mut names = Vec::new();
    let mut braces = 0;
    let mut is_first_of_path = true;
    for token in rest {
        match token.as_str() {
            "{" => braces += 1,
            "}" => braces -= 1,
            "," if braces == 1 => is_first_of_path = true,
            name if braces == 1 && is_first_of_path => {
                names.push(name.to_owned());
                is_first_of_path = false;
            }
            _ => {}
        }
        if braces == 0 {
            break;
        }
    }
    names
}

/// Words, `::`, and every other character on its own.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(first) = chars.next() {
        let mut token = String::from(first);
        if is_of_word(first) {
            while let Some(next) = chars.next_if(|&next| is_of_word(next)) {
                token.push(next);
            }
        } else if first.is_whitespace() {
            continue;
        } else if first == ':' {
            token.extend(chars.next_if_eq(&':'));
        }
        tokens.push(token);
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The source without comments, and with string and character literals left empty.
fn without_text(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let is_in_word = code.chars().last().is_some_and(is_of_word);
        let n_skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            1 + until_quote(&rest[1..], '"')
        } else if let Some(n_hashes) = raw_string(rest).filter(|_| !is_in_word) {
            let close = format!("\"{}", "#".repeat(n_hashes));
            let open = rest.find('"').unwrap() + 1;
            rest[open..].find(&close).map_or(rest.len(), |end| open + end + close.len())
        } else if c == '\'' && is_char(rest) {
            1 + until_quote(&rest[1..], '\'')
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[n_skipped..];
    }
    code
}

/// The length of the block comment, which may hold others, at the start of `rest`.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of the text up to and with the closing `quote`, over escapes.
fn until_quote(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The number of hashes where `rest` starts with a raw string.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.strip_prefix("br").or_else(|| rest.strip_prefix("r"))?;
    let text = hashes.trim_start_matches('#');
    text.starts_with('"').then_some(hashes.len() - text.len())
}

/// Tells a character literal from a lifetime.
fn is_char(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
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
