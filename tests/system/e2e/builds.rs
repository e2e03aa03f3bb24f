//! Ends of builds by real Nix, and the reports about them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use super::harness::{Watched, matches, sh, watch, write};
use crate::common::nix::Nix;

const EVALUATION_FAILED: &str = "✗ Evaluation failed after ";

/// A command that ends, and all that is expected of what is said about it.
struct Case {
    /// Words of the command; `nix build` and `nix-build` are completed by [`Case::command`].
    command: &'static str,
    /// Nix's exit status; nixmon's is 1 if this is not 0.
    status: i32,
    /// Parts of the summary: see [`matches`].
    summary: Value,
    /// Parts of the condensed lines, in this order.
    lines: &'static [&'static str],
}

impl Case {
    /// `{}` becomes the temporary directory, and what a build needs is added.
    fn command(&self, nix: &Nix) -> Command {
        let words = self.command.replace("{}", nix.root().to_str().unwrap());
        let builds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/e2e/builds.nix");
        let mut words = words.split(' ');
        let mut command = nix.command(words.next().unwrap());
        match command.get_program().to_str() {
            Some("nix-build") => command.args(["--no-out-link", builds, "-A"]).args(words),
            _ => {
                let mut words = words.peekable();
                let builds = (words.peek() == Some(&"build")).then_some(["--no-link", "--file", builds]);
                // The installable follows the file that it is in.
                command
                    .args(words.next())
                    .args(["--log-format", "internal-json", "-v"])
                    .args(builds.into_iter().flatten())
                    .args(words)
            }
        };
        command
    }
}

