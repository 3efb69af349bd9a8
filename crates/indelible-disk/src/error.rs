//! The error of a disk: what kind, on which path, doing what.
//!
//! A full disk is a kind of its own, because a caller answers it differently: nothing is broken,
//! and the same call works when there is room again.

use std::io;

/// What went wrong, in the words a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// No room, or the quota is used up.
    NoSpace,
    /// There is no such file or directory.
    NotFound,
    /// The name is taken.
    Exists,
    /// Somebody else holds the lock; the message says who.
    Locked,
    /// The file ends before the bytes asked for.
    Short,
    /// This user may not, or the file system is read-only.
    Denied,
    /// Anything else the system reports.
    Other,
}

/// Result of a disk operation.
pub type Result<T> = std::result::Result<T, DiskError>;

/// A failed disk operation.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", named(path))]
pub struct DiskError {
    kind: DiskErrorKind,
    operation: &'static str,
    path: String,
    source: io::Error,
}

/// The path as people name it: the root is `.`.
fn named(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

impl DiskError {
    /// An error met while doing `operation` (a verb: "read", "sync") on `path`.
    pub fn new(operation: &'static str, path: &str, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
            io::ErrorKind::NotFound => DiskErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => DiskErrorKind::Exists,
            io::ErrorKind::UnexpectedEof => DiskErrorKind::Short,
            io::ErrorKind::WouldBlock => DiskErrorKind::Locked,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                DiskErrorKind::Denied
            }
            _ => DiskErrorKind::Other,
        };
        Self {
            kind,
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// The lock of `path` is held by `holder`.
    pub(crate) fn locked(path: &str, holder: &str) -> Self {
        let holder = if holder.trim().is_empty() {
            "another process"
        } else {
            holder.trim()
        };
        let source = io::Error::new(io::ErrorKind::WouldBlock, format!("held by {holder}"));
        Self::new("lock", path, source)
    }

    /// What went wrong.
    pub fn kind(&self) -> DiskErrorKind {
        self.kind
    }

    /// The path, as [`Disk::locate`](crate::Disk::locate) gives it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The error as one of the standard library, for interfaces that want that.
    pub fn into_io(self) -> io::Error {
        io::Error::new(self.source.kind(), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_a_name_too() {
        let text = |path| {
            let source = io::Error::other("broken");
            DiskError::new("sync", path, source).to_string()
        };
        assert_eq!(text("a/b"), "cannot sync a/b: broken");
        assert_eq!(text(""), "cannot sync .: broken");
    }
}
