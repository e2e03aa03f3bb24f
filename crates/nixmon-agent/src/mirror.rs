//! The part of a store of runs that a hub has, and what to send next. No I/O and no clock: files are told by [`Seen`], bytes are
//! read by the caller.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nixmon_fleet::{Ack, Gap, KnownFile, KnownRun, RunEnd, RunFile};
use serde::{Deserialize, Serialize};

/// Largest piece, in bytes: a beat behind it is not late on a slow line.
const PIECE: u64 = 256 << 10;
/// Number of bytes that may be on their way to the hub.
const WINDOW: u64 = 4 << 20;
/// Time after which everything that was sent and has not been acknowledged is sent again.
const STALL: Duration = Duration::from_secs(10);
/// Smallest piece while more waits than there is room for.
const SMALL_PIECE: u64 = 64 << 10;
/// Reason that a hub is told for a run that was removed before all of it was sent.
const REMOVED: &str = "the host removed the run before all of it was sent";

/// Tells a file from another one that took its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The number of its inode.
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970; 0 if the file system does not tell.
    pub made: u64,
}

/// A growing file, as it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of bytes.
    pub size: u64,
    /// The file.
    pub identity: Identity,
}

/// A run, as it was last seen.
#[derive(Clone, Debug, Default)]
pub struct SeenRun {
    /// Growing files that are there.
    pub files: BTreeMap<RunFile, Seen>,
    /// Small files that are there, with a number for each state of them.
    pub documents: BTreeMap<RunFile, u64>,
    /// It has ended, and nothing changes any more.
    pub is_over: bool,
}

/// The generation of a file, kept over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts the files of this name, from 1.
    pub generation: u64,
    /// The file that has it.
    pub identity: Identity,
}

/// Generations of the growing files of runs of which the hub does not have everything, by run and file.
pub type Generations = BTreeMap<u64, BTreeMap<RunFile, Generation>>;

/// Something to send.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Bytes of a file, to be read now. If the file is another one by then, nothing is sent.
    Bytes {
        /// The run.
        run: u64,
        /// The file.
        file: RunFile,
        /// Its generation.
        generation: u64,
        /// The file that has it.
        identity: Identity,
        /// Place of the first byte.
        offset: u64,
        /// Number of bytes.
        len: usize,
    },
    /// A small file, to be read now.
    Document {
        /// The run.
        run: u64,
        /// The file.
        file: RunFile,
        /// Its version.
        version: u64,
    },
    /// A part that is not sent.
    Gap(Gap),
    /// The end of a run.
    End(RunEnd),
}

#[derive(Debug)]
struct FileMirror {
    of: Generation,
    size: u64,
    acked: u64,
    sent: u64,
    /// The place at which an acknowledgement without progress was heeded.
    rewound: Option<u64>,
    /// The hub was sent something of it, if only that it is empty.
    is_announced: bool,
    /// The hub has said that it has this generation.
    is_known: bool,
    /// Another sender has a later generation: the file is its business.
    is_foreign: bool,
}

impl FileMirror {
    fn new(of: Generation, acked: u64) -> Self {
        Self {
            of,
            size: acked,
            acked,
            sent: acked,
            rewound: None,
            is_announced: false,
            is_known: false,
            is_foreign: false,
        }
    }

    fn waiting(&self) -> u64 {
        if self.is_foreign { 0 } else { self.size.saturating_sub(self.acked) }
    }

    /// Returns whether the hub has all of it, or is not to have it.
    fn is_settled(&self) -> bool {
        self.is_foreign || (self.waiting() == 0 && self.is_known)
    }
}

#[derive(Debug)]
struct DocumentMirror {
    state: u64,
    version: u64,
    is_sent: bool,
    is_acked: bool,
}

#[derive(Debug, Default)]
struct RunMirror {
    files: BTreeMap<RunFile, FileMirror>,
    documents: BTreeMap<RunFile, DocumentMirror>,
    is_over: bool,
    /// The reason why a part is missing at the hub.
    missing: Option<String>,
    /// No more bytes are sent.
    is_given_up: bool,
    gaps: VecDeque<Gap>,
    is_end_sent: bool,
    is_complete: bool,
    /// Counts up when something of it is sent, so that runs take turns.
    turn: u64,
    /// When the hub last had news of it.
    progress_at: Duration,
}

impl RunMirror {
    fn waiting(&self) -> u64 {
        if self.is_complete { 0 } else { self.files.values().map(FileMirror::waiting).sum() }
    }

    fn is_all_acked(&self) -> bool {
        (self.is_given_up || self.files.values().all(FileMirror::is_settled))
            && self.documents.values().all(|document| document.is_acked)
    }

