//! Attachments over HTTP: stored before the event that names them, of one tenant only, and removed
//! when nobody names them.

use std::time::{Duration, Instant};

use indelible_api::Role;
use indelible_merkle::sha256;
use serde_json::{Value, json};

use crate::support::{Answer, Served, event};

fn path(bytes: &[u8], tenant: &str) -> String {
    format!("/v1/attachments/{}?tenant={tenant}", digest(bytes))
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn put(served: &Served, tenant: &str, bytes: &[u8]) -> Answer {
    let headers = ["Content-Type: image/png"];
    served.send("PUT", &path(bytes, tenant), &headers, bytes)
}

/// Event `n`, with what names these bytes in it.
fn naming(n: usize, bytes: &[u8]) -> Value {
    let mut event = event(n);
    let named = json!({"bytes": bytes.len(), "digest": digest(bytes), "type": "image/png"});
    event["data"] = json!({"shots": [1, {"attachment": named}]});
    event
}

#[test]
fn what_is_put_is_named_and_read_again() {
    let served = Served::open();
    let long: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    for (n, bytes) in [&b"<script>"[..], b"", &long].into_iter().enumerate() {
        let stored = put(&served, "acme", bytes).is(201);
        let event = naming(n, bytes);
        assert_eq!(stored, event["data"]["shots"][1], "it goes in as it is");
        let headers = ["Content-Type: text/html"];
        let again = served.send("PUT", &path(bytes, "acme"), &headers, bytes);
        assert_eq!(again.is(200), stored, "the type stays that of the first");
        let receipt = served.post("/v1/events?tenant=acme", &event).is(201);
        let again = served.post("/v1/events?tenant=acme", &event).is(200);
        assert_eq!(receipt, again);
        let got = served.get(&path(bytes, "acme"));
        assert_eq!((got.status, &got.body[..]), (200, bytes));
        for (name, value) in [
            ("content-type", "image/png"),
            ("content-disposition", "attachment"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(got.header(name), Some(value));
        }
        let length = bytes.len().to_string();
        assert_eq!(got.header("content-length"), Some(&length[..]));
    }
    served.end().unwrap();
}

#[test]
fn what_is_wrong_with_an_upload_is_told_and_nothing_is_stored() {
    let served = Served::open();
    let mut path = path(b"one", "acme");
    let wrong = served.send("PUT", &path, &[], b"other");
    let problem = wrong.is_problem(422, "wrong-digest");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains(&digest(b"other"))
    );
    let packed = ["Content-Encoding: gzip"];
    let packed = served.send("PUT", &path, &packed, b"one");
    packed.is_problem(415, "unsupported-type");
    let type_of = format!("Content-Type: {}", "x".repeat(200));
    let bad = served.send("PUT", &path, &[&type_of], b"one");
    bad.is_problem(400, "bad-request");
    let mut client = served.connect();
    let head = client.head("PUT", &path, &[], (64 << 20) + 1);
    client.say(head).unwrap();
    client.answer().unwrap().is_problem(413, "too-large");
    served.get(&path).is_problem(404, "not-found");
    path = path.replace("sha256:", "sha512:");
    served.get(&path).is_problem(400, "bad-request");
    let put = served.send("PUT", &path, &[], b"one");
    put.is_problem(400, "bad-request");
}

#[test]
fn nobody_learns_of_another_tenants_attachments() {
    let served = Served::closed(&[
        (Role::Emitter, Some("acme")),
        (Role::Reader, Some("acme")),
        (Role::Emitter, Some("globex")),
        (Role::Reader, Some("globex")),
    ]);
    let bytes = b"between us";
    let send = |key: usize, method: &str, tenant: &str, body: &[u8]| {
        let bearer = format!("Authorization: Bearer {}", served.key(key));
        served.send(method, &path(bytes, tenant), &[&bearer], body)
    };
    served.post_as(2, "/v1/events", &event(1)).is(201);
    send(0, "PUT", "acme", bytes).is(201);
    assert_eq!(send(1, "GET", "acme", b"").body, bytes);
    send(0, "GET", "acme", b"").is_problem(403, "forbidden");
    send(1, "PUT", "acme", bytes).is_problem(403, "forbidden");
    // A tenant that is not one's own, whether or not it has the bytes, is not there.
    let there = send(3, "GET", "acme", b"").is_problem(404, "not-found");
    let nowhere = send(3, "GET", "nowhere", b"").is_problem(404, "not-found");
    assert_eq!(there["detail"], "there is no tenant acme");
    assert_eq!(nowhere["detail"], "there is no tenant nowhere");
    send(2, "PUT", "acme", bytes).is_problem(404, "not-found");
    // The same bytes of one's own are new, and not to be named before.
    send(3, "GET", "globex", b"").is_problem(404, "not-found");
    let refused = served.post_as(2, "/v1/events", &naming(2, bytes));
    refused.is_problem(422, "invalid-event");
    send(2, "PUT", "globex", bytes).is(201);
    served.post_as(2, "/v1/events", &naming(2, bytes)).is(201);
}

#[test]
fn an_event_that_names_what_is_not_there_is_refused_and_its_neighbours_are_not() {
    let served = Served::open();
    put(&served, "acme", b"here").is(201);
    let mut short = naming(4, b"here");
    short["data"]["shots"][1]["attachment"]["bytes"] = json!(3);
    let batch = json!([
        event(1),
        naming(2, b"here"),
        naming(3, b"gone"),
        short,
        event(5)
    ]);
    let answer = served.post("/v1/events:batch?tenant=acme", &batch).is(200);
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<_> = results
        .iter()
        .map(|r| r["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 201, 422, 422, 201]);
    for (at, said) in [(2, "upload it first"), (3, "has 4 bytes")] {
        let problem = &results[at]["problem"]["problems"][0];
        assert_eq!(problem["code"], "attachment-missing");
        assert_eq!(problem["pointer"], "/data/shots/1/attachment");
        assert!(problem["message"].as_str().unwrap().contains(said));
    }
    // Sent again after the upload, it is taken.
    put(&served, "acme", b"gone").is(201);
    let event = naming(3, b"gone");
    served.post("/v1/events?tenant=acme", &event).is(201);
}

#[test]
fn what_no_event_names_in_time_is_removed() {
    let served = Served::start(&[], |settings| {
        settings.attachments_interval = Duration::from_millis(20);
    });
    for bytes in [&b"named"[..], b"orphan"] {
        put(&served, "acme", bytes).is(201);
    }
    let event = naming(1, b"named");
    served.post("/v1/events?tenant=acme", &event).is(201);
    served.move_clock(Duration::from_hours(23));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(served.get(&path(b"orphan", "acme")).status, 200);
    served.move_clock(Duration::from_hours(2));
    let end = Instant::now() + Duration::from_secs(30);
    while served.get(&path(b"orphan", "acme")).status != 404 {
        assert!(Instant::now() < end, "the orphan stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(served.get(&path(b"named", "acme")).body, b"named");
    let late = served.post("/v1/events?tenant=acme", &naming(2, b"orphan"));
    late.is_problem(422, "invalid-event");
}

#[test]
fn an_upload_that_ends_early_leaves_nothing() {
    let served = Served::open();
    let mut client = served.connect();
    let head = client.head("PUT", &path(b"whole", "acme"), &[], 5);
    client.say(head).unwrap();
    client.say("who").unwrap();
    drop(client);
    std::thread::sleep(Duration::from_millis(100));
    served
        .get(&path(b"whole", "acme"))
        .is_problem(404, "not-found");
}

/// More bytes than all requests together may hold.
#[test]
fn an_upload_is_never_held_whole() {
    let served = Served::start(&[], |settings| {
        settings.in_flight_bytes_max = 1 << 20;
        settings.lists_bytes_max = 1 << 20;
    });
    let bytes: Vec<u8> = (0..16_u32 << 20).flat_map(u32::to_le_bytes).collect();
    assert_eq!(bytes.len(), 64 << 20);
    put(&served, "acme", &bytes).is(201);
    let got = served.get(&path(&bytes, "acme"));
    assert!(got.status == 200 && got.body == bytes);
}
