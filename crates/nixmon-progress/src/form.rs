//! Forms of lines: literals with named holes, and the rows of the tools' tables.

use memchr::memmem;

use crate::unit::{Stage, Tool};

/// The meaning of a line that has a row's form.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// Only this tool prints the line; from here on its other lines are believed.
    Opens(Stage),
    /// Work on `{item}` of `{package}` begins.
    Begins(Stage),
    /// Work on `{item}` of `{package}` has ended.
    Ends(Stage),
    /// A count, `{done}` of `{total}` or `{percent}`, with a description in `{item}`.
    Counts(Stage),
    /// `{total}` steps are to come.
    Totals(Stage),
    /// The package is done.
    Built,
    /// A test passed.
    Passed,
    /// A test failed.
    TestFailed,
    /// A test was skipped.
    Skipped,
    /// Final counts of a test runner.
    Tally,
    /// The step that makes `{item}` failed.
    Fails,
    /// The tool has ended.
    Closes,
    /// The line cannot be told by a form alone.
    Custom(fn(&str) -> Option<Sighting<'_>>),
}

/// One row of a tool's table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) form: &'static str,
    pub(crate) effect: Effect,
    /// The file of the tool's sources, or the version whose output was read, that shows the form.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is for readers, and a test asks for it"))]
    pub(crate) source: &'static str,
    /// True if the line is believed only after a line that opens the tool.
    pub(crate) inner: bool,
}

/// A row whose form no other program is likely to print.
pub(crate) const fn row(form: &'static str, effect: Effect, source: &'static str) -> Row {
    Row { form, effect, source, inner: false }
}

/// A row whose form says little by itself, so that it counts only once the tool is known to run.
pub(crate) const fn inner(form: &'static str, effect: Effect, source: &'static str) -> Row {
    Row { form, effect, source, inner: true }
}

/// A tool's table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) tool: Tool,
    /// Other tools whose presence opens the inner rows, too.
    pub(crate) within: &'static [Tool],
    pub(crate) rows: &'static [Row],
}

/// A line that a table knows, with the texts in its holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting<'l> {
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    pub(crate) item: Option<&'l str>,
    pub(crate) package: Option<&'l str>,
    pub(crate) done: Option<u64>,
    pub(crate) total: Option<u64>,
    pub(crate) percent: Option<u64>,
    pub(crate) passed: Option<u64>,
    pub(crate) failed: Option<u64>,
    pub(crate) skipped: Option<u64>,
}

/// The effect of a sighting, without what the row alone needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Opens,
    Begins,
    Ends,
    Counts,
    Totals,
    Built,
    Passed,
    TestFailed,
    Skipped,
    Tally,
    Fails,
    Closes,
}

impl<'l> Sighting<'l> {
    /// Makes a sighting without any text.
    pub(crate) fn new(kind: Kind, stage: Stage) -> Self {
        Self {
            kind,
            stage,
            item: None,
            package: None,
            done: None,
            total: None,
            percent: None,
            passed: None,
            failed: None,
            skipped: None,
        }
    }

    pub(crate) fn item(self, item: &'l str) -> Self {
        Self { item: Some(item), ..self }
    }

    pub(crate) fn package(self, package: &'l str) -> Self {
        Self { package: Some(package), ..self }
    }
}

/// The kinds of text that a hole takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    Done,
    Total,
    Percent,
    Passed,
    Failed,
    Skipped,
    /// Any number.
    Number,
    /// The file, test or target: any text that is not empty.
    Item,
    /// A name without blanks.
    Package,
    /// A path of an object file.
    Object,
    /// Anything without blanks.
    Word,
    /// Anything.
    Any,
}

impl Hole {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "done" => Self::Done,
            "total" => Self::Total,
            "percent" => Self::Percent,
            "passed" => Self::Passed,
            "failed" => Self::Failed,
            "skipped" => Self::Skipped,
            "n" => Self::Number,
            "item" => Self::Item,
            "package" => Self::Package,
            "object" => Self::Object,
            "word" => Self::Word,
            "any" => Self::Any,
            _ => return None,
        })
    }
}

/// A row's form, ready for matching.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) head: &'static str,
    /// Holes with the literal behind each.
    tail: Vec<(Hole, &'static str)>,
}

impl Form {
    /// Reads a form. Returns nothing for one with an unknown or unclosed hole, which a test of all tables rules out.
    pub(crate) fn new(form: &'static str) -> Option<Self> {
        // `{{` at the beginning is a brace.
        let (form, from) = match form.strip_prefix('{').filter(|rest| rest.starts_with('{')) {
            Some(rest) => (rest, 1),
            None => (form, 0),
        };
        let open = form.get(from..)?.find('{').map_or(form.len(), |at| at + from);
        let (head, holes) = form.split_at_checked(open)?;
        let tail = holes
            .split('{')
            .skip(1)
            .map(|piece| {
                let (name, literal) = piece.split_once('}')?;
                Some((Hole::named(name)?, literal))
            })
            .collect::<Option<_>>()?;
        Some(Self { head, tail })
    }

