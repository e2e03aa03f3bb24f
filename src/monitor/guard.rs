//! The guard: a process between the monitor and the command.
//!
//! It is the command's parent, holds the reading ends of its output, and reads nothing as long as the monitor lives. Should
//! the monitor die, it takes over: the command never meets a closed pipe, what it prints is kept, and how it ends is
//! written down. Should the guard die, the monitor has the same ends and inherits the command.
//!
//! Its name differs, so that a kill of all processes called `nixmon` does not kill what they watch.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, waitid, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::child;
use super::order::{self, DONE, Follows, Order, Report, STDOUT_UNREAD, Streams};
use super::readers::{self, Piece};
use crate::drive::signals;
use nixmon_log::input::Source;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::recording::Recorder;
use nixmon_runs::{Exit, Facts, GUARDS, GuardNote, ProcessId, RunDir};

/// The name of the guard's process.
pub(super) const NAME: &std::ffi::CStr = c"build-guard";
/// Once the command has ended, its streams are read for so long while nothing comes: others may hold them.
pub(super) const LINGER: Duration = Duration::from_millis(300);
/// Time between two flushes of the recording, which are synced to the disk.
const FLUSH: Duration = Duration::from_millis(250);
/// Pieces that were read and not written yet.
const PIECES: usize = 64;
/// Time between two looks at a process that is not a child.
const STRANGER: Duration = Duration::from_millis(100);
/// Connections that come after the monitor's death have numbers from here on.
const FIRST_CONNECTION: u32 = 1 << 20;

/// An event for which the guard waits.
enum Event {
    /// The monitor wants nothing more.
    Done,
    /// The monitor has gone.
    Orphaned,
    /// The command's standard output has no reader any more.
    StdoutUnread,
    /// The command has ended; how, only its parent knows.
    Ended(Option<Exit>),
    /// A piece of a stream.
    Piece(Piece),
}

/// Does what the order on standard input says, and ends with the command.
pub(super) fn guard() -> Result<()> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut socket = UnixStream::from(stdin);
    // Elsewhere it is called what its first argument says.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::thread::set_name(NAME);
    signals::survive()?;
    let _signals = ignore_signals()?;
    let (order, streams) = order::receive(&mut socket).context("no order for a guard")?;
    let run = order.run.clone().and_then(|path| RunDir::at(&PathBuf::from(OsString::from_vec(path))));
    // The monitor has checked whose it is.
    let run = run.map(|run| run.allow_others(true));
    // Of one that follows another guard, which may live.
    let mut lock = run.as_ref().and_then(|run| run.lock_guard().ok().flatten());
    // A guard that follows has nothing to note before it takes over, and another one may have.
    let mut notes = Notes::new(run.clone().filter(|_| lock.is_some() && order.follows.is_none()));
    let Streams { stdin, stdout, stderr, stdout_reader, stderr_reader, listener } = streams;
    let (events, incoming) = mpsc::sync_channel(PIECES);
    let command = match &order.follows {
        Some(Follows { command, .. }) => {
            watch_stranger(command.clone(), events.clone())?;
            Some(command.clone())
        }
        None => {
            if lock.is_some() && run.as_ref().is_some_and(|run| is_told_over(run, &socket)) {
                return Ok(());
            }
            // Afterwards the command alone writes to its streams.
            let pid = match spawn(&order, [stdin, stdout, stderr]) {
                Ok(child) => i32::try_from(child.id())?,
                Err(error) => {
                    report(&mut socket, Report::NotStarted(error.raw_os_error().unwrap_or(0)));
                    return Ok(());
                }
            };
            report(&mut socket, Report::Started(pid));
            let command = ProcessId::of(pid);
            watch_child(pid, run.clone(), notes.clone(), socket.try_clone()?, events.clone())?;
            command
        }
    };
    listen(socket, events.clone())?;
    let mut stdout_reader = Some(stdout_reader);
    let mut ended = None;
    loop {
        match incoming.recv()? {
            Event::Ended(exit) => ended = Some(exit),
            Event::Done => {
                // Processes that still hold the streams must not write to a closed pipe.
                let other = thread::Builder::new().spawn(move || stdout_reader.map(drain));
                drain(stderr_reader);
                let _ = other.map(thread::JoinHandle::join);
                return Ok(());
            }
            Event::Orphaned => break,
            Event::StdoutUnread => stdout_reader = None,
            Event::Piece(_) => {}
        }
    }
    if lock.is_none() {
        lock = run.as_ref().and_then(|run| run.lock_guard().ok().flatten());
    }
    if let (Some(run), Some(_)) = (&run, &order.follows) {
        note_guard(run);
        notes = Notes(Some(run.clone()), Arc::new(Mutex::new(run.guard_note())));
    }
    let follower = command.filter(|_| ended.is_none()).and_then(|command| {
        // Without one the command lives no longer than this process.
        spawn_follower(&order, command, stdout_reader.as_ref(), &stderr_reader, listener.as_ref()).ok()
    });
    let take = move |piece| events.send(Event::Piece(piece)).is_ok();
    let mut readers = vec![readers::spawn(Source::Main, stderr_reader, None, None, take.clone())?];
    if let Some(stdout_reader) = stdout_reader {
        readers.push(readers::spawn(Source::Stdout, stdout_reader, None, None, take.clone())?);
    }
    if let Some(listener) = listener {
        readers::spawn_listener(UnixListener::from(listener), FIRST_CONNECTION, take)?;
    }
    keep(&order, run.as_ref(), &notes, &incoming, readers.len(), ended)?;
    if let Some(mut follower) = follower {
        let _ = follower.write_all(&[DONE]);
    }
    if let Some(socket) = order.socket {
        let socket = PathBuf::from(OsString::from_vec(socket));
        let _ = std::fs::remove_file(&socket);
        // One of its own; a run's directory has other files and stays.
        let _ = socket.parent().map(std::fs::remove_dir);
    }
    drop(lock);
    while readers.iter().any(|reader| !reader.is_closed()) {
        // Read and dropped: the run is over.
        let _ = incoming.recv_timeout(FLUSH);
    }
    Ok(())
}

