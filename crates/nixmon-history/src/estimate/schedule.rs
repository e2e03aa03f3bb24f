//! The simulation of what remains: list scheduling under limited resources, in the order in which Nix takes goals.
//!
//! Builds that share a machine slow each other down, all by the same factor, and so do downloads that share a line. So each
//! resource has a clock of its own that runs slower the more there is on it, and a thing that has begun ends at a known time
//! of that clock, whatever begins or ends later. That keeps a simulation at one heap operation per event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::plan::{MachineId, Plan, Stage, Work};

/// The factor by which builds slow down that share a machine, as a function of their number.
#[derive(Clone, Debug, PartialEq)]
pub struct Slowdown {
    /// The slopes of its logarithm over the logarithm of the number, between 1, 2, 4, 8, 16 and beyond.
    pub(crate) slopes: [f64; KNOTS],
    table: Vec<f64>,
}

/// The number of pieces of the logarithm of a slow-down.
pub(crate) const KNOTS: usize = 5;

/// Splits the logarithm of a number of builds into its pieces.
pub(crate) fn pieces(concurrency: f64) -> [f64; KNOTS] {
    let log = concurrency.max(1.0).ln();
    let step = std::f64::consts::LN_2;
    std::array::from_fn(|i| {
        let below = i as f64 * step;
        let width = if i + 1 == KNOTS { f64::INFINITY } else { step };
        (log - below).clamp(0.0, width)
    })
}

impl Slowdown {
    pub(crate) fn new(slopes: [f64; KNOTS]) -> Self {
        let mut slow = Slowdown { slopes, table: Vec::new() };
        slow.table = (0..=64).map(|k| slow.log(f64::from(k)).exp()).collect();
        slow
    }

    /// Returns the logarithm of the factor for a mean number of builds.
    pub fn log(&self, concurrency: f64) -> f64 {
        pieces(concurrency).iter().zip(self.slopes).map(|(piece, slope)| piece * slope).sum()
    }

    /// Returns the factor for a number of builds at once.
    pub fn factor(&self, builds: usize) -> f64 {
        match self.table.get(builds) {
            Some(&factor) => factor,
            None => self.log(builds as f64).exp(),
        }
    }
}

/// The open part of a plan, prepared for being simulated many times.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The open nodes in the order of their names; all below counts in this order.
    pub(crate) order: Vec<u32>,
    users_at: Vec<u32>,
    users: Vec<u32>,
    need: Vec<u32>,
    /// The resource of each running node: a machine, or [`Schedule::downloads`].
    running: Vec<Option<u32>>,
    is_download: Vec<bool>,
    /// For each node the machines that may build it, as bits; all ones where there is one machine only.
    may: Vec<u64>,
    slots: Vec<u32>,
    machines: usize,
}

/// The buffers of a simulation, kept from one to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    need: Vec<u32>,
    heaps: Vec<BinaryHeap<Reverse<(u64, u32)>>>,
    clocks: Vec<f64>,
    builds: BinaryHeap<Reverse<u32>>,
    fetches: BinaryHeap<Reverse<u32>>,
}

/// Start and stop of each open node in seconds from now, in the order of [`Schedule::order`].
pub(crate) type Trace = Vec<(f64, f64)>;

