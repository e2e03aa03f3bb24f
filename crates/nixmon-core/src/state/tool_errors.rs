//! Root causes that compilers, linkers and build tools print: of a command that is not Nix, and beside a builder's exit.

use nixmon_log::nix::error::{ErrorText, FailureKind, Stage, parse_error};
use nixmon_progress::causes::{self, Cause, Reporter};
use nixmon_progress::{Tool, Unit};

use super::State;
use super::causes::EXCERPT_LINES;
use super::failure::{Failure, place_of};
use super::inside::{Scope, clean_cause};
use super::log_tail::excerpt_of;

/// Causes that are looked for in one log.
const MAX_CAUSES: usize = 32;
/// Root causes of one command.
const MAX_FAILURES: usize = 16;
/// Further errors of a target that are told with the first.
const MAX_DETAILS: usize = 8;

impl State {
    /// Returns the root causes that the text of a command tells, one for each target or source that failed.
    pub(super) fn tool_failures(&mut self) -> Vec<Failure> {
        let (now, exit_status) = (self.clock.now, self.end.exit_status);
        let Some((scope, early, lines)) = self.command_words() else { return Vec::new() };
        let tests = scope.units().into_iter().find(|unit| unit.tool.runs_tests() && unit.failed > 0);
        let causes = scope.causes(&lines);
        let failure = |kind, message: String| {
            // The message is only copied.
            let error = parse_error(&ErrorText { msg: "", ..ErrorText::default() });
            let stage = (kind != FailureKind::Unknown).then_some(Stage::Build);
            let mut failure = Failure::from_error(error, stage, now);
            failure.kind = kind;
            failure.message = message;
            failure.exit_status = exit_status;
            failure.advice = None;
            failure
        };
        let mut failures: Vec<Failure> = Vec::new();
        let mut from = Vec::new();
        let runs_rust = runs_rust(scope);
        for cause in causes.into_iter().filter(|cause| is_credible(cause, runs_rust)) {
            // A traceback in a test is the test's failure.
            if tests.is_some() && cause.reporter == Reporter::Python {
                continue;
            }
            if let Some(first) = failures.iter_mut().find(|first| is_same_step(first, &cause)) {
                if first.details.len() < MAX_DETAILS {
                    first.details.push(in_words(&cause));
                }
                continue;
            }
            if failures.len() >= MAX_FAILURES {
                self.dropped.failures += 1;
                return with_excerpts(failures, &from, early, &lines);
            }
            from.push(lines.iter().position(|line| says(line, &cause)));
            let mut first = failure(kind_of(&cause), cause.message.clone());
            first.location = place_of(&cause);
            first.cause = Some(cause);
            failures.push(first);
        }
        if let Some(unit) = tests.filter(|_| failures.is_empty()) {
            let mut failed = failure(FailureKind::TestFailure, tests_in_words(&unit));
            failed.excerpt = excerpt_of(&lines, early, EXCERPT_LINES);
            return vec![failed];
        }
        with_excerpts(failures, &from, early, &lines)
    }
}

/// Gives each failure the lines about it: from its error to the next one.
fn with_excerpts(
    mut failures: Vec<Failure>,
    from: &[Option<usize>],
    early: usize,
    lines: &[String],
) -> Vec<Failure> {
    for (failure, begin) in failures.iter_mut().zip(from) {
        let Some(begin) = *begin else { continue };
        let next = from.iter().flatten().copied().filter(|next| *next > begin).min();
        let end = next.unwrap_or(lines.len());
        let own = lines.get(begin..end).unwrap_or_default();
        failure.excerpt = excerpt_of(own, early.saturating_sub(begin).min(own.len()), EXCERPT_LINES);
        failure.log_tail = own.iter().take(EXCERPT_LINES).cloned().collect();
    }
    failures
}

/// Returns the cause of a failed build, from the lines that are left of its log.
pub(super) fn cause_of(scope: Option<&mut Scope>, lines: &[String]) -> Option<Cause> {
    let (runs_rust, mut causes) = match scope {
        Some(scope) => (runs_rust(scope), scope.causes(lines)),
        None => (false, causes::causes(lines.iter().map(String::as_str), MAX_CAUSES)),
    };
    causes.retain(|cause| is_credible(cause, runs_rust));
    // Builders try what may fail; of which a build tool says that it failed, that ended it.
    let at = causes.iter().position(|cause| cause.target.is_some() || cause.package.is_some()).unwrap_or(0);
    let mut cause = causes.into_iter().nth(at)?;
    clean_cause(&mut cause);
    Some(cause)
}

/// Returns whether an error is a compiler's, in the text of any program: `error: TEXT` is what many print, and a time of the
/// day has the form of a place.
fn is_credible(cause: &Cause, runs_rust: bool) -> bool {
    match (&cause.place, cause.reporter) {
        (None, Reporter::Rustc) => runs_rust,
        (Some(place), Reporter::Gcc) => {
            let name = place.file.rsplit('/').next().unwrap_or_default();
            name.rsplit_once('.')
                .is_some_and(|(_, extension)| extension.starts_with(|c: char| c.is_alphabetic()))
        }
        _ => true,
    }
}

fn runs_rust(scope: &mut Scope) -> bool {
    scope.units().iter().any(|unit| matches!(unit.tool, Tool::Cargo | Tool::Rustc))
}

fn kind_of(cause: &Cause) -> FailureKind {
    match cause.reporter {
        Reporter::Ld => FailureKind::LinkError,
        Reporter::Cmake | Reporter::Autotools | Reporter::Meson => FailureKind::ConfigureError,
        Reporter::Python if !cause.message.starts_with("SyntaxError") => FailureKind::Unknown,
        _ => FailureKind::CompileError,
    }
}

/// Returns whether an error is one more of the same step.
fn is_same_step(first: &Failure, cause: &Cause) -> bool {
    let Some(known) = &first.cause else { return false };
    let file = |cause: &Cause| cause.place.as_ref().map(|place| place.file.clone());
    match (&known.target, &cause.target) {
        (Some(a), Some(b)) => a == b,
        _ => kind_of(known) == kind_of(cause) && file(known) == file(cause),
    }
}

/// Returns whether a line is the one with the error.
fn says(line: &str, cause: &Cause) -> bool {
    let file = cause.place.as_ref().map_or("", |place| place.file.as_str());
    // Of some the place is on another line.
    let has_place = line.contains(file) || cause.reporter == Reporter::Rustc;
    has_place && line.contains(cause.message.as_str())
}

/// `src/a.c:3:5: expected ';'`.
pub(super) fn in_words(cause: &Cause) -> String {
    let Some(place) = &cause.place else { return cause.message.clone() };
    let mut text = place.file.clone();
    for number in [place.line, place.column].into_iter().flatten() {
        text.push_str(&format!(":{number}"));
    }
    format!("{text}: {}", cause.message)
}

fn tests_in_words(unit: &Unit) -> String {
    let of = unit.total.or(unit.tests.and_then(|tests| tests.total)).unwrap_or(unit.done);
    let runner = match unit.tool {
        Tool::CargoTest => "cargo test",
        tool => tool.name(),
    };
    if of > unit.failed {
        format!("{} of {of} tests failed ({runner})", unit.failed)
    } else {
        format!("{} {} failed ({runner})", unit.failed, if unit.failed == 1 { "test" } else { "tests" })
    }
}
