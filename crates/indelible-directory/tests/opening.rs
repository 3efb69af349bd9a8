//! Opening a directory: who may make it, who may write, and what a refused one leaves behind.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_directory::{Directory, Names, find};
use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, StateMode, open_state};
use indelible_event::Micros;
use indelible_log::env::{Clock, Env, Random};
use indelible_store::Kind;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Micros {
        Micros(1_700_000_000_000_000)
    }
}

struct Sevens;

impl Random for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn env() -> Env {
    Env {
        clock: Arc::new(Noon),
        random: Arc::new(Sevens),
    }
}

fn names(dir: &Path) -> Names {
    Names {
        database: None,
        data: dir.join("data"),
        keys: dir.join("keys"),
    }
}

fn write(names: &Names) -> Result<Directory, Kind> {
    Directory::write(names, None, env(), &mut |_| ()).map_err(|error| error.kind())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_ledger_is_made_with_its_keys_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    assert!(find(&names).unwrap().is_none());
    assert!(
        Directory::read(&names, env(), &mut |_| ())
            .unwrap()
            .is_none()
    );
    assert!(!names.data.exists(), "looking makes nothing");
    let made = write(&names).unwrap();
    assert!(made.log(None).is_ok());
    let id = made.ledger_id.clone();
    drop(made);
    assert!(names.keys.join(&id).join("master.key").exists());
    assert_eq!(write(&names).unwrap().ledger_id, id);
    let read = Directory::read(&names, env(), &mut |_| ())
        .unwrap()
        .unwrap();
    assert!(read.unusable().is_empty() && read.has_state());
}

/// Two that make a ledger in one directory at once: the second must not open the first's state
/// files, nor leave keys of a ledger that never came to be.
#[test]
fn only_one_makes_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    std::fs::create_dir(&names.data).unwrap();
    let first = Embedded::lock(&RealDisk::new(&names.data), None).unwrap();
    assert_eq!(write(&names).err(), Some(Kind::Locked));
    assert_eq!(files(&names.data), [names.data.join("LOCK")]);
    assert!(!names.keys.exists());
    drop(first);
    assert!(write(&names).is_ok());
}

/// The state stores are made before `FORMAT`: what dies in between is begun again, and what is
/// missing later is never made anew.
#[test]
fn a_making_that_was_cut_short_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    std::fs::create_dir(&names.data).unwrap();
    let disk = Arc::new(RealDisk::new(&names.data));
    drop(open_state(disk, "state.redb", StateMode::Create).unwrap());
    drop(write(&names).unwrap());
    for name in ["state.redb", "keys/keys.redb"] {
        let (here, away) = (names.data.join(name), dir.path().join("away"));
        std::fs::rename(&here, &away).unwrap();
        assert_eq!(write(&names).err(), Some(Kind::NotFound), "{name}");
        assert!(!here.exists(), "{name}");
        let read = Directory::read(&names, env(), &mut |_| ())
            .unwrap()
            .unwrap();
        let told: Vec<_> = read.unusable().iter().map(ToString::to_string).collect();
        assert!(told.join("\n").contains(name), "{told:?}");
        std::fs::rename(&away, &here).unwrap();
    }
    assert!(write(&names).is_ok());
}

#[test]
fn one_writes_and_the_lock_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    let first = write(&names).unwrap();
    assert_eq!(write(&names).err(), Some(Kind::Locked));
    drop(first);
    assert!(write(&names).is_ok());
}

#[test]
fn keys_in_the_data_directory_are_refused_however_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    for keys in [
        data.clone(),
        data.join("keys"),
        dir.path().join("other/../data/keys"),
        link.join("not/there/yet"),
    ] {
        let data = data.clone();
        let names = Names {
            data,
            keys,
            database: None,
        };
        assert_eq!(write(&names).err(), Some(Kind::Invalid), "{:?}", names.keys);
        assert_eq!(files(&names.data), Vec::<PathBuf>::new());
    }
    let keys = dir.path().join("data-keys");
    assert!(
        write(&Names {
            data,
            keys,
            database: None
        })
        .is_ok()
    );
}
