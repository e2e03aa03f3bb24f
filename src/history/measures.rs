//! The cost of single builds, between the thread that measures it and the end of a build.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nixmon_core::state::{DerivationId, State};
use nixmon_history::record::Resources;
use nixmon_runs::proc::builders::{Build, BuilderProcess, Source};

/// Builds that have been measured and not ended, at most.
const MOST: usize = 1024;

/// The cost of the builds in progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measures(Arc<Mutex<Vec<Measured>>>);

#[derive(Clone, Debug)]
struct Measured {
    build: Build,
    cpu: Duration,
    peak: Option<u64>,
    /// Memory at the last look, or `None` if it has gone.
    now: Option<u64>,
    source: Source,
}

impl Measures {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Measured>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of all builders that are there now.
    pub(super) fn look(&self, builders: Vec<BuilderProcess>) {
        self.with(|known| {
            for measured in known.iter_mut() {
                measured.now = None;
            }
            for BuilderProcess { build, cpu, memory, source } in builders {
                match known.iter_mut().find(|measured| measured.build == build) {
                    Some(measured) => {
                        measured.cpu = measured.cpu.max(cpu);
                        measured.peak = measured.peak.max(memory);
                        measured.now = memory;
                    }
                    None => known.push(Measured { build, cpu, peak: memory, now: memory, source }),
                }
            }
            // Those whose end is never told, the oldest first.
            let excess = known.len().saturating_sub(MOST);
            known.drain(..excess);
        });
    }

    /// Returns the name of the build that has most memory now, and how much.
    pub(super) fn largest(&self) -> Option<(String, u64)> {
        self.with(|known| {
            let named = known.iter().filter_map(|m| Some((m.build.name.as_deref()?, m.now?)));
            named.max_by_key(|(_, now)| *now).map(|(name, now)| (name.to_owned(), now))
        })
    }

    /// Takes out the cost of a build that has ended. Processor time that Nix reports is whole, and measured time is not.
    pub(super) fn take(&self, state: &State, id: DerivationId) -> Option<Resources> {
        let derivations = state.derivations();
        let derivation = derivations.get(id);
        let told = derivation.cpu.map(|cpu| cpu.as_secs_f64());
        let measured = self.with(|known| {
            let by_output = known.iter().position(|measured| {
                measured.build.outputs.iter().any(|output| derivations.find_by_output(output) == Some(id))
            });
            // Outputs that depend on their content have other paths while they are built, and a file may not be read yet.
            let is_named = |measured: &Measured| measured.build.name.as_deref() == Some(derivation.name());
            let by_name = || {
                let mut named = (0..known.len()).filter(|at| is_named(&known[*at]));
                named.next().filter(|_| named.next().is_none())
            };
            by_output.or_else(by_name).map(|at| known.remove(at))
        });
        let source = match (&measured, told) {
            (None, None) => return None,
            (None, Some(_)) => "nix",
            (Some(Measured { source: Source::Environ, .. }), None) => "environ",
            (Some(Measured { source: Source::Cgroup, .. }), None) => "cgroup",
            (Some(Measured { source: Source::Environ, .. }), Some(_)) => "nix+environ",
            (Some(Measured { source: Source::Cgroup, .. }), Some(_)) => "nix+cgroup",
        };
        Some(Resources {
            cpu_s: told.or(measured.as_ref().map(|measured| measured.cpu.as_secs_f64())),
            peak_rss_bytes: measured.and_then(|measured| measured.peak),
            source: source.to_owned(),
            // The time between the last look and the end is missing.
            complete: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nixmon_core::frontend::{LogLines, Results};
    use nixmon_core::pipeline::Pipeline;

    fn builder(name: &str, outputs: &[&str], cpu: u64, memory: u64) -> BuilderProcess {
        BuilderProcess {
            build: Build {
                name: Some(name.to_owned()),
                outputs: outputs.iter().map(|path| (*path).to_owned()).collect(),
                top: "/build".to_owned(),
            },
            cpu: Duration::from_secs(cpu),
            memory: Some(memory),
            source: Source::Environ,
        }
    }

    #[test]
    fn a_build_gets_what_was_measured_of_it() {
        let mut pipeline = Pipeline::new(Results::new(std::io::sink()), LogLines::default());
        let drv =
            |digest: char, name: &str| format!("/nix/store/{}-{name}.drv", digest.to_string().repeat(32));
        for (id, path) in [(1, drv('0', "a-1")), (2, drv('1', "b-1")), (3, drv('2', "b-1"))] {
            let line = format!(
                r#"@nix {{"action":"start","id":{id},"level":3,"text":"","type":105,"fields":["{path}","",1,1]}}"#
            );
            pipeline.feed(format!("{line}\n").as_bytes(), Duration::ZERO);
        }
        let cpu = format!(
            r#"@nix {{"action":"result","id":0,"type":110,"payload":{{"path":{{"drvPath":"{}"}},"success":false,"cpuUser":2500000,"cpuSystem":500000}}}}"#,
            drv('1', "b-1")
        );
        pipeline.feed(format!("{cpu}\n").as_bytes(), Duration::ZERO);
        let state = pipeline.state();
        let id = |path: String| state.derivations().find(&path).unwrap();
        let measures = Measures::default();
        measures.look(vec![builder("a-1", &[], 1, 100), builder("b-1", &[], 1, 900)]);
        measures.look(vec![builder("a-1", &[], 3, 50)]);
        assert_eq!(measures.largest(), Some(("a-1".to_owned(), 50)));
        let taken = measures.take(state, id(drv('0', "a-1"))).unwrap();
        assert_eq!((taken.cpu_s, taken.peak_rss_bytes, &*taken.source), (Some(3.0), Some(100), "environ"));
        assert!(!taken.complete);
        // Once.
        assert_eq!(measures.take(state, id(drv('0', "a-1"))), None);
        let taken = measures.take(state, id(drv('1', "b-1"))).unwrap();
        assert_eq!(
            (taken.cpu_s, taken.peak_rss_bytes, &*taken.source),
            (Some(3.0), Some(900), "nix+environ")
        );
        // Two builders of one name cannot be told apart without their outputs.
        measures.look(vec![builder("b-1", &["/x"], 1, 1), builder("b-1", &["/y"], 1, 1)]);
        assert_eq!(measures.take(state, id(drv('2', "b-1"))), None);
    }
}
