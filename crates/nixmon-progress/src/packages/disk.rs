//! Reads a project from the file system.

use std::path::{Path, PathBuf};

use super::Read;

/// Longest file that is read: a `build.ninja` of a browser has 60 MB.
const FILE_LEN: u64 = 256 << 20;

/// A build directory on disk.
#[derive(Clone, Debug)]
pub struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// Reads below a directory.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned() }
    }
}

impl Read for Disk {
    fn text(&self, path: &str) -> Option<String> {
        let path = self.dir.join(path);
        if std::fs::metadata(&path).ok()?.len() > FILE_LEN {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "the feature `fs` is this crate's only edge to files")]
        std::fs::read_to_string(path).ok()
    }

    fn list(&self, dir: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.join(dir)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn size(&self, path: &str) -> Option<u64> {
        std::fs::metadata(self.dir.join(path)).ok().filter(std::fs::Metadata::is_file).map(|data| data.len())
    }
}
