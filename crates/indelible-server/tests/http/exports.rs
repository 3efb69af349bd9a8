//! Exports: the rows of the list in every form; jobs that are nobody else's, outlive a restart, end
//! in time, and go with the key that made them.

use std::time::Duration;

use indelible_api::Role;
use indelible_disk::Disk;
use serde_json::{Value, json};

use crate::support::{Answer, Served, Stand, event, until};

const ADMIN: usize = 0;
const EMITTER: usize = 1;
const READER: usize = 2;
const OTHER: usize = 3;

fn filled(served: &Served) {
    for n in 1..=30 {
        let mut event = event(n);
        event["actor"]["name"] = json!(if n % 2 == 0 { "=Ada" } else { "Grace" });
        event["outcome"] = json!(["success", "failure", "denied"][n % 3]);
        let path = if n <= 20 { "acme" } else { "globex" };
        let path = format!("/v1/events?tenant={path}");
        served.post_as(ADMIN, &path, &event).is(201);
    }
}

fn served_with(stand: Stand, change: impl FnOnce(&mut indelible_server::Settings)) -> Served {
    let keys = [
        (Role::Admin, None),
        (Role::Emitter, Some("acme")),
        (Role::Reader, Some("acme")),
        (Role::Reader, Some("acme")),
    ];
    let served = Served::start_on(stand, &keys, change);
    for tenant in ["acme", "globex"] {
        let wanted = json!({"tenant_id": tenant});
        served.post_as(ADMIN, "/v1/tenants", &wanted).is(201);
    }
    filled(&served);
    served
}

fn served() -> Served {
    served_with(Stand::default(), |_| {})
}

/// Makes a job and waits until it is over.
fn job(served: &Served, bearer: &str, wanted: &Value) -> Value {
    let made = served
        .ask_with(bearer, "POST", "/v1/exports", wanted)
        .is(201);
    over(served, bearer, made["id"].as_str().unwrap())
}

fn over(served: &Served, bearer: &str, id: &str) -> Value {
    let mut told = Value::Null;
    until("an export is over", || {
        let path = format!("/v1/exports/{id}");
        told = served.ask_with(bearer, "GET", &path, &Value::Null).is(200);
        told["status"] == "done" || told["status"] == "failed"
    });
    told
}

fn file(served: &Served, bearer: &str, id: &Value, headers: &[&str]) -> Answer {
    let path = format!("/v1/exports/{}/file", id.as_str().unwrap());
    let key = format!("Authorization: Bearer {bearer}");
    served.send("GET", &path, &[&[key.as_str()], headers].concat(), b"")
}

#[test]
fn every_form_has_the_rows_of_the_list_for_whoever_asks() {
    let served = served();
    let wanted = json!({"role": "reader", "tenants": ["acme"], "query": "-outcome:denied"});
    let bound = served.post_as(ADMIN, "/v1/keys", &wanted).is(201)["bearer"].clone();
    let bearers = [
        served.key(ADMIN),
        served.key(READER),
        bound.as_str().unwrap(),
    ];
    let queries = [
        "",
        "outcome:failure",
        "-outcome:success%20since:2026-01-01",
        "seq:3..9",
        "grace",
    ];
    let orders = ["seq", "seq-newest", "oldest", "newest"];
    for bearer in bearers {
        for query in queries {
            for order in orders {
                let asked = format!("q={query}&order={order}");
                let get = |path: &str| served.ask_with(bearer, "GET", path, &Value::Null);
                let list = get(&format!("/v1/records?limit=1000&{asked}")).is(200);
                let list = list["records"].as_array().unwrap();
                let leaves = get(&format!("/v1/export?{asked}"));
                let lines: Vec<_> = leaves.text().lines().map(str::to_owned).collect();
                let wanted: Vec<_> = list
                    .iter()
                    .map(|one| one["leaf"].as_str().unwrap())
                    .collect();
                assert_eq!(lines, wanted, "{asked}");
                assert_eq!(
                    leaves.header("x-export-records").unwrap(),
                    list.len().to_string()
                );
                let joined = get(&format!("/v1/export?format=joined&{asked}")).text();
                let joined: Vec<Value> = joined
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect();
                let wanted: Vec<_> = list.iter().map(|one| one["record"].clone()).collect();
                assert_eq!(joined, wanted, "{asked}");
                let csv = get(&format!(
                    "/v1/export?format=csv&columns=record_hash,actor.name&{asked}"
                ));
                let text = csv.text();
                let mut rows = text.lines().map(str::to_owned);
                assert_eq!(rows.next().unwrap(), "record_hash,actor.name");
                let wanted = list.iter().map(|one| {
                    let name = one["record"]["event"]["actor"]["name"].as_str();
                    let name = name.unwrap_or_default().replace("=Ada", "\"'=Ada\"");
                    format!("{},{name}", one["record_hash"].as_str().unwrap())
                });
                assert_eq!(
                    rows.collect::<Vec<_>>(),
                    wanted.collect::<Vec<_>>(),
                    "{asked}"
                );
            }
        }
    }
}

