//! The pipeline's processes as Linux shows them: found at the start, asked at the end.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pidfd_info::Exit;
use rustix::process::{Pid, PidfdFlags, getuid, pidfd_open};

use super::chain::{self, Process, Processes, Seen, Standing, Verdict};
use super::program::{Kind, kind};
use nixmon_core::pipeline::WriterEnd;
use nixmon_runs::proc::{Proc, Stat};

/// Reading begins after this time, though the search may go on: on a machine with thousands of processes it takes longer.
const HEAD_START: Duration = Duration::from_millis(20);
/// Distance from our own number of the processes that are looked at first.
const NEAR: i32 = 6;
/// When it is looked again what the processes run: a shell forks first, and then becomes the program.
const SETTLING: [u64; 5] = [1, 4, 10, 30, 60];
/// After the stream's end its writer ends too, and whoever started it asks for its status.
const PATIENCE: Duration = Duration::from_millis(250);
/// Number of questions.
const STEP: Duration = Duration::from_millis(2);

/// The writer into our standard input.
#[derive(Debug)]
pub struct Writer {
    /// The parts of the pipeline, from us to its beginning; `None` until they were looked for.
    members: Arc<Mutex<Option<Vec<Member>>>>,
    /// Says something once there has been a look at all processes.
    found: mpsc::Receiver<()>,
}

/// A stage of the pipeline.
#[derive(Debug)]
struct Member {
    reads_pipe: bool,
    process: Watched,
    /// The program that another one runs at a terminal of its own.
    child: Option<Watched>,
}

/// A process that is told from later ones of the same number.
#[derive(Debug)]
struct Watched {
    pid: i32,
    began: u64,
    pidfd: OwnedFd,
    name: String,
}

impl Writer {
    /// Looks for what writes into our standard input, if that is a pipe. To be called first of all: it may end at once,
    /// and then nobody can be asked.
    pub(in crate::drive) fn find() -> Option<Self> {
        let own = std::process::id().cast_signed();
        let pipe = pipe_of(&std::fs::read_link("/proc/self/fd/0").ok()?)?;
        let early: Vec<Early> = near(own).filter_map(|pid| Early::look(pid, pipe)).collect();
        let members = Arc::new(Mutex::new(None));
        let (sender, found) = mpsc::channel();
        let theirs = Arc::clone(&members);
        // Without a thread nothing is known.
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || search(own, pipe, early, &theirs, &sender))
            .ok()?;
        Some(Self { members, found })
    }

    /// Waits for what is found, but not long.
    pub(in crate::drive) fn wait(&self) {
        let _ = self.found.recv_timeout(HEAD_START);
    }

    /// Looks what the processes run by now.
    pub(in crate::drive) fn refresh(&self) {
        for member in lock(&self.members).iter_mut().flatten() {
            member.refresh();
        }
    }

    /// Returns how the programs upstream ended, after the end of the stream; `None` if that is not known.
    pub(in crate::drive) async fn end(&self) -> Option<WriterEnd> {
        let asked = Instant::now();
        loop {
            self.refresh();
            let seen = lock(&self.members)
                .as_ref()
                .map(|members| members.iter().map(Member::seen).collect::<Vec<_>>());
            match seen.map_or(Verdict::Waits, |seen| chain::verdict(&seen)) {
                Verdict::Known(end) => return Some(end),
                Verdict::Waits if asked.elapsed() < PATIENCE => tokio::time::sleep(STEP).await,
                Verdict::Waits | Verdict::Unknown => return None,
            }
        }
    }
}

/// A search that has panicked has left what it found so far.
fn lock(members: &Mutex<Option<Vec<Member>>>) -> MutexGuard<'_, Option<Vec<Member>>> {
    members.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The numbers around ours: the parts of a pipeline are started one after the other.
fn near(own: i32) -> impl Iterator<Item = i32> {
    (1..=NEAR).flat_map(move |distance| [own - distance, own + distance]).filter(|pid| *pid > 0)
}

