//! Sealed values stand in no file of the data directory; with sealing off they do.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_store::{Ledger, Stored};
use serde_json::Value;
use support::Place;

#[test]
fn sealed_values_stand_nowhere() {
    let place = Place::new();
    place.file("logs/a.json", support::cloudtrail_file(0..400));
    check(&place, &place.at("logs"));
}

#[test]
fn sealed_values_of_real_data_stand_nowhere() {
    let test = "personal::sealed_values_of_real_data_stand_nowhere";
    let Some(data) = indelible_testing::real_data(test, "cloudtrail") else {
        return;
    };
    check(&Place::new(), &data.canonicalize().unwrap());
}

fn check(place: &Place, logs: &Path) {
    let values = personal(logs);
    assert!(values.len() > 20, "{}", values.len());
    let import = |flags: &str, dir: &str| {
        let logs = logs.display();
        place.ok(&format!(
            "import --format cloudtrail {logs} --tenant acme --data {dir} {flags}"
        ));
        found(&place.at(dir), &values)
    };
    assert_eq!(import("", "sealed"), BTreeSet::new());
    assert_eq!(
        import("--sealing off", "open"),
        values,
        "the search finds what is there"
    );
    // And with the keys they are all found by their values.
    for value in values
        .iter()
        .filter(|value| value.parse::<IpAddr>().is_ok())
        .take(5)
    {
        let query = [
            "query",
            "--data",
            "sealed",
            "--json",
            &format!("ip:{value}"),
        ];
        assert!(!place.run_args(query).json().is_empty(), "{value}");
    }
}

/// Every address, user agent and e-mail address in the records that is a person's.
fn personal(logs: &Path) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for file in support::files_below(logs) {
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let Ok(json) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        for record in json["Records"].as_array().unwrap() {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let (address, agent) = (text("sourceIPAddress"), text("userAgent"));
            values.extend(address.parse::<IpAddr>().is_ok().then_some(address));
            let service = agent == "AWS Internal" || agent.ends_with(".amazonaws.com");
            values.extend((!service && !agent.is_empty()).then_some(agent));
            emails(record, &mut values);
        }
    }
    values
}

fn emails(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| emails(item, found)),
        Value::Object(members) => members.values().for_each(|member| emails(member, found)),
        Value::String(text) => {
            let mut parts = text.split('@');
            let whole = matches!(
                (parts.next(), parts.next(), parts.next()),
                (Some(local), Some(domain), None) if !local.is_empty() && domain.contains('.')
            );
            let plain = text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "@.-+_".contains(c));
            if whole && plain {
                found.insert(text.clone());
            }
        }
        _ => {}
    }
}

/// The values that stand, as whole JSON strings, in any file or in any record read back.
fn found(dir: &Path, values: &BTreeSet<String>) -> BTreeSet<String> {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for file in support::files_below(dir) {
        let bytes = std::fs::read(&file).unwrap();
        texts.extend(unpacked(&bytes));
        texts.push(bytes);
    }
    let disk = Arc::new(RealDisk::new(dir));
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let ledger = Embedded::open(disk, None, options, &mut |_| {}).unwrap();
    for tenant in ledger.tenants().unwrap() {
        ledger
            .read(&tenant, 0..u64::MAX, &mut |stored| {
                let Stored::Record(record) = stored else {
                    panic!("damaged")
                };
                texts.push(record.leaf.to_vec());
                texts.extend(record.sealed.iter().map(|value| value.row.to_vec()));
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    let all = texts.join(&b'\n');
    let stands = |value: &&String| {
        let json = Value::from(value.as_str()).to_string();
        memchr::memmem::find(&all, json.as_bytes()).is_some()
    };
    values.iter().filter(stands).cloned().collect()
}

/// Every zstd frame in the bytes, unpacked.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    memchr::memmem::find_iter(bytes, &MAGIC)
        .filter_map(|at| {
            zstd::stream::decode_all(&bytes[at..])
                .ok()
                .or_else(|| partial(&bytes[at..]))
        })
        .collect()
}

/// A frame with other bytes behind it.
fn partial(bytes: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut decoder = zstd::stream::Decoder::new(bytes).ok()?.single_frame();
    let mut text = Vec::new();
    decoder.read_to_end(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_policy_of_ones_own_is_taken_and_a_wrong_one_leaves_no_ledger() {
    let place = Place::new();
    let event = r#"{"actor":{"id":"ada","type":"user"},"data":{"phone":"+1-555-0100-200"},"event_type":"a.b","outcome":"success"}"#;
    place.file("a.ndjson", event);
    let policy = |version: u64, field: &str| {
        format!(
            r#"{{"version":{version},"off":false,"fields":["/actor/email","{field}"],"whole":["/raw"],"masked":[],"email_values":true,"ip_values":true,"services":[]}}"#
        )
    };
    let import = "import --format ndjson a.ndjson --tenant acme";
    place.file("indelible.toml", "sealing_policy = \"policy.json\"\n");
    for (wrong, said) in [
        (None, "policy.json: No such file"),
        (Some("{}".to_owned()), "missing field `version`"),
        (
            Some(policy(1, "/data/phone")),
            "version 1 is the default policy",
        ),
        (
            Some(policy(2, "/actor/id")),
            "\"/actor/id\" cannot be sealed",
        ),
        (
            Some(policy(2, "data.phone")),
            "\"data.phone\" is not a json pointer",
        ),
    ] {
        if let Some(text) = wrong {
            place.file("policy.json", text);
        }
        let ended = place.ends(2, import);
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
    place.file("policy.json", policy(2, "/data/phone"));
    place.ok(import);
    let leaf = |flags: &str| String::from_utf8(place.exported(flags, "out")[0].clone()).unwrap();
    let sealed = leaf("");
    assert!(sealed.contains("\"policy\":2"), "{sealed}");
    assert!(!sealed.contains("0100"), "{sealed}");
    let found = place.ok("query --json actor:ada");
    assert!(found.out.contains("+1-555-0100-200"), "{}", found.out);
    place.ok(&format!("{import} --sealing off --data open"));
    assert!(leaf("--data open").contains("+1-555-0100-200"));
}
