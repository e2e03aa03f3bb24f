//! Positions in expressions: how Nix prints them, and which of them is the user's own.

use super::limits::clip;
use crate::escapes::sanitize;

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

/// Reads a text that begins with `FILE:LINE:COLUMN`.
pub(super) fn position(text: &str) -> Option<Location> {
    find_position(text.trim()).map(|found| Location::from_found(&found))
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
/// Sources in the store all look alike, so a tree counts as a library as soon as one place in it is one that only a
/// library has; then nothing in that tree is the user's. What libraries and users both have, such as `nixos/modules/`,
/// decides only where nothing better does. A file outside the store is the user's, unless it is in a checkout or
/// channel of nixpkgs.
pub(super) fn user_location<'l>(places: &[&'l Location]) -> Option<&'l Location> {
    let is_own = own(places);
    let best = places.iter().copied().find(|place| is_own(place))?;
    // A file that is only named may have a line in another frame.
    let in_file = |place: &&Location| place.file == best.file && place.line.is_some();
    Some(places.iter().copied().find(in_file).unwrap_or(best))
}

/// Tells the user's own places from others, given all places of an error.
pub(super) fn own(places: &[&Location]) -> impl Fn(&Location) -> bool {
    let trees = |sign: fn(&str) -> bool| {
        let in_libraries =
            places.iter().filter_map(|place| split_tree(&place.file)).filter(|(_, path)| sign(path));
        let mut trees: Vec<String> = in_libraries.map(|(tree, _)| tree.to_owned()).collect();
        trees.sort_unstable();
        trees.dedup();
        trees
    };
    let mut libraries = trees(is_of_library);
    if libraries.is_empty() {
        libraries = trees(is_like_nixpkgs);
    }
    move |place| {
        let file = place.file.as_str();
        let special = file.starts_with(['<', '('])
            || file.starts_with("/builtin/")
            || file.starts_with("«") && !file.contains("»/")
            || file.starts_with("«nix-internal»")
            || file.starts_with("«flakes-internal»");
        let of_library = match split_tree(file) {
            Some((tree, _)) => is_library_flake(tree) || libraries.iter().any(|library| library == tree),
            None => is_in_checkout(file),
        };
        !special && !of_library
    }
}

/// Splits a file into its tree, `/nix/store/DIGEST-source` or `«github:…»`, and the path in it, which begins with `/`.
fn split_tree(file: &str) -> Option<(&str, &str)> {
    let end = if file.starts_with('«') {
        file.find('»')? + '»'.len_utf8()
    } else {
        let marker = "/store/";
        let start = file.find(marker)? + marker.len();
        start + file.get(start..)?.find('/')?
    };
    file.split_at_checked(end)
}

fn is_library_flake(tree: &str) -> bool {
    const FLAKES: &[&str] = &[
        "«github:nixos/nixpkgs",
        "«github:nix-community/home-manager",
        "«github:nix-darwin/nix-darwin",
        "«github:lnl7/nix-darwin",
        "«github:hercules-ci/flake-parts",
    ];
    FLAKES.iter().any(|flake| tree.get(..flake.len()).is_some_and(|start| start.eq_ignore_ascii_case(flake)))
}

/// Returns whether only nixpkgs or home-manager has such a file.
fn is_of_library(path: &str) -> bool {
    const DIRECTORIES: &[&str] = &["/pkgs/stdenv/", "/pkgs/top-level/", "/pkgs/build-support/"];
    const FILES: &[&str] = &[
        "/lib/attrsets.nix",
        "/lib/customisation.nix",
        "/lib/derivations.nix",
        "/lib/fixed-points.nix",
        "/lib/modules.nix",
        "/lib/trivial.nix",
        "/modules/home-environment.nix",
        "/modules/lib/stdlib-extended.nix",
        "/nixos/lib/eval-config.nix",
    ];
    DIRECTORIES.iter().any(|directory| path.contains(directory))
        || FILES.iter().any(|file| path.ends_with(file))
}

/// Returns whether nixpkgs has such a file, as a user may.
fn is_like_nixpkgs(path: &str) -> bool {
    const DIRECTORIES: &[&str] = &[
        "/lib/fileset/",
        "/lib/systems/",
        "/nixos/lib/",
        "/nixos/modules/",
        "/pkgs/applications/",
        "/pkgs/by-name/",
        "/pkgs/development/",
        "/pkgs/os-specific/",
        "/pkgs/servers/",
        "/pkgs/tools/",
    ];
    const LIBRARY: &[&str] = &["asserts", "debug", "lists", "meta", "options", "strings", "types"];
    let library = path.strip_prefix("/lib/").and_then(|file| file.strip_suffix(".nix"));
    DIRECTORIES.iter().any(|directory| path.contains(directory))
        || library.is_some_and(|name| LIBRARY.contains(&name))
}

/// Returns whether a file outside the store is in a checkout or channel of nixpkgs. `~/.config/nixpkgs/` is the user's.
fn is_in_checkout(file: &str) -> bool {
    const DIRECTORIES: &[&str] =
        &["/nixpkgs/lib/", "/nixpkgs/nixos/", "/nixpkgs/pkgs/", "/channels/nixos/", "/channels/nixpkgs/"];
    DIRECTORIES.iter().any(|directory| file.contains(directory)) && !file.contains("/.config/")
}
