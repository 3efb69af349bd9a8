//! The spool when the disk is full, or what is on it is not what was written.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_buffer::{Spool, SpoolBounds, SpoolError};
use indelible_disk::{Disk, DiskError, DiskFile, Fault, FaultyDisk, Lock, Open, RealDisk};
use support::{append, files, next, open, random, real};

/// A disk with room for nothing new, while it is full.
struct Small {
    disk: RealDisk,
    full: AtomicBool,
}

impl Small {
    fn room(&self, path: &str) -> indelible_disk::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(DiskError::new("write", path, full));
        }
        Ok(())
    }
}

impl Disk for Small {
    fn open(&self, path: &str, how: Open) -> indelible_disk::Result<Box<dyn DiskFile>> {
        if how == Open::New {
            self.room(path)?;
        }
        self.disk.open(path, how)
    }

    fn list(&self, dir: &str) -> indelible_disk::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn len(&self, path: &str) -> indelible_disk::Result<Option<u64>> {
        self.disk.len(path)
    }

    fn rename(&self, from: &str, to: &str) -> indelible_disk::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> indelible_disk::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, path: &str) -> indelible_disk::Result<()> {
        self.disk.remove_dir(path)
    }

    fn create_dir_all(&self, dir: &str) -> indelible_disk::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &str) -> indelible_disk::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn try_lock(&self, path: &str, holder: &str) -> indelible_disk::Result<Box<dyn Lock>> {
        self.disk.try_lock(path, holder)
    }
}

#[test]
fn on_a_full_disk_a_spool_opens_and_what_is_in_it_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(Small {
        disk: RealDisk::new(directory.path()),
        full: AtomicBool::new(false),
    });
    let mut before = open(Arc::clone(&disk) as _, SpoolBounds::default());
    append(&mut before, &["a", "b"]);
    let first = before.epoch;
    drop(before);
    disk.full.store(true, Ordering::Relaxed);
    let mut spool = open(Arc::clone(&disk) as _, SpoolBounds::default());
    assert!(spool.epoch > first, "a new epoch all the same");
    let error = spool.writer.append([&b"c"[..]]).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(next(&mut spool), ["a", "b"]);
    spool.reader.done().unwrap();
    assert_eq!(files(&directory.path().join("0")), [""; 0]);
    disk.full.store(false, Ordering::Relaxed);
    append(&mut spool, &["c"]);
    assert_eq!(next(&mut spool), ["c"]);
}

#[test]
fn a_write_that_finds_no_room_takes_none_and_smaller_ones_leave_what_is_held_back() {
    let disk = FaultyDisk::new(1);
    let mut spool = open(Arc::new(disk.clone()), SpoolBounds::default());
    append(&mut spool, &["a"]);
    let used = disk.used();
    disk.set_room(Some(used + 10_000));
    let large = vec![7; 20_000];
    let error = spool.writer.append([&*large]).unwrap_err();
    assert!(error.is_full(), "{error}");
    // The second try begins a file, of which nothing is left.
    let error = spool.writer.append([&*large]).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(disk.used(), used);
    assert!(spool.writer.hold_back(20_000).unwrap_err().is_full());
    assert_eq!(disk.used(), used);
    let held = spool.writer.hold_back(4_000).unwrap();
    while spool.writer.append([&[7; 400][..]]).is_ok() {}
    assert!(used + 10_000 - disk.used() < 600, "{}", disk.used() - used);
    drop(held);
    for _ in 0..8 {
        append(&mut spool, &[&"b".repeat(400)]);
    }
    let items = spool.reader.next(100, 1 << 20).unwrap();
    assert!(items.len() > 8 + 10 && items[0] == b"a", "{}", items.len());
    spool.reader.done().unwrap();
    // Whoever is killed while he holds room back leaves it to the next.
    std::mem::forget(spool.writer.hold_back(4_000).unwrap());
    let used = disk.used();
    drop(spool);
    drop(open(Arc::new(disk.clone()), SpoolBounds::default()));
    assert!(disk.used() + 4_000 <= used, "{} of {used}", disk.used());
}

