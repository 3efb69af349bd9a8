//! The faulty disk keeps exactly what it should: it is the oracle of every durability test.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_disk::{Disk, DiskErrorKind, Fault, FaultyDisk, Open, Operation, RealDisk};
use proptest::prelude::*;

/// Writes a file in a directory with every sync that durability takes.
fn write_durably(disk: &dyn Disk, path: &str, bytes: &[u8]) -> indelible_disk::Result<()> {
    disk.create_dir_all("a/b")?;
    disk.sync_dir("")?;
    disk.sync_dir("a")?;
    let file = disk.open(path, Open::New)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.sync_dir(indelible_disk::parent(path))
}

/// Whether some seed loses the file when `fault` happens to operation `at`.
fn some_seed_loses(at: u64, fault: Fault) -> bool {
    (0..16).any(|seed| {
        let disk = FaultyDisk::new(seed);
        disk.plan(at, fault);
        let _ = write_durably(&disk, "a/b/c", b"bytes");
        disk.reboot();
        disk.read("a/b/c").map_or(true, |bytes| bytes != b"bytes")
    })
}

#[test]
fn what_was_synced_survives_every_reboot() {
    for seed in 0..32 {
        let disk = FaultyDisk::new(seed);
        write_durably(&disk, "a/b/c", b"bytes").unwrap();
        disk.reboot();
        assert_eq!(disk.read("a/b/c").unwrap(), b"bytes");
    }
}

#[test]
fn every_forgotten_sync_is_noticed() {
    let disk = FaultyDisk::new(0);
    write_durably(&disk, "a/b/c", b"bytes").unwrap();
    let mut syncs = 0;
    for (at, (operation, path)) in disk.history().into_iter().enumerate() {
        if matches!(operation, Operation::SyncData | Operation::SyncDir) {
            syncs += 1;
            assert!(
                some_seed_loses(at as u64, Fault::Ignored),
                "{operation:?} of {path}"
            );
        }
    }
    assert_eq!(syncs, 4);
}

#[test]
fn a_failed_sync_loses_what_it_was_to_write_even_if_the_next_succeeds() {
    let disk = FaultyDisk::new(1);
    let file = disk.open("f", Open::New).unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(b"gone", 0).unwrap();
    disk.plan(disk.count(), Fault::Failed);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    disk.reboot();
    assert_eq!(disk.read("f").unwrap(), b"");
}

#[test]
fn failed_but_persisted_is_there_and_the_caller_saw_an_error() {
    let disk = FaultyDisk::new(1);
    let file = disk.open("f", Open::New).unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(b"kept", 0).unwrap();
    disk.plan(disk.count(), Fault::FailedButPersisted);
    assert!(file.sync_data().is_err());
    disk.reboot();
    assert_eq!(disk.read("f").unwrap(), b"kept");
}

#[test]
fn after_a_crash_everything_fails_until_the_reboot() {
    let disk = FaultyDisk::new(1);
    let file = disk.open("f", Open::New).unwrap();
    disk.sync_dir("").unwrap();
    disk.plan(disk.count(), Fault::Torn { bytes: 2 });
    assert!(file.write_at(b"torn", 0).is_err());
    assert!(disk.is_crashed());
    assert!(disk.len("f").is_err() && file.sync_data().is_err() && disk.list("").is_err());
    disk.reboot();
    assert_eq!(disk.read("f").unwrap(), b"to");
    assert!(
        file.read_at(&mut [0; 2], 0).is_err(),
        "a file of before the reboot is dead"
    );
}

#[test]
fn a_full_disk_says_so_and_works_again_with_room() {
    let disk = FaultyDisk::new(1);
    disk.set_room(Some(6));
    let file = disk.open("f", Open::New).unwrap();
    file.write_at(b"1234", 0).unwrap();
    let full = file.write_at(b"5678", 4).unwrap_err();
    assert_eq!(full.kind(), DiskErrorKind::NoSpace);
    assert_eq!(disk.read("f").unwrap(), b"123456");
    file.set_len(4).unwrap();
    disk.set_room(None);
    file.write_at(b"5678", 4).unwrap();
    assert_eq!(disk.read("f").unwrap(), b"12345678");
}

#[test]
fn a_rename_is_old_or_new_and_durable_after_the_sync_of_its_directory() {
    let mut seen = [false; 2];
    for seed in 0..32 {
        let disk = FaultyDisk::new(seed);
        write_durably(&disk, "a/b/old", b"1").unwrap();
        disk.rename("a/b/old", "a/new").unwrap();
        disk.reboot();
        let old = disk.len("a/b/old").unwrap().is_some();
        assert_ne!(old, disk.len("a/new").unwrap().is_some());
        seen[usize::from(old)] = true;
    }
    assert_eq!(seen, [true; 2], "both ends of an unsynced rename are met");
    let disk = FaultyDisk::new(0);
    write_durably(&disk, "a/b/old", b"1").unwrap();
    disk.rename("a/b", "a/moved").unwrap();
    disk.sync_dir("a").unwrap();
    disk.reboot();
    assert_eq!(disk.read("a/moved/old").unwrap(), b"1");
}

