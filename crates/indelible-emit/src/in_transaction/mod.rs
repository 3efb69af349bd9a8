//! Events in the caller's own database transaction: a row that is committed or rolled back with
//! what it tells of.
//!
//! The row has the event's bytes, made once, on the caller's thread: secrets replaced, context
//! filled in, and held against the rules that the ledger has, so that what it would refuse is an
//! error before anything is written. Not here: the table, and who brings its rows to the ledger
//! (`indelible-outbox`). Invariant: of an event that is an error nothing was sent to the database.
//! Source: `docs/outbox.md`.

#[cfg(feature = "diesel-async")]
mod diesel;
#[cfg(feature = "sqlx")]
mod sqlx;
#[cfg(feature = "tokio-postgres")]
mod tokio_postgres;

use std::future::Future;

use indelible_event::catalogue::NATIVE;
use indelible_event::{
    Admission, AuditId, Event, Micros, Mode, Origin, Problem, ProblemCode, TenantId, admit,
};

use crate::attachment::Attached;
use crate::builder::EventBuilder;
use crate::context::Around;
use crate::draft::{Draft, Said};
use crate::emitter::Emitter;
use crate::encode::Encoder;
use crate::shared::Shared;
use crate::ticket::EmitError;

/// A row of the outbox: [`Row::INSERT`] and its three values are all that a driver needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The event's id.
    pub audit_id: AuditId,
    /// Whose log.
    pub tenant_id: TenantId,
    /// The event in canonical form.
    pub event: Vec<u8>,
}

/// A transaction that takes a row: of `tokio-postgres`, `sqlx` or `diesel-async` with the feature
/// of that name. For another driver it is one call with [`Row::INSERT`].
pub trait InTransaction {
    /// What the driver says of a statement that failed.
    type Error: std::error::Error + 'static;

    /// Inserts the row.
    fn insert(&mut self, row: &Row) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why an event has no row. The transaction ought to be rolled back, unless it may go on unaudited.
#[derive(Debug, thiserror::Error)]
pub enum EmitInError<E: std::error::Error + 'static> {
    /// The event cannot be taken as it is; nothing was sent to the database.
    #[error(transparent)]
    Refused(EmitError),
    /// The database did not take it.
    #[error("the event was not written to the outbox: {0}")]
    Database(#[source] E),
}

impl Row {
    /// The statement: `$1` the id as text, `$2` the tenant, `$3` the event's bytes.
    pub const INSERT: &str = "INSERT INTO indelible_outbox (audit_id, tenant_id, event) \
                              VALUES ($1::text::uuid, $2::text, $3::bytea)";
}

impl EventBuilder<'_> {
    /// Emits the event in a transaction of yours: it is in the ledger sooner or later if that is
    /// committed, and never was if it is rolled back. The id is that of the record to come.
    ///
    /// It waits for one statement and takes nothing from the emitter's queue.
    ///
    /// # Errors
    /// [`EmitInError`]: there is no row. The caller decides; `?` fails the transaction.
    ///
    /// # Durability
    /// As durable as the transaction, once that is committed.
    pub async fn emit_in<T: InTransaction + ?Sized>(
        self,
        transaction: &mut T,
    ) -> Result<AuditId, EmitInError<T::Error>> {
        let row = self.row().map_err(EmitInError::Refused)?;
        let inserted = transaction.insert(&row).await;
        inserted.map_err(EmitInError::Database)?;
        Ok(row.audit_id)
    }

    /// The row of the event, for a driver that [`InTransaction`] does not know.
    ///
    /// # Errors
    /// [`EmitError::Refused`] when the ledger would not take the event.
    pub fn row(self) -> Result<Row, EmitError> {
        let Self {
            shared,
            tenant,
            mut built,
            around,
            ..
        } = self;
        built.around = around.unwrap_or_else(Around::now);
        let more = built.more.as_deref();
        let (id, at) = more.map_or((None, None), |more| (more.audit_id, more.occurred_at));
        let (minted, now) = shared.mint();
        let draft = Draft {
            tenant,
            audit_id: id.unwrap_or(minted),
            occurred_at: at.unwrap_or(now),
            said: Said::Built(built),
        };
        shared.row(draft, now)
    }
}

impl Emitter {
    /// The row of a whole event, which fills in what it lacks of id, time and service, as
    /// [`Emitter::emit`] does.
    ///
    /// # Errors
    /// [`EmitError::Refused`] when the ledger would not take the event.
    pub fn row(
        &self,
        tenant: impl AsRef<str>,
        event: impl Into<Box<Event>>,
    ) -> Result<Row, EmitError> {
        let (minted, now) = self.shared().mint();
        let event = event.into();
        let id = event.audit_id.as_deref();
        let draft = Draft {
            tenant: tenant.as_ref().into(),
            audit_id: id
                .and_then(|text| AuditId::parse(text).ok())
                .unwrap_or(minted),
            occurred_at: now,
            said: Said::Whole(event, Around::now()),
        };
        self.shared().row(draft, now)
    }
}

impl Shared {
    fn row(&self, draft: Draft, now: Micros) -> Result<Row, EmitError> {
        if draft.weight().is_none() {
            let text = "arrays and objects are nested deeper than an event may have them";
            return Err(refused("", ProblemCode::TooDeep, text));
        }
        // What is in the table travels.
        let encoder = Encoder::new(&self.options, true);
        let outgoing = encoder
            .untold(draft)
            .map_err(|unsendable| EmitError::Refused(unsendable.problems))?;
        if let Some(Attached { bytes, .. }) = outgoing.attached.first() {
            let text = format!(
                "{} bytes would stand beside the event, and an outbox has no room for that: emit \
                 it outside the transaction, or say less",
                bytes.len()
            );
            return Err(refused("", ProblemCode::TooLarge, &text));
        }
        let admission = Admission {
            mode: Mode::Strict,
            catalogue: &NATIVE,
            dialect: "native",
            origin: Origin::Producer,
            tenant: Some(&outgoing.tenant),
            now,
        };
        // The event has an id by now.
        let mut random = |bytes: &mut [u8]| self.surroundings.fill(bytes);
        let admitted = admit(&outgoing.event, &admission, &mut random);
        let admitted = admitted.map_err(EmitError::Refused)?;
        Ok(Row {
            audit_id: admitted.audit_id,
            event: admitted.bytes.into_owned(),
            tenant_id: outgoing.tenant,
        })
    }
}

fn refused(pointer: &str, code: ProblemCode, text: &str) -> EmitError {
    EmitError::Refused(vec![Problem::at(pointer, code, text)])
}
