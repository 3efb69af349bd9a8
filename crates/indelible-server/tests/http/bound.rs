//! A reader with a query of its own sees the records of that query, and of others nothing.

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Served, event, until};

const ADMIN: usize = 0;
const EMITTER: usize = 1;
const READER: usize = 2;

/// Records 1 to 6 of acme: those with an even number are eve's.
fn served() -> (Served, Vec<Value>) {
    let served = Served::closed(&[
        (Role::Admin, None),
        (Role::Emitter, Some("acme")),
        (Role::Reader, Some("acme")),
    ]);
    let receipt = |n: usize| {
        let mut event = event(n);
        if n.is_multiple_of(2) {
            event["actor"]["id"] = json!("eve");
            event["source_event_id"] = json!(format!("theirs-{n}"));
        }
        served.post_as(EMITTER, "/v1/events", &event).is(201)["receipt"].clone()
    };
    let receipts = (1..=6).map(receipt).collect();
    (served, receipts)
}

fn bound(served: &Served, query: &str) -> String {
    let wanted = json!({"role": "reader", "tenants": ["acme"], "query": query});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    made["bearer"].as_str().unwrap().to_owned()
}

fn numbers(list: &Value) -> Vec<u64> {
    let records = list["records"].as_array().unwrap().iter();
    records
        .map(|one| one["record"]["sequence_number"].as_u64().unwrap())
        .collect()
}

#[test]
fn every_list_is_narrowed_whatever_is_asked() {
    let (served, _) = served();
    let key = bound(&served, "actor.type:user -actor:eve");
    let get = |path: &str| served.ask_with(&key, "GET", path, &Value::Null);
    let all = get("/v1/records?order=seq").is(200);
    assert_eq!(numbers(&all), [1, 3, 5]);
    assert_eq!(all["indexed_up_to"], Value::Null, "it counts all records");
    for asked in [
        "actor:eve",
        "theirs-2",
        "-actor:ada",
        "seq:2",
        "actor:eve%20OR%20actor:nobody",
        "(actor:eve)",
        "type:log.created",
    ] {
        let list = get(&format!("/v1/records?q={asked}")).is(200);
        assert_eq!(numbers(&list), [0; 0], "{asked}");
    }
    let either = get("/v1/records?order=seq&q=actor:eve%20OR%20seq:1..3").is(200);
    assert_eq!(numbers(&either), [1, 3]);
    // What would end a condition that was joined as text is a mistake in one's own.
    get("/v1/records?q=actor:ada)%20OR%20(actor:eve").is_problem(400, "bad-query");
    let header = format!("Authorization: Bearer {key}");
    let lines = ["Accept: application/x-ndjson", header.as_str()];
    let lines = served.send("GET", "/v1/records", &lines, b"");
    assert_eq!(lines.text().lines().count(), 3);
    assert!(!lines.text().contains("\"eve\""), "{}", lines.text());
}

#[test]
fn of_a_whole_log_nothing_is_counted_or_judged() {
    let (served, _) = served();
    let key = bound(&served, "-actor:eve");
    let get = |path: &str| served.ask_with(&key, "GET", path, &Value::Null).is(200);
    until("the log is anchored", || {
        let path = "/v1/tenants?integrity=anchored";
        let whole = served.get_as(READER, path).is(200);
        whole["logs"]["anchored"] != 0 && whole["tenants"] != json!([])
    });
    let told = get("/v1/tenants");
    let all = told["tenants"].as_array().unwrap().len();
    assert_eq!(
        told["logs"],
        json!({"all": all, "anchored": 0, "broken": 0})
    );
    assert_eq!(told["tenants"][0]["verdict"], Value::Null);
    for verdict in ["anchored", "consistent_not_anchored", "broken"] {
        let found = get(&format!("/v1/tenants?integrity={verdict}"));
        assert_eq!(found["tenants"], json!([]), "{verdict}");
    }
}

