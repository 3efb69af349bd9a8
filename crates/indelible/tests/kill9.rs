//! `kill -9` in the middle of emitting: every ticket that said *committed* is in the ledger exactly
//! once, in order, and the directory opens again; and every ticket that said *spooled* is, when
//! somebody has opened the spool again; and every ticket that said *refused* is a dead letter.
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

use indelible::{Actor, Audit, Receipt, json};
use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_emit::DeadLetters;
use indelible_event::TenantId;
use indelible_store::{Ledger, Stored, StoredRecord};
use indelible_testing::Dice;

const CHILD: &str = "INDELIBLE_TEST_CHILD";
const SPOOLING: &str = "INDELIBLE_TEST_SPOOLING";
const REFUSING: &str = "INDELIBLE_TEST_REFUSING";
const RECEIPTS_MAX: u64 = 3_000;
/// Lives that may fill a spool before it is drained.
const ROUNDS_PER_SPOOL: u64 = 20;
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
            let event = event.succeeded();
            // Some do not fit, so that a part of each stands beside it.
            let long = if n.is_multiple_of(16) { 100_000 } else { 1 };
            event.data(json!({ "long": "x".repeat(long + n) })).emit()
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
    let mut recovered = 0;
    for round in 1..=rounds {
        // Two at a time, in one directory.
        let wanted = [dice.below(RECEIPTS_MAX), dice.below(RECEIPTS_MAX)];
        let lives = wanted.map(|wanted| {
            let dir = dir.path().to_owned();
            std::thread::spawn(move || spool_and_kill(&dir, wanted))
        });
        for life in lives {
            spooled.extend(life.join().unwrap());
        }
        // Before it is full.
        if round % ROUNDS_PER_SPOOL == 0 || round == rounds {
            let audit = Audit::embedded(dir.path().join("data")).keys(dir.path().join("keys"));
            let audit = audit.spool(dir.path().join("spool")).build().unwrap();
            let report = audit.close(Duration::from_mins(2));
            assert!(report.is_clean(), "{report}");
            recovered += audit.metrics().recovered;
        }
    }
    let ids = ids(dir.path());
    eprintln!(
        "{rounds} rounds, {} spooled, {} recovered",
        spooled.len(),
        ids.len()
    );
    assert!(spooled.is_subset(&ids));
    assert!(spooled.is_empty() || beside(dir.path()) > 0);
    assert!(recovered >= spooled.len() as u64);
}

/// How many records name what stands beside them; none is committed that names what is not there.
fn beside(dir: &Path) -> usize {
    let mut found = 0;
    read(dir, &mut |record| {
        let leaf = String::from_utf8_lossy(record.leaf);
        found += usize::from(leaf.contains("{\"attachment\":{\"bytes\":"));
    });
    found
}

/// Every third event is one that no ledger takes.
#[test]
fn refusing() {
    let Ok(dir) = std::env::var(REFUSING) else {
        return;
    };
    let dir = Path::new(&dir);
    let audit = Audit::embedded(dir.join("data")).keys(dir.join("keys"));
    let audit = audit.spool(dir.join("spool")).build().unwrap();
    let mut out = std::io::stdout().lock();
    loop {
        let emit = |n: usize| {
            let kind = if n.is_multiple_of(3) {
                "no type at all"
            } else {
                "a.b"
            };
            let event = audit.for_tenant("acme").action(kind);
            let event = event.actor(Actor::user("ada")).target("x", n.to_string());
            event.succeeded().emit()
        };
        let tickets: Vec<_> = (0..TICKETS_MAX).map(emit).collect();
        for (n, ticket) in tickets.into_iter().enumerate() {
            let id = ticket.audit_id();
            let settled = ticket.committed_blocking(Duration::from_mins(1));
            assert_eq!(settled.is_err(), n.is_multiple_of(3), "{settled:?}");
            let word = if settled.is_ok() {
                "committed"
            } else {
                "refused"
            };
            writeln!(out, "spooled {word} {id}").unwrap();
        }
        out.flush().unwrap();
    }
}

/// What its ticket calls refused is a dead letter by then; what was spooled is one later, or in the
/// ledger; nothing is in both.
#[test]
fn nothing_refused_is_lost() {
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 5, 100);
    let mut dice = Dice::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    for _ in 0..rounds {
        let child = ("refusing", REFUSING);
        let wanted = 100 + dice.below(RECEIPTS_MAX / 3);
        told.extend(live_and_kill(child, dir.path(), wanted));
        let dead = dead(dir.path());
        for refused in told.iter().filter_map(|line| line.strip_prefix("refused ")) {
            assert!(dead.contains(refused), "{refused}");
        }
    }
    let audit = Audit::embedded(dir.path().join("data")).keys(dir.path().join("keys"));
    let audit = audit.spool(dir.path().join("spool")).build().unwrap();
    audit.close(Duration::from_mins(2));
    let (ids, dead) = (ids(dir.path()), dead(dir.path()));
    eprintln!("{rounds} rounds, {} refused", dead.len());
    assert!(ids.is_disjoint(&dead));
    for committed in told
        .iter()
        .filter_map(|line| line.strip_prefix("committed "))
    {
        assert!(ids.contains(committed), "{committed}");
    }
    let left = std::fs::read_dir(dir.path().join("spool/0")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains(".spool")).count(), 0);
}

/// The ids of what was put aside; it may stand there twice.
fn dead(dir: &Path) -> HashSet<String> {
    let disk = Arc::new(RealDisk::new(dir.join("spool")));
    let letters = DeadLetters::new(disk, 0, Arc::new(|_: &mut [u8]| ()));
    let mut ids = HashSet::new();
    for file in letters.files().unwrap() {
        let whole = letters.read(&file, &mut |_, letter| {
            assert_eq!(letter.problem.pointer.as_deref(), Some("/event_type"));
            ids.insert(letter.audit_id.to_string()) || letter.stream.is_some()
        });
        assert!(whole.unwrap(), "a file is whole or not there");
    }
    ids
}

/// One life of a program that spools, killed when it has said so many ids.
fn spool_and_kill(dir: &Path, wanted: u64) -> Vec<String> {
    live_and_kill(("spooling", SPOOLING), dir, wanted)
}

/// One life of a child, killed when it has said so many lines; what it said.
fn live_and_kill((name, variable): (&str, &str), dir: &Path, wanted: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(variable, dir)
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
