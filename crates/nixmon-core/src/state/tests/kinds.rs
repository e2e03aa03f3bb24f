//! One line for what a stream comes to, by kinds of streams; controls stand beside them.

use super::*;

/// Outcome and stage; kinds and names of the causes; counts that are not 0.
fn summary(state: &State) -> String {
    let outcome = state.outcome().map_or("none", Outcome::as_str);
    let stage = state.failed_stage().map_or("-", nixmon_log::nix::error::Stage::as_str);
    let causes: Vec<String> = state
        .failures()
        .map(|(_, failure)| format!("{} {}", failure.kind.as_str(), failure.name.as_deref().unwrap_or("-")))
        .collect();
    let counts = state.counts();
    let counts: Vec<String> = [
        ("built", counts.built),
        ("failed", counts.failed),
        ("cancelled", counts.cancelled),
        ("not started", counts.not_started),
        ("fetched", counts.fetched),
        ("uploaded", counts.uploaded),
    ]
    .iter()
    .filter(|(_, n)| *n > 0)
    .map(|(what, n)| format!("{n} {what}"))
    .collect();
    format!("{outcome} {stage} | {} | {}", causes.join(", "), counts.join(", "))
}

fn run(lines: &[String], exit_status: Option<i32>) -> Run {
    let mut run = Run::default();
    run.feed(lines);
    run.end(exit_status);
    assert_eq!(run.state.check_invariants(), Ok(()));
    run
}

#[track_caller]
fn reads(what: &str, lines: &[String], exit_status: Option<i32>, expected: &str) -> Run {
    let run = run(lines, exit_status);
    assert_eq!(summary(&run.state), expected, "{what}");
    run
}

