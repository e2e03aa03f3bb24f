//! Details of single processes. The system shows some of them only of the user's own processes.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Proc;

/// Bytes read of a command line or an environment. Both can have megabytes, and no builder has a larger environment: attributes that are
/// would be passed in files.
const MAX_TEXT: u64 = 1 << 20;

impl Proc {
    /// Returns the path of a process's executable.
    pub fn executable(&self, pid: i32) -> Option<PathBuf> {
        std::fs::read_link(self.of(pid).join("exe")).ok()
    }

    /// Returns the working directory of a process.
    pub fn working_directory(&self, pid: i32) -> Option<PathBuf> {
        std::fs::read_link(self.of(pid).join("cwd")).ok()
    }

    /// Returns the number of the user that a process belongs to. Root, for one whose memory the system protects.
    pub fn user(&self, pid: i32) -> Option<u32> {
        Some(std::fs::metadata(self.of(pid)).ok()?.uid())
    }

    /// Returns the beginning of a process's command line, its words ended by zero bytes. Empty for a zombie and a kernel's thread.
    pub fn command_line(&self, pid: i32) -> Option<Vec<u8>> {
        self.beginning(pid, "cmdline")
    }

    /// Returns the beginning of the environment that a process was started with, its variables ended by zero bytes.
    pub fn environment(&self, pid: i32) -> Option<Vec<u8>> {
        self.beginning(pid, "environ")
    }

    /// Returns whether the system tells everything of a zombie: of another user's it tells an exit status of 0, whatever it was
    /// (the same permission is needed for the links in `/proc/PID`, and a zombie has none).
    pub fn is_open_zombie(&self, pid: i32) -> bool {
        let Err(error) = std::fs::read_link(self.of(pid).join("cwd")) else { return false };
        // The directory is still there.
        error.kind() == ErrorKind::NotFound && self.of(pid).exists()
    }

    /// Returns the number that the newest process of the machine got, or its newest thread.
    pub fn newest(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.0.join("loadavg")).ok()?;
        text.split_ascii_whitespace().next_back()?.parse().ok()
    }

    fn beginning(&self, pid: i32, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.of(pid).join(name)).ok()?;
        file.take(MAX_TEXT).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn own_processes_are_open() {
        let proc = Proc::default();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(proc.executable(own), std::env::current_exe().ok());
        assert_eq!(proc.working_directory(own), std::env::current_dir().ok());
        assert_eq!(proc.user(own), Some(rustix::process::getuid().as_raw()));
        assert!(proc.command_line(own).unwrap().ends_with(b"\0"));
        assert!(proc.environment(own).is_some());
        assert!(proc.newest().is_some());
        assert!(!proc.is_open_zombie(own));
        assert_eq!(proc.executable(i32::MAX), None);
    }

    #[test]
    fn an_own_zombie_tells_its_end() {
        let proc = Proc::default();
        let mut child = Command::new("sh").args(["-c", "exit 3"]).stdin(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while !proc.stat(pid).unwrap().is_zombie() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(proc.is_open_zombie(pid));
        assert_eq!(proc.stat(pid).unwrap().wait_status(), Some(3 << 8));
        child.wait().unwrap();
        assert!(!proc.is_open_zombie(pid));
    }
}
