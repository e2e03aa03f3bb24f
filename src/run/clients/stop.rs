//! `nixmon stop`.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Signal;

use super::recover::{Look, look};
use super::{say, tell, unix_ms};
use crate::cli::StopArgs;
use crate::run::ExitStatus;
use crate::runs::{RunDir, RunState, Store};
use crate::settings::Settings;
use crate::text::{Line, Role};

/// How often it is looked whether the run has ended.
const POLL: Duration = Duration::from_millis(50);
/// After SIGKILL a monitor has to write how it ended, and Nix's own daemon has to notice.
const LAST: Duration = Duration::from_secs(15);

pub(in crate::run) fn stop(settings: &Settings, args: &StopArgs) -> Result<ExitStatus> {
    let store = settings.store()?;
    let dir = match &args.run {
        Some(run) => store.find(Some(run))?,
        None => only_one(&store, settings)?,
    };
    let first = look(&dir, settings)?;
    if !first.life.goes_on() {
        let line = say::title(&first.status).with(Role::Plain, " has ended already: ");
        tell(settings, &[with(line, say::outcome(&first.status))]);
        return Ok(ExitStatus::Success);
    }
    dir.mark_stopped()?;
    let begun = Instant::now();
    let mut sent = Sent::default();
    loop {
        let look = look(&dir, settings)?;
        if !look.life.goes_on() {
            let line = say::title(&look.status).with(Role::Plain, " was stopped");
            let how = if sent.killed { " by SIGKILL: " } else { ": " };
            tell(settings, &[with(line.with(Role::Plain, how), say::outcome(&look.status))]);
            return Ok(ExitStatus::Success);
        }
        sent.go_on(&look, begun.elapsed(), args.grace);
        if begun.elapsed() > args.grace.saturating_add(LAST) {
            let command = look.facts.and_then(|facts| facts.process);
            let pid = command.map(|process| format!(" (pid {})", process.pid)).unwrap_or_default();
            bail!("run {} does not end, even after SIGKILL to its command{pid}", dir.id());
        }
        std::thread::sleep(POLL);
    }
}

fn with(mut line: Line, rest: Line) -> Line {
    line.append(rest);
    line
}

/// What was sent so far. A run that was queued may begin in between.
#[derive(Debug, Default)]
struct Sent {
    terminated: bool,
    terminated_orphans: bool,
    killed: bool,
    told_monitor: bool,
}

impl Sent {
    fn go_on(&mut self, look: &Look, elapsed: Duration, grace: Duration) {
        let Some(facts) = &look.facts else { return };
        match &facts.process {
            Some(process) if process.lives() => {
                if !self.terminated {
                    self.terminated = process.signal_group(Signal::TERM);
                }
                if elapsed >= grace && process.signal_group(Signal::KILL) {
                    self.killed = true;
                }
            }
            // The command has not begun, or has ended and its children hold on to its output.
            process => {
                if let (Some(process), Some(guard)) = (process, &facts.guard) {
                    if !self.terminated_orphans {
                        self.terminated_orphans = process.signal_orphans(guard, Signal::TERM);
                    }
                    if elapsed >= grace && process.signal_orphans(guard, Signal::KILL) {
                        self.killed = true;
                    }
                }
                let is_left = facts.process.is_some() && elapsed < grace;
                if !self.told_monitor && !is_left {
                    let monitor = facts.monitor.as_ref().filter(|_| look.dir.monitor_lives());
                    self.told_monitor = monitor.is_some_and(|monitor| monitor.signal(Signal::TERM));
                }
            }
        }
    }
}

/// The only run that goes on.
fn only_one(store: &Store, settings: &Settings) -> Result<RunDir> {
    let mut going: Vec<Look> = Vec::new();
    for id in store.ids()?.into_iter().rev() {
        // What cannot be read cannot be stopped either.
        let Ok(dir) = store.run(id) else { continue };
        if dir.life(unix_ms()).is_ok_and(|life| life.goes_on()) {
            going.extend(look(&dir, settings).ok());
        }
    }
    match going.as_slice() {
        [one] => Ok(one.dir.clone()),
        [] => bail!("no run goes on"),
        many => {
            let names = many.iter().map(|look| {
                let queued = if look.status.state == RunState::Queued { ", queued" } else { "" };
                format!("\n  {}{queued}", say::title(&look.status).plain())
            });
            bail!("{} go on; which one?{}", say::runs(many.len()), names.collect::<String>())
        }
    }
}
