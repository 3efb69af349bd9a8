//! Counts over HTTP: what is counted, for whom, and what a bound reader never learns.

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Served, event};

const ADMIN: usize = 0;
const EMITTER: usize = 1;
const READER: usize = 2;

/// Records 1 to 6 of acme, two a day: those with an even number are eve's and failed. One of
/// globex.
fn served() -> Served {
    let served = Served::closed(&[
        (Role::Admin, None),
        (Role::Emitter, Some("acme")),
        (Role::Reader, Some("acme")),
        (Role::Emitter, Some("globex")),
    ]);
    for n in 1..=6 {
        let mut event = event(n);
        event["occurred_at"] = json!(format!("2026-01-{}T23:30:00Z", 20 + n / 2));
        event["performance"] = json!({"duration_ms": n * 10});
        event["actor"]["ip"] = json!(format!("10.0.0.{}", n % 2));
        if n.is_multiple_of(2) {
            event["actor"]["id"] = json!("eve");
            event["outcome"] = json!("failure");
        }
        served.post_as(EMITTER, "/v1/events", &event).is(201);
    }
    let mut theirs = event(7);
    theirs["actor"]["id"] = json!("mallory-of-globex");
    served.post_as(3, "/v1/events", &theirs).is(201);
    served
}

fn values(counts: &Value, facet: usize) -> Vec<(String, u64)> {
    let values = counts["facets"][facet]["values"].as_array().unwrap();
    let pair = |value: &Value| {
        let name = value["value"].as_str().unwrap().to_owned();
        (name, value["count"].as_u64().unwrap())
    };
    values.iter().map(pair).collect()
}

fn pair(value: &str, count: u64) -> (String, u64) {
    (value.to_owned(), count)
}

#[test]
fn a_query_is_counted_by_value_by_day_and_by_number() {
    let served = served();
    let path = "/v1/counts?q=type:document.viewed&facet=outcome,actor,ip&every=day\
                &zone=Europe/Berlin&stats=duration";
    let counts = served.get_as(READER, path).is(200);
    assert_eq!(counts["total"], 6);
    assert_eq!(counts["counted"], json!({"by": "index", "exact": true}));
    assert_eq!(values(&counts, 0), [pair("failure", 3), pair("success", 3)]);
    assert_eq!(values(&counts, 1), [pair("ada", 3), pair("eve", 3)]);
    // Sealed in the record, and opened for who may see it; others see what shape it has.
    assert_eq!(values(&counts, 2), [pair("10.***.***.***", 6)]);
    let clear = served.get_as(ADMIN, &format!("{path}&tenant=acme")).is(200);
    let addresses = [pair("10.0.0.0", 3), pair("10.0.0.1", 3)];
    assert_eq!(values(&clear, 2), addresses);
    assert_eq!(counts["facets"][2]["values"][0]["sealed"], true);
    assert_eq!(counts["facets"][0]["complete"], true);
    assert_eq!(counts["facets"][0]["other"], 0);
    let bars = counts["histogram"]["bars"].as_array().unwrap();
    let bars: Vec<_> = bars
        .iter()
        .map(|bar| bar["count"].as_u64().unwrap())
        .collect();
    assert_eq!(bars, [1, 2, 2, 1]);
    let first = &counts["histogram"]["bars"][0];
    assert_eq!(first["from"], "2026-01-20T23:00:00.000000Z");
    let duration = &counts["stats"][0];
    assert_eq!(
        (&duration["records"], &duration["sum"]),
        (&json!(6), &json!(210.0))
    );
    assert_eq!(
        (&duration["p50"], &duration["greatest"]),
        (&json!(30.0), &json!(60.0))
    );
    assert_eq!(
        counts["indexed_up_to"],
        Value::Null,
        "it counts the records of all"
    );
    let all = served
        .get_as(ADMIN, "/v1/counts?q=type:document.viewed")
        .is(200);
    assert_eq!(all["total"], 7);
    assert!(all["indexed_up_to"].is_u64());
}

