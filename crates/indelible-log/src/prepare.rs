//! Stage one, on the caller's thread: admit, redact, seal, file.
//!
//! What leaves here is final but for its place: the event's bytes as they will stand in the leaf.

use std::sync::Arc;

use indelible_event::view::NotCanonical;
use indelible_event::{
    self as event, Admitted, AuditId, Catalogue, EventView, Ledger as LedgerObject, Micros, Mode,
    Origin, StreamClaim, TenantId, admit,
};
use indelible_store::{Column, Error, Kind, Result, SealedValue, Terms, terms};

use crate::env::Env;
use crate::log::Shared;
use crate::outcome::{Outcome, Submission};
use crate::own::OwnEvent;
use crate::policy::SealingPolicy;
use crate::seal::seal_event;

/// How the events of one source are taken.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Strict refuses what lenient flags.
    pub mode: Mode,
    /// The event types and what they need.
    pub catalogue: &'static Catalogue,
    /// The dialect it came in, if it is not our own.
    pub dialect: Option<String>,
    /// The credential that submitted it.
    pub submitted_by: Option<String>,
    /// Through what it came: `emit`, `import`, `http` …
    pub via: Option<String>,
    /// What is sealed.
    pub sealing: Arc<SealingPolicy>,
}

/// An event ready for its place.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) tenant: TenantId,
    pub(crate) audit_id: AuditId,
    pub(crate) occurred_at: Micros,
    /// Canonical bytes after redaction and sealing.
    pub(crate) event: Vec<u8>,
    /// The leaf's ledger object.
    pub(crate) ledger: Vec<u8>,
    pub(crate) terms: Terms,
    pub(crate) numbers: Vec<(Column, f64)>,
    pub(crate) sealed: Vec<SealedValue>,
    /// By what it was sealed: needed to seal it again like its first record.
    pub(crate) policy: Option<Arc<SealingPolicy>>,
}

/// Brings a submission into its final form.
pub(crate) fn prepare(
    shared: &Shared,
    submission: Submission,
) -> std::result::Result<Prepared, Outcome> {
    let Submission {
        tenant,
        event: raw,
        admission,
        stream,
    } = submission;
    let rules = event::Admission {
        mode: admission.mode,
        catalogue: admission.catalogue,
        dialect: admission.dialect.as_deref().unwrap_or("native"),
        origin: Origin::Producer,
        tenant: Some(&tenant),
        now: shared.env.clock.now(),
    };
    let admitted = admit(&raw, &rules, &mut |bytes| shared.env.random.fill(bytes))
        .map_err(Outcome::Refused)?;
    let sealing = &admission.sealing;
    let sealed = seal_event(
        &admitted.bytes,
        admitted.audit_id,
        sealing,
        &shared.keyring,
        &tenant,
    )
    .map_err(|e| Outcome::Failed(Arc::new(e)))?;
    let ledger = ledger_object(&admission, &admitted, stream, shared.incarnation).to_canonical();
    let policy = (!sealed.sealed.is_empty()).then(|| Arc::clone(sealing));
    let mut prepared = Prepared {
        tenant,
        audit_id: admitted.audit_id,
        occurred_at: admitted.occurred_at,
        event: sealed.bytes,
        ledger,
        terms: Terms::default(),
        numbers: Vec::new(),
        sealed: sealed.sealed,
        policy,
    };
    // Mostly nothing was sealed, and the event need not be passed over once more.
    let filed = if prepared.event == admitted.bytes {
        admitted.view()
    } else {
        EventView::parse(&prepared.event)
    };
    let filed = filed.map_err(|e| Outcome::Failed(Arc::new(not_canonical(e))))?;
    terms::extract(&filed, &mut prepared.terms, &mut prepared.numbers);
    Ok(prepared)
}

impl Prepared {
    /// A record of the ledger's own.
    pub(crate) fn own(tenant: &TenantId, own: OwnEvent, incarnation: u64) -> Result<Self> {
        let ledger = LedgerObject {
            incarnation: (incarnation > 1).then_some(incarnation),
            via: Some("ledger".to_owned()),
            ..LedgerObject::default()
        };
        finish(Self {
            tenant: tenant.clone(),
            audit_id: own.audit_id,
            occurred_at: own.occurred_at,
            event: own.bytes,
            ledger: ledger.to_canonical(),
            terms: Terms::default(),
            numbers: Vec::new(),
            sealed: Vec::new(),
            policy: None,
        })
    }
}

/// Files the event under its terms.
fn finish(mut prepared: Prepared) -> Result<Prepared> {
    let view = EventView::parse(&prepared.event).map_err(not_canonical)?;
    terms::extract(&view, &mut prepared.terms, &mut prepared.numbers);
    Ok(prepared)
}

fn not_canonical(cause: NotCanonical) -> Error {
    Error::new(Kind::Invalid, "an admitted event is not canonical").caused_by(cause)
}

fn ledger_object(
    admission: &Admission,
    admitted: &Admitted,
    stream: Option<StreamClaim>,
    incarnation: u64,
) -> LedgerObject {
    let sealing = &admission.sealing;
    let mut object = LedgerObject {
        dialect: admission.dialect.clone(),
        flags: admitted.flags.clone(),
        incarnation: (incarnation > 1).then_some(incarnation),
        policy: (!sealing.is_off()).then_some(sealing.version()),
        schema_valid: (!admitted.schema_valid).then_some(false),
        stream,
        submitted_by: admission.submitted_by.clone(),
        via: admission.via.clone(),
        ..LedgerObject::default()
    };
    object.note_redactions(admitted.redactions.iter().cloned());
    object
}

/// The clock's millisecond and ten random bytes: what an id is minted from.
pub(crate) fn mint(env: &Env, now: Micros) -> AuditId {
    AuditId::mint(now.unix_ms(), env.random_bytes::<10>())
}
