//! The choice of lines for a report that is too long.

use super::Style;
use crate::text::{Line, Role, thousands};

/// Largest width of a line: the rest of a minified file or a linker's command line is of no use.
const MAX_COLUMNS: usize = 200;
/// Number of lines of evidence that are shown before pointers to logs.
const FIRST_EVIDENCE: usize = 2;
/// Smallest useful length of a cause, in bytes.
const MIN_CAUSE: usize = 16;

/// The worth of a line below a title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The one line with the reason.
    Cause,
    /// Further explanation.
    Evidence,
    /// The place of the log.
    Pointer,
    /// A mark for omitted lines.
    Gap,
}

/// The lines about one failure.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// The title; missing if the verdict has said it.
    title: Option<Line>,
    /// The title with the cause in one line, for when there is no room for two.
    short: Option<Line>,
    /// The lines below the title.
    lines: Vec<(Worth, Line)>,
}

impl Block {
    /// Makes a block without a title.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Makes a block with only a title.
    pub(super) fn titled(title: Line) -> Self {
        Self { title: Some(title), ..Self::default() }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, worth: Worth, line: Line) {
        self.lines.push((worth, line));
    }

    /// Sets the cause. A line with the same words, if there is one, is the first to be shown.
    pub(super) fn set_cause(&mut self, cause: &str) {
        let known = self.lines.iter().any(|(worth, _)| *worth == Worth::Cause);
        let says = |line: &Line| line.plain().trim() == cause.trim();
        if let Some((worth, _)) = self.lines.iter_mut().find(|(_, line)| !known && says(line)) {
            *worth = Worth::Cause;
        }
        let colon = |title: &Line| if title.plain().ends_with(':') { " " } else { ": " };
        self.short = self.title.clone().map(|title| {
            let colon = colon(&title);
            title.with(Role::Plain, format!("{colon}{cause}"))
        });
    }

    /// Returns whether the block has lines below its title.
    pub(super) fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Returns all lines.
    pub(super) fn into_lines(self) -> impl Iterator<Item = Line> {
        self.title.into_iter().chain(self.lines.into_iter().map(|(_, line)| line))
    }

    fn all(&self) -> impl Iterator<Item = &Line> {
        self.title.iter().chain(self.lines.iter().map(|(_, line)| line))
    }

    /// Returns the positions of lines of this worth, the most helpful first: those after the cause, then those before it.
    fn of_worth(&self, worth: Worth) -> impl Iterator<Item = usize> {
        let cause = self.lines.iter().position(|(worth, _)| *worth == Worth::Cause).unwrap_or(0);
        let is = move |idx: &usize| self.lines.get(*idx).is_some_and(|(other, _)| *other == worth);
        (cause..self.lines.len()).chain((0..cause).rev()).filter(is)
    }
}

/// Cuts a line that is too long for a reader. Paths are never cut, since half a path is of no use.
pub(super) fn cut(line: &mut Line, style: &Style) {
    if !line.spans().iter().any(|span| span.role() == Role::Path) {
        line.truncate(MAX_COLUMNS, style.symbols.ellipsis);
    }
}

/// Numbers of lines and bytes that may be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Lines.
    pub(super) lines: usize,
    /// Bytes, including line ends.
    pub(super) bytes: usize,
}

