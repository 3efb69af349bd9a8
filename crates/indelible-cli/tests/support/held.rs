//! Clients of several servers: what has no receipt is sent again under the same ids, perhaps to
//! another server, while the first may still be committing it. In the end every event has one
//! receipt, of the record at its place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use indelible_postgres::{Options, Postgres};
use indelible_store::Ledger;
use indelible_testing::Dice;
use serde_json::Value;

use super::own_postgres::OwnPostgres;
use super::served::{Client, Serving};
use super::{Place, survive};

const CLIENTS: usize = 6;
pub const TENANTS: u64 = 200;
const BATCH_MAX: u64 = 25;
/// How long a client waits for an answer before it asks another server.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take until everything has its receipt, once the servers are let alone.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

/// One batch, its ids fixed.
struct Batch {
    tenant: u64,
    events: Vec<Value>,
}

/// What clients were told, and what they must send again.
pub struct Held {
    pub addresses: RwLock<Vec<String>>,
    ended: AtomicBool,
    made: AtomicU64,
    pub asked_again: AtomicU64,
    again: Mutex<Vec<Batch>>,
    receipts: Mutex<BTreeMap<String, Value>>,
    /// Batches that a client has in its hands.
    sending: AtomicU64,
    settled_by: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let again = self.asked_again.load(Ordering::Relaxed);
        let receipts = self.receipts.lock().unwrap().len();
        write!(f, "{receipts} receipts, {again} batches asked for again")
    }
}

/// Tells clients that no more events are made when it is dropped.
struct Ends<'a>(&'a Held);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        *self.0.settled_by.lock().unwrap() = Some(Instant::now() + SETTLED_WITHIN);
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

impl Held {
    pub fn new(servers: &[Serving]) -> Self {
        let addresses = servers.iter().map(|server| server.address.clone());
        Self {
            addresses: RwLock::new(addresses.collect()),
            ended: AtomicBool::default(),
            made: AtomicU64::default(),
            asked_again: AtomicU64::default(),
            again: Mutex::default(),
            receipts: Mutex::default(),
            sending: AtomicU64::default(),
            settled_by: Mutex::default(),
        }
    }

