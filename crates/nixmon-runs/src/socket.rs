//! The place of a run's socket, since the address of a Unix socket is short.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::files;

/// The name of the file.
pub(super) const NAME: &str = "log.sock";
/// Most bytes of a socket's path: `sun_path` without its final NUL (unix(7)).
const MAX_PATH: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// The path of a run's socket: in its directory, or where that is too long in a new one below the first of `others` that
/// is short enough. `None` if none is.
pub(super) fn path(dir: &Path, others: &[PathBuf]) -> Option<PathBuf> {
    let near = dir.join(NAME);
    if fits(&near) {
        return Some(near);
    }
    let name = dir.file_name()?.to_string_lossy();
    others.iter().find_map(|other| {
        let own = files::make_own_dir(other, &format!("nixmon-{name}"))?;
        let far = own.join(NAME);
        if fits(&far) {
            return Some(far);
        }
        // It is empty.
        let _ = std::fs::remove_dir(&own);
        None
    })
}

/// The path of a socket for a run that is not kept, in a new directory below the first of `others` that is short enough.
pub fn socket_elsewhere(others: &[PathBuf]) -> Option<PathBuf> {
    others.iter().find_map(|other| {
        let path = files::make_own_dir(other, "nixmon")?.join(NAME);
        fits(&path).then_some(path)
    })
}

fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= MAX_PATH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_avoided() {
        let temp = tempfile::tempdir_in("/tmp").unwrap();
        let short = temp.path().join("3");
        assert_eq!(path(&short, &[]), Some(short.join(NAME)));
        let long = temp.path().join("x".repeat(100)).join("3");
        std::fs::create_dir_all(&long).unwrap();
        assert_eq!(path(&long, &[]), None);
        let found = path(&long, &[long.clone(), temp.path().to_owned()]).unwrap();
        assert!(found.starts_with(temp.path()) && fits(&found), "{found:?}");
        std::os::unix::net::UnixListener::bind(&found).unwrap();
        // Nothing is left where it did not fit, and two runs do not meet.
        assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
        assert_ne!(path(&long, &[temp.path().to_owned()]), Some(found));
    }
}
