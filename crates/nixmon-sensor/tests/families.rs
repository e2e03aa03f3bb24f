//! Families of processes: cases as data, and random trees of known truth.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use nixmon_sensor::model::build::{End, Image, Moment};
use nixmon_sensor::model::programs::{Class, Rules};
use nixmon_sensor::model::tracker::{Input, Lookup, Output, Scan, Seen, Tracker};
use proptest::prelude::*;

fn image(line: &str) -> Image {
    static KNOWN: Mutex<BTreeMap<String, Image>> = Mutex::new(BTreeMap::new());
    KNOWN.lock().unwrap().entry(line.to_owned()).or_insert_with(|| new_image(line)).clone()
}

fn new_image(line: &str) -> Image {
    let rules = Rules::default();
    let words: Vec<String> = line.split(['_', ' ']).map(str::to_owned).collect();
    let command = rules.command(&words, None);
    Image {
        class: rules.class(&command),
        label: command.label(),
        command: line.replace('_', " "),
        directory: None,
        user: Some(0),
        is_nested: false,
        program: command.program,
    }
}

fn at(ms: u64) -> Moment {
    Moment { awake: Duration::from_millis(ms), suspended: Duration::ZERO }
}

fn end(text: &str) -> Option<End> {
    match text.split_at(1) {
        ("?", _) => None,
        ("s", signal) => Some(End::Signal(signal.parse().unwrap())),
        _ => Some(End::Status(text.parse().unwrap())),
    }
}

/// Describes what a tracker says: `make 2 900ms 3p` for a build that ended with status 2 and had three processes.
fn told(outputs: &[Output]) -> Vec<String> {
    let describe = |output: &Output| {
        let (word, build) = match output {
            Output::Started(build) => ("started ", build),
            Output::Ended(build) => ("", build),
            Output::Missed { pid, elapsed } => {
                return Some(format!("missed {pid} {}ms", elapsed.as_millis()));
            }
            Output::Began(_) | Output::Dropped(_) => return None,
        };
        let end = match build.end {
            None => "?".to_owned(),
            Some(End::Status(status)) => status.to_string(),
            Some(End::Signal(signal)) => format!("s{signal}"),
        };
        let elapsed = build.elapsed().map_or("?".to_owned(), |elapsed| elapsed.as_millis().to_string());
        let mut text = format!("{word}{} {end} {elapsed}ms", build.image.command);
        if let Some(n) = build.n_processes {
            text.push_str(&format!(" {n}p"));
        }
        if build.is_lossy {
            text.push_str(" lossy");
        }
        if !build.suspended().is_zero() {
            text.push_str(&format!(" suspended {}ms", build.suspended().as_millis()));
        }
        Some(text)
    };
    outputs.iter().filter_map(describe).collect()
}

/// Plays a script. Each line has a time in milliseconds and events: `fork PARENT CHILD`, `exec PID PROGRAM` (arguments after
/// `_`), `gone PID`, `exit PID END`, `sleep MS` for a suspended machine, `lives PID…` for a look at those whose first thread has
/// ended, and lists: `first`, `list` or `loss` with
/// `PID:PARENT:GROUP:SESSION:BEGAN:PROGRAM` each.
#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let mut tracker = Tracker::new();
    let mut out = Vec::new();
    let mut suspended = Duration::ZERO;
    let mut known_until = None;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (time, events) = line.split_once(' ').unwrap();
        let now = |suspended| Moment { suspended, ..at(time.parse().unwrap()) };
        for event in events.split("; ") {
            let words: Vec<&str> = event.split(' ').collect();
            let pid = |n: usize| words[n].parse::<i32>().unwrap();
            let input = match words[0] {
                "fork" => Input::Fork { parent: pid(1), child: pid(2) },
                "exec" => Input::Exec { pid: pid(1), lookup: Lookup::Found(image(words[2])) },
                "gone" => Input::Exec { pid: pid(1), lookup: Lookup::Gone },
                "hidden" => Input::Exec { pid: pid(1), lookup: Lookup::Hidden },
                "exit" => Input::Exit { pid: pid(1), end: end(words[2]) },
                "sleep" => {
                    suspended += Duration::from_millis(words[1].parse().unwrap());
                    continue;
                }
                "lives" => {
                    let living: Vec<i32> = (1..words.len()).map(pid).collect();
                    tracker.forget_ended(now(suspended), |pid, _| living.contains(&pid));
                    continue;
                }
                "tick" => {
                    tracker.tick(now(suspended), &mut out);
                    continue;
                }
                name => {
                    let scan = match name {
                        "first" => Scan::First,
                        "list" => Scan::Regular,
                        _ => Scan::AfterLoss,
                    };
                    let processes = words[1..].iter().map(|text| seen(text)).collect();
                    let until = known_until.filter(|_| scan != Scan::First);
                    Input::Processes { scan, known_until: until, processes, ends_follow: false }
                }
            };
            if matches!(input, Input::Processes { .. }) {
                known_until = Some(now(suspended));
            }
            tracker.apply(input, now(suspended), &mut out);
        }
    }
    assert_eq!(told(&out), expected, "{script}");
}

