use std::collections::BTreeMap;

use nixmon_fleet::{CommandId, KnownDocument};
use proptest::prelude::*;

use super::*;

/// Files of a host: content, and the number of the file that has it.
#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<(u64, RunFile), (u64, Vec<u8>)>,
    documents: BTreeMap<(u64, RunFile), u64>,
    over: Vec<u64>,
    n_files: u64,
}

impl Disk {
    fn seen(&self, run: u64) -> SeenRun {
        let files = self.files.iter().filter(|((of, _), _)| *of == run).map(|((_, file), (inode, bytes))| {
            let identity = Identity { inode: *inode, made: 0 };
            (*file, Seen { size: bytes.len() as u64, identity })
        });
        let documents = self.documents.iter().filter(|((of, _), _)| *of == run);
        SeenRun {
            files: files.collect(),
            documents: documents.map(|((_, file), state)| (*file, *state)).collect(),
            is_over: self.over.contains(&run),
        }
    }

    fn append(&mut self, run: u64, file: RunFile, bytes: &[u8]) {
        if !self.over.contains(&run) {
            self.n_files += 1;
            let entry = self.files.entry((run, file)).or_insert((self.n_files, Vec::new()));
            entry.1.extend_from_slice(bytes);
        }
    }

    fn replace(&mut self, run: u64, file: RunFile, bytes: &[u8]) {
        if !self.over.contains(&run) {
            self.n_files += 1;
            self.files.insert((run, file), (self.n_files, bytes.to_vec()));
        }
    }
}

/// A message on its way.
#[derive(Clone, Debug)]
enum OnTheWay {
    Piece { run: u64, file: RunFile, generation: u64, offset: u64, bytes: Vec<u8> },
    Document { run: u64, file: RunFile, version: u64, state: u64 },
    Gap(Gap),
    End(RunEnd),
}

/// A hub after the contract.
#[derive(Debug, Default)]
struct Hub {
    files: BTreeMap<(u64, RunFile), (u64, Vec<u8>)>,
    documents: BTreeMap<(u64, RunFile), (u64, u64)>,
    complete: BTreeMap<u64, Option<String>>,
    gaps: Vec<Gap>,
}

impl Hub {
    fn known(&self) -> Vec<KnownRun> {
        let mut runs: BTreeMap<u64, KnownRun> = BTreeMap::new();
        let keys =
            self.files.keys().chain(self.documents.keys()).map(|(run, _)| run).chain(self.complete.keys());
        for run in keys {
            let is_complete = self.complete.contains_key(run);
            runs.entry(*run).or_insert(KnownRun {
                run: *run,
                files: Vec::new(),
                is_complete,
                documents: Vec::new(),
            });
        }
        for ((run, file), (generation, bytes)) in &self.files {
            let known = KnownFile { file: *file, generation: *generation, size: bytes.len() as u64 };
            runs.get_mut(run).unwrap().files.push(known);
        }
        for ((run, file), (version, _)) in &self.documents {
            let known = KnownDocument { file: *file, version: *version };
            runs.get_mut(run).unwrap().documents.push(known);
        }
        runs.into_values().collect()
    }

    fn take(&mut self, message: OnTheWay) -> Vec<Ack> {
        match message {
            OnTheWay::Piece { run, file, generation, offset, bytes } => {
                assert!(!self.complete.contains_key(&run), "bytes behind the end of run {run}");
                let entry = self.files.entry((run, file)).or_insert((generation, Vec::new()));
                if generation > entry.0 {
                    *entry = (generation, Vec::new());
                }
                if generation == entry.0 && offset == entry.1.len() as u64 {
                    entry.1.extend(bytes);
                }
                let file = KnownFile { file, generation: entry.0, size: entry.1.len() as u64 };
                vec![Ack::File { run, file }]
            }
            OnTheWay::Document { run, file, version, state } => {
                let kept = self.documents.entry((run, file)).or_insert((version, state));
                if version > kept.0 {
                    *kept = (version, state);
                }
                vec![Ack::Document { run, file, version: kept.0 }]
            }
            OnTheWay::Gap(gap) => {
                self.gaps.push(gap);
                Vec::new()
            }
            OnTheWay::End(RunEnd { run, files, reason }) => {
                for KnownFile { file, generation, size } in files {
                    let kept =
                        self.files.get(&(run, file)).map_or((0, 0), |kept| (kept.0, kept.1.len() as u64));
                    if reason.is_none() && size > 0 && kept != (generation, size) {
                        let file = KnownFile { file, generation: kept.0, size: kept.1 };
                        return vec![Ack::File { run, file }];
                    }
                }
                self.complete.insert(run, reason);
                vec![Ack::End { run }]
            }
        }
    }
}

