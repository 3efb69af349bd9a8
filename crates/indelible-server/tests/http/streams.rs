//! Producers' streams over HTTP: claims, statements, what is told of them, and the coverage that
//! the ledger states by itself.

use std::time::{Duration, Instant};

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Served, event};

fn claimed(n: usize, stream: &str, number: u64) -> Value {
    let mut event = event(n);
    event["_stream"] = json!({"epoch": 7, "id": stream, "number": number});
    event
}

fn statement(n: usize, event_type: &str, data: &Value) -> Value {
    let mut event = event(n);
    event["event_type"] = json!(event_type);
    event["data"] = data.clone();
    event
}

fn lost(n: usize, first: u64, last: u64) -> Value {
    let data = json!({
        "epoch": 7, "first": first, "last": last, "reason": "queue full", "stream": "web",
    });
    statement(n, "stream.lost", &data)
}

fn entries(answer: &Value) -> Vec<(String, Value, String)> {
    let entries = answer["streams"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .map(|e| (text(&e["tenant_id"]), e["stream"].clone(), text(&e["word"])))
        .collect()
}

#[test]
fn claims_and_statements_are_told_with_what_is_missing() {
    let served = Served::open();
    let path = "/v1/events:batch?tenant=acme";
    let opened = statement(90, "stream.opened", &json!({"epoch": 7, "stream": "web"}));
    let mut no_claim = claimed(4, "web", 4);
    no_claim["_stream"]["number"] = json!(-4);
    let batch = json!([
        opened,
        claimed(0, "web", 0),
        no_claim,
        claimed(1, "web", 1),
        claimed(5, "web", 5),
        event(6),
        lost(91, 2, 3),
    ]);
    let answer = served.post(path, &batch).is(200);
    let results = answer["results"].as_array().unwrap().iter();
    let statuses: Vec<_> = results.map(|r| r["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 422, 201, 201, 201, 201]);
    assert_eq!(
        answer["results"][2]["problem"]["pointer"],
        "/_stream/number"
    );
    let told = served.get("/v1/streams?tenant=acme").is(200);
    assert_eq!(
        (&told["behind"], &told["next_cursor"]),
        (&json!(0), &json!(null))
    );
    let streams = told["streams"].as_array().unwrap();
    let web = &streams[0];
    let verdict = web["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("undeclared gap (1, 4) · declared loss (2, queue full) · open to 5"),
        "{verdict}"
    );
    assert_eq!(
        (&web["gaps"], &web["lost"], &web["last"], &web["records"]),
        (
            &json!([[4, 4]]),
            &json!([[2, 3, "queue full"]]),
            &json!(5),
            &json!(3)
        )
    );
    assert_eq!(
        (&web["credentials"], &web["submitted_by"]),
        (&json!(1), &json!(null))
    );
    assert_eq!(streams[1]["word"], "unnumbered");
    assert_eq!(
        (&streams[1]["records"], streams[1].get("epoch")),
        (&json!(1), None)
    );
}

#[test]
fn a_repeat_is_the_first_event_and_its_claim_is_nowhere_in_it() {
    let served = Served::open();
    let first = served.post("/v1/events?tenant=acme", &claimed(0, "web", 0));
    let again = served.post("/v1/events?tenant=acme", &claimed(0, "web", 4));
    assert_eq!(again.is(200)["receipt"], first.is(201)["receipt"]);
    let record = served.get("/v1/records/019a9b00-0000-7000-8000-000000000000");
    let record = record.is(200)["record"].clone();
    assert!(record["event"].get("_stream").is_none());
    let claim = json!({"epoch": 7, "id": "web", "number": 0});
    assert_eq!(record["ledger"]["stream"], claim);
}

#[test]
fn what_is_there_cannot_be_lost_and_a_statement_has_one_shape() {
    let served = Served::open();
    for (n, number) in [(0, 0), (5, 5)] {
        let path = "/v1/events?tenant=acme";
        served.post(path, &claimed(n, "web", number)).is(201);
    }
    let problem = served.post("/v1/events?tenant=acme", &lost(92, 4, 9));
    let problem = problem.is_problem(422, "invalid-event");
    assert_eq!(problem["problems"][0]["code"], "stream-contradicted");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("in the log: 5;")
    );
    // Nor has a statement a place of its own, or a shape of its own.
    let mut placed = lost(93, 4, 4);
    placed["_stream"] = json!({"epoch": 7, "id": "web", "number": 6});
    let problem = served.post("/v1/events?tenant=acme", &placed);
    assert_eq!(problem.is(422)["pointer"], "/_stream");
    let mut more = lost(94, 4, 4);
    more["data"]["more"] = json!(1);
    let problem = served.post("/v1/events?tenant=acme", &more);
    assert_eq!(problem.is(422)["pointer"], "/data/more");
    let coverage = json!({"epoch": 7, "ranges": [[4, 4]], "stream": "web"});
    let forged = statement(95, "stream.coverage", &coverage);
    let problem = served.post("/v1/events?tenant=acme", &forged);
    assert_eq!(problem.is(422)["problems"][0]["code"], "reserved-type");
    served
        .post("/v1/events?tenant=acme", &lost(96, 1, 4))
        .is(201);
    let ended = json!({"epoch": 7, "next_number": 6, "stream": "web"});
    let ended = statement(97, "stream.ended", &ended);
    served.post("/v1/events?tenant=acme", &ended).is(201);
    let told = served.get("/v1/streams?tenant=acme").is(200);
    assert_eq!(
        told["streams"][0]["verdict"],
        "declared loss (4, queue full)"
    );
}

#[test]
fn a_key_sees_the_streams_of_its_tenants_page_by_page() {
    let served = Served::closed(&[
        (Role::Admin, None),
        (Role::Emitter, Some("acme globex initech")),
        (Role::Reader, Some("acme initech")),
        (Role::Emitter, Some("acme")),
    ]);
    for (n, (tenant, stream)) in [
        ("globex", "web"),
        ("acme", "web"),
        ("acme", "a job"),
        ("initech", "web"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/v1/events?tenant={tenant}");
        served.post_as(1, &path, &claimed(n, stream, 0)).is(201);
    }
    served
        .post_as(1, "/v1/events?tenant=acme", &event(9))
        .is(201);
    served
        .post_as(3, "/v1/events?tenant=acme", &claimed(8, "web", 1))
        .is(201);
    let mine = [
        ("acme".to_owned(), json!("a job"), "open".to_owned()),
        ("acme".to_owned(), json!("web"), "open".to_owned()),
        ("acme".to_owned(), json!(null), "unnumbered".to_owned()),
        ("initech".to_owned(), json!("web"), "open".to_owned()),
    ];
    let all = served.get_as(2, "/v1/streams").is(200);
    assert_eq!(entries(&all), mine);
    let (one, two) = (&all["streams"][0], &all["streams"][1]);
    assert_eq!(
        (&one["credentials"], &two["credentials"]),
        (&json!(1), &json!(2))
    );
    assert!(two["submitted_by"].as_str().unwrap().starts_with("key:"));
    let (mut paged, mut path) = (Vec::new(), "/v1/streams?limit=1".to_owned());
    for _ in 0..9 {
        let page = served.get_as(2, &path).is(200);
        paged.extend(entries(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/streams?limit=1&cursor={cursor}");
    }
    assert_eq!(paged, mine);
    served
        .get_as(2, "/v1/streams?tenant=globex")
        .is_problem(404, "not-found");
    served
        .get_as(2, "/v1/streams?tenant=nobody")
        .is_problem(404, "not-found");
    for cursor in ["", "acme", "acme%207%20web", "%20"] {
        let path = format!("/v1/streams?cursor={cursor}");
        served.get_as(2, &path).is_problem(400, "bad-cursor");
    }
    served.get_as(3, "/v1/streams").is_problem(403, "forbidden");
    assert_eq!(entries(&served.get_as(0, "/v1/streams").is(200)).len(), 5);
}

#[test]
fn the_ledger_states_coverage_once_a_day_and_has_figures_of_streams() {
    let served = Served::open();
    for (n, number) in [(0, 0), (1, 1), (2, 4)] {
        served
            .post("/v1/events?tenant=acme", &claimed(n, "web", number))
            .is(201);
    }
    served
        .post("/v1/events?tenant=acme", &lost(9, 2, 2))
        .is(201);
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("the figures are there", &|| {
        let text = served.get("/metrics").text();
        [
            "indelible_stream_numbers_received 3\n",
            "indelible_stream_numbers_lost 1\n",
            "indelible_stream_numbers_missing 1\n",
            "indelible_streams_ended_unclean 0\n",
        ]
        .iter()
        .all(|line| text.contains(line))
    });
    let stated = || {
        let path = "/v1/records?q=type:stream.coverage";
        let list = served.get(path).is(200);
        let records = list["records"].as_array().unwrap().iter();
        let data = records.map(|r| r["record"]["event"]["data"].clone());
        data.collect::<Vec<_>>()
    };
    assert!(stated().is_empty(), "not on its first day");
    served.move_clock(Duration::from_hours(24));
    until("coverage is stated", &|| !stated().is_empty());
    let expected = json!({"epoch": 7, "ranges": [[0, 1], [4, 4]], "stream": "web"});
    assert_eq!(stated(), [expected]);
    served
        .post("/v1/events?tenant=acme", &claimed(3, "web", 5))
        .is(201);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(stated().len(), 1, "once a day");
    served.move_clock(Duration::from_hours(24));
    until("it is stated again", &|| stated().len() == 2);
    let told = served.get("/v1/streams").is(200);
    assert_eq!(told["streams"][0]["gaps"], json!([[3, 3]]));
}
