//! Reads `.drv` files beside the stream: it never waits for them.

use std::fs::File;
use std::io::Read;
use std::sync::mpsc;
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use crate::nix::derivation::{DerivationInputs, ParseDerivationError};
use crate::state::DerivationFacts;

/// The inputs stand at the beginning of a file; of large ones the environment is not read.
const FIRST_READ: usize = 8 << 10;
/// A larger file is none that Nix has made.
const MAX_FILE: u64 = 64 << 20;

/// At most so many files are read before what they say is handed on.
const BATCH: usize = 64;

/// What was found out about some of the files that were asked for.
#[derive(Debug)]
pub(super) struct Answer {
    /// How many files were looked at.
    pub(super) n_asked: usize,
    /// What those say that can be read and understood.
    pub(super) facts: Vec<DerivationFacts>,
}

/// Starts the thread. It answers every request.
pub(super) fn spawn(answers: UnboundedSender<Answer>) -> mpsc::Sender<Vec<String>> {
    let (requests, todo) = mpsc::channel::<Vec<String>>();
    let builder = thread::Builder::new().name("drv-reader".to_owned());
    // Without the thread there are no answers, and less is said.
    let _ = builder.spawn(move || {
        for paths in todo {
            for paths in paths.chunks(BATCH) {
                let facts = paths.iter().filter_map(|path| read(path)).collect();
                if answers.send(Answer { n_asked: paths.len(), facts }).is_err() {
                    return;
                }
            }
        }
    });
    requests
}

fn read(path: &str) -> Option<DerivationFacts> {
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::with_capacity(FIRST_READ);
    file.by_ref().take(FIRST_READ as u64).read_to_end(&mut bytes).ok()?;
    let facts = match facts(path, &bytes) {
        Err(ParseDerivationError::UnexpectedEnd) => {
            file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
            facts(path, &bytes)
        }
        facts => facts,
    };
    facts.ok()
}

fn facts(path: &str, bytes: &[u8]) -> Result<DerivationFacts, ParseDerivationError> {
    let derivation = DerivationInputs::from_aterm_bytes(bytes)?;
    Ok(DerivationFacts {
        path: path.to_owned(),
        inputs: derivation.input_derivations.iter().map(|input| input.path.to_string()).collect(),
        outputs: derivation
            .outputs
            .iter()
            .map(|output| output.path.to_string())
            .filter(|path| !path.is_empty())
            .collect(),
    })
}
