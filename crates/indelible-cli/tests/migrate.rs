//! A ledger moves into a database: the same leaves, keys and checkpoints; what was exported before
//! verifies, and what is refused leaves both sides as they were.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use indelible_testing::database::Database;
use support::{Place, Ran, copy_dir};

const OLD: &str = "indelible-data";
const NEW: &str = "indelible-data.server";

/// A ledger with personal data, an admin's key and a dead letter.
fn ledger(records: usize) -> Place {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..records));
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.ok("emit --tenant globex --action a.b --actor user:dana --target t:1 --outcome success");
    place.file("bad.ndjson", "{\"event_type\":7}\n");
    place.ends(1, "import --format ndjson bad.ndjson --tenant acme");
    place.ok("keys create --role admin");
    place
}

fn migrate(place: &Place, database: &Database) -> Ran {
    place.run(&format!("migrate --to {}", database.url))
}

fn there(place: &Place, database: &Database, command: &str) -> Ran {
    place.ok(&format!("{command} --ledger {} --data {NEW}", database.url))
}

fn available(test: &str) -> bool {
    indelible_testing::postgres(test).is_some()
}

#[test]
fn everything_comes_over_and_the_old_directory_says_where_it_went() {
    if !available("everything_comes_over_and_the_old_directory_says_where_it_went") {
        return;
    }
    let (place, database) = (ledger(300), Database::make());
    place.ok("export --tenant acme --out before.ndjson");
    place.file("vkey", place.ok("keys show").out);
    let (keys, letters) = (place.ok("keys list").out, place.ok("dead-letters list").out);
    let ran = migrate(&place, &database);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out
            .contains("307 records of 3 logs are in the database"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains(NEW), "{}", ran.out);

    there(&place, &database, "export --tenant acme --out after.ndjson");
    assert_eq!(place.read("before.ndjson"), place.read("after.ndjson"));
    let disclosed = |name: &str| place.read(&format!("{name}.ndjson.disclosures"));
    assert_eq!(disclosed("before"), disclosed("after"));
    place.ok("verify before.ndjson --key vkey --require-anchor");
    place.ok("verify after.ndjson --key vkey --require-anchor");
    assert_eq!(there(&place, &database, "keys list").out, keys);
    assert_eq!(there(&place, &database, "dead-letters list").out, letters);
    // Personal values are found by the same keys.
    let found = place.ok("query --json --limit 0 ip:198.51.100.7").out;
    assert!(!found.is_empty());
    assert_eq!(
        there(&place, &database, "query --json --limit 0 ip:198.51.100.7").out,
        found
    );

    // What was there is a repeat; what is new goes on under the same signer.
    let again = there(
        &place,
        &database,
        "import --format cloudtrail a.json --tenant acme",
    );
    assert!(
        again.out.contains("0 new, 300 already there"),
        "{}",
        again.err
    );
    place.file("more.json", support::cloudtrail_file(300..310));
    there(
        &place,
        &database,
        "import --format cloudtrail more.json --tenant acme",
    );
    there(&place, &database, "verify --require-anchor");
    says_where_it_went(&place);
    let again = migrate(&place, &database);
    assert_eq!(again.code, 3);
    assert!(
        again.err.contains("moved to this database already"),
        "{}",
        again.err
    );
}

/// The old directory, to who writes to it, verifies or reads it.
fn says_where_it_went(place: &Place) {
    let refused = place.ends(3, "import --format cloudtrail more.json --tenant acme");
    assert!(
        refused.err.contains("was moved to PostgreSQL at"),
        "{}",
        refused.err
    );
    // What came and was signed since is not missing from it.
    let verified = place.ok("verify").out;
    assert!(
        verified.contains("what was signed since the ledger was moved to PostgreSQL at"),
        "{verified}"
    );
    assert!(
        !verified.contains("last checkpoint is not in"),
        "{verified}"
    );
    let read = place.ok("query --limit 1");
    assert!(
        read.err.contains("what came since is there"),
        "{}",
        read.err
    );
}