/// A process that was found at once. It may be gone when all are looked at.
#[derive(Debug)]
struct Early {
    process: Process,
    /// The descriptors by which it writes into the pipe.
    writes: Vec<i32>,
    watched: Watched,
}

impl Early {
    /// Looks whether a process writes into a pipe.
    fn look(pid: i32, pipe: u64) -> Option<Self> {
        let process = process(pid)?;
        let writes: Vec<i32> = process
            .pipes
            .iter()
            .filter(|(held, descriptor)| *held == pipe && writes(pid, *descriptor))
            .map(|(_, descriptor)| *descriptor)
            .collect();
        if writes.is_empty() {
            return None;
        }
        Some(Self { writes, watched: Watched::open(pid, process.began)?, process })
    }
}

/// Finds the pipeline's processes; tells `found` when it has. `early` are those that were found already.
fn search(
    own: i32,
    pipe: u64,
    early: Vec<Early>,
    members: &Mutex<Option<Vec<Member>>>,
    found: &mpsc::Sender<()>,
) {
    let early_writes: Vec<(i32, i32)> = early
        .iter()
        .flat_map(|early| early.writes.iter().map(|descriptor| (early.watched.pid, *descriptor)))
        .collect();
    let writes = |pid, descriptor| early_writes.contains(&(pid, descriptor)) || writes(pid, descriptor);
    let mut waits = SETTLING.into_iter().map(Duration::from_millis);
    let (processes, stages) = loop {
        let mut processes = processes();
        for Early { process, watched, .. } in &early {
            // One that has ended since holds nothing any more, or is gone.
            let now = processes.entry(watched.pid).or_insert_with(|| process.clone());
            if now.pipes.is_empty() {
                now.clone_from(process);
            }
        }
        let stages = chain::stages(&processes, own, pipe, writes);
        // A shell above us may not have closed yet what it gave to those that it started; and a process that is about to
        // end holds nothing any more before it counts as ended.
        let is_clear = stages.first().is_some_and(|stage| !stage.is_above);
        match waits.next().filter(|_| !is_clear) {
            Some(wait) => thread::sleep(wait),
            None => break (processes, stages),
        }
    };
    let mut known: Vec<Watched> = early.into_iter().map(|early| early.watched).collect();
    let mut watched = |pid: i32| {
        let at = known.iter().position(|watched| watched.pid == pid);
        at.map(|at| known.swap_remove(at)).or_else(|| Watched::open(pid, processes.get(&pid)?.began))
    };
    let all: Option<Vec<Member>> = stages
        .iter()
        .map(|stage| Some(Member { reads_pipe: stage.reads_pipe, process: watched(stage.pid)?, child: None }))
        .collect();
    // One that has ended between leaves a gap, and nothing can be said of what is behind it or before.
    *lock(members) = Some(all.unwrap_or_default());
    let _ = found.send(());
    for wait in SETTLING {
        thread::sleep(Duration::from_millis(wait));
        for member in lock(members).iter_mut().flatten() {
            member.refresh();
        }
    }
}

impl Member {
    fn refresh(&mut self) {
        self.process.refresh();
        if kind(&self.process.name) == Kind::Relay && self.child.is_none() {
            self.child = self.process.only_child();
        }
        if let Some(child) = &mut self.child {
            child.refresh();
        }
    }

    fn seen(&self) -> Seen {
        let (kind, standing) = match (kind(&self.process.name), &self.child) {
            (Kind::Relay, Some(child)) => (kind(&child.name), child.standing()),
            (Kind::Relay, None) => (Kind::Relay, Standing::Unknown),
            (kind, _) => (kind, self.process.standing()),
        };
        Seen { kind, standing, reads_pipe: self.reads_pipe }
    }
}

impl Watched {
    fn open(pid: i32, began: u64) -> Option<Self> {
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let mut watched = Self { pid, began, pidfd, name: String::new() };
        watched.stat()?.name().clone_into(&mut watched.name);
        Some(watched)
    }

    /// Returns the system's answer about it, if the number is still its own.
    fn stat(&self) -> Option<Stat> {
        stat(self.pid).filter(|stat| stat.begin_ticks() == Some(self.began))
    }

