//! The one error type of the roles: what happened, whether to try again, and where.
//!
//! An unknown outcome is a kind of its own: the caller reads before it tries again (invariant 4).

use std::fmt;

/// What went wrong, in the words a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The head (or version) named was not the one in force; read it and build again.
    Conflict,
    /// The store cannot be reached or is busy; the same call may succeed later.
    Unavailable,
    /// The call may or may not have taken effect; read before trying again.
    UnknownOutcome,
    /// No room was left; nothing of the call was kept.
    NoSpace,
    /// Stored bytes are not what was written.
    Corrupt,
    /// What was asked for is not there.
    NotFound,
    /// Another process holds the store for writing.
    Locked,
    /// The store was opened for reading, or has turned read-only.
    ReadOnly,
    /// The store has a format this program does not read.
    Format,
    /// The call itself is wrong.
    Invalid,
}

/// Whether the same call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    No,
    /// After a while, unchanged.
    Later,
    /// After reading what is stored now.
    AfterReading,
}

/// An error of a storage role: kind, what was being done, and the cause where there is one.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of a storage role.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`; `context` says what was being done and names the place.
    pub fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// The same error with the cause below it.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What was being done, and where.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Whether the same call may be made again.
    pub fn retry(&self) -> Retry {
        match self.kind {
            Kind::Unavailable | Kind::NoSpace | Kind::Locked => Retry::Later,
            Kind::Conflict | Kind::UnknownOutcome => Retry::AfterReading,
            Kind::Corrupt | Kind::NotFound | Kind::ReadOnly | Kind::Format | Kind::Invalid => {
                Retry::No
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}
