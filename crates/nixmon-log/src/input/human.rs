//! Nix's human-readable lines, of 2.3 and later.
//!
//! The same texts come as lines of a stream and inside `msg` records, so both are read here. Texts are those of Nix's
//! `src/libstore` and `src/libmain`; escapes are removed before.

use crate::nix::error::{IGNORED, continues_error, is_error};
use crate::nix::store_path::StorePathRef;

/// The meaning of one line of human-readable output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HumanLine<'a> {
    /// `building '…'...`, also `checking outputs of` and `repairing outputs of`.
    Building {
        /// The derivation's path.
        derivation: &'a str,
        /// `on 'ssh://…'`.
        machine: Option<&'a str>,
    },
    /// `copying path '…' from '…'...`: a substitution or a copy.
    Copying {
        /// The store path.
        path: &'a str,
        /// The store it comes from, where one is said.
        from: Option<&'a str>,
        /// The store it goes to, where one is said.
        to: Option<&'a str>,
    },
    /// `these 3 derivations will be built:` and the like; entries follow.
    ListHeader(List),
    /// Two spaces and a store path.
    ListEntry(&'a str),
    /// `warning: …`, without the word.
    Warning(&'a str),
    /// `trace: …`, without the word.
    Trace(&'a str),
    /// The first line of an error.
    Error,
    /// `name> line`: a builder's line with `--print-build-logs`.
    BuildLog {
        /// The derivation's name without version, as Nix prints it.
        name: &'a str,
        /// The line.
        line: &'a str,
    },
    /// A store path alone: the result of a command.
    StorePath(&'a str),
    /// One of Nix's lines that say nothing that is not known from others.
    Chatter,
    /// None of Nix's.
    Other,
}

/// A list that Nix announces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum List {
    /// Derivations that will be built; how many, where it is said (not in 2.3).
    Build(Option<u64>),
    /// Paths that will be fetched.
    Fetch {
        /// The number of paths, where Nix says it.
        paths: Option<u64>,
        /// Bytes to download.
        download: u64,
        /// Bytes once unpacked.
        unpacked: u64,
    },
    /// Paths that Nix cannot obtain: `don't know how to build these paths`.
    Unknown,
}

/// Reads one line, free of escapes.
pub fn parse(line: &str) -> HumanLine<'_> {
    let text = line.trim_end();
    // Nearly all of Nix's own lines begin with a lower-case letter or a space.
    match text.as_bytes() {
        [b' ', b' ', b'/', ..] => {
            let path = &text[2..];
            return if is_store_path(path) { HumanLine::ListEntry(path) } else { HumanLine::Other };
        }
        [b'/', ..] => {
            return if is_result(text) { HumanLine::StorePath(text) } else { HumanLine::Other };
        }
        [] => return HumanLine::Other,
        _ => {}
    }
    if let Some(found) = building(text).or_else(|| copying(text)).or_else(|| list_header(text)) {
        return found;
    }
    for word in ["warning: ", "evaluation warning: "] {
        if let Some(rest) = text.strip_prefix(word) {
            return HumanLine::Warning(rest);
        }
    }
    if let Some(rest) = text.strip_prefix("trace: ") {
        return match rest.strip_prefix("warning: ").or_else(|| rest.strip_prefix("evaluation warning: ")) {
            Some(warning) => HumanLine::Warning(warning),
            None => HumanLine::Trace(rest),
        };
    }
    if is_error(text) || text.starts_with(IGNORED) {
        return HumanLine::Error;
    }
    if let Some(found) = build_log(line) {
        return found;
    }
    if is_chatter(text) { HumanLine::Chatter } else { HumanLine::Other }
}

/// Returns the text that stands right behind a line of the progress bar, which has no newline where Nix was interrupted or
/// killed; else the line itself.
pub(crate) fn behind_bar(line: &str) -> &str {
    if !matches!(line.as_bytes().first(), Some(b's' | b'e' | b'q' | b'[')) {
        return line;
    }
    let is_bar = ["shutting down", "evaluating ", "querying "].iter().any(|start| line.starts_with(start))
        || line.strip_prefix('[').is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit())
                && rest.split_once(']').is_some_and(|(counts, _)| {
                    ["built", "copied", " DL", "fetched"].iter().any(|what| counts.contains(what))
                })
        });
    if !is_bar {
        return line;
    }
    let glued_error = line.match_indices("error: ").map(|(at, _)| at).find(|at| {
        let before = line.get(..*at).and_then(|before| before.chars().next_back());
        before.is_some_and(|c| !c.is_whitespace() && !"(:".contains(c))
    });
    let glued = OPENINGS
        .iter()
        .chain(&["Command '["])
        .filter_map(|text| line.find(text))
        .filter(|at| *at > 0)
        .chain(glued_error)
        .min();
    glued.and_then(|at| line.get(at..)).unwrap_or(line)
}

