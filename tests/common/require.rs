//! Tools that a test needs and a machine may lack.

#![expect(clippy::disallowed_methods, reason = "a test asks its environment what it can do")]
#![expect(clippy::print_stderr, reason = "a skip is said aloud")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

/// Finds the program `tool` on PATH. Where it is missing the test has to return: the skip has then been said and counted.
///
/// A runner shows nothing of a test that passes, and none lets a test call itself skipped. So the skip goes to standard
/// error and as a line into `skipped-tests` in the target directory; `make test` prints these lines and their number.
///
/// # Panics
///
/// With `CI=true` in the environment nothing may be skipped: a missing tool fails the test.
pub(crate) fn require(tool: &str) -> Option<PathBuf> {
    let found = find(tool);
    if found.is_none() {
        skip(&format!("no {tool} on PATH"));
    }
    found
}

/// Says that the test is skipped, for something else that is missing.
///
/// # Panics
///
/// With `CI=true` in the environment.
pub(crate) fn skip(why: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "skipped, since {why}, but CI=true");
    unsupported(why);
}

/// Says that the test, or a part of it, is skipped for want of something that no package brings: a newer kernel, the
/// namespaces of the machine.
pub(crate) fn unsupported(why: &str) {
    let current = thread::current();
    let skip = format!("SKIPPED: {}: {why}", current.name().unwrap_or("a test"));
    eprintln!("{skip}");
    // One write in append mode: tests run in processes of their own.
    skipped_tests().write_all(format!("{skip}\n").as_bytes()).unwrap();
}

fn find(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(tool)).find(|program| program.is_file())
}

fn skipped_tests() -> File {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    OpenOptions::new().append(true).create(true).open(target.join("skipped-tests")).unwrap()
}
