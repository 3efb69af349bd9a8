//! How much one key and one tenant may ask for, and that nobody else notices who asks for more.

use std::time::{Duration, Instant};

use indelible_api::{Rates, Role};
use indelible_server::Settings;
use serde_json::{Value, json};

use crate::support::{Answer, Served, Stand, event, until};

const ADMIN: usize = 0;
const FLOOD: usize = 1;
const QUIET: usize = 2;

const KEYS: [(Role, Option<&str>); 3] = [
    (Role::Admin, None),
    (Role::Emitter, Some("acme")),
    (Role::Emitter, Some("globex")),
];

fn served(change: impl FnOnce(&mut Settings)) -> Served {
    Served::start(&KEYS, |settings| {
        settings.limits.burst = Duration::from_secs(1);
        change(settings);
    })
}

fn events(events: u64) -> Rates {
    Rates {
        events_per_s: Some(events),
        ..Rates::default()
    }
}

fn batch(served: &Served, n: usize, first: usize, count: usize) -> Answer {
    let events: Vec<_> = (first..first + count).map(event).collect();
    served.post_as(n, "/v1/events:batch", &json!(events))
}

/// Which limit, of whom, and that it says when.
fn limited(answer: &Answer, kind: &str, words: &str) -> u64 {
    let problem = answer.is_problem(429, kind);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(words), "{detail}");
    let seconds = problem["retry_after_s"].as_u64().unwrap();
    assert!(seconds >= 1);
    let header = answer.header("retry-after").unwrap();
    assert_eq!(header, seconds.to_string());
    seconds
}

#[test]
fn a_batch_is_taken_whole_and_what_comes_behind_it_waits_until_it_is_paid() {
    let served = served(|settings| settings.limits.tenant = events(100));
    let taken = batch(&served, FLOOD, 0, 500).is(200);
    assert_eq!(taken["accepted"], 500);
    let refused = batch(&served, FLOOD, 500, 1);
    let seconds = limited(
        &refused,
        "rate-limited",
        "the tenant may have 100 events a second",
    );
    assert!((3..=4).contains(&seconds), "{seconds}");
    let one = served.post_as(FLOOD, "/v1/events", &event(500));
    limited(&one, "rate-limited", "the tenant may have 100 events");
    // Whoever sends for it, and no other tenant.
    let path = "/v1/events?tenant=acme";
    limited(
        &served.post_as(ADMIN, path, &event(500)),
        "rate-limited",
        "the tenant",
    );
    served.post_as(QUIET, "/v1/events", &event(1)).is(201);
    served.get_as(ADMIN, "/v1/records?tenant=acme").is(200);
    // In a batch of several, only what is of that tenant.
    let mut mixed = [event(600), event(601)];
    for (event, tenant) in mixed.iter_mut().zip(["acme", "globex"]) {
        event["tenant_id"] = json!(tenant);
    }
    let answer = served.post_as(ADMIN, "/v1/events:batch", &json!(mixed));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let results = answer.is(200);
    let status = |n: usize| results["results"][n]["status"].clone();
    assert_eq!(
        (status(0), status(1)),
        (json!(429), json!(201)),
        "{results}"
    );
    until("it is paid", || batch(&served, FLOOD, 500, 1).status == 200);
    let page = served.get_as(ADMIN, "/metrics");
    let of = |limit: &str| format!("indelible_limited_total{{limit=\"{limit}\"}}");
    assert!(!page.text().contains(&format!("{} 0\n", of("tenant"))));
    assert!(page.text().contains(&format!("{} 0\n", of("key"))));
    assert!(!page.text().contains("acme"));
}

