//! Health, figures, request ids, verdicts, and an end that loses nothing.

use indelible_api::Role;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_event::TenantId;
use indelible_store::{Kind, Ledger};

use crate::support::{Served, event};

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ready_means_that_work_gets_done() {
    let served = Served::start(&[], |settings| {
        settings.ready_within = Duration::from_millis(300);
        // Nothing is published, so what is committed stays without a checkpoint.
        settings.publish_interval = Duration::from_mins(1);
    });
    served.get("/health/live").is(200);
    until("it is ready at first", || {
        served.get("/health/ready").status == 200
    });
    served.post("/v1/events", &event(1)).is(201);
    until("it is not ready without a checkpoint", || {
        let answer = served.get("/health/ready");
        let failing = answer.status == 503;
        assert!(
            !failing
                || answer.json()["reasons"][0]
                    .as_str()
                    .unwrap()
                    .contains("checkpoint")
        );
        failing
    });
    served.get("/health/live").is(200);
}

#[test]
fn figures_have_bounded_labels_and_no_tenant() {
    let served = Served::open();
    for n in 0..20 {
        let path = format!("/v1/events?tenant=very-secret-tenant-{n}");
        served.post(&path, &event(n)).is(201);
        let _ = served.get(&format!("/nowhere/{n}"));
    }
    let answer = served.get("/metrics");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(
        text.contains("indelible_events_total{outcome=\"new\"} 20"),
        "{text}"
    );
    assert!(!text.contains("very-secret") && !text.contains("nowhere"));
    let lines = text.lines().count();
    for n in 0..20 {
        let _ = served.get(&format!("/elsewhere/{n}"));
    }
    assert_eq!(served.get("/metrics").text().lines().count(), lines);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("indelible_"), "{line}");
        value.parse::<f64>().unwrap();
    }
}

#[test]
fn a_request_keeps_its_id_when_it_is_harmless() {
    let served = Served::open();
    let sent = served.send("GET", "/health/live", &["X-Request-Id: abc-1.2_3"], b"");
    assert_eq!(sent.header("x-request-id"), Some("abc-1.2_3"));
    let long = format!("X-Request-Id: {}", "x".repeat(65));
    for bad in [
        "X-Request-Id: a b",
        "X-Request-Id: ada@example.com",
        "X-Request-Id:",
        &long,
    ] {
        let id = served.send("GET", "/health/live", &[bad], b"");
        let id = id.header("x-request-id").unwrap();
        assert_eq!(id.len(), 16, "{id}");
    }
    let problem = served.send("GET", "/v1/records/x", &["X-Request-Id: mine"], b"");
    assert_eq!(problem.is_problem(404, "not-found")["request_id"], "mine");
}

#[test]
fn the_verifier_tells_both_verdicts() {
    let served = Served::open();
    served.post("/v1/events?tenant=acme", &event(1)).is(201);
    until("the log is verified and anchored", || {
        let tenants = served.get("/v1/tenants").is(200);
        let tenants = tenants["tenants"].as_array().unwrap();
        let acme = tenants.iter().find(|t| t["tenant_id"] == "acme").unwrap();
        let verdict = &acme["verdict"];
        assert_ne!(verdict["integrity"], "broken", "{verdict}");
        verdict["integrity"] == "anchored"
            && verdict["records"] == 2
            && verdict["unnumbered"].as_u64().unwrap() >= 1
    });
}

#[test]
fn a_log_that_does_not_grow_is_verified_again() {
    let served = Served::start(&[], |settings| {
        settings.verify_again = Duration::from_millis(300);
    });
    served.post("/v1/events?tenant=acme", &event(1)).is(201);
    let verified_at = || {
        let tenants = served.get("/v1/tenants").is(200);
        let tenants = tenants["tenants"].as_array().unwrap();
        let acme = tenants.iter().find(|t| t["tenant_id"] == "acme").unwrap();
        let verdict = &acme["verdict"];
        (verdict["integrity"] == "anchored").then(|| verdict["verified_at"].clone())
    };
    until("the log is anchored", || verified_at().is_some());
    let first = verified_at();
    until("it is read again", || verified_at() != first);
}

#[test]
fn what_everybody_may_have_is_not_refused_for_a_wrong_key() {
    let served = Served::closed(&[(Role::Admin, None)]);
    let wrong = ["Authorization: Bearer ind_0000000000000000_00"];
    for path in [
        "/",
        "/docs",
        "/openapi.json",
        "/health/live",
        "/ui/style.css",
    ] {
        assert_eq!(served.send("GET", path, &wrong, b"").status, 200, "{path}");
    }
    for path in ["/v1/records", "/metrics", "/v1/keys"] {
        assert_eq!(served.send("GET", path, &wrong, b"").status, 401, "{path}");
    }
}

#[test]
fn stopping_under_load_loses_nothing_that_has_a_receipt() {
    let served = Arc::new(Served::open());
    let stopped = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (served, stopped) = (Arc::clone(&served), Arc::clone(&stopped));
            std::thread::spawn(move || {
                let mut receipts = 0;
                for n in 0.. {
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        served
                            .post("/v1/events?tenant=acme", &event(client * 1_000_000 + n))
                            .status
                    }));
                    match sent {
                        Ok(201) => receipts += 1,
                        // The listener is gone.
                        _ => break,
                    }
                }
                receipts
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    served.tell_to_stop();
    std::thread::sleep(Duration::from_millis(300));
    stopped.store(true, Ordering::Relaxed);
    let receipts: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    let ledger = Arc::clone(&served.ledger);
    Arc::into_inner(served).unwrap().end().unwrap();
    assert!(receipts > 0);
    let head = ledger
        .head(&TenantId::parse("acme").unwrap())
        .unwrap()
        .unwrap();
    assert!(head.frontier.size() > receipts, "{receipts} receipts");
}

#[test]
fn without_keys_it_listens_on_this_machine_only() {
    let ledger = Arc::new(indelible_store::memory::MemoryLedger::new());
    let stores = indelible_log::Stores {
        ledger: ledger.clone(),
        state: Arc::new(indelible_store::memory::MemoryState::new()),
    };
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let parts = crate::support::parts(stores, &ledger, crate::support::env());
    let settings = indelible_server::Settings::default();
    let error = indelible_server::Server::new(parts, settings, listener).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.context().contains("keys create"), "{error}");
}
