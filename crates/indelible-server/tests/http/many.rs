//! Two servers on the same stores: one signs, the other only commits.

use std::time::{Duration, Instant};

use indelible_api::Role;
use indelible_server::Settings;
use serde_json::{Value, json};

use crate::support::{Answer, Served, Stand, event, until};

const ADMIN: usize = 0;
const READER: usize = 1;

const PATIENCE: Duration = Duration::from_secs(2);

fn impatient(settings: &mut Settings) {
    settings.ready_within = PATIENCE;
    settings.publish_interval = Duration::from_millis(200);
}

fn is_ready(served: &Served) -> bool {
    served.get("/health/ready").status == 200
}

/// What it says of the other, which does not publish; it says nothing else.
fn misses_the_signer(served: &Served, said: &str) -> bool {
    let answer = served.get("/health/ready");
    if answer.status == 200 {
        return false;
    }
    let reasons = answer.json()["reasons"].clone();
    let [reason] = reasons.as_array().unwrap().as_slice() else {
        panic!("{reasons}");
    };
    let reason = reason.as_str().unwrap();
    assert!(
        reason.contains(UNSEEN) || reason.contains(UNPUBLISHED),
        "{reason}"
    );
    reason.contains(said)
}

const UNSEEN: &str = "nobody publishes: no server with the signing key was seen";
const UNPUBLISHED: &str = "the server with the signing key publishes, and does not";

#[test]
fn a_server_that_does_not_sign_says_when_nobody_publishes() {
    let (signing, without) = Stand::for_two();
    let commits = Served::start_on(without, &[], impatient);
    // At first it may be that the other has not come up yet.
    until("it is ready at first", || is_ready(&commits));
    until("it says that nobody is there, before it commits", || {
        misses_the_signer(&commits, UNSEEN)
    });
    let path = "/v1/events?tenant=acme";
    commits.post(path, &event(1)).is(201);
    until("it says that nobody publishes", || {
        misses_the_signer(&commits, UNPUBLISHED)
    });
    let signs = Served::start_on(signing, &[], impatient);
    until("it is ready when another has published", || {
        is_ready(&commits)
    });
    commits.post(path, &event(2)).is(201);
    let covered = || {
        let answer = commits.get("/v1/checkpoints?tenant=acme").is(200);
        answer.to_string().contains("\\n3\\n")
    };
    until("what it commits is in a checkpoint", covered);
    until("the signer is ready", || is_ready(&signs));
    // Idle, it stays so: the signer shows itself.
    let since = Instant::now();
    while since.elapsed() < 2 * PATIENCE {
        assert!(is_ready(&commits));
        std::thread::sleep(Duration::from_millis(50));
    }
    signs.end().unwrap();
    commits.post(path, &event(3)).is(201);
    until("it says that nobody publishes any more", || {
        misses_the_signer(&commits, UNPUBLISHED)
    });
}

#[test]
fn what_one_does_with_keys_the_other_knows_within_seconds() {
    let (signing, without) = Stand::for_two();
    let there = Served::start_on(without, &[], |_| {});
    there.get("/v1/records").is(200);
    let keys = [(Role::Admin, None), (Role::Reader, Some("acme"))];
    let here = Served::start_on(signing, &keys, |_| {});
    let ask = |bearer: &str| -> Answer {
        let header = format!("Authorization: Bearer {bearer}");
        there.send("GET", "/v1/records", &[&header], b"")
    };
    // The first key closes both.
    until("it is closed", || there.get("/v1/records").status == 401);
    assert_eq!(ask(here.key(READER)).status, 200);
    let wanted = json!({"role": "reader", "tenants": ["acme"]});
    let made = here.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let bearer = made["bearer"].as_str().unwrap();
    until("a new key is known", || ask(bearer).status == 200);
    let path = format!("/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    let admin = format!("Authorization: Bearer {}", here.key(ADMIN));
    here.send("DELETE", &path, &[&admin], b"").is(200);
    until("a revoked key is refused", || {
        let answer = ask(bearer);
        assert!(matches!(answer.status, 200 | 401), "{}", answer.text());
        answer.status == 401
    });
    assert_eq!(ask(here.key(READER)).status, 200, "another key stays");
}

#[test]
fn keys_that_cannot_be_read_again_are_believed_for_a_while_only() {
    let (signing, without) = Stand::for_two();
    let keys = [(Role::Admin, None)];
    let here = Served::start_on(signing, &keys, |_| {});
    let there = Served::start_on(without, &[], |settings| {
        settings.keys_believed = Duration::ZERO;
    });
    let ask =
        |served: &Served| served.ask_with(here.key(ADMIN), "GET", "/v1/records", &Value::Null);
    ask(&here).is(200);
    ask(&there).is_problem(503, "unavailable");
    there.get("/v1/records").is_problem(401, "unauthorized");
    assert_eq!(there.get("/health/live").status, 200);
    // Alone on its stores it knows of every change.
    let alone = Served::start(&keys, |settings| settings.keys_believed = Duration::ZERO);
    alone.get_as(ADMIN, "/v1/records").is(200);
}
