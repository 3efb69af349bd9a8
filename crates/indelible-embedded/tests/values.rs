//! A damaged personal row takes nothing but the values that stood in it: the records are read as
//! they are, and say which of their values cannot be, with keys and without; the check names them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::{Micros, TenantId};
use indelible_proof::finding::{FindingKind, Place};
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{
    Commit, Expr, FindHash, Index, Ledger, Query, RowOpener, SealedValue, Stored,
};
use support::*;

fn reader(disk: &FaultyDisk, keys: bool) -> Embedded {
    let options = Options {
        read_only: true,
        ..options()
    };
    let opener = keys.then(|| Arc::new(Seals) as Arc<dyn RowOpener>);
    Embedded::open(Arc::new(disk.clone()), opener, options, &mut |_| {}).unwrap()
}

/// Every record as it was appended: where it stands, its leaf, its values.
fn records(commits: &[Commit]) -> Vec<(TenantId, u64, Vec<u8>, Vec<SealedValue>)> {
    let appends = commits.iter().flat_map(|commit| &commit.appends);
    let records = appends.flat_map(|append| {
        let numbered = (append.expected.size..).zip(&append.records);
        numbered.map(|(seq, record)| {
            let (leaf, sealed) = (record.leaf.to_vec(), record.sealed.clone());
            (append.tenant.clone(), seq, leaf, sealed)
        })
    });
    records.collect()
}

/// Where the personal rows of a file stand, and the values.
fn rows(file: &[u8], commits: &[Commit]) -> Vec<(u64, SealedValue)> {
    let values = records(commits).into_iter().flat_map(|(.., sealed)| sealed);
    let mut rows: Vec<(u64, SealedValue)> = values
        .filter(|value| !value.blob)
        .filter_map(|value| {
            let row = [
                &value.handle.0,
                &[u8::try_from(value.row.len()).unwrap()][..],
            ]
            .concat();
            let row = [row.as_slice(), &value.row].concat();
            let at = file.windows(row.len()).position(|window| window == row)?;
            Some((at as u64, value))
        })
        .collect();
    rows.sort_by_key(|(at, _)| *at);
    rows.dedup_by_key(|(at, _)| *at);
    assert!(rows.len() >= 3, "{} rows", rows.len());
    rows
}

/// Reads everything: every leaf must be what was appended; the records that say where a value of
/// theirs cannot be read.
fn unread(ledger: &Embedded, commits: &[Commit]) -> Vec<(TenantId, u64, Place)> {
    let (mut unread, mut read) = (Vec::new(), 0);
    let all = records(commits);
    for tenant in ledger.tenants().unwrap() {
        let visit = &mut |stored: Stored<'_>| {
            let Stored::Record(record) = stored else {
                panic!("{stored:?}")
            };
            let is = |(of, seq, ..): &&(TenantId, u64, _, _)| {
                *of == tenant && *seq == record.sequence_number
            };
            let (_, seq, leaf, sealed) = all.iter().find(is).unwrap();
            assert_eq!(
                (record.leaf, record.sealed.len()),
                (&leaf[..], sealed.len())
            );
            for (is, was) in record.sealed.iter().zip(sealed) {
                assert!(is.row == was.row || (is.row.is_empty() && record.unread.is_some()));
            }
            let place = record.unread.cloned();
            unread.extend(place.map(|place| (tenant.clone(), *seq, place)));
            read += 1;
            ControlFlow::Continue(())
        };
        ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
    }
    assert_eq!(read, all.len());
    unread
}

fn hits(ledger: &Embedded, find: FindHash) -> Places {
    let query = Query {
        expr: Expr::Sealed(vec![find]),
        ..Query::default()
    };
    let hits = ledger.search(&query, None, 10_000).unwrap().hits;
    hits.into_iter()
        .map(|hit| (hit.tenant, hit.sequence_number))
        .collect()
}

