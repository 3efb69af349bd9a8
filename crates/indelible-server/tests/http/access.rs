//! Who may: roles on every route, other tenants' data is not there, keys made and revoked.

use std::sync::Arc;

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Served, event, telemetry};

const EMITTER: usize = 0;
const READER: usize = 1;
const AUDITOR: usize = 2;
const ADMIN: usize = 3;
const OTHER: usize = 4;
const SOME: usize = 5;

fn served() -> Served {
    Served::closed(&[
        (Role::Emitter, Some("acme")),
        (Role::Reader, Some("acme")),
        (Role::Auditor, Some("acme")),
        (Role::Admin, None),
        (Role::Reader, Some("globex")),
        (Role::Emitter, Some("acme globex")),
    ])
}

#[test]
fn without_a_key_only_health_and_pages_answer() {
    let served = served();
    let closed = [
        "/v1/records",
        "/v1/records/x",
        "/v1/records/x/proof",
        "/v1/checkpoints",
    ];
    let more = ["/v1/tenants", "/v1/keys", "/metrics"];
    for path in closed.into_iter().chain(more) {
        let answer = served.get(path);
        answer.is_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    served
        .post("/v1/events", &event(1))
        .is_problem(401, "unauthorized");
    served
        .post("/v1/events:batch", &json!([]))
        .is_problem(401, "unauthorized");
    for path in ["/", "/docs", "/openapi.json", "/health/live"] {
        assert_eq!(served.get(path).status, 200, "{path}");
    }
    for wrong in [
        "Bearer nonsense",
        "Bearer ind_0011223344556677_00",
        "Basic YTpi",
        "Bearer",
    ] {
        let header = format!("Authorization: {wrong}");
        let answer = served.send("GET", "/v1/records", &[&header], b"");
        answer.is_problem(401, "unauthorized");
    }
}

#[test]
fn each_role_may_what_it_may_and_no_more() {
    let served = served();
    served.post_as(EMITTER, "/v1/events", &event(1)).is(201);
    for path in [
        "/v1/records",
        "/v1/records/x",
        "/v1/checkpoints",
        "/v1/tenants",
        "/v1/keys",
        "/metrics",
    ] {
        served.get_as(EMITTER, path).is_problem(403, "forbidden");
    }
    for reads in [READER, AUDITOR] {
        served
            .post_as(reads, "/v1/events", &event(2))
            .is_problem(403, "forbidden");
        served
            .post_as(reads, "/v1/events:batch", &json!([]))
            .is_problem(403, "forbidden");
        served.get_as(reads, "/v1/records").is(200);
        served
            .get_as(reads, "/v1/keys")
            .is_problem(403, "forbidden");
        served
            .get_as(reads, "/metrics")
            .is_problem(403, "forbidden");
    }
    served
        .get_as(READER, "/v1/checkpoints")
        .is_problem(403, "forbidden");
    served.get_as(AUDITOR, "/v1/checkpoints").is(200);
    served.get_as(ADMIN, "/v1/keys").is(200);
    assert_eq!(served.get_as(ADMIN, "/metrics").status, 200);
}

#[test]
fn another_tenants_data_is_not_there() {
    let served = served();
    let receipt = served.post_as(EMITTER, "/v1/events", &event(1)).is(201)["receipt"].clone();
    let id = receipt["audit_id"].as_str().unwrap();
    // What is another's answers exactly as what does not exist.
    let same = |a: &str, b: &str| {
        let (mut a, mut b) = (served.get_as(OTHER, a), served.get_as(OTHER, b));
        let strip = |answer: &mut crate::support::Answer| {
            let mut json = answer.json();
            json["request_id"] = json!(null);
            json.to_string()
                .replace("nobody", "acme")
                .replace("globex-no", "acme")
        };
        assert_eq!(a.status, 404);
        assert_eq!((a.status, strip(&mut a)), (b.status, strip(&mut b)));
    };
    let never = "019a9b00-0000-7000-8000-0000000000ee";
    same(
        &format!("/v1/records/{id}"),
        &format!("/v1/records/{never}"),
    );
    same(
        &format!("/v1/records/{id}/proof"),
        &format!("/v1/records/{never}/proof"),
    );
    same("/v1/records?tenant=acme", "/v1/records?tenant=nobody");
    same(
        &format!("/v1/records/{id}?tenant=acme"),
        &format!("/v1/records/{id}?tenant=nobody"),
    );
    same("/v1/records?after=acme/1", "/v1/records?after=nobody/1");
    for query in ["", "?q=tenant:acme", "?q=ada", "?q=tenant:_system"] {
        let list = served.get_as(OTHER, &format!("/v1/records{query}")).is(200);
        assert_eq!(list["records"], json!([]), "{query}");
    }
    assert_eq!(
        served.get_as(OTHER, "/v1/tenants").is(200)["tenants"],
        json!([])
    );
    let list = served.get_as(READER, "/v1/records").is(200);
    assert_eq!(
        list["records"].as_array().unwrap().len(),
        2,
        "log.created and the event"
    );
    let foreign = served.post_as(EMITTER, "/v1/events?tenant=globex", &event(2));
    foreign.is_problem(404, "not-found");
}

#[test]
fn a_key_of_several_tenants_must_say_which() {
    let served = served();
    served
        .post_as(SOME, "/v1/events", &event(1))
        .is_problem(422, "tenant-needed");
    served
        .post_as(SOME, "/v1/events?tenant=globex", &event(1))
        .is(201);
    let missing = served.post_as(ADMIN, "/v1/events?tenant=hooli", &event(2));
    missing.is_problem(404, "not-found");
    let made = served.post_as(ADMIN, "/v1/tenants", &json!({"tenant_id": "hooli"}));
    assert_eq!(made.is(201)["records"], 1);
    served
        .post_as(ADMIN, "/v1/tenants", &json!({"tenant_id": "hooli"}))
        .is(200);
    served
        .post_as(ADMIN, "/v1/events?tenant=hooli", &event(2))
        .is(201);
    served
        .post_as(READER, "/v1/tenants", &json!({"tenant_id": "x"}))
        .is_problem(403, "forbidden");
}

#[test]
fn the_key_that_submitted_stands_in_the_leaf() {
    let served = served();
    served.post_as(EMITTER, "/v1/events", &event(1)).is(201);
    let list = served.get_as(READER, "/v1/records?q=ada").is(200);
    let leaf = list["records"][0]["leaf"].as_str().unwrap();
    let id = served.key(EMITTER).split('_').nth(1).unwrap();
    assert!(
        leaf.contains(&format!("\"submitted_by\":\"key:{id}\"")),
        "{leaf}"
    );
}

#[test]
fn keys_are_made_shown_once_and_revoked_at_once() {
    let served = served();
    let wanted = json!({"role": "reader", "tenants": ["acme"], "name": "dashboard"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let bearer = made["bearer"].as_str().unwrap();
    let header = format!("Authorization: Bearer {bearer}");
    assert_eq!(
        served.send("GET", "/v1/records", &[&header], b"").status,
        200
    );
    let all = served.get_as(ADMIN, "/v1/keys");
    assert_eq!(all.is(200)["keys"].as_array().unwrap().len(), 8);
    let secret = bearer.rsplit('_').next().unwrap();
    assert!(
        !all.text().contains(secret) && !all.text().contains("hash"),
        "{}",
        all.text()
    );
    let path = format!("/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    let admin = format!("Authorization: Bearer {}", served.key(ADMIN));
    served.send("DELETE", &path, &[&admin], b"").is(200);
    served
        .send("GET", "/v1/records", &[&header], b"")
        .is_problem(401, "key-revoked");
    served
        .send("DELETE", "/v1/keys/nobody", &[&admin], b"")
        .is_problem(404, "not-found");
    let wrong = served.post_as(ADMIN, "/v1/keys", &json!({"role": "king", "tenants": "*"}));
    wrong.is_problem(400, "bad-request");
    let wrong = served.post_as(
        ADMIN,
        "/v1/keys",
        &json!({"role": "reader", "tenants": ["a b"]}),
    );
    wrong.is_problem(400, "bad-request");
    let bound = json!({"role": "admin", "tenants": ["acme"]});
    let wrong = served
        .post_as(ADMIN, "/v1/keys", &bound)
        .is_problem(400, "bad-request");
    let text = wrong["detail"].as_str().unwrap();
    assert!(text.contains("an admin is of all tenants"), "{text}");
}

#[test]
fn the_first_key_closes_an_open_server() {
    let served = Served::open();
    for role in ["emitter", "reader", "auditor", "privacy_officer"] {
        let problem = served.post("/v1/keys", &json!({"role": role, "tenants": "*"}));
        let problem = problem.is_problem(400, "bad-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("keys create --role admin"), "{detail}");
    }
    served.get("/v1/records").is(200);
    served
        .post("/v1/keys", &json!({"role": "admin", "tenants": "*"}))
        .is(201);
    served.get("/v1/records").is_problem(401, "unauthorized");
}

#[test]
fn an_open_server_answers_only_to_names_of_its_own_machine() {
    let served = Served::open();
    for host in ["evil.example", "evil.example:80", "10.0.0.7"] {
        let mut stream = served.connect();
        let request = format!("GET /v1/records HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.say(request).unwrap();
        stream.answer().unwrap().is_problem(421, "misdirected");
    }
}

#[test]
fn changes_of_keys_at_the_same_time_are_all_in_force() {
    let served = Arc::new(Served::closed(&[(Role::Admin, None)]));
    let make = || {
        let made = served.post_as(0, "/v1/keys", &json!({"role": "reader", "tenants": "*"}));
        let made = made.is(201);
        let text = |member: &Value| member.as_str().unwrap().to_owned();
        (text(&made["key"]["id"]), text(&made["bearer"]))
    };
    let status = |key: &str| {
        let header = format!("Authorization: Bearer {key}");
        served.send("GET", "/v1/records", &[&header], b"").status
    };
    for round in 0..30 {
        let (id, revoked) = make();
        let made = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..3).map(|_| scope.spawn(make)).collect();
            let path = format!("/v1/keys/{id}");
            let header = format!("Authorization: Bearer {}", served.key(0));
            served.send("DELETE", &path, &[&header], b"").is(200);
            let made = makers.into_iter().map(|maker| maker.join().unwrap());
            made.collect::<Vec<_>>()
        });
        assert_eq!(status(&revoked), 401, "round {round}: it is revoked");
        for (_, key) in made {
            assert_eq!(status(&key), 200, "round {round}: it was made");
        }
    }
}

#[test]
fn a_key_learns_what_it_may_and_an_admin_what_the_server_runs_with() {
    let served = served();
    served.get("/v1/access").is_problem(401, "unauthorized");
    let may = |who| served.get_as(who, "/v1/access").is(200);
    let told = may(READER);
    assert_eq!(
        told,
        json!({"role": "reader", "may": ["read", "whole"], "tenants": ["acme"]})
    );
    assert_eq!(may(EMITTER)["may"], json!(["emit"]));
    assert_eq!(may(AUDITOR)["may"], json!(["read", "whole", "audit"]));
    let all = json!(["emit", "read", "whole", "audit", "administer"]);
    assert_eq!(may(ADMIN)["may"], all);
    assert_eq!(may(ADMIN)["tenants"], Value::Null);
    for who in [EMITTER, READER, AUDITOR, OTHER, SOME] {
        served
            .get_as(who, "/v1/configuration")
            .is_problem(403, "forbidden");
    }
    let settings = served.get_as(ADMIN, "/v1/configuration").is(200);
    assert_eq!(settings["settings"][0]["setting"], "server.listen");
    assert_eq!(settings["settings"][0]["source"], "command line");
}

#[test]
fn a_key_in_the_place_of_a_request_id_is_not_told() {
    telemetry();
    let served = Served::closed(&[(Role::Admin, None)]);
    let key = served.key(0);
    for path in ["/health/live", "/v1/records"] {
        let answer = served.send("GET", path, &[&format!("X-Request-Id: {key}")], b"");
        let id = answer.header("x-request-id").unwrap();
        assert!(id != key && id.len() == 16, "{id}");
        assert!(!answer.text().contains(key));
    }
    let answer = served.send("GET", "/health/live", &["X-Request-Id: mine-1"], b"");
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let secret = key.rsplit('_').next().unwrap();
    let told = telemetry();
    assert!(!told.iter().any(|line| line.to_string().contains(secret)));
}

#[test]
fn a_flood_of_wrong_keys_is_a_line_a_second() {
    telemetry();
    let served = Served::closed(&[(Role::Admin, None)]);
    let began = std::time::Instant::now();
    let ask = |n: usize| {
        let wrong = format!("Authorization: Bearer ind_{n:016x}_{}", "ab".repeat(32));
        let id = format!("X-Request-Id: flood-of-wrong-keys-{n}");
        let answer = served.send("GET", "/v1/records", &[&wrong, &id], b"");
        answer.is_problem(401, "unauthorized");
    };
    (0..200).for_each(ask);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    ask(200);
    let seconds = began.elapsed().as_secs();
    let told: Vec<Value> = telemetry()
        .into_iter()
        .filter(|line| line.to_string().contains("flood-of-wrong-keys-"))
        .collect();
    let lines = told.len() as u64;
    assert!((2..=seconds + 2).contains(&lines), "{lines} in {seconds} s");
    let untold: u64 = told
        .iter()
        .map(|line| line["untold"].as_u64().unwrap())
        .sum();
    assert_eq!(lines + untold, 201, "{told:#?}");
}
