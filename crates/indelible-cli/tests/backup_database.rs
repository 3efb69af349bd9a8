//! Backups of a ledger in a database, made without its keys, and restored into a directory, into
//! another database, and from a directory into a database.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use indelible_testing::database::Database;
use support::{Place, event, ndjson};

const EMIT: &str = "emit --tenant acme --action a.b --actor user:dana --outcome success";
const FIND: &str = "query --json --limit 0 ip:198.51.100.7";

fn available(test: &str) -> bool {
    indelible_testing::postgres(test).is_some()
}

#[test]
fn a_database_is_backed_up_without_keys_and_restored_into_either() {
    if !available("a_database_is_backed_up_without_keys_and_restored_into_either") {
        return;
    }
    let (database, other) = (Database::make(), Database::make());
    let place = Place::with_ledger(&database.url);
    place.file("a.json", support::cloudtrail_file(0..300));
    place.ok("import --format cloudtrail a.json --tenant acme");
    for n in 0..40 {
        place.ok(&EMIT.replace("acme", &format!("t{n}")));
    }
    place.file("bad.ndjson", "{\"event_type\":7}\n");
    place.ends(1, "import --format ndjson bad.ndjson --tenant acme");
    place.ok("keys create --role admin");
    // That is a record as well.
    // In two pieces, both without the master key: whoever makes backups need not have it.
    let backup = "backup --json --to bk --keys-to kk --keys none";
    let made = place.ok(backup).json();
    assert_eq!(made.last().unwrap()["records"], 424, "{made:?}");
    place.file("b.json", support::cloudtrail_file(300..400));
    place.ok("import --format cloudtrail b.json --tenant acme");
    let made = place.ok(backup).json();
    assert_eq!(made.last().unwrap()["records"], 100, "{made:?}");
    assert_eq!(place.ok(backup).json().last().unwrap()["records"], 0);
    let (before, found) = (place.exported("", "out"), place.ok(FIND).out);
    assert!(found.contains("198.51.100.7"), "{found}");
    let (keys, letters) = (place.ok("keys list").out, place.ok("dead-letters list").out);

    let here = |line: &str| place.ok(&format!("{line} --ledger directory"));
    here("verify --data bk --require-anchor");
    here("restore --from bk --keys-from kk --to back");
    let there = format!(
        "restore --from bk --keys-from kk --to beside --ledger {}",
        other.url
    );
    let unkeyed = place.ends(3, &there.replace("--keys-from kk", ""));
    assert!(
        unkeyed.err.contains("needs the key store"),
        "{}",
        unkeyed.err
    );
    place.ok(&there);
    let refused = place.ends(3, &there);
    assert!(
        refused.err.contains("a ledger in the database already"),
        "{}",
        refused.err
    );
    let there = format!("--ledger {} --data beside", other.url);
    for flags in ["--ledger directory --data back", &there] {
        assert!(place.exported(flags, "out") == before, "{flags}");
        assert_eq!(place.ok(&format!("{FIND} {flags}")).out, found);
        assert_eq!(place.ok(&format!("keys list {flags}")).out, keys);
        assert_eq!(place.ok(&format!("dead-letters list {flags}")).out, letters);
        place.ok(&format!("verify --require-anchor {flags}"));
    }
    // One signer: only one of them goes on, and the others are behind it from then on.
    place.ok("fsck --ledger directory --data back");
    place.ok(&format!("{EMIT} {there}"));
    place.ok(&format!("verify --require-anchor {there}"));
    let behind = place.ends(1, "verify");
    assert!(behind.out.contains("rolled-back"), "{}", behind.out);
}

#[test]
fn a_directory_is_restored_into_a_database_and_backed_up_from_there() {
    if !available("a_directory_is_restored_into_a_database_and_backed_up_from_there") {
        return;
    }
    let (place, database) = (Place::new(), Database::make());
    place.file("a.json", support::cloudtrail_file(0..300));
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.ok("backup --to bk --keys-to kk");
    let before = place.exported("", "out");
    let url = &database.url;
    let restore = format!("restore --from bk --keys-from kk --to beside --ledger {url}");
    let unable = place.ends(3, &format!("{restore} --keys none"));
    assert!(
        unable.err.contains("the master key is not in"),
        "{}",
        unable.err
    );
    place.ok(&restore);
    let there = format!("--ledger {url} --data beside");
    assert!(place.exported(&there, "out") == before);
    place.ok(&format!("{EMIT} {there}"));
    // The backup was not marked as moved, and goes on from the database.
    let made = place.ok(&format!("backup --json --to bk --keys-to kk {there}"));
    assert_eq!(made.json().last().unwrap()["records"], 1);
    place.ok("restore --from bk --keys-from kk --to back");
    assert!(place.exported(&there, "out") == place.exported("--data back", "out"));
    // What is in the directory from before is behind it.
    let refused = place.ends(3, "backup --to bk");
    assert!(
        refused.err.contains("not the past of this ledger"),
        "{}",
        refused.err
    );
}

#[test]
fn a_backup_of_a_database_that_is_killed_goes_on_beside_a_server() {
    if !available("a_backup_of_a_database_that_is_killed_goes_on_beside_a_server") {
        return;
    }
    let database = Database::make();
    let place = Place::with_ledger(&database.url);
    place.file("a.ndjson", ndjson((0..9_000).map(event)));
    place.ok("import --format ndjson a.ndjson --tenant acme");
    let backup = "backup --to bk --keys-to kk";
    let mut cut = 0;
    for (round, wait_ms) in [20, 60, 120, 200, 320].into_iter().enumerate() {
        let mut command = place.command(backup.split_whitespace());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap();
        let from = 9_000 + round * 500;
        place.file("b.ndjson", ndjson((from..from + 500).map(event)));
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        cut += usize::from(child.wait().unwrap().code() != Some(0));
        place.ok("import --format ndjson b.ndjson --tenant acme");
    }
    assert!(cut > 0);
    place.ok(backup);
    let there = place.exported("", "out");
    assert!(place.exported("--ledger directory --data bk", "out") == there);
    // The backup of another ledger is refused.
    let other = Database::make();
    place.ok(&format!("{EMIT} --ledger {} --data other", other.url));
    let refused = place.ends(3, &format!("{backup} --ledger {} --data other", other.url));
    assert!(
        refused.err.contains("a backup of another ledger"),
        "{}",
        refused.err
    );
}
