//! Names of derivations, split as Nix splits them.

use serde::{Deserialize, Serialize};

/// The name of a derivation in its two parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DrvName {
    /// The package name: all before the first dash that no letter follows.
    pub pname: String,
    /// The version: all after that dash; empty without one.
    pub version: String,
}

impl DrvName {
    /// Splits `name` at the first dash that is followed by a character other than a letter (`builtins.parseDrvName`).
    ///
    /// A dash at the very end belongs to the name, since no character follows it.
    pub fn parse(name: &str) -> Self {
        let bytes = name.as_bytes();
        for (at, pair) in bytes.windows(2).enumerate() {
            if pair[0] == b'-' && !pair[1].is_ascii_alphabetic() {
                return DrvName { pname: name[..at].to_owned(), version: name[at + 1..].to_owned() };
            }
        }
        DrvName { pname: name.to_owned(), version: String::new() }
    }

    /// Returns the whole name again.
    pub fn full(&self) -> String {
        if self.version.is_empty() { self.pname.clone() } else { format!("{}-{}", self.pname, self.version) }
    }

    /// Compares two names as the whole texts compare, without joining them.
    pub fn cmp_full(&self, other: &DrvName) -> std::cmp::Ordering {
        let (a, b) = (self.pname.as_bytes(), other.pname.as_bytes());
        let shared = a.len().min(b.len());
        a[..shared].cmp(&b[..shared]).then_with(|| self.rest(shared).cmp(other.rest(shared)))
    }

    /// Returns the bytes of the whole name from `at` on, which lies within the package name or at its end.
    fn rest(&self, at: usize) -> impl Iterator<Item = u8> {
        let dash = if self.version.is_empty() { "" } else { "-" };
        self.pname.as_bytes()[at..].iter().copied().chain(dash.bytes()).chain(self.version.bytes())
    }

    /// Returns the version with every number replaced by `#`.
    ///
    /// Derivations that share a package name often differ by this alone: `foo-1.2`, `foo-1.2.tar.gz` and `foo-1.2-man`
    /// take very different times, and stay apart when the version changes.
    pub fn shape(&self) -> String {
        let mut shape = String::with_capacity(self.version.len());
        for c in self.version.chars() {
            if !c.is_ascii_digit() {
                shape.push(c);
            } else if !shape.ends_with('#') {
                shape.push('#');
            }
        }
        shape
    }

    /// Returns the class of the name: the part that derivations of one kind share.
    ///
    /// It is the suffix of generated files (`.service`, `-wrapper`, `.tar.gz`), or else the prefix of a family of packages
    /// (`python3.12-`, `perl5.40-`, `unit-`), or else empty.
    pub fn class(&self) -> &str {
        Self::class_of(&self.pname, &self.version)
    }

    pub(crate) fn class_of<'a>(pname: &'a str, version: &'a str) -> &'a str {
        const SUFFIXES: [&str; 24] = [
            ".service", ".socket", ".timer", ".target", ".conf", ".json", ".yaml", ".toml", ".xml", ".sh",
            ".patch", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip", ".crate", "-wrapper", "-wrapped", "-source",
            "-env", "-man", "-doc", "-hook", "-vendor",
        ];
        let last = if version.is_empty() { pname } else { version };
        if let Some(suffix) = SUFFIXES.iter().find(|suffix| last.ends_with(**suffix)) {
            return suffix;
        }
        match pname.find('-') {
            Some(dash) if dash >= 3 => &pname[..=dash],
            _ => "",
        }
    }
}

/// Returns the digest and the name in the path of a derivation, or `None` where `path` is no store path of one.
pub fn drv_parts(path: &str) -> Option<(&str, &str)> {
    let base = path.rsplit('/').next()?;
    let (digest, name) = base.split_at_checked(32)?;
    let name = name.strip_prefix('-')?;
    let valid = digest.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    valid.then(|| (digest, name.strip_suffix(".drv").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_nix_splits_them() {
        // The right column is what `builtins.parseDrvName` of Nix 2.8 gives.
        let cases = [
            ("nix-0.12pre12876", "nix", "0.12pre12876"),
            ("hello", "hello", ""),
            ("a-b-c-1234pqr", "a-b-c", "1234pqr"),
            ("python3.12-requests-2.32", "python3.12-requests", "2.32"),
            ("etc-003-1.0", "etc", "003-1.0"),
            ("unit-foo.service", "unit-foo.service", ""),
            ("foo-", "foo-", ""),
            ("-1", "", "1"),
            ("foo--bar", "foo", "-bar"),
            ("foo-é", "foo", "é"),
            ("", "", ""),
        ];
        for (name, pname, version) in cases {
            let got = DrvName::parse(name);
            assert_eq!((got.pname.as_str(), got.version.as_str()), (pname, version), "{name}");
            assert_eq!(got.full(), name, "joined again");
        }
    }

    #[test]
    fn names_compare_as_the_whole_texts_do() {
        let names =
            ["foo-1.0", "foo+x-1.0", "foo-bar-1.0", "foo", "fo-2", "foo.bar", "foo-1", "gtk+-3", "gtk-3"];
        for a in names {
            for b in names {
                assert_eq!(DrvName::parse(a).cmp_full(&DrvName::parse(b)), a.cmp(b), "{a} {b}");
            }
        }
    }

    #[test]
    fn shapes_keep_apart_what_shares_a_package_name() {
        let shape = |name: &str| DrvName::parse(name).shape();
        assert_eq!(shape("foo-1.2"), shape("foo-10.23"));
        assert_ne!(shape("foo-1.2"), shape("foo-1.2.tar.gz"));
        assert_ne!(shape("foo-1.2-man"), shape("foo-1.2"));
    }

    #[test]
    fn classes_are_suffixes_or_families() {
        let class = |name: &str| DrvName::parse(name).class().to_owned();
        assert_eq!(class("unit-sshd.service"), ".service");
        assert_eq!(class("python3.12-requests-2.32"), "python3.12-");
        assert_eq!(class("hello-2.12.tar.gz"), ".tar.gz");
        assert_eq!(class("hello-2.12"), "");
    }

    #[test]
    fn store_paths_are_taken_apart() {
        let digest = "0123456789abcdfghijklmnpqrsvwxyz";
        let path = format!("/nix/store/{digest}-hello-2.12.drv");
        assert_eq!(drv_parts(&path), Some((digest, "hello-2.12")));
        assert_eq!(drv_parts("hello"), None);
        assert_eq!(drv_parts("/nix/store/é"), None);
    }
}
