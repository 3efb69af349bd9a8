//! `kill -9` at random moments: every event with a receipt is there exactly once, in order, and the
//! ledger verifies.
//!
//! The parent feeds `import --receipts -` through a pipe, kills it from outside, keeps the receipts
//! it has read, and feeds what has none again in the next round, as a client would. Rounds from
//! `INDELIBLE_KILL_ROUNDS`; the seed is printed and comes from `INDELIBLE_SEED`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; the seed is for people"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::TenantId;
use indelible_merkle::leaf_hash;
use indelible_store::{Ledger, Stored};
use serde_json::Value;
use support::Place;

/// Rounds on one ledger before a new one is begun.
const ROUNDS_PER_LEDGER: u64 = 20;
/// Events fed in one round.
const EVENTS_MAX: u64 = 400;
/// How long after its start a child that is to die early is killed at most, in milliseconds.
const START_MS_MAX: u64 = 150;
/// How long after the receipts it is to give a child is killed at most, in milliseconds.
const AFTER_MS_MAX: u64 = 6;
/// How long receipts are waited for, in seconds.
const WAIT_S_MAX: u64 = 20;

#[test]
fn every_receipt_survives() {
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 20, 1_000);
    let mut random = Random::seeded();
    let (mut killed, mut receipts) = (0, 0);
    let mut done = 0;
    while done < rounds {
        let mut ledger = Fed::default();
        let place = Place::new();
        for _ in 0..ROUNDS_PER_LEDGER.min(rounds - done) {
            killed += u64::from(ledger.round(&place, &mut random));
            ledger.check(&place);
            done += 1;
        }
        receipts += ledger.receipts.len();
    }
    eprintln!("{done} rounds, {killed} killed, {receipts} receipts");
    // A few rounds may by chance all end well.
    if rounds >= 10 {
        assert!(
            killed * 2 > rounds,
            "most children must die: {killed} of {rounds}"
        );
        assert!(receipts > 0, "some must have written before");
    }
}

/// What was fed to one ledger.
#[derive(Default)]
struct Fed {
    /// Events made so far.
    made: u64,
    /// Receipts by number of the event.
    receipts: BTreeMap<u64, Value>,
}

impl Fed {
    /// One life of the command; whether it was killed before its end.
    fn round(&mut self, place: &Place, random: &mut Random) -> bool {
        let again: Vec<u64> = (0..self.made)
            .filter(|n| !self.receipts.contains_key(n))
            .collect();
        let fresh = random.below(EVENTS_MAX);
        let numbers: Vec<u64> = again
            .into_iter()
            .chain(self.made..self.made + fresh)
            .collect();
        self.made += fresh;
        let count = numbers.len() as u64;
        let line = "import --format ndjson - --tenant acme --receipts -";
        let mut command = place.command(line.split_whitespace());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let output = child.stdout.take().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let burst = usize::try_from(1 + random.below(100)).unwrap();
        // Mostly the pipe stays open until the child is dead, so that it cannot end by itself.
        let ends_by_itself = random.below(4) == 0;
        let feeder = std::thread::spawn(move || {
            for numbers in numbers.chunks(burst) {
                let lines = support::ndjson(numbers.iter().map(|n| event(*n)));
                // The pipe breaks when the child dies: that is what is being tested.
                if input.write_all(lines.as_bytes()).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            (!ends_by_itself).then_some(input)
        });
        let read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&read);
        let reader = std::thread::spawn(move || {
            let whole = |line: &Vec<u8>| line.last() == Some(&b'\n');
            let mut input = BufReader::new(output);
            let mut lines = Vec::new();
            loop {
                let mut line = Vec::new();
                if input.read_until(b'\n', &mut line).unwrap_or(0) == 0 || !whole(&line) {
                    return lines;
                }
                lines.push(serde_json::from_slice::<Value>(&line).unwrap());
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait(random, &read, count);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        drop(feeder.join().unwrap());
        let mut said = String::new();
        let _ = errors.read_to_string(&mut said);
        assert!(!said.contains("error"), "{said}");
        let mut last = 0;
        for receipt in reader.join().unwrap() {
            let id = receipt["audit_id"].as_str().unwrap();
            let number = u64::from_str_radix(&id[24..], 16).unwrap();
            if number >= self.made - fresh {
                let sequence = receipt["sequence_number"].as_u64().unwrap();
                assert!(sequence > last, "out of order: {receipt}");
                last = sequence;
            }
            if let Some(before) = self.receipts.insert(number, receipt.clone()) {
                assert_eq!(before, receipt, "an event has one receipt for ever");
            }
        }
        !status.success()
    }

    /// Every receipt is a record, every record stands once, in the order that was fed.
    fn check(&self, place: &Place) {
        if !place.at("indelible-data/FORMAT").exists() {
            assert!(
                self.receipts.is_empty(),
                "receipts of a ledger that is not there"
            );
            return;
        }
        let disk = Arc::new(RealDisk::new(place.at("indelible-data")));
        let options = Options {
            read_only: true,
            ..Options::default()
        };
        let ledger = Embedded::open(disk, None, options, &mut |_| {}).unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        let mut found = BTreeMap::new();
        ledger
            .read(&tenant, 0..u64::MAX, &mut |stored| {
                let Stored::Record(record) = stored else {
                    panic!("a damaged record")
                };
                let leaf: Value = serde_json::from_slice(record.leaf).unwrap();
                let id = leaf["event"]["audit_id"].as_str().unwrap().to_owned();
                let hash = leaf_hash(record.leaf).to_string();
                let twice = found.insert(id, (record.sequence_number, hash));
                assert!(twice.is_none(), "an event stands twice");
                ControlFlow::Continue(())
            })
            .unwrap();
        for receipt in self.receipts.values() {
            let id = receipt["audit_id"].as_str().unwrap();
            let (number, hash) = found.get(id).unwrap_or_else(|| panic!("lost: {receipt}"));
            assert_eq!(receipt["sequence_number"], *number);
            assert_eq!(receipt["record_hash"], hash.as_str());
        }
        drop(ledger);
        let ran = place.run("verify --json");
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
}

/// Until a random moment: of the child's start, or after some of its receipts; after the last of
/// them it publishes and closes.
fn wait(random: &mut Random, read: &AtomicU64, count: u64) {
    if random.below(4) == 0 {
        std::thread::sleep(Duration::from_micros(random.below(START_MS_MAX * 1000)));
        return;
    }
    let wanted = random.below(count + 1);
    let start = Instant::now();
    while read.load(Ordering::Relaxed) < wanted && start.elapsed().as_secs() < WAIT_S_MAX {
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(Duration::from_micros(random.below(AFTER_MS_MAX * 1000)));
}

fn event(number: u64) -> Value {
    support::event(usize::try_from(number).unwrap())
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let given = std::env::var("INDELIBLE_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        eprintln!("INDELIBLE_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
