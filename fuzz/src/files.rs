//! A small ledger with every kind of file in it, and everything that is asked of one that may be
//! damaged.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use indelible_disk::{Disk, FaultyDisk, Open};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::{AuditId, Micros};
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::{Direction, Index as _, Ledger as _, Order, Query, Stored};

/// Its files, by path: always the same ones.
pub(crate) static FILES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let disk = FaultyDisk::new(0);
    Embedded::create(&disk, [1; 16], [2; 16], Micros(0)).expect("the disk is empty");
    let ledger = open(&disk, false).expect("it was just made");
    let mix = Mix {
        tenants: 2,
        ..Mix::default()
    };
    let mut generator = Generator::new(9, mix);
    // A merged segment, a sealed one, and a tail of two frames.
    let mut commit = |count: usize| {
        for _ in 0..count {
            ledger.append(&generator.commit(4)).expect("it has room");
        }
    };
    let kinds = || {
        let manifest = disk.read("segments/MANIFEST").unwrap_or_default();
        let manifest = String::from_utf8_lossy(&manifest).into_owned();
        let has = |text: &str| manifest.contains(text);
        has("\"clustered\":true") && has("\"clustered\":false")
    };
    while !kinds() {
        commit(1);
    }
    commit(2);
    drop(ledger);
    let mut files = BTreeMap::new();
    collect(&disk, "", &mut files);
    files
});

fn open(disk: &FaultyDisk, read_only: bool) -> indelible_store::Result<Embedded> {
    let options = Options {
        read_only,
        seal_records: 12,
        block_bytes: 1500,
        merge_segments: 2,
        background: false,
        ..Options::default()
    };
    let disk = Arc::new(disk.clone());
    Embedded::open(disk, Some(Arc::new(Seals)), options, &mut |_| {})
}

fn collect(disk: &FaultyDisk, directory: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for name in disk.list(directory).expect("a directory") {
        let path = format!(
            "{directory}{}{name}",
            if directory.is_empty() { "" } else { "/" }
        );
        match disk.len(&path).expect("a name that was listed") {
            Some(_) if path == "LOCK" => {}
            Some(_) => drop(files.insert(path.clone(), disk.read(&path).expect("a file"))),
            None => collect(disk, &path, files),
        }
    }
}

/// The file that a byte names: its path and its bytes.
pub(crate) fn named(byte: u8) -> (&'static str, &'static [u8]) {
    let (path, bytes) = FILES
        .iter()
        .nth(usize::from(byte) % FILES.len())
        .expect("there are files");
    (path, bytes)
}

/// Opens the ledger for reading with `bytes` in place of what is at `path`, and asks it everything;
/// whether it opened.
///
/// # Panics
/// Where an answer cannot be one, or an untouched ledger is not whole.
pub(crate) fn read_with(path: &str, bytes: &[u8]) -> bool {
    let disk = FaultyDisk::new(0);
    for (name, whole) in FILES.iter() {
        let bytes = if name == path { bytes } else { whole };
        disk.create_dir_all(indelible_disk::parent(name))
            .expect("a directory");
        let file = disk.open(name, Open::New).expect("a new file");
        file.write_at(bytes, 0).expect("it has room");
    }
    let untouched = FILES.get(path).is_some_and(|whole| whole == bytes);
    let ledger = match open(&disk, true) {
        Ok(ledger) => ledger,
        Err(error) => {
            assert!(!untouched, "{error}");
            return false;
        }
    };
    let whole = records(&ledger);
    search(&ledger);
    let findings = ledger.check(&mut |_| {}).expect("damage is no error");
    let _ = ledger.stats().expect("it only counts bytes");
    if untouched {
        assert!(whole && findings.is_empty(), "{findings:?}");
    }
    true
}

/// Reads every log; whether all of it can be read.
fn records(ledger: &Embedded) -> bool {
    let mut whole = true;
    for tenant in ledger.tenants().expect("the heads are in memory") {
        whole &= ledger.head(&tenant).is_ok();
        let mut next = 0;
        let visit = &mut |stored: Stored<'_>| {
            match stored {
                Stored::Record(record) => {
                    assert!(record.sequence_number >= next, "records come in order");
                    next = record.sequence_number.saturating_add(1);
                }
                Stored::Damaged { range, .. } => {
                    assert!(range.start >= next && range.start <= range.end);
                    next = range.end;
                    whole = false;
                }
            }
            ControlFlow::Continue(())
        };
        whole &= ledger.read(&tenant, 0..u64::MAX, visit).is_ok();
        whole &= ledger.find(&tenant, &[AuditId([7; 16])]).is_ok();
        whole &= ledger.subtree(&tenant, 0, 0).is_ok();
    }
    whole
}

/// Pages through all records in each order: the hits come in it, and end.
fn search(ledger: &Embedded) {
    let directions = [Direction::NewestFirst, Direction::OldestFirst];
    for (order, direction) in [Order::Time, Order::Sequence]
        .into_iter()
        .flat_map(|order| directions.map(|direction| (order, direction)))
    {
        let query = Query {
            order,
            direction,
            ..Query::default()
        };
        let mut after = None;
        while let Ok(hits) = ledger.search(&query, after.as_ref(), 7) {
            for hit in hits.hits {
                if let Some(before) = &after {
                    let ordered = query.compare(before, &hit).is_lt();
                    assert!(ordered, "hits come in order: {before:?}, {hit:?}");
                }
                after = Some(hit);
            }
            if hits.exhausted {
                break;
            }
        }
        let _ = ledger.unread(&query);
    }
}
