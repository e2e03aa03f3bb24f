//! Formats of build tools that the recordings lack: one case a format, each of a few lines.

use std::time::Duration;

use nixmon_progress::{Build, Hints, causes};

/// Returns each tool with its counts: `make 2/?`.
fn counts(lines: &[&str]) -> String {
    let mut build = Build::new(Hints::default());
    for (at, line) in (1..).zip(lines) {
        build.line(line, Duration::from_millis(at * 300));
    }
    build.end(true, Duration::from_secs(60));
    let mut texts: Vec<String> = build
        .units(Duration::from_secs(60))
        .iter()
        .map(|unit| {
            let total = unit.total.map_or_else(|| "?".to_owned(), |total| total.to_string());
            format!("{} {}/{total}", unit.tool.name(), unit.done)
        })
        .collect();
    texts.sort();
    texts.join(", ")
}

#[test]
fn commands_of_make() {
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "kbuild",
            &["  CC      init/main.o", "  CC [M]  fs/ext4/inode.o", "  LD [M]  fs/ext4/ext4.ko"],
            "make 3/?",
        ),
        (
            "kbuild, others",
            &["  HOSTLD  scripts/kconfig/conf", "  RUSTC L rust/core.o", "  AR      init/built-in.a"],
            "make 3/?",
        ),
        ("automake", &["  CC       src/libx_la-a.lo", "  CXX      b.o", "  CCLD     libx.la"], "make 3/?"),
        ("ffmpeg", &["CC\tlibavutil/a.o", "CXX\tlibavutil/b.o", "AR\tlibavutil/libavutil.a"], "make 3/?"),
        ("git", &["    CC abspath.o", "    AR libgit.a", "    LINK git"], "make 3/?"),
        (
            "before the command",
            &["sleep 1; cc -c a.c -o a.o", "cd src && gcc -c b.c", "CFLAGS=-O2 gcc -c c.c"],
            "make 3/?",
        ),
        (
            "cross",
            &["riscv64-linux-gnu-gcc -c a.c", "arm-none-eabi-gcc -c b.c", "i686-w64-mingw32-g++ -c c.cc"],
            "make 3/?",
        ),
        (
            "versions",
            &["gcc-12 -c a.c", "g++-13 -c b.cc", "clang-17 -c c.c", "clang++-17 -c d.cc"],
            "make 4/?",
        ),
        (
            "others",
            &["ccache gcc -c a.c", "gfortran -c b.f90", "emcc -c c.c", "nvcc -c d.cu", "musl-gcc -c e.c"],
            "make 5/?",
        ),
        (
            "libtool",
            &[
                "./libtool --mode=compile gcc -c a.c",
                "libtool --mode=compile cc -c b.c",
                "sh ./libtool --mode=link gcc -o libx.la a.lo",
            ],
            "make 3/?",
        ),
        (
            "depcomp",
            &[
                "source='a.c' object='a.o' libtool=no \\",
                "DEPDIR=.deps depmode=gcc3 /bin/bash ./depcomp \\",
                "gcc -c -o a.o a.c",
            ],
            "make 1/?",
        ),
        ("trace", &["Makefile:2: update target 'a.o' due to: a.c", "cc    -c -o a.o a.c"], "make 1/?"),
        ("echo", &["echo \"  CC a.o\"", "  CC a.o", "echo cc -c b.c"], "make 1/?"),
    ];
    check(cases);
}

