//! Whoever may write to the small state cannot have the signer sign another history: logs taken
//! away, taken back or exchanged, and snapshots that somebody staged.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use indelible_log::{Log, OpenError, Outcome};
use indelible_store::{Change, Kind, State};
use serde_json::{Value, json};
use support::{ORIGIN, World, event, submission};

/// A ledger of three logs beside the system's, all published.
fn published() -> (World, Log) {
    let world = World::new(7);
    let log = world.open();
    for (number, tenant) in ["acme", "beta", "gamma"].into_iter().enumerate() {
        commit(&log, tenant, number as u64);
    }
    log.publish().unwrap();
    (world, log)
}

fn commit(log: &Log, tenant: &str, number: u64) {
    let outcome = log
        .submit(vec![submission(tenant, event(number, "x"))])
        .wait();
    assert!(matches!(outcome[..], [Outcome::New(_)]), "{outcome:?}");
}

fn row(world: &World, space: &'static str, key: &[u8]) -> Value {
    let (bytes, _) = world.state.get(space, key).unwrap().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn put(world: &World, space: &'static str, key: &[u8], value: Option<&Value>) {
    let change = Change {
        space,
        key: key.to_vec(),
        expected: None,
        value: value.map(|value| serde_json::to_vec(value).unwrap()),
    };
    world.state.apply(&[change]).unwrap();
}

fn slot(world: &World, tenant: &str) -> [u8; 8] {
    let row = row(world, "tenants", tenant.as_bytes());
    row["slot"].as_u64().unwrap().to_be_bytes()
}

/// Nothing is signed, nothing more is taken, and nobody who opens it again signs it.
#[track_caller]
fn refused(world: &World, log: Log) {
    let kept = world.kept.clone();
    let before = kept.0.lock().unwrap().clone();
    let error = log.publish().unwrap_err();
    assert_eq!(error.kind(), Kind::ReadOnly, "{error}");
    assert_eq!(*kept.0.lock().unwrap(), before, "something was signed");
    let outcome = log.submit(vec![submission("acme", event(99, "x"))]).wait();
    let [Outcome::Failed(error)] = &outcome[..] else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.kind(), Kind::ReadOnly);
    drop(log);
    if let Ok(log) = world.try_open(ORIGIN) {
        log.publish().unwrap_err();
    }
    assert_eq!(*kept.0.lock().unwrap(), before, "something was signed");
}

#[test]
fn a_log_that_is_taken_out_of_the_registry_is_missed() {
    let (world, log) = published();
    put(&world, "published", &slot(&world, "beta"), None);
    put(&world, "tenants", b"beta", None);
    commit(&log, "acme", 10);
    refused(&world, log);
}

#[test]
fn logs_cannot_be_exchanged_for_each_other() {
    for (space, one, other) in [
        ("tenants", "acme", "beta"),
        // One that was never published has the id of another.
        ("tenants", "delta", "beta"),
    ] {
        let (world, log) = published();
        commit(&log, "delta", 3);
        let theirs = row(&world, space, other.as_bytes());
        let mut ours = row(&world, space, one.as_bytes());
        ours["log_id"] = theirs["log_id"].clone();
        put(&world, space, one.as_bytes(), Some(&ours));
        commit(&log, "acme", 10);
        refused(&world, log);
    }
}

#[test]
fn a_published_head_that_is_put_back_is_found_when_the_ledger_is_opened() {
    let (world, log) = published();
    let slot = slot(&world, "acme");
    let old = row(&world, "published", &slot);
    commit(&log, "acme", 10);
    log.publish().unwrap();
    drop(log);
    put(&world, "published", &slot, Some(&old));
    let Err(OpenError::NotExtending(findings)) = world.try_open(ORIGIN) else {
        panic!("it was opened");
    };
    let said = findings[0].to_string();
    assert!(said.contains("root-mismatch"), "{said}");
}

/// A snapshot as another server stages it, before it is changed.
fn staged() -> (World, Value) {
    let (world, log) = published();
    let registry = row(&world, "registry", b"head");
    let slot = slot(&world, "acme");
    let before = row(&world, "published", &slot);
    commit(&log, "acme", 10);
    // What the next publication stages, found by letting it happen in a copy.
    let copy = World {
        state: std::sync::Arc::new(indelible_store::memory::MemoryState::new()),
        ..world.clone()
    };
    for space in ["registry", "tenants", "published", "snapshots"] {
        for (key, bytes, _) in world.state.scan(space, b"", None, 1_000).unwrap() {
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            put(&copy, space, &key, Some(&value));
        }
    }
    drop(log);
    let kept = world.kept.0.lock().unwrap().clone();
    let other = copy.open();
    other.publish().unwrap();
    drop(other);
    *world.kept.0.lock().unwrap() = kept;
    let mut head = row(&copy, "registry", b"head");
    let mut moved = row(&copy, "published", &slot);
    assert_ne!(registry, head);
    assert_ne!(before, moved);
    head["checkpoint"] = json!("");
    moved["checkpoint"] = json!("");
    let mut heads = serde_json::Map::new();
    heads.insert(u64::from_be_bytes(slot).to_string(), moved);
    (world, json!({"head": head, "heads": heads}))
}

#[test]
fn a_snapshot_that_another_staged_is_finished_only_as_it_is() {
    let (world, good) = staged();
    put(&world, "registry", b"staged", Some(&good));
    let log = world.open();
    assert_eq!(
        row(&world, "registry", b"head")["size"],
        good["head"]["size"]
    );
    log.publish().unwrap();
    drop(log);
    let change = |at: &[&str], to: Value| {
        let mut staged = good.clone();
        let mut place = &mut staged;
        for name in at {
            place = &mut place[*name];
        }
        assert_ne!(*place, to);
        *place = to;
        staged
    };
    let slot = good["heads"].as_object().unwrap().keys().next().unwrap();
    let root = good["head"]["frontier"][0].clone();
    for forged in [
        change(&["heads", slot, "root"], root),
        change(&["heads", slot, "size"], json!(1)),
        change(&["heads", slot, "tenant"], json!("beta")),
        change(
            &["heads", slot, "log_id"],
            json!("00112233445566778899aabbccddeeff"),
        ),
        change(&["head", "incarnation"], json!(2)),
        change(&["head", "line"], json!("{}")),
        change(&["heads"], json!({})),
    ] {
        let (world, _) = staged();
        let before = world.kept.0.lock().unwrap().clone();
        put(&world, "registry", b"staged", Some(&forged));
        assert!(world.try_open(ORIGIN).is_err(), "{forged}");
        assert_eq!(*world.kept.0.lock().unwrap(), before, "{forged}");
    }
}
