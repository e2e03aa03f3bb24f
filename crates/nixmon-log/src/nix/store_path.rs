//! Store paths: a store directory, a digest and a name.
//!
//! [`StorePath`] is the validated form. [`split`] and the functions on it read the parts of a path in a message without
//! allocating, for any store directory: chroot stores and `NIX_STORE_DIR` have their own.

use std::cmp::Ordering;
use std::fmt;

use super::nixbase32;

/// The store directory of nearly every installation.
pub const STORE_DIR: &str = "/nix/store";

/// Bytes of the digest of a store path: a hash folded to 160 bits.
pub const DIGEST_SIZE: usize = 20;

/// Characters of the digest as it stands in a path.
pub const ENCODED_DIGEST_SIZE: usize = nixbase32::encode_len(DIGEST_SIZE);

/// Longest permitted name (`src/libstore/path.cc` in Nix: `StorePath::MaxPathLen`).
pub const MAX_NAME_LEN: usize = 211;

/// Bytes of a longer path are not kept: no system takes it (`PATH_MAX` of Linux).
pub const MAX_LEN: usize = 4096;

/// Suffix of the names of derivations.
pub const DRV_EXTENSION: &str = ".drv";

/// Why a text is not a store path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseStorePathError {
    /// The path is not absolute or not inside the store directory.
    #[error("path is not in the store directory")]
    MissingStoreDir,
    /// Too short for a digest, a dash and a name, or the name too long.
    #[error("invalid length of store path")]
    Length,
    /// No `-` between digest and name.
    #[error("missing dash between digest and name")]
    MissingDash,
    /// The digest is not base-32.
    #[error("invalid digest in store path")]
    Digest(#[from] nixbase32::Nixbase32Error),
    /// The name has a character that Nix does not permit, or a reserved beginning.
    #[error("invalid name in store path")]
    Name,
}

/// A store path without its store directory: digest and name.
///
/// Ordered as the paths themselves are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StorePath<S> {
    digest: [u8; DIGEST_SIZE],
    name: S,
}

/// A store path that borrows its name.
pub type StorePathRef<'a> = StorePath<&'a str>;

impl<S> StorePath<S> {
    /// The digest that begins the path.
    pub fn digest(&self) -> &[u8; DIGEST_SIZE] {
        &self.digest
    }

    /// The name: what follows the digest and its dash.
    pub fn name(&self) -> &S {
        &self.name
    }
}

impl<'a, S: From<&'a str>> StorePath<S> {
    /// Parses `<digest>-<name>`, the base name of a path.
    ///
    /// # Errors
    /// Fails where the text is no such name.
    pub fn from_bytes(input: &'a [u8]) -> Result<Self, ParseStorePathError> {
        let (digest, rest) =
            input.split_at_checked(ENCODED_DIGEST_SIZE).ok_or(ParseStorePathError::Length)?;
        let digest = nixbase32::decode_fixed(digest)?;
        let name = rest.strip_prefix(b"-").ok_or(ParseStorePathError::MissingDash)?;
        Ok(StorePath { digest, name: validate_name(name)?.into() })
    }

    /// Parses a path in [`STORE_DIR`].
    ///
    /// # Errors
    /// Fails where the path is elsewhere, or inside a store path rather than one.
    pub fn from_absolute_path(path: &'a [u8]) -> Result<Self, ParseStorePathError> {
        path.strip_prefix(STORE_DIR.as_bytes())
            .and_then(|path| path.strip_prefix(b"/"))
            .ok_or(ParseStorePathError::MissingStoreDir)
            .and_then(Self::from_bytes)
    }

    /// Parses an absolute path in whatever store directory: gives the directory and the store path.
    ///
    /// # Errors
    /// Fails where the path is not absolute, has no directory, or its last component is no store path.
    pub fn from_any_store_dir(path: &'a str) -> Result<(&'a str, Self), ParseStorePathError> {
        match path.rsplit_once('/') {
            Some((store_dir, base)) if store_dir.starts_with('/') => {
                Ok((store_dir, Self::from_bytes(base.as_bytes())?))
            }
            _ => Err(ParseStorePathError::MissingStoreDir),
        }
    }
}

impl<S: AsRef<str>> StorePath<S> {
    /// The path in [`STORE_DIR`].
    pub fn to_absolute_path(&self) -> String {
        format!("{STORE_DIR}/{self}")
    }

    /// The same path, borrowing the name.
    pub fn as_ref(&self) -> StorePathRef<'_> {
        StorePath { digest: self.digest, name: self.name.as_ref() }
    }
}

impl StorePathRef<'_> {
    /// The same path, owning the name.
    pub fn to_owned(&self) -> StorePath<String> {
        StorePath { digest: self.digest, name: self.name.into() }
    }
}

impl<S: AsRef<str>> fmt::Display for StorePath<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", nixbase32::encode(&self.digest), self.name.as_ref())
    }
}