#[test]
fn others() {
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "gn",
            &["[1/4] CXX obj/a/a.o", "[2/4] CXX obj/a/b.o", "[3/4] AR obj/a/liba.a", "[4/4] LINK ./a"],
            "ninja 4/4",
        ),
        (
            "soong",
            &[
                "[  0% 1/400] target C++: liba <= a.cpp",
                "[  0% 2/400] target C++: liba <= b.cpp",
                "[  1% 3/400] target C: libb <= c.c",
            ],
            "ninja 400/400",
        ),
        (
            "yarn",
            &[
                "yarn install v1.22.22",
                "[1/4] Resolving packages...",
                "[2/4] Fetching packages...",
                "[3/4] Linking dependencies...",
                "[4/4] Building fresh packages...",
            ],
            "",
        ),
        (
            "yarn, decorated",
            &[
                "[1/4] 🔍  Resolving packages...",
                "[2/4] 🚚  Fetching packages...",
                "[3/4] 🔗  Linking dependencies...",
                "[4/4] 🔨  Building fresh packages...",
            ],
            "",
        ),
        (
            "ghc 9.4",
            &[
                "[1 of 3] Compiling A                ( A.hs, A.o )",
                "[2 of 3] Compiling B[boot]          ( B.hs-boot, B.o-boot )",
                "[3 of 3] Linking demo",
            ],
            "ghc 3/3",
        ),
        (
            "go vendored",
            &["Building subPackage ./cmd/x", "github.com/a/b", "net/http", "github.com/a/b/v2"],
            "go 3/?",
        ),
        (
            "go test",
            &[
                "ok  \tx/a\t0.004s",
                "ok  \tx/b\t0.004s\tcoverage: 80.0% of statements",
                "ok  \tx/c\t(cached)",
                "--- FAIL: TestD (0.00s)",
                "FAIL\tx/d\t0.003s",
            ],
            "go-test 1/?",
        ),
        (
            "cargo",
            &[
                "   Compiling libc v0.2.150",
                "   Compiling a v0.1.0 (/build/a)",
                "    Finished `release` profile [optimized] target(s) in 3.4s",
            ],
            "cargo 2/?",
        ),
        (
            "cargo, git",
            &[
                "   Compiling a v0.1.0 (https://github.com/x/a?branch=main#12345678)",
                "    Finished release [optimized] target(s) in 1m 02s",
            ],
            "cargo 1/?",
        ),
        (
            "prove",
            &[
                "t/a.t ..... ok",
                "t/b.t ..... skipped: no network",
                "t/c.t ..... ",
                "Failed 1/2 subtests ",
                "All tests successful.",
            ],
            "prove 2/?",
        ),
        (
            "meson test",
            &[
                "ninja: Entering directory `/b/build'",
                " 1/3 a        OK              0.02s",
                " 2/3 b:c / d  SKIP            0.01s",
                " 3/3 e        FAIL            0.03s   exit status 1",
            ],
            "meson-test 3/3",
        ),
        (
            "ctest",
            &[
                "Test project /b",
                "      Start  1: a",
                " 1/3 Test  #1: a ................   Passed    0.01 sec",
                " 2/3 Test  #2: b ................***Failed    0.01 sec",
                " 3/3 Test  #3: c ................***Skipped   0.00 sec",
            ],
            "ctest 3/3",
        ),
        (
            "nextest",
            &[
                "    Starting 3 tests across 2 binaries",
                "        PASS [   0.005s] (1/3) a a::b",
                "        PASS [   0.005s] (2/3) a a::c",
                "        FAIL [   0.005s] (3/3) a a::d",
            ],
            "nextest 3/3",
        ),
        (
            "pytest, xdist",
            &[
                "============================= test session starts ==============================",
                "4 workers [4 items]",
                "[gw0] [ 25%] PASSED t.py::a ",
                "[gw1] [ 50%] PASSED t.py::b ",
            ],
            "pytest 2/4",
        ),
        (
            "maven, reactor",
            &[
                "[INFO] Scanning for projects...",
                "[INFO] Building core 1.0                                            [1/2]",
                "[INFO] Building app 1.0                                             [2/2]",
                "[INFO] BUILD SUCCESS",
            ],
            "maven 2/2",
        ),
        (
            "gradle",
            &[
                "> Task :app:compileJava UP-TO-DATE",
                "> Task :app:jar",
                "BUILD SUCCESSFUL in 3s",
                "2 actionable tasks: 1 executed, 1 up-to-date",
            ],
            "gradle 2/?",
        ),
        (
            "bazel",
            &[
                "INFO: Analyzed target //a:b (10 packages loaded, 20 targets configured).",
                "[5 / 10] Compiling a.cc; 1s linux-sandbox",
                "[10 / 10] no actions running",
                "INFO: Build completed successfully, 10 total actions",
            ],
            "bazel 10/10",
        ),
        (
            "cmake -j, interleaved",
            &[
                "[ 33%] Building CXX object a/CMakeFiles/a.dir/a.cpp.o",
                "[ 66%] Building C object b/CMakeFiles/b.dir/b.c.o",
                "[100%] Linking CXX executable a",
                "[100%] Built target a",
            ],
            "cmake 3/?",
        ),
    ];
    check(cases);
}

