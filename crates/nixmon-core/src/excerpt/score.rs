//! Scores of single log lines: how much each looks like the reason of a failure.
//!
//! Rules name forms, not tools: `LOCATION: error: TEXT` is the same in thirty compilers. A form that only one tool has
//! is in a table below with that tool's name.

use memchr::{memchr_iter, memchr2, memmem};

use super::needles::Hits;

/// Bytes of a line that are looked at. What is further right is not read by a person either, and so a line of any
/// length costs the same.
const N_READ: usize = 4096;

/// Score of a line as the reason of a failure; the order is the order of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Score {
    /// Not remarkable: a step, a passing test, a warning, a count of zero errors, a file called `error.c`.
    None,
    /// Says that something else failed before: `make: *** [Makefile:7: a.o] Error 1`, `ninja: build stopped`,
    /// `error: could not compile`.
    Consequence,
    /// Words of failure without the form of a tool's error (`No such file or directory`, `could not`, `FAILED` in a
    /// sentence), or a form that successful builds print too (`fatal: not a git repository`), or a count of failed tests.
    Weak,
    /// The form in which a known tool, or a family of tools, reports its error.
    Strong,
}

/// Judges one line by its own text.
pub(crate) fn score(line: &str) -> Score {
    score_bytes(line.as_bytes())
}

/// Returns whether the line alone is a strong sign of an error: what to keep of a log that is too long to keep.
///
/// Lines without any of the words in question, nearly all, cost one pass of a few instructions per byte; the others are
/// judged as [`score`] does. [`ErrorLines`](super::ErrorLines) does the same for many lines at once.
pub(crate) fn is_error_line(line: &[u8]) -> bool {
    let line = readable(line);
    let hits = Hits::of(line);
    // Most lines with such words are warnings and steps, which are told soonest.
    (!hits.is_empty() || starts_like_error(line))
        && !is_harmless(line.trim_ascii_start())
        && told_by_form(line, hits) == Some(Score::Strong)
}

pub(super) fn score_bytes(line: &[u8]) -> Score {
    let line = readable(line);
    let hits = Hits::of(line);
    if hits.is_empty() && !starts_like_error(line) {
        return Score::None;
    }
    if let Some(score) = told_by_form(line, hits) {
        return score;
    }
    let text = after_question(line.trim_ascii_start());
    if counts_zero(text) {
        return Score::None;
    }
    if marked(text) == Score::Weak || contains_any(text, hits, WEAK, &WEAK_HITS) {
        Score::Weak
    } else {
        Score::None
    }
}

fn readable(line: &[u8]) -> &[u8] {
    line.get(..N_READ).unwrap_or(line).trim_ascii_end()
}

/// The score of a line that has the form of an error, of a consequence, or of a line that is never an error; what is left
/// is at most weak. `hits` are the line's.
fn told_by_form(line: &[u8], hits: Hits) -> Option<Score> {
    let text = line.trim_ascii_start();
    if is_consequence(text, hits) {
        return Some(Score::Consequence);
    }
    if is_harmless(text) || text.ends_with(b" 0") && counts_zero(text) {
        return Some(Score::None);
    }
    let text = after_question(text);
    let is_marked = hits.include(RROR) && marked(text) == Score::Strong;
    (is_marked || is_strong(line, text, hits)).then_some(Score::Strong)
}

/// autoconf's question may be followed by the error on the same line.
fn after_question(text: &[u8]) -> &[u8] {
    if text.starts_with(b"checking ") { after_dots(text) } else { text }
}

pub(super) fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

/// Returns the first position of a short needle. `memmem` prepares each search with tables, which takes longer than to
/// look through a line of a log.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    memchr_iter(first, text).find(|at| {
        let after = text.get(at + 1..).unwrap_or_default();
        after.first() == rest.first() && after.starts_with(rest)
    })
}

/// Without this needle there is no "error".
const RROR: Hits = Hits::of(b"rror");

