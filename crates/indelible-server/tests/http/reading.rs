//! Finding: queries, pages, cursors, `after`, NDJSON, personal values.

use std::time::{Duration, Instant};

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Served, event};

fn filled(count: usize) -> Served {
    let served = Served::open();
    let events: Vec<_> = (0..count).map(event).collect();
    served
        .post("/v1/events:batch?tenant=acme", &Value::Array(events))
        .is(200);
    served
}

fn numbers(list: &Value) -> Vec<u64> {
    let records = list["records"].as_array().unwrap();
    records
        .iter()
        .map(|r| r["record"]["sequence_number"].as_u64().unwrap())
        .collect()
}

#[test]
fn pages_are_as_of_the_first_and_leave_nothing_out() {
    let served = filled(25);
    let query = "/v1/records?q=type:document.viewed&order=seq&limit=10";
    let first = served.get(query).is(200);
    assert_eq!(numbers(&first), (1..=10).collect::<Vec<_>>());
    served.post("/v1/events?tenant=acme", &event(99)).is(201);
    let mut all = numbers(&first);
    let mut cursor = first["next_cursor"].clone();
    while let Some(text) = cursor.as_str() {
        let page = served.get(&format!("{query}&cursor={text}")).is(200);
        all.extend(numbers(&page));
        cursor = page["next_cursor"].clone();
    }
    assert_eq!(all, (1..=25).collect::<Vec<_>>());
    assert_eq!(numbers(&served.get("/v1/records?q=doc-99").is(200)), [26]);
}

#[test]
fn a_forged_or_foreign_cursor_is_refused_clearly() {
    let served = filled(5);
    let first = served.get("/v1/records?q=ada&limit=2").is(200);
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    let other = if cursor.starts_with('A') { 'B' } else { 'A' };
    let cut = &cursor[..cursor.len() - 1];
    let half = &cursor[..cursor.len() / 2];
    for forged in [
        format!("{other}{}", &cursor[1..]),
        cut.to_owned(),
        half.to_owned(),
        format!("{half}.{cursor}"),
        "nonsense".to_owned(),
        "%00".to_owned(),
        "x".repeat(5_000),
    ] {
        let path = format!("/v1/records?q=ada&limit=2&cursor={forged}");
        served.get(&path).is_problem(400, "bad-cursor");
    }
    let path = format!("/v1/records?q=grace&limit=2&cursor={cursor}");
    served.get(&path).is_problem(400, "bad-cursor");
    let path = format!("/v1/records?q=ada&limit=2&order=oldest&cursor={cursor}");
    served.get(&path).is_problem(400, "bad-cursor");
    // The tenant named beside the query is part of it.
    let path = format!("/v1/records?q=ada&limit=2&tenant=acme&cursor={cursor}");
    served.get(&path).is_problem(400, "bad-cursor");
    let named = served.get("/v1/records?q=ada&limit=2&tenant=acme").is(200);
    let cursor = named["next_cursor"].as_str().unwrap();
    let path = format!("/v1/records?q=ada&limit=2&cursor={cursor}");
    served.get(&path).is_problem(400, "bad-cursor");
    let path = format!("/v1/records?q=ada&limit=2&tenant=acme&cursor={cursor}");
    served.get(&path).is(200);
    // A million of them cost nothing that is kept.
    for n in 0..200 {
        let path = format!("/v1/records?cursor=AQ{n:04}{half}");
        served.get(&path).is_problem(400, "bad-cursor");
    }
}

#[test]
fn how_much_others_write_is_not_told_to_a_key_of_some_tenants() {
    let served = Served::closed(&[
        (Role::Emitter, Some("acme globex")),
        (Role::Reader, Some("acme")),
        (Role::Reader, None),
    ]);
    for n in 0..20 {
        let tenant = if n % 4 == 0 { "acme" } else { "globex" };
        let path = format!("/v1/events?tenant={tenant}");
        served.post_as(0, &path, &event(n)).is(201);
    }
    let path = "/v1/records?q=ada&order=seq&limit=2";
    let bound = served.get_as(1, path).is(200);
    assert_eq!(
        (numbers(&bound), &bound["indexed_up_to"]),
        (vec![1, 2], &json!(null))
    );
    let cursor = bound["next_cursor"].as_str().unwrap();
    let next = served.get_as(1, &format!("{path}&cursor={cursor}")).is(200);
    assert_eq!(
        (numbers(&next), &next["indexed_up_to"]),
        (vec![3, 4], &json!(null))
    );
    assert!(served.get_as(2, path).is(200)["indexed_up_to"].as_u64() >= Some(20));
}

#[test]
fn wrong_questions_say_what_is_wrong() {
    let served = filled(1);
    let problem = served
        .get("/v1/records?q=acter:bob")
        .is_problem(400, "bad-query");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean `actor`?")
    );
    served
        .get("/v1/records?limit=0")
        .is_problem(400, "bad-request");
    served
        .get("/v1/records?limit=1001")
        .is_problem(400, "bad-request");
    served
        .get("/v1/records?limit=x")
        .is_problem(400, "bad-request");
    served
        .get("/v1/records?order=sideways")
        .is_problem(400, "bad-request");
    served
        .get("/v1/records?since=now")
        .is_problem(400, "bad-request");
    served
        .get("/v1/records?tenant=nobody")
        .is_problem(404, "not-found");
    let long = "a".repeat(5_000);
    served
        .get(&format!("/v1/records?q={long}"))
        .is_problem(400, "bad-query");
    served
        .get("/v1/records/nobody")
        .is_problem(404, "not-found");
    served
        .get("/v1/records/019a9b00-0000-7000-8000-0000000000ff")
        .is_problem(404, "not-found");
}