/// The first lines of activations, and of those who run Nix, that no other program has.
pub(super) const OPENINGS: [&str; 13] = [
    "Starting Home Manager activation",
    "Starting home manager activation",
    "activating the configuration...",
    "building the system configuration...",
    "stopping the following units: ",
    "restarting the following units: ",
    "starting the following units: ",
    "the following new units were started: ",
    "warning: the following units failed: ",
    "updating systemd-boot from ",
    "updating GRUB 2 menu...",
    "installing the boot loader...",
    "switching to system configuration /nix/store/",
];

/// `/nix/store/<32 characters>-name`, in any store directory, and nothing after it.
pub(crate) fn is_store_path(text: &str) -> bool {
    let Some((dir, base)) = text.rsplit_once('/') else { return false };
    let base = base.as_bytes();
    dir.starts_with('/')
        && dir.ends_with("/store")
        && !dir.contains(|c: char| c.is_whitespace() || c.is_control())
        && base.len() > 33
        && base[32] == b'-'
        && base[..32].iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        && base[33..].iter().all(|b| b.is_ascii_alphanumeric() || b"+-._?=".contains(b))
}

/// Bytes of the longest store path: Nix's default directory, a digest and a name of the greatest length have 255.
const MAX_RESULT: usize = 255;

/// Returns whether a line is a result: a store path as Nix could have made it, of a length that it could have. Results are
/// written whatever else is said, so that nothing else may pass for one.
fn is_result(text: &str) -> bool {
    text.len() <= MAX_RESULT && is_store_path(text) && StorePathRef::from_any_store_dir(text).is_ok()
}

/// The text between the first pair of single quotes after `prefix`, and what follows.
fn quoted<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(prefix)?.strip_prefix('\'')?.split_once('\'')
}

fn building(text: &str) -> Option<HumanLine<'_>> {
    let (derivation, rest) = quoted(text, "building ")
        .or_else(|| quoted(text, "checking outputs of "))
        .or_else(|| quoted(text, "repairing outputs of "))?;
    if !derivation.ends_with(".drv") || !(rest.is_empty() || rest.ends_with("...")) {
        return None;
    }
    let machine = quoted(rest, " on ").map(|(machine, _)| machine);
    Some(HumanLine::Building { derivation, machine })
}

fn copying(text: &str) -> Option<HumanLine<'_>> {
    let (path, rest) = quoted(text, "copying path ")?;
    let from = quoted(rest, " from ");
    let to = quoted(from.map_or(rest, |(_, rest)| rest), " to ");
    Some(HumanLine::Copying { path, from: from.map(|(from, _)| from), to: to.map(|(to, _)| to) })
}

fn list_header(text: &str) -> Option<HumanLine<'_>> {
    let (count, rest) = if let Some(rest) = text.strip_prefix("this ") {
        (Some(1), rest)
    } else if let Some(rest) = text.strip_prefix("these ") {
        match rest.split_once(' ') {
            Some((digits, rest)) if digits.bytes().all(|b| b.is_ascii_digit()) => (digits.parse().ok(), rest),
            _ => (None, rest),
        }
    } else if text.starts_with("don't know how to build these paths") {
        return Some(HumanLine::ListHeader(List::Unknown));
    } else {
        return None;
    };
    match rest {
        "derivations will be built:" | "derivation will be built:" => {
            return Some(HumanLine::ListHeader(List::Build(count)));
        }
        _ => {}
    }
    let sizes = rest
        .strip_prefix("paths will be fetched (")
        .or_else(|| rest.strip_prefix("path will be fetched ("))?;
    let (download, rest) = sizes.split_once(" download, ")?;
    let (unpacked, _) = rest.split_once(" unpacked")?;
    let (download, unpacked) = (size(download)?, size(unpacked)?);
    Some(HumanLine::ListHeader(List::Fetch { paths: count, download, unpacked }))
}

/// `1.25 MiB` in bytes. Nix 2.3 to 2.28 always print MiB, later ones pick the unit.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    let factor: f64 = match unit {
        "B" | "bytes" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    // A hostile number saturates.
    Some((number * factor).max(0.0) as u64)
}

