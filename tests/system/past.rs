//! The past of targets, asked over `nixmon mcp`: expected durations, earlier runs, and the best number of jobs.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use crate::common::ran::Ran;
use crate::mcp::Home;

const HISTORY: &str = "state/nixmon/history.db";

/// Reads runs of `home` on this machine into the history: three with four jobs, an older one with one job, and a failure.
fn teach(home: &Home) {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut lines = vec![json!({"type": "nixmon-history", "schema": 1})];
    for (n, jobs, seconds, outcome) in [
        (1, 1, 200, "success"),
        (2, 4, 60, "success"),
        (3, 4, 90, "failure"),
        (4, 4, 62, "success"),
        (5, 4, 61, "success"),
    ] {
        let id = n.to_string();
        lines.push(json!({"type": "run", "id": id, "host": host, "target": "home", "max_jobs": jobs, "outcome": outcome,
            "started": format!("2026-01-0{n}T00:00:00Z"), "elapsed_ms": seconds * 1000, "built": 2,
            "resources": {"cpu_s": f64::from(seconds), "peak_rss_bytes": 3_u64 << 30, "source": "tree", "complete": false}}));
        for (k, name) in [(0, "lib-1.0"), (1, "app-2.1")] {
            let drv = |k: i32| format!("/nix/store/{k:032}-{name}.drv");
            let needs = if k == 1 { vec!["00000000000000000000000000000000"] } else { Vec::new() };
            lines.push(json!({"type": "build", "run": id, "drv": drv(k), "name": name, "needs": needs, "outcome": "built",
                "started_ms": k * seconds * 500, "elapsed_ms": seconds * 500}));
        }
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(home.path().join("past.jsonl"), text).unwrap();
    nixmon(home, &["history", "import", "past.jsonl"]).check(0, &["5 new runs, 10 rows"]);
}

fn nixmon(home: &Home, args: &[&str]) -> Ran {
    Ran::of(home.command(env!("CARGO_BIN_EXE_nixmon")).args(args).output().unwrap())
}

#[test]
fn runs_of_a_target_are_told() {
    let home = Home::new();
    teach(&home);
    let mut server = home.server();
    let past = server.call("build_history", json!({"target": "home"}));
    assert_eq!(
        past,
        json!({
            "target": "home", "median_ms": 61_000, "sample_count": 3, "success_percent": 80.0, "build_history_key": "home_j4",
            "runs": [
                {"id": "run-5", "outcome": "success", "elapsed_ms": 61_000, "jobs": 4},
                {"id": "run-4", "outcome": "success", "elapsed_ms": 62_000, "jobs": 4},
                {"id": "run-3", "outcome": "failure", "elapsed_ms": 90_000, "jobs": 4},
                {"id": "run-2", "outcome": "success", "elapsed_ms": 60_000, "jobs": 4},
            ],
        })
    );
    for tool in ["build_history", "build_optimal_jobs"] {
        let unknown = server.call(tool, json!({"target": "other"}));
        assert!(unknown["note"].is_string() && unknown["build_history_key"].is_null(), "{unknown}");
    }
}

#[test]
fn the_best_number_of_jobs_is_that_of_the_program() {
    let home = Home::new();
    teach(&home);
    let told = nixmon(&home, &["jobs", "home", "--json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let answer = home.server().call("build_optimal_jobs", json!({"target": "home"}));
    for field in ["optimal_job_count", "parallel_efficiency", "build_history_key"] {
        assert!(!answer[field].is_null(), "{answer}");
        assert_eq!(answer[field], told[field], "{field}");
    }
    assert_eq!(answer["recommendations"][0], told["recommendations"][0], "{answer}");
    let predicted = &answer["resource_prediction"];
    assert_eq!(predicted["peak_memory"], "3.0 GiB", "{answer}");
    // Failures are not among them.
    assert_eq!(predicted["based_on"], 4, "{answer}");
    assert!(answer["eta"].as_str().unwrap().contains('@'), "{answer}");
    // The command line of a run names its target, with any number of jobs.
    let home = Home::new();
    nixmon(&home, &["run", "--", "sh", "-c", "true"]).check(0, &[]);
    let past = home.server().call("build_history", json!({"target": "sh -j3 -c true"}));
    assert_eq!(
        (&past["build_history_key"], &past["sample_count"]),
        (&json!("sh -c true"), &json!(1)),
        "{past}"
    );
}

#[test]
fn a_run_is_expected_to_take_as_long_as_before() {
    let home = Home::new();
    let mut server = home.server();
    let run = json!({"command": ["sh", "-c", "sleep 20"], "name": "home"});
    let first = server.call("build_start", run.clone());
    assert_eq!((&first["eta_ms"], &first["first_run"]), (&Value::Null, &json!(true)), "{first}");
    server.call("build_stop", json!({"id": first["id"]}));
    teach(&home);
    let second = server.call("build_start", run);
    assert_eq!(second["first_run"], false, "{second}");
    let eta = second["eta_ms"].as_u64().unwrap();
    assert!((40_000..200_000).contains(&eta), "{second}");
    let bounds = (second["eta_low_ms"].as_u64().unwrap(), second["eta_high_ms"].as_u64().unwrap());
    assert!(bounds.0 < eta && eta < bounds.1, "{second}");
    assert_eq!(second["eta_note"], "from runs with other numbers of jobs", "{second}");
    // A call waits 50 s itself; the rest may pass before it.
    let before = second["wait_s"].as_u64().unwrap_or(0);
    assert_eq!(before, (eta / 1000).saturating_sub(50), "{second}");
    assert!(first["wait_s"].is_null(), "{first}");
    // Later than at the start less is left, whether its monitor has foreseen it already or not.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let status = server.call("build_status", json!({"id": second["id"]}));
    let left = status["eta_ms"].as_u64().unwrap();
    assert!(left > 0 && left < eta, "{status}, {eta}");
    assert_eq!(status["eta_note"], "from runs with other numbers of jobs", "{status}");
    let waited = server.call("build_wait", json!({"id": second["id"], "max_wait_s": 0}));
    assert!(waited["eta_ms"].as_u64().unwrap() <= left, "{waited}");
    server.call("build_stop", json!({"id": second["id"]}));
    let ended = server.call("build_status", json!({"id": second["id"]}));
    assert!(ended["eta_ms"].is_null(), "{ended}");
}

#[test]
fn an_unreadable_or_disabled_history_is_said() {
    let home = Home::new();
    teach(&home);
    home.configure("[history]\nenabled = false\n");
    let mut server = home.server();
    let started = server.call("build_start", json!({"command": ["true"], "name": "home"}));
    assert!(started["eta_ms"].is_null(), "{started}");
    assert_eq!(server.call("build_history", json!({"target": "home"}))["sample_count"], 3);
    std::fs::write(home.path().join(HISTORY), "no database. ".repeat(1000)).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(home.path().join(format!("{HISTORY}{suffix}")));
    }
    let broken = server.call("build_history", json!({"target": "home"}));
    assert_eq!(broken["note"], "the history is damaged", "{broken}");
    let broken = server.call("build_optimal_jobs", json!({"target": "home"}));
    assert_eq!(broken["note"], "the history is damaged", "{broken}");
}
