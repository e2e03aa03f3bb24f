//! Streams without records: what is whose where no line says so.

use super::*;
use nixmon_log::nix::error::Stage;

/// What a stream without records comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told<'a> {
    /// `None` stands for the exit status alone.
    outcome: Option<Outcome>,
    stage: Option<Stage>,
    /// Messages of the root causes.
    causes: &'a [&'a str],
    /// What is shown of the first one's log.
    evidence: &'a [&'a str],
    /// The last lines of other programs.
    words: &'a [&'a str],
    /// Lines that may be anybody's.
    unnamed: u64,
}

#[track_caller]
fn tells(lines: &[&str], exit_status: Option<i32>, expected: Told<'_>) {
    let mut run = Run::default();
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    run.feed(&lines);
    run.end(exit_status);
    assert_eq!(run.state.check_invariants(), Ok(()));
    let failures: Vec<_> = run.state.failures().map(|(_, failure)| failure).collect();
    let causes: Vec<&str> = failures.iter().map(|failure| failure.message.as_str()).collect();
    let excerpt = failures.first().map(|failure| failure.excerpt.as_slice()).unwrap_or_default();
    let evidence: Vec<&str> = excerpt.iter().flatten().map(String::as_str).collect();
    let (_, words) = run.state.other_text().lines();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = Told {
        outcome: run.state.outcome(),
        stage: run.state.failed_stage(),
        causes: &causes,
        evidence: &evidence,
        words: &words,
        unnamed: run.state.unnamed_lines(),
    };
    assert_eq!(told, expected, "{lines:#?}");
}

fn building(name: &str) -> String {
    format!("building '{}'...", drv(name))
}

fn builder_failed(name: &str) -> String {
    format!("error: builder for '{}' failed with exit code 2", drv(name))
}

/// The message of a build that failed.
const FAILED: &str =
    "builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a.drv' failed with exit code 2";
const FAILURE: Told<'_> =
    Told { outcome: Some(Failed), stage: None, causes: &[], evidence: &[], words: &[], unnamed: 0 };
const SUCCESS: Told<'_> = Told { outcome: Some(Success), ..FAILURE };

#[test]
fn the_end_of_make_is_the_end_of_the_stream() {
    let error = "make: *** [Makefile:3: all] Error 1";
    let leaving = "make: Leaving directory '/x'";
    let failed = Told { causes: &[error], evidence: &["hi"], ..FAILURE };
    tells(&["hi", error], None, Told { words: &["hi", error], ..failed });
    tells(&["hi", error, leaving], None, Told { words: &["hi", error, leaving], ..failed });
    // The innermost make names the target.
    let inner = "make[1]: *** No rule to make target 'x'.  Stop.";
    let outer = "make: *** [Makefile:3: all] Error 2";
    let between = "make[1]: Leaving directory '/x'";
    tells(
        &[inner, between, outer],
        None,
        Told { causes: &[inner], words: &[inner, between, outer], ..FAILURE },
    );
    // It waits for the others and says no more.
    let waits = "make: *** Waiting for unfinished jobs....";
    tells(
        &["hi", error, waits, "done b"],
        None,
        Told { evidence: &["hi", "done b"], words: &["hi", error, waits, "done b"], ..failed },
    );
    // It goes on with the others.
    let not_remade = "make: Target 'all' not remade because of errors.";
    tells(
        &["hi", error, "b", not_remade],
        None,
        Told { evidence: &["hi", "b"], words: &["hi", error, "b", not_remade], ..failed },
    );
    // Something else says how it went.
    for after in ["make: [Makefile:3: all] Error 1 (ignored)", "falling back"] {
        tells(&["hi", error, after], None, Told { words: &["hi", error, after], ..SUCCESS });
    }
    // Nix's own failure is the cause.
    let nix = "error: undefined variable 'x'";
    tells(
        &[nix, error],
        None,
        Told {
            stage: Some(Stage::Evaluation),
            causes: &["undefined variable 'x'"],
            words: &[error],
            ..FAILURE
        },
    );
}

