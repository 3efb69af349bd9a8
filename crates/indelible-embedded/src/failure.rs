//! Disk errors in the words of the roles.

use std::fmt;

use indelible_disk::{DiskError, DiskErrorKind};
use indelible_store::{Error, Kind};

/// The role's error for a failed disk operation, naming the path.
pub(crate) fn from_disk(error: DiskError) -> Error {
    let what = match error.kind() {
        DiskErrorKind::NoSpace => "make room on the disk",
        DiskErrorKind::Locked => "the data directory is in use",
        DiskErrorKind::Denied => "the system does not allow it to this user",
        _ => "the disk failed",
    };
    let kind = match error.kind() {
        DiskErrorKind::NoSpace => Kind::NoSpace,
        DiskErrorKind::NotFound => Kind::NotFound,
        DiskErrorKind::Locked => Kind::Locked,
        DiskErrorKind::Short => Kind::Corrupt,
        DiskErrorKind::Exists | DiskErrorKind::Denied | DiskErrorKind::Other => Kind::Unavailable,
    };
    Error::new(kind, what).caused_by(error)
}

/// The role's error for bytes that are not what was written.
pub(crate) fn corrupt(what: impl Into<String>) -> Error {
    Error::new(Kind::Corrupt, what)
}

/// The cause of an error about a file that can be made again from the records.
#[derive(Debug)]
struct Derived {
    path: String,
}

impl fmt::Display for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("run `indelible fsck --repair`")
    }
}

impl std::error::Error for Derived {}

/// The role's error for a derived file that is not what was written.
pub(crate) fn corrupt_derived(path: &str, what: &str) -> Error {
    let path = path.to_owned();
    corrupt(format!("{path} {what}")).caused_by(Derived { path })
}

/// The derived file that an error is about, if it is about one.
pub(crate) fn derived_of(error: &Error) -> Option<&str> {
    let source = std::error::Error::source(error)?;
    Some(source.downcast_ref::<Derived>()?.path.as_str())
}

/// Whether the error means that records are not there any more, or not as they were.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), Kind::Corrupt | Kind::NotFound) && derived_of(error).is_none()
}

/// The role's error for a failed (de)compressor.
pub(crate) fn from_zstd(error: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, "cannot compress").caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_full_disk_is_said_once() {
        let source = io::Error::from_raw_os_error(28);
        let error = from_disk(DiskError::new("write", "journal/0", source));
        assert_eq!(error.kind(), Kind::NoSpace);
        let text = error.to_string().to_lowercase();
        let said = "make room on the disk: cannot write journal/0: no space left";
        assert!(text.starts_with(said), "{text}");
        assert_eq!(text.matches(" left").count(), 1, "{text}");
    }
}
