//! Every write, sync and rename fails, tears or is the last one before the power goes, in turn:
//! afterwards the ledger holds what was acknowledged, and of what was not, whole commits or
//! nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_disk::{Fault, FaultyDisk, Operation};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::Micros;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Commit, Index, Kind, Ledger, NewRecord, Query, Stored};

const COMMITS: usize = 7;

fn options() -> Options {
    Options {
        seal_records: 8,
        block_bytes: 1500,
        merge_segments: 2,
        background: false,
        ..Options::default()
    }
}

fn commits() -> Vec<Commit> {
    let mix = Mix {
        tenants: 3,
        actors: 3,
        targets: 3,
        ..Mix::default()
    };
    let mut generator = Generator::new(5, mix);
    (0..COMMITS).map(|_| generator.commit(4)).collect()
}

fn open(disk: &FaultyDisk) -> indelible_store::Result<Embedded> {
    let opener = Some(Arc::new(Seals) as _);
    Embedded::open(Arc::new(disk.clone()), opener, options(), &mut |_| {})
}

/// What a run came to: commits that were acknowledged, and whether the next may have been kept.
#[derive(Debug)]
struct Outcome {
    acknowledged: usize,
    unknown: bool,
}

/// Commits until something fails that trying again does not help against.
fn run(disk: &FaultyDisk, commits: &[Commit]) -> Outcome {
    let mut outcome = Outcome {
        acknowledged: 0,
        unknown: false,
    };
    if Embedded::create(disk, [1; 16], [2; 16], Micros(0)).is_err()
        && (disk.is_crashed() || Embedded::create(disk, [1; 16], [2; 16], Micros(0)).is_err())
    {
        return outcome;
    }
    let Ok(ledger) = open(disk).or_else(|_| open(disk)) else {
        return outcome;
    };
    for commit in commits {
        let first = ledger.append(commit).map_err(|e| e.kind());
        let outcome_of = match first {
            Ok(()) => Ok(()),
            Err(kind) => {
                outcome.unknown = kind == Kind::UnknownOutcome;
                assert!(
                    matches!(kind, Kind::UnknownOutcome | Kind::Unavailable),
                    "{kind:?}"
                );
                ledger.append(commit).map_err(|e| e.kind())
            }
        };
        match outcome_of {
            Ok(()) => {
                outcome.acknowledged += 1;
                outcome.unknown = false;
            }
            Err(kind) => {
                outcome.unknown |= kind == Kind::UnknownOutcome;
                return outcome;
            }
        }
    }
    outcome
}

/// Whether the ledger holds exactly these commits; if not, what differs.
fn holds(ledger: &Embedded, commits: &[Commit]) -> Result<(), String> {
    let mut tenants: Vec<_> = Vec::new();
    for append in commits.iter().flat_map(|commit| &commit.appends) {
        if !tenants.contains(&append.tenant) {
            tenants.push(append.tenant.clone());
        }
    }
    tenants.sort();
    if ledger.tenants().unwrap() != tenants {
        return Err("other tenants".to_owned());
    }
    let mut count = 0;
    for tenant in tenants {
        let appends = commits.iter().flat_map(|commit| &commit.appends);
        let appends: Vec<_> = appends.filter(|append| append.tenant == tenant).collect();
        let records: Vec<&NewRecord> = appends.iter().flat_map(|append| &append.records).collect();
        count += records.len();
        let head = ledger.head(&tenant).map_err(|e| e.to_string())?;
        if head.as_ref() != appends.last().map(|append| &append.head) {
            return Err(format!("head of {tenant}: {head:?}"));
        }
        let mut at = 0;
        let mut wrong = None;
        let visit = &mut |stored: Stored<'_>| {
            match stored {
                Stored::Record(record)
                    if records
                        .get(at)
                        .is_some_and(|r| r.leaf == record.leaf && r.sealed == record.sealed) => {}
                other => wrong = Some(format!("record {at} of {tenant}: {other:?}")),
            }
            at += 1;
            ControlFlow::Continue(())
        };
        ledger
            .read(&tenant, 0..u64::MAX, visit)
            .map_err(|e| e.to_string())?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let ids: Vec<_> = records.iter().map(|record| record.audit_id).collect();
        let found = ledger.find(&tenant, &ids).map_err(|e| e.to_string())?;
        if at != records.len() || found != (0..at as u64).map(Some).collect::<Vec<_>>() {
            return Err(format!("{at} records of {tenant}, ids {found:?}"));
        }
    }
    let hits = ledger
        .search(&Query::default(), None, 10_000)
        .map_err(|e| e.to_string())?;
    if hits.hits.len() != count {
        return Err(format!("{} hits for {count} records", hits.hits.len()));
    }
    Ok(())
}

