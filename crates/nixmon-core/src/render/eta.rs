//! The end of a run as it is foreseen.

use std::time::Duration;

use super::{Style, rough};
use crate::state::{Derivation, DerivationId, Eta};
use crate::text::{duration, thousands};
use crate::view::View;

/// Less is not worth saying.
const LEAST: u64 = 1_000;

/// Returns `~12m left (8–19m)`, or `None` where nothing is known or the end is near.
pub fn eta(view: &View<'_>, style: &Style) -> Option<String> {
    let eta = view.state.eta(view.now)?;
    let time = |ms| rough(Duration::from_millis(ms));
    if eta.high_ms < LEAST {
        return None;
    }
    let dash = if style.ascii { "-" } else { "–" };
    let (low, high) = (time(eta.low_ms), time(eta.high_ms));
    Some(format!("~{} left ({})", time(eta.remaining_ms), range(&low, &high, dash)))
}

/// Returns `8–19m`: a unit that both ends have in common is said once.
fn range(low: &str, high: &str, dash: &str) -> String {
    if low == high {
        return low.to_owned();
    }
    let unit = |text: &str| text.char_indices().find(|(_, c)| !c.is_ascii_digit()).map(|(at, _)| at);
    match (unit(low), unit(high)) {
        (Some(a), Some(b)) if low[a..] == high[b..] && low.len() == a + 1 => {
            format!("{}{dash}{high}", &low[..a])
        }
        _ => format!("{low}{dash}{high}"),
    }
}

/// Returns `7 of 40 never seen` where some of the open derivations are new.
pub fn never_seen(view: &View<'_>) -> Option<String> {
    let Eta { known, unknown, .. } = view.state.forecast().eta?;
    let all = u64::from(known) + u64::from(unknown);
    (unknown > 0).then(|| format!("{} of {} never seen", thousands(u64::from(unknown)), thousands(all)))
}

/// Returns the time of a build in progress: `28m of ~31m`, or `52m, usually ~31m` if it is overdue.
pub(super) fn elapsed(view: &View<'_>, id: DerivationId, derivation: &Derivation) -> String {
    let elapsed = derivation.elapsed(view.now);
    match view.state.forecast().expected.get(&id) {
        Some(expected) if is_overdue(elapsed, expected.high) => {
            format!("{}, usually ~{}", rough(elapsed), rough(expected.total))
        }
        Some(expected) => format!("{} of ~{}", rough(elapsed), rough(expected.total)),
        None => duration(elapsed),
    }
}

/// Returns the expectation of a build beside its elapsed time: `of ~31m`, or `usually ~31m` if it is overdue.
pub(super) fn expectation(view: &View<'_>, id: DerivationId, derivation: &Derivation) -> Option<String> {
    let expected = view.state.forecast().expected.get(&id)?;
    let word = if is_overdue(derivation.elapsed(view.now), expected.high) { "usually" } else { "of" };
    Some(format!("{word} ~{}", rough(expected.total)))
}

/// Returns whether a build is far past its expectation, not just a little.
fn is_overdue(elapsed: Duration, high: Duration) -> bool {
    elapsed > high + high / 4
}

/// Returns `waits for: llvm → rustc → firefox`, at most so many names, where a chain of builds is known.
pub fn waits_for(names: &[String], most: usize, style: &Style) -> Option<String> {
    if names.len() < 2 {
        return None;
    }
    let arrow = format!(" {} ", style.symbols.arrow);
    let mut text = if names.len() <= most {
        names.join(&arrow)
    } else {
        let end = names.last().map_or("", String::as_str);
        format!("{}{arrow}{}{arrow}{end}", names[..most - 1].join(&arrow), style.symbols.ellipsis)
    };
    text.insert_str(0, "waits for: ");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_a_common_unit_once() {
        for (low, high, expected) in [
            ("8m", "19m", "8–19m"),
            ("40s", "50s", "40–50s"),
            ("50s", "3m", "50s–3m"),
            ("1h", "2h", "1–2h"),
            ("1h10m", "2h10m", "1h10m–2h10m"),
            ("5m", "5m", "5m"),
        ] {
            assert_eq!(range(low, high, "–"), expected);
        }
    }

    #[test]
    fn long_chains_are_shortened_in_the_middle() {
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let style = Style::default();
        assert_eq!(waits_for(&names[..1], 3, &style), None);
        assert_eq!(waits_for(&names[..3], 3, &style).as_deref(), Some("waits for: a → b → c"));
        assert_eq!(waits_for(&names, 3, &style).as_deref(), Some("waits for: a → b → … → e"));
    }
}
