//! Looks into `/proc`: the program of a process, and lists of all processes.

use std::collections::HashMap;
use std::time::Duration;

use nixmon_log::escapes::sanitize;
use nixmon_runs::proc::{Proc, Stat};
use rustix::process::Pid;

use crate::model::build::{End, Image};
use crate::model::mask::command_line;
use crate::model::programs::{Class, Rules};
use crate::model::tracker::{Lookup, Seen};

/// Variables that a build tool gives to the processes that it starts.
const NESTED: [&[u8]; 4] = [b"MAKELEVEL=", b"CARGO_MANIFEST_DIR=", b"npm_lifecycle_event=", b"BAZEL_"];
/// A process of this age is looked at in one list of [`TURNS`] only: it seldom executes another program.
const OLD: Duration = Duration::from_secs(20);
const TURNS: u64 = 8;
/// A process of this age may still be the copy of its parent that a fork makes.
const YOUNG: Duration = Duration::from_secs(3);

/// Looks at processes with the eyes of some rules.
#[derive(Debug)]
pub(crate) struct Look {
    proc: Proc,
    rules: Rules,
    /// Ticks of the system's clock in a second.
    ticks: u64,
    known: HashMap<i32, Known>,
    n_lists: u64,
}

#[derive(Debug)]
struct Known {
    seen: Seen,
    began_ticks: u64,
    /// The first letters of its program's name, which change with it.
    name: String,
    /// Number of the list that it was in.
    list: u64,
    is_kernel: bool,
}

impl Look {
    pub(crate) fn new(rules: Rules) -> Self {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        Self { proc: Proc::default(), rules, ticks, known: HashMap::new(), n_lists: 0 }
    }

    pub(crate) fn proc(&self) -> &Proc {
        &self.proc
    }

    /// Returns a number of ticks as a duration.
    pub(crate) fn ticks(&self, n: u64) -> Duration {
        Duration::from_secs(n / self.ticks)
            + Duration::from_nanos(n % self.ticks * 1_000_000_000 / self.ticks)
    }

    /// Returns when a process began, since the machine's start.
    pub(crate) fn began(&self, pid: i32) -> Option<Duration> {
        Some(self.ticks(self.proc.stat(pid)?.begin_ticks()?))
    }

    /// Returns whether a process that had begun by this time, since the machine's start, has a thread that has not ended.
    pub(crate) fn lives(&self, pid: i32, begun_by: Duration) -> bool {
        self.proc.stat(pid).is_some_and(|stat| {
            let has_threads = !stat.is_zombie() || stat.n_threads().is_some_and(|n| n > 1);
            has_threads && stat.begin_ticks().is_some_and(|ticks| self.ticks(ticks) <= begun_by)
        })
    }

    /// Looks up the program of a process that executed it at `at`, since the machine's start.
    pub(crate) fn up(&self, pid: i32, at: Duration) -> Lookup {
        match self.image(pid, false) {
            // Its number may be another process's by now, which began later.
            Some(_) if self.began(pid).is_none_or(|began| began > at + Duration::from_millis(40)) => {
                Lookup::Gone
            }
            Some(image) => Lookup::Found(image),
            // Another user's, or one that has removed its own command line.
            None if self.is_hidden(pid) || self.proc.stat(pid).is_some_and(|stat| !stat.is_dying()) => {
                Lookup::Hidden
            }
            None => Lookup::Gone,
        }
    }

    /// Returns whether there is a process that `/proc` does not show (its option `hidepid`).
    fn is_hidden(&self, pid: i32) -> bool {
        let Some(number) = Pid::from_raw(pid) else { return false };
        rustix::process::test_kill_process(number) == Err(rustix::io::Errno::PERM)
            && self.proc.stat(pid).is_none()
    }

    /// Reads the program of a process. `is_listed`: nothing is known of its ancestors, and its environment is read as well.
    fn image(&self, pid: i32, is_listed: bool) -> Option<Image> {
        let line = self.proc.command_line(pid)?;
        let line = line.strip_suffix(b"\0").unwrap_or(&line);
        if line.is_empty() {
            return None;
        }
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let executable = self.proc.executable(pid).map(|path| path.to_string_lossy().into_owned());
        let command = self.rules.command(&words, executable.as_deref());
        let class = self.rules.class(&command);
        let mut image = Image {
            class,
            label: String::new(),
            command: String::new(),
            directory: None,
            user: None,
            is_nested: false,
            program: sanitize(&command.program).into_owned(),
        };
        if class == Class::Build {
            image.label = sanitize(&command.label()).into_owned();
            image.command = command_line(&command.program, &command.name, &command.arguments);
            let directory = self.proc.working_directory(pid);
            image.directory = directory.map(|path| sanitize(&path.to_string_lossy()).into_owned());
            image.user = self.proc.user(pid);
        }
        if is_listed {
            image.is_nested = self.proc.environment(pid).is_some_and(|environment| {
                let mut variables = environment.split(|byte| *byte == 0);
                variables.any(|variable| {
                    variable != b"MAKELEVEL=0" && NESTED.iter().any(|name| variable.starts_with(name))
                })
            });
            image.user = image.user.or_else(|| self.proc.user(pid).filter(|_| image.is_nested));
        }
        Some(image)
    }