fn sent(disk: &Disk, mirror: &mut Mirror, now: Duration) -> Option<OnTheWay> {
    Some(match mirror.next(now)? {
        Outgoing::Bytes { run, file, generation, identity, offset, len } => {
            let (inode, bytes) = &disk.files[&(run, file)];
            let at = usize::try_from(offset).unwrap();
            if *inode != identity.inode {
                mirror.unsend(run, file, offset);
                return sent(disk, mirror, now);
            }
            OnTheWay::Piece { run, file, generation, offset, bytes: bytes[at..at + len].to_vec() }
        }
        Outgoing::Document { run, file, version } => {
            OnTheWay::Document { run, file, version, state: disk.documents[&(run, file)] }
        }
        Outgoing::Gap(gap) => OnTheWay::Gap(gap),
        Outgoing::End(end) => OnTheWay::End(end),
    })
}

#[derive(Clone, Debug)]
enum Event {
    Append(u64, usize, Vec<u8>),
    Replace(u64, usize, Vec<u8>),
    Document(u64, u64),
    Over(u64),
    Look,
    Send(usize),
    /// Delivers so many messages to the hub; of the acknowledgements every n-th is lost, and every m-th comes twice.
    Deliver(usize, usize, usize),
    /// The connection is cut: what is on the way is lost.
    Cut,
    /// The agent is killed; the flag: with the loss of its state file.
    Restart(bool),
    /// The clock of the host jumps.
    Clock(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let event = prop_oneof![
        4 => (1..4_u64, 0..4_usize, bytes()).prop_map(|(run, file, bytes)| Event::Append(run, file, bytes)),
        1 => (1..4_u64, 0..4_usize, bytes()).prop_map(|(run, file, bytes)| Event::Replace(run, file, bytes)),
        2 => (1..4_u64, any::<u64>()).prop_map(|(run, state)| Event::Document(run, state)),
        1 => (1..4_u64).prop_map(Event::Over),
        4 => Just(Event::Look),
        4 => (0..6_usize).prop_map(Event::Send),
        4 => (0..6_usize, 1..5_usize, 1..5_usize).prop_map(|(n, lost, twice)| Event::Deliver(n, lost, twice)),
        1 => Just(Event::Cut),
        1 => any::<bool>().prop_map(Event::Restart),
        1 => (0..1_000_000_u64).prop_map(Event::Clock),
    ];
    proptest::collection::vec(event, 0..120)
}

const FILES: [RunFile; 4] = [RunFile::Input, RunFile::Lines, RunFile::Changes, RunFile::Rest(2)];

struct Play {
    disk: Disk,
    hub: Hub,
    mirror: Mirror,
    /// The state file.
    kept: Generations,
    on_the_way: VecDeque<OnTheWay>,
    now: Duration,
    clock: u64,
    n_acks: usize,
}

impl Play {
    fn new(spool: u64) -> Self {
        let mut mirror = Mirror::new(Generations::new(), spool);
        mirror.welcome(Vec::new(), Duration::ZERO);
        Self {
            disk: Disk::default(),
            hub: Hub::default(),
            mirror,
            kept: Generations::new(),
            on_the_way: VecDeque::new(),
            now: Duration::ZERO,
            clock: 500_000,
            n_acks: 0,
        }
    }

