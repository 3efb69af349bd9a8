//! Makes small logs, sound or with the defects a test asks for.

use indelible_merkle::{Hash, leaf_hash, root_of};
use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::finding::{FindingKind, Span};
use indelible_proof::note::{SigningKey, VerifierKey};
use indelible_proof::verify::{Anchor, Expected, LogVerifier, Trust, Verdict};

pub const TENANT: &str = "acme";
pub const ORIGIN: &str = "indelible.dev/0123456789abcdef0123456789abcdef/acme";

/// A record that is not numbered, linked and written yet.
#[derive(Debug, Clone)]
pub struct Draft {
    pub event: String,
    pub time: String,
    pub ledger: String,
    pub tenant: String,
    pub version: u64,
}

pub fn id(n: u64) -> String {
    format!("01932c3e-9a80-7abc-8def-{n:012x}")
}

pub fn time(n: u64) -> String {
    format!(
        "2026-01-02T{:02}:{:02}:{:02}.{n:06}Z",
        n / 3_600,
        n / 60 % 60,
        n % 60
    )
}

pub fn event(n: u64) -> String {
    format!(
        r#"{{"actor":{{"id":"u{n}","type":"user"}},"audit_id":"{}","event_type":"user.login","outcome":"success"}}"#,
        id(n)
    )
}

pub fn draft(n: u64) -> Draft {
    let ledger = match n {
        0 => "{}".to_owned(),
        n => claim("web", 7, n - 1),
    };
    let event = match n {
        0 => format!(
            r#"{{"actor":{{"id":"indelible","type":"system"}},"audit_id":"{}","data":{{"log_id":"acme","origin":"indelible.dev/0123456789abcdef0123456789abcdef","slot":3,"verifier_key":"k"}},"event_type":"log.created","outcome":"success"}}"#,
            id(0)
        ),
        n => event(n),
    };
    Draft {
        event,
        time: time(n),
        ledger,
        tenant: TENANT.to_owned(),
        version: 1,
    }
}

pub fn claim(stream: &str, epoch: u64, number: u64) -> String {
    format!(r#"{{"stream":{{"epoch":{epoch},"id":"{stream}","number":{number}}},"via":"http"}}"#)
}

/// A record of the ledger's own about streams.
pub fn statement(n: u64, event_type: &str, data: &str) -> Draft {
    let event = format!(
        r#"{{"actor":{{"id":"indelible","type":"system"}},"audit_id":"{}","data":{data},"event_type":"{event_type}","outcome":"success"}}"#,
        id(n)
    );
    Draft {
        event,
        ledger: "{}".to_owned(),
        ..draft(n)
    }
}

pub fn drafts(count: u64) -> Vec<Draft> {
    (0..count).map(draft).collect()
}

pub fn write(draft: &Draft, previous: Hash, number: usize) -> Vec<u8> {
    let Draft {
        event,
        time,
        ledger,
        tenant,
        version,
    } = draft;
    format!(
        "{{\"event\":{event},\"ingested_at\":\"{time}\",\"ledger\":{ledger},\
         \"previous_hash\":\"{previous}\",\"record_version\":{version},\
         \"sequence_number\":{number},\"tenant_id\":\"{tenant}\"}}"
    )
    .into_bytes()
}

/// Numbers and links drafts.
pub fn link(drafts: &[Draft]) -> Vec<Vec<u8>> {
    let mut previous = Hash::ZERO;
    let mut leaves = Vec::new();
    for (number, draft) in drafts.iter().enumerate() {
        let leaf = write(draft, previous, number);
        previous = leaf_hash(&leaf);
        leaves.push(leaf);
    }
    leaves
}

pub fn log(count: u64) -> Vec<Vec<u8>> {
    link(&drafts(count))
}

pub fn hashes(leaves: &[Vec<u8>]) -> Vec<Hash> {
    leaves.iter().map(|leaf| leaf_hash(leaf)).collect()
}

pub fn root(leaves: &[Vec<u8>]) -> Hash {
    root_of(hashes(leaves))
}

pub fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap()
}

pub fn vkey() -> VerifierKey {
    key().verifier_key()
}

/// The signed checkpoint of the first `size` records.
pub fn checkpoint(leaves: &[Vec<u8>], size: usize) -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: size as u64,
        root: root(&leaves[..size]),
    };
    SignedCheckpoint::sign(checkpoint, &key()).unwrap()
}

/// What a verifier is given beside the leaves.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Record hashes as stored, by position in what is pushed.
    pub stored: Option<Vec<Hash>>,
    /// Signed checkpoints.
    pub checkpoints: Vec<SignedCheckpoint>,
}

impl Evidence {
    /// Checkpoints of the true log at these sizes.
    pub fn at(truth: &[Vec<u8>], sizes: &[usize]) -> Self {
        let checkpoints = sizes.iter().map(|size| checkpoint(truth, *size)).collect();
        Self {
            stored: None,
            checkpoints,
        }
    }

    /// The true log's hashes as a store keeps them.
    pub fn stored(truth: &[Vec<u8>]) -> Self {
        Self {
            stored: Some(hashes(truth)),
            checkpoints: Vec::new(),
        }
    }
}

pub fn verify(leaves: &[Vec<u8>], evidence: &Evidence) -> Verdict {
    let mut verifier = LogVerifier::new(TENANT);
    for checkpoint in &evidence.checkpoints {
        assert!(verifier.checkpoint(checkpoint, &vkey(), Trust::Key));
    }
    for (at, leaf) in leaves.iter().enumerate() {
        let record_hash = evidence.stored.as_ref().map(|stored| stored[at]);
        verifier.push_expecting(
            leaf,
            Expected {
                record_hash,
                ..Expected::default()
            },
        );
    }
    verifier.finish()
}

/// Asserts that exactly this was found.
#[track_caller]
pub fn only(verdict: &Verdict, kind: FindingKind, records: Span) {
    let found: Vec<_> = verdict
        .integrity
        .iter()
        .map(|f| (f.kind, f.records))
        .collect();
    assert_eq!(found, [(kind, Some(records))], "{:#?}", verdict.integrity);
    assert!(!verdict.is_sound());
}

#[track_caller]
pub fn clean(verdict: &Verdict) {
    assert_eq!(verdict.integrity, [], "{:#?}", verdict.integrity);
    assert!(verdict.is_sound());
}

pub fn anchored_to(verdict: &Verdict) -> Option<u64> {
    match &verdict.anchored {
        Anchor::None => None,
        Anchor::Checkpoint { size, .. } => Some(*size),
    }
}

/// A size that most tests use.
pub const COUNT: usize = 12;
/// The last record of a log of that size.
pub const LAST: usize = COUNT - 1;
/// The first, a middle and the last.
pub const POSITIONS: [usize; 3] = [0, 5, LAST];

/// A sound log of that size.
pub fn truth() -> Vec<Vec<u8>> {
    log(COUNT as u64)
}

/// One record.
pub fn at(number: usize) -> Span {
    Span::one(number as u64)
}

/// Records, both ends included.
pub fn span(first: usize, last: usize) -> Span {
    Span::new(first as u64, last as u64)
}
