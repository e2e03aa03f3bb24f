//! Finds the row of the tables that a line has, cheaply for the lines that have none.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::{
    form::{Effect, Form, Kind, Row, Sighting},
    status::{Format, Learner},
    step,
    tools::TABLES,
    unit::{Stage, Tool},
};

/// Longest line that is looked at. Lines of progress are short; the longest are commands.
const LINE_LEN: usize = 16 << 10;

/// One row, ready for matching.
struct Entry {
    tool: Tool,
    row: &'static Row,
    form: Form,
    /// Bits of the tools one of which must be known to run.
    within: u64,
    /// The longest literal of a form that begins with a hole.
    needle: Option<Finder<'static>>,
}

struct Index {
    /// Rows that begin with a literal, by the literal's first byte.
    by_first: Vec<Vec<Entry>>,
    /// Rows that begin with a hole, which are tried only while their tool runs.
    open: Vec<Entry>,
    /// A bit for each hash of the first three bytes of a line that could have a row.
    heads: Vec<u64>,
    /// Bytes that alone begin a row, whatever follows.
    firsts: [bool; 256],
    /// Bits of the tools that have rows which begin with a hole.
    with_open: u64,
}

const HEAD_BITS: u32 = 14;

/// Hashes the first three bytes.
fn hash(bytes: [u8; 3]) -> usize {
    let value = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    (value.wrapping_mul(0x9e37_79b1) >> (32 - HEAD_BITS)) as usize
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut by_first: Vec<Vec<Entry>> = (0..=u8::MAX).map(|_| Vec::new()).collect();
    let mut open = Vec::new();
    let mut heads = vec![0_u64; 1 << (HEAD_BITS - 6)];
    let mut firsts = [false; 256];
    let mut with_open = 0;
    let mut mark = |bytes: [u8; 3]| {
        let at = hash(bytes);
        if let Some(word) = heads.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    };
    for table in TABLES {
        let within = table.within.iter().fold(table.tool.bit(), |bits, tool| bits | tool.bit());
        for row in table.rows {
            let Some(form) = Form::new(row.form) else { continue };
            let needle = form.needle();
            let needle = (form.head.is_empty() && needle.len() > 1).then(|| Finder::new(needle));
            let entry = Entry { tool: table.tool, row, form, within, needle };
            let head = entry.form.head.as_bytes();
            match *head {
                [] => {
                    with_open |= within;
                    open.push(entry);
                    continue;
                }
                [first] => {
                    if let Some(is_first) = firsts.get_mut(usize::from(first)) {
                        *is_first = true;
                    }
                }
                [first, second] => (0..=u8::MAX).for_each(|third| mark([first, second, third])),
                [first, second, third, ..] => mark([first, second, third]),
            }
            if let Some(list) = head.first().and_then(|first| by_first.get_mut(usize::from(*first))) {
                list.push(entry);
            }
        }
    }
    Index { by_first, open, heads, firsts, with_open }
});

impl Index {
    /// Returns the blanks before a line, and whether what follows could be the beginning of a row.
    #[inline]
    fn head(&self, line: &[u8]) -> (usize, bool) {
        // cargo, silent rules and ctest indent their lines.
        let mut at = 0;
        while line.get(at) == Some(&b' ') {
            at += 1;
        }
        let is_candidate = match line.get(at..at + 3) {
            Some(&[first, second, third]) => {
                let hash = hash([first, second, third]);
                self.heads.get(hash / 64).is_some_and(|word| word >> (hash % 64) & 1 == 1)
                    || self.firsts.get(usize::from(first)) == Some(&true)
            }
            _ => false,
        };
        (at, is_candidate)
    }
}

/// Returns whether a line may be the first of a scope that says anything: nearly all are not, and need no
/// [`Build`](crate::Build) yet.
///
/// A scope whose hints name tools or a status of ninja may begin with other lines, too.
#[inline]
pub fn may_begin(line: &str) -> bool {
    INDEX.head(line.as_bytes()).1
}

/// Recognises the lines of one scope: one derivation's log, or one command's output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    /// Bits of the tools that are known to run.
    running: u64,
    /// ninja's status, where the environment gives its form.
    format: Option<Format>,
    learner: Learner,
}

impl Scanner {
    /// Makes a scanner that knows `NINJA_STATUS` and the tools of the command line.
    pub(crate) fn new(ninja_status: Option<&str>, tools: impl IntoIterator<Item = Tool>) -> Self {
        let mut scanner = Self {
            format: ninja_status.filter(|v| *v != "[%f/%t] ").and_then(Format::new),
            ..Self::default()
        };
        tools.into_iter().for_each(|tool| scanner.open(tool));
        scanner
    }

    /// Believes the tool's inner rows from now on.
    pub(crate) fn open(&mut self, tool: Tool) {
        self.running |= tool.bit();
    }

