//! Ends of real processes.

#![cfg(any(target_os = "linux", target_os = "android"))]
#![expect(clippy::disallowed_methods, reason = "a test starts processes")]

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use pidfd_info::{Exit, exit};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

#[test]
fn a_process_that_was_waited_for() {
    for (script, expected) in [
        ("exit 0", Exit::Status(0)),
        ("exit 7", Exit::Status(7)),
        ("exit 255", Exit::Status(255)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -15 $$", Exit::Signal(15)),
    ] {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read x; {script}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let living = exit(pidfd.as_fd());
        drop(child.stdin.take());
        child.wait().unwrap();
        match (living, exit(pidfd.as_fd())) {
            (living, Ok(ended)) => {
                assert_eq!(living.unwrap(), None, "{script}: it lived");
                assert_eq!(ended, Some(expected), "{script}");
            }
            // Before Linux 6.15.
            (_, Err(error)) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{script}"),
        }
    }
}

#[test]
fn what_is_no_pidfd_is_unsupported() {
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(exit(reader.as_fd()).unwrap_err().kind(), ErrorKind::Unsupported);
}