/// Returns whether one of the phrases occurs; only those whose needles occur are looked for.
fn contains_any(text: &[u8], hits: Hits, phrases: &[&[u8]], phrase_hits: &[Hits]) -> bool {
    phrases.iter().zip(phrase_hits).any(|(phrase, needed)| hits.include(*needed) && contains(text, phrase))
}

/// Returns the text after `checking for x... `.
fn after_dots(text: &[u8]) -> &[u8] {
    find(text, b"... ").and_then(|at| text.get(at + 4..)).unwrap_or(text)
}

fn starts_with_any(text: &[u8], starts: &[&[u8]]) -> bool {
    // Nearly all differ in the first byte.
    starts.iter().any(|start| text.first() == start.first() && text.starts_with(start))
}

// Forms without a needle begin a line; `search.rs` looks for these beginnings.
/// pytest's explanation.
pub(super) const PYTEST: &[u8] = b"E   ";
/// TeX's error.
pub(super) const TEX: &[u8] = b"! ";
/// The head of shellcheck's finding, see [`is_shellcheck_head`].
pub(super) const SHELLCHECK: &[u8] = b"In ";

fn starts_like_error(line: &[u8]) -> bool {
    match line.first() {
        Some(b'E') => is_pytest_explanation(line),
        Some(b'!') => line.starts_with(TEX),
        Some(b'I') => is_shellcheck_head(line),
        _ => false,
    }
}

/// `E       assert 3 == 4`
pub(super) fn is_pytest_explanation(line: &[u8]) -> bool {
    line.starts_with(PYTEST)
}

/// `In build.sh line 3:`
pub(super) fn is_shellcheck_head(line: &[u8]) -> bool {
    line.strip_prefix(SHELLCHECK)
        .and_then(|rest| rest.strip_suffix(b":"))
        .and_then(|rest| memmem::rfind(rest, b" line ").and_then(|at| rest.get(at + 6..)))
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Starts of lines that are never an error, whatever words follow.
const HARMLESS_STARTS: &[&[u8]] = &[
    b"+ ",
    b"++ ", // a shell's trace
    b"-- ", // cmake's messages
    b"Running phase: ",
    b"Executing ",
    b"@nix ",
    b"trying ", // stdenv
    b"ok ",
    b"ok\t",
    b"PASS",
    b"XFAIL",
    b"KFAIL",
    b"XPASS",
    b"SKIP",
    b"UNSUPPORTED",
    b"# PASS",
    b"# XFAIL",
    b"# XPASS",
    b"# SKIP",
    b"UNTESTED", // test results
    b"--- PASS",
    b"--- SKIP",
    b"=== RUN",
    b"=== PAUSE",
    b"=== CONT", // go test
    b"[ RUN ",
    b"[       OK ]",
    b"[  PASSED  ]",
    b"[  SKIPPED ]",
    b"[==========]",
    b"[----------]", // googletest
    "✓".as_bytes(),
    "✔".as_bytes(),
    "√".as_bytes(),
    b"Compiling ",
    b"Checking ",
    b"Downloading ",
    b"Downloaded ",
    b"Linking ",
    b"Installing ", // steps
    b"[INFO]",
    b"[info]",
    b"[WARNING]",
    b"[warn]",
    b"npm warn",
    b"npm WARN",
    b"npm notice",
    b"warning ", // levels
    b"go: downloading ",
    b"go: finding ",
    b"go: found ",
    b"go: added ",
    b"go: upgraded ",
    b"go: downgraded ",
    b"go: removed ",
    b"go: extracting ",
    b"go: creating ",
    b"go: to add ",
    b"go: no module dependencies",
];

/// Ends of lines that are never an error.
const HARMLESS_ENDS: &[&[u8]] = &[
    b"... ok",
    b"... OK",
    b"... yes",
    b"... no",
    b"... ignored",
    b"... skipped",
    b"... PASSED",
    b"... passed",
    b"(ignored)",
    b"(cached)",
    b" PASSED",
    b" XFAIL",
    b" SKIPPED",
    b"failures:",
    b" PASS",
];

fn is_harmless(text: &[u8]) -> bool {
    // Most lines that come here are compilers' warnings.
    is_warning_or_note(text)
        || starts_with_any(text, HARMLESS_STARTS)
        || HARMLESS_ENDS.iter().any(|end| text.last() == end.last() && text.ends_with(end))
        || is_numbered_step(text)
        || is_test_result(text)
        // autoconf's question, unless the answer is the error itself
        || text.starts_with(b"checking ") && !contains(text, b" error: ")
}

/// `[12/345] Building …`, `[ 45%] Building …`, `[ 3 of 18] Compiling …`
pub(super) fn is_numbered_step(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"[") else { return false };
    let Some(end) = rest.iter().take(24).position(|&b| b == b']') else { return false };
    let Some(inner) = rest.get(..end).map(<[u8]>::trim_ascii) else { return false };
    let is_counter = inner.iter().all(|&b| b.is_ascii_digit() || b"/% of".contains(&b));
    is_counter && inner.first().is_some_and(u8::is_ascii_digit) && !inner.iter().all(u8::is_ascii_digit)
}

