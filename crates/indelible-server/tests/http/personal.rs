//! Personal values are shown to the roles that may see them, and their shapes to the others: in
//! lists, lines, single records, what belongs to them, counts and tails alike.

use std::sync::Arc;
use std::time::Duration;

use indelible_api::Role;
use indelible_event::ids::TenantId;
use indelible_log::keyring::parse_handle;
use indelible_log::policy::SealingPolicy;
use indelible_proof::disclosure::{commitment_root, commitments};
use serde_json::{Value, json};

use crate::following::Tail;
use crate::support::{Served, event};

const ADMIN: usize = 0;
const READER: usize = 1;
const AUDITOR: usize = 2;
const OFFICER: usize = 3;

/// What stands in the record and is for few.
const SECRETS: [&str; 6] = [
    "Dana Okafor",
    "dana.okafor",
    "192.0.2.17",
    "curl/8.5",
    "030 1234567",
    "Herr Geheim",
];

fn served() -> Served {
    let served = Served::closed(&[
        (Role::Admin, None),
        (Role::Reader, Some("acme")),
        (Role::Auditor, None),
        (Role::PrivacyOfficer, None),
    ]);
    let made = json!({"tenant_id": "acme"});
    served.post_as(ADMIN, "/v1/tenants", &made).is(201);
    for n in 1..=2 {
        served
            .post_as(ADMIN, "/v1/events?tenant=acme", &personal(n))
            .is(201);
    }
    served
}

fn personal(n: usize) -> Value {
    let mut event = event(n);
    let mail = "dana.okafor@mail.example.com";
    event["actor"] = json!({
        "email": mail, "id": "u-1", "ip": "192.0.2.17", "name": "Dana Okafor", "type": "user",
        "user_agent": "curl/8.5",
    });
    event["context"] = json!({"correlation_id": "c-1"});
    event["data"] = json!({"cc": ["x@y.example", mail], "contact": mail, "n": n});
    event["description"] = json!("called dana.okafor@mail.example.com at once");
    event["raw"] = json!({"free": "Herr Geheim, 030 1234567"});
    event
}

fn paths() -> Vec<String> {
    let id = event(1)["audit_id"].as_str().unwrap().to_owned();
    vec![
        "/v1/records?q=actor:u-1".to_owned(),
        format!("/v1/records/{id}?tenant=acme"),
        format!("/v1/records/{id}/related?tenant=acme"),
        "/v1/counts?tenant=acme&facet=email,ip,actor,agent&q=actor:u-1".to_owned(),
        "/v1/counts?tenant=acme&facet=email,ip&q=actor:u-1+data.n%3E0".to_owned(),
    ]
}

#[test]
fn who_may_not_see_personal_values_sees_their_shapes_wherever_he_looks() {
    let served = served();
    for path in paths() {
        for n in [READER, AUDITOR] {
            let answer = served.get_as(n, &path);
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            for secret in SECRETS {
                assert!(
                    !answer.text().contains(secret),
                    "{path}: {secret}: {}",
                    answer.text()
                );
            }
        }
        let clear = served.get_as(OFFICER, &path).text().clone();
        let shows = SECRETS.iter().any(|secret| clear.contains(secret));
        assert!(shows || path.contains("related"), "{path}: {clear}");
    }
    let header = format!("Authorization: Bearer {}", served.key(READER));
    let lines = ["Accept: application/x-ndjson", &header];
    let lines = served.send("GET", "/v1/records", &lines, b"");
    let (mut tail, _) = Tail::of(&served, served.key(READER), "/v1/tail?from=start");
    let told: Vec<_> = (0..3)
        .map(|_| tail.next().unwrap().data.to_string())
        .collect();
    let wanted = json!({"tenant": "acme"});
    let made = served.post_as(READER, "/v1/viewer-tokens", &wanted).is(201);
    let viewer = made["bearer"].as_str().unwrap();
    let viewed = served.ask_with(viewer, "GET", "/v1/records", &Value::Null);
    for secret in SECRETS {
        assert!(!lines.text().contains(secret), "{secret}");
        assert!(!told.concat().contains(secret), "{secret}");
        assert!(!viewed.text().contains(secret), "{secret}");
    }
    assert!(told.concat().contains("d***@m***.c***"));
}

