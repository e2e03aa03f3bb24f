//! Losses to the limits on memory.

/// Losses to the limits on memory. All are 0 in a run of usual size but [`log_lines`],
/// [`other_lines`] and [`lines_cut`].
///
/// [`log_lines`]: Self::log_lines
/// [`other_lines`]: Self::other_lines
/// [`lines_cut`]: Self::lines_cut
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Times that a derivation was named for which there was no entry of its own.
    pub derivations: u64,
    /// Times that a store path was named for which there was no entry of its own.
    pub store_paths: u64,
    /// Activities that were not followed.
    pub activities: u64,
    /// Activities of processes that had no entry of their own.
    pub processes: u64,
    /// Ended builds and paths that were forgotten before Nix had counted them, and counted ends beyond what is kept.
    pub ends: u64,
    /// Inputs and outputs of derivations that were left out of the graph.
    pub graph: u64,
    /// Root causes.
    pub failures: u64,
    /// Errors without a derivation; the oldest are forgotten.
    pub errors: u64,
    /// Lines of builds' logs between their first errors and their ends.
    pub log_lines: u64,
    /// Texts that were not remembered, and are shown again if they come again.
    pub texts: u64,
    /// Lines of other programs that came before the last ones.
    pub other_lines: u64,
    /// Lines of logs and of other programs whose ends were not kept.
    pub lines_cut: u64,
    /// Lines of build logs that were not searched for progress: there were too many at once, or too many in all.
    pub progress_lines: u64,
    /// Lines of the stream that were too long to be read whole.
    pub long_lines: u64,
    /// Entries whose path was cut.
    pub paths_cut: u64,
    /// Rows of the history of builds that could not be written.
    pub history: u64,
}

#[cfg(test)]
mod tests {
    use crate::state::activity::MAX_ACTIVITIES;
    use crate::state::causes::MAX_FAILURES;
    use crate::state::derivation::{Derivations, MAX_DERIVATIONS};
    use crate::state::errors::MAX_SEEN;
    use crate::state::loose::MAX_LOOSE;
    use crate::state::process::{MAX_CREDITS, MAX_OPEN, MAX_PROCESSES};
    use crate::state::transfer::{MAX_PATHS, Transfers};
    use crate::state::{Dropped, Effects, Input, Moment, State};
    use nixmon_log::input::{MAX_LINE, Reader};
    use nixmon_log::nix::log::{ActivityType, Fields, LogMessage, Text};

    /// A stream of lines leads to these counters, and to a state that holds together.
    #[track_caller]
    fn check(lines: impl IntoIterator<Item = String>, expected: Dropped) -> State {
        let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
        let mut feed = |bytes: &[u8]| {
            reader.feed(bytes, |event| {
                state.apply(Input::Event(event), Moment::ZERO, &mut effects);
                effects.changes.clear();
                effects.requests.clear();
            });
        };
        for line in lines {
            feed(line.as_bytes());
            feed(b"\n");
        }
        assert_eq!(state.dropped(), expected);
        assert_eq!(state.check_invariants(), Ok(()));
        state
    }

    fn drv(n: usize) -> String {
        format!("/nix/store/{n:0>32}-p.drv")
    }

