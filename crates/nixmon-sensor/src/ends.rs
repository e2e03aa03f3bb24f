//! Ends of roots: a descriptor of each says when it ends, and on newer kernels how.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::look::Look;
use crate::model::build::{BuildId, End, Moment};

/// The kernel's event of an exit and the descriptor's end come within this time of each other, unless the first thread has
/// ended before others.
const TOGETHER: Duration = Duration::from_millis(500);
/// The event of a last thread comes just after the descriptor's end: time for that.
const AFTERWARDS: Duration = Duration::from_millis(30);
/// An end is told without its result if nobody waits for the process within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A root that is waited for.
#[derive(Debug)]
struct Root {
    pid: i32,
    /// `None` where the kernel has none.
    pidfd: Option<OwnedFd>,
    /// The event of its exit.
    told: Option<(Moment, End)>,
    /// The moment at which its descriptor had ended.
    over: Option<Moment>,
    /// It has no descriptor, and its event may be lost.
    is_suspect: bool,
    /// Its first thread has ended before another one, which ended otherwise: events do not say which is the end of the process.
    is_disputed: bool,
}

/// The roots of builds that are going on.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    roots: BTreeMap<BuildId, Root>,
}

impl Ends {
    /// Waits for a root. Returns whether its end is certain to come.
    pub(crate) fn watch(&mut self, build: BuildId, pid: i32) -> bool {
        let pidfd = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let is_certain = pidfd.is_some();
        self.roots.insert(
            build,
            Root { pid, pidfd, told: None, over: None, is_suspect: false, is_disputed: false },
        );
        is_certain
    }

    /// Forgets a root.
    pub(crate) fn forget(&mut self, build: BuildId) {
        self.roots.remove(&build);
    }

    /// Returns the descriptors whose end is still to come, in the order of the builds.
    pub(crate) fn pidfds(&self) -> Vec<(BuildId, BorrowedFd<'_>)> {
        let waiting = self.roots.iter().filter(|(_, root)| root.over.is_none());
        waiting.filter_map(|(build, root)| Some((*build, root.pidfd.as_ref()?.as_fd()))).collect()
    }

    /// Notes that a descriptor has ended.
    pub(crate) fn over(&mut self, build: BuildId, at: Moment) {
        if let Some(root) = self.roots.get_mut(&build) {
            root.over.get_or_insert(at);
        }
    }

    /// Notes the event of an exit.
    pub(crate) fn told(&mut self, build: BuildId, at: Moment, end: End) {
        if let Some(root) = self.roots.get_mut(&build) {
            (root.told, root.is_disputed) = (Some((at, end)), false);
        }
    }

    /// Notes the event of another thread's exit. All end alike if one of them ends the process.
    pub(crate) fn thread_told(&mut self, build: BuildId, end: End) {
        if let Some(root) = self.roots.get_mut(&build) {
            root.is_disputed |= root.told.is_some_and(|(_, told)| told != end);
        }
    }

    /// Notes that events were lost.
    pub(crate) fn suspect(&mut self) {
        for root in self.roots.values_mut().filter(|root| root.pidfd.is_none()) {
            root.is_suspect = true;
        }
    }

    /// Returns whether a look at `settled` is due soon.
    pub(crate) fn is_pending(&self) -> bool {
        self.roots.values().any(|root| root.over.is_some() || root.told.is_some() || root.is_suspect)
    }

    /// Takes the ends that are known now. `has_events`: the kernel reports exits, too. `asks`: descriptors are asked for results.
    pub(crate) fn settled(
        &mut self,
        now: Moment,
        look: &Look,
        has_events: bool,
        asks: bool,
    ) -> Vec<(BuildId, Moment, Option<End>)> {
        let mut ended = Vec::new();
        self.roots.retain(|build, root| match settle(root, now, look, has_events, asks) {
            Some((at, end)) => {
                ended.push((*build, at, end));
                false
            }
            None => true,
        });
        ended
    }
}

fn settle(
    root: &mut Root,
    now: Moment,
    look: &Look,
    has_events: bool,
    asks: bool,
) -> Option<(Moment, Option<End>)> {
    let waited = |since: Moment| now.awake.saturating_sub(since.awake);
    let Some(pidfd) = &root.pidfd else {
        // The event is all there is.
        let is_gone = root.is_suspect && look.began(root.pid).is_none();
        let told = root.told.map(|(at, end)| (at, Some(end).filter(|_| !root.is_disputed)));
        return told.or(is_gone.then_some((now, None)));
    };
    let Some(over) = root.over else {
        // Only its first thread has ended, and how the process ends is still open.
        if root.told.is_some_and(|(at, _)| waited(at) > TOGETHER) {
            root.told = None;
        }
        return None;
    };
    if has_events && waited(over) < AFTERWARDS {
        return None;
    }
    if let Some((at, end)) = root.told.filter(|_| !root.is_disputed) {
        return Some((at, Some(end)));
    }
    if has_events && !root.is_disputed && waited(over) < TOGETHER {
        return None;
    }
    if asks {
        match pidfd_info::exit(pidfd.as_fd()) {
            Ok(Some(exit)) => return Some((over, Some(exit.into()))),
            // It was not waited for yet, and is still there with its end.
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(_) => return Some((over, None)),
        }
    }
    let zombie = look.proc().stat(root.pid).filter(nixmon_runs::proc::Stat::is_zombie);
    match zombie.and_then(|stat| look.zombie(root.pid, &stat)) {
        Some(end) => Some((over, Some(end))),
        None if waited(over) < PATIENCE => None,
        None => Some((over, None)),
    }
}
