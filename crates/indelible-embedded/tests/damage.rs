//! One changed byte anywhere is found and named, derived files come back, and whoever finds the
//! directory locked, foreign or of another format is told what to do.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::Micros;
use indelible_proof::finding::FindingKind;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Commit, Direction, Index, Kind, Ledger, Order, Query, Stored};
use support::*;

#[test]
fn an_untouched_directory_has_no_findings() {
    let (disk, commits) = filled();
    let ledger = open(&disk);
    assert_eq!(ledger.check(&mut |_| {}).unwrap(), []);
    assert_eq!(read(&ledger), (all(&commits), BTreeSet::new()));
    drop(ledger);
    assert_eq!(
        open_as(&disk, true).unwrap().check(&mut |_| {}).unwrap(),
        []
    );
}

#[test]
fn a_flipped_byte_anywhere_is_found_in_the_right_file() {
    let (disk, commits) = filled();
    let everything = all(&commits);
    let (mut corrupt, mut derived, mut narrow) = (0, 0, 0);
    for (path, bytes) in files(&disk) {
        let ledger = open(&disk);
        let step = (bytes / 23).max(1);
        for at in (0..bytes)
            .step_by(usize::try_from(step).unwrap())
            .chain([bytes - 1])
        {
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
            let findings = ledger.check(&mut |_| {}).unwrap();
            let first = findings.first();
            let first = first.unwrap_or_else(|| panic!("byte {at} of {path} went unnoticed"));
            let place = first.place.as_ref().unwrap();
            assert_eq!(place.file, path, "byte {at}");
            assert!(place.bytes.contains(&at), "byte {at} of {path}: {place}");
            // The header of a file of records is proved by the frame behind it.
            let records = path.starts_with("journal") || path.ends_with("records");
            let truth = records && at >= 44 || path == "FORMAT";
            let kind = if truth {
                FindingKind::Corrupt
            } else {
                FindingKind::DerivedDamaged
            };
            assert!(
                findings.iter().all(|finding| finding.kind == kind),
                "{findings:?}"
            );
            if truth {
                corrupt += 1;
                let named = named(&findings);
                assert!(named.is_subset(&everything));
                narrow += usize::from(!named.is_empty() && named.len() < everything.len() / 3);
                assert!(
                    path == "FORMAT" || !named.is_empty(),
                    "byte {at} of {path}: {findings:?}"
                );
            } else {
                derived += 1;
            }
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
        }
        assert_eq!(ledger.check(&mut |_| {}).unwrap(), []);
    }
    assert!(
        corrupt > 60 && derived > 200 && narrow > 20,
        "{corrupt} {derived} {narrow}"
    );
}

#[test]
fn a_damaged_header_is_made_again_where_the_first_frame_proves_it() {
    let (disk, commits) = filled();
    let records: Vec<_> = files(&disk)
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.ends_with("records") || path.starts_with("journal"))
        .collect();
    for path in &records {
        let whole = disk.read(path).unwrap();
        for at in 0..44 {
            disk.damage(path, at, |byte| *byte ^= 0x10).unwrap();
            let ledger = open(&disk);
            let mended = ledger.repair(&mut |_| {}).unwrap();
            assert_eq!(mended.len(), 1, "byte {at} of {path}: {mended:?}");
            assert_eq!(mended[0].kind, FindingKind::DerivedDamaged);
            assert_eq!(disk.read(path).unwrap(), whole, "byte {at} of {path}");
            assert_eq!(ledger.check(&mut |_| {}).unwrap(), []);
            assert_eq!(read(&ledger), (all(&commits), BTreeSet::new()));
        }
    }
    // Where that frame is damaged too, or was written behind another header, nothing is guessed.
    for path in &records {
        let whole = disk.read(path).unwrap();
        for (at, seal) in [(44 + 40, false), (44 + 24, true)] {
            let mut bytes = whole.clone();
            bytes[3] ^= 0x10;
            bytes[at] ^= 0x10;
            if seal {
                let crc = crc32c::crc32c(&bytes[44..44 + 32]);
                bytes[44 + 32..44 + 36].copy_from_slice(&crc.to_le_bytes());
            }
            disk.replace(path, &bytes).unwrap();
            let ledger = open(&disk);
            ledger.repair(&mut |_| {}).unwrap();
            assert_eq!(disk.read(path).unwrap(), bytes);
            let findings = ledger.check(&mut |_| {}).unwrap();
            let header = findings.iter().find(|finding| {
                let place = finding.place.as_ref().unwrap();
                place.file == *path && place.bytes.contains(&3)
            });
            assert_eq!(header.unwrap().kind, FindingKind::Corrupt);
        }
        disk.replace(path, &whole).unwrap();
    }
}

