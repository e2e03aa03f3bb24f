//! The loop of the sensor on Linux.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use crate::connector::{Connector, Event, Received};
use crate::ends::Ends;
use crate::look::Look;
use crate::model::build::{Build, BuildId, Moment};
use crate::model::event::Backend;
use crate::model::programs::Rules;
use crate::model::tracker::{Input, Output, Scan, Tracker};
use crate::self_test;
use crate::sensor::{Happened, Losses};

/// Time between two lists of all processes, where lists are all there is. Half of the shortest build.
const BETWEEN_LISTS: Duration = Duration::from_millis(240);
/// A list is made after this time even if no process is newer than at the last one.
const IDLE_LIST: Duration = Duration::from_secs(1);
/// Time between two lists after lost events.
const BETWEEN_REPAIRS: Duration = Duration::from_millis(200);
/// Events are left in the queue for this time, so that one wake-up takes many.
const BATCH: Duration = Duration::from_millis(25);
/// Time between two measures of the processes of builds.
const BETWEEN_MEASURES: Duration = Duration::from_secs(2);
/// Measures take this part of the time at most: one 500th.
const MEASURE_SHARE: u32 = 500;
/// Time between two looks at roots that have ended, until their results are known.
const PENDING: Duration = Duration::from_millis(10);
/// Events taken before anything else is looked at.
const MAX_BATCH: usize = 10_000;

/// A way to see processes.
#[derive(Debug)]
enum Way {
    Connector(Connector),
    /// Lists, and descriptors of roots.
    Pidfd,
    /// Lists alone.
    Proc,
}

#[derive(Debug)]
pub(crate) struct Watch {
    way: Way,
    look: Look,
    tracker: Tracker,
    ends: Ends,
    losses: Losses,
    /// Losses that were not told yet.
    has_lost: bool,
    next_list: Duration,
    last_list: Duration,
    /// Until this moment no event was lost, and no process was missed.
    known_until: Option<Moment>,
    newest: Option<i32>,
    next_measure: Duration,
    needs_repair: bool,
}

