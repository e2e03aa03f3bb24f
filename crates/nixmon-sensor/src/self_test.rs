//! Tests of what this machine can do, with a child whose end is known.

#![cfg_attr(
    not(test),
    expect(clippy::disallowed_methods, reason = "a child and the clock are what is tested with")
)]

use std::io;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nixmon_runs::proc::Proc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::connector::{Connector, Event, Received};
use crate::model::build::End;

/// The exit status of the child.
const STATUS: i32 = 37;
/// Time for an answer, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(2);
/// The kernel reports an exit just after the parent can wait for it: time for that.
const SOON: Duration = Duration::from_millis(300);

fn child() -> Result<Child, String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exit 37"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(|error| format!("/bin/sh: {error}"))
}

/// Opens the process connector and sees it report a child.
pub(crate) fn connector() -> Result<Connector, String> {
    // Kernels before 6.6 do not know the longer request, and say nothing.
    let mut reason = String::new();
    for selects in [true, false] {
        let connector = Connector::open(selects).map_err(|error| refused(&error))?;
        match reports_a_child(&connector) {
            Ok(()) => return Ok(connector),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "this network namespace has none".to_owned(),
        io::ErrorKind::PermissionDenied => "only root may listen, before Linux 6.6".to_owned(),
        _ => error.to_string(),
    }
}

fn reports_a_child(connector: &Connector) -> Result<(), String> {
    let mut child = child()?;
    let pid = child.id().cast_signed();
    let mut until = Instant::now() + LIMIT;
    let (mut others, mut has_ended) = (0_u64, false);
    let result = loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break Err(match others {
                0 => "no event came".to_owned(),
                _ => "events have the process numbers of another namespace".to_owned(),
            });
        }
        if !has_ended && matches!(child.try_wait(), Ok(Some(_))) {
            (has_ended, until) = (true, Instant::now() + SOON);
        }
        let _ = poll_in(connector, left.min(Duration::from_millis(50)));
        loop {
            match connector.receive() {
                Ok(Some(Received::Event(Event::Exit { pid: ended, end }, _))) if ended == pid => {
                    let expected = End::Status(STATUS);
                    let _ = child.wait();
                    return if end == expected { Ok(()) } else { Err(format!("it reported {end:?}")) };
                }
                Ok(Some(_)) => others += 1,
                Ok(None) => break,
                Err(error) => {
                    let _ = child.wait();
                    return Err(error.to_string());
                }
            }
        }
    };
    let _ = child.wait();
    result
}

fn poll_in(fd: &impl AsFd, limit: Duration) -> rustix::io::Result<usize> {
    let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&limit))
}

/// Sees that a descriptor tells how a child ended.
pub(crate) fn pidfd() -> Result<(), String> {
    proc()?;
    let mut child = child()?;
    let opened = Pid::from_raw(child.id().cast_signed()).ok_or("no number")?;
    let opened = pidfd_open(opened, PidfdFlags::empty());
    let waited = child.wait();
    let pidfd = opened.map_err(|error| format!("no pidfd: {error}"))?;
    waited.map_err(|error| error.to_string())?;
    let begun = Instant::now();
    loop {
        match pidfd_info::exit(pidfd.as_fd()) {
            Ok(Some(pidfd_info::Exit::Status(STATUS))) => return Ok(()),
            Ok(Some(other)) => return Err(format!("it reported {other:?}")),
            Ok(None) if begun.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => return Err("it did not say how a child ended".to_owned()),
            Err(_) => {
                return Err("PIDFD_GET_INFO does not say how a process ended, before Linux 6.15".to_owned());
            }
        }
    }
}

/// Sees that `/proc` lists this process.
pub(crate) fn proc() -> Result<(), String> {
    let own = std::process::id().cast_signed();
    let proc = Proc::default();
    let is_listed = proc.pids().is_some_and(|mut pids| pids.any(|pid| pid == own));
    if is_listed && proc.stat(own).is_some() {
        Ok(())
    } else {
        Err("/proc does not list processes".to_owned())
    }
}