#[test]
fn a_key_has_the_rate_that_it_was_made_with_else_that_of_the_server() {
    let served = served(|settings| {
        settings.limits.key.requests_per_s = Some(20);
    });
    let made = |limits: Value| {
        let wanted = json!({"role": "reader", "tenants": "*", "limits": limits});
        let made = served.post_as(ADMIN, "/v1/keys", &wanted);
        made.is(201)["bearer"].as_str().unwrap().to_owned()
    };
    let slow = made(json!({"requests_per_s": 2}));
    let free = made(json!({"requests_per_s": 0}));
    let usual = made(Value::Null);
    let many = |key: &str, count: usize| -> Vec<Answer> {
        let get = |_| served.ask_with(key, "GET", "/v1/tenants", &Value::Null);
        (0..count).map(get).collect()
    };
    let ok = |answers: &[Answer]| answers.iter().filter(|one| one.status == 200).count();
    let answers = many(&slow, 10);
    assert!((2..=5).contains(&ok(&answers)), "{}", ok(&answers));
    let last = answers.iter().rev().find(|one| one.status == 429).unwrap();
    limited(last, "rate-limited", "you may bring 2 requests a second");
    // What a key has used up, the viewers that it made have used up.
    let tenant = json!({"tenant_id": "acme"});
    served.post_as(ADMIN, "/v1/tenants", &tenant).is(201);
    let token = json!({"tenant": "acme"});
    let mut viewer = String::new();
    until("it is let in again", || {
        let made = served.ask_with(&slow, "POST", "/v1/viewer-tokens", &token);
        if made.status == 201 {
            viewer = made.json()["bearer"].as_str().unwrap().to_owned();
        }
        made.status == 201
    });
    many(&slow, 10);
    let get = |_| served.ask_with(&viewer, "GET", "/v1/records", &Value::Null);
    let seen: Vec<_> = (0..10).map(get).collect();
    assert!(ok(&seen) <= 3, "{}", ok(&seen));
    assert_eq!(ok(&many(&free, 60)), 60);
    let began = Instant::now();
    let taken = ok(&many(&usual, 100));
    let most = 22 + usize::try_from(began.elapsed().as_millis()).unwrap() / 50;
    assert!((20..=most).contains(&taken), "{taken} of {most}");
    // What everybody may have is not counted.
    let health = (0..50).map(|_| served.get("/health/live").status);
    assert!(health.into_iter().all(|status| status == 200));
    let keys = served.get_as(ADMIN, "/v1/keys").is(200);
    assert!(keys.to_string().contains("\"requests_per_s\":2"));
    for wrong in [
        json!({"events_per_s": -1}),
        json!({"events_per_s": 1_u64 << 41}),
        json!({"x": 1}),
    ] {
        let wanted = json!({"role": "reader", "tenants": "*", "limits": wrong});
        let refused = served.post_as(ADMIN, "/v1/keys", &wanted);
        assert!(
            refused.status == 400 || refused.status == 429,
            "{refused:?}"
        );
    }
}

#[test]
fn bytes_of_events_and_attachments_are_counted() {
    let served = served(|settings| settings.limits.key.bytes_per_s = Some(1_000));
    let bytes = vec![b'x'; 4_000];
    let digest = indelible_merkle::sha256(&bytes);
    let header = format!("Authorization: Bearer {}", served.key(FLOOD));
    let put = || {
        let path = format!("/v1/attachments/sha256:{digest}?tenant=acme");
        served.send("PUT", &path, &[&header], &bytes)
    };
    put().is(201);
    limited(&put(), "rate-limited", "you may bring 1000 bytes a second");
    served.post_as(QUIET, "/v1/events", &event(1)).is(201);
}

#[test]
fn a_day_has_so_many_events_over_a_restart_too_and_then_the_next_begins() {
    let stand = Stand::default();
    let change = |settings: &mut Settings| settings.limits.events_per_day = Some(10);
    let served = Served::start_on(stand.clone(), &KEYS, change);
    batch(&served, FLOOD, 0, 6).is(200);
    served.end().unwrap();
    let served = Served::start_on(stand, &KEYS, change);
    batch(&served, FLOOD, 6, 6).is(200);
    let refused = batch(&served, FLOOD, 12, 1);
    let seconds = limited(&refused, "quota-used-up", "10 events a day");
    assert!(seconds <= 86_400);
    batch(&served, QUIET, 0, 1).is(200);
    served.move_clock(Duration::from_secs(seconds));
    batch(&served, FLOOD, 12, 1).is(200);
}

#[test]
fn a_tenant_that_is_not_ones_own_is_never_told_to_be_at_its_limit() {
    let served = served(|settings| settings.limits.tenant = events(1));
    batch(&served, FLOOD, 0, 100).is(200);
    let there = served.post_as(QUIET, "/v1/events?tenant=acme", &event(1));
    let not = served.post_as(QUIET, "/v1/events?tenant=nobody", &event(1));
    assert_eq!((there.status, not.status), (404, 404));
}
