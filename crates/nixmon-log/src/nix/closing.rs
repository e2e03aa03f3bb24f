//! Last words of commands that neither evaluate nor build: `31 store paths deleted, 20.1 KiB freed`.

/// First bytes of such words.
pub const CLOSING_STARTS: &[u8] = b"0123456789ra";

/// Returns whether a line is a command's own account of what it has done (`nix/store-gc.cc`, `nix/profile.cc`,
/// `optimise-store.cc`, `nix/flake.cc`). A count of 0 is an account, too.
pub fn is_closing(line: &str) -> bool {
    let text = line.trim();
    if text == "all checks passed!" {
        return true;
    }
    if let Some(rest) = text.strip_prefix("removed ") {
        return after_number(rest).is_some_and(|rest| {
            ["package", "packages"].contains(&rest)
                || ["package, kept ", "packages, kept "]
                    .iter()
                    .any(|words| rest.strip_prefix(words).is_some_and(|rest| after_number(rest).is_some()))
        });
    }
    let Some(rest) = after_number(text) else { return false };
    let deleted = ["store paths deleted, ", "store path deleted, "];
    if let Some(size) = deleted.iter().find_map(|words| rest.strip_prefix(words)) {
        return size.ends_with(" freed") && after_number(size).is_some();
    }
    let unit = rest.split(' ').next().unwrap_or_default();
    let is_unit = ["bytes", "B", "KiB", "MiB", "GiB", "TiB"].contains(&unit);
    is_unit && rest[unit.len()..].starts_with(" freed by hard-linking ")
}

/// The text after a number, which may have a fraction, and a space.
fn after_number(text: &str) -> Option<&str> {
    let (number, rest) = text.split_once(' ')?;
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::is_closing;

    #[test]
    fn accounts_of_commands() {
        for (line, expected) in [
            ("31 store paths deleted, 20.1 KiB freed", true),
            ("0 store paths deleted, 0.00 MiB freed", true),
            ("1 store path deleted, 1 bytes freed", true),
            ("12.3 MiB freed by hard-linking 300 files", true),
            ("removed 1 packages", true),
            ("removed 1 packages, kept 3 packages", true),
            ("all checks passed!", true),
            ("31 store paths deleted", false),
            ("removed 12 old files", false),
            ("removed 'a', kept 3 packages", false),
            ("deleting '/nix/store/x'", false),
            ("3 derivations", false),
            ("3 KiB", false),
            ("", false),
        ] {
            assert_eq!(is_closing(line), expected, "{line}");
        }
    }
}
