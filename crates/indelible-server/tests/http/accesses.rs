//! Who read, exported or was denied what stands in `_system`: once a minute for what is asked
//! alike, for the readers of the tenant too, with what may be personal sealed, and never so much
//! that somebody could fill the ledger with it.

use std::time::Duration;

use indelible_api::Role;
use indelible_event::TenantId;
use indelible_merkle::sha256;
use indelible_store::Ledger as _;
use serde_json::{Value, json};

use crate::following::Tail;
use crate::support::{Served, Stand, event, until};

const ADMIN: usize = 0;
const EMITTER: usize = 1;
const READER: usize = 2;
const OTHER: usize = 3;
const AUDITOR: usize = 4;

const KEYS: [(Role, Option<&str>); 5] = [
    (Role::Admin, None),
    (Role::Emitter, None),
    (Role::Reader, Some("acme")),
    (Role::Reader, Some("Acme")),
    (Role::Auditor, None),
];
const MINUTE: Duration = Duration::from_secs(61);

fn served() -> Served {
    served_on(Stand::default())
}

fn served_on(stand: Stand) -> Served {
    let served = Served::start_on(stand, &KEYS, |_| {});
    for tenant in ["acme", "Acme"] {
        served.post_as(ADMIN, "/v1/tenants", &json!({"tenant_id": tenant}));
    }
    for n in 1..=3 {
        served.post_as(EMITTER, "/v1/events?tenant=acme", &event(n));
    }
    served
}

fn key_id(served: &Served, n: usize) -> String {
    let id = served.key(n).split('_').nth(1).unwrap();
    format!("key:{id}")
}