fn check(cases: &[(&str, &[&str], &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, lines, expected)| {
            let said = counts(lines);
            (said != *expected).then(|| format!("{name}: {said:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn places_of_errors() {
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "gcc, template",
            &[
                "In file included from /usr/include/c++/12/map:60,",
                "                 from a.cc:1:",
                "/usr/include/c++/12/bits/stl_tree.h: In instantiation of 'x':",
                "a.cc:7:3:   required from here",
                "/usr/include/c++/12/bits/stl_tree.h:770:15: error: static assertion failed",
            ],
            "Gcc /usr/include/c++/12/bits/stl_tree.h:770:15",
        ),
        ("gcc, internal", &["a.c:3:1: internal compiler error: Segmentation fault"], "Gcc a.c:3:1"),
        (
            "gcc, Werror",
            &[
                "a.c:3:5: error: unused variable 'x' [-Werror=unused-variable]",
                "cc1: all warnings being treated as errors",
            ],
            "Gcc a.c:3:5",
        ),
        (
            "assembler",
            &["a.s: Assembler messages:", "a.s:3: Error: no such instruction: `foo'"],
            "Gcc a.s:3:-",
        ),
        ("clang, driver", &["clang: error: no such file or directory: 'a.c'"], "Gcc -"),
        (
            "gcc, driver",
            &["gcc: error: a.c: No such file or directory", "gcc: fatal error: no input files"],
            "Gcc -; Gcc -",
        ),
        ("cc1", &["cc1plus: error: unrecognized command-line option '-Wfoo' [-Werror]"], "Gcc -"),
        (
            "gfortran",
            &[
                "a.f90:3:8:",
                "",
                "    3 |   call x(",
                "      |        1",
                "Error: Syntax error in CALL statement at (1)",
            ],
            "Gcc a.f90:3:8",
        ),
        (
            "ld, in function",
            &[
                "/usr/bin/ld: /tmp/ccx.o: in function `main':",
                "b.c:(.text+0x5): undefined reference to `missing'",
                "collect2: error: ld returned 1 exit status",
            ],
            "Ld b.c:-:-",
        ),
        ("ld, file", &["/usr/bin/ld: cannot open output file a: Permission denied"], "Ld -"),
        (
            "lld, place",
            &[
                "ld.lld: error: undefined symbol: missing",
                ">>> referenced by b.c:7 (/src/b.c:7)",
                ">>>               b.o:(main)",
            ],
            "Ld /src/b.c:7:-",
        ),
        (
            "macos ld",
            &[
                "Undefined symbols for architecture arm64:",
                "  \"_missing\", referenced from:",
                "      _main in b.o",
                "ld: symbol(s) not found for architecture arm64",
            ],
            "Ld -",
        ),
        (
            "rustc, code",
            &["error[E0308]: mismatched types", "  --> src/lib.rs:3:18", "   |"],
            "Rustc src/lib.rs:3:18",
        ),
        ("rustc, short", &["src/lib.rs:3:18: error[E0308]: mismatched types"], "Rustc src/lib.rs:3:18"),
        (
            "rustc, linking",
            &[
                "error: linking with `cc` failed: exit status: 1",
                "  |",
                "  = note: cc -m64",
                "  = note: /usr/bin/ld: cannot find -lfoo: No such file or directory",
            ],
            "Rustc -; Ld -",
        ),
        ("ghc 9.8", &["A.hs:3:5: error: [GHC-88464]", "    Variable not in scope: x"], "Ghc A.hs:3:5"),
        (
            "ghc, range",
            &["A.hs:(3,5)-(4,9): error: [GHC-83865]", "    • Couldn't match expected type"],
            "Ghc A.hs:3:5",
        ),
        (
            "go, build",
            &["# x/p", "p/a.go:3:5: undefined: y", "p/a.go:4:1: too many errors"],
            "Go p/a.go:3:5; Go p/a.go:4:1",
        ),
        (
            "go, import",
            &["a.go:4:2: no required module provides package x; to add it:", "\tgo get x"],
            "Go a.go:4:2",
        ),
        (
            "javac",
            &["src/A.java:3: error: ';' expected", "        int x", "             ^", "1 error"],
            "Javac src/A.java:3:-",
        ),
        (
            "tsc, pretty",
            &["src/t.ts:1:7 - error TS2322: Type 'string' is not assignable to type 'number'."],
            "Tsc src/t.ts:1:7",
        ),
        (
            "python, nested",
            &[
                "Traceback (most recent call last):",
                "  File \"a.py\", line 3, in <module>",
                "    import b",
                "  File \"b.py\", line 1, in <module>",
                "    1/0",
                "    ~^~",
                "ZeroDivisionError: division by zero",
            ],
            "Python b.py:1:-",
        ),
        (
            "python, chained",
            &[
                "Traceback (most recent call last):",
                "  File \"a.py\", line 3, in f",
                "KeyError: 'x'",
                "",
                "During handling of the above exception, another exception occurred:",
                "",
                "Traceback (most recent call last):",
                "  File \"a.py\", line 5, in <module>",
                "ValueError: bad",
            ],
            "Python a.py:3:-; Python a.py:5:-",
        ),
        (
            "sums",
            &[
                "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
                "collect2: error: ld returned 1 exit status",
                "12:00:01: Error: the server is late",
            ],
            "",
        ),
        (
            "spoof",
            &[
                "error in the weather",
                "10: error",
                "note: error: maybe",
                "see a.c:3:5 for an error: it is there",
            ],
            "",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, lines, expected) in cases {
        let number = |n: Option<u32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let texts: Vec<String> = causes::causes(lines.iter().copied(), 10)
            .into_iter()
            .map(|cause| {
                let place = cause.place.map_or_else(
                    || "-".to_owned(),
                    |p| format!("{}:{}:{}", p.file, number(p.line), number(p.column)),
                );
                format!("{:?} {place}", cause.reporter)
            })
            .collect();
        let said = texts.join("; ");
        if said != *expected {
            wrong.push(format!("{name}: {said:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
