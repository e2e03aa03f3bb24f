//! Builders of Nix among the processes of a run, and the cost of each.
//!
//! Nix gives a builder a fresh environment, in which `NIX_BUILD_TOP` names its directory and the variables that `outputs` lists name
//! its outputs (`initEnv` and `writeStructuredAttrs` in `derivation-builder.cc`; with structured attributes the outputs are in a
//! file instead). Only root and the builder's own user may read it. A builder is looked for below Nix's processes alone: a
//! development shell has a copy of such an environment.
//!
//! With the setting `use-cgroups` a builder has a control group of its own, `nix-build-uid-30001` or alike, which counts what has
//! ended, too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Proc;
use super::tree::{Process, below};

/// The place of control groups (cgroups(7), version 2).
const CGROUPS: &str = "/sys/fs/cgroup";
/// The beginning of the name of a builder's control group.
const CGROUP: &str = "nix-build-";
/// The beginning of the name of a builder's directory, before the name of the derivation.
const BUILD_TOP: &str = "nix-build-";

/// The build that a process works for, as its environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Build {
    /// The name of the derivation, without digest and `.drv`, if the environment tells it.
    pub name: Option<String>,
    /// The paths of its outputs, if the environment tells them.
    pub outputs: Vec<String>,
    /// The directory in which it is built.
    pub top: String,
}

impl Build {
    /// Reads an environment: assignments, each ended by a zero byte (proc_pid_environ(5)).
    fn of(environment: &[u8]) -> Option<Self> {
        let variables: BTreeMap<&str, &str> = environment
            .split(|byte| *byte == 0)
            .filter_map(|variable| std::str::from_utf8(variable).ok()?.split_once('='))
            .collect();
        let top = *variables.get("NIX_BUILD_TOP")?;
        let store = variables.get("NIX_STORE").map_or("/nix/store", |store| store.trim_end_matches('/'));
        let is_path = |path: &&str| path.strip_prefix(store).is_some_and(|name| name.starts_with('/'));
        let outputs = variables.get("outputs").copied().unwrap_or("out").split_whitespace();
        let outputs: Vec<String> = outputs
            .filter_map(|output| variables.get(output).copied())
            .filter(is_path)
            .map(str::to_owned)
            .collect();
        // `nix-build-hello-2.12.drv-0`
        let of_top = || {
            let names = top.rsplit('/').filter_map(|part| part.strip_prefix(BUILD_TOP)?.rsplit_once(".drv-"));
            names.map(|(name, _)| name.to_owned()).next()
        };
        let name = variables.get("name").map(|name| (*name).to_owned()).or_else(of_top);
        let build = Self { name, outputs, top: top.to_owned() };
        (build.name.is_some() || !build.outputs.is_empty()).then_some(build)
    }
}

/// The way in which a builder's cost was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its processes were found by their environment, and those that live were added up.
    Environ,
    /// Its control group counts.
    Cgroup,
}

/// A builder at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderProcess {
    /// The build.
    pub build: Build,
    /// Processor time so far; without a control group, that of processes which have gone unwaited is missing.
    pub cpu: Duration,
    /// Memory in bytes: with a control group the peak so far, else what is resident now.
    pub memory: Option<u64>,
    /// The way in which both were found.
    pub source: Source,
}

/// Finds the builders below Nix's processes, and among orphans that were taken in.
pub(super) fn builders(
    proc: &Proc,
    processes: &BTreeMap<i32, Process>,
    children: &BTreeMap<i32, Vec<i32>>,
    nix: impl IntoIterator<Item = i32>,
    orphans: impl IntoIterator<Item = i32>,
) -> Vec<BuilderProcess> {
    let mut roots: BTreeMap<Build, Vec<i32>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let below_of = |pid: i32| children.get(&pid).into_iter().flatten().copied();
    let mut todo: Vec<i32> = nix.into_iter().flat_map(below_of).chain(orphans).collect();
    while let Some(pid) = todo.pop() {
        if !seen.insert(pid) {
            continue;
        }
        match proc.environment(pid).and_then(|environment| Build::of(&environment)) {
            Some(build) => roots.entry(build).or_default().push(pid),
            None => todo.extend(below_of(pid)),
        }
    }
    roots
        .into_iter()
        .map(|(build, roots)| {
            let cgroup = roots.iter().find_map(|pid| Cgroup::of(&proc.cgroup(*pid)?, Path::new(CGROUPS)));
            match cgroup {
                Some(Cgroup { cpu, peak }) => {
                    BuilderProcess { build, cpu, memory: peak, source: Source::Cgroup }
                }
                None => {
                    let its = below(children, roots);
                    let its = || its.iter().filter_map(|pid| processes.get(pid));
                    BuilderProcess {
                        build,
                        cpu: its().map(|process| process.cpu).sum(),
                        memory: its().filter_map(|process| process.resident).reduce(u64::saturating_add),
                        source: Source::Environ,
                    }
                }
            }
        })
        .collect()
}