    /// Returns how a zombie ended, if the system says so.
    pub(crate) fn zombie(&self, pid: i32, stat: &Stat) -> Option<End> {
        let word = stat.wait_status()?;
        // The system also shows zero where it hides the status.
        let is_told = word != 0 || self.proc.is_open_zombie(pid);
        let is_same = || self.proc.stat(pid).is_some_and(|now| now.begin_ticks() == stat.begin_ticks());
        (is_told && is_same()).then(|| pidfd_info::Exit::from_wait_status(word).into())
    }

    /// Lists all processes that are visible, but no threads of the kernel. `all` looks at old ones, too.
    pub(crate) fn list(&mut self, now: Duration, all: bool) -> Vec<Seen> {
        self.n_lists += 1;
        let is_young = |began: Duration| now.saturating_sub(began) < YOUNG;
        let Some(pids) = self.proc.pids() else { return Vec::new() };
        let mut list = Vec::with_capacity(self.known.len());
        for pid in pids {
            if let Some(known) = self.known.get_mut(&pid) {
                let is_turn = (self.n_lists + u64::from(pid.unsigned_abs())).is_multiple_of(TURNS);
                let is_old = now.saturating_sub(known.seen.began) > OLD;
                if !all && !is_turn && (known.is_kernel || is_old) {
                    known.list = self.n_lists;
                    if !known.is_kernel {
                        list.push(known.seen.clone());
                    }
                    continue;
                }
            }
            let Some(stat) = self.proc.stat(pid) else { continue };
            let Some(known) = self.known(pid, &stat, is_young) else { continue };
            if !known.is_kernel {
                list.push(known.seen.clone());
            }
            self.known.insert(pid, known);
        }
        let n_lists = self.n_lists;
        self.known.retain(|_, known| known.list == n_lists);
        list
    }

    fn known(&mut self, pid: i32, stat: &Stat, is_young: impl Fn(Duration) -> bool) -> Option<Known> {
        let (parent, began_ticks) = (stat.parent()?, stat.begin_ticks()?);
        let before = self.known.remove(&pid).filter(|before| before.began_ticks == began_ticks);
        // Its first thread may have ended before the others.
        let is_zombie = stat.is_zombie() && stat.n_threads().is_none_or(|n| n <= 1);
        let is_kernel = stat.is_kernel_thread();
        // The name also stays the same where a program starts itself with other arguments, a moment after the fork. And npm
        // calls itself `npm` for a moment before it says what it runs.
        let is_settled = |seen: &Seen| {
            let is_whole = |image: &Image| image.class == Class::Build && image.command.contains(' ');
            seen.image.as_ref().is_some_and(|image| is_whole(image) || !is_young(seen.began))
        };
        let image = if is_kernel || stat.is_zombie() {
            None
        } else {
            match before {
                Some(before) if before.name == stat.name() && is_settled(&before.seen) => before.seen.image,
                _ => self.image(pid, true),
            }
        };
        let seen = Seen {
            pid,
            parent,
            group: stat.group()?,
            session: stat.session()?,
            began: self.ticks(began_ticks),
            image,
            zombie: is_zombie.then(|| self.zombie(pid, stat)),
        };
        Some(Known { seen, began_ticks, name: stat.name().to_owned(), list: self.n_lists, is_kernel })
    }

    /// Measures processes together: processor time with that of children they have waited for, and resident memory.
    pub(crate) fn usage(&self, pids: &[i32]) -> (Duration, u64) {
        let mut sum = (0_u64, 0_u64);
        for stat in pids.iter().filter_map(|pid| self.proc.stat(*pid)) {
            sum.0 = sum.0.saturating_add(stat.cpu_ticks().unwrap_or(0));
            sum.1 = sum.1.saturating_add(stat.resident().unwrap_or(0));
        }
        (self.ticks(sum.0), sum.1)
    }
}
