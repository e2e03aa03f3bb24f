//! The words in which shells, runners of tasks and build servers say that a command failed.

/// Returns whether a line, as the last one, says that a command ended with a failure: `exit status 1`, `Finished: FAILURE`,
/// `[1]+  Exit 2   nix build`.
pub fn ends_in_failure(line: &str) -> bool {
    // Boxes of Terraform and of others.
    let line = line.trim_matches(|c: char| c.is_whitespace() || "│╷╵┃".contains(c));
    names_status(line) || is_job_of_shell(line) || is_verdict(line)
}

/// Returns whether a build server says that a step failed. What it does afterwards is cleaning up.
pub fn fails_step(line: &str) -> bool {
    line.strip_prefix("##[error]")
        .is_some_and(|rest| names_status(rest) || rest.starts_with("The operation was canceled"))
}

/// Returns whether a line, as the last one, is an exception that nothing caught: `Error: no such file`,
/// `json.decoder.JSONDecodeError: Expecting value`.
pub fn is_exception(line: &str) -> bool {
    let Some((name, rest)) = line.split_once(':') else { return false };
    let last = name.rsplit('.').next().unwrap_or(name);
    (rest.is_empty() || rest.starts_with(' '))
        && ["Error", "Exception"].iter().any(|end| last.ends_with(end))
        && last.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b))
}

/// `Process completed with exit code 1.`, `exited with status 2`, `returned a non-zero code: 1`
fn names_status(line: &str) -> bool {
    const NAMES: [&str; 7] = [
        "exit code",
        "exit status",
        "exited with",
        "return code",
        "non-zero code",
        "non-zero status",
        "error code",
    ];
    let lower = line.to_ascii_lowercase();
    NAMES.iter().any(|name| {
        let Some((_, rest)) = lower.rsplit_once(name) else { return false };
        let rest =
            ["code", "status"].iter().find_map(|word| rest.trim_start().strip_prefix(word)).unwrap_or(rest);
        let rest = rest.trim_start_matches([' ', ':', '=', '\'', '"', '(']);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, rest) = rest.split_at(end);
        let is_failure = !number.is_empty() && number.bytes().any(|b| b != b'0') && number.len() <= 10;
        // A comma, a space: the sentence goes on, and may say that this was as it should be.
        is_failure && rest.trim_end_matches(['.', '!', '\'', '"', ')', ':', ';']).is_empty()
    })
}

