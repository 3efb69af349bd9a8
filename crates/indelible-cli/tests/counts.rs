//! `count` and `related`: a server's answer beside that of the data directory it serves.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::served::Serving;
use support::{Place, event, ndjson};

fn place() -> Place {
    let place = Place::new();
    place.file("acme.json", support::cloudtrail_file(0..100));
    place.file("globex.ndjson", ndjson((0..300).map(event)));
    let mut old = event(0);
    old["occurred_at"] = json!("0001-01-01T00:00:00Z");
    place.file("odd.ndjson", ndjson([old, event(1)]));
    place.ok("import --format cloudtrail acme.json --tenant acme");
    place.ok("import --format ndjson globex.ndjson --tenant globex");
    place.ok("import --format ndjson odd.ndjson --tenant odd");
    place
}

#[test]
fn counts_of_a_server_are_those_of_the_directory() {
    let place = place();
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    for asked in [
        &["count", "tenant:acme,globex"][..],
        &[
            "count",
            "tenant:acme",
            "--facet",
            "outcome,type,actor,ip",
            "--top",
            "3",
        ],
        &[
            "count",
            "outcome:denied,failure",
            "--every",
            "1d",
            "--zone",
            "Europe/Berlin",
        ],
        &["count", "\"access denied\"", "--facet", "service"],
        &[
            "count",
            "nothing-like-it",
            "--facet",
            "outcome",
            "--stats",
            "duration,tokens",
        ],
        &["count", "tenant:globex", "--facet", "outcome", "--json"],
        &["count", "--facet", "acter"],
        &["count", "--every", "1m", "tenant:globex"],
        &["count", "--every", "auto", "tenant:globex"],
        &["count", "--every", "auto", "tenant:odd"],
    ] {
        let here = place.run_args(asked);
        let there = place.run_args(asked.iter().chain(&["--url", &url]));
        assert_eq!(
            (here.code, &here.out),
            (there.code, &there.out),
            "{asked:?}"
        );
        if !asked.contains(&"--json") {
            assert_eq!(here.err, there.err, "{asked:?}");
        }
    }
    let fitting = place.ok("count tenant:globex --every auto --json").json();
    let bars = fitting[0]["histogram"]["bars"].as_array().unwrap();
    assert!((1..=300).contains(&bars.len()), "{fitting:?}");
    let odd = place.ok("count tenant:odd --every auto --facet outcome");
    assert!(
        odd.err.contains("more than 2000 bars of a month"),
        "{}",
        odd.err
    );
    assert!(odd.out.contains("success"), "{}", odd.out);
    let counts = place
        .ok("count tenant:acme --facet outcome --every 1mo --json")
        .json();
    let found = place.ok("query tenant:acme --limit 0 --json").json();
    assert_eq!(counts[0]["total"], json!(found.len()));
    let bars = counts[0]["histogram"]["bars"].as_array().unwrap();
    let all: u64 = bars.iter().map(|bar| bar["count"].as_u64().unwrap()).sum();
    assert_eq!(all, found.len() as u64);
    for value in counts[0]["facets"][0]["values"].as_array().unwrap() {
        let (value, count) = (value["value"].as_str().unwrap(), &value["count"]);
        let line = format!("query tenant:acme outcome:{value} --limit 0 --json");
        assert_eq!(json!(place.ok(&line).json().len()), *count, "{value}");
    }
}

#[test]
fn people_get_tables() {
    let place = place();
    let ran = place.ok("count tenant:globex --facet type --stats duration --every 1mo --utc");
    assert!(ran.out.starts_with("301 records\n"), "{}", ran.out);
    assert!(
        ran.out.contains("FACET") && ran.out.contains("NUMBER"),
        "{}",
        ran.out
    );
    let wrong = place.ends(2, "count --facet outcom");
    assert!(
        wrong.err.contains("did you mean `outcome`"),
        "{}",
        wrong.err
    );
    place.ends(3, "count --tenant nowhere");
}

#[test]
fn a_tree_is_shown_by_both() {
    let place = Place::new();
    let events: Vec<Value> = (0..4)
        .map(|n| {
            let mut event = event(n);
            event["audit_id"] = json!(format!("019a9b00-0000-7000-8000-{n:012x}"));
            event["context"] = json!({"correlation_id": "corr-9", "request_id": "exec-9"});
            if n > 0 {
                let parent = format!("019a9b00-0000-7000-8000-{:012x}", n - 1);
                event["context"]["parent_id"] = json!(parent);
            }
            event
        })
        .collect();
    place.file("acme.ndjson", ndjson(events));
    place.ok("import --format ndjson acme.ndjson --tenant acme");
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    for asked in [
        &["related", "2", "--tenant", "acme"][..],
        &["related", "2", "--tenant", "acme", "--json"],
        &["related", "019a9b00-0000-7000-8000-000000000000"],
        &["related", "77", "--tenant", "acme"],
        &["related", "nothing"],
    ] {
        let here = place.run_args(asked);
        let there = place.run_args(asked.iter().chain(&["--url", &url]));
        assert_eq!(
            (here.code, &here.out),
            (there.code, &there.out),
            "{asked:?}: {}",
            there.err
        );
    }
    let found = place.ok("related 2 --tenant acme --json").json();
    assert_eq!(found[0]["ancestors"].as_array().unwrap().len(), 1);
    assert_eq!(found[0]["descendants"].as_array().unwrap().len(), 2);
    assert_eq!(
        found[0]["execution"]["records"].as_array().unwrap().len(),
        4
    );
    let shown = place.ok("related 2 --tenant acme").out;
    assert!(
        shown.contains("correlation corr-9") && shown.contains("execution exec-9"),
        "{shown}"
    );
}
