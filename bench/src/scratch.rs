//! A directory for a run, on a real disk, that goes away with it.

use std::io;
use std::path::{Path, PathBuf};

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// A new directory below `base`, which must be on the disk that is to be measured.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn below(base: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(base)?;
        let dir = tempfile::Builder::new()
            .prefix("indelible-bench-")
            .tempdir_in(base)?;
        Ok(Self { dir })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves the directory there after all; where it is.
    pub fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    /// A place of this name in it.
    pub fn place(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

/// Bytes of all files below `path` for which `count` holds of the path from there.
///
/// # Errors
/// When a directory cannot be read; a file that has just gone away does not count.
pub fn bytes_below(path: &Path, count: &dyn Fn(&str) -> bool) -> io::Result<u64> {
    fn walk(root: &Path, dir: &Path, count: &dyn Fn(&str) -> bool) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let Ok(about) = path.symlink_metadata() else {
                continue;
            };
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            if about.is_dir() {
                bytes += walk(root, &path, count)?;
            } else if count(&name) {
                bytes += about.len();
            }
        }
        Ok(bytes)
    }
    walk(path, path, count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn bytes_are_counted_by_name_and_the_directory_goes_away() {
        let scratch = Scratch::below(&std::env::temp_dir()).unwrap();
        let path = scratch.path().to_owned();
        std::fs::create_dir(path.join("keys")).unwrap();
        std::fs::write(path.join("keys/a"), [0; 5]).unwrap();
        std::fs::write(path.join("b"), [0; 7]).unwrap();
        assert_eq!(bytes_below(&path, &|_| true).unwrap(), 12);
        assert_eq!(
            bytes_below(&path, &|name| !name.starts_with("keys/")).unwrap(),
            7
        );
        drop(scratch);
        assert!(!path.exists());
    }
}
