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

/// What is counted here and there.
const ASKED: &[&[&str]] = &[
    &["count", "tenant:acme,globex"],
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
    &["count", "tenant:acme,globex", "--facet", "tenant", "--json"],
    &[
        "count",
        "tenant:acme,globex",
        "--facet",
        "tenant",
        "--top",
        "1",
    ],
    &[
        "count",
        "tenant:globex",
        "--every",
        "1h",
        "--zone",
        "Australia/Lord_Howe",
    ],
];

#[test]
fn counts_of_a_server_are_those_of_the_directory() {
    let place = place();
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    for asked in ASKED {
        let here = place.run_args(*asked);
        let there = place.run_args(asked.iter().copied().chain(["--url", &url]));
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
    // What is named and what is not are all there are.
    let few = place.ok("count tenant:globex --facet target --top 3");
    let numbers = few.out.lines().filter(|line| line.starts_with("target"));
    let numbers = numbers.map(|line| line.split_whitespace().next_back().unwrap().to_owned());
    let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, [1, 1, 1, 298], "{}", few.out);
    let said = "target: at least 301 values, of which 3 are named (--top)";
    assert!(few.err.contains(said), "{}", few.err);
    let plain = place.ok("count tenant:globex --facet type --top 1");
    let said = "type: 2 values, of which 1 are named (--top)";
    assert!(plain.err.contains(said), "{}", plain.err);
    let wrong = place.ends(2, "count --facet outcom");
    assert!(
        wrong.err.contains("did you mean `outcome`"),
        "{}",
        wrong.err
    );
    place.ends(3, "count --tenant nowhere");
}

/// The half hour that comes twice where clocks go back, and the zone that was asked for.
#[test]
fn bars_are_those_of_the_zone_that_was_asked_for() {
    let place = Place::new();
    let times = ["14:10", "14:50", "15:10", "15:29", "15:40", "16:40"];
    let events = times.iter().enumerate().map(|(n, time)| {
        let mut event = event(n);
        event["occurred_at"] = json!(format!("2026-04-04T{time}:00Z"));
        event
    });
    place.file("acme.ndjson", ndjson(events));
    place.ok("import --format ndjson acme.ndjson --tenant acme");
    let asked = "count type:content.review --every 1h --zone Australia/Lord_Howe";
    // An index counts the first, bodies the second.
    for query in ["", " has:target"] {
        let ran = place.ok(&format!("{asked}{query}"));
        let bars: Vec<_> = ran
            .out
            .lines()
            .skip_while(|line| !line.contains("FROM"))
            .collect();
        let bars = bars
            .iter()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let expected = [
            "2026-04-05 01:00:00+11:00 2",
            "2026-04-05 01:30:00+10:30 2",
            "2026-04-05 02:00:00+10:30 1",
            "2026-04-05 03:00:00+10:30 1",
        ];
        assert!(bars.eq(expected), "{}", ran.out);
    }
}

#[test]
fn nothing_is_exact_where_sealed_values_were_not_searched() {
    let place = Place::new();
    let events = (0..6).map(|n| {
        let mut event = event(n);
        event["actor"]["ip"] = json!("10.0.0.7");
        event["performance"] = json!({"duration_ms": n});
        event
    });
    place.file("acme.ndjson", ndjson(events));
    place.ok("import --format ndjson acme.ndjson --tenant acme");
    let exact = |line: &str| {
        let counts = place.ok(line).json().remove(0);
        let of = [&counts, &counts["stats"][0]].map(|of| of["counted"]["exact"].clone());
        assert_eq!(of[0], of[1], "{counts}");
        let unsearched = counts["unsearched"].as_array().map_or(0, Vec::len);
        (
            of[0].as_bool().unwrap(),
            counts["total"].as_u64().unwrap(),
            unsearched,
        )
    };
    let asked = "count --tenant acme --stats duration --json ip:10.0.0.7";
    assert_eq!(exact(asked), (true, 6, 0));
    assert_eq!(exact(&format!("{asked} --keys elsewhere")), (false, 0, 1));
    // By bodies too, and where parts of sealed values are asked for.
    let bodies = format!("{asked} has:target --keys elsewhere");
    assert_eq!(exact(&bodies), (false, 0, 1));
    let wide = "count --tenant acme --stats duration --json -- -ip:10.0.0.0/8";
    assert_eq!(exact(wide), (false, 7, 1));
    let told = place.ok("count --tenant acme ip:10.0.0.7 --keys elsewhere");
    assert!(told.out.contains("about so many"), "{}", told.out);
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
