//! `bench`: what it counts is in the ledger, and it writes nowhere by mistake.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::Place;
use support::served::{Serving, send_signal};

fn events(place: &Place, url: &str) -> u64 {
    let counted = place.ok(&format!("count type:bench.event --json --url {url}"));
    counted.json()[0]["total"].as_u64().unwrap()
}

fn serving() -> (Place, Serving, String) {
    let place = Place::new();
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    (place, serving, url)
}

#[test]
fn every_receipt_is_an_event_in_the_ledger_and_the_rate_is_kept() {
    let (place, _serving, url) = serving();
    let asked = format!("bench --url {url} --rate 200 --duration 2s --tenants 3 --producers 4");
    let ran = place.ok(&format!("{asked} --json"));
    let report = &ran.json()[0];
    assert_eq!(report["receipts"], 400, "{report}");
    assert_eq!(
        (&report["errors"], &report["requests"]),
        (&Value::from(0), &Value::from(400))
    );
    assert_eq!(events(&place, &url), 400);
    for n in 1..=3 {
        let count = place.ok(&format!(
            "count type:bench.event --tenant bench-{n} --json --url {url}"
        ));
        assert!(
            count.json()[0]["total"].as_u64().unwrap() >= 100,
            "they are spread"
        );
    }
    let latency = report["latency_ms"].as_object().unwrap();
    let of = |name: &str| latency[name].as_f64().unwrap();
    assert!(of("p50") > 0.0 && of("p50") <= of("p90") && of("p90") <= of("p99"));
    assert!(
        of("p99") <= of("p99.9") && of("p99.9") <= of("max"),
        "{report}"
    );
    assert!(
        ran.err.contains("WRITES 400 events into the ledger"),
        "{}",
        ran.err
    );
    let people = place.ok(&format!(
        "bench --url {url} --rate 0 --batch 50 --duration 1s"
    ));
    assert!(
        people.out.contains("LATENCY") && people.out.contains("p99.9"),
        "{}",
        people.out
    );
    let receipts: u64 = people.out.split(' ').next().unwrap().parse().unwrap();
    assert!(receipts >= 50);
    assert_eq!(events(&place, &url), 400 + receipts);
}

#[test]
fn another_machine_is_not_written_to_unless_that_is_meant() {
    let place = Place::new();
    for url in [
        "http://192.0.2.1:8080",
        "https://audit.example.com",
        "http://0.0.0.0:1",
    ] {
        let refused = place.ends(2, &format!("bench --url {url} --duration 1s"));
        assert!(refused.err.contains("--write-for-good"), "{}", refused.err);
    }
    // Also where the environment names a server, it must be said.
    place.ends(2, "bench --duration 1s");
    place.ends(2, "bench --url http://127.0.0.1:1 --duration 25h");
    let nobody = place.ends(3, "bench --url http://127.0.0.1:1 --duration 1s");
    assert!(nobody.err.contains("no answer"), "{}", nobody.err);
}

#[test]
fn what_is_refused_is_counted_by_kind() {
    let (place, _serving, url) = serving();
    let admin = place
        .ok(&format!("keys create --role admin --url {url}"))
        .out;
    let with_key = |key: &str, line: &str| {
        let mut command = place.command(line.split_whitespace());
        command
            .env("INDELIBLE_API_KEY", key.trim())
            .output()
            .unwrap()
    };
    let made = with_key(
        &admin,
        &format!("keys create --role reader --all-tenants --url {url}"),
    );
    let reader = String::from_utf8(made.stdout).unwrap();
    let line = format!("bench --url {url} --rate 50 --duration 1s --json");
    let ran = with_key(&reader, &line);
    assert_eq!(ran.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(
        (&report["receipts"], &report["errors"]),
        (&Value::from(0), &Value::from(50))
    );
    assert_eq!(
        report["errors_by_kind"]["The key does not allow this"], 50,
        "{report}"
    );
}

#[test]
fn a_signal_ends_it_with_the_table() {
    let (place, _serving, url) = serving();
    let line = format!("bench --url {url} --rate 100 --duration 1h --json");
    let mut command = place.command(line.split_whitespace());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while events(&place, &url) < 20 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    send_signal(&child, "INT");
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report["receipts"], events(&place, &url), "{report}");
    assert!(report["seconds"].as_f64().unwrap() < 600.0);
}
