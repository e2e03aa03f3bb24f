//! Ways to notify the user of the end of a run.

/// The ways to notify the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyWays {
    /// The notification that the terminal behind standard error supports.
    pub terminal: Option<TerminalNotice>,
    /// The address of a session bus is set, on which a desktop may listen.
    pub session_bus: bool,
}

/// A control sequence for notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalNotice {
    /// `OSC 9 ; TEXT` (iTerm2's proprietary escape codes).
    Osc9,
    /// `OSC 777 ; notify ; TITLE ; TEXT` (urxvt's extension `notify`).
    Osc777,
    /// It is tmux, which knows the terminal behind it and whether it passes sequences on.
    Tmux,
}

impl NotifyWays {
    /// Asks the environment. `value`: of a variable, empty if it is not set.
    pub(super) fn read(value: impl Fn(&str) -> String, stderr_is_terminal: bool) -> Self {
        let terminal = if value("TMUX").is_empty() {
            TerminalNotice::of(&value("TERM"), &value("TERM_PROGRAM"))
        } else {
            Some(TerminalNotice::Tmux)
        };
        Self {
            terminal: terminal.filter(|_| stderr_is_terminal),
            session_bus: !value("DBUS_SESSION_BUS_ADDRESS").is_empty(),
        }
    }
}

impl TerminalNotice {
    /// What a terminal takes that calls itself `program` and whose entry in terminfo is `term`. Terminals that are not
    /// known are not asked: some print what they do not know, and some take OSC 9 for something else.
    pub fn of(term: &str, program: &str) -> Option<Self> {
        let term = term.strip_prefix("xterm-").unwrap_or(term);
        let is = |name: &str| term.starts_with(name) || program.to_ascii_lowercase().starts_with(name);
        if is("iterm") || is("kitty") {
            Some(Self::Osc9)
        } else if ["ghostty", "wezterm", "foot", "rxvt-unicode"].into_iter().any(is) {
            Some(Self::Osc777)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_known_by_their_names() {
        use TerminalNotice::{Osc9, Osc777, Tmux};
        for (tmux, term, program, expected) in [
            ("", "xterm-256color", "iTerm.app", Some(Osc9)),
            ("", "xterm-kitty", "", Some(Osc9)),
            ("", "xterm-256color", "WezTerm", Some(Osc777)),
            ("", "xterm-ghostty", "ghostty", Some(Osc777)),
            ("", "foot", "", Some(Osc777)),
            ("", "foot-extra", "", Some(Osc777)),
            ("", "rxvt-unicode-256color", "", Some(Osc777)),
            // Of tmux it is asked what is behind it.
            ("/tmp/tmux-1000/default,1,0", "tmux-256color", "tmux", Some(Tmux)),
            ("", "xterm-256color", "Apple_Terminal", None),
            ("", "xterm-256color", "vscode", None),
            ("", "screen-256color", "", None),
            ("", "linux", "", None),
            ("", "", "", None),
        ] {
            let value = |name: &str| {
                let value = match name {
                    "TMUX" => tmux,
                    "TERM" => term,
                    "TERM_PROGRAM" => program,
                    _ => "",
                };
                value.to_owned()
            };
            let ways = NotifyWays { terminal: expected, session_bus: false };
            assert_eq!(NotifyWays::read(value, true), ways, "{term} {program}");
            assert_eq!(NotifyWays::read(value, false), NotifyWays::default(), "{term} {program}");
        }
    }
}
