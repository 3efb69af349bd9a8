//! Sealing: personal values leave the event before it becomes a leaf.
//!
//! What leaves is encrypted under its subject's key and stands beside the leaf; in the leaf stands,
//! per subject, a commitment to all that left. The rest of the event stays byte for byte. Not here:
//! keys (`keyring`), what is personal (`policy`), verifying commitments (`indelible-proof`).
//! Invariant: [`unseal`] with all values gives back the bytes that were sealed.
//! Source: `spec/sealing.md`.

mod again;
pub mod detect;
mod known;
mod scan;
mod skim;
mod splice;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use indelible_event::canonical::write_string;
use indelible_event::ids::{AuditId, TenantId};
use indelible_event::view::Kept;
use indelible_event::{EventView, Field, NotCanonical};
use indelible_store::{Error, Handle, Kind, Result, SealedValue};

pub(crate) use again::put_back;
pub use again::{unseal, unsealed_part};

use crate::keyring::{
    Found as Generation, Identity, Keyring, RecordIdentity, Subject, Value, hex64, sha256_padding,
};
use crate::policy::SealingPolicy;
use scan::{Found, Refused, Scan};

/// An event without its personal values, and these beside it.
#[derive(Clone, Debug)]
pub struct SealedEvent<'a> {
    /// The event as it goes into the leaf; canonical. Borrowed when nothing was sealed.
    pub bytes: Cow<'a, [u8]>,
    /// Its personal values, by handle and pointer.
    pub sealed: Vec<SealedValue>,
    /// Number of the policy it was sealed under; for the leaf's `ledger.policy`.
    pub policy: u64,
    /// Whether a subject's key has been destroyed since the first record of this id, so that its
    /// commitment cannot be made again: compare [`unsealed_part`] only. Only after [`seal_again`].
    pub erased: bool,
    /// Subjects whose keys were not durable when it was sealed.
    pub(crate) pending: Vec<Arc<Subject>>,
    /// What became of the fields, where that is known.
    moved: Option<Moved>,
}

/// What stands unchanged, and fields with a new value.
#[derive(Clone, Debug)]
struct Moved {
    kept: Vec<Kept>,
    put: Vec<(Field, Range<usize>)>,
}

impl SealedEvent<'_> {
    /// The view of the sealed bytes; `of` is that of the event that was sealed.
    ///
    /// # Errors
    /// [`NotCanonical`] if the bytes were replaced by others.
    pub fn view<'s>(
        &'s self,
        of: &'s EventView<'_>,
    ) -> std::result::Result<EventView<'s>, NotCanonical> {
        match (&self.bytes, &self.moved) {
            (Cow::Borrowed(_), _) => Ok(of.lent()),
            (bytes, Some(moved)) => {
                let text = str::from_utf8(bytes).map_err(|_| NotCanonical)?;
                Ok(of.moved(text, &moved.kept, &moved.put))
            }
            (bytes, None) => EventView::parse(bytes),
        }
    }

    /// Whether it must be sealed again, another writer's key having been first. Ask after
    /// [`Keyring::flush_pending`] and before the append.
    pub fn is_superseded(&self) -> bool {
        self.pending.iter().any(|subject| subject.is_superseded())
    }

    /// Whether every key it was sealed under is in the key store.
    pub fn is_durable(&self) -> bool {
        self.pending.iter().all(|subject| subject.is_durable())
    }
}

/// Seals an event: canonical bytes, admitted and redacted, whose `audit_id` is given.
///
/// # Errors
/// [`Kind::Invalid`] when the event has a `sealed` of its own or is not canonical;
/// [`Kind::Unavailable`] when it has personal values while there is no master key; else as the
/// key store.
pub fn seal_event<'a>(
    event: &'a [u8],
    audit_id: AuditId,
    policy: &SealingPolicy,
    keyring: &Keyring,
    tenant: &TenantId,
) -> Result<SealedEvent<'a>> {
    seal_view(&view(event)?, audit_id, policy, keyring, tenant)
}

/// Seals an event that was passed over already.
///
/// # Errors
/// As [`seal_event`].
pub fn seal_view<'a>(
    event: &EventView<'a>,
    audit_id: AuditId,
    policy: &SealingPolicy,
    keyring: &Keyring,
    tenant: &TenantId,
) -> Result<SealedEvent<'a>> {
    Sealer {
        audit_id,
        policy,
        keyring,
        tenant,
        handles: None,
    }
    .seal(event)
}

/// Seals a repeat under the generations of its first record, whose `handles` its leaf names.
///
/// # Errors
/// As [`seal_event`].
pub fn seal_again<'a>(
    event: &'a [u8],
    audit_id: AuditId,
    policy: &SealingPolicy,
    keyring: &Keyring,
    (tenant, handles): (&TenantId, &[Handle]),
) -> Result<SealedEvent<'a>> {
    Sealer {
        audit_id,
        policy,
        keyring,
        tenant,
        handles: Some(handles),
    }
    .seal(&view(event)?)
}

fn view(event: &[u8]) -> Result<EventView<'_>> {
    EventView::parse(event).map_err(|_| refuse(Refused::NotCanonical))
}

struct Sealer<'a> {
    audit_id: AuditId,
    policy: &'a SealingPolicy,
    keyring: &'a Keyring,
    tenant: &'a TenantId,
    handles: Option<&'a [Handle]>,
}

/// The subjects of an event, by [`Whose`].
#[derive(Default)]
struct Subjects {
    by_place: [Option<Arc<Subject>>; 3],
    erased: bool,
}