/// Returns whether the monitor has died already. A look may then have told that the command never began, so it must not: before
/// this process had its lock nothing showed that it was there. Asked once the lock is held, which later looks find.
fn is_told_over(run: &RunDir, socket: &UnixStream) -> bool {
    /// The system closes what a dying process has one after the other.
    const CLOSING: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    // A lock that cannot be asked for is no death.
    !run.monitor_lives()
        && poll(&mut [PollFd::new(socket, PollFlags::empty())], Some(&CLOSING)).is_ok_and(|ready| ready > 0)
}

/// The note in the file that the guard has locked.
#[derive(Clone)]
struct Notes(Option<RunDir>, Arc<Mutex<GuardNote>>);

impl Notes {
    /// Takes the room for later notes.
    fn new(run: Option<RunDir>) -> Self {
        let notes = Self(run, Arc::default());
        notes.write(|_| {});
        notes
    }

    fn write(&self, change: impl FnOnce(&mut GuardNote)) {
        let mut note = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut note);
        if let Some(run) = &self.0 {
            // There is no other place to say it.
            let _ = run.write_guard_note(&note);
        }
    }

    /// Notes why output is not recorded, or that it is again.
    fn trouble(&self, trouble: Option<String>) {
        let is_known = self.1.lock().unwrap_or_else(PoisonError::into_inner).trouble == trouble;
        if !is_known {
            self.write(|note| note.trouble = trouble);
        }
    }
}

/// Waits for the command, which is a child of this process.
fn watch_child(
    pid: i32,
    run: Option<RunDir>,
    notes: Notes,
    mut socket: UnixStream,
    events: mpsc::SyncSender<Event>,
) -> io::Result<()> {
    thread::Builder::new().name("command".to_owned()).spawn(move || {
        let exit = wait_unreaped(pid, |signal| report(&mut socket, Report::Stopped(signal)));
        // Before the monitor is told: it may die over it.
        if let Some(run) = &run
            && run.write_exit(&exit).is_err()
        {
            run.remove_reserve();
            if run.write_exit(&exit).is_err() {
                notes.write(|note| note.exit = Some(exit));
            }
        }
        report(&mut socket, Report::Ended(exit));
        reap(pid);
        let _ = events.send(Event::Ended(Some(exit)));
    })?;
    Ok(())
}

/// Waits for the command, whose parent has died or may die.
fn watch_stranger(command: ProcessId, events: mpsc::SyncSender<Event>) -> io::Result<()> {
    thread::Builder::new().name("command".to_owned()).spawn(move || {
        while command.lives() {
            thread::sleep(STRANGER);
        }
        let _ = events.send(Event::Ended(None));
    })?;
    Ok(())
}

/// Takes messages of the monitor, or of the guard before.
fn listen(mut socket: UnixStream, events: mpsc::SyncSender<Event>) -> io::Result<()> {
    thread::Builder::new().name("monitor".to_owned()).spawn(move || {
        loop {
            let mut byte = [0];
            let event = match socket.read(&mut byte) {
                Ok(1) if byte == [DONE] => Event::Done,
                Ok(1) if byte == [STDOUT_UNREAD] => Event::StdoutUnread,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => Event::Orphaned,
            };
            let is_last = !matches!(event, Event::StdoutUnread);
            if events.send(event).is_err() || is_last {
                return;
            }
        }
    })?;
    Ok(())
}

