//! The output of a run and its builds, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::StickyWriter;
use super::error_texts::ErrorTexts;
use crate::activation::ActivationChange;
use crate::render::{self, Style};
use crate::state::{Change, Derivation, DerivationId, Failure, State, TextKind};
use crate::text::{Line, Role};
use nixmon_log::escapes::{last_carriage, sanitize};
use nixmon_log::input::human::HumanLine;
use nixmon_log::input::{Event, Line as TextLine};
use nixmon_log::nix::store_path;

/// The lines to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOf {
    /// All lines.
    Run,
    /// Lines of derivations that match a reference at least this closely.
    Derivations {
        /// A path, a name, or the beginning of either.
        wanted: String,
        /// The required closeness.
        closeness: Closeness,
    },
    /// Lines that name this unit.
    Unit(String),
    /// No lines: they are only counted.
    Nothing,
}

/// The closeness of a match between a derivation and a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closeness {
    /// The reference is the path or the name.
    Exact,
    /// The reference is the name without the version.
    Name,
    /// The reference is the beginning of the name, or of the file name of the path.
    Prefix,
}

impl Closeness {
    /// Returns the closeness of a derivation to a reference, or `None` if it does not match.
    pub fn of(path: &str, name: &str, wanted: &str) -> Option<Self> {
        let base = path.rsplit('/').next().unwrap_or(path);
        if wanted.is_empty() {
            None
        } else if path == wanted || name == wanted || base == wanted {
            Some(Self::Exact)
        } else if store_path::without_version(name) == wanted {
            Some(Self::Name)
        } else if name.starts_with(wanted) || base.starts_with(wanted) {
            Some(Self::Prefix)
        } else {
            None
        }
    }
}

/// Number of log lines for a failure whose log was not printed. The state stores fewer, so all of them are written.
const LOG_LINES: usize = 1000;

/// Writes every line: lines of builders with the name of the derivation, messages, text of other programs. Each failure is
/// described as well, since a build may have printed nothing.
#[derive(Debug)]
pub struct Log<W> {
    sink: StickyWriter<W>,
    of: LogOf,
    style: Style,
    counts: BTreeMap<DerivationId, u64>,
    /// Paths of derivations whose logs are shown by other means.
    shown: BTreeSet<String>,
    /// Lines of unknown builders have been written.
    has_unnamed: bool,
    errors: ErrorTexts,
}

impl<W: Write> Log<W> {
    /// Writes to `writer`.
    pub fn new(writer: W, of: LogOf, style: Style) -> Self {
        Self {
            sink: StickyWriter::new(writer),
            of,
            style,
            counts: BTreeMap::new(),
            shown: BTreeSet::new(),
            has_unnamed: false,
            errors: ErrorTexts::default(),
        }
    }

    /// Notes that the log of the derivation with this path is shown by other means.
    pub fn is_shown(&mut self, path: String) {
        self.shown.insert(path);
    }

    /// Returns the number of log lines of a derivation.
    pub fn n_lines(&self, id: DerivationId) -> u64 {
        self.counts.get(&id).copied().unwrap_or(0)
    }

    /// The sink.
    pub fn sink(&self) -> &StickyWriter<W> {
        &self.sink
    }

    /// The writer.
    pub fn writer(&self) -> &W {
        self.sink.writer()
    }

    /// The writer.
    pub fn writer_mut(&mut self) -> &mut W {
        self.sink.writer_mut()
    }

    /// Takes the writer back.
    pub fn into_writer(self) -> W {
        self.sink.into_inner()
    }

    /// Takes an event and the changes that it caused, which follow.
    ///
    /// Writes events that caused no change: steps of an activation, and lines that mean nothing to the state.
    pub fn event(&mut self, event: &Event<'_>, changes: &[Change]) {
        if self.of == LogOf::Nothing {
            return;
        }
        self.errors.event(event);
        let is_told =
            || changes.iter().any(|change| matches!(change, Change::Text(..) | Change::LogLine(..)));
        let is_step = || changes.iter().any(|change| matches!(change, Change::Activation(_)));
        match event {
            Event::Line(TextLine {
                text,
                human: HumanLine::Other | HumanLine::Error | HumanLine::BuildLog { .. },
                ..
            }) if !is_told() => {
                self.has_unnamed |= changes.is_empty();
                self.text(TextKind::Other, sanitize(text).trim_end());
            }
            Event::Error(text) if is_step() && !is_told() => {
                for line in text.lines() {
                    self.text(TextKind::Other, sanitize(line).trim_end());
                }
            }
            _ => {}
        }
    }

    /// Writes changes that the state has accepted.
    pub fn changes(&mut self, state: &State, changes: &[Change]) {
        for change in changes {
            match change {
                Change::LogLine(id, line) => self.log_line(state, *id, line),
                Change::Text(kind, text) => {
                    self.has_unnamed |= *kind == TextKind::Unnamed;
                    self.text(*kind, text);
                }
                Change::Failed(id) => self.failed(state, state.failure(*id)),
                Change::Activation(ActivationChange::UnitsFailed { units, .. }) => {
                    if let LogOf::Unit(wanted) = &self.of
                        && let Some(unit) = units.iter().find(|unit| is_unit(&unit.name, wanted))
                    {
                        let sign = self.style.symbols.failure;
                        self.write(&Line::new().with(Role::Failure, format!("{sign} {} failed", unit.name)));
                    }
                }
                _ => {}
            }
        }
    }

