//! The meaning of a program's exit status for the build, by the program's name.

/// The weight of an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs builds, and ends with 0 only if they went well.
    Nix,
    /// Passes on what it reads, from a pipe or from a file. How it ends says nothing of what it has read.
    Filter,
    /// Runs another program at a terminal of its own, and need not end as that does.
    Relay,
    /// Any other program: a shell, make, ssh.
    Other,
}

/// Nix, the tools around it that hand on its exit status, and what they are called in nixpkgs' wrappers.
const NIX: [&str; 20] = [
    "cachix",
    "colmena",
    "darwin-rebuild",
    "deploy",
    "devenv",
    "disko",
    "home-manager",
    "nh",
    "nix",
    "nix-build",
    "nix-channel",
    "nix-collect-garbage",
    "nix-copy-closure",
    "nix-env",
    "nix-fast-build",
    "nix-instantiate",
    "nix-store",
    "nixos-anywhere",
    "nixos-install",
    "nixos-rebuild",
];

/// Programs that hand on text, change or choose lines of it, or fetch a log that somebody has kept.
const FILTERS: [&str; 65] = [
    "ansi2txt",
    "ansifilter",
    "awk",
    "base64",
    "bat",
    "batcat",
    "buffer",
    "bzcat",
    "cat",
    "ccze",
    "col",
    "colrm",
    "column",
    "curl",
    "cut",
    "dd",
    "dos2unix",
    "echo",
    "egrep",
    "expand",
    "fgrep",
    "fold",
    "gawk",
    "gh",
    "glab",
    "grcat",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "iconv",
    "journalctl",
    "jq",
    "less",
    "logger",
    "lolcat",
    "mawk",
    "mbuffer",
    "more",
    "nl",
    "nom",
    "paste",
    "perl",
    "pv",
    "rev",
    "rg",
    "sd",
    "sed",
    "sort",
    "stdbuf",
    "strings",
    "tac",
    "tail",
    "tee",
    "tr",
    "ts",
    "ugrep",
    "uniq",
    "unix2dos",
    "unzstd",
    "wget",
    "xz",
    "xzcat",
    "zcat",
    "zstd",
];

const RELAYS: [&str; 3] = ["expect", "script", "unbuffer"];

/// A name as Linux cuts it.
fn cut(name: &str) -> &str {
    name.get(..15).unwrap_or(name)
}

/// Says what the exit status of a program of this name is worth.
pub(super) fn kind(name: &str) -> Kind {
    let is = |known: &str| {
        name == cut(known) || name.starts_with('.') && name == cut(&format!(".{known}-wrapped"))
    };
    // The second `nixos-rebuild` is written in Python and called so.
    if NIX.into_iter().any(is) || name == "nixos-rebuild-n" {
        Kind::Nix
    } else if FILTERS.into_iter().any(is) {
        Kind::Filter
    } else if RELAYS.into_iter().any(is) {
        Kind::Relay
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("nix", Kind::Nix),
            ("nix-build", Kind::Nix),
            ("nixos-rebuild", Kind::Nix),
            ("nixos-rebuild-n", Kind::Nix),
            (".nixos-rebuild-", Kind::Nix),
            (".nh-wrapped", Kind::Nix),
            (".home-manager-w", Kind::Nix),
            ("nix-collect-gar", Kind::Nix),
            (".firefox-wrappe", Kind::Other),
            ("nix-daemon", Kind::Other),
            ("tee", Kind::Filter),
            ("ts", Kind::Filter),
            ("script", Kind::Relay),
            ("unbuffer", Kind::Relay),
            ("bash", Kind::Other),
            ("make", Kind::Other),
            ("ssh", Kind::Other),
            ("docker", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
