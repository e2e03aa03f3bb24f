//! Families of processes: events of processes in, builds out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::build::{Build, BuildId, End, Image, Moment};
use super::programs::Class;

/// Families that live shorter are no builds.
pub const SHORTEST: Duration = Duration::from_millis(500);
/// Builds that take longer than this have an event for their beginning.
pub const STARTED_AFTER: Duration = Duration::from_secs(10);
/// The system notes beginnings of processes in hundredths of a second, and from another clock than its events.
const BEGIN_TOLERANCE: Duration = Duration::from_millis(40);
/// A process is known for this time after the end of its first thread.
const LINGER: Duration = Duration::from_secs(1);

/// The program that was found behind a process number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It was there.
    Found(Image),
    /// The process had ended.
    Gone,
    /// It lives, and the system does not show its program.
    Hidden,
}

/// A process in a list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub pid: i32,
    /// The number of its parent, which is not the one that started it if that has ended.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Its beginning, in time since the machine's start.
    pub began: Duration,
    /// Its program; `None` if that cannot be seen.
    pub image: Option<Image>,
    /// It has ended and waits for its parent: how it ended, if the system says so.
    pub zombie: Option<Option<End>>,
}

/// The reason for a list of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The sensor starts.
    First,
    /// Lists are all that this sensor has.
    Regular,
    /// Events were lost.
    AfterLoss,
}

/// An event of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A process made another one.
    Fork {
        /// The process that did.
        parent: i32,
        /// The new one.
        child: i32,
    },
    /// A process executes a program.
    Exec {
        /// The process.
        pid: i32,
        /// The program.
        lookup: Lookup,
    },
    /// A process ended.
    Exit {
        /// The process.
        pid: i32,
        /// Its end; `None` if it is not known.
        end: Option<End>,
    },
    /// The root of a build ended.
    Ended {
        /// The build.
        build: BuildId,
        /// Its end; `None` if it is not known.
        end: Option<End>,
    },
    /// All processes that there are.
    Processes {
        /// Why the list was made.
        scan: Scan,
        /// Until this moment everything was known: what began later began after it. Absent for the first list.
        known_until: Option<Moment>,
        /// The list, in any order.
        processes: Vec<Seen>,
        /// The ends of roots come as [`Input::Ended`]: a root that is missing is about to have one.
        ends_follow: bool,
    },
    /// A measure of the processes of a build.
    Usage {
        /// The build.
        build: BuildId,
        /// Processor time of those that live and those they have waited for.
        cpu: Duration,
        /// Their resident memory in bytes.
        resident: u64,
    },
}

/// A change of what is known of builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A process became the root of a build. It may still be too short to be one.
    Began(Build),
    /// A build is going on for more than ten seconds.
    Started(Build),
    /// A build ended.
    Ended(Build),
    /// A root ended so soon that it was no build.
    Dropped(BuildId),
    /// A process that lived long enough for a build had ended before its program could be looked up.
    Missed {
        /// Its number.
        pid: i32,
        /// Its duration.
        elapsed: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It belongs to a build, which may have ended: then nothing below it is looked at any more.
    Member(BuildId),
    Root(BuildId),
    /// Nothing below it is a build.
    NotBuild,
    /// It has executed an unknown program since this moment.
    Unseen(Moment),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    role: Role,
    /// In time since the machine's start.
    began: Option<Duration>,
    /// It had begun by this time.
    lived: Duration,
    /// Its first thread ended at this time. Others may go on, or one of them executes a program and takes its place.
    gone: Option<Duration>,
}

impl Entry {
    fn new(role: Role, began: Option<Duration>, at: Moment) -> Self {
        Self { role, began, lived: at.since_boot(), gone: None }
    }

    /// Returns whether a process that began then can be this one.
    fn is(&self, began: Duration) -> bool {
        match self.began {
            Some(own) => own.abs_diff(began) <= BEGIN_TOLERANCE,
            None => began <= self.lived + BEGIN_TOLERANCE,
        }
    }
}

#[derive(Debug)]
struct Running {
    build: Build,
    /// The process group of its root, which a script that started it may share.
    group: Option<i32>,
    is_told: bool,
}

