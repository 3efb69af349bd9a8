//! Servers that are gone, die, answer something else, or lie: the command ends, says what is wrong,
//! and believes nothing that it can check.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::proxy::Proxy;
use support::served::Serving;
use support::{Place, Ran, event, ndjson};

const READS: [&str; 6] = [
    "query --limit 0",
    "query --tenant acme",
    "tenants list",
    "verify",
    "prove 3 --tenant acme",
    "export --tenant acme --out out.ndjson",
];

/// A log of more than two pages, and the process that serves it.
fn served() -> (Place, Serving) {
    let place = Place::new();
    place.file("in.ndjson", ndjson((0..2_300).map(event)));
    place.ok("import --format ndjson in.ndjson --tenant acme");
    place.file("vkey", place.ok("keys show").out);
    let serving = Serving::start(&place, "");
    (place, serving)
}

fn is_page(path: &str) -> bool {
    path.starts_with("/v1/records?")
}

fn ends(place: &Place, proxy: &Proxy, code: i32, line: &str) -> Ran {
    let ran = place.ends(code, &format!("{line} --url {}", proxy.url));
    assert!(!ran.err.contains("panicked"), "{line}: {}", ran.err);
    ran
}

#[test]
fn a_server_that_is_not_there_is_said_to_be() {
    let place = Place::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for line in READS {
        let ran = place.ends(3, &format!("{line} --url {url}"));
        assert!(ran.err.contains("no answer from http://"), "{}", ran.err);
        assert!(ran.out.is_empty() && !place.at("out.ndjson").exists());
    }
}

#[test]
fn a_server_that_dies_between_pages_leaves_what_came_and_says_how_far() {
    let (place, serving) = served();
    for line in ["query --json --limit 0 --tenant acme", "query --limit 2000"] {
        let pages = AtomicUsize::new(0);
        let proxy = Proxy::start(&serving.address, move |path, answer| {
            let dies = is_page(path) && pages.fetch_add(1, Ordering::SeqCst) == 1;
            (!dies).then_some(answer)
        });
        let ran = ends(&place, &proxy, 3, line);
        assert!(ran.err.contains("ends after 1000 records"), "{}", ran.err);
        assert!(ran.out.lines().count() >= 1_000, "what came is printed");
    }
    for line in ["verify", "export --tenant acme --out out.ndjson"] {
        let pages = AtomicUsize::new(0);
        let proxy = Proxy::start(&serving.address, move |path, answer| {
            let pages = if path.contains("tenant=acme") && is_page(path) {
                pages.fetch_add(1, Ordering::SeqCst)
            } else {
                0
            };
            (pages < 2).then_some(answer)
        });
        let ran = ends(&place, &proxy, 3, line);
        assert!(ran.err.contains("ends after 2000 records"), "{}", ran.err);
    }
    let left = std::fs::read_dir(place.at(".")).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains("out.ndjson")),
        "{left:?}"
    );
}

#[test]
fn what_is_no_answer_of_ours_is_told_as_that() {
    let (place, serving) = served();
    for other in [
        json!("<html>"),
        json!({}),
        json!([]),
        json!({"records": 7, "tenants": 7}),
    ] {
        let proxy = Proxy::start(&serving.address, move |_, _| Some(other.clone()));
        for line in READS {
            let ran = ends(&place, &proxy, 3, line);
            assert!(
                ran.err.contains("than Indelible does"),
                "{line}: {}",
                ran.err
            );
        }
    }
}

/// Lies of a page of records that no answer of ours has, each with the words it is refused with.
type Lie = (&'static str, fn(&mut Value), &'static str);

const LIES: [Lie; 6] = [
    (
        "an empty page that goes on",
        |page| {
            page["records"] = json!([]);
            page["next_cursor"] = json!("on");
        },
        "does not lead on",
    ),
    (
        "more than was asked for",
        |page| {
            let records = page["records"].as_array_mut().unwrap();
            let one = records[0].clone();
            records.resize(1_001, one);
        },
        "were asked for",
    ),
    (
        "a leaf that is none",
        |page| page["records"][0]["leaf"] = json!("{}"),
        "cannot be right",
    ),
    (
        "a leaf of another hash",
        |page| {
            let leaf = &mut page["records"][5]["leaf"];
            *leaf = json!(leaf.as_str().unwrap().replacen("success", "failure", 1));
        },
        "another hash",
    ),
    (
        "a record shown as another",
        |page| {
            let text = page["records"][5]["record"].to_string();
            let text = text.replace("\"tenant_id\":\"acme\"", "\"tenant_id\":\"beta\"");
            page["records"][5]["record"] = serde_json::from_str(&text).unwrap();
        },
        "shown as another",
    ),
    (
        "records that cannot be told",
        |page| {
            page["unreadable"] =
                json!([{"tenant_id": "acme", "first": u64::MAX, "last": 0, "place": "x"}]);
        },
        "without a first and a last",
    ),
];

