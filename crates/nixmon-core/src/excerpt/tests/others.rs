use super::check;

#[test]
fn excerpt_of_stdenv() {
    check(&[
        (
            "patch",
            6,
            r#"
  Running phase: patchPhase
  applying patch /nix/store/x-a.patch
  patching file src/b.c
  Hunk #1 succeeded at 12 (offset 3 lines).
> patching file src/error.c
> Hunk #2 FAILED at 30.
> 1 out of 2 hunks FAILED -- saving rejects to file src/error.c.rej
"#,
        ),
        (
            "substitute",
            6,
            r#"
  Running phase: postPatch
> substituteStream() in derivation a-1.0: ERROR: pattern '/usr/bin' doesn't match anything in file 'a.sh'
"#,
        ),
        (
            "auto-patchelf",
            6,
            r#"
  Running phase: fixupPhase
  automatically fixing dependencies for ELF files
  searching for dependencies of /nix/store/x-a/bin/a
      libc.so.6 -> found: /nix/store/x-glibc/lib
      libz.so.1 -> not found!
  auto-patchelf: 1 dependencies could not be satisfied
> error: auto-patchelf could not satisfy dependency libz.so.1 wanted by /nix/store/x-a/bin/a
  auto-patchelf failed to find all the required dependencies.
  Add the missing dependencies to --libs or use `--ignore-missing="foo.so.1 bar.so etc.so"`.
"#,
        ),
        (
            "fetchurl",
            6,
            r#"
  trying https://example.org/a.tar.gz
    % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current
                                   Dload  Upload   Total   Spent    Left  Speed
    0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0
> curl: (22) The requested URL returned error: 404
> error: cannot download a.tar.gz from any mirror
"#,
        ),
        (
            "fetchgit",
            6,
            r#"
  exporting https://example.org/x.git (rev 1234) into /nix/store/x-source
  Initialized empty Git repository in /nix/store/x-source/.git/
> fatal: unable to access 'https://example.org/x.git/': Could not resolve host: example.org
"#,
        ),
        (
            "a builder inside a builder",
            6,
            r#"
> error: builder for '/nix/store/x-a.drv' failed with exit code 1;
>        last 2 log lines:
>        > building
>        > about to stop
>        For full logs, run 'nix log /nix/store/x-a.drv'.
"#,
        ),
        (
            "disk full",
            6,
            r#"
  building
> head: error writing 'standard output': No space left on device
  make: *** [Makefile:3: big] Error 1
"#,
        ),
        (
            "a NixOS test",
            4,
            r#"
  machine: must succeed: systemctl is-active foo
  machine # [    5.123] foo[123]: fatal: no config
  (finished: must succeed: systemctl is-active foo, in 0.04 seconds)
> Test "start" failed with error: "command `systemctl is-active foo` failed (exit code 3)"
  cleanup
  kill machine (pid 9)
"#,
        ),
        (
            "killed",
            6,
            r#"
  generating tables
> /build/build.sh: line 7:    42 Killed                  ./gen --all
"#,
        ),
    ]);
}

#[test]
fn excerpt_of_other_tools() {
    check(&[
        (
            "TeX: up to the line of the source",
            6,
            r#"
  This is pdfTeX, Version 3.141592653-2.6-1.40.26 (TeX Live 2024)
  (./a.tex
  LaTeX2e <2024-06-01>
> ! Undefined control sequence.
> l.12 \foo
            {bar}
  No pages of output.
  !  ==> Fatal error occurred, no output PDF file produced!
"#,
        ),
        (
            "shellcheck",
            6,
            r#"

> In build.sh line 3:
> echo $foo
>      ^--^ SC2086 (info): Double quote to prevent globbing and word splitting.

  For more information:
    https://www.shellcheck.net/wiki/SC2086 -- Double quote to prevent globbing
"#,
        ),
        (
            "perl",
            6,
            r#"
> Can't locate Foo/Bar.pm in @INC (you may need to install the Foo::Bar module) at Makefile.PL line 3.
  BEGIN failed--compilation aborted at Makefile.PL line 3.
"#,
        ),
        (
            "ruby",
            6,
            r#"
  rake build
> /build/source/lib/a.rb:3:in `f': undefined method `x' for nil (NoMethodError)
> 	from /build/source/lib/b.rb:9:in `g'
> 	from /build/source/bin/a:2:in `<main>'
"#,
        ),
        (
            "java",
            6,
            r#"
> Exception in thread "main" java.lang.IllegalStateException: no state
> 	at demo.Main.run(Main.java:9)
> 	at demo.Main.main(Main.java:3)
  	at java.base/jdk.internal.reflect.Method.invoke(Method.java:1)
> Caused by: java.io.IOException: closed
> 	at demo.Io.read(Io.java:7)
  	... 2 more
"#,
        ),
        (
            "C++ exception",
            6,
            r#"
  running generator
> terminate called after throwing an instance of 'std::runtime_error'
>   what():  no table
> /build/.attr-0: line 3:    42 Aborted                 (core dumped) ./gen
"#,
        ),
    ]);
}

#[test]
fn excerpt_without_known_errors() {
    check(&[
        (
            "the last lines, without what always ends a failed build",
            3,
            r#"
  Running phase: buildPhase
  step 1
  step 2
> step 3
> failing 1

> about to stop
  ninja: build stopped: subcommand failed.
  make: *** [Makefile:3: all] Error 1

  note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
  For full logs, run 'nix log /nix/store/x-a.drv'.
"#,
        ),
        (
            "phases between the last lines stay, so that nothing seems left out",
            4,
            r#"
  compiling
> linking
> Running phase: checkPhase
> PASS: test1
> PASS: test2
  Running phase: installPhase
"#,
        ),
        (
            "a shell's words, and what led there",
            4,
            r#"
  Running phase: installPhase
  a
> b
> ./install.sh: line 12: foo: command not found
> c
> cp: cannot stat 'x': No such file or directory
"#,
        ),
        (
            "the line on which the build ended, also if an error comes before",
            4,
            r#"
> ERROR: test server: connection refused
  tests passed
> cp: cannot stat 'x': No such file or directory
"#,
        ),
        (
            "repeated lines once",
            4,
            r#"
> start
  retry
  retry
  retry
> retry
> end
"#,
        ),
        (
            "nothing but noise",
            2,
            r#"
  Running phase: buildPhase
> make[1]: *** [Makefile:3: all] Error 1
> make: *** [Makefile:3: all] Error 2

"#,
        ),
        (
            "repeated errors once",
            6,
            r#"
> a.h:1:1: error: bad
    CC      b.o
  a.h:1:1: error: bad
    CC      c.o
> b.h:1:1: error: bad
"#,
        ),
        ("nothing", 4, ""),
        ("no room", 0, "\n  error: x\n"),
        ("room for one", 1, "\n  a\n> error: x\n      y\n  error: z\n"),
    ]);
}
