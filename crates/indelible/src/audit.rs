//! An audit trail that events are emitted into.

use std::path::Path;
use std::time::Duration;

use indelible_emit::{
    Auth, CloseReport, Denial, EmitError, Emitter, Metrics, NeedsAction, Row, Subject, Ticket,
};
use indelible_event::Event;

use crate::build::{AuditBuilder, ToDirectory, ToServer};
use crate::error::Error;

/// An audit trail. Share it by reference or in an `Arc`; two threads of its own work for it.
///
/// Dropping it delivers what waits, for at most two seconds; [`close`](Self::close) says what
/// became of it. After a fork, the child makes its own.
#[derive(Debug)]
pub struct Audit {
    pub(crate) emitter: Emitter,
    /// How a relay finds the same ledger.
    #[cfg(feature = "relay")]
    pub(crate) way: crate::relay::Way,
}

impl Audit {
    /// Opens the audit trail in a directory, and makes it, with its keys, when there is none. Its
    /// keys lie in the user's configuration directory, never beside the data.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process writes to it; the others say what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::embedded(path).build()
    }

    /// As [`open`](Self::open), with something to be said before [`build`](AuditBuilder::build).
    pub fn embedded(path: impl AsRef<Path>) -> AuditBuilder<ToDirectory> {
        AuditBuilder::embedded(path.as_ref())
    }

    /// An audit trail behind the server at an address, like `http://127.0.0.1:8080`. Nothing is
    /// connected yet, and a server that is down is no error: events wait for it in the queue.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no address.
    pub fn connect(address: &str) -> Result<AuditBuilder<ToServer>, Error> {
        AuditBuilder::connect(address)
    }

    /// Begins an event in a tenant's log.
    pub fn for_tenant(&self, tenant: impl AsRef<str>) -> NeedsAction<'_> {
        self.emitter.for_tenant(tenant)
    }

    /// Emits a whole event into a tenant's log; what it lacks of id, time and service is filled in.
    pub fn emit(&self, tenant: impl AsRef<str>, event: impl Into<Box<Event>>) -> Ticket {
        self.emitter.emit(tenant, event)
    }

    /// The row of a whole event for the outbox of your database, in a transaction of yours; what
    /// the builder makes has [`EventBuilder::emit_in`](crate::EventBuilder::emit_in).
    ///
    /// # Errors
    /// [`EmitError::Refused`] when the ledger would not take the event.
    pub fn row(
        &self,
        tenant: impl AsRef<str>,
        event: impl Into<Box<Event>>,
    ) -> Result<Row, EmitError> {
        self.emitter.row(tenant, event)
    }

    /// Begins an event for the tenant of the [context](crate::Context); `None` when it names none.
    pub fn for_current_tenant(&self) -> Option<NeedsAction<'_>> {
        self.emitter.for_current_tenant()
    }

    /// Emits that something was done.
    pub fn emit_success(&self, event_type: impl AsRef<str>, subject: Subject) -> Ticket {
        self.emitter.emit_success(event_type, subject)
    }

    /// Emits that a guard refused: `permission.denied`, with the outcome `denied`.
    pub fn emit_denial(&self, subject: Subject, denial: impl Into<Denial>) -> Ticket {
        self.emitter.emit_denial(subject, denial)
    }

    /// Emits a login, successful or not, or a logout: `auth.login` and `auth.logout`, on the
    /// account that is the subject's target.
    pub fn emit_auth(&self, subject: Subject, auth: Auth) -> Ticket {
        self.emitter.emit_auth(subject, auth)
    }

    /// Says that an event was left out by a rule that somebody chose: it takes its number, and is
    /// declared in the log with the rule, of at most 256 bytes, and the count.
    pub fn left_out(&self, tenant: impl AsRef<str>, rule: impl Into<String>) {
        self.emitter.left_out(tenant, rule);
    }

    /// Delivers what has been emitted so far without waiting for batches to fill; whether all of it
    /// is settled within `deadline`.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.emitter.flush(deadline)
    }

    /// Takes no more events, delivers what waits, and says what became of all, at the latest after
    /// `deadline`. Closing again reports again.
    pub fn close(&self, deadline: Duration) -> CloseReport {
        self.emitter.close(deadline)
    }

    /// What was done so far, and what waits.
    pub fn metrics(&self) -> Metrics {
        self.emitter.metrics()
    }

    /// What was last wrong with the spool or the dead letters, if anything was.
    pub fn disk_error(&self) -> Option<String> {
        self.emitter.disk_error()
    }
}