/// Starts another guard, which takes this one's place should it be killed.
fn spawn_follower(
    order: &Order,
    command: ProcessId,
    stdout_reader: Option<&OwnedFd>,
    stderr_reader: &OwnedFd,
    listener: Option<&OwnedFd>,
) -> Result<UnixStream> {
    let number = order.follows.as_ref().map_or(1, |follows| follows.number) + 1;
    if number > GUARDS {
        anyhow::bail!("too many guards have died");
    }
    let order = Order { follows: Some(Follows { command, number }), ..order.clone() };
    let streams = child::streams_to_follow(stdout_reader, stderr_reader, listener)?;
    Ok(child::spawn_guard(&order, &streams)?.1)
}

/// Notes that this process is the guard now. The monitor has died, so no other process writes the facts.
fn note_guard(run: &RunDir) {
    if let Ok(facts) = run.facts() {
        let guard = ProcessId::of(std::process::id().cast_signed());
        // Without it the lock alone tells that a guard lives.
        let _ = run.write_facts(&Facts { guard, ..facts });
    }
}

/// Keeps what comes until the command has ended and its streams are read.
fn keep(
    order: &Order,
    run: Option<&RunDir>,
    notes: &Notes,
    incoming: &mpsc::Receiver<Event>,
    n_streams: usize,
    mut ended: Option<Option<Exit>>,
) -> Result<()> {
    let number = order.follows.as_ref().map_or(1, |follows| follows.number);
    let file = run.map(|run| run.rest_of(number));
    let mut recorder = file.as_deref().and_then(|file| Recorder::create_of_command(file).ok());
    let mut lost = 0;
    let mut tell = |recorder: &Recorder| {
        lost = lost.max(recorder.lost());
        let name = file.as_deref().map(Path::display);
        let trouble = match (recorder.broken(), name) {
            (Some(error), Some(name)) => Some(format!("cannot write {name}: {error}")),
            _ if lost > 0 => Some("the disk was full for a while".to_owned()),
            _ => None,
        };
        notes.trouble(trouble);
    };
    // Both clocks count the same milliseconds; pieces are stamped by the one that the standard library has.
    let offset = Duration::from_millis(order::clock_ms().saturating_sub(order.begun_ms));
    let begun = Instant::now();
    let moment = |at: Instant| offset + at.saturating_duration_since(begun);
    // Until now the monitor has written its lines.
    if let Some(recorder) = &mut recorder {
        recorder.moment(moment(begun));
        recorder.flush();
        tell(recorder);
    }
    let mut flushed = Instant::now();
    let mut n_closed = 0;
    loop {
        let wait = if ended.is_some() { LINGER } else { FLUSH.saturating_sub(flushed.elapsed()) };
        match incoming.recv_timeout(wait) {
            Ok(Event::Ended(exit)) => ended = Some(exit),
            Ok(Event::Piece(Piece::Bytes(source, bytes, at))) => {
                if let Some(recorder) = &mut recorder {
                    recorder.bytes_from(source, &bytes, moment(at));
                }
            }
            // The guard copies nothing, and bytes are all that it keeps of a connection.
            Ok(Event::Piece(Piece::Opened(_) | Piece::NotCopied(_) | Piece::Unread(_))) => {}
            Ok(Event::Piece(Piece::Closed(source, at))) => {
                n_closed += usize::from(!matches!(source, Source::Log(_)));
                if let Some(recorder) = &mut recorder {
                    recorder.closed(source, moment(at));
                }
            }
            Ok(Event::Done | Event::Orphaned | Event::StdoutUnread) => {}
            Err(mpsc::RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(_) => {}
        }
        if flushed.elapsed() >= FLUSH {
            if let Some(recorder) = &mut recorder {
                recorder.sync();
                tell(recorder);
            }
            flushed = Instant::now();
        }
        // Of each, the end was handled and so was everything before it.
        if ended.is_some() && n_closed == n_streams {
            break;
        }
    }
    if let Some(recorder) = &mut recorder {
        if let Some(exit) = ended.flatten() {
            recorder.exit_status(exit.status(), moment(Instant::now()));
        }
        recorder.finish();
        tell(recorder);
    }
    Ok(())
}

/// Reads to the end and drops it.
fn drain(reader: OwnedFd) {
    let _ = std::io::copy(&mut File::from(reader), &mut std::io::sink());
}

fn spawn(order: &Order, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Child> {
    let words: Vec<OsString> = order.command.iter().cloned().map(OsString::from_vec).collect();
    // An assignment to `env`.
    let is_assignment = words.first().is_some_and(|program| program.as_bytes().contains(&b'='));
    let ignored = [(order.ignores_children, "CHLD"), (order.ignores_pipes, "PIPE")];
    let ignored: Vec<&str> = ignored.iter().filter(|(ignores, _)| *ignores).map(|(_, name)| *name).collect();
    let env = ["env".to_owned(), format!("--ignore-signal={}", ignored.join(",")), "--".to_owned()];
    if !ignored.is_empty() && !is_assignment && may_start(order, &words) && can_ignore(&env) {
        let env = env.map(OsString::from);
        let mut command = command(order, &[&env[..], &words].concat());
        return command.stdin(stdin).stdout(stdout).stderr(stderr).spawn();
    }
    let start = |words: &[OsString]| {
        let mut command = command(order, words);
        command.stdin(stdin.try_clone()?).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        command.spawn()
    };
    match (start(&words), words.split_first()) {
        // A script without `#!`, which shells and execvp(3) run with the shell.
        (Err(error), Some((program, arguments))) if is_no_program(&error) => {
            let Some(script) = super::nix::find(program) else { return Err(error) };
            let shell = [OsString::from("/bin/sh"), script.into_os_string()];
            start(&[&shell, arguments].concat())
        }
        (started, _) => started,
    }
}

/// Returns whether the program of a command is there and may be run. If not, the system's own error is clearer than that of env(1).
fn may_start(order: &Order, words: &[OsString]) -> bool {
    let Some(program) = words.first().and_then(|program| super::nix::find(program)) else { return false };
    let directory = order.directory.clone().map(|directory| PathBuf::from(OsString::from_vec(directory)));
    let path = directory.unwrap_or_default().join(program);
    path.is_file() && rustix::fs::access(&path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Returns whether there is an env(1) that makes a program find signals ignored. This process cannot: it would not learn how the
/// command ends, and the standard library resets SIGPIPE in each child.
fn can_ignore([env, arguments @ ..]: &[String; 3]) -> bool {
    let mut env = Command::new(env);
    env.args(arguments).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    env.status().is_ok_and(|status| status.success())
}

fn is_no_program(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

fn command(order: &Order, words: &[OsString]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
    command.args(words).process_group(0);
    if let Some(directory) = &order.directory {
        command.current_dir(OsString::from_vec(directory.clone()));
    }
    for (name, value) in &order.environment {
        command.env(OsString::from_vec(name.clone()), OsString::from_vec(value.clone()));
    }
    command
}

/// Waits for the end of a process, tells when it is stopped, and leaves it a zombie: a guard that dies before it has told how
/// the command ended leaves it to the monitor, which asks the system once more.
fn wait_unreaped(pid: i32, mut stopped: impl FnMut(i32)) -> Exit {
    let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let stop = WaitIdOptions::STOPPED;
    let status = loop {
        let Some(number) = Pid::from_raw(pid) else { break None };
        match waitid(WaitId::Pid(number), end | stop) {
            Ok(Some(status)) => match status.stopping_signal() {
                Some(signal) => {
                    stopped(signal);
                    // Taken, or it would be told again at once.
                    let _ = waitid(WaitId::Pid(number), stop | WaitIdOptions::NOHANG);
                }
                None => break Some(status),
            },
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break None,
        }
    };
    Exit {
        code: status.as_ref().and_then(WaitIdStatus::exit_status),
        signal: status.as_ref().and_then(WaitIdStatus::terminating_signal),
        at: unix_ms(),
    }
}

/// Removes what the system keeps of a process that has ended.
fn reap(pid: i32) {
    while matches!(waitpid(Pid::from_raw(pid), WaitOptions::empty()), Err(rustix::io::Errno::INTR)) {}
}

/// Waits for the end of a process, and tells when it is stopped.
pub(super) fn wait(pid: i32, mut stopped: impl FnMut(i32)) -> Exit {
    let status = loop {
        match waitpid(Pid::from_raw(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) => match status.stopping_signal() {
                Some(signal) => stopped(signal),
                None => break Some(status),
            },
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break None,
        }
    };
    Exit {
        code: status.and_then(rustix::process::WaitStatus::exit_status),
        signal: status.and_then(rustix::process::WaitStatus::terminating_signal),
        at: unix_ms(),
    }
}

/// Signals that end the monitor, or that a terminal sends, are not for the guard. They are caught and not ignored, since
/// what is ignored stays so in the command.
fn ignore_signals() -> Result<impl Sized> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let mut caught = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
        if !crate::drive::signals::is_ignored(kind) {
            caught.push(signal(kind)?);
        }
    }
    drop(_entered);
    Ok((runtime, caught))
}

fn report(socket: &mut UnixStream, report: Report) {
    // If the monitor has gone, the read from the socket finds out.
    if let Ok(mut line) = serde_json::to_vec(&report) {
        line.push(b'\n');
        let _ = socket.write_all(&line);
    }
}