/// Text, line by line.
fn text(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Text that arrives at once, so that the lines of an error stay together.
fn block(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn copy(id: u64, name: &str, from: &str, to: &str, direction: &str) -> String {
    let path = out(name);
    let fields = serde_json::json!([path, from, to]);
    format!(
        r#"@nix {{"action":"start","fields":{fields},"id":{id},"level":3,"parent":0,"text":"copying path '{path}' {direction}","type":100}}"#
    )
}

fn bytes(id: u64, done: u64, expected: u64) -> String {
    format!(r#"@nix {{"action":"result","fields":[{done},{expected},0,0],"id":{id},"type":105}}"#)
}

#[test]
fn copies_by_direction() {
    let begin = start(1, 103, 0, &[]);
    let once = |direction: &str, from: &str, to: &str, done: u64| {
        vec![
            begin.clone(),
            progress(1, 0, 1, 0),
            copy(2, "a", from, to, direction),
            bytes(2, done, 120),
            stop(2),
            stop(1),
        ]
    };
    let to_ssh = once("to 'ssh-ng://h'", "local", "ssh-ng://h", 120);
    reads("to ssh-ng, without a count", &to_ssh, None, "success - |  | 1 uploaded");
    let to_dir = once("to 'local'", "local", "local", 120);
    reads("to a directory", &to_dir, None, "success - |  | 1 uploaded");
    let to_store = once("to 'local://?root=/x'", "local", "local://?root=/x", 120);
    reads("to a store in a directory", &to_store, None, "success - |  | 1 uploaded");
    let from = once("from 'ssh-ng://h'", "ssh-ng://h", "local", 120);
    reads("from ssh-ng", &from, None, "success - |  | 1 fetched");
    let between = once("from 'ssh://a' to 'ssh://b'", "ssh://a", "ssh://b", 120);
    reads("between two others", &between, None, "success - |  | 1 uploaded");
    let cut = once("to 'ssh-ng://h'", "local", "ssh-ng://h", 60);
    reads("half a copy", &cut, Some(1), "failure - |  | ");
    let both: Vec<String> =
        [&from[..], &[copy(5, "a", "local", "s3://c", "to 's3://c'"), bytes(5, 9, 9), stop(5)]].concat();
    reads("fetched, then sent", &both, None, "success - |  | 1 fetched, 1 uploaded");
}

#[test]
fn copies_in_text() {
    let line = |name: &str, direction: &str| format!("copying path '{}' {direction}...", out(name));
    reads("sent", &[line("a", "to 'ssh://h'"), line("b", "to 'ssh://h'")], None, "success - |  | 2 uploaded");
    reads("fetched", &[line("a", "from 'https://c'")], None, "success - |  | 1 fetched");
    let both = [line("a", "from 'https://c'"), line("a", "to 's3://d'")];
    reads("both", &both, None, "success - |  | 1 fetched, 1 uploaded");
    let refused =
        format!("error: cannot add path '{}' because it lacks a signature by a trusted key", out("b"));
    let lines = [line("a", "from 'https://c'"), line("b", "from 'https://c'"), refused];
    reads("refused", &lines, None, "failure fetch | missing-signature b | 1 fetched");
    let broken = format!(
        "error: hash mismatch importing path '{}';\n         specified: sha256:0\n         got:       sha256:1",
        out("a")
    );
    let lines: Vec<String> = [vec![line("a", "from 'https://c'")], block(&broken)].concat();
    reads("corrupt", &lines, None, "failure fetch | nar-hash-mismatch a | ");
}

#[test]
fn hooks_side_by_side() {
    let hook = |id: u64, name: &str| start(id, 110, 0, &[&drv(name)]);
    let begin: Vec<String> = [
        plan(&["a", "b", "c", "top"]),
        vec![start(9, 102, 0, &[]), start(1, 104, 0, &[]), build(11, "a"), build(12, "b"), build(13, "c")],
        vec![progress(1, 0, 3, 0)],
    ]
    .concat();
    let failed = error(r#"program "/w/hook" failed with exit code 4"#);
    let close = [stop(1), stop(9), failed];
    let with = |rest: &[String]| [&begin[..], rest, &close].concat();
    let all = with(&[
        hook(21, "a"),
        hook(22, "b"),
        hook(23, "c"),
        stop(21),
        progress(1, 1, 2, 0),
        stop(11),
        stop(22),
        stop(12),
        stop(23),
        stop(13),
    ]);
    reads("the second fails", &all, None, "failure build | post-build-hook b | 3 built, 1 not started");
    let first = with(&[hook(21, "a"), hook(22, "b"), stop(22), stop(12), stop(21), stop(11), stop(13)]);
    reads(
        "one was still being built",
        &first,
        None,
        "failure build | post-build-hook b | 2 built, 1 cancelled, 1 not started",
    );
    let one = with(&[hook(21, "a"), stop(21), stop(11), stop(12), stop(13)]);
    reads(
        "one hook at a time",
        &one,
        None,
        "failure build | post-build-hook a | 1 built, 2 cancelled, 1 not started",
    );
    let good = [
        &begin[..],
        &[
            hook(21, "a"),
            stop(21),
            progress(1, 1, 2, 0),
            stop(11),
            progress(1, 2, 1, 0),
            stop(12),
            progress(1, 3, 0, 0),
            stop(13),
            stop(1),
            stop(9),
        ],
    ]
    .concat();
    reads("all hooks are good", &good, None, "success - |  | 3 built");
}

#[test]
fn goals_that_begin_before_their_inputs() {
    let depends =
        message(0, &format!("error: 1 dependencies of derivation '{}' failed to build", drv("app")));
    let lib = message(0, &format!("error: {}", failed("lib")));
    let lines = [build(1, "app"), build(2, "lib"), lib.clone(), stop(2), depends.clone(), stop(1)];
    reads("without counters", &lines, None, "failure build | builder-failed lib | 1 failed, 1 cancelled");
    let lines = [
        start(5, 104, 0, &[]),
        build(1, "app"),
        build(2, "lib"),
        build(3, "ok"),
        progress(5, 0, 3, 0),
        lib.clone(),
        progress(5, 0, 2, 1),
        stop(2),
        depends.clone(),
        progress(5, 0, 1, 2),
        stop(1),
        progress(5, 1, 0, 2),
        stop(3),
        stop(5),
    ];
    reads(
        "with counters",
        &lines,
        None,
        "failure build | builder-failed lib | 1 built, 1 failed, 1 cancelled",
    );
    let lines = [build(2, "lib"), lib, stop(2), depends];
    reads("never begun", &lines, None, "failure build | builder-failed lib | 1 failed, 1 not started");
}

#[test]
fn text_that_stops() {
    let list = format!("these 2 derivations will be built:\n  {}\n  {}", drv("a"), drv("b"));
    let building = |name: &str| format!("building '{}'...", drv(name));
    let with = |rest: &[String]| [text(&list), rest.to_vec()].concat();
    reads("one of two", &with(&[building("a")]), None, "incomplete build |  | 1 cancelled, 1 not started");
    reads("both", &with(&[building("a"), building("b")]), None, "success - |  | 2 built");
    reads("a dry run", &with(&[]), None, "success - |  | 2 not started");
    reads("known to be good", &with(&[building("a")]), Some(0), "success - |  | 1 built");
    reads("a result", &with(&[building("a"), out("b")]), None, "success - |  | 1 built");
    let cut = text(&format!("these 3 derivations will be built:\n  {}", drv("a")));
    reads("in the list", &cut, None, "incomplete evaluation |  | 1 not started");
    let waits = format!("waiting for lock on '{}'...", out("b"));
    reads("built elsewhere", &with(&[building("a"), waits]), None, "success - |  | 1 built");
    let resolved = format!("resolved derivation: '{}' => '{}'...", drv("b"), drv("c"));
    reads(
        "content-addressed",
        &with(&[building("a"), resolved, building("c")]),
        None,
        "success - |  | 2 built",
    );
    // A dry run, then another command.
    let second = [
        text(&list),
        vec!["hello".to_owned()],
        text(&format!("this derivation will be built:\n  {}", drv("c"))),
        vec![building("c")],
    ]
    .concat();
    reads("a dry run, then a build", &second, None, "success - |  | 1 built");
    let paths = format!(
        "these 2 paths will be fetched (1.00 MiB download, 2.00 MiB unpacked):\n  {}\n  {}",
        out("a"),
        out("b")
    );
    let copying = |name: &str| format!("copying path '{}' from 'https://c'...", out(name));
    let fetched = [text(&paths), vec![copying("a")]].concat();
    reads("one path of two", &fetched, None, "incomplete fetch |  | 1 fetched");
    let fetched = [text(&paths), vec![copying("a"), copying("b")]].concat();
    reads("both paths", &fetched, None, "success - |  | 2 fetched");
}

#[test]
fn records_that_need_no_build() {
    let whole = [
        plan(&["a"]),
        vec![start(9, 102, 0, &[]), start(1, 104, 0, &[]), progress(1, 1, 0, 0), stop(1), stop(9)],
    ]
    .concat();
    let run = reads("built by another process", &whole, None, "success - |  | ");
    assert!(!run.state.is_dry_run());
    let run = reads("a dry run", &plan(&["a", "b"]), None, "success - |  | 2 not started");
    assert!(run.state.is_dry_run());
    let cut = [plan(&["a"]), vec![start(9, 102, 0, &[])]].concat();
    reads("cut off", &cut, None, "incomplete build |  | 1 not started");
}

#[test]
fn errors_that_nix_ignores_until_the_end() {
    let some = "error: some errors were encountered during the evaluation";
    let missing = "error (ignored): error: attribute 'fo' missing\n\n       at /f/flake.nix:12:7:\n";
    let lines = block(&format!("evaluating flake...\n{missing}\n{some}"));
    let run = reads("one", &lines, None, "failure evaluation | eval-missing-attribute - | ");
    let location = run.state.failures().next().and_then(|(_, failure)| failure.location.clone());
    assert_eq!(location.and_then(|at| at.line), Some(12));
    let other = "error (ignored): error: undefined variable 'bar'\n\n       at /f/flake.nix:20:9:\n";
    let lines = block(&format!("evaluating flake...\n{missing}\n{other}\n{some}"));
    reads("two", &lines, None, "failure evaluation | eval-missing-attribute -, eval-undefined-variable - | ");
    let lines = [
        message(0, "error (ignored): error: attribute 'fo' missing"),
        error("some errors were encountered during the evaluation"),
    ];
    reads("records", &lines, None, "failure evaluation | eval-missing-attribute - | ");
    reads("the summary alone", &text(some), None, "failure evaluation | eval-errors - | ");
    let cleaning = "error (ignored): error: cannot unlink '/tmp/x': Directory not empty";
    reads(
        "cleaning up",
        &text(&format!("building '{}'...\n{cleaning}", drv("a"))),
        None,
        "success - |  | 1 built",
    );
    reads("cleaning up, in a record", &[message(0, cleaning)], None, "success - |  | ");
}

#[test]
fn commands_that_neither_evaluate_nor_build() {
    for (what, raw, kind) in [
        (
            "nix path-info",
            "path '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a' is not valid",
            "store-error a",
        ),
        (
            "nix log",
            "build log of '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a.drv' is not available",
            "command-failed -",
        ),
        (
            "nix store delete",
            "Cannot delete path '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a' since it is still alive.",
            "command-failed -",
        ),
        ("nix copy", "failed to start SSH connection to 'h'", "remote-machine -"),
    ] {
        let expected = format!("failure command | {kind} | ");
        reads(what, &[error(raw)], None, &expected);
        reads(what, &text(&format!("error: {raw}")), Some(1), &expected);
    }
    // The same below a build is the build's.
    let lines = [
        start(9, 102, 0, &[]),
        start(1, 104, 0, &[]),
        build(2, "a"),
        progress(1, 0, 1, 0),
        error("path '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b' is not valid"),
    ];
    reads("a build", &lines, Some(1), "failure build | store-error b | 1 failed, 1 cancelled");
}

#[test]
fn last_words_of_commands() {
    for (line, is_last) in [
        ("31 store paths deleted, 20.1 KiB freed", true),
        ("removed 1 packages, kept 2 packages", true),
        ("12.3 MiB freed by hard-linking 300 files", true),
        ("deleting '/nix/store/x'", false),
    ] {
        let words = is_last.then_some(line);
        assert_eq!(run(&text(line), None).state.closing_words(), words, "{line}");
        assert_eq!(run(&[message(3, line)], None).state.closing_words(), words, "{line}");
    }
}

#[test]
fn lock_files_that_are_not_written() {
    for words in ["not writing modified", "will not write", "not writing"] {
        let changes =
            "• Updated input 'dep':\n    'github:a/b/1' (2026-01-01)\n  → 'github:a/b/2' (2026-02-01)";
        let warning = format!("warning: {words} lock file of flake '/f':\n{changes}");
        for lines in [vec![message(1, &warning)], text(&warning)] {
            let run = run(&lines, None);
            assert!(run.state.flake_inputs().is_empty(), "{words}");
        }
    }
    let written = "warning: updating lock file '/f/flake.lock':\n• Updated input 'dep':\n    'github:a/b/1' (2026-01-01)\n  → 'github:a/b/2' (2026-02-01)";
    for lines in [vec![message(1, written)], text(written)] {
        assert_eq!(run(&lines, None).state.flake_inputs().updated.len(), 1);
    }
}

#[test]
fn files_that_git_does_not_track() {
    let missing = |path: &str| {
        let message = format!("error: getting status of '/nix/store/{path}': No such file or directory");
        self::message(0, &message)
    };
    let source = "cccccccccccccccccccccccccccccccc-source/flake.nix";
    let activity = |text: &str| {
        format!(r#"@nix {{"action":"start","id":7,"level":4,"parent":0,"text":"{text}","type":0}}"#)
    };
    for (what, before, asks_for_git) in [
        ("a Git tree", vec![message(1, "warning: Git tree '/x' is dirty")], true),
        ("nothing known", vec![], true),
        ("a directory", vec![activity("copying '/x/e'")], false),
        ("a directory of a later version", vec![activity("copying '/x/e/' to the store")], true),
        ("a source of the build", vec![activity("copying '/x/e/builder.sh' to the store")], true),
    ] {
        let mut lines = before;
        lines.push(missing(source));
        let run = run(&lines, Some(1));
        let (_, failure) = run.state.failures().next().expect(what);
        let advice = failure.advice.unwrap_or_default();
        assert_eq!(advice.contains("git add"), asks_for_git, "{what}: {advice}");
    }
}

#[test]
fn reasons_that_came_before() {
    let reasons = |lines: &[String]| {
        let run = run(lines, Some(1));
        run.state.failures().flat_map(|(_, failure)| failure.details.clone()).collect::<Vec<_>>().join("; ")
    };
    let dead = message(
        0,
        "cannot build on 'ssh://h': error: failed to start SSH connection to 'h': ssh: Could not resolve hostname h",
    );
    let disabled =
        error(&format!("Cannot build '{}'.\nReason: local builds are disabled (max-jobs = 0)", drv("a")));
    assert!(reasons(&[dead.clone(), disabled]).contains("Could not resolve hostname"));
    let feature = error(&format!(
        "Cannot build '{}'.\nReason: missing system features\nRequired features: {{kvm}}\nAvailable features: {{}}",
        drv("a")
    ));
    assert!(reasons(&[dead.clone(), feature]).contains("Could not resolve hostname"));
    let unreachable = text(
        "ssh: connect to host h port 22: Connection refused\nerror: failed to start SSH connection to 'h'",
    );
    assert!(reasons(&unreachable).contains("Connection refused"));
    // Nix went on without that machine.
    let good = [dead, build(1, "a"), stop(1)];
    reads("built here", &good, None, "success - |  | 1 built");
    let corrupt = message(0, "error: failed to read compressed data (truncated input)");
    let none =
        error(&format!("path '{}' is required, but there is no substituter that can build it", out("b")));
    let some = error(&format!(
        "some substitutes for the outputs of derivation '{}' failed (usually happens due to networking issues); try '--fallback' to build derivation from source",
        drv("a")
    ));
    assert!(
        reasons(&[corrupt.clone(), none.clone(), some.clone()]).contains("failed to read compressed data")
    );
    assert!(reasons(&[none, some]).contains("is required, but"));
    reads("built after all", &[corrupt, build(1, "a"), stop(1)], None, "success - |  | 1 built");
}

#[test]
fn imports_from_derivations_that_are_off() {
    let text_of = |drv: &str| {
        format!(
            "cannot build '{drv}' during evaluation because the option 'allow-import-from-derivation' is disabled"
        )
    };
    let expected = "failure evaluation | eval-needs-build - | ";
    reads("a record", &[error(&text_of(&drv("a")))], None, expected);
    reads("with outputs", &[error(&text_of(&format!("{}^out", drv("a"))))], Some(1), expected);
    reads("text", &text(&format!("error: {}", text_of(&drv("a")))), None, expected);
    reads(
        "a build that failed",
        &[error(&format!("Cannot build '{}'.\nReason: builder failed with exit code 1.", drv("a")))],
        None,
        "failure build | builder-failed a | 1 failed",
    );
}
