//! The forms in which compilers and linkers print errors and their places.

use super::{Error, Place, Reporter};
use crate::step;

/// Reads errors whose place or message is on a line of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    /// An error that waits for its place (rustc), or a place that waits for its message (GHC, Python, CMake).
    waiting: Option<Waiting>,
    /// The Go package of the errors that follow.
    package: Option<String>,
}

#[derive(Clone, Debug)]
enum Waiting {
    /// rustc: ` --> file:line:column` follows.
    Place,
    /// The message follows, indented.
    Message(Reporter, Place),
    /// Python: the last frame's place; the exception ends the traceback.
    Traceback(Option<Place>),
    /// lld: `>>> referenced by a.c:7` follows.
    Reference,
    /// Apple's ld: a list of symbols follows.
    Symbols,
    /// gfortran: the lines of the source follow, and then `Error: TEXT`.
    Fortran(Place),
}

impl Reader {
    /// Returns the package that errors without one belong to.
    pub(super) fn package(&self) -> Option<&str> {
        self.package.as_deref()
    }

    /// Reads one line. An error with an empty message is the place of the one before.
    pub(super) fn line(&mut self, line: &str) -> Option<Error> {
        let trimmed = line.trim();
        match self.waiting.take() {
            Some(Waiting::Place) => {
                if let Some(rest) = trimmed.strip_prefix("--> ") {
                    return Some(Error {
                        reporter: Reporter::Rustc,
                        place: at_end(rest),
                        message: String::new(),
                    });
                }
                if trimmed.is_empty() || trimmed.starts_with('|') {
                    self.waiting = Some(Waiting::Place);
                    return None;
                }
            }
            Some(Waiting::Message(reporter, place)) => {
                if trimmed.is_empty() {
                    self.waiting = Some(Waiting::Message(reporter, place));
                    return None;
                }
                if line.starts_with([' ', '\t']) {
                    let message = trimmed.trim_start_matches("• ").to_owned();
                    return Some(Error { reporter, place: Some(place), message });
                }
            }
            Some(Waiting::Traceback(place)) => {
                if let Some(rest) = trimmed.strip_prefix("File \"") {
                    self.waiting = Some(Waiting::Traceback(python_place(rest).or(place)));
                    return None;
                }
                if line.starts_with(' ') || trimmed.is_empty() {
                    self.waiting = Some(Waiting::Traceback(place));
                    return None;
                }
                if let Some((name, _)) = trimmed.split_once(": ").or(Some((trimmed, "")))
                    && is_exception(name)
                {
                    return Some(Error { reporter: Reporter::Python, place, message: trimmed.to_owned() });
                }
            }
            Some(Waiting::Reference) => {
                if let Some(rest) = trimmed.strip_prefix(">>> referenced by ") {
                    // `a.c:7 (/src/a.c:7)`: the whole path stands behind.
                    let whole = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
                    let place = at_end(whole.map_or(rest, |(_, whole)| whole))?;
                    return Some(Error {
                        reporter: Reporter::Ld,
                        place: Some(place),
                        message: String::new(),
                    });
                }
            }
            Some(Waiting::Symbols) => {
                let symbol =
                    trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix("\", referenced from:"));
                if symbol.is_some() || line.starts_with(' ') {
                    self.waiting = Some(Waiting::Symbols);
                    let message = format!("undefined symbol: {}", symbol?);
                    return Some(Error { reporter: Reporter::Ld, place: None, message });
                }
            }
            Some(Waiting::Fortran(place)) => {
                if let Some(message) =
                    line.strip_prefix("Error: ").or_else(|| line.strip_prefix("Fatal Error: "))
                {
                    let message = message.to_owned();
                    return Some(Error { reporter: Reporter::Gcc, place: Some(place), message });
                }
                if trimmed.is_empty() || line.starts_with(' ') {
                    self.waiting = Some(Waiting::Fortran(place));
                    return None;
                }
            }
            None => {}
        }
        if line.starts_with("Undefined symbols for architecture ") {
            self.waiting = Some(Waiting::Symbols);
            return None;
        }
        if let Some(place) = fortran(line) {
            self.waiting = Some(Waiting::Fortran(place));
            return None;
        }
        if trimmed == "Traceback (most recent call last):" {
            self.waiting = Some(Waiting::Traceback(None));
            return None;
        }
        // A syntax error has no traceback: `  File "e.py", line 1` stands at the top.
        if let Some(rest) = line.strip_prefix("  File \"") {
            self.waiting = Some(Waiting::Traceback(python_place(rest)));
            return None;
        }
        if let Some(package) = line.strip_prefix("# ") {
            let is_path = !package.is_empty() && !package.contains(' ');
            self.package = is_path.then(|| package.to_owned());
            return None;
        }
        if line.starts_with("error") {
            let message = rustc_message(line)?;
            self.waiting = Some(Waiting::Place);
            return Some(Error { reporter: Reporter::Rustc, place: None, message: message.to_owned() });
        }
        if let Some(rest) = line.strip_prefix("CMake Error at ") {
            // `CMakeLists.txt:7 (find_package):`
            let (place, _) = rest.split_once(" (")?;
            let place = at_end(place)?;
            self.waiting = Some(Waiting::Message(Reporter::Cmake, place));
            return None;
        }
        if let Some((place, rest)) = waiting_message(line) {
            if rest.is_empty() {
                self.waiting = Some(Waiting::Message(Reporter::Ghc, place));
                return None;
            }
            return Some(Error { reporter: Reporter::Ghc, place: Some(place), message: rest.to_owned() });
        }
        let error = place(line);
        if error.as_ref().is_some_and(|error| error.reporter == Reporter::Ld && error.place.is_none()) {
            self.waiting = Some(Waiting::Reference);
        }
        error
    }
}

