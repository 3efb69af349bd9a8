//! Copies of a directory: beside a writer, again and again, over faults of every kind, and of
//! directories that are damaged.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use indelible_disk::{Disk, Fault, FaultyDisk, Operation, RealDisk};
use indelible_embedded::{Embedded, Options, stage};
use indelible_event::ids::Micros;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Commit, Index, Kind, Ledger, Query, Result};

use support::*;

/// Copies all there is; how many bytes of records that took.
fn copy(from: &dyn Disk, to: &dyn Disk) -> Result<u64> {
    let staged = stage(from, to, &mut |_| {})?;
    let bytes = staged.bytes();
    staged.show()?;
    if to.len("FORMAT").unwrap().is_none() {
        let failed = |e| indelible_store::Error::new(Kind::Unavailable, "FORMAT").caused_by(e);
        to.replace("FORMAT", &from.read("FORMAT").map_err(failed)?)
            .map_err(failed)?;
    }
    Ok(bytes)
}

/// What the copy holds, all of it sound and found; `None` where there is no ledger yet.
fn sound(disk: &FaultyDisk, when: &str) -> Option<Places> {
    let ledger = open_as(disk, true).ok()?;
    assert_eq!(ledger.check(&mut |_| {}).unwrap(), [], "{when}");
    whole(disk, when)
}

/// As [`sound`], though what is derived may have to be made again.
fn whole(disk: &FaultyDisk, when: &str) -> Option<Places> {
    let ledger = match open_as(disk, true) {
        Err(error) if error.kind() == Kind::NotFound => return None,
        ledger => ledger.unwrap_or_else(|e| panic!("{when}: {e}")),
    };
    let mut findings = ledger.check(&mut |_| {}).unwrap();
    findings.retain(|finding| !finding.kind.repairable());
    assert_eq!(findings, [], "{when}");
    let (whole, damaged) = read(&ledger);
    assert!(damaged.is_empty(), "{when}: {damaged:?}");
    let hits = ledger.search(&Query::default(), None, 99_999).unwrap();
    assert_eq!(hits.hits.len(), whole.len(), "{when}");
    Some(whole)
}

fn same(one: &dyn Ledger, other: &dyn Ledger) {
    let tenants = one.tenants().unwrap();
    assert_eq!(tenants, other.tenants().unwrap());
    for tenant in tenants {
        assert_eq!(one.head(&tenant).unwrap(), other.head(&tenant).unwrap());
    }
}

/// Whenever one looks, a copy made beside a writer that seals and merges all the time is whole, and
/// in the end it has all there is.
#[test]
fn copies_beside_a_writer_that_seals_and_merges_are_whole() {
    const MANIFESTS: usize = 20;
    const ROUNDS_MAX: usize = 1_000;
    const COMMITS_PER_ROUND: usize = 12;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(from.path()));
    let copied: Arc<dyn Disk> = Arc::new(RealDisk::new(to.path()));
    Embedded::create(&*disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let open = |disk: &Arc<dyn Disk>, read_only| {
        let options = Options {
            read_only,
            background: true,
            ..options()
        };
        let opener = Some(Arc::new(Seals) as _);
        Embedded::open(Arc::clone(disk), opener, options, &mut |_| {}).unwrap()
    };
    let writer = open(&disk, false);
    let (mut seen, mut manifests) = (0, std::collections::BTreeSet::new());
    let (turns, wanted) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut generator = Generator::new(4, Mix::default());
            // Ends when nobody copies any more, whatever ended it.
            for () in wanted {
                for _ in 0..COMMITS_PER_ROUND {
                    writer.append(&generator.commit(6)).unwrap();
                }
            }
        });
        let turns = turns;
        // The writer seals in the background, when it comes to it: until copies were taken at
        // many of its states.
        for round in 0.. {
            if manifests.len() >= MANIFESTS {
                break;
            }
            assert!(round < ROUNDS_MAX, "{} manifests", manifests.len());
            turns.send(()).unwrap();
            copy(&*disk, &*copied).unwrap();
            let copy = open(&copied, true);
            assert_eq!(copy.check(&mut |_| {}).unwrap(), []);
            assert_eq!(copy.made_in_memory(), Vec::<String>::new());
            let (whole, damaged) = read(&copy);
            assert!(damaged.is_empty() && whole.len() >= seen, "{damaged:?}");
            seen = whole.len();
            manifests.insert(copied.read("segments/MANIFEST").unwrap());
        }
    });
    writer.close().unwrap();
    copy(&*disk, &*copied).unwrap();
    same(&open(&disk, true), &open(&copied, true));
    // Of what was copied before nothing is copied but the journal, which is bounded.
    let journal = disk.list("journal").unwrap();
    let journal = journal
        .iter()
        .map(|name| disk.len(&format!("journal/{name}")));
    let journal: u64 = journal.map(|len| len.unwrap().unwrap()).sum();
    assert_eq!(copy(&*disk, &*copied).unwrap(), journal);
}

