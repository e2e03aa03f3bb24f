//! Processes as Linux describes them: the only reader of `/proc`.
//!
//! The crate `procfs` is not used: its parser of `stat` slices without checks, and a monitor must not panic over a line.

pub mod builders;
mod look;
pub mod tree;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A directory like `/proc`.
#[derive(Clone, Debug)]
pub struct Proc(PathBuf);

impl Default for Proc {
    fn default() -> Self {
        Self::new("/proc")
    }
}

impl Proc {
    /// Reads processes from another directory than `/proc`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Returns the numbers of all visible processes; `None` if the directory cannot be read.
    pub fn pids(&self) -> Option<impl Iterator<Item = i32> + use<>> {
        let entries = std::fs::read_dir(&self.0).ok()?.flatten();
        Some(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
    }

    /// Reads the status of a process; `None` if it has gone.
    pub fn stat(&self, pid: i32) -> Option<Stat> {
        // One line of some fifty numbers, which one read returns whole.
        let mut buffer = [0; 2048];
        let n = File::open(self.of(pid).join("stat")).and_then(|mut file| file.read(&mut buffer)).ok()?;
        Stat::parse(buffer.get(..n)?)
    }

    /// Reads the arguments of a process.
    pub fn arguments(&self, pid: i32) -> Option<Vec<String>> {
        let bytes = std::fs::read(self.of(pid).join("cmdline")).ok()?;
        Some(bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    /// Reads the control groups of a process (proc_pid_cgroup(5)).
    fn cgroup(&self, pid: i32) -> Option<String> {
        std::fs::read_to_string(self.of(pid).join("cgroup")).ok()
    }

    /// Reads the number of bytes sent and received by all interfaces but `lo`, since they are up.
    pub fn network(&self) -> Option<u64> {
        parse_network(&std::fs::read_to_string(self.0.join("net/dev")).ok()?)
    }

    /// Reads the memory of the machine.
    pub fn memory(&self) -> Option<Memory> {
        Memory::parse(&std::fs::read_to_string(self.0.join("meminfo")).ok()?)
    }

    /// Reads the numbers of this process's children, if the system lists them (proc_pid_children(5)).
    pub fn own_children(&self) -> Vec<i32> {
        let tasks = std::fs::read_dir(self.0.join("self/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect()
    }

    /// Reads the number of the machine's last start.
    pub(crate) fn boot_id(&self) -> Option<String> {
        let boot = std::fs::read_to_string(self.0.join("sys/kernel/random/boot_id")).ok()?;
        Some(boot.trim().to_owned())
    }

    /// Finds the process that holds a lock of flock(2) on the file with this inode (proc_locks(5)).
    ///
    /// The device is not compared: file systems that make several appear as one give other numbers to stat(2).
    pub fn lock_holder(&self, inode: u64) -> Option<i32> {
        parse_lock_holder(&std::fs::read_to_string(self.0.join("locks")).ok()?, inode)
    }

    fn of(&self, pid: i32) -> PathBuf {
        Path::new(&self.0).join(pid.to_string())
    }
}

/// The memory of the machine, in bytes (proc_meminfo(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// The part that programs can still have without swapping.
    pub available: u64,
}

impl Memory {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        let (total, available) = (field("MemTotal")?, field("MemAvailable")?);
        Some(Self { total, available: available.min(total) })
    }
}

/// The status of a process: `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    name: String,
    /// The fields after the name.
    fields: String,
}

impl Stat {
    fn parse(stat: &[u8]) -> Option<Self> {
        // The name may hold anything, also spaces and parentheses; no field after it does.
        let begin = memchr::memchr(b'(', stat)? + 1;
        let end = memchr::memrchr(b')', stat)?;
        let name = String::from_utf8_lossy(stat.get(begin..end)?).into_owned();
        Some(Self { name, fields: std::str::from_utf8(stat.get(end + 1..)?).ok()?.to_owned() })
    }

    /// Returns a field by its number in the manual: the state is 3.
    fn field<T: std::str::FromStr>(&self, number: usize) -> Option<T> {
        self.fields.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
    }

    /// Returns the first 15 bytes of the program's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of the parent.
    pub fn parent(&self) -> Option<i32> {
        self.field(4)
    }

    /// Returns the process group.
    pub fn group(&self) -> Option<i32> {
        self.field(5)
    }

    /// Returns the session.
    pub fn session(&self) -> Option<i32> {
        self.field(6)
    }

    /// Returns the number of its threads.
    pub fn n_threads(&self) -> Option<i32> {
        self.field(20)
    }

    /// Returns how it ended, in the word of `waitpid`. Another user's process shows 0.
    pub fn wait_status(&self) -> Option<i32> {
        self.field(52)
    }

    /// Returns group and session. Both are zero if they are outside our namespace, and then they identify nothing.
    pub(crate) fn group_and_session(&self) -> Option<(i32, i32)> {
        Some((self.group()?, self.field(6)?)).filter(|of| of.1 > 0)
    }

    /// Returns the memory that is resident, in bytes.
    pub fn resident(&self) -> Option<u64> {
        let pages = self.field::<i64>(24)?.max(0).unsigned_abs();
        u64::try_from(rustix::param::page_size()).ok()?.checked_mul(pages)
    }

    /// Returns processor time in ticks, with that of children which were waited for.
    pub fn cpu_ticks(&self) -> Option<u64> {
        // utime, stime, cutime, cstime; some kernels have had negative ones of children.
        let mut fields = self.fields.split_ascii_whitespace().skip(14 - 3);
        (14..=17).try_fold(0_u64, |sum, _| {
            let ticks = fields.next()?.parse::<i64>().ok()?;
            Some(sum.saturating_add(ticks.max(0).unsigned_abs()))
        })
    }

    /// Returns when it began, in ticks since the machine did.
    pub fn begin_ticks(&self) -> Option<u64> {
        self.field(22)
    }

    /// Returns whether it has ended and only its exit status is left. Threads of it may still be ending.
    pub fn is_zombie(&self) -> bool {
        self.field::<char>(3).is_some_and(|state| matches!(state, 'Z' | 'X' | 'x'))
    }

    /// Returns whether it is a thread of the kernel, which executes no program.
    pub fn is_kernel_thread(&self) -> bool {
        /// `PF_KTHREAD` of Linux' sched.h.
        const KERNEL: u64 = 0x0020_0000;
        self.field::<u64>(9).is_some_and(|flags| flags & KERNEL != 0)
    }

    /// Returns whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.field::<char>(3).is_some_and(|state| matches!(state, 'T' | 't'))
    }

    /// Returns whether its end is certain.
    pub fn is_dying(&self) -> bool {
        /// `PF_EXITING` and `PF_SIGNALED` of Linux' sched.h: it tidies up after the process, which a signal has ended.
        const ENDING: u64 = 0x4 | 0x400;
        /// SIGKILL in the set of pending signals. It is there from kill(2) on, in each thread of the process.
        const KILLED: u64 = 1 << (9 - 1);
        let has = |number, bits| self.field::<u64>(number).is_some_and(|field| field & bits != 0);
        self.is_zombie() || has(9, ENDING) || has(31, KILLED)
    }
}

/// Parses `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 709 00:13:4242 0 EOF`. Lines of processes that wait have an arrow, and the
/// number is 0 of a process that this one cannot see.
fn parse_lock_holder(text: &str, inode: u64) -> Option<i32> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_flock = words.next()? == "FLOCK";
        let pid = words.nth(2)?.parse::<i32>().ok()?;
        let locked = words.next()?.rsplit_once(':')?.1.parse::<u64>().ok()?;
        (is_flock && locked == inode && pid > 0).then_some(pid)
    })
}

