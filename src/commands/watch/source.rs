//! The sources of events together: the sensor of processes, builds of a Nix daemon, marker files, reports of shells.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{backend, muted};
use crate::cli::BackendArg;
use crate::settings::Settings;
use nixmon_core::text::{Line, Role};
use nixmon_runs::clock::unix_ms;
use nixmon_sensor::model::build::Moment;
use nixmon_sensor::model::event::{Backend, BuildEvent, LossEvent, Record, Verdict};
use nixmon_sensor::{ActiveBuilds, Happened, Losses, Markers, Sensor, Spool, Trial};

/// A build without a result waits so long for the report of a shell, and the other way round, in milliseconds.
const WAIT_MS: u64 = 4000;

pub(super) struct Sources {
    sensor: Option<Sensor>,
    trials: Vec<Trial>,
    /// The backend that was asked for.
    forced: Option<Backend>,
    active_builds: Option<ActiveBuilds>,
    markers: Markers,
    spool: Option<Spool>,
    /// Builds without a result that a shell may report.
    unknown: Vec<BuildEvent>,
    /// Reports of shells whose builds the sensor has not seen end.
    reports: Vec<BuildEvent>,
}

impl Sources {
    /// Starts what works, or only the `forced` backend.
    pub(super) fn start(settings: &Settings, forced: Option<BackendArg>) -> Self {
        let watch = &settings.watch;
        let forced = forced.map(backend);
        let is_wanted = |own: Backend| forced.is_none_or(|forced| forced == own);
        let of_processes = [Backend::Connector, Backend::Pidfd, Backend::Proc];
        let (sensor, trials) = if of_processes.into_iter().any(is_wanted) {
            match Sensor::start(watch.rules.clone(), forced) {
                Ok(sensor) => {
                    let trials = sensor.trials().to_vec();
                    (Some(sensor), trials)
                }
                Err(error) => (None, error.trials),
            }
        } else {
            (None, Vec::new())
        };
        let has_results = sensor.as_ref().is_some_and(|sensor| sensor.backend() != Backend::Proc);
        // Where the sensor of processes knows results, shells report nothing that it does not know.
        let takes_reports = forced == Some(Backend::Shell)
            || !has_results && (forced.is_none() || forced == Some(Backend::Proc));
        let markers = watch.markers.clone();
        Self {
            active_builds: is_wanted(Backend::ActiveBuilds)
                .then(|| ActiveBuilds::find(&watch.nix_state))
                .flatten(),
            markers: Markers::new(markers.into_iter().filter(|_| is_wanted(Backend::Marker))),
            spool: settings.journal().filter(|_| takes_reports).map(|journal| Spool::beside(&journal)),
            sensor,
            trials,
            forced,
            unknown: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Returns whether nothing can be seen.
    pub(super) fn is_empty(&self) -> bool {
        self.sensor.is_none()
            && self.active_builds.is_none()
            && self.markers.is_empty()
            && self.spool.is_none()
    }

    /// Returns the backend by which the sensor is known to others.
    pub(super) fn backend(&self) -> Backend {
        match &self.sensor {
            Some(sensor) => sensor.backend(),
            None if self.spool.is_some() => Backend::Shell,
            None if self.active_builds.is_some() => Backend::ActiveBuilds,
            None => Backend::Marker,
        }
    }

    /// Says what works here and what is used.
    pub(super) fn explained(&self, settings: &Settings) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut say = |used: Option<bool>, backend: Backend, text: &str| {
            let role = match used {
                Some(true) => Role::Success,
                Some(false) => Role::Warning,
                None => Role::Muted,
            };
            let word = match used {
                Some(true) => "used",
                Some(false) => "does not work",
                None => "not used",
            };
            let name = format!("{}: ", backend.name());
            lines.push(Line::new().with(Role::Name, name).with(role, word).with(Role::Plain, text));
        };
        for trial in &self.trials {
            match &trial.result {
                Ok(()) => say(Some(true), trial.backend, what(trial.backend)),
                Err(why) => say(Some(false), trial.backend, &format!(", {why}")),
            }
        }
        let forced = self.forced;
        let unwanted = |backend: Backend, reason: String| match forced.is_none_or(|forced| forced == backend)
        {
            true => reason,
            false => ", another one is wanted".to_owned(),
        };
        for backend in [Backend::Connector, Backend::Pidfd, Backend::Proc] {
            if self.trials.iter().all(|trial| trial.backend != backend) {
                say(None, backend, &unwanted(backend, ", a better one works".to_owned()));
            }
        }
        let state = settings.watch.nix_state.display();
        for (is_used, backend, reason) in [
            (
                self.active_builds.is_some(),
                Backend::ActiveBuilds,
                format!(", there is no {state}/active-builds"),
            ),
            (!self.markers.is_empty(), Backend::Marker, ", [watch.markers] names none".to_owned()),
            (self.spool.is_some(), Backend::Shell, ", a better one works".to_owned()),
        ] {
            match is_used {
                true => say(Some(true), backend, what(backend)),
                false => say(None, backend, &unwanted(backend, reason)),
            }
        }
        if self.is_empty() {
            lines.insert(0, muted("no way to see builds works here"));
        }
        lines
    }

    /// Returns whether there is something to look at from time to time.
    pub(super) fn needs_looks(&self) -> bool {
        self.active_builds.is_some() || !self.markers.is_empty() || self.spool.is_some()
    }

    /// Waits for processes, or until `wake` can be read.
    pub(super) fn next(&mut self, limit: Duration, wake: BorrowedFd<'_>) -> Result<Vec<Record>> {
        let Some(sensor) = &mut self.sensor else {
            let limit =
                Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
            match poll(&mut [PollFd::from_borrowed_fd(wake, PollFlags::IN)], Some(&limit)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            }
        };
        let happened = sensor.next(limit, Some(wake))?;
        if happened.is_empty() {
            return Ok(Vec::new());
        }
        let (now, now_ms, own) = (sensor.now(), unix_ms(), sensor.backend());
        let at_ms = |moment: Moment| {
            let before = now.since_boot().saturating_sub(moment.since_boot());
            now_ms.saturating_sub(u64::try_from(before.as_millis()).unwrap_or(u64::MAX))
        };
        let mut records = Vec::new();
        for happened in happened {
            match happened {
                Happened::Started(build) => {
                    records.push(Record::Started(BuildEvent::of(&build, own, false, at_ms)));
                }
                Happened::Ended(build) => {
                    let event = BuildEvent::of(&build, own, true, at_ms);
                    if self.spool.is_some() && event.result == Some(Verdict::Unknown) {
                        self.unknown.push(event);
                    } else {
                        records.push(Record::Completed(event));
                    }
                }
                Happened::Lost(Losses { overruns, missed }) => {
                    records.push(Record::Loss(LossEvent { at_ms: now_ms, overruns, missed }));
                }
            }
        }
        Ok(records)
    }

    /// Looks at what is not waited for.
    pub(super) fn look(&mut self, now: u64) -> Vec<Record> {
        let mut events = self.markers.poll(now);
        if let Some(active_builds) = &mut self.active_builds {
            let sensor = self.sensor.as_ref();
            events.extend(active_builds.poll(now, |pid| sensor.is_some_and(|sensor| sensor.knows(pid))));
        }
        if let Some(spool) = &self.spool {
            self.reports.extend(spool.take());
            events.extend(self.matched(now, WAIT_MS));
        }
        events.into_iter().map(Record::Completed).collect()
    }

    /// Returns what waits for something else, at the end.
    pub(super) fn rest(&mut self) -> Vec<Record> {
        self.matched(unix_ms(), 0).into_iter().map(Record::Completed).collect()
    }

    /// Brings builds without a result and reports of shells together. Returns those that have waited long enough.
    fn matched(&mut self, now: u64, wait: u64) -> Vec<BuildEvent> {
        let mut events = Vec::new();
        for mut build in std::mem::take(&mut self.unknown) {
            let is_same = |report: &BuildEvent| {
                report.label == build.label
                    && (build.directory.is_none() || report.directory == build.directory)
                    && report.ended_ms.unwrap_or(0).abs_diff(build.ended_ms.unwrap_or(0)) <= WAIT_MS
            };
            if let Some(at) = self.reports.iter().position(is_same) {
                let report = self.reports.remove(at);
                (build.result, build.exit_status, build.signal) =
                    (report.result, report.exit_status, report.signal);
                events.push(build);
            } else if now.saturating_sub(build.ended_ms.unwrap_or(0)) >= wait {
                events.push(build);
            } else {
                self.unknown.push(build);
            }
        }
        let (due, rest) = std::mem::take(&mut self.reports)
            .into_iter()
            .partition(|report| now.saturating_sub(report.ended_ms.unwrap_or(0)) >= wait);
        self.reports = rest;
        events.extend::<Vec<_>>(due);
        events
    }

    /// Returns what escaped.
    pub(super) fn losses(&self) -> Losses {
        self.sensor.as_ref().map(Sensor::losses).unwrap_or_default()
    }
}

fn what(backend: Backend) -> &'static str {
    match backend {
        Backend::Connector => ", the kernel reports every fork, exec and exit",
        Backend::Pidfd => ", lists of processes four times a second, results from the kernel",
        Backend::Proc => ", lists of processes four times a second, results only of zombies and from shells",
        Backend::ActiveBuilds => ", builds of the Nix daemon, without results",
        Backend::Marker => ", the files of [watch.markers]",
        Backend::Shell => ", reports of shells with `nixmon watch --shell-hook`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(label: &str, directory: &str, ended: u64, result: Verdict) -> BuildEvent {
        let json = serde_json::json!({
            "id": label, "program": "make", "command": label, "label": label, "directory": directory,
            "result": result, "ended_ms": ended, "started_ms": null, "elapsed_ms": null, "backend": "proc",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn reports_of_shells_complete_builds_without_a_result() {
        use Verdict::{Fail, Pass, Unknown};
        let mut sources = Sources {
            sensor: None,
            trials: Vec::new(),
            forced: None,
            active_builds: None,
            markers: Markers::default(),
            spool: None,
            unknown: vec![event("make", "/a", 1000, Unknown), event("make", "/b", 1000, Unknown)],
            reports: vec![event("make", "/a", 1700, Fail), event("cargo", "/a", 1700, Pass)],
        };
        let mut look = |now| {
            let events = sources.matched(now, WAIT_MS).into_iter();
            events
                .map(|event| (event.label, event.directory.unwrap(), event.result.unwrap()))
                .collect::<Vec<_>>()
        };
        let told = |label: &str, directory: &str, result| (label.to_owned(), directory.to_owned(), result);
        assert_eq!(look(1800), [told("make", "/a", Fail)]);
        assert_eq!(look(2000), []);
        assert_eq!(look(5000), [told("make", "/b", Unknown)]);
        assert_eq!(look(5700), [told("cargo", "/a", Pass)]);
        assert_eq!(look(9000), []);
    }
}
