//! Rows of the registry in the state store: origin, tenants' logs and slots, published heads,
//! snapshots (`spec/checkpoint.md`).
//!
//! Each row is a JSON document. Slots are permanent: a tenant keeps the place in every snapshot
//! that it was given with its log.

use std::collections::BTreeMap;

use indelible_event::ids::{Micros, TenantId};
use indelible_merkle::Hash;
use indelible_store::{Change, Error, Kind, Result, State, Version};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Space of the registry's single rows.
pub(crate) const REGISTRY: &str = "registry";
/// Space of the tenants' logs, keyed by tenant.
pub(crate) const TENANTS: &str = "tenants";
/// Space of published heads, keyed by slot.
pub(crate) const PUBLISHED: &str = "published";
/// Space of snapshot lines, keyed by [`snapshot_key`].
pub(crate) const SNAPSHOTS: &str = "snapshots";

const IDENTITY: &[u8] = b"identity";
const HEAD: &[u8] = b"head";
const STAGED: &[u8] = b"staged";
const PUBLISHER: &[u8] = b"publisher";
const ROWS_AT_ONCE: usize = 10_000;

/// Who this ledger is: fixed when it is created; a recovery raises the incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// C2SP origin of the registry's checkpoints in the first incarnation.
    pub origin: String,
    /// 1, and one more after each recovery.
    pub incarnation: u64,
    /// Number of slots given out.
    pub slots: u64,
}

impl Identity {
    /// The origin in force: that of the first incarnation, or that with the incarnation's number.
    pub fn origin_in_force(&self) -> String {
        match self.incarnation {
            0 | 1 => self.origin.clone(),
            n => format!("{}/{n}", self.origin),
        }
    }

    /// The incarnation whose registry has this origin, if it is this ledger's.
    pub fn incarnation_of(&self, origin: &str) -> Option<u64> {
        let rest = origin.strip_prefix(self.origin.as_str())?;
        if rest.is_empty() {
            return Some(1);
        }
        let text = rest.strip_prefix('/')?;
        let number: u64 = text.parse().ok()?;
        (number > 1 && number.to_string() == text).then_some(number)
    }
}

/// One tenant's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Lower-case hex of 16 random bytes.
    pub log_id: String,
    /// Its permanent slot.
    pub slot: u64,
}

/// A tenant's head as the newest snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedHead {
    /// Whose log.
    pub tenant: TenantId,
    /// Its log id.
    pub log_id: String,
    /// Records under the root.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
    /// The tenant's signed checkpoint; empty while the snapshot is staged.
    pub checkpoint: String,
}

/// The registry log's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryHead {
    /// Number of snapshots.
    pub size: u64,
    /// Frontier over their lines.
    pub frontier: Vec<Hash>,
    /// Frontier before the last one: its inclusion path.
    pub before: Vec<Hash>,
    /// The newest snapshot's line.
    pub line: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The incarnation it belongs to.
    pub incarnation: u64,
    /// How often keys had been written to the key store; 0 when that was not noted.
    #[serde(default)]
    pub key_writes: u64,
}

/// A snapshot made durable before its signature is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Staged {
    pub(crate) head: RegistryHead,
    pub(crate) heads: BTreeMap<u64, PublishedHead>,
}

pub(crate) fn row<T: DeserializeOwned>(
    state: &dyn State,
    space: &'static str,
    key: &[u8],
) -> Result<Option<(T, u64)>> {
    match state.get(space, key)? {
        None => Ok(None),
        Some((bytes, version)) => Ok(Some((decode(space, &bytes)?, version))),
    }
}

pub(crate) fn decode<T: DeserializeOwned>(space: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::new(
            Kind::Corrupt,
            format!("a row of {space} in the state store cannot be read"),
        )
        .caused_by(e)
    })
}

pub(crate) fn put<T: Serialize>(
    space: &'static str,
    key: &[u8],
    expected: Option<u64>,
    value: &T,
) -> Result<Change> {
    let value = serde_json::to_vec(value).map_err(|e| {
        Error::new(Kind::Invalid, format!("a row of {space} cannot be written")).caused_by(e)
    })?;
    Ok(Change {
        space,
        key: key.to_vec(),
        expected,
        value: Some(value),
    })
}

/// Reads who the ledger is.
///
/// # Errors
/// As [`State::get`].
pub fn identity(state: &dyn State) -> Result<Option<(Identity, u64)>> {
    row(state, REGISTRY, IDENTITY)
}

pub(crate) fn put_identity(identity: &Identity, expected: Option<u64>) -> Result<Change> {
    put(REGISTRY, IDENTITY, expected, identity)
}

