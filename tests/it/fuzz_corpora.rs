//! Runs the bodies of the fuzz targets on the corpora that are kept, as every other test runs: without libFuzzer.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own")]
mod targets;

use std::path::Path;

#[expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads its fixtures and fails by panicking"
)]
fn replay(name: &str, target: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut n_inputs = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        n_inputs += 1;
    }
    assert!(n_inputs > 0);
}

#[test]
fn stream() {
    replay("stream", targets::stream);
}

#[test]
fn records() {
    replay("records", targets::records);
}

#[test]
fn drv() {
    replay("drv", targets::drv);
}

#[test]
fn sanitize() {
    replay("sanitize", targets::sanitize_text);
}
