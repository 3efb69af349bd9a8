//! Who a proxy says that somebody is: taken from its address, and from nowhere else.

use indelible_api::Role;
use indelible_server::access::{Names, RoleNames, TrustedProxy};
use serde_json::{Value, json};

use crate::support::{Answer, Served, Stand, event};

const ADMIN: usize = 0;
const USER: &str = "X-Forwarded-User: dana.geheim@example.com";
const TENANTS: &str = "X-Indelible-Tenants: acme";
const ROLES: &str = "X-Indelible-Roles: guest, reader";

pub fn trusted(network: &str) -> TrustedProxy {
    TrustedProxy {
        networks: vec![network.parse().unwrap()],
        user_header: "x-forwarded-user".to_owned(),
        tenants_header: "x-indelible-tenants".to_owned(),
        roles_header: "x-indelible-roles".to_owned(),
        roles: RoleNames::default(),
        names: Names::Hidden,
    }
}

/// One that trusts a proxy on this network; its clients here are on 127.0.0.1.
fn behind(network: &str) -> Served {
    let stand = Stand::behind(trusted(network));
    Served::start_on(stand, &[(Role::Admin, None)], |_| {})
}

fn records(served: &Served, headers: &[&str]) -> Answer {
    served.send("GET", "/v1/records", headers, b"")
}

#[test]
fn from_its_address_a_proxy_says_who_somebody_is() {
    let served = behind("127.0.0.0/8");
    for tenant in ["acme", "globex"] {
        served
            .post_as(ADMIN, "/v1/tenants", &json!({"tenant_id": tenant}))
            .is(201);
        let path = format!("/v1/events?tenant={tenant}");
        served.post_as(ADMIN, &path, &event(1)).is(201);
    }
    let seen = records(&served, &[USER, TENANTS, ROLES]).is(200);
    // The log's own first record is one.
    assert_eq!(seen["records"].as_array().unwrap().len(), 2, "{seen}");
    assert!(!seen.to_string().contains("globex"), "{seen}");
    let emitter = "X-Indelible-Roles: emitter";
    let json = "Content-Type: application/json";
    let body = event(2).to_string();
    let sent = served.send(
        "POST",
        "/v1/events",
        &[USER, TENANTS, emitter, json],
        body.as_bytes(),
    );
    sent.is(201);
    let list = records(&served, &[USER, TENANTS, ROLES]).is(200);
    let text = list.to_string();
    assert!(
        text.contains("proxy:") && !text.contains("geheim"),
        "{text}"
    );
    let all = [
        "X-Forwarded-User: root",
        "X-Indelible-Tenants: *",
        "X-Indelible-Roles: admin",
    ];
    let keys = served.send("GET", "/v1/keys", &all, b"");
    keys.is(200);
    // Who says nothing of it is asked as ever.
    records(&served, &[]).is_problem(401, "unauthorized");
    served.get_as(ADMIN, "/v1/records").is(200);
}

#[test]
fn from_elsewhere_such_a_header_is_refused_beside_a_good_key_too() {
    let served = behind("10.0.0.0/8");
    let key = format!("Authorization: Bearer {}", served.key(ADMIN));
    records(&served, &[&key]).is(200);
    for spoofed in [USER, TENANTS, ROLES, "x-FORWARDED-user: root"] {
        for forwarded in ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"] {
            for headers in [&[spoofed, forwarded][..], &[&key, spoofed, forwarded]] {
                let problem = records(&served, headers).is_problem(401, "unauthorized");
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.contains("only from the proxies"), "{detail}");
            }
        }
    }
    assert_eq!(served.send("GET", "/health/live", &[USER], b"").status, 200);
}

#[test]
fn what_a_proxy_says_is_whole_and_said_once() {
    let served = behind("127.0.0.1");
    records(&served, &[USER, TENANTS, ROLES]).is(200);
    let key = format!("Authorization: Bearer {}", served.key(ADMIN));
    let second = "X-Forwarded-User: mallory";
    for wrong in [
        &[USER][..],
        &[USER, TENANTS],
        &[USER, ROLES],
        &[TENANTS, ROLES],
        &[USER, second, TENANTS, ROLES],
        &[USER, TENANTS, TENANTS, ROLES],
        &[USER, TENANTS, ROLES, ROLES],
        &[USER, TENANTS, ROLES, &key],
        &["X-Forwarded-User: mallory, dana", TENANTS, ROLES],
        &["X-Forwarded-User:", TENANTS, ROLES],
        &[USER, "X-Indelible-Tenants:", ROLES],
        &[USER, "X-Indelible-Tenants: *, acme", ROLES],
        &[USER, "X-Indelible-Tenants: _system", ROLES],
        &[USER, TENANTS, "X-Indelible-Roles: guest"],
        &[USER, TENANTS, "X-Indelible-Roles: reader, emitter"],
        &[USER, TENANTS, "X-Indelible-Roles: admin"],
    ] {
        records(&served, wrong).is_problem(401, "unauthorized");
    }
}

#[test]
fn a_server_with_a_proxy_and_no_key_is_not_open() {
    let served = Served::start_on(Stand::behind(trusted("127.0.0.1")), &[], |_| {});
    records(&served, &[]).is_problem(401, "unauthorized");
    let problem = served.ask_with(
        "x",
        "POST",
        "/v1/keys",
        &json!({"role": "admin", "tenants": "*"}),
    );
    problem.is_problem(401, "unauthorized");
    let admin = [USER, "X-Indelible-Tenants: *", "X-Indelible-Roles: admin"];
    let list = served.send("GET", "/v1/keys", &admin, b"").is(200);
    assert_eq!(list["keys"], Value::Array(vec![]));
}
