//! Processes, distinguished from later ones with the same number.

use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::ProcessId;
#[cfg(target_os = "linux")]
use super::proc::{Proc, Stat};

/// Time between two looks whether a process is dying.
const DYING: Duration = Duration::from_millis(2);

impl ProcessId {
    /// The process of this number; `None` if there is none.
    pub fn of(pid: i32) -> Option<Self> {
        let number = number(pid)?;
        let began = began(pid);
        if began.is_none() && (tells_begin() || !exists(number)) {
            return None;
        }
        Some(Self { pid, began })
    }

    /// Returns whether it still runs. A zombie does not.
    pub fn lives(&self) -> bool {
        let Some(number) = number(self.pid) else { return false };
        match &self.began {
            Some(began) => self::began(self.pid).as_ref() == Some(began),
            None => exists(number),
        }
    }

    /// Returns whether its end is certain but not over: killed by a signal that nothing withstands, or tidied up after by the
    /// system. For a moment it still holds its files, and the locks on them.
    pub fn is_dying(&self) -> bool {
        if number(self.pid).is_none() {
            return false;
        }
        // The kernel takes SIGKILL from the pending signals a moment before it marks the process, and may be preempted there.
        is_dying(self) || {
            std::thread::sleep(DYING);
            is_dying(self)
        }
    }

    /// Sends a signal, if it still runs. Says whether it was sent.
    pub fn signal(&self, signal: Signal) -> bool {
        let number = number(self.pid).filter(|_| self.lives());
        number.is_some_and(|number| rustix::process::kill_process(number, signal).is_ok())
    }

    /// Sends a signal to the process group that it leads, if it still runs. Says whether it was sent.
    pub fn signal_group(&self, signal: Signal) -> bool {
        let number = number(self.pid).filter(|_| self.lives());
        number.is_some_and(|number| rustix::process::kill_process_group(number, signal).is_ok())
    }
}

impl ProcessId {
    /// Sends a signal to the process group that it led and that has outlived it. Says whether it was sent.
    ///
    /// The number of a group is not used again while it has members, but it may have none: then the number may be that of
    /// strangers. So they get no signal unless the leader is gone and all of them belong to the session of `relative`, a
    /// process that lives and began in the same session as the leader. In a background run no other process does.
    pub fn signal_orphans(&self, relative: &Self, signal: Signal) -> bool {
        let Some(group) = number(self.pid).filter(|group| !exists(*group)) else { return false };
        let Some((_, session)) = group_and_session(relative.pid).filter(|_| relative.lives()) else {
            return false;
        };
        let mut members =
            all_processes().filter_map(group_and_session).filter(|of| of.0 == self.pid).peekable();
        members.peek().is_some()
            && members.all(|of| of.1 == session)
            && rustix::process::kill_process_group(group, signal).is_ok()
    }
}

/// The processes that can be seen.
#[cfg(target_os = "linux")]
fn all_processes() -> impl Iterator<Item = i32> {
    Proc::default().pids().into_iter().flatten()
}

