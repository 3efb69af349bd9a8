//! A whole log on a database: events with personal fields are sealed, numbered, committed and
//! published.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests use what they need of it"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use indelible_event::catalogue::NATIVE;
use indelible_event::{AuditId, Micros, Mode, TenantId};
use indelible_log::policy::SealingPolicy;
use indelible_log::{
    Admission, Clock, Env, KeySigner, Keyring, Limits, Log, MasterKey, Options, Outcome, Random,
    Signer, Stores, Submission,
};
use indelible_postgres::Postgres;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_store::Retry;
use indelible_testing::Dice;

pub const ORIGIN: &str = "indelible.dev/test";
pub const START: i64 = 1_770_000_000_000_000;

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        Micros(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

struct TestRandom(Mutex<Dice>);

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().unwrap();
        bytes.fill_with(|| u8::try_from(dice.below(256)).unwrap());
    }
}

/// What the signer keeps, in memory.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Option<Vec<u8>>>);

impl SignerState for Kept {
    type Error = String;

    fn load(&self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn compare_and_swap(&self, old: Option<&[u8]>, new: &[u8]) -> Result<bool, String> {
        let mut kept = self.0.lock().unwrap();
        if kept.as_deref() != old {
            return Ok(false);
        }
        *kept = Some(new.to_vec());
        Ok(true)
    }
}

/// One server's part.
pub struct Server {
    pub stores: Stores,
    pub keyring: Arc<Keyring>,
    pub log: Log,
}

impl Server {
    /// Opens it.
    pub fn open(
        postgres: Arc<Postgres>,
        seed: u64,
        signer: Option<Arc<dyn Signer>>,
        key: &SigningKey,
    ) -> Self {
        let stores = Stores {
            ledger: Arc::clone(&postgres) as _,
            state: Arc::clone(&postgres) as _,
        };
        let random = Arc::new(TestRandom(Mutex::new(Dice::of(seed))));
        let master = Some(MasterKey::from_bytes([9; 32]));
        let keyring = Keyring::open(postgres, master, Arc::clone(&random) as _).unwrap();
        let env = Env {
            clock: Arc::new(TestClock(AtomicI64::new(START))),
            random,
        };
        let options = Options {
            origin: ORIGIN.to_owned(),
            verifier_key: key.verifier_key().to_string(),
            create_tenants: true,
            limits: Limits {
                group_records_max: 16,
                ..Limits::default()
            },
        };
        let log = Log::open(stores.clone(), Arc::clone(&keyring), signer, options, env).unwrap();
        Self {
            stores,
            keyring,
            log,
        }
    }

    /// Submits events until each has a receipt, as a client does; where each is.
    pub fn submit(&self, numbers: impl Iterator<Item = u64>) -> BTreeMap<u64, u64> {
        let mut wanted: Vec<u64> = numbers.collect();
        let mut places = BTreeMap::new();
        while !wanted.is_empty() {
            let batch = wanted.iter().map(|number| submission(*number)).collect();
            let outcomes = self.log.submit(batch).wait();
            let mut outcomes = outcomes.iter();
            wanted.retain(|number| match outcomes.next().unwrap() {
                Outcome::Failed(error) => {
                    assert_ne!(error.retry(), Retry::No, "{error}");
                    true
                }
                outcome => {
                    let receipt = outcome.receipt().unwrap();
                    places.insert(*number, receipt.sequence_number);
                    false
                }
            });
        }
        places
    }
}

pub fn tenant_of(number: u64) -> TenantId {
    TenantId::parse(&format!("tenant-{}", number % 3)).unwrap()
}

/// Without personal fields.
pub fn plain(number: u64) -> Submission {
    let mut plain = submission(number);
    let mut event: serde_json::Value = serde_json::from_slice(&plain.event).unwrap();
    event["actor"] = serde_json::json!({"id": "job", "type": "service"});
    plain.event = event.to_string().into_bytes();
    plain
}

pub fn submission(number: u64) -> Submission {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let event = serde_json::json!({
        "actor": {"id": format!("u-{}", number % 5), "ip": "203.0.113.7", "name": "A Person",
            "type": "user"},
        "audit_id": AuditId::mint(1_769_999_000_000 + number, random).to_string(),
        "event_type": "content.create",
        "occurred_at": "2026-02-02T02:40:00Z",
        "outcome": "success",
        "target": {"id": format!("post/{number}"), "type": "post"},
    });
    Submission {
        tenant: tenant_of(number),
        event: event.to_string().into_bytes(),
        admission: Arc::new(Admission {
            mode: Mode::Strict,
            catalogue: &NATIVE,
            dialect: None,
            submitted_by: Some("test".to_owned()),
            via: Some("emit".to_owned()),
            sealing: Arc::new(SealingPolicy::default()),
        }),
        stream: None,
    }
}

/// The key that signs.
pub fn signing_key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap()
}

/// What signs with it.
pub fn signer() -> Arc<dyn Signer> {
    Arc::new(KeySigner::new(&signing_key(), ORIGIN, Kept::default()).unwrap())
}
