//! The life of a key over HTTP: it expires, gets new secrets, is revoked, and each leaves a record.

use std::time::Duration;

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Served, until};

const ADMIN: usize = 0;
const HOUR: Duration = Duration::from_hours(1);

fn served() -> Served {
    Served::closed(&[(Role::Admin, None)])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The bearer text with another secret.
fn guessed(bearer: &str) -> String {
    let (start, _) = bearer.rsplit_once('_').unwrap();
    format!("{start}_{}", "0f".repeat(32))
}

#[test]
fn a_key_expires_and_says_so_to_who_has_its_secret() {
    let served = served();
    let wanted = json!({"role": "reader", "tenants": ["acme"], "expires": "2h"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let bearer = text(&made["bearer"]);
    let ask = |bearer: &str| served.ask_with(bearer, "GET", "/v1/records", &Value::Null);
    served.move_clock(HOUR);
    ask(bearer).is(200);
    served.move_clock(HOUR);
    let problem = ask(bearer).is_problem(401, "key-expired");
    let end = text(&made["key"]["expires_at"]);
    assert!(text(&problem["detail"]).contains(end), "{problem}");
    ask(&guessed(bearer)).is_problem(401, "unauthorized");
    for wrong in ["0", "2020-01-01", "next week", "1y"] {
        let wanted = json!({"role": "reader", "tenants": "*", "expires": wrong});
        let problem = served.post_as(ADMIN, "/v1/keys", &wanted);
        problem.is_problem(400, "bad-request");
    }
}

#[test]
fn a_new_secret_takes_over_within_the_grace() {
    let served = served();
    let made = served
        .post_as(
            ADMIN,
            "/v1/keys",
            &json!({"role": "reader", "tenants": "*"}),
        )
        .is(201);
    let path = format!("/v1/keys/{}/rotate", text(&made["key"]["id"]));
    let first = text(&made["bearer"]).to_owned();
    let ask = |bearer: &str| served.ask_with(bearer, "GET", "/v1/records", &Value::Null);
    let second = served
        .post_as(ADMIN, &path, &json!({"grace": "1h"}))
        .is(200);
    let second = text(&second["bearer"]).to_owned();
    assert_ne!(first, second);
    ask(&first).is(200);
    ask(&second).is(200);
    served.move_clock(HOUR);
    let problem = ask(&first).is_problem(401, "key-expired");
    assert!(text(&problem["detail"]).contains("new secret"), "{problem}");
    ask(&second).is(200);
    let third = served.post_as(ADMIN, &path, &json!({"grace": "0"})).is(200);
    assert_eq!(third["key"]["old_secret_until"], Value::Null);
    let problem = ask(&second).is_problem(401, "key-expired");
    assert!(text(&problem["detail"]).contains("new secret"), "{problem}");
    ask(&first).is_problem(401, "unauthorized");
    ask(text(&third["bearer"])).is(200);
    for (wrong, kind) in [
        (json!({"grace": "1y"}), "bad-request"),
        (json!({"grace": "91d"}), "bad-request"),
        (json!({"gracee": "1h"}), "bad-request"),
    ] {
        served.post_as(ADMIN, &path, &wrong).is_problem(400, kind);
    }
    served
        .post_as(ADMIN, "/v1/keys/nobody/rotate", &json!({}))
        .is_problem(404, "not-found");
    served
        .ask_with(text(&third["bearer"]), "POST", &path, &json!({}))
        .is_problem(403, "forbidden");
}

#[test]
fn what_is_done_with_keys_stands_in_the_ledgers_own_log() {
    let served = served();
    let wanted =
        json!({"role": "reader", "tenants": ["acme"], "query": "type:a.b", "name": "Dana"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let id = text(&made["key"]["id"]).to_owned();
    let path = format!("/v1/keys/{id}");
    served
        .post_as(ADMIN, &format!("{path}/rotate"), &json!({}))
        .is(200);
    let admin = served.key(ADMIN).to_owned();
    for _ in 0..2 {
        served
            .ask_with(&admin, "DELETE", &path, &Value::Null)
            .is(200);
    }
    let by = format!("key:{}", admin.split('_').nth(1).unwrap());
    for (event_type, data) in [
        ("config.changed", ("has_query", json!(true))),
        ("key.rotated", ("expires_at", Value::Null)),
        ("key.revoked", ("role", json!("reader"))),
    ] {
        let records = served.own_records(ADMIN, event_type);
        let of_it = |record: &&Value| record["target"] == json!({"id": id, "type": "key"});
        let found: Vec<_> = records.iter().filter(of_it).collect();
        assert_eq!(found.len(), 1, "{event_type}: {records:?}");
        let actor = json!({"id": by, "type": "service"});
        assert_eq!(found[0]["actor"], actor, "{event_type}");
        assert_eq!(found[0]["data"][data.0], data.1, "{event_type}");
        let text = found[0].to_string();
        assert!(!text.contains("Dana") && !text.contains("a.b\""), "{text}");
    }
    // The first key was made on the stores themselves; its record was written at the start.
    let made_there = served.own_records(ADMIN, "config.changed");
    assert_eq!(made_there[0]["actor"]["id"], "command", "{made_there:?}");
}

#[test]
fn the_list_tells_of_a_key_all_but_its_secret() {
    let served = served();
    let wanted = json!({"role": "reader", "tenants": "*", "query": "type:a.b", "expires": "90d"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let bearer = text(&made["bearer"]).to_owned();
    let listed = || {
        let keys = served.get_as(ADMIN, "/v1/keys").is(200)["keys"].clone();
        let keys = keys.as_array().unwrap().clone();
        keys.into_iter()
            .find(|key| key["id"] == made["key"]["id"])
            .unwrap()
    };
    assert_eq!(listed(), made["key"]);
    assert_eq!(listed()["last_used_at"], Value::Null);
    served
        .ask_with(&bearer, "GET", "/v1/records", &Value::Null)
        .is(200);
    until("the hour of its use is kept", || {
        !listed()["last_used_at"].is_null()
    });
    assert_eq!(
        listed()["last_used_at"],
        made["key"]["created_at"],
        "it was not used before it was made"
    );
    served.move_clock(HOUR);
    served
        .ask_with(&bearer, "GET", "/v1/records", &Value::Null)
        .is(200);
    until("the next hour is kept", || {
        listed()["last_used_at"] != made["key"]["created_at"]
    });
    let used = listed()["last_used_at"].clone();
    assert!(text(&used).ends_with(":00:00.000000Z"), "{used}");
}
