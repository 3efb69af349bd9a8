//! Reading what a verifier needs of a leaf, from its fixed tail, without parsing the event.
//!
//! What it is not: a check of the event's form (that is `indelible-event`'s and was done at
//! admission; the hash covers the bytes either way). It relies on two facts of `spec/leaf.md`: keys
//! are sorted, and inside a canonical string every quote stands behind a backslash, so that
//! `,"ledger":{` can only be structure.
//!
//! Invariant: never panics, whatever the bytes; a leaf that is not exactly of the form is refused.

use std::ops::Range;
use std::sync::LazyLock;

use indelible_merkle::Hash;
use memchr::memmem::Finder;
use memchr::memrchr;

use crate::limits::LEAF_BYTES_MAX;

/// The only version of records there is: SHA-256, RFC 6962, our canonical form.
pub const RECORD_VERSION: u64 = 1;

const EVENT: &[u8] = br#"{"event":{"#;
const INGESTED_AT: &[u8] = br#","ingested_at":""#;
const INGESTED_AT_BYTES: usize = 27;
const LEDGER: &[u8] = br#","ledger":{"#;
const PREVIOUS_HASH: &[u8] = br#","previous_hash":""#;
const RECORD_VERSION_KEY: &[u8] = br#","record_version":"#;
const SEQUENCE_NUMBER: &[u8] = br#","sequence_number":"#;
const TENANT_ID: &[u8] = br#","tenant_id":""#;
const AUDIT_ID_BYTES: usize = 36;

static AUDIT_ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""audit_id":""#));
static EVENT_TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""event_type":""#));
static SUBMITTED_BY: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#""submitted_by":""#));
static STREAM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""stream":{"epoch":"#));

/// Why bytes are not a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TailError {
    /// Longer than a leaf may be.
    #[error("it is longer than a leaf can be, 65,535 bytes")]
    TooLong,
    /// A member is missing, misplaced or not of its form.
    #[error("its member {0} is not where and what the leaf format says")]
    Member(&'static str),
}

/// What stands around the event in a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail<'a> {
    /// The event object's bytes.
    pub event: Range<usize>,
    /// When it was committed, 27 characters.
    pub ingested_at: &'a str,
    /// The ledger object's bytes.
    pub ledger: Range<usize>,
    /// The 64 hex digits of the record before.
    pub previous_hash: &'a [u8; Hash::HEX_BYTES],
    /// Version of the record format.
    pub record_version: u64,
    /// Place in the log.
    pub sequence_number: u64,
    /// Whose log.
    pub tenant_id: &'a str,
}

/// A producer's claim in a leaf: the `number`-th event of this stream and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The stream's id as it stands in the leaf, JSON escapes kept.
    pub id: &'a str,
    /// The epoch.
    pub epoch: u64,
    /// The number, from 0.
    pub number: u64,
}

impl<'a> Tail<'a> {
    /// Finds the members of a leaf.
    ///
    /// # Errors
    /// [`TailError`] names the first member that is not as it must be.
    pub fn scan(leaf: &'a [u8]) -> Result<Self, TailError> {
        if leaf.len() > LEAF_BYTES_MAX {
            return Err(TailError::TooLong);
        }
        if !leaf.starts_with(EVENT) {
            return Err(TailError::Member("event"));
        }
        let (tenant_id, rest) = tenant(leaf).ok_or(TailError::Member("tenant_id"))?;
        let (sequence_number, rest) =
            number(rest, SEQUENCE_NUMBER).ok_or(TailError::Member("sequence_number"))?;
        let (record_version, rest) =
            number(rest, RECORD_VERSION_KEY).ok_or(TailError::Member("record_version"))?;
        let (previous_hash, rest) = previous(rest).ok_or(TailError::Member("previous_hash"))?;
        let ledger_at = ledger(rest).ok_or(TailError::Member("ledger"))?;
        let ledger = ledger_at + LEDGER.len() - 1..rest.len();
        let (ingested_at, event_end) =
            ingested(&rest[..ledger_at]).ok_or(TailError::Member("ingested_at"))?;
        let event = EVENT.len() - 1..event_end;
        if event.end < EVENT.len() + 1 || leaf[event.end - 1] != b'}' {
            return Err(TailError::Member("event"));
        }
        let tail = Self {
            event,
            ingested_at,
            ledger,
            previous_hash,
            record_version,
            sequence_number,
            tenant_id,
        };
        Ok(tail)
    }

    /// The record hash of the record before.
    ///
    /// # Errors
    /// [`TailError`] when it is not 64 lower-case hex digits.
    pub fn previous(&self) -> Result<Hash, TailError> {
        Hash::from_hex(self.previous_hash).map_err(|_| TailError::Member("previous_hash"))
    }

