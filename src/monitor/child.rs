//! A command below a guard, as its monitor sees it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use super::guard;
use super::kept::KeptStreams;
use super::order::{self, DONE, Follows, Order, Report, STDOUT_UNREAD, Streams};
use super::readers::{self, Piece, Progress};
use crate::drive::signals::is_ignored;
use nixmon_log::input::Source;
use nixmon_runs::{Exit, GUARDS, ProcessId, RunDir};

/// Pieces that were read and not handled yet.
const PIECES: usize = 8;
/// Number of looks for a dead guard's command among this process's children, ten milliseconds apart.
const INHERIT_TRIES: u32 = 100;

/// A command to start, and how.
#[derive(Debug, Default)]
pub(super) struct Spawn {
    /// The program and its arguments.
    pub(super) command: Vec<OsString>,
    /// The directory in which it runs, if not the current one.
    pub(super) directory: Option<PathBuf>,
    /// Variables to set for it.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// The directory of the run, if it is kept.
    pub(super) run: Option<PathBuf>,
    /// The socket for Nix's log, and where it is.
    pub(super) listener: Option<(UnixListener, PathBuf)>,
    /// Its standard input is empty, rather than ours.
    pub(super) background: bool,
    /// The file to which its standard output is copied, unchanged.
    pub(super) copy_stdout: Option<File>,
    /// Its standard output and standard error are the same, so that nothing of them changes places.
    pub(super) one_pipe: bool,
}

/// An event in the life of the command.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChildEvent {
    /// It runs, with this process number.
    Started(i32),
    /// It could not be started, for the reason with this `errno`.
    NotStarted(i32),
    /// It was stopped by this signal.
    Stopped(i32),
    /// It has ended.
    Ended(Exit),
    /// It has ended, but its parent, the guard, had died, so that its exit status is not known.
    EndedUnseen,
    /// The guard has died, and another process takes its place, with this number.
    NewGuard(i32),
}

/// A command that was started.
#[derive(Debug)]
pub(super) struct Child {
    /// The guard's process number.
    pub(super) guard: i32,
    place: Arc<Mutex<Place>>,
    readers: [Progress; 2],
}

/// The place of the guard, and all that another one needs to take it.
#[derive(Debug)]
struct Place {
    control: UnixStream,
    order: Order,
    stdout_reader: Option<OwnedFd>,
    stderr_reader: OwnedFd,
    listener: Option<OwnedFd>,
}

/// Starts a command. Its first event is that it was started, or why not.
pub(super) fn spawn(
    spawn: Spawn,
    kept: Option<KeptStreams>,
    begun: Instant,
    begun_ms: u64,
) -> Result<(Child, mpsc::Receiver<Piece>, mpsc::UnboundedReceiver<ChildEvent>)> {
    let Spawn { command, directory, environment, run, listener, background, copy_stdout, one_pipe } = spawn;
    let (stdout_reader, stdout) = pipe()?;
    let (stderr_reader, stderr) = pipe()?;
    // The other one ends at once.
    let stdout = if one_pipe { stderr.try_clone()? } else { stdout };
    let (listener, socket) = listener.unzip();
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let order = Order {
        command: command.iter().map(|word| word.as_bytes().to_vec()).collect(),
        directory: directory.as_deref().map(bytes),
        environment: environment
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect(),
        run: run.as_deref().map(bytes),
        socket: socket.as_deref().map(bytes),
        begun_ms,
        has_listener: listener.is_some(),
        ignores_children: is_ignored(SignalKind::child()),
        ignores_pipes: inherited_sigpipe::is_ignored() == Some(true),
        follows: None,
    };
    // The command becomes ours if the guard dies. Where the system cannot do that, its end goes unseen then.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    // As they are: if one is closed, the standard library has put /dev/null there.
    let streams = Streams {
        stdin: if background {
            File::open("/dev/null")?.into()
        } else {
            std::io::stdin().as_fd().try_clone_to_owned()?
        },
        stdout,
        stderr,
        stdout_reader: stdout_reader.try_clone()?,
        stderr_reader: stderr_reader.try_clone()?,
        listener: listener.as_ref().map(UnixListener::try_clone).transpose()?.map(OwnedFd::from),
    };
    let (guard, control) = spawn_guard(&order, &streams)?;
    let place = Place {
        control: control.try_clone()?,
        order,
        stdout_reader: Some(stdout_reader.try_clone()?),
        stderr_reader: stderr_reader.try_clone()?,
        listener: listener.as_ref().map(UnixListener::try_clone).transpose()?.map(OwnedFd::from),
    };
    let place = Arc::new(Mutex::new(place));
    // The command alone may hold the ends that are written to.
    drop(streams);
    let (sender, pieces) = mpsc::channel(PIECES);
    // Kept in the order in which it is handled.
    let order = Arc::new(Mutex::new(()));
    let take = move |piece| {
        let _in_order = order.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &kept {
            keep(kept, &piece, begun);
        }
        sender.blocking_send(piece).is_ok()
    };
    let stdout = readers::spawn(Source::Stdout, stdout_reader, copy_stdout, None, take.clone())?;
    let first = (!one_pipe).then(|| readers::First::new(stdout.clone()));
    let readers = [stdout, readers::spawn(Source::Main, stderr_reader, None, first, take.clone())?];
    if let Some(listener) = listener {
        readers::spawn_listener(listener, 1, take)?;
    }
    let run_dir = run.as_deref().and_then(RunDir::at).map(|run| run.allow_others(true));
    let news = spawn_events(control, Arc::clone(&place), run_dir)?;
    Ok((Child { guard, place, readers }, pieces, news))
}

