//! Packages of real builds while they run and afterwards: CMake by make and by ninja, cargo, and Nix.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::ran::Ran;
use crate::common::require::require;
use crate::common::world::World;
use crate::packages::{NIXMON, Place, valid};
use serde_json::{Value, json};

/// Configures a project with a generator.
fn configure(place: &Place, generator: &str) {
    place.run(&["run", "--", "cmake", "-B", "build", "-G", generator]).check(0, &[]);
}

/// Returns `name status done/total health` of each package of the newest run, or of one.
fn packages(place: &Place, run: &[&str]) -> Vec<String> {
    let ran = place.run(&[&["status", "--packages", "--json"], run].concat());
    ran.check(0, &[]);
    rows(&valid(&ran.out))
}

fn rows(record: &Value) -> Vec<String> {
    let row = |row: &Value| {
        let word = |name: &str| row[name].as_str().unwrap().to_owned();
        format!("{} {} {}/{} {}", word("name"), word("status"), row["done"], row["total"], word("health"))
    };
    record["packages"].as_array().unwrap().iter().map(row).collect()
}

/// Returns the past of a package with the only setting that is known.
fn past(place: &Place, name: &str) -> Value {
    let ran = place.run(&["history", "packages", name, "--json"]);
    ran.check(0, &[]);
    let record = valid(&ran.out);
    let times = record["packages"][0]["times"].as_array().unwrap();
    assert_eq!(times.len(), 1, "{record}");
    times[0].clone()
}

/// Calls a tool of `nixmon mcp`, and returns the answer and its length in bytes.
#[cfg(feature = "mcp")]
fn call(place: &Place, tool: &str, arguments: Value) -> (Value, usize) {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;

    let mut server = place.command(&["mcp"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = server.stdin.take().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}),
    ] {
        writeln!(stdin, "{message}").unwrap();
    }
    let answer = loop {
        let message: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if message["id"] == 2 {
            break message;
        }
    };
    drop(stdin);
    server.wait().unwrap();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(answer["result"]["structuredContent"], value);
    (value, text.len())
}

#[test]
fn a_make_build_is_told_by_packages_and_remembered() {
    let (Some(_), Some(_)) = (require("cmake"), require("make")) else { return };
    let place = Place::with_cmake();
    configure(&place, "Unix Makefiles");
    place.run(&["status", "--packages"]).check(0, &["no packages were seen in this run"]);
    place.run(&["run", "--name", "demo", "--", "cmake", "--build", "build", "-j2"]).check(0, &["Complete"]);
    let expected = ["app built 1/1 ok", "base built 3/3 ok", "mid built 2/2 ok", "tool built 1/1 ok"];
    let told = packages(&place, &["demo"]);
    let of_build: Vec<&str> =
        told.iter().map(String::as_str).filter(|row| !row.starts_with("spare")).collect();
    assert_eq!(of_build, expected);
    place
        .run(&["status", "--packages"])
        .check(0, &["(demo: cmake --build build -j2)", "✓ mid", "built", "2/2"]);
    let times = past(&place, "mid");
    assert_eq!(
        (&times["samples"], &times["jobs"], &times["typical_files"]),
        (&json!(1), &json!(2), &json!(2))
    );
    assert_eq!((&times["extent"], &times["target"]), (&json!("full"), &json!("demo")));
    assert_eq!(times["bottleneck_files"].as_array().unwrap().len(), 2);
    place.run(&["history", "packages"]).check(0, &["PACKAGE", "mid", "base"]);
    place.run(&["history", "packages", "nothing"]).check(66, &["no successful build of a package nothing"]);
    let record = place.packages(&[]);
    let row = record["packages"].as_array().unwrap().iter().find(|row| row["name"] == "mid").unwrap();
    assert_eq!((&row["expected_from"], &row["samples"]), (&json!("history"), &json!(1)));
    #[cfg(feature = "mcp")]
    {
        let (answer, len) =
            call(&place, "build_package_history", json!({"package_name": "mid", "job_count": 2}));
        assert!(len <= 400, "{answer}");
        assert_eq!(answer["build_history_key"], "demo_j2");
        let told = &answer["package_history"];
        assert_eq!((&told["sample_count"], &told["typical_files"]), (&json!(1), &json!(2)));
        assert!(told["avg_duration"].is_number() && told["confidence"] == 0.33, "{told}");
        assert_eq!(told["bottleneck_files"].as_array().unwrap().len(), 2);
        assert!(answer.get("note").is_none(), "{answer}");
        let (answer, _) =
            call(&place, "build_package_history", json!({"package_name": "mid", "job_count": 9}));
        assert_eq!(answer["note"], "no build with that many jobs is known; these had 2");
        let (answer, _) = call(&place, "build_package_history", json!({"package_name": "nothing"}));
        assert_eq!(answer["package_history"], Value::Null);
        let (answer, len) =
            call(&place, "build_package_status", json!({"session_id": "demo", "detail": "full"}));
        assert!(len <= 8192, "{len}");
        assert_eq!(
            (&answer["active_packages"], &answer["build_history_key"]),
            (&json!([]), &json!("demo_j2"))
        );
        let packages = answer["build_progress"]["packages"].as_array().unwrap();
        assert!(packages.iter().any(|row| row["name"] == "mid" && row["status"] == "built"), "{answer}");
    }
    // A build of one file of two says nothing about a full one.
    fs::write(place.path("src/b1.c"), "int b1(void) { return 0 + 1; }\n").unwrap();
    place.run(&["run", "--name", "demo", "--", "cmake", "--build", "build", "-j2"]).check(0, &["Complete"]);
    let ran = place.run(&["history", "packages", "base", "--json"]);
    let record = valid(&ran.out);
    let extents: Vec<(&Value, &Value)> = record["packages"][0]["times"]
        .as_array()
        .unwrap()
        .iter()
        .map(|times| (&times["extent"], &times["typical_files"]))
        .collect();
    assert_eq!(extents, [(&json!("full"), &json!(3)), (&json!("incremental"), &json!(1))]);
}