fn seen(text: &str) -> Seen {
    let fields: Vec<&str> = text.split(':').collect();
    let number = |n: usize| fields[n].parse::<i32>().unwrap();
    // `Z` and an end for a zombie, `N` for one that a build tool has started.
    let (zombie, program) = match fields[5].strip_prefix('Z') {
        Some(text) => (Some(end(text)), None),
        None => (None, Some(fields[5])),
    };
    let image = program.map(|program| match program.strip_prefix('N') {
        Some(program) => Image { is_nested: true, ..image(program) },
        None => image(program),
    });
    Seen {
        pid: number(0),
        parent: number(1),
        group: number(2),
        session: number(3),
        began: Duration::from_millis(fields[4].parse().unwrap()),
        image,
        zombie,
    }
}

#[test]
fn the_topmost_process_of_a_family_is_the_build() {
    for (script, expected) in [
        // Nested tools belong to their root.
        (
            "0 fork 1 10; exec 10 make
             10 fork 10 11; exec 11 gcc
             20 fork 11 12; exec 12 ld
             700 exit 12 0; exit 11 0
             900 exit 10 2",
            &["make 2 900ms 3p"][..],
        ),
        // A wrapper is none, and what it starts is.
        (
            "0 fork 1 10; exec 10 sh; fork 10 11; exec 11 make\n 700 exit 11 0; exit 10 3",
            &["make 0 700ms 1p"],
        ),
        // A chain of execs, as of rustup's proxy, keeps its beginning and its root.
        (
            "0 fork 1 10; exec 10 cargo_build\n 100 exec 10 cargo_build; exec 10 sh\n 600 exit 10 s9",
            &["cargo build s9 600ms 1p"],
        ),
        // It begins where its program does.
        ("0 fork 1 10; exec 10 sh\n 400 exec 10 make\n 1000 exit 10 0", &["make 0 600ms 1p"]),
        // A child of a fork without exec, and one that has lost its parent.
        (
            "0 fork 1 10; exec 10 ninja; fork 10 11; fork 11 12; exit 11 0; exec 12 gcc
             800 exit 12 1; exit 10 0",
            &["ninja 0 800ms 3p"],
        ),
        // What outlives the root is none of its own.
        (
            "0 fork 1 10; exec 10 make; fork 10 11\n 600 exit 10 0\n 700 exec 11 gcc\n 2000 exit 11 1",
            &["make 0 600ms 2p"],
        ),
        // Two at once.
        (
            "0 fork 1 10; exec 10 make; fork 1 20; exec 20 ninja\n 600 exit 20 1\n 900 exit 10 0",
            &["ninja 1 600ms 1p", "make 0 900ms 1p"],
        ),
        // Another thread than the first executes a program: the first ends before.
        (
            "0 fork 1 10; exec 10 make; fork 10 11; exec 11 go
             200 exit 11 s9; exec 11 gcc; fork 11 12; exec 12 cc
             1000 exit 12 0; exit 11 1
             1100 exit 10 0",
            &["make 0 1100ms 3p"],
        ),
        // The first thread ends, and others start programs.
        (
            "0 fork 1 10; exec 10 make; fork 10 11; exec 11 python\n 200 exit 11 0
             5000 lives 11; fork 11 12; exec 12 gcc\n 6000 exit 12 1\n 9000 lives; exit 10 0",
            &["make 0 9000ms 3p"],
        ),
        // Their number is another process's later.
        (
            "0 fork 1 10; exec 10 make; fork 10 11\n 200 exit 11 0\n 300 fork 1 11; exec 11 gcc
             900 exit 11 1; exit 10 0",
            &["gcc 1 600ms 1p", "make 0 900ms 2p"],
        ),
        // Too short.
        ("0 fork 1 10; exec 10 make\n 499 exit 10 1", &[]),
        // Too long for one event.
        (
            "0 fork 1 10; exec 10 make\n 10000 tick\n 10001 tick\n 10002 tick\n 11000 exit 10 0",
            &["started make ? 10001ms 1p", "make 0 11000ms 1p"],
        ),
    ] {
        check(script, expected);
    }
}

