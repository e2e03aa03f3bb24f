//! Processes, told from later ones of the same number.

use rustix::process::{Pid, Signal};

use super::ProcessId;

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

    /// Whether it still runs. A process whose end nobody has asked about yet does not.
    pub fn lives(&self) -> bool {
        let Some(number) = number(self.pid) else { return false };
        match &self.began {
            Some(began) => self::began(self.pid).as_ref() == Some(began),
            None => exists(number),
        }
    }

    /// Whether its end is certain but not over: killed by a signal that nothing withstands, or tidied up after by the
    /// system. For a moment it still holds its files, and the locks on them.
    pub fn is_dying(&self) -> bool {
        number(self.pid).is_some() && is_dying(self)
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
    /// process that lives and began in the same session as the leader. Of a run in the background nobody else does.
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
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes that can be seen.
#[cfg(not(target_os = "linux"))]
fn all_processes() -> impl Iterator<Item = i32> {
    let output = std::process::Command::new("/bin/ps").args(["-A", "-o", "pid="]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().flat_map(str::parse).collect::<Vec<_>>().into_iter()
}

/// What the kernel says of a process: `/proc/PID/stat` (proc_pid_stat(5)).
#[cfg(target_os = "linux")]
pub(crate) struct Stat(String);

#[cfg(target_os = "linux")]
impl Stat {
    /// What it says now; `None` if there is no such process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &[u8]) -> Option<Self> {
        // The name may hold anything, also spaces and parentheses; nothing behind it does.
        let name_end = stat.iter().rposition(|byte| *byte == b')')?;
        Some(Self(std::str::from_utf8(stat.get(name_end + 1..)?).ok()?.to_owned()))
    }

    /// A field by the number that the manual gives it: the state is 3.
    pub(crate) fn field<T: std::str::FromStr>(&self, number: usize) -> Option<T> {
        self.0.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
    }

    /// Only its status is left, for whoever waits for it. Threads of it may still be ending.
    pub(crate) fn is_zombie(&self) -> bool {
        self.field::<char>(3).is_some_and(|state| matches!(state, 'Z' | 'X' | 'x'))
    }

    /// Zero where they are outside our namespace, and then no two are known to be the same.
    fn group_and_session(&self) -> Option<(i32, i32)> {
        Some((self.field(5)?, self.field(6)?)).filter(|of| of.1 > 0)
    }

    /// When it began, in ticks since the machine did.
    pub(crate) fn begin_ticks(&self) -> Option<u64> {
        self.field(22)
    }

    fn is_dying(&self) -> bool {
        /// `PF_EXITING` and `PF_SIGNALED` of Linux' sched.h: it tidies up after the process, which a signal has ended.
        const ENDING: u64 = 0x4 | 0x400;
        /// SIGKILL in the set of pending signals. It is there from kill(2) on, in each thread of the process.
        const KILLED: u64 = 1 << (9 - 1);
        let has = |number, bits| self.field::<u64>(number).is_some_and(|field| field & bits != 0);
        self.is_zombie() || has(9, ENDING) || has(31, KILLED)
    }
}

/// The group and the session of a process.
#[cfg(target_os = "linux")]
fn group_and_session(pid: i32) -> Option<(i32, i32)> {
    Stat::of(pid)?.group_and_session()
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

/// Whether this system says when a process began: of one that lives it would have been said.
fn tells_begin() -> bool {
    let own = i32::try_from(std::process::id()).ok();
    own.and_then(began).is_some()
}

/// When the process began; `None` if there is none, or if it has ended.
#[cfg(target_os = "linux")]
fn began(pid: i32) -> Option<String> {
    let stat = Stat::of(pid).filter(|stat| !stat.is_zombie())?;
    began_at(&stat)
}

/// Its ticks count from the machine's start.
#[cfg(target_os = "linux")]
fn began_at(stat: &Stat) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("{} {}", boot.trim(), stat.begin_ticks()?))
}

#[cfg(target_os = "linux")]
fn is_dying(process: &ProcessId) -> bool {
    let stat = Stat::of(process.pid).filter(Stat::is_dying);
    // A zombie of the same number is another process, unless it began then.
    stat.is_some_and(|stat| process.began.is_some() && began_at(&stat) == process.began)
}

/// Nobody says so.
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
    fn names_of_processes_hide_nothing() {
        let begin = |text: &str| Stat::parse(text.as_bytes()).and_then(|stat| stat.begin_ticks());
        assert_eq!(begin(&stat("sleep", "S", 0, 0)), Some(4711));
        assert_eq!(begin(&stat("a) R 1 (b", "R", 0, 0)), Some(4711));
        assert_eq!(begin("7 (x"), None);
        assert_eq!(begin("7 (x) S 1 2"), None);
        let own = Stat::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(!own.is_zombie() && !own.is_dying(), "{}", own.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_certain_end_is_seen_before_it_is_over() {
        for (state, flags, pending, dies) in [
            ("S", 0x0040_0040, 0, false),
            // SIGTERM may be handled.
            ("S", 0x0040_0040, 0x4000, false),
            ("S", 0x0040_0040, 0x100, true),
            ("D", 0x0040_0440, 0, true),
            ("R", 0x0040_0044, 0, true),
            ("Z", 0x0040_000c, 0, true),
        ] {
            let stat = Stat::parse(stat("sleep", state, flags, pending).as_bytes()).unwrap();
            assert_eq!(stat.is_dying(), dies, "{}", stat.0);
        }
        // Of a real one, from the kill on.
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(!process.is_dying());
        assert!(process.signal(Signal::KILL) && process.is_dying());
        let earlier = ProcessId { began: Some("long ago".to_owned()), ..process.clone() };
        assert!(!earlier.is_dying());
        child.wait().unwrap();
        assert!(!process.is_dying());
    }

    /// A line as the kernel writes it, that of a process which began after 4711 ticks.
    #[cfg(target_os = "linux")]
    fn stat(name: &str, state: &str, flags: u64, pending: u64) -> String {
        format!(
            "7 ({name}) {state} 1 7 7 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9 9 9 9 9 9 9 {pending} 0 0 0\n"
        )
    }
}
