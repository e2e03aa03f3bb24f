//! Linux' process connector: a message of the kernel for each fork, exec and exit of the machine (`linux/cn_proc.h`,
//! `Documentation/driver-api/connector.rst` of the kernel).
//!
//! Unprivileged processes may listen since Linux 6.6, which can also leave out unwanted kinds of events.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, send, socket_with,
};

use crate::model::build::End;

/// `CN_IDX_PROC` and `CN_VAL_PROC`: the address of the connector, and its multicast group.
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;
/// `enum what` of `struct proc_event`.
const FORK: u32 = 0x1;
const EXEC: u32 = 0x2;
const EXIT: u32 = 0x8000_0000;
/// `NLMSG_DONE`, the type of the connector's messages.
const NLMSG_DONE: u16 = 3;
/// Size of `struct nlmsghdr`, and of `struct cn_msg` behind it.
const HEADER: usize = 16;
const CN_MSG: usize = 20;
/// Wanted size of the kernel's queue, in bytes. The system may grant less.
const QUEUE: usize = 8 << 20;

/// An event of a process. Those of threads other than the first are left out, except for their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Fork {
        parent: i32,
        child: i32,
    },
    Exec {
        pid: i32,
    },
    Exit {
        pid: i32,
        end: End,
    },
    /// A thread of this process ended, not its first.
    ThreadExit {
        pid: i32,
        end: End,
    },
}

/// A message of the kernel's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// An event, and its time on the clock that stops while the machine is suspended.
    Event(Event, Duration),
    /// The queue was full: events are missing before the next one.
    Overrun,
    /// Something else.
    Other,
}

/// A socket that gets the events.
#[derive(Debug)]
pub(crate) struct Connector {
    socket: OwnedFd,
}

impl Connector {
    /// Starts to listen. Success does not mean that events come: a system may refuse in silence.
    pub(crate) fn open(selects: bool) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::CONNECTOR))?;
        bind(&socket, &SocketAddrNetlink::new(0, CN_IDX_PROC))?;
        // The first is for root; for others the system has a limit.
        if set_socket_recv_buffer_size_force(&socket, QUEUE).is_err() {
            let _ = set_socket_recv_buffer_size(&socket, QUEUE);
        }
        let events = FORK | EXEC | EXIT;
        let operation: &[u32] = if selects { &[LISTEN, events] } else { &[LISTEN] };
        send(&socket, &request(operation), SendFlags::empty())?;
        Ok(Self { socket })
    }

    /// Takes a message from the queue; `None` if there is none.
    pub(crate) fn receive(&self) -> io::Result<Option<Received>> {
        let mut buffer = [0; 256];
        match recvfrom(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((_, length, from)) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                // The kernel's port is 0. Privileged processes can write to the group as well.
                let is_kernel = from
                    .and_then(|address| SocketAddrNetlink::try_from(address).ok())
                    .is_some_and(|address| address.pid() == 0);
                Ok(Some(if is_kernel { parse(bytes) } else { Received::Other }))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(Errno::NOBUFS) => Ok(Some(Received::Overrun)),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes a message to the connector.
fn request(operation: &[u32]) -> Vec<u8> {
    let data: Vec<u8> = operation.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let data_length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let length = u32::from(data_length) + (HEADER + CN_MSG) as u32;
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(NLMSG_DONE.to_ne_bytes());
    // Flags, sequence number and port.
    message.extend([0; 10]);
    message.extend([CN_IDX_PROC, CN_VAL_PROC, 0, 0].into_iter().flat_map(u32::to_ne_bytes));
    message.extend(data_length.to_ne_bytes());
    message.extend([0; 2]);
    message.extend(data);
    message
}

/// Reads a message: `struct nlmsghdr`, `struct cn_msg`, `struct proc_event`.
fn parse(message: &[u8]) -> Received {
    let word = |at: usize| {
        let bytes = message.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let pid = |at: usize| word(at).map(u32::cast_signed);
    let event = || {
        if (word(HEADER)?, word(HEADER + 4)?) != (CN_IDX_PROC, CN_VAL_PROC) {
            return None;
        }
        let begin = HEADER + CN_MSG;
        let what = word(begin)?;
        let time = message.get(begin + 8..begin + 16)?;
        let time = Duration::from_nanos(u64::from_ne_bytes(time.try_into().ok()?));
        let data = begin + 16;
        // Each process and thread has two numbers: its own, and that of its process.
        let event = match what {
            FORK => {
                let (parent, child) = (pid(data + 4)?, pid(data + 12)?);
                (pid(data + 8)? == child).then_some(Event::Fork { parent, child })
            }
            // Whichever thread executes a program becomes the process.
            EXEC => Some(Event::Exec { pid: pid(data + 4)? }),
            EXIT => {
                let pid_of_process = pid(data + 4)?;
                let end = pidfd_info::Exit::from_wait_status(pid(data + 8)?).into();
                let is_first = pid(data)? == pid_of_process;
                let pid = pid_of_process;
                Some(if is_first { Event::Exit { pid, end } } else { Event::ThreadExit { pid, end } })
            }
            _ => None,
        };
        Some((event?, time))
    };
    event().map_or(Received::Other, |(event, time)| Received::Event(event, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as this kernel writes it: what, processor, time, data.
    fn message(what: u32, data: &[i32]) -> Vec<u8> {
        let mut message = request(&[what, 0, 7, 0]);
        message.extend(data.iter().flat_map(|word| word.to_ne_bytes()));
        message.resize(76, 0);
        message
    }

    #[test]
    fn messages() {
        let at = Duration::from_nanos(7);
        for (what, data, expected) in [
            (FORK, &[10, 10, 11, 11][..], Some(Event::Fork { parent: 10, child: 11 })),
            // A thread of the parent forks.
            (FORK, &[12, 10, 11, 11], Some(Event::Fork { parent: 10, child: 11 })),
            // A new thread.
            (FORK, &[10, 10, 12, 10], None),
            (EXEC, &[10, 10], Some(Event::Exec { pid: 10 })),
            (0x80, &[10, 10], None),
            (EXIT, &[10, 10, 7 << 8, 17], Some(Event::Exit { pid: 10, end: End::Status(7) })),
            (EXIT, &[10, 10, 2, 17], Some(Event::Exit { pid: 10, end: End::Signal(2) })),
            // With a core file.
            (EXIT, &[10, 10, 0x8b, 17], Some(Event::Exit { pid: 10, end: End::Signal(11) })),
            (EXIT, &[12, 10, 7 << 8, -1], Some(Event::ThreadExit { pid: 10, end: End::Status(7) })),
            (0x200, &[10, 10], None),
        ] {
            let expected = expected.map_or(Received::Other, |event| Received::Event(event, at));
            assert_eq!(parse(&message(what, data)), expected, "{what:x} {data:?}");
        }
    }

    #[test]
    fn cut_and_foreign_messages() {
        let whole = message(EXIT, &[10, 10, 0, 17]);
        for length in 0..64 {
            assert_eq!(parse(&whole[..length]), Received::Other, "{length}");
        }
        let mut foreign = whole;
        foreign[HEADER] = 9;
        assert_eq!(parse(&foreign), Received::Other);
    }

    #[test]
    fn requests_have_their_lengths() {
        for operation in [&[LISTEN][..], &[LISTEN, EXIT]] {
            let message = request(operation);
            assert_eq!(u32::from_ne_bytes(message[..4].try_into().unwrap()) as usize, message.len());
            assert_eq!(
                usize::from(u16::from_ne_bytes(message[32..34].try_into().unwrap())),
                4 * operation.len()
            );
        }
    }
}