#[test]
fn what_is_no_build() {
    for (script, expected) in [
        ("0 exec 10 cargo_metadata; fork 10 11; exec 11 rustc\n 900 exit 11 0; exit 10 0", &[][..]),
        // A daemon that a build has started builds for others.
        (
            "0 exec 10 make; fork 10 11; exec 11 sccache\n 600 exit 10 0\n 700 fork 11 12; exec 12 gcc\n 2000 exit 12 0",
            &["make 0 600ms 2p"],
        ),
        (
            "0 exec 10 nix-daemon; fork 10 11; fork 11 12; exec 12 sh; fork 12 13; exec 13 make\n 2000 exit 13 0",
            &[],
        ),
        // A run of nixmon knows it better.
        (
            "0 exec 10 nixmon_run; fork 10 11; exec 11 nixmon_guard; fork 11 12; exec 12 make\n 2000 exit 12 0",
            &[],
        ),
        ("0 exec 10 rust-analyzer; fork 10 11; exec 11 cargo_check\n 2000 exit 11 0", &[]),
        // A shell inside of nix develop is the user's.
        (
            "0 exec 10 nix_develop; exec 10 bash; fork 10 11; exec 11 make\n 2000 exit 11 0",
            &["make 0 2000ms 1p"],
        ),
    ] {
        check(script, expected);
    }
}

#[test]
fn what_escapes_is_said() {
    for (script, expected) in [
        // It had ended before it was looked at.
        ("0 gone 10\n 700 exit 10 0", &["missed 10 700ms"][..]),
        ("0 gone 10\n 400 exit 10 0", &[]),
        // It is another user's, and the system hides it.
        ("0 hidden 10\n 700 exit 10 0", &[]),
        // It was seen at its second program.
        ("0 gone 10\n 100 exec 10 make\n 700 exit 10 0", &["make 0 700ms 1p"]),
        // A process number is used again, and the event of its end was lost.
        (
            "0 exec 10 make\n 900 fork 1 10\n 1000 exec 10 make\n 1700 exit 10 3",
            &["make ? 900ms 1p lossy", "make 3 700ms 1p"],
        ),
    ] {
        check(script, expected);
    }
}