/// The records of this type by this actor, when there are so many.
fn records(served: &Served, (event_type, actor): (&str, &str), count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until(&format!("{count} {event_type} by {actor}"), || {
        found = served.own_records(ADMIN, event_type);
        found.retain(|one| one["actor"]["id"] == actor);
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

fn system_size(served: &Served) -> u64 {
    let system = TenantId::parse("_system").unwrap();
    let head = served.ledger.head(&system).unwrap();
    head.map_or(0, |head| head.frontier.size())
}

#[test]
fn what_is_asked_alike_is_one_record_a_minute_with_its_query_sealed() {
    let served = served();
    for _ in 0..20 {
        let list = served
            .get_as(READER, "/v1/records?q=geheim7+OR+actor:ada")
            .is(200);
        assert_eq!(list["records"].as_array().unwrap().len(), 3);
    }
    let id = event(2)["audit_id"].as_str().unwrap().to_owned();
    served.get_as(READER, &format!("/v1/records/{id}")).is(200);
    served.get_as(READER, "/v1/counts?facet=actor").is(200);
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        served.own_records(AUDITOR, "access.read").is_empty(),
        "not before a minute"
    );
    served.move_clock(MINUTE);
    let by = key_id(&served, READER);
    let found = records(&served, ("access.read", &by), 3);
    let of = |route: &str| {
        let mut of = found.iter().filter(|one| one["data"]["route"] == route);
        of.next().unwrap()
    };
    let lists = of("/v1/records");
    assert_eq!(lists["data"]["requests"], 20);
    assert_eq!(lists["data"]["records"], 60);
    assert_eq!(lists["data"]["query"], "geheim7 OR actor:ada");
    assert_eq!(lists["target"], json!({"id": "acme", "type": "tenant"}));
    assert_eq!(lists["outcome"], "success");
    assert!(lists["data"]["since"].as_str() <= lists["data"]["until"].as_str());
    assert_eq!(
        of("/v1/records/{audit_id}")["data"]["query"],
        format!("id:{id}")
    );
    assert_eq!(
        of("/v1/counts")["data"]["records"],
        0,
        "counted, and none shown"
    );
    // In the leaf the query is not, nor any secret.
    let path = "/v1/records?tenant=_system&q=type:access.read";
    let list = served.get_as(ADMIN, path).is(200);
    for one in list["records"].as_array().unwrap() {
        let leaf = one["leaf"].as_str().unwrap();
        assert!(!leaf.contains("geheim7") && !leaf.contains(&id), "{leaf}");
        assert!(!leaf.contains(served.key(READER).rsplit('_').next().unwrap()));
    }
    assert!(
        list["records"][0]["leaf"]
            .as_str()
            .unwrap()
            .contains("\"sealed\":[")
    );
}

#[test]
fn readers_of_a_tenant_see_who_read_it_and_nothing_of_others() {
    let served = served();
    served.get_as(ADMIN, "/v1/records?tenant=acme").is(200);
    served.get_as(ADMIN, "/v1/records?tenant=Acme").is(200);
    served.move_clock(MINUTE);
    records(&served, ("access.read", &key_id(&served, ADMIN)), 2);
    let seen = |n: usize, path: &str| {
        let list = served.get_as(n, path).is(200);
        let records = list["records"].as_array().unwrap().clone();
        assert_eq!(list["indexed_up_to"], Value::Null);
        records
    };
    for (n, tenant) in [(READER, "acme"), (OTHER, "Acme")] {
        for path in ["/v1/records?tenant=_system", "/v1/records?q=tenant:_system"] {
            let found = seen(n, path);
            let kinds: Vec<_> = found
                .iter()
                .map(|one| one["record"]["event"]["event_type"].as_str().unwrap())
                .collect();
            assert_eq!(kinds, ["access.read", "tenant.created"], "{tenant} {path}");
            for one in &found {
                assert_eq!(one["record"]["event"]["target"]["id"], tenant);
            }
        }
        let counts = served
            .get_as(n, "/v1/counts?tenant=_system&facet=target")
            .is(200);
        assert_eq!(counts["total"], 2, "{counts}");
        assert!(
            seen(n, "/v1/records")
                .iter()
                .all(|one| one["record"]["tenant_id"] == tenant)
        );
    }
    // Another tenant's record is one that is not there.
    let theirs = seen(OTHER, "/v1/records?tenant=_system");
    let id = theirs[0]["record"]["event"]["audit_id"].as_str().unwrap();
    let path = format!("/v1/records/{id}?tenant=_system");
    served.get_as(OTHER, &path).is(200);
    for more in ["", "/proof", "/related"] {
        let path = format!("/v1/records/{id}{more}?tenant=_system");
        served.get_as(READER, &path).is_problem(404, "not-found");
    }
    served
        .get_as(READER, "/v1/records?q=tenant:_system,acme")
        .is_problem(400, "bad-query");
    // Whole logs stay those of auditors, and a viewer is shown none of it.
    let tenants = served.get_as(READER, "/v1/tenants").is(200);
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 1);
    let wanted = json!({"tenant": "acme"});
    let made = served.post_as(READER, "/v1/viewer-tokens", &wanted).is(201);
    let viewer = made["bearer"].as_str().unwrap();
    served
        .ask_with(viewer, "GET", "/v1/records?tenant=_system", &Value::Null)
        .is_problem(404, "not-found");
}

#[test]
fn what_is_denied_is_recorded_with_who_and_why() {
    let served = served();
    served
        .get_as(EMITTER, "/v1/records?tenant=acme")
        .is_problem(403, "forbidden");
    served
        .get_as(OTHER, "/v1/records?tenant=acme")
        .is_problem(404, "not-found");
    served
        .get_as(OTHER, "/v1/records?tenant=nobody")
        .is_problem(404, "not-found");
    served
        .post_as(
            READER,
            "/v1/keys",
            &json!({"role": "reader", "tenants": "*"}),
        )
        .is_problem(403, "forbidden");
    let wanted = json!({"role": "reader", "tenants": ["acme"], "query": "actor:eve"});
    let bound = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let bearer = bound["bearer"].as_str().unwrap();
    let id = event(2)["audit_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/records/{id}");
    served
        .ask_with(bearer, "GET", &path, &Value::Null)
        .is_problem(404, "not-found");
    served.move_clock(MINUTE);
    let denied = |n: usize, count| records(&served, ("access.denied", &key_id(&served, n)), count);
    let told = |one: &Value| {
        let (target, data) = (&one["target"], &one["data"]);
        json!([target["id"], data["route"], data["reason"], one["outcome"]])
    };
    let of = denied(EMITTER, 1);
    assert_eq!(
        told(&of[0]),
        json!(["acme", "/v1/records", "forbidden", "denied"])
    );
    // Alike of what is there and what is not.
    for one in denied(OTHER, 2) {
        let name = &one["target"]["id"];
        assert!(name == "acme" || name == "nobody", "{one}");
        let wanted = json!([name, "/v1/records", "not-found", "denied"]);
        assert_eq!(told(&one), wanted);
        assert_eq!(one["data"]["log_id"].is_string(), name == "acme");
    }
    let of = denied(READER, 1);
    assert_eq!(
        told(&of[0]),
        json!(["acme", "/v1/keys", "forbidden", "denied"])
    );
    let by = format!("key:{}", bound["key"]["id"].as_str().unwrap());
    let of = records(&served, ("access.denied", &by), 1);
    let wanted = json!(["acme", "/v1/records/{audit_id}", "not-found", "denied"]);
    assert_eq!(told(&of[0]), wanted);
    // Those whose records they were learn of it.
    let mine = served.own_records(READER, "access.denied");
    assert_eq!(mine.len(), 4, "{mine:#?}");
}

#[test]
fn secrets_that_somebody_types_into_a_query_are_not_kept() {
    let served = served();
    let key = served.key(OTHER).to_owned();
    let secret = key.rsplit('_').next().unwrap();
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x7";
    for path in [
        format!("/v1/records?q={key}"),
        format!("/v1/records?q=data.password:%22hunter2%22+OR+{jwt}"),
        "/v1/counts?q=%22Bearer+abc123def456ghi789%22".to_owned(),
        format!("/v1/export?q=data.apiKey%3E7&tenant={key}"),
        format!("/v1/records/{key}?tenant=acme"),
        format!("/v1/records?tenant={key}"),
    ] {
        let status = served.get_as(READER, &path).status;
        assert!([200, 404].contains(&status), "{path}");
    }
    served.move_clock(MINUTE);
    let by = key_id(&served, READER);
    let reads = records(&served, ("access.read", &by), 3);
    let told = json!(reads).to_string();
    for kept in [
        "data.password:[REDACTED] OR [REDACTED]",
        "_[REDACTED]",
        "Bearer [REDACTED]",
    ] {
        assert!(told.contains(kept), "{kept}: {told}");
    }
    let all = "/v1/records?tenant=_system&limit=1000";
    let all = served.get_as(ADMIN, all).text().clone();
    for typed in [secret, jwt, "hunter2", "abc123def456ghi789"] {
        assert!(!all.contains(typed), "{typed}");
    }
}

#[test]
fn a_flood_of_wrong_keys_leaves_a_handful_of_records() {
    let served = served();
    served.get("/v1/records").is_problem(401, "unauthorized");
    let known = served.key(READER).split('_').nth(1).unwrap().to_owned();
    for n in 0..400 {
        let id = if n % 2 == 0 {
            known.clone()
        } else {
            format!("{n:016x}")
        };
        let wrong = format!("ind_{id}_{}", "ab".repeat(32));
        let answer = served.ask_with(&wrong, "GET", "/v1/records", &Value::Null);
        answer.is_problem(401, "unauthorized");
    }
    let before = system_size(&served);
    served.move_clock(MINUTE);
    let found = records(&served, ("access.denied", "anybody"), 2);
    assert_eq!(system_size(&served), before + 2);
    for one in &found {
        assert_eq!(one["data"]["requests"], 200, "{one}");
        assert_eq!(one["data"]["network"], "127.0.0.0/24");
        assert_eq!(one["data"]["reason"], "unauthorized");
        assert_eq!(one["actor"]["type"], "anonymous");
    }
    let target = |kind: &str| found.iter().any(|one| one["target"]["type"] == kind);
    assert!(target("key") && target("ledger"), "{found:#?}");
    let path = "/v1/records?tenant=_system&q=type:access.denied";
    let list = served.get_as(ADMIN, path).is(200).to_string();
    let leaves = list.matches("127.0.0.0").count();
    assert_eq!(leaves, 2, "shown where it was opened, and in no leaf");
}

#[test]
fn a_clean_stop_writes_what_is_noted() {
    let stand = Stand::default();
    let served = served_on(stand.clone());
    let by = key_id(&served, READER);
    served.get_as(READER, "/v1/records?q=actor:ada").is(200);
    served.end().unwrap();
    let again = Served::start_on(stand, &[(Role::Admin, None)], |_| {});
    let found = records(&again, ("access.read", &by), 1);
    assert_eq!(found[0]["data"]["records"], 3);
}

#[test]
fn nothing_grows_by_itself_where_somebody_follows_who_reads() {
    let often = |settings: &mut indelible_server::Settings| {
        settings.access_interval = Duration::from_millis(100);
    };
    let served = Served::start(&[(Role::Admin, None)], often);
    let made = json!({"tenant_id": "acme"});
    served.post_as(ADMIN, "/v1/tenants", &made).is(201);
    let (mut tail, _) = Tail::of(&served, served.key(ADMIN), "/v1/tail?tenant=_system");
    let said = tail.next().unwrap();
    let event = &said.data["record"]["event"];
    assert_eq!(
        event["event_type"], "access.read",
        "that it follows is told once"
    );
    let before = system_size(&served);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(system_size(&served), before);
}

#[test]
fn records_that_a_tail_tells_are_counted() {
    let served = served();
    let (mut tail, _) = Tail::of(&served, served.key(READER), "/v1/tail?from=start");
    for _ in 0..4 {
        tail.next().unwrap();
    }
    drop(tail);
    let by = key_id(&served, READER);
    std::thread::sleep(Duration::from_millis(1_200));
    served.move_clock(MINUTE);
    let found = records(&served, ("access.read", &by), 1);
    assert_eq!(found[0]["data"]["route"], "/v1/tail");
    assert_eq!(found[0]["data"]["requests"], 1);
    assert_eq!(found[0]["data"]["records"], 4);
}

#[test]
fn an_open_server_records_nobody() {
    let served = Served::open();
    served.post("/v1/events?tenant=acme", &event(1)).is(201);
    served.get("/v1/records").is(200);
    let before = system_size(&served);
    served.move_clock(MINUTE);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(system_size(&served), before);
}

#[test]
fn settings_that_were_changed_between_two_starts_leave_a_record() {
    let stand = |settings: &[(&str, &str)], first: &Stand| {
        let mut stand = first.clone();
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        stand.configuration = settings.iter().map(owned).collect();
        stand
    };
    let first = Stand::default();
    let changed = |served: &Served| {
        let mut all = served.own_records(ADMIN, "config.changed");
        all.retain(|one| one["data"]["change"] == "configuration");
        all
    };
    let starts: [(&[(&str, &str)], usize); 4] = [
        (&[], 0),
        (&[("server.stop_timeout_ms", "5000")], 1),
        (&[("server.stop_timeout_ms", "5000")], 1),
        (&[("auth.names", "clear")], 2),
    ];
    for (settings, count) in starts {
        let stand = stand(settings, &first);
        let served = Served::start_on(stand, &[(Role::Admin, None)], |_| {});
        until("the record is there", || changed(&served).len() == count);
        if count == 2 {
            let last = changed(&served).pop().unwrap();
            let wanted = json!({
                "auth.names": {"from": null, "to": "clear"},
                "server.stop_timeout_ms": {"from": "5000", "to": null},
            });
            assert_eq!(last["data"]["settings"], wanted);
        }
        served.end().unwrap();
    }
}

#[test]
fn who_made_a_tenant_stands_in_its_record() {
    let served = Served::closed(&[(Role::Admin, None), (Role::Emitter, Some("globex"))]);
    served
        .post_as(ADMIN, "/v1/tenants", &json!({"tenant_id": "acme"}))
        .is(201);
    served.post_as(EMITTER, "/v1/events", &event(1)).is(201);
    let made = served.own_records(ADMIN, "tenant.created");
    let by = |tenant: &str| {
        let mut of = made.iter().filter(|one| one["target"]["id"] == tenant);
        of.next().unwrap()["actor"].clone()
    };
    for (tenant, n) in [("acme", ADMIN), ("globex", EMITTER)] {
        let wanted = json!({"id": key_id(&served, n), "type": "service"});
        assert_eq!(by(tenant), wanted);
    }
}

#[test]
fn a_bound_reader_opens_the_attachments_of_its_own_records() {
    let served = served();
    let bytes = b"hello world\n";
    let digest = format!("sha256:{}", sha256(bytes));
    let path = format!("/v1/attachments/{digest}?tenant=acme");
    let header = format!("Authorization: Bearer {}", served.key(EMITTER));
    let stored = served.send("PUT", &path, &[&header], bytes).is(201);
    let mut naming = event(7);
    naming["data"] = json!({"shot": stored});
    served
        .post_as(EMITTER, "/v1/events?tenant=acme", &naming)
        .is(201);
    let bound = |query: &str| {
        let wanted = json!({"role": "reader", "tenants": ["acme"], "query": query});
        let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
        made["bearer"].as_str().unwrap().to_owned()
    };
    let get = |key: &str, n: usize| {
        let record = event(n)["audit_id"].as_str().unwrap().to_owned();
        served.ask_with(key, "GET", &format!("{path}&record={record}"), &Value::Null)
    };
    let (sees, sees_not) = (bound("target:doc-7"), bound("target:doc-1"));
    let got = get(&sees, 7);
    assert_eq!((got.status, &got.body[..]), (200, &bytes[..]));
    // Its own record that does not name it, and one that is not its own, are as none.
    let answers = [
        get(&sees, 1),
        get(&sees_not, 7),
        get(&sees_not, 1),
        get(&sees, 99),
    ];
    for answer in answers {
        answer.is_problem(404, "not-found");
    }
    served
        .ask_with(&sees, "GET", &path, &Value::Null)
        .is_problem(404, "not-found");
}
