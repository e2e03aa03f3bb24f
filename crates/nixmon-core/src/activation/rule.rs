//! The tables: what a line looks like, what it means, and where that is from.
//!
//! A tool is one file under `tools` with one [`Program`]: a list of [`Rule`]s. A rule's form is the line itself with
//! holes in it, so a table reads like the program's output.

use memchr::memmem::Finder;

use super::{MachinePhase, Tool, Verb};
use nixmon_log::template::{self, Extent};

/// One program that prints lines of its own, and all the lines of it that mean something to us.
pub(super) struct Program {
    /// Runs of these tools contain this program's output; elsewhere only rules that begin something apply.
    pub(super) within: &'static [Tool],
    /// In order: the first form that fits, and whose effect is possible at that moment, counts.
    pub(super) rules: &'static [Rule],
}

/// A form, its meaning, and the place in the program's sources it was read from.
pub(super) struct Rule {
    /// The whole line with holes: `stopping the following units: {units}`. See [`Hole`].
    pub(super) form: &'static str,
    pub(super) effect: Effect,
    /// `PROJECT:path`, or "observed" where the text was seen in public logs only.
    pub(super) source: &'static str,
}

/// Shorthand for a table row.
pub(super) const fn rule(form: &'static str, effect: Effect, source: &'static str) -> Rule {
    Rule { form, effect, source }
}

/// The service manager that a list of units belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    System,
    User,
}

/// The meaning of a line. `step` is always a name fit for [`super::SwitchSummary::failed_step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    // Context: no activation yet, but one may be expected. The run before it is over.
    /// A command that switches was echoed (by `make`, by a shell with `-x`).
    Command(Tool),
    /// A wrapper announces its build; an activation may follow.
    Announces(Option<Tool>),
    /// A tool that labels its lines introduces itself.
    Introduces(Tool),

    /// A node of a tool that handles several has reached this phase.
    NodePhase(MachinePhase),

    // Beginnings. Possible without a run under way.
    /// An activation begins here.
    Begin(Tool),
    /// A step that may be the first line of an activation.
    BeginStep(Tool, &'static str),
    /// A stage of `switch-to-configuration` that may be the first line; the step is set where a failure has a name.
    BeginStage(Tool, Stage),
    /// The same for a list of units.
    BeginUnits(Tool, Stage, Verb, Manager),
    /// Refused: nothing was activated. Within a run under way it is that run that failed.
    Refused(Option<Tool>, &'static str),
    /// The same in words that other programs use too: only where a switch is expected.
    RefusedQuietly(Option<Tool>, &'static str),
    /// Refused by a check; in a run whose steps have begun it is the step that failed.
    Aborted(Tool),
    /// `sudo` gave up. Decided at the end of the stream.
    SudoFailed,
    /// The outer tool says the switch failed (and nothing more).
    SwitchFailed(Tool),
    /// `Command '[...]' returned non-zero exit status {code}.` of nixos-rebuild-ng.
    CommandFailed,
    /// The same, killed by a signal.
    CommandKilled,
    /// Not privileged, or so the tool guesses; only true if nothing else explains the failure.
    MaybeNotPrivileged,
    /// Setting the profile failed, in Nix's words.
    ProfileFailed,

    // In a run.
    /// The named step begins.
    Step(&'static str),
    /// The step in the hole `{step}` begins.
    NamedStep,
    /// Another activation is announced as a part of this one.
    Nested(&'static str),
    /// These units were acted upon.
    Units(Verb, Manager),
    /// This unit failed.
    UnitFailed(Manager),
    /// These units failed, says the tool's own summary.
    UnitsFailed(Manager),
    /// This launchd agent failed; `{agent}` is `DOMAIN/LABEL`.
    AgentFailed,
    /// This launchd service was acted upon.
    Service(Verb, ServiceKind),
    /// launchd refused the service named last.
    LastServiceFailed,
    /// The service manager hangs: no unit is named, one of the last list is at fault.
    Hung,
    /// The user whose units follow.
    ForUser,
    /// Known, and of no consequence.
    Note,
    /// A warning worth showing.
    Warn,
    /// An error the tool survives.
    Complain,
    /// An error that ends the step.
    Fatal,
    /// The script ends, well unless its last command reported an error.
    ScriptEnds,
    /// An error that ends the named step.
    FatalIn(&'static str),
    /// The snippet in `{step}` failed; the activation goes on.
    SnippetFailed,
    /// The activation script failed, in some snippet.
    ScriptFailed,
    /// A file is in the way; the step fails.
    FileInTheWay,
    /// Files follow, one per indented line.
    FilesFollow,
    /// A block follows that quotes other programs: nothing in it is ours.
    Quote(Quote),
    /// An inner command's exit status.
    ExitStatus,
    /// A reboot is needed before the configuration takes effect.
    RebootNeeded,
    /// The old system is activated again; what follows does not count.
    RollingBack,
    /// The same, and on the machines that had succeeded before.
    Revoking,
    /// Rolled back because the confirmation did not come.
    NotConfirmed,
    /// Over, rolled back.
    RolledBack,
    /// Over, well.
    Done,
    /// Over, badly; perhaps with an exit status in `{code}`.
    Failed,
    /// The whole operation failed, says the tool; which node did was said before.
    OperationFailed,
    /// Failed, of a stage before the activation.
    StageFailed(EarlyStage),
    /// The command line tool's report follows, which repeats an inner command's output.
    Report,
    /// The exit status will say that something failed.
    WillFail,
    /// The home directory, in `{path}`.
    Home,
    /// Only says what would be done; for some tools that is the first line.
    DryRun(Option<Tool>),
}

/// The stages of `switch-to-configuration`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Checks,
    Bootloader,
    Stop,
    Activate,
}

impl Stage {
    /// The name in the summary's `failed_step`, where the summary record has one.
    pub(super) fn step(self) -> Option<&'static str> {
        match self {
            Stage::Checks => Some("checks"),
            Stage::Bootloader => Some("bootloader"),
            Stage::Stop | Stage::Activate => None,
        }
    }
}

/// The stage before any activation that failed, as a tool says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyStage {
    /// Evaluation.
    Evaluation,
    /// Building.
    Build,
    /// Copying the closure to the machine.
    Copy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceKind {
    /// In the `system` domain, as far as the line tells.
    System,
    /// In the domain of the user.
    User,
}

/// Quoted text of other programs, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    /// `systemctl status`: ends at the first line that can be none of it.
    Status,
    /// `systemctl --state=failed`: ends with home-manager's closing line.
    DegradedTable,
}

/// The texts that a hole in a form accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hole {
    /// Unit names joined by `", "`.
    Units,
    /// One unit name.
    Unit,
    /// `DOMAIN/LABEL` of launchd, as `gui/501/org.example.x`.
    Agent,
    /// A launchd label, a user, a host: one word.
    Word,
    /// A step's name.
    Step,
    /// A number.
    Code,
    /// An absolute path without a quote in it.
    Path,
    /// Anything but nothing.
    Text,
    /// Anything.
    Any,
}

impl Hole {
    fn named(name: &str) -> Hole {
        match name {
            "units" => Hole::Units,
            "unit" => Hole::Unit,
            "agent" => Hole::Agent,
            "word" => Hole::Word,
            "step" => Hole::Step,
            "code" => Hole::Code,
            "path" => Hole::Path,
            "any" => Hole::Any,
            _ => Hole::Text,
        }
    }

    fn accepts(self, text: &str) -> bool {
        match self {
            Hole::Units => text.split(", ").next().is_some_and(is_unit),
            Hole::Unit => is_unit(text),
            Hole::Agent => split_agent(text).is_some(),
            Hole::Word => !text.is_empty() && !text.contains(char::is_whitespace),
            Hole::Step => is_step(text),
            Hole::Code => !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit()),
            Hole::Path => text.starts_with('/') && !text.contains('\''),
            Hole::Text => !text.is_empty(),
            Hole::Any => true,
        }
    }
}

