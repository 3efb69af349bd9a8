//! `kill -9` in the middle of emitting: every ticket that said *committed* is in the ledger exactly
//! once, in order, and the directory opens again; and every ticket that said *spooled* is, when
//! somebody has opened the spool again.
//!
//! The child is this test program, told by a variable to emit until it is killed and to print each
//! receipt when its ticket has it. Rounds from `INDELIBLE_KILL_ROUNDS`; the seed is printed and
//! comes from `INDELIBLE_SEED`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests; the seed is for people"
)]

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use indelible::{Actor, Audit, Receipt};
use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::TenantId;
use indelible_store::{Ledger, Stored, StoredRecord};
use indelible_testing::Dice;

const CHILD: &str = "INDELIBLE_TEST_CHILD";
const SPOOLING: &str = "INDELIBLE_TEST_SPOOLING";
const RECEIPTS_MAX: u64 = 3_000;
const TICKETS_MAX: usize = 64;

#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let audit = Audit::embedded(dir.join("data")).keys(dir.join("keys"));
    let audit = audit
        .batches(100, Duration::from_millis(2))
        .build()
        .unwrap();
    let mut out = std::io::stdout().lock();
    loop {
        let tickets: Vec<_> = (0..TICKETS_MAX)
            .map(|n| {
                let event = audit.for_tenant("acme").action("a.b");
                let event = event.actor(Actor::user("ada")).target("x", n.to_string());
                event.succeeded().emit()
            })
            .collect();
        for ticket in tickets {
            let receipt = ticket.committed_blocking(Duration::from_mins(1)).unwrap();
            let receipt = serde_json::to_string(&receipt).unwrap();
            writeln!(out, "receipt {receipt}").unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn spooling() {
    let Ok(dir) = std::env::var(SPOOLING) else {
        return;
    };
    // Nobody listens there.
    let audit = Audit::connect("http://127.0.0.1:9").unwrap();
    let audit = audit.spool(Path::new(&dir).join("spool")).build().unwrap();
    let mut out = std::io::stdout().lock();
    loop {
        let emit = |n: usize| {
            let event = audit.for_tenant("acme").action("a.b");
            let event = event.actor(Actor::user("ada")).target("x", n.to_string());
            event.succeeded().emit()
        };
        let tickets: Vec<_> = (0..TICKETS_MAX).map(emit).collect();
        for ticket in tickets {
            ticket.spooled_blocking(Duration::from_mins(1)).unwrap();
            writeln!(out, "spooled {}", ticket.audit_id()).unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn nothing_spooled_is_lost() {
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 5, 100);
    let mut dice = Dice::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut spooled = HashSet::new();
    for _ in 0..rounds {
        // Two at a time, in one directory.
        let wanted = [dice.below(RECEIPTS_MAX), dice.below(RECEIPTS_MAX)];
        let lives = wanted.map(|wanted| {
            let dir = dir.path().to_owned();
            std::thread::spawn(move || spool_and_kill(&dir, wanted))
        });
        for life in lives {
            spooled.extend(life.join().unwrap());
        }
    }
    let audit = Audit::embedded(dir.path().join("data")).keys(dir.path().join("keys"));
    let audit = audit.spool(dir.path().join("spool")).build().unwrap();
    let report = audit.close(Duration::from_mins(2));
    assert!(report.is_clean(), "{report}");
    let ids = ids(dir.path());
    eprintln!(
        "{rounds} rounds, {} spooled, {} recovered",
        spooled.len(),
        ids.len()
    );
    assert!(spooled.is_subset(&ids));
    assert!(audit.metrics().recovered >= spooled.len() as u64);
}

/// One life of a program that spools, killed when it has said so many ids.
fn spool_and_kill(dir: &Path, wanted: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["spooling", "--exact", "--nocapture"])
        .env(SPOOLING, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ids = Vec::new();
    let mut killed = false;
    loop {
        if ids.len() as u64 >= wanted && !killed {
            child.kill().unwrap();
            killed = true;
        }
        let mut line = String::new();
        let bytes = output.read_line(&mut line).unwrap();
        assert!(bytes > 0 || killed, "the child ended by itself");
        if bytes == 0 || !line.ends_with('\n') {
            break;
        }
        ids.extend(line.strip_prefix("spooled ").map(|id| id.trim().to_owned()));
    }
    child.wait().unwrap();
    ids
}

/// The ids of what is in the ledger; none stands twice.
fn ids(dir: &Path) -> HashSet<String> {
    let mut ids = HashSet::new();
    read(dir, &mut |record| {
        let leaf: serde_json::Value = serde_json::from_slice(record.leaf).unwrap();
        let id = leaf["event"]["audit_id"].as_str().unwrap().to_owned();
        assert!(ids.insert(id), "an event stands twice");
    });
    ids
}

#[test]
fn no_receipt_is_lost() {
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 5, 100);
    let mut dice = Dice::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut receipts = BTreeMap::new();
    for _ in 0..rounds {
        let (sent, wanted) = (receipts.len(), dice.below(RECEIPTS_MAX));
        emit_and_kill(dir.path(), wanted, &mut receipts);
        assert!(receipts.len() as u64 >= sent as u64 + wanted);
        if !receipts.is_empty() {
            check(dir.path(), &receipts);
        }
    }
    eprintln!("{rounds} rounds, {} receipts", receipts.len());
    let audit = Audit::embedded(dir.path().join("data")).keys(dir.path().join("keys"));
    assert!(
        audit
            .build()
            .unwrap()
            .close(Duration::from_secs(20))
            .is_clean()
    );
}

/// One life of the child, killed when it has printed so many receipts.
fn emit_and_kill(dir: &Path, wanted: u64, receipts: &mut BTreeMap<u64, Receipt>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut read = 0;
    let mut killed = false;
    loop {
        if read >= wanted && !killed {
            child.kill().unwrap();
            killed = true;
        }
        let mut line = String::new();
        let bytes = output.read_line(&mut line).unwrap();
        assert!(bytes > 0 || killed, "the child ended by itself");
        if bytes == 0 || !line.ends_with('\n') {
            break;
        }
        let Some(receipt) = line.strip_prefix("receipt ") else {
            continue;
        };
        let receipt: Receipt = serde_json::from_str(receipt).unwrap();
        let before = receipts.insert(receipt.sequence_number, receipt);
        assert_eq!(before, None, "a number is given once");
        read += 1;
    }
    child.wait().unwrap();
}

/// Every receipt is of the leaf that stands at its number, and no id stands twice.
fn check(dir: &Path, receipts: &BTreeMap<u64, Receipt>) {
    let (mut number, mut checked) = (0, 0);
    read(dir, &mut |record| {
        assert_eq!(record.sequence_number, number, "contiguous");
        if let Some(receipt) = receipts.get(&number) {
            receipt.check(record.leaf).unwrap();
            checked += 1;
        }
        number += 1;
    });
    assert!(ids(dir).len() as u64 == number);
    assert_eq!(checked, receipts.len(), "a receipt was lost");
}

/// Shows every record of the tenant's log.
fn read(dir: &Path, see: &mut dyn FnMut(StoredRecord<'_>)) {
    let disk = Arc::new(RealDisk::new(dir.join("data")));
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let ledger = Embedded::open(disk, None, options, &mut |_| ()).unwrap();
    let tenant = TenantId::parse("acme").unwrap();
    let visit = &mut |stored: Stored<'_>| {
        let Stored::Record(record) = stored else {
            panic!("a damaged record")
        };
        see(record);
        ControlFlow::Continue(())
    };
    ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
}
