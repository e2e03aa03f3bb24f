//! Recordings of real builds: what is said at their end, of each second of one with a known truth, and of their failures.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures, and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nixmon_progress::{
    Build, Hints, Past, PastUnit, Status, Tool, causes,
    packages::{Project, Read, critical_path},
};

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// One line of a recording, or its end with the exit status.
enum Step<'t> {
    Line(Duration, &'t str),
    End(Duration, bool),
}

fn steps(text: &str) -> Vec<Step<'_>> {
    let read = |line: &'_ str| -> Option<(u64, char, usize)> {
        let digits = line.find(|c: char| !c.is_ascii_digit())?;
        Some((line[..digits].parse().ok()?, line[digits..].chars().next()?, digits + 1))
    };
    let steps = text.lines().skip(1).map(|line| {
        let (at, mark, text) = read(line).unwrap();
        let at = Duration::from_millis(at);
        if mark == '!' { Step::End(at, line.contains(": 0}")) } else { Step::Line(at, &line[text..]) }
    });
    steps.collect()
}

/// Replays a recording, and checks at each line that the percent does not fall.
fn replay(name: &str, hints: Hints) -> Build {
    let text = fixture(name);
    let mut build = Build::new(hints);
    let mut last = 0.0;
    for step in steps(&text) {
        match step {
            Step::Line(at, line) => {
                build.line(line, at);
                build.error_line(line);
                if let Some((percent, _)) = build.percent(at) {
                    assert!(percent >= last, "{name}: {last} then {percent} at {line}");
                    last = percent;
                }
            }
            Step::End(at, success) => build.end(success, at),
        }
    }
    build
}

fn summary(build: &mut Build) -> String {
    let units = build.units(Duration::MAX / 4);
    let mut texts: Vec<String> = units
        .iter()
        .map(|unit| {
            let total = unit.total.map_or_else(|| "?".to_owned(), |total| total.to_string());
            let failed = if unit.failed > 0 { format!(" -{}", unit.failed) } else { String::new() };
            format!("{} {}/{total}{failed}", unit.tool.name(), unit.done)
        })
        .collect();
    texts.sort();
    texts.join(", ")
}

