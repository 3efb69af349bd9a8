//! A ledger in memory with a clock and randomness of the test's own, and stores that fail on
//! demand.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by several test programs"
)]

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use indelible_event::catalogue::NATIVE;
use indelible_event::{AuditId, Micros, Mode, TenantId};
use indelible_log::policy::SealingPolicy;
use indelible_log::{
    Admission, Clock, Env, KeySigner, Keyring, Limits, Log, MasterKey, OpenError, Options, Random,
    Signer, Stores, Submission,
};
use indelible_merkle::Hash;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_store::memory::{MemoryLedger, MemoryState};
use indelible_store::{Commit, Error, Head, Kind, Ledger, Result, State, Stored, StoredRecord};

pub const ORIGIN: &str = "indelible.dev/test";
pub const START: i64 = 1_770_000_000_000_000;

pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        Micros(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// `SplitMix64`: enough for ids and keys that only have to differ.
pub struct TestRandom(pub AtomicU64);

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let word = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// What the signer keeps, in memory.
#[derive(Clone, Debug, Default)]
pub struct Kept(pub Arc<Mutex<Option<Vec<u8>>>>);

impl SignerState for Kept {
    type Error = String;

    fn load(&self) -> std::result::Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn compare_and_swap(
        &self,
        old: Option<&[u8]>,
        new: &[u8],
    ) -> std::result::Result<bool, String> {
        let mut kept = self.0.lock().unwrap();
        if kept.as_deref() != old {
            return Ok(false);
        }
        *kept = Some(new.to_vec());
        Ok(true)
    }
}

/// How an append goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was kept, and the store says why.
    Failed(Kind),
    /// All was kept, and the answer was lost.
    Persisted,
    /// Nothing was kept, and the answer was lost.
    Lost,
}

/// A ledger whose next appends fail as told; `None` lets one pass.
#[derive(Clone)]
pub struct Flaky {
    pub inner: Arc<MemoryLedger>,
    pub plan: Arc<Mutex<VecDeque<Option<Failure>>>>,
    pub appends: Arc<AtomicU64>,
    /// A record that is read with another byte than was written.
    pub altered: Arc<Mutex<Option<u64>>>,
}

impl Flaky {
    pub fn new() -> Self {
        Self {
            inner: Arc::new(MemoryLedger::new()),
            plan: Arc::default(),
            appends: Arc::default(),
            altered: Arc::default(),
        }
    }
}

impl Ledger for Flaky {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        self.inner.tenants()
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        self.inner.head(tenant)
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        self.inner.find(tenant, ids)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let next = self.plan.lock().unwrap().pop_front().flatten();
        match next {
            None => self.inner.append(commit),
            Some(Failure::Failed(kind)) => Err(Error::new(kind, "told to fail")),
            Some(Failure::Lost) => Err(Error::new(Kind::UnknownOutcome, "told to fail")),
            Some(Failure::Persisted) => {
                self.inner.append(commit)?;
                Err(Error::new(Kind::UnknownOutcome, "told to fail"))
            }
        }
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let altered = *self.altered.lock().unwrap();
        self.inner.read(tenant, range, &mut |stored| match stored {
            Stored::Record(record) if Some(record.sequence_number) == altered => {
                let mut leaf = record.leaf.to_vec();
                let digit = leaf.iter().position(u8::is_ascii_digit).unwrap();
                leaf[digit] ^= 1;
                let leaf = leaf.as_slice();
                visit(Stored::Record(StoredRecord { leaf, ..record }))
            }
            stored => visit(stored),
        })
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.inner.subtree(tenant, level, index)
    }
}

/// Everything a ledger stands on; opened and opened again.
#[derive(Clone)]
pub struct World {
    pub ledger: Flaky,
    pub state: Arc<MemoryState>,
    pub keys: Arc<MemoryState>,
    pub kept: Kept,
    pub clock: Arc<TestClock>,
    pub random: Arc<TestRandom>,
    pub group_records_max: usize,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            ledger: Flaky::new(),
            state: Arc::new(MemoryState::new()),
            keys: Arc::new(MemoryState::new()),
            kept: Kept::default(),
            clock: Arc::new(TestClock(AtomicI64::new(START))),
            random: Arc::new(TestRandom(AtomicU64::new(seed))),
            group_records_max: 64,
        }
    }

    pub fn stores(&self) -> Stores {
        let state: Arc<dyn State> = self.state.clone();
        Stores {
            ledger: Arc::new(self.ledger.clone()),
            state,
        }
    }

    pub fn env(&self) -> Env {
        Env {
            clock: self.clock.clone(),
            random: self.random.clone(),
        }
    }

    pub fn key() -> SigningKey {
        SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap()
    }

    pub fn keyring(&self) -> Arc<Keyring> {
        let master = MasterKey::from_bytes([9; 32]);
        Keyring::open(self.keys.clone(), Some(master), self.random.clone()).unwrap()
    }

    pub fn signer(&self, origin: &str) -> Arc<dyn Signer> {
        Arc::new(KeySigner::new(&Self::key(), origin, self.kept.clone()).unwrap())
    }

    pub fn try_open(&self, origin: &str) -> std::result::Result<Log, OpenError> {
        let options = Options {
            origin: ORIGIN.to_owned(),
            verifier_key: Self::key().verifier_key().to_string(),
            create_tenants: true,
            limits: Limits {
                group_records_max: self.group_records_max,
                ..Limits::default()
            },
        };
        let signer = Some(self.signer(origin));
        Log::open(self.stores(), self.keyring(), signer, options, self.env())
    }

    pub fn open(&self) -> Log {
        self.try_open(ORIGIN).unwrap()
    }
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub fn admission() -> Arc<Admission> {
    Arc::new(Admission {
        mode: Mode::Strict,
        catalogue: &NATIVE,
        dialect: None,
        submitted_by: Some("test".to_owned()),
        via: Some("emit".to_owned()),
        sealing: Arc::new(SealingPolicy::default()),
    })
}

/// An event with an id of its own and personal fields.
pub fn event(number: u64, detail: &str) -> Vec<u8> {
    let id = AuditId::mint(1_769_999_000_000 + number, number_bytes(number));
    serde_json::json!({
        "actor": {
            "email": format!("person{}@example.org", number % 5),
            "id": format!("u-{}", number % 5),
            "ip": "203.0.113.7",
            "name": "A Person",
            "type": "user",
        },
        "audit_id": id.to_string(),
        "data": {"detail": detail, "number": number},
        "event_type": "content.create",
        "occurred_at": "2026-02-02T02:40:00Z",
        "outcome": "success",
        "target": {"id": format!("post/{number}"), "type": "post"},
    })
    .to_string()
    .into_bytes()
}

fn number_bytes(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub fn submission(tenant_name: &str, event: Vec<u8>) -> Submission {
    Submission {
        tenant: tenant(tenant_name),
        event,
        admission: admission(),
        stream: None,
    }
}
