//! Proofs of records: what `prove` writes, and what `verify --proof` says of it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Place, event, files_below, ndjson};

fn made(tenant: &str, events: std::ops::Range<usize>) -> Place {
    let place = Place::new();
    place.file("in.ndjson", ndjson(events.map(event)));
    place.ok(&format!(
        "import --format ndjson in.ndjson --tenant {tenant}"
    ));
    place.file("vkey", place.ok("keys show").out);
    place
}

/// Every text and number in a JSON value, as pointers.
fn members(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members_of) => {
            for (key, value) in members_of {
                members(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                members(value, &format!("{at}/{index}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

/// Another value of the same form.
fn other(value: &Value, at: &str) -> Value {
    match value {
        Value::Number(number) => json!(number.as_u64().unwrap() + 1),
        Value::String(_) if at.ends_with("tenant_id") => json!("another"),
        Value::String(text) => {
            let last = text.rfind(|c: char| c.is_ascii_digit()).unwrap();
            let digit = if &text[last..=last] == "7" { "8" } else { "7" };
            json!(format!("{}{digit}{}", &text[..last], &text[last + 1..]))
        }
        _ => panic!("{value}"),
    }
}

#[test]
fn whatever_is_altered_in_a_proof_is_refused_or_not_told() {
    let place = made("acme", 0..9);
    place.ok("prove 3 --tenant acme --out p");
    place.ok("export --tenant acme --out acme.ndjson");
    let good: Value = serde_json::from_slice(&place.read("p")).unwrap();
    let without = place.ok("verify --proof p --key vkey").out;
    let without_json = place.ok("verify --proof p --key vkey --json").json();
    assert!(without.contains("not checked"), "{without}");
    assert_eq!(without_json[0]["receipt"], Value::Null);
    assert_eq!(
        without_json[0]["record_hash"],
        good["receipt"]["record_hash"]
    );
    let with = place
        .ok("verify acme.ndjson --proof p --key vkey --json")
        .json();
    assert_eq!(with[0]["receipt"], good["receipt"]);
    assert_eq!(with[0]["unchecked"], json!([]));
    let with = place.ok("verify acme.ndjson --proof p --key vkey").out;
    assert!(with.contains("record 3 of acme is proved"), "{with}");
    let mut pointers = Vec::new();
    members(&good, "", &mut pointers);
    assert!(pointers.len() > 12, "{pointers:?}");
    let mut not_told = Vec::new();
    for pointer in &pointers {
        let mut altered = good.clone();
        let member = altered.pointer_mut(pointer).unwrap();
        *member = other(member, pointer);
        place.file("p", altered.to_string());
        let ran = place.run("verify --proof p --key vkey");
        assert!(
            place.run("verify acme.ndjson --proof p --key vkey").code != 0,
            "{pointer}"
        );
        if ran.code == 0 {
            assert_eq!(ran.out, without, "{pointer}");
            let told = place.ok("verify --proof p --key vkey --json").json();
            assert_eq!(told, without_json, "{pointer}");
            not_told.push(pointer.rsplit('/').next().unwrap());
        }
    }
    assert_eq!(not_told, ["audit_id", "ingested_at", "tenant_id"]);
}

#[test]
fn a_proof_that_does_not_hold_is_not_written() {
    let place = made("acme", 0..9);
    let copy = Place::new();
    for file in files_below(&place.at("indelible-data")) {
        let name = file.strip_prefix(place.at("")).unwrap().to_str().unwrap();
        copy.file(name, std::fs::read(&file).unwrap());
    }
    for file in files_below(&place.at("home")) {
        let name = file.strip_prefix(place.at("")).unwrap().to_str().unwrap();
        copy.file(name, std::fs::read(&file).unwrap());
    }
    // Two histories from one beginning; then one's records under the other's registry.
    for (of, events) in [(&place, 20..30), (&copy, 40..50)] {
        of.file("more.ndjson", ndjson(events.map(event)));
        of.ok("import --format ndjson more.ndjson --tenant acme");
    }
    for file in files_below(&copy.at("indelible-data/journal")) {
        let name = file.strip_prefix(copy.at("")).unwrap().to_str().unwrap();
        place.file(name, std::fs::read(&file).unwrap());
    }
    let ran = place.ends(1, "prove 3 --tenant acme --out p");
    assert!(ran.err.contains("forked"), "{}", ran.err);
    assert!(!place.at("p").exists());
    assert_eq!(place.ends(1, "prove 3 --tenant acme").out, "");
    let told = place.ends(1, "prove 3 --tenant acme --json").json();
    assert_eq!(told[0]["findings"][0]["finding"], "forked");
}

#[test]
fn an_export_of_another_tenant_than_asked_for_is_a_finding() {
    let place = made("acme", 0..9);
    place.ok("export --tenant acme --out a.ndjson");
    place.ok("verify a.ndjson --tenant acme");
    let told = place
        .ends(1, "verify a.ndjson --tenant other --json")
        .json();
    assert_eq!(told[0]["findings"].as_array().unwrap().len(), 1);
    assert_eq!(told[0]["findings"][0]["finding"], "wrong-tenant");
    place.ends(2, "verify a.ndjson --tenant .no");
}

#[test]
fn a_key_file_that_is_not_there_is_said_to_be_missing() {
    let place = made("acme", 0..1);
    let err = place.ends(2, "verify --key nofile.vkey").err;
    assert!(err.contains("there is no file `nofile.vkey`"), "{err}");
}

#[test]
fn a_file_that_is_no_proof_any_more_is_a_finding() {
    let place = made("acme", 0..9);
    place.ok("prove 3 --tenant acme --out p");
    let good = place.read("p");
    let syntax = |byte: &u8| b"{}:,[]".contains(byte);
    let at = good.iter().position(syntax).unwrap();
    let mut flipped = good.clone();
    flipped[at] ^= 1;
    for bytes in [flipped, good[..good.len() / 2].to_vec(), Vec::new()] {
        place.file("p", &bytes);
        let told = place.ends(1, "verify --proof p --key vkey --json").json();
        assert_eq!(told[0]["proved"], false);
        let finding = &told[0]["findings"][0];
        assert_eq!(finding["finding"], "corrupt", "{finding}");
        assert_eq!(finding["file"], "p", "{finding}");
        assert_eq!(told[0]["error"], finding["message"]);
        let out = place.ends(1, "verify --proof p --key vkey").out;
        assert!(out.contains("NOT proved"), "{out}");
        assert!(out.contains("corrupt: it is no proof: "), "{out}");
    }
    place.ends(3, "verify --proof nowhere --key vkey");
}
