//! Changes of a lock file, as `nix flake update` and `nix flake lock` print them.

use nixmon_log::escapes::sanitize;

/// Inputs kept of each kind; further ones are forgotten.
const MAX_INPUTS: usize = 1024;
/// Longest reference kept, in bytes.
const MAX_URL: usize = 2048;

/// One locked input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlakeInput {
    /// The input's path from the top: `nixpkgs`, `home-manager/nixpkgs`.
    pub name: String,
    /// The reference it was locked to before; nothing for an added input.
    pub old_url: Option<String>,
    /// `2026-08-01`, the date of that revision, where Nix knows it.
    pub old_date: Option<String>,
    /// The reference it is locked to now; nothing for a removed input. An input that follows another has `follows 'NAME'` here.
    pub new_url: Option<String>,
    /// The date of that revision.
    pub new_date: Option<String>,
}

/// The changes of a flake's inputs, over all lock files of a stream (NIX:src/libflake/lockfile.cc, `LockFile::diff`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlakeInputs {
    /// Locked to something else.
    pub updated: Vec<FlakeInput>,
    /// New.
    pub added: Vec<FlakeInput>,
    /// Gone.
    pub removed: Vec<FlakeInput>,
    /// The lock files, in the order of the stream.
    pub lock_files: Vec<String>,
    /// The change that the next indented lines belong to.
    open: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Updated,
    Added,
    Removed,
}

impl FlakeInputs {
    /// Returns whether there was no change.
    pub fn is_empty(&self) -> bool {
        self.updated.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }

    /// Reads a message that may have several lines, as Nix's JSON carries it. Says whether any line was of a lock file.
    pub fn message(&mut self, message: &str) -> bool {
        if !message.is_empty() && memchr::memchr(b'\n', message.as_bytes()).is_none() {
            return self.line(message);
        }
        let mut any = false;
        for line in message.lines() {
            any |= self.line(line);
        }
        any
    }

    /// Reads one line without escape sequences. Says whether it was of a lock file.
    pub fn line(&mut self, line: &str) -> bool {
        let head = ["warning: ", ""].iter().find_map(|level| {
            let rest = line.strip_prefix(level)?;
            rest.strip_prefix("updating lock file ").or_else(|| rest.strip_prefix("creating lock file "))
        });
        let quoted = |rest: &str| rest.chars().next().filter(|quote| matches!(quote, '"' | '\''));
        if let Some((rest, quote)) = head.and_then(|rest| Some((rest, quoted(rest)?))) {
            self.open = None;
            if let Some((file, _)) = rest.get(1..).and_then(|rest| rest.split_once(quote)) {
                self.add_lock_file(file);
            }
            return true;
        }
        if let Some(rest) = line.strip_prefix("• ") {
            return self.bullet(rest);
        }
        let Some(kind) = self.open else { return false };
        let (target, reference) = if let Some(rest) = line.strip_prefix("  → ") {
            (true, rest)
        } else if let Some(rest) = line.strip_prefix("    ") {
            (kind == Kind::Added, rest)
        } else {
            self.open = None;
            return false;
        };
        let Some((url, date)) = reference_and_date(reference) else {
            self.open = None;
            return false;
        };
        if let Some(input) = self.list(kind).last_mut() {
            let (slot, when) = if target {
                (&mut input.new_url, &mut input.new_date)
            } else {
                (&mut input.old_url, &mut input.old_date)
            };
            // If the same input is updated twice, the old reference is that before the first update.
            if target || slot.is_none() {
                *slot = Some(url);
                *when = date;
            }
        }
        true
    }

    fn add_lock_file(&mut self, file: &str) {
        /// Beyond them no next step is named.
        const MOST: usize = 64;
        let file = sanitize(file);
        let is_known = self.lock_files.iter().any(|known| **known == file);
        if !is_known && file.len() <= MAX_URL && self.lock_files.len() < MOST {
            self.lock_files.push(file.into_owned());
        }
    }

