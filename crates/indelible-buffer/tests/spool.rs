//! The spool: what was appended comes out in order, whatever dies, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use indelible_buffer::{Random, Spool, SpoolBounds, SpoolError};
use indelible_disk::{Disk, DiskError, DiskFile, Fault, FaultyDisk, Lock, Open, RealDisk};
use proptest::prelude::*;

fn random() -> Random {
    let next = AtomicU64::new(1);
    Arc::new(move |bytes: &mut [u8]| {
        for byte in bytes {
            let n = next.fetch_add(1, Ordering::Relaxed);
            *byte = u8::try_from((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) & 0xFF).unwrap();
        }
    })
}

fn open(disk: Arc<dyn Disk>, bounds: SpoolBounds) -> Spool {
    Spool::open(disk, bounds, 1_700_000_000_000, random()).unwrap()
}

fn real(path: &Path) -> Spool {
    open(Arc::new(RealDisk::new(path)), SpoolBounds::default())
}

fn append(spool: &mut Spool, items: &[&str]) {
    let items = items.iter().map(|item| item.as_bytes());
    spool.writer.append(items).unwrap();
}

fn next(spool: &mut Spool) -> Vec<String> {
    let items = spool.reader.next(100, 1 << 20).unwrap();
    items
        .into_iter()
        .map(|item| String::from_utf8(item).unwrap())
        .collect()
}

fn files(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".spool") || name.contains(".key"))
        .collect();
    names.sort();
    names
}

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
fn a_slot_whose_epoch_is_damaged_is_passed_over_and_what_is_in_it_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let mut before = real(directory.path());
    append(&mut before, &["a"]);
    let name = before.name.clone();
    drop(before);
    let epoch = directory.path().join("0/epoch");
    fs::write(&epoch, [0, 0xFF, b'7']).unwrap();
    for _ in 0..2 {
        let spool = real(directory.path());
        assert_ne!(spool.name, name, "its numbers may have been given");
        assert_eq!(spool.damaged, [epoch.display().to_string()]);
    }
    let mut spool = real(directory.path());
    assert_eq!(next(&mut spool), ["a"]);
}

/// Source: `spec/spool.md` §2.
#[test]
fn files_are_as_the_specification_says() {
    let vectors = include_str!("../../../spec/vectors/spool.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let text = |name: &str| vectors[name].as_str().unwrap().to_owned();
    let (key, file) = (unhex(&text("key")), unhex(&text("file")));
    let items: Vec<_> = vectors["items"].as_array().unwrap().iter().collect();
    let items: Vec<_> = items.iter().map(|item| item.as_str().unwrap()).collect();
    let directory = tempfile::tempdir().unwrap();
    let given = key.clone();
    let random: Random = Arc::new(move |bytes: &mut [u8]| {
        bytes.copy_from_slice(&given[..bytes.len()]);
    });
    let disk = Arc::new(RealDisk::new(directory.path()));
    let mut spool = Spool::open(disk, SpoolBounds::default(), 7, random).unwrap();
    append(&mut spool, &items);
    let slot = directory.path().join("0");
    assert_eq!(fs::read(slot.join("0000000000000000.key")).unwrap(), key);
    let written = fs::read(slot.join("0000000000000000.spool")).unwrap();
    assert_eq!(written, file);
    assert_eq!(fs::read_to_string(slot.join("epoch")).unwrap(), "7\n");
    assert_eq!(next(&mut spool), items);
}

fn unhex(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[test]
fn items_come_out_in_order_and_files_go_when_they_are_done() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = real(directory.path());
    append(&mut spool, &["a", "b"]);
    append(&mut spool, &["c"]);
    assert_eq!(spool.reader.next(2, 1 << 20).unwrap().len(), 2);
    assert_eq!(next(&mut spool), ["c"]);
    assert_eq!(next(&mut spool), [""; 0]);
    assert!(!spool.reader.is_empty(), "nothing is done yet");
    spool.reader.done().unwrap();
    assert!(spool.reader.is_empty());
    spool.reader.tidy().unwrap();
    assert_eq!(files(&directory.path().join("0")), [""; 0]);
    assert_eq!(spool.writer.bytes(), 0);
    append(&mut spool, &["d"]);
    assert_eq!(next(&mut spool), ["d"]);
}

#[test]
fn what_a_dead_process_left_comes_again_and_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut before = real(directory.path());
    append(&mut before, &["a", "b"]);
    assert_eq!(next(&mut before), ["a", "b"]);
    drop(before);
    let mut spool = real(directory.path());
    append(&mut spool, &["c"]);
    assert_eq!(next(&mut spool), ["a", "b", "c"]);
    spool.reader.done().unwrap();
    spool.reader.tidy().unwrap();
    assert_eq!(files(&directory.path().join("0")), [""; 0]);
}

#[test]
fn a_program_finds_its_name_again_with_a_greater_epoch_and_shares_it_with_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let one = real(directory.path());
    let other = real(directory.path());
    assert_ne!(one.name, other.name);
    let (name, epoch) = (one.name.clone(), one.epoch);
    drop(one);
    // The clock stands still, the epoch does not.
    let again = real(directory.path());
    assert_eq!(again.name, name);
    assert_eq!(again.epoch, epoch + 1);
}

