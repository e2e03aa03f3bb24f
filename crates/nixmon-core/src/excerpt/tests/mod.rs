use proptest::prelude::*;

use super::score::score_bytes;
use super::*;

mod compilers;
mod others;
mod runners;

/// Name, most lines, log. Each line of the log has two columns before it: `> ` on those that must come out.
type Case = (&'static str, usize, &'static str);

fn check(cases: &[Case]) {
    let mut wrong = String::new();
    for &(name, max, marked) in cases {
        let split = |line: &'static str| (line.starts_with('>'), line.get(2..).unwrap_or_default());
        let (expected, lines): (Vec<bool>, Vec<&str>) = marked.lines().skip(1).map(split).unzip();
        let excerpt = excerpt(&lines, max);
        let chosen: Vec<bool> = (0..lines.len()).map(|idx| excerpt.iter().any(|e| e.idx == idx)).collect();
        if chosen != expected {
            let differ = lines.iter().zip(chosen.iter().zip(&expected));
            let differ = differ.map(|(line, (is, want))| match (is, want) {
                (true, true) => format!("  > {line}\n"),
                (false, false) => format!("    {line}\n"),
                (true, false) => format!("+ > {line}\n"),
                (false, true) => format!("-   {line}\n"),
            });
            wrong.push_str(&format!("{name}:\n{}", differ.collect::<String>()));
        }
        // A gap is where unmarked text is between two marked lines.
        let mut previous: Option<usize> = None;
        for e in &excerpt {
            let is_gap = previous.is_some_and(|p| lines[p + 1..e.idx].iter().any(|l| !l.trim().is_empty()));
            assert_eq!((e.line, e.follows_gap), (lines[e.idx], is_gap), "{name}: {}", e.line);
            previous = Some(e.idx);
        }
    }
    assert!(wrong.is_empty(), "lines too many (+) or missing (-):\n{wrong}");
}

fn check_scores(expected: Score, lines: &[&str]) {
    let wrong: Vec<_> =
        lines.iter().map(|line| (score(line), line)).filter(|(score, _)| *score != expected).collect();
    assert!(wrong.is_empty(), "not {expected:?}: {wrong:#?}");
    for line in lines {
        assert_eq!(is_error_line(line.as_bytes()), expected == Score::Strong, "{line}");
    }
}