#[test]
fn lists_of_processes() {
    for (script, expected) in [
        // It began before the sensor.
        ("5000 first 10:1:10:1:100:make 11:10:10:1:200:gcc\n 5100 exit 11 0; exit 10 0", &["make 0 ?ms"][..]),
        ("5000 first\n 5240 list 10:1:10:1:5100:make\n 6000 list", &["make ? 900ms"]),
        // It was another program at the last list.
        ("5000 first 10:1:10:1:100:sh\n 5240 list 10:1:10:1:100:make\n 6000 list", &["make ? 1000ms"]),
        // npm says only later what it runs.
        (
            "5000 first
             5240 list 10:1:10:1:5100:npm
             5480 list 10:1:10:1:5100:npm_run_build
             6000 list",
            &["npm run build ? 900ms"],
        ),
        (
            "5000 first
             5240 list 10:1:10:1:5100:npm
             5480 list 10:1:10:1:5100:npm_run_dev 11:10:10:1:5300:tsc
             6000 list",
            &[],
        ),
        // Its parent has not waited for it yet.
        (
            "5000 first\n 5240 list 10:1:10:1:5100:make\n 6000 list 10:1:10:1:5100:Z7\n 6240 list",
            &["make 7 900ms"],
        ),
        // The parent of a process that a subreaper has taken is younger than it.
        ("5000 first 12:10:10:1:50:gcc 10:1:10:1:100:make\n 6000 exit 10 0", &["make 0 ?ms"]),
        // An orphan is in the process group or the session that its family leads, ...
        (
            "5000 first 10:2:10:1:100:make 11:1:10:1:4000:gcc 12:1:12:12:4000:ninja\n 6000 list",
            &["make ? ?ms", "ninja ? ?ms"],
        ),
        ("5000 first 10:2:10:10:100:make 11:1:11:10:4000:gcc\n 6000 list", &["make ? ?ms"]),
        // ... or in one that its root shares with a script, ...
        ("5000 first 5:4:5:4:50:sh 10:5:5:4:100:make 11:1:5:4:4000:gcc\n 6000 list", &["make ? ?ms"]),
        // ... where the next child of the script is no orphan.
        (
            "5000 first 5:4:5:4:50:sh 10:5:5:4:100:make 11:5:5:4:4000:ninja\n 6000 list",
            &["make ? ?ms", "ninja ? ?ms"],
        ),
        // A tool has told it in its environment.
        ("5000 first 10:2:10:2:100:make 11:1:11:11:4000:Ngcc\n 6000 list", &["make ? ?ms"]),
        // After its root has ended, the group says so still.
        ("5000 first 10:2:10:2:100:make\n 6000 list 11:1:10:2:5500:gcc\n 7000 list", &["make ? ?ms"]),
        // Lost events.
        (
            "0 first\n 100 exec 10 make; exec 20 ninja; exec 30 gcc
             2000 loss 10:1:10:1:100:make 11:10:10:1:1900:gcc 30:1:30:1:1800:cargo
             3000 exit 11 0; exit 10 4; exit 30 0",
            &["ninja ? 1900ms lossy", "gcc ? 1900ms lossy", "make 4 2900ms lossy", "cargo 0 1200ms"],
        ),
        // An event from before the list is in the queue after it.
        (
            "0 first\n 500 loss 10:1:10:1:400:make\n 400 fork 1 10; exec 10 make\n 1000 exit 10 0",
            &["make 0 600ms"],
        ),
        // The machine was suspended.
        ("0 exec 10 make\n 100 sleep 60000\n 700 exit 10 0", &["make 0 700ms 1p suspended 60000ms"]),
        ("0 sleep 60000; first\n 700 list 10:1:10:1:60100:make\n 1000 list", &["make ? 900ms"]),
    ] {
        check(script, expected);
    }
}

/// A process of a random tree: what it does and when, in milliseconds.
#[derive(Clone, Debug, Default)]
struct Life {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// The time of its fork.
    began: u64,
    ended: u64,
    end: i32,
    /// Programs and when it executes them, in order.
    execs: Vec<(u64, &'static str)>,
    /// It belongs to a family, below the root.
    is_nested: bool,
}

/// A build as it truly was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Truth {
    began: u64,
    pid: i32,
    ended: u64,
    end: i32,
}

/// Makes random trees from random words.
struct Forest<'w> {
    words: std::slice::Iter<'w, u16>,
    lives: Vec<Life>,
    truths: Vec<Truth>,
    /// Times at which numbers are free again.
    free: HashMap<i32, u64>,
}

