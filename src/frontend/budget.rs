//! How much may still be said. A build of any length prints a bounded number of lines.

use std::time::Duration;

/// What the user allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines in all.
    pub lines: usize,
    /// Bytes in all.
    pub bytes: usize,
    /// The least time between two heartbeats.
    pub every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lines: 60, bytes: 8192, every: Duration::from_secs(30) }
    }
}

/// What a line is for; each purpose has its share, so that none starves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Changes of phase, and failures as they happen.
    Events,
    /// Text of Nix's and of other programs.
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

/// What is left of the limits.
#[derive(Clone, Debug)]
pub struct Budget {
    every: Duration,
    events: Room,
    text: Room,
    heartbeats: Room,
    report: Room,
    last_heartbeat: Duration,
}

/// While many heartbeats are left, the wait is this part of the time that has passed: the spacing of a day is that of an
/// hour in proportion.
const PART: u32 = 4;

impl Budget {
    /// The whole of the limits.
    pub fn new(limits: Limits) -> Self {
        // Heartbeats are most of what a long run says, the report is what matters most.
        let small = Room::of(&limits, 2, 15);
        let heartbeats = Room::of(&limits, 7, 15);
        Self {
            every: limits.every,
            events: small,
            text: small,
            heartbeats,
            // Four parts of fifteen, and what rounding leaves.
            report: Room {
                lines: limits.lines - 2 * small.lines - heartbeats.lines,
                bytes: limits.bytes - 2 * small.bytes - heartbeats.bytes,
            },
            last_heartbeat: Duration::ZERO,
        }
    }

    /// Whether a line of so many bytes has room, so that one that has none need not be made.
    pub fn fits(&self, share: Share, bytes: usize) -> bool {
        let room = match share {
            Share::Events => &self.events,
            Share::Text => &self.text,
            Share::Heartbeats => &self.heartbeats,
        };
        room.fits(bytes)
    }

    /// Takes room for a line of so many bytes if there is any.
    pub fn take(&mut self, share: Share, bytes: usize) -> bool {
        let fits = self.fits(share, bytes);
        if fits {
            self.room_mut(share).spend(bytes);
        }
        fits
    }

    /// Takes room for so many bytes more of a line that has some already, if there is any.
    pub fn take_more(&mut self, share: Share, bytes: usize) -> bool {
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

    /// Whether it is time for a heartbeat: the fewer are left, the longer the wait, in proportion to the time that has passed.
    pub fn heartbeat_is_due(&self, now: Duration) -> bool {
        let Ok(left) = u32::try_from(self.heartbeats.lines) else { return false };
        if left == 0 {
            return false;
        }
        let wait = self.every.max(self.last_heartbeat.saturating_mul(2) / left.min(2 * PART));
        now.saturating_sub(self.last_heartbeat) >= wait
    }

    /// Something was said that shows life, so a heartbeat can wait.
    pub fn heard(&mut self, now: Duration) {
        self.last_heartbeat = now;
    }

    /// What the report may take: its own share and what events and text have left.
    pub fn report(&self) -> (usize, usize) {
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