#[test]
fn what_follows_a_build_is_not_lost() {
    let begins = building("a");
    let script = ["hello", &begins, "deploying", "host unreachable"];
    let words = &["hello", "deploying", "host unreachable"];
    tells(&script, Some(5), Told { words, unnamed: 2, ..FAILURE });
    tells(&script, None, Told { words, unnamed: 2, ..SUCCESS });
    // Builders that print their names print nothing without them.
    let log = "a> one";
    let named = ["hello", &begins, log, "deploying", &building("b"), "host unreachable"];
    tells(&named, Some(5), Told { words, ..FAILURE });
    // A result is the word of a command that prints builders' lines as they are.
    let raw = ["hello", &begins, "one", &out("a"), "host unreachable"];
    tells(&raw, Some(5), Told { words: &["hello", "host unreachable"], ..FAILURE });
    // What is before another command's list may be of a program between.
    let two = [&begins, "one", "between", "this derivation will be built:", &building("b"), "two"];
    tells(&two, Some(5), Told { words: &["one", "between", "two"], unnamed: 3, ..FAILURE });
    // Nix quotes what it did not print.
    let quoted = format!("{};\n       last 1 log lines:\n       > one", builder_failed("a"));
    let quoted = [&begins, "of another program", &quoted, "host unreachable"];
    tells(
        &quoted,
        Some(5),
        Told {
            stage: Some(Stage::Build),
            causes: &[FAILED],
            evidence: &["one"],
            words: &["of another program", "host unreachable"],
            unnamed: 1,
            ..FAILURE
        },
    );
}

#[test]
fn errors_in_a_builders_text_are_lines_of_its_log() {
    let (a, b, failed) = (building("a"), building("b"), builder_failed("a"));
    let told = Told { stage: Some(Stage::Build), causes: &[FAILED], evidence: &["error: mid"], ..FAILURE };
    tells(&[&a, "foo", "error: mid", "bar", "baz", &failed], None, told);
    let compiler = ["main.c:1:2: error: no x", "  1 | x", "make: *** [Makefile:3: a.o] Error 1"];
    tells(
        &[&a, compiler[0], compiler[1], compiler[2], &failed],
        None,
        Told { evidence: &compiler[..2], ..told },
    );
    tells(&[&a, compiler[2], &failed], None, Told { evidence: &[compiler[2]], ..told });
    // Nobody knows whose the lines are.
    tells(&[&a, &b, "foo", "error: mid", "bar", &failed], None, Told { evidence: &[], ..told });
    // A good build may print one too.
    tells(&[&a, "error: harmless", "more", &out("a")], None, SUCCESS);
    tells(
        &[&a, "error: harmless", &b, "host unreachable"],
        Some(5),
        Told { words: &["error: harmless", "host unreachable"], unnamed: 2, ..FAILURE },
    );
    // At the end it is the command's own word.
    tells(
        &[&a, "foo", "error: strange"],
        None,
        Told { causes: &["strange"], words: &["foo", "error: strange"], unnamed: 2, ..FAILURE },
    );
    // With other words after it, these are the last.
    tells(
        &[&a, "error: strange", "host unreachable"],
        Some(5),
        Told { words: &["error: strange", "host unreachable"], unnamed: 2, ..FAILURE },
    );
}

#[test]
fn what_was_built_upon_prints_no_more() {
    let mut run = Run::default();
    run.feed(&[building("a"), "of a".to_owned(), building("b"), "of b".to_owned()]);
    run.read("b", &["a"]);
    run.feed(&[builder_failed("b"), "host unreachable".to_owned()]);
    run.end(Some(5));
    let (_, failure) = run.state.failures().next().unwrap();
    assert_eq!(failure.log_tail, ["of b"]);
    assert_eq!(run.state.other_text().lines().1, ["host unreachable"]);
}

#[test]
fn an_error_that_nix_shell_survives_is_no_cause() {
    let missing = "error: file 'nixpkgs' was not found in the Nix search path (add it using $NIX_PATH or -I)";
    let survives = "will use bash from your environment";
    tells(&[missing, survives, "in"], Some(9), Told { words: &["in"], ..FAILURE });
    tells(&[missing, survives, "in"], None, Told { words: &["in"], ..SUCCESS });
    let mut run = Run::default();
    run.feed(&[error(missing.strip_prefix("error: ").unwrap()), message(2, survives)]);
    run.end(Some(9));
    assert_eq!((run.causes().as_str(), run.state.failed_stage()), ("", None));
    // What Nix ignores it survives, too.
    let ignored = "error (ignored): error: cannot unlink '/x'";
    tells(&["in", ignored], Some(9), Told { words: &["in", ignored], ..FAILURE });
    tells(&[ignored], None, Told { words: &[ignored], ..SUCCESS });
}