#[test]
fn damaged_records_do_not_take_their_neighbours_along() {
    let (disk, commits) = filled();
    let everything = all(&commits);
    let records: Vec<_> = files(&disk)
        .into_iter()
        .filter(|(path, _)| path.ends_with("records") || path.starts_with("journal"))
        .collect();
    for (path, bytes) in records {
        for at in (100..bytes).step_by(301) {
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
            for read_only in [true, false] {
                let ledger = open_as(&disk, read_only).unwrap();
                let (whole, damaged) = read(&ledger);
                assert!(whole.is_disjoint(&damaged));
                let lost: BTreeSet<_> = everything.difference(&whole).cloned().collect();
                let sealed = path.ends_with("records");
                if sealed {
                    // The directory of the segment says what was there.
                    assert_eq!(lost, damaged, "byte {at} of {path}");
                }
                assert!(
                    lost.len() < everything.len() / 2,
                    "{} records lost",
                    lost.len()
                );
                let findings = ledger.check(&mut |_| {}).unwrap();
                assert!(!findings.is_empty(), "byte {at} of {path}");
                assert!(lost.is_subset(&named(&findings)) || !sealed, "{findings:?}");
            }
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
        }
    }
}

#[test]
fn a_bad_frame_with_a_good_one_behind_it_is_kept_and_never_cut() {
    let (disk, _) = filled();
    let (path, bytes) = files(&disk)
        .into_iter()
        .find(|(path, _)| path.starts_with("journal"))
        .unwrap();
    disk.damage(&path, 60, |byte| *byte ^= 0x10).unwrap();
    let before = disk.read(&path).unwrap();
    let ledger = open(&disk);
    assert_eq!(disk.read(&path).unwrap(), before);
    let broken: Vec<_> = ledger
        .tenants()
        .unwrap()
        .into_iter()
        .filter(|tenant| ledger.head(tenant).is_err())
        .collect();
    assert!(!broken.is_empty(), "{bytes} bytes");
    for tenant in broken {
        assert_eq!(ledger.head(&tenant).unwrap_err().kind(), Kind::Corrupt);
    }
}