/// Reads the registry log's head, empty before the first publication.
///
/// # Errors
/// As [`State::get`].
pub fn registry_head(state: &dyn State) -> Result<RegistryHead> {
    Ok(row(state, REGISTRY, HEAD)?
        .map(|(head, _)| head)
        .unwrap_or_default())
}

/// The registry log's head with the version of its row.
pub(crate) fn versioned_head(state: &dyn State) -> Result<(RegistryHead, Version)> {
    Ok(row(state, REGISTRY, HEAD)?.unwrap_or_default())
}

/// The change that moves the head, if nobody has since `version`.
pub(crate) fn put_registry_head(head: &RegistryHead, version: Version) -> Result<Change> {
    put(REGISTRY, HEAD, Some(version), head)
}

/// The change that leaves the head as it is, if nobody has moved it since `version`.
pub(crate) fn same_registry_head(head: &RegistryHead, version: Version) -> Result<Change> {
    if version > 0 {
        return put_registry_head(head, version);
    }
    Ok(Change {
        expected: Some(0),
        ..remove_registry_head()
    })
}

pub(crate) fn staged(state: &dyn State) -> Result<Option<Staged>> {
    Ok(row(state, REGISTRY, STAGED)?.map(|(staged, _)| staged))
}

/// The change that stages a snapshot, if none is.
pub(crate) fn put_staged(staged: &Staged) -> Result<Change> {
    put(REGISTRY, STAGED, Some(0), staged)
}

pub(crate) fn remove_staged() -> Change {
    Change {
        space: REGISTRY,
        key: STAGED.to_vec(),
        expected: None,
        value: None,
    }
}

/// The change by which a publisher shows at this time that it is at work.
pub(crate) fn put_publisher(now: Micros) -> Result<Change> {
    put(REGISTRY, PUBLISHER, None, &now.to_rfc3339())
}

/// How often a publisher has shown that it is at work.
pub(crate) fn publisher_shown(state: &dyn State) -> Result<Version> {
    let shown = state.get(REGISTRY, PUBLISHER)?;
    Ok(shown.map_or(0, |(_, version)| version))
}

pub(crate) fn remove_registry_head() -> Change {
    Change {
        space: REGISTRY,
        key: HEAD.to_vec(),
        expected: None,
        value: None,
    }
}

/// Every row of a space, in key order.
pub(crate) fn all_rows<T: DeserializeOwned>(
    state: &dyn State,
    space: &'static str,
) -> Result<Vec<(Vec<u8>, T)>> {
    let mut rows = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = state.scan(space, b"", after.as_deref(), ROWS_AT_ONCE)?;
        let Some((last, _, _)) = page.last() else {
            return Ok(rows);
        };
        after = Some(last.clone());
        for (key, bytes, _) in page {
            let value = decode(space, &bytes)?;
            rows.push((key, value));
        }
    }
}

/// The tenant's log, if it was given one.
///
/// # Errors
/// As [`State::get`].
pub fn log_row(state: &dyn State, tenant: &TenantId) -> Result<Option<LogRow>> {
    Ok(row(state, TENANTS, tenant.as_str().as_bytes())?.map(|(row, _)| row))
}

/// The published heads by slot.
///
/// # Errors
/// As [`State::scan`].
pub fn published_heads(state: &dyn State) -> Result<BTreeMap<u64, PublishedHead>> {
    let mut heads = BTreeMap::new();
    for (key, head) in all_rows::<PublishedHead>(state, PUBLISHED)? {
        heads.insert(slot_of(&key)?, head);
    }
    Ok(heads)
}

/// The published head of the log in a slot.
///
/// # Errors
/// As [`State::get`].
pub fn published_at(state: &dyn State, slot: u64) -> Result<Option<PublishedHead>> {
    Ok(row(state, PUBLISHED, &slot.to_be_bytes())?.map(|(head, _)| head))
}

/// Key of a snapshot's line: the incarnation, then its number, so that lines of an incarnation that
/// was left stay.
pub(crate) fn snapshot_key(incarnation: u64, number: u64) -> [u8; 16] {
    (u128::from(incarnation) << 64 | u128::from(number)).to_be_bytes()
}

pub(crate) fn slot_of(key: &[u8]) -> Result<u64> {
    let bytes = key.try_into().map_err(|_| {
        Error::new(
            Kind::Corrupt,
            "a published head in the state store has a key that is no slot",
        )
    })?;
    Ok(u64::from_be_bytes(bytes))
}