#[test]
fn a_query_takes_no_lie_that_can_be_seen_and_never_goes_round() {
    let (place, serving) = served();
    for (name, lie, words) in LIES {
        let proxy = Proxy::start(&serving.address, move |path, mut answer| {
            if is_page(path) && answer["records"].is_array() {
                lie(&mut answer);
            }
            Some(answer)
        });
        let ran = ends(
            &place,
            &proxy,
            3,
            "query --limit 0 --tenant acme --order seq --json",
        );
        assert!(ran.err.contains(words), "{name}: {}", ran.err);
        assert!(proxy.asked() <= 3, "{name}: {} requests", proxy.asked());
    }
}

#[test]
fn what_a_server_cannot_read_or_search_is_told_once() {
    let (place, serving) = served();
    let proxy = Proxy::start(&serving.address, |path, mut answer| {
        if is_page(path) {
            answer["unreadable"] = json!([
                {"tenant_id": "acme", "first": 7, "last": 9, "place": "x, bytes 3 to 9"},
                {"place": "y"},
            ]);
            answer["unsearched"] = json!(["acme"]);
        }
        Some(answer)
    });
    let ran = ends(&place, &proxy, 1, "query --json --limit 0");
    assert_eq!(
        ran.out.lines().count(),
        2_301,
        "all that can be read is found"
    );
    let told = [
        "warning: sealed values of acme were not searched: the server has not got the keys",
        "error: records 7 to 9 of acme cannot be read: x, bytes 3 to 9",
        "error: records cannot be read: y",
        "warning: the answer may lack records: run `indelible verify`",
    ];
    assert_eq!(ran.err.lines().collect::<Vec<_>>(), told);
}

/// Answers every page with the first one, whatever was asked, under ever new cursors.
fn circling(serving: &Serving) -> Proxy {
    let address = serving.address.clone();
    let count = AtomicUsize::new(0);
    Proxy::start(&serving.address, move |path, answer| {
        if !is_page(path) || path.contains("seq%3A") {
            return Some(answer);
        }
        let path = path.split("&cursor=").next().unwrap();
        let again = support::served::send(&address, "GET", path, &[], "");
        let mut again = again.unwrap().1;
        again["next_cursor"] = json!(format!("c{}", count.fetch_add(1, Ordering::SeqCst)));
        Some(again)
    })
}

#[test]
fn a_server_that_repeats_itself_is_not_listened_to_for_ever() {
    let (place, serving) = served();
    let proxy = circling(&serving);
    for line in [
        "query --limit 0 --tenant acme",
        "query --limit 0 --order seq --tenant acme --json",
        "verify --tenant acme",
        "export --tenant acme --out out.ndjson",
    ] {
        let before = proxy.asked();
        let ran = ends(&place, &proxy, 3, line);
        assert!(ran.err.contains("cannot be right"), "{line}: {}", ran.err);
        assert!(proxy.asked() - before < 8, "{line}");
        assert!(!place.at("out.ndjson").exists());
    }
    // Tenants without end.
    for empty in [false, true] {
        let proxy = Proxy::start(&serving.address, move |_, mut answer| {
            answer["next_cursor"] = json!("zzz");
            if empty {
                answer["tenants"] = json!([]);
                answer["logs"]["all"] = json!(1_000_000);
            }
            Some(answer)
        });
        for line in ["tenants list", "verify"] {
            let ran = ends(&place, &proxy, 3, line);
            assert!(ran.err.contains("does not lead on"), "{line}: {}", ran.err);
            assert!(proxy.asked() < 8);
        }
    }
}

