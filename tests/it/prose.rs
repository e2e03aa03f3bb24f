//! The rules of CONTRIBUTING.md on prose that can be checked word by word.

use crate::common::tree;

/// Words that begin a clause without a subject of its own.
const HEADLESS: [&str; 9] = ["What", "Whatever", "Whether", "How", "Where", "Of", "Who", "Whoever", "Nobody"];

#[test]
fn doc_comments_begin_with_a_subject_or_a_verb() {
    let mut faults = Vec::new();
    let mut n_files = 0;
    for file in tree::files().iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        n_files += 1;
        let text = tree::text(file).unwrap();
        faults.extend(headless(&text).map(|(number, line)| format!("{}:{number}: {line}", file.display())));
    }
    assert!(n_files > 300, "{n_files} files");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn headless_doc_comments_are_found() {
    let cases = [
        ("/// Whether it is over.\nover: bool,", Some(1)),
        ("    //! How to read it.", Some(1)),
        ("/// Returns a name.\n///\n/// Where there is none: `None`.", Some(3)),
        ("/// Returns a name of those that it knows.\n/// Of the others it returns none.", None),
        ("/// Whose it is.", None),
        ("/// Offers a place.", None),
        ("// What follows is a reason.", None),
        ("let text = \"/// What\";", None),
    ];
    for (source, expected) in cases {
        assert_eq!(headless(source).next().map(|(number, _)| number), expected, "{source}");
    }
}

/// Returns the lines that begin a paragraph of a doc comment with one of [`HEADLESS`], and their numbers.
fn headless(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_inside = false;
    (1..).zip(source.lines()).filter(move |(_, line)| {
        let line = line.trim_start();
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let was_inside = is_inside;
        is_inside = comment.is_some_and(|text| !text.trim().is_empty());
        let first = comment.and_then(|text| text.split_whitespace().next()).unwrap_or_default();
        !was_inside && HEADLESS.contains(&first.trim_end_matches([',', ':']))
    })
}
