//! The go command: import paths with `-v`, commands with `-x`.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, row},
    unit::{Stage, Tool},
};

const WORK: &str = "Go 1.19 src/cmd/go/internal/work/action.go";
const EXEC: &str = "Go 1.19 src/cmd/go/internal/work/exec.go, build";
const GC: &str = "Go 1.19 src/cmd/go/internal/work/gc.go";
const FETCH: &str = "Go 1.19 src/cmd/go/internal/modfetch/fetch.go";
const NIXPKGS: &str = "nixpkgs pkgs/build-support/go/module.nix";

pub(super) static TABLE: Table = Table {
    tool: Tool::Go,
    within: &[],
    rows: &[
        row("WORK=/{any}/go-build{any}", Opens(Stage::Compile), WORK),
        row("go: downloading {package} v{word}", Begins(Stage::Download), FETCH),
        row("Building subPackage {package}", Opens(Stage::Compile), NIXPKGS),
        inner("{any}/compile -o $WORK/{any} -p {package} {any}", Begins(Stage::Compile), GC),
        inner("{any}/link -o $WORK/{any}", Begins(Stage::Link), GC),
        inner("# {package}", Fails, EXEC),
        inner("{any}", Custom(import_path), EXEC),
    ],
};

/// Reads a line that is nothing but an import path, which `-v` prints when work on a package begins.
fn import_path(line: &str) -> Option<Sighting<'_>> {
    let is_path = line.len() < 200
        && line.starts_with(|c: char| c.is_ascii_lowercase())
        && !line.ends_with(['/', '.', ':'])
        && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"./-_~".contains(&b));
    // The standard library's packages of one word are few; other words are not believed.
    let is_known = line.contains('/') || STD.contains(&line);
    (is_path && is_known).then(|| Sighting::new(Kind::Begins, Stage::Compile).package(line))
}

/// Packages of the standard library without a slash (`go list std`).
const STD: [&str; 35] = [
    "bufio", "bytes", "cmp", "context", "crypto", "embed", "encoding", "errors", "expvar", "flag", "fmt",
    "hash", "html", "image", "io", "iter", "log", "maps", "math", "mime", "net", "os", "path", "plugin",
    "reflect", "regexp", "runtime", "slices", "sort", "strconv", "strings", "sync", "syscall", "testing",
    "time",
];