const SHELL: i32 = 100;
const TOOLS: [&str; 5] = ["make", "cargo", "gcc", "ninja", "nix-build"];

impl Forest<'_> {
    fn random(&mut self, below: u64) -> u64 {
        u64::from(self.words.next().copied().unwrap_or(7)) % below.max(1)
    }

    /// Returns a number that nobody has during this time: the lowest, so that numbers are used again.
    fn pid(&mut self, began: u64, ended: u64) -> i32 {
        let pid = (101..).find(|pid| self.free.get(pid).is_none_or(|free| free + 60 < began)).unwrap();
        self.free.insert(pid, ended);
        pid
    }

    fn root(&mut self, begin: u64) {
        // Neither too short for one backend nor long enough for another.
        let length = if self.random(4) == 0 { self.random(200) } else { 800 + self.random(4000) };
        // A wrapper comes first, for longer than the time between two lists.
        let wrapped = if self.random(3) == 0 { 20 + self.random(600) } else { 0 };
        let began = begin + wrapped;
        let ended = began + length;
        let pid = self.pid(begin, ended);
        let leads = self.random(2) == 0;
        let mut execs = if wrapped > 0 { vec![(begin, "sh")] } else { Vec::new() };
        let tool = |word: u64| TOOLS[usize::try_from(word).unwrap() % TOOLS.len()];
        execs.push((began, tool(self.random(9))));
        for n in 0..self.random(3) {
            execs.push((began + (n + 1) * length / 4, tool(self.random(9))));
        }
        let end = [0, 0, 1 << 8, 2 << 8, 2, 9, 15][usize::try_from(self.random(7)).unwrap()];
        self.truths.push(Truth { began, pid, ended, end });
        let group = if leads { pid } else { SHELL };
        let life = Life {
            pid,
            parent: SHELL,
            group,
            session: SHELL,
            began: begin,
            ended,
            end,
            execs,
            ..Life::default()
        };
        self.lives.push(life.clone());
        for _ in 0..self.random(4) {
            self.child(&life, began, 0);
        }
    }

    fn child(&mut self, parent: &Life, after: u64, depth: u64) {
        let span = parent.ended - after;
        // After the exec of its parent.
        let began = after + 1 + self.random(span.max(1));
        if began >= parent.ended {
            return;
        }
        // Some outlive their parent, by much.
        let most = if self.random(4) == 0 { 6000 } else { span + 1 };
        let ended = began + 1 + self.random(most);
        let pid = self.pid(began, ended);
        let mut execs = Vec::new();
        if self.random(5) > 0 {
            let name =
                if self.random(3) == 0 { "sh" } else { TOOLS[usize::try_from(self.random(5)).unwrap()] };
            execs.push((began, name));
        }
        let setsid = self.random(6) == 0;
        let (group, session) = if setsid { (pid, pid) } else { (parent.group, parent.session) };
        let end = if self.random(2) == 0 { 0 } else { 256 };
        let life =
            Life { pid, parent: parent.pid, group, session, began, ended, end, execs, is_nested: true };
        self.lives.push(life.clone());
        if depth < 3 {
            for _ in 0..self.random(4) {
                self.child(&life, began, depth + 1);
            }
        }
    }
}

fn forest(words: &[u16]) -> (Vec<Life>, Vec<Truth>) {
    let mut forest =
        Forest { words: words.iter(), lives: Vec::new(), truths: Vec::new(), free: HashMap::new() };
    let mut begin = 1000;
    while forest.words.len() > 0 {
        forest.root(begin);
        begin += forest.random(1500);
    }
    let Forest { lives, mut truths, .. } = forest;
    truths.sort();
    (lives, truths)
}

