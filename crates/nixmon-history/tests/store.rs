//! The history on disk: what is written is read again, by several processes, over kills, damage, newer formats and full disks.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the history is files, and other processes write it")]

use std::path::{Path, PathBuf};

use nixmon_history::estimate::{CachePast, Estimator, Plan};
use nixmon_history::export::export;
use nixmon_history::import::{ImportError, import};
use nixmon_history::record::{
    BuildOutcome, BuildRecord, DownloadRecord, PackageRecord, PhaseRecord, PredictionRecord, Resources,
    RunOutcome, RunRecord, UnitRecord, format_moment,
};
use nixmon_history::store::{Batch, Notice, Recorder, Retention, RunFilter, Store, StoreError};

const DAY: i64 = 86_400_000;

fn db() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/history.db");
    (dir, path)
}

fn open(path: &Path) -> Store {
    let (store, notice) = Store::open(path, 0).unwrap();
    assert_eq!(notice, None);
    store
}

fn run(id: &str, started_ms: i64) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        target: Some("home".to_owned()),
        host: Some("here".to_owned()),
        system: Some("x86_64-linux".to_owned()),
        max_jobs: Some(2),
        started: format_moment(started_ms),
        ..RunRecord::default()
    }
}

fn build(name: &str, started_ms: u64, elapsed_ms: u64) -> BuildRecord {
    BuildRecord {
        name: name.to_owned(),
        system: Some("x86_64-linux".to_owned()),
        started_ms,
        elapsed_ms,
        ..BuildRecord::default()
    }
}

fn done(record: &RunRecord, elapsed_ms: u64) -> RunRecord {
    RunRecord { elapsed_ms: Some(elapsed_ms), outcome: RunOutcome::Success, ..record.clone() }
}

/// Every column that there is, with something in it.
fn full_batch() -> Batch {
    let digest = |c: &str| c.repeat(32);
    Batch {
        builds: vec![
            BuildRecord { drv: Some(digest("a")), ..build("lib-1.0", 0, 1000) },
            BuildRecord {
                drv: Some(digest("b")),
                machine: Some("far".to_owned()),
                outcome: BuildOutcome::Failed,
                needs: vec![digest("a")],
                phases: vec![PhaseRecord {
                    name: "buildPhase".to_owned(),
                    started_ms: 1100,
                    elapsed_ms: 800,
                }],
                log_bytes: Some(77),
                concurrency: Some(1.5),
                resources: Some(Resources {
                    cpu_s: Some(1.25),
                    peak_rss_bytes: Some(9 << 30),
                    source: "cgroup".to_owned(),
                    complete: true,
                }),
                ..build("app-2.1", 1000, 2000)
            },
        ],
        downloads: vec![DownloadRecord {
            cache: "https://cache.nixos.org".to_owned(),
            name: Some("glibc-2.40".to_owned()),
            bytes: 5_000_000,
            started_ms: 10,
            elapsed_ms: 500,
            ..DownloadRecord::default()
        }],
        units: vec![UnitRecord {
            package: Some("core".to_owned()),
            file: "a.cc".to_owned(),
            stage: Some("compile".to_owned()),
            started_ms: 5,
            elapsed_ms: 50,
            ..UnitRecord::default()
        }],
        packages: vec![PackageRecord {
            name: "core".to_owned(),
            started_ms: 5,
            elapsed_ms: 500,
            files: 3,
            files_total: Some(9),
            compile_ms: Some(450),
            link_ms: Some(50),
            ..PackageRecord::default()
        }],
        predictions: vec![PredictionRecord {
            percent: 50,
            at_ms: 1500,
            remaining_ms: 1600,
            low_ms: 1000,
            high_ms: 2500,
            coverage: 0.8,
            by_count_ms: Some(3000),
            by_sum_ms: Some(4000),
            by_share_ms: None,
            by_chain_ms: Some(1),
            ..PredictionRecord::default()
        }],
    }
}

