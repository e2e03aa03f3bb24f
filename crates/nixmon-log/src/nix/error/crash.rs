//! The words of a Nix that crashes, and of a shell whose command did.
//!
//! No `error:` stands before them. An assertion is the C library's (`assert/assert.c`), the rest is from
//! `libmain/unix/main.cc`, the C++ runtime and the shells' tables of signals.

use crate::label::split_label;

/// Returns whether a line says that Nix itself gives up: a failed assertion, an exception that nothing caught.
pub fn is_crash(line: &str) -> bool {
    const BEGINNINGS: [&str; 4] = [
        "terminating due to unexpected unrecoverable internal error",
        "Nix crashed. This is a bug.",
        "terminate called ",
        "libc++abi: terminating ",
    ];
    if !matches!(line.as_bytes().first(), Some(b't' | b'l' | b'N')) && !has_colon(line) {
        return false;
    }
    if BEGINNINGS.iter().any(|start| line.starts_with(start)) {
        return true;
    }
    if !has_colon(line) {
        return false;
    }
    // `nix: ../src/libstore/goal.cc:77: void nix::Goal::f(): Assertion `x' failed.`
    let is_assertion = line.contains(": Assertion `") && line.ends_with("' failed.")
        || line.starts_with("Assertion failed: (") && line.contains(", file ")
        || line.contains(": error while loading shared libraries: ")
        || line.contains(": symbol lookup error: ");
    is_assertion && (is_of_nix(line) || line.contains("nix::"))
}

/// Returns whether the line begins with the name of one of Nix's programs: `nix: `, `/usr/bin/nix-build: `.
fn is_of_nix(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(program, _)| {
        let name = program.rsplit('/').next().unwrap_or(program);
        name == "nix" || name == "lix" || name.starts_with("nix-") && !name.contains(' ')
    })
}

/// Returns whether the line, as the last one, says that a signal ended a command: in the words of a shell or a service
/// manager.
pub fn ends_with_crash(line: &str) -> bool {
    let line = line.trim();
    if is_signal(line) {
        return true;
    }
    if !has_colon(line) {
        return false;
    }
    // `bash: line 3:  4711 Killed                  nix build`, `./x.sh: line 3: 4711 Aborted (core dumped) nix build`
    if let Some((_, rest)) = line.split_once(": line ")
        && let Some((number, rest)) = rest.split_once(": ")
        && is_number(number)
        && let Some((pid, rest)) = rest.trim_start().split_once(' ')
        && is_number(pid)
    {
        return SIGNALS.iter().any(|signal| rest.trim_start().starts_with(signal));
    }
    // `zsh: segmentation fault  nix build`
    if let Some(rest) = line.strip_prefix("zsh: ") {
        return [
            "abort",
            "segmentation fault",
            "killed",
            "bus error",
            "illegal hardware instruction",
            "trace trap",
        ]
        .iter()
        .any(|signal| {
            rest.strip_prefix(signal).is_some_and(|rest| rest.is_empty() || rest.starts_with("  "))
        });
    }
    if line.starts_with("fish: ") {
        return line.contains("terminated by signal SIG");
    }
    // `x.service: Main process exited, code=dumped, status=6/ABRT`
    if let Some((_, rest)) = line.split_once(": Main process exited, code=") {
        return !rest.contains("status=0/");
    }
    line.contains(": Failed with result '") && !line.contains("result 'success'")
}

/// All other forms have a colon and a space. Nearly no line of a builder has, and this is asked of each.
fn has_colon(line: &str) -> bool {
    split_label(line).is_some()
}

/// The names that shells have for the signals that end a command and that no user sends.
const SIGNALS: [&str; 9] = [
    "Aborted",
    "Segmentation fault",
    "Killed",
    "Bus error",
    "Illegal instruction",
    "Floating point exception",
    "Trace/breakpoint trap",
    "Abort trap",
    "Trace/BPT trap",
];

/// `Aborted`, `Aborted (core dumped)`, and with the number as on macOS: `Killed: 9`.
fn is_signal(line: &str) -> bool {
    const LONGEST: usize = 48;
    line.len() <= LONGEST
        && SIGNALS.iter().any(|signal| {
            line.strip_prefix(signal).is_some_and(|rest| {
                matches!(rest, "" | " (core dumped)") || rest.strip_prefix(": ").is_some_and(is_number)
            })
        })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes() {
        for (line, crashes) in [
            (
                "nix: ../src/libstore/goal.cc:77: nix::Goal::Co nix::G::step(): Assertion `left == 0' failed.",
                true,
            ),
            ("/usr/bin/nix-build: src/libexpr/x.cc:1: int f(): Assertion `a' failed.", true),
            ("nix-daemon: x.cc:1: int f(): Assertion `a' failed.", true),
            ("nix: error while loading shared libraries: libboost.so: cannot open shared object file", true),
            ("terminate called after throwing an instance of 'nix::Error'", true),
            ("terminating due to unexpected unrecoverable internal error: Assertion 'path' failed", true),
            ("Nix crashed. This is a bug. Please report this", true),
            ("prog: main.c:12: main: Assertion `x == 1' failed.", false),
            ("Assertion failed: (x), function main, file main.c, line 3.", false),
            ("nix: a note about Assertion failures", false),
        ] {
            assert_eq!(is_crash(line), crashes, "{line}");
        }
    }

    #[test]
    fn last_words_of_shells() {
        for (line, crashes) in [
            ("Aborted (core dumped)", true),
            ("Killed", true),
            ("Segmentation fault: 11", true),
            ("bash: line 3:  4711 Killed                  nix build .#x", true),
            ("./build.sh: line 12: 4711 Segmentation fault      (core dumped) nix build", true),
            ("zsh: abort      nix build", true),
            ("fish: Job 1, 'nix build' terminated by signal SIGSEGV (Address boundary error)", true),
            ("x.service: Main process exited, code=dumped, status=6/ABRT", true),
            ("x.service: Main process exited, code=exited, status=0/SUCCESS", false),
            ("x.service: Failed with result 'exit-code'.", true),
            ("x.service: Deactivated successfully.", false),
            ("Killed the old process", false),
            ("Aborted connections: 3", false),
            ("zsh: killed it", false),
            ("script: line 3: 4711 lines read", false),
        ] {
            assert_eq!(ends_with_crash(line), crashes, "{line}");
        }
    }
}