/// Starts a guard and hands it an order. Returns its process number and the socket to it.
pub(super) fn spawn_guard(order: &Order, streams: &Streams) -> Result<(i32, UnixStream)> {
    let (mut control, theirs) = UnixStream::pair().context("no socket for the guard")?;
    let guard = Command::new(super::own_program()?)
        .arg0(guard::NAME.to_string_lossy().as_ref())
        .arg("guard")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start the guard")?;
    order::send(&mut control, order, streams).context("cannot talk to the guard")?;
    Ok((i32::try_from(guard.id())?, control))
}

/// The streams for a guard of a command that runs already: it reads them if it has to, and starts nothing.
pub(super) fn streams_to_follow(
    stdout_reader: Option<&OwnedFd>,
    stderr_reader: &OwnedFd,
    listener: Option<&OwnedFd>,
) -> Result<Streams> {
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    Ok(Streams {
        stdin: null()?,
        stdout: null()?,
        stderr: null()?,
        stdout_reader: match stdout_reader {
            Some(reader) => reader.try_clone()?,
            // It has ended for that guard.
            None => null()?,
        },
        stderr_reader: stderr_reader.try_clone()?,
        listener: listener.map(OwnedFd::try_clone).transpose()?,
    })
}

impl Place {
    /// Puts another guard in the place of one that has died. Returns its number and the socket to it.
    fn fill(&mut self, command: i32) -> Result<(i32, UnixStream)> {
        let number = self.order.follows.as_ref().map_or(1, |follows| follows.number) + 1;
        if number > GUARDS {
            bail!("too many guards have died");
        }
        let command = ProcessId::of(command).context("the command has ended")?;
        self.order.follows = Some(Follows { command, number });
        let streams =
            streams_to_follow(self.stdout_reader.as_ref(), &self.stderr_reader, self.listener.as_ref())?;
        let (guard, control) = spawn_guard(&self.order, &streams)?;
        self.control = control.try_clone()?;
        Ok((guard, control))
    }
}

/// Puts guards in the place of those that die, as long as the command runs.
fn spawn_replacements(
    place: Arc<Mutex<Place>>,
    command: i32,
    news: mpsc::UnboundedSender<ChildEvent>,
) -> std::io::Result<()> {
    thread::Builder::new().name("guards".to_owned()).spawn(move || {
        loop {
            let filled = place.lock().unwrap_or_else(PoisonError::into_inner).fill(command);
            let (guard, mut control) = match filled {
                Ok(filled) => filled,
                Err(error) => return tracing::warn!(%error, "there is no other guard"),
            };
            if news.send(ChildEvent::NewGuard(guard)).is_err() {
                return;
            }
            // It says nothing, and the socket ends with it.
            let _ = control.read_to_end(&mut Vec::new());
        }
    })?;
    Ok(())
}