/// Opens after the reboot and compares with what must and what may be there.
fn judge(disk: &FaultyDisk, commits: &[Commit], outcome: &Outcome) -> Result<(), String> {
    let ledger = match open(disk) {
        Ok(ledger) => ledger,
        Err(error) if error.kind() == Kind::NotFound && outcome.acknowledged == 0 => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let findings = ledger.check(&mut |_| {}).map_err(|e| e.to_string())?;
    if let Some(finding) = findings.first() {
        return Err(finding.to_string());
    }
    let kept = commits.get(..outcome.acknowledged).unwrap();
    holds(&ledger, kept).or_else(|why| {
        let more = commits
            .get(..=outcome.acknowledged)
            .filter(|_| outcome.unknown);
        more.map_or(Err(why), |more| holds(&ledger, more))
    })?;
    // And it goes on from there.
    let end = if holds(&ledger, kept).is_ok() {
        kept.len()
    } else {
        kept.len() + 1
    };
    for commit in commits.get(end..).unwrap() {
        ledger.append(commit).map_err(|e| e.to_string())?;
    }
    holds(&ledger, commits)
}

#[test]
fn without_faults_segments_are_sealed_and_merged() {
    let (disk, commits) = (FaultyDisk::new(0), commits());
    let outcome = run(&disk, &commits);
    assert_eq!((outcome.acknowledged, outcome.unknown), (COMMITS, false));
    let operations = disk.history();
    let renamed = |to: &str| {
        let of = |(operation, path): &&(Operation, String)| {
            *operation == Operation::Rename && path.contains(to)
        };
        operations.iter().filter(of).count()
    };
    assert!(
        renamed("journal/") >= 2 && renamed("segments/0") >= 3,
        "{operations:?}"
    );
    judge(&disk, &commits, &outcome).unwrap();
}

#[test]
fn every_operation_may_fail_tear_or_be_the_last() {
    let commits = commits();
    let trial = FaultyDisk::new(0);
    run(&trial, &commits);
    let operations = trial.history();
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
            // The power goes at once, or after the directory was opened once more.
            for again in [false, true] {
                let disk = FaultyDisk::new(at as u64);
                disk.plan(at as u64, fault);
                let outcome = run(&disk, &commits);
                if again {
                    let _ = open(&disk);
                }
                disk.crash();
                disk.reboot();
                if let Err(why) = judge(&disk, &commits, &outcome) {
                    panic!("operation {at} {operation:?}, {fault:?}, {again}, {outcome:?}: {why}");
                }
            }
        }
    }
}

/// Which manifest is on the disk is not known when storing one failed: whatever is done next, and
/// wherever the power goes then, all that either of them names is there.
#[test]
fn a_manifest_that_failed_to_be_stored_may_be_the_one_that_is_there() {
    let commits = commits();
    let trial = FaultyDisk::new(0);
    run(&trial, &commits);
    let operations = trial.history();
    let mut tried = 0;
    for (at, (operation, path)) in operations.iter().enumerate() {
        let fault = match (operation, path.as_str()) {
            (Operation::Rename, "segments/MANIFEST.new") => Fault::FailedButPersisted,
            (Operation::SyncDir, "segments") => Fault::Failed,
            _ => continue,
        };
        for cut in at + 1..at + 80 {
            tried += 1;
            let disk = FaultyDisk::new(cut as u64);
            disk.plan(at as u64, fault);
            disk.plan(cut as u64, Fault::CrashedAfter);
            let outcome = run(&disk, &commits);
            let _ = open(&disk);
            disk.crash();
            disk.reboot();
            if let Err(why) = judge(&disk, &commits, &outcome) {
                panic!("{fault:?} at {at}, {path}; the power goes at {cut}; {outcome:?}: {why}");
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn a_full_disk_keeps_nothing_goes_on_reading_and_works_again_with_room() {
    let commits = commits();
    for spare in (0..6000).step_by(97) {
        let disk = FaultyDisk::new(spare);
        Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
        let ledger = open(&disk).unwrap();
        ledger.append(&commits[0]).unwrap();
        disk.set_room(Some(disk.used() + spare));
        let mut kept = 1;
        for commit in &commits[1..] {
            match ledger.append(commit) {
                Ok(()) => kept += 1,
                Err(error) => {
                    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
                    break;
                }
            }
        }
        holds(&ledger, &commits[..kept]).unwrap();
        disk.set_room(None);
        for commit in &commits[kept..] {
            ledger.append(commit).unwrap();
        }
        holds(&ledger, &commits).unwrap();
        drop(ledger);
        disk.crash();
        disk.reboot();
        let ledger = open(&disk).unwrap();
        holds(&ledger, &commits).unwrap();
    }
}
