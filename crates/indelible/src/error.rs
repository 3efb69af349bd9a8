//! Why there is no audit trail.

use std::path::{Path, PathBuf};

/// Why an audit trail could not be opened or connected to. Its `Debug` is its words, since that is
/// what a `main` prints of the error that it returns.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address or the key is none; correct it.
    #[error(transparent)]
    Address(#[from] indelible_emit::http::AddressError),
    /// A variable of the environment makes no sense.
    #[error("{0}: {1}")]
    Variable(String, String),
    /// The options cannot be kept, or there is no thread.
    #[error(transparent)]
    Start(#[from] indelible_emit::StartError),
    /// There is no place for keys; name one.
    #[error("there is no place for keys: HOME is not set, so name a directory with `keys`")]
    NoKeyDirectory,
    /// The sealing policy is none.
    #[error("the sealing policy: {0}")]
    SealingPolicy(String),
    /// The ledger's signing key is not where its keys are.
    #[error("the signing key is not in {0}; name its directory with `keys`")]
    NoSigningKey(PathBuf),
    /// The ledger does not extend what was signed; nothing is written to it.
    #[error("the ledger does not extend what was signed: {0}; see indelible recover")]
    NotExtending(String),
    /// Another process writes to the directory; only one can.
    #[error("{0} is open for writing elsewhere: {1}")]
    Locked(PathBuf, String),
    /// The relay cannot be started: its database's URL is none, or there is no thread.
    #[error("the relay cannot be started: {0}")]
    Relay(String),
    /// A file could not be read or written.
    #[error("cannot {0}: {1}")]
    Could(String, String),
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: &str, path: &Path) -> Result<T>;
}

impl<T, E: std::fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::Could(format!("{what} {}", path.display()), error.to_string()))
    }
}