#[test]
fn shapes_stand_where_the_values_stood_and_the_answer_says_which_they_are() {
    let served = served();
    let id = event(1)["audit_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/records/{id}?tenant=acme");
    let of = |n: usize| served.get_as(n, &path).is(200);
    let (masked, clear) = (of(READER), of(OFFICER));
    assert_eq!(masked["personal"], "masked");
    assert_eq!(clear["personal"], Value::Null, "all is as it is");
    assert_eq!(masked["leaf"], clear["leaf"], "and verifies alike");
    let event = &masked["record"]["event"];
    let actor = json!({
        "email": "d***@m***.c***", "id": "u-1", "ip": "192.***.***.***", "name": "***",
        "type": "user", "user_agent": "***",
    });
    assert_eq!(event["actor"], actor);
    assert_eq!(event["data"]["contact"], "d***@m***.c***");
    assert_eq!(event["description"], "called [email] at once");
    assert_eq!(event["raw"], "***");
    assert!(event["sealed"].is_array(), "not all of it is shown");
    let sent = personal(1);
    assert_eq!(clear["record"]["event"]["actor"], sent["actor"]);
    assert_eq!(clear["record"]["event"]["data"], sent["data"]);
    assert_eq!(clear["record"]["event"]["raw"], sent["raw"]);
    // Facets have shapes too, and count all that have one.
    let path = "/v1/counts?tenant=acme&facet=email&q=actor:u-1";
    let facet = |n: usize| served.get_as(n, path).is(200)["facets"][0]["values"].clone();
    let shown = json!([{"value": "d***@m***.c***", "count": 2, "sealed": true}]);
    let of_reader = facet(READER);
    assert!(
        of_reader.as_array().unwrap().contains(&shown[0]),
        "{of_reader}"
    );
    assert!(
        facet(OFFICER)
            .to_string()
            .contains("dana.okafor@mail.example.com")
    );
}

#[test]
fn tails_of_two_roles_that_ask_alike_are_told_what_each_may_see() {
    let served = served();
    let path = "/v1/tail?tenant=acme&q=actor:u-1";
    let (mut masked, _) = Tail::of(&served, served.key(AUDITOR), path);
    let (mut clear, _) = Tail::of(&served, served.key(OFFICER), path);
    std::thread::sleep(Duration::from_millis(200));
    served
        .post_as(ADMIN, "/v1/events?tenant=acme", &personal(3))
        .is(201);
    let name =
        |tail: &mut Tail| tail.next().unwrap().data["record"]["event"]["actor"]["name"].clone();
    assert_eq!(name(&mut masked), "***");
    assert_eq!(name(&mut clear), "Dana Okafor");
}

/// How many records a query finds for somebody, and what it says was not searched: by list, count,
/// export and, where there is one to tell, tail.
fn found(served: &Served, n: usize, query: &str) -> (usize, bool) {
    let query = query.replace('/', "%2F");
    let asked = format!("tenant=acme&q={query}");
    let list = served.get_as(n, &format!("/v1/records?{asked}")).is(200);
    let records = list["records"].as_array().unwrap().len();
    let is_unsearched = list["unsearched"] == json!(["acme"]);
    let path = format!("/v1/counts?{asked}&facet=ip");
    let counts = served.get_as(n, &path).is(200);
    assert_eq!(counts["total"], records, "{query}");
    assert_eq!(counts["unsearched"], list["unsearched"], "{query}");
    let export = served.get_as(n, &format!("/v1/export?format=joined&{asked}"));
    assert_eq!(
        export.header("x-export-records"),
        Some(records.to_string().as_str())
    );
    assert_eq!(
        export.header("x-export-unsearched").is_some(),
        is_unsearched
    );
    let path = format!("/v1/tail?from=start&{asked}");
    let (mut tail, open) = Tail::of(served, served.key(n), &path);
    assert_eq!(
        open.data["unsearched"].is_array(),
        is_unsearched,
        "{query}: {}",
        open.data
    );
    if records > 0 {
        tail.next().unwrap();
    }
    (records, is_unsearched)
}

