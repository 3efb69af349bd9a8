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
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indelible_testing::Dice;
use serde_json::Value;
use support::{Place, survive};

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
    let mut dice = Dice::seeded();
    let (mut killed, mut receipts) = (0, 0);
    let mut done = 0;
    while done < rounds {
        let mut ledger = Fed::default();
        let place = Place::new();
        for _ in 0..ROUNDS_PER_LEDGER.min(rounds - done) {
            killed += u64::from(ledger.round(&place, &mut dice));
            survive::check(&place, ledger.receipts.values());
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
    fn round(&mut self, place: &Place, dice: &mut Dice) -> bool {
        let again: Vec<u64> = (0..self.made)
            .filter(|n| !self.receipts.contains_key(n))
            .collect();
        let fresh = dice.below(EVENTS_MAX);
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
        let burst = usize::try_from(1 + dice.below(100)).unwrap();
        // Mostly the pipe stays open until the child is dead, so that it cannot end by itself.
        let ends_by_itself = dice.below(4) == 0;
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
        wait(dice, &read, count);
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
}

/// Until a random moment: of the child's start, or after some of its receipts; after the last of
/// them it publishes and closes.
fn wait(dice: &mut Dice, read: &AtomicU64, count: u64) {
    if dice.below(4) == 0 {
        std::thread::sleep(Duration::from_micros(dice.below(START_MS_MAX * 1000)));
        return;
    }
    let wanted = dice.below(count + 1);
    let start = Instant::now();
    while read.load(Ordering::Relaxed) < wanted && start.elapsed().as_secs() < WAIT_S_MAX {
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(Duration::from_micros(dice.below(AFTER_MS_MAX * 1000)));
}

fn event(number: u64) -> Value {
    support::event(usize::try_from(number).unwrap())
}
