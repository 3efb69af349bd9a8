//! An answer that may lack records says so: whatever byte of a file of records is damaged, what is
//! not found is named, by log and numbers where these can be known, else by place.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use indelible_disk::Disk;
use indelible_embedded::Embedded;
use indelible_store::conformance::queries::Queries;
use indelible_store::{Commit, Index, Query};
use support::*;

/// What a search of everything gives and says: found and readable, and named as lacking; and
/// whether it said that something lacks of which it is not known what.
fn answer(ledger: &Embedded, query: &Query) -> (Places, Places, bool) {
    let hits = ledger.search(query, None, 10_000).unwrap().hits;
    let (whole, damaged) = read(ledger);
    let hits: Places = hits
        .into_iter()
        .map(|place| (place.tenant, place.sequence_number))
        .collect();
    let mut named: Places = hits.intersection(&damaged).cloned().collect();
    let mut somewhere = false;
    for unread in ledger.unread(query).unwrap() {
        match unread.log {
            Some((tenant, range)) => named.extend(range.map(|seq| (tenant.clone(), seq))),
            None => somewhere = true,
        }
    }
    (
        hits.intersection(&whole).cloned().collect(),
        named,
        somewhere,
    )
}

#[test]
fn nothing_is_said_of_a_whole_directory() {
    let (disk, commits) = filled();
    for read_only in [true, false] {
        let ledger = open_as(&disk, read_only).unwrap();
        assert_eq!(
            answer(&ledger, &Query::default()),
            (all(&commits), BTreeSet::new(), false)
        );
    }
}

#[test]
fn a_flipped_byte_in_records_is_never_passed_over_in_silence() {
    let (disk, commits) = filled();
    let everything = all(&commits);
    let records: Vec<_> = files(&disk)
        .into_iter()
        .filter(|(path, _)| path.ends_with("records") || path.starts_with("journal"))
        .collect();
    let (mut lost, mut named_closely) = (0, 0);
    for (path, bytes) in records {
        // The first record, the last, and many in between.
        for at in (90..bytes).step_by(97).chain([bytes - 1]) {
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
            for read_only in [true, false] {
                let saved = disk.read(&path).unwrap();
                let ledger = open_as(&disk, read_only).unwrap();
                let (found, named, somewhere) = answer(&ledger, &Query::default());
                let lacks: Places = everything.difference(&found).cloned().collect();
                let silent = lacks.difference(&named).count();
                assert!(
                    silent == 0 || somewhere,
                    "byte {at} of {path}, {read_only}: {silent} of {} are passed over",
                    lacks.len()
                );
                assert!(named.is_disjoint(&found), "byte {at} of {path}");
                lost += usize::from(!lacks.is_empty());
                named_closely += usize::from(silent == 0 && !lacks.is_empty());
                assert_eq!(disk.read(&path).unwrap(), saved);
            }
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
        }
    }
    assert!(lost > 40 && named_closely > 20, "{lost} {named_closely}");
}

#[test]
fn only_logs_that_were_asked_for_are_named() {
    let (disk, _) = filled();
    let journal = files(&disk)
        .into_iter()
        .find(|(path, _)| path.starts_with("journal"))
        .unwrap();
    disk.damage(&journal.0, 100, |byte| *byte ^= 0x10).unwrap();
    let ledger = open_as(&disk, true).unwrap();
    let unread = ledger.unread(&Query::default()).unwrap();
    let logs: BTreeSet<_> = unread
        .iter()
        .filter_map(|unread| Some(unread.log.as_ref()?.0.clone()))
        .collect();
    let one = logs.first().expect("a log that goes on behind the damage");
    for tenants in [vec![one.clone()], vec![]] {
        let query = Query {
            tenants: Some(tenants.clone()),
            ..Query::default()
        };
        let unread = ledger.unread(&query).unwrap();
        let named: BTreeSet<_> = unread.into_iter().filter_map(|u| Some(u.log?.0)).collect();
        assert_eq!(named.into_iter().collect::<Vec<_>>(), tenants);
    }
}

/// Searches with their answers, among them such as ask for what stood before a mark.
fn searches(ledger: &Embedded, commits: &[Commit]) -> Vec<(Query, Places)> {
    let mut queries = Queries::new(3);
    let appends = commits.iter().flat_map(|commit| &commit.appends);
    appends.for_each(|append| queries.show(append));
    let everything = all(commits).len() as u64;
    let marks: Vec<_> = (0..=everything).step_by(7).collect();
    let mut searches = vec![(Query::default(), all(commits))];
    while searches.len() < 60 {
        let query = queries.draw(&marks);
        let found = found(ledger, &query);
        if !found.is_empty() {
            searches.push((query, found));
        }
    }
    searches
}

fn found(ledger: &Embedded, query: &Query) -> Places {
    let hits = ledger.search(query, None, 10_000).unwrap().hits;
    let places = hits.into_iter();
    places
        .map(|hit| (hit.tenant, hit.sequence_number))
        .collect()
}

#[test]
fn an_index_made_again_from_damaged_records_passes_over_none_of_them() {
    let (disk, commits) = filled();
    let searches = searches(&open(&disk), &commits);
    let saved = files(&disk);
    let saved: Vec<_> = saved
        .into_iter()
        .map(|(p, _)| (disk.read(&p).unwrap(), p))
        .collect();
    let segments = saved.iter().filter(|(_, path)| path.ends_with("records"));
    let (mut found_all_the_same, mut named_only) = (0, 0);
    for (bytes, records) in segments {
        let dir = records.trim_end_matches("/records");
        let personal = dir.replace("segments", "personal");
        // In a frame's header, whose blocks are whole, and in its blocks.
        for at in [44 + 9, bytes.len() / 2] {
            for name in ["postings", "columns", "ids", "tiles", "personal"] {
                for (read_only, removed) in [(true, true), (true, false), (false, true)] {
                    let path = match name {
                        "personal" => personal.clone(),
                        name => format!("{dir}/{name}"),
                    };
                    let why = format!("byte {at} of {records}, {path}, {read_only}, {removed}");
                    disk.damage(records, at as u64, |byte| *byte ^= 0x10)
                        .unwrap();
                    if removed {
                        disk.remove(&path).unwrap();
                    } else {
                        disk.damage(&path, 13, |byte| *byte ^= 0x10).unwrap();
                    }
                    // Again: what one who writes has made again is what the next one finds.
                    for _ in 0..2 {
                        let ledger = open_as(&disk, read_only).unwrap();
                        for (query, expected) in &searches {
                            let hits = found(&ledger, query);
                            let mut lacks: Places = expected.difference(&hits).cloned().collect();
                            found_all_the_same += usize::from(lacks.is_empty());
                            named_only += usize::from(!lacks.is_empty());
                            for unread in ledger.unread(query).unwrap() {
                                match unread.log {
                                    Some((log, range)) => {
                                        lacks.retain(|(t, seq)| *t != log || !range.contains(seq));
                                    }
                                    None => lacks.clear(),
                                }
                            }
                            assert_eq!(lacks, BTreeSet::new(), "{why}: {query:?}");
                        }
                    }
                    for (bytes, path) in &saved {
                        disk.replace(path, bytes).unwrap();
                    }
                }
            }
        }
    }
    assert!(
        found_all_the_same > 1000 && named_only > 100,
        "{found_all_the_same} {named_only}"
    );
}