#[test]
fn records_of_others_are_refused() {
    let (place, serving) = served();
    let (status, _) = serving
        .send("POST", "/v1/events?tenant=beta", &[], &event(1).to_string())
        .unwrap();
    assert_eq!(status, 201);
    let end = Instant::now() + Duration::from_secs(30);
    while serving.get("/v1/checkpoints?tenant=beta").1["tenants"] == json!([]) {
        assert!(Instant::now() < end, "it is published");
        std::thread::sleep(Duration::from_millis(20));
    }
    let address = serving.address.clone();
    let proxy = Proxy::start(&serving.address, move |path, _| {
        let path = path.replace("tenant=acme", "tenant=beta");
        Some(
            support::served::send(&address, "GET", &path, &[], "")
                .unwrap()
                .1,
        )
    });
    let ran = ends(&place, &proxy, 3, "query --tenant acme");
    assert!(ran.err.contains("a record of beta"), "{}", ran.err);
    let ran = ends(&place, &proxy, 3, "export --tenant acme --out out.ndjson");
    assert!(ran.err.contains("is another's"), "{}", ran.err);
    let ran = ends(&place, &proxy, 3, "prove 1 --tenant acme");
    assert!(ran.err.contains("another record"), "{}", ran.err);
}

/// The findings of verifying through a server that alters the pages of records.
fn findings(
    place: &Place,
    serving: &Serving,
    alter: impl Fn(&mut Vec<Value>, &mut Value) + Send + 'static,
) -> Vec<(String, Option<u64>)> {
    let proxy = Proxy::start(&serving.address, move |path, mut answer| {
        if is_page(path) {
            let mut unreadable = answer["unreadable"].take();
            if let Some(records) = answer["records"].as_array_mut() {
                alter(records, &mut unreadable);
            }
            if unreadable.is_null() {
                unreadable = json!([]);
            }
            answer["unreadable"] = unreadable;
        }
        Some(answer)
    });
    let ran = ends(place, &proxy, 1, "verify --tenant acme --key vkey --json");
    let report = &ran.json()[0];
    let findings = report["findings"].as_array().unwrap().iter();
    let code = |of: &Value| of["finding"].as_str().unwrap().to_owned();
    findings
        .map(|of| (code(of), of["first"].as_u64()))
        .collect()
}

/// The number that a record says.
fn number(record: &Value) -> u64 {
    record["record"]["sequence_number"].as_u64().unwrap()
}

fn one(code: &str, number: u64) -> Vec<(String, Option<u64>)> {
    vec![(code.to_owned(), Some(number))]
}

#[test]
fn what_a_server_changes_is_one_finding() {
    let (place, serving) = served();
    let found = findings(&place, &serving, |records, _| {
        for record in records.iter_mut().filter(|record| number(record) == 1_500) {
            let leaf = record["leaf"]
                .as_str()
                .unwrap()
                .replacen("success", "failure", 1);
            record["leaf"] = json!(leaf);
        }
    });
    assert_eq!(found, one("content-mismatch", 1_500));
    let found = findings(&place, &serving, |records, _| {
        for record in records.iter_mut().filter(|record| number(record) == 1_500) {
            let leaf = record["leaf"]
                .as_str()
                .unwrap()
                .replacen("success", "failure", 1);
            record["record_hash"] = json!(indelible_merkle::leaf_hash(leaf.as_bytes()));
            record["leaf"] = json!(leaf);
        }
    });
    assert_eq!(
        found,
        one("content-mismatch", 1_500),
        "and its hash with it"
    );
    let found = findings(&place, &serving, |records, _| {
        records.retain(|record| number(record) != 7);
    });
    assert_eq!(found, one("missing-record", 7));
    let found = findings(&place, &serving, |records, _| {
        records.retain(|record| number(record) < 2_000);
    });
    assert_eq!(found, one("truncated-tail", 2_000));
    // What it says it cannot read stands where it says.
    let found = findings(&place, &serving, |records, unreadable| {
        records.retain(|record| !(1_200..=1_300).contains(&number(record)));
        *unreadable = json!([
            {"tenant_id": "acme", "first": 1_200, "last": 1_300, "place": "x, bytes 3 to 9"},
            {"tenant_id": "beta", "first": 0, "last": u64::MAX, "place": "y"},
        ]);
    });
    assert_eq!(found, one("corrupt", 1_200));
}

