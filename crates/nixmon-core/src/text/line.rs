//! Lines of text as data: each part has a role, and only the last write turns roles into styles.

use std::fmt;

use owo_colors::Style;

use super::width::{cut, width};
use nixmon_log::escapes::sanitize;

/// The role of a part of a line. A [`Palette`] gives each role its style.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Plain text.
    #[default]
    Plain,
    /// A success.
    Success,
    /// A failure.
    Failure,
    /// A warning, or a success with reservations.
    Warning,
    /// Something in progress.
    Running,
    /// Text that matters less than its surroundings.
    Muted,
    /// A heading.
    Heading,
    /// The name of a derivation, a package, an output or a machine.
    Name,
    /// A store path, a file or a URL.
    Path,
    /// Text that matters more than its surroundings.
    Emphasis,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 10] = [
        Role::Plain,
        Role::Success,
        Role::Failure,
        Role::Warning,
        Role::Running,
        Role::Muted,
        Role::Heading,
        Role::Name,
        Role::Path,
        Role::Emphasis,
    ];
}

/// A part of a line: sanitised text of one role.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Span {
    role: Role,
    text: String,
}

impl Span {
    /// Makes a span. The text is [sanitised](sanitize()), so that a line cannot hold anything else.
    pub fn new(role: Role, text: impl AsRef<str>) -> Self {
        Span { role, text: sanitize(text.as_ref()).into_owned() }
    }

    /// Returns the role of the span.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the text of the span.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One line: spans, without a line break.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Line {
    spans: Vec<Span>,
}

impl Line {
    /// Makes an empty line.
    pub fn new() -> Self {
        Line::default()
    }

    /// Returns the spans in order. None is empty, and no two neighbours have the same role.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns whether the line has no text.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Appends text of a role, sanitised.
    pub fn push(&mut self, role: Role, text: impl AsRef<str>) -> &mut Self {
        self.push_span(Span::new(role, text));
        self
    }

    /// Appends text of a role, sanitised, and returns the line.
    #[must_use]
    pub fn with(mut self, role: Role, text: impl AsRef<str>) -> Self {
        self.push(role, text);
        self
    }

    /// Appends all of another line.
    pub fn append(&mut self, other: Line) -> &mut Self {
        for span in other.spans {
            self.push_span(span);
        }
        self
    }

    fn push_span(&mut self, span: Span) {
        match self.spans.last_mut() {
            _ if span.text.is_empty() => {}
            Some(last) if last.role == span.role => last.text.push_str(&span.text),
            _ => self.spans.push(span),
        }
    }

    /// Returns the text of the line without styles.
    pub fn plain(&self) -> String {
        self.spans.iter().map(Span::text).collect()
    }

    /// Returns the display width of the line in columns.
    pub fn width(&self) -> usize {
        // The sum over the spans would be wrong: a span can begin with a character that joins the end of the one before.
        match self.spans.as_slice() {
            [] => 0,
            [span] => width(&span.text),
            spans if spans.iter().all(|span| span.text.is_ascii()) => {
                spans.iter().map(|span| span.text.len()).sum()
            }
            _ => width(&self.plain()),
        }
    }

    /// Cuts the line to a number of columns, with `ellipsis` at the end if anything was cut, in the role of what was cut.
    pub fn truncate(&mut self, columns: usize, ellipsis: &str) {
        let plain = self.plain();
        let Some((kept, ellipsis)) = cut(&plain, columns, ellipsis) else {
            return;
        };
        let mut left = kept.len();
        let mut n_spans = 0;
        let mut role = Role::Plain;
        for span in &mut self.spans {
            role = span.role;
            if span.text.len() > left {
                span.text.truncate(left);
                n_spans += usize::from(left > 0);
                break;
            }
            left -= span.text.len();
            n_spans += 1;
        }
        self.spans.truncate(n_spans);
        self.push(role, ellipsis);
    }

    /// Fills the line with spaces up to a number of columns.
    pub fn pad(&mut self, columns: usize) {
        let n_spaces = columns.saturating_sub(self.width());
        self.push(Role::Plain, " ".repeat(n_spaces));
    }

    /// Writes the line with the styles of the palette, without a line break.
    ///
    /// # Errors
    /// Returns the errors of the writer.
    pub fn write(&self, palette: &Palette, out: &mut impl fmt::Write) -> fmt::Result {
        for span in &self.spans {
            let style = palette.style(span.role);
            if style.is_plain() {
                out.write_str(&span.text)?;
            } else {
                write!(out, "{}", style.style(&span.text))?;
            }
        }
        Ok(())
    }
}

impl From<Span> for Line {
    fn from(span: Span) -> Self {
        let mut line = Line::new();
        line.push_span(span);
        line
    }
}

