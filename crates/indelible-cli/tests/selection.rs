//! `export` of what a query finds: the rows that `query` shows, in every form, from the directory
//! and from its server; read back by others' readers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::served::Serving;
use support::{Place, event, ndjson};

const HOSTILE: [&str; 12] = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "one\r\n\"two\",three",
    "nul\0l",
    "\u{202e}gnp.exe",
    "'quoted",
    "",
    "plain",
];

/// Two tenants, one with hostile texts in a sealed name and in an id.
fn place() -> Place {
    let place = Place::new();
    let acme = (0..120).map(|n| {
        let mut event = event(n);
        event["audit_id"] = json!(format!("019a9b00-0000-7000-8000-{n:012x}"));
        let text = HOSTILE[n % HOSTILE.len()];
        event["actor"] = json!({"id": format!("{text}x"), "name": text, "type": "user"});
        event["outcome"] = json!(["success", "failure", "denied"][n % 3]);
        event["data"] = json!({"amount": n, "text": text});
        if n == 60 {
            event["data"]["text"] = json!("=\",\r\n".repeat(7_000));
        }
        event
    });
    place.file("acme.ndjson", ndjson(acme));
    place.file("globex.ndjson", ndjson((200..230).map(event)));
    place.ok("import --format ndjson acme.ndjson --tenant acme");
    place.ok("import --format ndjson globex.ndjson --tenant globex");
    place
}

/// The queries that are asked: each of these, and generated ones of their parts.
fn queries() -> Vec<String> {
    let parts = [
        "outcome:failure",
        "-outcome:success",
        "tenant:acme",
        "tenant:globex",
        "actor.type:user",
        "data.amount>40",
        "seq:10..20",
        "(outcome:denied OR outcome:success)",
        "nothing-like-it",
        "ingested-since:1h",
    ];
    let mut all: Vec<_> = parts.map(str::to_owned).to_vec();
    all.push(String::new());
    let mut seed = 7_usize;
    for _ in 0..8 {
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            parts[(seed >> 33) % parts.len()]
        };
        let (one, other) = (next(), next());
        // A tenant that is named twice is a mistake.
        if one.starts_with("tenant") && other.starts_with("tenant") {
            continue;
        }
        all.push(format!("{one} {other}"));
    }
    all
}

