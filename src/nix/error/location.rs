//! Positions in expressions: how Nix prints them, and which of them is the user's own.

use super::layout::clip;
use crate::text::sanitize;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// File as printed: a path, or one of Nix's names for what has no path (`«string»`, `<nix/fetchurl.nix>`).
    pub file: String,
    /// Line, from 1.
    pub line: Option<u64>,
    /// Column, from 1.
    pub column: Option<u64>,
}

impl Location {
    /// Makes a location of the `file`, `line` and `column` of a record.
    ///
    /// From 2.20 on `file` ends in `:LINE:COLUMN`, which is cut off. `«none»` and line 0 mean no position.
    pub(super) fn from_fields(file: Option<&str>, line: Option<u64>, column: Option<u64>) -> Option<Self> {
        let file = file?;
        let (file, printed) = match find_position(file) {
            Some(found) if found.after.is_empty() => (found.file, Some((found.line, found.column))),
            _ => (file, None),
        };
        let (line, column) = match (line, printed) {
            (Some(line), _) => (line, column),
            (None, Some((line, column))) => (line, Some(column)),
            (None, None) => return None,
        };
        let file = clean(file);
        let is_place = !file.is_empty() && !file.starts_with("«none»") && line != 0;
        is_place.then_some(Self { file, line: Some(line), column })
    }

    fn from_found(found: &Found<'_>) -> Self {
        Self { file: clean(found.file), line: Some(found.line), column: Some(found.column) }
    }

    pub(super) fn of_file(file: &str) -> Self {
        Self { file: clean(file), line: None, column: None }
    }
}

fn clean(file: &str) -> String {
    sanitize(clip(file)).into_owned()
}

struct Found<'t> {
    file: &'t str,
    line: u64,
    column: u64,
    after: &'t str,
}

/// Finds the first `FILE:LINE:COLUMN`, where FILE is everything before.
fn find_position(text: &str) -> Option<Found<'_>> {
    let mut from = 0;
    while let Some(colon) = text.get(from..)?.find(':').map(|at| from + at) {
        if let Some((line, rest)) = take_number(&text[colon + 1..])
            && let Some((column, after)) = rest.strip_prefix(':').and_then(take_number)
            && colon > 0
        {
            return Some(Found { file: &text[..colon], line, column, after });
        }
        from = colon + 1;
    }
    None
}

/// Splits the number off that a text begins with. Numbers of more than 12 digits are no line numbers.
pub(super) fn take_number(text: &str) -> Option<(u64, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 || len > 12 {
        return None;
    }
    let (number, rest) = text.split_at(len);
    Some((number.parse().ok()?, rest))
}

/// Reads a line that holds nothing but a position: `at FILE:LINE:COLUMN:`.
///
/// Nix adds `(source not available)` where it cannot show the code.
pub(super) fn position_line(line: &str) -> Option<Location> {
    let found = find_position(line.trim_start().strip_prefix("at ")?)?;
    let after = found.after.strip_prefix(':').unwrap_or(found.after).trim();
    (after.is_empty() || after == "(source not available)").then(|| Location::from_found(&found))
}

/// Finds the first `at FILE:LINE:COLUMN` inside a line, as Nix 2.3 writes positions into its messages.
pub(super) fn first_inline_position(line: &str) -> Option<Location> {
    inline_positions(line).next().map(|(_, found)| Location::from_found(&found))
}

/// Splits `, at FILE:LINE:COLUMN` off the end of a line, as Nix 2.3 ends its messages.
pub(super) fn split_trailing_position(line: &str) -> Option<(&str, Location)> {
    let (start, found) = inline_positions(line).find(|(_, found)| matches!(found.after, "" | ":"))?;
    Some((line[..start].trim_end().trim_end_matches(','), Location::from_found(&found)))
}

fn inline_positions(line: &str) -> impl Iterator<Item = (usize, Found<'_>)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = line.get(from..)?.find(" at ").map(|at| from + at) {
            let rest = &line[at + 4..];
            from = at + 4;
            if !rest.starts_with(['/', '<', '«', '(']) {
                continue;
            }
            // The position belongs to this ` at ` only if no other one comes before it.
            let own = rest.find(" at ").map_or(rest, |next| &rest[..next]);
            if let Some(found) = find_position(own) {
                let after = &rest[own.len() - found.after.len()..];
                return Some((at, Found { after, ..found }));
            }
        }
        None
    })
}

