//! `make` around the tools: the exit status it hides behind its own 2.
//!
//! GNU make names itself by the last part of its path, with the level of the make that runs it in brackets (`src/main.c`),
//! so no table of forms fits its lines.

use nixmon_log::label::split_label;

/// The meaning of a line of make's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::activation) enum Said<'l> {
    /// A recipe failed (`src/job.c`), with the target and the exit status where it has one.
    Failed {
        /// With file and line since 4.0: `Makefile:3: all`.
        target: &'l str,
        /// `None` where a signal ended it, and in some languages.
        status: Option<i32>,
    },
    /// A recipe was ended from outside.
    Interrupted(&'l str),
    /// It gave up by itself: no rule, a bad makefile (`src/output.c`, `src/remake.c`).
    Stopped,
    /// It waits for the others; the failure before is its exit status.
    Waits,
    /// With `--keep-going`: the end of a make in which something failed.
    NotRemade,
    /// A failure does not count.
    Ignored,
    /// A directory it works in, or a file it removes after a failure.
    Beside,
}

/// Reads a line, if it is one of make's about how it goes.
pub(in crate::activation) fn said(line: &str) -> Option<Said<'_>> {
    let (program, rest) = split_label(line)?;
    if !is_make(program) {
        // An error in a makefile is told by the place alone.
        let told = rest.strip_prefix("*** ").is_some_and(|rest| rest.ends_with(".  Stop."));
        return (told && program.bytes().last().is_some_and(|b| b.is_ascii_digit())).then_some(Said::Stopped);
    }
    let Some(rest) = rest.strip_prefix("*** ") else {
        return if rest.starts_with("Leaving directory ") || rest.starts_with("Entering directory ") {
            Some(Said::Beside)
        } else if rest.starts_with("Target ") && rest.ends_with(" not remade because of errors.") {
            Some(Said::NotRemade)
        } else if rest.starts_with('[') && rest.ends_with(" (ignored)") {
            Some(Said::Ignored)
        } else {
            None
        };
    };
    let Some((target, end)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else {
        return Some(match rest {
            "Waiting for unfinished jobs...." => Said::Waits,
            _ if rest.starts_with("Deleting ") => Said::Beside,
            _ => Said::Stopped,
        });
    };
    let end = end.strip_suffix(" (core dumped)").unwrap_or(end);
    Some(match end {
        "Interrupt" | "Terminated" | "Hangup" => Said::Interrupted(target),
        _ if end.ends_with(" (ignored)") => Said::Ignored,
        _ if end.starts_with("Archive member ") => Said::Beside,
        _ => Said::Failed { target, status: end.strip_prefix("Error ").and_then(|code| code.parse().ok()) },
    })
}

/// `make`, `gmake[2]`, `/usr/bin/make`.
fn is_make(program: &str) -> bool {
    let name = match program.strip_suffix(']').and_then(|program| program.rsplit_once('[')) {
        Some((name, level)) if level.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) => return false,
        None => program,
    };
    matches!(name.rsplit('/').next(), Some("make" | "gmake" | "gnumake"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_make_and_others() {
        let failed = |target, status| Some(Said::Failed { target, status });
        for (line, expected) in [
            ("make: *** [Makefile:3: all] Error 1", failed("Makefile:3: all", Some(1))),
            ("make[2]: *** [all] Error 127", failed("all", Some(127))),
            ("gmake: *** [Makefile:3: all] Error 2", failed("Makefile:3: all", Some(2))),
            ("/opt/bin/make[1]: *** [x] Error 1", failed("x", Some(1))),
            ("make: *** [Makefile:3: all] Fehler 1", failed("Makefile:3: all", None)),
            ("make: *** [Makefile:3: all] Killed", failed("Makefile:3: all", None)),
            ("make: *** [Makefile:3: all] Segmentation fault (core dumped)", failed("Makefile:3: all", None)),
            ("make: *** [Makefile:3: all] Interrupt", Some(Said::Interrupted("Makefile:3: all"))),
            ("make[1]: *** [all] Terminated", Some(Said::Interrupted("all"))),
            ("make: *** No rule to make target 'x', needed by 'all'.  Stop.", Some(Said::Stopped)),
            ("make: *** No targets specified and no makefile found.  Stop.", Some(Said::Stopped)),
            ("Makefile:3: *** missing separator.  Stop.", Some(Said::Stopped)),
            ("make: *** Waiting for unfinished jobs....", Some(Said::Waits)),
            ("make: Target 'all' not remade because of errors.", Some(Said::NotRemade)),
            ("make: [Makefile:3: all] Error 1 (ignored)", Some(Said::Ignored)),
            ("make: *** [all] Error 1 (ignored)", Some(Said::Ignored)),
            ("make: Leaving directory '/x'", Some(Said::Beside)),
            ("make[12]: Entering directory '/x'", Some(Said::Beside)),
            ("make: *** Deleting file 'x'", Some(Said::Beside)),
            ("make: Nothing to be done for 'all'.", None),
            ("cmake: *** [x] Error 1", None),
            ("make[x]: *** [x] Error 1", None),
            ("main.c:3: *** a comment", None),
            ("they make: *** [x] Error 1", None),
            ("make", None),
            ("", None),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
    }
}