/// `[1]+  Killed   nix build`, `[1]    4711 segmentation fault (core dumped)  nix build`, `[1]  + exit 1     nix build`
fn is_job_of_shell(line: &str) -> bool {
    const ENDS: [&str; 10] = [
        "exit ",
        "done(",
        "aborted",
        "abort",
        "killed",
        "segmentation fault",
        "bus error",
        "illegal instruction",
        "illegal hardware instruction",
        "floating point exception",
    ];
    let Some((number, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(number) {
        return false;
    }
    let marked = rest.trim_start_matches([' ', '\t', '+', '-']);
    if marked.len() == rest.len() {
        return false;
    }
    let end = match marked.split_once(' ') {
        Some((pid, end)) if is_number(pid) => end.trim_start(),
        _ => marked,
    };
    let end = end.to_ascii_lowercase();
    ENDS.iter().any(|word| {
        end.strip_prefix(word).is_some_and(|rest| match *word {
            "exit " | "done(" => rest.starts_with(|c: char| ('1'..='9').contains(&c)),
            _ => rest.is_empty() || rest.starts_with("  ") || rest.starts_with(" (core dumped)"),
        })
    })
}

/// The verdicts of build servers and of runners of tasks.
fn is_verdict(line: &str) -> bool {
    const LINES: [&str; 6] = [
        "Finished: FAILURE",
        "Finished: UNSTABLE",
        "BUILD FAILED",
        "Build failed",
        "Build FAILED",
        "ninja: build stopped: subcommand failed.",
    ];
    LINES.contains(&line)
        || line.starts_with("FAILURE: Build failed ")
        // nix-output-monitor's last line.
        || line.contains("∑ ") && ["⚠ Exited after ", "⚠ Exited with "].iter().any(|words| line.contains(words))
        || line.starts_with("npm ERR! ")
        || line.starts_with("npm error ")
        // `web : ok=3 changed=1 unreachable=0 failed=1` of Ansible.
        || line.contains(" unreachable=")
            && ["unreachable=", "failed="].iter().any(|count| {
                line.split_once(count)
                    .is_some_and(|(_, n)| n.starts_with(|c: char| ('1'..='9').contains(&c)))
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures() {
        for line in [
            "Finished: FAILURE",
            "script returned exit code 1",
            "🚨 Error: The command exited with status 1",
            "The command '/bin/sh -c nix build' returned a non-zero code: 1",
            "#12 ERROR: process \"/bin/sh -c nix build\" did not complete successfully: exit code: 1",
            " ELIFECYCLE  Command failed with exit code 1.",
            "task: Failed to run task \"build\": exit status 1",
            "web-1 exited with code 2",
            "│ Error running command 'nix build': exit status 1",
            "[1]    4242 killed     nix build .#x",
            "[1]  + 4242 segmentation fault (core dumped)  nix build",
            "[1]+  Killed                  nix build",
            "[2]-  Exit 1                  nix build",
            "[1]  + exit 1     nix build",
            "web : ok=3 changed=1 unreachable=0 failed=1 skipped=0 rescued=0 ignored=0",
            "web : ok=3 changed=1 unreachable=1 failed=0",
            "┗━ ∑ ⏵ 0 │ ✔ 3 │ ⏸ 1 │ ⚠ 1 │ ⚠ Exited after 1 build failures at 10:43:39 after 5s",
            "┗━ ∑ ⏵ 0 │ ✔ 0 │ ⏸ 0 │ ⚠ Exited with 1 errors reported by nix at 10:43:39 after 5s",
        ] {
            assert!(ends_in_failure(line), "{line}");
        }
    }

    #[test]
    fn other_words() {
        for line in [
            "Finished: SUCCESS",
            "The command exited with status 0",
            "web-1 exited with code 0",
            "expected exit code 1, got 1",
            "exit code 1 is right",
            "exit codes are listed below",
            "exited with errors: 3 of 5 are known",
            "[1]+  Done                    nix build",
            "[1] 4242",
            "[1]  + 4242 done       nix build",
            "[3/12] Killed x",
            "[1]Killed",
            "web : ok=3 changed=1 unreachable=0 failed=0 skipped=0",
            "Build failed tests are listed",
            "┗━ ∑ ⏵ 0 │ ✔ 3 │ ⏸ 0 │ Finished at 10:43:39 after 5s",
            "",
        ] {
            assert!(!ends_in_failure(line), "{line}");
        }
    }

    #[test]
    fn exceptions() {
        for (line, expected) in [
            ("Error: unexpected changes detected", true),
            ("Error:   × Failed to build", true),
            ("nix_update.errors.UpdateError: Cannot find x", true),
            ("subprocess.CalledProcessError: Command '['nix']' failed", true),
            ("Exception: x", true),
            ("10:00:01: error: the server is late", false),
            ("cc: error: x.c", false),
            ("IsError:x", false),
            ("An Error: x", false),
            ("Errors: 0", false),
        ] {
            assert_eq!(is_exception(line), expected, "{line}");
        }
    }

    #[test]
    fn steps() {
        for (line, fails) in [
            ("##[error]Process completed with exit code 1.", true),
            ("##[error]Bash exited with code '2'.", true),
            ("##[error]The operation was canceled.", true),
            ("##[error]x.nix: not formatted", false),
            ("Process completed with exit code 1.", false),
        ] {
            assert_eq!(fails_step(line), fails, "{line}");
        }
    }
}