/// pytest's verbose `tests/a.py::test_fails PASSED   [ 10%]` and ctest's `1/12 Test #1: fails ....   Passed    0.01 sec`.
fn is_test_result(text: &[u8]) -> bool {
    text.ends_with(b"%]")
        && (contains(text, b" PASSED ") || contains(text, b" XFAIL ") || contains(text, b" SKIPPED "))
        || text.ends_with(b" sec") && contains(text, b"   Passed ")
}

/// A warning or a note, also one that talks of errors; but not an error that quotes a warning.
fn is_warning_or_note(text: &[u8]) -> bool {
    const LABELS: &[&[u8]] = &[b"warning", b"Warning", b"note", b"remark", b"hint"];
    let before_label = |colon: usize| {
        let before = text.get(..colon)?;
        LABELS.iter().find_map(|label| before.strip_suffix(*label)).map(<[u8]>::len)
    };
    let labelled = memchr_iter(b':', text).find_map(before_label);
    let first = find(labelled.and_then(|at| text.get(..at)).unwrap_or(text), b"WARNING").or(labelled);
    first.is_some_and(|at| {
        // In "linker: error: warning: …" the first word decides.
        !text.get(..at).is_some_and(|before| {
            contains(before, b"error:") || contains(before, b"ERROR") || contains(before, b"error[")
        })
    })
}

/// Consequences told by their start.
const CONSEQUENCE_STARTS: &[&[u8]] = &[
    b"ninja: build stopped",
    b"collect2: ",
    b"compilation terminated",
    b"error: could not compile",
    b"error: aborting due to",
    b"error: test failed",
    b"error: build failed",
    b"error: process didn't exit successfully: ",
    b"error: doctest failed",
    b"error: test run failed", // cargo
    b"tar: Exiting with failure",
    b"tar: Error is not recoverable",
    b"tar: Child returned status",
    b"error Command failed with",
    b"ELIFECYCLE",
    b"npm ERR! code ELIFECYCLE",
    b"npm error code ELIFECYCLE",
    b"npm ERR! code 1",
    b"npm error code 1",
    b"npm error Lifecycle script",
    b"npm ERR! Lifecycle script",
    b"npm ERR! A complete log",
    b"npm error A complete log",
    b"npm ERR!     /",
    b"npm error     /", // npm, yarn, pnpm
    b"FAIL\t",
    b"FAILURE: Build failed with an exception",
    b"BUILD FAILED",
    b"** BUILD FAILED",
    b"BUILD FAILURE",
    b"[ERROR] -> [Help",
    b"[ERROR] To see the full stack",
    b"[ERROR] Re-run Maven",
    b"[ERROR] For more information",
    b"[ERROR] [Help",
    b"[ERROR] After correcting",
    b"[ERROR] COMPILATION ERROR",
    b"[ERROR]   mvn", // maven
    b"Errors while running CTest",
    b"FAILED: Build did NOT complete",
    b"error: subprocess-exited-with-error",
    b"ERROR Backend subprocess exited",
    b"ERROR: Failed building wheel",
    b"ERROR: Failed to build",
    b"ERROR: Could not build wheels",
    b"subprocess.CalledProcessError: ",
    b"SystemExit",
    b"BEGIN failed--",
    b"Result: FAIL",
    b"Dubious, test returned",
    b"! Emergency stop",
    b"!  ==> Fatal error occurred",
    b"!==> Fatal error occurred", // TeX
    b"auto-patchelf failed to find all",
    b"Error: [Cabal-7125]",
    b"cabal: Failed to build",
    b"error: Recipe ",
    b"error: emit-module command failed",
    b"error: fatalError",
    b"Error: Build failed",
];

