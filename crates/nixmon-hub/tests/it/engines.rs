//! The engines: one suite for both, and what becomes of the data when a database dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nixmon_fleet::{HostName, Piece, RunFile};
use nixmon_hub::engine::{Engine, EngineError, RunKey};

use crate::cluster::Cluster;
use crate::suite;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn the_embedded_engine_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.db");
    let identity = block_on(async {
        let engine = Engine::open(&path).unwrap();
        suite::check(&engine, "first").await;
        engine.identity().await.unwrap()
    });
    block_on(async {
        let engine = Engine::open(&path).unwrap();
        assert_eq!(engine.identity().await.unwrap(), identity);
        suite::check(&engine, "second").await;
    });
}

#[test]
fn a_database_of_a_newer_nixmon_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hub.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let opened = block_on(async { Engine::open(&path).map(drop) });
    assert!(matches!(opened, Err(EngineError::Newer { found: 99, .. })), "{opened:?}");
}

#[test]
fn postgres_keeps_everything() {
    let Some(cluster) = Cluster::start() else { return };
    block_on(async {
        let engines = connect(&cluster.address(), 2).await;
        suite::check(&engines[0], "first").await;
        suite::check(&engines[1], "second").await;
        // Of one hub, the other hears.
        let mut doorbell = engines[0].doorbell();
        tokio::time::sleep(Duration::from_millis(600)).await;
        doorbell.mark_unchanged();
        engines[1].add_host(&HostName::new("rings").unwrap(), 1).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), doorbell.changed()).await.unwrap().unwrap();
    });
    let newer = "INSERT INTO nixmon_hub.version VALUES (99)";
    cluster.query(newer);
    let opened = block_on(async { Engine::connect(&cluster.address()).await.map(drop) });
    assert!(matches!(opened, Err(EngineError::Newer { found: 99, .. })), "{opened:?}");
    let opened = block_on(async { Engine::connect("postgres://[").await.map(drop) });
    assert!(matches!(opened, Err(EngineError::Address(_))), "{opened:?}");
}

/// Connects hubs, which make the tables at the same time.
async fn connect(address: &str, n: usize) -> Vec<Engine> {
    let tasks: Vec<_> = (0..n)
        .map(|_| {
            let address = address.to_owned();
            tokio::spawn(async move { Engine::connect(&address).await.unwrap() })
        })
        .collect();
    let mut engines = Vec::new();
    for task in tasks {
        engines.push(task.await.unwrap());
    }
    engines
}

/// Writes numbered lines of several hosts by way of several hubs, while `trouble` goes on. Checks that each line is there once and in
/// order.
fn numbered_lines(
    engines: Vec<Engine>,
    hosts: usize,
    lines: usize,
    trouble: impl FnOnce(&dyn Fn() -> usize),
) {
    let written = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tasks: Vec<_> = (0..hosts)
        .map(|host| {
            let (engines, written) = (engines.clone(), Arc::clone(&written));
            runtime.spawn(async move {
                let name = HostName::new(format!("numbered-{host}")).unwrap();
                let run = 'made: loop {
                    // As an agent that comes again until it is heard.
                    for engine in &engines {
                        if let Ok(id) = engine.add_host(&name, 1).await
                            && let Ok(run) = engine.run_of(id, "s", 1, 1).await
                        {
                            break 'made run;
                        }
                    }
                };
                let text: String = (0..lines).map(|n| format!("{host} line {n}\n")).collect();
                let (mut size, mut turn) = (0, host);
                while size < text.len() {
                    turn += 1;
                    let end = (size + 200).min(text.len());
                    let piece = Piece {
                        run: 1,
                        file: RunFile::Input,
                        generation: 0,
                        offset: size as u64,
                        bytes: text.as_bytes()[size..end].to_vec(),
                    };
                    if let Ok(file) = engines[turn % engines.len()].append(run, piece).await {
                        size = usize::try_from(file.size).unwrap();
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                }
                (run, text)
            })
        })
        .collect();
    trouble(&|| written.load(Ordering::Relaxed));
    runtime.block_on(async {
        for task in tasks {
            let (run, text) = task.await.unwrap();
            for engine in &engines {
                assert_eq!(read(engine, run).await, text);
            }
        }
    });
}

async fn read(engine: &Engine, run: RunKey) -> String {
    let mut read = Vec::new();
    loop {
        let pieces = engine.pieces(run, RunFile::Input, 0, read.len() as u64, 1 << 20).await.unwrap();
        if pieces.is_empty() {
            return String::from_utf8(read).unwrap();
        }
        for (at, bytes) in pieces {
            assert_eq!(at, read.len() as u64);
            read.extend(bytes);
        }
    }
}

fn wait_for(written: &dyn Fn() -> usize, n: usize) {
    while written() < n {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn postgres_may_be_killed_in_the_middle() {
    let Some(cluster) = Cluster::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let engines = runtime.block_on(connect(&cluster.address(), 2));
    numbered_lines(engines, 8, 600, |written| {
        for round in 1..=2 {
            wait_for(written, round * 60);
            cluster.kill();
            cluster.resume();
        }
    });
}

#[test]
fn a_replica_takes_over_in_the_middle() {
    let Some(cluster) = Cluster::start() else { return };
    let replica = cluster.replica();
    let address = format!(
        "host={},{} user=postgres dbname=postgres target_session_attrs=read-write",
        cluster.host().display(),
        replica.host().display()
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let engines = runtime.block_on(connect(&address, 2));
    numbered_lines(engines, 8, 600, |written| {
        wait_for(written, 100);
        cluster.kill();
        replica.promote();
    });
}
