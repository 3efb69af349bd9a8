//! Names of the files beside an export.

use std::path::{Path, PathBuf};

/// `acme.ndjson.checkpoint` of `acme.ndjson`.
pub fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}