#[test]
fn what_is_written_is_read_again() {
    let (_dir, path) = db();
    let mut store = open(&path);
    let record = RunRecord {
        command: Some("nix build".to_owned()),
        kind: Some("nix".to_owned()),
        nix_version: Some("2.36.0".to_owned()),
        cores: Some(8),
        tool_jobs: Some(3),
        evaluation_ms: Some(1),
        downloads_ms: Some(2),
        builds_ms: Some(3),
        activation_ms: Some(4),
        built: Some(1),
        failed: Some(1),
        downloaded: Some(1),
        downloaded_bytes: Some(5_000_000),
        resources: Some(Resources {
            cpu_s: Some(3.0),
            peak_rss_bytes: Some(1),
            source: "tree".to_owned(),
            complete: false,
        }),
        source: Some("nixmon".to_owned()),
        ..done(&run("r1", DAY), 3000)
    };
    let id = store.begin_run(&run("r1", DAY)).unwrap();
    assert_eq!(store.begin_run(&run("r1", DAY)).unwrap(), id, "a run begins once");
    let batch = full_batch();
    store.add(id, &batch).unwrap();
    store.finish_run(id, &record).unwrap();

    let store = Store::open_read_only(&path).unwrap();
    let stored = store.run(id).unwrap().unwrap();
    assert_eq!((stored.started_ms, &stored.record), (DAY, &record));
    let clear = |b: BuildRecord| BuildRecord { run: String::new(), ..b };
    let mut expected = batch.builds.clone();
    expected[0].concurrency = Some(1.0);
    assert_eq!(store.builds(&stored).unwrap().into_iter().map(clear).collect::<Vec<_>>(), expected);
    assert_eq!(store.downloads(&stored).unwrap()[0].bytes, 5_000_000);
    assert_eq!(store.units(&stored).unwrap()[0].file, "a.cc");
    assert_eq!(store.packages(&stored).unwrap()[0].files_total, Some(9));
    assert_eq!(store.predictions(&stored).unwrap()[0].by_chain_ms, Some(1));
    let foretold = store.foretold(Some("home"), 10).unwrap();
    assert_eq!(
        (foretold[0].truth_ms, foretold[0].simple_ms),
        (1500, [Some(3000), Some(4000), None, Some(1)])
    );
    let past = store.past(&["app", "lib", "nothing"]).unwrap();
    assert_eq!((past.samples.len(), past.runs.len(), past.downloads.len()), (2, 1, 1));
    let downloads = store.downloads(&stored).unwrap();
    let cache =
        CachePast { cache: downloads[0].cache.clone(), bytes: 5_000_000, busy_ms: downloads[0].elapsed_ms };
    assert_eq!(past.caches, [cache]);
    assert_eq!(store.target_past("home", "here").unwrap().runs[0].activation_ms, Some(4));
    let spans = store.spans(&stored).unwrap();
    assert_eq!((spans[1].needs.clone(), spans[1].peak_bytes), (vec![0], Some(9 << 30)));
}

#[test]
fn an_export_imported_twice_is_there_once() {
    let (_dir, path) = db();
    let mut store = open(&path);
    for i in 0..3 {
        let record = run(&format!("r{i}"), DAY * i);
        let id = store.begin_run(&record).unwrap();
        store.add(id, &full_batch()).unwrap();
        store.finish_run(id, &done(&record, 3000)).unwrap();
    }
    let mut lines = Vec::new();
    let n = export(&store, &RunFilter::default(), &mut lines).unwrap();
    assert_eq!(n, 1 + 3 * 7);

    let (_other, other) = db();
    let mut copy = open(&other);
    let first = import(&mut copy, lines.as_slice(), "here").unwrap();
    assert_eq!((first.runs, first.rows, first.unknown, first.unreadable), (3, 18, 0, 0));
    let second = import(&mut copy, lines.as_slice(), "here").unwrap();
    assert_eq!((second.runs, second.rows), (0, 0), "{second:?}");
    let mut again = Vec::new();
    export(&copy, &RunFilter::default(), &mut again).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap(), String::from_utf8(again).unwrap());
}