#[test]
fn a_package_that_fails_blocks_those_that_need_it() {
    let (Some(_), Some(_)) = (require("cmake"), require("make")) else { return };
    let place = Place::with_cmake();
    fs::write(place.path("src/m2.cc"), "int m2() { return missing; }\n").unwrap();
    configure(&place, "Unix Makefiles");
    place.run(&["run", "--", "cmake", "--build", "build", "-j1"]).check(2, &[]);
    let told = packages(&place, &[]);
    let of = |name: &str| told.iter().find(|row| row.starts_with(name)).unwrap().clone();
    assert!(of("mid").starts_with("mid failed") && of("mid").ends_with("failed"), "{told:?}");
    assert_eq!(of("app"), "app queued 0/1 blocked");
    assert_eq!(of("base"), "base built 3/3 ok");
    let ran = place.run(&["status", "--packages"]);
    ran.check(0, &["✗ mid"]);
    // What failed stands first.
    let table: Vec<&str> = ran.out.lines().skip_while(|line| !line.contains("mid  ")).collect();
    assert!(table[0].starts_with("✗ mid"), "{}", ran.out);
    // It teaches nothing.
    place.run(&["history", "packages", "mid"]).check(66, &["no successful build"]);
    assert_eq!(past(&place, "base")["samples"], 1);
}

#[test]
fn ninja_writes_down_the_times_of_files() {
    let (Some(_), Some(_)) = (require("cmake"), require("ninja")) else { return };
    let place = Place::with_cmake();
    configure(&place, "Ninja");
    place.run(&["run", "--", "ninja", "-C", "build", "-j1"]).check(0, &["Complete"]);
    let log = fs::read_to_string(place.path("build/.ninja_log")).unwrap();
    let times: BTreeMap<&str, (u64, u64)> = log
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let (start, end): (u64, u64) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
            (fields[3], (start, end - start))
        })
        .collect();
    let ran = place.run(&["history", "export"]);
    let units: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let units: BTreeMap<&str, (u64, u64)> = units
        .iter()
        .filter(|line| line["type"] == "unit")
        .map(|unit| {
            let ms = |name: &str| unit[name].as_u64().unwrap();
            (unit["file"].as_str().unwrap(), (ms("started_ms"), ms("elapsed_ms")))
        })
        .collect();
    let root = place.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    for (source, object) in [
        ("src/b1.c", "CMakeFiles/base.dir/src/b1.c.o"),
        ("src/m2.cc", "CMakeFiles/mid.dir/src/m2.cc.o"),
        ("src/main.cc", "CMakeFiles/app.dir/src/main.cc.o"),
    ] {
        assert_eq!(units.get(format!("{root}/{source}").as_str()), times.get(object), "{source}: {units:?}");
    }
    assert_eq!(units.get("libbase.a"), times.get("libbase.a"));
}