    fn wants(&self, derivation: Option<&Derivation>) -> bool {
        match &self.of {
            LogOf::Run => true,
            LogOf::Derivations { wanted, closeness } => derivation
                .and_then(|derivation| Closeness::of(&derivation.path, derivation.name(), wanted))
                .is_some_and(|close| close <= *closeness),
            LogOf::Unit(_) | LogOf::Nothing => false,
        }
    }

    fn wants_failure(&self, state: &State, failure: &Failure) -> bool {
        match (&self.of, failure.derivation, &failure.name) {
            (LogOf::Derivations { wanted, closeness }, None, Some(name)) => {
                Closeness::of("", name, wanted).is_some_and(|close| close <= *closeness)
            }
            (_, id, _) => self.wants(id.map(|id| state.derivations().get(id))),
        }
    }

    /// Describes a failure, without log lines that have been written before.
    fn failed(&mut self, state: &State, failure: &Failure) {
        if !self.wants_failure(state, failure) {
            return;
        }
        let mut known = failure.clone();
        let mut log_lines = LOG_LINES;
        if failure.derivation.is_none() {
            let whole = self.errors.lines(&failure.message);
            if !whole.is_empty() {
                known.details.clear();
                known.trace.clear();
                known.hashes = None;
            }
            for line in &whole {
                self.write(&Line::new().with(Role::Plain, line));
            }
        } else if self.has_written_log(state, failure) {
            known.log_hints.clear();
            log_lines = 0;
        }
        match &failure.name {
            Some(_) => self.write(&render::build_failed(state, failure, &self.style)),
            None => {
                let sign = Line::new().with(Role::Failure, format!("{} ", self.style.symbols.failure));
                self.write(&sign.with(Role::Plain, &failure.message));
            }
        }
        for line in render::failure_block(state, &known, log_lines, &self.style).iter().skip(1) {
            self.write(line);
        }
    }

    /// Returns whether the log of a failure has been written, if there is one.
    fn has_written_log(&self, state: &State, failure: &Failure) -> bool {
        let is_own = failure.derivation.is_some_and(|id| {
            self.n_lines(id) > 0 || self.shown.contains(&*state.derivations().get(id).path)
        });
        is_own || self.has_unnamed && self.of == LogOf::Run
    }

    fn log_line(&mut self, state: &State, id: DerivationId, line: &str) {
        let n_lines = self.counts.entry(id).or_default();
        *n_lines = n_lines.saturating_add(1);
        let derivation = state.derivations().get(id);
        if self.wants(Some(derivation)) {
            let text = last_carriage(line).trim_end();
            let line = Line::new().with(Role::Muted, format!("{}> ", derivation.name()));
            self.write(&line.with(Role::Plain, text));
        }
    }

    fn text(&mut self, kind: TextKind, text: &str) {
        for line in text.lines() {
            let is_wanted = match &self.of {
                LogOf::Run => true,
                LogOf::Unit(unit) => names_unit(line, unit),
                LogOf::Derivations { .. } | LogOf::Nothing => false,
            };
            if is_wanted {
                self.write(&render::text(kind, line));
            }
        }
    }

    fn write(&mut self, line: &Line) {
        let mut text = line.plain();
        text.push('\n');
        self.sink.write_buffered(text.as_bytes());
    }
}

/// Returns whether a unit matches a reference: `nginx` matches `nginx.service`, and the last part of a launchd label matches
/// the label.
pub fn is_unit(name: &str, wanted: &str) -> bool {
    name == wanted
        || name.strip_suffix(".service") == Some(wanted)
        || name.rsplit_once('.').is_some_and(|(_, last)| last == wanted && last != "service")
}

/// Returns whether a line names a unit, rather than a unit whose name contains the reference.
fn names_unit(line: &str, unit: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '@');
    !unit.is_empty()
        && line.match_indices(unit).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().last());
            let after = line.get(at + unit.len()..).and_then(|text| text.chars().next());
            !before.is_some_and(of_name) && !after.is_some_and(of_name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close() {
        use Closeness::{Exact, Name, Prefix};
        let path = "/nix/store/0c0b1sxsdmm0l8d1vkydmgp0jnsvhjmj-python3.11-foo-1.2.drv";
        for (wanted, expected) in [
            (path, Some(Exact)),
            ("python3.11-foo-1.2", Some(Exact)),
            ("0c0b1sxsdmm0l8d1vkydmgp0jnsvhjmj-python3.11-foo-1.2.drv", Some(Exact)),
            ("python3.11-foo", Some(Name)),
            ("python3", Some(Prefix)),
            ("0c0b1", Some(Prefix)),
            ("foo", None),
            ("", None),
        ] {
            assert_eq!(Closeness::of(path, "python3.11-foo-1.2", wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn names_of_units() {
        assert!(is_unit("nginx.service", "nginx") && is_unit("nginx.service", "nginx.service"));
        assert!(is_unit("org.nix-community.home.rclone", "rclone"));
        assert!(!is_unit("nginx.service", "service") && !is_unit("nginx.service", "ngin"));
        assert!(names_unit("restarting: nginx.service", "nginx"));
        assert!(names_unit("nginx failed", "nginx"));
        assert!(!names_unit("php-nginx.service, nginx-prepare.service", "nginx"));
        assert!(!names_unit("anything", ""));
    }
}