    fn keep(&mut self) {
        if let Some(generations) = self.mirror.changed_generations() {
            self.kept.clone_from(generations);
        }
    }

    fn look(&mut self) {
        for run in 1..4 {
            self.mirror.look(run, self.disk.seen(run), self.now, self.clock);
        }
        self.keep();
    }

    fn deliver(&mut self, lost: usize, twice: usize) -> bool {
        let Some(message) = self.on_the_way.pop_front() else { return false };
        for ack in self.hub.take(message) {
            self.n_acks += 1;
            if lost > 1 && self.n_acks.is_multiple_of(lost) {
                continue;
            }
            self.mirror.ack(&ack, self.now);
            if twice > 1 && self.n_acks.is_multiple_of(twice) {
                self.mirror.ack(&ack, self.now);
            }
        }
        self.keep();
        true
    }

    fn event(&mut self, event: Event) {
        self.now += Duration::from_millis(200);
        match event {
            Event::Append(run, file, bytes) => self.disk.append(run, FILES[file], &bytes),
            Event::Replace(run, file, bytes) => self.disk.replace(run, FILES[file], &bytes),
            Event::Document(run, state) => {
                if !self.disk.over.contains(&run) {
                    self.disk.documents.insert((run, RunFile::Status), state);
                }
            }
            Event::Over(run) => self.disk.over.push(run),
            Event::Look => self.look(),
            Event::Send(n) => {
                for _ in 0..n {
                    self.on_the_way.extend(sent(&self.disk, &mut self.mirror, self.now));
                }
            }
            Event::Deliver(n, lost, twice) => {
                for _ in 0..n {
                    self.deliver(lost, twice);
                }
            }
            Event::Cut => {
                self.on_the_way.clear();
                self.mirror.welcome(self.hub.known(), self.now);
            }
            Event::Restart(is_state_lost) => {
                self.on_the_way.clear();
                if is_state_lost {
                    self.kept.clear();
                }
                self.mirror = Mirror::new(self.kept.clone(), u64::MAX);
                self.mirror.welcome(self.hub.known(), self.now);
            }
            Event::Clock(clock) => self.clock = clock,
        }
    }