const UNIT_TYPES: [&str; 11] = [
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

/// A systemd unit's full name, by its alphabet and suffix (systemd:src/basic/unit-name.c).
pub(super) fn is_unit(text: &str) -> bool {
    text.len() <= 256
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
        && UNIT_TYPES.iter().any(|suffix| text.strip_suffix(suffix).is_some_and(|stem| !stem.is_empty()))
}

/// A step's name: an attribute of `home.activation`, which may be any word, in practice an identifier.
pub(super) fn is_step(text: &str) -> bool {
    text.len() <= 80
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-'.".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && !text.ends_with('.')
}

/// `gui/501/org.example.x` into `gui/501` and `org.example.x`.
pub(super) fn split_agent(text: &str) -> Option<(&str, &str)> {
    let (domain, label) = text.rsplit_once('/')?;
    let known = domain == "system"
        || ["gui/", "user/"]
            .iter()
            .any(|kind| domain.strip_prefix(kind).is_some_and(|uid| uid.bytes().all(|b| b.is_ascii_digit())));
    (known && Hole::Word.accepts(label)).then_some((domain, label))
}

/// Returns what stands in the holes of a rule's form, if the line has this form.
pub(super) fn fit<'l>(rule: &Rule, line: &'l str) -> Option<Holes<'l>> {
    let mut holes = Holes::default();
    let accept = |name, text| holes.fill(Hole::named(name), text).is_some();
    template::fit(rule.form, line, Extent::WholeLine, accept).then_some(holes)
}

/// The texts in a form's holes, by kind; the first if there are several of a kind.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Holes<'l> {
    pub(super) units: Option<&'l str>,
    pub(super) unit: Option<&'l str>,
    pub(super) agent: Option<&'l str>,
    pub(super) word: Option<&'l str>,
    pub(super) step: Option<&'l str>,
    pub(super) code: Option<i32>,
    pub(super) path: Option<&'l str>,
    pub(super) text: Option<&'l str>,
}

