//! Logs that a line of some program points to: `Check logs: /var/log/rclone.log`, `see journalctl -xeu nginx for details`.

/// Words that tell a reader to look somewhere, or say that something was written there.
const POINTERS: [&str; 19] = [
    "check", "complete", "consult", "details", "examine", "find", "found", "full", "inspect", "look", "more",
    "read", "refer", "saved", "see", "view", "writing", "written", "wrote",
];
/// Words for a log.
const LOGS: [&str; 6] = ["log", "logfile", "logfiles", "logs", "journal", "output"];
/// Commands that print one.
const COMMANDS: [&str; 4] = ["journalctl", "launchctl", "coredumpctl", "systemctl"];
/// Longest place, in bytes.
const LONGEST: usize = 256;

/// Returns the place of a log that a line tells its reader to look at: a file or a command. `None` if the line says anything
/// else, also that a log cannot be used.
///
/// Nix's own `nix log` is a part of its errors, which the state reads.
pub(super) fn named_log(line: &str) -> Option<&str> {
    let line = line.trim();
    let (at, place) = place(line)?;
    let before = line.get(..at)?;
    let after = line.get(at + place.len()..)?;
    let words = |text: &'_ str| -> Vec<String> {
        let words =
            text.split(|c: char| !c.is_alphanumeric() && c != '\'').map(|word| word.trim_matches('\''));
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let is_among = |list: &[&str], words: &[String]| words.iter().any(|word| list.contains(&word.as_str()));
    let (words_before, words_after) = (words(before), words(after));
    // `nix log` and the derivation behind it.
    if place.ends_with(".drv") {
        return None;
    }
    let is_command = COMMANDS.iter().any(|command| place.starts_with(command));
    let is_of_log = is_command
        || is_among(&LOGS, &words_before)
        || words(place).iter().any(|word| LOGS.contains(&word.as_str()) && word != "output");
    // `log: FILE` tells it by its form.
    let label = words_before.strip_suffix(&["file".to_owned()]).unwrap_or(&words_before);
    let is_label =
        before.trim_end().ends_with(':') && label.last().is_some_and(|word| LOGS.contains(&word.as_str()));
    let points = is_label || is_among(&POINTERS, &words_before) || is_among(&["for"], &words_after);
    // `sync failed, see FILE` is no denial of what is in the file.
    let ends = [", ", ". ", "; ", ": ", " - "];
    let clause = ends.iter().filter_map(|end| before.trim_end().rfind(end).map(|at| at + end.len())).max();
    let clause = words(before.get(clause.unwrap_or(0)..)?);
    (is_of_log && points && !denies(&clause) && !denies(&words_after)).then_some(place)
}

/// Returns whether words say that something is not so or did not work: `cannot open log file`.
fn denies(words: &[String]) -> bool {
    const DENIALS: [&str; 11] = [
        "can't", "cannot", "could", "couldn't", "denied", "failed", "missing", "no", "not", "unable",
        "without",
    ];
    words.iter().any(|word| DENIALS.contains(&word.as_str()))
}

/// Returns the last file or command in a line, and its position.
fn place(line: &str) -> Option<(usize, &str)> {
    let command = COMMANDS.iter().filter_map(|command| {
        let at = line.find(&format!("{command} "))?;
        Some((at, command_at(line, at)?))
    });
    let file = || {
        let starts = line.match_indices(['/', '~']).filter(|(at, _)| {
            let before = line.get(..*at).and_then(|before| before.chars().next_back());
            before.is_none_or(|c| c.is_whitespace() || "'\"`(<=".contains(c))
        });
        starts.filter_map(|(at, _)| Some((at, file_at(line, at)?))).next_back()
    };
    command.min_by_key(|(at, _)| *at).or_else(file).filter(|(_, place)| place.len() <= LONGEST)
}

/// Returns the command that begins at a position: up to the quote that ends it, or as long as words look like arguments.
fn command_at(line: &str, at: usize) -> Option<&str> {
    let rest = line.get(at..)?;
    let quote = line.get(..at).and_then(|before| before.chars().next_back());
    if let Some(quote) = quote.filter(|quote| "'\"`".contains(*quote)) {
        let end = rest.find(quote)?;
        return rest.get(..end).map(str::trim_end);
    }
    // `journalctl -xeu nginx.service for details.`
    const PROSE: [&str; 7] = [" for ", " to ", " and ", " or ", " if ", ", ", ". "];
    let end = PROSE.iter().filter_map(|word| rest.find(word)).min().unwrap_or(rest.len());
    let command = rest.get(..end)?.trim_end_matches(['.', ',', ')', ';', ':', '!', ' ']);
    command.contains(' ').then_some(command)
}

/// Returns the path that begins at a position.
fn file_at(line: &str, at: usize) -> Option<&str> {
    let rest = line.get(at..)?;
    let quote = line.get(..at).and_then(|before| before.chars().next_back());
    let end = match quote.filter(|quote| "'\"`".contains(*quote)) {
        Some(quote) => rest.find(quote)?,
        None => rest.find([' ', '\t', '\'', '"', '`', '<', '>']).unwrap_or(rest.len()),
    };
    let path = rest.get(..end)?.trim_end_matches(['.', ',', ')', ';', ':', '!']);
    let is_path =
        path.strip_prefix("~/").or_else(|| path.strip_prefix('/')).is_some_and(|rest| !rest.is_empty());
    is_path.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_point_to_a_log() {
        for (line, expected) in [
            ("Check logs: /var/log/rclone.log", "/var/log/rclone.log"),
            ("Check logs: ~/nix-flakes/logs/home.log", "~/nix-flakes/logs/home.log"),
            ("  check logs at '/home/demo/My Logs/a.log'.", "/home/demo/My Logs/a.log"),
            ("ERROR: sync failed, see /var/log/sync/today.txt", "/var/log/sync/today.txt"),
            ("For details see the log (/tmp/install.log).", "/tmp/install.log"),
            (
                "A complete log of this run can be found in: /root/.npm/_logs/debug-0.log",
                "/root/.npm/_logs/debug-0.log",
            ),
            ("error: see journalctl -xeu nginx.service for details.", "journalctl -xeu nginx.service"),
            (
                "Run `journalctl -u home-manager-demo.service -b` for more.",
                "journalctl -u home-manager-demo.service -b",
            ),
            (
                "See \"systemctl status x.service\" and \"journalctl -xeu x.service\" for details.",
                "systemctl status x.service",
            ),
            ("log: /var/log/a", "/var/log/a"),
            ("error opening log /var/log/a.log", ""),
            ("Log file: /var/log/a", "/var/log/a"),
            ("Output written to /tmp/out.txt", "/tmp/out.txt"),
            // A log that is of no use, or that is not meant.
            ("cannot open log file /var/log/a.log: Permission denied", ""),
            ("error: could not write log /var/log/a.log", ""),
            ("mkdir: cannot create directory '/var/log/x': Permission denied", ""),
            ("no logs found in /var/log/a", ""),
            ("removing '/var/log/old.log'", ""),
            ("rotating logs", ""),
            ("see /etc/nixos/configuration.nix", ""),
            ("Check the login page", ""),
            ("For full logs, run: nix log /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.drv", ""),
        ] {
            let expected = (!expected.is_empty()).then_some(expected);
            assert_eq!(named_log(line), expected, "{line}");
        }
    }
}
