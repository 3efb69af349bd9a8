//! `fsck` of a ledger in a database: what is derived there is checked against the records, and made
//! again. What each thing that can be wrong is called is tested where it is checked.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use indelible_testing::database::Database;
use serde_json::Value;
use support::{Place, cloudtrail_file};

const IMPORT: &str = "import --format cloudtrail logs --tenant acme";
const EMIT: &str = "emit --tenant acme --action content.publish --actor agent:publisher \
                    --target post:456 --outcome success --json";

/// A database with three hundred records that were imported; nothing, and the skip declared, where
/// there is no server.
fn imported(test: &str) -> Option<(Place, Database)> {
    indelible_testing::postgres(test)?;
    let database = Database::make();
    let place = Place::with_ledger(&database.url);
    place.file("logs/a.json", cloudtrail_file(0..300));
    assert_eq!(place.ok(IMPORT).out, "300 new, 0 already there\n");
    Some((place, database))
}

/// As whoever owns the database can.
fn tamper(database: &Database, statement: &str) {
    database.sql(&format!(
        "SET session_replication_role = replica; {statement}"
    ));
}

/// What `fsck --json` says: the findings, and how many there are and were mended.
fn checked(place: &Place, code: i32, line: &str) -> (Vec<Value>, (u64, u64)) {
    let mut lines = place.ends(code, line).json();
    let last = lines.pop().unwrap();
    let count = |of: &str| last[of].as_u64().unwrap();
    (lines, (count("findings"), count("mended")))
}

#[test]
fn a_record_that_was_hidden_is_named_and_found_again() {
    let Some((place, database)) = imported("a_record_that_was_hidden_is_named_and_found_again")
    else {
        return;
    };
    let sound = "all that is derived of the records in the database is sound\n";
    assert_eq!(place.ok("fsck").out, sound);
    assert_eq!(checked(&place, 0, "fsck --json"), (vec![], (0, 0)));
    let query = "query --json --limit 0 actor:bert-jan";
    let all = place.ok(query).out;
    let hidden = "UPDATE indelible.records SET terms = '{}', actor_id = 'nobody' \
                  WHERE tenant_id = 'acme' AND sequence_number BETWEEN 10 AND 120";
    tamper(&database, hidden);
    assert_ne!(place.ok(query).out, all);
    // The records are what they were.
    place.ok("verify --require-anchor");
    let (found, counts) = checked(&place, 1, "fsck --json");
    assert_eq!(counts, (2, 0));
    for (finding, column) in found.iter().zip(["actor_id", "terms"]) {
        assert_eq!(finding["finding"], "derived-damaged");
        assert_eq!(finding["tenant_id"], "acme");
        assert_eq!(
            (&finding["first"], &finding["last"]),
            (&10.into(), &120.into())
        );
        let file = format!("table indelible.records, column {column}");
        assert_eq!(finding["file"], file);
    }
    let told = place.ends(1, "fsck");
    assert!(
        told.err.contains("2 of these can be mended"),
        "{}",
        told.err
    );
    let mended = place.ok("fsck --repair").out;
    assert_eq!(mended, format!("findings mended: 2\n{sound}"));
    assert_eq!(place.ok(query).out, all);
    place.ok("verify --require-anchor");
}

#[test]
fn an_id_that_is_gone_comes_back_before_its_event_does() {
    let Some((place, database)) = imported("an_id_that_is_gone_comes_back_before_its_event_does")
    else {
        return;
    };
    tamper(
        &database,
        "DELETE FROM indelible.ids WHERE sequence_number = 7",
    );
    let (found, _) = checked(&place, 1, "fsck --json");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["file"], "table indelible.ids");
    place.ok("fsck --repair");
    assert_eq!(place.ok(IMPORT).out, "0 new, 300 already there\n");
}

#[test]
fn a_head_that_is_not_that_of_the_records_stops_writers_until_it_is_mended() {
    let Some((place, database)) = imported("a_head_that_is_not_that_of_the_records_stops_writers")
    else {
        return;
    };
    tamper(
        &database,
        "UPDATE indelible.heads SET last_hash = decode(repeat('00', 32), 'hex') \
         WHERE tenant_id = 'acme'",
    );
    let refused = place.run(EMIT);
    assert_ne!(refused.code, 0);
    let said = refused.out + &refused.err;
    assert!(said.contains("is not that of its last record"), "{said}");
    let verified = place.ends(1, "verify --tenant acme").out;
    assert!(verified.contains("derived-damaged"), "{verified}");
    // Who may only write mends nothing.
    let role = format!("{}_writes", database.name);
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN IN ROLE indelible_writer"
    ));
    let url = database.url_of(&role, "");
    let ran = place.ends(3, &format!("fsck --repair --ledger {url}"));
    assert!(ran.err.contains("who owns the tables may"), "{}", ran.err);
    database.sql(&format!("DROP ROLE {role}"));
    let mended = place.ok("fsck --repair").out;
    assert!(mended.starts_with("findings mended: 1\n"), "{mended}");
    place.ok(EMIT);
    place.ok("verify --require-anchor");
}

#[test]
fn a_record_that_was_changed_is_not_mended_and_neither_is_its_tree() {
    let Some((place, database)) = imported("a_record_that_was_changed_is_not_mended") else {
        return;
    };
    tamper(
        &database,
        "UPDATE indelible.records SET leaf = overlay(leaf placing '\\x58'::bytea from 30) \
         WHERE tenant_id = 'acme' AND sequence_number = 40",
    );
    for line in ["fsck --json", "fsck --repair --json"] {
        let (found, counts) = checked(&place, 1, line);
        assert_eq!(counts, (1, 0));
        assert_eq!(found[0]["finding"], "content-mismatch", "{found:?}");
        assert_eq!(found[0]["first"], 40);
    }
}

#[test]
fn a_record_that_stands_twice_ends_no_command_in_a_panic() {
    let Some((place, database)) = imported("a_record_that_stands_twice_ends_no_command") else {
        return;
    };
    tamper(
        &database,
        "INSERT INTO indelible.records SELECT (jsonb_populate_record(r, jsonb_build_object( \
         'ingested_at', r.ingested_at + '1 month'))).* FROM indelible.records AS r \
         WHERE tenant_id = 'acme' AND sequence_number = 20",
    );
    for line in ["verify --tenant acme --json", "fsck --json"] {
        let ran = place.ends(1, line);
        assert!(
            ran.out.contains("\"finding\":\"duplicate-record\""),
            "{}",
            ran.out
        );
    }
    let ran = place.ends(3, "export --tenant acme --out a.ndjson");
    let said = "record 20 of acme stands twice: see verify";
    assert!(ran.err.contains(said), "{}", ran.err);
    let ran = place.ends(1, "query --json --limit 0");
    assert!(ran.err.contains("stands twice"), "{}", ran.err);
    let ran = place.ends(3, "backup --to b");
    assert!(ran.err.contains("stands twice"), "{}", ran.err);
}