/// Finds `FILE:LINE` after an absolute path, as nixpkgs names the place of a package.
pub(super) fn file_line(text: &str) -> Option<Location> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(".nix:").map(|at| from + at) {
        let end = at + ".nix".len();
        if let Some((line, _)) = take_number(&text[end + 1..]) {
            let start = text[..at].rfind([' ', '\n', '\'', '`', '"', '(']).map_or(0, |at| at + 1);
            let file = &text[start..end];
            if file.starts_with('/') {
                return Some(Location { file: clean(file), line: Some(line), column: None });
            }
        }
        from = end;
    }
    None
}

/// Returns the files of modules that a text names in quotes: ``In `/etc/nixos/web.nix': …``.
///
/// The module system appends `, via option NAME` to the file, flakes append `#nixosModules.NAME`.
pub(super) fn module_files(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let open = rest.find(['`', '\'', '"'])?;
            rest = &rest[open + 1..];
            if !rest.starts_with(['/', '«']) {
                continue;
            }
            let close = rest.find(['\'', '"', '`', '\n'])?;
            let (quoted, after) = rest.split_at(close);
            rest = after;
            let file = quoted.split(['#', ',']).next().unwrap_or(quoted);
            if file.ends_with(".nix") {
                return Some(file);
            }
        }
    })
}

/// Finds the user's own place among the places of an error, which come best first.
///
/// Sources in the store all look alike, so a tree counts as nixpkgs as soon as one place in it is one that only
/// nixpkgs has; then nothing in that tree is the user's.
pub(super) fn user_location<'l>(places: &[&'l Location]) -> Option<&'l Location> {
    let mut nixpkgs: Vec<&str> = places
        .iter()
        .filter(|place| is_nixpkgs_file(&place.file))
        .filter_map(|place| source_root(&place.file))
        .collect();
    nixpkgs.sort_unstable();
    nixpkgs.dedup();
    let is_own = |place: &&Location| {
        let file = place.file.as_str();
        let special = file.starts_with(['<', '('])
            || file.starts_with("/builtin/")
            || file.starts_with("«") && !file.contains("»/")
            || file.starts_with("«nix-internal»")
            || file.starts_with("«flakes-internal»");
        !special
            && !is_nixpkgs_file(file)
            && source_root(file).is_none_or(|root| nixpkgs.binary_search(&root).is_err())
    };
    let best = places.iter().copied().find(is_own)?;
    // A file that is only named may have a line in another frame.
    let in_file = |place: &&Location| place.file == best.file && place.line.is_some();
    Some(places.iter().copied().find(in_file).unwrap_or(best))
}

/// The tree that a file belongs to: `/nix/store/DIGEST-source` or `«github:…»`.
fn source_root(file: &str) -> Option<&str> {
    if file.starts_with('«') {
        return file.find('»').map(|end| &file[..end + '»'.len_utf8()]);
    }
    let marker = "/store/";
    let start = file.find(marker)? + marker.len();
    let end = file[start..].find('/')? + start;
    Some(&file[..end])
}

/// Whether only nixpkgs has such a file. A user's own repository may well have `pkgs/`, `lib/` and `modules/`.
fn is_nixpkgs_file(file: &str) -> bool {
    const DIRECTORIES: &[&str] = &[
        "/nixos/modules/",
        "/nixos/lib/",
        "/pkgs/stdenv/",
        "/pkgs/top-level/",
        "/pkgs/build-support/",
        "/pkgs/development/",
        "/pkgs/applications/",
        "/pkgs/os-specific/",
        "/pkgs/servers/",
        "/pkgs/tools/",
        "/lib/systems/",
        "/lib/fileset/",
        "/channels/nixpkgs/",
        "/channels/nixos/",
    ];
    const LIBRARY: &[&str] = &[
        "attrsets",
        "customisation",
        "debug",
        "derivations",
        "fixed-points",
        "lists",
        "meta",
        "modules",
        "options",
        "strings",
        "trivial",
        "types",
    ];
    if file.contains("/nixpkgs/lib/")
        || file.contains("/nixpkgs/pkgs/")
        || file.starts_with("«github:NixOS/nixpkgs")
    {
        return true;
    }
    if DIRECTORIES.iter().any(|directory| file.contains(directory)) {
        return true;
    }
    let library = file.strip_suffix(".nix").and_then(|file| file.rsplit_once("/lib/"));
    library.is_some_and(|(root, name)| {
        // Elsewhere a file of such a name is somebody's own.
        (root.ends_with("-source") || root.ends_with('»') || root.ends_with("nixpkgs"))
            && LIBRARY.contains(&name)
    })
}
