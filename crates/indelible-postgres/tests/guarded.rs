//! What the database itself refuses, whoever asks: records are only added, and a writer's role may
//! do no more than that.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;

use indelible_postgres::Postgres;
use indelible_store::conformance::{Generator, Mix};
use indelible_store::{Change, Commit, Kind, Ledger, State, Stored};

use support::{Place, available, fresh, options, sql};

/// A database with ten records of one tenant.
fn with_records() -> (Place, Postgres, Generator) {
    let place = Place::make();
    let postgres = place.open();
    let mut generator = Generator::new(1, Mix::default());
    let appends = vec![generator.append(0, 10)];
    postgres.append(&Commit { appends }).unwrap();
    (place, postgres, generator)
}

#[test]
fn records_are_only_added_even_by_a_superuser() {
    if !available("records_are_only_added_even_by_a_superuser") {
        return;
    }
    let (place, _postgres, _) = with_records();
    let partition: String =
        place.rows("SELECT tableoid::regclass::text FROM indelible.records")[0].get(0);
    for table in [
        "records",
        "ids",
        "heads",
        partition.trim_start_matches("indelible."),
    ] {
        let delete = place.refusal(&format!("DELETE FROM indelible.{table}"));
        assert!(delete.contains("append-only: DELETE"), "{table}: {delete}");
        let truncate = place.refusal(&format!("TRUNCATE indelible.{table}"));
        assert!(
            truncate.contains("append-only: TRUNCATE"),
            "{table}: {truncate}"
        );
    }
    for change in [
        "UPDATE indelible.records SET leaf = 'other'",
        "UPDATE indelible.records SET actor_id = 'other'",
        "UPDATE indelible.ids SET sequence_number = 7",
    ] {
        let update = place.refusal(change);
        assert!(update.contains("append-only: UPDATE"), "{change}: {update}");
    }
    let back = place.refusal("UPDATE indelible.heads SET size = size - 1");
    assert!(back.contains("does not go back"), "{back}");
}

#[test]
fn a_writer_has_no_right_to_change_and_a_pruner_only_to_payloads() {
    if !available("a_writer_has_no_right_to_change_and_a_pruner_only_to_payloads") {
        return;
    }
    let (place, _postgres, _) = with_records();
    for (role, statement) in [
        ("writer", "UPDATE indelible.records SET leaf = ''"),
        ("writer", "DELETE FROM indelible.records"),
        ("writer", "TRUNCATE indelible.records"),
        ("writer", "DELETE FROM indelible.ids"),
        ("writer", "DELETE FROM indelible.personal"),
        ("writer", "DELETE FROM indelible.keys"),
        ("writer", "UPDATE indelible.keys SET key = ''"),
        ("writer", "UPDATE indelible.state SET space = 'x'"),
        ("writer", "UPDATE indelible.ledger SET id = term_key"),
        ("writer", "UPDATE indelible.ledger SET term_key = id"),
        ("writer", "DELETE FROM indelible.ledger"),
        ("writer", "UPDATE indelible.heads SET tenant_id = 'x'"),
        ("writer", "DELETE FROM indelible.heads"),
        ("writer", "UPDATE indelible.subtrees SET root = ''"),
        ("writer", "DELETE FROM indelible.subtrees"),
        ("writer", "UPDATE indelible.personal SET find = ''"),
        (
            "writer",
            "INSERT INTO indelible.records (tenant_id, committed) VALUES ('x', '3')",
        ),
        ("writer", "CREATE TABLE indelible.other ()"),
        (
            "writer",
            "ALTER TABLE indelible.records DISABLE TRIGGER ALL",
        ),
        ("reader", "SELECT 1 FROM indelible.personal"),
        (
            "reader",
            "INSERT INTO indelible.heads SELECT * FROM indelible.heads",
        ),
        ("pruner", "UPDATE indelible.records SET record_hash = ''"),
        ("pruner", "DELETE FROM indelible.records"),
        ("pruner", "DELETE FROM indelible.ids"),
        ("mender", "UPDATE indelible.records SET leaf = ''"),
        ("mender", "UPDATE indelible.records SET personal = ''"),
        ("mender", "DELETE FROM indelible.records"),
        ("mender", "DELETE FROM indelible.heads"),
        ("mender", "UPDATE indelible.personal SET value = ''"),
        ("mender", "SELECT value FROM indelible.personal"),
        ("mender", "SELECT FROM indelible.keys"),
        ("mender", "UPDATE indelible.state SET value = ''"),
    ] {
        let refusal = place.refusal(&format!("SET ROLE indelible_{role}; {statement}"));
        let refused = refusal.contains("permission denied") || refusal.contains("must be owner");
        assert!(refused, "{role}: {statement}: {refusal}");
    }
    place.sql("SET ROLE indelible_pruner; UPDATE indelible.records SET leaf = ''");
    let kept =
        place.rows("SELECT count(*) FROM indelible.records WHERE leaf = ''")[0].get::<_, i64>(0);
    assert_eq!(kept, 10);
}