/// The state: processes that are of builds, or below which none is looked for. All others are absent.
#[derive(Debug, Default)]
pub struct Tracker {
    processes: HashMap<i32, Entry>,
    running: BTreeMap<BuildId, Running>,
    /// Builds of which a process leads this process group or session. Orphans are known by them.
    leaders: HashMap<i32, BuildId>,
    n_builds: u64,
    /// At most so many processes are there only because their first thread may not have been the last.
    n_gone: usize,
    next_forget: Duration,
}

impl Tracker {
    /// Makes a tracker of a machine without processes. The first input is best a list of all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether a process is of a build, or below something that has none: then its programs need not be looked up.
    pub fn is_settled(&self, pid: i32) -> bool {
        self.processes.get(&pid).is_some_and(|entry| !matches!(entry.role, Role::Unseen(_)))
    }

    /// Notes that a process executes a program. Returns whether its part is settled, so that the program need not be looked up.
    ///
    /// The first thread of the process may have ended before: another one has taken its place.
    pub fn executes(&mut self, pid: i32) -> bool {
        let Some(entry) = self.processes.get_mut(&pid) else { return false };
        entry.gone = None;
        !matches!(entry.role, Role::Unseen(_))
    }

    /// Returns the processes whose first thread ended more than a second ago, in the order of their numbers. They are forgotten
    /// unless `lives`, given a number and the time by which the process had begun, says that other threads go on.
    pub fn forget_ended(&mut self, at: Moment, lives: impl Fn(i32, Duration) -> bool) {
        let now = at.since_boot();
        if self.n_gone == 0 || now < self.next_forget {
            return;
        }
        self.next_forget = now + LINGER;
        let mut n_gone = 0;
        self.processes.retain(|pid, entry| match entry.gone {
            Some(gone) if now.saturating_sub(gone) >= LINGER => {
                let lives = lives(*pid, entry.lived + BEGIN_TOLERANCE);
                entry.gone = Some(now);
                n_gone += usize::from(lives);
                lives
            }
            Some(_) => {
                n_gone += 1;
                true
            }
            None => true,
        });
        self.n_gone = n_gone;
    }

    /// Returns the build of which this process is the root.
    pub fn root(&self, pid: i32) -> Option<BuildId> {
        match self.processes.get(&pid)?.role {
            Role::Root(build) if self.running.contains_key(&build) => Some(build),
            _ => None,
        }
    }

    /// Returns the builds that are going on, in the order of their beginning.
    pub fn running(&self) -> impl Iterator<Item = &Build> {
        self.running.values().map(|running| &running.build)
    }

    /// Returns the processes of each build that is going on, in the order of their numbers.
    pub fn families(&self) -> BTreeMap<BuildId, Vec<i32>> {
        let mut families: BTreeMap<BuildId, Vec<i32>> = BTreeMap::new();
        for (pid, entry) in self.processes.iter().filter(|(_, entry)| entry.gone.is_none()) {
            if let Role::Root(build) | Role::Member(build) = entry.role
                && self.running.contains_key(&build)
            {
                families.entry(build).or_default().push(*pid);
            }
        }
        families.values_mut().for_each(|pids| pids.sort_unstable());
        families
    }

    /// Returns the number of processes that are remembered.
    pub fn n_processes(&self) -> usize {
        self.processes.len()
    }

