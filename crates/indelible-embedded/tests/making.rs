//! Making a data directory, cut off or failing at each operation: made again, it is there.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use indelible_disk::{Disk, Fault, FaultyDisk};
use indelible_embedded::{Embedded, Options, StateMode, open_state};
use indelible_event::ids::Micros;
use indelible_store::{Ledger as _, Result};

const FAULTS: [Fault; 4] = [
    Fault::Failed,
    Fault::FailedButPersisted,
    Fault::CrashedAfter,
    Fault::Torn { bytes: 5 },
];
const SEEDS: u64 = 4;

/// As a directory is made: its state stores, then the ledger.
fn make(disk: &FaultyDisk) -> Result<()> {
    disk.create_dir_all("").unwrap();
    Embedded::may_create(disk)?;
    for path in ["state.redb", "keys/keys.redb"] {
        drop(open_state(Arc::new(disk.clone()), path, StateMode::Create)?);
    }
    Embedded::create(disk, [1; 16], [2; 16], Micros(7))
}

#[test]
fn a_directory_that_was_not_made_to_the_end_is_made_again() {
    let untouched = FaultyDisk::new(0);
    make(&untouched).unwrap();
    let operations = untouched.count();
    assert!(operations > 20, "{operations}");
    let mut again = 0;
    for fault in FAULTS {
        for (at, seed) in (0..operations).flat_map(|at| (0..SEEDS).map(move |seed| (at, seed))) {
            let disk = FaultyDisk::new(seed);
            disk.plan(at, fault);
            let _ = make(&disk);
            disk.reboot();
            let why = format!("{fault:?} at {at}, seed {seed}: {:?}", disk.list(""));
            if disk.len("FORMAT").unwrap().is_none() {
                make(&disk).unwrap_or_else(|e| panic!("{why}: {e}"));
                again += 1;
            }
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let opened = Embedded::open(disk, None, Options::default(), &mut |_| {});
            let tenants = opened.and_then(|ledger| ledger.tenants());
            assert!(tenants.is_ok_and(|tenants| tenants.is_empty()), "{why}");
        }
    }
    assert!(again > 100, "{again}");
}
