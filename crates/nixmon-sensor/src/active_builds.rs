//! Builds of a Nix daemon, as Determinate Nix lists them: a file for each build in `active-builds` of Nix's state directory
//! (`src/libstore/include/nix/store/active-builds.hh` of `DeterminateSystems/nix-src`). Everybody may read them.
//!
//! A file goes when its build ends, and nothing tells how: the result is unknown.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use nixmon_log::escapes::sanitize;
use serde::Deserialize;

use crate::model::event::{Backend, BuildEvent, Verdict};
use crate::model::tracker::SHORTEST;

/// Size limit of a file, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// Number of files that are read. A machine has no more builds at once.
const MAX_FILES: usize = 4096;

/// A file. Fields that are not needed are not read, and those that may be missing are optional.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct ActiveBuild {
    derivation: String,
    /// In seconds since 1970.
    start_time: Option<f64>,
    client_pid: Option<i32>,
    client_uid: Option<u32>,
    main_pid: Option<i32>,
}

#[derive(Debug)]
struct Known {
    build: ActiveBuild,
    seen_ms: u64,
    is_left_out: bool,
}

/// The builds of a Nix daemon.
#[derive(Debug)]
pub struct ActiveBuilds {
    directory: PathBuf,
    known: BTreeMap<String, Known>,
}

impl ActiveBuilds {
    /// Reads from `active-builds` below a state directory of Nix, by default `/nix/var/nix`; `None` if there is none.
    pub fn find(state: impl Into<PathBuf>) -> Option<Self> {
        let directory = state.into().join("active-builds");
        directory.is_dir().then(|| Self { directory, known: BTreeMap::new() })
    }

    /// Looks at the directory at `now`, in milliseconds since 1970. Returns builds that have ended since the last look.
    ///
    /// Builds of clients that the sensor sees are left out: `is_seen` returns that for a process number.
    pub fn poll(&mut self, now: u64, is_seen: impl Fn(i32) -> bool) -> Vec<BuildEvent> {
        let mut present = BTreeMap::new();
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        for entry in entries.take(MAX_FILES) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(known) = self.known.remove(&name) {
                present.insert(name, known);
                continue;
            }
            let mut text = String::new();
            let read = crate::journal::open(std::fs::OpenOptions::new().read(true), &entry.path())
                .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
            // A file that is being written is read next time.
            if let Some(build) = read.ok().and_then(|_| serde_json::from_str::<ActiveBuild>(&text).ok()) {
                let is_left_out = build.client_pid.is_some_and(&is_seen);
                present.insert(name, Known { build, seen_ms: now, is_left_out });
            }
        }
        let ended = std::mem::replace(&mut self.known, present);
        ended
            .into_iter()
            .filter(|(_, known)| !known.is_left_out)
            .filter_map(|(name, known)| event(&name, known, now))
            .collect()
    }
}

fn event(file: &str, known: Known, now: u64) -> Option<BuildEvent> {
    let Known { build, seen_ms, .. } = known;
    let started = build.start_time.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    // Whole seconds, which the first look may show to be too early.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time since 1970 in milliseconds"
    )]
    let started_ms = started.map(|seconds| (seconds * 1000.0) as u64).filter(|ms| *ms <= now);
    if now.saturating_sub(started_ms.unwrap_or(seen_ms)) < SHORTEST.as_millis() as u64 {
        return None;
    }
    let path = sanitize(&build.derivation);
    let base = path.rsplit('/').next().unwrap_or_default();
    let name = base.strip_suffix(".drv").unwrap_or(base);
    let name = match name.split_once('-') {
        Some((digest, name)) if digest.len() == 32 => name,
        _ => name,
    };
    Some(BuildEvent {
        command: format!("nix-daemon: {name}"),
        label: format!("nix-daemon {name}"),
        user: build.client_uid,
        pid: build.main_pid,
        result: Some(Verdict::Unknown),
        started_ms,
        ended_ms: Some(now),
        elapsed_ms: started_ms.map(|started| now - started),
        ..BuildEvent::new(format!("nix-{}-{seen_ms}", sanitize(file)), "nix", Backend::ActiveBuilds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_no_client_of_ours_wanted() {
        let temp = tempfile::tempdir().unwrap();
        assert!(ActiveBuilds::find(temp.path()).is_none());
        let dir = temp.path().join("active-builds");
        std::fs::create_dir(&dir).unwrap();
        let mut active = ActiveBuilds::find(temp.path()).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        let drv = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-2.12.drv";
        write(
            "1",
            &format!(
                r#"{{"derivation":"{drv}","startTime":100,"clientPid":7,"clientUid":1000,"mainPid":9,"nixPid":8,"mainUid":3,"cgroup":null}}"#
            ),
        );
        write("2", &format!(r#"{{"derivation":"{drv}","startTime":100,"clientPid":6}}"#));
        write("3", &format!(r#"{{"derivation":"{drv}","startTime":200.0}}"#));
        write("4", r#"{"derivation":"#);
        write("5", "not json");
        assert_eq!(active.poll(150_000, |pid| pid == 6), []);
        assert_eq!(active.poll(151_000, |_| true), []);
        write("4", r#"{"derivation":"x\u001b[31m.drv"}"#);
        assert_eq!(active.poll(152_000, |_| false), []);
        for name in ["1", "2", "3", "4", "5"] {
            std::fs::remove_file(dir.join(name)).unwrap();
        }
        let ended = active.poll(153_000, |_| false);
        let told: Vec<_> =
            ended.iter().map(|build| (&*build.label, build.elapsed_ms, build.user, build.result)).collect();
        let unknown = Some(Verdict::Unknown);
        assert_eq!(
            told,
            [
                ("nix-daemon hello-2.12", Some(53_000), Some(1000), unknown),
                // Its beginning is in the future.
                ("nix-daemon hello-2.12", None, None, unknown),
                ("nix-daemon x", None, None, unknown),
            ]
        );
        assert_eq!(active.poll(154_000, |_| false), []);
    }
}