/// Consequences told by what they contain.
const CONSEQUENCES: &[&[u8]] = &[
    b"*** Waiting for unfinished jobs",
    b"linker command failed with exit code",
    b"ld returned ",
    b"Configuring incomplete, errors occurred",
    b"warnings being treated as errors",
    b"recipe for target '",
    b" dependencies of derivation ",
    b" dependency of derivation ",
];
static CONSEQUENCES_HITS: [Hits; CONSEQUENCES.len()] = Hits::of_each(CONSEQUENCES);

fn is_consequence(text: &[u8], hits: Hits) -> bool {
    if text == b"FAIL" || is_make_consequence(text) || is_error_count(text) {
        return true;
    }
    if text.starts_with(b"error: process didn't exit successfully") && contains(text, b"(signal: ") {
        return false;
    }
    starts_with_any(text, CONSEQUENCE_STARTS)
        || contains_any(text, hits, CONSEQUENCES, &CONSEQUENCES_HITS)
        || text.starts_with(b"error: command ") && contains(text, b" failed with exit ")
        || text.starts_with(b"Makefile:") && contains(text, b": recipe for target")
}

/// `make[2]: *** [Makefile:12: foo.o] Error 1`: some command failed and has said why, but not `…] Killed`.
pub(super) fn is_make_consequence(text: &[u8]) -> bool {
    find(text, b"*** [")
        .and_then(|at| text.get(at..))
        .and_then(|rest| memmem::rfind(rest, b"] Error ").and_then(|at| rest.get(at + 8..)))
        .is_some_and(|code| code.first().is_some_and(u8::is_ascii_digit))
}

/// `1 error`, `2 errors generated.`
fn is_error_count(text: &[u8]) -> bool {
    let n_digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = text.get(n_digits..).unwrap_or_default();
    n_digits > 0
        && text != b"0 errors"
        && [&b" error"[..], b" errors", b" error generated.", b" errors generated."].contains(&rest)
}

/// Tools' own forms, told by the start of the text.
const STRONG_STARTS: &[&[u8]] = &[
    b"CMake Error",
    b"npm ERR! ",
    b"npm error ",
    b"ERR_PNPM_",
    b"FAILED: ",
    b"--- FAIL: ",
    b"FAIL: ",
    b"FAIL [",
    b"[  FAILED  ] ",
    b"Traceback (most recent call last)",
    b"panic: ",
    b"* What went wrong:",
    b"The following tests FAILED:",
    b"curl: (",
    b"Can't locate ",
    b"can't find file to patch",
    b"patch: ****",
    b"Undefined symbols for architecture",
    b"terminate called after throwing",
    b"Exception in thread ",
    b"Caused by: ",
    b"Error in ",
    b"ERROR in ",
    b"Error [ERR_",
    b"do not know how to unpack source archive",
    b"** (",
    b"Did not find version ",
    b"Module not found: ",  // webpack
    b"error during build:", // vite
];

