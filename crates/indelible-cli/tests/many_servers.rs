//! Several servers on one database, killed, stopped and cut off from it at random, and the database
//! as well, under load: every receipt that a client held is in the ledger exactly once, at its
//! place.
//!
//! Clients send batches of many tenants to whichever server answers; what has no receipt is sent
//! again under the same ids, perhaps to another server, while the first may still be committing it.
//! Rounds from `INDELIBLE_KILL_ROUNDS`; the seed is printed and comes from `INDELIBLE_SEED`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; the figures are for people"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use indelible_postgres::{Options, Postgres};
use indelible_store::Ledger;
use indelible_testing::Dice;
use indelible_testing::database::sql;
use serde_json::Value;
use support::own_postgres::OwnPostgres;
use support::served::{Client, Serving};
use support::{Place, survive};

const SERVERS: usize = 3;
const CLIENTS: usize = 6;
const TENANTS: u64 = 200;
const BATCH_MAX: u64 = 25;
/// How long the servers are let alone before each round, in milliseconds.
const CALM_MS_MAX: u64 = 400;
/// How long a server stands still at most: shorter than PostgreSQL waits for a transaction that
/// does, and longer, so that it is ended. The former is tried in most rounds, for they are quicker.
const STILL_MS_MAX: u64 = 600;
const STILL_LONG: Duration = Duration::from_secs(12);
/// One in so many stops is a long one.
const STILL_LONG_ONE_IN: u64 = 20;
/// Ends about half of the servers' connections.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = 'indelible' AND random() < 0.5";
/// How long a client waits for an answer before it asks another server.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take until everything has its receipt, once the servers are let alone.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

#[test]
fn every_receipt_of_many_servers_survives() {
    let test = "every_receipt_of_many_servers_survives";
    if indelible_testing::postgres(test).is_none() {
        return;
    }
    let Some(postgres) = OwnPostgres::start() else {
        indelible_testing::declare_skipped(test, "no PostgreSQL on this machine");
        return;
    };
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 5, 200);
    let place = Place::with_ledger(&postgres.url);
    let mut dice = Dice::seeded();
    let mut servers = start(&place);
    let held = Held::new(&servers);
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (held, mut dice) = (&held, Dice::of(dice.below(u64::MAX)));
                scope.spawn(move || while held.send(&mut dice) {})
            })
            .collect();
        // Clients end whatever happens here, so that a failure is told and not waited for.
        let ends = Ends(&held);
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
            seen.round((&place, &postgres), &mut servers, &held, &mut dice);
        }
        drop(ends);
        for client in clients {
            client.join().unwrap();
        }
    });
    // The one that signs ends last: closing, it publishes what the others committed.
    for server in servers.iter_mut().rev() {
        assert_eq!(server.signal("TERM"), Some(0));
    }
    eprintln!("{rounds} rounds: {seen:?}; {held:?}");
    check(&place, &postgres, &held);
    let again = held.asked_again.load(Ordering::Relaxed);
    // A few rounds may by chance all be harmless.
    assert!(rounds < 10 || again > 0, "no client had to ask again");
}

fn start(place: &Place) -> Vec<Serving> {
    (0..SERVERS).map(|n| serve(place, n)).collect()
}

/// Each in a directory of its own; the first has the signing key, the others a copy of the master
/// key alone.
fn serve(place: &Place, n: usize) -> Serving {
    let more = if n == 0 {
        "--data s0".to_owned()
    } else {
        place.copy_master_key(&format!("keys{n}"));
        format!("--data s{n} --keys keys{n}")
    };
    Serving::telling(place, &more, &format!("s{n}.log"))
}

/// What befell the servers and the database.
#[derive(Debug, Default)]
struct Seen {
    killed: u64,
    stopped: u64,
    cut: u64,
    crashed: u64,
}

impl Seen {
    /// One more thing befalls one of them.
    fn round(
        &mut self,
        (place, postgres): (&Place, &OwnPostgres),
        servers: &mut [Serving],
        held: &Held,
        dice: &mut Dice,
    ) {
        let n = dice.place(servers.len());
        match dice.below(6) {
            0 => {
                self.crashed += 1;
                postgres.crash();
            }
            1 => {
                self.stopped += 1;
                let still = if dice.below(STILL_LONG_ONE_IN) == 0 {
                    STILL_LONG
                } else {
                    Duration::from_millis(dice.below(STILL_MS_MAX))
                };
                servers[n].stop();
                std::thread::sleep(still);
                servers[n].go_on();
            }
            2 => {
                self.cut += 1;
                sql(&postgres.url, CUT);
            }
            _ => {
                self.killed += 1;
                servers[n].child.kill().unwrap();
                servers[n].child.wait().unwrap();
                std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
                servers[n] = serve(place, n);
                held.addresses.write().unwrap()[n].clone_from(&servers[n].address);
            }
        }
    }
}

/// One batch, its ids fixed.
struct Batch {
    tenant: u64,
    events: Vec<Value>,
}

/// What clients were told, and what they must send again.
struct Held {
    addresses: RwLock<Vec<String>>,
    ended: AtomicBool,
    made: AtomicU64,
    asked_again: AtomicU64,
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
    fn new(servers: &[Serving]) -> Self {
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
    let mut event = support::event(usize::try_from(n).unwrap());
    if n.is_multiple_of(3) {
        event["actor"]["email"] = format!("user-{}@example.com", n % 10).into();
    }
    event
}

/// Every event that was made has one receipt, of the record at its place, and the command's own
/// `verify` finds every log sound and published to its end.
fn check(place: &Place, postgres: &OwnPostgres, held: &Held) {
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