/// Two states of a ledger, the later one with more merged segments; and what the first holds.
fn states() -> (FaultyDisk, FaultyDisk, Places, Places) {
    let mix = Mix {
        tenants: 3,
        ..Mix::default()
    };
    let commits: Vec<Commit> = {
        let mut generator = Generator::new(6, mix);
        (0..40).map(|_| generator.commit(6)).collect()
    };
    let at = |count: usize| {
        let disk = FaultyDisk::new(0);
        Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
        let ledger = open(&disk);
        for commit in &commits[..count] {
            ledger.append(commit).unwrap();
        }
        disk
    };
    // The first ends in the middle of what is one journal file there and a segment later.
    let (old, new) = (at(13), at(40));
    let (before, after) = (all(&commits[..13]), all(&commits));
    (old, new, before, after)
}

/// Whatever happens to any operation of a second copy: the first stays, the copy is sound, and
/// once more makes it whole.
#[test]
fn every_operation_may_fail_tear_or_be_the_last() {
    let (old, new, before, after) = states();
    let trial = FaultyDisk::new(0);
    copy(&old, &trial).unwrap();
    let first = trial.history().len();
    copy(&new, &trial).unwrap();
    assert_eq!(sound(&trial, "without faults"), Some(after.clone()));
    let operations = trial.history();
    let renamed = |part: &str| {
        let of = |(operation, path): &&(Operation, String)| {
            *operation == Operation::Rename && path.contains(part)
        };
        operations[first..].iter().filter(of).count()
    };
    assert!(renamed("segments/0") >= 3, "{operations:?}");
    for (at, operation) in operations.iter().enumerate() {
        let mut faults = vec![
            Fault::Failed,
            Fault::FailedButPersisted,
            Fault::CrashedAfter,
        ];
        if operation.0 == Operation::Write {
            faults.push(Fault::Torn { bytes: 60 });
        }
        for fault in faults {
            let when = format!("operation {at} {operation:?}, {fault:?}");
            let disk = FaultyDisk::new(at as u64);
            disk.plan(at as u64, fault);
            let mut least = copy(&old, &disk).is_ok().then(|| before.clone());
            if copy(&new, &disk).is_ok() {
                least = Some(after.clone());
            }
            disk.crash();
            disk.reboot();
            let there = whole(&disk, &when);
            let least = least.unwrap_or_default();
            assert!(there.unwrap_or_default().is_superset(&least), "{when}");
            copy(&new, &disk).unwrap_or_else(|e| panic!("{when}: {e}"));
            assert_eq!(sound(&disk, &when), Some(after.clone()), "{when}");
        }
    }
}

#[test]
fn a_full_disk_leaves_the_copy_as_it_was() {
    let (old, new, before, after) = states();
    let mut refused = 0;
    for spare in (0..60_000).step_by(1_900) {
        let disk = FaultyDisk::new(spare);
        copy(&old, &disk).unwrap();
        disk.set_room(Some(disk.used() + spare));
        if let Err(error) = copy(&new, &disk) {
            assert_eq!(error.kind(), Kind::NoSpace, "{error}");
            refused += 1;
            let there = whole(&disk, "full").unwrap();
            assert!(there.is_superset(&before), "{spare}");
        }
        disk.set_room(None);
        copy(&new, &disk).unwrap();
        assert_eq!(sound(&disk, "with room"), Some(after.clone()));
    }
    assert!(refused > 3, "{refused}");
}

/// Damaged records do not take the place of whole ones; where there are none they are kept.
#[test]
fn damaged_records_are_copied_only_where_there_are_no_others() {
    let (old, new, before, after) = states();
    let records: Vec<_> = files(&new)
        .into_iter()
        .filter(|(path, _)| path.ends_with("/records"))
        .collect();
    assert!(records.len() >= 2, "{records:?}");
    let mut refused = 0;
    for (path, bytes) in records {
        new.damage(&path, bytes / 2, |byte| *byte ^= 1).unwrap();
        let fresh = FaultyDisk::new(0);
        copy(&new, &fresh).unwrap();
        let (whole, damaged) = read(&open_as(&fresh, true).unwrap());
        assert_eq!(whole.len() + damaged.len(), after.len(), "{path}");
        assert!(
            !damaged.is_empty() && whole.len() * 2 > after.len(),
            "{path}"
        );
        let kept = FaultyDisk::new(0);
        copy(&old, &kept).unwrap();
        match copy(&new, &kept) {
            Err(error) => {
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
                assert!(error.context().contains(&path), "{error}");
                assert_eq!(sound(&kept, &path), Some(before.clone()));
                refused += 1;
            }
            // It has none of the records that the copy had.
            Ok(_) => assert!(read(&open_as(&kept, true).unwrap()).0.is_superset(&before)),
        }
        new.damage(&path, bytes / 2, |byte| *byte ^= 1).unwrap();
    }
    assert!(refused > 0);
}
