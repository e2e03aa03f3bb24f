//! Single lines with places, and lines without.

use super::*;

#[test]
fn places() {
    type Found = (Reporter, &'static str, Option<u32>, Option<u32>);
    let cases: [(&str, Option<Found>); 26] = [
        ("a.c:2:21: error: ‘x’ undeclared", Some((Reporter::Gcc, "a.c", Some(2), Some(21)))),
        ("/a b/c.cc:7: error: x", Some((Reporter::Gcc, "/a b/c.cc", Some(7), None))),
        (
            "d.c:1:10: fatal error: nothere.h: No such file or directory",
            Some((Reporter::Gcc, "d.c", Some(1), Some(10))),
        ),
        ("A.java:1: error: cannot find symbol", Some((Reporter::Javac, "A.java", Some(1), None))),
        (
            "[ERROR] /b/A.java:[3,7] cannot find symbol",
            Some((Reporter::Javac, "/b/A.java", Some(3), Some(7))),
        ),
        ("src/t.ts(1,7): error TS2322: Type", Some((Reporter::Tsc, "src/t.ts", Some(1), Some(7)))),
        ("p1/a.go:2:11: undefined: x", Some((Reporter::Go, "p1/a.go", Some(2), Some(11)))),
        ("vet: p/a.go:2:1: expected", Some((Reporter::Go, "p/a.go", Some(2), Some(1)))),
        ("/usr/bin/ld: /tmp/b.o: in function `main':", None),
        ("b.c:(.text+0x5): undefined reference to `missing'", Some((Reporter::Ld, "b.c", None, None))),
        ("/usr/bin/ld: b.c:7: undefined reference to `missing'", Some((Reporter::Ld, "b.c", Some(7), None))),
        ("/usr/bin/ld: cannot find -lfoo: No such file or directory", Some((Reporter::Ld, "", None, None))),
        ("ld.lld: error: undefined symbol: missing", Some((Reporter::Ld, "", None, None))),
        (
            "configure: error: C compiler cannot create executables",
            Some((Reporter::Autotools, "", None, None)),
        ),
        (
            "../x/configure: error: no acceptable C compiler found",
            Some((Reporter::Autotools, "", None, None)),
        ),
        (
            "../meson.build:3:0: ERROR: Dependency \"foo\" not found",
            Some((Reporter::Meson, "../meson.build", Some(3), Some(0))),
        ),
        ("12:00:01: ERROR: the server is late", None),
        ("a.c:2:21: warning: unused", None),
        ("    a_test.go:4: no", None),
        ("an error: in a sentence", None),
        ("Test 7: error: not a place", None),
        ("error: builder failed", None),
        ("10:00:01: error: a clock has a place's form", Some((Reporter::Gcc, "10", Some(0), Some(1)))),
        ("", None),
        (": error: ", None),
        ("cannot find -lfoo", None),
    ];
    for (line, expected) in cases {
        let said = place(line).map(|error| {
            let place = error.place.unwrap_or(Place { file: String::new(), line: None, column: None });
            (error.reporter, place.file, place.line, place.column)
        });
        let said =
            said.as_ref().map(|(reporter, file, line, column)| (*reporter, file.as_str(), *line, *column));
        assert_eq!(said, expected, "{line}");
    }
}

#[test]
fn targets_and_commands() {
    let lines = [
        "[1/2] Building C object CMakeFiles/x.dir/a.c.o",
        "FAILED: CMakeFiles/x.dir/a.c.o ",
        "/usr/bin/cc -c /src/a.c",
        "/src/a.c:1:1: error: unknown type name 'x'",
        "[2/2] Building C object CMakeFiles/x.dir/b.c.o",
        "/src/b.c:1:1: error: of another step",
        "ninja: build stopped: subcommand failed.",
    ];
    let causes = causes(lines, 10);
    assert_eq!(causes[0].target.as_deref(), Some("CMakeFiles/x.dir/a.c.o"));
    assert_eq!(causes[0].command.as_deref(), Some("/usr/bin/cc -c /src/a.c"));
    assert_eq!(causes[1].target, None);
}
