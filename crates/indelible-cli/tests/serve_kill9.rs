//! `kill -9` of the served process under load, from outside: every receipt that a client held is in
//! the ledger exactly once.
//!
//! Clients send single events and batches on many connections; the process dies at a random moment;
//! what has no receipt is sent again in the next round, as a client would. Rounds from
//! `INDELIBLE_KILL_ROUNDS`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; the figures are for people"
)]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::TenantId;
use indelible_merkle::leaf_hash;
use indelible_store::{Ledger, Stored};
use serde_json::Value;
use support::Place;
use support::served::{Serving, send};

const ROUNDS_PER_LEDGER: u64 = 20;
const CLIENTS: u64 = 6;
const BATCH: u64 = 25;
/// How long a server lives, in milliseconds.
const LIFE_MS_MAX: u64 = 400;

#[test]
fn every_receipt_that_a_client_held_survives() {
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 10, 200);
    let (mut done, mut receipts) = (0, 0);
    while done < rounds {
        let place = Place::new();
        let held = Arc::new(Held::default());
        for _ in 0..ROUNDS_PER_LEDGER.min(rounds - done) {
            round(&place, &held);
            check(&place, &held);
            done += 1;
        }
        receipts += held.receipts.lock().unwrap().len();
    }
    eprintln!("{done} rounds, {receipts} receipts");
    assert!(receipts > 0);
}

/// What clients were told, and what they must send again.
#[derive(Default)]
struct Held {
    made: AtomicU64,
    again: Mutex<Vec<u64>>,
    receipts: Mutex<BTreeMap<String, Value>>,
}

fn round(place: &Place, held: &Arc<Held>) {
    let mut serving = Serving::start(place, "");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (held, address) = (Arc::clone(held), serving.address.clone());
            std::thread::spawn(move || while held.send(&address, client % 2 == 0) {})
        })
        .collect();
    let noise = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let life = u64::from(noise.subsec_nanos()) % LIFE_MS_MAX;
    std::thread::sleep(Duration::from_millis(life));
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    for client in clients {
        client.join().unwrap();
    }
}

impl Held {
    /// Sends one event or a batch; whether the server still answers.
    fn send(&self, address: &str, one: bool) -> bool {
        let count = if one { 1 } else { BATCH };
        let numbers: Vec<u64> = (0..count).map(|_| self.next()).collect();
        let events = numbers
            .iter()
            .map(|n| support::event(usize::try_from(*n).unwrap()));
        let events: Vec<Value> = events.collect();
        let (path, body) = if one {
            ("/v1/events?tenant=acme", events[0].to_string())
        } else {
            (
                "/v1/events:batch?tenant=acme",
                Value::Array(events).to_string(),
            )
        };
        let Ok((status, answer)) = send(address, "POST", path, &[], &body) else {
            // The outcome is not known: the same ids again.
            self.again.lock().unwrap().extend(numbers);
            return false;
        };
        assert!(matches!(status, 200 | 201), "{status} {answer}");
        if one {
            self.hold(&answer["receipt"]);
        } else {
            assert_eq!(answer["rejected"], 0, "{answer}");
            for result in answer["results"].as_array().unwrap() {
                self.hold(&result["receipt"]);
            }
        }
        true
    }

    fn next(&self) -> u64 {
        let again = self.again.lock().unwrap().pop();
        again.unwrap_or_else(|| self.made.fetch_add(1, Ordering::Relaxed))
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

fn check(place: &Place, held: &Held) {
    let receipts = held.receipts.lock().unwrap();
    let disk = Arc::new(RealDisk::new(place.at("indelible-data")));
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let ledger = Embedded::open(disk, None, options, &mut |_| {}).unwrap();
    let tenant = TenantId::parse("acme").unwrap();
    let mut found = BTreeMap::new();
    ledger
        .read(&tenant, 0..u64::MAX, &mut |stored| {
            let Stored::Record(record) = stored else {
                panic!("a damaged record")
            };
            let leaf: Value = serde_json::from_slice(record.leaf).unwrap();
            let id = leaf["event"]["audit_id"].as_str().unwrap().to_owned();
            let hash = leaf_hash(record.leaf).to_string();
            let twice = found.insert(id, (record.sequence_number, hash));
            assert!(twice.is_none(), "an event stands twice");
            ControlFlow::Continue(())
        })
        .unwrap();
    for (id, receipt) in receipts.iter() {
        let (number, hash) = found.get(id).unwrap_or_else(|| panic!("lost: {receipt}"));
        assert_eq!(receipt["sequence_number"], *number);
        assert_eq!(receipt["record_hash"], hash.as_str());
    }
    drop(ledger);
    if !found.is_empty() {
        let ran = place.run("verify --json");
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
}
