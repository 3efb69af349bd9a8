//! Ledgers restored from backups: whole, with and without keys, on another machine, and older than
//! what was signed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use indelible_merkle::sha256;
use serde_json::json;
use support::served::{Client, Serving};
use support::{Place, copy_dir, event, files_below, ndjson};

const EMIT: &str = "emit --tenant acme --action a.b --actor user:dana --outcome success";

/// A ledger with personal data, an attachment, an admin's key and a dead letter.
fn ledger() -> Place {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..300));
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.file("bad.ndjson", "{\"event_type\":7}\n");
    place.ends(1, "import --format ndjson bad.ndjson --tenant acme");
    attach(&place);
    place.ok("keys create --role admin");
    place
}

/// Stores an attachment and a record that names it.
fn attach(place: &Place) {
    let mut serving = Serving::start(place, "");
    let bytes = b"a long answer".repeat(9_000);
    let digest = format!("sha256:{}", sha256(&bytes));
    let ask = |method: &str, path: &str, body: &[u8]| {
        let mut client = Client::connect(&serving.address).unwrap();
        let json = ["Content-Type: application/json"];
        client.ask(method, path, &json, body).unwrap().status
    };
    let path = format!("/v1/attachments/{digest}?tenant=acme");
    assert_eq!(ask("PUT", &path, &bytes), 201);
    let mut event = event(0);
    let named = json!({"bytes": bytes.len(), "digest": digest, "type": "application/json"});
    event["data"] = json!({"answer": {"attachment": named}});
    let sent = ask(
        "POST",
        "/v1/events?tenant=acme",
        event.to_string().as_bytes(),
    );
    assert_eq!(sent, 201);
    assert_eq!(serving.signal("TERM"), Some(0));
}

