//! Messages between the monitor and the guard, over a socket.
//!
//! The monitor sends one order, which carries the file descriptors: the command's standard streams and the ends that we
//! read. The guard answers with reports, a line of JSON each. That either has died the other learns from the end of the
//! socket.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize};

use nixmon_runs::{Exit, ProcessId};

/// A command for the guard to start. Arguments and paths are bytes: they need not be UTF-8.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The program and its arguments.
    pub(super) command: Vec<Vec<u8>>,
    /// The directory in which it runs, if not the current one.
    pub(super) directory: Option<Vec<u8>>,
    /// Variables to set for it.
    pub(super) environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// The directory of the run, if it is kept.
    pub(super) run: Option<Vec<u8>>,
    /// The socket for Nix's log, to be removed.
    pub(super) socket: Option<Vec<u8>>,
    /// The time of the monitor's clock at which the record begins, in milliseconds.
    pub(super) begun_ms: u64,
    /// The socket for Nix's log goes with the order.
    pub(super) has_listener: bool,
    /// The system is told to ignore the ends of children, and the command is to find it so.
    pub(super) ignores_children: bool,
    /// The command is to find SIGPIPE ignored.
    pub(super) ignores_pipes: bool,
    /// The command runs already, and this guard follows one that may die, or has.
    pub(super) follows: Option<Follows>,
}

/// A guard's place among the guards of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Follows {
    /// The command.
    pub(super) command: ProcessId,
    /// The number of the guard, 1 being that which has started the command.
    pub(super) number: u32,
}

/// File descriptors that go with an order.
#[derive(Debug)]
pub(super) struct Streams {
    /// The command's standard input.
    pub(super) stdin: OwnedFd,
    /// The command's standard output.
    pub(super) stdout: OwnedFd,
    /// The command's standard error.
    pub(super) stderr: OwnedFd,
    /// The pipe from which its standard output can be read.
    pub(super) stdout_reader: OwnedFd,
    /// The pipe from which its standard error can be read.
    pub(super) stderr_reader: OwnedFd,
    /// The socket to which Nix's processes connect.
    pub(super) listener: Option<OwnedFd>,
}

/// A report of the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The command runs, with this process number, which is that of its group too.
    Started(i32),
    /// It could not be started, with this number of the system's for why.
    NotStarted(i32),
    /// It was stopped by this signal.
    Stopped(i32),
    /// It has ended.
    Ended(Exit),
}

/// The monitor's last message to the guard: it has read everything, or all that it wants.
pub(super) const DONE: u8 = b'.';

/// The monitor's message that nobody reads the command's standard output any more: the command is to notice that.
pub(super) const STDOUT_UNREAD: u8 = b'o';

/// Most descriptors that go with an order.
const MAX_FDS: usize = 6;

/// Sends an order.
pub(super) fn send(socket: &mut UnixStream, order: &Order, streams: &Streams) -> Result<()> {
    let Streams { stdin, stdout, stderr, stdout_reader, stderr_reader, listener } = streams;
    let mut fds =
        vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), stdout_reader.as_fd(), stderr_reader.as_fd()];
    fds.extend(listener.as_ref().map(AsFd::as_fd));
    let json = serde_json::to_vec(order)?;
    let length = u64::try_from(json.len())?.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        bail!("too many file descriptors");
    }
    let sent = rustix::net::sendmsg(&*socket, &[IoSlice::new(&length)], &mut ancillary, SendFlags::empty())?;
    if sent != length.len() {
        bail!("the guard takes no order");
    }
    socket.write_all(&json)?;
    Ok(())
}

/// Takes an order.
pub(super) fn receive(socket: &mut UnixStream) -> Result<(Order, Streams)> {
    let mut length = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        &*socket,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        RecvFlags::empty(),
    )?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if received.bytes != length.len() {
        bail!("no order");
    }
    for fd in &fds {
        // Or the command would hold them too.
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    }
    let mut json = vec![0; usize::try_from(u64::from_le_bytes(length))?];
    socket.read_exact(&mut json)?;
    let order: Order = serde_json::from_slice(&json)?;
    let mut fds = fds.into_iter();
    let mut next = || fds.next().context("an order without its file descriptors");
    let streams = Streams {
        stdin: next()?,
        stdout: next()?,
        stderr: next()?,
        stdout_reader: next()?,
        stderr_reader: next()?,
        listener: if order.has_listener { Some(next()?) } else { None },
    };
    Ok((order, streams))
}

/// Milliseconds of a clock that all processes of a machine share and nobody sets; it goes on while the machine sleeps
/// where the system has such a clock.
pub(super) fn clock_ms() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn an_order_carries_what_is_not_text_and_the_streams() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let order = Order {
            command: vec![b"echo".to_vec(), b"\xff\n".to_vec()],
            directory: None,
            environment: vec![(b"A".to_vec(), b"\xfe".to_vec())],
            run: Some(b"/x".to_vec()),
            socket: None,
            begun_ms: 7,
            has_listener: false,
            ignores_children: false,
            ignores_pipes: false,
            follows: None,
        };
        let streams = Streams {
            stdin: null(),
            stdout: writer,
            stderr: null(),
            stdout_reader: reader,
            stderr_reader: null(),
            listener: None,
        };
        send(&mut ours, &order, &streams).unwrap();
        drop(streams);
        let (received, streams) = receive(&mut theirs).unwrap();
        assert_eq!(received.command, order.command);
        assert_eq!(received.environment, order.environment);
        assert_eq!((received.run, received.begun_ms), (order.run, 7));
        rustix::io::write(&streams.stdout, b"hello\n").unwrap();
        drop(streams.stdout);
        let mut line = String::new();
        BufReader::new(std::fs::File::from(streams.stdout_reader)).read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
    }
}