#[test]
fn a_damaged_row_takes_nothing_but_its_value() {
    let (disk, commits) = filled();
    let mut seen = BTreeSet::new();
    for (path, _) in files(&disk) {
        if !path.ends_with("records") && !path.starts_with("journal") {
            continue;
        }
        seen.insert(path.clone());
        let rows = rows(&disk.read(&path).unwrap(), &commits);
        for (row, value) in [0, rows.len() / 2, rows.len() - 1].map(|n| rows[n].clone()) {
            let find = value.find.unwrap();
            let bytes = row..row + 16 + 1 + value.row.len() as u64 + 4;
            // Its handle, its length, its first and last byte of ciphertext, its checksum.
            for at in [row, row + 16, row + 17, bytes.end - 5, bytes.end - 1] {
                // What is damaged before a journal is opened is found with the whole frame.
                let ledgers = [reader(&disk, true), reader(&disk, false)];
                let expected = hits(&ledgers[0], find);
                disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
                for ledger in &ledgers {
                    let why = format!("byte {at} of {path}, row {bytes:?}");
                    let unread = unread(ledger, &commits);
                    let places: Places =
                        unread.iter().map(|(t, seq, _)| (t.clone(), *seq)).collect();
                    assert!(!places.is_empty(), "{why}: passed over");
                    assert!(places.is_subset(&expected), "{why}");
                    for (_, _, place) in unread {
                        assert_eq!((&place.file, place.bytes.start), (&path, row), "{why}");
                    }
                    let findings = ledger.check(&mut |_| {}).unwrap();
                    let named = named(&findings);
                    assert!(!places.is_disjoint(&named), "{why}: {findings:?}");
                    for finding in findings {
                        assert_eq!(finding.kind, FindingKind::Corrupt, "{why}");
                        assert!(finding.place.unwrap().bytes.contains(&at), "{why}");
                    }
                }
                // A search by the value still leads to them: whoever reads them is told.
                assert_eq!(hits(&ledgers[0], find), expected);
                disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
            }
        }
    }
    assert_eq!(
        seen.len(),
        3,
        "a merged, a sealed and a growing file: {seen:?}"
    );
}

/// Rows of a frame that cannot be read are missed by the records behind it, which are there.
#[test]
fn records_whose_values_stood_in_a_damaged_frame_are_read() {
    let disk = FaultyDisk::new(0);
    Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let mix = Mix {
        tenants: 1,
        actors: 2,
        personal_percent: 100,
        ..Mix::default()
    };
    let mut generator = Generator::new(4, mix);
    let commits = [0, 1, 2].map(|_| Commit {
        appends: vec![generator.append(0, 6)],
    });
    let writer = open(&disk);
    for commit in &commits {
        writer.append(commit).unwrap();
    }
    drop(writer);
    let mut paths = files(&disk).into_iter().map(|(path, _)| path);
    let journal = paths.find(|path| path.starts_with("journal")).unwrap();
    let mut behind = 0;
    for (row, _) in rows(&disk.read(&journal).unwrap(), &commits) {
        disk.damage(&journal, row + 20, |byte| *byte ^= 0x10)
            .unwrap();
        let ledger = reader(&disk, true);
        let (whole, damaged) = read(&ledger);
        assert!(whole.is_disjoint(&damaged));
        for (tenant, seq, _, sealed) in records(&commits) {
            let visit = &mut |stored: Stored<'_>| {
                if let Stored::Record(record) = stored
                    && let Some(place) = record.unread
                {
                    assert!(sealed.iter().any(|other| !other.blob));
                    assert_eq!(place.file, journal);
                    behind += 1;
                }
                ControlFlow::Break(())
            };
            ledger.read(&tenant, seq..seq + 1, visit).unwrap();
        }
        disk.damage(&journal, row + 20, |byte| *byte ^= 0x10)
            .unwrap();
    }
    assert!(behind > 0);
}
