//! What somebody changes who may change everything: each thing that is derived from leaves is named
//! when it is another, and made again; leaves are never touched, and nothing stored makes a reader
//! panic.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_event::TenantId;
use indelible_log::Outcome;
use indelible_log::export::{export, published_head};
use indelible_log::registry::published_heads;
use indelible_log::verify::{Anchors, verify_log};
use indelible_postgres::{Beside, Postgres};
use indelible_proof::finding::Finding;
use indelible_store::{Kind, Ledger};

use support::server::{Server, plain, signer, signing_key, tenant_of};
use support::{Place, available};

/// Events of three logs: more than 256 of each.
const EVENTS: u64 = 801;
const LOG: &str = "tenant-1";

/// A published ledger of three logs that somebody else writes to.
struct Tampered {
    server: Server,
    postgres: Arc<Postgres>,
    place: Place,
}

impl Tampered {
    fn make() -> Self {
        let place = Place::make();
        let postgres = Arc::new(place.open());
        let server = Server::open(Arc::clone(&postgres), 1, Some(signer()), &signing_key());
        server.submit(0..EVENTS);
        server.log.publish().unwrap();
        Self {
            server,
            postgres,
            place,
        }
    }

    /// As a superuser who turns triggers off.
    fn tamper(&self, statement: &str) {
        let off = "SET session_replication_role = replica";
        self.place.sql(&format!("{off}; {statement}"));
    }

    fn beside(&self) -> Beside<'_> {
        let published = published_heads(self.postgres.as_ref())
            .unwrap()
            .into_values();
        let published = published.map(|head| (head.tenant, (head.size, head.root)));
        Beside {
            published: published.collect(),
            opener: Some(self.server.keyring.as_ref()),
            id: Some([7; 16]),
        }
    }

    fn check(&self) -> Vec<Finding> {
        self.postgres
            .check(&self.beside(), &mut |_, _, _| {})
            .unwrap()
    }

    /// Each finding as its kind, records and place.
    fn found(&self) -> Vec<String> {
        self.check().iter().map(said).collect()
    }

    fn mend(&self) {
        self.postgres
            .mend(&self.beside(), &mut |_, _, _| {})
            .unwrap();
    }

    fn verified(&self, tenant: &TenantId) -> Vec<Finding> {
        let anchors = Anchors {
            key: Some(signing_key().verifier_key()),
            values: true,
            ..Anchors::default()
        };
        let (stores, keyring) = (&self.server.stores, &self.server.keyring);
        let go_on = &mut |_: u64, _: &[u8]| ControlFlow::Continue(());
        let verdict = verify_log(stores, keyring, tenant, &anchors, go_on);
        verdict.unwrap().integrity
    }

    /// Every table, as a hash of its rows; `committed` says when rows were mended.
    fn tables(&self) -> BTreeMap<&'static str, String> {
        let rows = [
            (
                "leaves",
                "SELECT tenant_id, sequence_number, leaf, personal FROM indelible.records",
            ),
            (
                "records",
                "SELECT to_jsonb(r) - 'committed' FROM indelible.records AS r",
            ),
            ("ids", "SELECT * FROM indelible.ids"),
            ("heads", "SELECT * FROM indelible.heads"),
            ("subtrees", "SELECT * FROM indelible.subtrees"),
            ("personal", "SELECT * FROM indelible.personal"),
            ("ledger", "SELECT * FROM indelible.ledger"),
        ];
        let hash = |rows: &str| {
            let select = format!(
                "SELECT md5(string_agg(it::text, '' ORDER BY it::text)) FROM ({rows}) AS it"
            );
            self.place.rows(&select)[0].get(0)
        };
        rows.into_iter()
            .map(|(name, rows)| (name, hash(rows)))
            .collect()
    }
}

fn said(finding: &Finding) -> String {
    let records = finding
        .records
        .map_or("-".to_owned(), |records| records.to_string());
    let place = finding
        .place
        .as_ref()
        .map_or("-", |place| place.file.as_str());
    let tenant = finding.tenant_id.as_deref().unwrap_or("-");
    format!("{} {tenant} {records}: {place}", finding.kind)
}

/// What is done to a log, and what is told of it: records and place.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)]);