/// Runs all of them with one store.
fn check(nix: &Nix, cases: &[Case]) {
    let wrong: Vec<String> = cases.iter().filter_map(|case| check_one(nix, case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_one(nix: &Nix, case: &Case) -> Result<(), String> {
    let watched = watch(nix, case.command(nix));
    let wrong = |what: String| Err(format!("$ {}\n{}{what}\n", case.command, watched.lines));
    // The filter ends as Nix did where the system tells, else as the stream says.
    let by_stream = i32::from(case.status != 0);
    let ends_alike = watched.nixmon == Some(case.status) || watched.nixmon == Some(by_stream);
    if watched.command != Some(case.status) || !ends_alike {
        return wrong(format!("Nix ended with {:?}, nixmon with {:?}", watched.command, watched.nixmon));
    }
    if let Err(error) = matches(&watched.summary, &case.summary) {
        return wrong(format!("{error}\n{:#}", watched.summary["failures"]));
    }
    let mut rest = watched.lines.as_str();
    for line in case.lines {
        match rest.split_once(line) {
            Some((_, after)) => rest = after,
            None => return wrong(format!("no {line:?} in order")),
        }
    }
    is_condensed(nix, &watched).or_else(wrong)?;
    logs_can_be_read(nix, &watched).or_else(wrong)
}

/// Few lines, of which none stands there twice, and no hash but in results and where to read on.
fn is_condensed(nix: &Nix, watched: &Watched) -> Result<(), String> {
    let lines: Vec<&str> = watched.lines.lines().collect();
    if lines.len() > 40 {
        return Err(format!("{} lines", lines.len()));
    }
    let store = nix.root().join("nix/store").to_string_lossy().into_owned();
    for (i, line) in lines.iter().enumerate() {
        let is_result = Path::new(line).parent() == Some(Path::new(&store));
        if line.contains(&store) && !is_result && !line.starts_with("    log: ") {
            return Err(format!("a store path in {line:?}"));
        }
        if line.len() > 12 && lines[..i].contains(line) {
            return Err(format!("{line:?} twice"));
        }
    }
    Ok(())
}

/// Every command that is said to show a log shows the lines that are shown of it, and stands in the report unless
/// the log is empty; the file beside it exists.
fn logs_can_be_read(nix: &Nix, watched: &Watched) -> Result<(), String> {
    for failure in watched.summary["failures"].as_array().into_iter().flatten() {
        for hint in failure["log_hints"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if hint.starts_with('/') {
                if !Path::new(hint).exists() {
                    return Err(format!("no {hint:?}"));
                }
                continue;
            }
            let mut words = hint.split(' ');
            let output = nix.command(words.next().unwrap()).args(words).output().unwrap();
            let log = String::from_utf8_lossy(&output.stdout);
            let tail = failure["log_tail"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for line in tail {
                if !log.contains(line) {
                    return Err(format!("{line:?} is not in what `{hint}` shows: {log}"));
                }
            }
            let is_shown = watched.lines.lines().any(|line| line.trim() == format!("log: {hint}"));
            if !is_shown && !log.is_empty() {
                return Err(format!("{hint:?} is not shown"));
            }
        }
    }
    Ok(())
}

#[test]
fn good_builds() {
    let Some(nix) = Nix::new() else { return };
    let built = |n| json!({"outcome": "success", "counts": {"built": n, "failed": 0}, "failures": []});
    check(
        &nix,
        &[
            Case {
                command: "nix build app",
                status: 0,
                summary: built(2),
                lines: &["✓ Complete: 2 built in "],
            },
            // Everything is there.
            Case { command: "nix build app", status: 0, summary: built(0), lines: &["✓ Complete"] },
            Case {
                command: "nix-build traced",
                status: 0,
                summary: built(0),
                lines: &["trace: a trace\n", "warning: a remark\n", "-good-1.0\n", "✓ Complete"],
            },
            Case {
                command: "nix-build loud",
                status: 0,
                summary: built(1),
                lines: &["-loud-1.0\n", "✓ Complete: 1 built in "],
            },
            Case {
                command: "nix eval --expr 1+1",
                status: 0,
                summary: built(0),
                lines: &["2\n", "✓ Complete"],
            },
        ],
    );
}

#[test]
fn failed_builds() {
    let Some(nix) = Nix::new() else { return };
    let failed = |counts: Value, failures: Value| json!({"outcome": "failure", "failed_stage": "build", "counts": counts, "failures": failures});
    let bad = |blocks, phase: Option<&str>| {
        json!({
            "name": "bad-1.0", "kind": "builder-failed", "exit_status": 3, "phase": phase, "blocks": blocks,
            "log_excerpt": ["main.c:3:1: error: expected expression"],
        })
    };
    let bad2 = json!({
        "name": "bad2-1.0", "kind": "builder-failed", "exit_status": 77, "blocks": 1,
        "log_excerpt": ["configure: error: no acceptable C compiler found in PATH"],
    });
    let source = |blocks| {
        json!({
            "name": "source-1.0.tar.gz", "kind": "hash-mismatch", "blocks": blocks, "hashes": {
                "specified": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                "got": "sha256-fk+i64x6wIlznV3vxEifrWihANkggso1xrQKRSSCH4c=",
            },
        })
    };
    check(
        &nix,
        &[
            Case {
                command: "nix build bad",
                status: 1,
                summary: failed(json!({"failed": 1, "not_started": 0}), json!([bad(0, Some("buildPhase"))])),
                lines: &[
                    "✗ Build failed after ",
                    " · 1 failed\n",
                    "  bad-1.0 failed in buildPhase, exit 3\n",
                    "    main.c:3:1: error: expected expression\n",
                    "    log: nix log ",
                ],
            },
            // Nix names neither of those that depend on it before it fails.
            Case {
                command: "nix build top",
                status: 1,
                summary: failed(json!({"failed": 1, "not_started": 2}), json!([bad(2, Some("buildPhase"))])),
                lines: &["1 failed, at least 2 not started", "exit 3 · blocks 2\n"],
            },
            Case {
                command: "nix-build top",
                status: 100,
                summary: failed(json!({"failed": 1, "not_started": 2}), json!([bad(2, None)])),
                lines: &["1 failed, 2 not started", "bad-1.0 failed, exit 3 · blocks 2"],
            },
            Case {
                command: "nix build several usesSource --keep-going",
                status: 1,
                summary: failed(
                    json!({"built": 1, "failed": 3, "not_started": 3}),
                    // Nix 2.8 does not announce what it builds, and never names what needs the source.
                    json!([bad2, bad(3, Some("buildPhase")), source(0)]),
                ),
                lines: &[
                    "1 built, 3 failed, at least 3 not started",
                    "bad2-1.0",
                    "bad-1.0",
                    "source-1.0.tar.gz",
                ],
            },
            Case {
                command: "nix-build several -A usesSource --keep-going",
                status: 102,
                summary: failed(
                    json!({"failed": 3, "not_started": 4}),
                    json!([bad2, bad(3, None), source(1)]),
                ),
                lines: &["3 failed, 4 not started"],
            },
            Case {
                command: "nix-build usesSource",
                status: 102,
                summary: failed(json!({"failed": 1, "not_started": 1}), json!([source(1)])),
                lines: &[
                    "source-1.0.tar.gz does not match its specified hash\n",
                    "    specified: sha256-AAAA",
                    "    got:       sha256-fk+i",
                ],
            },
        ],
    );
}

#[test]
fn interrupted_builds() {
    let Some(nix) = Nix::new() else { return };
    let failed = |name: &str, kind: &str, more: Value| {
        let mut failure = json!({"name": name, "kind": kind});
        failure.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"outcome": "failure", "failed_stage": "build", "failures": [failure]})
    };
    check(
        &nix,
        &[
            Case {
                command: "nix build killed",
                status: 1,
                summary: failed("killed-1.0", "killed-by-signal", json!({"signal": 9})),
                lines: &["killed-1.0 was killed by signal 9", "memory"],
            },
            Case {
                command: "nix-build slow --timeout 1",
                status: 101,
                summary: failed("slow-1.0", "timeout", json!({"log_tail": ["working"]})),
                lines: &["slow-1.0 timed out", "--timeout"],
            },
            Case {
                command: "nix build slow --max-silent-time 1",
                status: 1,
                summary: failed("slow-1.0", "silent-timeout", json!({})),
                lines: &["slow-1.0 was silent for 1s", "--max-silent-time"],
            },
            Case {
                command: "nix build loud --option max-build-log-size 100",
                status: 1,
                summary: failed("loud-1.0", "log-too-long", json!({})),
                lines: &["loud-1.0 printed more than 100 B", "max-build-log-size"],
            },
            Case {
                command: "nix build noOutput",
                status: 1,
                summary: failed("no-output-1.0", "no-output", json!({})),
                lines: &["no-output-1.0 did not produce its output", "forgot\n"],
            },
            Case {
                command: "nix build otherSystem",
                status: 1,
                summary: failed("other-system-1.0", "platform-mismatch", json!({"message": "…riscv64-none"})),
                lines: &["other-system-1.0 requires another system", "riscv64-none"],
            },
            Case {
                command: "nix build feature",
                status: 1,
                summary: failed("feature-1.0", "missing-feature", json!({"message": "…warp-drive"})),
                lines: &["feature-1.0 requires a feature that is missing", "warp-drive"],
            },
            Case {
                command: "nix build reference",
                status: 1,
                summary: failed("reference-1.0", "forbidden-reference", json!({"message": "…good-1.0"})),
                lines: &["reference-1.0 refers to a forbidden path", "good-1.0"],
            },
            Case {
                command: "nix build good --rebuild --option post-build-hook /bin/false",
                status: 1,
                summary: failed("good-1.0", "post-build-hook", json!({"exit_status": 1})),
                lines: &["good-1.0 was built, but its post-build hook failed, exit 1", "/bin/false"],
            },
        ],
    );
}

#[test]
fn evaluation_errors() {
    let Some(nix) = Nix::new() else { return };
    let root = nix.root();
    write(&root.join("flake/flake.nix"), "{\n  outputs = { self }: {\n    x = import ./part.nix;\n  };\n}\n");
    write(&root.join("flake/part.nix"), "{\n  a = nosuch;\n}\n");
    write(&root.join("syntax.nix"), "{\n  a = 1\n  b = 2;\n}\n");
    let at = |kind: &str, file: &str, line: u32| {
        json!({
            "outcome": "failure", "failed_stage": "evaluation", "counts": {"failed": 0},
            "failures": [{"kind": kind, "location": {"file": format!("…{file}"), "line": line}}],
        })
    };
    let unplaced = |stage: Option<&str>, kind: &str, message: &str| {
        json!({
            "outcome": "failure", "failed_stage": stage,
            "failures": [{"kind": kind, "location": null, "message": message}],
        })
    };
    check(
        &nix,
        &[
            Case {
                command: "nix build thrown",
                status: 1,
                // Without a position there is nothing to tell a throw from any other error.
                summary: unplaced(Some("evaluation"), "unknown", "this package is broken"),
                lines: &[EVALUATION_FAILED, "  this package is broken\n"],
            },
            Case {
                command: "nix-build assertion",
                status: 1,
                summary: at("eval-assertion", "e2e/builds.nix", 57),
                lines: &[
                    EVALUATION_FAILED,
                    "  assertion '((1 + 1) == 3)' failed\n",
                    "e2e/builds.nix:57:15\n",
                ],
            },
            Case {
                command: "nix build missing",
                status: 1,
                summary: at("eval-missing-attribute", "e2e/builds.nix", 58),
                lines: &[EVALUATION_FAILED, "  attribute 'nope' missing", "e2e/builds.nix:58:13\n"],
            },
            Case {
                command: "nix-build type",
                status: 1,
                summary: at("eval-type", "e2e/builds.nix", 59),
                lines: &[
                    EVALUATION_FAILED,
                    "  cannot add a string to an integer\n",
                    "e2e/builds.nix:59:22\n",
                ],
            },
            Case {
                command: "nix eval --file {}/syntax.nix a",
                status: 1,
                summary: at("eval-syntax", "syntax.nix", 3),
                lines: &[EVALUATION_FAILED, "  syntax error, unexpected", "syntax.nix:3:5\n"],
            },
            // In a flake the file is in the store, and is shown relative to the flake.
            Case {
                command: "nix eval path:{}/flake#x.a",
                status: 1,
                summary: at("eval-undefined-variable", "-source/part.nix", 2),
                lines: &[EVALUATION_FAILED, "  undefined variable 'nosuch'\n", "    at part.nix:2:7\n"],
            },
            Case {
                command: "nix flake check path:{}/nothing",
                status: 1,
                summary: json!({"outcome": "failure", "failures": [{"message": "…nothing"}]}),
                lines: &["✗ ", "/nothing"],
            },
            Case {
                command: "nix build nosuch",
                status: 1,
                summary: unplaced(
                    Some("evaluation"),
                    "eval-missing-attribute",
                    "attribute 'nosuch' in selection path 'nosuch' not found",
                ),
                lines: &[EVALUATION_FAILED, "'nosuch'"],
            },
            Case {
                command: "nix build good --no-such-flag",
                status: 1,
                summary: unplaced(None, "usage", "unrecognised flag '--no-such-flag'"),
                lines: &["✗ Failed after ", "--no-such-flag"],
            },
        ],
    );
}

#[test]
fn flakes() {
    let Some(nix) = Nix::new() else { return };
    let demo = concat!("path:", env!("CARGO_MANIFEST_DIR"), "/tests/demo");
    let root = nix.root();
    let input = root.join("input/flake.nix");
    write(&input, "{ outputs = { self }: { }; }");
    let flake = format!("{{ inputs.some.url = \"path:{}/input\"; outputs = _: {{ }}; }}", root.display());
    write(&root.join("flake/flake.nix"), &flake);
    let on_flake = |words: &str| {
        let mut command = nix.command("nix");
        command
            .args(words.split(' '))
            .args(["--log-format", "internal-json"])
            .current_dir(root.join("flake"));
        command
    };
    let locked = |updated: &[&str], added: &[&str]| json!({"outcome": "success", "flake_inputs": {"updated": updated, "added": added, "removed": []}});

    let check = |command: Command, status: i32, summary: &Value, line: &str| {
        let shown = format!("{command:?}");
        let watched = watch(&nix, command);
        assert_eq!(watched.command, Some(status), "{shown}\n{}", watched.lines);
        assert!(watched.lines.contains(line), "{shown}: no {line:?}\n{}", watched.lines);
        matches(&watched.summary, summary)
            .unwrap_or_else(|error| panic!("{shown}: {error}\n{}", watched.lines));
    };
    // Nix says nothing about the inputs of a lock file that is new.
    check(on_flake("flake lock"), 0, &locked(&[], &[]), "✓ Complete in ");
    write(&input, "{ outputs = { self }: { new = 1; }; }");
    check(on_flake("flake update"), 0, &locked(&["some"], &[]), "✓ Updated: some in ");
    let evaluated = json!({"outcome": "success", "counts": {"built": 0}});
    check(on_flake(&format!("flake check {demo}")), 0, &evaluated, "✓ Complete");
    let refused = json!({"outcome": "failure", "failures": [{"message": "…only works on derivations"}]});
    check(on_flake(&format!("develop {demo}#small")), 1, &refused, "'nix develop' only works on derivations");

    let mut broken = on_flake(&format!("build --no-link {demo}#broken"));
    broken.args(["-j4", "-v"]);
    let parser = json!({
        "counts": {"built": 2, "failed": 1, "not_started": 2},
        "failures": [{"name": "parser-0.4", "phase": "buildPhase", "exit_status": 2, "blocks": 2}],
    });
    check(broken, 1, &parser, "  parser-0.4 failed in buildPhase, exit 2");
}

#[test]
fn substitution_from_a_cache_in_a_directory() {
    let Some(nix) = Nix::new() else { return };
    let build = [
        "build",
        "--no-link",
        "--file",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/e2e/builds.nix"),
        "app",
    ];
    let cache = format!("file://{}/cache", nix.root().display());
    let run = |words: &[&str]| {
        let output = nix.command("nix").args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&build);
    let path = run(&[&["eval", "--raw"], &build[2..]].concat());

    let mut copy = nix.command("nix");
    copy.args(["copy", "--log-format", "internal-json", "--to", &cache, &path]);
    let watched = watch(&nix, copy);
    let uploaded = json!({"outcome": "success", "counts": {"uploaded": 2, "fetched": 0, "built": 0}});
    matches(&watched.summary, &uploaded).unwrap();
    assert!(watched.lines.contains("✓ Complete: 2 uploaded in "), "{}", watched.lines);

    let fetched = json!({"outcome": "success", "counts": {"fetched": 2, "uploaded": 0, "built": 0}});
    for form in ["internal-json", "raw"] {
        run(&["store", "gc"]);
        let mut fetch = nix.command("nix");
        fetch.args(build).args(["--log-format", form, "-v", "--option", "require-sigs", "false"]);
        fetch.args(["--option", "substituters", &cache]);
        let watched = watch(&nix, fetch);
        matches(&watched.summary, &fetched).unwrap_or_else(|error| panic!("{error}\n{}", watched.lines));
        assert!(watched.lines.contains("✓ Complete: 2 fetched"), "{}", watched.lines);
    }
}

/// Serves the files of a directory over HTTP until the test ends, except those that `fails` picks. Returns its address.
fn serve(dir: PathBuf, fails: fn(&str) -> bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = String::new();
            let mut reader = BufReader::new(&stream);
            // The head of a request ends with an empty line.
            while reader.read_line(&mut request).is_ok_and(|n| n > 2) {}
            let path = request.split(' ').nth(1).unwrap_or_default();
            let file = fs::read(dir.join(path.trim_start_matches('/')));
            let (status, body) = match file {
                _ if fails(path) => ("503 Service Unavailable", b"<html>\nbusy\n</html>\n".to_vec()),
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // Nix may have gone.
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}

#[test]
fn substitution_over_http() {
    let Some(nix) = Nix::new() else { return };
    let builds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/e2e/builds.nix");
    let run = |words: &[&str]| {
        let output = nix.command("nix").args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["build", "--no-link", "--file", builds, "good"]);
    let path = run(&["eval", "--raw", "--file", builds, "good"]);
    run(&["copy", "--to", &format!("file://{}/cache", nix.root().display()), &path]);

    let fetched = json!({"outcome": "success", "counts": {"built": 0, "fetched": 1, "not_started": 0}});
    let busy = json!({
        "outcome": "failure", "failed_stage": "fetch", "counts": {"built": 0, "failed": 0},
        "failures": [{
            "stage": "fetch", "kind": "substitution-failed", "name": "good-1.0",
            "details": ["…HTTP error 503 ('Service Unavailable')"],
        }],
    });
    type Case = (fn(&str) -> bool, i32, Value, &'static str);
    let cases: [Case; 2] = [
        (|_| false, 0, fetched, "✓ Complete: 1 fetched"),
        (
            |path| path.starts_with("/nar/"),
            1,
            busy,
            "  good-1.0 could not be fetched\n    unable to download 'http://",
        ),
    ];
    for (fails, status, summary, line) in cases {
        let cache = serve(nix.root().join("cache"), fails);
        for program in ["nix", "nix-build"] {
            run(&["store", "gc"]);
            let mut command = nix.command(program);
            match program {
                "nix" => {
                    command.args(["build", "--no-link", "--log-format", "internal-json", "-v", "--file"]);
                    command.args([builds, "good"])
                }
                _ => command.args(["--no-out-link", builds, "-A", "good"]),
            };
            // More attempts take seconds.
            for (name, value) in
                [("substituters", cache.as_str()), ("require-sigs", "false"), ("download-attempts", "1")]
            {
                command.args(["--option", name, value]);
            }
            let watched = watch(&nix, command);
            assert_eq!(watched.command, Some(status), "{program}\n{}", watched.lines);
            matches(&watched.summary, &summary)
                .unwrap_or_else(|error| panic!("{program}: {error}\n{}", watched.lines));
            assert!(watched.lines.contains(line), "{program}: no {line:?}\n{}", watched.lines);
            assert!(!watched.lines.contains("busy"), "{program}\n{}", watched.lines);
        }
    }
}

#[test]
fn several_at_once_in_one_pipe() {
    let Some(nix) = Nix::new() else { return };
    // Processes of Nix that make the same database at once disturb each other.
    assert!(nix.command("nix-store").arg("--init").status().unwrap().success());
    let builds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/e2e/builds.nix");
    let build = |name: &str| format!("nix build --no-link -f {builds} {name} --log-format internal-json -v");
    let script = format!("{} & {} & {}; wait", build("short"), build("bad"), build("app"));
    let mut command = sh(&script);
    let of_nix = nix.command("true");
    command.envs(of_nix.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let watched = watch(&nix, command);
    let expected = json!({
        "outcome": "failure",
        "counts": {"built": 3, "failed": 1, "cancelled": 0, "not_started": 0},
        "failures": [{"name": "bad-1.0", "exit_status": 3}],
        "input": {"problems": 0},
    });
    matches(&watched.summary, &expected).unwrap_or_else(|error| panic!("{error}\n{}", watched.lines));
    assert_eq!(watched.command, Some(0), "the shell's own status, which tells nothing");
    assert!(fs::read_dir(nix.root().join("nix/store")).unwrap().count() >= 4);
}