    fn rewind(&mut self) {
        for file in self.files.values_mut() {
            file.sent = file.acked;
            file.rewound = None;
            file.is_announced = file.is_known;
        }
        for document in self.documents.values_mut() {
            document.is_sent = document.is_acked;
        }
        self.is_end_sent = false;
    }

    fn is_waiting_for_acks(&self) -> bool {
        self.is_end_sent && !self.is_complete
            || self.files.values().any(|file| file.sent > file.acked || file.is_announced && !file.is_known)
            || self.documents.values().any(|document| document.is_sent && !document.is_acked)
    }

    fn give_up(&mut self, run: u64, reason: String) {
        for (file, mirror) in &mut self.files {
            if mirror.waiting() > 0 || !self.is_over {
                self.gaps.push_back(Gap {
                    run,
                    file: *file,
                    generation: mirror.of.generation,
                    from: mirror.acked,
                    to: None,
                    reason: reason.clone(),
                });
            }
            (mirror.size, mirror.sent) = (mirror.acked, mirror.acked);
        }
        self.missing = Some(reason);
        self.is_given_up = true;
        self.is_over = true;
        self.is_end_sent = false;
    }
}

/// The mirror of a store at a hub.
#[derive(Debug)]
pub struct Mirror {
    runs: BTreeMap<u64, RunMirror>,
    generations: Generations,
    are_generations_new: bool,
    watched: Vec<u64>,
    /// The highest version of a document so far.
    version: u64,
    spool: u64,
    turn: u64,
    is_connected: bool,
}

impl Mirror {
    /// Makes a mirror with the generations that were kept, and a limit for the bytes that wait.
    pub fn new(generations: Generations, spool: u64) -> Self {
        Self {
            runs: BTreeMap::new(),
            generations,
            are_generations_new: false,
            watched: Vec::new(),
            version: 0,
            spool,
            turn: 0,
            is_connected: false,
        }
    }

    /// Returns the generations, if they have changed since the last call: they have to be kept before anything is sent.
    pub fn changed_generations(&mut self) -> Option<&Generations> {
        std::mem::take(&mut self.are_generations_new).then_some(&self.generations)
    }

    /// Returns runs of which the hub may not have the end, by the record that is kept over restarts.
    pub fn unfinished(&self) -> impl Iterator<Item = u64> {
        self.generations.keys().copied()
    }

    /// Returns runs of which the hub does not have the end, in no order; some may come twice.
    pub fn open_runs(&self) -> impl Iterator<Item = u64> {
        let known = self.runs.iter().filter(|(_, mirror)| !mirror.is_complete && !mirror.is_given_up);
        known.map(|(run, _)| *run).chain(self.unfinished())
    }

    /// Returns whether the hub has everything of a run, so that nobody need look at it again.
    pub fn is_complete(&self, run: u64) -> bool {
        self.runs.get(&run).is_some_and(|mirror| mirror.is_complete)
    }

    /// Returns the number of bytes that wait for the hub.
    pub fn waiting(&self) -> u64 {
        self.runs.values().map(RunMirror::waiting).sum()
    }

    /// Returns whether somebody looks at a run.
    pub fn is_watched(&self, run: u64) -> bool {
        self.watched.contains(&run)
    }

    /// Notes which runs somebody looks at.
    pub fn watch(&mut self, runs: Vec<u64>) {
        self.watched = runs;
    }

    /// Forgets what the hub has: the connection is gone.
    pub fn disconnect(&mut self) {
        self.is_connected = false;
        self.runs.clear();
        self.watched.clear();
    }

    /// Notes what the hub has of the runs that it was told of.
    pub fn welcome(&mut self, known: Vec<KnownRun>, now: Duration) {
        self.disconnect();
        self.is_connected = true;
        for KnownRun { run, files, is_complete, documents } in known {
            self.version = documents.iter().map(|known| known.version).fold(self.version, u64::max);
            let mut mirror = RunMirror { is_complete, progress_at: now, ..RunMirror::default() };
            if is_complete {
                self.forget(run);
            }
            for KnownFile { file, generation, size } in files {
                let kept = self.generations.get(&run).and_then(|files| files.get(&file)).copied();
                let of = kept.filter(|kept| kept.generation >= generation);
                // Without a record nothing tells that the bytes at the hub are those of the file that is there now: it is
                // sent as a new one.
                let of =
                    of.unwrap_or(Generation { generation: generation + 1, identity: Identity::default() });
                let acked = if of.generation == generation { size } else { 0 };
                let is_known = of.generation == generation;
                let known = FileMirror { is_announced: is_known, is_known, ..FileMirror::new(of, acked) };
                mirror.files.insert(file, known);
            }
            self.runs.insert(run, mirror);
        }
    }

    fn forget(&mut self, run: u64) {
        self.are_generations_new |= self.generations.remove(&run).is_some();
    }

