//! Places of services' logs, as the user states them: patterns of file names.

use std::collections::BTreeMap;

/// The placeholder for the service's name in a pattern.
const SERVICE: &str = "{service}";
/// Prefixes of launchd labels that the modules of home-manager and nix-darwin put before a service's name
/// (HM:modules/launchd/default.nix; ND:modules/launchd/default.nix, `launchd.labelPrefix`).
const LABEL_PREFIXES: [&str; 2] = ["org.nix-community.home.", "org.nixos."];
/// Suffixes of systemd units (systemd.unit(5)).
const UNIT_TYPES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

/// Patterns for all services, and for some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLogs {
    general: Vec<String>,
    /// By the service's or the unit's name.
    single: BTreeMap<String, Vec<String>>,
}

impl ServiceLogs {
    /// Creates patterns: `general` for services without patterns of their own, `single` by the name of the service.
    pub fn new(general: Vec<String>, single: BTreeMap<String, Vec<String>>) -> Self {
        Self { general, single }
    }

    /// The files that may hold the log of a systemd unit or a launchd label, best first; the caller knows which of them
    /// exist. Without a home directory patterns that begin with `~` give none.
    pub fn files(&self, unit: &str, home: Option<&str>) -> Vec<String> {
        let names = service_names(unit);
        let own = std::iter::once(unit).chain(names.iter().copied()).find_map(|name| self.single.get(name));
        let mut files = Vec::new();
        for pattern in own.unwrap_or(&self.general) {
            for name in &names {
                let expanded = pattern.replace(SERVICE, name);
                let file = match expanded.strip_prefix("~/") {
                    Some(rest) => home.map(|home| format!("{}/{rest}", home.trim_end_matches('/'))),
                    None => Some(expanded),
                };
                files.extend(file.filter(|file| !files.contains(file)));
            }
        }
        files
    }
}

/// The names of a service that may stand in a pattern: without `.service` or the label's prefix; of a label with a
/// prefix of the user's own also what follows its last dot. A name that would lead to another directory is none.
fn service_names(unit: &str) -> Vec<&str> {
    let is_unit = unit.rsplit_once('.').is_some_and(|(_, kind)| UNIT_TYPES.contains(&kind));
    let prefixed = LABEL_PREFIXES.iter().find_map(|prefix| unit.strip_prefix(prefix));
    let mut names = vec![unit.strip_suffix(".service").or(prefixed).unwrap_or(unit)];
    if let Some((_, last)) = unit.rsplit_once('.')
        && !is_unit
        && prefixed.is_none()
    {
        names.push(last);
    }
    names.retain(|name| !name.is_empty() && !name.contains('/') && !matches!(*name, "." | ".."));
    names
}

/// Checks a pattern; the error continues a sentence that begins with the pattern.
///
/// # Errors
///
/// If it is not absolute, has an unknown placeholder, or is general and names one file for all services.
pub fn check_pattern(pattern: &str, general: bool) -> Result<(), String> {
    if !pattern.starts_with('/') && !pattern.starts_with("~/") {
        return Err("is not absolute: it begins with neither / nor ~/".to_owned());
    }
    let mut rest = pattern;
    while let Some((_, from)) = rest.split_once('{') {
        let Some((name, after)) = from.split_once('}') else { break };
        if name != "service" {
            return Err(format!("has an unknown placeholder {{{name}}}; did you mean {SERVICE}?"));
        }
        rest = after;
    }
    if general && !pattern.contains(SERVICE) {
        return Err(format!("is the same file for every service: it has no {SERVICE}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_units() {
        let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
        let logs = ServiceLogs::new(
            list(&["~/logs/{service}.log", "/var/log/{service}/{service}.log"]),
            [
                ("rclone".to_owned(), list(&["/rclone.log"])),
                ("backup.timer".to_owned(), list(&["/timer.log"])),
                ("silent".to_owned(), Vec::new()),
            ]
            .into(),
        );
        let cases: [(&str, &[&str]); 10] = [
            ("nginx.service", &["/h/logs/nginx.log", "/var/log/nginx/nginx.log"]),
            ("a@b.service", &["/h/logs/a@b.log", "/var/log/a@b/a@b.log"]),
            ("rclone.service", &["/rclone.log"]),
            ("org.nix-community.home.rclone", &["/rclone.log"]),
            ("silent.service", &[]),
            ("backup.timer", &["/timer.log"]),
            ("other.timer", &["/h/logs/other.timer.log", "/var/log/other.timer/other.timer.log"]),
            ("org.nixos.skhd", &["/h/logs/skhd.log", "/var/log/skhd/skhd.log"]),
            ("com.example.rclone", &["/rclone.log"]),
            ("../../etc/passwd.service", &[]),
        ];
        for (unit, expected) in cases {
            assert_eq!(logs.files(unit, Some("/h/")), expected, "{unit}");
        }
        assert_eq!(logs.files("x.service", None), ["/var/log/x/x.log"]);
        assert!(ServiceLogs::default().files("x.service", Some("/h")).is_empty());
    }
}
