//! Plans of switches: the dry run of a tool, the state of its flake, and the generation that is active.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use nixmon_core::activation::Tool;
use nixmon_mcp::{Generation, Order, PlanCheck};

/// Files of a flake that are looked at: more than any flake has.
const MAX_FILES: usize = 20_000;
/// Size limit of one of them; a larger one counts by its size and date.
const MAX_SIZE: u64 = 4 << 20;

/// Returns the dry run of a switch and what it depends on.
pub(super) fn plan(order: &Order, home: Option<&Path>) -> Result<PlanCheck, String> {
    let (at, tool) = tool(&order.command).ok_or("this command is not the switch of a tool that is known")?;
    let dry_run = dry_run(&order.command, at, tool)?;
    let flake = flake(order, at)?;
    let generation = generation(tool, home);
    Ok(PlanCheck { dry_run, fingerprint: fingerprint(&flake, &order.command)?, generation })
}

/// Finds the tool among the words: `sudo` and the like may come first.
fn tool(command: &[String]) -> Option<(usize, Tool)> {
    command.iter().enumerate().find_map(|(at, word)| {
        let program = word.rsplit('/').next().unwrap_or(word);
        Tool::command(program).map(|(tool, _)| (at, tool))
    })
}

/// Replaces the action by one that changes nothing.
fn dry_run(command: &[String], at: usize, tool: Tool) -> Result<Vec<String>, String> {
    let (actions, replacement): (&[&str], &[&str]) = match tool {
        Tool::NixosRebuild => (&["switch", "boot", "test"], &["dry-build"]),
        Tool::HomeManager | Tool::NixDarwin => (&["switch"], &["build", "--dry-run"]),
        Tool::Nh => (&["switch", "boot", "test"], &["switch", "--dry"]),
        other => return Err(format!("{} has no dry run that nixmon knows", other.name())),
    };
    let action = command.iter().skip(at).position(|word| actions.contains(&word.as_str())).map(|n| at + n);
    let action = action.ok_or_else(|| format!("this command of {} is not a switch", tool.name()))?;
    let mut dry: Vec<String> = Vec::new();
    // The dry run needs no rights: what is before the tool is left out.
    for (n, word) in command.iter().enumerate().skip(at) {
        if n == action {
            dry.extend(replacement.iter().map(|&word| word.to_owned()));
        } else {
            dry.push(word.clone());
        }
    }
    Ok(dry)
}

/// Returns the directory of the flake.
fn flake(order: &Order, at: usize) -> Result<PathBuf, String> {
    let base = order.directory.clone().unwrap_or_default();
    let mut words = order.command.iter().skip(at);
    let mut named = None;
    while let Some(word) = words.next() {
        if word == "--flake" {
            named = words.next().map(String::as_str);
        } else if let Some(flake) = word.strip_prefix("--flake=") {
            named = Some(flake);
        }
    }
    let reference = named.unwrap_or(".").split('#').next().unwrap_or_default();
    let path = reference.strip_prefix("path:").or_else(|| reference.strip_prefix("git+file:"));
    let path = path.unwrap_or(reference).split('?').next().unwrap_or_default();
    if path.contains(':') {
        return Err(format!(
            "the flake {path} is not a directory of this machine, so whether it has moved cannot be checked"
        ));
    }
    let directory = base.join(if path.is_empty() { "." } else { path });
    // As Nix does, look for the flake above.
    let found = directory.ancestors().find(|directory| directory.join("flake.nix").is_file());
    found.map(Path::to_owned).ok_or_else(|| format!("there is no flake.nix in {}", directory.display()))
}

/// Returns a digest of a command, the lock file and the `.nix` files of a flake.
fn fingerprint(flake: &Path, command: &[String]) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot read the flake in {}: {error}", flake.display());
    let mut files = Vec::new();
    collect(flake, &mut files, 0).map_err(unreadable)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for word in command {
        hasher.write(word.as_bytes());
        hasher.write_u8(0);
    }
    for file in files {
        hasher.write(file.as_os_str().as_encoded_bytes());
        hasher.write_u8(0);
        hasher.write(&contents(&file).map_err(unreadable)?);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[expect(clippy::disallowed_methods, reason = "a plan depends on the files of a flake")]
fn contents(file: &Path) -> std::io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(file)?;
    if metadata.len() > MAX_SIZE {
        let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        return Ok(format!("{} {}", metadata.len(), modified.as_nanos()).into_bytes());
    }
    std::fs::read(file)
}

