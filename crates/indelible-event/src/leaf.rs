//! The leaf: the bytes of a record, made once, stored, exported and hashed verbatim.
//!
//! Not here: hashing (`indelible-merkle`) and numbering (`indelible-log`). A leaf is one line of
//! at most 65,535 bytes with its keys in canonical order, so it is canonical JSON itself.
//! Source: `spec/leaf.md`.

use std::ops::Range;

use crate::canonical::scan::scan_value;
use crate::ids::{Micros, TenantId, is_tenant, nibble};
use crate::limits::LEAF_BYTES_MAX;
use crate::problem::{Problem, ProblemCode};

/// The only record version: SHA-256, RFC 6962 and the canonical form of `spec/canonical-form.md`.
pub const RECORD_VERSION: u64 = 1;

/// A leaf that would be longer than 65,535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record would be {bytes} bytes long; the limit is {LEAF_BYTES_MAX}")]
pub struct TooLong {
    /// How long it would have been, in bytes.
    pub bytes: usize,
}

/// What a leaf says beside the event.
#[derive(Debug, Clone, Copy)]
pub struct LeafHead<'a> {
    /// When the record was committed.
    pub ingested_at: Micros,
    /// The ledger object's canonical bytes.
    pub ledger: &'a [u8],
    /// The record hash of the record before; 32 zeros for sequence number 0.
    pub previous_hash: &'a [u8; 32],
    /// The place in the tenant's log.
    pub sequence_number: u64,
    /// Whose log it is.
    pub tenant_id: &'a TenantId,
}

/// Appends the leaf of an event, both given as canonical bytes.
///
/// # Errors
/// [`TooLong`], and nothing is appended, if the leaf would exceed its limit.
pub fn write_leaf(out: &mut Vec<u8>, event: &[u8], head: &LeafHead<'_>) -> Result<(), TooLong> {
    let start = out.len();
    out.reserve(LEAF_BEGINS.len() + event.len() + leaf_end_bytes_max(head.ledger, head.tenant_id));
    out.extend_from_slice(LEAF_BEGINS);
    out.extend_from_slice(event);
    write_leaf_end(out, head);
    let bytes = out.len() - start;
    if bytes > LEAF_BYTES_MAX {
        out.truncate(start);
        return Err(TooLong { bytes });
    }
    Ok(())
}

/// What a leaf begins with; behind it stands the event.
pub const LEAF_BEGINS: &[u8] = b"{\"event\":";

/// Appends what stands behind the event in a leaf, for those who put the event where its leaf will
/// be. They see to it that no leaf is longer than [`LEAF_BYTES_MAX`].
pub fn write_leaf_end(out: &mut Vec<u8>, head: &LeafHead<'_>) {
    out.extend_from_slice(INGESTED_AT);
    head.ingested_at.write_rfc3339(out);
    out.extend_from_slice(LEDGER);
    out.extend_from_slice(head.ledger);
    out.extend_from_slice(PREVIOUS_HASH);
    write_hex(out, head.previous_hash);
    out.extend_from_slice(SEQUENCE_NUMBER);
    out.extend_from_slice(head.sequence_number.to_string().as_bytes());
    out.extend_from_slice(TENANT_ID);
    out.extend_from_slice(head.tenant_id.as_str().as_bytes());
    out.extend_from_slice(END);
}

/// The most bytes of [`write_leaf_end`] with this ledger object and tenant.
pub fn leaf_end_bytes_max(ledger: &[u8], tenant: &TenantId) -> usize {
    let keys = INGESTED_AT.len() + LEDGER.len() + PREVIOUS_HASH.len() + SEQUENCE_NUMBER.len();
    let values = TIME_BYTES + ledger.len() + HEX_BYTES + NUMBER_BYTES_MAX + tenant.as_str().len();
    keys + values + TENANT_ID.len() + END.len()
}