impl Sealer<'_> {
    fn seal<'e>(&self, event: &EventView<'e>) -> Result<SealedEvent<'e>> {
        let text = event.as_str();
        if event.span(Field::Sealed).is_some() {
            return Err(refuse(Refused::HasSealed));
        }
        let short = known::known(event, self.policy);
        let in_fields = short.is_some();
        let scan = match short {
            Some(scan) => scan,
            None => scan::scan(text, self.policy).map_err(refuse)?,
        };
        let policy = self.policy.version();
        if scan.found.is_empty() || self.policy.is_off() {
            return Ok(SealedEvent {
                bytes: Cow::Borrowed(text.as_bytes()),
                sealed: Vec::new(),
                policy,
                erased: false,
                pending: Vec::new(),
                moved: None,
            });
        }
        let subjects = self.subjects(text, &scan)?;
        let mut order = Vec::with_capacity(scan.found.len());
        for found in &scan.found {
            if let Some(subject) = &subjects.by_place[found.whose as usize] {
                order.push((&**subject, found));
            }
        }
        order.sort_by(|(a, x), (b, y)| (a.handle(), &x.pointer).cmp(&(b.handle(), &y.pointer)));
        let (sealed, commitments) = self.commit(text, &order)?;
        let spliced = splice::splice(text, &scan, &commitments, |whose| {
            subjects.by_place[whose as usize]
                .as_deref()
                .map_or("", Subject::handle_text)
        });
        let pending = subjects.by_place.into_iter().flatten();
        let pending = pending.filter(|subject| !subject.is_durable()).collect();
        let (kept, put) = (spliced.kept, spliced.put);
        Ok(SealedEvent {
            bytes: Cow::Owned(spliced.bytes),
            sealed,
            policy,
            erased: subjects.erased,
            pending,
            moved: in_fields.then_some(Moved { kept, put }),
        })
    }

    /// Finds the subjects of everything found; nobody in particular is the record itself.
    fn subjects(&self, text: &str, scan: &Scan<'_>) -> Result<Subjects> {
        let mut subjects = Subjects::default();
        let record = RecordIdentity::new(self.audit_id);
        for found in &scan.found {
            if subjects.by_place[found.whose as usize].is_some() {
                continue;
            }
            let identity = match scan.identity(text, found.whose) {
                Some((kind, id)) => Identity::from_tokens(kind, id),
                None => record.identity(),
            };
            let subject = match self.handles {
                None => self.keyring.subject(self.tenant, identity)?,
                Some(handles) => {
                    let (subject, generation) =
                        self.keyring.subject_among(self.tenant, identity, handles)?;
                    subjects.erased |= generation == Generation::Gone;
                    subject
                }
            };
            subjects.by_place[found.whose as usize] = Some(subject);
        }
        Ok(subjects)
    }

    /// Rows and commitments of values in order.
    fn commit(
        &self,
        text: &str,
        order: &[(&Subject, &Found<'_>)],
    ) -> Result<(Vec<SealedValue>, String)> {
        let mut sealed = Vec::with_capacity(order.len());
        let mut leaves = Vec::with_capacity(order.len());
        let mut commitments = String::with_capacity(256);
        let mut disclosure = Vec::with_capacity(512);
        for (n, (subject, found)) in order.iter().enumerate() {
            let token = &text[found.value.clone()];
            let search_name = found.search_name.as_deref();
            let value = Value {
                pointer: &found.pointer,
                search_name,
                token,
            };
            let row = self.keyring.rows.row(subject, value)?;
            let salt = subject.salt(self.audit_id, &found.pointer);
            leaves.push(disclosure_hash(
                &mut disclosure,
                &salt,
                &found.pointer,
                token,
            ));
            let (handle, blob) = (subject.handle(), search_name.is_none());
            sealed.push(SealedValue {
                handle,
                find: row.find,
                blob,
                row: row.cipher,
            });
            let last = order
                .get(n + 1)
                .is_none_or(|(next, _)| next.handle() != handle);
            if last {
                let root = root_of(&mut disclosure, &leaves);
                commitments.push_str(if commitments.is_empty() { "[" } else { "," });
                commitments.push_str(r#"{"root":""#);
                commitments.push_str(str::from_utf8(&hex64(&root)).unwrap_or_default());
                commitments.push_str(r#"","subject":""#);
                commitments.push_str(subject.handle_text());
                commitments.push_str(r#""}"#);
                leaves.clear();
            }
        }
        commitments.push(']');
        Ok((sealed, commitments))
    }
}

fn refuse(why: Refused) -> Error {
    Error::new(
        Kind::Invalid,
        match why {
            Refused::NotCanonical => "the event is not a canonical json object: admit it first",
            Refused::HasSealed => "at \"/sealed\": producers may not send this key: rename it",
        },
    )
}

/// RFC 6962 leaf hash of the disclosure `["<salt>","<pointer>",<value>]`.
fn disclosure_hash(bytes: &mut Vec<u8>, salt: &[u8; 32], pointer: &str, token: &str) -> [u8; 32] {
    bytes.clear();
    bytes.extend_from_slice(b"\0[\"");
    bytes.extend_from_slice(&hex64(salt));
    bytes.extend_from_slice(b"\",");
    write_string(bytes, pointer);
    bytes.push(b',');
    bytes.extend_from_slice(token.as_bytes());
    bytes.push(b']');
    sha256_padding(bytes)
}

/// RFC 6962 root over at least one leaf hash. `bytes` is room to work in.
fn root_of(bytes: &mut Vec<u8>, leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => {
            bytes.clear();
            sha256_padding(bytes)
        }
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let (left, right) = (root_of(bytes, left), root_of(bytes, right));
            bytes.clear();
            bytes.push(1);
            bytes.extend_from_slice(&left);
            bytes.extend_from_slice(&right);
            sha256_padding(bytes)
        }
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
