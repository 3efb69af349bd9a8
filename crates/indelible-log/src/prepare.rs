//! Stage one, on the caller's thread: admit, redact, seal, file.
//!
//! What leaves here is final but for its place: the event's bytes as they will stand in the leaf.

use std::borrow::Cow;
use std::sync::Arc;

use indelible_event::view::NotCanonical;
use indelible_event::{
    self as event, Admitted, AuditId, Catalogue, EventView, Field, Ledger as LedgerObject, Micros,
    Mode, Origin, Problem, ProblemCode, StreamClaim, TenantId, admit,
};
use indelible_store::{Column, Error, Kind, Result, SealedValue, Terms, terms};

use crate::attachments::{Kept, pointer, references};
use crate::env::Env;
use crate::log::Shared;
use crate::outcome::{Outcome, Submission};
use crate::own::OwnEvent;
use crate::policy::SealingPolicy;
use crate::seal::seal_view;
use crate::statement::{self, has_claim, shifted, take_leading, take_out, unplaced};

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

/// Brings the submissions of a batch into their final form.
pub(crate) struct Preparer<'a> {
    shared: &'a Shared,
    now: Micros,
    /// The ledger object of events of which it says nothing but how they came.
    plain: Option<(Arc<Admission>, Vec<u8>)>,
}

impl<'a> Preparer<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            now: shared.env.clock.now(),
            plain: None,
        }
    }

    /// Brings one of them into its final form.
    pub(crate) fn prepare(
        &mut self,
        submission: Submission,
    ) -> std::result::Result<Prepared, Outcome> {
        let shared = self.shared;
        let Submission {
            tenant,
            event: mut raw,
            admission,
            mut stream,
        } = submission;
        let shorter = take_leading(&mut raw, &mut stream).map_err(Outcome::Refused)?;
        let mut minted = false;
        let mut random = |bytes: &mut [u8]| {
            minted = true;
            shared.env.random.fill(bytes);
        };
        let rules = event::Admission {
            mode: admission.mode,
            catalogue: admission.catalogue,
            dialect: admission.dialect.as_deref().unwrap_or("native"),
            origin: Origin::Producer,
            tenant: Some(&tenant),
            now: self.now,
        };
        let admitted = match admit(&raw, &rules, &mut random) {
            Ok(admitted) => admitted,
            Err(problems) if has_claim(&problems) => {
                raw = take_out(&raw, &mut stream).map_err(Outcome::Refused)?;
                let admitted = admit(&raw, &rules, &mut random);
                admitted.map_err(|problems| Outcome::Refused(unplaced(problems)))?
            }
            Err(problems) => return Err(Outcome::Refused(shifted(problems, shorter))),
        };
        if minted && stream.is_some() {
            return Err(Outcome::Refused(statement::needs_id()));
        }
        let view = admitted.view().map_err(|e| failed(not_canonical(e)))?;
        if statement::may_be_statement(view.raw(Field::EventType)) {
            self.check_statement(&tenant, &admitted, stream.is_some())?;
        }
        self.keep_attachments(&tenant, &admitted)?;
        let sealing = &admission.sealing;
        let keyring = &shared.keyring;
        let mut sealed =
            seal_view(&view, admitted.audit_id, sealing, keyring, &tenant).map_err(failed)?;
        let filed = sealed.view(&view).map_err(|e| failed(not_canonical(e)))?;
        let (mut terms, mut numbers) = (Terms::default(), Vec::new());
        terms::extract(&filed, &mut terms, &mut numbers);
        let ledger = self.ledger(&admission, &admitted, stream);
        let values = std::mem::take(&mut sealed.sealed);
        let policy = (!values.is_empty()).then(|| Arc::clone(sealing));
        let (audit_id, occurred_at) = (admitted.audit_id, admitted.occurred_at);
        // Mostly the bytes are still those that came.
        let sealed = owned(sealed.bytes);
        let event = sealed.or_else(|| owned(admitted.bytes));
        Ok(Prepared {
            tenant,
            audit_id,
            occurred_at,
            event: event.unwrap_or(raw),
            ledger,
            terms,
            numbers,
            sealed: values,
            policy,
        })
    }
}

impl Preparer<'_> {
    /// What the event names is kept before it is committed, and what cannot be kept refuses it. If
    /// we die between, something is kept that nothing names, which harms nobody.
    fn keep_attachments(
        &self,
        tenant: &TenantId,
        admitted: &Admitted<'_>,
    ) -> std::result::Result<(), Outcome> {
        let mut problems = Vec::new();
        for named in references(&admitted.bytes) {
            let kept = match self.shared.attachments.get() {
                Some(store) => store.keep(tenant, &named).map_err(failed)?,
                None => Kept::Missing,
            };
            let said = match kept {
                Kept::Yes => continue,
                Kept::Missing => "the attachment is not here: upload it first".to_owned(),
                Kept::OtherLength(bytes) => format!("the attachment has {bytes} bytes"),
            };
            let place = pointer(&admitted.bytes, &named.digest);
            problems.push(Problem::at(place, ProblemCode::AttachmentMissing, said));
        }
        // A repeat has its receipt for ever, also when the attachment has been destroyed since.
        if problems.is_empty() || self.is_known(tenant, admitted.audit_id)? {
            return Ok(());
        }
        Err(Outcome::Refused(problems))
    }

    fn is_known(&self, tenant: &TenantId, id: AuditId) -> std::result::Result<bool, Outcome> {
        let ledger = &self.shared.stores.ledger;
        match ledger.find(tenant, &[id]) {
            Ok(found) => Ok(found.iter().any(Option::is_some)),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// A statement speaks about numbers and has none itself; a loss must not be contradicted.
    fn check_statement(
        &self,
        tenant: &TenantId,
        admitted: &Admitted<'_>,
        claims: bool,
    ) -> std::result::Result<(), Outcome> {
        let view = admitted.view().map_err(|e| failed(not_canonical(e)))?;
        if !statement::is_statement(view.raw(Field::EventType)) {
            return Ok(());
        }
        if claims {
            return Err(Outcome::Refused(statement::claims_itself()));
        }
        match statement::contradicted(self.shared, tenant, admitted) {
            Ok(None) => Ok(()),
            Ok(Some(problem)) => Err(Outcome::Refused(vec![problem])),
            Err(error) => Err(failed(error)),
        }
    }

    fn ledger(
        &mut self,
        admission: &Arc<Admission>,
        admitted: &Admitted<'_>,
        stream: Option<StreamClaim>,
    ) -> Vec<u8> {
        let plain = stream.is_none()
            && admitted.schema_valid
            && admitted.flags.is_empty()
            && admitted.redactions.is_empty();
        if let Some((known, ledger)) = &self.plain
            && plain
            && Arc::ptr_eq(known, admission)
        {
            return ledger.clone();
        }
        let object = ledger_object(admission, admitted, stream, self.shared.incarnation);
        let ledger = object.to_canonical();
        if plain {
            self.plain = Some((Arc::clone(admission), ledger.clone()));
        }
        ledger
    }
}

fn failed(error: Error) -> Outcome {
    Outcome::Failed(Arc::new(error))
}

fn owned(bytes: Cow<'_, [u8]>) -> Option<Vec<u8>> {
    match bytes {
        Cow::Owned(bytes) => Some(bytes),
        Cow::Borrowed(_) => None,
    }
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
    admitted: &Admitted<'_>,
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