#[test]
fn lines_that_are_not_known_are_counted() {
    let (_dir, path) = db();
    let mut store = open(&path);
    let text = r#"{"type":"nixmon-history","schema":1}
{"type":"run","id":"h00","target":"c1","host":"here","system":"x86_64-linux","max_jobs":2,"cores":8,"started":"2026-01-02T00:00:00Z","elapsed_ms":9000,"outcome":"success","novel":1}
{"type":"build","run":"h00","drv":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a-1.0.drv","name":"a-1.0","system":"x86_64-linux","machine":null,"started_ms":0,"elapsed_ms":4000,"outcome":"built"}
{"type":"unit","run":"h00","package":"core","file":"a.c","started_ms":1,"elapsed_ms":2,"outcome":"failed"}
{"type":"weather","sky":"blue"}
{"type":"build","run":"h99","name":"b-1.0"}
{"type":"build","run":"h00","name":"b-1.0","elapsed_ms":"long"}
not json
"#;
    let got = import(&mut store, text.as_bytes(), "here").unwrap();
    assert_eq!((got.runs, got.rows, got.unknown, got.unreadable), (1, 2, 1, 3));
    assert_eq!(got.first_unreadable.unwrap().0, 6);
    let newer = import(&mut store, &b"{\"type\":\"nixmon-history\",\"schema\":99}\n"[..], "here");
    assert!(matches!(newer, Err(ImportError::Newer { found: 99 })));
    assert!(matches!(import(&mut store, &b"a,b\n"[..], "here"), Err(ImportError::Format)));
}

#[test]
fn reports_of_nom_and_rom_teach() {
    let (_dir, path) = db();
    let mut store = open(&path);
    let nom = "hostname,derivation name,utc time,build seconds\n,gcc,2024-05-01 12:00:10,61\n,gcc,2024-05-02 00:00:10,65\nfar,gcc,2024-05-01 12:00:10,30\nbroken\n";
    let rom =
        "hostname,derivation_name,utc_time,build_seconds\nlocalhost,chatty-1.0,2024-05-01T12:00:10.25Z,2\n";
    let got = import(&mut store, nom.as_bytes(), "here").unwrap();
    assert_eq!((got.runs, got.rows, got.unreadable), (3, 3, 1));
    let got = import(&mut store, rom.as_bytes(), "here").unwrap();
    assert_eq!((got.runs, got.rows), (1, 1));
    for text in [nom, rom] {
        assert_eq!(import(&mut store, text.as_bytes(), "here").unwrap().rows, 0, "twice is once");
    }
    let past = store.past(&["gcc", "chatty"]).unwrap();
    let times: Vec<f64> =
        past.samples.iter().filter(|s| s.name.pname == "gcc").map(|s| s.seconds()).collect();
    assert_eq!(times.len(), 3);
    assert!(
        times.iter().all(|t| [61.0, 65.0, 30.0].contains(t)),
        "also of one that began the day before: {times:?}"
    );
    // A report without versions is enough for an estimate.
    let mut plan = Plan::new("here", 1, 1);
    plan.build("gcc-14.2", None, Some("x86_64-linux"));
    let eta = Estimator::new(&past).estimate(&plan, 0).unwrap();
    assert!((50_000..75_000).contains(&eta.remaining_ms), "{eta:?}");
    assert_eq!((eta.known, eta.unknown), (1, 0));
}

#[test]
fn a_damaged_history_is_moved_aside() {
    let (_dir, path) = db();
    drop(open(&path));
    std::fs::write(&path, b"this is no database, and it is long enough to be looked at as one".repeat(100))
        .unwrap();
    let (mut store, notice) = Store::open(&path, 42).unwrap();
    let to = path.with_file_name("history.db.damaged-42");
    assert_eq!(notice, Some(Notice::MovedAside { to: to.clone() }));
    assert!(std::fs::read(to).unwrap().starts_with(b"this is no database"));
    store.begin_run(&run("r", 0)).unwrap();
    drop(store);
    assert_eq!(open(&path).n_runs().unwrap(), 1, "the new one is used");
}

#[test]
fn a_newer_history_is_left_alone() {
    let (_dir, path) = db();
    drop(open(&path));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    for error in [
        Store::open(&path, 0).map(|_| ()).unwrap_err(),
        Store::open_read_only(&path).map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Newer { found: 7, known: 1 }), "{error}");
    }
    let (mut recorder, notice) = Recorder::begin(&path, run("r", 0), 0);
    assert_eq!(notice, None);
    recorder.build(build("a-1", 0, 1));
    let losses = recorder.finish(&run("r", 0));
    assert_eq!((losses.rows, losses.run), (1, true));
    assert!(losses.reason.unwrap().contains("format 7"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_full_disk_is_a_counted_loss() {
    let (_dir, path) = db();
    let mut store = open(&path);
    store.limit_pages(40).unwrap();
    let id = store.begin_run(&run("r", 0)).unwrap();
    let many = Batch {
        builds: (0..5000).map(|i| build(&format!("package{i}-1"), i, 1)).collect(),
        ..Batch::default()
    };
    assert!(matches!(store.add(id, &many), Err(StoreError::Full(_))));
    // The transaction left nothing behind, and a small one still fits.
    let stored = store.run(id).unwrap().unwrap();
    assert!(store.builds(&stored).unwrap().is_empty());
    store.add(id, &Batch { builds: vec![build("small-1", 0, 1)], ..Batch::default() }).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_is_a_counted_loss() {
    let (dir, _) = db();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let (mut recorder, _) = Recorder::begin(&file.join("history.db"), run("r", 0), 0);
    recorder.build(build("a-1", 0, 1));
    let losses = recorder.finish(&run("r", 0));
    assert_eq!((losses.rows, losses.run), (1, true));
    assert!(losses.reason.is_some());
}

#[test]
fn a_read_only_history_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = db();
    let mut store = open(&path);
    store.begin_run(&run("r", 0)).unwrap();
    drop(store);
    let parent = dir.path().join("state");
    let set =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(&path, 0o444);
    set(&parent, 0o555);
    let read = Store::open_read_only(&path).unwrap();
    assert_eq!(read.n_runs().unwrap(), 1);
    let mut read = read;
    assert!(matches!(read.begin_run(&run("s", 0)), Err(StoreError::ReadOnly(_))));
    set(&parent, 0o755);
}

#[test]
fn retention_goes_by_age_and_size() {
    let (_dir, path) = db();
    let mut store = open(&path);
    for i in 0..40 {
        let id = store.begin_run(&run(&format!("r{i}"), DAY * i)).unwrap();
        let builds = (0..200).map(|n| build(&format!("p{n}-1"), n, 10)).collect();
        store.add(id, &Batch { builds, ..full_batch() }).unwrap();
    }
    let pruned = store.prune(&Retention { max_age_ms: Some(DAY * 30), max_bytes: None }, DAY * 40).unwrap();
    assert_eq!((pruned.runs, pruned.builds), (10, 2000));
    assert!(pruned.bytes > 0);
    let half = store.size() / 2;
    let pruned = store.prune(&Retention { max_age_ms: None, max_bytes: Some(half) }, DAY * 40).unwrap();
    assert!((10..=25).contains(&pruned.runs), "{pruned:?}");
    assert!(store.size() <= half + half / 5);
    let left = store.runs(&RunFilter::default()).unwrap();
    assert_eq!(left.first().unwrap().record.id, "r39", "the newest stay");
    let past = store.past(&["p7"]).unwrap();
    assert_eq!(past.samples.len(), left.len());
    assert_eq!(store.prune(&Retention::default(), 0).unwrap().runs, 0);
}

#[test]
fn regressions_and_health_come_from_the_history() {
    let (_dir, path) = db();
    let mut store = open(&path);
    let mut last = None;
    for (i, seconds) in [10, 11, 10, 10, 20, 21, 22].into_iter().enumerate() {
        let record = run(&format!("r{i}"), DAY * i as i64);
        let id = store.begin_run(&record).unwrap();
        let builds = vec![build("slow-1.0", 0, seconds * 1000), build("same-1.0", 0, 5000)];
        store.add(id, &Batch { builds, ..Batch::default() }).unwrap();
        store.finish_run(id, &done(&record, seconds * 1000)).unwrap();
        last = Some(id);
    }
    let run = store.run(last.unwrap()).unwrap().unwrap();
    let found = store.regressions(&run).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0.as_str(), found[0].1.before_ms, found[0].1.after_ms), ("slow", 10_000, 21_000));
    assert_eq!(store.target_attempts("home", 100).unwrap().len(), 7);
    assert_eq!(store.jobs_runs("home", "here", 100).unwrap().len(), 7);
}