#[test]
fn score_strong() {
    check_scores(
        Score::Strong,
        &[
            "src/part31.c:12:5: error: 'undeclared_thing' undeclared (first use in this function)",
            "/build/my source/a.c:12:5: error: expected ';' before '}' token",
            "main.cpp:1:10: fatal error: foo.h: No such file or directory",
            "g++: fatal error: Killed signal terminated program cc1plus",
            "{standard input}:12: Error: no such instruction: `vpbroadcastd'",
            "foo.c:(.text+0x5): undefined reference to `bar'",
            "/nix/store/9wv-binutils-2.41/bin/ld: cannot find -lfoo: No such file or directory",
            "ld.lld: error: undefined symbol: png_create",
            "ld: b.o:(.bss+0x0): multiple definition of `x'; a.o:(.bss+0x0): first defined here",
            "error[E0425]: cannot find value `x` in this scope",
            "error: no matching package named `serde` found",
            "error: linking with `cc` failed: exit status: 1",
            "src/a.ts(3,5): error TS2304: Cannot find name 'x'.",
            "src/a.ts:3:5 - error TS2304: Cannot find name 'x'.",
            "Foo.cs(3,5): error CS0103: The name 'x' does not exist in the current context",
            "src/A.hs:3:1: error: [GHC-88464]",
            "/build/a.nim(3, 5) Error: undeclared identifier: 'x'",
            "e: file:///build/src/main/kotlin/App.kt:3:5 Unresolved reference: foo",
            "./main.go:10:2: undefined: x",
            "main.go:4:2: cannot find module providing package x: import lookup disabled by -mod=vendor",
            "go: updates to go.mod needed; to update it:",
            "configure: error: no acceptable C compiler found in $PATH",
            "checking whether build environment is sane... configure: error: newly created file is older",
            "meson.build:3:0: ERROR: Dependency \"x\" not found, tried pkgconfig and cmake",
            "make: *** No rule to make target 'x.c', needed by 'x.o'.  Stop.",
            "Makefile:3: *** missing separator.  Stop.",
            "make[1]: *** [Makefile:7: part31.o] Killed",
            "ninja: error: '../a.c', needed by 'a.o', missing and no known rule to make it",
            "ModuleNotFoundError: No module named 'setuptools'",
            "AssertionError",
            "  × ModuleNotFoundError: No module named 'x'",
            "java.lang.IllegalStateException: no state",
            "Uncaught TypeError: x is not a function",
            "Error [ERR_REQUIRE_ESM]: require() of ES Module /build/a.js not supported.",
            "E       assert 3 == 4",
            "FAILED tests/test_x.py::test_y - assert 1 == 2",
            "ERROR: Could not find a version that satisfies the requirement foo>=2 (from versions: none)",
            "  - foo<2,>=1 not satisfied by version 3.0",
            "  - bar not installed",
            "npm ERR! code ERESOLVE",
            "npm error code ENOTCACHED",
            " ERR_PNPM_NO_OFFLINE_TARBALL  A package is missing from the store",
            "error Couldn't find package \"left-pad\" on the \"npm\" registry.",
            "\u{2718} [ERROR] Could not resolve \"react\"",
            "[ERROR] /build/src/main/java/Foo.java:[3,9] cannot find symbol",
            "[error] src/x.scala:3:5: not found: value x",
            "thread 'tests::two' panicked at src/lib.rs:10:9:",
            "thread 'main' (1234) panicked at src/main.rs:2:5:",
            "--- FAIL: TestX (0.00s)",
            "panic: runtime error: index out of range [5] with length 3",
            "not ok 3 - parses dates",
            "[  FAILED  ] FooTest.Bar (0 ms)",
            "Can't locate Foo/Bar.pm in @INC (you may need to install the Foo::Bar module) at a.pl line 3.",
            "a.rb:3:in `f': undefined method `x' for nil (NoMethodError)",
            "patch: **** malformed patch at line 12: foo",
            "Hunk #1 FAILED at 3.",
            "1 out of 2 hunks FAILED -- saving rejects to file a.c.rej",
            "head: error writing 'standard output': No space left on device",
            "Killed",
            "/build/.attr: line 3:    42 Segmentation fault      (core dumped) ./gen",
            "a.out: a.c:12: main: Assertion `x == 1' failed.",
            "assertion failed: 1 == 2",
            "terminate called after throwing an instance of 'std::runtime_error'",
            "==12==ERROR: AddressSanitizer: heap-use-after-free on address 0x602",
            "bash: line 3: syntax error near unexpected token `fi'",
            "build.sh: line 4: out: unbound variable",
            "curl: (22) The requested URL returned error: 404",
            "fatal: unable to access 'https://example.org/x.git/': Could not resolve host: example.org",
            "substituteStream(): ERROR: pattern 'foo' doesn't match anything in file 'a.sh'",
            "ERROR: noBrokenSymlinks: the symlink /nix/store/x/lib/a.so points to a missing target",
            "error: auto-patchelf could not satisfy dependency libz.so.1 wanted by /nix/store/x/bin/a",
            "error: cannot download a.tar.gz from any mirror",
            "RPATH of binary /nix/store/x/bin/a contains a forbidden reference to /build/",
            "do not know how to unpack source archive /nix/store/x/a.foo",
            "! Undefined control sequence.",
            "! LaTeX Error: File `foo.sty' not found.",
            "In build.sh line 3:",
            "** (CompileError) lib/a.ex:3: undefined function x/0",
            "Error in library(foo) : there is no package called 'foo'",
            "AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:",
            "Setup: Encountered missing or unknown dependencies:",
            "PHP Fatal error:  Uncaught Error: Class \"X\" not found in /build/a.php:3",
        ],
    );
}

#[test]
fn score_weak() {
    check_scores(
        Score::Weak,
        &[
            "build.sh: line 12: foo: command not found",
            "cp: cannot stat 'x': No such file or directory",
            "install: cannot create regular file '/usr/bin/x': Permission denied",
            "fatal: not a git repository (or any of the parent directories): .git",
            "test tests::two ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s",
            "========================= 1 failed, 20 passed in 0.12s =========================",
            "upload failed: 403 Forbidden",
            "the server said error: try again",
            "2026-11-21 [ERROR] connection lost",
        ],
    );
}

#[test]
fn score_consequence() {
    check_scores(
        Score::Consequence,
        &[
            "make: *** [Makefile:7: part31.o] Error 1",
            "make[2]: *** [CMakeFiles/a.dir/build.make:76: CMakeFiles/a.dir/a.cpp.o] Error 1",
            "make: *** Waiting for unfinished jobs....",
            "ninja: build stopped: subcommand failed.",
            "collect2: error: ld returned 1 exit status",
            "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
            "error: linker command failed with exit code 1",
            "cc1: all warnings being treated as errors",
            "error: could not compile `demo` (bin \"demo\") due to 2 previous errors",
            "error: aborting due to 2 previous errors",
            "error: test failed, to rerun pass `--lib`",
            "-- Configuring incomplete, errors occurred!",
            "2 errors generated.",
            "1 error",
            "FAIL\tdemo/pkg/a\t0.012s",
            "FAIL",
            "npm ERR! code ELIFECYCLE",
            "error Command failed with exit code 1.",
            "tar: Exiting with failure status due to previous errors",
            "subprocess.CalledProcessError: Command '['make']' returned non-zero exit status 2.",
            "BEGIN failed--compilation aborted at a.pl line 3.",
            "error: 1 dependencies of derivation '/nix/store/x.drv' failed to build",
            "error: command '/nix/store/x/bin/gcc' failed with exit code 1",
        ],
    );
}