/// Forms that hold wherever they stand in the line.
const STRONG: &[&[u8]] = &[
    b"undefined reference to ",
    b"cannot find -l",
    b"multiple definition of ",
    b"No space left on device",
    b"Segmentation fault",
    b"Bus error",
    b"\" failed with error:",                        // NixOS tests
    b"Encountered missing or unknown dependencies:", // Haskell's Setup
    b"(core dumped)",
    b"Cannot allocate memory",
    b"out of memory",
    b"Out of memory",
    b"std::bad_alloc",
    b"bad interpreter: ",
    b": unbound variable",
    b": syntax error",
    b"forbidden reference",
    b"***Failed",
    b"***Exception",
    b"***Not Run",
    b"assertion failed: ",
    b"Killed signal",
    b"hunks FAILED",
    b"hunk FAILED",
];
static STRONG_HITS: [Hits; STRONG.len()] = Hits::of_each(STRONG);

/// Words of failure: not certain enough to come before anything else.
const WEAK: &[&[u8]] = &[
    b"command not found",
    b"not found",
    b"No such file",
    b"ermission denied",
    b"cannot ",
    b"Cannot ",
    b"can't ",
    b"Can't ",
    b"could not ",
    b"Could not ",
    b"nable to ",
    b"failed",
    b"Failed",
    b"FAILED",
    b"FAIL ",
    b"FAIL: ",
    b"failure",
    b"Failure",
    b"Exception",
    b"Killed",
    b"fatal: ",
    b"undefined ",
    b"invalid ",
    b"Invalid ",
    b"ERROR ",
    b"gyp ERR!",
    b"does not exist",
    b"syntax error",
];
static WEAK_HITS: [Hits; WEAK.len()] = Hits::of_each(WEAK);

/// Forms that no table says.
fn is_strong(line: &[u8], text: &[u8], hits: Hits) -> bool {
    if starts_like_error(line) || starts_with_any(text, STRONG_STARTS) {
        return true;
    }
    if contains_any(text, hits, STRONG, &STRONG_HITS) {
        return true;
    }
    is_exception(undecorated(text))
        || is_go_error(text)
        || is_make_cause(text)
        || is_git_error(text)
        || is_test_failure(text)
        || is_killed(text)
        || is_panic(text)
        // pkg-config
        || text.starts_with(b"No package '") && text.ends_with(b"' found")
        // nixpkgs' check of a Python package's dependencies
        || text.starts_with(b"- ") && (text.ends_with(b" not installed") || contains(text, b" not satisfied by version "))
        // assert(3) and googletest
        || contains(text, b"Assertion `") && contains(text, b"' failed")
        || text.ends_with(b": Failure")
        || text.starts_with(b"Hunk #") && contains(text, b" FAILED")
        // kotlinc
        || text.starts_with(b"e: ") && contains(text, b".kt:")
        // yarn: the level, then a sentence
        || text.strip_prefix(b"error ").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_uppercase))
        // ruby: "a.rb:3:in 'f': undefined method 'x' (NoMethodError)"
        || text.ends_with(b"Error)") && contains(text, b".rb:")
}

/// The text without bars, arrows and bullets before it.
fn undecorated(text: &[u8]) -> &[u8] {
    let n_skipped =
        text.iter().take_while(|&&b| b == b' ' || b == b'|' || b == b'>' || !b.is_ascii()).count();
    text.get(n_skipped..).unwrap_or_default()
}

/// `ModuleNotFoundError: No module named 'x'`, `java.lang.IllegalStateException`
fn is_exception(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"Uncaught ").unwrap_or(text);
    let n_name = text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"._$".contains(b)).count();
    let (name, rest) = text.split_at(n_name);
    let starts_as_name = name.first().is_some_and(u8::is_ascii_alphabetic);
    starts_as_name
        && (name.ends_with(b"Error") || name.ends_with(b"Exception"))
        && (rest.is_empty() || rest == b":" || rest.starts_with(b": ") || rest.starts_with(b" [ERR_"))
}