/// Statements of a writer, and what is said of them.
const REFUSED: [(&str, &str); 10] = [
    (
        "UPDATE indelible.heads SET last_hash = '\\x00'",
        "does not go back",
    ),
    (
        "UPDATE indelible.heads SET frontier = '\\x00'",
        "does not go back",
    ),
    (
        "UPDATE indelible.heads SET size = size - 1",
        "does not go back",
    ),
    ("UPDATE indelible.heads SET size = 0", "does not go back"),
    (
        "INSERT INTO indelible.heads VALUES ('new', 3, '', now(), '')",
        "begins with 3",
    ),
    (
        "UPDATE indelible.keys SET value = '' WHERE space = 'key_subjects'",
        "a key of key_subjects is not overwritten",
    ),
    (
        "UPDATE indelible.keys SET value = decode(repeat('00', 8), 'hex') WHERE key = 'writes'",
        "a key of key_master is not overwritten",
    ),
    (
        "DELETE FROM indelible.state WHERE space = 'tenants'",
        "append-only: DELETE",
    ),
    (
        "DELETE FROM indelible.state WHERE space = 'snapshots'",
        "append-only: DELETE",
    ),
    (
        "UPDATE indelible.ledger SET era = era - 1",
        "what names the ledger does not change",
    ),
];

/// What a writer has a right to and is refused all the same, by triggers that hold for everybody.
#[test]
fn a_writer_moves_heads_on_to_records_that_are_there_and_overwrites_no_key() {
    if !available("a_writer_moves_heads_on_to_records_that_are_there") {
        return;
    }
    let (place, postgres, mut generator) = with_records();
    let keys = postgres.key_store();
    let change = |space, key: &[u8], value: &[u8]| Change {
        space,
        key: key.to_vec(),
        expected: None,
        value: Some(value.to_vec()),
    };
    let subject = change("key_subjects", b"a", b"wrapped");
    let counted = change("key_master", b"writes", &7_u64.to_be_bytes());
    let written = [subject, counted, change("key_identities", b"a", b"one")];
    keys.apply(&written).unwrap();
    // The same again is what a restoration that is begun again does.
    keys.apply(&written).unwrap();
    keys.apply(&[change("key_identities", b"a", b"one, two")])
        .unwrap();
    keys.apply(&[change("key_master", b"writes", &8_u64.to_be_bytes())])
        .unwrap();
    let tenants = change("tenants", b"acme", b"row");
    postgres
        .apply(&[tenants, change("snapshots", b"1", b"line")])
        .unwrap();
    for (statement, said) in REFUSED {
        let refusal = place.refusal(&format!("SET ROLE indelible_writer; {statement}"));
        assert!(refusal.contains(said), "{statement}: {refusal}");
    }
    for change in ["id = term_key || 'x'::bytea", "term_key = 'other'"] {
        let refusal = place.refusal(&format!("UPDATE indelible.ledger SET {change}"));
        assert!(refusal.contains("does not change"), "{change}: {refusal}");
    }
    // What a writer is for goes on.
    let append = generator.append(0, 2);
    postgres
        .append(&Commit {
            appends: vec![append],
        })
        .unwrap();
    let staged = change("registry", b"staged", b"row");
    postgres.apply(std::slice::from_ref(&staged)).unwrap();
    let gone = Change {
        value: None,
        ..staged
    };
    postgres.apply(&[gone]).unwrap();
}

