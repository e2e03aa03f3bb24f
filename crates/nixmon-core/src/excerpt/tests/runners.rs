use super::check;

#[test]
fn excerpt_of_python() {
    check(&[
        (
            "the exception and the innermost frame",
            4,
            r#"
  Executing pypaBuildPhase
  Creating a wheel...
> Traceback (most recent call last):
    File "/nix/store/x/lib/python3.12/site-packages/build/__main__.py", line 194, in main
      build(args)
    File "/nix/store/x/lib/python3.12/contextlib.py", line 81, in inner
      return func(*args, **kwds)
             ^^^^^^^^^^^^^^^^^^^
>   File "/build/source/setup.py", line 3, in <module>
>     import numpy
> ModuleNotFoundError: No module named 'numpy'

  ERROR Backend subprocess exited when trying to invoke get_requires_for_build_wheel
"#,
        ),
        (
            "only that a command failed: the command's own words",
            6,
            r#"
  running build_ext
  gcc -fPIC -Isrc -c src/a.c -o build/a.o
> src/a.c:1:10: fatal error: zlib.h: No such file or directory
>     1 | #include <zlib.h>
>       |          ^~~~~~~~
  compilation terminated.
  Traceback (most recent call last):
    File "/build/source/setup.py", line 30, in <module>
      subprocess.check_call(["gcc"])
  subprocess.CalledProcessError: Command '['gcc']' returned non-zero exit status 1.
  error: command '/nix/store/x-gcc/bin/gcc' failed with exit code 1
"#,
        ),
        (
            "pip: inside the box",
            6,
            r#"
  Processing /build/source
    error: subprocess-exited-with-error

    × Getting requirements to build wheel did not run successfully.
    │ exit code: 1
    ╰─> [20 lines of output]
>       Traceback (most recent call last):
          File "/nix/store/x/lib/python3.12/site-packages/pip/_in_process.py", line 353, in <module>
            main()
>         File "<string>", line 7, in <module>
>           import poetry
>       ModuleNotFoundError: No module named 'poetry'
        [end of output]
"#,
        ),
        (
            "pip: no version",
            6,
            r#"
  Processing /build/source
> ERROR: Could not find a version that satisfies the requirement foo>=2 (from versions: none)
> ERROR: No matching distribution found for foo>=2
"#,
        ),
        (
            "pytest",
            8,
            r#"
  ============================= test session starts ==============================
  platform linux -- Python 3.12.4, pytest-8.2.2, pluggy-1.5.0
  collected 21 items

  tests/test_errors.py .................                                   [ 80%]
  tests/test_x.py ...F                                                     [100%]

  =================================== FAILURES ===================================
  ___________________________________ test_add ___________________________________

      def test_add():
> >       assert add(1, 2) == 4
> E       assert 3 == 4
> E        +  where 3 = add(1, 2)

> tests/test_x.py:5: AssertionError
  =========================== short test summary info ============================
> FAILED tests/test_x.py::test_add - assert 3 == 4
> ========================= 1 failed, 20 passed in 0.12s =========================
"#,
        ),
        (
            "unittest",
            6,
            r#"
  test_error (tests.test_a.A.test_error) ... ok
  test_two (tests.test_a.A.test_two) ... FAIL
  test_three (tests.test_a.A.test_three) ... ok

  ======================================================================
> FAIL: test_two (tests.test_a.A.test_two)
  ----------------------------------------------------------------------
> Traceback (most recent call last):
>   File "/build/source/tests/test_a.py", line 9, in test_two
>     self.assertEqual(1, 2)
      ~~~~~~~~~~~~~~~~^^^^^^
> AssertionError: 1 != 2

  ----------------------------------------------------------------------
  Ran 3 tests in 0.001s

> FAILED (failures=1)
"#,
        ),
        (
            "dependencies of a wheel",
            6,
            r#"
  Executing pythonRuntimeDepsCheckHook
  Checking runtime dependencies for foo-1.0-py3-none-any.whl
>   - numpy<2,>=1.20 not satisfied by version 2.1.0
>   - rich not installed
"#,
        ),
    ]);
}

