//! What must hold after every input, whatever the input was. For tests and fuzz targets: the cost grows with the state.

use super::State;
use super::activity::{Kind, MAX_ACTIVITIES};
use super::causes::MAX_FAILURES;
use super::derivation::{Derivation, DerivationState, MAX_DERIVATIONS, MAX_EDGES};
use super::errors::MAX_SEEN;
use super::loose::MAX_LOOSE;
use super::process::{MAX_CREDITS, MAX_OPEN, MAX_PROCESSES};
use super::raw_log::MAX_BEFORE;
use super::records::MAX_HOOKS;
use super::transfer::MAX_PATHS;

impl State {
    /// The first thing that does not hold.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> Result<(), String> {
        let derivations = self.builds.derivations.counts();
        expect(
            derivations == self.builds.derivations.recount(),
            "the counts of derivations equal a recount",
        )?;
        let known = [DerivationState::Building, DerivationState::Ended, DerivationState::Built];
        let begun: usize = known.into_iter().map(|state| derivations.get(state)).sum();
        expect(derivations.wanted() >= begun, "as many are wanted as are built and running")?;
        let mut building = self.builds.derivations.building();
        let is_building = |(_, derivation): (_, &Derivation)| derivation.state() == DerivationState::Building;
        expect(building.all(is_building), "what is listed as building is")?;
        let n_building = self.builds.derivations.building().count();
        expect(n_building == derivations.get(DerivationState::Building), "all that builds is listed")?;
        if let Some(rule) = self.transfers.first_wrong_count() {
            expect(false, rule)?;
        }
        expect(self.builds.derivations.iter().len() <= MAX_DERIVATIONS, "derivations are bounded")?;
        expect(self.transfers.iter().count() <= MAX_PATHS, "paths are bounded")?;
        expect(self.builds.activities.len() <= MAX_ACTIVITIES, "activities are bounded")?;
        expect(self.builds.processes.len() <= MAX_PROCESSES + 1, "processes are bounded")?;
        expect(self.errors.failures.len() <= MAX_FAILURES + MAX_LOOSE + 1, "failures are bounded")?;
        expect(self.errors.loose.len() <= MAX_LOOSE, "errors without a derivation are bounded")?;
        expect(self.builds.hooks.len() <= MAX_HOOKS, "hooks are bounded")?;
        let (n_edges, n_outputs) = self.builds.derivations.extent();
        expect(n_edges.max(n_outputs) <= MAX_EDGES, "the graph is bounded")?;
        expect(self.text.seen.len() <= MAX_SEEN, "remembered texts are bounded")?;
        expect(self.text.of_others.is_bounded(), "lines of other programs are bounded")?;
        expect(self.text.raw_log.n_before() <= MAX_BEFORE, "lines that may be builders' are bounded")?;
        // A list that only grows has dropped nothing while there was room.
        let dropped = self.dropped();
        let limits = [
            (dropped.store_paths, self.transfers.iter().count(), MAX_PATHS, "paths"),
            (dropped.processes, self.builds.processes.len(), MAX_PROCESSES, "processes"),
            (dropped.failures, self.errors.failures.len(), MAX_FAILURES, "failures"),
            (dropped.errors, self.errors.loose.len(), MAX_LOOSE, "errors"),
            (dropped.texts, self.text.seen.len(), MAX_SEEN, "texts"),
        ];
        for (n_dropped, n_kept, limit, what) in limits {
            expect(
                n_dropped == 0 || n_kept >= limit,
                &format!("{what} are dropped beyond their limit only"),
            )?;
        }
        for process in self.builds.processes.values() {
            let open = [
                process.unnamed.len(),
                process.undecided.len(),
                process.copies.len(),
                process.uncounted.len(),
            ];
            expect(open.into_iter().all(|n| n <= MAX_OPEN), "what a process leaves open is bounded")?;
            let credits = process.builds.len().max(process.paths.len()).max(process.inner_builds.len());
            expect(credits <= MAX_CREDITS, "counted ends are bounded")?;
        }
        for (id, derivation) in self.builds.derivations.iter() {
            if let Some(failure) = derivation.failure {
                let owner = self.errors.failures.get(failure.0).and_then(|failure| failure.derivation);
                expect(owner == Some(id), "a derivation's failure is its own")?;
            }
        }
        let building = |kind: Kind| match kind {
            Kind::Build(id) | Kind::InnerBuild(id) => self.builds.derivations.get(id).activities > 0,
            _ => true,
        };
        expect(self.builds.activities.kinds().all(building), "a build that runs knows its activity")
    }
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("does not hold: {what}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Effects, Input, Moment};
    use nixmon_log::input::Reader;

    /// The state after a stream of records, which holds together.
    fn check(records: impl IntoIterator<Item = String>) -> State {
        let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
        for record in records {
            reader.feed(format!("@nix {record}\n").as_bytes(), |event| {
                state.apply(Input::Event(event), Moment::ZERO, &mut effects);
                effects.changes.clear();
            });
        }
        assert_eq!(state.check_invariants(), Ok(()));
        state
    }

    fn fetch(id: u64, name: &str) -> String {
        let path = format!("/nix/store/{:a>32}-{name}", "");
        format!(r#"{{"action":"start","id":{id},"fields":["{path}","https://c"],"type":108}}"#)
    }

    #[test]
    fn bytes_of_several_paths_may_be_more_than_64_bits() {
        let mut records = Vec::new();
        for (id, name) in [(1, "a"), (10, "b")] {
            records.push(fetch(id, name));
            records.push(format!(
                r#"{{"action":"start","id":{},"parent":{id},"fields":["p"],"type":100}}"#,
                id + 1
            ));
            records.push(format!(
                r#"{{"action":"start","id":{},"parent":{},"fields":["u"],"type":101}}"#,
                id + 2,
                id + 1
            ));
            let progress = format!("[{},{},0,0]", u64::MAX, u64::MAX);
            records.push(format!(r#"{{"action":"result","id":{},"fields":{progress},"type":105}}"#, id + 2));
        }
        assert_eq!(check(records.clone()).transfers().bytes(), u64::MAX);
        records.extend([fetch(20, "a"), fetch(21, "b")]);
        assert_eq!(check(records).transfers().bytes(), 0);
    }

    #[test]
    fn processes_beyond_the_limit_share_one() {
        let request = |pid: u64| format!(r#"{{"action":"start","id":{},"type":102}}"#, pid << 32);
        let state = check((1..MAX_PROCESSES as u64 + 100).map(request));
        assert_eq!(state.builds.processes.len(), MAX_PROCESSES + 1);
    }

    #[test]
    fn paths_that_nobody_counts_are_forgotten() {
        let mut records = vec![
            r#"{"action":"start","id":1,"type":103}"#.to_owned(),
            r#"{"action":"result","id":1,"fields":[0,9,9,0],"type":105}"#.to_owned(),
        ];
        for id in 2..MAX_OPEN as u64 + 100 {
            records.push(fetch(id, &id.to_string()));
            records.push(format!(r#"{{"action":"stop","id":{id}}}"#));
        }
        let state = check(records);
        assert!(state.builds.processes.values().all(|process| process.undecided.len() == MAX_OPEN));
    }

    #[test]
    fn a_long_path_is_cut() {
        let long = "é".repeat(1 << 20);
        let start =
            |id: u64| format!(r#"{{"action":"start","id":{id},"fields":["{long}","",1,1],"type":105}}"#);
        let state = check([start(1), start(2)]);
        assert_eq!(state.builds.derivations.iter().len(), 1);
    }
}
