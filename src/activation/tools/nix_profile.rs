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

/// Whose profile this path belongs to: `None` if it is not that of a configuration, an inner `None` if it is the
/// system's, which NixOS and nix-darwin share.
pub(in crate::activation) fn owner(path: &str) -> Option<Option<Tool>> {
    let (_, name) = path.split_once("/profiles/")?;
    let is = |profile: &str| {
        name.rsplit('/')
            .next()
            .and_then(|last| last.strip_prefix(profile))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    };
    if is("home-manager") {
        Some(Some(Tool::HomeManager))
    } else if is("system-manager") {
        Some(Some(Tool::SystemManager))
    } else if name.starts_with("system-profiles/") || is("system") {
        Some(None)
    } else {
        None
    }
}
