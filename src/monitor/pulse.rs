//! Liveness of a run in progress: whether its processes work, and what to report when it takes long.
//!
//! Knows no clock and starts nothing: the monitor's loop passes it the time and samples of the processes.

use std::collections::VecDeque;
use std::time::Duration;

use nixmon_core::activation::RunStage;
use nixmon_core::render::{self, Style, rough};
use nixmon_core::state::{Moment, State};
use nixmon_core::text::{Line, Role, ascii, truncate};
use nixmon_core::view::{StallOptions, View, stalls};
use nixmon_core::wire::millis;
use nixmon_log::escapes::sanitize;
use nixmon_runs::proc::tree::Sample;
use nixmon_runs::{self as runs, Activity, Facts, RunState, Status};

/// Default time between two samples: one costs some milliseconds.
const SAMPLE: Duration = Duration::from_secs(10);
/// Shortest time between two samples, for users who find a few seconds long; more often they would cost something.
const FASTEST: Duration = Duration::from_millis(500);
/// Number of samples within the time after which a run counts as quiet.
const SAMPLES: u32 = 6;
/// Processor time below one part in this many is no work: a program that waits wakes up now and then.
const IDLE_PART: u32 = 100;
/// Bytes per second below which the network counts as idle: names are looked up and clocks set while nothing happens.
const IDLE_BYTES: u64 = 1024;
/// Default timeout of a switch.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Maximum number of columns of a name.
const MAX_NAME: usize = 60;

/// Tells from a run's output and from samples whether its processes work.
#[derive(Debug)]
pub(crate) struct Pulse {
    quiet: Duration,
    last_output: Moment,
    /// Samples after the last output, oldest first; no older ones than are needed.
    samples: VecDeque<(Moment, Work)>,
    last: Option<(Moment, Sample)>,
    /// Processor time, which grows also if a process goes and takes its own with it.
    cpu: Option<Duration>,
}

/// Work since the first sample of this silence.
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

    /// Takes note of output.
    pub(crate) fn heard(&mut self, at: Moment) {
        self.last_output = self.last_output.max(at);
        self.samples.clear();
    }

    /// Returns when the next sample is wanted. The time moves on while output flows, so that no sample is taken.
    pub(crate) fn sample_at(&self) -> Moment {
        let every = self.every();
        let after_last = self.last.as_ref().map_or(Moment::ZERO, |(at, _)| *at + every);
        after_last.max(self.last_output + every)
    }

    /// Takes a sample of what the processes have done so far.
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
                // Less than before: a process has ended and was not waited for. That is as good as work.
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

    /// Returns what the processes do.
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

    /// Returns how long the run has printed nothing.
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
    /// Time since the command began.
    pub(crate) at: Moment,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: u64,
    /// The beginning of a line that has stood there for a while.
    pub(crate) partial: Option<&'a str>,
}

/// Returns the status of a run as far as the state knows it. The caller sets `cursor`, `incomplete`, and, once the run has
/// ended, `exit_code` and `ended_at`.
pub(crate) fn status_of(
    facts: &Facts,
    state: &State,
    pulse: &Pulse,
    overdue: &Overdue,
    now: Now<'_>,
    style: &Style,
) -> Status {
    let view = View::new(state, now.at);
    let silent = pulse.silent(now.at);
    let plain = |line: &Line| {
        let text = line.plain();
        if style.ascii { ascii(&text).into_owned() } else { text }
    };
    let ended = state.outcome().is_some();
    Status {
        id: facts.id,
        name: facts.name.clone(),
        command: facts.command.clone(),
        state: if ended { RunState::Ended } else { RunState::Running },
        created_at: facts.created_at,
        started_at: Some(now.wall_ms.saturating_sub(millis(now.at))),
        ended_at: None,
        heartbeat_at: now.wall_ms,
        after: facts.after,
        activity: (!ended).then(|| activity(state, pulse, now.at)),
        silent_ms: millis(silent),
        cpu_ms: pulse.cpu().map(millis),
        phase: state.phase().into(),
        line: plain(&render::heartbeat(&view, silent >= style.thresholds.quiet, style)),
        slow: stall_lines(facts, state, pulse, now, style).iter().map(plain).collect(),
        overdue: overdue.is_overdue(),
        expected_ms: facts.expected_ms,
        ..runs::progress(state, now.at)
    }
}

/// Returns what the processes do. The work of a builder on another machine cannot be seen.
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

