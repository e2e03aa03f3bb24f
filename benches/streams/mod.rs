//! Streams as Nix writes them, made anew for each run: the same every time, of any size.

use std::fmt::Write;

/// Lines as builders print them; every tenth has a word of failure in it.
const LOG: [&str; 10] = [
    "gcc -DHAVE_CONFIG_H -I. -I../include -g -O2 -c -o src/libfoo_la-bar.o src/bar.c",
    "checking for a BSD-compatible install... /usr/bin/install -c",
    "[ 3 of 20] Compiling Fmt.Monad   ( src/Fmt/Monad.hs, dist/build/Fmt/Monad.o )",
    "\\u001b[0m\\u001b[1m\\u001b[32m   Compiling\\u001b[0m syn v2.0.66",
    "warning: variable \\\"x\\\" set but not used [-Wunused-but-set-variable]",
    "copying build/lib/core/_umath.so -> /nix/store/out",
    "",
    "\\tinstalled 12 files",
    "[ 45%] Building CXX object src/CMakeFiles/x.dir/a.cpp.o",
    "test result: ok. 12 passed; 0 failed",
];

fn path(n: usize) -> String {
    format!("/nix/store/{n:032}-package-{n}-1.{}.drv", n % 10)
}

/// `n` derivations are announced and built, sixteen at a time; each prints a few lines.
pub(crate) fn builds(n: usize) -> String {
    let mut out = begin(n);
    for from in (0..n).step_by(16) {
        let batch = from..n.min(from + 16);
        for at in batch.clone() {
            start(&mut out, at);
        }
        for at in batch.clone() {
            log(&mut out, at, 8);
        }
        for at in batch.clone() {
            let running = batch.end - at - 1;
            let _ = writeln!(
                out,
                r#"@nix {{"action":"result","fields":[{},{n},{running},0],"id":1,"type":105}}"#,
                at + 1
            );
            let _ = writeln!(out, r#"@nix {{"action":"stop","id":{}}}"#, at + 100);
        }
    }
    out
}

/// The first half of the builds has been built, and some run.
pub(crate) fn half_done(n: usize) -> String {
    let whole = builds(n);
    let mut middle = whole.len() / 2;
    while !whole[..middle].ends_with('\n') {
        middle -= 1;
    }
    whole[..middle].to_owned()
}

/// One build prints `n` lines.
pub(crate) fn log_lines(n: usize) -> String {
    let mut out = begin(1);
    start(&mut out, 0);
    log(&mut out, 0, n);
    out
}

/// `n` remarks of the evaluation, each level once in eight.
pub(crate) fn messages(n: usize) -> String {
    let mut out = String::new();
    for at in 0..n {
        let level = at % 8;
        let _ = writeln!(
            out,
            r#"@nix {{"action":"msg","level":{level},"msg":"evaluating file '/nix/store/{at:032}-source/default.nix'"}}"#
        );
    }
    out
}

fn begin(n: usize) -> String {
    let mut out = String::from(
        "@nix {\"action\":\"start\",\"id\":1,\"level\":0,\"parent\":0,\"text\":\"\",\"type\":104}\n",
    );
    let _ =
        writeln!(out, r#"@nix {{"action":"msg","level":3,"msg":"these {n} derivations will be built:"}}"#);
    for at in 0..n {
        let _ = writeln!(out, r#"@nix {{"action":"msg","level":3,"msg":"  {}"}}"#, path(at));
    }
    out
}

fn start(out: &mut String, at: usize) {
    let (id, path) = (at + 100, path(at));
    let _ = writeln!(
        out,
        r#"@nix {{"action":"start","fields":["{path}","",1,1],"id":{id},"level":3,"parent":0,"text":"building '{path}'","type":105}}"#
    );
    let _ = writeln!(out, r#"@nix {{"action":"result","fields":["buildPhase"],"id":{id},"type":104}}"#);
}

fn log(out: &mut String, at: usize, n: usize) {
    let id = at + 100;
    for line in LOG.iter().cycle().skip(at).take(n) {
        let _ = writeln!(out, r#"@nix {{"action":"result","fields":["{line}"],"id":{id},"type":101}}"#);
    }
}