const CHILD: &str = "NIXMON_HISTORY_TEST_CHILD";

/// Writes runs for ever; the parent kills it.
#[test]
fn child_that_writes() {
    let Ok(word) = std::env::var(CHILD) else { return };
    let (path, name) = word.split_once('|').unwrap();
    for i in 0.. {
        let record = run(&format!("{name}-{i}"), i);
        let (mut recorder, notice) = Recorder::begin(Path::new(path), record.clone(), 0);
        assert_eq!(notice, None);
        for n in 0..20 {
            recorder.build(build(&format!("p{n}-1"), n, 10));
            if n % 5 == 4 {
                recorder.flush();
            }
        }
        let losses = recorder.finish(&done(&record, 100));
        assert!(losses.is_empty(), "{losses:?}");
    }
}

#[test]
fn four_processes_write_at_once_and_are_killed() {
    let (_dir, path) = db();
    drop(open(&path));
    let start = |name: usize| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes", "--nocapture"])
            .env(CHILD, format!("{}|w{name}", path.display()))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<_> = (0..4).map(start).collect();
    for round in 0..8 {
        std::thread::sleep(std::time::Duration::from_millis(250));
        let at = round % 4;
        assert!(children[at].try_wait().unwrap().is_none(), "a writer failed");
        children[at].kill().unwrap();
        children[at].wait().unwrap();
        children[at] = start(4 + round);
    }
    std::thread::sleep(std::time::Duration::from_millis(250));
    for child in &mut children {
        assert!(child.try_wait().unwrap().is_none(), "a writer failed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = open(&path);
    let check: String = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let runs = store.runs(&RunFilter::default()).unwrap();
    assert!(runs.len() > 12, "{}", runs.len());
    let mut unfinished = 0;
    for run in &runs {
        let builds = store.builds(run).unwrap();
        // Five are flushed at a time, and a flush is there or not.
        assert_eq!(builds.len() % 5, 0, "{}", run.record.id);
        match run.record.outcome {
            RunOutcome::Success => assert_eq!(builds.len(), 20, "nothing is lost of a run that ended"),
            _ => unfinished += 1,
        }
    }
    assert!(unfinished <= 12, "at most one of each killed writer");
}

#[test]
fn a_run_without_an_end_is_completed_once() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("history.db");
    let (mut store, _) = Store::open(&path, 0).unwrap();
    let begun = RunRecord {
        id: "1".to_owned(),
        host: Some("here".to_owned()),
        started: "2026-01-01T00:00:00Z".to_owned(),
        max_jobs: Some(2),
        ..RunRecord::default()
    };
    let build = |n: u32, started_ms| BuildRecord {
        drv: Some(format!("{n:032}")),
        name: format!("package{n}-1.0"),
        started_ms,
        elapsed_ms: 10,
        ..BuildRecord::default()
    };
    let id = store.begin_run(&begun).unwrap();
    let unit = |n: u32, started_ms| UnitRecord {
        scope: Some(format!("package{n}-1.0")),
        file: "a.c".to_owned(),
        started_ms,
        elapsed_ms: 1,
        ..UnitRecord::default()
    };
    store.add(id, &Batch { builds: vec![build(0, 5)], units: vec![unit(0, 5)], ..Batch::default() }).unwrap();
    // Found out later, with times that differ a little.
    let ended = RunRecord {
        outcome: RunOutcome::Failure,
        elapsed_ms: Some(50),
        built: Some(2),
        max_jobs: None,
        ..begun.clone()
    };
    let rows = Batch {
        builds: vec![build(0, 6), build(1, 20)],
        units: vec![unit(0, 6), unit(1, 20)],
        ..Batch::default()
    };
    store.complete_run(&ended, &rows).unwrap();
    let check = |store: &Store| {
        let run = store.run(id).unwrap().unwrap();
        assert_eq!((run.record.outcome, run.record.max_jobs), (RunOutcome::Failure, Some(2)));
        let builds = store.builds(&run).unwrap();
        assert_eq!(builds.iter().map(|build| build.started_ms).collect::<Vec<_>>(), [5, 20]);
        assert!(builds.iter().all(|build| build.concurrency.is_some()));
        let units = store.units(&run).unwrap();
        assert_eq!(units.iter().map(|unit| unit.started_ms).collect::<Vec<_>>(), [5, 20]);
    };
    check(&store);
    // An end that is known stays.
    store.complete_run(&RunRecord { outcome: RunOutcome::Success, ..ended.clone() }, &rows).unwrap();
    check(&store);
    // A run that the history has never seen is added.
    store.complete_run(&RunRecord { id: "2".to_owned(), ..ended }, &rows).unwrap();
    assert_eq!(store.n_runs().unwrap(), 2);
}

#[test]
fn packages_are_read_as_they_were_recorded_or_made_up_of_files() {
    let (_dir, path) = db();
    let mut store = open(&path);
    let unit = |package: &str, file: &str, stage: Option<&str>, started_ms, elapsed_ms| UnitRecord {
        package: Some(package.to_owned()),
        file: file.to_owned(),
        stage: stage.map(str::to_owned),
        started_ms,
        elapsed_ms,
        ..UnitRecord::default()
    };
    let failed = |unit: UnitRecord| UnitRecord { outcome: BuildOutcome::Failed, ..unit };
    let batch = Batch {
        builds: vec![
            build("lib-1.0", 0, 1000),
            BuildRecord { outcome: BuildOutcome::Failed, ..build("lib-1.1", 1000, 5) },
            BuildRecord { machine: Some("far".to_owned()), ..build("app-2.1", 1000, 2000) },
        ],
        units: vec![
            unit("core", "a.cc", Some("compile"), 5, 50),
            unit("loose", "x.c", None, 100, 30),
            unit("loose", "y.c", Some("compile"), 110, 40),
            unit("loose", "loose", Some("link"), 150, 10),
            unit("loose", "t1", Some("test"), 160, 1000),
            failed(unit("broken", "z.c", Some("compile"), 0, 10)),
            UnitRecord { scope: Some("lib-1.0".to_owned()), ..unit("lib", "l.c", Some("compile"), 0, 900) },
        ],
        packages: vec![
            PackageRecord {
                name: "core".to_owned(),
                elapsed_ms: 500,
                files: 3,
                files_total: Some(9),
                compile_ms: Some(450),
                ..PackageRecord::default()
            },
            PackageRecord {
                name: "bad".to_owned(),
                outcome: BuildOutcome::Failed,
                ..PackageRecord::default()
            },
        ],
        ..Batch::default()
    };
    for day in [2, 1] {
        let record = RunRecord { tool_jobs: Some(3), ..run(&format!("r{day}"), DAY * day) };
        let id = store.begin_run(&record).unwrap();
        store.add(id, &batch).unwrap();
        store.finish_run(id, &done(&record, 3000)).unwrap();
    }
    // The name of a part is that of a derivation, too.
    let read = |name: &str, target| -> Vec<(String, Option<u32>, u64, u64, usize)> {
        let runs = store.package_runs(name, target).unwrap();
        assert!(runs.is_sorted_by_key(|run| run.started_ms));
        let runs = runs.into_iter().filter(|run| run.started_ms == DAY);
        runs.map(|run| (run.host, run.jobs, run.elapsed_ms, run.n_files, run.files.len())).collect()
    };
    let here = || "here".to_owned();
    assert_eq!(read("core", None), [(here(), Some(3), 500, 3, 1)]);
    assert_eq!(read("loose", Some("home")), [(here(), Some(3), 60, 2, 3)]);
    assert_eq!(read("loose", Some("elsewhere")), []);
    assert_eq!(read("lib", None), [(here(), Some(3), 900, 1, 1), (here(), Some(2), 1000, 1, 1)]);
    assert_eq!(read("app", None), [("far".to_owned(), Some(2), 2000, 0, 0)]);
    for nothing in ["bad", "broken", "unheard"] {
        assert_eq!(read(nothing, None), [], "{nothing}");
    }
    let all = store.all_package_runs(Some("home"), 1).unwrap();
    let names: Vec<&str> = all.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["core", "loose", "lib", "lib", "app"]);
    assert!(all.iter().all(|run| run.started_ms == 2 * DAY));
}
