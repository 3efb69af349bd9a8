//! Any byte of a state file changed, any part of it cut off: an error that says so, or harmless,
//! and never a panic.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk};
use indelible_embedded::{StateMode, open_state};
use indelible_store::{Change, Kind, State};

const PATH: &str = "state.redb";
const KEYS: u64 = 400;

fn change(n: u64) -> Change {
    Change {
        space: if n.is_multiple_of(3) {
            "some"
        } else {
            "others"
        },
        key: format!("key {n}").into_bytes(),
        expected: None,
        // Some values take pages of their own.
        value: Some(vec![7; if n == 5 { 20_000 } else { 60 }]),
    }
}

/// A file as a ledger leaves it: written to many times, closed.
fn file() -> Vec<u8> {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    let state = open_state(Arc::clone(&disk), PATH, StateMode::Create).unwrap();
    for n in 0..KEYS {
        state.apply(&[change(n)]).unwrap();
    }
    drop(state);
    disk.read(PATH).unwrap()
}

/// Whether a reader says that the file is damaged; otherwise everything is there. A writer says the
/// same, and leaves the bytes as they are.
fn is_noticed(bytes: &[u8], why: &str) -> bool {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    disk.replace(PATH, bytes).unwrap();
    match open_state(Arc::clone(&disk), PATH, StateMode::Read) {
        Ok(state) => {
            for n in 0..KEYS {
                let Change {
                    space, key, value, ..
                } = change(n);
                let found = state.get(space, &key).unwrap().map(|(value, _)| value);
                assert_eq!(found, value, "{why}");
            }
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Corrupt, "{why}: {error}");
            assert!(error.to_string().contains("restore it from"), "{error}");
            let writer = open_state(Arc::clone(&disk), PATH, StateMode::Create);
            assert_eq!(writer.err().unwrap().kind(), Kind::Corrupt, "{why}");
            assert!(disk.read(PATH).unwrap() == bytes, "{why}: written to");
            true
        }
    }
}

#[test]
fn one_changed_byte_of_any_page_is_noticed_or_harmless() {
    let whole = file();
    assert!(!is_noticed(&whole, "untouched"));
    let mut noticed = 0;
    // A step that meets other places of each page, and every byte that the header uses.
    for at in (0..400).chain((400..whole.len()).step_by(331)) {
        for bit in [0x01, 0x10, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            noticed += u32::from(is_noticed(&bytes, &format!("byte {at} ^ {bit:#x}")));
        }
    }
    assert!(noticed > 100, "{noticed}");
}

#[test]
fn pages_of_other_bytes_and_missing_ends_are_noticed_or_harmless() {
    let whole = file();
    let mut noticed = 0;
    for page in 0..whole.len() / 4096 {
        for filling in [0x00, 0xFF] {
            let mut bytes = whole.clone();
            bytes[page * 4096..][..4096].fill(filling);
            noticed += u32::from(is_noticed(&bytes, &format!("page {page} of {filling:#x}")));
        }
        let cut = &whole[..page * 4096];
        assert!(is_noticed(cut, &format!("{page} pages are left")));
        assert!(is_noticed(&whole[..page * 4096 + 100], "a part of a page"));
    }
    assert!(noticed > 10, "{noticed}");
    let longer = [whole.as_slice(), &[0; 4096]].concat();
    is_noticed(&longer, "a page more");
}

#[test]
fn a_file_is_made_with_its_ledger_and_never_later() {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    for mode in [StateMode::Write, StateMode::Read] {
        let error = open_state(Arc::clone(&disk), PATH, mode).err().unwrap();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("is missing: restore"), "{error}");
    }
    assert_eq!(disk.len(PATH).unwrap(), None);
    drop(open_state(Arc::clone(&disk), PATH, StateMode::Create).unwrap());
    open_state(disk, PATH, StateMode::Write).unwrap();
}
