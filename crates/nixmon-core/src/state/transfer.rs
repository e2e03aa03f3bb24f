//! Store paths that are fetched or uploaded, and the bytes on their way.

use std::collections::{BTreeSet, HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::ids::PathId;
use super::{Dropped, Moment};
use nixmon_log::nix::store_path;

/// State of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathState {
    /// Named only.
    #[default]
    Unknown,
    /// Announced as to be fetched.
    Planned,
    /// Arriving.
    Fetching,
    /// Its activity has ended and Nix has not said yet how.
    Ended,
    /// Here.
    Fetched,
    /// Not to be had from there.
    Failed,
    /// Sent elsewhere.
    Uploading,
    /// Sent.
    Uploaded,
}

impl PathState {
    const ALL: usize = 8;
}

/// One store path.
#[derive(Debug, Default)]
pub struct StorePathInfo {
    /// The whole path.
    pub path: Box<str>,
    state: PathState,
    /// Its source.
    pub from: Option<Box<str>>,
    /// When it began to arrive.
    pub started: Option<Moment>,
    /// When bytes arrived last.
    pub last_bytes: Option<Moment>,
    /// Bytes that have arrived, as downloaded where that is known, else unpacked.
    pub done: u64,
    /// Bytes that are expected; 0 where it is not known.
    pub expected: u64,
    /// True if `done` counts a download.
    pub(super) downloads: bool,
    /// True if the copy has reached its expected size, where a size was told.
    pub(super) is_whole: Option<bool>,
    /// An error says that the path was not accepted.
    pub(super) is_refused: bool,
    /// The path is sent to another store.
    pub(super) is_upload: bool,
}

impl StorePathInfo {
    /// Returns the state.
    pub fn state(&self) -> PathState {
        self.state
    }

    /// Its name without the digest.
    pub fn name(&self) -> &str {
        store_path::path_name(&self.path).unwrap_or(&self.path)
    }
}

/// Announcement of what will be fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Paths, as counted in the lists.
    pub paths: u64,
    /// Bytes to download.
    pub download: u64,
    /// Bytes once unpacked.
    pub unpacked: u64,
}

/// All transfers of a stream.
#[derive(Debug, Default)]
pub struct Transfers {
    paths: Vec<StorePathInfo>,
    by_path: HashMap<Box<str>, PathId, RandomState>,
    /// Paths that are sent elsewhere, which may be fetched by the same stream.
    by_upload: HashMap<Box<str>, PathId, RandomState>,
    counts: [usize; PathState::ALL],
    /// Those on their way, here or elsewhere.
    moving: BTreeSet<PathId>,
    /// The announcement.
    pub announced: Announced,
    /// Bytes that have arrived for paths: the sum of what each has, which may be more than 64 bits hold if the input is
    /// hostile.
    bytes: u128,
    samples: VecDeque<(Moment, u64)>,
    dropped: Dropped,
}

/// Paths beyond this share one entry.
pub(super) const MAX_PATHS: usize = 1 << 20;
/// The name of that entry.
const FURTHER: &str = "further paths";

/// The rate is the mean of about this long.
const RATE_WINDOW: Moment = Moment::from_secs(10);

impl Transfers {
    /// The path, made if it is new.
    pub fn get_or_insert(&mut self, whole: &str) -> PathId {
        let path = &whole[..whole.floor_char_boundary(store_path::MAX_LEN)];
        if let Some(id) = self.by_path.get(path) {
            return *id;
        }
        if self.paths.len() + 1 >= MAX_PATHS && path != FURTHER {
            self.dropped.store_paths += 1;
            return self.get_or_insert(FURTHER);
        }
        let id = self.insert(path);
        self.by_path.insert(path.into(), id);
        self.dropped.paths_cut += u64::from(path.len() < whole.len());
        id
    }

    /// The path, if it was named.
    pub fn find(&self, path: &str) -> Option<PathId> {
        self.by_path.get(&path[..path.floor_char_boundary(store_path::MAX_LEN)]).copied()
    }

    /// Returns one of them.
    pub fn get(&self, id: PathId) -> &StorePathInfo {
        &self.paths[id.0 as usize]
    }

    pub(super) fn set(&mut self, id: PathId, state: PathState) {
        let path = &mut self.paths[id.0 as usize];
        self.counts[path.state as usize] -= 1;
        self.counts[state as usize] += 1;
        path.state = state;
        if matches!(state, PathState::Fetching | PathState::Uploading) {
            self.moving.insert(id);
        } else {
            self.moving.remove(&id);
        }
    }

    /// Those on their way, here or elsewhere, in the order in which the stream named them.
    pub fn moving(&self) -> impl Iterator<Item = (PathId, &StorePathInfo)> {
        self.moving.iter().map(|id| (*id, self.get(*id)))
    }

    /// Returns the losses to the limits.
    pub(super) fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Returns the number in a state.
    pub fn count(&self, state: PathState) -> usize {
        self.counts[state as usize]
    }

    /// Returns the number that is or was to be fetched, as far as is known.
    pub fn wanted(&self) -> usize {
        [PathState::Planned, PathState::Fetching, PathState::Ended, PathState::Fetched]
            .into_iter()
            .map(|state| self.count(state))
            .sum()
    }