    /// Reads its name, which stays what it was once the process has gone.
    fn refresh(&mut self) {
        if let Some(stat) = self.stat() {
            stat.name().clone_into(&mut self.name);
        }
    }

    fn only_child(&self) -> Option<Self> {
        self.stat()?;
        let text = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).ok()?;
        let mut children = text.split_ascii_whitespace();
        let (Some(child), None) = (children.next()?.parse().ok(), children.next()) else { return None };
        Self::open(child, stat(child)?.begin_ticks()?)
    }

    fn standing(&self) -> Standing {
        match pidfd_info::exit(self.pidfd.as_fd()) {
            Ok(Some(Exit::Status(status))) => return Standing::Ended(status),
            Ok(Some(Exit::Signal(signal))) => return Standing::Ended(128 + signal),
            // Nobody has waited for it yet, or this system does not tell by a pidfd.
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(_) => return Standing::Unknown,
        }
        match self.stat() {
            Some(stat) if !stat.is_zombie() => Standing::Lives,
            // proc_pid_stat(5): the last field is the status; another user's reads as 0.
            Some(stat) if self.is_ours() => match stat.wait_status().map(Exit::from_wait_status) {
                Some(Exit::Status(status)) => Standing::Ended(status),
                Some(Exit::Signal(signal)) => Standing::Ended(128 + signal),
                None => Standing::Unknown,
            },
            Some(_) => Standing::Lives,
            // It was waited for just now, and is asked once more.
            None => match pidfd_info::exit(self.pidfd.as_fd()) {
                Ok(Some(Exit::Status(status))) => Standing::Ended(status),
                Ok(Some(Exit::Signal(signal))) => Standing::Ended(128 + signal),
                _ => Standing::Unknown,
            },
        }
    }

    /// Returns whether it is one of our user's.
    fn is_ours(&self) -> bool {
        let ours = getuid();
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let users = text.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        let is_ours = |user: &str| user.parse() == Ok(ours.as_raw());
        ours.is_root() || !users.is_empty() && users.split_ascii_whitespace().all(is_ours)
    }
}

/// All processes that can be seen.
fn processes() -> Processes {
    // Some are gone since the directory was read.
    Proc::default().pids().into_iter().flatten().filter_map(|pid| Some((pid, process(pid)?))).collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = stat(pid)?;
    let pipes = pipes(pid);
    Some(Process {
        parent: stat.parent()?,
        group: stat.group()?,
        session: stat.session()?,
        began: stat.begin_ticks()?,
        // What has ended holds nothing any more, until its parent asks about it.
        is_hidden: stat.is_zombie()
            || pipes.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied),
        pipes: pipes.unwrap_or_default(),
    })
}

/// The pipes that a process has open, with their descriptors, in the order of those.
fn pipes(pid: i32) -> std::io::Result<Vec<(u64, i32)>> {
    let mut pipes = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let descriptor = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let pipe = std::fs::read_link(entry.path()).ok().and_then(|target| pipe_of(&target));
        pipes.extend(pipe.zip(descriptor));
    }
    pipes.sort_unstable_by_key(|(_, descriptor)| *descriptor);
    Ok(pipes)
}

/// `pipe:[4711]`, as a link below `/proc/PID/fd` has it.
fn pipe_of(target: &std::path::Path) -> Option<u64> {
    target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()
}

/// Returns whether a descriptor is open for writing.
fn writes(pid: i32, descriptor: i32) -> bool {
    let Ok(file) = File::open(format!("/proc/{pid}/fdinfo/{descriptor}")) else { return false };
    let flags = BufReader::new(file).lines().map_while(Result::ok).find_map(|line| {
        let flags = line.strip_prefix("flags:")?;
        u32::from_str_radix(flags.trim(), 8).ok()
    });
    // O_WRONLY or O_RDWR.
    flags.is_some_and(|flags| matches!(flags & 0o3, 1 | 2))
}

/// The status of a process.
fn stat(pid: i32) -> Option<Stat> {
    Proc::default().stat(pid)
}
