//! Ten thousand connections that ask for nothing, or never come to an end of it: others are served
//! as before, memory stays within its bound, and in the end they are let go.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::Place;
use support::others::{Others, p99};
use support::served::{Client, Serving};

const CROWD: usize = 10_000;
/// Descriptors that the test needs beside those of the crowd.
const SPARE_FILES: u64 = 500;
/// What a connection may take, in bytes, and what all heads that are long may.
const CONNECTION_BYTES: usize = 32 << 10;
const HEADS_BYTES: usize = 16 << 20;
/// What the events of the others may take meanwhile.
const OTHERS_BYTES: usize = 48 << 20;
const ROUNDS: usize = 5;
const ROUND: usize = 300;
/// Below it nobody notices a difference.
const NOTICED: Duration = Duration::from_millis(10);

/// As many open files as the system lets us have; whether they are enough.
fn enough_files() -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).is_ok()
        && limit
            .maximum
            .is_none_or(|most| most >= CROWD as u64 + SPARE_FILES)
}

/// One that says nothing, the beginning of a head, a long head without its end, or a head without
/// its body.
fn one(serving: &Serving, n: usize) -> Client {
    let mut client = Client::connect(&serving.address).unwrap();
    let said = match n % 10 {
        0..4 => String::new(),
        4..8 => "POST /v1/events HTTP/1.1\r\nHost: 127".to_owned(),
        8 => format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000)),
        _ => client.head("POST", "/v1/events?tenant=acme", &[], 1_000),
    };
    // Long heads for which there is no room are cut off.
    let _ = client.say(said.as_bytes());
    client
}

/// The median over some rounds.
fn median(serving: &Serving) -> Duration {
    let mut client = Client::connect(&serving.address).unwrap();
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| p99(&mut client, ROUND)).collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}

#[test]
fn ten_thousand_connections_are_not_noticed() {
    if !enough_files() {
        let reason = "the limit on open files is too low";
        indelible_testing::declare_skipped("ten_thousand_connections_are_not_noticed", reason);
        return;
    }
    let place = Place::new();
    let settings = [("CONNECTIONS_MAX", "10100"), ("HEADER_TIMEOUT_MS", "40000")];
    let serving = Serving::with(&place, &settings);
    let before = median(&serving);
    let (memory, _) = serving.memory();
    let others = Others::of(&serving);
    let crowd: Vec<_> = (0..CROWD).map(|n| one(&serving, n)).collect();
    others.were_served();
    let during = median(&serving);
    let connections = serving.figure("indelible_connections");
    assert!(connections > CROWD * 8 / 10, "{connections}");
    let took = serving.memory().1 - memory;
    let bound = CROWD * CONNECTION_BYTES + HEADS_BYTES + OTHERS_BYTES;
    assert!(took <= bound, "{} KiB a connection", took / 1024 / CROWD);
    assert!(serving.figure("indelible_in_flight_bytes") <= HEADS_BYTES);
    let end = Instant::now() + Duration::from_mins(2);
    while serving.figure("indelible_connections") > 1 {
        assert!(Instant::now() < end, "they are not let go");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(serving.figure("indelible_in_flight_bytes"), 0);
    let after = median(&serving);
    let alone = before.max(after).max(NOTICED);
    assert!(
        during <= 2 * alone,
        "{during:?}, alone {before:?} and {after:?}"
    );
    drop(crowd);
    assert!(TcpStream::connect(&serving.address).is_ok());
}
