//! Packages of real projects: CMake with ninja and with make, a cargo workspace, and a Nix graph.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::ran::Ran;
use crate::common::require::require;
use crate::common::world::World;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NIXMON: &str = env!("CARGO_BIN_EXE_nixmon");
/// File in which a configure finds the question of nixmon.
const QUERY: &str = ".cmake/api/v1/query/client-nixmon/query.json";

/// A project in a directory of its own, and a home without a history.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            let path = place.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(place.path("")).unwrap();
        place
    }

    /// A library of C, one of C++ that needs it, and a program that needs both; beside them a program of its own.
    pub(crate) fn with_cmake() -> Self {
        Self::with(&[
            (
                "CMakeLists.txt",
                "cmake_minimum_required(VERSION 3.16)\nproject(demo C CXX)\n\
                 add_library(base STATIC src/b1.c src/b2.c src/b3.c)\n\
                 add_library(mid STATIC src/m1.cc src/m2.cc)\ntarget_link_libraries(mid base)\n\
                 add_executable(app src/main.cc)\ntarget_link_libraries(app mid)\n\
                 add_executable(tool src/t.c)\n\
                 add_library(spare STATIC EXCLUDE_FROM_ALL src/b1.c)\n",
            ),
            (
                "CMakePresets.json",
                r#"{"version":3,"configurePresets":[{"name":"fast","generator":"Ninja","binaryDir":"${sourceDir}/out/${presetName}"}]}"#,
            ),
            ("src/b1.c", "int b1(void) { return 1; }\n"),
            ("src/b2.c", "int b2(void) { return 2; }\n"),
            ("src/b3.c", "int b3(void) { return 3; }\n"),
            (
                "src/m1.cc",
                "#include <string>\nextern \"C\" int b1(void);\nint m1() { return b1() + std::string(\"a\").size(); }\n",
            ),
            ("src/m2.cc", "#include <map>\nint m2() { return std::map<int, int>{{1, 2}}.size(); }\n"),
            ("src/main.cc", "int m1();\nint m2();\nint main() { return m1() + m2() - 3; }\n"),
            ("src/t.c", "int main(void) { return 0; }\n"),
        ])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("project").join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(NIXMON);
        command
            .args(args)
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("MAKEFLAGS")
            .env_remove("CMAKE_GENERATOR")
            .current_dir(self.path(""))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Returns the packages as JSON, which is valid by the schema.
    pub(crate) fn packages(&self, args: &[&str]) -> Value {
        let ran = self.run(&[&["packages", "--json"], args].concat());
        ran.check(0, &[]);
        valid(&ran.out)
    }
}

pub(crate) fn valid(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let schema: Value =
        serde_json::from_str(&fs::read_to_string("docs/packages.schema.json").unwrap()).unwrap();
    if let Err(error) = jsonschema::validator_for(&schema).unwrap().validate(&value) {
        panic!("{error}: {value}");
    }
    value
}

