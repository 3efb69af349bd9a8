//! A relay in the program itself: a thread that moves the rows of its outbox to its ledger.
//!
//! It has a way to the ledger of its own, so that neither it nor the emitter waits for the other.

use std::sync::Arc;

use indelible_emit::Transport;
use indelible_outbox::{Options, Relay};

use crate::audit::Audit;
use crate::error::{Error, Result};
use crate::process::Process;

/// Makes transports to the ledger of an audit trail, one for each relay.
pub(crate) struct Way(Make);

type Make = Box<dyn Fn() -> Result<Box<dyn Transport>> + Send + Sync>;

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

impl Way {
    pub(crate) fn new<T: Transport + 'static>(
        make: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(move || Ok(Box::new(make()?))))
    }
}

impl Audit {
    /// Starts a relay of the outbox in the database at
    /// `postgres://user:password@host/database`. Nothing is connected yet, and a database or a
    /// ledger that is down is waited for. Of several programs that have one, one relay works.
    ///
    /// A relay into a directory keeps that open until it is dropped, also after the audit trail is
    /// closed.
    ///
    /// # Errors
    /// [`Error::Relay`] when it is no URL, or the audit trail is closed.
    pub fn relay(&self, url: impl Into<String>) -> Result<Relay> {
        let relay = Relay::start(Options::new(url), (self.way.0)()?, Arc::new(Process));
        relay.map_err(|error| Error::Relay(error.to_string()))
    }
}