    /// Wants no longer what was announced and has not begun.
    pub(super) fn forget_planned(&mut self) {
        if self.count(PathState::Planned) == 0 {
            return;
        }
        let ids: Vec<_> =
            self.iter().filter(|(_, path)| path.state == PathState::Planned).map(|(id, _)| id).collect();
        for id in ids {
            self.set(id, PathState::Unknown);
        }
    }

    /// Returns whether any path has been on its way.
    pub(super) fn has_begun(&self) -> bool {
        self.count(PathState::Unknown) + self.count(PathState::Planned) < self.paths.len()
    }

    /// All of them, in the order in which the stream named them.
    pub fn iter(&self) -> impl Iterator<Item = (PathId, &StorePathInfo)> {
        (0u32..).map(PathId).zip(&self.paths)
    }

    /// Bytes that have arrived for paths.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(u64::MAX)
    }

    /// News of a path's bytes: the download's where there is one, since it is what passes through the network.
    pub(super) fn progress(&mut self, id: PathId, done: u64, expected: u64, download: bool, at: Moment) {
        let path = &mut self.paths[id.0 as usize];
        if download && !path.downloads {
            self.bytes -= u128::from(path.done);
            path.downloads = true;
            path.done = 0;
        } else if !download && path.downloads {
            return;
        }
        if done > path.done {
            self.bytes += u128::from(done - path.done);
            path.done = done;
            path.last_bytes = Some(at);
        }
        path.expected = expected;
    }

    /// A copy has come so far.
    pub(super) fn copied(&mut self, id: PathId, done: u64, expected: u64) {
        if expected > 0 {
            self.paths[id.0 as usize].is_whole = Some(done >= expected);
        }
    }

    /// A path was not accepted.
    pub(super) fn refuse(&mut self, id: PathId) {
        self.paths[id.0 as usize].is_refused = true;
        if matches!(self.get(id).state, PathState::Ended | PathState::Fetched) {
            self.set(id, PathState::Failed);
        }
    }

    /// The path on its way to another store, made if it is new.
    pub(super) fn upload(&mut self, whole: &str) -> PathId {
        let path = &whole[..whole.floor_char_boundary(store_path::MAX_LEN)];
        let id = match self.by_upload.get(path) {
            Some(id) => *id,
            None if self.paths.len() + 1 >= MAX_PATHS => {
                self.dropped.store_paths += 1;
                return self.get_or_insert(FURTHER);
            }
            None => {
                let id = self.insert(path);
                self.dropped.paths_cut += u64::from(path.len() < whole.len());
                self.by_upload.insert(path.into(), id);
                id
            }
        };
        let info = &mut self.paths[id.0 as usize];
        info.is_upload = true;
        info.is_whole = None;
        id
    }

    fn insert(&mut self, path: &str) -> PathId {
        let id = PathId(u32::try_from(self.paths.len()).unwrap_or(u32::MAX));
        self.paths.push(StorePathInfo { path: path.into(), ..StorePathInfo::default() });
        self.counts[PathState::Unknown as usize] += 1;
        id
    }

    /// A path begins again from nothing.
    pub(super) fn restart(&mut self, id: PathId, from: Option<&str>, at: Moment) {
        let path = &mut self.paths[id.0 as usize];
        self.bytes -= u128::from(path.done);
        path.done = 0;
        path.expected = 0;
        // For HTTP the downloaded bytes count, not the unpacked ones.
        path.downloads =
            from.is_some_and(|from| ["http:", "https:", "s3:"].iter().any(|s| from.starts_with(s)));
        path.is_whole = None;
        path.is_refused = false;
        path.started = Some(at);
        path.last_bytes = None;
        path.from = from.map(Into::into);
    }

    /// Compares the counters with a recount. Returns the first that differs, for
    /// [`check_invariants`](super::State::check_invariants).
    pub(super) fn first_wrong_count(&self) -> Option<&'static str> {
        let mut counts = [0; PathState::ALL];
        let mut bytes = 0;
        for path in &self.paths {
            counts[path.state as usize] += 1;
            bytes += u128::from(path.done);
        }
        let n_moving = counts[PathState::Fetching as usize] + counts[PathState::Uploading as usize];
        [
            (counts == self.counts, "the counts of paths equal a recount"),
            (self.moving.len() == n_moving, "all paths on their way are listed"),
            (bytes == self.bytes, "bytes are those of all paths"),
        ]
        .into_iter()
        .find_map(|(holds, rule)| (!holds).then_some(rule))
    }

    /// Takes a sample for the rate.
    pub(super) fn tick(&mut self, at: Moment) {
        self.samples.push_back((at, self.bytes()));
        while self.samples.len() > 2 && at.saturating_sub(self.samples[1].0) >= RATE_WINDOW {
            self.samples.pop_front();
        }
    }

    /// Bytes per second of late.
    pub fn rate(&self, now: Moment) -> u64 {
        let Some(&(at, bytes)) = self.samples.front() else { return 0 };
        let millis = now.saturating_sub(at).as_millis();
        if millis < 500 {
            return 0;
        }
        let gained = u128::from(self.bytes().saturating_sub(bytes));
        u64::try_from(gained * 1000 / millis).unwrap_or(u64::MAX)
    }
}