    /// Recognises one line, which is free of terminal escapes and carriage returns.
    #[inline]
    pub(crate) fn line<'l>(&mut self, line: &'l str) -> Option<(Tool, Sighting<'l>)> {
        let index = &*INDEX;
        let bytes = line.as_bytes();
        let (at, is_candidate) = index.head(bytes);
        if !is_candidate
            && self.running & index.with_open == 0
            && self.format.is_none()
            && !self.learns(bytes)
        {
            return None;
        }
        self.slow(index, line, at)
    }

    /// Returns whether the line may have a ninja status of a form that is to be learned.
    fn learns(&self, bytes: &[u8]) -> bool {
        self.running & Tool::Ninja.bit() != 0
            && bytes.first().is_some_and(|first| !first.is_ascii_alphabetic() && *first != b' ')
    }

    #[inline(never)]
    fn slow<'l>(&mut self, index: &Index, line: &'l str, at: usize) -> Option<(Tool, Sighting<'l>)> {
        if line.len() > LINE_LEN {
            return None;
        }
        let text = line.get(at..)?.trim_end();
        if let Some(found) = self.given(text) {
            return Some(found);
        }
        let first = *text.as_bytes().first()?;
        let entries = index.by_first.get(usize::from(first))?;
        let found = entries
            .iter()
            .filter(|entry| !entry.row.inner || self.running & entry.within != 0)
            .find_map(|entry| Some((entry, fit(entry, text)?)));
        let found = found.or_else(|| {
            let is_open = |entry: &&Entry| self.running & entry.within != 0;
            index.open.iter().filter(is_open).find_map(|entry| {
                if entry.needle.as_ref().is_some_and(|needle| needle.find(text.as_bytes()).is_none()) {
                    return None;
                }
                Some((entry, fit(entry, text)?))
            })
        });
        let Some((entry, sighting)) = found else { return self.learned(text) };
        // A count alone is believed only after more of them, see `belief`.
        let opens = !entry.row.inner && !matches!(sighting.kind, Kind::Counts | Kind::Fails | Kind::Closes);
        if opens {
            self.open(entry.tool);
        }
        Some((entry.tool, sighting))
    }

    /// Reads a status of the form that the environment gives.
    fn given<'l>(&self, text: &'l str) -> Option<(Tool, Sighting<'l>)> {
        let status = self.format.as_ref()?.read(text)?;
        let mut sighting = Sighting::new(Kind::Counts, Stage::Compile).item(status.text);
        sighting.done = status.done;
        sighting.total = status.total;
        sighting.percent = status.percent;
        (!status.text.is_empty()).then_some((Tool::Ninja, sighting))
    }

    /// Reads a status of a form that was learned, before a description that CMake or Meson write.
    fn learned<'l>(&mut self, text: &'l str) -> Option<(Tool, Sighting<'l>)> {
        if !self.learns(text.as_bytes()) {
            return None;
        }
        let at = ["Building ", "Compiling ", "Linking ", "Generating "]
            .iter()
            .filter_map(|verb| text.find(verb))
            .min()
            .filter(|at| *at > 0)?;
        let (prefix, description) = text.split_at_checked(at)?;
        if !step::describe(description).is_known {
            return None;
        }
        let (done, total) = self.learner.read(prefix.trim())?;
        let mut sighting = Sighting::new(Kind::Counts, Stage::Compile).item(description);
        sighting.done = Some(done);
        sighting.total = Some(total);
        Some((Tool::Ninja, sighting))
    }
}

fn fit<'l>(entry: &Entry, text: &'l str) -> Option<Sighting<'l>> {
    let (kind, stage) = match entry.row.effect {
        Effect::Opens(stage) => (Kind::Opens, stage),
        Effect::Begins(stage) => (Kind::Begins, stage),
        Effect::Ends(stage) => (Kind::Ends, stage),
        Effect::Counts(stage) => (Kind::Counts, stage),
        Effect::Totals(stage) => (Kind::Totals, stage),
        Effect::Built => (Kind::Built, Stage::Link),
        Effect::Passed => (Kind::Passed, Stage::Test),
        Effect::TestFailed => (Kind::TestFailed, Stage::Test),
        Effect::Skipped => (Kind::Skipped, Stage::Test),
        Effect::Tally => (Kind::Tally, Stage::Test),
        Effect::Fails => (Kind::Fails, Stage::Compile),
        Effect::Closes => (Kind::Closes, Stage::Compile),
        Effect::Custom(read) => {
            entry.form.fit(text, Kind::Opens, Stage::Compile)?;
            return read(text);
        }
    };
    entry.form.fit(text, kind, stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_well_formed() {
        let mut seen = Vec::new();
        for table in TABLES {
            for row in table.rows {
                let form = Form::new(row.form).unwrap_or_else(|| panic!("{}: unknown hole", row.form));
                assert!(!row.source.is_empty(), "{}: no source", row.form);
                assert!(row.inner || !form.head.is_empty(), "{}: fits anything, and is not inner", row.form);
                assert!(!seen.contains(&row.form) || row.inner, "{}: listed twice", row.form);
                seen.push(row.form);
            }
        }
        let tools: Vec<Tool> = TABLES.iter().map(|table| table.tool).collect();
        assert_eq!(tools.len(), Tool::ALL.len(), "each tool has one table");
    }
}
