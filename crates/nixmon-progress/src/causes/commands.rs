//! Lines in which build tools name the target that failed.

/// The target of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed<'l> {
    /// The tool names it before the errors, and the command behind it.
    Before(&'l str),
    /// The tool names it behind the errors.
    Behind(&'l str),
    /// The tool names the package behind the errors.
    Package(&'l str),
    /// The next step's output begins.
    Over,
}

/// Reads a line that names a failed target.
///
/// Sources: ninja 1.11.1 src/status.cc, GNU make 4.3 src/job.c (`child_error`), cargo 1.95 job_queue, and Gradle 8
/// (`Execution failed for task`).
pub(super) fn failed(line: &str) -> Option<Failed<'_>> {
    let first = *line.as_bytes().first()?;
    match first {
        b'F' => {
            let rest = line.strip_prefix("FAILED: ")?;
            // ninja 1.13 puts the exit status before the target.
            let rest = match rest.strip_prefix("[code=") {
                Some(rest) => rest.split_once("] ")?.1,
                None => rest,
            };
            Some(Failed::Before(rest.trim()))
        }
        b'm' | b'g' => {
            let (head, rest) = line.split_once(": *** [")?;
            let name = head.split('[').next()?;
            if !matches!(name, "make" | "gmake") {
                return None;
            }
            let (target, status) = rest.split_once("] ")?;
            if !status.starts_with("Error ")
                && !status.starts_with("Segmentation")
                && !status.starts_with("Killed")
            {
                return None;
            }
            // `Makefile:7: a.o` names the rule, too.
            let target = target.rsplit_once(": ").map_or(target, |(_, target)| target);
            (!target.ends_with("/all") && !target.ends_with("-recursive") && target != "all")
                .then_some(Failed::Behind(target))
        }
        b'e' => {
            let (package, _) = line.strip_prefix("error: could not compile `")?.split_once('`')?;
            Some(Failed::Package(package))
        }
        b'[' => {
            let (count, rest) = line.get(1..)?.split_once("] ")?;
            let (done, total) = count.split_once('/')?;
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            (is_number(done) && is_number(total) && !rest.is_empty()).then_some(Failed::Over)
        }
        b'*' => {
            let task = line.strip_prefix("* Execution failed for task '")?.strip_suffix("'.")?;
            Some(Failed::Behind(task))
        }
        _ => None,
    }
}

/// Returns whether a line is a command and no message.
pub(super) fn is_command(line: &str) -> bool {
    let first = line.split(' ').next().unwrap_or("");
    !first.is_empty() && !first.ends_with(':') && line.contains(' ') && !line.starts_with(' ')
}