    /// Notes how a run looks now. `clock` is the time in milliseconds since 1970, for versions of documents.
    pub fn look(&mut self, run: u64, seen: SeenRun, now: Duration, clock: u64) {
        let mirror =
            self.runs.entry(run).or_insert_with(|| RunMirror { progress_at: now, ..RunMirror::default() });
        if mirror.is_complete || mirror.is_given_up {
            return;
        }
        for (file, Seen { size, identity }) in seen.files {
            let kept = self.generations.entry(run).or_default();
            let of = match (mirror.files.get(&file), kept.get(&file)) {
                (Some(known), _) if known.of.identity == identity && size >= known.sent.max(known.acked) => {
                    known.of
                }
                // The first file after a start, whose generation is higher than that at the hub.
                (Some(known), _) if known.of.identity == Identity::default() => {
                    Generation { identity, ..known.of }
                }
                (Some(known), _) => Generation { generation: known.of.generation + 1, identity },
                (None, Some(kept)) if kept.identity == identity => *kept,
                (None, Some(kept)) => Generation { generation: kept.generation + 1, identity },
                (None, None) => Generation { generation: 1, identity },
            };
            if kept.get(&file) != Some(&of) {
                kept.insert(file, of);
                self.are_generations_new = true;
            }
            let known = mirror.files.entry(file).or_insert_with(|| FileMirror::new(of, 0));
            if known.of != of {
                *known = FileMirror::new(of, 0);
            }
            known.size = size;
        }
        for (file, state) in seen.documents {
            if mirror.documents.get(&file).is_some_and(|known| known.state == state) {
                continue;
            }
            self.version = clock.max(self.version + 1);
            let document = DocumentMirror { state, version: self.version, is_sent: false, is_acked: false };
            mirror.documents.insert(file, document);
        }
        mirror.is_over |= seen.is_over;
    }

    /// Notes that a run is not in the store any more.
    pub fn lose(&mut self, run: u64, now: Duration) {
        let kept = self.generations.get(&run);
        let mirror =
            self.runs.entry(run).or_insert_with(|| RunMirror { progress_at: now, ..RunMirror::default() });
        if mirror.is_complete || mirror.is_given_up || (mirror.is_over && mirror.is_all_acked()) {
            return;
        }
        // The hub may never have heard of it.
        for (file, of) in kept.into_iter().flatten() {
            mirror.files.entry(*file).or_insert(FileMirror::new(*of, 0));
        }
        mirror.documents.clear();
        mirror.give_up(run, REMOVED.to_owned());
    }

    /// Skips the oldest runs that are over while more than the limit waits.
    fn keep_to_limit(&mut self) {
        let mut waiting = self.waiting();
        for (run, mirror) in &mut self.runs {
            if waiting <= self.spool {
                return;
            }
            let own = mirror.waiting();
            if mirror.is_over && !mirror.is_given_up && own > 0 {
                let limit = self.spool >> 20;
                mirror.give_up(*run, format!("more than {limit} MiB waited for the hub"));
                waiting -= own;
            }
        }
    }

    /// Returns the next message, if one is due and there is room for it on the way.
    pub fn next(&mut self, now: Duration) -> Option<Outgoing> {
        if !self.is_connected {
            return None;
        }
        self.keep_to_limit();
        for mirror in self.runs.values_mut() {
            if mirror.is_waiting_for_acks() && now.saturating_sub(mirror.progress_at) >= STALL {
                mirror.rewind();
                mirror.progress_at = now;
            }
        }
        let sent =
            |mirror: &RunMirror| -> u64 { mirror.files.values().map(|file| file.sent - file.acked).sum() };
        let in_flight: u64 = self.runs.values().map(sent).sum();
        let watched = &self.watched;
        let class = |run: u64, mirror: &RunMirror| match (watched.contains(&run), mirror.is_over) {
            (true, _) => 0,
            (_, false) => 1,
            _ => 2,
        };
        let mut order: Vec<(u8, u64, u64)> = self
            .runs
            .iter()
            .filter(|(_, mirror)| !mirror.is_complete)
            .map(|(run, mirror)| (class(*run, mirror), mirror.turn, *run))
            .collect();
        // Of those that have had as many turns, the newest.
        order.sort_by_key(|(class, turn, run)| (*class, *turn, std::cmp::Reverse(*run)));
        for (_, _, run) in order {
            let mirror = self.runs.get_mut(&run)?;
            if let Some(outgoing) = next_of(run, mirror, WINDOW.saturating_sub(in_flight)) {
                if !mirror.is_waiting_for_acks() {
                    mirror.progress_at = now;
                }
                note_sent(mirror, &outgoing);
                self.turn += 1;
                mirror.turn = self.turn;
                return Some(outgoing);
            }
        }
        None
    }

