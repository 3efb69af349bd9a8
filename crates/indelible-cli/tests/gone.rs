//! Records that were published and of which nothing readable is left: no command takes a log for
//! shorter than it is, or for not being there.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::leaf_hash;
use indelible_store::{Append, Commit, Expected, Head, Ledger, NewRecord, Stored};
use support::Place;

/// Two logs of several frames, the second committed behind the first.
fn ledger() -> Place {
    let place = Place::new();
    place.file("indelible.toml", "[import]\nbatch_records = 25\n");
    place.file("a.json", support::cloudtrail_file(0..100));
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.ok("import --format cloudtrail a.json --tenant beta");
    place
}

fn journal(place: &Place) -> PathBuf {
    place.at("indelible-data/journal/00000000000000000000")
}

/// Every question is answered with what is missing, and exit code 1.
#[track_caller]
fn is_missed(place: &Place, tenant: &str, which: &str, why: &str) {
    let said = format!("{which} of {tenant} cannot be read: {why}");
    for line in [
        format!("export --tenant {tenant} --out x.ndjson --force"),
        format!("query --tenant {tenant} --limit 5"),
        format!("query --tenant {tenant} --limit 0"),
        "query --limit 5".to_owned(),
    ] {
        let ran = place.ends(1, &line);
        assert!(ran.err.contains(&said), "{line}:\n{}", ran.err);
    }
    let listed = place.ok("tenants list --json").json();
    let log = listed.iter().find(|log| log["tenant_id"] == tenant);
    let log = log.unwrap_or_else(|| panic!("{tenant} is not listed: {listed:?}"));
    assert_ne!(log["records"], log["published"], "{log}");
}

#[test]
fn a_last_frame_that_is_damaged_is_missed_by_every_command() {
    let place = ledger();
    let bytes = std::fs::read(journal(&place)).unwrap();
    let last = memchr::memmem::rfind(&bytes, b"iFRM").unwrap();
    let mut damaged = bytes.clone();
    damaged[last + 60] ^= 1;
    std::fs::write(journal(&place), damaged).unwrap();
    let why = format!(
        "journal/00000000000000000000, bytes {last} to {}",
        bytes.len()
    );
    let verified = place.ends(1, "verify --tenant beta --json").json();
    let finding = &verified[0]["findings"][0];
    let (first, last) = (&finding["first"], &finding["last"]);
    is_missed(&place, "beta", &format!("records {first} to {last}"), &why);
    let proof = place.ends(3, &format!("prove --tenant beta {last}"));
    assert!(
        proof.err.contains("was published and is not here"),
        "{}",
        proof.err
    );
    place.ok("export --tenant acme --out y.ndjson");
}

#[test]
fn a_log_of_which_nothing_is_left_is_there_all_the_same() {
    let place = ledger();
    std::fs::remove_file(journal(&place)).unwrap();
    for tenant in ["acme", "beta"] {
        let size = place.ok("tenants list --json").json();
        let log = size.iter().find(|log| log["tenant_id"] == tenant).unwrap();
        let last = log["published"].as_u64().unwrap() - 1;
        is_missed(
            &place,
            tenant,
            &format!("records 0 to {last}"),
            "they were published and are not here",
        );
        let verified = place.ends(1, &format!("verify --tenant {tenant} --json"));
        let finding = &verified.json()[0]["findings"][0];
        assert_eq!(finding["finding"], "truncated-tail", "{finding}");
    }
    let none = place.ends(3, "query --tenant gamma");
    assert!(
        none.err.contains("there is no tenant gamma"),
        "{}",
        none.err
    );
}

#[test]
fn a_damaged_format_is_a_finding_and_no_other_version() {
    let place = ledger();
    let format = place.at("indelible-data/FORMAT");
    let whole = std::fs::read_to_string(&format).unwrap();
    let other = whole.replace("\"format\":1", "\"format\":3");
    assert_ne!(whole, other);
    for damaged in [other, whole.replace("crc32c", "crc32d")] {
        std::fs::write(&format, damaged).unwrap();
        for line in ["verify --json", "fsck --json"] {
            let ran = place.ends(1, line);
            assert!(
                ran.out.contains("\"file\":\"FORMAT\""),
                "{line}: {}",
                ran.out
            );
            assert!(ran.out.contains("restore it from a backup"), "{}", ran.out);
        }
        let read = place.ends(3, "query");
        assert!(
            read.err.contains("restore it from a backup"),
            "{}",
            read.err
        );
    }
    std::fs::remove_file(&format).unwrap();
    for line in ["verify", "fsck"] {
        let ran = place.ends(1, line);
        assert!(ran.out.contains("no FORMAT"), "{line}: {}", ran.out);
    }
    std::fs::write(&format, whole).unwrap();
    place.ok("verify");
}