/// Returns the events of all lives in the order of their time.
fn events(lives: &[Life]) -> Vec<(u64, Input)> {
    let mut events = Vec::new();
    for life in lives {
        events.push((life.began, 0, Input::Fork { parent: life.parent, child: life.pid }));
        for (at, program) in &life.execs {
            if *at <= life.ended {
                let image = Image { is_nested: life.is_nested, ..image(program) };
                events.push((*at, 1, Input::Exec { pid: life.pid, lookup: Lookup::Found(image) }));
            }
        }
        let end = pidfd_info::Exit::from_wait_status(life.end).into();
        events.push((life.ended, 3, Input::Exit { pid: life.pid, end: Some(end) }));
    }
    // A parent is older than its children, also where the time is the same.
    events.sort_by_key(|(at, order, _)| (*at, *order));
    events.into_iter().map(|(at, _, input)| (at, input)).collect()
}

/// Returns all processes at a time. Orphans are children of the first process.
fn list(lives: &[Life], now: u64) -> Vec<Seen> {
    let living: Vec<&Life> = lives.iter().filter(|life| life.began <= now && now < life.ended).collect();
    let began: BTreeMap<i32, u64> = living.iter().map(|life| (life.pid, life.began)).collect();
    let shell = Seen {
        pid: SHELL,
        parent: 1,
        group: SHELL,
        session: SHELL,
        began: Duration::ZERO,
        image: Some(image("bash")),
        zombie: None,
    };
    let seen = living.iter().map(|life| {
        let has_parent =
            life.parent == SHELL || began.get(&life.parent).is_some_and(|began| *began <= life.began);
        let parent_began = lives.iter().rfind(|other| other.pid == life.parent && other.began <= life.began);
        let is_same = life.parent == SHELL
            || parent_began.is_some_and(|other| began.get(&life.parent) == Some(&other.began));
        let program = life.execs.iter().rfind(|(at, _)| *at <= now).map(|(_, program)| *program);
        // Before its exec it is a copy of its parent.
        let program = program.or_else(|| {
            let execs = &parent_began?.execs;
            execs.iter().rfind(|(at, _)| *at <= life.began).map(|(_, program)| *program)
        });
        let program = Some(program.unwrap_or("sh"));
        Seen {
            pid: life.pid,
            parent: if has_parent && is_same { life.parent } else { 1 },
            group: life.group,
            session: life.session,
            // In hundredths of a second.
            began: Duration::from_millis(life.began / 10 * 10),
            image: program.map(|program| Image { is_nested: life.is_nested, ..image(program) }),
            zombie: None,
        }
    });
    seen.chain([shell]).collect()
}

/// Returns the builds that a tracker told: pid, end of the root, result, and when it began if that is known.
fn builds(outputs: &[Output]) -> Vec<(i32, u64, Option<End>, Option<u64>)> {
    let millis = |moment: Moment| u64::try_from(moment.awake.as_millis()).unwrap();
    let ended = outputs.iter().filter_map(|output| match output {
        Output::Ended(build) => Some((build.pid, millis(build.until), build.end, build.since.map(millis))),
        _ => None,
    });
    ended.collect()
}

