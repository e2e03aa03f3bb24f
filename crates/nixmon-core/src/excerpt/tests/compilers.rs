use super::check;

#[test]
fn excerpt_of_c() {
    check(&[
        (
            "gcc, parallel make: the error, its snippet, then nothing of the other jobs",
            8,
            r#"
  Running phase: buildPhase
  build flags: SHELL=/nix/store/4fv-bash-5.2/bin/bash
  make -j8
  gcc -Wall -Werror -O2 -c src/error.c -o error.o
  gcc -Wall -Werror -O2 -c src/part30.c -o part30.o
  gcc -Wall -Werror -O2 -c src/part31.c -o part31.o
  src/part30.c: In function 'run':
  src/part30.c:4:9: warning: unused variable 'error' [-Wunused-variable]
      4 |     int error;
        |         ^~~~~
  src/part31.c: In function 'main':
> src/part31.c:12:5: error: 'undeclared_thing' undeclared (first use in this function)
>    12 |     undeclared_thing = 1;
>       |     ^~~~~~~~~~~~~~~~
  src/part31.c:12:5: note: each undeclared identifier is reported only once for each function it appears in
  make: *** [Makefile:7: part31.o] Error 1
  make: *** Waiting for unfinished jobs....
  gcc -Wall -Werror -O2 -c src/part32.c -o part32.o
  gcc -Wall -Werror -O2 -c src/part33.c -o part33.o
  gcc -Wall -Werror -O2 -c src/part34.c -o part34.o
  src/part34.c:4:9: warning: unused variable 'x' [-Wunused-variable]
      4 |     int x;
        |         ^
  gcc -Wall -Werror -O2 -c src/part35.c -o part35.o
  For full logs, run:
    nix log /nix/store/x.drv
"#,
        ),
        (
            "gcc: later errors get their first line before the rest",
            6,
            r#"
    CC      src/a.o
> src/a.c:3:5: error: unknown type name 'foo'
>     3 |     foo x;
>       |     ^~~
    CC      src/b.o
> src/a.c:9:1: error: expected identifier or '(' before '}' token
>     9 | }
        | ^
    CC      src/c.o
> src/c.c:1:10: fatal error: zlib.h: No such file or directory
      1 | #include <zlib.h>
        |          ^~~~~~~~
  compilation terminated.
  make[1]: *** [Makefile:7: src/c.o] Error 1
  make: *** [Makefile:2: all] Error 2
"#,
        ),
        (
            "clang: snippet without gutter",
            8,
            r#"
  clang++ -c a.cpp
  In file included from a.cpp:1:
> ./a.h:3:12: error: no template named 'vector' in namespace 'std'
> std::vector<int> f();
> ~~~~~^
  1 error generated.
  make: *** [Makefile:2: a.o] Error 1
"#,
        ),
        (
            "g++: the place that asked for the template",
            8,
            r#"
  FAILED: [code=1] a.o
  /nix/store/x/bin/g++ -o a.o -c ../a.cpp
  In file included from /nix/store/x/include/c++/13/map:60,
                   from ../a.cpp:1:
  /nix/store/x/include/c++/13/bits/stl_map.h:511:32:   required from 'T& std::map<K, T>::operator[](K&&)'
> ../a.cpp:5:20:   required from here
> /nix/store/x/include/c++/13/bits/stl_function.h:408:20: error: no match for 'operator<'
>   408 |       { return __x < __y; }
>       |                ~~~~^~~~~
  [4/9] Building CXX object b.o
  ninja: build stopped: subcommand failed.
"#,
        ),
        (
            "the linker: the symbols, not collect2",
            8,
            r#"
  gcc -o demo main.o util.o
  /nix/store/9wv-binutils-2.41/bin/ld: main.o: in function `main':
> main.c:(.text+0x5): undefined reference to `util_init'
> main.c:(.text+0x12): undefined reference to `util_run'
  collect2: error: ld returned 1 exit status
  make: *** [Makefile:5: demo] Error 1
"#,
        ),
        (
            "ld: library",
            8,
            r#"
    CCLD     demo
> /nix/store/9wv-binutils-2.41/bin/ld: cannot find -lfoo: No such file or directory
  collect2: error: ld returned 1 exit status
  make[2]: *** [Makefile:512: demo] Error 1
  make[2]: Leaving directory '/build/demo-1.0/src'
  make[1]: *** [Makefile:400: all-recursive] Error 1
  make[1]: Leaving directory '/build/demo-1.0'
  make: *** [Makefile:330: all] Error 2
"#,
        ),
        (
            "lld: references",
            8,
            r#"
  [40/41] Linking CXX executable demo
> ld.lld: error: undefined symbol: png_create_read_struct
> >>> referenced by image.cpp:40
> >>>               CMakeFiles/demo.dir/image.cpp.o:(load())
  clang++: error: linker command failed with exit code 1 (use -v to see invocation)
  ninja: build stopped: subcommand failed.
"#,
        ),
    ]);
}

#[test]
fn excerpt_of_configuration() {
    check(&[
        (
            "cmake: the block without its blank lines",
            8,
            r#"
  -- The CXX compiler identification is GNU 13.2.0
  -- Performing Test HAVE_ERROR_H - Failed
  -- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)
  -- Looking for strerror_r - not found
> CMake Error at CMakeLists.txt:3 (find_package):
>   By not providing "FindFoo.cmake" in CMAKE_MODULE_PATH this project has
>   asked CMake to find a package configuration file provided by "Foo", but
>   CMake did not find one.

>   Could not find a package configuration file provided by "Foo" with any of
>   the following names:

>     FooConfig.cmake
>     foo-config.cmake

    Add the installation prefix of "Foo" to CMAKE_PREFIX_PATH or set "Foo_DIR"
    to a directory containing one of the above files.


  -- Configuring incomplete, errors occurred!
  See also "/build/source/build/CMakeFiles/CMakeOutput.log".
"#,
        ),
        (
            "cmake: call stack",
            8,
            r#"
  -- Found Threads: TRUE
> CMake Error at /nix/store/x-cmake-3.29/share/cmake-3.29/Modules/FindPackageHandleStandardArgs.cmake:230 (message):
>   Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)
> Call Stack (most recent call first):
>   /nix/store/x-cmake-3.29/share/cmake-3.29/Modules/FindZLIB.cmake:199 (FIND_PACKAGE_HANDLE_STANDARD_ARGS)
>   CMakeLists.txt:12 (find_package)


  -- Configuring incomplete, errors occurred!
"#,
        ),
        (
            "meson",
            8,
            r#"
  The Meson build system
  Version: 1.5.0
  Compiler for C supports arguments -Werror=implicit: YES
  Found pkg-config: YES (/nix/store/x/bin/pkg-config) 0.29.2
  Run-time dependency glib-2.0 found: NO (tried pkgconfig and cmake)

> ../meson.build:3:0: ERROR: Dependency "glib-2.0" not found, tried pkgconfig and cmake

  A full log can be found at /build/source/build/meson-logs/meson-log.txt
"#,
        ),
        (
            "autoconf: pkg-config's reason is a paragraph further",
            8,
            r#"
  checking for strerror... yes
  checking for library containing error_at_line... not found
  checking for pkg-config... /nix/store/x/bin/pkg-config
  ./configure: line 2412: file: command not found
  checking for FOO... no
> configure: error: Package requirements (foo >= 1.2) were not met:

> No package 'foo' found

  Consider adjusting the PKG_CONFIG_PATH environment variable if you
  installed software in a non-standard prefix.
"#,
        ),
        (
            "make: no rule",
            8,
            r#"
  make: Entering directory '/build/source'
    CC      a.o
> make: *** No rule to make target 'b.c', needed by 'b.o'.  Stop.
  make: *** Waiting for unfinished jobs....
  make: Leaving directory '/build/source'
"#,
        ),
        (
            "make: the last words of a tool of unknown form, then other jobs",
            6,
            r#"
  protoc --cpp_out=. a.proto
> /bin/sh: line 1: protoc: command not found
  make: *** [Makefile:9: a.pb.cc] Error 127
  make: *** Waiting for unfinished jobs....
    CC      b.o
    CC      c.o
"#,
        ),
        (
            "make: no words of failure at all",
            3,
            r#"
  gen --all
> reading b.q
> b.q:3 mismatched braces
> giving up
  make: *** [Makefile:9: b.c] Error 3
  make: *** Waiting for unfinished jobs....
    CC      b.o
    CC      c.o
"#,
        ),
        (
            "ninja: a known error stands for itself",
            8,
            r#"
  [1/42] Compiling C object src/libdemo.so.p/error.c.o
  [2/42] Compiling C object src/libdemo.so.p/f2.c.o
  FAILED: src/libdemo.so.p/f2.c.o
  gcc -Isrc/libdemo.so.p -Isrc -I../src -Wall -Werror -MD -o src/libdemo.so.p/f2.c.o -c ../src/f2.c
  ../src/f2.c: In function 'f2':
> ../src/f2.c:2:10: error: 'x' undeclared (first use in this function)
>     2 |   return x;
>       |          ^
  [3/42] Compiling C object src/libdemo.so.p/f3.c.o
  ninja: build stopped: subcommand failed.
"#,
        ),
        (
            "ninja: unknown words after the command",
            8,
            r#"
  [7/42] Generating docs/index.html with a custom command
> FAILED: docs/index.html
  /nix/store/x-python3/bin/python3 ../docs/gen.py --out docs/index.html
> gen.py: chapter 3 refers to chapter 9
> gen.py: 1 chapter is wrong
  [8/42] Compiling C object src/libdemo.so.p/f3.c.o
  ninja: build stopped: subcommand failed.
"#,
        ),
    ]);
}

#[test]
fn excerpt_of_rust() {
    check(&[
        (
            "rustc: header, place, snippet; cargo's end is left out",
            8,
            r#"
  Executing cargoBuildHook
     Compiling proc-macro2 v1.0.86
     Compiling thiserror v1.0.61
  warning: unused import: `std::error::Error`
   --> src/lib.rs:1:5
    |
  1 | use std::error::Error;
    |     ^^^^^^^^^^^^^^^^^

     Compiling demo v0.1.0 (/build/source)
> error[E0425]: cannot find value `x` in this scope
>  --> src/main.rs:3:5
>   |
> 3 |     x
>   |     ^ not found in this scope

> error[E0308]: mismatched types
>   --> src/main.rs:12:9
>    |
  12 |         "a"
     |         ^^^ expected `u32`, found `&str`

  Some errors have detailed explanations: E0308, E0425.
  For more information about an error, try `rustc --explain E0308`.
  warning: `demo` (bin "demo") generated 1 warning
  error: could not compile `demo` (bin "demo") due to 2 previous errors
  warning: build failed, waiting for other jobs to finish...
"#,
        ),
        (
            "rustc: the linker's message is in a note",
            6,
            r#"
     Compiling demo v0.1.0 (/build/source)
> error: linking with `cc` failed: exit status: 1
>   |
>   = note:  "cc" "-m64" "/build/rustc/symbols.o" "-lfoo"
>   = note: /nix/store/x/bin/ld: cannot find -lfoo: No such file or directory
            collect2: error: ld returned 1 exit status


  error: could not compile `demo` (bin "demo") due to 1 previous error
"#,
        ),
        (
            "cargo: build script",
            8,
            r#"
     Compiling openssl-sys v0.9.93
> error: failed to run custom build command for `openssl-sys v0.9.93`

> Caused by:
>   process didn't exit successfully: `/build/source/target/release/build/openssl-sys/build-script-build` (exit status: 101)
    --- stdout
    cargo:rerun-if-env-changed=OPENSSL_LIB_DIR
    OPENSSL_LIB_DIR unset

    --- stderr
>   thread 'main' panicked at /build/vendor/openssl-sys/build/find_normal.rs:190:5:


>   Could not find directory of OpenSSL installation, and this `-sys` crate cannot
>   proceed without this knowledge.

  warning: build failed, waiting for other jobs to finish...
"#,
        ),
        (
            "cargo: offline",
            8,
            r#"
  Executing cargoBuildHook
> error: no matching package named `serde` found
> location searched: registry `crates-io`
> required by package `demo v0.1.0 (/build/source)`
> As a reminder, you're using offline mode (--offline) which can sometimes cause surprising resolution failures
"#,
        ),
        (
            "tests: the panic, then the count",
            8,
            r#"
  running 4 tests
  test tests::error_case ... ok
  test tests::one ... ok
  test tests::two ... FAILED
  test tests::fails_on_zero ... ok

  failures:

  ---- tests::two stdout ----

> thread 'tests::two' panicked at src/lib.rs:10:9:
> assertion `left == right` failed
>   left: 1
>  right: 2
  note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


  failures:
      tests::two

> test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s

  error: test failed, to rerun pass `--lib`
"#,
        ),
    ]);
}

#[test]
fn excerpt_of_other_compilers() {
    check(&[
        (
            "go",
            8,
            r#"
  Building subPackage ./cmd/demo
  go: downloading github.com/pkg/errors v0.9.1
  internal/errors
  # demo/cmd/demo
> ./main.go:10:2: undefined: x
> ./main.go:12:15: cannot use "a" (untyped string constant) as int value in argument to f
  internal/cpu
"#,
        ),
        (
            "go: vendoring",
            8,
            r#"
  Building subPackage .
> go: inconsistent vendoring in /build/source:
> 	github.com/pkg/errors@v0.9.1: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt

  	To ignore the vendor directory, use -mod=readonly or -mod=mod.
"#,
        ),
        (
            "ghc",
            8,
            r#"
  [ 1 of 18] Compiling Demo.Error       ( src/Demo/Error.hs, dist/build/Demo/Error.o )
  [ 2 of 18] Compiling Demo.Mod2        ( src/Demo/Mod2.hs, dist/build/Demo/Mod2.o )

> src/Demo/Mod2.hs:3:7: error: [GHC-88464]
>     Variable not in scope: foo :: Int
>   |
> 3 | bar = foo
>   |       ^^^
  [ 3 of 18] Compiling Demo.Mod3        ( src/Demo/Mod3.hs, dist/build/Demo/Mod3.o )
"#,
        ),
        (
            "cabal's solver",
            6,
            r#"
  Resolving dependencies...
> Error: [Cabal-7107]
> Could not resolve dependencies:
> [__0] trying: demo-0.1 (user goal)
> [__1] next goal: aeson (dependency of demo)
> [__1] rejecting: aeson-2.1 (conflict: demo => aeson>=2.2)
> [__1] fail (backjumping, conflict set: aeson, demo)
  After searching the rest of the dependency tree exhaustively, these were the goals I've had most trouble fulfilling
"#,
        ),
        (
            "Haskell's Setup",
            8,
            r#"
  Configuring demo-1.0...
> Setup: Encountered missing or unknown dependencies:
> aeson >=2.2 && <2.3,
> text >=2.1

  Running phase: haddockPhase
"#,
        ),
        (
            "javac under gradle",
            8,
            r#"
  > Task :processResources NO-SOURCE
  > Task :compileJava FAILED
> /build/source/src/main/java/Foo.java:3: error: cannot find symbol
>         bar();
>         ^
>   symbol:   method bar()
>   location: class Foo
  1 error

  FAILURE: Build failed with an exception.

> * What went wrong:
> Execution failed for task ':compileJava'.
> > Compilation failed; see the compiler error output for details.

  * Try:
  > Run with --stacktrace option to get the stack trace.

  BUILD FAILED in 4s
"#,
        ),
        (
            "maven: each message once, without the advice",
            8,
            r#"
  [INFO] Compiling 12 source files with javac [debug release 17] to target/classes
  [INFO] -------------------------------------------------------------
  [ERROR] COMPILATION ERROR :
  [INFO] -------------------------------------------------------------
> [ERROR] /build/src/main/java/Foo.java:[3,9] cannot find symbol
>   symbol:   method bar()
>   location: class Foo
  [INFO] 1 error
  [INFO] BUILD FAILURE
> [ERROR] Failed to execute goal org.apache.maven.plugins:maven-compiler-plugin:3.11.0:compile: Compilation failure
  [ERROR] /build/src/main/java/Foo.java:[3,9] cannot find symbol
    symbol:   method bar()
    location: class Foo
  [ERROR] -> [Help 1]
  [ERROR]
  [ERROR] To see the full stack trace of the errors, re-run Maven with the -e switch.
  [ERROR] Re-run Maven using the -X switch to enable full debug logging.
"#,
        ),
        (
            "tsc, both forms",
            8,
            r#"
  > demo@1.0.0 build
  > tsc

> src/a.ts(3,5): error TS2304: Cannot find name 'x'.
> src/b.ts:7:1 - error TS2322: Type 'string' is not assignable to type 'number'.

> 7 y = "a";
>   ~

  Found 2 errors in 2 files.

  npm ERR! code ELIFECYCLE
  npm ERR! errno 2
  npm ERR! demo@1.0.0 build: `tsc`
  npm ERR! A complete log of this run can be found in:
  npm ERR!     /build/.npm/_logs/debug-0.log
"#,
        ),
        (
            "ocaml: the place stands before",
            8,
            r#"
  ocamlfind ocamlopt -c a.ml
> File "src/a.ml", line 3, characters 8-11:
  3 | let x = foo
              ^^^
> Error: Unbound value foo
  make: *** [Makefile:3: a.cmx] Error 2
"#,
        ),
        (
            "swift",
            8,
            r#"
  [3/7] Compiling Demo main.swift
> /build/source/Sources/Demo/main.swift:3:7: error: cannot find 'foo' in scope
> print(foo)
>       ^~~
  error: emit-module command failed with exit code 1 (use -v to see invocation)
  error: fatalError
"#,
        ),
        (
            "Apple's linker",
            8,
            r#"
> Undefined symbols for architecture arm64:
>   "_foo", referenced from:
>       _main in main.o
> ld: symbol(s) not found for architecture arm64
  clang: error: linker command failed with exit code 1 (use -v to see invocation)
"#,
        ),
    ]);
}