#[test]
fn excerpt_of_node() {
    check(&[
        (
            "npm: one report, without the place of the log",
            8,
            r#"
  Executing npmConfigHook
  npm warn deprecated inflight@1.0.6: This module is not supported
> npm error code ENOTCACHED
> npm error request to https://registry.npmjs.org/left-pad failed: cache mode is 'only-if-cached' but no cached response is available.
  npm error A complete log of this run can be found in: /build/.npm/_logs/debug-0.log
"#,
        ),
        (
            "node: own frames only",
            8,
            r#"
  > demo@1.0.0 build
  > node build.js

  node:internal/modules/cjs/loader:1080
    throw err;
    ^

> Error: Cannot find module 'left-pad'
> Require stack:
> - /build/source/build.js
>     at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15)
>     at Module._load (node:internal/modules/cjs/loader:922:27)
      at Module.require (node:internal/modules/cjs/loader:1143:19)
      at require (node:internal/modules/helpers:119:18) {
    code: 'MODULE_NOT_FOUND',
  }

  Node.js v20.15.1
"#,
        ),
        (
            "jest",
            7,
            r#"
  PASS src/errors.test.js
> FAIL src/a.test.js
>   ● sum › adds

>     expect(received).toBe(expected) // Object.is equality

>     Expected: 4
>     Received: 3

>       2 | test('adds', () => {
      > 3 |   expect(sum(1, 2)).toBe(4);
          |                     ^

  Test Suites: 1 failed, 1 passed, 2 total
> Tests:       1 failed, 3 passed, 4 total
"#,
        ),
        (
            "mocha: the failed test, not the passing one that talks of errors",
            8,
            r#"
    Array
      ✓ should fail on error: x
      1) should work

    1 passing (5ms)
    1 failing

    1) Array
         should work:
>      AssertionError [ERR_ASSERTION]: 1 == 2
>       + expected - actual
>       at Context.<anonymous> (test/a.js:5:14)
>       at process.processImmediate (node:internal/timers:476:21)

  npm error Lifecycle script `test` failed with error:
  npm error code 1
  npm error path /build/source
"#,
        ),
        (
            "webpack",
            8,
            r#"
  > webpack --mode production
  assets by status 1 KiB
> ERROR in ./src/index.js 1:0-28
> Module not found: Error: Can't resolve 'left-pad' in '/build/source/src'
  resolve 'left-pad' in '/build/source/src'
    Parsed request is a module
  webpack 5.91.0 compiled with 1 error in 400 ms
"#,
        ),
        (
            "vite",
            4,
            r#"
  vite v5.2.0 building for production...
  x Build failed in 120ms
> error during build:
> [vite]: Rollup failed to resolve import "left-pad" from "/build/source/src/main.ts".
> This is most likely unintended because it can break your application at runtime.
>     at viteWarn (file:///build/node_modules/vite/dist/x.js:1:1)
      at onwarn (file:///build/node_modules/vite/dist/x.js:2:1)
"#,
        ),
        (
            "yarn",
            8,
            r#"
  yarn install v1.22.22
  [1/4] Resolving packages...
> error Couldn't find any versions for "left-pad" that matches "^9.0.0"
  info Visit https://yarnpkg.com/en/docs/cli/install for documentation about this command.
"#,
        ),
    ]);
}

#[test]
fn excerpt_of_test_runners() {
    check(&[
        (
            "go test",
            6,
            r#"
  ok  	demo/pkg/a	0.012s
  === RUN   TestErrors
  --- PASS: TestErrors (0.00s)
  === RUN   TestX
> --- FAIL: TestX (0.00s)
>     x_test.go:12: expected 3, got 4
  FAIL
  FAIL	demo/pkg/x	0.010s
  ?   	demo/pkg/b	[no test files]
  FAIL
"#,
        ),
        (
            "go panic",
            6,
            r#"
  === RUN   TestY
> panic: runtime error: index out of range [5] with length 3

> goroutine 18 [running]:
> demo/pkg/y.Get(...)
> 	/build/source/pkg/y/y.go:5
> demo/pkg/y.TestY(0xc000110000)
> 	/build/source/pkg/y/y_test.go:9 +0x1d
  testing.tRunner(0xc000110000, 0x54a1c8)
  exit status 2
  FAIL	demo/pkg/y	0.010s
"#,
        ),
        (
            "ctest",
            6,
            r#"
        Start  1: fails_on_error
   1/12 Test  #1: fails_on_error ...................   Passed    0.01 sec
        Start  2: parse
> 2/12 Test  #2: parse ............................***Failed    0.02 sec
> parse.cpp:10: got 3
        Start  3: print
   3/12 Test  #3: print ............................   Passed    0.01 sec

  92% tests passed, 1 tests failed out of 12

> The following tests FAILED:
> 	  2 - parse (Failed)
  Errors while running CTest
"#,
        ),
        (
            "automake",
            6,
            r#"
  PASS: test_errors
  XFAIL: test_known
> FAIL: test_io
  PASS: test_net
  # TOTAL: 4
  # PASS:  2
  # XFAIL: 1
> # FAIL:  1
  # ERROR: 0
  See ./test-suite.log
  make[3]: *** [Makefile:700: test-suite.log] Error 1
"#,
        ),
        (
            "TAP",
            6,
            r#"
  ok 1 - fails on bad input
> not ok 2 - reads dates
> #   Failed test 'reads dates'
> #   at t/dates.t line 12.
> #          got: '1'
> #     expected: '2'
  ok 3 - knows years
> # Looks like you failed 1 test of 3.
  Dubious, test returned 1 (wstat 256, 0x100)
  Result: FAIL
"#,
        ),
        (
            "googletest",
            6,
            r#"
  [ RUN      ] FooTest.Fails
  [       OK ] FooTest.Fails (0 ms)
  [ RUN      ] FooTest.Bar
> /build/source/test/foo_test.cc:12: Failure
> Expected equality of these values:
>   bar(1)
>     Which is: 3
>   4
> [  FAILED  ] FooTest.Bar (0 ms)
  [----------] 2 tests from FooTest (0 ms total)
"#,
        ),
    ]);
}