impl<S: Ord> Ord for StorePath<S> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The encoding begins with the last byte.
        let digits = self.digest.iter().rev().cmp(other.digest.iter().rev());
        digits.then_with(|| self.name.cmp(&other.name))
    }
}

impl<S: Ord> PartialOrd for StorePath<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Checks a name by the rules of `checkName` in Nix's `src/libstore/path.cc`. Older versions permit no dot at the
/// beginning; we read the paths of all.
fn validate_name(name: &[u8]) -> Result<&str, ParseStorePathError> {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return Err(ParseStorePathError::Length);
    }
    // `.`, `..` and these before a dash would read as relative paths.
    let reserved = matches!(name, b"." | b".." | [b'.', b'-', ..] | [b'.', b'.', b'-', ..]);
    let permitted = |b: &u8| b.is_ascii_alphanumeric() || b"+-._?=".contains(b);
    if reserved || !name.iter().all(permitted) {
        return Err(ParseStorePathError::Name);
    }
    std::str::from_utf8(name).map_err(|_| ParseStorePathError::Name)
}

/// The parts of an absolute path in a store, as [`split`] finds them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parts<'a> {
    /// The store directory, without a slash at its end.
    pub store_dir: &'a str,
    /// The digest as it stands in the path.
    pub digest: &'a str,
    /// The name.
    pub name: &'a str,
    /// The whole store path: directory, digest and name.
    pub store_path: &'a str,
    /// The rest inside the store path, without the slash before it. Empty for the store path itself.
    pub rest: &'a str,
}

/// Splits an absolute path in any store directory into its parts.
///
/// The store path is the first component of the form `<digest>-<name>` that has a directory before it.
pub fn split(path: &str) -> Option<Parts<'_>> {
    if !path.starts_with('/') {
        return None;
    }
    let mut start = 1;
    loop {
        let component = path.get(start..)?.split('/').next()?;
        let end = start + component.len();
        let parts = component.split_at_checked(ENCODED_DIGEST_SIZE).and_then(|(digest, name)| {
            let name = name.strip_prefix('-')?;
            let valid = digest.bytes().all(nixbase32::is_digit) && validate_name(name.as_bytes()).is_ok();
            let store_dir = path.get(..start)?.trim_end_matches('/');
            (valid && !store_dir.is_empty()).then_some((store_dir, digest, name))
        });
        if let Some((store_dir, digest, name)) = parts {
            let (store_path, rest) = path.split_at_checked(end)?;
            return Some(Parts { store_dir, digest, name, store_path, rest: rest.trim_start_matches('/') });
        }
        start = end + 1;
    }
}

/// The name in a store path or a path inside one: `source` for `/nix/store/<digest>-source/flake.nix`.
pub fn path_name(path: &str) -> Option<&str> {
    split(path).map(|parts| parts.name)
}

/// The name in a store path and the path inside it: `("source", "flake.nix")` for
/// `/nix/store/<digest>-source/flake.nix`, `("source", "")` for the store path itself.
pub fn path_name_and_rest(path: &str) -> Option<(&str, &str)> {
    split(path).map(|parts| (parts.name, parts.rest))
}

/// The name of the derivation that a store path ending in `.drv` holds: `hello-2.12` for
/// `/nix/store/<digest>-hello-2.12.drv`.
pub fn derivation_name(path: &str) -> Option<&str> {
    let parts = split(path).filter(|parts| parts.rest.is_empty())?;
    parts.name.strip_suffix(DRV_EXTENSION).filter(|name| !name.is_empty())
}