#[test]
fn a_histogram_that_fits_says_how_long_its_bars_are() {
    let served = served();
    for asked in ["type:document.viewed", "type:document.viewed+data.n%3E0"] {
        let path = format!("/v1/counts?q={asked}&every=auto");
        let counts = served.get_as(READER, &path).is(200);
        assert_eq!(counts["histogram"]["every"], "hour", "{counts}");
        let bars = counts["histogram"]["bars"].as_array().unwrap();
        let sum: u64 = bars.iter().map(|bar| bar["count"].as_u64().unwrap()).sum();
        assert!(bars.len() > 24 && bars.len() <= 300);
        assert_eq!(sum, 6);
    }
    let none = served
        .get_as(READER, "/v1/counts?q=type:none&every=auto")
        .is(200);
    assert_eq!(none["histogram"]["bars"], json!([]));
    // More than 2,000 months are not drawn: the counts are there all the same.
    let mut old = event(900);
    old["occurred_at"] = json!("0001-01-01T00:00:00Z");
    served
        .post_as(ADMIN, "/v1/events?tenant=acme", &old)
        .is(201);
    for asked in ["", "data.n%3E0"] {
        let path = format!("/v1/counts?q={asked}&every=auto&tenant=acme");
        let counts = served.get_as(READER, &path).is(200);
        assert!(counts["total"].as_u64().unwrap() > 6);
        assert_eq!(counts["histogram"], Value::Null, "{counts}");
    }
    let month = "/v1/counts?every=month&tenant=acme";
    served.get_as(READER, month).is_problem(400, "bad-request");
}

#[test]
fn what_bodies_decide_is_counted_from_them() {
    let served = served();
    let counts = served
        .get_as(
            READER,
            "/v1/counts?q=data.n%3E3&facet=outcome&stats=duration",
        )
        .is(200);
    assert_eq!(counts["total"], 3);
    assert_eq!(counts["counted"]["exact"], true);
    assert_eq!(values(&counts, 0), [pair("failure", 2), pair("success", 1)]);
    assert_eq!(counts["stats"][0]["sum"], 150.0);
}

