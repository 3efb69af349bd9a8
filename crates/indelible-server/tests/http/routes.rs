//! Thin and end to end: an event in, its receipt, the record, the proof; and what is described is
//! what is served.

use std::time::{Duration, Instant};

use indelible_api::openapi::ROUTES;
use indelible_proof::receipt::Receipt;
use indelible_proof::registry::RecordProof;
use serde_json::{Value, json};

use crate::support::{Served, event};

#[test]
fn an_event_goes_in_and_comes_back_with_its_proof() {
    let served = Served::open();
    let first = served.post("/v1/events?tenant=acme", &event(1));
    let receipt = first.is(201)["receipt"].clone();
    assert_eq!(receipt["tenant_id"], "acme");
    assert_eq!(receipt["sequence_number"], 1, "log.created is 0");
    let again = served.post("/v1/events?tenant=acme", &event(1));
    assert_eq!(again.is(200)["receipt"], receipt, "one receipt for ever");
    let mut other = event(1);
    other["outcome"] = json!("failure");
    let problem = served
        .post("/v1/events?tenant=acme", &other)
        .is_problem(409, "conflict");
    assert_eq!(
        (&problem["receipt"], &problem["pointer"]),
        (&receipt, &json!("/audit_id"))
    );
    let id = receipt["audit_id"].as_str().unwrap();
    let record = served.get(&format!("/v1/records/{id}")).is(200);
    assert_eq!(record["record_hash"], receipt["record_hash"]);
    let parsed: Receipt = serde_json::from_value(receipt.clone()).unwrap();
    parsed
        .check(record["leaf"].as_str().unwrap().as_bytes())
        .unwrap();
    let proof = served.get(&format!("/v1/records/{id}/proof"));
    let proof: RecordProof = serde_json::from_value(proof.is(200)).unwrap();
    assert_eq!(proof.receipt, parsed);
    let checkpoints = served.get("/v1/checkpoints").is(200);
    let registry = checkpoints["registry"]["checkpoint"].as_str().unwrap();
    assert!(registry.starts_with("indelible.dev/test\n"), "{registry}");
    assert!(
        checkpoints["tenants"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["tenant_id"] == "acme")
    );
    served.end().unwrap();
}

#[test]
fn whose_an_event_is_follows_url_then_event_then_default() {
    let served = Served::open();
    let mut named = event(1);
    named["tenant_id"] = json!("globex");
    let receipt = |answer: Value| answer["receipt"]["tenant_id"].as_str().unwrap().to_owned();
    assert_eq!(receipt(served.post("/v1/events", &named).is(201)), "globex");
    assert_eq!(
        receipt(served.post("/v1/events", &event(2)).is(201)),
        "default"
    );
    let problem = served
        .post("/v1/events?tenant=acme", &named)
        .is_problem(422, "invalid-event");
    assert_eq!(problem["problems"][0]["code"], "tenant-mismatch");
    served
        .post("/v1/events?tenant=_system", &event(3))
        .is_problem(404, "not-found");
    served
        .post("/v1/events?tenant=a%20b", &event(3))
        .is_problem(400, "bad-request");
    served
        .post("/v1/events?tennant=a", &event(3))
        .is_problem(400, "bad-request");
}