#[test]
fn score_none() {
    check_scores(
        Score::None,
        &[
            "",
            "gcc -Wall -Werror -O2 -c error.c -o error.o",
            "cc -c src/error_handling.c -o error_handling.o",
            "  CC      lib/liberror.o",
            "[ 12%] Building CXX object CMakeFiles/a.dir/error.cpp.o",
            "[12/345] Compiling C object liberror.a.p/fail_not_found.c.o",
            "[ 3 of 18] Compiling Demo.Error      ( src/Demo/Error.hs, Error.o )",
            "   Compiling thiserror v1.0.61",
            "0 errors",
            "0 warnings and 0 errors",
            "errors: 0",
            "Failures: 0, Errors: 0",
            "# FAIL:  0",
            "# ERROR: 0",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s",
            "100% tests passed, 0 tests failed out of 12",
            "no errors found",
            "checking for strerror... yes",
            "checking for library containing dlopen... not found",
            "checking for error_at_line... no",
            "-- Looking for strerror_r - not found",
            "-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)",
            "test error_case ... ok",
            "test parse::fails_on_error ... ok",
            "configure flags: --enable-error-reporting --prefix=/nix/store/x",
            "a.c:3:5: warning: ignoring return value; this error is fatal [-Wunused-result]",
            "a.c:3:5: note: candidate function not viable: no known conversion, not found",
            "warning: error: reading 'x' failed, going on",
            "expected error: division by zero",
            "PASS: test_failure",
            "XFAIL: test_known_failure",
            "ok 3 - fails on bad input",
            "    --- PASS: TestFail (0.00s)",
            "[ RUN      ] ErrorTest.FailsOnBadInput",
            "[       OK ] ErrorTest.FailsOnBadInput (0 ms)",
            "tests/test_a.py::test_fails PASSED                                       [ 10%]",
            "tests/test_a.py::test_known_error XFAIL                                  [ 20%]",
            " 3/12 Test #3: fails_on_error ...................   Passed    0.01 sec",
            "  \u{2713} throws an error: bad input",
            "not ok 4 - knows leap seconds # TODO not written",
            "go: downloading github.com/pkg/errors v0.9.1",
            "npm warn deprecated inflight@1.0.6: This module is not supported",
            "make: [Makefile:3: clean] Error 1 (ignored)",
            "configure: *** Building without error reporting ***",
            "go: no module dependencies to download",
            "2025-01-01 tests: 0 errors, 0 failures",
            "echo \"error: no\"",
            "Running phase: failPhase",
            "+ echo 'error: no'",
            "std::error::Error",
            "use error::Error;",
        ],
    );
}

#[test]
fn score_reads_the_start_of_a_long_line() {
    let filler = "x".repeat(1 << 20);
    assert_eq!(score(&format!("error: {filler}")), Score::Strong);
    assert_eq!(score(&format!("{filler} error: y")), Score::None);
}

#[test]
fn score_of_bytes_that_are_no_text() {
    assert_eq!(score_bytes(b"a.c:1:1: error: \xff\xfe"), Score::Strong);
    assert_eq!(score_bytes(b"\xff\xfeerror: x"), Score::Strong);
}

fn any_line() -> impl Strategy<Value = String> {
    // Parts of real forms, so that the blocks meet each other's edges.
    let parts = [
        "error: ",
        "error[E1]",
        "Error",
        ":",
        " ",
        "    ",
        "\t",
        "Traceback (most recent call last):",
        "  File \"a\", line 1",
        "FAILED: ",
        "npm ERR! ",
        "make: *** [x] Error 1",
        "' panicked at ",
        "E   ",
        "> ",
        "! ",
        "l.3",
        "^~~",
        "3 | x",
        "In a line 1:",
        "CMake Error",
        "patching file a",
        "Hunk #1 FAILED",
        "* What went wrong:",
        "panic: ",
        "goroutine 1",
        "not found",
        "0",
        "[1/2] ",
        "x",
        "é",
        "***Failed",
        "ninja: build stopped",
        "rror",
        "[",
        "]",
        ".go:",
        "1:2: ",
        "",
    ];
    prop::collection::vec(
        prop_oneof![4 => prop::sample::select(parts.to_vec()).prop_map(String::from), 1 => ".{0,3}"],
        0..5,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn excerpt_is_a_bounded_part_in_order(lines in prop::collection::vec(any_line(), 0..60), max in 0_usize..12) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let excerpt = excerpt(&lines, max);
        prop_assert!(excerpt.len() <= max);
        prop_assert!(excerpt.windows(2).all(|pair| pair[0].idx < pair[1].idx));
        prop_assert!(excerpt.iter().all(|e| lines.get(e.idx) == Some(&e.line)));
        prop_assert!(excerpt.iter().all(|e| !e.line.trim().is_empty()));
        let has_text = lines.iter().any(|line| !line.trim().is_empty());
        prop_assert_eq!(excerpt.is_empty(), max == 0 || !has_text);
    }

    #[test]
    fn score_of_any_bytes(line in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = score_bytes(&line);
    }
}
