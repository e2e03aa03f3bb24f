//! Pauses between tries to connect, so that ten thousand agents do not come at once when a hub is back.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Returns the pause after so many failures in a row. `random` chooses it between half of the full pause and all of it.
pub(crate) fn pause(failures: u32, random: u64) -> Duration {
    let full = SHORTEST.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST);
    let half = full / 2;
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}

/// Returns a random number.
pub(crate) fn random() -> u64 {
    // Each hasher has keys of its own, from the system.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_spread() {
        let ms = |failures, random| pause(failures, random).as_millis();
        for (failures, shortest, longest) in
            [(0, 250, 500), (1, 500, 1000), (3, 2000, 4000), (6, 15_000, 30_000), (u32::MAX, 15_000, 30_000)]
        {
            assert_eq!((ms(failures, 0), ms(failures, u64::MAX)), (shortest, longest), "{failures}");
        }
        assert_ne!(random(), random());
    }
}