/// `./main.go:10:2: undefined: x`, `go: updates to go.mod needed`
fn is_go_error(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"go: ") {
        return !rest.is_empty();
    }
    let Some(at) = find(text, b".go:") else { return false };
    let before = text.get(..at).unwrap_or_default();
    let mut parts = text.get(at + 4..).unwrap_or_default().splitn(3, |&b| b == b':');
    let is_number =
        |part: Option<&[u8]>| part.is_some_and(|p| !p.is_empty() && p.iter().all(u8::is_ascii_digit));
    memchr2(b' ', b'\t', before).is_none()
        && is_number(parts.next())
        && is_number(parts.next())
        && parts.next().is_some_and(|message| message.starts_with(b" "))
}

/// `make: *** No rule to make target 'x'.  Stop.`, `Makefile:3: *** missing separator.  Stop.`,
/// `make: *** [Makefile:7: a.o] Killed`
fn is_make_cause(text: &[u8]) -> bool {
    let Some(at) = find(text, b": *** ") else { return false };
    let before = text.get(..at).unwrap_or_default();
    let rest = text.get(at + 6..).unwrap_or_default();
    let is_make = contains(before, b"make") || before.last().is_some_and(u8::is_ascii_digit);
    is_make && memchr2(b' ', b'\t', before).is_none() && !rest.starts_with(b"Deleting ")
}

/// git's `fatal: …`, but not what a version script gets that asks git in a tarball.
fn is_git_error(text: &[u8]) -> bool {
    text.strip_prefix(b"fatal: ").is_some_and(|rest| {
        !starts_with_any(
            rest,
            &[b"not a git repository", b"No names found", b"No tags can describe", b"No annotated"],
        )
    })
}

/// One failed test: TAP, pytest's summary, jest.
fn is_test_failure(text: &[u8]) -> bool {
    if text.starts_with(b"not ok ") {
        return !contains(text, b"# TODO") && !contains(text, b"# SKIP") && !contains(text, b"# todo");
    }
    if let Some(rest) = text.strip_prefix(b"FAILED ").or_else(|| text.strip_prefix(b"ERROR ")) {
        return contains(rest, b".py");
    }
    text.strip_prefix(b"FAIL ").is_some_and(|rest| contains(rest, b".js") || contains(rest, b".ts"))
}

/// `thread 'main' panicked at src/main.rs:3:5:`; since Rust 1.91 with the thread's id in brackets.
pub(super) fn is_panic(text: &[u8]) -> bool {
    undecorated(text).starts_with(b"thread '") && contains(text, b" panicked at ")
}

/// Words of a shell about a command that a signal ended.
fn is_killed(text: &[u8]) -> bool {
    text == b"Killed"
        || contains(text, b"Killed  ") && contains(text, b"line ")
        || text.ends_with(b"] Killed")
}

/// Adjectives of `error:` that do not make it part of a sentence.
const KINDS: &[&[u8]] = &[
    b"fatal",
    b"internal",
    b"compiler",
    b"syntax",
    b"parse",
    b"parser",
    b"type",
    b"compile",
    b"compilation",
    b"link",
    b"linker",
    b"runtime",
    b"import",
    b"php",
    b"unexpected",
    b"critical",
    b"evaluation",
    b"uncaught",
];

/// Words before `error:` that say there is none, or that it is wanted.
const DENIALS: &[&[u8]] = &[
    b"expected",
    b"expect",
    b"expects",
    b"no",
    b"without",
    b"ignore",
    b"ignored",
    b"ignoring",
    b"any",
    b"zero",
];

/// Use of the word "error" in the text: as the label of a message (strong where only a location, a tool's name or
/// nothing is before it, weak in a sentence), or not.
fn marked(text: &[u8]) -> Score {
    let mut best = Score::None;
    for needle in [b"rror", b"RROR"] {
        for at in memmem::find_iter(text, needle) {
            let (Some(before), Some(after)) =
                (at.checked_sub(1).and_then(|e| text.get(..e)), text.get(at + 4..))
            else {
                continue;
            };
            if text.get(before.len()).is_some_and(|e| e.eq_ignore_ascii_case(&b'e')) {
                best = best.max(marked_at(before, after));
            }
            if best == Score::Strong {
                return best;
            }
        }
    }
    best
}