    fn error(message: &str) -> String {
        format!(r#"@nix {{"action":"msg","level":0,"msg":"error: {message}","raw_msg":"{message}"}}"#)
    }

    #[test]
    fn failures_kept_and_dropped_are_those_seen() {
        let errors = (0..MAX_FAILURES + 50)
            .map(|n| error(&format!("builder for '{}' failed with exit code 1", drv(n))));
        let state = check(errors, Dropped { failures: 50, ..Dropped::default() });
        assert_eq!(state.failures().count(), MAX_FAILURES);
    }

    #[test]
    fn errors_kept_and_dropped_are_those_seen() {
        let errors = (0..MAX_LOOSE + 50).map(|n| error(&format!("number {n}")));
        let state = check(errors, Dropped { errors: 50, ..Dropped::default() });
        assert_eq!(state.errors.loose.len(), MAX_LOOSE);
    }

    #[test]
    fn texts_that_are_not_remembered_are_counted_each_time() {
        let warnings = (0..MAX_SEEN + 5).map(|n| format!("warning: number {n}"));
        let again = std::iter::repeat_n(format!("warning: number {}", MAX_SEEN + 1), 3);
        let known = std::iter::once("warning: number 0".to_owned());
        check(warnings.chain(again).chain(known), Dropped { texts: 8, ..Dropped::default() });
    }

    #[test]
    fn lines_of_other_programs_are_counted() {
        let lines = (0..100).map(|n| format!("{n} {}", "x".repeat(if n == 3 { 5000 } else { 996 })));
        let state = check(lines, Dropped { other_lines: 82, lines_cut: 1, ..Dropped::default() });
        assert_eq!(state.other_text().lines().1.len(), 18);
    }

    #[test]
    fn lines_that_are_too_long_are_counted() {
        let lines = ["x".repeat(MAX_LINE + 10), "x".repeat(MAX_LINE), "y".repeat(MAX_LINE + 1)];
        check(lines, Dropped { long_lines: 2, lines_cut: 3, ..Dropped::default() });
    }

    #[test]
    fn what_a_process_leaves_open_is_counted() {
        // Nix says that there is a counter, and never counts.
        let mut lines = vec![
            r#"@nix {"action":"start","id":1,"type":103}"#.to_owned(),
            r#"@nix {"action":"result","id":1,"fields":[0,9,9,0],"type":105}"#.to_owned(),
        ];
        for id in 2..MAX_OPEN + 12 {
            lines.push(format!(
                r#"@nix {{"action":"start","id":{id},"fields":["/nix/store/{id:0>32}-p",""],"type":108}}"#
            ));
            lines.push(format!(r#"@nix {{"action":"stop","id":{id}}}"#));
        }
        check(lines, Dropped { ends: 10, ..Dropped::default() });
        // Nix counts more than ever ends.
        let running = MAX_CREDITS + 9;
        let counts = [format!("[0,0,{running},0]"), format!("[{running},0,0,0]")];
        let lines = counts
            .map(|fields| format!(r#"@nix {{"action":"result","id":1,"fields":{fields},"type":105}}"#))
            .into_iter();
        let start = std::iter::once(r#"@nix {"action":"start","id":1,"type":104}"#.to_owned());
        check(start.chain(lines), Dropped { ends: 9, ..Dropped::default() });
    }

    #[test]
    fn activities_of_processes_without_an_entry_are_counted() {
        let request = |pid: usize| format!(r#"@nix {{"action":"start","id":{},"type":102}}"#, pid << 32);
        check((1..=MAX_PROCESSES + 100).map(request), Dropped { processes: 100, ..Dropped::default() });
    }

    #[test]
    fn a_long_path_is_counted_once() {
        let long = "é".repeat(1 << 16);
        let start =
            |id: u64| format!(r#"@nix {{"action":"start","id":{id},"fields":["{long}","",1,1],"type":105}}"#);
        check([start(1), start(2)], Dropped { paths_cut: 1, ..Dropped::default() });
    }

    #[test]
    fn a_million_live_activities_are_followed_and_more_are_counted() {
        const MORE: u64 = 100;
        let (mut state, mut effects) = (State::new(), Effects::default());
        let mut apply = |message: &LogMessage<'_>| {
            state.apply(Input::Event(nixmon_log::input::Event::Record(message)), Moment::ZERO, &mut effects);
            effects.changes.clear();
        };
        for id in 1..=MAX_ACTIVITIES as u64 + MORE {
            let (kind, text) = (ActivityType::Realise, Text::plain(""));
            let fields = Fields::default();
            apply(&LogMessage::Start { id, level: 3, parent: id, kind, text, fields });
        }
        assert_eq!(state.builds.activities.len(), MAX_ACTIVITIES);
        assert_eq!(state.dropped(), Dropped { activities: MORE, ..Dropped::default() });
        assert_eq!(state.check_invariants(), Ok(()));
    }

    #[test]
    fn derivations_and_paths_beyond_the_limit_share_an_entry() {
        const MORE: usize = 100;
        let (mut derivations, mut transfers) = (Derivations::default(), Transfers::default());
        // One entry is for those that have none.
        for n in 0..MAX_DERIVATIONS - 1 + MORE {
            derivations.get_or_insert(&n.to_string());
        }
        for n in 0..MAX_PATHS - 1 + MORE {
            transfers.get_or_insert(&n.to_string());
        }
        assert_eq!((derivations.iter().len(), transfers.iter().count()), (MAX_DERIVATIONS, MAX_PATHS));
        assert_eq!(derivations.dropped().derivations, MORE as u64);
        assert_eq!(transfers.dropped().store_paths, MORE as u64);
    }
}
