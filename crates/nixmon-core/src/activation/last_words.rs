//! Errors in the words of any program: what an activation that fails ends with.

use nixmon_log::label::split_label;
use nixmon_log::nix::error::ends_with_crash;

/// The texts of errno that end a line of most Unix programs (`string.h`).
const ERRNO: [&str; 36] = [
    "Permission denied",
    "No such file or directory",
    "Read-only file system",
    "No space left on device",
    "Operation not permitted",
    "Connection refused",
    "Connection timed out",
    "Connection reset by peer",
    "File exists",
    "Not a directory",
    "Is a directory",
    "Directory not empty",
    "Input/output error",
    "No such process",
    "No such device",
    "No such device or address",
    "Device or resource busy",
    "Resource temporarily unavailable",
    "Resource busy",
    "Text file busy",
    "Invalid argument",
    "Invalid cross-device link",
    "Exec format error",
    "Bad file descriptor",
    "Broken pipe",
    "File too large",
    "File name too long",
    "Disk quota exceeded",
    "Operation not supported",
    "Operation timed out",
    "Cannot allocate memory",
    "Too many open files",
    "Too many levels of symbolic links",
    "Network is unreachable",
    "No route to host",
    "Name or service not known",
];

/// The verbs with which a program says behind its name that it gives up: `cp: cannot stat 'x'`.
const GIVES_UP: [&str; 10] = [
    "cannot ",
    "can't ",
    "could not ",
    "couldn't ",
    "failed to ",
    "unable to ",
    "invalid option",
    "unrecognized option",
    "unknown option",
    "not found",
];

/// Returns whether a line reports an error, by the words programs use: `ERROR`, `error:`, `command not found`, Python's
/// `OSError: `, Perl's `Died at FILE line 3.`, the texts of errno, `cp: cannot …`.
pub(super) fn reports_error(line: &str) -> bool {
    let line = line.trim_end();
    let word = |word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            before.is_none_or(|c| !c.is_alphanumeric())
        })
    };
    let shout = || {
        line.match_indices("ERROR").any(|(at, found)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            edge(before) && edge(line.get(at + found.len()..).and_then(|after| after.chars().next()))
        })
    };
    word("error:")
        || line.contains("Error: ")
        || word("fatal:")
        || shout()
        || line.ends_with("command not found")
        || ERRNO.iter().any(|text| line.strip_suffix(text).is_some_and(|before| before.ends_with(": ")))
        || gives_up(line)
        || is_of_perl(line)
        || line.contains(" panicked at ")
        || ends_with_crash(line)
}

/// `cp: cannot stat 'x'`: the name of a program stands before it.
fn gives_up(line: &str) -> bool {
    let Some((program, rest)) = split_label(line) else { return false };
    let is_program = program.len() <= 128
        && !program.is_empty()
        && program.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./+".contains(&b))
        && !program.eq_ignore_ascii_case("warning");
    is_program && GIVES_UP.iter().any(|words| rest.starts_with(words))
}

/// `Died at /nix/store/…-install-grub.pl line 586.`, `cannot copy a to b: … at /x.pl line 3.`
fn is_of_perl(line: &str) -> bool {
    let Some((before, number)) = line.strip_suffix('.').and_then(|line| line.rsplit_once(" line ")) else {
        return false;
    };
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    is_number
        && before.rsplit_once(" at ").is_some_and(|(_, file)| file.starts_with('/') && !file.contains(' '))
}

/// Returns whether a service manager says that a unit failed, in a journal: `x.service: Failed with result 'exit-code'.`
pub(super) fn is_service_manager(line: &str) -> bool {
    let of_unit =
        [": Main process exited, code=", ": Failed with result '"].iter().any(|words| line.contains(words));
    of_unit && ends_with_crash(line)
}

/// Returns whether a line after an error only says what to do about it.
pub(super) fn is_advice(line: &str) -> bool {
    const STARTS: [&str; 20] = [
        "Try ",
        "try ",
        "See ",
        "see ",
        "Please ",
        "Run ",
        "Use ",
        "Check ",
        "You can ",
        "You may ",
        "If ",
        "For more ",
        "Did you ",
        "Hint: ",
        "hint: ",
        "Note: ",
        "note: ",
        "Usage: ",
        "usage: ",
        "(",
    ];
    line.starts_with(char::is_whitespace) || STARTS.iter().any(|start| line.starts_with(start))
}

/// The part of a Python traceback that a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Its header, a frame, or what stands between two tracebacks.
    Frame,
    /// The exception at its end.
    Exception,
    /// None of it.
    Else,
}

/// Follows tracebacks, whose frames say nothing to a user.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traceback {
    inside: bool,
    /// An exception was read; another traceback may follow.
    after: bool,
}

impl Traceback {
    pub(super) fn read(&mut self, line: &str) -> Said {
        if line.trim_end() == "Traceback (most recent call last):" {
            *self = Traceback { inside: true, after: false };
            return Said::Frame;
        }
        if self.inside {
            if line.starts_with(char::is_whitespace) || line.is_empty() {
                return Said::Frame;
            }
            *self = Traceback { inside: false, after: true };
            return Said::Exception;
        }
        let between = ["During handling of the above exception", "The above exception was the direct cause"];
        if self.after && between.iter().any(|start| line.starts_with(start)) {
            return Said::Frame;
        }
        self.after &= line.is_empty();
        Said::Else
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_the_words_of_programs() {
        for (line, reports) in [
            ("install: cannot create regular file '/srv/k': Permission denied", true),
            ("Bootstrap failed: 5: Input/output error", true),
            ("Died at /nix/store/x-install-grub.pl line 586.", true),
            ("cannot copy /a to /b: No such file at /nix/store/x.pl line 3.", true),
            ("subprocess.CalledProcessError: Command 'x' returned non-zero exit status 1.", true),
            ("umount: /mnt: target is busy: Device or resource busy", true),
            ("ssh: Could not resolve hostname x: Name or service not known", true),
            ("thread 'main' panicked at src/main.rs:3:5:", true),
            ("gpg: failed to start agent", true),
            ("0 errors", false),
            ("no error: it works", true),
            ("warning: could not find x", false),
            ("see page 3 line 4.", false),
            ("created 3 links", false),
            ("NO_ERRORS=1", false),
            ("Killing the old agent", false),
        ] {
            assert_eq!(reports_error(line), reports, "{line}");
        }
    }

    #[test]
    fn tracebacks() {
        let mut traceback = Traceback::default();
        for (line, said) in [
            ("before", Said::Else),
            ("Traceback (most recent call last):", Said::Frame),
            ("  File \"x\", line 3, in main", Said::Frame),
            ("    main()", Said::Frame),
            ("ValueError: x", Said::Exception),
            ("", Said::Else),
            ("During handling of the above exception, another exception occurred:", Said::Frame),
            ("Traceback (most recent call last):", Said::Frame),
            ("  File \"x\", line 3, in main", Said::Frame),
            ("subprocess.CalledProcessError: Command 'x' returned non-zero exit status 1.", Said::Exception),
            ("after", Said::Else),
        ] {
            assert_eq!(traceback.read(line), said, "{line}");
        }
    }
}
