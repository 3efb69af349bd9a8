//! What is done to the ledger itself gets its record, once, whatever fails in between.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;

use indelible_event::leaf::LeafView;
use indelible_log::Operation;
use indelible_store::{Kind, Ledger, State, Stored};
use serde_json::{Value, json};
use support::*;

/// The events of `_system` behind its first record.
fn written(world: &World) -> Vec<Value> {
    let mut found = Vec::new();
    let visit = &mut |stored: Stored<'_>| {
        let Stored::Record(record) = stored else {
            panic!("damaged");
        };
        let leaf = LeafView::locate(record.leaf).unwrap();
        found.push(serde_json::from_slice(leaf.event()).unwrap());
        ControlFlow::Continue(())
    };
    let system = tenant("_system");
    if world.ledger.head(&system).unwrap().is_some() {
        world.ledger.read(&system, 1..99, visit).unwrap();
    }
    found
}

/// Does `id`: the change of a state store, and its record with it.
fn done(world: &World, id: &str) {
    let data = json!({"change": "key.created"});
    let operation = Operation {
        event_type: "config.changed",
        actor: ("service", "key:1"),
        target: ("key", id),
        outcome: "success",
        data: &data,
    };
    let change = operation.kept(&world.env());
    world.state.apply(&[change]).unwrap();
}

fn left(world: &World) -> usize {
    let left = world.state.scan("operations", b"", None, 99);
    left.unwrap().len()
}

#[test]
fn it_is_written_with_who_did_it_and_kept_no_longer() {
    let world = World::new(1);
    let log = world.open();
    done(&world, "a");
    assert_eq!(log.write_operations().unwrap(), 1);
    assert_eq!(log.write_operations().unwrap(), 0);
    assert_eq!(left(&world), 0);
    let records = written(&world);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["event_type"], "config.changed");
    let actor = json!({"id": "key:1", "type": "service"});
    assert_eq!(records[0]["actor"], actor);
    assert_eq!(records[0]["target"], json!({"id": "a", "type": "key"}));
}

#[test]
fn what_another_left_is_written_by_the_next_who_opens_the_ledger() {
    let world = World::new(2);
    drop(world.open());
    done(&world, "a");
    done(&world, "b");
    drop(world.open());
    assert_eq!((written(&world).len(), left(&world)), (2, 0));
}

#[test]
fn a_commit_that_fails_leaves_it_and_one_whose_answer_is_lost_makes_no_second() {
    let world = World::new(3);
    let log = world.open();
    done(&world, "a");
    let fail = |failures: &[Failure]| {
        let mut plan = world.ledger.plan.lock().unwrap();
        plan.extend(failures.iter().map(|failure| Some(*failure)));
    };
    fail(&[Failure::Failed(Kind::NoSpace); 3]);
    assert_eq!(log.write_operations().unwrap(), 0);
    assert_eq!((left(&world), written(&world).len()), (1, 0));
    fail(&[Failure::Persisted]);
    log.write_operations().unwrap();
    log.write_operations().unwrap();
    assert_eq!((left(&world), written(&world).len()), (0, 1));
    fail(&[Failure::Lost]);
    done(&world, "b");
    log.write_operations().unwrap();
    log.write_operations().unwrap();
    assert_eq!((left(&world), written(&world).len()), (0, 2));
}
