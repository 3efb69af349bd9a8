//! The state file passes the suite of its role, is read beside a writer, and survives faults.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use indelible_disk::{Disk, Fault, FaultyDisk};
use indelible_embedded::{RedbState, StateMode, open_state};
use indelible_store::conformance::StateFixture;
use indelible_store::{Change, Kind, State};

struct Fixture {
    disk: Arc<dyn Disk>,
    state: Option<RedbState>,
}

impl StateFixture for Fixture {
    fn state(&self) -> &dyn State {
        self.state.as_ref().unwrap()
    }

    fn reopen(mut self: Box<Self>) -> Box<dyn StateFixture> {
        self.state = None;
        self.state = Some(open(&self.disk, StateMode::Create));
        self
    }
}

fn open(disk: &Arc<dyn Disk>, mode: StateMode) -> RedbState {
    open_state(Arc::clone(disk), "keys/keys.redb", mode).unwrap()
}

fn fixture() -> Box<dyn StateFixture> {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    let state = Some(open(&disk, StateMode::Create));
    Box::new(Fixture { disk, state })
}

indelible_store::state_conformance!(state, fixture);

fn put(key: &str, value: u64) -> Change {
    let value = Some(value.to_be_bytes().to_vec());
    Change {
        space: "numbers",
        key: key.as_bytes().to_vec(),
        expected: None,
        value,
    }
}

fn value(state: &RedbState, key: &str) -> Option<u64> {
    let found = state.get("numbers", key.as_bytes()).unwrap();
    found.map(|(value, _)| u64::from_be_bytes(value.try_into().unwrap()))
}

#[test]
fn a_reader_sees_a_whole_state_beside_a_writer() {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    let missing = open_state(Arc::clone(&disk), "keys/keys.redb", StateMode::Read);
    assert_eq!(missing.err().unwrap().kind(), Kind::NotFound);
    let writer = open(&disk, StateMode::Create);
    writer.apply(&[put("a", 0), put("b", 0)]).unwrap();
    std::thread::scope(|scope| {
        let write = scope.spawn(|| {
            for n in 1..200 {
                writer.apply(&[put("a", n), put("b", n)]).unwrap();
            }
        });
        let mut last = 0;
        while !write.is_finished() {
            let reader = open(&disk, StateMode::Read);
            let (a, b) = (value(&reader, "a").unwrap(), value(&reader, "b").unwrap());
            assert_eq!(a, b);
            assert!(a >= last);
            last = a;
            assert_eq!(
                reader.apply(&[put("a", 1)]).unwrap_err().kind(),
                Kind::ReadOnly
            );
        }
    });
    assert_eq!(value(&open(&disk, StateMode::Read), "b"), Some(199));
}

#[test]
fn a_file_that_is_followed_is_copied_again_for_what_is_not_there() {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    let writer = open(&disk, StateMode::Create);
    writer.apply(&[put("a", 0)]).unwrap();
    let (still, follows) = (open(&disk, StateMode::Read), open(&disk, StateMode::Follow));
    assert_eq!(value(&follows, "b"), None);
    writer.apply(&[put("a", 1), put("b", 1)]).unwrap();
    // What is there is not looked for again.
    assert_eq!(value(&follows, "a"), Some(0));
    assert_eq!(value(&follows, "b"), Some(1));
    assert_eq!(value(&follows, "a"), Some(1));
    follows.settle();
    writer.apply(&[put("c", 2)]).unwrap();
    assert_eq!(value(&follows, "c"), Some(2));
    writer.apply(&[put("d", 3)]).unwrap();
    assert_eq!(value(&follows, "d"), None, "it is settled");
    assert_eq!((value(&still, "b"), value(&still, "c")), (None, None));
    let denied = follows.apply(&[put("a", 1)]).unwrap_err();
    assert_eq!(denied.kind(), Kind::ReadOnly);
}

/// Writes numbers until something fails; returns the last acknowledged one.
fn write_until_failure(disk: &Arc<dyn Disk>) -> Option<u64> {
    let state = open_state(Arc::clone(disk), "state.redb", StateMode::Create).ok()?;
    let mut last = None;
    for n in 0..6 {
        if state.apply(&[put("a", n), put("b", n)]).is_err() {
            break;
        }
        last = Some(n);
    }
    last
}

#[test]
fn every_fault_leaves_a_whole_state_with_all_that_was_acknowledged() {
    let trial = FaultyDisk::new(0);
    let shared: Arc<dyn Disk> = Arc::new(trial.clone());
    write_until_failure(&shared);
    let count = trial.count();
    let faults = [
        Fault::Failed,
        Fault::FailedButPersisted,
        Fault::CrashedAfter,
        Fault::Torn { bytes: 100 },
    ];
    for at in 0..count {
        for fault in faults {
            let faulty = FaultyDisk::new(at);
            let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
            faulty.plan(at, fault);
            let last = write_until_failure(&disk);
            faulty.reboot();
            let state = open_state(Arc::clone(&disk), "state.redb", StateMode::Create).unwrap();
            let (a, b) = (value(&state, "a"), value(&state, "b"));
            assert_eq!(a, b, "operation {at}, {fault:?}");
            assert!(a >= last, "operation {at}, {fault:?}: {a:?} after {last:?}");
            assert!(a.unwrap_or(0) <= last.unwrap_or(0) + 1);
        }
    }
}

#[test]
fn a_full_disk_is_said_and_work_resumes_with_room() {
    let faulty = FaultyDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
    let state = open(&disk, StateMode::Create);
    state.apply(&[put("a", 1)]).unwrap();
    faulty.set_room(Some(faulty.used()));
    let big = Change {
        value: Some(vec![7; 1 << 20]),
        ..put("big", 0)
    };
    let full = state.apply(std::slice::from_ref(&big)).unwrap_err();
    assert_eq!(full.kind(), Kind::NoSpace, "{full}");
    assert_eq!(value(&state, "a"), Some(1), "reads go on");
    faulty.set_room(None);
    state.apply(&[big]).unwrap();
    assert_eq!(
        state.get("numbers", b"big").unwrap().unwrap().0.len(),
        1 << 20
    );
}

#[test]
fn a_forgotten_sync_is_noticed() {
    let trial = FaultyDisk::new(0);
    write_until_failure(&(Arc::new(trial.clone()) as Arc<dyn Disk>));
    let syncs = trial
        .history()
        .into_iter()
        .enumerate()
        .filter(|(_, (operation, _))| {
            matches!(
                operation,
                indelible_disk::Operation::SyncData | indelible_disk::Operation::SyncDir
            )
        });
    let last_sync = syncs.map(|(at, _)| at as u64).max().unwrap();
    let lost = (0..32).any(|seed| {
        let faulty = FaultyDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
        // All syncs of the last commits forgotten.
        (last_sync - 20..=last_sync).for_each(|at| {
            if trial.history()[usize::try_from(at).unwrap()].0
                == indelible_disk::Operation::SyncData
            {
                faulty.plan(at, Fault::Ignored);
            }
        });
        let state = open_state(Arc::clone(&disk), "state.redb", StateMode::Create).unwrap();
        let written = (0..6).take_while(|&n| state.apply(&[put("a", n), put("b", n)]).is_ok());
        let last = written.max();
        faulty.crash();
        drop(state);
        faulty.reboot();
        let state = open_state(disk, "state.redb", StateMode::Create);
        state.is_err() || value(&state.unwrap(), "a") < last
    });
    assert!(lost, "the disk's model must notice");
}
