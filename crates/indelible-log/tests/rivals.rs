//! Two writers meet the same data subject: what was sealed under the key that lost is never
//! committed, wherever in the pipeline it is when that is found out, but sealed under the other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use indelible_log::registry::published_heads;
use indelible_log::{Keyring, Limits, Log, MasterKey, Options, Outcome};
use indelible_store::memory::MemoryState;
use indelible_store::{Change, Entry, Ledger, Result, State, Stored, Version};
use support::{ORIGIN, World, event, submission, tenant};

/// A key store whose next write waits until it is let go, and says that it waits.
struct Gate {
    inner: Arc<MemoryState>,
    armed: AtomicBool,
    waiting: SyncSender<()>,
    go: Mutex<Receiver<()>>,
}

impl State for Gate {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        self.inner.get(space, key)
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.inner.scan(space, prefix, after, limit)
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.waiting.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
        self.inner.apply(changes)
    }
}

fn submit(log: &Log, number: u64) -> indelible_log::Pending {
    log.submit(vec![submission("acme", event(number, "x"))])
}

/// A log of `world` over the gate, in groups of four.
fn gated(world: &World, gate: &Arc<Gate>) -> Log {
    let master = Some(MasterKey::from_bytes([9; 32]));
    let keyring = Keyring::open(gate.clone(), master, world.random.clone()).unwrap();
    let options = Options {
        origin: ORIGIN.to_owned(),
        verifier_key: World::key().verifier_key().to_string(),
        create_tenants: true,
        limits: Limits {
            group_records_max: 4,
            ..Limits::default()
        },
    };
    let signer = Some(world.signer(ORIGIN));
    Log::open(world.stores(), keyring, signer, options, world.env()).unwrap()
}

/// A gate before the keys of `world`, which tells that a write waits, and what lets it go.
fn gate(world: &World) -> (Arc<Gate>, Receiver<()>, SyncSender<()>) {
    let (waiting, waits) = sync_channel(1);
    let (go, gone) = sync_channel(1);
    let gate = Gate {
        inner: world.keys.clone(),
        armed: AtomicBool::new(false),
        waiting,
        go: Mutex::new(gone),
    };
    (Arc::new(gate), waits, go)
}

#[test]
fn groups_in_flight_under_a_key_that_lost_are_sealed_under_the_one_that_was_first() {
    let world = World::new(3);
    let (gate, waits, go) = gate(&world);
    let log = gated(&world, &gate);
    // The tenant's own keys, and those of another person, are settled.
    assert!(matches!(
        submit(&log, 1).wait().as_slice(),
        [Outcome::New(_)]
    ));

    gate.armed.store(true, Ordering::SeqCst);
    let mut pending = vec![submit(&log, 5)];
    waits.recv().unwrap();
    // Behind it, in flight and waiting, for the same person and for another.
    pending.extend([10, 15, 20, 25, 11, 30].map(|number| submit(&log, number)));
    let rival = World {
        ledger: support::Flaky::new(),
        state: Arc::new(MemoryState::new()),
        kept: support::Kept::default(),
        ..world.clone()
    };
    let rival_log = rival.open();
    assert!(
        rival_log
            .submit(vec![submission("acme", event(0, "y"))])
            .wait()[0]
            .receipt()
            .is_some()
    );
    let theirs = handles(&rival, 0);
    go.send(()).unwrap();
    for (at, pending) in pending.into_iter().enumerate() {
        let outcomes = pending.wait();
        assert!(
            matches!(outcomes.as_slice(), [Outcome::New(_)]),
            "{at}: {outcomes:?}"
        );
    }
    assert_eq!(theirs.len(), 1);
    assert_eq!(handles(&world, 0), theirs);
    // What was sealed twice is the event that was sent: found, and a repeat when it comes again.
    let again = submit(&log, 15).wait();
    assert!(
        matches!(again.as_slice(), [Outcome::Repeat { .. }]),
        "{again:?}"
    );
}

/// The same event comes to two servers, each of which makes a key for its person: the slower one
/// compares what it sealed under a key that lost with the record that is there.
#[test]
fn an_event_that_two_writers_took_is_a_repeat_at_the_second() {
    let world = World::new(5);
    let (gate, waits, go) = gate(&world);
    let log = gated(&world, &gate);
    assert!(submit(&log, 1).wait()[0].receipt().is_some());
    gate.armed.store(true, Ordering::SeqCst);
    let slow = submit(&log, 5);
    waits.recv().unwrap();
    let rival = world.open();
    let first = rival.submit(vec![submission("acme", event(5, "x"))]).wait();
    let [Outcome::New(receipt)] = first.as_slice() else {
        panic!("{first:?}");
    };
    go.send(()).unwrap();
    let second = slow.wait();
    assert!(
        matches!(second.as_slice(), [Outcome::Repeat { receipt: same, .. }] if same == receipt),
        "{second:?}"
    );
}

/// Under which keys the values of a person are sealed, in the records of `acme`.
fn handles(world: &World, person: u64) -> Vec<String> {
    let mut handles = Vec::new();
    let visit = &mut |stored: Stored<'_>| {
        let Stored::Record(record) = stored else {
            panic!("{stored:?}")
        };
        let leaf: serde_json::Value = serde_json::from_slice(record.leaf).unwrap();
        if leaf["event"]["data"]["number"]
            .as_u64()
            .is_some_and(|n| n % 5 == person)
        {
            let sealed = leaf["event"]["sealed"].as_array().unwrap();
            handles.extend(
                sealed
                    .iter()
                    .map(|one| one["subject"].as_str().unwrap().to_owned()),
            );
        }
        ControlFlow::Continue(())
    };
    let ledger: &dyn Ledger = &*world.ledger.inner;
    ledger.read(&tenant("acme"), 0..u64::MAX, visit).unwrap();
    handles.sort();
    handles.dedup();
    handles
}

/// A server, a command beside it, and whoever opens the ledger meanwhile: all have the key.
#[test]
fn all_who_hold_the_signing_key_sign_one_history() {
    let world = World::new(4);
    drop(world.open());
    std::thread::scope(|scope| {
        for writer in 0..3_u64 {
            let world = &world;
            scope.spawn(move || {
                let name = format!("acme{writer}");
                for run in 0..8 {
                    let log = world.open();
                    for n in 0..4 {
                        let number = (writer * 100) + run * 10 + n;
                        let sent = log.submit(vec![submission(&name, event(number, "x"))]);
                        assert!(sent.wait()[0].receipt().is_some());
                        log.publish().unwrap();
                    }
                }
            });
        }
    });
    let log = world.open();
    let published = log.publish().unwrap();
    assert_eq!(published.moved, 0, "every head was published");
    let heads = published_heads(world.state.as_ref()).unwrap();
    let sizes = heads.values().map(|head| head.size).collect::<Vec<_>>();
    assert_eq!(
        sizes.iter().filter(|size| **size == 33).count(),
        3,
        "{sizes:?}"
    );
    let none = world.state.get("registry", b"staged").unwrap();
    assert_eq!(none, None, "nothing is left on its way");
}
