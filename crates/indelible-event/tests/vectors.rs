//! The code agrees with the pages and vectors of `spec/` about events, canonical form and leaves.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::{Json, canonicalize, is_canonical};
use indelible_event::catalogue::{NATIVE, RESERVED, STATEMENTS};
use indelible_event::limits::{
    DEPTH_MAX, DIALECT_BYTES_MAX, EVENT_BYTES_MAX, EVENT_RAW_BYTES_MAX, LEAF_BYTES_MAX,
    LEAF_ENVELOPE_BYTES_MAX, NUMBER_BYTES_MAX, QUARANTINE_REASON_BYTES_MAX,
    REDACTION_POINTER_BYTES_MAX, REDACTION_POINTERS_MAX, STREAM_ID_BYTES_MAX, SUBMITTER_BYTES_MAX,
};
use indelible_event::redact::{REDACTED, is_secret_key, redact, secret_parts};
use indelible_event::{
    ActorType, AuditId, EventView, Field, LeafHead, LeafView, Ledger, Micros, Outcome, ProblemCode,
    TenantId, content_hash, write_leaf,
};
use sha2::{Digest, Sha256};

fn vectors(name: &str) -> Json {
    let path = format!("{}/../../spec/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    Json::parse(&std::fs::read(path).unwrap()).unwrap()
}

fn list<'j>(json: &'j Json, pointer: &str) -> &'j [Json] {
    let items = json.pointer(pointer).unwrap().as_list().unwrap();
    assert!(!items.is_empty(), "{pointer} has no vectors");
    items
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json.pointer(&format!("/{key}")).unwrap().as_text().unwrap()
}