#[test]
fn a_job_is_written_told_of_downloaded_in_parts_and_removed() {
    let served = served();
    let bearer = served.key(READER);
    let wanted = json!({"format": "csv", "q": "outcome:failure", "columns": "all"});
    let told = job(&served, bearer, &wanted);
    assert_eq!(
        (&told["status"], &told["failure"]),
        (&json!("done"), &Value::Null)
    );
    assert_eq!((&told["records"], &told["of"]), (&json!(7), &json!(7)));
    let asked = "/v1/export?format=csv&q=outcome:failure&columns=all";
    let once = served.ask_with(bearer, "GET", asked, &Value::Null);
    let whole = file(&served, bearer, &told["id"], &[]);
    assert_eq!(whole.status, 200);
    assert_eq!(whole.text(), once.text(), "the same as in one answer");
    assert_eq!(told["bytes"], whole.body.len());
    assert!(
        whole
            .header("content-disposition")
            .unwrap()
            .contains(".csv")
    );
    let tag = whole.header("etag").unwrap().to_owned();
    let mut parts = Vec::new();
    for from in (0..whole.body.len()).step_by(100) {
        let range = format!("Range: bytes={from}-{}", from + 99);
        let part = file(
            &served,
            bearer,
            &told["id"],
            &[&range, &format!("If-Range: {tag}")],
        );
        assert_eq!(part.status, 206, "{part:?}");
        let to = (from + 99).min(whole.body.len() - 1);
        let said = format!("bytes {from}-{to}/{}", whole.body.len());
        assert_eq!(part.header("content-range").unwrap(), said);
        parts.extend(part.body);
    }
    assert_eq!(parts, whole.body);
    let other = file(
        &served,
        bearer,
        &told["id"],
        &["Range: bytes=0-0", "If-Range: \"x\""],
    );
    assert_eq!(other.status, 200);
    let beyond = file(&served, bearer, &told["id"], &["Range: bytes=99999999-"]);
    beyond.is_problem(416, "no-such-range");
    assert_eq!(
        beyond.header("content-range").unwrap(),
        format!("bytes */{}", whole.body.len())
    );
    let list = served
        .ask_with(bearer, "GET", "/v1/exports", &Value::Null)
        .is(200);
    assert_eq!(list["exports"], json!([told]));
    let path = format!("/v1/exports/{}", told["id"].as_str().unwrap());
    served
        .ask_with(bearer, "DELETE", &path, &Value::Null)
        .is(200);
    served
        .ask_with(bearer, "DELETE", &path, &Value::Null)
        .is_problem(404, "not-found");
    file(&served, bearer, &told["id"], &[]).is_problem(404, "not-found");
    assert_eq!(served.disk.list("exports").unwrap(), Vec::<String>::new());
}

#[test]
fn another_key_gets_what_it_gets_for_an_export_that_is_not_there() {
    let served = served();
    let told = job(&served, served.key(READER), &json!({"format": "joined"}));
    let id = told["id"].as_str().unwrap();
    let mut strange = id.to_owned();
    let last = if strange.pop() == Some('0') { '1' } else { '0' };
    strange.push(last);
    for (method, end) in [("GET", ""), ("GET", "/file"), ("DELETE", "")] {
        for (n, who) in [
            (OTHER, "a reader of the same tenant"),
            (ADMIN, "an administrator"),
        ] {
            let of = |id: &str| {
                let path = format!("/v1/exports/{id}{end}");
                let mut answer = served.ask_with(served.key(n), method, &path, &Value::Null);
                answer
                    .headers
                    .retain(|(name, _)| name != "x-request-id" && name != "date");
                answer.is_problem(404, "not-found");
                (crate::support::bare(&answer), answer.headers)
            };
            assert_eq!(of(id), of(&strange), "{method} {end} by {who}");
        }
        let path = format!("/v1/exports/{id}{end}");
        served
            .send(method, &path, &[], b"")
            .is_problem(401, "unauthorized");
        let emitter = served.ask_with(served.key(EMITTER), method, &path, &Value::Null);
        emitter.is_problem(403, "forbidden");
    }
    let others = served.get_as(OTHER, "/v1/exports").is(200);
    assert_eq!(others, json!({"exports": []}));
    assert_eq!(
        file(&served, served.key(READER), &told["id"], &[]).status,
        200,
        "it is still there"
    );
}

