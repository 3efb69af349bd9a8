//! What belongs to a record: trees, correlations, executions; bounded, and of what one may see.

use indelible_api::Role;
use serde_json::{Value, json};

use crate::support::{Served, event};

const ADMIN: usize = 0;
const EMITTER: usize = 1;
const READER: usize = 2;

fn id(n: usize) -> String {
    format!("019a9b00-0000-7000-8000-{n:012x}")
}

fn served() -> Served {
    Served::closed(&[
        (Role::Admin, None),
        (Role::Emitter, Some("acme")),
        (Role::Reader, Some("acme")),
        (Role::Emitter, Some("globex")),
    ])
}

/// An event that came of another.
fn below(n: usize, parent: &str) -> Value {
    let mut event = event(n);
    event["context"] = json!({"parent_id": parent, "correlation_id": "corr-1"});
    event["occurred_at"] = json!(format!("2026-01-20T09:00:{n:02}Z"));
    event
}

fn numbers(list: &Value) -> Vec<u64> {
    let records = list.as_array().unwrap().iter();
    records
        .map(|one| one["sequence_number"].as_u64().unwrap())
        .collect()
}

fn related(served: &Served, n: usize) -> Value {
    let path = format!("/v1/records/{}/related", id(n));
    served.get_as(READER, &path).is(200)
}

