//! Attachments of the served process, on a real disk: killed between upload and event, verified,
//! exported, damaged; and what 64 MiB take of its memory.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use indelible_merkle::sha256;
use serde_json::{Value, json};
use support::served::{Client, Serving};
use support::{Place, event, files_below};

const MIB: usize = 1 << 20;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn path(bytes: &[u8]) -> String {
    format!("/v1/attachments/{}?tenant=acme", digest(bytes))
}

fn ask(serving: &Serving, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut client = Client::connect(&serving.address).unwrap();
    let json = ["Content-Type: application/json"];
    let answer = client.ask(method, path, &json, body).unwrap();
    (answer.status, answer.body)
}

fn put(serving: &Serving, bytes: &[u8]) -> u16 {
    ask(serving, "PUT", &path(bytes), bytes).0
}

fn naming(n: usize, bytes: &[u8]) -> Value {
    let mut event = event(n);
    let kind = "application/json";
    let named = json!({"bytes": bytes.len(), "digest": digest(bytes), "type": kind});
    event["data"] = json!({"answer": {"attachment": named}});
    event
}

fn send(serving: &Serving, event: &Value) -> u16 {
    let body = event.to_string();
    ask(serving, "POST", "/v1/events?tenant=acme", body.as_bytes()).0
}

#[test]
fn an_upload_survives_a_kill_before_its_event_and_damage_to_it_is_told() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "--data ./d");
    let all = [vec![1; 3 * MIB], b"two".to_vec(), b"three".to_vec()];
    for bytes in &all {
        assert_eq!(put(&serving, bytes), 201);
    }
    assert_eq!(serving.signal("KILL"), None);
    let mut serving = Serving::start(&place, "--data ./d");
    for (n, bytes) in all.iter().enumerate() {
        assert_eq!(send(&serving, &naming(n, bytes)), 201);
    }
    assert_eq!(send(&serving, &naming(7, b"never sent")), 422);
    assert_eq!(serving.signal("KILL"), None);
    let mut serving = Serving::start(&place, "--data ./d");
    for bytes in &all {
        assert_eq!(ask(&serving, "GET", &path(bytes), b"").1, *bytes);
    }
    assert_eq!(serving.signal("TERM"), Some(0));
    let clean = place.ok("verify --data ./d").out;
    assert!(clean.contains("  attachments   3 named\n"), "{clean}");
    let export = place.ok("export --data ./d --tenant acme --out acme.ndjson");
    let told = "attachments are named 3 times: their bytes are not in this export";
    assert!(export.err.contains(told), "{}", export.err);
    place.ok("verify acme.ndjson");
    damage(&place);
}

/// The second and third are of one chunk: the shortest files there are.
fn damage(place: &Place) {
    let mut files = files_below(&place.at("d/attachments/kept"));
    files.sort_by_key(|file| std::fs::metadata(file).unwrap().len());
    let [two, three, one] = files.try_into().unwrap();
    let mut bytes = std::fs::read(&one).unwrap();
    bytes[2 * MIB] ^= 1;
    std::fs::write(&one, bytes).unwrap();
    std::fs::remove_file(two).unwrap();
    let found = place
        .ends(1, "verify --data ./d --tenant acme --json")
        .json();
    let log = &found[0];
    let expected = json!({"erased": 0, "lost": 2, "named": 3});
    assert_eq!(log["attachments"], expected);
    let findings = log["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 2, "{findings:?}");
    for (finding, how, bytes) in [
        (&findings[0], "is damaged", vec![1; 3 * MIB]),
        (&findings[1], "is missing", b"two".to_vec()),
    ] {
        let said = finding["message"].as_str().unwrap();
        assert!(
            said.contains(how) && said.contains(&digest(&bytes)),
            "{said}"
        );
        assert_eq!(finding["tenant_id"], "acme");
    }
    assert!(three.exists());
}

#[test]
fn an_upload_of_the_most_takes_little_memory() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    assert_eq!(put(&serving, b"a first one"), 201);
    let bytes = vec![7; 64 * MIB];
    let (before, _) = serving.memory();
    assert_eq!(put(&serving, &bytes), 201);
    assert_eq!(send(&serving, &naming(1, &bytes)), 201);
    let (status, got) = ask(&serving, "GET", &path(&bytes), b"");
    assert!(status == 200 && got == bytes);
    let took = serving.memory().1.saturating_sub(before);
    // What it takes is the allocator's and the threads', whatever the length.
    assert!(took < 32 * MIB, "{} MiB", took / MIB);
}