/// Returns the present.
fn now() -> Moment {
    let time = |clock| {
        let time = clock_gettime(clock);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let (awake, boot) = (time(ClockId::Monotonic), time(ClockId::Boottime));
    Moment { awake, suspended: boot.saturating_sub(awake) }
}

impl Watch {
    pub(crate) fn start(rules: &Rules, backend: Backend) -> Result<Self, String> {
        let way = match backend {
            Backend::Connector => Way::Connector(self_test::connector()?),
            Backend::Pidfd => self_test::pidfd().map(|()| Way::Pidfd)?,
            _ => self_test::proc().map(|()| Way::Proc)?,
        };
        let mut watch = Self {
            way,
            look: Look::new(rules.clone()),
            tracker: Tracker::new(),
            ends: Ends::default(),
            losses: Losses::default(),
            has_lost: false,
            next_list: Duration::ZERO,
            last_list: Duration::ZERO,
            known_until: None,
            newest: None,
            next_measure: Duration::ZERO,
            needs_repair: false,
        };
        // What the queue holds is older than the list, and the rest is told twice at most.
        let mut out = Vec::new();
        watch.list(Scan::First, &mut out);
        watch.digest(out, &mut Vec::new());
        Ok(watch)
    }

    #[expect(clippy::unused_self, reason = "other systems have no clock for it")]
    pub(crate) fn now(&self) -> Moment {
        now()
    }

    pub(crate) fn losses(&self) -> Losses {
        self.losses
    }

    /// Returns whether a process is of a build, or below something that has none.
    pub(crate) fn is_settled(&self, pid: i32) -> bool {
        self.tracker.is_settled(pid)
    }

    pub(crate) fn running(&self) -> Vec<Build> {
        let now = now();
        self.tracker.running().map(|build| Build { until: now, ..build.clone() }).collect()
    }

    pub(crate) fn next(
        &mut self,
        limit: Duration,
        wake: Option<BorrowedFd<'_>>,
    ) -> io::Result<Vec<Happened>> {
        let (is_socket_ready, ended) = self.wait(limit, wake)?;
        let mut happened = Vec::new();
        if is_socket_ready {
            // Others follow soon, and one wake-up is cheaper than many.
            std::thread::sleep(BATCH);
            self.take_events(&mut happened)?;
        }
        let at = now();
        for build in ended {
            self.ends.over(build, at);
        }
        self.repair_or_list(at, &mut happened);
        if self.ends.is_pending() {
            let (has_events, asks) = (matches!(self.way, Way::Connector(_)), !matches!(self.way, Way::Proc));
            for (build, at, end) in self.ends.settled(at, &self.look, has_events, asks) {
                let mut out = Vec::new();
                self.tracker.apply(Input::Ended { build, end }, at, &mut out);
                self.digest(out, &mut happened);
            }
        }
        self.tracker.forget_ended(at, |pid, begun_by| self.look.lives(pid, begun_by));
        self.measure(at);
        let mut out = Vec::new();
        self.tracker.tick(at, &mut out);
        self.digest(out, &mut happened);
        if std::mem::take(&mut self.has_lost) {
            happened.push(Happened::Lost(self.losses));
        }
        Ok(happened)
    }

    /// Waits. Returns whether there are events, and the builds whose descriptors have ended.
    fn wait(&self, limit: Duration, wake: Option<BorrowedFd<'_>>) -> io::Result<(bool, Vec<BuildId>)> {
        let at = now().awake;
        let mut limit = limit;
        if !matches!(self.way, Way::Connector(_)) || self.needs_repair {
            limit = limit.min(self.next_list.saturating_sub(at));
        }
        if self.tracker.running().next().is_some() {
            limit = limit.min(self.next_measure.saturating_sub(at));
        }
        if self.ends.is_pending() {
            limit = limit.min(PENDING);
        }
        let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
        let pidfds = self.ends.pidfds();
        let socket = match &self.way {
            Way::Connector(connector) => Some(connector.as_fd()),
            Way::Pidfd | Way::Proc => None,
        };
        let fds = socket.into_iter().chain(pidfds.iter().map(|(_, fd)| *fd)).chain(wake);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let is_socket_ready = socket.is_some() && ready.next() == Some(true);
        let ended = pidfds.iter().zip(ready).filter(|(_, is_ready)| *is_ready).map(|((build, _), _)| *build);
        Ok((is_socket_ready, ended.collect()))
    }

    fn take_events(&mut self, happened: &mut Vec<Happened>) -> io::Result<()> {
        let begun = now();
        let suspended = begun.suspended;
        for _ in 0..MAX_BATCH {
            let Way::Connector(connector) = &self.way else { return Ok(()) };
            match connector.receive()? {
                None => {
                    if !self.needs_repair {
                        self.known_until = Some(begun);
                    }
                    break;
                }
                Some(Received::Event(event, awake)) => {
                    self.event(event, Moment { awake, suspended }, happened)
                }
                Some(Received::Overrun) => {
                    self.losses.overruns += 1;
                    self.has_lost = true;
                    self.needs_repair = true;
                }
                Some(Received::Other) => {}
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event, at: Moment, happened: &mut Vec<Happened>) {
        let input = match event {
            Event::Fork { parent, child } => Input::Fork { parent, child },
            Event::Exec { pid } if self.tracker.executes(pid) => return,
            Event::Exec { pid } => Input::Exec { pid, lookup: self.look.up(pid, at.since_boot()) },
            Event::Exit { pid, end } => {
                if let Some(build) = self.tracker.root(pid) {
                    self.measure_root(build, pid);
                    self.ends.told(build, at, end);
                    return;
                }
                Input::Exit { pid, end: Some(end) }
            }
            Event::ThreadExit { pid, end } => {
                if let Some(build) = self.tracker.root(pid) {
                    self.ends.thread_told(build, end);
                }
                return;
            }
        };
        let mut out = Vec::new();
        self.tracker.apply(input, at, &mut out);
        self.digest(out, happened);
    }

    /// Makes a list of all processes, if it is time for one.
    fn repair_or_list(&mut self, at: Moment, happened: &mut Vec<Happened>) {
        let mut out = Vec::new();
        match self.way {
            Way::Connector(_) if self.needs_repair && at.awake >= self.next_list => {
                self.needs_repair = false;
                self.list(Scan::AfterLoss, &mut out);
                self.next_list = now().awake + BETWEEN_REPAIRS;
            }
            Way::Connector(_) => {}
            Way::Pidfd | Way::Proc if at.awake >= self.next_list => {
                let newest = self.look.proc().newest();
                let is_idle =
                    newest.is_some() && newest == self.newest && self.tracker.running().next().is_none();
                if !is_idle || at.awake >= self.last_list + IDLE_LIST {
                    self.newest = newest;
                    self.list(Scan::Regular, &mut out);
                }
                self.next_list = at.awake + BETWEEN_LISTS;
            }
            Way::Pidfd | Way::Proc => {}
        }
        self.digest(out, happened);
    }

    fn list(&mut self, scan: Scan, out: &mut Vec<Output>) {
        let at = now();
        let processes = self.look.list(at.since_boot(), scan != Scan::Regular);
        let ends_follow = !matches!(self.way, Way::Proc);
        let known_until = self.known_until.filter(|_| scan != Scan::First);
        self.tracker.apply(Input::Processes { scan, known_until, processes, ends_follow }, at, out);
        self.last_list = at.awake;
        self.known_until = Some(at);
        if scan == Scan::AfterLoss {
            self.ends.suspect();
        }
    }

    fn measure(&mut self, at: Moment) {
        if at.awake < self.next_measure {
            return;
        }
        let begun = now().awake;
        for (build, pids) in self.tracker.families() {
            let (cpu, resident) = self.look.usage(&pids);
            self.tracker.apply(Input::Usage { build, cpu, resident }, at, &mut Vec::new());
        }
        let cost = now().awake.saturating_sub(begun);
        self.next_measure = at.awake + BETWEEN_MEASURES.max(cost * MEASURE_SHARE);
    }

    /// Measures a root that has ended. It is still there, unless its parent was faster.
    fn measure_root(&mut self, build: BuildId, pid: i32) {
        let (cpu, resident) = self.look.usage(&[pid]);
        if !cpu.is_zero() {
            self.tracker.apply(Input::Usage { build, cpu, resident }, now(), &mut Vec::new());
        }
    }

    /// Acts on the tracker's outputs, and passes on those that are for others.
    fn digest(&mut self, out: Vec<Output>, happened: &mut Vec<Happened>) {
        for output in out {
            match output {
                Output::Began(build) => {
                    // Its first measure comes soon: most builds are short.
                    self.next_measure = self.next_measure.min(build.seen.awake + Duration::from_millis(600));
                    if matches!(self.way, Way::Proc) {
                        continue;
                    }
                    let is_certain = self.ends.watch(build.id, build.pid);
                    // Without a descriptor and events, a root that has gone would never end.
                    if !is_certain && matches!(self.way, Way::Pidfd) {
                        let (mut out, at) = (Vec::new(), now());
                        self.tracker.apply(Input::Ended { build: build.id, end: None }, at, &mut out);
                        self.digest(out, happened);
                    }
                }
                Output::Started(build) => happened.push(Happened::Started(build)),
                Output::Ended(build) => {
                    self.ends.forget(build.id);
                    happened.push(Happened::Ended(build));
                }
                Output::Dropped(build) => self.ends.forget(build),
                Output::Missed { .. } => {
                    self.losses.missed += 1;
                    self.has_lost = true;
                }
            }
        }
    }
}
