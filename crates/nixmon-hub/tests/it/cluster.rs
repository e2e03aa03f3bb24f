//! Clusters of PostgreSQL for a test, reached by sockets in their own directories.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::require;

/// A cluster, which ends with the value.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    programs: PathBuf,
}

/// Returns the directory with the programs of the server; the packages of Debian do not put it on PATH.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.sort();
    found.retain(|bin| bin.join("pg_ctl").is_file() && bin.join("initdb").is_file());
    if let Some(newest) = found.pop() {
        return Some(newest);
    }
    require::require("pg_ctl").and_then(|program| Some(program.canonicalize().ok()?.parent()?.to_owned()))
}

impl Cluster {
    /// Makes and starts a cluster, or says that there is no PostgreSQL here.
    pub(crate) fn start() -> Option<Self> {
        let cluster = Self::empty(programs()?);
        cluster.run("initdb", &["-D", &cluster.data(), "-A", "trust", "-U", "postgres", "-N"]);
        cluster.resume();
        Some(cluster)
    }

    fn empty(programs: PathBuf) -> Self {
        // Paths of sockets are short.
        let directory = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        if rustix::process::geteuid().is_root() {
            let id = |flag: &str| {
                let id = output(Command::new("id").args([flag, "postgres"]));
                String::from_utf8(id.stdout).unwrap().trim().parse::<u32>().unwrap()
            };
            std::os::unix::fs::chown(directory.path(), Some(id("-u")), Some(id("-g"))).unwrap();
        }
        Self { directory, programs }
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    /// Returns the directory of its socket, which is the name of its host.
    pub(crate) fn host(&self) -> &Path {
        self.directory.path()
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.host().display())
    }

    /// Runs a program of PostgreSQL, which refuses to be root.
    fn try_run(&self, program: &str, args: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(args).current_dir("/").output().unwrap()
    }

    fn run(&self, program: &str, args: &[&str]) {
        let Output { status, stdout, stderr } = self.try_run(program, args);
        let texts = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(status.success(), "{program} {args:?}: {texts:?}");
    }

    /// Starts it, also after a crash, when the old server may still be ending.
    pub(crate) fn resume(&self) {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c max_connections=60 -c fsync=off",
            self.directory.path().display()
        );
        let log = self.directory.path().join("log").display().to_string();
        let args = ["-D", &self.data(), "-l", &log, "-o", &options, "-w", "-t", "60", "start"];
        for _ in 0..50 {
            if self.try_run("pg_ctl", &args).status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.run("pg_ctl", &args);
    }

    /// Kills the server. What it has handed to the system stays, so that it need not wait for the disk.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.directory.path().join("data/postmaster.pid")).unwrap();
        let pid: i32 = pid.lines().next().unwrap().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Makes a replica that has every commit before it is confirmed.
    pub(crate) fn replica(&self) -> Self {
        let replica = Self::empty(self.programs.clone());
        let from = format!("{} application_name=replica", self.address());
        self.run("pg_basebackup", &["-D", &replica.data(), "-R", "-X", "stream", "-c", "fast", "-d", &from]);
        replica.resume();
        self.query("ALTER SYSTEM SET synchronous_standby_names = 'replica'");
        self.run("pg_ctl", &["-D", &self.data(), "reload"]);
        replica
    }

    /// Carries out a statement.
    pub(crate) fn query(&self, sql: &str) {
        let host = self.host().display().to_string();
        self.run("psql", &["-h", &host, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    }

    /// Makes a replica the primary.
    pub(crate) fn promote(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-w", "promote"]);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.try_run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output
}