#[test]
fn after_a_receipt_its_record_is_found() {
    let served = filled(1);
    let receipt = served.post("/v1/events?tenant=acme", &event(7)).is(201)["receipt"].clone();
    let encode = |text: &str| {
        text.bytes()
            .fold(String::new(), |all, b| format!("{all}%{b:02X}"))
    };
    let path = format!("/v1/records?q=doc-7&after={}", encode(&receipt.to_string()));
    assert_eq!(numbers(&served.get(&path).is(200)), [2]);
    assert_eq!(
        numbers(&served.get("/v1/records?q=doc-7&after=acme/2").is(200)),
        [2]
    );
    let answer = json!({ "receipt": receipt }).to_string();
    let path = format!("/v1/records?q=doc-7&after={}", encode(&answer));
    assert_eq!(numbers(&served.get(&path).is(200)), [2], "the whole answer");
    served
        .get("/v1/records?after=acme/9")
        .is_problem(503, "not-yet");
    let asked = Instant::now();
    served
        .get("/v1/records?after=nobody/1")
        .is_problem(404, "not-found");
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "nothing to wait for"
    );
    let mut foreign = receipt;
    foreign["record_hash"] = json!("0".repeat(64));
    let path = format!("/v1/records?after={}", encode(&foreign.to_string()));
    let problem = served.get(&path).is_problem(409, "foreign-receipt");
    let text = problem["detail"].as_str().unwrap();
    assert!(text.starts_with("record 2 of acme is not"), "{text}");
    served
        .get("/v1/records?after=acme")
        .is_problem(400, "bad-request");
}

#[test]
fn an_id_that_several_tenants_have_is_of_none_until_one_is_named() {
    let served = Served::closed(&[
        (Role::Emitter, Some("acme globex hooli")),
        (Role::Reader, Some("acme globex")),
        (Role::Reader, Some("acme")),
    ]);
    let mut event = event(1);
    event["source_event_id"] = json!("ext-1");
    for tenant in ["globex", "acme", "hooli"] {
        let path = format!("/v1/events?tenant={tenant}");
        served.post_as(0, &path, &event).is(201);
    }
    for id in [event["audit_id"].as_str().unwrap(), "ext-1"] {
        for path in [
            format!("/v1/records/{id}"),
            format!("/v1/records/{id}/proof"),
        ] {
            let problem = served.get_as(1, &path).is_problem(409, "ambiguous");
            let text = problem.to_string();
            assert!(text.contains(": acme, globex\""), "{text}");
            assert!(
                text.contains("tenant=") && !text.contains("hooli"),
                "{text}"
            );
            for tenant in ["acme", "globex"] {
                let one = served.get_as(1, &format!("{path}?tenant={tenant}")).is(200);
                let found = one.get("record").or(one.get("receipt")).unwrap();
                assert_eq!(found["tenant_id"], tenant);
            }
            served.get_as(2, &path).is(200);
        }
    }
}

#[test]
fn an_id_of_any_characters_is_an_id_of_its_source() {
    let served = Served::open();
    for (id, escaped) in [
        ("\0", "%00"),
        ("a\u{1f}\n\u{7f}b", "a%1f%0a%7fb"),
        ("\u{202e}", "%e2%80%ae"),
        ("\"\\", "%22%5c"),
        ("*", "*"),
    ] {
        let mut foreign = event(1);
        foreign["audit_id"] = json!(id);
        let sent = served.post("/v1/events?tenant=acme", &foreign).is(201);
        let again = served.post("/v1/events?tenant=acme", &foreign).is(200);
        assert_eq!(sent, again, "{id:?}");
        let found = served.get(&format!("/v1/records/{escaped}")).is(200);
        assert_eq!(found["record"]["event"]["source_event_id"], id);
        assert_eq!(found["record_hash"], sent["receipt"]["record_hash"]);
    }
    let mut none = event(1);
    none["audit_id"] = json!("");
    served.post("/v1/events?tenant=acme", &none).is(422);
}

#[test]
fn records_come_as_lines_when_that_is_accepted() {
    let served = filled(3);
    let answer = served.send(
        "GET",
        "/v1/records?order=seq&limit=3&q=ada",
        &["Accept: application/x-ndjson"],
        b"",
    );
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = answer.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["record"]["sequence_number"], 3);
}

#[test]
fn personal_values_are_shown_and_found_and_not_in_the_leaf() {
    let served = Served::open();
    let mut personal = event(1);
    personal["actor"]["email"] = json!("ada@example.com");
    personal["source_event_id"] = json!("ext-77");
    served.post("/v1/events?tenant=acme", &personal).is(201);
    let list = served.get("/v1/records?q=email:ada@example.com").is(200);
    let record = &list["records"][0];
    assert_eq!(
        record["record"]["event"]["actor"]["email"],
        "ada@example.com"
    );
    assert!(!record["leaf"].as_str().unwrap().contains("ada@example.com"));
    let by_source = served.get("/v1/records/ext-77").is(200);
    assert_eq!(by_source["record_hash"], record["record_hash"]);
}