impl Schedule {
    /// Prepares the open nodes of a plan. `by_name` holds all nodes in the order in which Nix takes those that are ready.
    pub(crate) fn new(plan: &Plan, open: &[bool], by_name: &[u32]) -> Self {
        let nodes = plan.nodes();
        let order: Vec<u32> = by_name.iter().copied().filter(|&i| open[i as usize]).collect();
        let mut at = vec![u32::MAX; nodes.len()];
        for (rank, &i) in order.iter().enumerate() {
            at[i as usize] = rank as u32;
        }
        let n = order.len();
        let mut need = vec![0u32; n];
        let mut users_at = vec![0u32; n + 1];
        let inside = |i: u32| {
            let queued = nodes[i as usize].stage == Stage::Queued;
            nodes[i as usize]
                .deps
                .iter()
                .filter(move |_| queued)
                .map(|d| at[d.index()])
                .filter(|&d| d != u32::MAX)
        };
        for &i in &order {
            for dep in inside(i) {
                users_at[dep as usize + 1] += 1;
            }
        }
        for i in 0..n {
            users_at[i + 1] += users_at[i];
        }
        let mut fill = users_at.clone();
        let mut users = vec![0u32; users_at[n] as usize];
        for (rank, &i) in order.iter().enumerate() {
            for dep in inside(i) {
                need[rank] += 1;
                users[fill[dep as usize] as usize] = rank as u32;
                fill[dep as usize] += 1;
            }
        }
        let machines = plan.machines.len().clamp(1, 63);
        let downloads = machines as u32;
        let running = order
            .iter()
            .map(|&i| match (nodes[i as usize].stage, &nodes[i as usize].work) {
                (Stage::Running { .. }, Work::Download { .. }) => Some(downloads),
                (Stage::Running { machine: MachineId(m), .. }, Work::Build { .. }) => {
                    Some(m.min(downloads - 1))
                }
                _ => None,
            })
            .collect();
        let mut slots: Vec<u32> = plan.machines.iter().take(machines).map(|m| m.slots).collect();
        slots.resize(machines, 0);
        if slots.iter().all(|&s| s == 0) {
            slots[0] = 1;
        }
        slots.push(plan.downloads_at_once.max(1));
        let all: u64 =
            slots[..machines].iter().enumerate().filter(|(_, s)| **s > 0).map(|(m, _)| 1 << m).sum();
        let may = order
            .iter()
            .map(|&i| match &nodes[i as usize].work {
                Work::Build { system: Some(system), .. } if machines > 1 => {
                    let fits = plan.machines.iter().take(machines).enumerate();
                    let fits = fits.filter(|(_, m)| m.systems.is_empty() || m.systems.contains(system));
                    let bits = fits.fold(0u64, |bits, (m, _)| bits | 1 << m) & all;
                    if bits == 0 { all } else { bits }
                }
                _ => all,
            })
            .collect();
        let is_download =
            order.iter().map(|&i| matches!(nodes[i as usize].work, Work::Download { .. })).collect();
        Schedule { order, users_at, users, need, running, is_download, may, slots, machines }
    }

    /// Returns the number of open nodes.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns the users of a node, both by rank.
    pub(crate) fn users(&self, rank: usize) -> &[u32] {
        &self.users[self.users_at[rank] as usize..self.users_at[rank + 1] as usize]
    }

    /// Returns true if the node waits for nothing but a slot.
    pub(crate) fn is_ready(&self, rank: usize) -> bool {
        self.need[rank] == 0 && self.running[rank].is_none()
    }

    /// Returns true if the node is running.
    pub(crate) fn is_running(&self, rank: usize) -> bool {
        self.running[rank].is_some()
    }

    /// Returns true if the node is a download.
    pub(crate) fn is_download(&self, rank: usize) -> bool {
        self.is_download[rank]
    }

    /// Returns the slots for builds on all machines together.
    pub(crate) fn build_slots(&self) -> u32 {
        self.slots[..self.machines].iter().sum()
    }