#[test]
fn a_tree_is_shown_from_each_of_its_records() {
    let served = served();
    let mut root = event(1);
    root["source_event_id"] = json!("ticket-1");
    served.post_as(EMITTER, "/v1/events", &root).is(201);
    // One names its parent by audit id, another by the id of its source.
    for event in [
        below(2, &id(1)),
        below(3, "ticket-1"),
        below(4, &id(2)),
        below(5, &id(4)),
    ] {
        served.post_as(EMITTER, "/v1/events", &event).is(201);
    }
    let top = related(&served, 1);
    assert_eq!(top["above"], json!({"end": "root", "parent_id": null}));
    assert_eq!(numbers(&top["descendants"]), [2, 3, 4, 5]);
    let depths: Vec<_> = top["descendants"].as_array().unwrap().iter().collect();
    let depths: Vec<_> = depths
        .iter()
        .map(|one| one["depth"].as_u64().unwrap())
        .collect();
    assert_eq!(depths, [1, 1, 2, 3]);
    assert_eq!(
        (&top["more_below"], &top["cycle_below"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(top["correlation"], Value::Null);
    let low = related(&served, 5);
    assert_eq!(numbers(&low["ancestors"]), [4, 2, 1]);
    assert_eq!(numbers(&low["descendants"]), [0; 0]);
    assert_eq!(low["correlation"]["id"], "corr-1");
    assert_eq!(numbers(&low["correlation"]["records"]), [2, 3, 4, 5]);
    assert_eq!(related(&served, 3)["ancestors"][0]["audit_id"], id(1));
}

#[test]
fn missing_parents_and_circles_are_said() {
    let served = served();
    for event in [
        below(1, &id(99)),
        below(2, &id(3)),
        below(3, &id(2)),
        below(4, &id(4)),
        below(5, &id(3)),
    ] {
        served.post_as(EMITTER, "/v1/events", &event).is(201);
    }
    let missing = related(&served, 1);
    assert_eq!(
        missing["above"],
        json!({"end": "missing", "parent_id": id(99)})
    );
    let circle = related(&served, 5);
    assert_eq!(numbers(&circle["ancestors"]), [3, 2]);
    assert_eq!(circle["above"], json!({"end": "cycle", "parent_id": id(3)}));
    let inside = related(&served, 2);
    assert_eq!(
        (
            numbers(&inside["ancestors"]),
            inside["above"]["end"].clone()
        ),
        (vec![3], json!("cycle"))
    );
    assert_eq!(
        (
            numbers(&inside["descendants"]),
            inside["cycle_below"].clone()
        ),
        (vec![], json!(true))
    );
    let own = related(&served, 4);
    assert_eq!(
        (&own["above"]["end"], &own["cycle_below"]),
        (&json!("cycle"), &json!(true))
    );
}

#[test]
fn a_wide_or_deep_tree_is_bounded_and_says_so() {
    let served = served();
    let mut events = vec![event(1)];
    events.extend((2..=600).map(|n| {
        let mut event = event(n);
        event["context"] = json!({"parent_id": id(1)});
        event
    }));
    events.push(event(1000));
    events.extend((1001..1100).map(|n| {
        let mut event = event(n);
        event["context"] = json!({"parent_id": id(n - 1)});
        event
    }));
    served
        .post_as(EMITTER, "/v1/events:batch", &json!(events))
        .is(200);
    let wide = related(&served, 1);
    assert_eq!(
        (numbers(&wide["descendants"]).len(), &wide["more_below"]),
        (500, &json!(true))
    );
    let deep = related(&served, 1000);
    assert_eq!(
        (numbers(&deep["descendants"]).len(), &deep["more_below"]),
        (32, &json!(true))
    );
    let low = related(&served, 1099);
    assert_eq!(numbers(&low["ancestors"]).len(), 64);
    assert_eq!(low["above"], json!({"end": "more", "parent_id": id(1034)}));
}

#[test]
fn an_agents_execution_is_summed_up_by_node() {
    let served = served();
    let step = |n: usize, node: &str, ms: u64, outcome: &str| {
        let mut event = event(n);
        event["context"] = json!({"request_id": "exec-1"});
        event["occurred_at"] = json!(format!("2026-01-20T09:00:{n:02}Z"));
        event["outcome"] = json!(outcome);
        event["performance"] = json!({"duration_ms": ms});
        event["ai"] = json!({"agent_type": "planner", "model": "large-3", "total_tokens": 100,
            "cost_usd": 0.25, "trace": {"node": node}});
        event
    };
    let mut started = event(9);
    started["target"] = json!({"id": "exec-1", "type": "execution"});
    started["occurred_at"] = json!("2026-01-20T09:00:00Z");
    for event in [
        step(1, "plan", 200, "success"),
        step(2, "search", 300, "failure"),
        step(3, "search", 400, "success"),
        started,
    ] {
        served.post_as(EMITTER, "/v1/events", &event).is(201);
    }
    let execution = &related(&served, 2)["execution"];
    assert_eq!(
        numbers(&execution["records"]),
        [4, 1, 2, 3],
        "ascending, the target's too"
    );
    assert_eq!(execution["agent"], "planner");
    assert_eq!(
        (&execution["duration_ms"], &execution["outcome"]),
        (&json!(3000.0), &json!("success"))
    );
    assert_eq!(
        (&execution["tokens"], &execution["cost_usd"]),
        (&json!(300.0), &json!(0.75))
    );
    let nodes = execution["nodes"].as_array().unwrap();
    let names: Vec<_> = nodes
        .iter()
        .map(|node| node["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["plan", "search"]);
    assert_eq!(
        (&nodes[1]["records"], &nodes[1]["duration_ms"]),
        (&json!(2), &json!(700.0))
    );
    assert_eq!(
        (&nodes[1]["outcome"], &nodes[1]["models"]),
        (&json!("success"), &json!(["large-3"]))
    );
}

#[test]
fn what_one_may_not_see_is_not_there() {
    let served = served();
    served.post_as(EMITTER, "/v1/events", &event(1)).is(201);
    let mut hidden = below(2, &id(1));
    hidden["actor"]["id"] = json!("eve");
    served.post_as(EMITTER, "/v1/events", &hidden).is(201);
    served
        .post_as(EMITTER, "/v1/events", &below(3, &id(2)))
        .is(201);
    // Another tenant's records name the same parents and correlation.
    for n in [11, 12] {
        served.post_as(3, "/v1/events", &below(n, &id(1))).is(201);
    }
    assert_eq!(numbers(&related(&served, 1)["descendants"]), [2, 3]);
    let path = format!("/v1/records/{}/related", id(11));
    served.get_as(READER, &path).is_problem(404, "not-found");
    let wanted = json!({"role": "reader", "tenants": ["acme"], "query": "-actor:eve"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let key = made["bearer"].as_str().unwrap();
    let get = |n: usize| {
        let path = format!("/v1/records/{}/related", id(n));
        served.ask_with(key, "GET", &path, &Value::Null)
    };
    let low = get(3).is(200);
    assert_eq!(low["above"], json!({"end": "missing", "parent_id": id(2)}));
    assert_eq!(numbers(&low["correlation"]["records"]), [3]);
    assert_eq!(
        numbers(&get(1).is(200)["descendants"]),
        [0; 0],
        "what is below one of eve's"
    );
    get(2).is_problem(404, "not-found");
}