/// Reads an error that one line holds.
///
/// Forms: `FILE:LINE:COLUMN: error: TEXT` (GCC, Clang, GHC ≥ 9.4 with a message, valac), `FILE:LINE: error: TEXT` (javac),
/// `FILE(LINE,COLUMN): error TS2322: TEXT` (tsc), `[ERROR] FILE:[LINE,COLUMN] TEXT` (Maven), `FILE.go:LINE:COLUMN: TEXT`
/// (Go), and the linkers' `undefined reference to`, `cannot find -l` and `undefined symbol`.
pub fn place(line: &str) -> Option<Error> {
    let line = line.trim_end();
    if let Some(error) = linker(line) {
        return Some(error);
    }
    if let Some(rest) = line.strip_prefix("[ERROR] ") {
        let (file, rest) = rest.split_once(":[")?;
        let (position, message) = rest.split_once("] ")?;
        let (line, column) = position.split_once(',')?;
        let place = Place { file: file.to_owned(), line: line.parse().ok(), column: column.parse().ok() };
        return Some(Error { reporter: Reporter::Javac, place: Some(place), message: message.to_owned() });
    }
    if let Some((left, rest)) = line.split_once(": error[E")
        && let Some(place) = at_end(left)
    {
        // rustc with `--error-format short`.
        let (_, message) = rest.split_once("]: ")?;
        return Some(Error { reporter: Reporter::Rustc, place: Some(place), message: message.to_owned() });
    }
    for marker in [": error: ", ": fatal error: ", ": internal compiler error: "] {
        let Some((left, message)) = line.split_once(marker) else { continue };
        if is_driver(left) && !is_sum_of_driver(message) {
            return Some(Error { reporter: Reporter::Gcc, place: None, message: message.to_owned() });
        }
        // `configure` has no place.
        let Some(place) = at_end(left) else { break };
        let reporter = if place.file.ends_with(".java") { Reporter::Javac } else { Reporter::Gcc };
        return Some(Error { reporter, place: Some(place), message: message.to_owned() });
    }
    // GNU as 2.40 gas/messages.c: `a.s:3: Error: TEXT`, and `{standard input}:3: Error: TEXT` below a compiler.
    if let Some((left, message)) = line.split_once(": Error: ")
        && let Some(place) = at_end(left).filter(|place| is_assembly(&place.file))
    {
        return Some(Error { reporter: Reporter::Gcc, place: Some(place), message: message.to_owned() });
    }
    // autoconf 2.71 lib/autoconf/general.m4 (AC_MSG_ERROR): the name of the script, its path in a subdirectory.
    if let Some((name, message)) = line.split_once(": error: ")
        && (name == "configure" || name.ends_with("/configure"))
    {
        return Some(Error { reporter: Reporter::Autotools, place: None, message: message.to_owned() });
    }
    // meson 1.0 mesonbuild/mlog.py (exception): `../meson.build:3:0: ERROR: TEXT`.
    if let Some((left, message)) = line.split_once(": ERROR: ")
        && let Some(place) = at_end(left).filter(|place| {
            let name = place.file.rsplit('/').next().unwrap_or_default();
            name.starts_with("meson.") || name.starts_with("meson_")
        })
    {
        return Some(Error { reporter: Reporter::Meson, place: Some(place), message: message.to_owned() });
    }
    // tsc with `--pretty`: `src/t.ts:1:7 - error TS2322: TEXT`.
    if let Some((left, message)) = line.split_once(" - error TS") {
        let place = at_end(left)?;
        return Some(Error { reporter: Reporter::Tsc, place: Some(place), message: format!("TS{message}") });
    }
    if let Some((left, message)) = line.split_once("): error TS") {
        let (file, position) = left.rsplit_once('(')?;
        let (line, column) = position.split_once(',')?;
        let place = Place { file: file.to_owned(), line: line.parse().ok(), column: column.parse().ok() };
        return Some(Error { reporter: Reporter::Tsc, place: Some(place), message: format!("TS{message}") });
    }
    go(line)
}