/// `name> line`, as `--print-build-logs` prints it.
fn build_log(text: &str) -> Option<HumanLine<'_>> {
    let end = text.find(['>', ' ', '\t', '<', '/', ':', '\'', '"'])?;
    let name = &text[..end];
    let rest = text[end..].strip_prefix('>')?;
    let line = if rest.is_empty() { "" } else { rest.strip_prefix(' ')? };
    (!name.is_empty()).then_some(HumanLine::BuildLog { name, line })
}

/// Lines of Nix's that repeat what other lines or the counts say.
fn is_chatter(text: &str) -> bool {
    const STARTS: &[&str] = &[
        "querying info about ",
        "downloading '",
        "uploading '",
        "evaluating file '",
        "evaluating derivation '",
        "evaluating flake...",
        "checking flake output '",
        "checking derivation ",
        "copying '",
        "copying \"",
        "copied '",
        "copied source '",
        "hashing '",
        "unpacking '",
        "fetching Git repository '",
        "fetching '",
        "fetching path input '",
        "fetching git input '",
        "fetching github input '",
        "updating lock file '",
        "resolved derivation: '",
        "waiting for lock on '",
        "waiting for a machine to build '",
        "waiting for a free build user ID for '",
        "waiting for the upload lock to '",
        "waiting for locks, available build slots or build users",
        "waiting for locks or build slots...",
        "waiting for children",
        "connecting to '",
        "copying dependencies to '",
        "copying outputs from '",
        "running post-build-hook '",
        "substituter '",
        "disabling binary cache '",
        "(use '--show-trace' ",
        "Try 'nix --help' ",
    ];
    STARTS.iter().any(|start| text.starts_with(start)) || is_copying_paths(text) || is_running_checks(text)
}

fn is_copying_paths(text: &str) -> bool {
    text.strip_prefix("copying ")
        .and_then(|rest| rest.split_once(' '))
        .is_some_and(|(n, rest)| n.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with("paths"))
}

fn is_running_checks(text: &str) -> bool {
    text.starts_with("running ") && text.ends_with(" flake checks...")
}

/// Puts the lines of an error together.
///
/// An error is its first line and the indented or blank lines under it, so its end is known only with the next line.
#[derive(Debug, Default)]
pub(super) struct ErrorBlock {
    text: String,
    lines: usize,
    /// The end of the first line.
    first_end: usize,
    /// Columns that another program puts before each line of it.
    indent: usize,
    previous: String,
    /// Blank lines that belong to the error only if more of it follows.
    blank: usize,
}

/// An error of more lines than this goes on in silence; Nix's own stay below it without `--show-trace`.
const MAX_ERROR_LINES: usize = 400;
/// And of more bytes than this.
const MAX_ERROR_BYTES: usize = 256 << 10;

impl ErrorBlock {
    pub(super) fn is_open(&self) -> bool {
        self.lines > 0
    }

    /// Begins with an error's first line.
    pub(super) fn open(&mut self, line: &str) {
        self.indent = line.len() - line.trim_start_matches(' ').len();
        let line = line.trim_start_matches(' ');
        self.text.clear();
        self.text.push_str(line);
        self.first_end = line.len();
        self.previous.clear();
        self.previous.push_str(line);
        self.lines = 1;
        self.blank = 0;
    }

    /// Takes a line if it belongs to the error.
    pub(super) fn take(&mut self, line: &str) -> bool {
        if line.trim().is_empty() {
            self.blank += 1;
            // A blank line at the end of an error is Nix's too, three are somebody's layout.
            return self.blank < 3;
        }
        let indentation = line.len() - line.trim_start_matches(' ').len();
        let line = line.get(self.indent.min(indentation)..).unwrap_or(line);
        let first = self.text.get(..self.first_end).unwrap_or_default();
        if !line.starts_with([' ', '\t']) && !continues_error(first, &self.previous, line) {
            return false;
        }
        self.previous.clear();
        self.previous.push_str(line);
        if self.lines < MAX_ERROR_LINES && self.text.len() + line.len() < MAX_ERROR_BYTES {
            for _ in 0..self.blank {
                self.text.push('\n');
            }
            self.text.push('\n');
            self.text.push_str(line);
        }
        self.lines += 1 + self.blank;
        self.blank = 0;
        true
    }