#[test]
fn replace_keeps_the_old_or_the_new_whatever_fails() {
    let trial = FaultyDisk::new(0);
    trial.replace("f", b"old").unwrap();
    let from = trial.count();
    trial.replace("f", b"newer").unwrap();
    for at in from..trial.count() {
        for fault in [Fault::Failed, Fault::CrashedAfter, Fault::Torn { bytes: 2 }] {
            for seed in 0..8 {
                let disk = FaultyDisk::new(seed);
                disk.replace("f", b"old").unwrap();
                disk.plan(at, fault);
                assert!(disk.replace("f", b"newer").is_err());
                disk.reboot();
                let bytes = disk.read("f").unwrap();
                assert!(
                    bytes == b"old" || bytes == b"newer",
                    "{at} {fault:?}: {bytes:?}"
                );
            }
        }
    }
}

fn both(test: impl Fn(&dyn Disk)) {
    let root = tempfile::tempdir().unwrap();
    test(&RealDisk::new(root.path()));
    test(&FaultyDisk::new(0));
}

#[test]
fn the_real_disk_and_the_faulty_one_answer_alike() {
    both(|disk| {
        write_durably(disk, "a/b/c", b"bytes").unwrap();
        assert_eq!(disk.list("a/b").unwrap(), ["c"]);
        assert_eq!(disk.list("nowhere").unwrap(), [""; 0]);
        assert_eq!(disk.len("a/b/c").unwrap(), Some(5));
        assert_eq!(disk.len("a/b").unwrap(), None);
        let kind = |result: indelible_disk::Result<_>| result.map(|_: u8| ()).unwrap_err().kind();
        assert_eq!(
            kind(disk.open("x", Open::Read).map(|_| 0)),
            DiskErrorKind::NotFound
        );
        assert_eq!(
            kind(disk.open("a/b/c", Open::New).map(|_| 0)),
            DiskErrorKind::Exists
        );
        assert_eq!(kind(disk.remove("x").map(|()| 0)), DiskErrorKind::NotFound);
        let file = disk.open("a/b/c", Open::Write).unwrap();
        let mut into = [0; 8];
        assert_eq!(file.read_at(&mut into, 2).unwrap(), 3);
        assert_eq!(
            file.read_exact_at(&mut into, 2).unwrap_err().kind(),
            DiskErrorKind::Short
        );
        file.set_len(7).unwrap();
        assert_eq!(disk.read("a/b/c").unwrap(), b"bytes\0\0");
        assert!(disk.remove_dir("a/b").is_err(), "not empty");
        disk.remove("a/b/c").unwrap();
        disk.remove_dir("a/b").unwrap();
        assert_eq!(disk.list("a").unwrap(), [""; 0]);
    });
}

#[test]
fn a_lock_says_who_holds_it() {
    both(|disk| {
        let lock = disk
            .try_lock("LOCK", "process 7, serve, since noon")
            .unwrap();
        let refused = disk.try_lock("LOCK", "process 8").map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), DiskErrorKind::Locked);
        let words = refused.to_string();
        assert_eq!(
            words,
            format!(
                "cannot lock {}: held by process 7, serve, since noon",
                disk.locate("LOCK")
            )
        );
        drop(lock);
        disk.try_lock("LOCK", "process 8").unwrap();
    });
}

#[cfg(unix)]
#[test]
fn files_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    write_durably(&RealDisk::new(root.path()), "a/b/c", b"bytes").unwrap();
    let mode = |path: &str| {
        let about = std::fs::metadata(root.path().join(path)).unwrap();
        about.permissions().mode() & 0o777
    };
    assert_eq!((mode("a/b/c"), mode("a/b")), (0o600, 0o700));
}

proptest! {
    #[test]
    fn writes_agree_with_the_real_disk(
        edits in proptest::collection::vec(
            (0_u64..64, 0_usize..32, any::<u8>(), any::<bool>()), 0..24
        ),
    ) {
        let root = tempfile::tempdir().unwrap();
        let real = RealDisk::new(root.path());
        let faulty = FaultyDisk::new(9);
        for disk in [&real as &dyn Disk, &faulty] {
            let file = disk.open("f", Open::New).unwrap();
            for &(offset, count, byte, cut) in &edits {
                if cut {
                    file.set_len(offset).unwrap();
                } else {
                    file.write_at(&vec![byte; count], offset).unwrap();
                }
            }
            file.sync_data().unwrap();
            disk.sync_dir("").unwrap();
        }
        faulty.reboot();
        prop_assert_eq!(real.read("f").unwrap(), faulty.read("f").unwrap());
    }
}
