//! Tools that run Nix and then do something with what it built.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nixmon_core::activation::{Command, NixFlags, Tool};

use super::{LOG_FORMAT, Plan, Words, tables};

/// Far more than any of the scripts has.
const MAX_SCRIPT: u64 = 1024 * 1024;

/// Plans a command of one of the tools.
pub(super) fn tool(name: &str, words: &Words<'_>) -> Option<Plan> {
    let (_, tool) = Tool::command(name)?;
    let arguments = words.arguments();
    let dashes = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let own = arguments.get(..dashes).unwrap_or_default();
    let group = if tool.groups.is_empty() { Some(0) } else { position(own, 0, tool.groups).map(|at| at + 1) };
    let action = group.and_then(|begin| {
        let actions = [tool.switches, tool.builds, tool.results].concat();
        position(own, begin, &actions)
    });
    let is = |actions: &[&str]| action.and_then(|at| own.get(at)).is_some_and(|word| is_one(word, actions));
    let has_no_actions = tool.switches.is_empty();
    let is_harmless = own.iter().any(|word| is_one(word, tool.harmless));
    let switches = is(tool.switches) || has_no_actions;

    let mut plan = if switches || is(tool.builds) {
        build(tool, words, action.map_or(0, |at| at + 1), dashes)
    } else {
        words.as_given()
    };
    plan.is_switch = switches && !is_harmless;
    plan.stdout_is_result = is(tool.results);
    Some(plan)
}

/// Plans a command that builds. Flags among the tool's own go before its argument number `behind_action`.
fn build(tool: &Command, words: &Words<'_>, behind_action: usize, dashes: usize) -> Plan {
    if words.has_log_format() {
        return words.with_its_log_format();
    }
    let arguments = words.arguments();
    let known = words.known;
    // These show a build in a way of their own, which no program can read.
    let quiet: Vec<&str> = tool.plain.into_iter().filter(|flag| !is_among(arguments, flag)).collect();
    let mut plan = words.as_given();
    match tool.flags {
        NixFlags::None => {}
        NixFlags::Own => {
            // Without a flake it runs nix-build, which has no socket. Where the flake is looked for by the tool, both are
            // possible, and the flag does for both.
            let has_socket = known.has_socket() && names_flake(arguments);
            let program = words.all.get(words.at).map(OsString::as_os_str).unwrap_or_default();
            if !has_socket && known.takes_flag() && (known.takes_log_format)(program) {
                // No -v, which such a tool takes for itself as well and passes to scripts of the activation.
                plan = words.with_flags(behind_action, &LOG_FORMAT);
            }
        }
        NixFlags::BehindDashes => {
            plan.command = words.with(behind_action, &quiet);
            if !known.has_socket() && known.takes_flag() {
                let at = words.at + 1 + quiet.len() + dashes;
                let flags = tables::flags();
                plan.command = if dashes == arguments.len() {
                    super::insert(&plan.command, at, &[&["--"], flags.as_slice()].concat())
                } else {
                    super::insert(&plan.command, at + 1, &flags)
                };
            }
        }
    }
    plan
}

fn names_flake(arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| word == "--flake" || super::starts_with(word, "--flake="))
}

fn position(words: &[OsString], begin: usize, wanted: &[&str]) -> Option<usize> {
    let found = words.get(begin..)?.iter().position(|word| is_one(word, wanted))?;
    Some(begin + found)
}

fn is_among(words: &[OsString], flag: &str) -> bool {
    words.iter().any(|word| word == flag)
}

fn is_one(word: &OsStr, of: &[&str]) -> bool {
    of.iter().any(|one| word == *one)
}

/// Whether a program knows `--log-format`, going by its text: darwin-rebuild, home-manager and the first nixos-rebuild are
/// shell scripts that reject what they do not know, and learned it in 2023 and 2025, or not yet. The second
/// nixos-rebuild has always known it; its program is a wrapper that names it.
pub fn program_takes_log_format(program: &OsStr) -> bool {
    let Some(path) = find(program) else { return false };
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_SCRIPT).read_to_end(&mut text));
    read.is_ok() && text_takes_log_format(&text)
}

fn text_takes_log_format(text: &[u8]) -> bool {
    ["--log-format", "nixos-rebuild-ng"]
        .iter()
        .any(|name| memchr::memmem::find(text, name.as_bytes()).is_some())
}

/// Where a program is, looked for as the system does.
pub(crate) fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(Path::new(program).to_owned());
    }
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_take_a_log_format() {
        for (text, takes) in [
            ("    --max-jobs|-j|--cores|--log-format)\n", true),
            ("exec /nix/store/x-nixos-rebuild-ng-25.11/bin/.nixos-rebuild-wrapped \"$@\"", true),
            ("    --max-jobs|-j|--cores|-I)\n", false),
            ("", false),
        ] {
            assert_eq!(text_takes_log_format(text.as_bytes()), takes, "{text}");
        }
        assert!(!program_takes_log_format("/nonexistent/program".as_ref()));
        assert!(!program_takes_log_format("no-such-program-anywhere".as_ref()));
    }
}
