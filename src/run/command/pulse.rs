//! What a run knows of itself while it goes on: whether its processes work, and what to say when it takes long.
//!
//! Knows no clock and starts nothing: the monitor's loop tells it the time and hands it samples of the processes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::activation::RunStage;
use crate::render::{self, Style, rough};
use crate::run::process_tree::Sample;
use crate::runs::{Activity, FORMAT, Facts, LastFailure, RunState, Status};
use crate::state::{Moment, State};
use crate::text::{Line, Role, ascii, sanitize, truncate};
use crate::view::{StallOptions, View, stalls};

/// Samples are at least so far apart: one costs some milliseconds.
const SAMPLE: Duration = Duration::from_secs(10);
/// Where a user finds a few seconds long, samples come more often, but not as often as they would cost something.
const FASTEST: Duration = Duration::from_millis(200);
/// Samples within the time after which a run counts as quiet.
const SAMPLES: u32 = 6;
/// Less than one part in so many of one processor is no work: a program that waits wakes up now and then.
const IDLE_PART: u32 = 100;
/// Fewer bytes in a second are none worth the name: names are looked up and clocks set while nothing happens.
const IDLE_BYTES: u64 = 1024;
/// A switch that takes longer is told about.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// A name takes no more columns in what is said.
const MAX_NAME: usize = 60;

/// Whether the processes of a run work, told from its output and from samples.
#[derive(Debug)]
pub(crate) struct Pulse {
    quiet: Duration,
    last_output: Moment,
    /// Since the last output, oldest first; no older ones than are needed.
    samples: VecDeque<(Moment, Work)>,
    last: Option<(Moment, Sample)>,
    /// Processor time, which grows also if a process goes and takes its own with it.
    cpu: Option<Duration>,
}

/// What was done since the first sample of this silence.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    cpu: Duration,
    /// `None` from the first sample on that did not know it.
    network: Option<u64>,
}

impl Pulse {
    /// Nothing printed for `quiet` is a silence.
    pub(crate) fn new(quiet: Duration) -> Self {
        Self { quiet, last_output: Moment::ZERO, samples: VecDeque::new(), last: None, cpu: None }
    }

    /// Output has come.
    pub(crate) fn heard(&mut self, at: Moment) {
        self.last_output = self.last_output.max(at);
        self.samples.clear();
    }

    /// When the next sample is wanted. It moves on while output flows, so that there is none.
    pub(crate) fn sample_at(&self) -> Moment {
        let every = self.every();
        let after_last = self.last.as_ref().map_or(Moment::ZERO, |(at, _)| *at + every);
        after_last.max(self.last_output + every)
    }