const OF_RECORDS: [Case<'_>; 9] = [
    (
        "UPDATE indelible.records SET terms = '{}' WHERE sequence_number IN (3, 4, 9)",
        &[
            ("3 to 4", "records, column terms"),
            ("9", "records, column terms"),
        ],
    ),
    (
        "UPDATE indelible.records SET terms = terms || 7::int8 WHERE sequence_number = 3",
        &[("3", "records, column terms")],
    ),
    (
        "UPDATE indelible.records SET actor_id = 'nobody', outcome = NULL \
         WHERE sequence_number = 5",
        &[
            ("5", "records, column actor_id"),
            ("5", "records, column outcome"),
        ],
    ),
    (
        "UPDATE indelible.records SET occurred_at = occurred_at + '1 day' \
         WHERE sequence_number = 0",
        &[("0", "records, column occurred_at")],
    ),
    (
        "UPDATE indelible.records SET audit_id = gen_random_uuid() WHERE sequence_number = 6",
        &[("6", "records, column audit_id")],
    ),
    (
        "UPDATE indelible.records SET record_hash = '\\x00' WHERE sequence_number >= 200",
        &[("200 to 267", "records, column record_hash")],
    ),
    (
        "UPDATE indelible.records SET committed = '9999999999' WHERE sequence_number = 7",
        &[("7", "records, column committed")],
    ),
    (
        "UPDATE indelible.records SET era = 99 WHERE sequence_number = 8",
        &[("8", "records, column era")],
    ),
    (
        "UPDATE indelible.records SET ingested_at = ingested_at + '1 month' \
         WHERE sequence_number = 11",
        &[("11", "records, column ingested_at")],
    ),
];

const OF_OTHERS: [Case<'_>; 15] = [
    (
        "DELETE FROM indelible.ids WHERE sequence_number IN (1, 2)",
        &[("1 to 2", "ids")],
    ),
    (
        "UPDATE indelible.ids SET sequence_number = 9 WHERE sequence_number = 4",
        &[("4", "ids")],
    ),
    (
        "INSERT INTO indelible.ids VALUES (gen_random_uuid(), 'tenant-1', 9)",
        &[("-", "ids")],
    ),
    (
        "INSERT INTO indelible.ids VALUES (gen_random_uuid(), 'tenant-1', 900)",
        &[("-", "ids")],
    ),
    (
        "UPDATE indelible.heads SET last_hash = decode(repeat('00', 32), 'hex')",
        &[("-", "heads, column last_hash")],
    ),
    (
        "UPDATE indelible.heads SET frontier = set_byte(frontier, 3, get_byte(frontier, 3) # 1)",
        &[("-", "heads, column frontier")],
    ),
    (
        "UPDATE indelible.heads SET frontier = ''",
        &[("-", "heads, column frontier")],
    ),
    (
        "UPDATE indelible.heads SET last_ingested_at = 'epoch'",
        &[("-", "heads, column last_ingested_at")],
    ),
    (
        "UPDATE indelible.heads SET size = size - 1",
        &[("-", "heads, column size")],
    ),
    (
        "UPDATE indelible.heads SET size = size + 20",
        &[("-", "heads, column size")],
    ),
    (
        "DELETE FROM indelible.heads",
        &[
            ("-", "heads, column size"),
            ("-", "heads, column last_hash"),
            ("-", "heads, column last_ingested_at"),
            ("-", "heads, column frontier"),
        ],
    ),
    (
        "DELETE FROM indelible.subtrees",
        &[("0 to 255", "subtrees")],
    ),
    (
        "UPDATE indelible.subtrees SET root = '\\x01'",
        &[("0 to 255", "subtrees")],
    ),
    (
        "INSERT INTO indelible.subtrees VALUES ('tenant-1', 8, 1, '\\x01')",
        &[("-", "subtrees")],
    ),
    (
        "UPDATE indelible.personal SET find = '\\x01' WHERE find = \
         (SELECT find FROM indelible.personal WHERE tenant_id = 'tenant-1' ORDER BY find LIMIT 1)",
        &[],
    ),
];

/// Of the log alone, where a statement names none.
fn of_the_log(statement: &str) -> String {
    if statement.starts_with("INSERT") || statement.contains("find = ") {
        return statement.to_owned();
    }
    let which = if statement.contains(" WHERE ") {
        "AND"
    } else {
        "WHERE"
    };
    format!("{statement} {which} tenant_id = '{LOG}'")
}

