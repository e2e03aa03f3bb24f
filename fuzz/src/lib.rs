//! What the fuzz targets do with their bytes. The tests of nixmon take in this file too and run it on the kept corpora, so
//! it needs nothing of libFuzzer.

mod records;
mod run;

use std::time::Duration;

use nixmon_core::state::Input;
use nixmon_core::text::{ascii, truncate, width};
use nixmon_log::escapes::{sanitize, strip_escapes};
use nixmon_log::input::Reader;
use nixmon_log::nix::derivation::{Derivation, DerivationInputs};

pub use records::records;
use run::Run;

/// Anything at all, in pieces: the first byte says of what length.
pub fn stream(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let mut run = Run::new(piece);
    let mut reader = Reader::default();
    for chunk in bytes.chunks(usize::from(piece) * 4 + 1) {
        reader.feed(chunk, |event| run.apply(Input::Event(event)));
        run.now += Duration::from_millis(u64::from(piece));
        if piece % 3 == 0 {
            reader.settle(|event| run.apply(Input::Event(event)));
            if let Some(partial) = reader.partial_text() {
                run.partial(partial);
            }
            run.tick();
        }
    }
    reader.finish(|event| run.apply(Input::Event(event)));
    run.end(None, reader.counts());
}

/// Files that claim to be derivations.
pub fn drv(data: &[u8]) {
    let inputs = DerivationInputs::from_aterm_bytes(data);
    if let Ok(derivation) = Derivation::from_aterm_bytes(data) {
        let inputs = inputs.expect("what the whole parser reads, the short one reads");
        assert!(inputs.input_derivations.len() >= derivation.input_derivations.len());
        let written = derivation.to_aterm_bytes();
        assert_eq!(Derivation::from_aterm_bytes(&written).expect("what was written can be read"), derivation);
    }
}

/// Text of other programs.
pub fn sanitize_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let clean = sanitize(&text);
    assert!(!clean.chars().any(char::is_control), "{clean:?}");
    assert_eq!(sanitize(&clean), clean);
    let stripped = strip_escapes(&text);
    assert!(!stripped.contains('\u{1b}'));
    assert_eq!(strip_escapes(&stripped), stripped);
    for columns in [0, 1, 20, 80] {
        let cut = truncate(&clean, columns, "…");
        assert!(width(&cut) <= columns, "{columns}: {cut:?}");
    }
    assert!(ascii(&clean).is_ascii());
}
