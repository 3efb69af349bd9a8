//! A file that appears whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::exit::{Failure, OrCould, Result};
use crate::export_names::beside;
use crate::output::Show;

/// A file being written under a name of its own until it is whole; removed if it never is.
pub struct Part {
    writer: Option<BufWriter<File>>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl Part {
    /// Begins it; with `force` over a file that is there.
    ///
    /// # Errors
    /// When there is one, or it cannot be written.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        // The finished file takes the name by a rename, which would replace a device or a pipe.
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            let text = format!(
                "{} is no file; leave --out away to write to standard output",
                path.shown()
            );
            return Err(Failure::Could(text));
        }
        if !force && path.exists() {
            let text = format!(
                "{} is there already; say --force to write over it",
                path.shown()
            );
            return Err(Failure::Could(text));
        }
        let unfinished = beside(path, "unfinished");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .or_could(format_args!("write {}", unfinished.shown()))?;
        let writer = Some(BufWriter::with_capacity(256 * 1024, file));
        Ok(Self {
            writer,
            unfinished,
            path: path.to_path_buf(),
        })
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer
            .write_all(bytes)
            .or_could(format_args!("write {}", self.path.shown()))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As [`Part::bytes`].
    pub fn line(&mut self, bytes: &[u8]) -> Result {
        self.bytes(bytes)?;
        self.bytes(b"\n")
    }

    /// Gives it its name, when it is durable.
    ///
    /// # Errors
    /// When it cannot.
    pub fn finish(mut self) -> Result {
        let doing = || format!("write {}", self.path.shown());
        if let Some(writer) = self.writer.take() {
            let file = writer
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error);
            file.and_then(|file| file.sync_all()).or_could(doing())?;
        }
        std::fs::rename(&self.unfinished, &self.path).or_could(doing())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.unfinished.exists() {
            // It was never finished: what is left of it is of no use to anybody.
            let _ = std::fs::remove_file(&self.unfinished);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_part_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ndjson");
        let mut part = Part::create(&path, false).unwrap();
        part.line(b"one").unwrap();
        drop(part);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut part = Part::create(&path, false).unwrap();
        part.line(b"one").unwrap();
        part.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n");
        assert!(
            Part::create(&path, false).is_err(),
            "nothing is written over unasked"
        );
        assert!(Part::create(&path, true).is_ok());
    }
}