    /// Runs clients beside something, then lets them finish. They end whatever happens, so that a
    /// failure is told and not waited for.
    pub fn beside(&self, dice: &mut Dice, act: impl FnOnce(&mut Dice)) {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    let mut dice = Dice::of(dice.below(u64::MAX));
                    scope.spawn(move || while self.send(&mut dice) {})
                })
                .collect();
            let ends = Ends(self);
            act(dice);
            drop(ends);
            for client in clients {
                client.join().unwrap();
            }
        });
    }

    /// How many receipts there are.
    pub fn count(&self) -> usize {
        self.receipts.lock().unwrap().len()
    }

    /// Sends a batch; whether there may be more to send.
    fn send(&self, dice: &mut Dice) -> bool {
        let Some(batch) = self.next(dice) else {
            // Another client may yet give one back.
            std::thread::sleep(Duration::from_millis(20));
            return self.sending.load(Ordering::SeqCst) > 0
                || !self.again.lock().unwrap().is_empty();
        };
        let address = {
            let addresses = self.addresses.read().unwrap();
            addresses[dice.place(addresses.len())].clone()
        };
        if let Some(left) = self.ask(&address, batch) {
            self.asked_again.fetch_add(1, Ordering::Relaxed);
            self.again.lock().unwrap().push(left);
            std::thread::sleep(Duration::from_millis(20));
            let by = *self.settled_by.lock().unwrap();
            assert!(
                by.is_none_or(|by| Instant::now() < by),
                "it does not settle"
            );
        }
        self.sending.fetch_sub(1, Ordering::SeqCst);
        true
    }

    /// What to send: what has no receipt as often as something new.
    fn next(&self, dice: &mut Dice) -> Option<Batch> {
        let ended = self.ended.load(Ordering::SeqCst);
        let mut again = self.again.lock().unwrap();
        if ended || dice.below(2) == 0 {
            let place = (!again.is_empty()).then(|| dice.place(again.len()));
            if let Some(place) = place {
                self.sending.fetch_add(1, Ordering::SeqCst);
                return Some(again.swap_remove(place));
            }
        }
        if ended {
            return None;
        }
        self.sending.fetch_add(1, Ordering::SeqCst);
        let count = 1 + dice.below(BATCH_MAX);
        let first = self.made.fetch_add(count, Ordering::Relaxed);
        let events = (first..first + count).map(event);
        Some(Batch {
            tenant: dice.below(TENANTS),
            events: events.collect(),
        })
    }

    /// Asks a server for a batch; gives what of it has no receipt.
    fn ask(&self, address: &str, batch: Batch) -> Option<Batch> {
        let path = format!("/v1/events:batch?tenant=tenant-{}", batch.tenant);
        let body = Value::Array(batch.events.clone()).to_string();
        let json = ["Content-Type: application/json"];
        let answer = Client::connect(address)
            .and_then(|client| client.with_patience(PATIENCE))
            .and_then(|mut client| client.ask("POST", &path, &json, body.as_bytes()));
        let Ok(answer) = answer else {
            return Some(batch);
        };
        if answer.status == 503 {
            return Some(batch);
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut left = Vec::new();
        let answer = answer.json();
        for (result, event) in answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .zip(batch.events)
        {
            match result["status"].as_u64() {
                Some(200 | 201) => self.hold(&result["receipt"]),
                Some(503) => left.push(event),
                _ => panic!("{result}"),
            }
        }
        let tenant = batch.tenant;
        (!left.is_empty()).then_some(Batch {
            tenant,
            events: left,
        })
    }

    fn hold(&self, receipt: &Value) {
        let id = receipt["audit_id"].as_str().unwrap().to_owned();
        let before = self.receipts.lock().unwrap().insert(id, receipt.clone());
        assert!(
            before.is_none_or(|before| before == *receipt),
            "one receipt for ever"
        );
    }
}

/// Every third is personal: servers meet the same people, and agree on their keys.
fn event(n: u64) -> Value {
    let mut event = super::event(usize::try_from(n).unwrap());
    if n.is_multiple_of(3) {
        event["actor"]["email"] = format!("user-{}@example.com", n % 10).into();
    }
    event
}

/// Every event that was made has one receipt, of the record at its place, and the command's own
/// `verify` finds every log sound and published to its end.
pub fn check(place: &Place, postgres: &OwnPostgres, held: &Held) {
    let receipts = held.receipts.lock().unwrap();
    let made = usize::try_from(held.made.load(Ordering::Relaxed)).unwrap();
    assert_eq!(receipts.len(), made, "not everything settled");
    let mut by_tenant: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for receipt in receipts.values() {
        let tenant = receipt["tenant_id"].as_str().unwrap();
        by_tenant.entry(tenant).or_default().push(receipt);
    }
    let ledger = Postgres::find(&Options::new(&*postgres.url))
        .unwrap()
        .unwrap();
    let mut found = 0;
    for tenant in ledger.tenants().unwrap().iter().filter(|t| !t.is_ours()) {
        let receipts = by_tenant.remove(tenant.as_str()).unwrap_or_default();
        // The first record says that the log was made.
        found += survive::check_log(&ledger, tenant, receipts) - 1;
    }
    assert!(
        by_tenant.is_empty(),
        "logs that are not there: {by_tenant:?}"
    );
    assert_eq!(found, made, "records that nobody sent, or no receipt");
    let ran = place.run("verify --json --require-anchor --data v");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let logs = ran
        .json()
        .iter()
        .filter(|line| line["tenant_id"].is_string())
        .count();
    assert!(logs > 1, "{}", ran.out);
}