/// The account of a builder's control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cgroup {
    cpu: Duration,
    /// Since Linux 5.19.
    peak: Option<u64>,
}

impl Cgroup {
    /// Reads the account of a builder's control group; `None` if the process is in no such group.
    fn of(cgroup: &str, root: &Path) -> Option<Self> {
        let directory = root.join(builders_group(cgroup)?);
        let cpu = std::fs::read_to_string(directory.join("cpu.stat")).ok()?;
        let micros = cpu.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok())?;
        let peak = std::fs::read_to_string(directory.join("memory.peak")).ok();
        let peak = peak.and_then(|peak| peak.trim().parse().ok());
        Some(Self { cpu: Duration::from_micros(micros), peak })
    }
}

/// Returns the path of the group of a build, which may have groups of its own (proc_pid_cgroup(5)).
fn builders_group(cgroup: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let parts: Vec<&str> = path.split('/').collect();
    let last = parts.iter().position(|part| part.starts_with(CGROUP))?;
    Some(parts[..=last].iter().filter(|part| **part != "..").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_tell_the_build() {
        let check = |variables: &[&str], expected: Option<(Option<&str>, &[&str])>| {
            let build = Build::of(variables.join("\0").as_bytes());
            let got = build.as_ref().map(|build| {
                (build.name.as_deref(), build.outputs.iter().map(String::as_str).collect::<Vec<_>>())
            });
            assert_eq!(got, expected.map(|(name, outputs)| (name, outputs.to_vec())), "{variables:?}");
        };
        let hello = "/nix/store/00000000000000000000000000000000-hello-2.12";
        let out = format!("out={hello}");
        check(&["NIX_BUILD_TOP=/build", "name=hello-2.12", &out], Some((Some("hello-2.12"), &[hello])));
        let dev = format!("dev={hello}-dev");
        let of_dev = format!("{hello}-dev");
        check(
            &["NIX_BUILD_TOP=/build", "name=hello-2.12", "outputs=out dev", &out, &dev],
            Some((Some("hello-2.12"), &[hello, &of_dev])),
        );
        // Structured attributes.
        check(
            &["NIX_BUILD_TOP=/tmp/nix-build-hello-2.12.drv-0", "NIX_ATTRS_SH_FILE=x"],
            Some((Some("hello-2.12"), &[])),
        );
        check(
            &["NIX_BUILD_TOP=/nix/var/nix/builds/nix-build-a.drv-b.drv-12/build"],
            Some((Some("a.drv-b"), &[])),
        );
        check(&["NIX_BUILD_TOP=/build", "NIX_ATTRS_SH_FILE=x"], None);
        // `nix develop` builds into a directory of the user's.
        check(&["NIX_BUILD_TOP=/tmp/x", "out=/project/outputs/out"], None);
        check(&[&out, "name=hello-2.12", "PATH=/bin"], None);
        check(&["\u{fffd}", ""], None);
    }

    #[test]
    fn a_group_of_a_build_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("system.slice/nix-daemon.service/nix-build-uid-30001");
        std::fs::create_dir_all(&group).unwrap();
        let line = "0::/system.slice/nix-daemon.service/nix-build-uid-30001/inner\n";
        assert_eq!(Cgroup::of(line, root.path()), None);
        std::fs::write(group.join("cpu.stat"), "usage_usec 1500000\nuser_usec 1000000\n").unwrap();
        let cpu = Duration::from_millis(1500);
        assert_eq!(Cgroup::of(line, root.path()), Some(Cgroup { cpu, peak: None }));
        std::fs::write(group.join("memory.peak"), "9663676416\n").unwrap();
        assert_eq!(Cgroup::of(line, root.path()), Some(Cgroup { cpu, peak: Some(9 << 30) }));
        assert_eq!(Cgroup::of("0::/user.slice\n", root.path()), None);
        assert_eq!(Cgroup::of("1:cpu:/nix-build-uid-1\n", root.path()), None);
    }
}