/// The processes that can be seen.
#[cfg(not(target_os = "linux"))]
fn all_processes() -> impl Iterator<Item = i32> {
    let output = std::process::Command::new("/bin/ps").args(["-A", "-o", "pid="]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().flat_map(str::parse).collect::<Vec<_>>().into_iter()
}

/// The group and the session of a process.
#[cfg(target_os = "linux")]
fn group_and_session(pid: i32) -> Option<(i32, i32)> {
    Proc::default().stat(pid)?.group_and_session()
}

/// The group and the session of a process.
#[cfg(not(target_os = "linux"))]
fn group_and_session(pid: i32) -> Option<(i32, i32)> {
    let process = Some(number(pid)?);
    let group = rustix::process::getpgid(process).ok()?;
    let session = rustix::process::getsid(process).ok()?;
    Some((group.as_raw_nonzero().get(), session.as_raw_nonzero().get()))
}

/// No number below 1 is one process: to the system they mean groups.
fn number(pid: i32) -> Option<Pid> {
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

fn exists(number: Pid) -> bool {
    // Of another user's process it is refused.
    !matches!(rustix::process::test_kill_process(number), Err(rustix::io::Errno::SRCH))
}

/// Returns whether this system tells when a process began.
fn tells_begin() -> bool {
    let own = i32::try_from(std::process::id()).ok();
    own.and_then(began).is_some()
}

/// When the process began; `None` if there is none, or if it has ended.
#[cfg(target_os = "linux")]
fn began(pid: i32) -> Option<String> {
    let stat = Proc::default().stat(pid).filter(|stat| !stat.is_zombie())?;
    began_at(&stat)
}

/// Its ticks count from the machine's start.
#[cfg(target_os = "linux")]
fn began_at(stat: &Stat) -> Option<String> {
    Some(format!("{} {}", Proc::default().boot_id()?, stat.begin_ticks()?))
}

#[cfg(target_os = "linux")]
fn is_dying(process: &ProcessId) -> bool {
    let stat = Proc::default().stat(process.pid).filter(Stat::is_dying);
    // A zombie of the same number is another process, unless it began then.
    stat.is_some_and(|stat| process.began.is_some() && began_at(&stat) == process.began)
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
fn is_dying(_process: &ProcessId) -> bool {
    false
}

/// When the process began; `None` if there is none.
#[cfg(not(target_os = "linux"))]
fn began(pid: i32) -> Option<String> {
    let mut ps = std::process::Command::new("/bin/ps");
    let output =
        ps.env("LC_ALL", "C").args(["-o", "state=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (state, lstart) = text.split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| lstart.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = ProcessId::of(pid).unwrap();
        assert!(own.lives());
        assert!(own.began.is_some());
        assert!(!ProcessId { began: Some("long ago".to_owned()), ..own.clone() }.lives());
        assert!(ProcessId { began: None, ..own }.lives());
        for pid in [0, -1, i32::MIN] {
            assert_eq!(ProcessId::of(pid), None);
            assert!(!ProcessId { pid, began: None }.lives(), "{pid}");
            assert!(!ProcessId { pid, began: None }.signal_group(Signal::TERM), "{pid}");
        }
    }

    #[test]
    fn an_ended_process_does_not_live() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(process.lives());
        assert!(process.signal(Signal::KILL));
        // It is a zombie until it is waited for.
        let begun = std::time::Instant::now();
        while process.lives() {
            assert!(begun.elapsed().as_secs() < 30);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.wait().unwrap();
        assert!(!process.lives());
    }

    /// A session of its own, with a process group in it. Our own session may have begun outside our namespace, and then
    /// nobody tells it from others.
    struct OwnSession {
        leader: std::process::Child,
        group: ProcessId,
    }

    impl OwnSession {
        /// `members`: what the group's leader begins before it ends.
        fn with_orphans(members: &str) -> Self {
            use std::io::BufRead;
            // With job control (set -m) each command leads a group of its own; other shells want a terminal for that.
            let script = format!("set -m; sh -c 'echo $$; {members} read line'; echo ended; exec sleep 60");
            let mut shell = std::process::Command::new("setsid");
            shell.args(["bash", "-c", &script]);
            shell.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            let mut leader = shell.spawn().unwrap();
            let mut lines = std::io::BufReader::new(leader.stdout.take().unwrap()).lines();
            let pid = lines.next().unwrap().unwrap().parse().unwrap();
            let group = ProcessId::of(pid).unwrap();
            let mut session = Self { leader, group };
            assert!(!session.group.signal_orphans(&session.process(), Signal::KILL), "its leader lives");
            drop(session.leader.stdin.take());
            assert_eq!(lines.next().unwrap().unwrap(), "ended");
            session
        }

        /// Of the session, but not of the group.
        fn process(&self) -> ProcessId {
            ProcessId::of(i32::try_from(self.leader.id()).unwrap()).unwrap()
        }
    }

    impl Drop for OwnSession {
        fn drop(&mut self) {
            // What has ended needs no signal.
            let _ = rustix::process::kill_process_group(number(self.group.pid).unwrap(), Signal::KILL);
            let _ = self.leader.kill();
            let _ = self.leader.wait();
        }
    }

    #[test]
    fn a_group_is_ended_without_its_leader_but_no_other() {
        let session = OwnSession::with_orphans("sleep 60 >/dev/null &");
        let (group, relative) = (&session.group, session.process());
        let gone = ProcessId { began: Some("long ago".to_owned()), ..relative.clone() };
        assert!(!group.signal_orphans(&gone, Signal::KILL), "the number of its relative is another's");
        let stranger = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(!group.signal_orphans(&stranger, Signal::KILL), "it is of another session");
        assert!(group.signal_orphans(&relative, Signal::KILL));

        let session = OwnSession::with_orphans("");
        assert!(!session.group.signal_orphans(&session.process(), Signal::KILL), "it has no members");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_killed_process_is_dying_from_the_kill_on() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(!process.is_dying());
        assert!(process.signal(Signal::KILL) && process.is_dying());
        let earlier = ProcessId { began: Some("long ago".to_owned()), ..process.clone() };
        assert!(!earlier.is_dying());
        child.wait().unwrap();
        assert!(!process.is_dying());
    }
}
