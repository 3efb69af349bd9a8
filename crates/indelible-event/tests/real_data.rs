//! Canonical form and redaction on real audit records that nobody here wrote.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::{Json, canonicalize, is_canonical};
use indelible_event::redact::{REDACTED, redact};
use indelible_event::walk::{Walk, walk};
use indelible_event::{EventView, NotCanonical};

/// The bytes of every record, in canonical form.
fn records(test: &str) -> Option<Vec<Vec<u8>>> {
    let directory = indelible_testing::real_data(test, "cloudtrail")?;
    let mut records = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let file = Json::parse(&std::fs::read(&path).unwrap()).unwrap();
            let list = file.pointer("/Records").unwrap().as_list().unwrap();
            records.extend(list.iter().map(Json::to_canonical));
        }
    }
    assert!(records.len() >= 1_000, "{} records", records.len());
    Some(records)
}

#[test]
fn real_records_have_one_canonical_form() {
    let Some(records) = records("real_records_have_one_canonical_form") else {
        return;
    };
    for record in records {
        assert!(is_canonical(&record));
        let value: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        assert_eq!(EventView::parse(&pretty).unwrap_err(), NotCanonical);
        let again = canonicalize(&pretty).unwrap();
        let again: serde_json::Value = serde_json::from_slice(&again).unwrap();
        assert_eq!(again, value);
    }
}

#[test]
fn redaction_of_real_records_takes_secrets_and_nothing_else() {
    let name = "redaction_of_real_records_takes_secrets_and_nothing_else";
    let Some(records) = records(name) else { return };
    let (mut redacted_records, mut session_tokens, mut key_ids) = (0, 0, 0);
    for record in records {
        let text = std::str::from_utf8(&record).unwrap();
        let Some(redacted) = redact(&EventView::parse(&record).unwrap()) else {
            assert!(!text.contains("\"sessionToken\":\""), "{text}");
            continue;
        };
        redacted_records += 1;
        assert!(is_canonical(&redacted.bytes));
        let after = Json::parse(&redacted.bytes).unwrap();
        walk(text, &mut |place| {
            let pointer = place.pointer();
            let now = after.pointer(&pointer).unwrap();
            if redacted.pointers.contains(&pointer) {
                assert!(now.as_text().unwrap().contains(REDACTED), "{pointer}");
            } else if !place.raw().starts_with(['{', '[']) {
                assert_eq!(now.to_string(), place.raw(), "{pointer}");
            }
            match place.key() {
                Some("sessionToken") => {
                    session_tokens += 1;
                    assert_eq!(now.as_text(), Some(REDACTED));
                }
                Some("accessKeyId") => {
                    key_ids += 1;
                    assert_eq!(now.to_string(), place.raw());
                }
                _ => {}
            }
            Walk::Into
        });
    }
    assert!(redacted_records > 0 && session_tokens > 0 && key_ids > 0);
}