#[test]
fn a_verdict_of_nothing_is_none() {
    let (place, serving) = served();
    let nobody =
        json!({"tenants": [], "next_cursor": null, "logs": {"all": 0, "anchored": 0, "broken": 0}});
    let proxy = Proxy::start(&serving.address, move |path, answer| {
        Some(if path.starts_with("/v1/tenants") {
            nobody.clone()
        } else {
            answer
        })
    });
    let ran = ends(&place, &proxy, 3, "verify");
    assert!(ran.err.contains("nothing was verified"), "{}", ran.err);
    // A log without records, without a checkpoint, or with neither.
    let none = |record: bool, checkpoint: bool| {
        Proxy::start(&serving.address, move |path, mut answer| {
            if path.starts_with("/v1/checkpoints") && !checkpoint {
                answer["tenants"] = json!([]);
            }
            if path.starts_with("/v1/tenants") && !record && !checkpoint {
                answer["tenants"][1]["records"] = json!(null);
            }
            if is_page(path) && !record {
                answer["records"] = json!([]);
                answer["next_cursor"] = json!(null);
            }
            Some(answer)
        })
    };
    let ran = ends(&place, &none(false, true), 1, "verify --tenant acme");
    assert!(ran.out.contains("truncated-tail"), "{}", ran.out);
    ends(
        &place,
        &none(false, true),
        1,
        "verify --tenant acme --key vkey",
    );
    ends(&place, &none(false, false), 3, "verify --tenant acme");
    let ran = ends(&place, &none(true, false), 0, "verify --tenant acme");
    assert!(ran.out.contains("not anchored"), "{}", ran.out);
    ends(
        &place,
        &none(true, false),
        1,
        "verify --tenant acme --key vkey --require-anchor",
    );
    ends(
        &place,
        &none(true, false),
        3,
        "export --tenant acme --out out.ndjson",
    );
}

#[test]
fn an_export_that_does_not_lead_to_its_checkpoint_says_so() {
    let (place, serving) = served();
    let lacking = Proxy::start(&serving.address, |path, mut answer| {
        if is_page(path) {
            let records = answer["records"].as_array_mut().unwrap();
            records.retain(|record| number(record) != 1_999);
        }
        Some(answer)
    });
    let ran = ends(&place, &lacking, 1, "export --tenant acme --out a.ndjson");
    assert!(
        ran.err.contains("record 1999 of acme cannot be read"),
        "{}",
        ran.err
    );
    let lines = String::from_utf8(place.read("a.ndjson")).unwrap();
    assert_eq!(lines.lines().count(), 2_300, "all others are there");
    // The same records under a hash of their own making.
    let forged = Proxy::start(&serving.address, |path, mut answer| {
        if is_page(path) {
            let record = &mut answer["records"][7];
            let leaf = record["leaf"]
                .as_str()
                .unwrap()
                .replacen("success", "failure", 1);
            let shown = record["record"]
                .to_string()
                .replacen("success", "failure", 1);
            record["record_hash"] = json!(indelible_merkle::leaf_hash(leaf.as_bytes()));
            record["record"] = serde_json::from_str(&shown).unwrap();
            record["leaf"] = json!(leaf);
        }
        Some(answer)
    });
    let ran = ends(&place, &forged, 1, "export --tenant acme --out b.ndjson");
    assert!(ran.err.contains("do not lead to the root"), "{}", ran.err);
}

#[test]
fn a_proof_that_does_not_hold_is_not_written() {
    let (place, serving) = served();
    for pointer in [
        "/log/root",
        "/snapshot/path/0",
        "/registry/checkpoint",
        "/receipt/record_hash",
    ] {
        let proxy = Proxy::start(&serving.address, move |path, mut answer| {
            if let Some(value) = answer
                .pointer_mut(pointer)
                .filter(|_| path.contains("/proof"))
            {
                let text = value.as_str().unwrap();
                let last = text.rfind(|c: char| c.is_ascii_digit()).unwrap();
                let digit = if &text[last..=last] == "7" { "8" } else { "7" };
                *value = json!(format!("{}{digit}{}", &text[..last], &text[last + 1..]));
            }
            Some(answer)
        });
        let ran = ends(&place, &proxy, 1, "prove 3 --tenant acme --out p");
        assert!(
            ran.err.contains("nothing is written"),
            "{pointer}: {}",
            ran.err
        );
        assert!(!place.at("p").exists());
        let ran = ends(&place, &proxy, 1, "prove 3 --tenant acme --json");
        assert_eq!(ran.json()[0]["proved"], false);
    }
}

#[test]
fn the_last_word_of_a_verdict_is_not_that_all_is_sound() {
    let (place, serving) = served();
    let proxy = Proxy::start(&serving.address, |path, mut answer| {
        if is_page(path) {
            for record in answer["records"].as_array_mut().into_iter().flatten() {
                let leaf = record["leaf"].as_str().unwrap();
                record["leaf"] = json!(leaf.replacen("success", "failure", 1));
            }
        }
        Some(answer)
    });
    let ran = ends(&place, &proxy, 1, "verify");
    assert!(
        ran.out.contains("server: NOT SOUND: 2 of 2 logs"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("server: sound"), "{}", ran.out);
}
