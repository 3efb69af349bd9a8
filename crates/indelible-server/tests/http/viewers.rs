//! Viewer tokens: what one shows and what not, how it ends, and that nobody makes one up.

use std::time::Duration;

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Served, bare, event, until};

const ADMIN: usize = 0;
const EMITTER: usize = 1;
const READER: usize = 2;
const PATH: &str = "/v1/viewer-tokens";

/// One with records of two tenants and two types.
fn served() -> Served {
    let served = Served::closed(&[
        (Role::Admin, None),
        (Role::Emitter, Some("acme")),
        (Role::Reader, Some("acme")),
    ]);
    for (tenant, from) in [("acme", 1), ("globex", 11)] {
        let made = json!({"tenant_id": tenant});
        served.post_as(ADMIN, "/v1/tenants", &made).is(201);
        for n in 0..4 {
            let mut one = event(from + n);
            if n % 2 == 0 {
                one["event_type"] = json!("invoice.paid");
            }
            let path = format!("/v1/events?tenant={tenant}");
            served.post_as(ADMIN, &path, &one).is(201);
        }
    }
    served
}

fn made(served: &Served, n: usize, wanted: &Value) -> String {
    let made = served.post_as(n, PATH, wanted).is(201);
    made["bearer"].as_str().unwrap().to_owned()
}

fn get(served: &Served, bearer: &str, path: &str) -> Answer {
    served.ask_with(bearer, "GET", path, &Value::Null)
}

fn types(answer: &Answer) -> Vec<String> {
    let list = answer.is(200);
    let records = list["records"].as_array().unwrap().iter();
    let of = |record: &Value| {
        record["record"]["event"]["event_type"]
            .as_str()
            .map(str::to_owned)
    };
    records.map(|record| of(record).unwrap()).collect()
}

#[test]
fn a_viewer_sees_what_the_token_says_of_what_its_maker_sees() {
    let served = served();
    let all = made(&served, READER, &json!({"tenant": "acme"}));
    // The log's own first record is one.
    assert_eq!(types(&get(&served, &all, "/v1/records")).len(), 5);
    let paid = json!({"tenant": "acme", "query": "type:invoice.paid", "for": "2h"});
    let paid = made(&served, READER, &paid);
    assert_eq!(
        types(&get(&served, &paid, "/v1/records")),
        ["invoice.paid"; 2]
    );
    let id = |n: usize| event(n)["audit_id"].as_str().unwrap().to_owned();
    for (n, status) in [(1, 200), (2, 404), (11, 404)] {
        let path = format!("/v1/records/{}", id(n));
        assert_eq!(get(&served, &paid, &path).status, status, "{n}");
        let proof = get(&served, &paid, &(path + "/proof"));
        assert!(
            proof.status == status || (status, proof.status) == (200, 503),
            "{n}: {proof:?}"
        );
    }
    let elsewhere = get(&served, &all, "/v1/records?tenant=globex");
    elsewhere.is_problem(404, "not-found");
    // The query of the key that makes it goes before its own.
    let bound = json!({"role": "reader", "tenants": "*", "query": "type:document.viewed"});
    let bound = served.post_as(ADMIN, "/v1/keys", &bound).is(201);
    let wanted = json!({"tenant": "acme", "query": "type:invoice.paid OR type:document.viewed"});
    let narrow = served.ask_with(bound["bearer"].as_str().unwrap(), "POST", PATH, &wanted);
    let narrow = narrow.is(201)["bearer"].as_str().unwrap().to_owned();
    assert!(!types(&get(&served, &narrow, "/v1/records")).contains(&"invoice.paid".to_owned()));
}

#[test]
fn a_viewer_gets_records_and_nothing_else() {
    let served = served();
    let token = made(&served, ADMIN, &json!({"tenant": "acme"}));
    for (method, path) in [
        ("GET", "/v1/checkpoints"),
        ("GET", "/v1/tenants"),
        ("GET", "/v1/streams"),
        ("GET", "/v1/keys"),
        ("GET", "/v1/access"),
        ("GET", "/v1/configuration"),
        ("GET", "/metrics"),
        ("POST", "/v1/events"),
        ("POST", PATH),
        ("DELETE", "/v1/keys/0011223344556677"),
    ] {
        let body = json!({"tenant": "acme"});
        served
            .ask_with(&token, method, path, &body)
            .is_problem(403, "forbidden");
    }
    assert_eq!(get(&served, &token, "/health/live").status, 200);
    get(&served, &token, "/nowhere").is_problem(404, "not-found");
}

