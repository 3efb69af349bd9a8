//! Data subjects in memory: who they are, one generation's key, and whether it is durable yet.
//!
//! Not here: the key store (`pending`, `mod`). Secrets are cleared when the last holder lets go.
//! `spec/sealing.md` §subject.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::Equivalent;
use indelible_event::ids::{AuditId, TenantId};
use indelible_store::{FindHash, Handle};
use zeroize::Zeroizing;

use super::mac::Mac;
use super::wrap::{Secret, attachment_key, handle_text, row_key};

/// Who a data subject is: the canonical array of a type and an id.
///
/// Borrowed from an event as the two JSON string tokens it holds, so that nothing is copied to look
/// a known subject up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    kind: &'a str,
    id: &'a str,
}

impl<'a> Identity<'a> {
    /// Of canonical JSON string tokens, quotes included.
    pub fn from_tokens(kind: &'a str, id: &'a str) -> Self {
        Self { kind, id }
    }

    /// The array's bytes.
    pub fn text(&self) -> String {
        format!("[{},{}]", self.kind, self.id)
    }

    /// Whether this is a record standing for a subject that nobody knows.
    pub(crate) fn is_record(&self) -> bool {
        self.kind == RECORD_KIND
    }
}

/// Type of the subject that a record itself is.
const RECORD_KIND: &str = "\"record\"";

/// The identity of a record, for the personal values of nobody in particular.
#[derive(Clone, Copy, Debug)]
pub struct RecordIdentity([u8; 38]);

impl RecordIdentity {
    /// Of the record with this id.
    pub fn new(audit_id: AuditId) -> Self {
        let mut token = [b'"'; 38];
        token[1..37].copy_from_slice(&audit_id.text());
        Self(token)
    }

    /// As an identity.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            kind: RECORD_KIND,
            id: str::from_utf8(&self.0).unwrap_or_default(),
        }
    }
}

/// How far a new key has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// In memory only.
    Pending = 0,
    /// In the key store.
    Durable = 1,
    /// Another writer's key was first, or the key was destroyed: what it sealed must not be kept.
    Superseded = 2,
}

/// A stage that moves while others look.
pub(crate) struct Progress(AtomicU8);

impl Progress {
    pub(crate) fn new(stage: Stage) -> Self {
        Self(AtomicU8::new(stage as u8))
    }

    pub(crate) fn get(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Pending,
            1 => Stage::Durable,
            _ => Stage::Superseded,
        }
    }

    pub(crate) fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Release);
    }
}

/// A tenant's index key, from which find hashes and identity hashes come.
pub(crate) struct TenantKeys {
    pub(crate) tenant: TenantId,
    pub(crate) index: Secret,
    pub(crate) mac: Mac,
    pub(crate) stage: Progress,
}

impl TenantKeys {
    pub(crate) fn new(tenant: TenantId, index: Secret, stage: Stage) -> Self {
        let mac = Mac::new(&index);
        Self {
            tenant,
            index,
            mac,
            stage: Progress::new(stage),
        }
    }

    /// By which a value is found: `search_name` and the value, normalised here.
    pub(crate) fn find_hash(&self, search_name: &str, value: &str) -> FindHash {
        let value = normalise(value);
        let code = self
            .mac
            .code(&[search_name.as_bytes(), &[0], value.as_bytes()]);
        FindHash(first_half(&code))
    }

    /// Under which the handles of an identity are kept.
    pub(crate) fn identity_hash(&self, identity: Identity<'_>) -> [u8; 32] {
        let (kind, id) = (identity.kind.as_bytes(), identity.id.as_bytes());
        self.mac.code(&[b"subject\0[", kind, b",", id, b"]"])
    }
}

fn first_half(code: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|n| code[n])
}

/// A value as it is searched for: trimmed, lower-cased, an IP address in its canonical text.
pub fn normalise(value: &str) -> String {
    let value = value.trim();
    match value.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => value.to_lowercase(),
    }
}

