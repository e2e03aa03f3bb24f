//! What must hold after every input, whatever the input was. For tests and fuzz targets: the cost grows with the state.

use super::State;
use super::activity::{Kind, MAX_ACTIVITIES};
use super::derivation::{DerivationState, MAX_DERIVATIONS};
use super::errors::{MAX_FAILURES, MAX_LOOSE};
use super::process::{MAX_CREDITS, MAX_OPEN, MAX_PROCESSES};
use super::transfer::MAX_PATHS;

impl State {
    /// The first thing that does not hold.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> Result<(), String> {
        let derivations = self.derivations.counts();
        expect(derivations == self.derivations.recount(), "the counts of derivations equal a recount")?;
        let known = [DerivationState::Building, DerivationState::Ended, DerivationState::Built];
        let begun: usize = known.into_iter().map(|state| derivations.get(state)).sum();
        expect(derivations.wanted() >= begun, "as many are wanted as are built and running")?;
        self.transfers.check()?;
        expect(self.derivations.iter().len() <= MAX_DERIVATIONS, "derivations are bounded")?;
        expect(self.transfers.iter().count() <= MAX_PATHS, "paths are bounded")?;
        expect(self.activities.len() <= MAX_ACTIVITIES, "activities are bounded")?;
        expect(self.processes.len() <= MAX_PROCESSES + 1, "processes are bounded")?;
        expect(self.failures.len() <= MAX_FAILURES + MAX_LOOSE + 1, "failures are bounded")?;
        expect(self.loose_errors.len() <= MAX_LOOSE, "errors without a derivation are bounded")?;
        for process in self.processes.values() {
            let open = [process.unnamed.len(), process.undecided.len(), process.copies.len()];
            expect(open.into_iter().all(|n| n <= MAX_OPEN), "what a process leaves open is bounded")?;
            let credits = process.builds.len().max(process.paths.len());
            expect(credits <= MAX_CREDITS, "counted ends are bounded")?;
        }
        for (id, derivation) in self.derivations.iter() {
            if let Some(failure) = derivation.failure {
                let owner = self.failures.get(failure.0).and_then(|failure| failure.derivation);
                expect(owner == Some(id), "a derivation's failure is its own")?;
            }
        }
        let building = |kind: Kind| match kind {
            Kind::Build(id) => self.derivations.get(id).activities > 0,
            _ => true,
        };
        expect(self.activities.kinds().all(building), "a build that runs knows its activity")
    }
}

pub(super) fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("does not hold: {what}")) }
}
