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

#[test]
fn readers_beside_a_writer_see_whole_commits() {
    let root = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root.path()));
    Embedded::create(&*disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let open = |read_only| {
        let options = Options {
            read_only,
            background: true,
            ..options()
        };
        Embedded::open(
            Arc::clone(&disk),
            Some(Arc::new(Seals)),
            options,
            &mut |_| {},
        )
        .unwrap()
    };
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
