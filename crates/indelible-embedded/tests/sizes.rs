//! Sizes that cannot be, under checksums that fit, are damage: nobody makes room for them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use bytes::BytesMut;
use indelible_disk::{Disk, FaultyDisk, Open};
use indelible_store::conformance::{Generator, Mix};
use indelible_store::{Commit, Kind, Ledger, NewRecord};
use support::*;

fn journal(disk: &FaultyDisk) -> String {
    format!("journal/{}", disk.list("journal").unwrap().pop().unwrap())
}

/// Puts `number` at byte `at` of what `bytes` has in its first `seal` bytes, behind which their
/// checksum stands.
fn put(bytes: &mut [u8], at: usize, number: &[u8], seal: usize) {
    bytes[at..at + number.len()].copy_from_slice(number);
    let crc = crc32c::crc32c(&bytes[..seal]);
    bytes[seal..seal + 4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_frame_behind_more_records_than_a_file_holds_is_damage() {
    let (disk, commits) = filled();
    let path = journal(&disk);
    let whole = disk.read(&path).unwrap();
    let frames: Vec<usize> = memchr::memmem::find_iter(&whole, b"iFRM").collect();
    // The records in it, the row of its first, the number of its first personal row.
    for field in [12, 16, 20] {
        let mut bytes = whole.clone();
        put(&mut bytes[frames[1]..], field, &u32::MAX.to_le_bytes(), 32);
        disk.replace(&path, &bytes).unwrap();
        for read_only in [true, false] {
            let ledger = open_as(&disk, read_only).unwrap();
            let (found, damaged) = read(&ledger);
            let lost: BTreeSet<_> = all(&commits).difference(&found).cloned().collect();
            assert!(!lost.is_empty() && lost.len() < 20, "{}", lost.len());
            assert!(damaged.is_subset(&lost), "{damaged:?}");
            let findings = ledger.check(&mut |_| {}).unwrap();
            let at = frames[1] as u64;
            let mut places = findings.iter().filter_map(|finding| finding.place.as_ref());
            assert!(places.any(|place| place.file == path && place.bytes.contains(&at)));
        }
    }
}

#[test]
fn a_journal_file_further_off_than_files_are_long_is_refused() {
    let (disk, _) = filled();
    let mut header = disk.read(&journal(&disk)).unwrap();
    header.truncate(44);
    for first in [1 << 32, u64::MAX] {
        put(&mut header, 16, &first.to_le_bytes(), 40);
        let path = format!("journal/{first:020}");
        disk.open(&path, Open::New)
            .unwrap()
            .write_at(&header, 0)
            .unwrap();
        for read_only in [true, false] {
            let error = open_as(&disk, read_only).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt);
            assert!(error.to_string().contains("journal/"), "{error}");
        }
        disk.remove(&path).unwrap();
    }
    open(&disk);
}

#[test]
fn a_manifest_of_segments_longer_than_files_are_is_made_again() {
    let (disk, commits) = filled();
    let text = String::from_utf8(disk.read("segments/MANIFEST").unwrap()).unwrap();
    let line = text.lines().next().unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(line).unwrap();
    let last = manifest["segments"].as_array().unwrap().len() - 1;
    for end in [1_u64 << 32, u64::MAX] {
        manifest["segments"][last]["end"] = end.into();
        let line = manifest.to_string();
        let crc = crc32c::crc32c(line.as_bytes());
        let said = format!("{line}\ncrc32c {crc:08x}\n");
        disk.replace("segments/MANIFEST", said.as_bytes()).unwrap();
        assert_eq!(read(&open_as(&disk, true).unwrap()).0, all(&commits));
    }
    // A directory with such a name is none of ours.
    disk.remove("segments/MANIFEST").unwrap();
    let path = format!("segments/{:020}-{:020}", 0, u64::MAX);
    disk.create_dir_all(&path).unwrap();
    let records = format!("{path}/records");
    disk.open(&records, Open::New)
        .unwrap()
        .write_at(&[0; 44], 0)
        .unwrap();
    assert_eq!(read(&open(&disk)).0, all(&commits));
}

#[test]
fn a_commit_that_no_frame_could_hold_is_refused() {
    let (disk, _) = filled();
    let ledger = open(&disk);
    let mut append = Generator::new(9, Mix::default()).append(0, 1);
    let one = append.records.remove(0);
    // Zeroes that nobody touches take no memory.
    append.records = (0..9_000)
        .map(|_| NewRecord {
            leaf: BytesMut::zeroed(65_535),
            ..one.clone()
        })
        .collect();
    let appends = vec![append];
    let error = ledger.append(&Commit { appends }).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("at most 512 MiB"), "{error}");
}