/// Returns a name up to its version, which begins with a dash that no letter follows, as Nix cuts it (`DrvName` in
/// `libstore/names.cc`).
pub fn without_version(name: &str) -> &str {
    let bytes = name.as_bytes();
    let end = (0..bytes.len().saturating_sub(1))
        .find(|&at| bytes[at] == b'-' && !bytes[at + 1].is_ascii_alphabetic());
    &name[..end.unwrap_or(name.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: &str = "r66qk8x9ybbba8q3v6ir66arky9idlqf-dep-1.0.drv";

    #[test]
    fn parses_and_writes() {
        let path: StorePathRef<'_> = StorePath::from_bytes(BASE.as_bytes()).unwrap();
        assert_eq!(*path.name(), "dep-1.0.drv");
        assert_eq!(nixbase32::encode(path.digest()), BASE[..32]);
        assert_eq!(path.to_string(), BASE);
        assert_eq!(path.to_absolute_path(), format!("/nix/store/{BASE}"));
        let owned: StorePath<String> =
            StorePath::from_absolute_path(path.to_absolute_path().as_bytes()).unwrap();
        assert_eq!(owned, path.to_owned());
        assert_eq!(owned.as_ref(), path);
        let other = format!("/tmp/x/nix/store/{BASE}");
        assert_eq!(StorePathRef::from_any_store_dir(&other), Ok(("/tmp/x/nix/store", path)));
    }

    #[test]
    fn errors() {
        use ParseStorePathError as E;
        let long = "a".repeat(MAX_NAME_LEN + 1);
        let d = &BASE[..32];
        for (input, error) in [
            (String::new(), E::MissingStoreDir),
            (BASE.into(), E::MissingStoreDir),
            (format!("/nix/storeX/{BASE}"), E::MissingStoreDir),
            ("/nix/store/".into(), E::Length),
            (format!("/nix/store/{d}"), E::MissingDash),
            (format!("/nix/store/{d}_x"), E::MissingDash),
            (format!("/nix/store/{d}-"), E::Length),
            (format!("/nix/store/{d}-{long}"), E::Length),
            (format!("/nix/store/{d}-."), E::Name),
            (format!("/nix/store/{d}-..-x"), E::Name),
            (format!("/nix/store/{d}-x/y"), E::Name),
            (format!("/nix/store/{d}-\u{e9}"), E::Name),
            (format!("/nix/store/e{}-x", &d[1..]), E::Digest(nixbase32::Nixbase32Error::Character(0))),
        ] {
            let result = StorePathRef::from_absolute_path(input.as_bytes());
            assert_eq!(result, Err(error), "{input}");
        }
        for input in ["", "/", BASE, &format!("/{BASE}"), &format!("store/{BASE}")] {
            assert!(StorePathRef::from_any_store_dir(input).is_err(), "{input}");
        }
    }

    #[test]
    fn names() {
        /// Path, derivation name, path name and rest.
        type Case<'a> = (&'a str, Option<&'a str>, Option<(&'a str, &'a str)>);
        let cases: &[Case<'_>] = &[
            ("/nix/store/D-dep-1.0.drv", Some("dep-1.0"), Some(("dep-1.0.drv", ""))),
            ("/tmp/wt/nix/store/D-dep-1.0.drv", Some("dep-1.0"), Some(("dep-1.0.drv", ""))),
            ("/nix/store/D-dep-1.0", None, Some(("dep-1.0", ""))),
            ("/nix/store/D-source/flake.nix", None, Some(("source", "flake.nix"))),
            ("/nix/store/D-source/a/b.drv", None, Some(("source", "a/b.drv"))),
            ("/nix/store/D-source/", None, Some(("source", ""))),
            ("/nix/store/D-x.drv/y", None, Some(("x.drv", "y"))),
            ("/nix/store/D-x/D-y.drv", None, Some(("x", "D-y.drv"))),
            ("/nix/store/D-.drv", None, Some((".drv", ""))),
            ("/nix/store/D", None, None),
            ("/nix/store/.links/abc", None, None),
            ("/nix/store/short-x.drv", None, None),
            ("D-x.drv", None, None),
            ("/D-x.drv", None, None),
            ("/nix/store/D-x.drv^out", None, None),
            ("/nix/store/\u{e9}\u{e9}", None, None),
            ("/", None, None),
            ("", None, None),
        ];
        for &(path, drv, name) in cases {
            let full = |s: &str| s.replace('D', &BASE[..32]);
            let path = full(path);
            assert_eq!(derivation_name(&path), drv, "{path}");
            let name = name.map(|(name, rest)| (name, full(rest)));
            let got = path_name_and_rest(&path).map(|(name, rest)| (name, rest.to_owned()));
            assert_eq!(got, name, "{path}");
            assert_eq!(path_name(&path), got.as_ref().map(|got| got.0));
        }
        let path = format!("/tmp/s/{BASE}/inner/file");
        let parts = split(&path).unwrap();
        assert_eq!((parts.store_dir, parts.digest), ("/tmp/s", &BASE[..32]));
        assert_eq!(parts.store_path, format!("/tmp/s/{BASE}"));
    }

    #[test]
    fn versions() {
        for (name, expected) in
            [("a-1", "a"), ("a-b-2c", "a-b"), ("a", "a"), ("-", "-"), ("é-é", "é"), ("", "")]
        {
            assert_eq!(without_version(name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(path in "/?([0-9a-f/.é-]{0,40}|nix/store/[0-9a-d]{31,33}[-/é]?[a-z./-]{0,9}){0,3}") {
            if let Some(parts) = split(&path) {
                prop_assert!(path.starts_with(parts.store_path));
                let (dir, parsed) = StorePathRef::from_any_store_dir(parts.store_path).unwrap();
                prop_assert_eq!(dir.trim_end_matches('/'), parts.store_dir);
                prop_assert_eq!(*parsed.name(), parts.name);
            }
        }

        #[test]
        fn order_is_that_of_the_text(a: [u8; 20], b: [u8; 20], x in "[a-c]{1,2}", y in "[a-c]{1,2}") {
            let a = StorePath { digest: a, name: x.as_str() };
            let b = StorePath { digest: b, name: y.as_str() };
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn names_without_versions() {
        for (name, expected) in
            [("a-1", "a"), ("a-b-2c", "a-b"), ("a", "a"), ("-", "-"), ("é-é", "é"), ("", ""), ("-1", "")]
        {
            assert_eq!(without_version(name), expected, "{name}");
        }
    }
}