impl<'l> Holes<'l> {
    fn fill(&mut self, hole: Hole, text: &'l str) -> Option<()> {
        if !hole.accepts(text) {
            return None;
        }
        let slot = match hole {
            Hole::Units => &mut self.units,
            Hole::Unit => &mut self.unit,
            Hole::Agent => &mut self.agent,
            Hole::Word => &mut self.word,
            Hole::Step => &mut self.step,
            Hole::Path => &mut self.path,
            Hole::Text | Hole::Any => &mut self.text,
            Hole::Code => {
                self.code = self.code.or(text.parse().ok());
                return Some(());
            }
        };
        slot.get_or_insert(text);
        Some(())
    }
}

/// One row of one table.
pub(super) struct Entry {
    pub(super) program: &'static Program,
    pub(super) rule: &'static Rule,
    /// The literal before the first hole.
    head: &'static str,
    /// The literal behind the last hole.
    tail: &'static str,
    /// Finds the literal behind the first hole, in forms that begin and end with one.
    middle: Option<Finder<'static>>,
}

impl Entry {
    fn new(program: &'static Program, rule: &'static Rule) -> Self {
        let (head, tail) = (template::head(rule.form), template::tail(rule.form));
        let is_loose = head.is_empty() && tail.is_empty();
        let middle = is_loose.then(|| Finder::new(template::after_first_field(rule.form)));
        Self { program, rule, head, tail, middle }
    }

    /// Returns whether a line may have the form, by what is quick to look at.
    fn may_fit(&self, line: &str) -> bool {
        line.starts_with(self.head)
            && line.ends_with(self.tail)
            && self.middle.as_ref().is_none_or(|middle| middle.find(line.as_bytes()).is_some())
    }
}

/// All rows in their order, and for each first byte those a line that begins with it can fit.
pub(super) struct Tables {
    entries: Vec<Entry>,
    by_first: Vec<Vec<u16>>,
}

impl Tables {
    pub(super) fn new(programs: &[&'static Program]) -> Tables {
        let rows =
            |program: &'static Program| program.rules.iter().map(move |rule| Entry::new(program, rule));
        let entries: Vec<Entry> = programs.iter().copied().flat_map(rows).collect();
        let begins = |entry: &&Entry, byte: u8| entry.head.bytes().next().is_none_or(|first| first == byte);
        let beginning = |byte: u8| {
            let numbered = (0..).zip(&entries);
            numbered.filter(|(_, entry)| begins(entry, byte)).map(|(number, _)| number).collect()
        };
        let by_first = (0..=u8::MAX).map(beginning).collect();
        Tables { entries, by_first }
    }

    /// Returns the rows whose effect is a command that switches.
    pub(super) fn commands(&self) -> impl Iterator<Item = (&'static Rule, Tool)> {
        self.entries.iter().filter_map(|entry| match entry.rule.effect {
            Effect::Command(tool) => Some((entry.rule, tool)),
            _ => None,
        })
    }

    /// Returns the rows whose form the line has, in their order, with what stands in the holes.
    pub(super) fn fitting<'l>(&self, line: &'l str) -> impl Iterator<Item = (&Entry, Holes<'l>)> {
        let rows = line.bytes().next().and_then(|first| self.by_first.get(usize::from(first)));
        let rows = rows.into_iter().flatten().filter_map(|number| self.entries.get(usize::from(*number)));
        let rows = rows.filter(move |entry| entry.may_fit(line));
        rows.filter_map(move |entry| Some((entry, fit(entry.rule, line)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let cases: [(&'static str, &str, bool); 15] = [
            (
                "stopping the following units: {units}",
                "stopping the following units: a.service, b@c.socket",
                true,
            ),
            ("stopping the following units: {units}", "stopping the following units: ", false),
            ("stopping the following units: {units}", "stopping the following units: some of them", false),
            ("Failed to {word} {unit}", "Failed to start dev-disk-by\\x2dlabel-data.mount", true),
            ("Failed to {word} {unit}", "Failed to start Background worker.", false),
            ("Failed to {word} {unit}", "Failed to install bootloader", false),
            (
                "Failed to {word} {unit}: {text}",
                "Failed to start transient service unit: Unit a.service was",
                false,
            ),
            ("{unit} failed", "kanshi.service loaded failed failed", false),
            ("{unit} failed", "kanshi.service failed", true),
            ("Activating {step}", "Activating home-manager configuration for demo", false),
            ("Activating {step}", "Activating system profile", false),
            ("Activating {step}", "Activating nix-change-report", true),
            ("Activating {step}", "Activating configuration...", false),
            (
                "'{text}' is in the way of '{path}'",
                "'/a' is in the way of '/b', will be moved to '/c'",
                false,
            ),
            ("Failed to stop agent '{agent}': {text}", "Failed to stop agent 'gui/501/org.x.y': why", true),
        ];
        for (form, line, fits) in cases {
            assert_eq!(fit(&rule(form, Effect::Note, "test"), line).is_some(), fits, "{form}: {line}");
        }
    }

    #[test]
    fn agents() {
        assert_eq!(split_agent("gui/501/org.x.y"), Some(("gui/501", "org.x.y")));
        assert_eq!(split_agent("system/org.x.y"), Some(("system", "org.x.y")));
        assert_eq!(split_agent("/Library/LaunchAgents/org.x.y"), None);
        assert_eq!(split_agent("gui/501/"), None);
    }
}