#[test]
fn a_member_of_the_writers_serves_what_the_owner_made() {
    if !available("a_member_of_the_writers_serves_what_the_owner_made") {
        return;
    }
    let (place, _postgres, mut generator) = with_records();
    let role = format!("{}_server", place.name);
    place.sql(&format!(
        "CREATE ROLE {role} LOGIN IN ROLE indelible_writer"
    ));
    let server = Postgres::open(&options(&place.url_of(&role, "")), || Ok(fresh(9))).unwrap();
    // A month that is not there yet, which only the owner can make.
    let mut append = generator.append(0, 3);
    for record in &mut append.records {
        record.ingested_at.0 += 400 * 24 * 3_600 * 1_000_000;
    }
    append.head.last_ingested_at.0 += 400 * 24 * 3_600 * 1_000_000;
    let tenant = append.tenant.clone();
    server
        .append(&Commit {
            appends: vec![append],
        })
        .unwrap();
    assert_eq!(server.head(&tenant).unwrap().unwrap().frontier.size(), 13);
    drop(server);
    place.sql(&format!("DROP ROLE {role}"));
}

#[test]
fn who_may_do_nothing_is_told_what_to_do() {
    if !available("who_may_do_nothing_is_told_what_to_do") {
        return;
    }
    let place = Place::make();
    let role = format!("{}_stranger", place.name);
    place.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {} TO {role}",
        place.name
    ));
    let open = || Postgres::open(&options(&place.url_of(&role, "")), || Ok(fresh(9))).map(drop);
    // The roles of the cluster are made by another database's owner.
    place.sql(include_str!("../schema/0001.sql"));
    place.sql(include_str!("../schema/0002.sql"));
    place.sql(include_str!("../schema/0005.sql"));
    place.sql("DROP SCHEMA indelible CASCADE");
    let error = open().unwrap_err();
    assert_eq!(error.kind(), Kind::ReadOnly, "{error}");
    let grant = format!("GRANT indelible_writer TO {role}");
    assert!(error.to_string().contains(&grant), "{error}");
    place.sql(&grant);
    let error = open().unwrap_err();
    let grant = format!("GRANT indelible_mender TO {role}");
    assert!(error.to_string().contains(&grant), "{error}");
    place.sql(&grant);
    open().unwrap();
    place.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
}

#[test]
fn records_that_somebody_removed_are_missed() {
    if !available("records_that_somebody_removed_are_missed") {
        return;
    }
    let (place, postgres, _) = with_records();
    let tenant = postgres.tenants().unwrap().remove(0);
    let gaps = || {
        let mut gaps = Vec::new();
        let mut records = 0;
        let visit = &mut |stored: Stored<'_>| {
            match stored {
                Stored::Record(_) => records += 1,
                Stored::Damaged { range, .. } => gaps.push((range.start, range.end)),
            }
            ControlFlow::Continue(())
        };
        postgres.read(&tenant, 0..u64::MAX, visit).unwrap();
        (records, gaps)
    };
    assert_eq!(gaps(), (10, vec![]));
    // As whoever owns the tables can, who is not trusted for integrity.
    let remove = |which: &str| {
        sql(
            &place.url,
            &format!(
                "ALTER TABLE indelible.records DISABLE TRIGGER only_added; \
             DELETE FROM indelible.records WHERE sequence_number {which}"
            ),
        );
    };
    remove("IN (3, 4)");
    assert_eq!(gaps(), (8, vec![(3, 5)]));
    remove(">= 8");
    assert_eq!(gaps(), (6, vec![(3, 5), (8, 10)]));
    remove(">= 0");
    assert_eq!(gaps(), (0, vec![(0, 10)]));
}
