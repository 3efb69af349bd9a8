//! A walk over the described routes: each has its authorisation case, each that changes something
//! leaves a record, and a reader bound by a query learns of other records nowhere.
//!
//! A route that is added and not said here fails the walk.

use std::collections::BTreeSet;
use std::time::Duration;

use indelible_api::Role;
use indelible_api::openapi::{ROUTES, Route};
use serde_json::{Value, json};

use crate::issuer::{Issuer, Pair, claims};
use crate::proxies::trusted;
use crate::support::{Answer, Served, Stand, event, until};

const ADMIN: usize = 0;
const MINUTE: Duration = Duration::from_secs(61);
/// Stands in records that a bound reader may not see.
const MARK: &str = "eve-7f3a";
const DIGEST: &str = "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447";

/// What a route is asked with, so that an admin gets what it is for.
fn asked(served: &Served, route: &Route, who: &[&str]) -> (String, Vec<u8>) {
    let json = |value: Value| value.to_string().into_bytes();
    let id = || {
        let made = served.post_as(
            ADMIN,
            "/v1/keys",
            &json!({"role": "reader", "tenants": "*"}),
        );
        made.is(201)["key"]["id"].as_str().unwrap().to_owned()
    };
    let path = route.path.to_owned();
    let record = path.replace("{audit_id}", event(1)["audit_id"].as_str().unwrap());
    match (route.method, route.path) {
        ("post", "/v1/events") => (path + "?tenant=acme", json(event(11))),
        ("post", "/v1/events:batch") => (path + "?tenant=acme", json(json!([event(12)]))),
        ("put" | "get", "/v1/attachments/{digest}") => {
            let path = path.replace("{digest}", DIGEST) + "?tenant=acme";
            (path, b"hello world\n".to_vec())
        }
        (
            "get",
            "/v1/records/{audit_id}"
            | "/v1/records/{audit_id}/proof"
            | "/v1/records/{audit_id}/related",
        ) => (record, vec![]),
        ("get", "/v1/counts") => (path + "?facet=actor,type&every=day&stats=duration", vec![]),
        (
            "get",
            "/v1/records" | "/v1/tail" | "/v1/checkpoints" | "/v1/tenants" | "/v1/streams"
            | "/v1/export" | "/v1/exports" | "/v1/keys" | "/v1/access" | "/v1/configuration"
            | "/metrics" | "/health/live" | "/health/ready" | "/openapi.json" | "/docs",
        ) => (path, vec![]),
        ("post", "/v1/exports") => (path, json(json!({"format": "csv"}))),
        ("get" | "delete", "/v1/exports/{id}" | "/v1/exports/{id}/file") => {
            (path.replace("{id}", &exported(served, who)), vec![])
        }
        ("post", "/v1/tenants") => (path, json(json!({"tenant_id": "hooli"}))),
        ("post", "/v1/keys") => (path, json(json!({"role": "reader", "tenants": "*"}))),
        ("post", "/v1/viewer-tokens") => (path, json(json!({"tenant": "acme"}))),
        ("post", "/v1/keys/{id}/rotate") => (path.replace("{id}", &id()), json(json!({}))),
        ("delete", "/v1/keys/{id}") => (path.replace("{id}", &id()), vec![]),
        (method, path) => panic!("{method} {path}: say here how it is asked"),
    }
}

/// An export of whoever asks, which is done; one that is not there for who may have none.
fn exported(served: &Served, who: &[&str]) -> String {
    let headers = [&["Content-Type: application/json"], who].concat();
    let body = json!({"format": "joined"}).to_string();
    let made = served.send("POST", "/v1/exports", &headers, body.as_bytes());
    if made.status != 201 {
        return "0".repeat(32);
    }
    let id = made.json()["id"].as_str().unwrap().to_owned();
    until("an export is done", || {
        let told = served.send("GET", &format!("/v1/exports/{id}"), who, b"");
        told.is(200)["status"] == "done"
    });
    id
}