#[test]
fn recover_does_not_call_a_damaged_ledger_well() {
    let place = ledger();
    let whole = place.ok("recover");
    assert!(
        whole.err.contains("nothing to recover from"),
        "{}",
        whole.err
    );
    for _ in 0..2 {
        place.ok("emit --tenant acme --actor user:x --action a.b --outcome success");
    }
    let mut bytes = std::fs::read(journal(&place)).unwrap();
    let last = memchr::memmem::rfind(&bytes, b"iFRM").unwrap();
    let one_before = memchr::memmem::rfind(&bytes[..last], b"iFRM").unwrap();
    bytes[one_before + 60] ^= 1;
    std::fs::write(journal(&place), bytes).unwrap();
    let ran = place.ends(1, "recover");
    assert!(ran.out.contains("corrupt"), "{}", ran.out);
    assert!(
        ran.err.contains("restore these files"),
        "{}\n{}",
        ran.out,
        ran.err
    );
    let ran = place.ends(1, "recover --json --yes");
    assert_eq!(ran.json()[0]["recovered"], false, "{}", ran.out);
    assert_eq!(ran.json()[0]["findings"][0]["finding"], "corrupt");
}

/// The last frame of the journal once more behind itself, under checksums that fit.
fn last_frame_twice(bytes: &[u8]) -> Vec<u8> {
    let last = memchr::memmem::rfind(bytes, b"iFRM").unwrap();
    let (header, body) = bytes[last..].split_at(36);
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    // Personal rows: a small count is one byte.
    assert!(body[0] < 128);
    let mut next = Vec::from(b"iFRM");
    let words = [
        word(4) + 1,
        word(8),
        word(12),
        word(16) + word(12),
        word(20) + u32::from(body[0]),
        word(32),
        word(28),
    ];
    next.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    next.extend(crc32c::crc32c(&next).to_le_bytes());
    [bytes, &next, body].concat()
}

/// What makes a writer refuse a log is a finding, though every record is there as it was committed.
#[test]
fn records_that_were_appended_again_are_found() {
    let place = ledger();
    let bytes = std::fs::read(journal(&place)).unwrap();
    std::fs::write(journal(&place), last_frame_twice(&bytes)).unwrap();
    for line in ["verify --json", "fsck --json"] {
        let ran = place.ends(1, line);
        let named = ran.out.matches("\"finding\":\"corrupt\"").count();
        assert_eq!(named, 1, "{line}: {}", ran.out);
        assert!(ran.out.contains("\"tenant_id\":\"beta\""), "{}", ran.out);
    }
    let emit = "emit --tenant beta --actor user:x --action a.b --outcome success";
    let refused = place.ends(3, emit);
    assert!(refused.err.contains("beta"), "{}", refused.err);
}

/// Appends a record to a log past everything that checks what is appended.
fn append_unchecked(place: &Place, tenant: &str, alter: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let disk = Arc::new(RealDisk::new(place.at("indelible-data")));
    let ledger = Embedded::open(disk, None, Options::default(), &mut |_| {}).unwrap();
    let tenant = TenantId::parse(tenant).unwrap();
    let head = ledger.head(&tenant).unwrap().unwrap();
    let number = head.frontier.size();
    let mut last = Vec::new();
    let visit = &mut |stored: Stored<'_>| {
        if let Stored::Record(record) = stored {
            last = record.leaf.to_vec();
        }
        ControlFlow::Continue(())
    };
    ledger.read(&tenant, number - 1..number, visit).unwrap();
    let leaf = alter(last);
    let record_hash = leaf_hash(&leaf);
    let (mut frontier, at) = (head.frontier.clone(), head.last_ingested_at);
    frontier.append(record_hash);
    let record = NewRecord {
        leaf: leaf.as_slice().into(),
        record_hash,
        audit_id: AuditId([7; 16]),
        occurred_at: at,
        ingested_at: at,
        filed: None,
        sealed: Vec::new(),
    };
    let append = Append {
        tenant,
        expected: Expected {
            size: number,
            last_hash: head.last_hash,
        },
        records: vec![record],
        head: Head {
            frontier,
            last_hash: record_hash,
            last_ingested_at: at,
        },
    };
    let appends = vec![append];
    ledger.append(&Commit { appends }).unwrap();
    ledger.close().unwrap();
}

#[test]
fn one_record_that_is_none_does_not_take_the_others_out_of_an_answer() {
    let place = ledger();
    let whole = place
        .ok("query --tenant beta --json --limit 0")
        .json()
        .len();
    append_unchecked(&place, "beta", |mut leaf| {
        let at = memchr::memmem::find(&leaf, b"\"event_type\":\"").unwrap() + 14;
        leaf[at] = 0xFF;
        leaf
    });
    for line in [
        "query --tenant beta --json --limit 0",
        "query --tenant beta --json --limit 1000",
    ] {
        let ran = place.ends(1, line);
        assert_eq!(ran.json().len(), whole, "{line}");
        assert!(ran.err.contains("of beta cannot be read: "), "{}", ran.err);
    }
    place.ends(1, "query --tenant beta --limit 3");
}