#[test]
fn a_record_that_stands_twice_is_met_once() {
    let (disk, _) = filled();
    let name = disk.list("journal").unwrap().pop().unwrap();
    let path = format!("journal/{name}");
    let mut bytes = disk.read(&path).unwrap();
    let frames: Vec<usize> = memchr::memmem::find_iter(&bytes, b"iFRM").collect();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (first, last) = (frames[0], *frames.last().unwrap());
    // The first frame once more, as one that follows the last.
    let mut again = bytes[first..frames[1]].to_vec();
    for (at, value) in [
        (4, number(last + 4) + 1),
        (16, number(last + 16) + number(last + 12)),
        (20, number(last + 20) + 100),
        (24, number(last + 32)),
    ] {
        again[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    let crc = crc32c::crc32c(&again[..32]);
    again[32..36].copy_from_slice(&crc.to_le_bytes());
    bytes.extend(again);
    disk.replace(&path, &bytes).unwrap();
    let ledger = open_as(&disk, true).unwrap();
    for order in [Order::Time, Order::Sequence] {
        for direction in [Direction::NewestFirst, Direction::OldestFirst] {
            let query = Query {
                order,
                direction,
                ..Query::default()
            };
            let hits = ledger.search(&query, None, 10_000).unwrap().hits;
            assert!(hits.len() > 50, "{}", hits.len());
            let mut pairs = hits.iter().zip(hits.iter().skip(1));
            assert!(pairs.all(|(a, b)| query.compare(a, b).is_lt()), "{order:?}");
        }
    }
    for tenant in ledger.tenants().unwrap() {
        let mut next = 0;
        let visit = &mut |stored: Stored<'_>| {
            let range = match stored {
                Stored::Record(record) => record.sequence_number..record.sequence_number + 1,
                Stored::Damaged { range, .. } => range,
            };
            assert_eq!(range.start, next, "{tenant}");
            next = range.end;
            ControlFlow::Continue(())
        };
        ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
        assert!(next > 10, "{tenant}: {next}");
    }
}

#[test]
fn a_torn_end_is_cut_by_a_writer_and_passed_over_by_a_reader() {
    let (disk, commits) = filled();
    let (path, bytes) = files(&disk)
        .into_iter()
        .find(|(path, _)| path.starts_with("journal"))
        .unwrap();
    let frame = disk.read(&path).unwrap().split_off(44);
    for torn in [1, 3, 20, 36, 60] {
        let file = disk.open(&path, indelible_disk::Open::Write).unwrap();
        file.write_at(&frame[..torn], bytes).unwrap();
        let reader = open_as(&disk, true).unwrap();
        assert_eq!(read(&reader).0, all(&commits));
        assert_eq!(reader.check(&mut |_| {}).unwrap(), []);
        assert_eq!(
            disk.len(&path).unwrap(),
            Some(bytes + torn as u64),
            "a reader changes nothing"
        );
        let writer = open(&disk);
        assert_eq!(read(&writer).0, all(&commits));
        assert_eq!(disk.len(&path).unwrap(), Some(bytes));
    }
    // Not the beginning of a frame: it may have been one, so it stays and is reported.
    let file = disk.open(&path, indelible_disk::Open::Write).unwrap();
    file.write_at(&[7; 50], bytes).unwrap();
    let mut writer = open(&disk);
    for _ in 0..2 {
        assert_eq!(disk.len(&path).unwrap(), Some(bytes + 50));
        assert_eq!(read(&writer).0, all(&commits));
        let findings = writer.check(&mut |_| {}).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        drop(writer);
        writer = open(&disk);
    }
}

#[test]
fn deleted_and_damaged_derived_files_are_made_again() {
    let (disk, commits) = filled();
    let derived = files(&disk).into_iter().filter(|(path, _)| {
        path != "FORMAT" && !path.ends_with("records") && !path.starts_with("journal")
    });
    let derived: Vec<_> = derived.map(|(path, _)| path).collect();
    assert!(derived.len() >= 12, "{derived:?}");
    let hits = |ledger: &Embedded| ledger.search(&Query::default(), None, 10_000).unwrap().hits;
    let expected = hits(&open(&disk));
    assert_eq!(expected.len(), all(&commits).len());
    for path in &derived {
        let before = disk.read(path).unwrap();
        disk.remove(path).unwrap();
        let reader = open_as(&disk, true).unwrap();
        assert_eq!(hits(&reader), expected, "a reader without {path}");
        assert_eq!(read(&reader), (all(&commits), BTreeSet::new()));
        assert_eq!(disk.len(path).unwrap(), None, "a reader changes nothing");
        let mut told = Vec::new();
        let opened = Embedded::open(
            Arc::new(disk.clone()),
            Some(Arc::new(Seals)),
            options(),
            &mut |progress| told.push(progress),
        );
        let ledger = opened.unwrap();
        assert!(!told.is_empty(), "nothing said about {path}");
        assert_eq!(ledger.check(&mut |_| {}).unwrap(), [], "{path}");
        let (old, new) = (String::from_utf8_lossy(&before), disk.read(path).unwrap());
        assert_eq!(
            String::from_utf8_lossy(&new),
            old,
            "{path} is another than before"
        );
        disk.damage(path, before.len() as u64 / 2, |byte| *byte ^= 0x10)
            .unwrap();
        let mended = ledger.repair(&mut |_| {}).unwrap();
        assert_eq!(mended.len(), 1, "{path}: {mended:?}");
        assert_eq!(ledger.check(&mut |_| {}).unwrap(), []);
        assert_eq!(disk.read(path).unwrap(), before);
    }
    for path in &derived {
        disk.remove(path).unwrap();
    }
    let ledger = open(&disk);
    assert_eq!(hits(&ledger), expected);
    assert_eq!(ledger.check(&mut |_| {}).unwrap(), []);
}

#[test]
fn a_locked_directory_says_who_holds_it() {
    let (disk, _) = filled();
    let now = Some(Micros(1_790_000_000_000_000));
    let options = Options { now, ..options() };
    let opened = Embedded::open(Arc::new(disk.clone()), None, options, &mut |_| {});
    let holder = opened.unwrap();
    let error = open_as(&disk, false).err().unwrap();
    assert_eq!(error.kind(), Kind::Locked);
    let words = error.to_string();
    let process = format!("process {}", std::process::id());
    assert!(
        words.contains(&process) && words.contains("since 2026-09-2"),
        "{words}"
    );
    drop(holder);
    open(&disk);
}

#[test]
fn other_directories_are_refused_with_advice() {
    let disk = FaultyDisk::new(0);
    assert_eq!(open_as(&disk, false).err().unwrap().kind(), Kind::NotFound);
    disk.replace("notes.txt", b"somebody's").unwrap();
    let used = Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap_err();
    assert_eq!(used.kind(), Kind::Invalid);
    assert!(used.to_string().contains("notes.txt"), "{used}");
    disk.remove("notes.txt").unwrap();
    Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let again = Embedded::create(&disk, [3; 16], [4; 16], Micros(0)).unwrap_err();
    assert_eq!(again.kind(), Kind::Invalid);
    let format = String::from_utf8(disk.read("FORMAT").unwrap()).unwrap();
    let other = format.replace("\"format\":1", "\"format\":2");
    let line = other.lines().next().unwrap();
    disk.replace("FORMAT", line.as_bytes()).unwrap();
    let error = open_as(&disk, false).err().unwrap();
    assert_eq!(error.kind(), Kind::Format);
    assert!(error.to_string().contains("update indelible"), "{error}");
    // Under a checksum that does not fit it is damage, and no other version.
    disk.replace("FORMAT", other.as_bytes()).unwrap();
    let error = open_as(&disk, false).err().unwrap();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("from a backup"), "{error}");
}

