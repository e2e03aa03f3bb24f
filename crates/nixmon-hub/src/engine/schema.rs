//! The tables, as a list of steps from one version to the next.

/// The newest version.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Each leads from the version before. `{ID}` stands for a key that counts up, `{BYTES}` for the type of bytes.
const STEPS: &[&str] = &[include_str!("v1.sql")];

/// Returns the steps from a version on.
pub(super) fn steps(version: i64) -> impl Iterator<Item = &'static str> {
    STEPS.iter().copied().skip(usize::try_from(version).unwrap_or(usize::MAX))
}
