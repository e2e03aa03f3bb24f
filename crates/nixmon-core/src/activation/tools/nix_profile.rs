//! Nix where it sets the profile of a configuration, which comes before the activation.

use crate::activation::{
    Tool,
    rule::{Effect::*, Program, rule},
};

const LOCKS: &str = "NIX:src/libstore/unix/pathlocks.cc";

pub(super) static PROGRAM: Program = Program {
    within: &[],
    rules: &[
        rule("error: opening lock file \"{path}\": {text}", ProfileFailed, LOCKS),
        rule("error: opening lock file '{path}': {text}", ProfileFailed, LOCKS),
        rule("error: acquiring/releasing lock on \"{path}\": {text}", ProfileFailed, LOCKS),
        rule("error: creating symlink \"{path}\": {text}", ProfileFailed, "NIX:src/libutil/file-system.cc"),
        rule("error: creating symlink '{path}': {text}", ProfileFailed, "NIX:src/libutil/file-system.cc"),
        rule(
            "error: creating symlink from {text} to '{path}': {text}",
            ProfileFailed,
            "NIX:src/libutil/file-system.cc",
        ),
        rule(
            "error: creating symlink from {text} to \"{path}\": {text}",
            ProfileFailed,
            "NIX:src/libutil/file-system.cc",
        ),
    ],
};

/// Returns whose profile this path belongs to: `None` if it is not that of a configuration, an inner `None` if it is the
/// system's, which NixOS and nix-darwin share.
pub(in crate::activation) fn owner(path: &str) -> Option<Option<Tool>> {
    let (_, name) = path.split_once("/profiles/")?;
    // `system-12-link`, `system.lock`
    let last = name.rsplit('/').next().unwrap_or_default();
    let stems = || last.match_indices(['.', '-']).filter_map(|(at, _)| last.get(..at)).chain([last]);
    match stems().find_map(Tool::of_profile) {
        Some(tool) => Some(Some(tool)),
        None => {
            let is_system = name.starts_with("system-profiles/") || stems().any(|stem| stem == "system");
            is_system.then_some(None)
        }
    }
}