impl Room {
    /// Takes room for a line and returns true, if there is any.
    pub(super) fn take(&mut self, line: &Line) -> bool {
        let bytes = cost(line);
        let fits = self.lines > 0 && self.bytes >= bytes;
        if fits {
            self.lines -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

fn cost(line: &Line) -> usize {
    line.plain().len() + 1
}

/// Chooses the lines that have room: all, or the title of each block with its cause, then further lines of each block in
/// turn. Blocks without room are counted.
pub(super) fn allot(mut blocks: Vec<Block>, mut room: Room, style: &Style) -> Vec<Line> {
    for block in &mut blocks {
        let lines = block.lines.iter_mut().map(|(_, line)| line);
        lines.chain(&mut block.title).chain(&mut block.short).for_each(|line| cut(line, style));
    }
    let mut whole = room;
    if blocks.iter().flat_map(Block::all).all(|line| whole.take(line)) {
        return blocks.into_iter().flat_map(Block::into_lines).collect();
    }

    let mut chosen: Vec<Chosen<'_>> = blocks.iter().map(Chosen::of).collect();
    let (shown, more) = shown(&chosen, &mut room);
    chosen.truncate(shown);
    add_causes(&mut chosen, &mut room, style);
    let turns = [
        (Worth::Cause, usize::MAX),
        (Worth::Evidence, FIRST_EVIDENCE),
        (Worth::Pointer, usize::MAX),
        (Worth::Evidence, usize::MAX),
        (Worth::Gap, usize::MAX),
    ];
    for (worth, most) in turns {
        for _ in 0..most {
            let mut any = false;
            for block in &mut chosen {
                any |= block.take_next(worth, &mut room);
            }
            if !any {
                break;
            }
        }
    }
    chosen.into_iter().flat_map(Chosen::into_lines).chain(more).collect()
}

/// The part of a block that is shown.
struct Chosen<'a> {
    block: &'a Block,
    head: Line,
    /// The fate of each line below it.
    fates: Vec<Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Shown,
    /// The head contains it.
    Said,
}

impl<'a> Chosen<'a> {
    /// Begins with the title, or with the most helpful line of a block without a title.
    fn of(block: &'a Block) -> Self {
        let mut fates = vec![Fate::Open; block.lines.len()];
        let head = block.title.clone().or_else(|| {
            let best = block.of_worth(Worth::Cause).next().unwrap_or(0);
            *fates.get_mut(best)? = Fate::Shown;
            block.lines.get(best).map(|(_, line)| line.clone())
        });
        Self { block, head: head.unwrap_or_default(), fates }
    }

    fn take_next(&mut self, worth: Worth, room: &mut Room) -> bool {
        for idx in self.block.of_worth(worth) {
            if let (Some(fate), Some((_, line))) = (self.fates.get_mut(idx), self.block.lines.get(idx))
                && *fate == Fate::Open
                && room.take(line)
            {
                *fate = Fate::Shown;
                return true;
            }
        }
        false
    }

    fn into_lines(self) -> Vec<Line> {
        let lines = self.block.lines.iter().zip(&self.fates).filter(|(_, fate)| **fate == Fate::Shown);
        let lines = lines.map(|((_, line), _)| line.clone());
        if self.block.title.is_some() {
            [self.head].into_iter().chain(lines).collect()
        } else {
            lines.collect()
        }
    }
}

/// Returns how many blocks have room for a head, and a line that counts the others.
fn shown(chosen: &[Chosen<'_>], room: &mut Room) -> (usize, Option<Line>) {
    let all = *room;
    let mut shown = chosen.iter().take_while(|block| room.take(&block.head)).count();
    while shown < chosen.len() {
        let left = thousands((chosen.len() - shown) as u64);
        let more = Line::new().with(Role::Failure, format!("  and {left} more failed"));
        *room = all;
        if chosen.iter().take(shown).all(|block| room.take(&block.head)) && room.take(&more) {
            return (shown, Some(more));
        }
        // The verdict has the total.
        if shown <= 1 {
            *room = all;
            let fits = chosen.iter().take(shown).take_while(|block| room.take(&block.head)).count();
            return (fits, None);
        }
        shown -= 1;
    }
    (shown, None)
}

/// Appends the causes to the titles: whole, or as much of each as its share of the bytes allows.
fn add_causes(chosen: &mut [Chosen<'_>], room: &mut Room, style: &Style) {
    let longer = |block: &Chosen<'_>| {
        let short = block.block.short.as_ref()?;
        Some(cost(short).saturating_sub(cost(&block.head)))
    };
    let mut left = chosen.iter().filter_map(longer).count();
    let whole = chosen.iter().filter_map(longer).sum::<usize>() <= room.bytes;
    for block in chosen {
        let Some(mut short) = block.block.short.clone() else { continue };
        // If each share is too small to be useful, the first causes are shown whole.
        let part = room.bytes / left.max(1);
        let share = if whole || part < MIN_CAUSE { room.bytes } else { part };
        left = left.saturating_sub(1);
        let limit = cost(&block.head) + share;
        if cost(&short) > limit {
            if share < MIN_CAUSE {
                continue;
            }
            // A column may take several bytes.
            let mut columns = limit;
            short.truncate(columns, style.symbols.ellipsis);
            while columns > 0 && cost(&short) > limit {
                columns -= (cost(&short) - limit).div_ceil(4).min(columns);
                short.truncate(columns, style.symbols.ellipsis);
            }
        }
        room.bytes = room.bytes.saturating_sub(cost(&short).saturating_sub(cost(&block.head)));
        block.head = short;
        for idx in block.block.of_worth(Worth::Cause) {
            if let Some(fate) = block.fates.get_mut(idx) {
                *fate = Fate::Said;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Thresholds;
    use crate::text::Symbols;

    /// A failure with two lines before its cause and one after it, and where to read on.
    fn block(name: &str) -> Block {
        let line = |text: &str| Line::new().with(Role::Plain, text);
        let mut block = Block::titled(line(&format!("  {name} failed, exit 1")));
        for text in ["    begins", "    goes on", "    error: boom", "    at fault"] {
            block.push(Worth::Evidence, line(text));
        }
        block.push(Worth::Pointer, line(&format!("    log: nix log {name}")));
        block.set_cause("error: boom");
        block
    }

    fn shown(blocks: Vec<Block>, lines: usize, bytes: usize) -> Vec<String> {
        let style = Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() };
        allot(blocks, Room { lines, bytes }, &style).iter().map(Line::plain).collect()
    }

    /// Checks the lines that are shown of blocks with these names.
    #[track_caller]
    fn check(names: &[&str], lines: usize, bytes: usize, expected: &[&str]) {
        assert_eq!(shown(names.iter().map(|name| block(name)).collect(), lines, bytes), expected);
    }

    #[test]
    fn what_says_most_has_room_first() {
        let whole = ["  a failed, exit 1", "    begins", "    goes on", "    error: boom", "    at fault"];
        let pointer = "    log: nix log a";
        check(&["a"], 6, 1000, &[&whole[..], &[pointer]].concat());
        let short = "  a failed, exit 1: error: boom";
        check(&["a"], 5, 1000, &[short, whole[1], whole[2], whole[4], pointer]);
        check(&["a"], 4, 1000, &[short, whole[2], whole[4], pointer]);
        check(&["a"], 3, 1000, &[short, whole[2], whole[4]]);
        check(&["a"], 2, 1000, &[short, whole[4]]);
        check(&["a"], 1, 1000, &[short]);
        check(&["a"], 0, 1000, &[]);
    }

    #[test]
    fn every_failure_has_its_title_before_any_has_more() {
        let [a, b, c] = ["a", "b", "c"].map(|name| format!("  {name} failed, exit 1: error: boom"));
        check(&["a", "b", "c"], 5, 1000, &[&a, "    at fault", &b, "    at fault", &c]);
        check(&["a", "b", "c"], 3, 1000, &[&a, &b, &c]);
        check(&["a", "b", "c"], 2, 1000, &[&a, "  and 2 more failed"]);
        // The verdict has their number.
        check(&["a", "b", "c"], 1, 1000, &[&a]);
    }

    #[test]
    fn bytes_bind_as_lines_do() {
        let titles = ["  a failed, exit 1", "  b failed, exit 1"];
        check(&["a", "b"], 100, 38 + 20, &["  a failed, exit 1: error: boom", titles[1]]);
        check(&["a", "b"], 100, 40, &titles);
        check(&["a", "b"], 100, 37, &["  a failed, exit 1: error: boom"]);
        // A few letters of a cause say nothing; more of them say something.
        check(&["a"], 100, 19 + 8, &titles[..1]);
        check(&["a"], 100, 19 + 12, &[titles[0], "    goes on"]);
        let mut long = Block::titled(Line::new().with(Role::Plain, "  c failed"));
        long.push(Worth::Evidence, Line::new().with(Role::Plain, "é".repeat(100)));
        long.set_cause(&"é".repeat(100));
        let [line] = &shown(vec![long], 1, 60)[..] else { panic!("one line") };
        assert!(
            line.starts_with("  c failed: éééé") && line.ends_with('…') && (50..60).contains(&line.len()),
            "{line}"
        );
    }

    #[test]
    fn a_block_without_a_title_begins_with_what_says_most() {
        let line = |text: &str| Line::new().with(Role::Plain, text);
        let mut untitled = Block::new();
        untitled.push(Worth::Evidence, line("    first"));
        untitled.push(Worth::Evidence, line("    why"));
        untitled.set_cause("why");
        assert_eq!(shown(vec![untitled.clone()], 1, 1000), ["    why"]);
        assert_eq!(shown(vec![untitled], 2, 1000), ["    first", "    why"]);
    }

    #[test]
    fn no_room_is_exceeded() {
        for n in 1..12 {
            for lines in 0..40 {
                for bytes in (0..1200).step_by(37) {
                    let blocks = (0..n).map(|n| block(&format!("package-{n}"))).collect();
                    let shown = shown(blocks, lines, bytes);
                    let size: usize = shown.iter().map(|line| line.len() + 1).sum();
                    assert!(shown.len() <= lines && size <= bytes, "{n} {lines} {bytes}: {shown:?}");
                }
            }
        }
    }
}