    /// The text of the event's own `audit_id`.
    pub fn audit_id(&self, leaf: &'a [u8]) -> Option<&'a [u8]> {
        let event = leaf.get(self.event.clone())?;
        let key = AUDIT_ID.needle().len();
        let first = AUDIT_ID.find(event)?;
        let at = match AUDIT_ID.find(&event[first + key..]) {
            None => first + key,
            Some(_) => top_level(event, b"audit_id")? + 1,
        };
        let id = event.get(at..at + AUDIT_ID_BYTES)?;
        (event.get(at + AUDIT_ID_BYTES) == Some(&b'"')).then_some(id)
    }

    /// Whether the event is of a type that starts with one of `prefixes`, decided exactly; cheap
    /// when it is not.
    pub fn has_type(&self, leaf: &[u8], prefixes: &[&[u8]]) -> bool {
        let Some(event) = leaf.get(self.event.clone()) else {
            return false;
        };
        let starts = |at: usize| {
            prefixes
                .iter()
                .any(|prefix| event[at..].starts_with(prefix))
        };
        let key = EVENT_TYPE.needle().len();
        EVENT_TYPE.find_iter(event).any(|at| starts(at + key))
            && top_level(event, b"event_type").is_some_and(|at| starts(at + 1))
    }

    /// The producer's claim, if it made one.
    pub fn claim(&self, leaf: &'a [u8]) -> Option<Claim<'a>> {
        let ledger = leaf.get(self.ledger.clone())?;
        if ledger.len() == 2 {
            return None;
        }
        let rest = &ledger[STREAM.find(ledger)? + STREAM.needle().len()..];
        let (epoch, rest) = leading_number(rest)?;
        let rest = rest.strip_prefix(br#","id":""#)?;
        let id_end = string_end(rest)?;
        let (number, _) = leading_number(rest[id_end..].strip_prefix(br#"","number":"#)?)?;
        Some(Claim {
            id: str::from_utf8(&rest[..id_end]).ok()?,
            epoch,
            number,
        })
    }
}

impl Tail<'_> {
    /// The credential that submitted the event, if one did.
    pub fn submitted_by(&self, leaf: &[u8]) -> Option<String> {
        let ledger = leaf.get(self.ledger.clone())?;
        // As with the claim: inside a string its quotes would be escaped.
        let at = SUBMITTED_BY.find(ledger)? + SUBMITTED_BY.needle().len();
        let text = &ledger[at..at + string_end(&ledger[at..])?];
        serde_json::from_slice(&[b"\"", text, b"\""].concat()).ok()
    }
}

/// Whose log these leaves are of: the tenant that most of them name, the first of those at a tie,
/// so that one altered leaf does not decide. `None` when none of them can be read.
pub fn tenant_of<L: AsRef<[u8]>>(leaves: &[L]) -> Option<&str> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for tail in leaves
        .iter()
        .filter_map(|leaf| Tail::scan(leaf.as_ref()).ok())
    {
        match counts
            .iter_mut()
            .find(|(tenant, _)| *tenant == tail.tenant_id)
        {
            Some((_, count)) => *count += 1,
            None => counts.push((tail.tenant_id, 1)),
        }
    }
    counts
        .into_iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .map(|(tenant, _)| tenant)
}

/// The bytes of a canonical event from the value of a top-level member on.
pub(crate) fn member<'a>(event: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    event.get(top_level(event, key)?..)
}

/// Splits `…,"tenant_id":"T"}` into T and what is before.
fn tenant(leaf: &[u8]) -> Option<(&str, &[u8])> {
    let rest = leaf.strip_suffix(b"\"}")?;
    let start = memrchr(b'"', rest)? + 1;
    let (rest, tenant) = rest.split_at(start);
    let plain = |b: &u8| b.is_ascii_graphic() && *b != b'\\';
    let tenant = str::from_utf8(tenant)
        .ok()
        .filter(|t| !t.is_empty() && t.bytes().all(|b| plain(&b)))?;
    Some((tenant, rest.strip_suffix(TENANT_ID)?))
}

/// Splits `…<key><digits>` into the number and what is before.
fn number<'a>(bytes: &'a [u8], key: &[u8]) -> Option<(u64, &'a [u8])> {
    let digits = bytes
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let (rest, digits) = bytes.split_at(bytes.len() - digits);
    let (value, _) = leading_number(digits)?;
    Some((value, rest.strip_suffix(key)?))
}

/// Reads a decimal number without leading zeros, and what follows it.
fn leading_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 20 || (digits > 1 && bytes[0] == b'0') {
        return None;
    }
    let value = bytes[..digits].iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    Some((value, &bytes[digits..]))
}

fn previous(bytes: &[u8]) -> Option<(&[u8; Hash::HEX_BYTES], &[u8])> {
    let (rest, hex) = bytes
        .strip_suffix(b"\"")?
        .split_last_chunk::<{ Hash::HEX_BYTES }>()?;
    Some((hex, rest.strip_suffix(PREVIOUS_HASH)?))
}

/// Where `,"ledger":{` starts: the last such place, for inside the object there is none.
fn ledger(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.strip_suffix(b"}")?.len();
    loop {
        end = memrchr(b'{', &bytes[..end])?;
        if bytes[..=end].ends_with(LEDGER) {
            return Some(end + 1 - LEDGER.len());
        }
    }
}