#[test]
fn a_slot_whose_epoch_is_damaged_is_passed_over_and_what_is_in_it_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let mut before = real(directory.path());
    append(&mut before, &["a"]);
    let name = before.name.clone();
    drop(before);
    let epoch = directory.path().join("0/epoch");
    for damaged in [&[0, 0xFF, b'7'][..], b"18446744073709551615\n"] {
        fs::write(&epoch, damaged).unwrap();
        let spool = real(directory.path());
        assert_ne!(spool.name, name, "its numbers may have been given");
        assert_eq!(spool.damaged, [epoch.display().to_string()]);
    }
    let mut spool = real(directory.path());
    assert_eq!(next(&mut spool), ["a"]);
}

#[test]
fn a_full_spool_says_so_and_takes_more_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = SpoolBounds {
        bytes_max: 5_000,
        file_bytes_max: 1_000,
    };
    let mut spool = open(Arc::new(RealDisk::new(directory.path())), bounds);
    let item = [7; 400];
    let mut taken = 0;
    let error = loop {
        match spool.writer.append([&item[..]]) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Full { .. }) && error.is_full());
    assert!((9..=12).contains(&taken), "{taken}");
    let held = format!("bytes are held in {}, and", directory.path().display());
    assert!(error.to_string().contains(&held), "{error}");
    assert_eq!(spool.reader.next(100, 1 << 20).unwrap().len(), taken);
    spool.reader.done().unwrap();
    spool.writer.append([&item[..]]).unwrap();
}

#[test]
fn what_cannot_be_opened_is_told_with_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool");
    fs::write(&path, "a file").unwrap();
    let disk = Arc::new(RealDisk::new(&path));
    let opened = Spool::open(disk, SpoolBounds::default(), 7, random());
    let error = opened.unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

/// Leaves two files: of `a` and `b`, and of `c`.
fn two_files(path: &Path) {
    let bounds = SpoolBounds {
        file_bytes_max: 1,
        ..SpoolBounds::default()
    };
    let mut spool = open(Arc::new(RealDisk::new(path)), bounds);
    append(&mut spool, &["a", "b"]);
    append(&mut spool, &["c"]);
}

