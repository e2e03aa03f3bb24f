//! The activations of a stream, and the one that is under way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Tool,
    run::{Run, Standing, SwitchId},
};

/// Runs kept: one for each node of a large hive, several times over.
const MAX_RUNS: usize = 1024;

/// The runs in the order in which they began. Methods that take a place ignore one that is not there.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    /// The run that unlabelled lines belong to, also after it is over.
    current: Option<usize>,
    /// The last run of each machine whose lines are labelled.
    nodes: BTreeMap<String, usize>,
    next_id: u32,
    /// Runs that are over, and whose end has not been reported.
    ending: Vec<SwitchId>,
}

impl Runs {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Run> + ExactSizeIterator {
        self.runs.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Run> {
        self.runs.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Run> {
        self.runs.get(at)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Run> {
        self.runs.get_mut(at)
    }

    pub(super) fn last(&self) -> Option<&Run> {
        self.runs.last()
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Run> {
        self.runs.last_mut()
    }

    /// Returns the place of the run that lines of this machine belong to, or lines of none.
    pub(super) fn of(&self, node: Option<&str>) -> Option<usize> {
        node.map_or(self.current, |node| self.nodes.get(node).copied())
    }

    /// Returns the place of the run that unlabelled lines belong to.
    pub(super) fn current_at(&self) -> Option<usize> {
        self.current
    }

    pub(super) fn current(&self) -> Option<&Run> {
        self.current.and_then(|at| self.runs.get(at))
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Run> {
        self.current.and_then(|at| self.runs.get_mut(at))
    }

    /// Begins a run, to which the lines of a machine belong from now on, or those without a label.
    pub(super) fn add(
        &mut self,
        tool: Tool,
        node: Option<String>,
        label: Option<&str>,
        at: Duration,
        standing: Standing,
    ) -> usize {
        if self.runs.len() >= MAX_RUNS {
            self.forget_oldest();
        }
        let id = SwitchId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        let place = self.runs.len();
        self.runs.push(Run::new(id, tool, node, at, standing));
        match label {
            Some(label) => {
                self.nodes.insert(label.to_owned(), place);
            }
            None => self.current = Some(place),
        }
        place
    }

    /// Ends the run. Its end is reported with [`Runs::take_ending`].
    pub(super) fn close(&mut self, at: usize) {
        if let Some(run) = self.runs.get_mut(at).filter(|run| !run.closed) {
            run.closed = true;
            self.ending.push(run.id);
        }
    }

    /// Returns the runs that ended since this was last called.
    pub(super) fn take_ending(&mut self) -> Vec<SwitchId> {
        std::mem::take(&mut self.ending)
    }

    /// Forgets the current run, which was none.
    pub(super) fn forget_current(&mut self) {
        if let Some(at) = self.current.take()
            && at + 1 == self.runs.len()
        {
            self.runs.pop();
        }
    }

    /// Forgets all beginnings that are not believed. No line follows.
    pub(super) fn settle(&mut self) {
        self.current = None;
        self.nodes.clear();
        self.runs.retain(|run| run.standing == Standing::Sure);
    }

    /// Forgets the oldest run that ended well, which is missed least.
    fn forget_oldest(&mut self) {
        let oldest =
            self.runs.iter().position(|run| run.closed && !run.fails && run.failure.is_none()).unwrap_or(0);
        self.runs.remove(oldest);
        let shift = |at: usize| match at.cmp(&oldest) {
            std::cmp::Ordering::Less => Some(at),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(at - 1),
        };
        self.current = self.current.and_then(shift);
        self.nodes = std::mem::take(&mut self.nodes)
            .into_iter()
            .filter_map(|(node, at)| shift(at).map(|at| (node, at)))
            .collect();
    }
}