/// The style of each role. The default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Palette {
    /// Style of [`Role::Success`].
    pub success: Style,
    /// Style of [`Role::Failure`].
    pub failure: Style,
    /// Style of [`Role::Warning`].
    pub warning: Style,
    /// Style of [`Role::Running`].
    pub running: Style,
    /// Style of [`Role::Muted`].
    pub muted: Style,
    /// Style of [`Role::Heading`].
    pub heading: Style,
    /// Style of [`Role::Name`].
    pub name: Style,
    /// Style of [`Role::Path`].
    pub path: Style,
    /// Style of [`Role::Emphasis`].
    pub emphasis: Style,
}

impl Palette {
    /// Makes a palette of the 16 colours that every terminal theme keeps readable on its background.
    pub fn colored() -> Self {
        Palette {
            success: Style::new().green(),
            failure: Style::new().red().bold(),
            warning: Style::new().yellow(),
            running: Style::new().blue(),
            muted: Style::new().dimmed(),
            heading: Style::new().bold(),
            name: Style::new().cyan(),
            path: Style::new().magenta(),
            emphasis: Style::new().bold(),
        }
    }

    /// Returns the style of a role. [`Role::Plain`] has none.
    pub fn style(&self, role: Role) -> Style {
        match role {
            Role::Plain => Style::new(),
            Role::Success => self.success,
            Role::Failure => self.failure,
            Role::Warning => self.warning,
            Role::Running => self.running,
            Role::Muted => self.muted,
            Role::Heading => self.heading,
            Role::Name => self.name,
            Role::Path => self.path,
            Role::Emphasis => self.emphasis,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::truncate;
    use nixmon_log::escapes::strip_escapes;
    use proptest::prelude::*;

    fn line(parts: &[(Role, &str)]) -> Line {
        let mut line = Line::new();
        for (role, text) in parts {
            line.push(*role, text);
        }
        line
    }

    fn written(line: &Line, palette: &Palette) -> String {
        let mut out = String::new();
        line.write(palette, &mut out).unwrap();
        out
    }

    #[test]
    fn writes() {
        let line = Line::new().with(Role::Failure, "FAIL").with(Role::Plain, " hello");
        assert_eq!(written(&line, &Palette::default()), "FAIL hello");
        assert_eq!(written(&line, &Palette::colored()), "\x1b[31;1mFAIL\x1b[0m hello");
    }

    #[test]
    fn every_role_but_plain_is_colored() {
        for role in Role::ALL {
            assert!(Palette::default().style(role).is_plain());
            assert_eq!(Palette::colored().style(role).is_plain(), role == Role::Plain, "{role:?}");
        }
    }

    #[test]
    fn spans_are_clean_and_joined() {
        let mut line =
            line(&[(Role::Name, "a\x1b[31m"), (Role::Name, "b\n"), (Role::Path, "\x07"), (Role::Plain, "c")]);
        assert_eq!(line.spans(), [Span::new(Role::Name, "ab "), Span::new(Role::Plain, "c")]);
        line.append(Span::new(Role::Plain, "d").into());
        assert_eq!(line.plain(), "ab cd");
        assert!(Line::from(Span::new(Role::Name, "\x1b[0m")).is_empty());
    }

    #[test]
    fn truncates() {
        let parts = [(Role::Name, "hello"), (Role::Plain, " "), (Role::Path, "漢字")];
        for (columns, expected) in [
            (10, line(&parts)),
            (9, line(&[(Role::Name, "hello"), (Role::Plain, " "), (Role::Path, "漢…")])),
            (8, line(&[(Role::Name, "hello"), (Role::Plain, " "), (Role::Path, "…")])),
            (6, line(&[(Role::Name, "hello"), (Role::Plain, "…")])),
            (3, line(&[(Role::Name, "he…")])),
            (1, line(&[(Role::Name, "…")])),
            (0, Line::new()),
        ] {
            let mut got = line(&parts);
            got.truncate(columns, "…");
            assert_eq!(got, expected, "{columns}");
        }
    }

    fn any_line() -> impl Strategy<Value = Line> {
        let text = prop_oneof!["[a-z ]{0,6}", "[\u{301}\u{200d}\u{fe0f}👩☀漢🇩🇪]{0,3}", any::<String>()];
        proptest::collection::vec((0..Role::ALL.len(), text), 0..6).prop_map(|parts| {
            parts.iter().fold(Line::new(), |line, (role, text)| line.with(Role::ALL[*role], text))
        })
    }

    proptest! {
        #[test]
        fn truncated_fits(line in any_line(), columns in 0..30_usize) {
            let mut cut = line.clone();
            cut.truncate(columns, "…");
            prop_assert!(cut.width() <= columns);
            prop_assert_eq!(cut.plain(), truncate(&line.plain(), columns, "…").into_owned());
            prop_assert!(cut.spans().iter().all(|span| !span.text().is_empty()));
            cut.pad(columns);
            prop_assert_eq!(cut.width(), columns);
        }

        #[test]
        fn styles_add_nothing_else(line in any_line()) {
            prop_assert_eq!(written(&line, &Palette::default()), line.plain());
            let colored = written(&line, &Palette::colored());
            prop_assert_eq!(strip_escapes(&colored), line.plain());
        }
    }
}