#[test]
fn ends_of_recordings() {
    let hints = |jobs| Hints { jobs: Some(jobs), ..Hints::default() };
    let go = || Hints { tools: vec![Tool::Go], ..Hints::default() };
    let ninja = |status: &str| Hints { ninja_status: Some(status.to_owned()), ..Hints::default() };
    let cases: Vec<(&str, Hints, &str)> = vec![
        ("make-tree", hints(2), "make 13/?"),
        ("autotools-hello", hints(2), "autotools 72/?, make 23/?"),
        ("autotools-jansson", hints(2), "autotools 30/?, make 51/?"),
        ("cmake-jansson", hints(2), "cmake 51/?, ctest 213/213"),
        ("ninja-jansson", hints(2), "cmake 57/?, ninja 52/52"),
        ("ninja-status-jansson", ninja("[%p %f/%t %es] "), "ninja 51/51"),
        ("ninja-status-jansson", hints(2), "ninja 51/51"),
        ("ninja-status2-jansson", ninja("(%u left, %r running) %s-%t "), "ninja 51/51"),
        ("ninja-status2-jansson", hints(2), "ninja 51/51"),
        ("meson-dav1d", hints(2), "meson 26/?, meson-test 5/5, ninja 71/71"),
        ("cargo-build", Hints { cargo_units: Some(13), jobs: Some(2), ..Hints::default() }, "cargo 13/13"),
        ("cargo-json", hints(2), "cargo 26/?"),
        ("cargo-timings", hints(2), "cargo 13/?"),
        ("cargo-fetch", hints(2), "cargo-fetch 2/?"),
        ("cargo-test", hints(2), "cargo 2/?, cargo-test 10/10"),
        ("cargo-test-fail", hints(2), "cargo-test 10/10 -2"),
        ("nextest", hints(2), "nextest 8/8 -2"),
        ("ghc", hints(1), "ghc 6/6"),
        ("go-build", go(), "go 2/?"),
        ("go-x", hints(2), "go 2/?"),
        ("go-test", go(), "go-test 1/? -1"),
        ("go-test-v", go(), "go-test 4/? -1"),
        ("go-test-json", go(), "go-test 2/?"),
        ("npm-install", hints(1), "npm 113/113"),
        ("pnpm", hints(1), "pnpm 113/161"),
        ("vite", hints(1), "vite 6/6"),
        ("webpack", hints(1), "webpack 0/?"),
        ("gradle", Hints { tools: vec![Tool::Gradle], ..Hints::default() }, "gradle 11/?"),
        ("maven", hints(1), "maven 3/3"),
        ("pip", hints(1), "pip 10/?"),
        ("wheel-markupsafe", hints(1), "make 2/?, pip 22/?"),
        ("latex", hints(1), "latex 9/9"),
        ("prove", hints(1), "prove 6/6 -1"),
        ("prove-v", hints(1), "prove 6/6 -1"),
        ("pytest", hints(1), "pytest 43/43 -1"),
        ("pytest-v", hints(1), "pytest 43/43 -1"),
        ("pytest-q", Hints { tools: vec![Tool::Pytest], ..Hints::default() }, "pytest 43/? -1"),
        ("curl", hints(1), "curl 0/?"),
        ("git", hints(1), "git 5496/5496"),
    ];
    let mut wrong = Vec::new();
    for (name, hints, expected) in cases {
        let said = summary(&mut replay(&format!("{name}.nixrec"), hints));
        if said != expected {
            wrong.push(format!("{name}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines that only look like progress. They come behind the lines that open the tool, and may not move its counts.
#[test]
fn text_that_looks_like_progress_is_not_believed() {
    let cases: Vec<(Tool, &[&str], &[&str])> = vec![
        (
            Tool::Ninja,
            &["ninja: Entering directory `b'", "[1/300] Building C object CMakeFiles/a.dir/a.c.o"],
            &["[99/100] almost there", "[301/300] x", "[299/300] Building C object CMakeFiles/a.dir/z.c.o"],
        ),
        (
            Tool::CMake,
            &["[  3%] Building C object CMakeFiles/a.dir/a.c.o"],
            &["[ 90%] nearly done", "[190%] Building C object a.o"],
        ),
        (
            Tool::Make,
            &["make: Entering directory '/b'", "cc -c a.c"],
            &["cc me on this", "gcc is a compiler", "CC the list", "ar the pirates said"],
        ),
        (
            Tool::Meson,
            &["The Meson build system", "Project name: x"],
            &["Build targets in project: many", "Project name:"],
        ),
        (
            Tool::Autotools,
            &["checking for gcc... gcc"],
            &["checking the weather", "PASS the salt", "libtool is a tool"],
        ),
        (
            Tool::Cargo,
            &["   Compiling a v1.0.0"],
            &["Compiling the list v of things to do", "Compiling shaders", "Finished reading", "Fresh air"],
        ),
        (Tool::Rustc, &["rustc --crate-name a src/lib.rs"], &["rustc is a compiler", "Running `rustc`"]),
        (
            Tool::Ghc,
            &["[1 of 6] Compiling A ( A.hs, A.o )"],
            &["[7 of 6] Compiling B ( B.hs, B.o )", "[5 of 6] things are fine", "[ of ] Compiling"],
        ),
        (
            Tool::Go,
            &["WORK=/tmp/go-build12", "net/http"],
            &["and/or maybe", "http://example.org/x", "hello", "tests done: 5/7"],
        ),
        (
            Tool::Npm,
            &["added 5 packages in 3s"],
            &["added some packages", "> a quote", "added five packages in a hurry"],
        ),
        (
            Tool::Pnpm,
            &["Progress: resolved 10, reused 0, downloaded 2, added 1"],
            &["Progress: resolved all, reused 0", "Progress: 90%"],
        ),
        (
            Tool::Vite,
            &["vite v5.4.21 building for production...", "transforming (3) src/a.js"],
            &["✓ all modules transformed.", "transforming the world"],
        ),
        (
            Tool::Webpack,
            &["<s> [webpack.Progress] 10% building"],
            &["<s> [webpack.Progress] 250% x", "webpack is at 90%", "[webpack.Progress] 90% x"],
        ),
        (
            Tool::Gradle,
            &["> Task :compileJava"],
            &["> Task list follows", "> Task :compile java now please", "< nothing"],
        ),
        (
            Tool::Maven,
            &["[INFO] Scanning for projects...", "[INFO] Building a 1 [1/3]"],
            &["[INFO] Building a bridge 1 [9/3]", "[INFO] Building [3/3]", "[INFO] BUILD IS FUN"],
        ),
        (Tool::Pip, &["Collecting a"], &["Building wheel for fun", "Collecting", "Processing words"]),
        (
            Tool::Latex,
            &["This is pdfTeX, Version 3.14", "[1] [2]"],
            &["[a] (b)", "[100000000] (x", "Output written on paper"],
        ),
        (
            Tool::Bazel,
            &["INFO: Analyzed target //a:b (1 packages loaded).", "[10 / 100] Compiling a.cc"],
            &["[300 / 100] Compiling b.cc", "[x / y] z"],
        ),
        (
            Tool::CTest,
            &["Test project /b", "1/4 Test #1: a ......   Passed    0.01 sec"],
            &["4/4 Tests are fun", "9/4 Test #9: z ......   Passed    0.01 sec", "2/4 Test #2: b"],
        ),
        (
            Tool::CargoTest,
            &["     Running unittests src/lib.rs (target/x)", "running 1 test", "test a ... ok"],
            &["test of patience ... ok", "test b ... ok", "testing ... ok"],
        ),
        (
            Tool::Nextest,
            &["Starting 2 tests across 1 binaries", "PASS [   0.008s] a b"],
            &["PASS the salt", "FAIL early"],
        ),
        (
            Tool::Pytest,
            &["===== test session starts =====", "collected 4 items", "a.py .. [ 50%]"],
            &["a.py ..... [ 99%]", "loading [ 99%]", "b.py .. [ 60%]"],
        ),
        (
            Tool::GoTest,
            &["=== RUN   TestA", "--- PASS: TestA (0.00s)"],
            &["--- PASS the salt", "--- PASS: (0s)", "ok then"],
        ),
        (Tool::Prove, &["t/a.t .. ok"], &["t/b.txt .. ok", "t/ is a directory", "t/c.t . ok"]),
        (
            Tool::MesonTest,
            &["ninja: Entering directory `b'", "1/5 a OK 0.04s"],
            &["2/5 of them are OK", "9/5 x OK 0.1s", "4/5 stars"],
        ),
        (
            Tool::Curl,
            &[
                "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current",
                " 10 28.6M   10 2.9M    0     0  8192k      0  0:00:03  0:00:01  0:00:02 8191k",
            ],
            &["90 bottles of beer", "99 1 2 3 4 5 6 7 8 9 10 11"],
        ),
        (
            Tool::Git,
            &["Cloning into 'x'...", "Receiving objects:  10% (1/10)"],
            &["Receiving objects: 900% (90/10)", "Receiving guests: 90% (9/10)"],
        ),
        (
            Tool::CargoFetch,
            &["  Downloading crates ...", "  Downloaded a v1.0.0"],
            &["Downloaded everything", "Downloaded all v", "Downloading the internet"],
        ),
    ];
    let tools: BTreeSet<Tool> = cases.iter().map(|(tool, _, _)| *tool).collect();
    assert_eq!(tools.len(), Tool::ALL.len(), "each tool has a case");
    for (tool, real, spoofs) in cases {
        let mut build = Build::new(Hints::default());
        let at = Duration::from_secs(1);
        for line in real {
            build.line(line, at);
        }
        let of = |build: &mut Build| build.units(at).into_iter().find(|unit| unit.tool == tool);
        let before = of(&mut build);
        assert!(before.is_some(), "{}: not recognised: {real:?}", tool.name());
        for spoof in spoofs {
            build.line(spoof, at);
            let (now, before) = (of(&mut build).unwrap(), before.clone().unwrap());
            let counts = |unit: &nixmon_progress::Unit| {
                (unit.done, unit.total, unit.tests, unit.percent.map(|p| p as u64))
            };
            assert_eq!(counts(&now), counts(&before), "{}: believed {spoof:?}", tool.name());
        }
        // Without the tool's own lines a bare count is nobody's.
        let mut build = Build::new(Hints::default());
        spoofs.iter().for_each(|spoof| {
            build.line(spoof, at);
        });
        let percent = build.percent(at);
        assert!(percent.is_none(), "{}: {percent:?} from {spoofs:?}", tool.name());
    }
}

/// Lines of all recordings, cut, doubled, shuffled and with bytes changed: nothing panics, and every number keeps its bounds.
#[test]
fn hostile_lines() {
    let dir = format!("{}/tests/fixtures", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let texts = names.iter().filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap());
    let lines: Vec<String> = texts
        .flat_map(|text| {
            text.lines()
                .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    // A linear congruential generator: the same lines each time.
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    for round in 0..8 {
        let tools = if round % 2 == 0 { Tool::ALL.to_vec() } else { Vec::new() };
        let mut build = Build::new(Hints {
            tools,
            jobs: Some(3),
            project: (round % 3 == 0).then(fluffos),
            ..Hints::default()
        });
        let mut last = 0.0;
        for at in 0..2000 {
            let mut line: Vec<char> = lines[random(lines.len())].chars().collect();
            match random(4) {
                0 => line.truncate(random(line.len())),
                1 if !line.is_empty() => {
                    let at = random(line.len());
                    line[at] = ['9', '/', ' ', '\u{301}', '[', '%', 'é'][random(7)];
                }
                2 => line.extend(lines[random(lines.len())].chars()),
                _ => {}
            }
            let line: String = line.into_iter().collect();
            let now = Duration::from_millis(at * 50);
            build.line(&line, now);
            build.error_line(&line);
            for unit in build.units(now) {
                assert!(unit.total.is_none_or(|total| unit.done <= total), "{unit:?} after {line:?}");
                assert!(
                    unit.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)),
                    "{unit:?} after {line:?}"
                );
            }
            if let Some((percent, _)) = build.percent(now) {
                assert!(percent >= last, "{last} then {percent} after {line:?}");
                last = percent;
            }
        }
    }
}

#[test]
fn causes_of_recordings() {
    let cases: [(&str, &[&str]); 15] = [
        (
            "gcc-fail",
            &[
                "Gcc a.c:2:31 [‘undefined_name’ undeclared (first use in this function)] a -",
                "Ld b.c:-:- [undefined reference to `missing'] b -",
                "Gcc d.c:1:10 [nothere.h: No such file or directory] d -",
            ],
        ),
        ("clang-fail", &["Gcc a.c:2:31 [use of undeclared identifier 'undefined_name'] - -"]),
        ("lld-fail", &["Ld - [undefined symbol: missing] - -"]),
        (
            "javac-fail",
            &[
                "Javac A.java:1:- [incompatible types: String cannot be converted to int] - -",
                "Javac A.java:1:- [cannot find symbol] - -",
            ],
        ),
        ("python-fail", &["Python /build/c/e.py:1:- [SyntaxError: invalid syntax] - -"]),
        ("python-fail2", &["Python /build/c/g.py:1:- [ModuleNotFoundError: No module named 'nothere'] - -"]),
        ("rustc-fail", &["Rustc r.rs:1:25 [mismatched types] - -"]),
        (
            "cargo-fail",
            &["Rustc alpha/src/lib.rs:3:18 [cannot find value `undefined_thing` in this scope] - alpha"],
        ),
        ("go-fail", &["Go p1/a.go:2:11 [undefined: undefinedThing] - demo/p1"]),
        ("ghc-fail", &["Ghc Main.hs:8:15 [Variable not in scope: undefinedThing :: Int] - -"]),
        ("tsc-fail", &["Tsc src/t.ts:1:7 [TS2322: Type 'string' is not assignable to type 'number'.] - -"]),
        (
            "fluffos/make-fail",
            &[
                "Gcc /home/demo/fluffos/src/packages/sockets/socket_efuns.cc:120:34 [‘undefined_name’ was not declared in this scope; did you mean ‘get_defined_name’?] src/packages/sockets/CMakeFiles/package_sockets.dir/socket_efuns.cc.o -",
            ],
        ),
        ("make-tree", &[]),
        ("cargo-build", &[]),
        ("pip", &[]),
    ];
    let mut wrong = Vec::new();
    for (name, expected) in cases {
        let text = fixture(&format!("{name}.nixrec"));
        let steps = steps(&text);
        let lines = steps.iter().filter_map(|step| match step {
            Step::Line(_, line) => Some(*line),
            Step::End(..) => None,
        });
        let texts = causes::causes(lines, 10).into_iter().map(|cause| {
            let number = |n: Option<u32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let place = cause.place.map_or_else(
                || "-".to_owned(),
                |p| format!("{}:{}:{}", p.file, number(p.line), number(p.column)),
            );
            format!(
                "{:?} {place} [{}] {} {}",
                cause.reporter,
                cause.message,
                cause.target.as_deref().unwrap_or("-"),
                cause.package.as_deref().unwrap_or("-")
            )
        });
        let said: Vec<String> = texts.collect();
        if said != expected {
            wrong.push(format!("{name}: {said:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The file API of FluffOS, as one file of its parts.
struct FileApi(BTreeMap<String, serde_json::Value>);

impl Read for FileApi {
    fn text(&self, path: &str) -> Option<String> {
        Some(self.0.get(path.strip_prefix(".cmake/api/v1/reply/")?)?.to_string())
    }

    fn list(&self, dir: &str) -> Vec<String> {
        if dir == ".cmake/api/v1/reply" { self.0.keys().cloned().collect() } else { Vec::new() }
    }

    fn size(&self, _path: &str) -> Option<u64> {
        None
    }
}

fn fluffos() -> Project {
    let parts = serde_json::from_str(&fixture("fluffos/file-api.json")).unwrap();
    Project::read(&FileApi(parts)).unwrap()
}

/// Milliseconds by which a line may be later than what it tells.
const SLACK: u64 = 1500;

/// A file's package, path, begin and end.
type File = (String, String, u64, u64);

fn truth(name: &str) -> (u64, Vec<File>) {
    let text = fixture(&format!("fluffos/{name}.truth"));
    let mut lines = text.lines();
    let elapsed = lines.next().unwrap().split(' ').next().unwrap().parse().unwrap();
    let files = lines.map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0].to_owned(), words[1].to_owned(), words[2].parse().unwrap(), words[3].parse().unwrap())
    });
    (elapsed, files.collect())
}

fn past(name: &str) -> Option<Past> {
    let (elapsed, files) = truth(name);
    let units = files.into_iter().map(|(package, file, begin, end)| PastUnit {
        package: Some(package),
        file,
        started: Duration::from_millis(begin),
        elapsed: Duration::from_millis(end - begin),
    });
    Past::new(Duration::from_millis(elapsed), units)
}

/// Returns the mean distance of the percent from the share of time, of one snapshot a second.
fn distance(name: &str, hints: Hints) -> f64 {
    let has_project = hints.project.is_some();
    let (end, files) = truth(name);
    let text = fixture(&format!("fluffos/{name}.nixrec"));
    let mut build = Build::new(hints);
    let (mut next, mut sum, mut n, mut n_wrong) = (1000, 0.0, 0.0, 0);
    for step in steps(&text) {
        let (Step::Line(at, _) | Step::End(at, _)) = step;
        while next <= (at.as_millis() as u64).min(end) {
            let now = Duration::from_millis(next);
            if let Some((percent, _)) = build.percent(now) {
                sum += (percent - 100.0 * next as f64 / end as f64).abs();
                n += 1.0;
            }
            // Every third second, since a debug build is slow.
            let packages = if next % 3000 == 0 { build.packages(now) } else { Vec::new() };
            for package in &packages {
                let of: Vec<&File> = files.iter().filter(|(of, ..)| *of == package.name).collect();
                let (Some(begun), Some(ended)) = (of.iter().map(|f| f.2).min(), of.iter().map(|f| f.3).max())
                else {
                    continue;
                };
                let is_right = match package.status {
                    Status::Queued => next <= begun + SLACK,
                    Status::Compiling => next + SLACK >= begun && next <= ended + SLACK,
                    _ => next + SLACK >= ended,
                };
                n_wrong += usize::from(!is_right);
            }
            for package in packages.iter().filter(|package| package.status == Status::Built) {
                let late = files.iter().find(|(of, _, _, end)| *of == package.name && *end > next + 1500);
                assert!(late.is_none(), "{name}: {} built at {next}, but {late:?}", package.name);
            }
            next += 1000;
        }
        match step {
            Step::Line(at, line) => {
                build.line(line, at);
            }
            Step::End(at, success) => build.end(success, at),
        }
    }
    assert!(n * 2000.0 >= end as f64, "{name}: a percent in half of all snapshots");
    for package in build.packages(Duration::from_millis(end)) {
        let n_files = files.iter().filter(|(of, ..)| *of == package.name).count() as u64;
        if n_files > 0 {
            assert_eq!((package.done, package.status), (n_files, Status::Built), "{name}: {}", package.name);
        }
    }
    // Where package_develop begins before a package that it only links, ninja's choice is not foreseen. Without a project it
    // is not known which file is a package's last.
    assert!(n_wrong <= 6 || !has_project, "{name}: {n_wrong} states of packages are wrong");
    sum / n
}

#[test]
fn percent_of_fluffos() {
    let cases: [(&str, bool, Option<&str>, f64); 6] = [
        ("make", true, None, 10.0),
        ("ninja", true, None, 10.0),
        ("ninja", false, None, 38.0),
        ("make", true, Some("ninja"), 8.0),
        ("ninja", true, Some("make"), 8.0),
        ("make", true, Some("make"), 2.0),
    ];
    for (name, has_project, other, most) in cases {
        let hints = Hints {
            jobs: Some(2),
            project: has_project.then(fluffos),
            past: other.and_then(past),
            ..Hints::default()
        };
        let distance = distance(name, hints);
        assert!(distance <= most, "{name} {has_project} {other:?}: {distance:.1} points");
    }
}

#[test]
fn failure_of_fluffos() {
    let hints = Hints { jobs: Some(2), project: Some(fluffos()), ..Hints::default() };
    let build = replay("fluffos/make-fail.nixrec", hints);
    let causes = build.causes();
    let cause = causes.first().unwrap();
    let place = cause.place.as_ref().unwrap();
    assert_eq!(
        (place.file.as_str(), place.line, place.column),
        ("/home/demo/fluffos/src/packages/sockets/socket_efuns.cc", Some(120), Some(34))
    );
    assert_eq!(cause.package.as_deref(), Some("package_sockets"));
    let failed: Vec<String> = build
        .packages(Duration::ZERO)
        .into_iter()
        .filter(|package| package.status == Status::Failed)
        .map(|p| p.name)
        .collect();
    assert_eq!(failed, ["package_sockets"]);
    let packages = build.packages(Duration::ZERO);
    let driver = packages.iter().find(|package| package.name == "driver").unwrap();
    assert_eq!(driver.health, nixmon_progress::Health::Blocked);
}

#[test]
fn critical_path_of_fluffos() {
    let project = fluffos();
    let path = critical_path(&project, |_| Duration::from_secs(1));
    assert_eq!(path.packages.len() as u64, path.total.as_secs(), "{path:?}");
    for pair in path.packages.windows(2) {
        let target = project.target(&pair[1]).unwrap();
        assert!(target.depends_on.contains(&pair[0]), "{pair:?}");
    }
    assert!(path.packages.len() >= 4, "{path:?}");
}