fn export(place: &Place, form: &str, query: &str, more: &[&str]) -> Vec<u8> {
    let asked = [
        "export", "--format", form, "--query", query, "--out", "out", "--force",
    ];
    let ran = place.run_args(asked.iter().chain(more));
    assert_eq!(ran.code, 0, "{query}: {}", ran.err);
    place.read("out")
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn shown(place: &Place, query: &str, order: &str, through: &[&str]) -> Vec<Value> {
    let asked = [
        "query",
        "--limit",
        "0",
        "--json",
        "--oldest-first",
        "--order",
        order,
    ];
    let ran = place.run_args(asked.iter().chain(through).chain(&["--", query]));
    assert_eq!(ran.code, 0, "{query}: {}", ran.err);
    ran.json()
}

#[test]
fn every_form_has_the_rows_of_the_query_here_and_there() {
    let place = place();
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    for query in queries() {
        for order in ["seq", "time"] {
            for through in [&[][..], &["--url", &url]] {
                // A server leaves its own log out unless it is named.
                let found = shown(&place, &query, order, through);
                let more = [&["--order", order], through].concat();
                let leaves = export(&place, "leaves", &query, &more);
                let wanted: Vec<_> = found
                    .iter()
                    .map(|one| one["leaf"].as_str().unwrap())
                    .collect();
                let got: Vec<_> = std::str::from_utf8(&leaves).unwrap().lines().collect();
                assert_eq!(got, wanted, "{query}");
                let joined = lines(&export(&place, "joined", &query, &more));
                let wanted: Vec<_> = found.iter().map(|one| one["record"].clone()).collect();
                assert_eq!(joined, wanted, "{query}");
                let csv = export(
                    &place,
                    "csv",
                    &query,
                    &[&more, &["--columns", "all"][..]].concat(),
                );
                let mut csv = csv::Reader::from_reader(&csv[..]);
                let names = csv.headers().unwrap().clone();
                let at = |name| names.iter().position(|known| known == name).unwrap();
                let rows: Vec<_> = csv.records().map(Result::unwrap).collect();
                assert_eq!(rows.len(), found.len(), "{query}");
                for (row, one) in rows.iter().zip(&found) {
                    assert_eq!(row[at("record_hash")], one["record_hash"]);
                    let event: Value = serde_json::from_str(&row[at("event")]).unwrap();
                    assert_eq!(event, one["record"]["event"]);
                    let name = one["record"]["event"]["actor"]["name"].as_str();
                    let cell = indelible_export::plain(&row[at("actor.name")]);
                    assert_eq!(cell, name.unwrap_or_default());
                    assert!(!row[at("actor.name")].starts_with(['=', '+', '-', '@', '\t', '\r']));
                }
            }
        }
    }
}

/// What of a sealed value may be seen is seen in a path as well, and no more.
#[test]
fn columns_are_paths_too_and_masked_like_all() {
    let place = Place::new();
    let events = (0..3).map(|n| {
        let mut event = event(n);
        event["data"] = json!({"contact": {"mail": "ada@example.com"}, "amount": -1.50});
        event["changes"] = json!({"after": {"status": "=paid"}});
        event
    });
    place.file("acme.ndjson", ndjson(events));
    place.ok("import --format ndjson acme.ndjson --tenant acme");
    let key = |line: &str| place.ok(line).out.trim().to_owned();
    key("keys create --role admin");
    let officer = key("keys create --role privacy_officer --all-tenants");
    let reader = key("keys create --role reader --tenant acme");
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    let columns = "data.amount,data.contact.mail,changes.after.status,data.nothing";
    let asked = [
        "export",
        "--format",
        "csv",
        "--query",
        "type:content.review",
        "--tenant",
        "acme",
        "--columns",
        columns,
    ];
    let here = place.run_args(asked).out;
    let mail = here
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(1)
        .unwrap()
        .to_owned();
    assert_eq!(
        here,
        format!(
            "{columns}\r\n{}",
            format!("-1.5,{mail},\"'=paid\",\r\n").repeat(3)
        )
    );
    assert_eq!(mail, "ada@example.com");
    for (key, mail) in [(&officer, "ada@example.com"), (&reader, "a***@e***.c***")] {
        let mut command = place.command(asked.iter().chain(&["--url", &url]));
        let ran = command.env("INDELIBLE_API_KEY", key).output().unwrap();
        let out = String::from_utf8(ran.stdout).unwrap();
        let row = format!("-1.5,{mail},\"'=paid\",\r\n");
        assert_eq!(out, format!("{columns}\r\n{}", row.repeat(3)));
    }
    // Without keys it stays closed, as in other columns.
    let closed = place
        .run_args(asked.iter().chain(&["--keys", "elsewhere"]))
        .out;
    assert!(!closed.contains("ada"), "{closed}");
    assert_eq!(closed.lines().count(), 4, "{closed}");
}

#[test]
fn leaves_of_a_query_are_leaves_and_what_is_not_among_them_is_named() {
    let place = place();
    place.ok("export --format leaves --query seq:..49 --tenant acme --out first.ndjson");
    // The beginning of a log is a log.
    place.ok("verify first.ndjson");
    place.ok("export --format leaves --query outcome:denied --tenant acme --out denied.ndjson");
    let ran = place.ends(1, "verify denied.ndjson --json");
    let report = &ran.json()[0];
    for finding in report["findings"].as_array().unwrap() {
        let kind = &finding["finding"];
        assert_eq!(kind, "missing-record", "none was changed: {report}");
    }
    assert_eq!(report["records_checked"], 40);
    let found = shown(&place, "outcome:denied", "seq", &[]);
    let number = &found[3]["record"]["sequence_number"];
    place.ok(&format!("prove {number} --tenant acme --out one.proof"));
    let key = place.ok("keys show").out;
    place.file("vkey", key);
    place.ok("verify --proof one.proof --key vkey denied.ndjson");
    // A line that was changed is none that the proof is of.
    let changed = String::from_utf8(place.read("denied.ndjson")).unwrap();
    place.file("changed.ndjson", changed.replace("denied", "failed"));
    assert_ne!(
        place
            .run("verify --proof one.proof --key vkey changed.ndjson")
            .code,
        0
    );
    assert!(
        !place.at("denied.ndjson.checkpoint").exists(),
        "it would be another's"
    );
}

#[test]
fn mistakes_say_what_to_do_and_leave_no_file() {
    let place = place();
    for (line, says) in [
        (
            "export --format csv --columns actor.nmae --out x",
            "did you mean `actor.name`",
        ),
        (
            "export --format csv --columns dta.amount --out x",
            "did you mean `data.amount`",
        ),
        (
            "export --format csv --columns data..x --out x",
            "a key is missing",
        ),
        (
            "export --format csv --query acter:x --out x",
            "did you mean `actor`",
        ),
        (
            "export --columns event --tenant acme --out x",
            "--format csv",
        ),
        (
            "export --format leaves --query a --columns event --out x",
            "--format csv",
        ),
        (
            "export --format csv --joined --out x",
            "cannot be used with",
        ),
    ] {
        let ran = place.ends(2, line);
        assert!(ran.err.contains(says), "{line}: {}", ran.err);
        assert!(!place.at("x").exists() && !place.at("x.unfinished").exists());
    }
    place.ends(3, "export --format csv --tenant nowhere --out x");
    place.ok("export --format csv --out x");
    let there = place.ends(3, "export --format csv --out x");
    assert!(there.err.contains("--force"), "{}", there.err);
    let inside = place.ends(3, "export --format csv --out indelible-data/x");
    assert!(inside.err.contains("data directory"), "{}", inside.err);
    let none = place.ok("export --format csv --query nothing-like-it --columns event");
    assert_eq!(none.out, "event\r\n");
}

#[cfg(not(feature = "full"))]
#[test]
fn without_parquet_it_says_what_to_build() {
    let ran = place().ends(2, "export --format parquet --out x.parquet");
    assert!(ran.err.contains("--features full"), "{}", ran.err);
}

#[cfg(feature = "full")]
#[test]
fn parquet_has_the_rows_of_the_query_here_and_there() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let place = place();
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    for query in queries() {
        for through in [&[][..], &["--url", &url]] {
            let found = shown(&place, &query, "seq", through);
            let bytes = export(&place, "parquet", &query, through);
            let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
            let rows: Vec<_> = file
                .get_row_iter(None)
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert_eq!(rows.len(), found.len(), "{query}");
            for (row, one) in rows.iter().zip(&found) {
                let cells: Vec<_> = row.get_column_iter().collect();
                let cell = |name: &str| cells.iter().find(|(known, _)| *known == name).unwrap().1;
                let text = |name: &str| match cell(name) {
                    parquet::record::Field::Str(text) => Some(text.clone()),
                    _ => None,
                };
                assert_eq!(
                    text("record_hash").unwrap(),
                    one["record_hash"].as_str().unwrap()
                );
                let name = one["record"]["event"]["actor"]["name"].as_str();
                assert_eq!(text("actor.name").as_deref(), name);
            }
        }
    }
}