    /// Takes an event. Appends changes to `out`.
    pub fn apply(&mut self, input: Input, at: Moment, out: &mut Vec<Output>) {
        match input {
            Input::Fork { parent, child } => self.fork(parent, child, at, out),
            Input::Exec { pid, lookup } => self.exec(pid, lookup, at, out),
            Input::Exit { pid, end } => {
                let Some(entry) = self.processes.get_mut(&pid) else { return };
                match entry.role {
                    Role::Root(build) => {
                        self.processes.remove(&pid);
                        self.finish(build, end, at, out);
                    }
                    Role::Unseen(since) => {
                        self.processes.remove(&pid);
                        let elapsed = at.awake.saturating_sub(since.awake);
                        if elapsed >= SHORTEST {
                            out.push(Output::Missed { pid, elapsed });
                        }
                    }
                    Role::Member(_) | Role::NotBuild => {
                        entry.gone = Some(at.since_boot());
                        self.n_gone += 1;
                    }
                }
            }
            Input::Ended { build, end } => {
                let root = self.running.get(&build).map(|running| running.build.pid);
                if let Some(root) = root
                    && self.processes.get(&root).is_some_and(|entry| entry.role == Role::Root(build))
                {
                    self.processes.remove(&root);
                }
                self.finish(build, end, at, out);
            }
            Input::Processes { scan, known_until, processes, ends_follow } => {
                self.forget(scan, &processes, ends_follow, at, out);
                self.take_list(known_until, &processes, at, out);
            }
            Input::Usage { build, cpu, resident } => {
                if let Some(Running { build, .. }) = self.running.get_mut(&build) {
                    build.cpu = build.cpu.max(Some(cpu));
                    build.peak = build.peak.max(Some(resident).filter(|&bytes| bytes > 0));
                }
            }
        }
    }

    /// Lets time pass. Appends changes to `out`.
    pub fn tick(&mut self, at: Moment, out: &mut Vec<Output>) {
        for running in self.running.values_mut().filter(|running| !running.is_told) {
            running.build.until = at;
            if running.build.elapsed().unwrap_or(running.build.seen_for()) > STARTED_AFTER {
                running.is_told = true;
                out.push(Output::Started(running.build.clone()));
            }
        }
    }

    fn fork(&mut self, parent: i32, child: i32, at: Moment, out: &mut Vec<Output>) {
        // A list has shown it already, and this event was in the queue before.
        let began = self.processes.get(&child).and_then(|entry| entry.began);
        if began.is_some_and(|began| began + BEGIN_TOLERANCE >= at.since_boot()) {
            return;
        }
        // Its number was another process's, of whose end the event was lost.
        if let Some(Entry { role: Role::Root(build), .. }) = self.processes.remove(&child) {
            self.finish_lossy(build, at, out);
        }
        let role = match self.processes.get(&parent).map(|entry| entry.role) {
            Some(Role::Root(build) | Role::Member(build)) => Role::Member(build),
            Some(Role::NotBuild) => Role::NotBuild,
            Some(Role::Unseen(_)) | None => return,
        };
        if let Role::Member(build) = role
            && let Some(Running { build: Build { n_processes: Some(n), .. }, .. }) =
                self.running.get_mut(&build)
        {
            *n += 1;
        }
        self.processes.insert(child, Entry::new(role, Some(at.since_boot()), at));
    }

    fn exec(&mut self, pid: i32, lookup: Lookup, at: Moment, out: &mut Vec<Output>) {
        // A chain of execs belongs to its first build, and to the daemon that it was.
        if self.executes(pid) {
            return;
        }
        let unseen = match self.processes.get(&pid).map(|entry| entry.role) {
            Some(Role::Unseen(since)) => Some(since),
            _ => None,
        };
        let role = match lookup {
            Lookup::Found(Image { class: Class::NotBuild, .. }) => Role::NotBuild,
            Lookup::Found(image @ Image { class: Class::Build, .. }) => {
                self.begin(pid, None, image, Some(unseen.unwrap_or(at)), at, out);
                return;
            }
            Lookup::Gone => Role::Unseen(unseen.unwrap_or(at)),
            Lookup::Found(Image { class: Class::Other, .. }) | Lookup::Hidden => {
                self.processes.remove(&pid);
                return;
            }
        };
        self.processes.insert(pid, Entry::new(role, None, at));
    }

    fn begin(
        &mut self,
        pid: i32,
        process: Option<&Seen>,
        image: Image,
        since: Option<Moment>,
        at: Moment,
        out: &mut Vec<Output>,
    ) {
        let id = BuildId(self.n_builds);
        self.n_builds += 1;
        let began = process.map(|process| process.began);
        let build = Build {
            id,
            pid,
            process_began: began,
            image,
            since,
            seen: since.unwrap_or(at),
            until: at,
            end: None,
            n_processes: process.is_none().then_some(1),
            cpu: None,
            peak: None,
            is_lossy: false,
        };
        out.push(Output::Began(build.clone()));
        self.processes.insert(pid, Entry::new(Role::Root(id), began, at));
        let group = process.map(|process| process.group);
        self.running.insert(id, Running { build, group, is_told: false });
    }

