//! Small files that unpack to much: they are read in little memory.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Home, Ran};

/// KiB of address space, of which the program, its libraries and threads take about half.
const LIMIT: u64 = 400_000;
const MIB: usize = 1 << 20;

/// Writes a recording with a line of so many MiB, packed.
fn bomb(path: &Path, mib: usize) {
    let mut writer = zstd::Encoder::new(std::fs::File::create(path).unwrap(), 1).unwrap();
    writer.write_all(b"nixmon-recording 1\n7 ").unwrap();
    for _ in 0..mib {
        writer.write_all(&[b'x'; MIB]).unwrap();
    }
    writer.finish().unwrap();
}

/// Runs the program with [`LIMIT`], and an output that is not kept.
#[track_caller]
fn check(home: &Home, args: &[&str]) {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {LIMIT}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_nixmon")]);
    let mut command = home.command_with(limited, args);
    let ran = Ran::of(command.stdout(Stdio::null()).output().unwrap());
    ran.check(0, &[]);
    assert!(!ran.err.contains("memory"), "{}", ran.err);
}

#[test]
fn a_small_recording_that_unpacks_to_much() {
    let home = Home::new();
    home.run(&["run", "--", "true"]).check(0, &[]);
    let kept = home.path().join("state/nixmon/runs/1/input.zst");
    let path = home.path().join("bomb.zst");
    // A line without an end of more than a gigabyte.
    bomb(&path, 1100);
    assert!(std::fs::metadata(&path).unwrap().len() < MIB as u64);
    check(&home, &["replay", path.to_str().unwrap()]);
    std::fs::copy(&path, &kept).unwrap();
    check(&home, &["replay", "1"]);
    check(&home, &["log", "1", "--lines", "-1:"]);
}

#[test]
fn too_little_memory_is_noticed() {
    // The limit does count: a program that takes more fails.
    let limited = format!("ulimit -v {LIMIT}; head -c {} /dev/zero | tail -n 1 | wc -c", 2048 * LIMIT);
    let ran = Command::new("sh").args(["-c", &limited]).output().unwrap();
    assert!(!String::from_utf8_lossy(&ran.stdout).contains(&(2048 * LIMIT).to_string()), "{ran:?}");
}
