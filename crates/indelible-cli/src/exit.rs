//! How the command ends: exit codes and the errors that lead to them.
//!
//! 0 done and clean · 1 the answer is no · 2 usage · 3 could not · 130 cancelled by a signal (the
//! shell's own number for it). The result stands on standard output, everything else on standard
//! error.

use std::fmt::Display;
use std::io;

/// The exit code of what was cancelled.
pub const CANCELLED: u8 = 130;

/// Why a command did not end with "done and clean".
#[derive(Debug)]
pub enum Failure {
    /// The answer is no and has been printed: a finding, a gap, something refused.
    No,
    /// The command line or the configuration is wrong.
    Usage(String),
    /// It could not be done: input and output, a lock, a refusal by the store.
    Could(String),
    /// A signal asked to stop; what was done before that is whole, and this says how much it was.
    Cancelled(String),
    /// Whoever reads our standard output has gone; there is nobody left to tell.
    Unread,
}

/// What a command returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::No => 1,
            Self::Usage(_) => 2,
            Self::Could(_) => 3,
            Self::Cancelled(_) => CANCELLED,
        }
    }

    /// What to print on standard error, if anything.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::No | Self::Unread => None,
            Self::Usage(text) | Self::Could(text) | Self::Cancelled(text) => Some(text),
        }
    }

    /// The failure of writing to standard output.
    pub fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Unread
        } else {
            Self::Could(format!("cannot write the result: {error}"))
        }
    }
}

/// Turns any error into "could not", saying what was being done.
pub trait OrCould<T> {
    /// `doing` is a phrase such as `reading acme.ndjson`.
    ///
    /// # Errors
    /// [`Failure::Could`] with `cannot <doing>: <error>`.
    fn or_could(self, doing: impl Display) -> Result<T>;
}

impl<T, E: Display> OrCould<T> for std::result::Result<T, E> {
    fn or_could(self, doing: impl Display) -> Result<T> {
        self.map_err(|error| Failure::Could(format!("cannot {doing}: {error}")))
    }
}