/// Reads `FILE.go:LINE:COLUMN: TEXT`, and `vet: FILE.go:…`.
fn go(line: &str) -> Option<Error> {
    let line = line.strip_prefix("vet: ").unwrap_or(line);
    let (file, rest) = line.split_once(".go:")?;
    let (number, rest) = rest.split_once(':')?;
    let number = number.parse().ok()?;
    // A failed test prints `    a_test.go:4: text`, which has no column and is indented.
    let (column, message) = rest.split_once(": ")?;
    let column: u32 = column.parse().ok()?;
    if file.contains(' ') {
        return None;
    }
    let place = Place { file: format!("{file}.go"), line: Some(number), column: Some(column) };
    Some(Error { reporter: Reporter::Go, place: Some(place), message: message.to_owned() })
}

/// Reads what GNU ld, gold, lld and mold say.
fn linker(line: &str) -> Option<Error> {
    let error =
        |place, message: &str| Some(Error { reporter: Reporter::Ld, place, message: message.to_owned() });
    for text in ["undefined reference to ", "multiple definition of "] {
        if let Some(at) = line.find(text) {
            let (left, message) = line.split_at_checked(at)?;
            // `/usr/bin/ld: a.o: in function …: a.c:(.text+0x9): undefined reference to`, or `a.c:7: undefined …`.
            let left = left.trim_end().trim_end_matches(':');
            let left = left.rsplit(": ").next().unwrap_or(left);
            let place = match left.split_once(":(") {
                Some((file, _)) => Some(Place { file: file.to_owned(), line: None, column: None }),
                None => at_end(left),
            };
            return error(place, message);
        }
    }
    let rest = line
        .strip_prefix("ld.lld: error: ")
        .or_else(|| line.strip_prefix("mold: error: "))
        .or_else(|| line.strip_prefix("ld: error: "));
    if let Some(message) = rest {
        return error(None, message);
    }
    // rustc repeats what its linker said behind `= note: `.
    let line = line.trim_start().strip_prefix("= note: ").unwrap_or(line);
    let (program, message) = line.split_once(": ")?;
    let is_linker = program
        .rsplit('/')
        .next()
        .is_some_and(|name| name == "ld" || name.starts_with("ld.") || name.ends_with("-ld"));
    let is_error = message.starts_with("cannot find ")
        || message.starts_with("cannot open output file ")
        || LINKER_ERRORS.iter().any(|text| message.contains(text));
    if is_linker && is_error { error(None, message) } else { None }
}

/// Parts of errors of GNU ld (binutils 2.40 ld/ldmain.c, ld/ldfile.c, bfd/elfxx-x86.c) that name no place in a source.
const LINKER_ERRORS: [&str; 4] =
    [": file not recognized", ": error adding symbols", "; recompile with -f", "unrecognized option "];