#[test]
fn crates_are_told_and_remembered() {
    let place = Place::with(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"lib\", \"app\"]\nresolver = \"2\"\n"),
        ("lib/Cargo.toml", "[package]\nname = \"demo-lib\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
        ("lib/src/lib.rs", "pub fn one() -> u32 { 1 }\n"),
        (
            "app/Cargo.toml",
            "[package]\nname = \"demo-app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ndemo-lib = { path = \"../lib\" }\n",
        ),
        ("app/src/main.rs", "fn main() { assert_eq!(demo_lib::one(), 1); }\n"),
    ]);
    let cargo = env!("CARGO");
    let mut command = place.command(&["run", "--", cargo, "build", "--offline", "--timings", "-j1"]);
    // The tests' own cargo has set them.
    for name in ["CARGO_TARGET_DIR", "CARGO_TERM_QUIET", "CARGO_BUILD_JOBS", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    Ran::of(command.output().unwrap()).check(0, &["Complete"]);
    let told = packages(&place, &[]);
    // cargo may have told its crates too late for their totals.
    let told: Vec<&str> = told.iter().filter_map(|row| row.split('/').next()).collect();
    assert_eq!(told, ["demo-app built 1", "demo-lib built 1"]);
    let times = past(&place, "demo-lib");
    assert_eq!((&times["samples"], &times["jobs"]), (&json!(1), &json!(1)));
    // The report has hundredths of a second, and the lines of cargo come whole.
    let report = fs::read_to_string(place.path("target/cargo-timings/cargo-timing.html")).unwrap();
    let (_, data) = report.split_once("UNIT_DATA = ").unwrap();
    let units = serde_json::Deserializer::from_str(data).into_iter::<Value>().next().unwrap().unwrap();
    let unit = units.as_array().unwrap().iter().find(|unit| unit["name"] == "demo-lib").unwrap();
    let ms = (unit["duration"].as_f64().unwrap() * 1000.0).round() as u64;
    assert_eq!(times["median_ms"], ms, "{unit}");
}

#[test]
fn packages_that_are_being_built_are_told() {
    let place = Place::with(&[("done.txt", "")]);
    let script = "printf '[1/9] Building C object CMakeFiles/core.dir/a.c.o\\n[2/9] Building C object CMakeFiles/core.dir/b.c.o\\n'; \
        while [ ! -e stop ]; do sleep 0.05; done";
    place.run(&["start", "--name", "slow", "--", "sh", "-c", script]).check(0, &[]);
    let begun = Instant::now();
    loop {
        let told = packages(&place, &["slow"]);
        if !told.is_empty() {
            assert_eq!(told, ["core compiling 2/null ok"]);
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no package is told");
        sleep(Duration::from_millis(100));
    }
    #[cfg(feature = "mcp")]
    {
        let (answer, len) = call(&place, "build_package_status", json!({"session_id": "slow"}));
        assert!(len <= 400, "{len}: {answer}");
        assert_eq!(answer["active_packages"], json!(["core"]));
        let progress = &answer["build_progress"];
        assert_eq!(progress["critical_path"], json!(["core"]));
        assert_eq!(
            (&progress["packages"][0]["status"], &progress["packages"][0]["done"]),
            (&json!("compiling"), &json!(2))
        );
        assert!(answer.get("note").is_none());
    }
    fs::write(place.path("stop"), "").unwrap();
    place.run(&["wait", "slow", "--timeout", "60s"]).check(0, &[]);
    assert_eq!(packages(&place, &["slow"]), ["core built 2/null ok"]);
}

const GRAPH: &str = r#"
let
  make = name: script: attributes: derivation ({
    inherit name;
    system = "@system@";
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // attributes);
  lib = make "lib-1.0" "echo x > $out" { };
  bad = make "bad-0.1" "echo no; exit 3" { inherit lib; };
in {
  good = make "app-2.1" "echo x > $out" { inherit lib; };
  top = make "top-1.0" "echo x > $out" { inherit bad; };
}
"#;

#[test]
fn packages_of_a_nix_build_are_derivations() {
    let Some(world) = World::with_files(None, &[("default.nix", GRAPH)]) else { return };
    let nixmon = |args: &[&str]| Ran::of(world.command(NIXMON).args(args).output().unwrap());
    let status = || {
        let ran = nixmon(&["status", "--packages", "--json"]);
        ran.check(0, &[]);
        let record = valid(&ran.out);
        assert_eq!(record["are_derivations"], true);
        record
    };
    nixmon(&["run", "--", "nix-build", "default.nix", "-A", "good", "--no-out-link"]).check(0, &["2 built"]);
    let record = status();
    assert_eq!(rows(&record), ["app-2.1 built 0/null ok", "lib-1.0 built 0/null ok"]);
    assert_eq!(record["packages"][0]["depends_on"], json!(["lib-1.0"]));
    nixmon(&["run", "--", "nix-build", "default.nix", "-A", "top", "--no-out-link"]).check(100, &["bad-0.1"]);
    assert_eq!(rows(&status()), ["bad-0.1 failed 0/null failed", "top-1.0 queued 0/null blocked"]);
    nixmon(&["status", "--packages"]).check(0, &["✗ bad-0.1", "blocked"]);
    nixmon(&["history", "packages", "lib"]).check(0, &["lib (derivation)", "1 build"]);
}

#[test]
fn without_a_history_packages_are_told_all_the_same() {
    let Some(_) = require("cmake") else { return };
    let place = Place::with_cmake();
    place.run(&["history", "packages"]).check(66, &["there is no history yet"]);
    let ran = Command::new(NIXMON).args(["packages", "--help"]).output().unwrap();
    Ran::of(ran).check(0, &["nixmon packages .#hello"]);
    let record = place.packages(&[]);
    assert!(record["packages"].as_array().unwrap().iter().all(|row| row["samples"] == Value::Null));
}