#[test]
fn what_is_derived_is_named_by_place_and_made_again() {
    if !available("what_is_derived_is_named_by_place_and_made_again") {
        return;
    }
    let it = Tampered::make();
    assert_eq!(it.found(), [""; 0]);
    let before = it.tables();
    for (statement, told) in OF_RECORDS.iter().chain(&OF_OTHERS) {
        it.tamper(&of_the_log(statement));
        let found = it.found();
        if told.is_empty() {
            // Each record that has the value.
            assert!(!found.is_empty(), "{statement}");
            let of_it = |found: &String| {
                found.starts_with("derived-damaged") && found.ends_with("personal, column find")
                    || found.ends_with("records, column terms")
            };
            assert!(found.iter().all(of_it), "{statement}: {found:?}");
        } else {
            let told: Vec<String> = told
                .iter()
                .map(|(records, place)| {
                    format!("derived-damaged {LOG} {records}: table indelible.{place}")
                })
                .collect();
            let (mut told, mut found) = (told, found);
            told.sort();
            found.sort();
            assert_eq!(found, told, "{statement}");
        }
        it.mend();
        assert_eq!(it.found(), [""; 0], "{statement}");
        assert_eq!(it.tables(), before, "{statement}");
    }
    it.tamper("UPDATE indelible.ledger SET id = decode(repeat('01', 16), 'hex')");
    let told = "derived-damaged - -: table indelible.ledger, column id";
    assert_eq!(it.found(), [told]);
    it.mend();
    assert_eq!(it.tables(), before);
    for tenant in [0, 1, 2].map(tenant_of) {
        assert_eq!(it.verified(&tenant), []);
    }
    // It goes on from there, and by the same ids.
    it.server.submit(0..EVENTS + 30);
    assert_eq!(it.found(), [""; 0]);
}

#[test]
fn a_log_whose_leaves_are_not_those_committed_keeps_its_tree() {
    if !available("a_log_whose_leaves_are_not_those_committed_keeps_its_tree") {
        return;
    }
    let leaf = "leaf = overlay(leaf placing '\\x58'::bytea from 30)";
    let other = "leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'success', 'failure'), \
         'UTF8')";
    let cases = [
        // Another outcome: what stands beside the leaf is of the one that was committed.
        (
            format!("UPDATE indelible.records SET {other} WHERE sequence_number = 12"),
            "content-mismatch tenant-1 12: -",
        ),
        (
            format!("UPDATE indelible.records SET {leaf} WHERE sequence_number = 12"),
            "content-mismatch tenant-1 12: -",
        ),
        (
            format!("UPDATE indelible.records SET {leaf} WHERE sequence_number = 267"),
            "content-mismatch tenant-1 267: -",
        ),
        (
            "DELETE FROM indelible.records WHERE sequence_number IN (12, 13)".to_owned(),
            "corrupt tenant-1 12 to 13: table indelible.records, log tenant-1",
        ),
        (
            "DELETE FROM indelible.records WHERE sequence_number > 264".to_owned(),
            "corrupt tenant-1 265 to 267: table indelible.records, log tenant-1",
        ),
        (
            "DELETE FROM indelible.heads WHERE tenant_id = 'tenant-1'; \
             DELETE FROM indelible.records WHERE true"
                .to_owned(),
            "truncated-tail tenant-1 0 to 267: -",
        ),
    ];
    for (statement, told) in cases {
        let it = Tampered::make();
        it.tamper(&of_the_log(&statement));
        assert_eq!(it.found(), [told], "{statement}");
        let before = it.tables();
        it.mend();
        assert_eq!(it.tables(), before, "{statement}");
        assert_eq!(it.found(), [told], "{statement}");
    }
}

/// As whoever passes triggers and rights by can: the key has the time in it.
const TWICE: &str = "INSERT INTO indelible.records SELECT (jsonb_populate_record(r, \
     jsonb_build_object('ingested_at', r.ingested_at + '1 month', 'leaf', LEAF))).* \
     FROM indelible.records AS r WHERE tenant_id = 'tenant-1' AND sequence_number = 20";

