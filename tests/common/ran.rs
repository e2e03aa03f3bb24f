//! The result of a program that a test has run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Output;

/// Exit status and output.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` if a signal has ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Ran {
    /// Makes it from a program that writes text.
    #[track_caller]
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It ended so and said all of this, without colours.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, expected: &[&str]) {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        for part in expected {
            assert!(all.contains(part), "{part:?} is not in:\n{all}");
        }
        assert!(!all.contains('\u{1b}') && !all.contains("panicked"), "{all}");
    }
}
