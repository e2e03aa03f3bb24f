//! A few rows at the bottom of a terminal that are drawn again and again, and what scrolls away above them.
//!
//! The cursor is parked on the first of the rows, not after the last. Then all of the view can be cleared with one
//! control sequence, whatever a resize has made of it: terminals that wrap lines anew move the cursor with its line, and
//! those that get lower drop the rows below the cursor first, so that nothing of the view gets into the scrollback.
//! Nobody needs to know how many rows it takes now.
//!
//! The place is saved in the terminal, too (DECSC), since what the user types moves the cursor. After a resize the saved
//! place is another one, so then the cursor itself counts.

use std::io;

use indicatif::TermLike;

/// Begin and end of a synchronised update; terminals that do not know it ignore it.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// A line that is wider than we think, by another opinion on some character, is cut rather than wrapped.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
/// From the beginning of a row. Not from its first column: tmux keeps a screen that is cleared from its first cell on in
/// its scrollback (`screen_write_clearendofscreen` in its `screen-write.c`).
const CLEAR_BELOW: &str = " \x1b[J\r";
const CLEAR_LINE: &str = "\x1b[K";

/// What puts a terminal right again that a view was left on: no view, cursor and modes as they were. Good at any moment,
/// for it does not rely on a saved place.
pub(super) const RESET: &str = "\r \x1b[J\r\x1b[?7h\x1b[?2026l\x1b[?25h";

/// The rows that are drawn again and again.
#[derive(Debug)]
pub(super) struct Canvas {
    term: Box<dyn TermLike>,
    /// The rows that stand there now; none if there is no view.
    shown: Vec<String>,
    size: (u16, u16),
    hidden: bool,
}

/// What is to be drawn.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// Rows of the view, as wide as the terminal at most.
    pub(super) rows: Vec<String>,
    /// Control sequences that have no place on the screen.
    pub(super) controls: String,
    /// Column of the cursor in the first row.
    pub(super) column: usize,
    /// The cursor is wanted: somebody is being asked.
    pub(super) cursor: bool,
    /// What stands there may not be what was drawn.
    pub(super) again: bool,
}

impl Canvas {
    pub(super) fn new(term: Box<dyn TermLike>) -> Self {
        let size = (term.width(), term.height());
        Self { term, shown: Vec::new(), size, hidden: false }
    }

    /// Columns and rows of the terminal, now.
    pub(super) fn size(&self) -> (u16, u16) {
        (self.term.width(), self.term.height())
    }

    /// Whether the terminal has another size than when it was drawn.
    pub(super) fn is_resized(&self) -> bool {
        self.size() != self.size
    }

    /// Whether a view is on the screen.
    pub(super) fn is_shown(&self) -> bool {
        !self.shown.is_empty()
    }

    /// Writes `above` where it scrolls away, and the rows below it. Nothing is written where nothing differs.
    pub(super) fn draw(&mut self, above: &str, picture: Picture) -> io::Result<()> {
        let Picture { rows, controls, column, cursor, again } = picture;
        let resized = self.is_resized();
        let all = resized || again || !above.is_empty() || rows.len() != self.shown.len();
        let same = !all && rows == self.shown && self.hidden != cursor;
        if same {
            return if controls.is_empty() { Ok(()) } else { self.send(&controls) };
        }
        let mut out = String::from(BEGIN);
        out.push_str(&controls);
        if self.hidden == cursor {
            out.push_str(if cursor { SHOW_CURSOR } else { HIDE_CURSOR });
            self.hidden = !cursor;
        }
        self.go_to_first_row(&mut out, resized);
        if all {
            out.push_str(CLEAR_BELOW);
            for line in above.split_inclusive('\n') {
                out.push_str(line.trim_end_matches('\n'));
                out.push_str("\r\n");
            }
            out.push_str(WRAP_OFF);
            out.push_str(&rows.join("\r\n"));
            up(&mut out, rows.len().saturating_sub(1));
        } else {
            // What the user has typed stands in the first row.
            out.push_str(WRAP_OFF);
            let mut at = 0;
            for (i, (row, old)) in rows.iter().zip(&self.shown).enumerate() {
                if i == 0 || row != old {
                    down(&mut out, i - at);
                    at = i;
                    out.push('\r');
                    out.push_str(row);
                    out.push_str(CLEAR_LINE);
                }
            }
            up(&mut out, at);
        }
        out.push_str(WRAP_ON);
        out.push('\r');
        if column > 0 {
            out.push_str(&format!("\x1b[{column}C"));
        }
        out.push_str(SAVE);
        out.push_str(END);
        self.shown = rows;
        self.size = self.size();
        self.send(&out)
    }

    /// Takes the view away and leaves what scrolled; `above` comes last. The cursor is at the beginning of a line, or behind
    /// the last line of `above` if nothing ends that.
    pub(super) fn leave(&mut self, above: &str, controls: &str) -> io::Result<()> {
        let resized = self.is_resized();
        let mut out = String::new();
        if self.is_shown() {
            self.go_to_first_row(&mut out, resized);
            out.push_str(CLEAR_BELOW);
        }
        self.shown.clear();
        out.push_str(&above.replace('\n', "\r\n"));
        if std::mem::take(&mut self.hidden) {
            out.push_str(SHOW_CURSOR);
        }
        out.push_str(controls);
        if out.is_empty() { Ok(()) } else { self.send(&out) }
    }

    fn go_to_first_row(&self, out: &mut String, resized: bool) {
        if self.is_shown() && !resized {
            out.push_str(RESTORE);
        }
        out.push('\r');
    }

    fn send(&self, out: &str) -> io::Result<()> {
        self.term.write_str(out)?;
        self.term.flush()
    }
}

fn up(out: &mut String, rows: usize) {
    if rows > 0 {
        out.push_str(&format!("\x1b[{rows}A"));
    }
}

fn down(out: &mut String, rows: usize) {
    if rows > 0 {
        out.push_str(&format!("\x1b[{rows}B"));
    }
}
