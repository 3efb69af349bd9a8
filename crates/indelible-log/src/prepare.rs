//! Stage one, on the caller's thread: admit, redact, seal, file.
//!
//! What leaves here is final but for its place: the event's bytes as they will stand in the leaf.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use indelible_event::leaf::{LEAF_BEGINS, leaf_end_bytes_max};
use indelible_event::view::NotCanonical;
use indelible_event::{
    self as event, Admitted, AuditId, Catalogue, EventView, Field, Ledger as LedgerObject, Micros,
    Mode, Origin, Problem, ProblemCode, StreamClaim, TenantId, admit,
};
use indelible_store::{Column, Error, Filed, Kind, SealedValue, Shared as Many, TermKey, terms};

use crate::attachments::{Kept, pointer, references};
use crate::env::Env;
use crate::group::Handed;
use crate::keyring::{Keyring, Opened, Subject};
use crate::log::Shared;
use crate::outcome::{Outcome, Submission};
use crate::own::OwnEvent;
use crate::policy::SealingPolicy;
use crate::seal::{seal_event, seal_view, unseal};
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
    /// Its leaf as far as the event goes, which is canonical, redacted and sealed; with room for
    /// the rest, in a buffer with others.
    pub(crate) leaf: BytesMut,
    /// Where the event ends in it.
    pub(crate) event_end: usize,
    /// The leaf's ledger object.
    pub(crate) ledger: Arc<[u8]>,
    /// What it is filed under; `None` if the ledger finds that itself.
    pub(crate) filed: Option<Filed>,
    pub(crate) sealed: Vec<SealedValue>,
    /// By what it was sealed: needed to seal it again.
    pub(crate) policy: Option<Arc<SealingPolicy>>,
    /// Under which keys it was sealed that were not durable then.
    pub(crate) new_keys: Vec<Arc<Subject>>,
}

impl Prepared {
    /// The event's bytes, as long as the leaf is here.
    pub(crate) fn event(&self) -> &[u8] {
        self.leaf
            .get(LEAF_BEGINS.len()..self.event_end)
            .unwrap_or_default()
    }

    /// Whether every key it was sealed under is in the key store; to be asked after
    /// [`Keyring::flush_pending`](crate::Keyring::flush_pending). Else another writer was first
    /// with one, and it must be sealed again.
    pub(crate) fn stands(&self) -> bool {
        self.new_keys.iter().all(|subject| subject.is_durable())
    }

    /// Seals it again, under the keys that are in force now.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when a key that it was sealed under is gone; else as the key store.
    pub(crate) fn seal_again(&mut self, keyring: &Keyring) -> Result<(), Error> {
        let Some(policy) = &self.policy else {
            return Ok(());
        };
        let (admitted, true) = self.admitted(keyring)? else {
            let said = "the key of a data subject was destroyed meanwhile; submit again";
            return Err(Error::new(Kind::Unavailable, said));
        };
        let (id, tenant) = (self.audit_id, &self.tenant);
        let anew = seal_event(&admitted, id, policy, keyring, tenant)?;
        self.leaf = begin_leaf(
            &mut BytesMut::new(),
            &anew.bytes,
            &self.ledger,
            &self.tenant,
        );
        self.event_end = self.leaf.len();
        // It is filed under its subjects, which are others now: the ledger finds that itself.
        self.filed = None;
        (self.sealed, self.new_keys) = (anew.sealed, anew.pending);
        Ok(())
    }

    /// The event before it was sealed, and whether every value of it could be opened.
    ///
    /// # Errors
    /// As the key store.
    pub(crate) fn admitted(&self, keyring: &Keyring) -> Result<(Vec<u8>, bool), Error> {
        let open = |value| keyring.open_new(&self.new_keys, &self.tenant, value);
        let opened = self
            .sealed
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, Error>>()?;
        let whole = opened
            .iter()
            .all(|value| matches!(value, Opened::Value { .. }));
        Ok((unseal(self.event(), &opened)?, whole))
    }

