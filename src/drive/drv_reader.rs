//! Reads `.drv` files beside the stream: it never waits for them.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use nixmon_core::state::DerivationFacts;
use nixmon_log::nix::derivation::{DerivationInputs, ParseDerivationError};

/// The inputs stand at the beginning of a file; of large ones the environment is not read.
const FIRST_READ: u64 = 8 << 10;
/// Maximum size of a file; Nix makes none that is larger.
const MAX_FILE: u64 = 64 << 20;
/// Maximum number of files that are read before their content is handed on.
const BATCH: usize = 64;
/// Number of files in a row that must be missing before the store counts as another machine's.
const PATIENCE: usize = 64;
/// From then on one file in this many is looked for; if it exists, the files that were left out are read, too.
const PROBE: usize = 16;
/// Maximum number of files that are left out.
const MAX_LEFT_OUT: usize = 1 << 16;

/// Starts the thread. It hands on what the files say that can be read and understood, and ends when there are no more
/// requests and it is done.
pub(crate) fn spawn(answers: UnboundedSender<Vec<DerivationFacts>>) -> mpsc::Sender<Vec<Arc<str>>> {
    let (requests, todo) = mpsc::channel::<Vec<Arc<str>>>();
    let builder = thread::Builder::new().name("drv-reader".to_owned());
    // Without the thread there are no answers, and less is said.
    let _ = builder.spawn(move || {
        let mut files = Files::default();
        for paths in todo {
            for (at, path) in paths.into_iter().enumerate() {
                // Requests that come one by one are always read: the next command may use this machine's store.
                if at == 0 || !files.leave_out(&path) {
                    files.look(&path);
                }
                if files.facts.len() >= BATCH && answers.send(mem::take(&mut files.facts)).is_err() {
                    return;
                }
            }
            // An answer wakes the loop, so nothing is said of files that are not there.
            if !files.facts.is_empty() && answers.send(mem::take(&mut files.facts)).is_err() {
                return;
            }
        }
    });
    requests
}

#[derive(Debug, Default)]
struct Files {
    /// Files that were read and not handed on yet.
    facts: Vec<DerivationFacts>,
    /// Files in a row that were not there, or left out.
    absent: usize,
    left_out: Vec<Arc<str>>,
    buffer: Vec<u8>,
}

impl Files {
    /// Returns whether a file is left out for now, because the files before it were missing.
    fn leave_out(&mut self, path: &Arc<str>) -> bool {
        let leave_out = self.absent >= PATIENCE
            && !self.absent.is_multiple_of(PROBE)
            && self.left_out.len() < MAX_LEFT_OUT;
        if leave_out {
            self.absent += 1;
            self.left_out.push(Arc::clone(path));
        }
        leave_out
    }

    fn look(&mut self, path: &str) {
        match File::open(path) {
            Ok(file) => {
                self.absent = 0;
                self.read(path, file);
                for path in mem::take(&mut self.left_out) {
                    if let Ok(file) = File::open(&*path) {
                        self.read(&path, file);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.absent += 1,
            Err(_) => {}
        }
    }

    /// Files that cannot be read or parsed are left out: less is known then.
    fn read(&mut self, path: &str, mut file: File) {
        self.buffer.clear();
        if file.by_ref().take(FIRST_READ).read_to_end(&mut self.buffer).is_err() {
            return;
        }
        let mut said = facts(path, &self.buffer);
        if matches!(said, Err(ParseDerivationError::UnexpectedEnd))
            && file.take(MAX_FILE).read_to_end(&mut self.buffer).is_ok()
        {
            said = facts(path, &self.buffer);
            // One huge file must not keep its memory for good.
            self.buffer.truncate(1 << 20);
            self.buffer.shrink_to(1 << 20);
        }
        self.facts.extend(said);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for files by number, of which `present` are there, and says which were read.
    fn check(requests: &[&[usize]], present: impl Fn(usize) -> bool, expected: &[usize]) {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: usize| dir.path().join(format!("{n}.drv")).to_str().unwrap().to_owned();
        for n in requests.iter().copied().flatten().copied().filter(|n| present(*n)) {
            std::fs::write(path(n), r#"Derive([("out","/nix/store/o","","")],[],[],"s","b",[],[])"#).unwrap();
        }
        let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel();
        let asked = spawn(sender);
        for request in requests {
            asked.send(request.iter().map(|n| path(*n).into()).collect()).unwrap();
        }
        drop(asked);
        let mut read = Vec::new();
        while let Some(facts) = answers.blocking_recv() {
            read.extend(facts.into_iter().map(|facts| facts.path));
        }
        read.sort_unstable();
        let mut expected: Vec<String> = expected.iter().map(|n| path(*n)).collect();
        expected.sort_unstable();
        assert_eq!(read, expected);
    }

    #[test]
    fn files_are_read_once_each() {
        let all: Vec<usize> = (0..300).collect();
        check(&[&all], |_| true, &all);
        check(&[&all[..10], &all[10..]], |n| n % 2 == 0, &(0..300).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn a_store_elsewhere_is_asked_less_until_a_file_is_there() {
        let all: Vec<usize> = (0..300).collect();
        // Those before the first that is there are not there either; of those after it none is left out.
        check(&[&all], |n| n >= 200, &all[200..]);
        // The last one, alone, is always looked for.
        check(&[&all[..299], &all[299..]], |n| n == 299, &[299]);
    }
}