/// What a request leaves behind when it was answered.
enum Leaves {
    /// A record of this type in `_system`.
    Own(&'static str),
    /// A record in the tenant's own log.
    Record,
    /// None, for this reason.
    Nothing(&'static str),
}

/// What a route leaves.
fn leaves(route: &Route) -> Leaves {
    match (route.method, route.path) {
        ("post", "/v1/events" | "/v1/events:batch") => Leaves::Record,
        ("put", "/v1/attachments/{digest}") => {
            Leaves::Nothing("the event that names it is its record, and what none names goes")
        }
        ("post", "/v1/tenants") => Leaves::Own("tenant.created"),
        ("post", "/v1/keys" | "/v1/viewer-tokens") | ("delete", "/v1/exports/{id}") => {
            Leaves::Own("config.changed")
        }
        ("post", "/v1/keys/{id}/rotate") => Leaves::Own("key.rotated"),
        ("delete", "/v1/keys/{id}") => Leaves::Own("key.revoked"),
        (
            "get",
            "/v1/records"
            | "/v1/records/{audit_id}"
            | "/v1/records/{audit_id}/proof"
            | "/v1/records/{audit_id}/related"
            | "/v1/counts"
            | "/v1/tail"
            | "/v1/attachments/{digest}",
        ) => Leaves::Own("access.read"),
        ("post", "/v1/exports") | ("get", "/v1/export" | "/v1/exports/{id}/file") => {
            Leaves::Own("access.exported")
        }
        (
            "get",
            "/v1/checkpoints" | "/v1/tenants" | "/v1/streams" | "/v1/keys" | "/v1/access"
            | "/v1/configuration" | "/metrics" | "/v1/exports" | "/v1/exports/{id}"
            | "/health/live" | "/health/ready" | "/openapi.json" | "/docs",
        ) => Leaves::Nothing("no record of anybody is shown or counted"),
        (method, path) => panic!("{method} {path}: say here which record it leaves"),
    }
}

/// One with a key of every role, of all tenants, in the order of [`Role::ALL`] behind the admin's.
fn served() -> Served {
    served_on(Stand::default())
}

fn served_on(stand: Stand) -> Served {
    let mut keys = vec![(Role::Admin, None)];
    keys.extend(Role::ALL.map(|role| (role, None)));
    let served = Served::start_on(stand, &keys, |_| {});
    served
        .post_as(ADMIN, "/v1/tenants", &json!({"tenant_id": "acme"}))
        .is(201);
    let mut first = event(1);
    first["actor"]["id"] = json!(MARK);
    served
        .post_as(ADMIN, "/v1/events?tenant=acme", &first)
        .is(201);
    let path = format!("/v1/attachments/{DIGEST}?tenant=acme");
    let admin = format!("Authorization: Bearer {}", served.key(ADMIN));
    served
        .send("PUT", &path, &[&admin], b"hello world\n")
        .is(201);
    served
}

fn send(served: &Served, bearer: Option<&str>, route: &Route) -> Answer {
    let header = bearer.map(|bearer| format!("Authorization: Bearer {bearer}"));
    let headers: Vec<_> = header.iter().map(String::as_str).collect();
    send_with(served, &headers, route)
}

fn send_with(served: &Served, who: &[&str], route: &Route) -> Answer {
    let (path, body) = asked(served, route, who);
    let headers = [&["Content-Type: application/json"], who].concat();
    let method = route.method.to_uppercase();
    served.send(&method, &path, &headers, &body)
}

/// The words of the roles that a route is for.
fn may(route: &Route) -> Vec<&str> {
    let who = route.who.trim_end_matches(" of all tenants");
    who.split(", ").collect()
}

/// Asks every route as this role, shown with these header lines, and holds the answers against the
/// description; what only keys may is refused.
fn walk(served: &Served, role: Role, headers: &[&str]) {
    let for_keys = ["/v1/viewer-tokens"];
    for route in ROUTES.iter().filter(|route| !route.who.is_empty()) {
        let answer = send_with(served, headers, route);
        let name = format!("{} {} as {role:?}: {answer:?}", route.method, route.path);
        if may(route).contains(&role.word()) && !for_keys.contains(&route.path) {
            assert!(answer.status < 300, "{name}");
        } else {
            assert_eq!(answer.status, 403, "{name}");
        }
    }
}

#[test]
fn a_token_of_an_issuer_gets_what_a_key_of_its_role_gets() {
    let pair = Pair::ed();
    let issuer = Issuer::of(&[pair.jwk("one")]);
    let served = served_on(Stand::trusting(issuer.trusted()));
    for role in Role::ALL {
        let change = json!({"tenants": "*", "roles": role.word()});
        let token = pair.token("one", &claims(&change));
        walk(&served, role, &[&format!("Authorization: Bearer {token}")]);
    }
}

#[test]
fn the_word_of_a_proxy_gets_what_a_key_of_that_role_gets() {
    let served = served_on(Stand::behind(trusted("127.0.0.1")));
    for role in Role::ALL {
        let roles = format!("X-Indelible-Roles: {}", role.word());
        let user = "X-Forwarded-User: dana";
        walk(&served, role, &[user, "X-Indelible-Tenants: *", &roles]);
    }
}

#[test]
fn a_viewer_gets_records_and_proofs_and_of_every_other_route_nothing() {
    let served = served();
    let wanted = json!({"tenant": "acme"});
    let made = served.post_as(ADMIN, "/v1/viewer-tokens", &wanted).is(201);
    let bearer = made["bearer"].as_str().unwrap();
    let mut got = Vec::new();
    for route in ROUTES.iter().filter(|route| !route.who.is_empty()) {
        let answer = send(&served, Some(bearer), route);
        if answer.status == 200 {
            got.push((route.method, route.path));
        } else {
            answer.is_problem(403, "forbidden");
        }
    }
    let records = [
        "/v1/records",
        "/v1/records/{audit_id}",
        "/v1/records/{audit_id}/proof",
    ];
    assert_eq!(got, records.map(|path| ("get", path)));
}

#[test]
fn each_role_gets_what_the_description_says_and_no_more() {
    let served = served();
    for route in ROUTES {
        let name = format!("{} {}", route.method, route.path);
        let nobody = send(&served, None, route);
        if route.who.is_empty() {
            assert!(matches!(nobody.status, 200 | 503), "{name}: {nobody:?}");
            continue;
        }
        nobody.is_problem(401, "unauthorized");
        let wrong = format!("ind_0011223344556677_{}", "00".repeat(32));
        send(&served, Some(&wrong), route).is_problem(401, "unauthorized");
        let may = may(route);
        for (n, role) in Role::ALL.into_iter().enumerate() {
            let answer = send(&served, Some(served.key(n + 1)), route);
            if may.contains(&role.word()) {
                assert!(answer.status < 300, "{name} as {role:?}: {answer:?}");
            } else {
                answer.is_problem(403, "forbidden");
            }
        }
        assert!(may.contains(&"admin"), "{name}: {may:?}");
    }
}

#[test]
fn what_is_walked_is_what_the_server_says_it_has() {
    let served = served();
    let document = served.get("/openapi.json").is(200);
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.insert((method.clone(), path.clone()));
        }
    }
    let walked = ROUTES.iter();
    let walked = walked.map(|route| (route.method.to_owned(), route.path.to_owned()));
    assert_eq!(described, walked.collect());
    // Whatever changes something, or shows what is somebody's, is for somebody.
    for route in ROUTES {
        let is_for_all = route.who.is_empty();
        let matters = route.method != "get" || matches!(leaves(route), Leaves::Own(_));
        assert!(!(is_for_all && matters), "{} {}", route.method, route.path);
        let changes = route.method != "get";
        let Leaves::Nothing(reason) = leaves(route) else {
            continue;
        };
        // One alone may change something and leave no record.
        let is_upload = (route.method, route.path) == ("put", "/v1/attachments/{digest}");
        assert!(
            !changes || is_upload,
            "{} {}: {reason}",
            route.method,
            route.path
        );
    }
}

