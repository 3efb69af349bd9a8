//! What the ledger says of itself: checkpoints, tenants with their two verdicts, health.

use indelible_merkle::Hash;
use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/checkpoints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// The registry's newest checkpoint; null before the first publication.
    pub registry: Option<RegistryCheckpoint>,
    /// The published heads of the tenants that may be seen, by name; one page of them.
    pub tenants: Vec<TenantCheckpoint>,
    /// Give it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// The registry's newest checkpoint: what witnesses cosign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCheckpoint {
    /// How many snapshots there are.
    pub size: u64,
    /// The newest snapshot's line, a leaf of the registry log.
    pub snapshot: String,
    /// The signed note.
    pub checkpoint: String,
}

/// A tenant's head as the newest snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantCheckpoint {
    /// Whose log.
    pub tenant_id: String,
    /// Its log id.
    pub log_id: String,
    /// Records under the root.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
    /// The signed note.
    pub checkpoint: String,
}

/// Answer of `GET /v1/tenants`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenants {
    /// The tenants that may be seen and were asked for, by name; one page of them.
    pub tenants: Vec<Tenant>,
    /// Give it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
    /// What there is beside the page.
    pub logs: Logs,
}

/// The logs that may be seen, counted by the last verdict on them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// All of them.
    pub all: u64,
    /// Those whose verdict is `anchored`.
    pub anchored: u64,
    /// Those whose verdict is `broken`.
    pub broken: u64,
}

/// Request of `POST /v1/tenants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its name: letters, digits and `. _ : @ -`.
    pub tenant_id: String,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub tenant_id: String,
    /// Its log id.
    pub log_id: Option<String>,
    /// Records in its log; null when its head cannot be read.
    pub records: Option<u64>,
    /// Records under the newest published head.
    pub published: u64,
    /// When its last record was committed.
    pub last_ingested_at: Option<String>,
    /// What the last pass of the verifier found; null before the first.
    pub verdict: Option<Verdict>,
}

/// The two verdicts on one log, never one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// When the pass ended.
    pub verified_at: String,
    /// Records that were checked.
    pub records: u64,
    /// How many of them a trusted checkpoint vouches for.
    pub anchored_records: u64,
    /// Whether every committed record is what was committed, in that order.
    pub integrity: Integrity,
    /// What was found, in words.
    pub findings: Vec<String>,
    /// What is known about what is missing, per stream.
    pub completeness: Vec<Completeness>,
    /// Records of no stream, about which there is no claim.
    pub unnumbered: u64,
}

/// The verdict on integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// Nothing was found, and a trusted checkpoint vouches for it.
    Anchored,
    /// Nothing was found, without a trusted checkpoint.
    ConsistentNotAnchored,
    /// Something was found.
    Broken,
}

/// The verdict on one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    /// The stream.
    pub stream: String,
    /// The verdict in words.
    pub verdict: String,
    /// Whether nothing is known or feared to be missing.
    pub clean: bool,
}

/// Answer of `/health/live` and `/health/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or `failing` with status 503.
    pub status: String,
    /// What keeps it from being ready, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What the ledger stands on, where that is worth saying: how a database keeps its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
}
