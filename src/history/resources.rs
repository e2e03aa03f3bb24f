//! CPU time and memory of a command's processes, looked at from a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nixmon_core::text::bytes;
use nixmon_history::record::Resources;
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

/// The measure of a command's processes.
#[derive(Debug)]
pub(crate) struct Meter {
    shared: Arc<Shared>,
    thread: thread::Thread,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    measured: Mutex<Measured>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    cpu: Option<Duration>,
    peak: Option<u64>,
    /// Memory is short now.
    short: Option<Memory>,
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Measured) -> T) -> T {
        work(&mut self.measured.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Meter {
    /// Measures the processes of a command until it is stopped. Without a thread nothing is measured.
    pub(crate) fn of(command: i32) -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let adopter = i32::try_from(std::process::id()).ok();
        let work = move || {
            let mut wait = FIRST;
            while !theirs.stop.load(Ordering::Relaxed) {
                thread::park_timeout(wait);
                if theirs.stop.load(Ordering::Relaxed) {
                    return;
                }
                let begun = Instant::now();
                let sample = tree::sample(command, adopter);
                let memory = Proc::default().memory();
                theirs.with(|measured| {
                    measured.cpu = measured.cpu.max(sample.cpu);
                    measured.peak = measured.peak.max(sample.resident);
                    measured.short = memory.filter(|memory| memory.available < memory.total / SHORT);
                });
                wait = (wait * 2).min(EVERY).max(begun.elapsed() * SHARE);
            }
        };
        let thread = thread::Builder::new().name("meter".to_owned()).spawn(work).ok()?;
        Some(Self { shared, thread: thread.thread().clone() })
    }

    /// Returns a warning while memory is short.
    pub(crate) fn warning(&self, builds: usize) -> Option<String> {
        let memory = self.shared.with(|measured| measured.short.take())?;
        let used = bytes(memory.total - memory.available);
        let builds = match builds {
            0 => String::new(),
            1 => ", 1 build".to_owned(),
            n => format!(", {n} builds"),
        };
        Some(format!("memory: {used} of {} in use{builds}", bytes(memory.total)))
    }

    /// Stops, and returns what was measured. Processes that came and went between two looks are not in it.
    pub(crate) fn stop(self) -> Option<Resources> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
        let Measured { cpu, peak, .. } = self.shared.with(|measured| *measured);
        (cpu.is_some() || peak.is_some()).then(|| Resources {
            cpu_s: cpu.map(|cpu| cpu.as_secs_f64()),
            peak_rss_bytes: peak,
            source: "tree".to_owned(),
            complete: false,
        })
    }
}
