//! Whose turn it is: who searches much keeps nobody from reading, and nothing is searched for who
//! has gone.

use std::time::Duration;

use indelible_api::Role;
use serde_json::Value;

use crate::support::{Client, Served, event, until};

const ADMIN: usize = 0;
const FLOOD: usize = 1;
const QUIET: usize = 2;

const KEYS: [(Role, Option<&str>); 3] = [
    (Role::Admin, None),
    (Role::Reader, Some("acme")),
    (Role::Reader, Some("Acme")),
];
/// Reads every body, and finds nothing.
const SLOW: &str = "/v1/counts?facet=actor&q=data.missing%3E1";
const RECORDS: usize = 4_000;
const SEARCHES: usize = 60;
const ROUNDS: usize = 5;

fn served() -> Served {
    let served = Served::start(&KEYS, |settings| settings.reads_max = 2);
    for tenant in ["acme", "Acme"] {
        let events: Vec<Value> = (0..RECORDS).map(event).collect();
        let path = format!("/v1/events:batch?tenant={tenant}");
        let made = serde_json::json!({"tenant_id": tenant});
        served.post_as(ADMIN, "/v1/tenants", &made).is(201);
        let bearer = served.key(ADMIN).to_owned();
        let body = serde_json::to_value(events).unwrap();
        served.ask_with(&bearer, "POST", &path, &body).is(200);
    }
    served
}

/// Searches that are asked for, each on a connection of its own.
fn flood(served: &Served) -> Vec<Client> {
    let head = format!(
        "GET {SLOW} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        served.address,
        served.key(FLOOD)
    );
    let ask = |_| {
        let mut client = served.connect();
        client.say(&head).unwrap();
        client
    };
    (0..SEARCHES).map(ask).collect()
}

/// How many of them were answered, as it stands in the ledger a minute later.
fn answered(served: &Served) -> u64 {
    served.move_clock(Duration::from_secs(61));
    let mut requests = 0;
    until("what was read is noted", || {
        let noted = served.own_records(ADMIN, "access.read");
        let counted = noted
            .iter()
            .filter(|one| one["data"]["route"] == "/v1/counts");
        requests = counted
            .map(|one| one["data"]["requests"].as_u64().unwrap())
            .sum();
        let lists = noted
            .iter()
            .filter(|one| one["data"]["route"] == "/v1/records");
        lists.count() > 0
    });
    requests
}

#[test]
fn nothing_is_searched_for_who_has_gone() {
    let mut all = (0, 0);
    for _ in 0..ROUNDS {
        let served = served();
        drop(flood(&served));
        all.0 += SEARCHES as u64;
        // The same tenant's next search comes behind those that are still waited for.
        served.get_as(FLOOD, "/v1/records?limit=1").is(200);
        all.1 += answered(&served);
        if all.1 < all.0 {
            return;
        }
    }
    panic!("all {} searches were made for nobody", all.0);
}

#[test]
fn another_tenant_reads_before_those_who_wait() {
    for _ in 0..ROUNDS {
        let served = served();
        let mut waiting = flood(&served);
        served.get_as(QUIET, "/v1/records?limit=1").is(200);
        let before = answered(&served);
        for client in &mut waiting {
            client.answer().unwrap().is(200);
        }
        if before < SEARCHES as u64 / 2 {
            return;
        }
    }
    panic!("it waited for most of the others in every round");
}
