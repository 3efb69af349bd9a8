//! A damaged page of a derived file that is met after opening costs nobody an answer: the file is
//! made again in memory, on the way, and only then.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;

use indelible_disk::FaultyDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::{AuditId, Micros};
use indelible_store::conformance::queries::Queries;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Commit, Hits, Index, Kind, Ledger, Query};
use support::*;

/// Everything that derived files answer.
#[derive(Debug, PartialEq)]
struct Answers {
    hits: Vec<Hits>,
    places: Places,
    found: Vec<Vec<Option<u64>>>,
    roots: Vec<Option<String>>,
}

fn answers(ledger: &Embedded, commits: &[Commit], queries: &[Query]) -> Answers {
    let search = |query| ledger.search(query, None, 50).unwrap();
    let appends = || commits.iter().flat_map(|commit| &commit.appends);
    let found = appends().map(|append| {
        let mut ids: Vec<_> = append.records.iter().map(|r| r.audit_id).collect();
        ids.push(AuditId::mint(7, [7; 10]));
        ledger.find(&append.tenant, &ids).unwrap()
    });
    let roots = ledger.tenants().unwrap().into_iter().map(|tenant| {
        let root = ledger.subtree(&tenant, 8, 0);
        root.map_err(|e| assert_eq!(e.kind(), Kind::NotFound)).ok()
    });
    let (places, damaged) = read(ledger);
    assert!(damaged.is_empty(), "{damaged:?}");
    Answers {
        hits: queries.iter().map(search).collect(),
        places,
        found: found.collect(),
        roots: roots.map(|root| Some(root?.to_string())).collect(),
    }
}

/// A ledger with logs that are long enough for tiles, and queries that find something.
fn world() -> (FaultyDisk, Vec<Commit>, Vec<Query>) {
    let disk = FaultyDisk::new(0);
    Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let mix = Mix {
        tenants: 1,
        ..Mix::default()
    };
    let mut generator = Generator::new(9, mix);
    let ledger = open_with(&disk, false, &mut |_| {});
    let mut queries = Queries::new(5);
    let mut commits = Vec::new();
    for _ in 0..7 {
        let append = generator.append(0, 60);
        queries.show(&append);
        let appends = vec![append];
        commits.push(Commit { appends });
        ledger.append(commits.last().unwrap()).unwrap();
    }
    let queries: Vec<_> = (0..40).map(|_| queries.draw(&[100, 420])).collect();
    (disk, commits, queries)
}

fn open_with(disk: &FaultyDisk, read_only: bool, told: &mut dyn FnMut(String)) -> Embedded {
    let options = Options {
        read_only,
        seal_records: 100,
        ..options()
    };
    let disk = Arc::new(disk.clone());
    let opener = Some(Arc::new(Seals) as _);
    Embedded::open(disk, opener, options, &mut |p| told(p.what)).unwrap()
}

#[test]
fn a_damaged_page_met_on_the_way_changes_no_answer() {
    let (disk, commits, queries) = world();
    let expected = answers(&open_with(&disk, true, &mut |_| {}), &commits, &queries);
    assert!(expected.hits.iter().filter(|h| !h.hits.is_empty()).count() > 10);
    assert!(expected.roots.iter().all(Option::is_some));
    let derived = files(&disk).into_iter().filter(|(path, _)| {
        let small = path == "FORMAT" || path.contains("MANIFEST") || path.contains("HEADS");
        !small && !path.ends_with("records") && !path.starts_with("journal")
    });
    let derived: Vec<_> = derived.collect();
    assert!(derived.len() >= 10, "{derived:?}");
    for (path, bytes) in derived {
        let step = usize::try_from(bytes / 13).unwrap().max(1);
        for at in (0..bytes).step_by(step).chain([bytes - 1]) {
            for (read_only, before) in [(true, true), (true, false), (false, false)] {
                let damage = || disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
                let why = || format!("byte {at} of {path}, {read_only} {before}");
                if before {
                    damage();
                }
                let ledger = open_with(&disk, read_only, &mut |_| {});
                if !before {
                    damage();
                }
                assert_eq!(answers(&ledger, &commits, &queries), expected, "{}", why());
                // It is damaged all the same, and said to be.
                assert_eq!(ledger.check(&mut |_| {}).unwrap().len(), 1, "{}", why());
                damage();
            }
        }
    }
}

#[test]
fn several_damaged_files_are_all_made_again() {
    let (disk, commits, queries) = world();
    let reader = open_with(&disk, true, &mut |_| {});
    let expected = answers(&reader, &commits, &queries);
    for (path, bytes) in files(&disk) {
        if ["postings", "ids", "columns", "tiles"]
            .iter()
            .any(|name| path.ends_with(name))
        {
            for at in (12..bytes - 24).step_by(40) {
                disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
            }
        }
    }
    assert_eq!(answers(&reader, &commits, &queries), expected);
    let reader = open_with(&disk, true, &mut |_| {});
    assert_eq!(answers(&reader, &commits, &queries), expected);
}

#[test]
fn opening_reads_no_pages() {
    let (disk, commits, queries) = world();
    let expected = answers(&open_with(&disk, true, &mut |_| {}), &commits, &queries);
    for (path, _) in files(&disk) {
        if path.ends_with("postings") || path.ends_with("ids") {
            disk.damage(&path, 20, |byte| *byte ^= 0x10).unwrap();
        }
    }
    let mut told = Vec::new();
    let reader = open_with(&disk, true, &mut |what| told.push(what));
    told.retain(|what| what.contains("rebuilding"));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(answers(&reader, &commits, &queries), expected);
}
