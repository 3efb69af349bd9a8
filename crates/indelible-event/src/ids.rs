//! Names of things: tenants, events and contents.
//!
//! Not here: log ids and hashes of trees (`indelible-merkle`), handles of data subjects
//! (`indelible-log`). Source: RFC 9562 for UUIDs; `spec/event.md`, "Ids".

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits::TENANT_ID_BYTES_MAX;
pub use crate::time::{Micros, TimeError};

/// The owner of one log: `[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}`, or with a leading `_` one of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

/// A text that is not a tenant or event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not a tenant name.
    #[error(
        "a tenant is 1 to 128 letters, digits and . _ : @ -, and starts with a letter, digit or _"
    )]
    Tenant,
    /// The text is not a UUID.
    #[error("an audit id is a uuid, like 018f3c2e-7b1a-7def-8abc-0123456789ab")]
    Audit,
}

impl TenantId {
    /// Reads a tenant name.
    ///
    /// # Errors
    /// Says which names are allowed.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if is_tenant(text.as_bytes()) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(IdError::Tenant)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the log is one of the ledger's own (`_system`).
    pub fn is_ours(&self) -> bool {
        self.0.starts_with('_')
    }
}

/// Why an event is refused that was sent to a log of the ledger's own.
pub const TENANT_IS_OURS: &str = "a name with a leading _ is of a log that only the ledger writes";

pub(crate) fn is_tenant(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else {
        return false;
    };
    (first.is_ascii_alphanumeric() || *first == b'_')
        && (*first != b'_' || !rest.is_empty())
        && bytes.len() <= TENANT_ID_BYTES_MAX
        && rest
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._:@-".contains(b))
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for TenantId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.as_str().to_owned()
    }
}

impl AsRef<str> for TenantId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// The name of one event: 16 bytes of a `UUIDv7`, or of a `UUIDv8` for a foreign id.
///
/// Its order is the order of its bytes, which starts with the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuditId(pub [u8; 16]);

impl AuditId {
    /// Reads a UUID in any usual form; the version is not looked at.
    ///
    /// # Errors
    /// Says what an audit id looks like.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        hyphenated(text.as_bytes())
            .or_else(|| uuid::Uuid::try_parse(text).ok().map(uuid::Uuid::into_bytes))
            .map(Self)
            .ok_or(IdError::Audit)
    }

    /// Makes a `UUIDv7` of a time and ten random bytes, of which 74 bits are used.
    pub fn mint(unix_ms: u64, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        Self(with_version(bytes, 7))
    }

    /// Makes the `UUIDv8` of a foreign id: 48 bits of the source's own time, then 74 bits of a
    /// digest of dialect, source, id and stage (`spec/event.md`, "Foreign ids").
    pub fn foreign(dialect: &str, source: &str, id: &str, stage: &str, unix_ms: u64) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"indelible/foreign-id/v1\0");
        for field in [dialect, source, id, stage] {
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            hasher.update(length.to_be_bytes());
            hasher.update(field.as_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        // rand_a is the digest's first 12 bits, rand_b the 62 bits after them.
        let word = u128::from_be_bytes(*digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        let rand_a = (word >> 116) & 0xfff;
        let rand_b = (word >> 54) & ((1 << 62) - 1);
        let time = u128::from(unix_ms & 0xffff_ffff_ffff);
        let value = (time << 80) | (8 << 76) | (rand_a << 64) | (2 << 62) | rand_b;
        Self(value.to_be_bytes())
    }

    /// The time in the id, milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> u64 {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(ms)
    }

    /// The 16 bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The UUID version, 0 to 15.
    pub fn version(&self) -> u8 {
        self.0[6] >> 4
    }

    /// Whether this is an id that an event may bear: RFC 9562 variant, version 7 or 8.
    pub fn is_time_ordered(&self) -> bool {
        matches!(self.version(), 7 | 8) && self.0[8] >> 6 == 0b10
    }

    /// The 36 bytes of the lower-case hyphenated form.
    pub fn text(&self) -> [u8; 36] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            out[at] = HEX[usize::from(byte >> 4)];
            out[at + 1] = HEX[usize::from(byte & 15)];
            at += 2;
        }
        out
    }
}

fn with_version(mut bytes: [u8; 16], version: u8) -> [u8; 16] {
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

/// The fast path for `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
fn hyphenated(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != *b"----" {
        return None;
    }
    let mut out = [0; 16];
    let (mut at, mut seen) = (0, 0);
    for (index, byte) in out.iter_mut().enumerate() {
        at += usize::from(matches!(index, 4 | 6 | 8 | 10));
        let (high, low) = (
            DIGITS[usize::from(text[at])],
            DIGITS[usize::from(text[at + 1])],
        );
        // Wrong digits are looked for only at the end: this runs for every event.
        seen |= high | low;
        *byte = high << 4 | (low & 15);
        at += 2;
    }
    (seen & WRONG == 0).then_some(out)
}

/// Set in the value of what is no hexadecimal digit.
const WRONG: u8 = 0x80;

/// The values of hexadecimal digits, by character.
const DIGITS: [u8; 256] = {
    let mut digits = [WRONG; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        digits[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

pub(crate) fn nibble(digit: u8) -> Option<u8> {
    let value = DIGITS[usize::from(digit)];
    (value != WRONG).then_some(value)
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditId({self})")
    }
}

impl FromStr for AuditId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AuditId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<AuditId> for String {
    fn from(id: AuditId) -> Self {
        id.to_string()
    }
}

/// SHA-256 of an event's canonical bytes as they stand in the leaf: what "same content" means.
pub fn content_hash(event: &[u8]) -> [u8; 32] {
    Sha256::digest(event).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn tenants() {
        for good in ["a", "acme", "_system", "A.b_c:d@e-f", &"x".repeat(128)] {
            assert_eq!(TenantId::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "_",
            "-a",
            ".a",
            "a b",
            "é",
            "a/b",
            "a\0",
            &"x".repeat(129),
        ] {
            assert_eq!(TenantId::parse(bad), Err(IdError::Tenant), "{bad}");
        }
        assert!(TenantId::parse("_system").unwrap().is_ours());
        assert!(!TenantId::parse("system").unwrap().is_ours());
    }

    #[test]
    fn minted_ids_hold_their_time_and_version() {
        let id = AuditId::mint(1_645_557_742_000, [0xff; 10]);
        assert_eq!(id.to_string(), "017f22e2-79b0-7fff-bfff-ffffffffffff");
        assert_eq!(id.unix_ms(), 1_645_557_742_000);
        assert!(id.is_time_ordered());
        assert_eq!(AuditId::parse(&id.to_string()).unwrap(), id);
    }

    #[test]
    fn any_usual_form_of_a_uuid_is_read() {
        let id = AuditId::parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f").unwrap();
        for form in [
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
            "017f22e279b07cc398c4dc0c0c07398f",
            "urn:uuid:017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        ] {
            assert_eq!(AuditId::parse(form).unwrap(), id, "{form}");
        }
        for bad in [
            "",
            "x",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "017f22e2_79b0-7cc3-98c4-dc0c0c07398f",
        ] {
            assert_eq!(AuditId::parse(bad), Err(IdError::Audit), "{bad}");
        }
        let v4 = AuditId::parse("293ba626-3be5-4a26-ab1b-0f4c54f49959").unwrap();
        assert_eq!((v4.version(), v4.is_time_ordered()), (4, false));
    }
}