/// Returns `name: files -> needs` of the packages that are built.
fn built(record: &Value) -> Vec<String> {
    let rows = record["packages"].as_array().unwrap().iter().filter(|row| row["is_built"] == true);
    let row = |row: &Value| {
        let needs: Vec<&str> =
            row["depends_on"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!(
            "{}: {} -> {}",
            row["name"].as_str().unwrap(),
            row["sources"].as_array().unwrap().len(),
            needs.join(" ")
        )
    };
    rows.map(row).collect()
}

#[test]
fn cmake_is_asked_before_a_configure_and_answers() {
    let (Some(_), Some(_)) = (require("cmake"), require("ninja")) else { return };
    let place = Place::with_cmake();
    place.run(&["packages"]).check(0, &["CMakeLists.txt files, conditions not evaluated", "app"]);
    // What nixmon does not run is left alone.
    let filtered = Command::new("sh")
        .args(["-c", &format!("cmake -B plain -G Ninja 2>&1 | {NIXMON}")])
        .current_dir(place.path(""))
        .env("XDG_STATE_HOME", place.dir.path().join("state"))
        .output();
    assert!(filtered.unwrap().status.success());
    assert!(place.path("plain/build.ninja").exists() && !place.path("plain").join(QUERY).exists());
    place.run(&["run", "--", "cmake", "-B", "build", "-G", "Ninja"]).check(0, &[]);
    assert!(place.path("build").join(QUERY).exists());
    let record = place.packages(&[]);
    assert_eq!(record["origin"], "cmake-file-api");
    assert_eq!(record["place"], place.path("build").to_str().unwrap());
    assert_eq!(built(&record), ["app: 1 -> base mid", "base: 3 -> ", "mid: 2 -> base", "tool: 1 -> "]);
    assert_eq!(record["critical_path"]["packages"], json!(["base", "mid", "app"]));
    // Named by a preset; it is the newest then.
    place.run(&["run", "--", "cmake", "--preset", "fast"]).check(0, &[]);
    let record = place.packages(&[]);
    assert_eq!(record["origin"], "cmake-file-api");
    assert_eq!(record["place"], place.path("out/fast").to_str().unwrap());
    assert_eq!(record["other_places"], json!([place.path("build").to_str().unwrap()]));
    let ran = place.run(&["packages", "build", "--sources"]);
    ran.check(
        0,
        &["4 packages of 7 files in build", "longest chain, ~", "base → mid → app", "src/b2.c  27 B"],
    );
}

#[test]
fn a_question_that_cannot_be_placed_is_no_hindrance() {
    let (Some(_), Some(_)) = (require("cmake"), require("ninja")) else { return };
    let place = Place::with_cmake();
    fs::create_dir(place.path("build")).unwrap();
    fs::write(place.path("build/.cmake"), "in the way").unwrap();
    // CMake itself wants that directory for nothing else.
    place.run(&["run", "--", "cmake", "-B", "build", "-G", "Ninja"]).check(0, &[]);
    assert_eq!(place.packages(&["build"])["origin"], "ninja-file");
}

#[test]
fn ninja_files_and_makefiles_say_the_same() {
    let (Some(cmake), Some(_), Some(_)) = (require("cmake"), require("ninja"), require("make")) else {
        return;
    };
    let place = Place::with_cmake();
    for (dir, generator, origin) in
        [("build", "Ninja", "ninja-file"), ("cmake-build-debug", "Unix Makefiles", "makefiles")]
    {
        let configured = Command::new(&cmake)
            .args(["-B", dir, "-G", generator])
            .env_remove("MAKEFLAGS")
            .current_dir(place.path(""))
            .output();
        assert!(configured.unwrap().status.success());
        let record = place.packages(&[dir]);
        assert_eq!(record["origin"], origin);
        let rows = built(&record);
        // The linker's needs alone are here, or all.
        let names: Vec<&str> = rows.iter().filter_map(|row| row.split(" ->").next()).collect();
        assert_eq!(names, ["app: 1", "base: 3", "mid: 2", "tool: 1"], "{origin}");
        assert_eq!(record["critical_path"]["packages"], json!(["base", "mid", "app"]), "{origin}");
    }
}

#[test]
fn crates_of_a_workspace() {
    let place = Place::with(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"lib\", \"app\", \"aside\"]\nresolver = \"2\"\n"),
        ("lib/Cargo.toml", "[package]\nname = \"demo-lib\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
        ("lib/src/lib.rs", "pub fn one() -> u32 { 1 }\n"),
        (
            "app/Cargo.toml",
            "[package]\nname = \"demo-app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ndemo-lib = { path = \"../lib\" }\n",
        ),
        ("app/src/main.rs", "fn main() { assert_eq!(demo_lib::one(), 1); }\n"),
        (
            "aside/Cargo.toml",
            "[package]\nname = \"demo-aside\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nno-such-crate-anywhere = { version = \"1\", optional = true }\n",
        ),
        ("aside/src/lib.rs", ""),
    ]);
    let expected = ["demo-app: 1 -> demo-lib", "demo-aside: 1 -> ", "demo-lib: 1 -> "];
    // The lock file would need a registry; the manifests say enough.
    let record = place.packages(&[]);
    assert_eq!(record["origin"], "cargo-metadata");
    assert_eq!(built(&record), expected);
    assert!(!place.path("Cargo.lock").exists());
    let manifest = place.path("aside/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.split("[dependencies]").next().unwrap()).unwrap();
    let ran = Command::new(env!("CARGO")).args(["build", "--offline"]).current_dir(place.path("")).output();
    assert!(ran.unwrap().status.success());
    assert_eq!(built(&place.packages(&[])), expected);
    let record = place.packages(&["app"]);
    assert_eq!(record["critical_path"]["packages"], json!(["demo-lib", "demo-app"]));
    // Of a directory inside a crate, too.
    assert_eq!(built(&place.packages(&["app/src"])), expected);
    place
        .run(&["packages"])
        .check(0, &["3 packages of 3 files in this directory (from cargo metadata)", "Rust"]);
    fs::write(place.path("Cargo.toml"), "[workspace\n").unwrap();
    place.run(&["packages"]).check(1, &["cargo metadata does not tell the packages of"]);
}

const GRAPH: &str = r#"
let
  make = name: attributes: derivation ({
    inherit name;
    system = "@system@";
    builder = "/bin/sh";
    args = [ "-c" "echo x > $out" ];
  } // attributes);
  source = make "source" { a = 1; };
  lib = make "lib-1.0" { inherit source; };
in make "app-2.1" { inherit lib; source = make "source" { a = 2; }; }
"#;
const FLAKE: &str = r#"{ outputs = _: { packages.@system@.default = import ./default.nix; }; }"#;

#[test]
fn derivations_of_a_nix_graph() {
    let Some(world) = World::with_files(None, &[("default.nix", GRAPH), ("flake.nix", FLAKE)]) else {
        return;
    };
    let nixmon = |args: &[&str]| Ran::of(world.command(NIXMON).arg("packages").args(args).output().unwrap());
    let instantiated = Ran::of(world.run(&["nix-instantiate", "default.nix"]));
    let drv = instantiated.out.trim();
    assert!(Path::new(drv).exists(), "{drv}");
    for place in [drv, "path:.", "path:.#default", &format!("{drv}^out")] {
        let ran = nixmon(&["--json", place]);
        ran.check(0, &[]);
        let record = valid(&ran.out);
        assert_eq!((&record["origin"], &record["place"]), (&json!("derivations"), &json!(place)));
        let rows = record["packages"].as_array().unwrap();
        let names: Vec<&str> = rows
            .iter()
            .map(|row| row["name"].as_str().unwrap().trim_start_matches(char::is_alphanumeric))
            .collect();
        assert_eq!(rows.len(), 4, "{names:?}");
        let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row("app-2.1")["derivation"], drv);
        let needs = row("app-2.1")["depends_on"].as_array().unwrap();
        assert_eq!(needs.len(), 2);
        // Two derivations are called source.
        assert!(needs.iter().any(|name| name == "lib-1.0"), "{needs:?}");
        assert!(needs.iter().any(|name| name.as_str().unwrap().ends_with("-source")), "{needs:?}");
        let chain: Vec<&str> = record["critical_path"]["packages"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(
            chain.len() == 3 && chain[0].ends_with("-source") && chain[1..] == ["lib-1.0", "app-2.1"],
            "{chain:?}"
        );
    }
    nixmon(&[drv]).check(0, &["4 derivations in", "(from .drv files)", "longest chain: "]);
    nixmon(&[".#nothing"]).check(1, &["nix does not tell the packages of .#nothing: "]);
    nixmon(&["/nowhere/x.drv"]).check(1, &["cannot read /nowhere/x.drv"]);
    // With a flake there is something to name.
    nixmon(&[]).check(66, &["no packages found in", "nixmon packages .#default"]);
}