/// Reports once that a run takes long.
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

    /// Returns whether the run has taken longer than its timeout, as of the last [`Overdue::check`].
    pub(crate) fn is_overdue(&self) -> bool {
        self.said
    }

    /// Returns the lines to print, once, when the timeout has passed: the run continues, and the likely reason. Nothing is
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
            format!("it goes on, and nixmon stop {} ends it", facts.id)
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

/// Returns the name of a run, else the beginning of its command.
fn name(facts: &Facts) -> String {
    let name = facts.name.clone().unwrap_or_else(|| {
        let words: Vec<&str> = facts.command.iter().take(2).map(String::as_str).collect();
        let more = if facts.command.len() > 2 { " …" } else { "" };
        format!("{}{more}", words.join(" "))
    });
    truncate(&sanitize(&name), MAX_NAME, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use nixmon_core::render::Thresholds;
    use nixmon_core::state::{Effects, Input};
    use nixmon_core::text::Symbols;
    use nixmon_core::wire::{Package, PackageHealth, PackageStatus};
    use nixmon_log::input::Reader;
    use nixmon_runs::{ReadOn, RootCause, StatusRecord, progress};
    use nixmon_runs::{RunId, RunOutcome, RunPhase};

    const QUIET: Duration = Duration::from_secs(180);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A run that prints until second 20 and not any more, with samples when they are wanted: processor time and network
    /// bytes at each second, as functions of it. What it does at each of these seconds.
    #[track_caller]
    fn check(sample: impl Fn(u64) -> Sample, expected: &[(u64, Activity)]) {
        let mut pulse = Pulse::new(QUIET);
        let mut expected = expected.iter();
        let mut next = expected.next();
        for second in 0..2000 {
            let now = seconds(second);
            if second <= 20 {
                pulse.heard(now);
            }
            if now >= pulse.sample_at() {
                assert!(second >= 30, "a sample while output flows");
                pulse.sample(sample(second), now);
            }
            if let Some((at, activity)) = next
                && *at == second
            {
                assert_eq!(pulse.activity(now), *activity, "at {second}");
                next = expected.next();
            }
        }
        assert_eq!(next, None);
    }

    fn sample(cpu_ms: u64, network: u64) -> Sample {
        Sample { cpu: Some(Duration::from_millis(cpu_ms)), network: Some(network), ..Sample::default() }
    }

    #[test]
    fn a_run_is_stuck_if_it_prints_nothing_and_does_nothing() {
        use Activity::{Busy, Quiet, Stuck};
        // Nothing at all: quiet after 180 s, stuck once samples say so for as long.
        let nothing = [(10, Busy), (199, Busy), (200, Quiet), (209, Quiet), (215, Stuck), (1999, Stuck)];
        check(|_| sample(5_000, 1 << 30), &nothing);
        // A build that computes.
        check(|s| sample(900 * s, 0), &[(199, Busy), (200, Quiet), (215, Quiet), (1999, Quiet)]);
        // 2 % of a processor, and half a percent: a program that looks for something every now and then.
        check(|s| sample(20 * s, 0), &[(215, Quiet), (1999, Quiet)]);
        check(|s| sample(5 * s, 0), &[(215, Stuck), (1999, Stuck)]);
        // A second of work once in ten minutes is none; two at once are, as long as they are within the time looked at.
        check(|s| sample(1000 * (s / 600), 0), &[(599, Stuck), (700, Stuck), (1999, Stuck)]);
        check(|s| sample(2000 * (s / 600), 0), &[(599, Stuck), (615, Quiet), (770, Quiet), (800, Stuck)]);
        // A slow download, and the murmur of any network.
        check(|s| sample(0, 2048 * s), &[(215, Quiet), (1999, Quiet)]);
        check(|s| sample(0, 500 * s), &[(215, Stuck), (1999, Stuck)]);
        // Unknown: nothing; processor time now and then; only the network.
        check(|_| Sample::default(), &[(200, Quiet), (1999, Quiet)]);
        check(
            |s| Sample { cpu: sample(0, 0).cpu.filter(|_| s % 100 > 50), ..sample(0, 0) },
            &[(1999, Quiet)],
        );
        check(|_| Sample { network: None, ..sample(0, 0) }, &[(215, Stuck), (1999, Stuck)]);
        // Somebody else does the work.
        check(|_| Sample { elsewhere: true, ..sample(0, 0) }, &[(215, Quiet), (1999, Quiet)]);
        // Its processes end without anybody who waits for them.
        check(|s| sample(100_000 - 10 * (s / 10), 0), &[(215, Quiet), (1999, Quiet)]);
    }

    #[test]
    fn output_begins_anew() {
        let mut pulse = Pulse::new(QUIET);
        for second in (0..400).step_by(10) {
            pulse.sample(Sample { asking: Some("sudo".to_owned()), ..sample(7, 0) }, seconds(second));
        }
        assert_eq!(pulse.activity(seconds(400)), Activity::Stuck);
        assert_eq!(pulse.asking(), Some("sudo"));
        pulse.heard(seconds(400));
        assert_eq!(pulse.activity(seconds(401)), Activity::Busy);
        assert_eq!((pulse.asking(), pulse.cpu()), (None, Some(Duration::from_millis(7))));
        // Old samples say nothing of a new silence, nor do those of before the machine slept.
        assert_eq!(pulse.activity(seconds(600)), Activity::Quiet);
        for second in (410..600).step_by(10) {
            pulse.sample(sample(7, 0), seconds(second));
        }
        assert_eq!(pulse.activity(seconds(600)), Activity::Stuck);
        assert_eq!(pulse.activity(seconds(900)), Activity::Quiet);
        assert!(pulse.samples.len() <= 20, "{}", pulse.samples.len());
    }

    #[test]
    fn samples_come_every_ten_seconds_or_sooner_if_silence_is_short() {
        for (quiet, every) in [(180, 10_000), (30, 5_000), (1, 500), (0, 500), (100_000, 10_000)] {
            assert_eq!(Pulse::new(seconds(quiet)).sample_at(), Duration::from_millis(every), "{quiet}");
        }
    }

    fn style() -> Style {
        Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() }
    }

    /// A state that has read this at once.
    fn state(text: &str) -> State {
        let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
        reader.feed(text.as_bytes(), |event| state.apply(Input::Event(event), seconds(1), &mut effects));
        reader.settle(|event| state.apply(Input::Event(event), seconds(1), &mut effects));
        state
    }

    fn build(machine: &str) -> String {
        format!(
            "@nix {{\"action\":\"start\",\"id\":1,\"level\":3,\"parent\":0,\"text\":\"\",\"type\":105,\"fields\":\
             [\"/nix/store/00000000000000000000000000000000-hello-2.12.drv\",\"{machine}\",1,1]}}\n\
             @nix {{\"action\":\"result\",\"id\":1,\"type\":104,\"fields\":[\"checkPhase\"]}}\n"
        )
    }

    fn facts() -> Facts {
        Facts { id: RunId(12), name: Some("home".to_owned()), created_at: 5, ..Facts::default() }
    }

    fn now(at: u64) -> Now<'static> {
        Now { at: seconds(at), wall_ms: 1_000_000_000, partial: None }
    }

    /// A pulse that has heard nothing since the beginning.
    fn silent(until: u64) -> Pulse {
        let mut pulse = Pulse::new(QUIET);
        for second in (10..until).step_by(10) {
            pulse.sample(sample(1234, 0), seconds(second));
        }
        pulse
    }

    #[test]
    fn a_status_says_all_that_is_known() {
        let (facts, pulse) = (facts(), silent(400));
        let overdue = Overdue::new(&facts, false);
        let status = |state: &State| status_of(&facts, state, &pulse, &overdue, now(400), &style());
        let local = status(&state(&build("")));
        let expected = Status {
            id: RunId(12),
            name: Some("home".to_owned()),
            created_at: 5,
            started_at: Some(999_600_000),
            heartbeat_at: 1_000_000_000,
            activity: Some(Activity::Stuck),
            silent_ms: 400_000,
            cpu_ms: Some(1234),
            phase: RunPhase::Building,
            line: "Building… 0 built · hello-2.12 checkPhase 6m39s (quiet for 6m39s)".to_owned(),
            slow: vec![
                "hello-2.12 (checkPhase) has printed nothing for 6m; --option max-silent-time SECONDS ends such builds"
                    .to_owned(),
            ],
            wanted: 1,
            running: 1,
            derivations: vec![Package {
                name: "hello-2.12".to_owned(),
                status: PackageStatus::Compiling,
                done: 0,
                total: None,
                current_file: None,
                progress_pct: None,
                elapsed_ms: Some(399_000),
                eta_ms: None,
                depends_on: Vec::new(),
                health: PackageHealth::Ok,
            }],
            ..Status::default()
        };
        assert_eq!(local, expected);
        let record = serde_json::to_value(StatusRecord::from(local)).unwrap();
        assert!(record.get("derivations").is_none(), "{record}");
        // A build on another machine takes no time of this one.
        assert_eq!(status(&state(&build("ssh://builder"))).activity, Some(Activity::Quiet));
        let mut failed = state(&format!(
            "{}@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"error: builder for \
             '/nix/store/00000000000000000000000000000000-hello-2.12.drv' failed with exit code 2\"}}\n",
            build("")
        ));
        failed.apply(Input::End(Some(1)), seconds(399), &mut Effects::default());
        let failed = status(&failed);
        assert_eq!((failed.state, failed.outcome), (RunState::Ended, Some(RunOutcome::Failure)));
        assert_eq!((failed.failed, failed.running, failed.slow.len()), (1, 0, 0));
        let expected = RootCause {
            name: Some("hello-2.12".to_owned()),
            message: "failed in checkPhase, exit 2, printed nothing".to_owned(),
        };
        assert_eq!((failed.first_failure, failed.last_failure), (Some(expected.clone()), Some(expected)));
        assert_eq!(failed.read_on, None);
    }

    /// Checks the place that a status names for more about a failed command.
    #[test]
    fn read_on_places() {
        let path = "/nix/store/00000000000000000000000000000000-a-1.0.drv";
        let built = |log: &str, rest: &str| {
            format!("building '{path}'...\n{log}error: builder for '{path}' failed with exit code 2{rest}\n")
        };
        let hashes = format!(
            "error: hash mismatch in fixed-output derivation '{path}':\n         specified: sha256-AAAA\n            \
             got:    sha256-BBBB\n"
        );
        for (text, expected) in [
            (built("", ""), None),
            (built("one line\n", ""), None),
            (built("two\nlines\n", ""), Some(ReadOn::Derivation)),
            (hashes, Some(ReadOn::Derivation)),
            ("error: undefined variable 'x'\n".to_owned(), None),
            ("error: undefined variable 'x'\n\n       at /a.nix:1:2:\n".to_owned(), Some(ReadOn::End)),
            ("it broke\n".to_owned(), Some(ReadOn::End)),
            (String::new(), None),
        ] {
            let mut state = state(&text);
            state.apply(Input::End(Some(1)), seconds(399), &mut Effects::default());
            assert_eq!(progress(&state, seconds(399)).read_on, expected, "{text}");
            let mut succeeded = super::tests::state(&text);
            succeeded.apply(Input::End(Some(0)), seconds(399), &mut Effects::default());
            assert_eq!(progress(&succeeded, seconds(399)).read_on, None, "{text}");
        }
    }

    /// Checks the messages about long runs, each at the second at which it is printed first.
    #[test]
    fn long_run_messages() {
        let switch =
            "Activating linkGeneration\nStarting Home Manager activation\nActivating linkGeneration\n";
        let long = Facts { timeout_ms: Some(0), ..facts() };
        let short = Facts { timeout_ms: Some(60_000), ..facts() };
        let unnamed = Facts {
            name: None,
            command: ["nix", "build", ".#hello"].map(str::to_owned).to_vec(),
            background: true,
            ..short.clone()
        };
        let mut said = String::new();
        for (case, facts, is_switch, text) in [
            ("a switch by its command", facts(), true, build("")),
            ("no switch", facts(), false, build("")),
            ("a switch by its output", facts(), false, switch.to_owned()),
            ("never", long, true, build("")),
            ("own timeout", short, false, String::new()),
            ("in the background", unnamed, false, build("ssh-ng://root@builder")),
        ] {
            let state = state(&text);
            let pulse = silent(2000);
            let mut overdue = Overdue::new(&facts, is_switch);
            writeln!(said, "{case}:").unwrap();
            for second in 0..2000 {
                let lines = overdue.check(&facts, &state, &pulse, now(second), &style());
                for line in lines.into_iter().flatten() {
                    writeln!(said, "{second}: {}", line.plain()).unwrap();
                }
            }
        }
        insta::assert_snapshot!(said);
    }

    #[test]
    fn opening_messages() {
        let expected = Facts { expected_ms: Some(480_000), ..facts() };
        for (facts, line) in [
            (facts(), None),
            (expected.clone(), Some("home usually takes 8m")),
            (Facts { is_first: true, ..expected }, Some("home usually takes 8m")),
            (
                Facts { is_first: true, ..facts() },
                Some("first run of home: it may take longer than later ones"),
            ),
            (Facts { is_first: true, name: None, ..facts() }, None),
        ] {
            assert_eq!(opening(&facts).map(|line| line.plain()).as_deref(), line);
        }
    }
}