#[test]
fn what_is_restored_is_the_ledger() {
    let place = ledger();
    let made = place.ok("backup --to safe/audit --keys-to safe/keys");
    assert!(made.err.contains("not copied: the signing"), "{}", made.err);
    let before = place.exported("", "before");
    let found = place.ok("query --json --limit 0 ip:198.51.100.7").out;
    assert!(found.contains("198.51.100.7"), "{found}");

    // The backup reads like a data directory, without the keys of persons and without writers.
    let [lines, sealed, checkpoint] = place.exported("--data safe/audit", "there");
    assert_eq!((&lines, &checkpoint), (&before[0], &before[2]));
    assert_ne!(sealed, before[1]);
    let query = place.ok("query --json --limit 0 --data safe/audit actor:ada");
    assert!(!query.out.contains("198.51.100"), "{}", query.out);
    place.ok("verify --data safe/audit --require-anchor");
    let refused = place.ends(3, &format!("{EMIT} --data safe/audit"));
    assert!(refused.err.contains("is a backup"), "{}", refused.err);
    for file in files_below(&place.at("safe")) {
        let about = fs::metadata(&file).unwrap();
        assert_eq!(
            about.permissions().mode() & 0o777,
            0o600,
            "{}",
            file.display()
        );
        let in_backup = file.starts_with(place.at("safe/audit"));
        assert!(
            !(in_backup && file.ends_with("keys.redb")),
            "{}",
            file.display()
        );
    }
    let mode = fs::metadata(place.at("safe/audit"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);

    let restored = place.ok("restore --from safe/audit --keys-from safe/keys --to back");
    assert!(
        restored.out.contains("indelible serve --data back"),
        "{}",
        restored.out
    );
    assert_eq!(place.exported("--data back", "after"), before);
    for command in [
        "keys list",
        "dead-letters list",
        "query --json --limit 0 ip:198.51.100.7",
    ] {
        let (old, new) = (
            place.ok(command),
            place.ok(&format!("{command} --data back")),
        );
        assert_eq!(old.out, new.out);
        assert!(!old.out.is_empty());
    }
    let whole = place.ok("verify --data back --require-anchor").out;
    assert!(whole.contains("attachments   1 named"), "{whole}");
    place.ok("fsck --data back");
    place.ok(&format!("{EMIT} --data back"));
    let again = place.ok("import --format cloudtrail a.json --tenant acme --data back");
    assert!(
        again.out.contains("0 new, 300 already there"),
        "{}",
        again.out
    );
    place.ok("verify --data back --require-anchor");
}

#[test]
fn without_the_key_store_values_stay_sealed_and_nothing_is_written() {
    let place = ledger();
    let made = place.ok("backup --to bk");
    assert!(made.err.contains("not in this backup"), "{}", made.err);
    let restored = place.ends(1, "restore --from bk --to back");
    assert!(
        restored.err.contains("without the key store"),
        "{}",
        restored.err
    );
    let query = place.ok("query --json --limit 0 --data back actor:ada");
    assert!(
        !query.out.is_empty() && !query.out.contains("198.51.100"),
        "{}",
        query.out
    );
    place.ends(3, &format!("{EMIT} --data back"));
    // The key store by itself, later; put where the error says, all is there.
    place.ok("backup --keys-to kk");
    let store = files_below(&place.at("kk"));
    let store = store
        .iter()
        .find(|path| path.ends_with("keys.redb"))
        .unwrap();
    fs::create_dir_all(place.at("back/keys")).unwrap();
    fs::copy(store, place.at("back/keys/keys.redb")).unwrap();
    place.ok(&format!("{EMIT} --data back"));
    let query = place.ok("query --json --limit 0 --data back actor:ada");
    assert!(query.out.contains("198.51.100"), "{}", query.out);
    let missing = place.ends(3, "restore --from bk --keys-from bk --to other");
    assert!(
        missing.err.contains("no key store of this ledger"),
        "{}",
        missing.err
    );
}

#[test]
fn what_was_signed_since_is_told_as_rolled_back_and_recovered_from() {
    let place = ledger();
    place.ok("backup --to bk --keys-to kk");
    place.ok(EMIT);
    let restored = place.ends(1, "restore --from bk --keys-from kk --to back");
    assert!(restored.out.contains("rolled-back"), "{}", restored.out);
    assert!(
        restored.err.contains("indelible recover"),
        "{}",
        restored.err
    );
    let told = place.ends(3, &format!("{EMIT} --data back"));
    assert!(told.err.contains("rolled-back"), "{}", told.err);
    // A newer backup has it all, and nothing is to be recovered from.
    place.ok("backup --to bk --keys-to kk");
    place.ok("restore --from bk --keys-from kk --to newer");
    place.ok("verify --data newer --require-anchor");
    place.ok("recover --yes --data back");
    place.ok(&format!("{EMIT} --data back"));
    let verified = place.ok("verify --data back");
    assert!(verified.out.contains("incarnation   2"), "{}", verified.out);
}

/// What the keys of the user's configuration directory are, but for those that are left behind.
fn keys_without(place: &Place, to: &str, left: &[&str]) {
    let config = place.at("home/.config/indelible");
    copy_dir(&config, &place.at(to));
    for file in files_below(&place.at(to)) {
        if left.iter().any(|name| file.ends_with(name)) {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn another_machine_reads_with_the_master_key_and_goes_on_with_both() {
    let place = ledger();
    place.file("vkey", place.ok("keys show").out);
    let before = place.exported("", "acme");
    place.ok("backup --to bk --keys-to kk");
    keys_without(&place, "reads", &["signing.key", "signer.checkpoint"]);
    place.ok("restore --from bk --keys-from kk --to drill --keys reads");
    let reads = "--data drill --keys reads";
    assert!(place.exported(reads, "drilled") == before);
    let kept = "--tenant acme --key vkey --checkpoint acme.checkpoint";
    place.ok(&format!("verify {kept} --require-anchor {reads}"));
    place.ends(3, &format!("{EMIT} {reads}"));
    // With the signing key and without what it signed last, nobody knows whether all is there.
    keys_without(&place, "signs", &["signer.checkpoint"]);
    let restored = place.ends(1, "restore --from bk --keys-from kk --to back --keys signs");
    assert!(restored.out.contains("rolled-back"), "{}", restored.out);
    let signs = "--data back --keys signs";
    place.ends(3, &format!("{EMIT} {signs}"));
    place.ok(&format!("recover --yes {signs}"));
    place.ok(&format!("{EMIT} {signs}"));
    place.ok(&format!("verify {signs}"));
}

#[test]
fn a_restoration_that_was_cut_off_is_no_ledger() {
    let place = Place::new();
    place.file("a.ndjson", ndjson((0..5_000).map(event)));
    place.ok("import --format ndjson a.ndjson --tenant acme");
    place.ok("backup --to bk --keys-to kk");
    let mut cut = 0;
    for wait_ms in 0..30 {
        let line = format!("restore --from bk --keys-from kk --to r{wait_ms}");
        let mut command = place.command(line.split_whitespace());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let there = place.at(&format!("r{wait_ms}"));
        if there.join("FORMAT").exists() {
            place.ok(&format!("verify --data r{wait_ms}"));
            continue;
        }
        cut += usize::from(there.join("journal").exists());
        let told = place.ends(3, &format!("query --data r{wait_ms}"));
        assert!(told.err.contains("there is no ledger in"), "{}", told.err);
        fs::remove_dir_all(&there).ok();
        place.ok(&line);
    }
    assert!(cut > 0);
}