#[test]
fn an_address_is_not_searched_by_who_sees_it_masked() {
    let served = served();
    let asked = [
        "ip:192.0.2.17",
        "192.0.2.17",
        "actor:192.0.2.17",
        "ip:192.0.2.0/24",
        "ip:10.0.0.0/30,192.0.2.16/29",
        "ip:192.0.2.17+OR+ip:10.0.0.1",
        "-ip:10.0.0.1",
        "-ip:192.0.2.17",
    ];
    for query in asked {
        let masked = [READER, AUDITOR].map(|n| found(&served, n, query));
        // The third is the tenant's own first record.
        let all = if query.starts_with('-') { 3 } else { 0 };
        assert_eq!(masked, [(all, true); 2], "{query}: as if there were none");
        let clear = match query {
            "actor:192.0.2.17" => 0,
            "-ip:192.0.2.17" => 1,
            "-ip:10.0.0.1" => 3,
            _ => 2,
        };
        let of = [ADMIN, OFFICER].map(|n| found(&served, n, query));
        assert_eq!(of, [(clear, false); 2], "{query}");
    }
    let mail = "email:dana.okafor@mail.example.com";
    assert_eq!(found(&served, READER, mail), (2, false), "who knows it");
}

#[test]
fn a_query_of_addresses_binds_whom_somebody_bound_who_sees_them() {
    let served = served();
    let bound = |query: &str| {
        let key = json!({"role": "reader", "tenants": ["acme"], "query": query});
        let key = served.post_as(ADMIN, "/v1/keys", &key).is(201);
        let bearer = key["bearer"].as_str().unwrap().to_owned();
        let found = served.ask_with(&bearer, "GET", "/v1/records", &Value::Null);
        found.is(200)["records"].as_array().unwrap().len()
    };
    assert_eq!(bound("ip:192.0.2.0/24"), 2);
    assert_eq!(bound("ip:10.0.0.0/24"), 0);
    assert_eq!(bound("-ip:192.0.2.17 actor:u-1"), 0);
    let viewer = |n: usize, query: &str| {
        let wanted = json!({"tenant": "acme", "query": query});
        served.post_as(n, "/v1/viewer-tokens", &wanted)
    };
    for query in ["ip:192.0.2.0/24", "-ip:10.0.0.1", "dana OR 192.0.2.17"] {
        let refused = viewer(READER, query).is(400);
        assert_eq!(
            refused["type"].as_str().unwrap().rsplit('/').next(),
            Some("bad-query")
        );
        viewer(OFFICER, query).is(201);
    }
    viewer(READER, "actor:u-1").is(201);
}

/// A policy of one's own seals what it names: who may not see it sees its shape.
#[test]
fn what_a_policy_names_is_sealed_and_shown_by_its_shape() {
    let mut draft = SealingPolicy::default().draft().clone();
    draft.version = 2;
    draft.fields.push("/data/phone".to_owned());
    let policy = SealingPolicy::try_from(draft).unwrap();
    let keys = [(Role::Admin, None), (Role::Reader, Some("acme"))];
    let served = Served::start(&keys, |settings| settings.sealing = Arc::new(policy));
    let made = json!({"tenant_id": "acme"});
    served.post_as(ADMIN, "/v1/tenants", &made).is(201);
    let mut called = event(1);
    called["data"] = json!({"phone": "+1-555-0100-200", "n": 1});
    served
        .post_as(ADMIN, "/v1/events?tenant=acme", &called)
        .is(201);
    let shown = |who| {
        let list = served
            .get_as(who, "/v1/records?tenant=acme&q=actor:ada")
            .is(200);
        let leaf = list["records"][0]["leaf"].as_str().unwrap();
        assert!(!leaf.contains("555"), "{leaf}");
        assert!(leaf.contains("\"policy\":2"), "{leaf}");
        list["records"][0]["record"]["event"]["data"]["phone"].clone()
    };
    assert_eq!(shown(ADMIN), "+1-555-0100-200");
    assert_eq!(shown(READER), "+1-***-****");
}

/// What a record is disclosed by, to whom it is.
fn disclosed(answer: &Value) -> Vec<(String, Vec<String>)> {
    let Some(all) = answer["disclosures"].as_array() else {
        return Vec::new();
    };
    let one = |one: &Value| {
        let subject = one["subject"].as_str().unwrap().to_owned();
        let texts = one["disclosures"].as_array().unwrap().iter();
        let texts = texts.map(|text| text.as_str().unwrap().to_owned());
        (subject, texts.collect())
    };
    all.iter().map(one).collect()
}