    /// Notes that bytes could not be read because the file is another one by now.
    pub fn unsend(&mut self, run: u64, file: RunFile, offset: u64) {
        if let Some(known) = self.runs.get_mut(&run).and_then(|mirror| mirror.files.get_mut(&file)) {
            known.sent = known.sent.min(offset).max(known.acked);
            known.size = known.sent;
        }
    }

    /// Notes that a small file cannot be sent: it is not there, or `reason` says more.
    pub fn skip_document(&mut self, run: u64, file: RunFile, reason: Option<String>) {
        let Some(mirror) = self.runs.get_mut(&run) else { return };
        if let Some(known) = mirror.documents.get_mut(&file) {
            (known.is_sent, known.is_acked) = (true, true);
            mirror.missing = mirror.missing.take().or(reason);
        }
    }

    /// Notes what the hub has kept.
    pub fn ack(&mut self, ack: &Ack, now: Duration) {
        match ack {
            Ack::File { run, file: KnownFile { file, generation, size } } => {
                let Some(mirror) = self.runs.get_mut(run).filter(|mirror| !mirror.is_given_up) else {
                    return;
                };
                let Some(known) = mirror.files.get_mut(file) else { return };
                if *generation != known.of.generation {
                    known.is_foreign |= *generation > known.of.generation;
                    return;
                }
                (known.is_announced, known.is_known) = (true, true);
                if *size > known.acked && *size <= known.size {
                    known.acked = *size;
                    known.sent = known.sent.max(*size);
                    known.rewound = None;
                    mirror.progress_at = now;
                } else if *size < known.acked {
                    // It has lost what it had.
                    (known.acked, known.sent) = (*size, *size);
                    mirror.is_end_sent = false;
                } else if *size == known.acked && known.sent > known.acked && known.rewound != Some(*size) {
                    // A piece was not taken, nor were those behind it, of which the same will be said.
                    known.sent = *size;
                    known.rewound = Some(*size);
                }
            }
            Ack::Document { run, file, version } => {
                self.version = self.version.max(*version);
                let Some(mirror) = self.runs.get_mut(run) else { return };
                let Some(known) = mirror.documents.get_mut(file) else { return };
                if *version > known.version {
                    self.version += 1;
                    (known.version, known.is_sent, known.is_acked) = (self.version, false, false);
                } else if *version == known.version {
                    known.is_acked = true;
                    mirror.progress_at = now;
                }
            }
            Ack::End { run } => {
                let Some(mirror) = self.runs.get_mut(run) else { return };
                if mirror.is_end_sent {
                    mirror.is_complete = true;
                    mirror.documents.clear();
                    self.forget(*run);
                }
            }
            Ack::Command { .. } => {}
        }
    }
}

fn next_of(run: u64, mirror: &mut RunMirror, room: u64) -> Option<Outgoing> {
    // A reader can make nothing of a run without its facts.
    let unsent =
        RunFile::all().find(|file| mirror.documents.get(file).is_some_and(|document| !document.is_sent));
    if let Some(file) = unsent {
        let version = mirror.documents.get(&file)?.version;
        return Some(Outgoing::Document { run, file, version });
    }
    for (file, known) in &mirror.files {
        let waiting = if known.is_foreign { 0 } else { known.size.saturating_sub(known.sent) };
        let len = waiting.min(room).min(PIECE);
        // A file that is empty replaces an earlier one all the same.
        let is_unknown = waiting == 0 && !known.is_announced && !known.is_foreign;
        if is_unknown && !mirror.is_given_up || len > 0 && (len == waiting || len >= SMALL_PIECE) {
            return Some(Outgoing::Bytes {
                run,
                file: *file,
                generation: known.of.generation,
                identity: known.of.identity,
                offset: known.sent,
                len: usize::try_from(len).ok()?,
            });
        }
    }
    if let Some(gap) = mirror.gaps.pop_front() {
        return Some(Outgoing::Gap(gap));
    }
    if mirror.is_over && !mirror.is_end_sent && mirror.is_all_acked() {
        let known = |(file, known): (&RunFile, &FileMirror)| KnownFile {
            file: *file,
            generation: known.of.generation,
            size: known.acked,
        };
        let files = mirror.files.iter().filter(|(_, known)| !known.is_foreign).map(known).collect();
        return Some(Outgoing::End(RunEnd { run, files, reason: mirror.missing.clone() }));
    }
    None
}

fn note_sent(mirror: &mut RunMirror, outgoing: &Outgoing) {
    match outgoing {
        Outgoing::Bytes { file, offset, len, .. } => {
            if let Some(known) = mirror.files.get_mut(file) {
                known.sent = offset + *len as u64;
                known.is_announced = true;
            }
        }
        Outgoing::Document { file, .. } => {
            if let Some(known) = mirror.documents.get_mut(file) {
                known.is_sent = true;
            }
        }
        Outgoing::Gap(_) => {}
        Outgoing::End(_) => mirror.is_end_sent = true,
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