    fn finish(&mut self, build: BuildId, end: Option<End>, at: Moment, out: &mut Vec<Output>) {
        let Some(Running { mut build, .. }) = self.running.remove(&build) else { return };
        build.until = at;
        build.end = end;
        let is_build = match build.elapsed() {
            Some(elapsed) => elapsed >= SHORTEST,
            // It was there before the sensor, and is no guess.
            None => true,
        };
        out.push(if is_build { Output::Ended(build) } else { Output::Dropped(build.id) });
    }

    fn finish_lossy(&mut self, build: BuildId, at: Moment, out: &mut Vec<Output>) {
        if let Some(Running { build, .. }) = self.running.get_mut(&build) {
            build.is_lossy = true;
        }
        self.finish(build, None, at, out);
    }

    /// Finds the part that each process of a list plays.
    fn take_list(
        &mut self,
        known_until: Option<Moment>,
        processes: &[Seen],
        at: Moment,
        out: &mut Vec<Output>,
    ) {
        let by_pid: HashMap<i32, &Seen> = processes.iter().map(|process| (process.pid, process)).collect();
        // Those that began first, first: parents come before their children, unless a child has a new parent.
        let mut order: Vec<&Seen> = processes.iter().collect();
        order.sort_unstable_by_key(|process| (process.began, process.pid));
        let groups: HashSet<i32> =
            processes.iter().flat_map(|process| [process.group, process.session]).collect();
        self.leaders.retain(|leader, _| groups.contains(leader));
        let mut done = HashSet::new();
        for process in order {
            // Parents with the same time and a higher number, and younger ones, before.
            let mut chain = vec![process];
            while let Some(parent) = chain.last().and_then(|last| by_pid.get(&last.parent))
                && !done.contains(&parent.pid)
                && chain.iter().all(|link| link.pid != parent.pid)
            {
                chain.push(parent);
            }
            for link in chain.into_iter().rev() {
                if done.insert(link.pid) {
                    self.place(link, known_until, by_pid.get(&link.parent).copied(), at, out);
                }
            }
        }
    }

    /// Forgets processes that have ended.
    fn forget(
        &mut self,
        scan: Scan,
        processes: &[Seen],
        ends_follow: bool,
        at: Moment,
        out: &mut Vec<Output>,
    ) {
        if scan == Scan::AfterLoss {
            for running in self.running.values_mut() {
                running.build.is_lossy = true;
                running.build.n_processes = None;
            }
        }
        let by_pid: HashMap<i32, &Seen> = processes.iter().map(|process| (process.pid, process)).collect();
        let mut gone: Vec<(i32, Role, Option<Option<End>>)> = Vec::new();
        self.processes.retain(|pid, entry| {
            let (is_same, zombie) = match by_pid.get(pid) {
                Some(process) => {
                    let is_same = entry.is(process.began);
                    entry.began = Some(process.began);
                    (is_same, process.zombie)
                }
                None => (false, None),
            };
            let lives = is_same && zombie.is_none();
            if !lives {
                gone.push((*pid, entry.role, zombie.filter(|_| is_same)));
            }
            lives
        });
        gone.sort_unstable_by_key(|(pid, ..)| *pid);
        for (_, role, zombie) in gone {
            if let Role::Root(build) = role
                && !ends_follow
            {
                match scan {
                    Scan::AfterLoss => self.finish_lossy(build, at, out),
                    Scan::First | Scan::Regular => self.finish(build, zombie.flatten(), at, out),
                }
            }
        }
    }