/// How many records `acme` has.
fn records_of_acme(served: &Served) -> u64 {
    let tenant = indelible_event::TenantId::parse("acme").unwrap();
    let head = indelible_store::Ledger::head(&*served.ledger, &tenant).unwrap();
    head.map_or(0, |head| head.frontier.size())
}

#[test]
fn what_changes_or_shows_something_leaves_a_record_of_who_did_it() {
    let served = served();
    let by = format!("key:{}", served.key(ADMIN).split('_').nth(1).unwrap());
    let of = |event_type: &str, route: &Route| {
        let mut all = served.own_records(ADMIN, event_type);
        all.retain(|one| {
            let asked = one["data"]["route"].as_str();
            one["actor"]["id"] == by.as_str() && asked.is_none_or(|asked| asked == route.path)
        });
        all.len()
    };
    for route in ROUTES {
        let name = format!("{} {}", route.method, route.path);
        let leaves = leaves(route);
        let before = match leaves {
            Leaves::Own(event_type) => of(event_type, route) as u64,
            Leaves::Record => records_of_acme(&served),
            Leaves::Nothing(_) => continue,
        };
        let answer = send(&served, Some(served.key(ADMIN)), route);
        assert!(answer.status < 300, "{name}: {answer:?}");
        match leaves {
            Leaves::Own(event_type) => {
                served.move_clock(MINUTE);
                until(&name, || of(event_type, route) as u64 > before);
            }
            _ => assert!(records_of_acme(&served) > before, "{name}"),
        }
    }
}