#[test]
fn a_token_is_for_a_tenant_that_its_maker_may_read() {
    let served = served();
    let refused = |n: usize, wanted: Value, status: u16, kind: &str| {
        served.post_as(n, PATH, &wanted).is_problem(status, kind);
    };
    refused(EMITTER, json!({"tenant": "acme"}), 403, "forbidden");
    let none = served.post_as(READER, PATH, &json!({"tenant": "nobody"}));
    let other = served.post_as(READER, PATH, &json!({"tenant": "globex"}));
    let text = |answer: &Answer| bare(answer).to_string().replace("nobody", "globex");
    assert_eq!(text(&none), text(&other));
    none.is_problem(404, "not-found");
    refused(ADMIN, json!({"tenant": "_system"}), 404, "not-found");
    for wrong in [
        json!({"tenant": "acme", "for": "25h"}),
        json!({"tenant": "acme", "for": "0"}),
        json!({"tenant": "acme", "for": "for ever"}),
        json!({"tenant": "acme", "query": "type:"}),
        json!({"tenant": "acme", "query": ""}),
        json!({"tenant": "acme", "role": "admin"}),
        json!({"tenant": "a b"}),
        json!({}),
    ] {
        refused(READER, wrong, 400, "bad-request");
    }
    let open = Served::open();
    open.post("/v1/events?tenant=acme", &event(1)).is(201);
    open.post(PATH, &json!({"tenant": "acme"}))
        .is_problem(403, "forbidden");
}

#[test]
fn a_token_that_is_over_forged_or_of_another_server_is_as_a_key_that_nobody_has() {
    let served = served();
    let unknown = format!("ind_0011223344556677_{}", "00".repeat(32));
    let expected = bare(&get(&served, &unknown, "/v1/records"));
    let token = made(&served, READER, &json!({"tenant": "acme"}));
    get(&served, &token, "/v1/records").is(200);
    let other = self::served();
    let theirs = made(&other, READER, &json!({"tenant": "acme"}));
    get(&other, &theirs, "/v1/records").is(200);
    let streams = get(&served, served.key(READER), "/v1/records?limit=1").is(200);
    let cursor = streams["next_cursor"].as_str().unwrap();
    let mut forged = vec![
        theirs,
        format!("indv_{cursor}"),
        "indv_".to_owned(),
        format!("{token}AA"),
        format!("indv_{}", "A".repeat(20_000)),
    ];
    // Each character counts but the last, some of whose bits stand for nothing.
    for at in ("indv_".len()..token.len() - 1).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes).unwrap());
    }
    for forged in &forged {
        assert_eq!(
            bare(&get(&served, forged, "/v1/records")),
            expected,
            "{forged}"
        );
    }
    served.move_clock(Duration::from_mins(15));
    assert_eq!(bare(&get(&served, &token, "/v1/records")), expected);
}

#[test]
fn a_token_falls_with_the_key_that_made_it() {
    let served = served();
    let unknown = format!("ind_0011223344556677_{}", "00".repeat(32));
    let expected = bare(&get(&served, &unknown, "/v1/records"));
    let key = |wanted: Value| served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let make = |key: &Value| {
        let wanted = json!({"tenant": "acme", "for": "24h"});
        let made = served.ask_with(key["bearer"].as_str().unwrap(), "POST", PATH, &wanted);
        made.is(201)["bearer"].as_str().unwrap().to_owned()
    };
    let (revoked, expired) = (
        key(json!({"role": "reader", "tenants": "*"})),
        key(json!({"role": "reader", "tenants": "*", "expires": "1h"})),
    );
    let (of_revoked, of_expired) = (make(&revoked), make(&expired));
    let path = format!("/v1/keys/{}", revoked["key"]["id"].as_str().unwrap());
    let admin = served.key(ADMIN).to_owned();
    get(&served, &of_revoked, "/v1/records").is(200);
    // A new secret is still the same key, and the old one is taken for the grace.
    let rotate = format!("{path}/rotate");
    served
        .post_as(ADMIN, &rotate, &json!({"grace": "1h"}))
        .is(200);
    get(&served, &of_revoked, "/v1/records").is(200);
    served
        .ask_with(&admin, "DELETE", &path, &Value::Null)
        .is(200);
    assert_eq!(bare(&get(&served, &of_revoked, "/v1/records")), expected);
    get(&served, &of_expired, "/v1/records").is(200);
    served.move_clock(Duration::from_hours(1));
    assert_eq!(bare(&get(&served, &of_expired, "/v1/records")), expected);
}