fn marked_at(before: &[u8], after: &[u8]) -> Score {
    if after.len() > 1 && after.starts_with(b"]") && before.ends_with(b"[") {
        return if before.iter().any(u8::is_ascii_alphanumeric) { Score::Weak } else { Score::Strong };
    }
    let is_bounded = before.last().is_none_or(|&b| b" \t[(*=>|:".contains(&b) || !b.is_ascii());
    if !is_bounded || !is_label_end(after) {
        return Score::None;
    }
    let mut rest = before.trim_ascii_end();
    if DENIALS.iter().any(|word| last_word(rest).eq_ignore_ascii_case(word)) {
        return Score::None;
    }
    while let word = last_word(rest)
        && KINDS.iter().any(|kind| word.eq_ignore_ascii_case(kind))
    {
        rest = rest.get(..rest.len() - word.len()).unwrap_or_default().trim_ascii_end();
    }
    if !rest.iter().any(u8::is_ascii_alphanumeric) {
        return Score::Strong;
    }
    // "a.c:3:5: error:", "a.ts:3:5 - error TS2304:", "a.nim(3, 5) Error:", "==7==ERROR:"
    let place = match rest.split_last() {
        Some((b')', _)) => rest,
        Some((b':' | b'-' | b'=', place)) => place.trim_ascii_end(),
        _ => return Score::Weak,
    };
    let is_one_word = memchr2(b' ', b'\t', place).is_none();
    let is_position = place.last().is_some_and(|&b| b.is_ascii_digit() || b == b')');
    if is_one_word || is_position { Score::Strong } else { Score::Weak }
}

fn last_word(text: &[u8]) -> &[u8] {
    let n_letters = text.iter().rev().take_while(|b| b.is_ascii_alphabetic()).count();
    text.get(text.len() - n_letters..).unwrap_or_default()
}

/// Text that makes the word before it a label: `: `, `[E0425]: `, ` TS2304: `.
fn is_label_end(after: &[u8]) -> bool {
    match after {
        [b':'] | [b':', b' ' | b'\t', ..] => true,
        [b'[', code @ ..] => code.iter().take(12).any(|&b| b == b']'),
        [b' ', code @ ..] => {
            let n_letters = code.iter().take_while(|b| b.is_ascii_uppercase()).count();
            let code = code.get(n_letters..).unwrap_or_default();
            let n_digits = code.iter().take_while(|b| b.is_ascii_digit()).count();
            (1..=4).contains(&n_letters) && n_digits > 0 && code.get(n_digits) == Some(&b':')
        }
        _ => false,
    }
}

/// Returns whether the line counts failures or errors and finds none: `0 failed`, `0 tests failed`, `errors: 0`, `#
/// FAIL:  0`.
fn counts_zero(text: &[u8]) -> bool {
    let mut zero = false;
    // The last number, and how many words ago.
    let mut number: Option<(&[u8], u8)> = None;
    let mut previous: &[u8] = b"";
    let mut words = text.split(|b| b" \t,;()[]=".contains(b)).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let lower = word.to_ascii_lowercase();
        if lower.starts_with(b"fail") || lower.starts_with(b"error") {
            let count = match number {
                Some((number, ..=1)) if !word.ends_with(b":") => Some(number),
                _ => words.peek().copied().filter(|next| is_number(next)),
            };
            match count {
                Some(b"0" | b"0.") => zero = true,
                Some(_) => return false,
                None => zero |= previous.eq_ignore_ascii_case(b"no"),
            }
        }
        number =
            if is_number(word) { Some((word, 0)) } else { number.map(|(n, age)| (n, age.saturating_add(1))) };
        previous = word;
    }
    zero
}

fn is_number(word: &[u8]) -> bool {
    let word = word.strip_suffix(b".").unwrap_or(word);
    !word.is_empty() && word.iter().all(u8::is_ascii_digit)
}