fn number(json: &Json, key: &str) -> u64 {
    json.pointer(&format!("/{key}")).unwrap().as_u64().unwrap()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn canonical_texts_that_are_taken() {
    for vector in list(&vectors("canonical.json"), "/accept") {
        let (name, input) = (text(vector, "name"), text(vector, "input"));
        let canonical = text(vector, "canonical");
        let got = canonicalize(input.as_bytes()).unwrap_or_else(|p| panic!("{name}: {p:?}"));
        assert_eq!(std::str::from_utf8(&got).unwrap(), canonical, "{name}");
        assert!(is_canonical(canonical.as_bytes()), "{name}");
        assert_eq!(is_canonical(input.as_bytes()), input == canonical, "{name}");
    }
}

#[test]
fn canonical_texts_that_are_refused() {
    for vector in list(&vectors("canonical.json"), "/refuse") {
        let name = text(vector, "name");
        let input = match vector.pointer("/input_hex") {
            Some(digits) => unhex(digits.as_text().unwrap()),
            None => text(vector, "input").as_bytes().to_vec(),
        };
        assert!(!is_canonical(&input), "{name}");
        let problems = canonicalize(&input).expect_err(name);
        let got: Vec<_> = problems
            .iter()
            .map(|p| {
                (
                    p.pointer.as_str(),
                    p.offset.unwrap() as u64,
                    p.code.as_str(),
                )
            })
            .collect();
        let expected: Vec<_> = list(vector, "/problems")
            .iter()
            .map(|p| (text(p, "pointer"), number(p, "offset"), text(p, "code")))
            .collect();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn ids() {
    let vectors = vectors("event-ids.json");
    for v in list(&vectors, "/foreign") {
        let [dialect, source, id, stage] =
            ["dialect", "source", "id", "stage"].map(|key| text(v, key));
        let got = AuditId::foreign(dialect, source, id, stage, number(v, "unix_ms"));
        assert_eq!(got.to_string(), text(v, "audit_id"));
        assert_eq!((got.version(), got.unix_ms()), (8, number(v, "unix_ms")));
        assert!(got.is_time_ordered());
    }
    for v in list(&vectors, "/minted") {
        let random = unhex(text(v, "random")).try_into().unwrap();
        let got = AuditId::mint(number(v, "unix_ms"), random);
        assert_eq!(got.to_string(), text(v, "audit_id"));
        assert_eq!((got.version(), got.unix_ms()), (7, number(v, "unix_ms")));
    }
}

#[test]
fn times() {
    let vectors = vectors("event-times.json");
    for v in list(&vectors, "/accept") {
        let Json::Number(micros) = v.pointer("/micros").unwrap() else {
            panic!("no number")
        };
        let got = Micros::parse(text(v, "written")).unwrap();
        assert_eq!(got.0.to_string(), micros.token());
        assert_eq!(got.to_rfc3339(), text(v, "utc"));
    }
    for v in list(&vectors, "/refuse") {
        let written = v.as_text().unwrap();
        assert!(Micros::parse(written).is_err(), "{written}");
    }
}

#[test]
fn words() {
    let vectors = vectors("event-words.json");
    let outcomes = vectors.pointer("/outcomes").unwrap().as_object().unwrap();
    assert_eq!(outcomes.len(), Outcome::ALL.len());
    for (ours, theirs) in outcomes.iter() {
        let ours = Outcome::parse(ours).unwrap();
        for word in theirs.as_list().unwrap() {
            assert_eq!(
                Outcome::from_word(word.as_text().unwrap()),
                Some(ours),
                "{word}"
            );
        }
    }
    let actors = vectors
        .pointer("/actor_types")
        .unwrap()
        .as_object()
        .unwrap();
    assert_eq!(actors.len(), ActorType::ALL.len());
    for (ours, theirs) in actors.iter() {
        let ours = ActorType::parse(ours).unwrap();
        for word in theirs.as_list().unwrap() {
            assert_eq!(
                ActorType::from_word(word.as_text().unwrap()),
                Some(ours),
                "{word}"
            );
        }
    }
    for word in list(&vectors, "/no_outcomes") {
        assert_eq!(Outcome::from_word(word.as_text().unwrap()), None, "{word}");
    }
    for word in list(&vectors, "/no_actor_types") {
        assert_eq!(
            ActorType::from_word(word.as_text().unwrap()),
            None,
            "{word}"
        );
    }
}

#[test]
fn secret_keys_and_texts() {
    let vectors = vectors("event-redaction.json");
    for key in list(&vectors, "/secret_keys") {
        assert!(is_secret_key(key.as_text().unwrap()), "{key}");
    }
    for key in list(&vectors, "/plain_keys") {
        assert!(!is_secret_key(key.as_text().unwrap()), "{key}");
    }
    for v in list(&vectors, "/texts") {
        let mut clean = text(v, "input").to_owned();
        for part in secret_parts(&clean.clone()).into_iter().rev() {
            clean.replace_range(part, REDACTED);
        }
        assert_eq!(clean, text(v, "output"));
        assert!(
            secret_parts(&clean).is_empty(),
            "redacting twice changes nothing: {clean}"
        );
        // The quick check of a whole event must not miss what the search of a text finds.
        let event = format!("{{\"data\":{}}}", v.pointer("/input").unwrap());
        let redacted = redact(&EventView::parse(event.as_bytes()).unwrap());
        let expected = text(v, "input") != text(v, "output");
        assert_eq!(redacted.is_some(), expected, "{event}");
    }
}

#[test]
fn redacted_events() {
    for v in list(&vectors("event-redaction.json"), "/events") {
        let input = text(v, "input");
        let view = EventView::parse(input.as_bytes()).unwrap_or_else(|_| panic!("{input}"));
        let Some(redacted) = redact(&view) else {
            assert_eq!(input, text(v, "output"));
            continue;
        };
        let expected = v.pointer("/pointers").unwrap().as_list().unwrap().iter();
        assert_eq!(
            std::str::from_utf8(&redacted.bytes).unwrap(),
            text(v, "output")
        );
        assert!(
            redacted
                .pointers
                .iter()
                .map(String::as_str)
                .eq(expected.filter_map(Json::as_text))
        );
        let again = EventView::parse(&redacted.bytes).unwrap();
        assert_eq!(redact(&again), None, "redacting twice changes nothing");
    }
}

#[test]
fn leaves() {
    let vectors = vectors("leaf.json");
    for v in list(&vectors, "/leaves") {
        let previous_hash: [u8; 32] = unhex(text(v, "previous_hash")).try_into().unwrap();
        let head = LeafHead {
            ingested_at: Micros(i64::try_from(number(v, "ingested_at_micros")).unwrap()),
            ledger: text(v, "ledger").as_bytes(),
            previous_hash: &previous_hash,
            sequence_number: text(v, "sequence_number").parse().unwrap(),
            tenant_id: &TenantId::parse(text(v, "tenant_id")).unwrap(),
        };
        let mut leaf = Vec::new();
        write_leaf(&mut leaf, text(v, "event").as_bytes(), &head).unwrap();
        assert_eq!(std::str::from_utf8(&leaf).unwrap(), text(v, "leaf"));
        assert!(is_canonical(&leaf));

        let mut hasher = Sha256::new();
        hasher.update([0]);
        hasher.update(&leaf);
        assert_eq!(hex(&hasher.finalize()), text(v, "record_hash"));

        let view = LeafView::parse(&leaf).unwrap();
        assert_eq!(LeafView::locate(&leaf).unwrap(), view);
        assert_eq!(view.event(), text(v, "event").as_bytes());
        assert_eq!(hex(&content_hash(view.event())), text(v, "content_hash"));
        assert_eq!(view.ledger(), head.ledger);
        assert_eq!(view.ingested_at, head.ingested_at);
        assert_eq!(view.previous_hash, previous_hash);
        assert_eq!(view.sequence_number, head.sequence_number);
        assert_eq!(view.tenant_id(), text(v, "tenant_id"));
        let ledger = Ledger::parse(view.ledger()).unwrap();
        assert_eq!(ledger.to_canonical(), view.ledger());
        let through_serde: Ledger = serde_json::from_slice(view.ledger()).unwrap();
        assert_eq!(through_serde, ledger);
        assert_eq!(serde_json::to_vec(&ledger).unwrap(), view.ledger());
    }
}

#[test]
fn no_leaves() {
    let vectors = vectors("leaf.json");
    for v in list(&vectors, "/refuse") {
        let name = text(v, "name");
        let problem = LeafView::parse(text(v, "leaf").as_bytes()).expect_err(name);
        assert_eq!(problem.code.as_str(), text(v, "code"), "{name}: {problem}");
    }
    for ledger in list(&vectors, "/refuse_ledger") {
        let ledger = ledger.as_text().unwrap();
        assert!(Ledger::parse(ledger.as_bytes()).is_err(), "{ledger}");
    }
}

fn page(name: &str) -> String {
    let path = format!("{}/../../spec/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_page_lists_the_fields_codes_and_types_of_the_code() {
    let page = page("event.md");
    let ours = [
        "sequence_number",
        "previous_hash",
        "record_hash",
        "ingested_at",
        "sealed",
        "_stream",
    ];
    let fields = Field::ALL
        .iter()
        .filter(|field| !ours.contains(&field.key()));
    let rows: Vec<String> = fields
        .map(|field| format!("| `{}` | {} |", field.pointer(), field.kind()))
        .collect();
    let written: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `/"))
        .collect();
    assert_eq!(written, rows);
    for code in ProblemCode::ALL {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
    for entry in NATIVE.entries.iter().chain(RESERVED).chain(STATEMENTS) {
        let (noun, verb) = entry.event_type.split_once('.').unwrap();
        let listed = page.contains(&format!("`{}`", entry.event_type))
            || page.split('`').any(|code| {
                let verbs = code
                    .strip_prefix(noun)
                    .and_then(|rest| rest.strip_prefix(".{"));
                verbs
                    .and_then(|verbs| verbs.strip_suffix('}'))
                    .is_some_and(|verbs| verbs.split(',').any(|one| one == verb))
            });
        assert!(listed, "{}", entry.event_type);
    }
    for number in [EVENT_BYTES_MAX, EVENT_RAW_BYTES_MAX] {
        let grouped = format!("{},{:03}", number / 1_000, number % 1_000);
        assert!(page.contains(&grouped), "{grouped}");
    }
}

#[test]
fn the_pages_of_leaf_and_canonical_form_state_the_limits_of_the_code() {
    let leaf = page("leaf.md");
    for number in [LEAF_BYTES_MAX, EVENT_BYTES_MAX, LEAF_ENVELOPE_BYTES_MAX] {
        let grouped = format!("{},{:03}", number / 1_000, number % 1_000);
        assert!(leaf.contains(&grouped), "{grouped}");
    }
    for (number, what) in [
        (DIALECT_BYTES_MAX, "our own; at most {} bytes"),
        (QUARANTINE_REASON_BYTES_MAX, "quarantine; at most {} bytes"),
        (REDACTION_POINTERS_MAX, "not empty; at most {} of"),
        (
            REDACTION_POINTER_BYTES_MAX,
            "of at most {} bytes with their quotes",
        ),
        (STREAM_ID_BYTES_MAX, "the id has at most {} bytes"),
        (SUBMITTER_BYTES_MAX, "submitted it; at most {} bytes"),
    ] {
        assert!(
            leaf.contains(&what.replace("{}", &number.to_string())),
            "{what} {number}"
        );
    }
    let form = page("canonical-form.md");
    assert!(form.contains(&format!("MUST NOT be longer than {NUMBER_BYTES_MAX} bytes")));
    assert!(form.contains(&format!("nested more than {DEPTH_MAX} deep")));
}

#[test]
fn no_field_of_the_model_is_secret_by_its_key() {
    for field in Field::ALL {
        assert!(!is_secret_key(field.key()), "{}", field.pointer());
    }
}
