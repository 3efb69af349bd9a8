//! Two whole logs, of two servers, on one database: events with personal fields are sealed,
//! numbered, committed and published, and what one server took the other knows.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use indelible_event::catalogue::NATIVE;
use indelible_event::{AuditId, Micros, Mode, TenantId};
use indelible_log::policy::SealingPolicy;
use indelible_log::verify::{Anchors, verify_log};
use indelible_log::{
    Admission, Clock, Env, KeySigner, Keyring, Limits, Log, MasterKey, Options, Outcome, Random,
    Signer, Stores, Submission,
};
use indelible_postgres::Postgres;
use indelible_proof::note::SigningKey;
use indelible_proof::signer::SignerState;
use indelible_store::Retry;
use indelible_testing::Dice;

use support::{Place, available};

const ORIGIN: &str = "indelible.dev/test";
const START: i64 = 1_770_000_000_000_000;
/// Events of each server; most are for tenants of both.
const EVENTS: u64 = 120;

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
struct Kept(Mutex<Option<Vec<u8>>>);

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
struct Server {
    stores: Stores,
    keyring: Arc<Keyring>,
    log: Log,
}

impl Server {
    fn open(
        postgres: Postgres,
        seed: u64,
        signer: Option<Arc<dyn Signer>>,
        key: &SigningKey,
    ) -> Self {
        let postgres = Arc::new(postgres);
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
    fn submit(&self, numbers: impl Iterator<Item = u64>) -> BTreeMap<u64, u64> {
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

fn tenant_of(number: u64) -> TenantId {
    TenantId::parse(&format!("tenant-{}", number % 3)).unwrap()
}

/// Without personal fields.
fn plain(number: u64) -> Submission {
    let mut plain = submission(number);
    let mut event: serde_json::Value = serde_json::from_slice(&plain.event).unwrap();
    event["actor"] = serde_json::json!({"id": "job", "type": "service"});
    plain.event = event.to_string().into_bytes();
    plain
}

fn submission(number: u64) -> Submission {
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

#[test]
fn two_servers_share_a_ledger() {
    if !available("two_servers_share_a_ledger") {
        return;
    }
    let place = Place::make();
    let key = SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap();
    let signer = KeySigner::new(&key, ORIGIN, Kept::default()).unwrap();
    let one = Server::open(place.open(), 1, Some(Arc::new(signer)), &key);
    let other = Server::open(place.open(), 2, None, &key);
    let (ones, others) = std::thread::scope(|scope| {
        let ones = scope.spawn(|| one.submit(0..EVENTS));
        let others = scope.spawn(|| other.submit(EVENTS..EVENTS * 2));
        (ones.join().unwrap(), others.join().unwrap())
    });
    // What one took the other answers with the same place: the ids are in the ledger, once.
    assert_eq!(other.submit(0..EVENTS), ones);
    assert_eq!(one.submit(EVENTS..EVENTS * 2), others);
    one.log.publish().unwrap();
    let mut records = 0;
    for tenant in [0, 1, 2].map(tenant_of) {
        let anchors = Anchors {
            key: Some(key.verifier_key()),
            values: true,
            ..Anchors::default()
        };
        // Checked by the one that does not sign, with the keys that they share.
        let verdict = verify_log(
            &other.stores,
            &other.keyring,
            &tenant,
            &anchors,
            &mut |_, _| ControlFlow::Continue(()),
        );
        let verdict = verdict.unwrap();
        assert!(verdict.is_sound(), "{tenant}: {verdict:?}");
        records += other
            .stores
            .ledger
            .head(&tenant)
            .unwrap()
            .unwrap()
            .frontier
            .size();
    }
    // The first record of each log is its own.
    assert_eq!(records, EVENTS * 2 + 3);
    one.log.close();
    other.log.close();
}

#[test]
fn whoever_is_outrun_by_another_server_is_next() {
    if !available("whoever_is_outrun_by_another_server_is_next") {
        return;
    }
    let place = Place::make();
    let key = SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap();
    let servers: Vec<Server> = (0..3)
        .map(|seed| Server::open(place.open(), seed, None, &key))
        .collect();
    // All write to the same logs without a pause, so that heads move under whoever builds on them.
    std::thread::scope(|scope| {
        for (server, first) in servers.iter().zip([10_000, 20_000, 30_000]) {
            scope.spawn(move || {
                for batch in 0..40 {
                    let numbers = (0..12).map(|n| first + batch * 12 + n);
                    let outcomes = server.log.submit(numbers.map(plain).collect()).wait();
                    for outcome in &outcomes {
                        assert!(matches!(outcome, Outcome::New(_)), "{outcome:?}");
                    }
                }
            });
        }
    });
    let ledger = &servers[0].stores.ledger;
    let heads = ledger.heads(&[0, 1, 2].map(tenant_of));
    let sizes = heads
        .into_iter()
        .map(|head| head.unwrap().unwrap().frontier.size());
    assert_eq!(sizes.sum::<u64>(), 3 * 40 * 12 + 3);
}