#[test]
fn a_job_outlives_a_restart_done_or_not() {
    let stand = Stand::default();
    let served = served_with(stand.clone(), |_| {});
    let bearer = served.key(READER).to_owned();
    let done = job(
        &served,
        &bearer,
        &json!({"format": "leaves", "order": "newest"}),
    );
    let bytes = file(&served, &bearer, &done["id"], &[]).body;
    let made = served.ask_with(&bearer, "POST", "/v1/exports", &json!({"format": "csv"}));
    let waiting = made.is(201)["id"].clone();
    served.end().unwrap();
    let served = Served::start_on(stand, &[], |_| {});
    assert_eq!(file(&served, &bearer, &done["id"], &[]).body, bytes);
    let told = over(&served, &bearer, waiting.as_str().unwrap());
    assert_eq!(
        (&told["status"], &told["records"]),
        (&json!("done"), &json!(21))
    );
    assert_eq!(
        file(&served, &bearer, &waiting, &[]).text().lines().count(),
        22
    );
}

#[test]
fn what_is_over_is_removed_with_its_key_and_nothing_stands_in_clear() {
    let served = served();
    let made = served
        .post_as(
            ADMIN,
            "/v1/keys",
            &json!({"role": "privacy_officer", "tenants": "*"}),
        )
        .is(201);
    let bearer = made["bearer"].as_str().unwrap();
    let told = job(&served, bearer, &json!({"format": "joined", "q": "grace"}));
    assert!(
        file(&served, bearer, &told["id"], &[])
            .text()
            .contains("Grace")
    );
    let names = served.disk.list("exports").unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in names {
        let bytes = served.disk.read(&format!("exports/{name}")).unwrap();
        for clear in ["Grace", "grace", "acme", "document.viewed"] {
            let found = bytes
                .windows(clear.len())
                .any(|part| part == clear.as_bytes());
            assert!(!found, "{name} has {clear}");
        }
    }
    let revoke = format!("/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    served
        .ask_with(served.key(ADMIN), "DELETE", &revoke, &Value::Null)
        .is(200);
    file(&served, bearer, &told["id"], &[]).is_problem(401, "key-revoked");
    until("its files are removed", || {
        served.disk.list("exports").unwrap().is_empty()
    });
    let told = job(&served, served.key(READER), &json!({"format": "csv"}));
    served.move_clock(Duration::from_hours(24));
    until("what is a day old is removed", || {
        served.disk.list("exports").unwrap().is_empty()
    });
    file(&served, served.key(READER), &told["id"], &[]).is_problem(404, "not-found");
}

#[test]
fn exports_are_bounded_in_number_and_in_bytes() {
    let served = served_with(Stand::default(), |settings| {
        settings.exports_per_key_max = 2;
        settings.exports_max = 5;
        settings.export_bytes_max = 3_000;
    });
    let make = |n: usize| served.post_as(n, "/v1/exports", &json!({"format": "csv", "q": "seq:1"}));
    let first = make(READER).is(201);
    make(READER).is(201);
    let refused = make(READER);
    refused.is_problem(429, "too-many-exports");
    // When the first of its own goes.
    let after = |answer: &Answer| {
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!((86_000..=86_400).contains(&after(&refused)));
    // Another key of the tenant is no way to more than the tenant's part, and others find theirs.
    let third = make(OTHER).is(201);
    let refused = make(OTHER);
    refused.is_problem(429, "too-many-exports");
    assert_eq!(after(&refused), 60);
    make(ADMIN).is(201);
    let refused = make(ADMIN);
    refused.is_problem(429, "too-many-exports");
    assert_eq!(after(&refused), 60);
    for (n, made) in [(READER, first), (OTHER, third)] {
        let path = format!("/v1/exports/{}", made["id"].as_str().unwrap());
        served
            .ask_with(served.key(n), "DELETE", &path, &Value::Null)
            .is(200);
    }
    let told = job(&served, served.key(READER), &json!({"format": "leaves"}));
    assert_eq!(told["status"], "failed");
    assert!(
        told["failure"].as_str().unwrap().contains("3000 bytes"),
        "{told}"
    );
    let answer = file(&served, served.key(READER), &told["id"], &[]);
    answer.is_problem(409, "not-done");
}

#[test]
fn how_much_room_others_leave_is_not_told() {
    let served = served_with(Stand::default(), |settings| {
        settings.exports_bytes_max = 1_500;
    });
    for n in [OTHER, READER] {
        let told = job(&served, served.key(n), &json!({"format": "leaves"}));
        assert_eq!(told["status"], "failed");
        let why = told["failure"].as_str().unwrap();
        assert!(why.contains("delete some of yours"), "{why}");
        assert!(!why.contains(|c: char| c.is_ascii_digit()), "{why}");
    }
}

#[test]
fn exports_of_one_tenant_leave_room_for_those_of_others() {
    let served = served_with(Stand::default(), |settings| {
        settings.exports_bytes_max = 100_000;
    });
    let leaves = json!({"format": "leaves"});
    // By whichever key of the tenant: it has half of all at most while nobody else has any.
    let mut sizes = Vec::new();
    let failed = loop {
        let key = [READER, OTHER][sizes.len() % 2];
        let told = job(&served, served.key(key), &leaves);
        match told["bytes"].as_u64().unwrap() {
            0 => break told,
            bytes => sizes.push(bytes),
        }
    };
    let all: u64 = sizes.iter().sum();
    assert!(all <= 50_000 && all + sizes[0] > 50_000, "{sizes:?}");
    assert!(sizes.len() > 1, "{sizes:?}");
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["records"], 0, "it is not told how far it came");
    let csv = json!({"format": "csv", "tenant": "globex"});
    assert_eq!(job(&served, served.key(ADMIN), &csv)["status"], "done");
}

#[test]
fn what_one_answer_cannot_have_is_refused_with_what_to_do() {
    let served = Served::open();
    let mut large = event(1);
    large["data"] = json!({"text": "x".repeat(60_000)});
    for n in 1..=300 {
        large["audit_id"] = event(n)["audit_id"].clone();
        served.post("/v1/events?tenant=acme", &large).is(201);
    }
    let refused = served.get("/v1/export?format=joined");
    let problem = refused.is_problem(413, "export-too-large");
    assert!(
        problem["next"]
            .as_str()
            .unwrap()
            .contains("POST /v1/exports")
    );
    assert_eq!(
        served.get("/v1/export?format=csv&columns=audit_id").status,
        200
    );
    let made = served
        .post("/v1/exports", &json!({"format": "joined"}))
        .is(201);
    let path = format!("/v1/exports/{}", made["id"].as_str().unwrap());
    until("the job has them all", || {
        served.get(&path).is(200)["status"] == "done"
    });
    let file = served.get(&format!("{path}/file"));
    assert_eq!(file.text().lines().count(), 301);
    for (query, kind) in [
        ("format=xml", "bad-request"),
        ("columns=event", "bad-request"),
        ("format=csv&columns=actor.nmae", "bad-request"),
        ("order=up", "bad-request"),
        ("q=acter:x", "bad-query"),
        ("formt=csv", "bad-request"),
    ] {
        served
            .get(&format!("/v1/export?{query}"))
            .is_problem(400, kind);
    }
    served
        .get("/v1/export?tenant=nowhere")
        .is_problem(404, "not-found");
    let wrong = json!({"format": "csv", "q": "acter:x"});
    served
        .post("/v1/exports", &wrong)
        .is_problem(400, "bad-query");
}

#[test]
fn who_exported_what_is_recorded() {
    let served = served_with(Stand::default(), |settings| {
        settings.access_interval = Duration::from_millis(50);
    });
    let bearer = served.key(READER);
    assert_eq!(
        served.get_as(READER, "/v1/export?q=outcome:failure").status,
        200
    );
    let told = job(
        &served,
        bearer,
        &json!({"format": "csv", "q": "outcome:denied"}),
    );
    assert_eq!(file(&served, bearer, &told["id"], &[]).status, 200);
    let by = format!("key:{}", bearer.split('_').nth(1).unwrap());
    let routes = ["/v1/export", "/v1/exports", "/v1/exports/{id}/file"];
    until("each is recorded, with its tenant", || {
        let records = served.own_records(ADMIN, "access.exported");
        routes.iter().all(|route| {
            records.iter().any(|one| {
                let is_ours = one["actor"]["id"] == by.as_str() && one["target"]["id"] == "acme";
                is_ours && one["data"]["route"] == *route && one["data"]["records"] != 0
            })
        })
    });
}
