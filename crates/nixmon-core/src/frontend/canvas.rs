//! A few rows at the bottom of a terminal that are redrawn, and text that scrolls away above them.
//!
//! The cursor is parked on the first of the rows, not after the last. So one control sequence clears the whole view,
//! whatever a resize has done to it: terminals that rewrap lines move the cursor with its line, and terminals that get
//! lower drop the rows below the cursor first, so that no part of the view gets into the scrollback. The current number of
//! rows does not have to be known.
//!
//! The position is saved in the terminal as well (DECSC), since typing moves the cursor. A resize invalidates the saved
//! position; then the cursor itself is used.

use std::io;

/// A terminal that a live view is drawn on.
pub trait Screen: std::fmt::Debug + Send {
    /// Returns its columns and rows; 0 if it does not know.
    fn size(&self) -> (u16, u16);

    /// Writes text with its control sequences, at once or in the background.
    fn write(&self, text: &str) -> io::Result<()>;
}

/// Begin and end of a synchronised update; terminals that do not know it ignore it.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Lines are cut rather than wrapped if the terminal draws a character wider than expected.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
/// Clears from the beginning of a row, but not from its first column: tmux moves a screen that is cleared from its first
/// cell to the scrollback (`screen_write_clearendofscreen` in its `screen-write.c`).
const CLEAR_BELOW: &str = " \x1b[J\r";
const CLEAR_LINE: &str = "\x1b[K";

/// Removes a view and restores the cursor and the modes of the terminal. It works at any moment, since it does not rely on
/// a saved position.
pub(super) const RESET: &str = "\r \x1b[J\r\x1b[?7h\x1b[?2026l\x1b[?25h";

/// Rows that are redrawn in place.
#[derive(Debug)]
pub(super) struct Canvas {
    term: Box<dyn Screen>,
    /// The rows on the screen; empty if there is no view.
    shown: Vec<String>,
    size: (u16, u16),
    hidden: bool,
}

/// The content to draw.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// Rows of the view, at most as wide as the terminal.
    pub(super) rows: Vec<String>,
    /// Control sequences that do not change the screen.
    pub(super) controls: String,
    /// Column of the cursor in the first row.
    pub(super) column: usize,
    /// Show the cursor, since a program asks a question.
    pub(super) cursor: bool,
    /// Draw all rows, since the screen may have changed.
    pub(super) again: bool,
}

impl Canvas {
    pub(super) fn new(term: Box<dyn Screen>) -> Self {
        let size = term.size();
        Self { term, shown: Vec::new(), size, hidden: false }
    }

    /// Returns the current columns and rows of the terminal.
    pub(super) fn size(&self) -> (u16, u16) {
        self.term.size()
    }

    /// Returns whether the size of the terminal has changed since the last frame.
    pub(super) fn is_resized(&self) -> bool {
        self.size() != self.size
    }

    /// Returns whether a view is on the screen.
    pub(super) fn is_shown(&self) -> bool {
        !self.shown.is_empty()
    }

    /// Writes `above`, which scrolls away, and the rows below it. Writes nothing if nothing has changed.
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
            // The first row holds the text that the user has typed.
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

    /// Removes the view, then writes `above`. The cursor is left at its end.
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
        self.term.write(out)
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