/// Parses `/proc/net/dev` (proc_pid_net(5)): bytes received are the first column, bytes sent the ninth.
fn parse_network(text: &str) -> Option<u64> {
    let mut total = None;
    for line in text.lines() {
        let Some((interface, counters)) = line.split_once(':') else { continue };
        let mut counters = counters.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
        let (Some(Some(received)), Some(Some(sent))) = (counters.next(), counters.nth(7)) else { continue };
        let bytes = if interface.trim() == "lo" { 0 } else { received.saturating_add(sent) };
        total = Some(bytes.saturating_add(total.unwrap_or(0)));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line as the kernel writes it, of a process that began after 4711 ticks.
    fn stat(name: &str, state: &str, flags: u64, pending: u64) -> String {
        format!(
            "7 ({name}) {state} 1 7 7 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9 9 9 9 9 9 9 {pending} 0 0 0\n"
        )
    }

    #[test]
    fn names_of_processes_hide_nothing() {
        let begin = |text: &str| Stat::parse(text.as_bytes()).and_then(|stat| stat.begin_ticks());
        assert_eq!(begin(&stat("sleep", "S", 0, 0)), Some(4711));
        assert_eq!(begin(&stat("a) R 1 (b", "R", 0, 0)), Some(4711));
        assert_eq!(begin("7 (x"), None);
        assert_eq!(begin("7 (x)"), None);
        assert_eq!(begin("7 (x) S 1 2"), None);
        assert_eq!(begin(")("), None);
        assert_eq!(Stat::parse(b"7 (\xff) S").unwrap().name(), "\u{fffd}");
        if cfg!(target_os = "linux") {
            let own = Proc::default().stat(i32::try_from(std::process::id()).unwrap()).unwrap();
            assert!(!own.is_zombie() && !own.is_dying(), "{own:?}");
        }
    }

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
            assert_eq!(stat.is_dying(), dies, "{stat:?}");
        }
    }

    #[test]
    fn threads_of_the_kernel() {
        for (flags, expected) in [(0x0040_0040, false), (0x0020_8040, true)] {
            let stat = Stat::parse(stat("kthreadd", "S", flags, 0).as_bytes()).unwrap();
            assert_eq!(stat.is_kernel_thread(), expected, "{flags:x}");
        }
    }

    #[test]
    fn a_stat_of_any_bytes_is_read_or_left() {
        let good = "7 (a) R 1 (b) S 3 4 5 0 -1 4194560 200 0 0 0 1 2 30 -1 20 0 1 0 12345 1000000 100\n";
        let stat = Stat::parse(good.as_bytes()).unwrap();
        assert_eq!((stat.parent(), stat.group(), stat.name()), (Some(3), Some(4), "a) R 1 (b"));
        assert_eq!(stat.cpu_ticks(), Some(33));
        for cut in 0..good.len() {
            // No cut panics, and a cut before the times has none.
            let ticks = Stat::parse(&good.as_bytes()[..cut]).and_then(|stat| stat.cpu_ticks());
            assert!(ticks.is_none() || cut > 50, "{cut}");
        }
    }

    #[test]
    fn a_lock_has_its_holder() {
        let text = "1: POSIX  ADVISORY  WRITE 700 00:13:4242 0 EOF\n2: FLOCK  ADVISORY  WRITE 709 00:13:4242 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 710 00:13:4242 0 EOF\n3: FLOCK  ADVISORY  READ  0 00:13:4243 0 EOF\nx\n";
        assert_eq!(parse_lock_holder(text, 4242), Some(709));
        assert_eq!(parse_lock_holder(text, 4243), None);
        assert_eq!(parse_lock_holder(text, 1), None);
    }

    #[test]
    fn network_without_loopback() {
        let text = "Inter-|   Receive                    |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes\n    \
                    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n  eth0:1000 7 0 0 0 0 0 0 234 9 0 0 0 0 0 0\n wlan0: 1 0 0 0 0 0 0 0 2\n bad: x\n";
        assert_eq!(parse_network(text), Some(1237));
        assert_eq!(parse_network("    lo: 9 0 0 0 0 0 0 0 9 0\n"), Some(0));
        assert_eq!(parse_network("nothing"), None);
    }
}
