//! The hook of the user and notifications, beside the sensor: they may take their time.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use crate::cli::WatchArgs;
use crate::limited;
use crate::monitor::notify;
use crate::settings::{NotifyWays, Settings};
use nixmon_sensor::model::event::{Record, Verdict};

/// Reports that may wait. A hook that is slower than builds end loses some, and that is said.
const QUEUE: usize = 64;
/// Time limit for the hook.
const HOOK_LIMIT: Duration = Duration::from_secs(60);
/// Time between SIGTERM and SIGKILL to it.
const GRACE: Duration = Duration::from_secs(5);

struct Job {
    record: Record,
    line: String,
}

/// A thread that runs the hook and notifies.
pub(super) struct Aside {
    jobs: Option<SyncSender<Job>>,
    complaints: Receiver<String>,
    thread: Option<JoinHandle<()>>,
    n_dropped: u64,
}

impl Aside {
    pub(super) fn start(settings: &Settings, args: &WatchArgs) -> Result<Self> {
        let hook = args.hook.clone().or_else(|| settings.watch.hook.clone());
        let ways = (args.notify || settings.watch.notify).then_some(settings.notify);
        let (complain, complaints) = channel();
        if hook.is_none() && ways.is_none() {
            return Ok(Self { jobs: None, complaints, thread: None, n_dropped: 0 });
        }
        let (jobs, receiver) = sync_channel::<Job>(QUEUE);
        let work = move || {
            for job in receiver {
                work(&job, hook.as_deref(), ways.as_ref(), &complain);
            }
        };
        let thread = std::thread::Builder::new().name("aside".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), complaints, thread: Some(thread), n_dropped: 0 })
    }

    /// Takes a report and its line.
    pub(super) fn tell(&mut self, record: &Record, line: String) {
        if let Some(jobs) = &self.jobs {
            match jobs.try_send(Job { record: record.clone(), line }) {
                Err(TrySendError::Full(_)) => self.n_dropped += 1,
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// Returns what went wrong since the last call.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        let mut complaints: Vec<String> = self.complaints.try_iter().collect();
        if self.n_dropped > 0 {
            complaints.push(format!("{} reports did not reach the hook: it is too slow", self.n_dropped));
        }
        complaints
    }

    /// Ends when what was told is done.
    pub(super) fn finish(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It panics where the program does.
            let _ = thread.join();
        }
    }
}

fn work(job: &Job, hook: Option<&str>, ways: Option<&NotifyWays>, complain: &Sender<String>) {
    let result = hook.map(|hook| run(hook, job, HOOK_LIMIT));
    if let Some(Err(message)) = result {
        // The sensor may be at its end.
        let _ = complain.send(message);
    }
    let is_quiet = job.record.build().is_some_and(|build| build.quiet);
    if let Some(ways) = ways.filter(|_| !is_quiet)
        && let Err(error) = notify::message(ways, "nixmon", &job.line)
    {
        let _ = complain.send(error.to_string());
    }
}

/// Runs the hook with the record on its standard input.
fn run(hook: &str, job: &Job, limit: Duration) -> Result<(), String> {
    let stderr = || io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
    let mut command = Command::new("sh");
    command.args(["-c", hook]).stdin(Stdio::piped()).stdout(stderr()).stderr(stderr()).process_group(0);
    if let Some(build) = job.record.build() {
        let result = match build.result {
            None => "started",
            Some(Verdict::Pass) => "pass",
            Some(Verdict::Fail) => "fail",
            Some(Verdict::Signal) => "signal",
            Some(Verdict::Unknown) => "unknown",
        };
        let status = build.exit_status.map(|status| status.to_string()).unwrap_or_default();
        command
            .env("NIXMON_RESULT", result)
            .env("NIXMON_COMMAND", &build.command)
            .env("NIXMON_DIRECTORY", build.directory.as_deref().unwrap_or_default())
            .env("NIXMON_EXIT_STATUS", status);
    }
    let mut child = command.spawn().map_err(|error| format!("cannot run the hook: {error}"))?;
    let mut json = serde_json::to_vec(&job.record).map_err(|error| error.to_string())?;
    json.push(b'\n');
    if let Some(mut stdin) = child.stdin.take() {
        // Shorter than a pipe holds, and a hook need not read it.
        let _ = stdin.write_all(&json);
    }
    match limited::wait(&mut child, limit) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(match (status.code(), status.signal()) {
            (Some(code), _) => format!("the hook ended with exit status {code}"),
            (None, signal) => format!("the hook was killed by signal {}", signal.unwrap_or(0)),
        }),
        None => {
            limited::end(&mut child, GRACE);
            Err(format!("the hook took longer than {} s and was ended", limit.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let json = serde_json::json!({
            "type": "build.completed", "id": "1", "program": "make", "command": "make -j8", "label": "make",
            "directory": "/a b", "result": "fail", "exit_status": 2, "started_ms": 1, "ended_ms": 2,
            "elapsed_ms": 1, "backend": "connector",
        });
        Job { record: serde_json::from_value(json).unwrap(), line: "a line".to_owned() }
    }

    #[test]
    fn the_hook_gets_the_record() {
        let temp = tempfile::tempdir().unwrap();
        let out = temp.path().join("out");
        let to = out.display();
        let hook = format!(
            "cat > {to}; echo $NIXMON_RESULT,$NIXMON_COMMAND,$NIXMON_DIRECTORY,$NIXMON_EXIT_STATUS >> {to}"
        );
        run(&hook, &job(), HOOK_LIMIT).unwrap();
        let text = std::fs::read_to_string(out).unwrap();
        let (record, rest) = text.split_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<Record>(record).unwrap(), job().record);
        assert_eq!(rest, "fail,make -j8,/a b,2\n");
    }

    #[test]
    fn a_hook_that_fails_is_told() {
        for (hook, limit, expected) in [
            ("exit 3", HOOK_LIMIT, "the hook ended with exit status 3"),
            ("kill -9 $$", HOOK_LIMIT, "the hook was killed by signal 9"),
            ("exec sleep 100", Duration::from_millis(100), "the hook took longer than 0 s and was ended"),
        ] {
            assert_eq!(run(hook, &job(), limit), Err(expected.to_owned()), "{hook}");
        }
    }
}
