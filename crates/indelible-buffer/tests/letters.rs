//! Letters: what was kept is read until it is removed, whatever dies, and never afterwards.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_buffer::{Letters, Random, SpoolError};
use indelible_disk::{Disk, Fault, FaultyDisk, RealDisk};

const NOW: u64 = 1_700_000_000_000_000;
const HOUR: u64 = 3_600_000_000;

fn random() -> Random {
    let next = AtomicU64::new(1);
    Arc::new(move |bytes: &mut [u8]| {
        for byte in bytes {
            let n = next.fetch_add(1, Ordering::Relaxed);
            *byte = u8::try_from((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) & 0xFF).unwrap();
        }
    })
}

fn letters(disk: Arc<dyn Disk>) -> Letters {
    Letters::new(disk, 1 << 20, random())
}

fn real(path: &Path) -> Letters {
    letters(Arc::new(RealDisk::new(path)))
}

fn items(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Letters of an item each.
fn singly(texts: &[&str]) -> Vec<Vec<Vec<u8>>> {
    items(texts).into_iter().map(|item| vec![item]).collect()
}

/// The items of a file, and whether it ends with a whole one.
fn read(letters: &Letters, number: u64) -> Result<(Vec<Vec<u8>>, bool), SpoolError> {
    let mut found = Vec::new();
    let whole = letters.read(number, &mut |at, item| {
        assert_eq!(at, found.len() as u64);
        found.push(item);
        true
    })?;
    Ok((found, whole))
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.join("dead-letters")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn letters_are_read_until_they_are_removed_and_several_may_keep_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (real(directory.path()), real(directory.path()));
    assert_eq!(one.files().unwrap(), [0; 0]);
    assert_eq!(
        one.keep(NOW, &singly(&["first", "", "third"])).unwrap(),
        (NOW, 3)
    );
    assert_eq!(other.keep(NOW, &singly(&["other"])).unwrap(), (NOW + 1, 1));
    assert_eq!(other.files().unwrap(), [NOW, NOW + 1]);
    let first = items(&["first", "", "third"]);
    assert_eq!(read(&other, NOW).unwrap(), (first, true));
    for name in names(directory.path()) {
        let bytes = fs::read(directory.path().join("dead-letters").join(name)).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"first"));
    }
    other.remove(NOW).unwrap();
    other.remove(NOW).unwrap();
    assert_eq!(read(&one, NOW).unwrap(), (vec![], false), "it is gone");
    assert_eq!(one.files().unwrap(), [NOW + 1]);
    assert_eq!(names(directory.path()).len(), 2, "a file and its key");
    // A reader that stops is not told that the file is cut.
    assert!(one.read(NOW + 1, &mut |_, _| false).unwrap());
}

#[test]
fn what_has_no_room_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(directory.path()));
    let letters = Letters::new(disk, 20_000, random());
    let long = "x".repeat(4_000);
    let five = singly(&[long.as_str(); 5]);
    assert_eq!(letters.keep(NOW, &five).unwrap(), (NOW, 4));
    let error = letters.keep(NOW, &five).unwrap_err();
    assert!(error.is_full(), "{error}");
    letters.remove(NOW).unwrap();
    // A file takes two blocks of the disk, however little is in it.
    for n in 0..2 {
        letters.keep(NOW + n, &singly(&["a"])).unwrap();
    }
    assert!(letters.keep(NOW, &singly(&["a"])).unwrap_err().is_full());
}

#[test]
fn a_cut_or_a_changed_file_makes_no_other_unreadable() {
    let directory = tempfile::tempdir().unwrap();
    let letters = real(directory.path());
    letters
        .keep(NOW, &singly(&["first", "second", "third"]))
        .unwrap();
    letters.keep(NOW + 1, &singly(&["whole"])).unwrap();
    let path = Path::new(&letters.path(NOW)).to_owned();
    assert!(path.starts_with(directory.path()));
    let bytes = fs::read(&path).unwrap();
    let ends = [8, 8 + 25, 8 + 25 + 26, bytes.len()];
    let of = |cut: usize| ends[1..].iter().filter(|end| **end <= cut).count();
    // Cut between two letters nothing shows that there were more.
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let mut found = 0;
        let whole = letters.read(NOW, &mut |_, _| {
            found += 1;
            true
        });
        assert_eq!(found, of(cut), "{cut}");
        match whole {
            Ok(whole) => assert!(whole && found > 0 && ends.contains(&cut), "{cut}"),
            Err(error) => {
                assert!(found == 0 || !ends.contains(&cut), "{cut}");
                let told = format!("{} is damaged: its end is cut off", letters.path(NOW));
                assert_eq!(error.to_string(), told);
            }
        }
    }
    // The last letter is as good as the others.
    for at in 8 + 25 + 26 + 4..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] = !changed[at];
        fs::write(&path, &changed).unwrap();
        let mut found = 0;
        let read = letters.read(NOW, &mut |_, _| {
            found += 1;
            true
        });
        assert!(read.is_err() && found == 2, "{at}");
    }
    let mut changed = bytes.clone();
    changed[8 + 25 + 10] ^= 1;
    fs::write(&path, &changed).unwrap();
    let error = read(&letters, NOW).unwrap_err().to_string();
    assert!(error.contains(&letters.path(NOW)), "{error}");
    assert_eq!(read(&letters, NOW + 1).unwrap(), (items(&["whole"]), true));
    assert_eq!(letters.files().unwrap().len(), 2);
}

/// Whatever fails at whatever step, what was said to be kept is read, and what is read is whole.
#[test]
fn a_fault_at_any_step_keeps_all_or_nothing() {
    let kept = items(&["first", "second"]);
    for fault in [
        Fault::Failed,
        Fault::FailedButPersisted,
        Fault::CrashedAfter,
    ] {
        for at in 0.. {
            let disk = Arc::new(FaultyDisk::new(at));
            let letters = letters(Arc::clone(&disk) as Arc<dyn Disk>);
            letters.keep(NOW, &singly(&["before"])).unwrap();
            let begin = disk.count();
            disk.plan(begin + at, fault);
            let told = letters.keep(NOW, std::slice::from_ref(&kept));
            let reached = disk.count() > begin + at;
            disk.reboot();
            let files = letters.files().unwrap();
            assert!(files.contains(&NOW), "what was there stays there");
            let found = read(&letters, NOW + 1).unwrap();
            if told.is_ok() {
                assert_eq!(found, (kept.clone(), true), "step {at}");
            } else {
                let nothing = found.0.is_empty();
                assert!(
                    nothing || found == (kept.clone(), true),
                    "step {at}: {found:?}"
                );
            }
            letters.tidy(NOW + 2 * HOUR).unwrap();
            let readable = usize::from(!found.0.is_empty());
            assert_eq!(letters.files().unwrap().len(), 1 + readable);
            let left = disk.list("dead-letters").unwrap();
            assert_eq!(left.len(), 2 * (1 + readable), "{left:?}");
            if !reached {
                assert!(told.is_ok() && at > 5);
                break;
            }
        }
    }
}

#[test]
fn what_somebody_is_writing_is_not_tidied_up() {
    let directory = tempfile::tempdir().unwrap();
    let letters = real(directory.path());
    letters.keep(NOW, &singly(&["a"])).unwrap();
    let key = Path::new(&letters.path(NOW)).with_extension("key");
    fs::remove_file(&key).unwrap();
    letters.tidy(NOW + HOUR).unwrap();
    assert_eq!(names(directory.path()).len(), 1);
    letters.tidy(NOW + HOUR + 1).unwrap();
    assert_eq!(names(directory.path()).len(), 0);
}