#[test]
fn a_damaged_file_is_put_aside_and_the_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    two_files(directory.path());
    let path = directory.path().join("0/0000000000000000.spool");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut spool = real(directory.path());
    let mut read = Vec::new();
    let mut damaged = 0;
    for _ in 0..4 {
        match spool.reader.next(100, 1 << 20) {
            Ok(items) => read.extend(items),
            Err(SpoolError::Damaged { .. }) => damaged += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(damaged, 1);
    assert_eq!(read.last().unwrap(), b"c");
    spool.reader.done().unwrap();
    assert!(
        directory
            .path()
            .join("0/0000000000000000.spool.damaged")
            .exists()
    );
}

/// A key that was overwritten says that all is done; one that is gone says nothing.
#[test]
fn a_file_that_lost_its_key_is_told_and_one_whose_key_was_destroyed_is_done() {
    let (gone, cut): (Option<&[u8]>, _) = (None, Some(&[][..]));
    for (key, told) in [(gone, true), (cut, true), (Some(&[0; 64][..]), false)] {
        let directory = tempfile::tempdir().unwrap();
        two_files(directory.path());
        let path = directory.path().join("0/0000000000000000.key");
        match key {
            None => fs::remove_file(path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
        let mut spool = real(directory.path());
        if told {
            let error = spool.reader.next(100, 1 << 20).unwrap_err().to_string();
            let path = directory.path().join("0/0000000000000000.spool");
            let expected = format!("{} is damaged: its key", path.display());
            assert!(error.starts_with(&expected), "{error}");
        }
        assert_eq!(next(&mut spool), ["c"], "{key:?}");
        spool.reader.done().unwrap();
        spool.reader.tidy().unwrap();
        drop(spool);
        // It is told at every start, until somebody has seen it.
        let aside = directory.path().join("0/0000000000000000.spool.damaged");
        let aside = aside.display().to_string();
        let spool = real(directory.path());
        assert_eq!(spool.damaged, Vec::from_iter(told.then_some(aside)));
    }
}

/// Whoever dies over a removal leaves no file that seems to have lost its key.
#[test]
fn a_removal_that_is_cut_short_is_no_damage() {
    for (seed, fail) in (0..8).flat_map(|seed| (0..8).map(move |fail| (seed, fail))) {
        let disk = FaultyDisk::new(seed);
        let mut spool = open(Arc::new(disk.clone()), SpoolBounds::default());
        append(&mut spool, &["a"]);
        assert_eq!(next(&mut spool), ["a"]);
        disk.plan(disk.count() + fail, Fault::CrashedAfter);
        spool.reader.done().unwrap();
        let _ = spool.reader.tidy();
        drop(spool);
        disk.crash();
        disk.reboot();
        let mut spool = open(Arc::new(disk.clone()), SpoolBounds::default());
        let again = next(&mut spool);
        assert!(again.is_empty() || again == ["a"], "{again:?}");
        assert_eq!(spool.damaged, [""; 0]);
    }
}

/// Somebody may want to mend it, which nobody can without the key.
#[test]
fn the_key_of_a_damaged_file_stays_as_long_as_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let slot = directory.path().join("0");
    let mut spool = real(directory.path());
    append(&mut spool, &["a", "b"]);
    let key = fs::read(slot.join("0000000000000000.key")).unwrap();
    drop(spool);
    let path = slot.join("0000000000000000.spool");
    let mut bytes = fs::read(&path).unwrap();
    bytes[12] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for _ in 0..3 {
        let mut spool = real(directory.path());
        let _damaged = spool.reader.next(100, 1 << 20);
        assert_eq!(next(&mut spool), [""; 0]);
        // No file gets its number.
        append(&mut spool, &["c"]);
        assert_eq!(next(&mut spool), ["c"]);
        spool.reader.done().unwrap();
        spool.reader.tidy().unwrap();
        let there = ["0000000000000000.key", "0000000000000000.spool.damaged"];
        assert_eq!(files(&slot), there);
        assert_eq!(fs::read(slot.join(there[0])).unwrap(), key);
    }
    fs::remove_file(slot.join("0000000000000000.spool.damaged")).unwrap();
    let mut spool = real(directory.path());
    assert_eq!(next(&mut spool), [""; 0]);
    spool.reader.done().unwrap();
    assert_eq!(files(&slot), [""; 0]);
}

type Change = Box<dyn Fn(&mut Vec<u8>)>;

/// A file of three items of 300 bytes: what its reader gives, what it tells, and the directory.
fn read_changed(change: impl Fn(&mut Vec<u8>)) -> (usize, Option<String>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = real(directory.path());
    for item in [[1; 300], [2; 300], [3; 300]] {
        spool.writer.append([&item[..]]).unwrap();
    }
    drop(spool);
    let path = directory.path().join("0/0000000000000000.spool");
    let mut bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 8 + 3 * 320);
    change(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let mut spool = real(directory.path());
    let (mut read, mut told) = (0, None);
    for _ in 0..3 {
        match spool.reader.next(100, 1 << 20) {
            Ok(items) => read += items.len(),
            Err(error @ SpoolError::Damaged { .. }) => told = Some(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    }
    // Until what was read of it is done, it comes again.
    assert!(read == 0 || path.exists());
    spool.reader.done().unwrap();
    spool.reader.tidy().unwrap();
    (read, told, directory)
}

#[test]
fn damage_at_the_end_of_a_file_is_told_and_its_bytes_are_kept() {
    let cut = |by: usize| move |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - by);
    let over = |with: u8| {
        move |bytes: &mut Vec<u8>| {
            let at = bytes.len() - 100;
            bytes[at..at + 7].fill(with);
        }
    };
    let all: [(usize, &str, Change); 8] = [
        (2, "an item is not what was written", Box::new(over(b'x'))),
        (2, "an item is not what was written", Box::new(over(0))),
        (2, "its end is cut off", Box::new(cut(100))),
        (2, "its end is cut off", Box::new(cut(1))),
        // Within the four bytes of the length.
        (2, "its end is cut off", Box::new(cut(318))),
        // A length that leads behind the end of the file.
        (1, "its end is cut off", Box::new(|bytes| bytes[330] = 9)),
        (0, "its end is cut off", Box::new(cut(965))),
        // Behind it is more than nothing.
        (
            2,
            "an item is not what was written",
            Box::new(|bytes| {
                bytes[648..].fill(0);
                bytes.push(1);
            }),
        ),
    ];
    for (index, (good, what, change)) in all.into_iter().enumerate() {
        let (read, told, directory) = read_changed(change);
        let slot = directory.path().join("0");
        let path = slot.join("0000000000000000.spool");
        let expected = format!("{} is damaged: {what}", path.display());
        assert_eq!((read, told), (good, Some(expected)), "{index}");
        let there = ["0000000000000000.key", "0000000000000000.spool.damaged"];
        assert_eq!(files(&slot), there, "{index}");
        // And at every start, until somebody removes it.
        assert_eq!(real(directory.path()).damaged.len(), 1, "{index}");
    }
}

/// Whoever dies in a write was promised nothing, and nobody is told.
#[test]
fn what_a_crash_leaves_in_the_middle_of_a_write_is_no_damage() {
    let all: [(usize, Change); 6] = [
        // A kill leaves whole pages, a power failure whole blocks.
        (1, Box::new(|bytes| bytes.truncate(512))),
        (0, Box::new(|bytes| bytes.truncate(0))),
        (0, Box::new(|bytes| bytes.truncate(8))),
        // The length was written, the bytes were not: all of them, or those of a block.
        (2, Box::new(|bytes| bytes[648..].fill(0))),
        (3, Box::new(|bytes| bytes.extend([0; 900]))),
        (
            3,
            Box::new(|bytes| {
                bytes.extend(996_u32.to_le_bytes());
                bytes.resize(968 + 1000, 7);
                bytes[1024..1536].fill(0);
            }),
        ),
    ];
    for (index, (good, change)) in all.into_iter().enumerate() {
        let (read, told, directory) = read_changed(change);
        assert_eq!((read, told), (good, None), "{index}");
        assert_eq!(files(&directory.path().join("0")), [""; 0], "{index}");
        assert_eq!(real(directory.path()).damaged, [""; 0], "{index}");
    }
}

/// What was read of a damaged file and is not done yet must not be put aside with it.
#[test]
fn the_good_items_of_a_damaged_file_come_again_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let mut before = real(directory.path());
    append(&mut before, &["a", "b"]);
    drop(before);
    let path = directory.path().join("0/0000000000000000.spool");
    let mut bytes = fs::read(&path).unwrap();
    bytes.pop();
    fs::write(&path, bytes).unwrap();
    for _ in 0..2 {
        let mut spool = real(directory.path());
        assert_eq!(next(&mut spool), ["a"]);
        spool.reader.next(100, 1 << 20).unwrap_err();
        // Here its process dies.
    }
    let mut spool = real(directory.path());
    assert_eq!(next(&mut spool), ["a"]);
    spool.reader.next(100, 1 << 20).unwrap_err();
    spool.reader.done().unwrap();
    assert!(!path.exists() && path.with_extension("spool.damaged").exists());
}