#[test]
fn tenants_and_checkpoints_come_page_by_page() {
    let served = Served::open();
    for n in 0..7 {
        let path = format!("/v1/events?tenant=t{n}");
        served.post(&path, &event(n)).is(201);
    }
    let verified = || served.get("/v1/tenants?limit=1").is(200)["logs"].clone();
    let end = Instant::now() + Duration::from_secs(30);
    while verified() != json!({"all": 8, "anchored": 8, "broken": 0}) {
        assert!(Instant::now() < end, "{}", verified());
        std::thread::sleep(Duration::from_millis(20));
    }
    let names = ["_system", "t0", "t1", "t2", "t3", "t4", "t5", "t6"];
    for path in [
        "/v1/tenants?",
        "/v1/tenants?integrity=anchored&",
        "/v1/checkpoints?",
    ] {
        let (mut seen, mut next) = (Vec::new(), String::new());
        let list = path.split('?').next().unwrap();
        for made_up in ["", "a%20b", "t1", "zebedee"] {
            let answer = served.get(&format!("{list}?cursor={made_up}"));
            answer.is_problem(400, "bad-cursor");
        }
        loop {
            let page = served.get(&format!("{path}limit=3{next}")).is(200);
            let page_names = page["tenants"].as_array().unwrap().iter();
            seen.extend(page_names.map(|t| t["tenant_id"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
            let elsewhere = served.get(&format!("/v1/streams?limit=3{next}"));
            elsewhere.is_problem(400, "bad-cursor");
        }
        assert_eq!(seen, names, "{path}");
    }
    let broken = served.get("/v1/tenants?integrity=broken").is(200);
    assert_eq!(broken["tenants"], json!([]));
    for wrong in ["limit=0", "limit=1001", "integrity=bad", "order=seq"] {
        let answer = served.get(&format!("/v1/tenants?{wrong}"));
        answer.is_problem(400, "bad-request");
    }
    let one = served.get("/v1/checkpoints?tenant=t3").is(200);
    assert_eq!(one["tenants"][0]["tenant_id"], "t3");
}

#[test]
fn everything_wrong_with_an_event_is_told_at_once() {
    let served = Served::open();
    let wrong = json!({"event_type": "document.viewed", "outcome": "nonsense", "actor": 5});
    let problem = served
        .post("/v1/events", &wrong)
        .is_problem(422, "invalid-event");
    assert!(
        problem["problems"].as_array().unwrap().len() >= 2,
        "{problem}"
    );
    let broken = served.send(
        "POST",
        "/v1/events",
        &["Content-Type: application/json"],
        b"{\"a\":",
    );
    broken.is_problem(422, "invalid-event");
    let deep = "[".repeat(100_000);
    let deep = served.send(
        "POST",
        "/v1/events",
        &["Content-Type: application/json"],
        deep.as_bytes(),
    );
    deep.is_problem(422, "invalid-event");
}

#[test]
fn what_is_described_is_what_is_served() {
    let served = Served::open();
    let document = served.get("/openapi.json").is(200);
    assert_eq!(document["openapi"], "3.1.0");
    for route in ROUTES {
        let path = route
            .path
            .replace("{audit_id}", "nobody")
            .replace("{id}", "nobody");
        let method = route.method.to_uppercase();
        let answer = served.send(&method, &path, &[], b"");
        assert_ne!(answer.status, 405, "{method} {path}");
        if answer.status == 404 {
            let detail = answer.json()["detail"].clone();
            assert_ne!(detail, "there is no such path", "{method} {path}");
        }
        let described = &document["paths"][route.path][route.method]["responses"];
        assert!(
            described[answer.status.to_string()].is_object(),
            "{method} {path}: {answer:?}"
        );
        served
            .send("PATCH", &path, &[], b"")
            .is_problem(405, "method-not-allowed");
    }
    served.get("/v2/nothing").is_problem(404, "not-found");
}

#[test]
fn pages_are_here_and_may_load_nothing_from_elsewhere() {
    let served = Served::open();
    for (path, kind) in [
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/ui/app.js", "text/javascript"),
        ("/ui/style.css", "text/css"),
    ] {
        let page = served.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").unwrap().starts_with(kind));
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    }
    served
        .get("/ui/..%2fCargo.toml")
        .is_problem(404, "not-found");
}

#[test]
fn parameters_that_are_not_known_are_refused_but_for_health() {
    let served = Served::open();
    for (method, path) in [
        ("GET", "/v1/keys?limit=1"),
        ("GET", "/metrics?name=x"),
        ("DELETE", "/v1/keys/0011223344556677?now"),
    ] {
        let answer = served.send(method, path, &[], b"");
        let problem = answer.is_problem(400, "bad-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("is not taken"), "{path}: {detail}");
    }
    for (path, body) in [
        (
            "/v1/keys?tenant=acme",
            json!({"role": "admin", "tenants": "*"}),
        ),
        ("/v1/tenants?dry-run=1", json!({"tenant_id": "acme"})),
    ] {
        served.post(path, &body).is_problem(400, "bad-request");
    }
    assert_eq!(served.get("/v1/keys").is(200)["keys"], json!([]));
    assert_eq!(served.get("/metrics").status, 200);
    for path in ["/health/live?t=1", "/health/ready?t=1&t=2"] {
        assert_eq!(served.get(path).status, 200, "{path}");
    }
}

#[test]
fn parameters_that_would_be_passed_over_beside_others_are_named() {
    let served = Served::open();
    served
        .post("/v1/tenants", &json!({"tenant_id": "acme"}))
        .is(201);
    for (path, named) in [
        ("/v1/tail?from=start&after=x", "`from`"),
        ("/v1/tail?from=now&after=x", "`from`"),
        ("/v1/checkpoints?tenant=acme&limit=1", "`limit`"),
        ("/v1/checkpoints?tenant=acme&cursor=x", "`cursor`"),
        ("/v1/export?columns=actor.id", "columns"),
    ] {
        let problem = served.get(path).is_problem(400, "bad-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{path}: {detail}");
    }
}

#[test]
fn a_browser_gets_a_page_for_a_path_that_leads_nowhere_and_a_program_its_problem() {
    let served = Served::open();
    let with = |method: &str, accept: &str| {
        let accept = format!("Accept: {accept}");
        served.send(method, "/nowhere?q=x", &[&accept], b"")
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = with("GET", browser);
    assert_eq!(page.status, 404);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for link in ["href=\"/\"", "href=\"/docs\""] {
        assert!(page.text().contains(link), "{}", page.text());
    }
    let first = served.get("/");
    for name in [
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cache-control",
    ] {
        assert!(page.header(name).is_some(), "{name}");
        assert_eq!(page.header(name), first.header(name), "{name}");
    }
    assert!(page.header("x-request-id").is_some());
    for accept in [
        "*/*",
        "application/json",
        "application/problem+json, text/html",
        "text/html;q=0.5, application/json",
        "image/png",
    ] {
        with("GET", accept).is_problem(404, "not-found");
    }
    served.get("/nowhere").is_problem(404, "not-found");
    with("POST", browser).is_problem(404, "not-found");
    // What is somewhere and not for whoever asks is no page.
    let accept = format!("Accept: {browser}");
    let record = served.send("GET", "/v1/records/x", &[&accept], b"");
    record.is_problem(404, "not-found");
}