#[test]
fn who_sees_values_as_they_are_gets_what_leads_to_their_commitments() {
    let served = served();
    let id = event(1)["audit_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/records/{id}?tenant=acme");
    for who in [ADMIN, OFFICER] {
        let answer = served.get_as(who, &path).is(200);
        let leaf = answer["leaf"].as_str().unwrap();
        let committed = commitments(leaf.as_bytes()).unwrap();
        let disclosed = disclosed(&answer);
        assert_eq!(disclosed.len(), committed.len());
        let mut pointers = Vec::new();
        for (commitment, (subject, texts)) in committed.iter().zip(&disclosed) {
            assert_eq!(*subject, commitment.subject);
            assert_eq!(commitment_root(texts), commitment.root, "{texts:?}");
            for text in texts {
                let (_, pointer, value): (String, String, Value) =
                    serde_json::from_str(text).unwrap();
                assert_eq!(
                    answer["record"]["event"].pointer(&pointer),
                    Some(&value),
                    "{pointer}"
                );
                pointers.push(pointer);
            }
        }
        for pointer in ["/actor/name", "/data/cc/0", "/description", "/raw"] {
            assert!(pointers.iter().any(|one| one == pointer), "{pointers:?}");
        }
    }
    // Whose key is gone has no item; the others have theirs.
    let whole = disclosed(&served.get_as(ADMIN, &path).is(200));
    let gone = &whole[0].0;
    let acme = TenantId::parse("acme").unwrap();
    let handle = parse_handle(gone).unwrap();
    served.keyring.destroy(&acme, &[handle]).unwrap();
    let answer = served.get_as(ADMIN, &path).is(200);
    assert_eq!(disclosed(&answer), whole[1..]);
    assert_eq!(answer["personal"], "sealed");
    assert!(answer["leaf"].as_str().unwrap().contains(gone));
    // What has no personal values has nothing to disclose.
    let plain = served
        .post_as(ADMIN, "/v1/events?tenant=acme", &event(3))
        .is(201);
    let id = plain["receipt"]["audit_id"].as_str().unwrap();
    let answer = served.get_as(ADMIN, &format!("/v1/records/{id}")).is(200);
    assert_eq!(answer.get("disclosures"), None);
}

/// With a salt and the leaf one value after the other can be tried.
#[test]
fn who_sees_shapes_or_another_tenant_is_given_no_salt_by_any_route() {
    let served = served();
    let id = event(1)["audit_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/records/{id}?tenant=acme");
    let clear = served.get_as(OFFICER, &path).is(200);
    let salts: Vec<String> = disclosed(&clear)
        .iter()
        .flat_map(|(_, texts)| texts)
        .map(|text| text[2..66].to_owned())
        .collect();
    assert!(salts.len() > 5, "{salts:?}");
    let key = json!({"role": "privacy_officer", "tenants": ["globex"]});
    let other = served.post_as(ADMIN, "/v1/keys", &key).is(201);
    let wanted = json!({"tenant": "acme"});
    let viewer = served
        .post_as(OFFICER, "/v1/viewer-tokens", &wanted)
        .is(201);
    let others = [&other, &viewer].map(|made| made["bearer"].as_str().unwrap().to_owned());
    let keys = [READER, AUDITOR].map(|n| served.key(n).to_owned());
    let lists = [
        "/v1/records?q=actor:u-1",
        "/v1/export?format=joined&tenant=acme",
    ];
    let mut paths = paths();
    paths.extend(lists.map(str::to_owned));
    paths.push(format!("/v1/records/{id}/proof?tenant=acme"));
    for key in keys.iter().chain(&others) {
        for path in &paths {
            let answer = served.ask_with(key, "GET", path, &Value::Null);
            assert!(!answer.text().contains("\"disclosures\""), "{path}");
            for salt in &salts {
                assert!(!answer.text().contains(salt), "{path}: {}", answer.text());
            }
        }
    }
    // Nor are they in lists, for anybody.
    for path in lists {
        let answer = served.get_as(OFFICER, path);
        assert!(!salts.iter().any(|salt| answer.text().contains(salt)));
    }
}