    /// Simulates what remains and returns its seconds.
    ///
    /// `work` is the remaining work of each open node: seconds alone on its machine, or bytes. `rate` is that of all downloads.
    pub(crate) fn run(
        &self,
        work: &[f64],
        slow: &Slowdown,
        rate: f64,
        scratch: &mut Scratch,
        mut trace: Option<&mut Trace>,
    ) -> f64 {
        let downloads = self.machines;
        scratch.need.clear();
        scratch.need.extend_from_slice(&self.need);
        scratch.heaps.resize_with(self.machines + 1, BinaryHeap::new);
        scratch.heaps.iter_mut().for_each(BinaryHeap::clear);
        scratch.clocks.clear();
        scratch.clocks.resize(self.machines + 1, 0.0);
        scratch.builds.clear();
        scratch.fetches.clear();
        let key = |clock: f64| clock.max(0.0).to_bits();
        if let Some(trace) = trace.as_deref_mut() {
            trace.clear();
            trace.resize(self.len(), (0.0, 0.0));
        }
        for (rank, &work) in work.iter().enumerate() {
            if let Some(resource) = self.running[rank] {
                scratch.heaps[resource as usize].push(Reverse((key(work), rank as u32)));
            } else if self.need[rank] == 0 {
                if self.is_download[rank] {
                    scratch.fetches.push(Reverse(rank as u32));
                } else {
                    scratch.builds.push(Reverse(rank as u32));
                }
            }
        }
        let mut now = 0.0;
        self.start(work, now, scratch, trace.as_deref_mut());
        loop {
            // Seconds per unit of each resource's clock.
            let pace = |resource: usize, n: usize| {
                if resource == downloads { n as f64 / rate } else { slow.factor(n) }
            };
            let mut next: Option<(f64, usize)> = None;
            for (resource, heap) in scratch.heaps.iter().enumerate() {
                if let Some(Reverse((end, _))) = heap.peek() {
                    let left = (f64::from_bits(*end) - scratch.clocks[resource]).max(0.0)
                        * pace(resource, heap.len());
                    if next.is_none_or(|(t, _)| left < t) {
                        next = Some((left, resource));
                    }
                }
            }
            let Some((step, resource)) = next else { break };
            now += step;
            for other in 0..=self.machines {
                let n = scratch.heaps[other].len();
                if n > 0 && other != resource {
                    scratch.clocks[other] += step / pace(other, n);
                }
            }
            let Some(Reverse((end, rank))) = scratch.heaps[resource].pop() else { break };
            scratch.clocks[resource] = scratch.clocks[resource].max(f64::from_bits(end));
            if let Some(trace) = trace.as_deref_mut() {
                trace[rank as usize].1 = now;
            }
            // Those that wait already go before those that become ready now.
            self.start(work, now, scratch, trace.as_deref_mut());
            let mut woken = false;
            for &user in self.users(rank as usize) {
                let need = &mut scratch.need[user as usize];
                *need -= 1;
                if *need == 0 {
                    woken = true;
                    if self.is_download[user as usize] {
                        scratch.fetches.push(Reverse(user));
                    } else {
                        scratch.builds.push(Reverse(user));
                    }
                }
            }
            if woken {
                self.start(work, now, scratch, trace.as_deref_mut());
            }
        }
        now
    }

    /// Starts what is ready and has a slot.
    fn start(&self, work: &[f64], now: f64, scratch: &mut Scratch, mut trace: Option<&mut Trace>) {
        let downloads = self.machines;
        let mut begin =
            |rank: u32, resource: usize, heaps: &mut [BinaryHeap<Reverse<(u64, u32)>>], clock: f64| {
                let end = clock + work[rank as usize].max(0.0);
                heaps[resource].push(Reverse((end.to_bits(), rank)));
                if let Some(trace) = trace.as_deref_mut() {
                    trace[rank as usize].0 = now;
                }
            };
        while scratch.heaps[downloads].len() < self.slots[downloads] as usize {
            let Some(Reverse(rank)) = scratch.fetches.pop() else { break };
            begin(rank, downloads, &mut scratch.heaps, scratch.clocks[downloads]);
        }
        let mut passed: Vec<u32> = Vec::new();
        while !scratch.builds.is_empty() {
            // Nix asks the remote builders first.
            let is_free = |m: usize| scratch.heaps[m].len() < self.slots[m] as usize;
            let free = (0..self.machines).filter(|&m| is_free(m)).fold(0u64, |bits, m| bits | 1 << m);
            if free == 0 {
                break;
            }
            let Some(Reverse(rank)) = scratch.builds.pop() else { break };
            let fits = self.may[rank as usize] & free;
            if fits == 0 {
                passed.push(rank);
                if passed.len() > 64 {
                    break;
                }
                continue;
            }
            let remote = fits & !1;
            let machine = if remote != 0 { remote.trailing_zeros() } else { 0 } as usize;
            begin(rank, machine, &mut scratch.heaps, scratch.clocks[machine]);
        }
        scratch.builds.extend(passed.into_iter().map(Reverse));
    }
}