    fn bullet(&mut self, rest: &str) -> bool {
        let kinds = [
            ("Updated input '", Kind::Updated),
            ("Added input '", Kind::Added),
            ("Removed input '", Kind::Removed),
        ];
        let found = kinds.iter().find_map(|(start, kind)| rest.strip_prefix(start).map(|rest| (rest, *kind)));
        let Some((rest, kind)) = found else { return false };
        let Some((name, end)) = rest.rsplit_once('\'') else { return false };
        if name.is_empty() || name.len() > MAX_URL || !matches!(end, "" | ":") {
            return false;
        }
        let name = sanitize(name).into_owned();
        // The same input again, by a later command in the stream: the first state and the last count.
        let list = self.list(kind);
        if let Some(at) = list.iter().position(|input| input.name == name) {
            let known = list.remove(at);
            list.push(known);
        } else if list.len() < MAX_INPUTS {
            list.push(FlakeInput { name, ..FlakeInput::default() });
        }
        self.open = (kind != Kind::Removed).then_some(kind);
        true
    }

    fn list(&mut self, kind: Kind) -> &mut Vec<FlakeInput> {
        match kind {
            Kind::Updated => &mut self.updated,
            Kind::Added => &mut self.added,
            Kind::Removed => &mut self.removed,
        }
    }
}

/// `'github:NixOS/nixpkgs/356a...' (2026-08-01)` into the reference and the date; `follows 'nixpkgs'` as it is.
fn reference_and_date(text: &str) -> Option<(String, Option<String>)> {
    if text.len() > MAX_URL {
        return None;
    }
    if text.starts_with("follows '") {
        return Some((sanitize(text).into_owned(), None));
    }
    let (url, rest) = text.strip_prefix('\'')?.split_once('\'')?;
    let date = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    Some((sanitize(url).into_owned(), date.map(|date| sanitize(date).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, old: Option<(&str, &str)>, new: Option<(&str, &str)>) -> FlakeInput {
        let part = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
        FlakeInput {
            name: name.to_owned(),
            old_url: part(old.map(|(url, _)| url)),
            old_date: part(old.map(|(_, date)| date)),
            new_url: part(new.map(|(url, _)| url)),
            new_date: part(new.map(|(_, date)| date)),
        }
    }

    #[test]
    fn lock_file_changes() {
        let message = "updating lock file \"/home/demo/nix-flakes/flake.lock\":\n\
            • Updated input 'home-manager/nixpkgs':\n    'github:NixOS/nixpkgs/356a' (2026-08-01)\n  → 'github:NixOS/nixpkgs/da4b' (2026-08-18)\n\
            • Updated input 'a':\n    'path:/x'\n  → 'path:/y?narHash=sha256-Z2uL%3D' (1970-01-01)\n\
            • Added input 'b':\n    'git+file:///b' (2026-01-01)\n\
            • Added input 'b/nixpkgs':\n    follows 'nixpkgs'\n\
            • Updated input 'c':\n    follows 'a'\n  → 'path:/c' (2026-01-02)\n\
            • Removed input 'd'\n\
            • Removed input 'd/nixpkgs'";
        let mut inputs = FlakeInputs::default();
        assert!(inputs.message(message));
        assert!(!inputs.line("warning: Git tree '/home/demo/nix-flakes' is dirty"));
        assert!(!inputs.line("    'github:NixOS/nixpkgs/356a' (2026-08-01)"));
        assert_eq!(
            inputs.updated,
            [
                input(
                    "home-manager/nixpkgs",
                    Some(("github:NixOS/nixpkgs/356a", "2026-08-01")),
                    Some(("github:NixOS/nixpkgs/da4b", "2026-08-18"))
                ),
                input("a", Some(("path:/x", "")), Some(("path:/y?narHash=sha256-Z2uL%3D", "1970-01-01"))),
                input("c", Some(("follows 'a'", "")), Some(("path:/c", "2026-01-02"))),
            ]
        );
        assert_eq!(
            inputs.added,
            [
                input("b", None, Some(("git+file:///b", "2026-01-01"))),
                input("b/nixpkgs", None, Some(("follows 'nixpkgs'", "")))
            ]
        );
        assert_eq!(inputs.removed, [input("d", None, None), input("d/nixpkgs", None, None)]);
        assert_eq!(inputs.lock_files, ["/home/demo/nix-flakes/flake.lock"]);
    }

    #[test]
    fn other_lines() {
        let mut inputs = FlakeInputs::default();
        for line in [
            "• Updated",
            "• Updated input",
            "• Updated input 'x",
            "• a list item",
            "updating lock file",
            "  → 'x'",
            "Updated input 'x':",
        ] {
            assert!(!inputs.line(line), "{line}");
        }
        assert!(inputs.is_empty());
    }
}
