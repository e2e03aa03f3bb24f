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
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, waitid, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::order::{self, DONE, Order, Report, Streams};
use super::readers::{self, Piece, Progress};
use nixmon_log::input::Source;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::recording::Recorder;
use nixmon_runs::{Exit, RunDir};

/// The name of the guard's process.
pub(super) const NAME: &std::ffi::CStr = c"build-guard";
/// Once the command has ended, its streams are read for so long while nothing comes: others may hold them.
pub(super) const LINGER: Duration = Duration::from_millis(300);
/// Time between two flushes of the recording, which are synced to the disk.
const FLUSH: Duration = Duration::from_millis(500);
/// Pieces that were read and not written yet.
const PIECES: usize = 64;
/// Connections that come after the monitor's death have numbers from here on.
const FIRST_CONNECTION: u32 = 1 << 20;

/// An event for which the guard waits.
enum Event {
    /// The monitor wants nothing more.
    Done,
    /// The monitor has gone.
    Orphaned,
    /// The command has ended.
    Ended(Exit),
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
    let _signals = ignore_signals()?;
    let (order, streams) = order::receive(&mut socket).context("no order for a guard")?;
    let run = order.run.clone().and_then(|path| RunDir::at(&PathBuf::from(OsString::from_vec(path))));
    // The monitor has checked whose it is.
    let run = run.map(|run| run.allow_others(true));
    let lock = run.as_ref().and_then(|run| run.lock_guard().ok().flatten());
    let Streams { stdin, stdout, stderr, stdout_reader, stderr_reader, listener } = streams;
    // Afterwards the command alone writes to its streams.
    let pid = match spawn(&order, [stdin, stdout, stderr]) {
        Ok(child) => i32::try_from(child.id())?,
        Err(error) => {
            report(&mut socket, Report::NotStarted(error.raw_os_error().unwrap_or(0)));
            return Ok(());
        }
    };
    report(&mut socket, Report::Started(pid));
    let (events, incoming) = mpsc::sync_channel(PIECES);
    {
        let events = events.clone();
        let run = run.clone();
        let mut socket = socket.try_clone()?;
        thread::spawn(move || {
            let exit = wait_unreaped(pid, |signal| report(&mut socket, Report::Stopped(signal)));
            // Before the monitor is told: it may die over it.
            if let Some(run) = &run
                && run.write_exit(&exit).is_err()
            {
                run.remove_reserve();
                let _ = run.write_exit(&exit);
            }
            report(&mut socket, Report::Ended(exit));
            reap(pid);
            let _ = events.send(Event::Ended(exit));
        });
    }
    {
        let events = events.clone();
        thread::spawn(move || {
            let mut byte = [0];
            let event = match socket.read(&mut byte) {
                Ok(1) if byte == [DONE] => Event::Done,
                _ => Event::Orphaned,
            };
            let _ = events.send(event);
        });
    }
    let mut ended = None;
    loop {
        match incoming.recv()? {
            Event::Ended(exit) => ended = Some(exit),
            Event::Done => {
                // Processes that still hold the streams must not write to a closed pipe.
                let other = thread::spawn(move || drain(stdout_reader));
                drain(stderr_reader);
                let _ = other.join();
                return Ok(());
            }
            Event::Orphaned => break,
            Event::Piece(_) => {}
        }
    }
    let take = move |piece| events.send(Event::Piece(piece)).is_ok();
    let readers = [
        readers::spawn(Source::Stdout, stdout_reader, None, None, take.clone())?,
        readers::spawn(Source::Main, stderr_reader, None, None, take.clone())?,
    ];
    if let Some(listener) = listener {
        readers::spawn_listener(UnixListener::from(listener), FIRST_CONNECTION, take)?;
    }
    keep(&order, run.as_ref(), &incoming, &readers, ended)?;
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

/// Keeps what comes until the command has ended and its streams are read.
fn keep(
    order: &Order,
    run: Option<&RunDir>,
    incoming: &mpsc::Receiver<Event>,
    readers: &[Progress],
    mut ended: Option<Exit>,
) -> Result<()> {
    let mut recorder = run.and_then(|run| Recorder::create_of_command(&run.rest()).ok());
    // Both clocks count the same milliseconds; pieces are stamped by the one that the standard library has.
    let offset = Duration::from_millis(order::clock_ms().saturating_sub(order.begun_ms));
    let begun = Instant::now();
    let moment = |at: Instant| offset + at.saturating_duration_since(begun);
    // Until now the monitor has written its lines.
    if let Some(recorder) = &mut recorder {
        recorder.moment(moment(begun));
        recorder.flush();
    }
    let mut flushed = Instant::now();
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
            Ok(Event::Piece(Piece::Opened(_) | Piece::NotCopied(_))) => {}
            Ok(Event::Piece(Piece::Closed(source, at))) => {
                if let Some(recorder) = &mut recorder {
                    recorder.closed(source, moment(at));
                }
            }
            Ok(Event::Done | Event::Orphaned) => {}
            Err(mpsc::RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(_) => {}
        }
        if flushed.elapsed() >= FLUSH {
            if let Some(recorder) = &mut recorder {
                recorder.sync();
            }
            flushed = Instant::now();
        }
        if ended.is_some() && readers.iter().all(Progress::is_closed) {
            break;
        }
    }
    if let (Some(recorder), Some(exit)) = (&mut recorder, ended) {
        recorder.exit_status(exit.status(), moment(Instant::now()));
        recorder.sync();
    }
    Ok(())
}

/// Reads to the end and drops it.
fn drain(reader: OwnedFd) {
    let _ = std::io::copy(&mut File::from(reader), &mut std::io::sink());
}

fn spawn(order: &Order, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Child> {
    let words: Vec<OsString> = order.command.iter().cloned().map(OsString::from_vec).collect();
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