#[test]
fn records_of_another_ledger_are_refused() {
    let (disk, _) = filled();
    let (path, _) = files(&disk)
        .into_iter()
        .find(|(path, _)| path.starts_with("journal"))
        .unwrap();
    let other = FaultyDisk::new(0);
    Embedded::create(&other, [7; 16], [2; 16], Micros(0)).unwrap();
    other.replace(&path, &disk.read(&path).unwrap()).unwrap();
    assert_eq!(open_as(&other, false).err().unwrap().kind(), Kind::Corrupt);
}

#[test]
fn a_missing_file_of_records_or_segment_takes_no_other_along() {
    let (disk, commits) = filled();
    let all_files = files(&disk);
    let saved: Vec<_> = all_files
        .iter()
        .map(|(path, _)| (path.clone(), disk.read(path).unwrap()))
        .collect();
    let records = all_files
        .iter()
        .filter(|(path, _)| path.ends_with("records"));
    let mut tried = 0;
    for (records, _) in records {
        let dir = records.trim_end_matches("records");
        let of_segment = all_files.iter().filter(|(path, _)| path.starts_with(dir));
        for paths in [vec![records], of_segment.map(|(path, _)| path).collect()] {
            let whole_segment = paths.len() > 1;
            for path in paths {
                disk.remove(path).unwrap();
            }
            if whole_segment {
                disk.remove_dir(dir.trim_end_matches('/')).unwrap();
            }
            for read_only in [true, false] {
                let why = format!("{records}, {whole_segment}, {read_only}");
                let ledger = open_as(&disk, read_only).unwrap_or_else(|e| panic!("{why}: {e}"));
                let (whole, damaged) = read(&ledger);
                let both: Places = whole.union(&damaged).cloned().collect();
                assert!(!damaged.is_empty() && whole.is_disjoint(&damaged), "{why}");
                assert_eq!(both, all(&commits), "{why}");
                let findings = ledger.check(&mut |_| {}).unwrap();
                assert_eq!(named(&findings), damaged, "{why}");
                for finding in &findings {
                    let place = finding.place.as_ref().unwrap();
                    assert_eq!(finding.kind, FindingKind::Corrupt, "{why}: {finding}");
                    assert_eq!(&place.file, records, "{why}: {finding}");
                }
                if !read_only {
                    assert_eq!(ledger.repair(&mut |_| {}).unwrap(), [], "{why}");
                    let again = ledger.check(&mut |_| {}).unwrap();
                    assert_eq!(again, findings, "{why}: mending changes nothing");
                }
                tried += 1;
            }
            disk.create_dir_all(dir.trim_end_matches('/')).unwrap();
            for (path, bytes) in &saved {
                disk.replace(path, bytes).unwrap();
            }
        }
    }
    assert!(tried >= 8, "{tried}");
}

#[test]
fn without_an_opener_sealed_values_are_kept_and_found_once_there_is_one() {
    let disk = FaultyDisk::new(0);
    Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let mix = Mix {
        tenants: 1,
        personal_percent: 100,
        ..Mix::default()
    };
    let mut generator = Generator::new(4, mix);
    let commit = Commit {
        appends: vec![generator.append(0, 15)],
    };
    open(&disk).append(&commit).unwrap();
    let find = commit.appends[0]
        .records
        .iter()
        .flat_map(|r| &r.sealed)
        .find_map(|v| v.find);
    let expr = indelible_store::Expr::Sealed(vec![find.unwrap()]);
    let query = Query {
        expr,
        ..Query::default()
    };
    let found = |ledger: &Embedded| ledger.search(&query, None, 99).unwrap().hits.len();
    assert!(found(&open(&disk)) > 0);
    // Sealed by somebody without keys: the find index stays empty until it is made again.
    let without = Embedded::open(Arc::new(disk.clone()), None, options(), &mut |_| {}).unwrap();
    assert_eq!(found(&without), 0);
    let more = Commit {
        appends: vec![generator.append(0, 15)],
    };
    let last = Commit {
        appends: vec![generator.append(0, 1)],
    };
    for commit in [&more, &last] {
        without.append(commit).unwrap();
    }
    assert_eq!(without.stats().unwrap().segments, 1);
    drop(without);
    let ledger = open(&disk);
    let before = found(&ledger);
    ledger.repair(&mut |_| {}).unwrap();
    assert!(found(&ledger) > before, "{before} before");
    assert_eq!(ledger.check(&mut |_| {}).unwrap(), []);
}
