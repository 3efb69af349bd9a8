//! A tenant that sends as much as it can: it is held to its limits, and the receipts of another
//! tenant take at most twice as long as without it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::others::paced_p99;
use support::served::{Client, Serving};
use support::{Place, event};

/// Who floods, each on a connection of its own, and the events of one of their batches.
const SENDERS: usize = 3;
const BATCH: usize = 500;
/// What the tenant may bring.
const EVENTS_PER_S: usize = 1_000;
const ROUNDS: usize = 5;
const ROUND: usize = 200;
/// Between two events of who does not flood: on a quick machine he would come to the limit himself.
const PAUSE: Duration = Duration::from_millis(3);
/// Below it nobody notices a difference.
const NOTICED: Duration = Duration::from_millis(10);
/// How long one that was refused rests: much less than it is told.
const REST: Duration = Duration::from_millis(20);

/// Those who flood, and what became of their batches.
struct Flood {
    ended: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    fn of(serving: &Serving) -> Self {
        let (ended, taken, refused) =
            <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let threads = (0..SENDERS).map(|sender| {
            let address = serving.address.clone();
            let (ended, taken, refused) = (ended.clone(), taken.clone(), refused.clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(&address).unwrap();
                let mut next = 6_000_000 + sender * 1_000_000;
                while !ended.load(Relaxed) {
                    let events: Vec<_> = (next..next + BATCH).map(event).collect();
                    let body = serde_json::to_vec(&events).unwrap();
                    let path = "/v1/events:batch?tenant=flood";
                    let headers = ["Content-Type: application/json"];
                    let answer = client.ask("POST", path, &headers, &body);
                    match answer.map(|answer| (answer.status, answer)) {
                        Ok((200, _)) => {
                            next += BATCH;
                            taken.fetch_add(BATCH, Relaxed);
                            continue;
                        }
                        Ok((429, answer)) => {
                            answer.is_problem(429, "rate-limited");
                            assert!(answer.header("retry-after").is_some());
                            refused.fetch_add(1, Relaxed);
                        }
                        Ok((status, answer)) => panic!("{status} {answer:?}"),
                        // An answer may come before the body was taken; then the connection ends.
                        Err(_) => {}
                    }
                    client = Client::connect(&address).unwrap();
                    std::thread::sleep(REST);
                }
            })
        });
        let threads = threads.collect();
        Self {
            ended,
            taken,
            refused,
            threads,
        }
    }

    /// How many events were taken, and how many batches refused.
    fn end(self) -> (usize, usize) {
        self.ended.store(true, Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.taken.load(Relaxed), self.refused.load(Relaxed))
    }
}

/// The median over some rounds.
fn median(serving: &Serving) -> Duration {
    let mut client = Client::connect(&serving.address).unwrap();
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| paced_p99(&mut client, ROUND, PAUSE))
        .collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}

#[test]
fn a_tenant_that_floods_is_held_back_and_another_does_not_notice() {
    let place = Place::new();
    let variables = [
        (
            "INDELIBLE_LIMITS__TENANT_EVENTS_PER_S",
            EVENTS_PER_S.to_string(),
        ),
        ("INDELIBLE_LIMITS__BURST_S", "1".to_owned()),
    ];
    let serving = Serving::with_variables(&place, &variables, "telemetry");
    let before = median(&serving);
    let began = Instant::now();
    let flood = Flood::of(&serving);
    std::thread::sleep(Duration::from_secs(1));
    let during = median(&serving);
    let (taken, refused) = flood.end();
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    let after = median(&serving);
    let most = EVENTS_PER_S * seconds + SENDERS * BATCH;
    assert!(taken <= most, "{taken} of {most} events");
    assert!(refused > 0 && taken > 0, "{taken} {refused}");
    let alone = before.max(after).max(NOTICED);
    assert!(
        during <= 2 * alone,
        "{during:?}, alone {before:?} and {after:?}; {taken} taken, {refused} refused"
    );
    println!("alone {before:?} and {after:?}, with the flood {during:?}; {taken} taken");
}