#[test]
fn what_is_refused_leaves_a_record_of_who_was_and_changes_nothing() {
    let served = served();
    // The emitter may do least of all but send, and the reader may not do that.
    let mut expected = BTreeSet::new();
    for route in ROUTES.iter().filter(|route| !route.who.is_empty()) {
        let may = may(route);
        let refused = Role::ALL.into_iter().enumerate();
        let refused = refused
            .filter(|(_, role)| !may.contains(&role.word()))
            .min_by_key(|(_, role)| *role != Role::Emitter);
        // What every role may ask is refused to viewers alone, which have a test of their own.
        let Some((n, _)) = refused else {
            assert_eq!(route.path, "/v1/access");
            continue;
        };
        send(&served, Some(served.key(n + 1)), route).is_problem(403, "forbidden");
        let key = served.key(n + 1).split('_').nth(1).unwrap();
        if route.path.starts_with("/v1/") || route.path == "/metrics" {
            expected.insert((format!("key:{key}"), route.path.to_owned()));
        }
    }
    served.move_clock(MINUTE);
    let found = || -> BTreeSet<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = served.own_records(ADMIN, "access.denied").into_iter();
        all.map(|one| (text(&one["actor"]["id"]), text(&one["data"]["route"])))
            .collect()
    };
    until("each is recorded", || found().is_superset(&expected));
    assert_eq!(found(), expected);
}

#[test]
fn a_bound_reader_learns_of_other_records_nowhere() {
    let served = served();
    let wanted = json!({"role": "reader", "tenants": "*", "query": "type:nothing.ever"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let bearer = made["bearer"].as_str().unwrap();
    let record = served
        .get_as(ADMIN, "/v1/records?tenant=acme&q=seq:1")
        .is(200);
    let hash = record["records"][0]["record_hash"].as_str().unwrap();
    let mut asked = 0;
    for route in ROUTES {
        if route.method != "get" || route.who.is_empty() {
            continue;
        }
        let admins = send(&served, Some(served.key(ADMIN)), route);
        assert_eq!(admins.status, 200, "{}", route.path);
        let answer = send(&served, Some(bearer), route);
        assert!(
            matches!(answer.status, 200 | 403 | 404),
            "{}: {answer:?}",
            route.path
        );
        for told in [MARK, hash, "hello world"] {
            assert!(!answer.text().contains(told), "{}: {told}", route.path);
        }
        asked += 1;
    }
    assert!(asked >= 8, "{asked}");
}