#[test]
fn the_slots_of_others_are_taken_over_when_they_are_gone_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = real(directory.path());
    let mut second = real(directory.path());
    append(&mut first, &["first"]);
    append(&mut second, &["second"]);
    second.reader.look_for_orphans();
    assert_eq!(next(&mut second), ["second"]);
    drop(first);
    second.reader.look_for_orphans();
    assert_eq!(next(&mut second), ["first"]);
    // Taken over is as good as alive.
    let mut third = real(directory.path());
    assert_eq!(next(&mut third), [""; 0]);
    second.reader.done().unwrap();
    assert_eq!(files(&directory.path().join("0")), [""; 0]);
}

#[test]
fn nothing_is_in_clear_and_the_key_dies_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = real(directory.path());
    append(&mut spool, &["ada@example.org"]);
    let slot = directory.path().join("0");
    let key = slot.join("0000000000000000.key");
    let bytes = fs::read(slot.join("0000000000000000.spool")).unwrap();
    assert!(!bytes.windows(3).any(|window| window == b"ada"));
    // A second name shows what became of the bytes of the key.
    fs::hard_link(&key, directory.path().join("held")).unwrap();
    next(&mut spool);
    spool.reader.done().unwrap();
    spool.reader.tidy().unwrap();
    assert!(!key.exists());
    assert_eq!(fs::read(directory.path().join("held")).unwrap(), [0; 64]);
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

#[test]
fn a_damaged_file_is_put_aside_and_the_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = SpoolBounds {
        file_bytes_max: 1,
        ..SpoolBounds::default()
    };
    let disk = Arc::new(RealDisk::new(directory.path()));
    let mut spool = open(disk.clone(), bounds);
    append(&mut spool, &["a", "b"]);
    append(&mut spool, &["c"]);
    let path = directory.path().join("0/0000000000000000.spool");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    drop(spool);
    let mut spool = open(disk, bounds);
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
        let bounds = SpoolBounds {
            file_bytes_max: 1,
            ..SpoolBounds::default()
        };
        let disk = Arc::new(RealDisk::new(directory.path()));
        let mut spool = open(disk.clone(), bounds);
        append(&mut spool, &["a", "b"]);
        append(&mut spool, &["c"]);
        drop(spool);
        let path = directory.path().join("0/0000000000000000.key");
        match key {
            None => fs::remove_file(path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
        let mut spool = open(disk.clone(), bounds);
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
        let spool = open(disk, bounds);
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

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Next(usize),
    Done,
    Tidy,
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(1_u8..60, 1..6).prop_map(Step::Append),
        3 => (1_usize..8).prop_map(Step::Next),
        2 => Just(Step::Done),
        1 => Just(Step::Tidy),
        1 => Just(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// On a disk that forgets what was not synced, and fails the n-th operation: what was appended
    /// comes out, in order, at least once; what is done does not come again while its process
    /// lives.
    #[test]
    fn what_was_appended_comes_out(
        steps in prop::collection::vec(step(), 1..60),
        fail in prop::option::of(0_u64..120),
        file_bytes_max in prop_oneof![Just(1_u64), Just(200), Just(4 << 20)],
    ) {
        let disk = FaultyDisk::new(7);
        let bounds = SpoolBounds { file_bytes_max, ..SpoolBounds::default() };
        let mut spool = open(Arc::new(disk.clone()), bounds);
        if let Some(fail) = fail {
            disk.plan(disk.count() + fail, Fault::Failed);
        }
        let mut next_item = 0_u64;
        // What must come, oldest first; and what was given and not done.
        let mut due: Vec<u64> = Vec::new();
        let mut given = 0;
        for step in steps {
            match step {
                Step::Append(lengths) => {
                    let items: Vec<Vec<u8>> = lengths.iter().map(|length| {
                        next_item += 1;
                        let mut item = next_item.to_le_bytes().to_vec();
                        item.resize(8 + usize::from(*length), 1);
                        item
                    }).collect();
                    let first = next_item - items.len() as u64 + 1;
                    if spool.writer.append(items.iter().map(Vec::as_slice)).is_ok() {
                        due.extend(first..=next_item);
                    }
                }
                Step::Next(items_max) => {
                    if let Ok(items) = spool.reader.next(items_max, 1 << 20) {
                        for item in items {
                            let number = number(&item);
                            // After a failed append or a crash an item may come that is not due.
                            if due.get(given) == Some(&number) {
                                given += 1;
                            } else {
                                prop_assert!(due.get(given).is_none_or(|due| number != *due));
                                prop_assert!(!due[given..].contains(&number), "out of order");
                            }
                        }
                    }
                }
                Step::Done => {
                    let _ = spool.reader.done();
                    due.drain(..given);
                    given = 0;
                }
                Step::Tidy => {
                    let _ = spool.reader.tidy();
                }
                Step::Die => {
                    drop(spool);
                    disk.crash();
                    disk.reboot();
                    given = 0;
                    spool = open(Arc::new(disk.clone()), bounds);
                }
            }
        }
        drop(spool);
        disk.crash();
        disk.reboot();
        let mut spool = open(Arc::new(disk.clone()), bounds);
        let mut left = Vec::new();
        loop {
            let items = match spool.reader.next(10, 1 << 20) {
                // What a failed write left behind what was durable.
                Err(SpoolError::Damaged { .. }) if fail.is_some() => continue,
                items => items.unwrap(),
            };
            if items.is_empty() {
                break;
            }
            left.extend(items.iter().map(|item| number(item)));
        }
        let mut rest = left.iter();
        for number in &due {
            prop_assert!(rest.any(|left| left == number), "{number} of {due:?} is not in {left:?}");
        }
    }
}

fn number(item: &[u8]) -> u64 {
    u64::from_le_bytes(item[..8].try_into().unwrap())
}