    /// Returns the longest literal behind the head.
    pub(crate) fn needle(&self) -> &'static str {
        self.tail.iter().map(|(_, literal)| *literal).max_by_key(|literal| literal.len()).unwrap_or("")
    }

    /// Fills the holes if the line has this form. The line has no blanks at its ends.
    pub(crate) fn fit<'l>(&self, line: &'l str, kind: Kind, stage: Stage) -> Option<Sighting<'l>> {
        let mut rest = line.strip_prefix(self.head)?;
        let mut sighting = Sighting::new(kind, stage);
        let Some(((last, end), inner)) = self.tail.split_last() else {
            return rest.is_empty().then_some(sighting);
        };
        for (hole, literal) in inner {
            let (text, after) = if literal.is_empty() {
                rest.split_at(rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len())
            } else {
                // The search of the standard library prepares more than such short texts take to search.
                let at = memmem::find(rest.as_bytes(), literal.as_bytes())?;
                (rest.get(..at)?, rest.get(at + literal.len()..)?)
            };
            fill(&mut sighting, *hole, text)?;
            rest = after;
        }
        fill(&mut sighting, *last, rest.strip_suffix(end)?)?;
        Some(sighting)
    }
}

/// Puts a text in a hole if the hole takes it; of several the first counts.
fn fill<'l>(sighting: &mut Sighting<'l>, hole: Hole, text: &'l str) -> Option<()> {
    let slot = match hole {
        Hole::Any => return Some(()),
        Hole::Word => return is_word(text).then_some(()),
        Hole::Number => return number(text).map(|_| ()),
        Hole::Item => {
            let text = text.trim();
            if text.is_empty() {
                return None;
            }
            sighting.item.get_or_insert(text);
            return Some(());
        }
        Hole::Object => {
            let text = text.trim();
            if !is_word(text) || !is_object(text) {
                return None;
            }
            sighting.item.get_or_insert(text);
            return Some(());
        }
        Hole::Package => {
            // `Building jar: /x` names no package.
            if !is_word(text) || text.ends_with(':') {
                return None;
            }
            sighting.package.get_or_insert(text);
            return Some(());
        }
        Hole::Done => &mut sighting.done,
        Hole::Total => &mut sighting.total,
        Hole::Percent => &mut sighting.percent,
        Hole::Passed => &mut sighting.passed,
        Hole::Failed => &mut sighting.failed,
        Hole::Skipped => &mut sighting.skipped,
    };
    let number = number(text)?;
    slot.get_or_insert(number);
    Some(())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace())
}

/// Returns whether a path names an object, library or program that a silent rule (`  CC  foo.o`) would name.
fn is_object(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_none_or(|(_, extension)| {
        matches!(
            extension,
            "o" | "lo" | "la" | "a" | "obj" | "so" | "ko" | "c" | "cc" | "cpp" | "cxx" | "S" | "s"
        ) || extension.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Reads a number, which may have blanks before it and be grouped by commas.
pub(crate) fn number(text: &str) -> Option<u64> {
    let text = text.trim_start_matches(' ');
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut number = 0_u64;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            b',' if at > 0 && (text.len() - at).is_multiple_of(4) => {}
            _ => return None,
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let cases: [(&str, &str, bool); 13] = [
            ("[{done}/{total}] {item}", "[12/345] CC a.o", true),
            ("[{done}/{total}] {item}", "[12/345]", false),
            ("[{done}/{total}] {item}", "[a/345] x", false),
            ("[{done} / {total}] {item}", "[1,234 / 5,678] Compiling a.cc", true),
            ("[{done} / {total}] {item}", "[1,2 / 5] Compiling a.cc", false),
            ("[{done}/{total}] {item}", "[1 / 5] Compiling a.cc", false),
            ("[{percent}%] {item}", "[  7%] Building C object a.o", true),
            ("Compiling {package} v{word} {any}", "Compiling a b v1 (x)", false),
            ("CC {object}", "CC       src/a.o", true),
            ("CC {object}", "CC the committee", false),
            ("CC {object}", "CC notes.txt", false),
            ("Built target {package}", "Built target a", true),
            ("running {total} tests", "running some tests", false),
        ];
        for (form, line, fits) in cases {
            let fit = Form::new(form).unwrap().fit(line, Kind::Counts, Stage::Compile);
            assert_eq!(fit.is_some(), fits, "{form}: {line}");
        }
    }
}