    /// What the processes have done so far.
    pub(crate) fn sample(&mut self, sample: Sample, at: Moment) {
        let before = self.last.replace((at, sample));
        let Some((_, sample)) = &self.last else { return };
        let Some(cpu) = sample.cpu else {
            // Only what is known all the time can be said to be no work.
            self.samples.clear();
            return;
        };
        self.cpu = self.cpu.max(Some(cpu));
        let work = match (self.samples.back(), &before) {
            (Some((then, done)), Some((_, before))) => {
                // Less than before: a process has ended and nobody has waited for it. That is as good as work.
                let step = before.cpu.and_then(|before| cpu.checked_sub(before));
                let step = step.unwrap_or(at.saturating_sub(*then));
                let bytes = sample.network.zip(before.network);
                let bytes = bytes.map(|(now, before)| now.saturating_sub(before));
                Work {
                    cpu: done.cpu.saturating_add(step),
                    network: done.network.zip(bytes).map(|(done, more)| done.saturating_add(more)),
                }
            }
            _ => Work { cpu: Duration::ZERO, network: sample.network.map(|_| 0) },
        };
        self.samples.push_back((at, work));
        // The oldest one stays that is not younger than the window.
        while self.samples.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= self.quiet) {
            self.samples.pop_front();
        }
    }

    /// What the processes do.
    ///
    /// A run that has had no output for `quiet` is stuck only if, over at least as long a time within this silence, its
    /// processes took less than 1 % of one processor and the network moved less than 1 KiB in a second. What is not known
    /// is no reason to say so, but for the network: where the system does not tell of it, processor time decides alone.
    pub(crate) fn activity(&self, now: Moment) -> Activity {
        if self.silent(now) < self.quiet {
            return Activity::Busy;
        }
        let (Some((from, before)), Some((to, after)), Some((_, last))) =
            (self.samples.front(), self.samples.back(), &self.last)
        else {
            return Activity::Quiet;
        };
        let time = to.saturating_sub(*from);
        let fresh = now.saturating_sub(*to) < self.every() * 3;
        if time < self.quiet || !fresh || last.elsewhere {
            return Activity::Quiet;
        }
        let idle_cpu = after.cpu.saturating_sub(before.cpu).saturating_mul(IDLE_PART) < time;
        let idle_network = match (before.network, after.network) {
            (Some(before), Some(after)) => {
                let bytes = u128::from(after.saturating_sub(before)) * 1000;
                bytes < u128::from(IDLE_BYTES) * time.as_millis()
            }
            // It became known or unknown in between.
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => true,
        };
        if idle_cpu && idle_network { Activity::Stuck } else { Activity::Quiet }
    }

    /// For how long it has printed nothing.
    pub(crate) fn silent(&self, now: Moment) -> Duration {
        now.saturating_sub(self.last_output)
    }

    /// Processor time so far, as of the last sample.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        self.cpu
    }

    /// A program that seems to ask for a password, as of the last sample, if that is of this silence.
    pub(crate) fn asking(&self) -> Option<&str> {
        let (at, sample) = self.last.as_ref()?;
        sample.asking.as_deref().filter(|_| *at >= self.last_output)
    }

    fn every(&self) -> Duration {
        (self.quiet / SAMPLES).clamp(FASTEST, SAMPLE)
    }
}

/// The moment at which it is asked how a run stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now<'a> {
    /// Since the command began.
    pub(crate) at: Moment,
    /// In milliseconds since 1970.
    pub(crate) wall_ms: u64,
    /// The beginning of a line that has stood there for a while.
    pub(crate) partial: Option<&'a str>,
}

/// How a run stands, as far as the state knows. `cursor`, `incomplete`, and of a run that has ended `exit_code` and
/// `ended_at`, are left to who knows them.
pub(crate) fn status_of(
    facts: &Facts,
    state: &State,
    pulse: &Pulse,
    overdue: &Overdue,
    now: Now<'_>,
    style: &Style,
) -> Status {
    let view = View::new(state, now.at);
    let builds = view.builds();
    let fetches = view.fetches();
    let silent = pulse.silent(now.at);
    let plain = |line: &Line| {
        let text = line.plain();
        if style.ascii { ascii(&text).into_owned() } else { text }
    };
    let ended = state.outcome().is_some();
    let last_failure = state.failures().last().map(|(_, failure)| LastFailure {
        name: failure.name.clone(),
        message: sanitize(&failure.message).into_owned(),
    });
    let last_failure = last_failure.or_else(|| {
        let run = state.activation_failed()?;
        Some(LastFailure {
            name: run.failed_step.clone(),
            message: run.message().map(|message| sanitize(message).into_owned()).unwrap_or_default(),
        })
    });
    Status {
        format: FORMAT,
        id: facts.id,
        name: facts.name.clone(),
        command: facts.command.clone(),
        state: if ended { RunState::Ended } else { RunState::Running },
        created_at: facts.created_at,
        started_at: Some(now.wall_ms.saturating_sub(millis(now.at))),
        ended_at: None,
        heartbeat_at: now.wall_ms,
        after: facts.after,
        activity: activity(state, pulse, now.at),
        silent_ms: millis(silent),
        cpu_ms: pulse.cpu().map(millis),
        phase: state.phase().as_str().to_owned(),
        line: plain(&render::heartbeat(&view, silent >= style.thresholds.quiet, style)),
        slow: stall_lines(facts, state, pulse, now, style).iter().map(plain).collect(),
        overdue: overdue.is_overdue(),
        expected_ms: facts.expected_ms,
        wanted: builds.total.unwrap_or_default(),
        running: builds.running,
        built: builds.built,
        failed: state.counts().failed,
        to_fetch: fetches.total.unwrap_or_default(),
        fetched: fetches.done,
        last_failure,
        outcome: state.outcome().map(|outcome| outcome.as_str().to_owned()),
        ..Status::default()
    }
}