/// One generation of one data subject of one tenant, with its key.
pub struct Subject {
    pub(crate) handle: Handle,
    pub(crate) handle_text: [u8; 36],
    pub(crate) key: Secret,
    /// Derived from it when the first row is sealed or opened.
    row_key: OnceLock<Zeroizing<[u8; 64]>>,
    pub(crate) mac: Mac,
    pub(crate) tenant: Arc<TenantKeys>,
    pub(crate) stage: Progress,
    /// Seen in one record only, so that keeping its rows at hand is of no use.
    pub(crate) once: bool,
}

impl Subject {
    pub(crate) fn new(tenant: Arc<TenantKeys>, handle: Handle, key: Secret, stage: Stage) -> Self {
        let (mac, handle_text) = (Mac::new(&key), handle_text(handle));
        Self {
            handle,
            handle_text,
            key,
            row_key: OnceLock::new(),
            mac,
            tenant,
            stage: Progress::new(stage),
            once: false,
        }
    }

    /// The handle by which leaves and rows name this generation.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The handle as it is written: `sub_` and 32 hex digits.
    pub fn handle_text(&self) -> &str {
        str::from_utf8(&self.handle_text).unwrap_or_default()
    }

    /// Whether the key is in the key store, so that what it sealed may be committed.
    pub fn is_durable(&self) -> bool {
        self.stage.get() == Stage::Durable
    }

    /// Whether what it sealed must be sealed again: another key has taken its place.
    pub fn is_superseded(&self) -> bool {
        self.stage.get() == Stage::Superseded
    }

    /// The key of its personal rows.
    pub(crate) fn row_key(&self) -> &[u8; 64] {
        self.row_key.get_or_init(|| row_key(&self.key))
    }

    /// The key of the file of the attachment that it is.
    pub(crate) fn attachment_key(&self) -> Zeroizing<[u8; 64]> {
        attachment_key(&self.key)
    }

    /// The salt of the value at a pointer in a record.
    pub fn salt(&self, audit_id: AuditId, pointer: &str) -> [u8; 32] {
        self.mac.code(&[audit_id.bytes(), pointer.as_bytes()])
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({}, {:?})", self.handle_text(), self.stage.get())
    }
}

/// Key of the cache of subjects: an identity of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    tenant: TenantId,
    kind: Box<str>,
    id: Box<str>,
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) identity: Identity<'a>,
}

impl Asked<'_> {
    pub(crate) fn to_known(self) -> Known {
        let Identity { kind, id } = self.identity;
        Known {
            tenant: self.tenant.clone(),
            kind: kind.into(),
            id: id.into(),
        }
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.tenant.as_str(), &*self.kind, &*self.id).hash(state);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.tenant.as_str(), self.identity.kind, self.identity.id).hash(state);
    }
}

impl Equivalent<Known> for Asked<'_> {
    fn equivalent(&self, known: &Known) -> bool {
        *self.identity.id == *known.id
            && *self.identity.kind == *known.kind
            && self.tenant.as_str() == known.tenant.as_str()
    }
}

impl Known {
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            kind: &self.kind,
            id: &self.id,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn values_are_searched_for_in_one_form() {
        for (value, normal) in [
            (" Bob@Example.COM ", "bob@example.com"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("010.0.0.1", "010.0.0.1"),
            ("ÄRGER", "ärger"),
            ("", ""),
        ] {
            assert_eq!(normalise(value), normal);
        }
    }

    #[test]
    fn asked_and_known_hash_alike() {
        let tenant = TenantId::parse("acme").unwrap();
        let identity = Identity::from_tokens("\"user\"", "\"u1\"");
        let asked = Asked {
            tenant: &tenant,
            identity,
        };
        let known = asked.to_known();
        let state = foldhash::fast::RandomState::default();
        assert_eq!(state.hash_one(asked), state.hash_one(&known));
        assert!(asked.equivalent(&known));
        let other = Identity::from_tokens("\"user\"", "\"u2\"");
        assert!(
            !Asked {
                tenant: &tenant,
                identity: other
            }
            .equivalent(&known)
        );
        assert_eq!(known.identity().text(), r#"["user","u1"]"#);
    }

    #[test]
    fn a_record_is_an_identity() {
        let id = AuditId([0x11; 16]);
        let record = RecordIdentity::new(id);
        assert!(record.identity().is_record());
        assert_eq!(
            record.identity().text(),
            r#"["record","11111111-1111-1111-1111-111111111111"]"#
        );
    }
}
