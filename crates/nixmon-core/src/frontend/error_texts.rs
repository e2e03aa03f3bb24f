//! Errors as Nix printed them, stored until it is known whether they made a run fail.

use std::collections::VecDeque;

use nixmon_log::escapes::{sanitize, strip_escapes};
use nixmon_log::input::Event;
use nixmon_log::nix::error::{ErrorText, is_error, parse_error};
use nixmon_log::nix::log::LogMessage;

/// Largest number of errors; the state stores no more possible causes.
const MAX_ERRORS: usize = 100;
/// Largest size of all errors in bytes; with `--show-trace` a single one can have a megabyte.
const MAX_BYTES: usize = 4 << 20;

/// The full texts of errors.
#[derive(Debug, Default)]
pub(super) struct ErrorTexts {
    /// The message of each error in the state, and its text.
    texts: VecDeque<(String, String)>,
    bytes: usize,
}

impl ErrorTexts {
    /// Stores an event if it is an error.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Error(text) => {
                self.keep(parse_error(&ErrorText { msg: text, ..ErrorText::default() }).message, text);
            }
            // Messages above level 2 are not errors.
            Event::Record(LogMessage::Msg { level: 0..=2, msg, raw_msg, position, .. }) => {
                let text = msg.decode();
                if raw_msg.is_none() && !is_error(&text) {
                    return;
                }
                let raw = raw_msg.map(|raw| raw.decode());
                let file = position.file.map(|file| file.decode());
                let error = ErrorText {
                    msg: &text,
                    raw_msg: raw.as_deref(),
                    file: file.as_deref(),
                    line: position.line,
                    column: position.column,
                    trace: &[],
                };
                self.keep(parse_error(&error).message, &text);
            }
            _ => {}
        }
    }

    fn keep(&mut self, message: String, text: &str) {
        if text.len() > MAX_BYTES {
            return;
        }
        self.bytes += text.len();
        self.texts.push_back((message, text.to_owned()));
        while self.texts.len() > MAX_ERRORS || self.bytes > MAX_BYTES {
            let Some((_, text)) = self.texts.pop_front() else { break };
            self.bytes -= text.len();
        }
    }

    /// Returns the lines of the error with this message, if they say more than the message.
    pub(super) fn lines(&self, message: &str) -> Vec<String> {
        let Some((_, text)) = self.texts.iter().rev().find(|(known, _)| known == message) else {
            return Vec::new();
        };
        // Escapes are removed line by line, so that an unfinished sequence removes only one line.
        let lines = text.lines().map(|line| sanitize(&strip_escapes(line)).trim_end().to_owned());
        let mut lines: Vec<String> = lines.collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let text = lines.iter().flat_map(|line| words(line)).skip_while(|word| *word == "error:");
        let says_more = text.ne(words(message));
        if says_more { lines } else { Vec::new() }
    }
}

/// Splits a text into words without final dots, since the state joins lines to sentences.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().map(|word| word.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, message: &str, expected: &[&str]) {
        let mut texts = ErrorTexts::default();
        texts.event(&Event::Error("error: another one\n  with a line"));
        texts.event(&Event::Error(text));
        assert_eq!(texts.lines(message), expected, "{text:?}");
    }

    #[test]
    fn an_error_is_found_by_its_message() {
        let long = "error: undefined variable 'foo'\n\n       at \u{1b}[35;1m/a.nix:1:7\u{1b}[0m:\n\
            \n            1| { x = foo; }.x\n\n";
        check(
            long,
            "undefined variable 'foo'",
            &[
                "error: undefined variable 'foo'",
                "",
                "       at /a.nix:1:7:",
                "",
                "            1| { x = foo; }.x",
            ],
        );
        let trace = "error:\n       … while calling the 'throw' builtin\n\n       error: broken\n";
        check(
            trace,
            "broken",
            &["error:", "       … while calling the 'throw' builtin", "", "       error: broken"],
        );
        // The text says no more than its message.
        let suggestion = "error: attribute 'nope' not found\n       Did you mean name?";
        check(suggestion, "attribute 'nope' not found. Did you mean name?", &[]);
        check("error: broken", "broken", &[]);
        check("error: broken", "whole", &[]);
    }

    #[test]
    fn errors_are_bounded() {
        let mut texts = ErrorTexts::default();
        for n in 0..200 {
            texts.event(&Event::Error(&format!("error: number {n}\n       why\n")));
        }
        assert_eq!(texts.texts.len(), MAX_ERRORS);
        assert!(texts.lines("number 99").is_empty() && !texts.lines("number 100").is_empty());
        for n in 0..20 {
            texts.event(&Event::Error(&format!("error: long {n}\n       {}\n", "x".repeat(1 << 20))));
        }
        assert!(texts.bytes <= MAX_BYTES && texts.texts.len() == 3, "{}", texts.texts.len());
        texts.event(&Event::Error(&format!("error: longer\n       {}\n", "x".repeat(5 << 20))));
        assert!(texts.lines("longer").is_empty() && !texts.lines("long 19").is_empty());
    }
}