/// What the processes do. A builder on another machine works where nobody can see it.
fn activity(state: &State, pulse: &Pulse, at: Moment) -> Activity {
    match pulse.activity(at) {
        Activity::Stuck if state.derivations().building().any(|(_, build)| build.machine.is_some()) => {
            Activity::Quiet
        }
        activity => activity,
    }
}

fn stall_lines(facts: &Facts, state: &State, pulse: &Pulse, now: Now<'_>, style: &Style) -> Vec<Line> {
    let options =
        StallOptions { quiet: style.thresholds.quiet, partial: now.partial, asking: pulse.asking() };
    let stalls = stalls(&View::new(state, now.at), &options);
    render::stalls(&stalls, facts.background, usize::MAX, style)
}

/// A line for the beginning of a run, if there is something to say: that it is the first of its name, or how long it
/// usually takes.
pub(crate) fn opening(facts: &Facts) -> Option<Line> {
    let name = name(facts);
    let muted = |text| Line::new().with(Role::Muted, text);
    match facts.expected_ms {
        Some(ms) => Some(muted(format!("{name} usually takes {}", rough(Duration::from_millis(ms))))),
        None if facts.is_first && facts.name.is_some() => {
            Some(muted(format!("first run of {name}: it may take longer than later ones")))
        }
        None => None,
    }
}

/// Says once that a run takes long.
#[derive(Debug)]
pub(crate) struct Overdue {
    timeout: Option<Duration>,
    said: bool,
}

impl Overdue {
    /// `is_switch`: the command is known to switch a configuration. Without a timeout of its own a run has one of 15
    /// minutes if it does, or once an activation has begun.
    pub(crate) fn new(facts: &Facts, is_switch: bool) -> Self {
        let timeout = facts.timeout_ms.map(Duration::from_millis);
        Self { timeout: timeout.or(is_switch.then_some(SWITCH_TIMEOUT)), said: false }
    }

    /// Whether the run has taken longer than its timeout, as far as [`Overdue::check`] was told.
    pub(crate) fn is_overdue(&self) -> bool {
        self.said
    }

    /// What to say, once, when the timeout has passed: that the run goes on, and what may be the reason. Nothing is
    /// stopped.
    pub(crate) fn check(
        &mut self,
        facts: &Facts,
        state: &State,
        pulse: &Pulse,
        now: Now<'_>,
        style: &Style,
    ) -> Option<Vec<Line>> {
        let switches = || state.activation().runs().any(|run| run.stage == RunStage::Activating);
        let timeout = match self.timeout {
            Some(timeout) if timeout.is_zero() => return None,
            Some(timeout) => timeout,
            None if switches() => SWITCH_TIMEOUT,
            None => return None,
        };
        if self.said || now.at < timeout || state.outcome().is_some() {
            return None;
        }
        self.said = true;
        let goes_on = if facts.background {
            format!("it goes on until it ends, or: nixmon stop {}", facts.id)
        } else {
            "it goes on".to_owned()
        };
        let text = format!("{} takes longer than {}; {goes_on}", name(facts), rough(timeout));
        let mut lines = vec![Line::new().with(Role::Warning, text)];
        let mut reasons = stall_lines(facts, state, pulse, now, style);
        if reasons.is_empty() {
            reasons.push(render::heartbeat(&View::new(state, now.at), false, style));
        }
        lines.extend(reasons);
        Some(lines)
    }
}

/// What a run is called: by its name, else by the beginning of its command.
fn name(facts: &Facts) -> String {
    let name = facts.name.clone().unwrap_or_else(|| {
        let words: Vec<&str> = facts.command.iter().take(2).map(String::as_str).collect();
        let more = if facts.command.len() > 2 { " …" } else { "" };
        format!("{}{more}", words.join(" "))
    });
    truncate(&sanitize(&name), MAX_NAME, "…").into_owned()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
