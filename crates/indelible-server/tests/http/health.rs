//! Health, figures, request ids, verdicts, and an end that loses nothing.

use indelible_api::Role;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indelible_event::TenantId;
use indelible_store::{Kind, Ledger};
use serde_json::{Value, json};

use crate::support::{Served, Stand, event, telemetry, until};

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

fn is_ready(served: &Served) -> bool {
    served.get("/health/ready").status == 200
}

/// The reasons for which it is not ready.
fn reasons(served: &Served) -> String {
    served.get("/health/ready").json()["reasons"].to_string()
}

/// An event that cannot be taken without the master key.
fn personal(n: usize) -> Value {
    let mut event = event(n);
    event["actor"]["email"] = json!("ada@example.com");
    event
}

#[test]
fn without_the_master_key_personal_events_are_a_503_that_is_told() {
    telemetry();
    let served = Served::without_master_key(|settings| {
        settings.ready_within = Duration::from_secs(2);
    });
    until("it is ready at first", || is_ready(&served));
    let path = "/v1/events?tenant=acme";
    // What is told once a second may be told of another server's failure.
    until("the cause is told", || {
        let problem = served.post(path, &personal(1));
        let problem = problem.is_problem(503, "unavailable").to_string();
        assert!(!problem.contains("ada@"), "{problem}");
        let said = reasons(&served);
        assert!(said.contains("the newest commit failed: "), "{said}");
        assert!(!said.contains("space"), "{said}");
        telemetry().iter().any(|line| {
            line["level"] == "ERROR"
                && line["message"] == "the store failed"
                && line["error"].as_str().unwrap().contains("no master key")
        })
    });
    served.post(path, &event(2)).is(201);
    until("it is ready again", || is_ready(&served));
    served
        .post(path, &personal(1))
        .is_problem(503, "unavailable");
    until("it is ready when nothing fails any more", || {
        is_ready(&served)
    });
}

#[test]
fn ready_says_when_attachments_cannot_be_stored() {
    let served = Served::start(&[], |settings| {
        settings.ready_within = Duration::from_secs(2);
    });
    let bytes = b"too much";
    let path_of = |bytes: &[u8]| {
        let digest = indelible_merkle::sha256(bytes);
        format!("/v1/attachments/sha256:{digest}?tenant=acme")
    };
    let path = path_of(bytes);
    let put = || served.send("PUT", &path, &["Content-Type: image/png"], bytes);
    put().is(201);
    until("it is ready at first", || is_ready(&served));
    served.disk.set_room(Some(served.disk.used()));
    put().is_problem(503, "unavailable");
    assert!(reasons(&served).contains("for want of space"));
    // An event that goes well says nothing of uploads.
    served.post("/v1/events?tenant=acme", &event(1)).is(201);
    let said = reasons(&served);
    assert!(said.contains("upload of an attachment failed"), "{said}");
    until("nobody tries any more", || is_ready(&served));
    put().is_problem(503, "unavailable");
    assert!(reasons(&served).contains("attachment"));
    served.disk.set_room(None);
    put().is(200);
    let said = reasons(&served);
    assert!(!said.contains("attachment"), "{said}");
    let other = served.send("PUT", &path_of(b"other"), &[], bytes);
    other.is_problem(422, "wrong-digest");
    let said = reasons(&served);
    assert!(!said.contains("attachment"), "a client's own fault: {said}");
}

#[test]
fn a_clock_that_was_set_is_told_and_no_record_is_before_the_one_before_it() {
    telemetry();
    let served = Served::open();
    let ingested_at = |n| {
        let answer = served.post("/v1/events?tenant=acme", &event(n)).is(201);
        answer["receipt"]["ingested_at"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let told = |message: &str, seconds: std::ops::Range<i64>| {
        until(message, || {
            telemetry().iter().any(|line| {
                line["level"] == "WARN"
                    && line["message"].as_str().unwrap().starts_with(message)
                    && seconds.contains(&line["seconds"].as_i64().unwrap())
            })
        });
    };
    let first = ingested_at(1);
    // Numbers that no other test moves a clock by.
    served.move_clock(Duration::from_secs(5_000));
    told("the clock was set", 4_999..5_002);
    let ahead = ingested_at(2);
    assert!(ahead > first);
    served.move_clock_back(Duration::from_secs(7_000));
    told("the clock was set", -7_001..-6_998);
    let behind = ingested_at(3);
    assert_eq!(behind, ahead);
    told("the clock is behind the newest records", 6_980..7_001);
    served.move_clock(Duration::from_mins(150));
    assert!(ingested_at(4) > ahead);
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
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let disk = Arc::new(indelible_disk::FaultyDisk::new(1));
    let env = crate::support::env();
    let parts = crate::support::parts(&Stand::default(), &disk, None, env);
    let settings = indelible_server::Settings::default();
    let error = indelible_server::Server::new(parts, settings, listener).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.context().contains("keys create"), "{error}");
}