fn words() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// With all events, everything is exact.
    #[test]
    fn events_tell_everything(words in words()) {
        let (lives, truths) = forest(&words);
        let mut tracker = Tracker::new();
        let mut out = Vec::new();
        for (time, input) in events(&lives) {
            tracker.apply(input, at(time), &mut out);
        }
        let mut told = builds(&out);
        told.sort_by_key(|(pid, _, _, began)| (*began, *pid));
        let mut expected: Vec<_> = truths.iter().filter(|truth| truth.ended - truth.began >= 500).map(|truth| {
            let end = pidfd_info::Exit::from_wait_status(truth.end).into();
            (truth.pid, truth.ended, Some(end), Some(truth.began))
        }).collect();
        expected.sort_by_key(|(pid, _, _, began)| (*began, *pid));
        prop_assert_eq!(told, expected);
        tracker.forget_ended(at(u64::from(u32::MAX)), |_, _| false);
        prop_assert_eq!(tracker.n_processes(), 0);
        prop_assert_eq!(tracker.running().count(), 0);
    }

    /// Lists tell each build once, and no result.
    #[test]
    fn lists_tell_each_build_once(words in words(), offset in 0_u64..240) {
        let (lives, truths) = forest(&words);
        let last = lives.iter().map(|life| life.ended).max().unwrap_or(0);
        let mut tracker = Tracker::new();
        let mut out = Vec::new();
        let (mut now, mut known_until) = (offset, None);
        while now < last + 500 {
            let scan = if known_until.is_none() { Scan::First } else { Scan::Regular };
            let processes = list(&lives, now);
            tracker.apply(Input::Processes { scan, known_until, processes, ends_follow: false }, at(now), &mut out);
            known_until = Some(at(now));
            now += 240;
        }
        compare(&builds(&out), &truths, 250)?;
        prop_assert!(builds(&out).iter().all(|(_, _, end, _)| end.is_none()));
    }

    /// Lost events cost results at most, and no build that lives longer than the gap.
    #[test]
    fn a_list_makes_up_for_lost_events(words in words(), gaps in prop::collection::vec((0_u64..3000, 1_u64..300), 0..8)) {
        let (lives, truths) = forest(&words);
        let mut tracker = Tracker::new();
        let mut out = Vec::new();
        let mut gaps: Vec<(u64, u64)> = gaps.iter().scan(1000, |time, (wait, length)| {
            let begin = *time + wait;
            *time = begin + length;
            Some((begin, begin + length))
        }).collect();
        gaps.reverse();
        let lists = |tracker: &mut Tracker, out: &mut Vec<Output>, scan, known_until, now| {
            let processes = list(&lives, now);
            tracker.apply(Input::Processes { scan, known_until, processes, ends_follow: false }, at(now), out);
        };
        lists(&mut tracker, &mut out, Scan::First, None, 0);
        for (time, input) in events(&lives).into_iter().map(|(time, input)| (time, Some(input))).chain([(u64::MAX, None)]) {
            while let Some((begin, until)) = gaps.last().copied().filter(|(_, until)| *until <= time) {
                lists(&mut tracker, &mut out, Scan::AfterLoss, Some(at(begin)), until);
                gaps.pop();
            }
            if let Some(input) = input
                && gaps.last().is_none_or(|(begin, _)| time < *begin)
            {
                tracker.apply(input, at(time), &mut out);
            }
        }
        prop_assert_eq!(tracker.running().count(), 0);
        let told = builds(&out);
        for (pid, ended, end, _) in &told {
            if let Some(end) = end {
                let is_true = truths.iter().any(|truth| {
                    truth.pid == *pid && truth.ended == *ended && End::from(pidfd_info::Exit::from_wait_status(truth.end)) == *end
                });
                prop_assert!(is_true, "{pid} {ended} {end:?}: {truths:?}");
            }
        }
        compare(&told, &truths, 700)?;
    }
}

/// Compares what was told with the truth: each build once, none that is too short. Its beginning and its end may be told late, by
/// less than `slack`.
fn compare(
    told: &[(i32, u64, Option<End>, Option<u64>)],
    truths: &[Truth],
    slack: u64,
) -> Result<(), TestCaseError> {
    let mut left: Vec<_> = told.to_vec();
    for truth in truths.iter().filter(|truth| truth.ended - truth.began >= 800) {
        let is_it = |(pid, ended, _, _): &(i32, u64, Option<End>, Option<u64>)| {
            *pid == truth.pid && (truth.ended..truth.ended + slack).contains(ended)
        };
        let found = left.iter().position(is_it);
        prop_assert!(found.is_some(), "{truth:?} is not among {told:?}");
        let (_, _, _, began) = left.remove(found.unwrap());
        if let Some(began) = began {
            prop_assert!(began.abs_diff(truth.began) <= 250.max(slack), "{truth:?} {began}");
        }
    }
    prop_assert!(left.is_empty(), "{left:?} of {truths:?}");
    Ok(())
}

#[test]
fn classes_are_of_this_crate() {
    assert_eq!(image("cargo_metadata").class, Class::NotBuild);
}