    fn finish(&mut self) {
        self.disk.over.extend(1..4);
        for _ in 0..300 {
            self.now += Duration::from_secs(10);
            self.look();
            self.on_the_way.extend(sent(&self.disk, &mut self.mirror, self.now));
            while self.deliver(0, 0) {}
            if (1..4).all(|run| self.mirror.is_complete(run)) {
                return;
            }
        }
    }
}

proptest! {
    /// After any cuts, losses and restarts a hub has what the host has.
    #[test]
    fn hub_gets_what_the_host_has(events in events()) {
        let mut play = Play::new(u64::MAX);
        for event in events {
            play.event(event);
        }
        play.finish();
        for ((run, file), (_, bytes)) in &play.disk.files {
            let at_hub = play.hub.files.get(&(*run, *file)).map(|(_, bytes)| bytes.as_slice());
            prop_assert_eq!(at_hub.unwrap_or_default(), bytes.as_slice(), "{} {}", run, file);
        }
        for (key, state) in &play.disk.documents {
            prop_assert_eq!(play.hub.documents.get(key).map(|(_, state)| state), Some(state), "{:?}", key);
        }
        for run in 1..4 {
            prop_assert_eq!(play.hub.complete.get(&run), Some(&None));
            prop_assert!(play.mirror.is_complete(run));
        }
        prop_assert_eq!(play.mirror.waiting(), 0);
        prop_assert_eq!(&play.hub.gaps, &[]);
        prop_assert!(play.kept.is_empty(), "generations of complete runs are forgotten");
    }
}

#[test]
fn removed_runs_are_told_as_gaps() {
    let mut play = Play::new(u64::MAX);
    play.disk.append(1, RunFile::Lines, b"abcdef");
    play.look();
    play.on_the_way.extend(sent(&play.disk, &mut play.mirror, play.now));
    play.deliver(0, 0);
    play.disk.append(1, RunFile::Lines, b"ghi");
    play.look();
    play.mirror.lose(1, play.now);
    play.mirror.lose(1, play.now);
    // The hub has never heard of this one, and the agent of none but the record in its state.
    play.mirror
        .generations
        .entry(2)
        .or_default()
        .insert(RunFile::Input, Generation { generation: 4, identity: Identity::default() });
    play.mirror.lose(2, play.now);
    play.finish_without(&[1, 2]);
    let gaps: Vec<_> =
        play.hub.gaps.iter().map(|gap| (gap.run, gap.file, gap.generation, gap.from, gap.to)).collect();
    assert_eq!(gaps, [(2, RunFile::Input, 4, 0, None), (1, RunFile::Lines, 1, 6, None)]);
    assert!(play.hub.complete[&1].as_ref().unwrap().contains("removed"));
    assert!(play.hub.complete[&2].is_some() && play.mirror.is_complete(2));
}

#[test]
fn oldest_runs_that_are_over_are_skipped_beyond_the_limit() {
    let mut play = Play::new(100);
    for run in 1..4 {
        play.disk.append(run, RunFile::Lines, &[b'x'; 60]);
        play.disk.documents.insert((run, RunFile::Facts), run);
    }
    play.disk.over = vec![1, 2];
    play.look();
    for _ in 0..40 {
        play.on_the_way.extend(sent(&play.disk, &mut play.mirror, play.now));
        while play.deliver(0, 0) {}
    }
    let reason = play.hub.complete[&1].clone();
    assert_eq!(reason.as_deref(), Some("more than 0 MiB waited for the hub"));
    assert!(play.hub.documents.contains_key(&(1, RunFile::Facts)), "what it was is told");
    assert_eq!(play.hub.gaps.len(), 2, "{:?}", play.hub.gaps);
    assert_eq!(play.hub.files[&(3, RunFile::Lines)].1.len(), 60, "a run in progress is not skipped");
}

impl Play {
    /// Delivers what is left, of runs that are not in the store any more.
    fn finish_without(&mut self, runs: &[u64]) {
        self.disk.files.retain(|(run, _), _| !runs.contains(run));
        for _ in 0..20 {
            self.on_the_way.extend(sent(&self.disk, &mut self.mirror, self.now));
            while self.deliver(0, 0) {}
        }
    }
}

#[test]
fn pieces_are_bounded_and_runs_take_turns() {
    let mut play = Play::new(u64::MAX);
    for run in 1..3 {
        play.disk.append(run, RunFile::Input, &vec![1; 9 << 20]);
    }
    play.look();
    let mut order = Vec::new();
    while let Some(OnTheWay::Piece { run, bytes, .. }) = sent(&play.disk, &mut play.mirror, play.now) {
        assert!(bytes.len() as u64 <= PIECE);
        order.push(run);
    }
    assert_eq!(order.len() as u64, WINDOW / PIECE);
    assert_eq!(order[..4], [2, 1, 2, 1], "at most {WINDOW} bytes are on the way");
    // None comes back: after a while they are sent again.
    play.now += STALL;
    assert!(sent(&play.disk, &mut play.mirror, play.now).is_some());
    play.mirror.ack(&Ack::Command { id: CommandId(1), state: nixmon_fleet::CommandState::Failed }, play.now);
}

#[test]
fn files_of_another_sender_are_left_to_it() {
    let mut play = Play::new(u64::MAX);
    play.hub.files.insert((1, RunFile::Lines), (7, b"other".to_vec()));
    play.disk.append(1, RunFile::Lines, b"own");
    play.look();
    play.on_the_way.extend(sent(&play.disk, &mut play.mirror, play.now));
    play.deliver(0, 0);
    assert_eq!(play.mirror.waiting(), 0);
    assert!(sent(&play.disk, &mut play.mirror, play.now).is_none());
    assert_eq!(play.hub.files[&(1, RunFile::Lines)], (7, b"other".to_vec()));
}