#[test]
fn a_migration_that_is_killed_goes_on() {
    if !available("a_migration_that_is_killed_goes_on") {
        return;
    }
    let place = ledger(6_000);
    let whole = place.at("whole");
    copy_dir(&place.at(OLD), &whole);
    let mut cut = 0;
    for wait_ms in [0, 40, 90] {
        let database = Database::make();
        let line = ["migrate", "--to", &database.url];
        let mut command = place.command(line);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        while !is_begun(&database) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        if is_begun(&database) {
            cut += 1;
            let serve = "serve --listen 127.0.0.1:0";
            let line = format!("{serve} --ledger {} --data {NEW}", database.url);
            let refused = place.ends(3, &line);
            assert!(refused.err.contains("is not finished"), "{}", refused.err);
        }
        let ran = migrate(&place, &database);
        let is_done = ran.code == 3 && ran.err.contains("moved to this database already");
        assert!(ran.code == 0 || is_done, "{wait_ms}: {}", ran.err);
        let verify = "verify --json --tenant acme --require-anchor";
        let verified = there(&place, &database, verify);
        let report = &verified.json()[0];
        assert_eq!(report["records_checked"], 6_001, "{}", verified.out);
        fs::remove_dir_all(place.at(OLD)).unwrap();
        fs::remove_dir_all(place.at(NEW)).unwrap();
        copy_dir(&whole, &place.at(OLD));
    }
    assert!(cut > 0, "no migration was cut off in the middle");
}

/// Whether a migration into the database is under way, or was cut off.
fn is_begun(database: &Database) -> bool {
    let there = "SELECT FROM pg_tables WHERE schemaname = 'indelible' AND tablename = 'state'";
    let begun = "SELECT FROM indelible.state WHERE space = 'migration'";
    !database.rows(there).is_empty() && !database.rows(begun).is_empty()
}

#[test]
fn what_cannot_be_moved_stays_where_it_is() {
    if !available("what_cannot_be_moved_stays_where_it_is") {
        return;
    }
    let (place, database) = (ledger(10), Database::make());
    // Another ledger is there.
    let other = Place::new();
    let line = "emit --tenant t --action a.b --actor user:u --target t:1 --outcome success";
    other.ok(&format!("{line} --ledger {}", database.url));
    let refused = migrate(&place, &database);
    assert_eq!(refused.code, 3);
    assert!(
        refused.err.contains("name an empty database"),
        "{}",
        refused.err
    );
    for wrong in ["directory", "mysql://h/d", ""] {
        let refused = place.run_args(["migrate", "--to", wrong]);
        assert_eq!(refused.code, 2, "{wrong}: {}", refused.err);
    }
    // Without the master key, what finds personal values is not known.
    let empty = Database::make();
    let keys = support::files_below(&place.at(""));
    let master = keys
        .iter()
        .find(|path| path.ends_with("master.key"))
        .unwrap();
    let hidden = place.at("hidden");
    fs::rename(master, &hidden).unwrap();
    let refused = migrate(&place, &empty);
    assert_eq!(refused.code, 3);
    assert!(
        refused.err.contains("the master key is not in"),
        "{}",
        refused.err
    );
    fs::rename(&hidden, master).unwrap();
    // A record that cannot be read.
    let journal = fs::read_dir(place.at(OLD).join("journal")).unwrap();
    let journal = journal.map(|entry| entry.unwrap().path()).next().unwrap();
    let good = fs::read(&journal).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 3;
    bad[middle] ^= 1;
    fs::write(&journal, bad).unwrap();
    let refused = migrate(&place, &empty);
    assert_eq!(refused.code, 3, "{}", refused.out);
    fs::write(&journal, good).unwrap();
    place.ok(line);
    let ran = migrate(&place, &empty);
    assert_eq!(ran.code, 0, "{}", ran.err);
}