#[test]
fn a_token_that_is_made_leaves_a_record_without_its_query() {
    let served = served();
    let wanted = json!({"tenant": "acme", "query": "actor:dana"});
    let token = made(&served, READER, &wanted);
    served.move_clock(Duration::from_secs(61));
    let told = records(&served, "viewer_token.created");
    let [told] = told.as_slice() else {
        panic!("{told:#?}");
    };
    assert_eq!(told["data"]["tenant"], "acme");
    assert_eq!(told["data"]["has_query"], true);
    let key = served.key(READER).split('_').nth(1).unwrap();
    assert_eq!(told["actor"]["id"], format!("key:{key}"));
    assert_eq!(told["target"], json!({"id": key, "type": "key"}));
    let text = told.to_string();
    assert!(!text.contains("dana") && !text.contains(&token), "{text}");
}

/// The records of this change, when there are some.
fn records(served: &Served, change: &str) -> Vec<Value> {
    let mut told = Vec::new();
    until("it is written what was changed", || {
        told = served.own_records(ADMIN, "config.changed");
        told.retain(|told| told["data"]["change"] == change);
        !told.is_empty()
    });
    told
}

#[test]
fn who_makes_tokens_and_exports_and_takes_them_away_fills_nothing() {
    let served = served();
    for _ in 0..40 {
        made(&served, READER, &json!({"tenant": "acme"}));
        let wanted = json!({"format": "csv", "tenant": "acme"});
        let export = served.post_as(READER, "/v1/exports", &wanted).is(201);
        let path = format!("/v1/exports/{}", export["id"].as_str().unwrap());
        let reader = served.key(READER);
        served
            .ask_with(reader, "DELETE", &path, &Value::Null)
            .is(200);
    }
    let expires = served.post_as(READER, PATH, &json!({"tenant": "acme"}));
    let expires = expires.is(201)["expires_at"].clone();
    served.move_clock(Duration::from_secs(61));
    for (change, requests) in [("viewer_token.created", 41), ("export.removed", 40)] {
        let told = records(&served, change);
        let counted = told
            .iter()
            .map(|one| one["data"]["requests"].as_u64().unwrap());
        assert_eq!(counted.sum::<u64>(), requests, "{told:#?}");
        assert!(told.len() <= 2, "once a minute: {told:#?}");
        assert!(told[0]["data"]["since"].as_str() <= told[0]["data"]["until"].as_str());
    }
    let last = records(&served, "viewer_token.created").pop().unwrap();
    assert_eq!(last["data"]["expires_at"], expires, "the last end of them");
    let removed = records(&served, "export.removed").pop().unwrap();
    assert_eq!(removed["target"], json!({"id": "acme", "type": "tenant"}));
}

#[test]
fn a_token_lives_no_longer_than_the_secret_it_was_made_with() {
    let served = served();
    let id = served.key(READER).split('_').nth(1).unwrap().to_owned();
    let path = format!("/v1/keys/{id}/rotate");
    let rotated = |grace: &str| {
        let rotated = served.post_as(ADMIN, &path, &json!({"grace": grace}));
        rotated.is(200)["bearer"].as_str().unwrap().to_owned()
    };
    let wanted = json!({"tenant": "acme", "for": "24h"});
    let by = |bearer: &str| {
        let made = served.ask_with(bearer, "POST", PATH, &wanted).is(201);
        made["bearer"].as_str().unwrap().to_owned()
    };
    let status = |token: &str| get(&served, token, "/v1/records").status;
    let first = made(&served, READER, &wanted);
    let second = by(&rotated("1h"));
    // Within the grace the old secret makes tokens that end with it.
    let late = made(&served, READER, &wanted);
    assert_eq!([&first, &second, &late].map(|one| status(one)), [200; 3]);
    served.move_clock(Duration::from_hours(1));
    assert_eq!(
        [&first, &second, &late].map(|one| status(one)),
        [401, 200, 401]
    );
    let third = by(&rotated("0"));
    assert_eq!([&second, &third].map(|one| status(one)), [401, 200]);
}

#[test]
fn a_token_does_not_tell_how_long_the_query_is_that_its_holder_does_not_see() {
    let served = served();
    let long = |query: &str| {
        let wanted = json!({"tenant": "acme", "query": query});
        made(&served, READER, &wanted).len()
    };
    let short = long("a");
    assert_eq!(long("actor:ada OR actor:bob -target:invoice-7"), short);
    let none = made(&served, READER, &json!({"tenant": "acme"}));
    assert_eq!(none.len(), short);
}