#[test]
fn a_record_that_stands_twice_is_a_finding_and_an_error_and_no_panic() {
    if !available("a_record_that_stands_twice_is_a_finding_and_an_error_and_no_panic") {
        return;
    }
    for (leaf, kind) in [("r.leaf", "duplicate-record"), ("'\\x7b7d'", "forked")] {
        let it = Tampered::make();
        it.tamper(&TWICE.replace("LEAF", leaf));
        let tenant = tenant_of(1);
        let verified: Vec<String> = it.verified(&tenant).iter().map(said).collect();
        assert_eq!(verified, [format!("{kind} {LOG} 20: -")]);
        assert!(
            it.found().contains(&format!("{kind} {LOG} 20: -")),
            "{:?}",
            it.found()
        );
        let (stores, keyring) = (&it.server.stores, &it.server.keyring);
        let head = published_head(stores, &tenant).unwrap();
        let give = &mut |_: indelible_log::export::Exported<'_>| ControlFlow::Continue(());
        let error = export(stores, keyring, &tenant, Some(&head), give).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        assert_eq!(
            error.context(),
            "record 20 of tenant-1 stands twice: see verify"
        );
        let leaves = it.tables()["leaves"].clone();
        it.mend();
        assert_eq!(it.tables()["leaves"], leaves);
    }
}

#[test]
fn nothing_is_built_on_a_head_that_is_not_that_of_the_last_record() {
    if !available("nothing_is_built_on_a_head_that_is_not_that_of_the_last_record") {
        return;
    }
    let it = Tampered::make();
    let heads = it.tables()["heads"].clone();
    for change in [
        "last_hash = decode(repeat('00', 32), 'hex')",
        "size = size - 1",
    ] {
        let update = format!("UPDATE indelible.heads SET {change}");
        it.tamper(&of_the_log(&update));
        let damaged = it.tables()["heads"].clone();
        // Another server, which has not seen the head before.
        let other = Server::open(Arc::new(it.place.open()), 2, None, &signing_key());
        let outcomes = other.log.submit(vec![plain(5_002), plain(5_001)]).wait();
        let Outcome::Failed(error) = &outcomes[0] else {
            panic!("{change}: {:?}", outcomes.first());
        };
        assert_eq!(error.kind(), Kind::Corrupt, "{change}");
        assert!(error.context().contains("see indelible fsck"), "{error}");
        // A log beside it in the same commit is not concerned.
        assert!(outcomes.get(1).unwrap().receipt().is_some(), "{change}");
        other.log.close();
        assert_eq!(it.verified(&tenant_of(1)).len(), 1, "{change}");
        assert_ne!(damaged, heads);
        it.mend();
        let head = it.postgres.heads_to_extend(&[tenant_of(1)]).pop().unwrap();
        assert_eq!(head.unwrap().unwrap().frontier.size(), 268, "{change}");
    }
    // As if there were no log yet.
    let none = "size = 0, last_hash = decode(repeat('00', 32), 'hex'), frontier = ''";
    it.tamper(&of_the_log(&format!("UPDATE indelible.heads SET {none}")));
    let head = it.postgres.heads_to_extend(&[tenant_of(1)]).pop().unwrap();
    assert_eq!(head.unwrap_err().kind(), Kind::Corrupt);
    it.mend();
    let other = Server::open(Arc::new(it.place.open()), 3, None, &signing_key());
    let outcomes = other.log.submit(vec![plain(5_002)]).wait();
    assert!(outcomes.first().unwrap().receipt().is_some());
}

#[test]
fn verify_names_a_head_that_is_not_that_of_the_records() {
    if !available("verify_names_a_head_that_is_not_that_of_the_records") {
        return;
    }
    let it = Tampered::make();
    for (change, what) in [
        ("last_hash = decode(repeat('00', 32), 'hex')", "last hash"),
        (
            "frontier = set_byte(frontier, 3, get_byte(frontier, 3) # 1)",
            "frontier",
        ),
    ] {
        it.tamper(&of_the_log(&format!("UPDATE indelible.heads SET {change}")));
        let found = it.verified(&tenant_of(1));
        let told = format!(
            "derived-damaged: tenant-1: the {what} of the stored head is not that of the records"
        );
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [told]
        );
        it.mend();
        assert_eq!(it.verified(&tenant_of(1)), []);
    }
}