/// Keeps what was read before it waits for the loop.
fn keep(kept: &KeptStreams, piece: &Piece, begun: Instant) {
    match piece {
        Piece::Bytes(source, bytes, at) => {
            kept.bytes(*source, Arc::clone(bytes), at.saturating_duration_since(begun));
        }
        Piece::Closed(source, at) => kept.closed(*source, at.saturating_duration_since(begun)),
        Piece::Opened(_) | Piece::NotCopied(_) | Piece::Unread(_) => {}
    }
}

/// A pipe that no other program gets hold of.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::io::pipe().context("no pipe for the command")?;
    Ok((reader.into(), writer.into()))
}

/// Listens to the guard, and takes its place if it dies.
fn spawn_events(
    control: UnixStream,
    place: Arc<Mutex<Place>>,
    run: Option<RunDir>,
) -> Result<mpsc::UnboundedReceiver<ChildEvent>> {
    let (sender, news) = mpsc::unbounded_channel();
    thread::Builder::new().name("guard".to_owned()).spawn(move || {
        let mut pid = None;
        for line in BufReader::new(control).lines().map_while(Result::ok) {
            let Ok(report) = serde_json::from_str(&line) else { continue };
            let told = match report {
                Report::Started(number) => {
                    pid = Some(number);
                    ChildEvent::Started(number)
                }
                Report::NotStarted(why) => ChildEvent::NotStarted(why),
                Report::Stopped(signal) => ChildEvent::Stopped(signal),
                Report::Ended(exit) => ChildEvent::Ended(exit),
            };
            if sender.send(told).is_err() || matches!(told, ChildEvent::Ended(_) | ChildEvent::NotStarted(_))
            {
                return;
            }
        }
        let told = match pid {
            Some(pid) => {
                inherit(pid);
                // Without one the monitor is alone: the command lives no longer than it does.
                let _ = spawn_replacements(place, pid, sender.clone());
                let exit = guard::wait(pid, |signal| {
                    let _ = sender.send(ChildEvent::Stopped(signal));
                });
                if exit.code.is_none() && exit.signal.is_none() {
                    wait_for_stranger(pid);
                    ChildEvent::EndedUnseen
                } else {
                    keep_exit(run.as_ref(), &exit);
                    ChildEvent::Ended(exit)
                }
            }
            None => ChildEvent::NotStarted(0),
        };
        let _ = sender.send(told);
    })?;
    Ok(news)
}

/// Does what the guard did not live to do.
fn keep_exit(run: Option<&RunDir>, exit: &Exit) {
    if let Some(run) = run
        && !run.exit().is_ok_and(|kept| kept.is_some())
    {
        // The status and the summary have it as well.
        let _ = run.write_exit(exit);
    }
}

/// Waits until a process whose parent dies is our child. The system closes a dying process's files before it gives its
/// children away, so we may ask too early. Where it gives us none, the wait is in vain and short.
fn inherit(pid: i32) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let Some(pid) = Pid::from_raw(pid) else { return };
    for _ in 0..INHERIT_TRIES {
        if !matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::CHILD)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for the end of a process that is not our child.
fn wait_for_stranger(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    while rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH) {
        thread::sleep(Duration::from_millis(200));
    }
}

impl Child {
    /// Returns whether something that was read waits for the reader of nixmon's standard output.
    pub(super) fn is_handing_on(&self) -> bool {
        self.readers.iter().any(Progress::is_handing_on)
    }

    /// Dismisses the guard: everything was read that is wanted.
    pub(super) fn dismiss(self) {
        self.tell_guard(DONE);
    }

    /// Closes the reading ends of the command's standard output, so that the command notices that nobody reads it.
    pub(super) fn leave_stdout_unread(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).stdout_reader = None;
        self.tell_guard(STDOUT_UNREAD);
    }

    fn tell_guard(&self, message: u8) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        // If it has died there is nobody to tell.
        let _ = place.control.write_all(&[message]);
    }
}

/// Sends a signal to all processes of a command's group.
pub(super) fn signal_group(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended.
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}
