//! The budget of condensed output: a build of any length prints a bounded number of lines.

use std::time::Duration;

/// The limits that the user sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest number of lines.
    pub lines: usize,
    /// Largest number of bytes.
    pub bytes: usize,
    /// Shortest time between two heartbeats.
    pub every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lines: 60, bytes: 8192, every: Duration::from_secs(30) }
    }
}

/// The purpose of a line. Each purpose has its share of the budget, so that none starves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Changes of phase, and failures as they happen.
    Events,
    /// Text from Nix and from other programs.
    Text,
    /// Signs of life.
    Heartbeats,
}

#[derive(Clone, Copy, Debug)]
struct Room {
    lines: usize,
    bytes: usize,
}

impl Room {
    fn of(limits: &Limits, part: usize, of: usize) -> Self {
        Self { lines: limits.lines * part / of, bytes: limits.bytes * part / of }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.lines > 0 && self.bytes >= bytes
    }

    fn spend(&mut self, bytes: usize) {
        self.lines = self.lines.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// The rest of the limits.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    every: Duration,
    events: Room,
    text: Room,
    heartbeats: Room,
    report: Room,
    last_heartbeat: Duration,
}

/// While many heartbeats are left, the wait is this fraction of the elapsed time, so that a day has about as many heartbeats
/// as an hour.
const PART: u32 = 4;

impl Budget {
    /// Makes a budget with all of the limits.
    pub(crate) fn new(limits: Limits) -> Self {
        // Heartbeats are most of the output of a long run; the report matters most.
        let small = Room::of(&limits, 2, 15);
        let heartbeats = Room::of(&limits, 7, 15);
        Self {
            every: limits.every,
            events: small,
            text: small,
            heartbeats,
            // Four fifteenths, and the rest from rounding.
            report: Room {
                lines: limits.lines - 2 * small.lines - heartbeats.lines,
                bytes: limits.bytes - 2 * small.bytes - heartbeats.bytes,
            },
            last_heartbeat: Duration::ZERO,
        }
    }

    /// Returns whether a line of this many bytes has room. A caller need not make a line without room.
    pub(crate) fn fits(&self, share: Share, bytes: usize) -> bool {
        let room = match share {
            Share::Events => &self.events,
            Share::Text => &self.text,
            Share::Heartbeats => &self.heartbeats,
        };
        room.fits(bytes)
    }

    /// Takes room for a line of this many bytes and returns true, if there is any.
    pub(crate) fn take(&mut self, share: Share, bytes: usize) -> bool {
        let fits = self.fits(share, bytes);
        if fits {
            self.room_mut(share).spend(bytes);
        }
        fits
    }

    /// Takes room for more bytes of the same line and returns true, if there is any.
    pub(crate) fn take_more(&mut self, share: Share, bytes: usize) -> bool {
        let room = self.room_mut(share);
        let left = room.bytes.checked_sub(bytes);
        room.bytes = left.unwrap_or(room.bytes);
        left.is_some()
    }

    fn room_mut(&mut self, share: Share) -> &mut Room {
        match share {
            Share::Events => &mut self.events,
            Share::Text => &mut self.text,
            Share::Heartbeats => &mut self.heartbeats,
        }
    }

    /// Returns whether a heartbeat is due: the fewer are left, the longer the wait, in proportion to the elapsed time.
    pub(crate) fn heartbeat_is_due(&self, now: Duration) -> bool {
        let Ok(left) = u32::try_from(self.heartbeats.lines) else { return false };
        if left == 0 {
            return false;
        }
        let wait = self.every.max(self.last_heartbeat.saturating_mul(2) / left.min(2 * PART));
        now.saturating_sub(self.last_heartbeat) >= wait
    }

    /// Notes that a line showed life, so that the next heartbeat can wait.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.last_heartbeat = now;
    }

    /// Returns the lines and bytes for the report: its own share and the rest of events and text.
    pub(crate) fn report(&self) -> (usize, usize) {
        let rooms = [self.report, self.events, self.text];
        (rooms.iter().map(|room| room.lines).sum(), rooms.iter().map(|room| room.bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_recording_are_taken() {
        let mut budget = Budget::new(Limits::default());
        budget.heard(Duration::MAX);
        assert!(!budget.heartbeat_is_due(Duration::MAX));
    }

    fn heartbeats(limits: Limits, run: Duration) -> Vec<u64> {
        let mut budget = Budget::new(limits);
        let mut at = Vec::new();
        for second in 0..run.as_secs() {
            let now = Duration::from_secs(second);
            if budget.heartbeat_is_due(now) && budget.take(Share::Heartbeats, 100) {
                budget.heard(now);
                at.push(second);
            }
        }
        at
    }

    #[test]
    fn heartbeats_come_often_at_first_and_never_end_soon() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let short = heartbeats(Limits::default(), minutes(3));
        assert_eq!(short, [30, 60, 90, 120, 150]);
        let four_hours = heartbeats(Limits::default(), minutes(4 * 60));
        let gaps: Vec<u64> = four_hours.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().zip(&four_hours).all(|(gap, from)| *gap <= 30.max(from + 1)), "{four_hours:?}");
        assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0]), "{four_hours:?}");
        let day = heartbeats(Limits::default(), minutes(24 * 60));
        assert!(day.len() <= 28 && day.last() > Some(&(12 * 3600)), "{day:?}");
        let few = heartbeats(Limits { lines: 12, ..Limits::default() }, minutes(4 * 60));
        assert_eq!(few.len(), 5, "{few:?}");
    }

    #[test]
    fn shares_do_not_exceed_the_limits() {
        for lines in 0..200 {
            let limits = Limits { lines, ..Limits::default() };
            let mut budget = Budget::new(limits);
            let mut n = 0;
            for share in [Share::Events, Share::Text, Share::Heartbeats] {
                while budget.take(share, 10) {
                    n += 1;
                }
            }
            assert!(n + budget.report().0 <= lines, "{lines}");
        }
    }
}
