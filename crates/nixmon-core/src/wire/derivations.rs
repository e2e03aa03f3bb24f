//! The derivations of a run as packages.

use std::cmp::Reverse;

use super::{Package, PackageHealth, PackageStatus, millis};
use crate::state::{Derivation, DerivationId, DerivationState, Moment, State};
use nixmon_progress::Stage;

/// Largest number of derivations in a record. A graph may have tens of thousands, and a record is written every second.
const MAX_DERIVATIONS: usize = 64;
/// Number of those that may be built ones.
const MAX_BUILT: usize = 16;
/// Largest number of names of needed derivations in a row.
const MAX_NEEDS: usize = 32;

/// Makes packages of derivations: those that failed, those in progress, those that come next, and the last that were built,
/// sorted by name.
///
/// A build in progress is *compiling*, or *linking* while its build tool links. A derivation that was started and stopped is
/// *queued*. Files and percent are those of its build tool.
pub fn derivations(state: &State, now: Moment) -> Vec<Package> {
    let derivations = state.derivations();
    let (mut failed, mut building, mut queued, mut built) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, derivation) in derivations.iter() {
        match derivation.state() {
            DerivationState::Failed => failed.push(id),
            DerivationState::Building | DerivationState::Ended => building.push((derivation.started, id)),
            DerivationState::Planned
            | DerivationState::Waiting
            | DerivationState::Cancelled
            | DerivationState::Skipped => queued.push(id),
            DerivationState::Built => built.push((derivation.ended, id)),
            DerivationState::Unknown => {}
        }
    }
    building.sort_unstable();
    built.sort_unstable_by_key(|(ended, id)| (Reverse(*ended), *id));
    // What waits for the most recent start comes last; ready ones come first.
    let n_room = MAX_DERIVATIONS.saturating_sub(failed.len() + building.len() + built.len().min(MAX_BUILT));
    if queued.len() > n_room {
        // More than two are not counted: graphs are large, and this is done every second.
        let n_missing = |id: &DerivationId| {
            derivations.inputs(*id).filter(|on| is_to_come(derivations.get(*on).state())).take(2).count()
        };
        queued.sort_by_cached_key(|id| (n_missing(id), *id));
        queued.truncate(n_room);
    }
    let chosen = failed
        .into_iter()
        .chain(building.into_iter().map(|(_, id)| id))
        .chain(queued)
        .chain(built.into_iter().take(MAX_BUILT).map(|(_, id)| id));
    let mut rows: Vec<Package> =
        chosen.take(MAX_DERIVATIONS).map(|id| row(state, id, derivations.get(id), now)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// Returns whether a derivation is still to be built.
fn is_to_come(state: DerivationState) -> bool {
    !matches!(state, DerivationState::Built | DerivationState::Unknown)
}

fn row(state: &State, id: DerivationId, derivation: &Derivation, now: Moment) -> Package {
    let derivations = state.derivations();
    let unit = state.scope(id).and_then(|scope| scope.unit());
    let (status, health) = match derivation.state() {
        DerivationState::Failed => (PackageStatus::Failed, PackageHealth::Failed),
        DerivationState::Built => (PackageStatus::Built, PackageHealth::Ok),
        DerivationState::Skipped => (PackageStatus::Queued, PackageHealth::Blocked),
        DerivationState::Building | DerivationState::Ended => {
            let links = unit.is_some_and(|unit| unit.stage == Stage::Link);
            (if links { PackageStatus::Linking } else { PackageStatus::Compiling }, PackageHealth::Ok)
        }
        _ => (PackageStatus::Queued, PackageHealth::Ok),
    };
    let is_built = derivation.state() == DerivationState::Built;
    let needs = derivations.inputs(id).filter(|on| derivations.get(*on).state() != DerivationState::Unknown);
    let mut depends_on: Vec<String> =
        needs.take(MAX_NEEDS).map(|on| derivations.get(on).name().to_owned()).collect();
    depends_on.sort();
    depends_on.dedup();
    Package {
        name: derivation.name().to_owned(),
        status,
        done: unit.map_or(0, |unit| unit.done),
        total: unit.and_then(|unit| unit.total),
        current_file: unit.and_then(|unit| unit.current.clone()),
        progress_pct: if is_built {
            Some(100.0)
        } else {
            unit.and_then(|unit| unit.percent).map(super::inside::tenth)
        },
        elapsed_ms: derivation.started.and_then(|_| derivation.known_elapsed(now)).map(millis),
        eta_ms: state.scope(id).and_then(|scope| scope.eta()).map(millis),
        depends_on,
        health,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Effects, Input};
    use nixmon_log::input::Reader;

    #[test]
    fn of_many_derivations_those_that_move_are_told() {
        let path = |n: usize| format!("/nix/store/{n:032}-p{n:03}-1.0.drv");
        let mut text = "these 200 derivations will be built:\n".to_owned();
        (0..200).for_each(|n| text.push_str(&format!("  {}\n", path(n))));
        for n in [150, 151] {
            let fields = format!(r#"["{}","",1,1]"#, path(n));
            text.push_str(&format!("@nix {{\"action\":\"start\",\"fields\":{fields},\"id\":{n},\"level\":3,\"parent\":0,\"text\":\"\",\"type\":105}}\n"));
        }
        text.push_str(&format!(
            "@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"error: builder for '{}' failed with exit code 2\"}}\n",
            path(150)
        ));
        let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
        let at = Moment::from_secs(3);
        reader.feed(text.as_bytes(), |event| state.apply(Input::Event(event), at, &mut effects));
        let rows = derivations(&state, Moment::from_secs(5));
        assert_eq!(rows.len(), MAX_DERIVATIONS);
        assert!(rows.is_sorted_by(|a, b| a.name < b.name));
        let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(
            (&of("p150-1.0").status, &of("p150-1.0").health),
            (&PackageStatus::Failed, &PackageHealth::Failed)
        );
        let building = of("p151-1.0");
        assert_eq!((&building.status, building.elapsed_ms), (&PackageStatus::Compiling, Some(2000)));
        assert_eq!((&of("p000-1.0").status, of("p000-1.0").elapsed_ms), (&PackageStatus::Queued, None));
    }
}
