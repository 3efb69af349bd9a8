//! A small ledger with every kind of file, and what can be read of it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by several test programs"
)]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::{Micros, TenantId};
use indelible_proof::finding::Finding;
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Commit, Ledger, Result, Stored};

/// Records, by log and sequence number.
pub type Places = BTreeSet<(TenantId, u64)>;

pub fn options() -> Options {
    Options {
        seal_records: 20,
        block_bytes: 2000,
        merge_segments: 2,
        background: false,
        ..Options::default()
    }
}

pub fn open_as(disk: &FaultyDisk, read_only: bool) -> Result<Embedded> {
    let options = Options {
        read_only,
        ..options()
    };
    Embedded::open(
        Arc::new(disk.clone()),
        Some(Arc::new(Seals)),
        options,
        &mut |_| {},
    )
}

pub fn open(disk: &FaultyDisk) -> Embedded {
    open_as(disk, false).unwrap()
}

/// A ledger with a merged segment, a sealed one and a tail.
pub fn filled() -> (FaultyDisk, Vec<Commit>) {
    let disk = FaultyDisk::new(0);
    Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let ledger = open(&disk);
    let mix = Mix {
        tenants: 3,
        ..Mix::default()
    };
    let mut generator = Generator::new(9, mix);
    let mut commits = Vec::new();
    let whole = |disk: &FaultyDisk| {
        let manifest = disk.read("segments/MANIFEST").unwrap_or_default();
        let manifest = String::from_utf8(manifest).unwrap();
        let kinds = ["\"clustered\":true", "\"clustered\":false"];
        kinds.iter().all(|kind| manifest.contains(kind))
    };
    let frames = |disk: &FaultyDisk| {
        let name = disk.list("journal").unwrap().pop().unwrap();
        let bytes = disk.read(&format!("journal/{name}")).unwrap();
        bytes.windows(4).filter(|window| *window == b"iFRM").count()
    };
    while !whole(&disk) || frames(&disk) < 3 {
        commits.push(generator.commit(6));
        ledger.append(commits.last().unwrap()).unwrap();
        assert!(
            commits.len() < 200,
            "a merged and a sealed segment and a tail"
        );
    }
    (disk, commits)
}

/// Every file with its length, but the lock, which is no data.
pub fn files(disk: &FaultyDisk) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for name in disk.list(&dir).unwrap() {
            let path = if dir.is_empty() {
                name
            } else {
                format!("{dir}/{name}")
            };
            match disk.len(&path).unwrap() {
                Some(bytes) if path != "LOCK" => files.push((path, bytes)),
                Some(_) => {}
                None => dirs.push(path),
            }
        }
    }
    files.sort();
    files
}

/// What can be read of all logs: sequence numbers, and those said to be damaged.
pub fn read(ledger: &Embedded) -> (Places, Places) {
    let (mut whole, mut damaged) = (BTreeSet::new(), BTreeSet::new());
    for tenant in ledger.tenants().unwrap() {
        let visit = &mut |stored: Stored<'_>| {
            match stored {
                Stored::Record(record) => {
                    whole.insert((tenant.clone(), record.sequence_number));
                }
                Stored::Damaged { range, .. } => {
                    damaged.extend(range.map(|seq| (tenant.clone(), seq)));
                }
            }
            ControlFlow::Continue(())
        };
        ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
    }
    (whole, damaged)
}

pub fn all(commits: &[Commit]) -> Places {
    let appends = commits.iter().flat_map(|commit| &commit.appends);
    appends
        .flat_map(|append| {
            let first = append.expected.size;
            let end = first + append.records.len() as u64;
            (first..end).map(|seq| (append.tenant.clone(), seq))
        })
        .collect()
}

pub fn named(findings: &[Finding]) -> Places {
    let records = findings.iter().filter_map(|finding| {
        let tenant = TenantId::parse(finding.tenant_id.as_ref()?).unwrap();
        let span = finding.records?;
        Some((span.first..=span.last).map(move |seq| (tenant.clone(), seq)))
    });
    records.flatten().collect()
}