fn ingested(bytes: &[u8]) -> Option<(&str, usize)> {
    let (rest, time) = bytes
        .strip_suffix(b"\"")?
        .split_last_chunk::<INGESTED_AT_BYTES>()?;
    let end = rest.strip_suffix(INGESTED_AT)?.len();
    let form = b"0000-00-00T00:00:00.000000Z";
    let mut fits = true;
    for (byte, form) in time.iter().zip(form) {
        fits &= if *form == b'0' {
            byte.is_ascii_digit()
        } else {
            byte == form
        };
    }
    fits.then(|| str::from_utf8(time).ok().map(|time| (time, end)))
        .flatten()
}

/// Where a canonical string ends: at its closing quote.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Where the value of a top-level key of a canonical object starts.
fn top_level(object: &[u8], key: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(byte) = object.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let text = &object[at + 1..];
                let end = string_end(text)?;
                at += 1 + end;
                if depth == 1 && &text[..end] == key && object.get(at + 1) == Some(&b':') {
                    return Some(at + 2);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ID: &str = "01932c3e-9a80-7abc-8def-0123456789ab";

    fn leaf(event: &str, ledger: &str) -> String {
        let (hash, time) = ("0".repeat(64), "2026-01-02T03:04:05.000006Z");
        format!(
            "{{\"event\":{event},\"ingested_at\":\"{time}\",\"ledger\":{ledger},\
             \"previous_hash\":\"{hash}\",\"record_version\":1,\"sequence_number\":42,\
             \"tenant_id\":\"acme\"}}"
        )
    }

    #[test]
    fn members_are_found() {
        let event = format!(r#"{{"actor":{{"id":"a"}},"audit_id":"{ID}"}}"#);
        let ledger = r#"{"stream":{"epoch":7,"id":"web\"1","number":12},"submitted_by":"key:\"a\"","via":"http"}"#;
        let bytes = leaf(&event, ledger);
        let bytes = bytes.as_bytes();
        let tail = Tail::scan(bytes).unwrap();
        assert_eq!(&bytes[tail.event.clone()], event.as_bytes());
        assert_eq!(&bytes[tail.ledger.clone()], ledger.as_bytes());
        assert_eq!((tail.sequence_number, tail.record_version), (42, 1));
        assert_eq!(
            (tail.tenant_id, tail.ingested_at),
            ("acme", "2026-01-02T03:04:05.000006Z")
        );
        assert_eq!(tail.previous().unwrap(), Hash::ZERO);
        assert_eq!(tail.audit_id(bytes).unwrap(), ID.as_bytes());
        assert_eq!(tail.submitted_by(bytes).as_deref(), Some("key:\"a\""));
        assert_eq!(
            tail.claim(bytes),
            Some(Claim {
                id: r#"web\"1"#,
                epoch: 7,
                number: 12
            })
        );
    }

    #[test]
    fn one_altered_leaf_does_not_decide_whose_log_it_is() {
        let good = leaf("{}", "{}");
        let altered = good.replace("acme", "acmf");
        let noise = "not a leaf".to_owned();
        let of = |leaves: &[&String]| {
            let leaves: Vec<&[u8]> = leaves.iter().map(|leaf| leaf.as_bytes()).collect();
            tenant_of(&leaves).map(ToOwned::to_owned)
        };
        assert_eq!(of(&[&altered, &good, &good]).unwrap(), "acme");
        assert_eq!(of(&[&noise, &altered, &good]).unwrap(), "acmf");
        assert_eq!(of(&[&noise]), None);
    }

    #[test]
    fn nested_and_quoted_names_do_not_deceive() {
        let other = "01932c3e-9a80-7abc-8def-ffffffffffff";
        let event = format!(
            r#"{{"actor":{{"audit_id":"{other}"}},"audit_id":"{ID}","data":{{"event_type":"stream.lost","t":"\",\"ledger\":{{}}"}},"event_type":"user.login"}}"#
        );
        let bytes = leaf(&event, "{}");
        let tail = Tail::scan(bytes.as_bytes()).unwrap();
        assert_eq!(tail.audit_id(bytes.as_bytes()).unwrap(), ID.as_bytes());
        assert!(!tail.has_type(bytes.as_bytes(), &[b"stream."]));
        assert!(tail.has_type(bytes.as_bytes(), &[b"user."]));
        assert_eq!(tail.claim(bytes.as_bytes()), None);
        assert_eq!(&bytes.as_bytes()[tail.event.clone()], event.as_bytes());
    }

    #[test]
    fn every_shortened_or_altered_frame_is_refused_or_read_without_panic() {
        let good = leaf(&format!(r#"{{"audit_id":"{ID}"}}"#), r#"{"via":"http"}"#);
        for end in 0..good.len() {
            assert!(Tail::scan(&good.as_bytes()[..end]).is_err());
        }
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] ^= 1;
            if let Ok(tail) = Tail::scan(&bad) {
                let _ = (
                    tail.audit_id(&bad),
                    tail.claim(&bad),
                    tail.has_type(&bad, &[b"x"]),
                );
            }
        }
        let long = leaf(&format!(r#"{{"x":"{}"}}"#, "y".repeat(65_535)), "{}");
        assert_eq!(Tail::scan(long.as_bytes()), Err(TailError::TooLong));
    }
}