const INGESTED_AT: &[u8] = b",\"ingested_at\":\"";
const LEDGER: &[u8] = b"\",\"ledger\":";
const PREVIOUS_HASH: &[u8] = b",\"previous_hash\":\"";
const SEQUENCE_NUMBER: &[u8] = b"\",\"record_version\":1,\"sequence_number\":";
const TENANT_ID: &[u8] = b",\"tenant_id\":\"";
const END: &[u8] = b"\"}";
const TIME_BYTES: usize = 27;
const HEX_BYTES: usize = 64;
const NUMBER_BYTES_MAX: usize = 20;

fn write_hex(out: &mut Vec<u8>, bytes: &[u8; 32]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; HEX_BYTES];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    out.extend_from_slice(&digits);
}

/// The parts of one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafView<'a> {
    bytes: &'a [u8],
    event: Range<usize>,
    ledger: Range<usize>,
    /// When the record was committed.
    pub ingested_at: Micros,
    /// The record hash of the record before.
    pub previous_hash: [u8; 32],
    /// The place in the tenant's log.
    pub sequence_number: u64,
    tenant: Range<usize>,
}

impl<'a> LeafView<'a> {
    /// Reads a leaf and checks everything: that event and ledger are canonical objects, and that
    /// writing the parts again gives the same bytes.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut cursor = Cursor { bytes, at: 0 };
        cursor.length()?;
        if let Err(error) = std::str::from_utf8(bytes) {
            cursor.at = error.valid_up_to();
            return Err(cursor.bad("the leaf is written in utf-8"));
        }
        cursor.expect(LEAF_BEGINS, "the leaf starts with its event")?;
        let event = cursor.object("the event is a canonical object")?;
        cursor.finish(event)
    }

    /// Finds the parts of a leaf from its end, without looking into the event. For bytes that a
    /// hash vouches for; [`LeafView::parse`] is the check.
    ///
    /// # Errors
    /// What is wrong and at which byte, as far as it was looked at.
    pub fn locate(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut cursor = Cursor { bytes, at: 0 };
        cursor.length()?;
        cursor.expect(LEAF_BEGINS, "the leaf starts with its event")?;
        // Inside a string the quotes would be escaped, and no key of a ledger object is `ledger`,
        // so the last occurrence is the leaf's own.
        let ledger = memchr::memmem::rfind(bytes, LEDGER)
            .and_then(|at| at.checked_sub(TIME_BYTES + INGESTED_AT.len()))
            .filter(|at| *at > cursor.at && bytes[*at - 1] == b'}');
        let Some(end) = ledger else {
            return Err(cursor.bad("the leaf has its ledger object after the event"));
        };
        let event = cursor.at..end;
        cursor.at = end;
        cursor.finish(event)
    }

    /// The whole leaf.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The event's canonical bytes: what the content hash is of.
    pub fn event(&self) -> &'a [u8] {
        &self.bytes[self.event.clone()]
    }

    /// Where the event stands in the leaf.
    pub fn event_span(&self) -> Range<usize> {
        self.event.clone()
    }

    /// The ledger object's canonical bytes.
    pub fn ledger(&self) -> &'a [u8] {
        &self.bytes[self.ledger.clone()]
    }

    /// The tenant's name.
    pub fn tenant_id(&self) -> &'a str {
        std::str::from_utf8(&self.bytes[self.tenant.clone()]).unwrap_or_default()
    }

    /// The record version.
    pub fn record_version(&self) -> u64 {
        RECORD_VERSION
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn bad(&self, message: &str) -> Problem {
        Problem::at("", ProblemCode::BadLeaf, message).with_offset(self.at)
    }

    fn length(&self) -> Result<(), Problem> {
        if self.bytes.len() > LEAF_BYTES_MAX {
            let message = format!(
                "a record is at most {LEAF_BYTES_MAX} bytes long, not {}",
                self.bytes.len()
            );
            return Err(Problem::at("", ProblemCode::TooLarge, message));
        }
        Ok(())
    }

    fn expect(&mut self, literal: &[u8], message: &str) -> Result<(), Problem> {
        let end = self.at + literal.len();
        if self.bytes.get(self.at..end) != Some(literal) {
            return Err(self.bad(message));
        }
        self.at = end;
        Ok(())
    }

    fn take(&mut self, count: usize, message: &str) -> Result<&'a [u8], Problem> {
        let bytes = self.bytes;
        let taken = bytes
            .get(self.at..self.at + count)
            .ok_or_else(|| self.bad(message))?;
        self.at += count;
        Ok(taken)
    }

    fn object(&mut self, message: &str) -> Result<Range<usize>, Problem> {
        let start = self.at;
        if self.bytes.get(start) != Some(&b'{') {
            return Err(self.bad(message));
        }
        let Some(end) = scan_value(self.bytes, start, &mut ()) else {
            return Err(self.bad(message));
        };
        self.at = end;
        Ok(start..self.at)
    }

    fn finish(mut self, event: Range<usize>) -> Result<LeafView<'a>, Problem> {
        self.expect(INGESTED_AT, "ingested_at follows the event")?;
        let ingested_at = self.time()?;
        self.expect(LEDGER, "the ledger object follows ingested_at")?;
        let ledger = self.object("the ledger object is a canonical object")?;
        self.expect(PREVIOUS_HASH, "previous_hash follows the ledger object")?;
        let previous_hash = self.hash()?;
        self.version()?;
        self.expect(
            SEQUENCE_NUMBER,
            "record_version and sequence_number follow previous_hash",
        )?;
        let sequence_number = self.number()?;
        self.expect(TENANT_ID, "tenant_id follows sequence_number")?;
        let rest = self.bytes.len() - self.at;
        let tenant = self.at..self.at + rest.saturating_sub(END.len());
        if !is_tenant(&self.bytes[tenant.clone()]) {
            return Err(self.bad("tenant_id is a tenant's name"));
        }
        self.at = tenant.end;
        self.expect(END, "the leaf ends after tenant_id")?;
        let bytes = self.bytes;
        Ok(LeafView {
            bytes,
            event,
            ledger,
            ingested_at,
            previous_hash,
            sequence_number,
            tenant,
        })
    }

    fn time(&mut self) -> Result<Micros, Problem> {
        const MESSAGE: &str = "ingested_at is rfc 3339 in utc with six decimals";
        let start = self.at;
        let written = self.take(TIME_BYTES, MESSAGE)?;
        let time = std::str::from_utf8(written)
            .ok()
            .and_then(|text| Micros::parse(text).ok());
        let mut again = Vec::with_capacity(TIME_BYTES);
        if let Some(time) = time {
            time.write_rfc3339(&mut again);
            if again == written {
                return Ok(time);
            }
        }
        self.at = start;
        Err(self.bad(MESSAGE))
    }

    fn hash(&mut self) -> Result<[u8; 32], Problem> {
        const MESSAGE: &str = "previous_hash is 64 lower-case hexadecimal digits";
        let start = self.at;
        let digits = self.take(64, MESSAGE)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let lower = pair.iter().all(|digit| !digit.is_ascii_uppercase());
            let (true, Some(high), Some(low)) = (lower, nibble(pair[0]), nibble(pair[1])) else {
                self.at = start;
                return Err(self.bad(MESSAGE));
            };
            *byte = high << 4 | low;
        }
        Ok(hash)
    }

    /// Names an unknown version as such, rather than as a bad leaf.
    fn version(&self) -> Result<(), Problem> {
        const KEY: &[u8] = b"\",\"record_version\":";
        let Some(rest) = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.strip_prefix(KEY))
        else {
            return Ok(());
        };
        let digits = rest
            .iter()
            .take_while(|digit| digit.is_ascii_digit())
            .count();
        if digits > 0 && &rest[..digits] != b"1" {
            let message = "the record version is not 1; use a newer program";
            let problem = Problem::at("/record_version", ProblemCode::UnknownVersion, message);
            return Err(problem.with_offset(self.at + KEY.len()));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u64, Problem> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest
            .iter()
            .take_while(|digit| digit.is_ascii_digit())
            .count();
        let digits = &rest[..count];
        let canonical = count == 1 || digits.first().is_some_and(|first| *first != b'0');
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok());
        match number {
            Some(number) if canonical => {
                self.at += count;
                Ok(number)
            }
            _ => Err(self.bad("sequence_number is an integer of 64 bits")),
        }
    }
}