/// Collects the files, without following links and without hidden directories.
fn collect(directory: &Path, files: &mut Vec<PathBuf>, depth: usize) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        if kind.is_dir() && !is_hidden && depth < 16 {
            collect(&path, files, depth + 1)?;
        } else if kind.is_file() && (name == "flake.lock" || path.extension().is_some_and(|end| end == "nix"))
        {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(std::io::Error::other("there are too many files below it"));
        }
    }
    Ok(())
}

/// Returns the active generation of a tool's profile.
fn generation(tool: Tool, home: Option<&Path>) -> Option<Generation> {
    let system = || PathBuf::from("/nix/var/nix/profiles/system");
    let (profile, rollback): (Vec<PathBuf>, fn(&Path) -> String) = match tool {
        Tool::NixosRebuild => (vec![system()], |_| "nixos-rebuild switch --rollback".to_owned()),
        Tool::NixDarwin => (vec![system()], |_| "darwin-rebuild switch --rollback".to_owned()),
        Tool::HomeManager => {
            let below =
                [".local/state/nix/profiles/home-manager", ".local/state/home-manager/gcroots/current-home"];
            let profiles = below.iter().filter_map(|path| Some(home?.join(path))).collect();
            (profiles, |generation| format!("{}/activate", generation.display()))
        }
        _ => return None,
    };
    profile.iter().find_map(|profile| {
        let link = std::fs::read_link(profile).ok()?;
        // `system-42-link`, beside the profile.
        let name = link.file_name()?.to_str()?;
        let number = name.strip_suffix("-link")?.rsplit('-').next()?.parse().ok()?;
        let generation = profile.parent()?.join(&link);
        Some(Generation { number, rollback: rollback(&generation) })
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test with files of its own")]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn switches_have_dry_runs() {
        for (line, expected) in [
            ("home-manager switch --flake .#me", "home-manager build --dry-run --flake .#me"),
            ("sudo nixos-rebuild switch --flake .", "nixos-rebuild dry-build --flake ."),
            (
                "/run/current-system/sw/bin/nixos-rebuild boot",
                "/run/current-system/sw/bin/nixos-rebuild dry-build",
            ),
            ("nh os switch .", "nh os switch --dry ."),
        ] {
            let command = words(line);
            let (at, tool) = tool(&command).unwrap();
            assert_eq!(dry_run(&command, at, tool).unwrap().join(" "), expected, "{line}");
        }
        assert!(tool(&words("make home")).is_none());
        let command = words("colmena apply");
        assert!(dry_run(&command, 0, Tool::Colmena).unwrap_err().contains("no dry run"));
    }

    #[test]
    fn a_plan_depends_on_the_flake() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        std::fs::create_dir(dir.join("sub")).unwrap();
        std::fs::write(dir.join("flake.nix"), "{ }").unwrap();
        let order =
            |line: &str| Order { command: words(line), directory: Some(dir.join("sub")), ..Order::default() };
        let digest = |line: &str| plan(&order(line), None).unwrap().fingerprint;
        let line = "home-manager switch --flake .#me";
        let first = digest(line);
        assert_eq!(digest(line), first);
        assert_ne!(digest("home-manager switch --flake .#you"), first);
        std::fs::write(dir.join("notes.txt"), "x").unwrap();
        assert_eq!(digest(line), first);
        for file in ["flake.lock", "sub/home.nix", "flake.nix"] {
            let before = digest(line);
            std::fs::write(dir.join(file), "{ changed = 1; }").unwrap();
            assert_ne!(digest(line), before, "{file}");
        }
        let error = plan(&order("home-manager switch --flake github:me/x"), None).unwrap_err();
        assert!(error.contains("not a directory of this machine"), "{error}");
    }
}