#[test]
fn nobody_learns_a_count_of_what_they_may_not_see() {
    let served = served();
    let counts = served
        .get_as(READER, "/v1/counts?facet=actor,type,category,ip,tenant")
        .is(200);
    let of_acme = counts["total"].as_u64().unwrap();
    assert_eq!(values(&counts, 4), [pair("acme", of_acme)]);
    let of_type = "/v1/counts?q=type:document.viewed&facet=tenant";
    let all = served.get_as(ADMIN, of_type).is(200);
    assert_eq!(values(&all, 0), [pair("acme", 6), pair("globex", 1)]);
    let both = format!("{of_type}&tenant=globex");
    served.get_as(READER, &both).is_problem(404, "not-found");
    assert!(!counts.to_string().contains("globex"), "{counts}");
    served
        .get_as(READER, "/v1/counts?tenant=globex")
        .is_problem(404, "not-found");
    served
        .get_as(READER, "/v1/counts?tenant=nowhere")
        .is_problem(404, "not-found");
    assert_eq!(
        served.get_as(READER, "/v1/counts?q=tenant:globex").is(200)["total"],
        0
    );
    // With a query of its own: the same answers as if eve had never done anything.
    let wanted = json!({"role": "reader", "tenants": ["acme"], "query": "actor:ada"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let key = made["bearer"].as_str().unwrap();
    for (asked, total) in [
        ("", 3),
        ("q=actor:eve", 0),
        ("q=actor:eve%20OR%20actor:ada", 3),
        ("q=-actor:ada", 0),
        ("q=data.n%3E0", 3),
        ("q=data.n:2", 0),
    ] {
        let path = format!(
            "/v1/counts?{asked}&facet=actor,outcome,ip,subject,tenant&every=month&stats=duration"
        );
        let counts = served.ask_with(key, "GET", &path, &Value::Null).is(200);
        assert_eq!(counts["total"], total, "{asked}");
        assert_eq!(counts["indexed_up_to"], Value::Null);
        for told in ["\"eve\"", "failure", "10.0.0.0"] {
            assert!(!counts.to_string().contains(told), "{asked}: {counts}");
        }
        for facet in counts["facets"].as_array().unwrap() {
            let counted = facet["values"].as_array().unwrap();
            let most = counted
                .iter()
                .map(|value| value["count"].as_u64().unwrap())
                .max();
            assert!(most.unwrap_or(0) <= total, "{facet}");
            assert!(facet["other"].as_u64().unwrap() <= total, "{facet}");
        }
        assert_eq!(counts["stats"][0]["records"], total);
    }
    let emitter = served.get_as(EMITTER, "/v1/counts");
    emitter.is_problem(403, "forbidden");
}

#[test]
fn mistakes_are_told() {
    let served = served();
    for (asked, told) in [
        ("facet=outcom", "did you mean `outcome`"),
        ("facet=duration", "not counted"),
        ("stats=outcome", "no numbers"),
        ("every=2h", "1h (hour)"),
        ("every=day&zone=Mars/Olympus", "no time zone"),
        ("top=0", "from 1 to 1000"),
        ("top=1001", "from 1 to 1000"),
        ("every=minute", "more than 2000 bars"),
        ("everyday=1", "everyday"),
    ] {
        let answer = served.get_as(READER, &format!("/v1/counts?{asked}"));
        let problem = answer.is_problem(400, "bad-request");
        assert!(
            problem["detail"].as_str().unwrap().contains(told),
            "{asked}: {problem}"
        );
    }
    served
        .get_as(READER, "/v1/counts?q=acter:a")
        .is_problem(400, "bad-query");
}

#[test]
fn without_keys_sealed_values_are_said_to_stay_closed() {
    let served = Served::without_master_key(|_| {});
    served.post("/v1/events?tenant=acme", &event(1)).is(201);
    let counts = served.get("/v1/counts?q=ip:10.0.0.1&facet=ip").is(200);
    assert_eq!(counts["total"], 0);
    assert_eq!(counts["unsearched"], json!(["acme"]));
}

/// A value is sealed in each tenant under a hash of its own. What is named is counted as the query
/// finds it, also where it was met in one tenant only and hides behind another value elsewhere.
#[test]
fn a_sealed_value_of_several_tenants_is_counted_as_the_query_finds_it() {
    let served = Served::closed(&[(Role::Admin, None)]);
    for tenant in ["acme", "Acme"] {
        let made = json!({"tenant_id": tenant});
        served.post_as(ADMIN, "/v1/tenants", &made).is(201);
    }
    let (rare, frequent) = ("10.0.0.7", "10.0.0.8");
    let mut n = 0;
    let mut bring = |tenant: &str, second: u32, count: usize, ips: [&str; 2]| {
        let [ip, other] = ips;
        let events = (0..count).map(|_| {
            n += 1;
            let mut event = event(n);
            event["occurred_at"] = json!(format!("2026-01-20T09:00:{second:02}Z"));
            event["actor"]["ip"] = json!(ip);
            event["data"]["ip"] = json!(other);
            event
        });
        let events = Value::Array(events.collect());
        let path = format!("/v1/events:batch?tenant={tenant}");
        served.post_as(ADMIN, &path, &events).is(200);
    };
    bring("acme", 59, 1, [rare, rare]);
    // What is read to learn names is at both ends: none of the five is.
    bring("Acme", 50, 300, [frequent, frequent]);
    bring("Acme", 40, 5, [rare, frequent]);
    bring("Acme", 30, 300, [frequent, frequent]);
    let counts = served.get_as(ADMIN, "/v1/counts?facet=ip").is(200);
    assert_eq!(values(&counts, 0), [pair(frequent, 605), pair(rare, 6)]);
    assert_eq!(counts["facets"][0]["values"][0]["sealed"], true);
    for (ip, count) in values(&counts, 0) {
        let found = served
            .get_as(ADMIN, &format!("/v1/counts?q=ip:{ip}"))
            .is(200);
        assert_eq!(found["total"], count, "{ip}");
    }
}
