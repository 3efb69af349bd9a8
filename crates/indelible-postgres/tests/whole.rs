//! Two whole logs, of two servers, on one database: events with personal fields are sealed,
//! numbered, committed and published, and what one server took the other knows.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_log::Outcome;
use indelible_log::verify::{Anchors, verify_log};
use indelible_postgres::{Beside, Postgres};
use indelible_store::Kind;

use support::server::{Server, plain, signer, signing_key, tenant_of};
use support::{Place, available, fresh, options};

/// Events of each server; most are for tenants of both.
const EVENTS: u64 = 120;

#[test]
fn two_servers_share_a_ledger() {
    if !available("two_servers_share_a_ledger") {
        return;
    }
    let place = Place::make();
    let key = signing_key();
    let one = Server::open(Arc::new(place.open()), 1, Some(signer()), &key);
    let other = Server::open(Arc::new(place.open()), 2, None, &key);
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
    let key = signing_key();
    let servers: Vec<Server> = (0..3)
        .map(|seed| Server::open(Arc::new(place.open()), seed, None, &key))
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

/// Sealing, committing, publishing and verifying, with no right but a writer's.
#[test]
fn a_server_that_may_only_write_does_all_of_it_and_mends_nothing() {
    if !available("a_server_that_may_only_write_does_all_of_it_and_mends_nothing") {
        return;
    }
    let place = Place::make();
    drop(place.open());
    let role = format!("{}_only_writes", place.name);
    place.sql(&format!(
        "CREATE ROLE {role} LOGIN IN ROLE indelible_writer"
    ));
    let url = place.url_of(&role, "");
    let postgres = Arc::new(Postgres::open(&options(&url), || Ok(fresh(9))).unwrap());
    let server = Server::open(Arc::clone(&postgres), 1, Some(signer()), &signing_key());
    let places = server.submit(0..EVENTS);
    server.log.publish().unwrap();
    assert_eq!(server.submit(0..EVENTS), places);
    server.submit(EVENTS..EVENTS * 2);
    server.log.publish().unwrap();
    let beside = Beside {
        opener: Some(server.keyring.as_ref()),
        ..Beside::default()
    };
    assert_eq!(postgres.check(&beside, &mut |_, _, _| {}).unwrap(), []);
    let error = postgres.mend(&beside, &mut |_, _, _| {}).unwrap_err();
    assert_eq!(error.kind(), Kind::ReadOnly);
    assert!(error.to_string().contains("who owns the tables"), "{error}");
    server.log.close();
    drop((server.stores, server.keyring, postgres));
    place.sql(&format!("DROP ROLE {role}"));
}
