//! CPU time and memory of a command's processes, looked at from a thread of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::measures::Measures;
use nixmon_core::text::bytes;
use nixmon_history::name::DrvName;
use nixmon_history::record::Resources;
use nixmon_history::store::Store;
use nixmon_log::escapes::sanitize;
use nixmon_runs::proc::tree;
use nixmon_runs::proc::{Memory, Proc};

/// Time before the first look, which doubles until [`EVERY`].
const FIRST: Duration = Duration::from_millis(50);
/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// A look takes at most one part in this many of the time.
const SHARE: u32 = 150;
/// Memory is short if less than one part in this many is left.
const SHORT: u64 = 10;
/// Builds whose past is asked for at most.
const MOST_ASKED: usize = 256;

/// The measure of a command's processes.
#[derive(Debug)]
pub(crate) struct Meter {
    shared: Arc<Shared>,
    measures: Measures,
    thread: thread::Thread,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    cpu: Option<Duration>,
    peak: Option<u64>,
    /// Memory is short now.
    short: Option<Memory>,
    /// The past of these builds is asked for.
    asked: Option<Vec<String>>,
    /// The build of those that needed most memory before, once that was looked up.
    past: Option<Option<(String, u64)>>,
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Measured) -> T) -> T {
        work(&mut self.measured.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Meter {
    /// Measures the processes of a command, and its builders one by one, until it is stopped. Without a thread nothing is measured.
    /// `past` is the database and the machine of which it is asked what builds needed before.
    pub(crate) fn of(command: i32, measures: Measures, past: (PathBuf, String)) -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let (theirs, builds) = (Arc::clone(&shared), measures.clone());
        let adopter = i32::try_from(std::process::id()).ok();
        let work = move || {
            let mut wait = FIRST;
            while !theirs.stop.load(Ordering::Relaxed) {
                thread::park_timeout(wait);
                if theirs.stop.load(Ordering::Relaxed) {
                    return;
                }
                let begun = Instant::now();
                let (sample, builders) = tree::sample_with_builders(command, adopter);
                builds.look(builders);
                let memory = Proc::default().memory();
                let asked = theirs.with(|measured| {
                    measured.cpu = measured.cpu.max(sample.cpu);
                    measured.peak = measured.peak.max(sample.resident);
                    measured.short = memory.filter(|memory| memory.available < memory.total / SHORT);
                    measured.asked.take()
                });
                if let Some(names) = asked {
                    let found = most_before(&past, &names);
                    theirs.with(|measured| measured.past = Some(found));
                }
                wait = (wait * 2).min(EVERY).max(begun.elapsed() * SHARE);
            }
        };
        let thread = thread::Builder::new().name("meter".to_owned()).spawn(work).ok()?;
        Some(Self { shared, measures, thread: thread.thread().clone() })
    }

    /// Returns a warning while memory is short. The first call asks the history about the builds in progress, and a later one
    /// has the answer.
    pub(crate) fn warning<'a>(&self, builds: impl Iterator<Item = &'a str>) -> Option<String> {
        // Asked on every tick, and memory is seldom short.
        let memory = self.shared.with(|measured| measured.short)?;
        let names: Vec<String> = builds.map(str::to_owned).collect();
        let n_builds = names.len();
        let past = self.shared.with(|measured| {
            if measured.past.is_none() && n_builds > 0 {
                measured.asked = Some(names);
                return None;
            }
            Some(measured.past.take().flatten())
        })?;
        Some(words(memory, n_builds, self.measures.largest(), past))
    }

    /// Stops, and returns what was measured. Processes that came and went between two looks are not in it.
    pub(crate) fn stop(self) -> Option<Resources> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
        let (cpu, peak) = self.shared.with(|measured| (measured.cpu, measured.peak));
        (cpu.is_some() || peak.is_some()).then(|| Resources {
            cpu_s: cpu.map(|cpu| cpu.as_secs_f64()),
            peak_rss_bytes: peak,
            source: "tree".to_owned(),
            complete: false,
        })
    }
}

/// Returns which of the builds needed most memory before, and how much.
fn most_before((path, host): &(PathBuf, String), names: &[String]) -> Option<(String, u64)> {
    let store = Store::open_read_only(path).ok()?;
    let peaks = names.iter().take(MOST_ASKED).filter_map(|name| {
        let peak = store.peak_memory(&DrvName::parse(name).pname, host).ok()??;
        Some((name.clone(), peak))
    });
    peaks.max_by_key(|(_, peak)| *peak)
}

/// Returns `memory: 14.1 GiB of 16.0 GiB in use, 4 builds; webkitgtk-2.44 has 6.0 GiB, webkitgtk-2.44 took 9.0 GiB before`.
fn words(
    memory: Memory,
    n_builds: usize,
    largest: Option<(String, u64)>,
    past: Option<(String, u64)>,
) -> String {
    let used = bytes(memory.total - memory.available);
    let builds = match n_builds {
        0 => String::new(),
        1 => ", 1 build".to_owned(),
        n => format!(", {n} builds"),
    };
    let about = match (largest, past) {
        (None, None) => String::new(),
        (Some((name, now)), None) => format!("; {} has {}", sanitize(&name), bytes(now)),
        (None, Some((name, peak))) => format!("; {} took {} before", sanitize(&name), bytes(peak)),
        (Some((name, now)), Some((other, peak))) if name == other => {
            format!("; {} has {}, and took {} before", sanitize(&name), bytes(now), bytes(peak))
        }
        (Some((name, now)), Some((other, peak))) => {
            let (name, other) = (sanitize(&name), sanitize(&other));
            format!("; {name} has {}, {other} took {} before", bytes(now), bytes(peak))
        }
    };
    format!("memory: {used} of {} in use{builds}{about}", bytes(memory.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_the_build() {
        const GIB: u64 = 1 << 30;
        let memory = Memory { total: 16 * GIB, available: GIB };
        let of = |name: &str, gib: u64| Some((name.to_owned(), gib * GIB));
        for (builds, largest, past, expected) in [
            (0, None, None, "memory: 15 GiB of 16 GiB in use"),
            (1, None, of("a-1", 9), "memory: 15 GiB of 16 GiB in use, 1 build; a-1 took 9.0 GiB before"),
            (2, of("a-1", 6), None, "memory: 15 GiB of 16 GiB in use, 2 builds; a-1 has 6.0 GiB"),
            (
                2,
                of("a-1", 6),
                of("a-1", 9),
                "memory: 15 GiB of 16 GiB in use, 2 builds; a-1 has 6.0 GiB, and took 9.0 GiB before",
            ),
            (
                2,
                of("a-1", 6),
                of("b\u{1b}[2J-1", 9),
                "memory: 15 GiB of 16 GiB in use, 2 builds; a-1 has 6.0 GiB, b-1 took 9.0 GiB before",
            ),
        ] {
            assert_eq!(words(memory, builds, largest, past), expected);
        }
    }
}