    /// Takes the leaf back that did not come to stand in a log.
    pub(crate) fn take_back(&mut self, leaf: BytesMut) {
        self.leaf = leaf;
        self.leaf.truncate(self.event_end);
    }
}

/// Brings the submissions of a batch into their final form, slice by slice.
///
/// What events of a slice need of memory is had once for all of them, and let go of when the last
/// of them is committed: the threads that pass them on have nothing to free for each.
pub(crate) struct Preparer<'a> {
    shared: &'a Shared,
    now: Micros,
    key: Option<TermKey>,
    /// The ledger object of events of which it says nothing but how they came.
    plain: Option<(Arc<Admission>, Arc<[u8]>)>,
    leaves: BytesMut,
    terms: Vec<u64>,
    numbers: Vec<(Column, f64)>,
    /// What of both belongs to each event that was prepared.
    filed: Vec<(Range<u32>, Range<u32>)>,
}

/// Bytes of a leaf beside the event and its tenant, usually.
const LEAF_BYTES_AROUND: usize = 320;
/// Terms of an event, usually.
const TERMS_USUAL: usize = 24;

impl<'a> Preparer<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            now: shared.env.clock.now(),
            key: shared.stores.ledger.term_key(),
            plain: None,
            leaves: BytesMut::new(),
            terms: Vec::new(),
            numbers: Vec::new(),
            filed: Vec::new(),
        }
    }

    /// Makes room for the next slice.
    pub(crate) fn begin(&mut self, slice: &[Submission]) {
        let bytes = slice.iter().map(|submission| submission.event.len());
        let around = slice.len() * LEAF_BYTES_AROUND;
        self.leaves = BytesMut::with_capacity(bytes.sum::<usize>() + around);
        self.terms.reserve(slice.len() * TERMS_USUAL);
        self.plain = None;
    }

    /// Gives the events of the slice what they are filed under.
    pub(crate) fn end(&mut self, ready: &mut [Handed]) {
        if self.key.is_none() {
            return;
        }
        let terms = Arc::new(std::mem::take(&mut self.terms));
        let numbers = Arc::new(std::mem::take(&mut self.numbers));
        for (item, (of_terms, of_numbers)) in ready.iter_mut().zip(self.filed.drain(..)) {
            item.prepared.filed = Some(Filed {
                terms: Many::of(&terms, &of_terms),
                numbers: Many::of(&numbers, &of_numbers),
            });
        }
    }

    /// Brings one of them into its final form.
    pub(crate) fn prepare(&mut self, submission: Submission) -> Result<Prepared, Outcome> {
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
        let sealed =
            seal_view(&view, admitted.audit_id, sealing, keyring, &tenant).map_err(failed)?;
        if let Some(key) = self.key {
            let view = sealed.view(&view).map_err(|e| failed(not_canonical(e)))?;
            self.file(&key, &view);
        }
        let ledger = self.ledger(&admission, &admitted, stream);
        let policy = (!sealed.sealed.is_empty()).then(|| Arc::clone(sealing));
        let leaf = begin_leaf(&mut self.leaves, &sealed.bytes, &ledger, &tenant);
        Ok(Prepared {
            audit_id: admitted.audit_id,
            occurred_at: admitted.occurred_at,
            event_end: leaf.len(),
            leaf,
            ledger,
            filed: None,
            sealed: sealed.sealed,
            policy,
            new_keys: sealed.pending,
            tenant,
        })
    }

    /// What the event names is kept before it is committed, and what cannot be kept refuses it. If
    /// we die between, something is kept that nothing names, which harms nobody.
    fn keep_attachments(&self, tenant: &TenantId, admitted: &Admitted<'_>) -> Result<(), Outcome> {
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

    fn is_known(&self, tenant: &TenantId, id: AuditId) -> Result<bool, Outcome> {
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
    ) -> Result<(), Outcome> {
        let view = admitted.view().map_err(|e| failed(not_canonical(e)))?;
        if !statement::is_statement(view.raw(Field::EventType)) {
            return Ok(());
        }
        if claims {
            return Err(Outcome::Refused(statement::claims_itself()));
        }
        if let Some(problem) = statement::unnameable(&view, &admitted.redactions) {
            return Err(Outcome::Refused(vec![problem]));
        }
        match statement::contradicted(self.shared, tenant, admitted) {
            Ok(None) => Ok(()),
            Ok(Some(problem)) => Err(Outcome::Refused(vec![problem])),
            Err(error) => Err(failed(error)),
        }
    }

    fn file(&mut self, key: &TermKey, event: &EventView<'_>) {
        let (terms, numbers) = (end_of(&self.terms), end_of(&self.numbers));
        terms::extract_hashes(event, key, &mut self.terms, &mut self.numbers);
        let filed = (terms..end_of(&self.terms), numbers..end_of(&self.numbers));
        self.filed.push(filed);
    }

    fn ledger(
        &mut self,
        admission: &Arc<Admission>,
        admitted: &Admitted<'_>,
        stream: Option<StreamClaim>,
    ) -> Arc<[u8]> {
        let plain = stream.is_none()
            && admitted.schema_valid
            && admitted.flags.is_empty()
            && admitted.redactions.is_empty();
        if let Some((known, ledger)) = &self.plain
            && plain
            && Arc::ptr_eq(known, admission)
        {
            return Arc::clone(ledger);
        }
        let object = ledger_object(admission, admitted, stream, self.shared.incarnation);
        let ledger: Arc<[u8]> = object.to_canonical().into();
        if plain {
            self.plain = Some((Arc::clone(admission), Arc::clone(&ledger)));
        }
        ledger
    }
}

