//! `kill -9` of the served process under load, from outside: every receipt that a client held is in
//! the ledger exactly once.
//!
//! Clients send single events and batches on many connections; the process dies at a random moment;
//! what has no receipt is sent again in the next round, as a client would. Rounds from
//! `INDELIBLE_KILL_ROUNDS`; the seed is printed and comes from `INDELIBLE_SEED`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; the figures are for people"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indelible_testing::Dice;
use serde_json::Value;
use support::served::{Serving, send};
use support::{Place, survive};

/// Rounds on one ledger before a new one is begun.
const ROUNDS_PER_LEDGER: u64 = 20;
const CLIENTS: u64 = 6;
const BATCH: u64 = 25;
/// How long a server lives at most once it listens, in milliseconds.
const LIFE_MS_MAX: u64 = 200;

#[test]
fn every_receipt_that_a_client_held_survives() {
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 10, 1_000);
    let mut dice = Dice::seeded();
    let (mut done, mut receipts, mut loaded) = (0, 0, 0);
    while done < rounds {
        let place = Place::new();
        let held = Arc::new(Held::default());
        for _ in 0..ROUNDS_PER_LEDGER.min(rounds - done) {
            let before = held.count();
            round(&place, &held, &mut dice);
            loaded += u64::from(held.count() > before);
            survive::check(&place, held.receipts.lock().unwrap().values());
            done += 1;
        }
        receipts += held.count();
    }
    eprintln!("{done} rounds, {loaded} of them under load, {receipts} receipts");
    // A few rounds may by chance all be too short.
    assert!(done < 10 || loaded * 2 > done, "{loaded} of {done}");
}

fn round(place: &Place, held: &Arc<Held>, dice: &mut Dice) {
    let mut serving = Serving::start(place, "");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (held, address) = (Arc::clone(held), serving.address.clone());
            std::thread::spawn(move || while held.send(&address, client % 2 == 0) {})
        })
        .collect();
    std::thread::sleep(Duration::from_micros(dice.below(LIFE_MS_MAX * 1_000)));
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    for client in clients {
        client.join().unwrap();
    }
}

/// What clients were told, and what they must send again.
#[derive(Default)]
struct Held {
    made: AtomicU64,
    again: Mutex<Vec<u64>>,
    receipts: Mutex<BTreeMap<String, Value>>,
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

    fn count(&self) -> usize {
        self.receipts.lock().unwrap().len()
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
