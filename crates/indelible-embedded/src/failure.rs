//! Disk errors in the words of the roles.

use indelible_disk::{DiskError, DiskErrorKind};
use indelible_store::{Error, Kind};

/// The role's error for a failed disk operation, naming the path.
pub(crate) fn from_disk(error: DiskError) -> Error {
    let kind = match error.kind() {
        DiskErrorKind::NoSpace => Kind::NoSpace,
        DiskErrorKind::NotFound => Kind::NotFound,
        DiskErrorKind::Locked => Kind::Locked,
        DiskErrorKind::Short => Kind::Corrupt,
        DiskErrorKind::Exists | DiskErrorKind::Other => Kind::Unavailable,
    };
    let what = match kind {
        Kind::NoSpace => "no room is left on the disk",
        Kind::Locked => "the data directory is in use",
        _ => "the disk failed",
    };
    Error::new(kind, what).caused_by(error)
}

/// The role's error for bytes that are not what was written.
pub(crate) fn corrupt(what: impl Into<String>) -> Error {
    Error::new(Kind::Corrupt, what)
}

/// The role's error for a failed (de)compressor.
pub(crate) fn from_zstd(error: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, "cannot compress").caused_by(error)
}
