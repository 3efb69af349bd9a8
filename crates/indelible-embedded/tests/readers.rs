//! Readers: beside a writer, and over damaged derived files.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use indelible_disk::{Disk, RealDisk};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::Micros;
use indelible_proof::finding::FindingKind;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Commit, Index, Kind, Ledger, Query};

use support::*;

/// Opens a directory; the writer seals and merges in the background.
fn open(disk: &Arc<dyn Disk>, read_only: bool) -> Embedded {
    let options = Options {
        read_only,
        background: true,
        ..options()
    };
    let (disk, opener) = (Arc::clone(disk), Some(Arc::new(Seals) as _));
    Embedded::open(disk, opener, options, &mut |_| {}).unwrap()
}

#[test]
fn readers_beside_a_writer_see_whole_commits() {
    let root = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root.path()));
    Embedded::create(&*disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let open = |read_only| open(&disk, read_only);
    let writer = open(false);
    let mut generator = Generator::new(
        3,
        Mix {
            tenants: 1,
            ..Mix::default()
        },
    );
    let tenant = generator.tenants().next().unwrap().clone();
    std::thread::scope(|scope| {
        let write = scope.spawn(|| {
            for _ in 0..120 {
                let appends = vec![generator.append(0, 5)];
                writer.append(&Commit { appends }).unwrap();
            }
        });
        let mut seen = 0;
        while !write.is_finished() {
            let reader = open(true);
            let size = reader
                .head(&tenant)
                .unwrap()
                .map_or(0, |head| head.frontier.size());
            assert!(size >= seen && size % 5 == 0, "{size} after {seen}");
            let (whole, damaged) = read(&reader);
            assert_eq!((whole.len() as u64, damaged.len()), (size, 0));
            assert_eq!(
                reader
                    .search(&Query::default(), None, 9999)
                    .unwrap()
                    .hits
                    .len(),
                whole.len()
            );
            let refused = reader.append(&Commit {
                appends: Vec::new(),
            });
            assert!(matches!(
                refused.unwrap_err().kind(),
                Kind::ReadOnly | Kind::Invalid
            ));
            seen = size;
        }
    });
    writer.close().unwrap();
    assert_eq!(read(&open(true)).0.len(), 600);
}

/// Beside a writer that seals and merges all the time nothing is damaged, whenever one looks: not
/// what is being replaced, nor what was merged away since it was opened.
#[test]
fn checks_beside_a_writer_that_seals_and_merges_find_nothing() {
    const LEDGERS: u64 = 5;
    const ROUNDS: usize = 60;
    let met: usize = (0..LEDGERS).map(|seed| checks_beside(seed, ROUNDS)).sum();
    assert!(met > 100, "{met} manifests were met");
}

/// Looks `rounds` times beside a writer that goes on as long; how many manifests were met.
fn checks_beside(seed: u64, rounds: usize) -> usize {
    const COMMITS_PER_ROUND: usize = 8;
    let root = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root.path()));
    Embedded::create(&*disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let open = |read_only| open(&disk, read_only);
    let (turns, wanted) = std::sync::mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = open(false);
            let mut generator = Generator::new(seed, Mix::default());
            // Ends when the reader is gone, whatever ended it.
            for () in wanted {
                for _ in 0..COMMITS_PER_ROUND {
                    writer.append(&generator.commit(6)).unwrap();
                }
            }
            writer.close().unwrap();
        });
        let turns = turns;
        let mut manifests = BTreeSet::new();
        for round in 0..rounds {
            turns.send(()).unwrap();
            let reader = open(true);
            let findings = reader.check(&mut |_| {}).unwrap();
            assert_eq!(findings, [], "round {round}");
            let made = reader.made_in_memory();
            assert_eq!(made, Vec::<String>::new(), "round {round}");
            manifests.insert(disk.read("segments/MANIFEST").unwrap_or_default());
        }
        manifests.len()
    })
}

/// A reader makes what is derived again in memory: no derived byte keeps a record from being read.
#[test]
fn damaged_derived_files_do_not_keep_a_reader_out() {
    let (disk, commits) = filled();
    let everything = all(&commits);
    let made = ["postings", "columns", "ids", "tiles"];
    let is_derived =
        |path: &str| path.starts_with("personal/") || made.iter().any(|name| path.ends_with(name));
    let mut tried = 0;
    for (path, bytes) in files(&disk)
        .into_iter()
        .filter(|(path, _)| is_derived(path))
    {
        for at in [0, bytes / 3, bytes / 2, bytes.saturating_sub(30), bytes - 1] {
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
            let reader = open_as(&disk, true).unwrap_or_else(|e| panic!("{path} {at}: {e}"));
            assert_eq!(
                read(&reader),
                (everything.clone(), BTreeSet::new()),
                "{path} {at}"
            );
            let findings = reader.check(&mut |_| {}).unwrap();
            let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, [FindingKind::DerivedDamaged], "{path} {at}");
            drop(reader);
            disk.damage(&path, at, |byte| *byte ^= 0x10).unwrap();
            tried += 1;
        }
    }
    assert!(tried >= 50, "{tried}");
}
