//! Pages and data: what is described is served, in every form, and agrees with `nixmon log`.

use std::process::Stdio;

use serde_json::{Value, json};

use super::{Home, Hub, check_inert, hostile, until};
use crate::common::world::World;

/// A run that prints in colours and fails.
const SCRIPT: &str = r#"printf '\033[32mgreen\033[0m plain\nsecond\nlast <b>line</b>\n'; exit 3"#;

#[test]
fn the_board_is_there_in_three_forms() {
    let home = Home::new();
    let hub = home.hub();
    assert!(hub.get("/").body.contains("No runs yet"));
    home.record("good", "echo fine");
    home.record("bad", SCRIPT);
    // It comes by itself.
    let runs = until("both runs", || {
        let answer = hub.json("/api/v1/runs");
        let runs = answer["runs"].as_array().unwrap().clone();
        let has_ended = |run: &Value| run["status"]["state"] == "ended";
        (runs.len() == 2 && runs.iter().all(has_ended)).then_some(runs)
    });
    let names: Vec<(&str, &str)> = runs
        .iter()
        .map(|run| (run["status"]["name"].as_str().unwrap(), run["group"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("bad", "failed"), ("good", "ended")]);
    let html = hub.send("GET", "/", &["Accept: text/html,*/*;q=0.8"]);
    assert_eq!(html.header("content-type"), "text/html; charset=utf-8");
    assert!(html.body.find(">bad<").unwrap() < html.body.find(">good<").unwrap(), "failures come first");
    let markdown = hub.send("GET", "/", &["Accept: text/markdown"]);
    assert_eq!(markdown.header("content-type"), "text/markdown; charset=utf-8");
    assert!(
        markdown.body.contains("[run 2](/runs/2) bad: ended: failure, exit status 3"),
        "{}",
        markdown.body
    );
    assert_eq!(
        hub.send("GET", "/", &["Accept: application/json"]).json()["runs"].as_array().unwrap().len(),
        2
    );
    assert_eq!(hub.get("/?format=json").json()["older"], 0);
    assert!(hub.get("/instructions?format=md").body.starts_with("# nixmon hub"));
    // Failures in each form as well.
    for (accept, expected) in [
        ("text/html", "<h1>Not found</h1>"),
        ("text/markdown", "# Not found"),
        ("application/json", "\"kind\":\"not-found\""),
    ] {
        let answer = hub.send("GET", "/runs/99", &[&format!("Accept: {accept}")]);
        assert_eq!(answer.status, 404);
        assert!(
            answer.header("content-type").starts_with(accept) && answer.body.contains(expected),
            "{answer:?}"
        );
    }
}

#[test]
fn logs_are_what_nixmon_log_prints() {
    let home = Home::new();
    let run = home.record("bad", SCRIPT);
    let hub = home.hub();
    let raw = hub.get(&format!("/api/v1/runs/{run}/log/raw"));
    assert_eq!(raw.body, home.ran(&["log", "bad"]).out);
    assert_eq!(raw.header("content-disposition"), format!("attachment; filename=\"run-{run}.log\""));
    let log = hub.json(&format!("/api/v1/runs/{run}/log"));
    assert_eq!(log["total"].as_u64().unwrap(), raw.body.lines().count() as u64);
    let first = &log["lines"][0];
    assert_eq!((&first["n"], &first["text"]), (&json!(1), &json!("green plain")));
    assert_eq!(first["parts"], json!([{"text": "green", "style": "c2"}, {"text": " plain", "style": ""}]));
    // From the end, in parts, and beyond it.
    let last = hub.json(&format!("/api/v1/runs/{run}/log?from=-1"));
    assert_eq!(last["lines"][0]["n"], log["total"]);
    assert_eq!(last["next"], Value::Null);
    let one = hub.json(&format!("/api/v1/runs/{run}/log?from=2&count=1"));
    assert_eq!((one["lines"].as_array().unwrap().len(), &one["next"]), (1, &json!(3)));
    assert_eq!(hub.json(&format!("/api/v1/runs/{run}/log?from=9999"))["lines"], json!([]));
    let found = hub.json(&format!("/api/v1/runs/{run}/log/search?q=%3Cb%3Eline"));
    assert_eq!(found["lines"], json!([3]));
    let found = hub.json(&format!("/api/v1/runs/{run}/log/search?q=%5E(green%7Clast)&regex=true"));
    assert_eq!(found["lines"], json!([1, 3]));
    for query in ["q=", "q=(&regex=true", "q=x&regex=maybe", "q=x&unknown=1"] {
        assert_eq!(hub.get(&format!("/api/v1/runs/{run}/log/search?{query}")).status, 400, "{query}");
    }
    let page = hub.get(&format!("/runs/{run}/log"));
    assert!(
        page.body.contains("<span class=\"c2\">green</span>") && page.body.contains("last &lt;b&gt;line")
    );
    assert!(hub.get(&format!("/runs/{run}/log?format=md")).body.contains("green plain"));
}

/// Two builds of real Nix of which one fails, one after the other. The second waits a moment, without a program to do so: the graph
/// is read beside the stream, and a run that is over before has none.
const TWO_BUILDS: &str = r#"
let build = name: script: extra: derivation ({
  inherit name; system = "@system@"; builder = "@bash@"; args = [ "-c" script ];
} // extra);
  good = build "good-1.0" "echo good morning; echo line two; echo > $out" {};
in build "bad-1.0" "echo from ${good}; read -t 1 <> <(:); echo '<i>bad</i>' >&2; exit 4" {}
"#;

#[test]
fn builds_of_nix_have_logs_failures_and_a_tree() {
    let home = Home::new();
    let Some(world) = World::with_files(None, &[("default.nix", TWO_BUILDS)]) else {
        return;
    };
    let mut command = world.command(env!("CARGO_BIN_EXE_nixmon"));
    command.args(["run", "--name", "world", "--", "nix-build", "--no-out-link", "default.nix"]);
    command.env("XDG_STATE_HOME", home.path().join("state")).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(!command.status().unwrap().success());
    let hub = home.hub();
    let run = hub.json("/api/v1/runs/world");
    assert_eq!(run["status"]["outcome"], "failure");
    let builds: Vec<(&str, &str, u64)> = run["detail"]["builds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|build| {
            (
                build["name"].as_str().unwrap(),
                build["state"].as_str().unwrap(),
                build["depth"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(builds, [("bad-1.0", "failed", 0), ("good-1.0", "built", 1)], "{run}");
    assert_eq!(run["summary"]["failures"][0]["name"], "bad-1.0");
    let phases: Vec<&str> = run["detail"]["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["evaluating", "building"]);
    // The log of one derivation has its lines, numbered by themselves.
    for reference in ["good-1.0", run["detail"]["builds"][1]["derivation"].as_str().unwrap()] {
        let log = hub.json(&format!("/api/v1/runs/world/log?derivation={reference}"));
        let texts: Vec<&str> =
            log["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["good morning", "line two"]);
    }
    assert_eq!(hub.get("/api/v1/runs/world/log/raw?derivation=good-1.0").body, "good morning\nline two\n");
    assert_eq!(hub.get("/api/v1/runs/world/log?derivation=absent").status, 404);
    assert_eq!(hub.get("/api/v1/runs/world/log/raw").body, home.ran(&["log", "world"]).out);
    let page = hub.get("/runs/world");
    assert!(page.body.contains("bad-1.0") && page.body.contains("exit status 4"), "{}", page.body);
    assert!(page.body.contains("&lt;i&gt;bad&lt;/i&gt;") && !page.body.contains("<i>bad"), "{}", page.body);
    let markdown = hub.get("/runs/world?format=md").body;
    assert!(markdown.contains("### bad-1.0") && markdown.contains("untrusted output"), "{markdown}");
}

/// A script that hides what builders print: without records of a newer Nix, only Nix has their logs.
#[test]
fn logs_that_nix_has_kept_are_found() {
    let home = Home::new();
    let Some(world) = World::with_files(None, &[("default.nix", TWO_BUILDS)]) else { return };
    let mut command = world.command(env!("CARGO_BIN_EXE_nixmon"));
    let script = "nix-build --no-out-link default.nix 2>&1 | grep -E '^building|failed with'; exit 1";
    command.args(["run", "--name", "world", "--", "bash", "-c", script]);
    command.env("XDG_STATE_HOME", home.path().join("state")).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap();
    let mut command = home.nixmon(&["hub", "--listen", "127.0.0.1:0"]);
    command.env("NIX_LOG_DIR", world.nix.root().join("nix/var/log/nix"));
    let hub = super::start(command);
    let raw = hub.get("/api/v1/runs/world/log/raw?derivation=bad-1.0").body;
    assert!(raw.starts_with("from /") && raw.contains("good-1.0\n"), "{raw}");
    let log = hub.json("/api/v1/runs/world/log?derivation=bad-1.0");
    assert!(log["lines"][0]["text"].as_str().unwrap().starts_with("from /"), "{log}");
    assert!(hub.get("/runs/world").body.contains("-bad-1.0.drv\">"), "the tree leads to it");
}

/// Fills in the parts of a path.
fn filled(path: &str) -> String {
    path.replace("{run}", "hostile").replace("{unit}", "nginx").replace("{name}", "style.css")
}

#[test]
fn everything_described_is_served_as_described() {
    let home = Home::new();
    home.record("hostile", "echo 'restarting the following units: nginx.service'; echo bye; exit 1");
    let hub = home.hub();
    let document = hub.json("/api/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 15, "{}", paths.len());
    // Those about a host need one, and those that change something a body: crates/nixmon-hub/tests.
    let needs_host = |path: &str| path.contains("{host}") || path.contains("{batch}");
    let looked_at =
        paths.iter().filter(|(path, operations)| !needs_host(path) && operations.get("get").is_some());
    for (path, operations) in looked_at {
        let operation = &operations["get"];
        let content = operation["responses"]["200"]["content"].as_object().unwrap();
        let query = if path.ends_with("search") { "?q=bye" } else { "" };
        let address = filled(path) + query;
        for (kind, described) in content {
            if kind == "text/event-stream" || path == "/wait" {
                // They do not end by themselves; see `streams`.
                let mut stream =
                    hub.open(&format!("GET {address} HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address));
                let (status, headers) = super::head(&mut stream);
                let answered = headers.iter().find(|(name, _)| name == "content-type").unwrap();
                assert!(status == 200 && answered.1.starts_with(kind), "{address}: {status} {answered:?}");
                continue;
            }
            let answer = hub.send("GET", &address, &[&format!("Accept: {kind}")]);
            assert_eq!(answer.status, 200, "{address}: {answer:?}");
            let is_other = kind == "application/octet-stream";
            assert!(is_other || answer.header("content-type").starts_with(kind), "{address}: {answer:?}");
            if let Some(schema) = described.get("schema") {
                valid(&document, schema, &answer.json(), &address);
            }
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        }
        // Without the version as well.
        if path.starts_with("/api/v1/") && !address.contains("/events") {
            let alias = address.replacen("/api/v1/", "/api/", 1);
            assert_eq!(hub.get(&alias).status, 200, "{alias}");
        }
        // A failure is described, too.
        if path.contains("{run}") && path.starts_with("/api/") {
            let answer = hub.get(&(path.replace("{run}", "absent").replace("{unit}", "x") + query));
            assert_eq!(answer.status, 404, "{path}");
            valid(
                &document,
                &operation["responses"]["default"]["content"]["application/json"]["schema"],
                &answer.json(),
                path,
            );
        }
    }
}

/// Holds a value against a schema of the document.
#[track_caller]
fn valid(document: &Value, schema: &Value, value: &Value, what: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(value).map(|fault| format!("{fault} at {}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{what}: {faults:?}");
}

#[test]
fn text_of_other_programs_is_inert() {
    let home = Home::new();
    let file = home.path().join("hostile");
    std::fs::write(&file, hostile().join("\n") + "\n").unwrap();
    // As output and as an argument.
    let run = home.record("hostile", &format!("cat {}; exit 1 # '<img src=x>'", file.display()));
    let hub: Hub = home.hub();
    for (path, is_text) in [
        (format!("/runs/{run}/log?count=5000"), false),
        (format!("/runs/{run}"), false),
        ("/".to_owned(), false),
        (format!("/runs/{run}/log?count=5000&format=md"), true),
        (format!("/runs/{run}?format=md"), true),
        ("/?format=md".to_owned(), true),
        (format!("/api/v1/runs/{run}/log?count=5000"), true),
        (format!("/api/v1/runs/{run}"), true),
        ("/api/v1/runs".to_owned(), true),
        (format!("/api/v1/runs/{run}/log/raw"), true),
        (format!("/runs/{run}/wait"), true),
        (format!("/api/v1/runs/{run}/events"), true),
        (format!("/api/v1/runs/{run}/log/events"), true),
    ] {
        let answer = hub.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        check_inert(&answer.body, &path);
        if is_text {
            continue;
        }
        // Nothing but our own elements.
        for forged in ["<script>", "<img", "onload=", "onerror=", "<svg onload", "<h1>forged", "onmouseover"]
        {
            let own = answer.body.replace("&lt;", "").replace("&quot;", "");
            assert!(!own.contains(&format!("<{}", forged.trim_start_matches('<'))), "{path}: {forged}");
        }
        assert!(!answer.body.contains("javascript:alert(1)\""), "{path}");
    }
    // An event that a log wants to forge is data.
    let events = hub.get(&format!("/api/v1/runs/{run}/log/events")).body;
    let kinds: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "end").count(), 1, "{events}");
    assert_eq!(kinds.last(), Some(&"end"));
}

#[test]
fn the_hub_says_how_it_is() {
    let home = Home::new();
    home.record("good", "echo fine");
    let hub = home.hub();
    assert_eq!(hub.get("/healthz").body, "ok\n");
    let metrics = hub.get("/metrics").body;
    for expected in [
        "# TYPE nixmon_runs gauge",
        "nixmon_runs{group=\"ended\"} 1\n",
        "nixmon_last_success_timestamp_seconds{name=\"good\"} ",
        "# TYPE nixmon_hub_responses_total counter",
        "nixmon_hub_responses_total{class=\"2xx\"} ",
    ] {
        assert!(metrics.contains(expected), "{expected} is not in:\n{metrics}");
    }
    // Every line is one of the format, and no metric is there twice.
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok() && !name.contains(' '), "{line}");
    }
    // A store that cannot be read is not healthy.
    let runs = home.path().join("state/nixmon/runs");
    std::fs::rename(&runs, home.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(&runs, &runs).unwrap();
    let answer = hub.get("/healthz");
    assert_eq!(answer.status, 503, "{answer:?}");
    std::fs::remove_file(&runs).unwrap();
    std::fs::rename(home.path().join("moved"), &runs).unwrap();
    assert_eq!(hub.get("/healthz").status, 200);
}