    /// Finds the part that a process of a list plays.
    fn place(
        &mut self,
        process: &Seen,
        known_until: Option<Moment>,
        parent: Option<&Seen>,
        at: Moment,
        out: &mut Vec<Output>,
    ) {
        let known = self.processes.get(&process.pid).map(|entry| entry.role);
        let role = match known {
            Some(Role::Root(build)) => match self.refine(build, process) {
                Ok(()) => Role::Root(build),
                Err(()) => {
                    out.push(Output::Dropped(build));
                    Role::NotBuild
                }
            },
            Some(role @ (Role::Member(_) | Role::NotBuild)) => role,
            _ if process.zombie.is_some() => return,
            _ => {
                let above = self.processes.get(&process.parent).map(|entry| entry.role);
                let inherited = match above {
                    Some(Role::Root(build) | Role::Member(build)) => Some(Role::Member(build)),
                    Some(Role::NotBuild) => Some(Role::NotBuild),
                    Some(Role::Unseen(_)) | None => self.relative(process, parent),
                };
                match (inherited, &process.image) {
                    (Some(role), _) => role,
                    (None, Some(image)) if image.class == Class::NotBuild => Role::NotBuild,
                    (None, Some(image)) if image.class == Class::Build => {
                        let since = known_until.map(|before| since(process, before, at));
                        self.begin(process.pid, Some(process), image.clone(), since, at, out);
                        self.note_leader(process);
                        return;
                    }
                    (None, _) => {
                        self.processes.remove(&process.pid);
                        return;
                    }
                }
            }
        };
        self.processes.insert(process.pid, Entry::new(role, Some(process.began), at));
        if let Role::Root(build) = role
            && let Some(running) = self.running.get_mut(&build)
        {
            running.group = Some(process.group);
            running.build.process_began = Some(process.began);
        }
        self.note_leader(process);
    }

    /// Completes what is known of a root whose arguments were not there yet. Fails if they say that it is no build.
    fn refine(&mut self, build: BuildId, process: &Seen) -> Result<(), ()> {
        let (Some(running), Some(image)) = (self.running.get_mut(&build), &process.image) else {
            return Ok(());
        };
        let known = &running.build.image;
        if known.program != image.program
            || known.command.contains(' ')
            || image.class == known.class && !image.command.contains(' ')
        {
            return Ok(());
        }
        if image.class != Class::Build {
            self.running.remove(&build);
            return Err(());
        }
        running.build.image = image.clone();
        Ok(())
    }

    fn note_leader(&mut self, process: &Seen) {
        if (process.pid == process.group || process.pid == process.session)
            && let Some(Entry { role: Role::Root(build) | Role::Member(build), .. }) =
                self.processes.get(&process.pid)
        {
            self.leaders.insert(process.pid, *build);
        }
    }

    /// Returns the part of an orphan, as far as anything tells it.
    ///
    /// A process group or session whose leader is of a build has only processes of that build in it. In one that the root
    /// shares with the script that started it, a process is of the build if whoever started it is gone. And an orphan that has
    /// the environment of a build tool is of some build, which may have ended.
    fn relative(&self, process: &Seen, parent: Option<&Seen>) -> Option<Role> {
        let led = |leader: i32| self.leaders.get(&leader).copied().filter(|_| leader != process.pid);
        if let Some(build) = led(process.group).or_else(|| led(process.session)) {
            return Some(Role::Member(build));
        }
        // Children are in the session of their parent until they lead one.
        let is_orphan = process.parent <= 1
            || parent
                .is_none_or(|parent| parent.session != process.session && process.session != process.pid);
        if !is_orphan {
            return None;
        }
        let nested = process.image.as_ref().filter(|image| image.is_nested);
        let relative = self.running.values().rev().find(|running| {
            let is_older = running.build.process_began.is_none_or(|began| began <= process.began);
            let has_group = running.group == Some(process.group);
            is_older && (has_group || nested.is_some_and(|image| image.user == running.build.image.user))
        });
        match relative {
            Some(running) => Some(Role::Member(running.build.id)),
            None => nested.map(|_| Role::NotBuild),
        }
    }
}

/// Returns the moment at which a build began that a list shows: its process began after everything was known, or it has been
/// another program at that time.
fn since(process: &Seen, before: Moment, at: Moment) -> Moment {
    let began = process.began.saturating_sub(at.suspended);
    if began > before.awake { Moment { awake: began.min(at.awake), ..at } } else { before }
}