fn failed(error: Error) -> Outcome {
    Outcome::Failed(Arc::new(error))
}

/// Values of a slice are fewer than 2^32: an event has at most 65,535 bytes.
fn end_of<T>(all: &[T]) -> u32 {
    u32::try_from(all.len()).unwrap_or(u32::MAX)
}

/// Takes the room for a leaf from the front of `leaves` and puts the event into it.
fn begin_leaf(leaves: &mut BytesMut, event: &[u8], ledger: &[u8], tenant: &TenantId) -> BytesMut {
    let room = leaf_end_bytes_max(ledger, tenant);
    leaves.reserve(LEAF_BEGINS.len() + event.len() + room);
    leaves.extend_from_slice(LEAF_BEGINS);
    leaves.extend_from_slice(event);
    let end = leaves.len();
    leaves.resize(end + room, 0);
    let mut leaf = leaves.split();
    leaf.truncate(end);
    leaf
}

impl Prepared {
    /// A record of the ledger's own, of which this policy seals what is personal.
    ///
    /// # Errors
    /// As [`seal_event`].
    pub(crate) fn own_sealed(
        shared: &Shared,
        own: &OwnEvent,
        policy: &Arc<SealingPolicy>,
    ) -> Result<Self, Error> {
        let tenant = &shared.system;
        let sealed = seal_event(&own.bytes, own.audit_id, policy, &shared.keyring, tenant)?;
        let event = OwnEvent {
            bytes: sealed.bytes.into_owned(),
            ..*own
        };
        let mut prepared = Self::own(tenant, &event, shared.incarnation);
        prepared.policy = (!sealed.sealed.is_empty()).then(|| Arc::clone(policy));
        (prepared.sealed, prepared.new_keys) = (sealed.sealed, sealed.pending);
        Ok(prepared)
    }

    /// A record of the ledger's own.
    pub(crate) fn own(tenant: &TenantId, own: &OwnEvent, incarnation: u64) -> Self {
        let ledger = LedgerObject {
            incarnation: (incarnation > 1).then_some(incarnation),
            via: Some("ledger".to_owned()),
            ..LedgerObject::default()
        };
        let ledger: Arc<[u8]> = ledger.to_canonical().into();
        let leaf = begin_leaf(&mut BytesMut::new(), &own.bytes, &ledger, tenant);
        Self {
            tenant: tenant.clone(),
            audit_id: own.audit_id,
            occurred_at: own.occurred_at,
            event_end: leaf.len(),
            leaf,
            ledger,
            filed: None,
            sealed: Vec::new(),
            policy: None,
            new_keys: Vec::new(),
        }
    }
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
