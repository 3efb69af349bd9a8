//! An export to be verified, opened once: a pipe can be read only once. `-` is standard input,
//! which has no files beside it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::exit::{OrCould, Result};
use crate::export_names::beside;
use crate::output::Show;

/// Bytes read at a time.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// What is read, from its beginning.
pub(super) struct Source {
    /// The file as it is told.
    pub(super) path: PathBuf,
    pub(super) input: Box<dyn BufRead>,
    /// How many bytes there are, if that is known.
    pub(super) length: Option<u64>,
    is_file: bool,
}

impl Source {
    /// Opens it.
    ///
    /// # Errors
    /// [`crate::exit::Failure::Could`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self {
                path: PathBuf::from("standard input"),
                input: Box::new(io::stdin().lock()),
                length: None,
                is_file: false,
            });
        }
        let file = File::open(path).or_could(format_args!("read {}", path.shown()))?;
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file);
        Ok(Self {
            path: path.to_path_buf(),
            input: Box::new(BufReader::with_capacity(BUFFER_BYTES, file)),
            length: meta.map(|meta| meta.len()),
            is_file: true,
        })
    }

    /// The file of this kind beside it, if there is one.
    pub(super) fn beside(&self, what: &str) -> Option<PathBuf> {
        let path = self.is_file.then(|| beside(&self.path, what));
        path.filter(|path| path.is_file())
    }
}
