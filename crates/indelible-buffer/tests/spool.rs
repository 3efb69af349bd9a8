//! The spool: what was appended comes out in order, whatever dies, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::sync::Arc;

use indelible_buffer::{Random, Spool, SpoolBounds, SpoolError};
use indelible_disk::{Fault, FaultyDisk, RealDisk};
use proptest::prelude::*;
use support::{append, files, next, open, real};

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
    second.reader.look_for_orphans(1_700_000_000_000);
    assert_eq!(next(&mut second), ["second"]);
    drop(first);
    second.reader.look_for_orphans(1_700_000_000_000);
    assert_eq!(next(&mut second), ["first"]);
    // Taken over is as good as alive.
    let mut third = real(directory.path());
    assert_eq!(next(&mut third), [""; 0]);
    second.reader.done().unwrap();
    assert_eq!(files(&directory.path().join("0")), [""; 0]);
}

#[test]
fn who_takes_over_a_slot_has_an_epoch_of_it_that_comes_after_all_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = real(directory.path());
    let mut second = real(directory.path());
    append(&mut first, &["first"]);
    let (stream, epoch) = (format!("web-{}", first.name), first.epoch);
    assert_eq!(second.reader.successor(&stream), None);
    let own = format!("desk-{}", second.name);
    assert_eq!(second.reader.successor(&own), Some(second.epoch));
    drop(first);
    second.reader.look_for_orphans(1);
    assert_eq!(second.reader.successor(&stream), Some(epoch + 1));
    assert_eq!(second.reader.successor(&format!("{stream}1")), None);
    assert_eq!(next(&mut second), ["first"]);
    second.reader.done().unwrap();
    let again = real(directory.path());
    assert!(stream.ends_with(&again.name) && again.epoch > epoch + 1);
}

#[test]
fn what_is_left_for_the_next_is_read_by_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = real(directory.path());
    append(&mut spool, &["a"]);
    spool
        .writer
        .leave(&[b"left".to_vec(), b"behind".to_vec()])
        .unwrap();
    append(&mut spool, &["b"]);
    assert_eq!(next(&mut spool), ["a", "b"]);
    spool.reader.done().unwrap();
    spool.reader.tidy().unwrap();
    assert_eq!(next(&mut spool), [""; 0]);
    drop(spool);
    assert_eq!(next(&mut real(directory.path())), ["left", "behind"]);
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