#[test]
fn a_cursor_of_a_key_that_sees_more_is_refused() {
    let (served, _) = served();
    let key = bound(&served, "-actor:eve");
    let path = "/v1/records?order=seq&limit=1";
    let page = served.get_as(READER, path).is(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = format!("/v1/records?order=seq&limit=1000&cursor={cursor}");
    let refused = served.ask_with(&key, "GET", &next, &Value::Null);
    refused.is_problem(400, "bad-cursor");
    // Its own pages never skip or repeat.
    let (mut seen, mut more) = (Vec::new(), String::new());
    loop {
        let path = format!("{path}{more}");
        let page = served.ask_with(&key, "GET", &path, &Value::Null).is(200);
        seen.extend(numbers(&page));
        match page["next_cursor"].as_str() {
            Some(cursor) => more = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, [0, 1, 3, 5]);
}

#[test]
fn a_record_of_others_answers_as_one_that_does_not_exist() {
    let (served, receipts) = served();
    let key = bound(&served, "-actor:eve");
    let get = |path: &str| served.ask_with(&key, "GET", path, &Value::Null);
    let id = |n: usize| receipts[n - 1]["audit_id"].as_str().unwrap();
    get(&format!("/v1/records/{}", id(1))).is(200);
    get(&format!("/v1/records/{}/proof", id(1))).is(200);
    let never = "019a9b00-0000-7000-8000-0000000000ee";
    let told = |path: String| {
        let answer = get(&path);
        let mut problem = answer.json();
        problem["request_id"] = Value::Null;
        (answer.status, problem)
    };
    for hidden in [id(2), "theirs-2"] {
        for end in ["", "/proof", "?tenant=acme", "/proof?tenant=acme"] {
            let there = told(format!("/v1/records/{hidden}{end}"));
            assert_eq!(there.0, 404, "{hidden}{end}");
            let not = told(format!("/v1/records/{never}{end}"));
            assert_eq!(there, not, "{hidden}{end}");
        }
    }
    get("/v1/records?after=acme/1").is(200);
    let there = told("/v1/records?after=acme/2".to_owned());
    assert_eq!(there, told("/v1/records?after=acme/99".to_owned()));
    assert_eq!(there.0, 503);
    // A receipt that is not of that record is told from nothing, too.
    let mut forged = receipts[1].clone();
    forged["record_hash"] = json!("00".repeat(32));
    let forged = forged.to_string().replace('"', "%22");
    assert_eq!(told(format!("/v1/records?after={forged}")).0, 503);
}

#[test]
fn nothing_of_whole_logs_is_for_it() {
    let (served, _) = served();
    let key = bound(&served, "-actor:eve");
    let get = |path: &str| served.ask_with(&key, "GET", path, &Value::Null);
    get("/v1/streams").is_problem(403, "forbidden");
    get("/v1/checkpoints").is_problem(403, "forbidden");
    let tenants = get("/v1/tenants").is(200);
    let acme = &tenants["tenants"][0];
    assert_eq!(acme["tenant_id"], "acme");
    for counted in ["records", "last_ingested_at", "verdict"] {
        assert_eq!(acme[counted], Value::Null, "{counted}");
    }
    assert_eq!(acme["published"], 0);
    let digest = "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447";
    let path = format!("/v1/attachments/{digest}?tenant=acme");
    let headers = [format!("Authorization: Bearer {}", served.key(EMITTER))];
    let stored = served.send("PUT", &path, &[&headers[0]], b"hello world\n");
    stored.is(201);
    assert_eq!(served.get_as(READER, &path).status, 200);
    get(&path).is_problem(404, "not-found");
}

#[test]
fn a_query_narrows_by_time_and_tenant_and_mistakes_are_refused() {
    let (served, _) = served();
    let none = bound(&served, "tenant:globex");
    let list = served.ask_with(&none, "GET", "/v1/records", &Value::Null);
    assert_eq!(numbers(&list.is(200)), [0; 0]);
    let early = bound(&served, "until:2026-01-19 -type:log.created");
    let list = served.ask_with(&early, "GET", "/v1/records", &Value::Null);
    assert_eq!(numbers(&list.is(200)), [0; 0]);
    for (role, query) in [
        ("reader", "actr:ada"),
        ("reader", "("),
        ("reader", " "),
        ("auditor", "actor:ada"),
        ("emitter", "actor:ada"),
        ("admin", "actor:ada"),
    ] {
        let wanted = json!({"role": role, "tenants": "*", "query": query});
        let refused = served.post_as(ADMIN, "/v1/keys", &wanted);
        refused.is_problem(400, "bad-request");
    }
}