    /// Ends the error and gives its text.
    pub(super) fn close(&mut self) -> &str {
        self.lines = 0;
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_versions_are_told_apart() {
        let drv = "/nix/store/r8y95xadk9qzggyyfjq0xf5z88knam70-goodlib-1.0.drv";
        let path = "/nix/store/r8y95xadk9qzggyyfjq0xf5z88knam70-goodlib-1.0";
        let mib = 1 << 20;
        let cases: &[(&str, HumanLine<'_>)] = &[
            (&format!("building '{drv}'..."), HumanLine::Building { derivation: drv, machine: None }),
            (&format!("building '{drv}'"), HumanLine::Building { derivation: drv, machine: None }),
            (
                &format!("building '{drv}' on 'ssh://root@host'..."),
                HumanLine::Building { derivation: drv, machine: Some("ssh://root@host") },
            ),
            (
                &format!("checking outputs of '{drv}'..."),
                HumanLine::Building { derivation: drv, machine: None },
            ),
            ("building 'the docs'", HumanLine::Other),
            (
                &format!("copying path '{path}' from 'https://cache.nixos.org'..."),
                HumanLine::Copying { path, from: Some("https://cache.nixos.org"), to: None },
            ),
            (
                &format!("copying path '{path}' from 'a' to 'b'..."),
                HumanLine::Copying { path, from: Some("a"), to: Some("b") },
            ),
            (
                &format!("copying path '{path}' to 'b'"),
                HumanLine::Copying { path, from: None, to: Some("b") },
            ),
            ("these 12 derivations will be built:", HumanLine::ListHeader(List::Build(Some(12)))),
            ("these derivations will be built:", HumanLine::ListHeader(List::Build(None))),
            ("this derivation will be built:", HumanLine::ListHeader(List::Build(Some(1)))),
            (
                "these 3 paths will be fetched (1.50 MiB download, 3.00 MiB unpacked):",
                HumanLine::ListHeader(List::Fetch {
                    paths: Some(3),
                    download: mib * 3 / 2,
                    unpacked: mib * 3,
                }),
            ),
            (
                "this path will be fetched (0.00 MiB download, 0.5 KiB unpacked):",
                HumanLine::ListHeader(List::Fetch { paths: Some(1), download: 0, unpacked: 512 }),
            ),
            ("these are the days", HumanLine::Other),
            (&format!("  {drv}"), HumanLine::ListEntry(drv)),
            (&format!("  {path}"), HumanLine::ListEntry(path)),
            ("  /etc/passwd", HumanLine::Other),
            (path, HumanLine::StorePath(path)),
            (&format!("{path}{}", "x".repeat(211)), HumanLine::Other),
            (&format!("{path}{}", "x".repeat(10_000)), HumanLine::Other),
            ("/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-x", HumanLine::Other),
            (&format!("{path}/bin/x"), HumanLine::Other),
            (&format!("{path} and more"), HumanLine::Other),
            // Found by fuzzing: what stands before the last name need not be a store directory.
            (&format!("/ r\0\u{7f} {path}"), HumanLine::Other),
            ("warning: Git tree '/x' is dirty", HumanLine::Warning("Git tree '/x' is dirty")),
            ("evaluation warning: old", HumanLine::Warning("old")),
            ("trace: warning: old", HumanLine::Warning("old")),
            ("trace: x", HumanLine::Trace("x")),
            ("error: undefined variable 'x'", HumanLine::Error),
            (
                "libc-extra> checking for gcc... gcc",
                HumanLine::BuildLog { name: "libc-extra", line: "checking for gcc... gcc" },
            ),
            ("libc-extra>   two", HumanLine::BuildLog { name: "libc-extra", line: "  two" }),
            ("libc-extra>", HumanLine::BuildLog { name: "libc-extra", line: "" }),
            ("a -> b", HumanLine::Other),
            ("> quoted", HumanLine::Other),
            ("copying 3 paths...", HumanLine::Chatter),
            ("waiting for locks or build slots...", HumanLine::Chatter),
            ("Starting Home Manager activation", HumanLine::Other),
            ("", HumanLine::Other),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), *expected, "{line}");
        }
    }

    #[test]
    fn an_error_ends_where_the_indentation_ends() {
        let mut block = ErrorBlock::default();
        block.open("error:");
        for line in ["       … while", "", "         at /x:1:2:", "       error: boom", ""] {
            assert!(block.take(line), "{line:?}");
        }
        assert!(!block.take("make: *** [Makefile:2: home] Error 1"));
        assert_eq!(block.close(), "error:\n       … while\n\n         at /x:1:2:\n       error: boom");
    }
}
