//! Causes of failures: the places that compilers and linkers name, the target that failed and its command.
//!
//! Which lines are worth showing is not decided here; this turns a line that is into a place.

mod commands;
mod places;

use serde::Serialize;

pub use places::place;

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as printed.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
}

/// The program, or family of programs, whose form an error has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Reporter {
    /// GCC, Clang and what prints as they do.
    Gcc,
    /// rustc.
    Rustc,
    /// A linker.
    Ld,
    /// GHC.
    Ghc,
    /// The Go compiler.
    Go,
    /// javac, also below Maven and Gradle.
    Javac,
    /// The TypeScript compiler.
    Tsc,
    /// Python.
    Python,
    /// CMake.
    Cmake,
    /// A `configure` that autoconf made.
    Autotools,
    /// Meson.
    Meson,
}

/// An error that a compiler or linker printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Error {
    /// The program.
    pub reporter: Reporter,
    /// The place, where there is one.
    pub place: Option<Place>,
    /// The message, of one line.
    pub message: String,
}

/// The cause of a failed build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The program that printed it.
    pub reporter: Reporter,
    /// The place, where there is one.
    pub place: Option<Place>,
    /// The message, of one line.
    pub message: String,
    /// The target that the build tool says failed.
    pub target: Option<String>,
    /// The command that made it, where the tool printed it.
    pub command: Option<String>,
    /// The package.
    pub package: Option<String>,
}

/// Longest message, and longest command, that are kept.
const TEXT_LEN: usize = 1000;

/// Collects causes from the lines of a build, in their order.
#[derive(Clone, Debug)]
pub struct Collector {
    max: usize,
    causes: Vec<Cause>,
    /// Causes from here on belong to the target that is named next, since make names it behind them.
    open: usize,
    /// ninja's failed target, which it names before.
    failed: Option<(String, Option<String>)>,
    expects_command: bool,
    places: places::Reader,
}

impl Collector {
    /// Keeps at most so many.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            causes: Vec::new(),
            open: 0,
            failed: None,
            expects_command: false,
            places: places::Reader::default(),
        }
    }

    /// Reads one line. Lines must come in their order; those that have nothing to do with errors may be left out.
    pub fn line(&mut self, line: &str) {
        if self.expects_command {
            self.expects_command = false;
            if let Some((_, command)) = &mut self.failed
                && commands::is_command(line)
            {
                *command = Some(clip(line));
                return;
            }
        }
        if let Some(failed) = commands::failed(line) {
            match failed {
                // ninja: the errors follow.
                commands::Failed::Before(target) => {
                    self.failed = Some((target.to_owned(), None));
                    self.expects_command = true;
                }
                // make: the errors came before.
                commands::Failed::Behind(target) => {
                    for cause in self.causes.iter_mut().skip(self.open).filter(|cause| cause.target.is_none())
                    {
                        cause.target = Some(target.to_owned());
                    }
                    self.open = self.causes.len();
                    self.failed = None;
                }
                commands::Failed::Package(package) => {
                    for cause in self.causes.iter_mut().skip(self.open) {
                        cause.package = Some(package.to_owned());
                    }
                    self.open = self.causes.len();
                }
                commands::Failed::Over => self.failed = None,
            }
            return;
        }
        let Some(error) = self.places.line(line) else { return };
        // A place that comes on a later line completes the error before.
        if let Some(last) = self.causes.last_mut()
            && error.message.is_empty()
        {
            last.place = last.place.take().or(error.place);
            return;
        }
        if self.causes.len() >= self.max || error.message.is_empty() {
            return;
        }
        let is_known =
            self.causes.iter().any(|cause| cause.place == error.place && cause.message == error.message);
        if is_known {
            return;
        }
        let (target, command) =
            self.failed.clone().map_or((None, None), |(target, command)| (Some(target), command));
        self.causes.push(Cause {
            reporter: error.reporter,
            place: error.place,
            message: clip(&error.message),
            target,
            command,
            package: self.places.package().map(str::to_owned),
        });
    }

    /// Returns the causes so far.
    pub fn causes(&self) -> Vec<Cause> {
        self.causes.clone()
    }
}

fn clip(text: &str) -> String {
    let text = text.trim();
    let end =
        text.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|end| *end <= TEXT_LEN).last();
    text.get(..end.unwrap_or(0)).unwrap_or("").to_owned()
}

/// Finds the causes in lines that are at hand, at most so many.
pub fn causes<'l>(lines: impl IntoIterator<Item = &'l str>, max: usize) -> Vec<Cause> {
    let mut collector = Collector::new(max);
    lines.into_iter().for_each(|line| collector.line(line));
    collector.causes
}

#[cfg(test)]
mod tests;