/// Returns whether a word is a compiler's driver or one of its programs: `gcc`, `x86_64-linux-gnu-g++-12`, `cc1plus`.
fn is_driver(word: &str) -> bool {
    matches!(word, "cc1" | "cc1plus" | "cc1obj" | "f951" | "lto1" | "lto-wrapper")
        || (!word.contains(' ') && step::is_compiler(word))
}

/// Returns whether a driver's error only says that a program failed which has said why.
fn is_sum_of_driver(message: &str) -> bool {
    message.starts_with("linker command failed")
        || message.starts_with("ld returned")
        || message.contains("command failed with exit code")
        || message.contains("command failed due to signal")
}

/// Returns whether a file is one that an assembler reads.
fn is_assembly(file: &str) -> bool {
    file == "{standard input}" || [".s", ".S", ".asm"].iter().any(|end| file.ends_with(end))
}

/// Reads gfortran's `a.f90:3:8:`, behind which the lines of the source come.
fn fortran(line: &str) -> Option<Place> {
    let place = at_end(line.strip_suffix(':')?)?;
    let (_, extension) = place.file.rsplit_once('.')?;
    matches!(extension, "f" | "f90" | "F90" | "f95" | "f03" | "f08" | "for" | "F").then_some(place)
}

/// Reads GHC's `Main.hs:8:15: error:` whose message follows, or `Main.hs:8:15: error: [GHC-88464]`.
fn waiting_message(line: &str) -> Option<(Place, &str)> {
    let (left, rest) = line.split_once(": error:")?;
    let rest = rest.trim();
    let is_code = rest.starts_with("[GHC-") && rest.ends_with(']');
    let place = at_end(left).or_else(|| lines(left))?;
    let is_haskell =
        place.file.ends_with(".hs") || place.file.ends_with(".lhs") || place.file.ends_with(".hsc");
    is_haskell.then_some((place, if is_code { "" } else { rest }))
}

/// Reads `error[E0425]: TEXT` or `error: TEXT`, but not cargo's and rustc's sums.
fn rustc_message(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("error")?;
    let message = match rest.strip_prefix("[E") {
        Some(rest) => rest.split_once("]: ")?.1,
        None => rest.strip_prefix(": ")?,
    };
    let is_sum = message.starts_with("aborting due to")
        || message.starts_with("could not compile")
        || message.starts_with("build failed")
        || message.starts_with("test failed");
    (!is_sum).then_some(message)
}

/// Reads the rest of `  File "a.py", line 7, in f`.
fn python_place(rest: &str) -> Option<Place> {
    let (file, rest) = rest.split_once("\", line ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Place { file: file.to_owned(), line: digits.parse().ok(), column: None })
}

/// Returns whether a name is one of an exception: `ModuleNotFoundError`, `subprocess.CalledProcessError`, `KeyboardInterrupt`.
fn is_exception(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_')
}

/// Reads GHC's place of several lines: `A.hs:(3,5)-(4,9)`.
fn lines(text: &str) -> Option<Place> {
    let (file, rest) = text.split_once(":(")?;
    let (begin, _) = rest.split_once(")-(")?;
    let (line, column) = begin.split_once(',')?;
    Some(Place { file: file.to_owned(), line: Some(line.parse().ok()?), column: Some(column.parse().ok()?) })
}

/// Reads a text that ends in `FILE:LINE:COLUMN`, `FILE:LINE:COLUMN-COLUMN` or `FILE:LINE`.
fn at_end(text: &str) -> Option<Place> {
    let text = text.trim();
    let (before, last) = text.rsplit_once(':')?;
    // GHC marks a range of columns, or of lines: `8:15-20`.
    let last: u32 = last.split('-').next()?.parse().ok()?;
    let place = |file: &str, line, column| {
        // A path may have blanks, but a sentence is none.
        let is_path = !file.is_empty() && file.len() < 4096 && !file.contains(": ");
        is_path.then(|| Place { file: file.to_owned(), line: Some(line), column })
    };
    if let Some((file, line)) = before.rsplit_once(':')
        && let Ok(line) = line.parse()
    {
        return place(file, line, Some(last));
    }
    place(before, last, None)
}
