//! Properties of canonical form, views, walks, redaction and leaves on generated input.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use indelible_event::canonical::{Json, Number, Object, canonicalize, is_canonical};
use indelible_event::catalogue::NATIVE;
use indelible_event::redact::{redact, secret_parts};
use indelible_event::walk::{Walk, walk};
use indelible_event::{
    Admission, EventView, Field, LeafHead, LeafView, Micros, Mode, Origin, TenantId, admit,
    write_leaf,
};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = Number> {
    let tokens = prop_oneof![
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        any::<i64>().prop_map(|value| value.to_string()),
    ];
    tokens.prop_map(|token| Number::parse(&token).unwrap())
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,12}",
        any::<String>(),
        // Around the places where UTF-8 and UTF-16 order differ, and the escapes.
        "[\u{0}-\u{1f}\"\\\\/\u{7f}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}n]{0,6}",
    ]
}

fn key() -> impl Strategy<Value = String> {
    let known = (0..Field::COUNT).prop_map(|at| Field::ALL[at].key().to_owned());
    prop_oneof![known, string()]
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        number().prop_map(Json::Number),
        string().prop_map(Json::Text),
    ];
    leaf.prop_recursive(5, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::List),
            prop::collection::vec((key(), inner), 0..8)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Object> {
    prop::collection::vec((key(), json()), 0..12).prop_map(|members| members.into_iter().collect())
}

/// Writes JSON as somebody else might: any order, any white space, any escapes.
fn write_loosely(json: &Json, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    let space = |noise: &mut dyn Iterator<Item = u8>| match noise.next() {
        Some(byte) if byte < 40 => [" ", "\t", "\n", "\r"][usize::from(byte % 4)],
        _ => "",
    };
    out.push_str(space(noise));
    match json {
        Json::Text(text) => write_text_loosely(text, noise, out),
        Json::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_loosely(item, noise, out);
            }
            out.push(']');
        }
        Json::Object(object) => {
            out.push('{');
            let mut members: Vec<_> = object.iter().collect();
            if !members.is_empty() {
                let turns = usize::from(noise.next().unwrap_or(0)) % members.len();
                members.rotate_left(turns);
            }
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(space(noise));
                write_text_loosely(key, noise, out);
                out.push_str(space(noise));
                out.push(':');
                write_loosely(value, noise, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
    out.push_str(space(noise));
}

fn write_text_loosely(text: &str, noise: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let must = character < ' ' || matches!(character, '"' | '\\');
        if must || noise.next().is_some_and(|byte| byte < 30) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04X}");
            }
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

fn loosely(json: &Json, noise: Vec<u8>) -> String {
    let mut out = String::new();
    write_loosely(json, &mut noise.into_iter(), &mut out);
    out
}

#[test]
fn a_word_that_ends_within_a_character_ends_the_walk() {
    for text in [
        "[n\0\u{fffd}",
        "{n\0\u{fffd}:1}",
        "[t\u{fffd}",
        "{\u{fffd}\":1}",
        "{1:2}",
    ] {
        walk(text, &mut |place| {
            let _ = (place.pointer(), place.text());
            Walk::Into
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_writing_of_a_value_has_the_same_canonical_form(
        json in json(),
        noise in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let canonical = json.to_canonical();
        prop_assert!(is_canonical(&canonical));
        let loose = loosely(&json, noise);
        let got = canonicalize(loose.as_bytes()).unwrap();
        prop_assert_eq!(&got[..], &canonical[..]);
        prop_assert_eq!(is_canonical(loose.as_bytes()), loose.as_bytes() == canonical);
        let again = canonicalize(&canonical).unwrap();
        prop_assert!(matches!(again, std::borrow::Cow::Borrowed(_)));
        // Read by somebody else, it is the same value.
        let theirs: serde_json::Value = serde_json::from_slice(&canonical).unwrap_or_default();
        let loose: serde_json::Value = serde_json::from_str(&loose).unwrap_or_default();
        prop_assert_eq!(theirs, loose);
    }

    #[test]
    fn the_fast_check_agrees_with_the_slow_path_on_broken_text(
        json in json(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"\"\\{}[]:,0e.-un \x1f"[..])],
        insert in any::<bool>(),
    ) {
        let mut bytes = json.to_canonical();
        let at = at.index(bytes.len());
        if insert {
            bytes.insert(at, byte);
        } else {
            bytes[at] = byte;
        }
        let slow = Json::parse(&bytes);
        let expected = slow.as_ref().is_ok_and(|json| json.to_canonical() == bytes);
        prop_assert_eq!(is_canonical(&bytes), expected);
        // Every text that serde takes is taken, unless one of our own rules refuses it.
        let taken = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
        if let (true, Err(problems)) = (taken, slow) {
            prop_assert!(problems.iter().all(|problem| matches!(
                problem.code.as_str(),
                "duplicate-key" | "number-too-long" | "too-deep"
            )), "{:?}", problems);
        }
    }

    #[test]
    fn nothing_panics_on_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = canonicalize(&bytes);
        let _ = EventView::parse(&bytes);
        let _ = LeafView::parse(&bytes);
        let _ = LeafView::locate(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        walk(&text, &mut |place| {
            let _ = (place.pointer(), place.text());
            Walk::Into
        });
        let _ = secret_parts(&text);
        for mode in [Mode::Strict, Mode::Lenient] {
            let _ = admit(&bytes, &admission(mode), &mut |bytes| bytes.fill(1));
        }
    }

    #[test]
    fn spans_agree_with_serde(object in object()) {
        let bytes = Json::Object(object).to_canonical();
        let view = EventView::parse(&bytes).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let json = Json::parse(&bytes).unwrap();
        let mut seen = 0;
        for field in Field::ALL.iter().copied() {
            let group_is_object = field
                .group()
                .field()
                .is_none_or(|group| matches!(json.pointer(group.pointer()), Some(Json::Object(_))));
            let expected = json.pointer(field.pointer()).filter(|_| group_is_object);
            prop_assert_eq!(view.raw(field).map(str::to_owned), expected.map(Json::to_string));
            if let Some(member) = view.member(field) {
                seen += 1;
                let prefix = format!("\"{}\":", field.key());
                prop_assert!(text[member].starts_with(&prefix));
            }
            let theirs = expected.and_then(Json::as_text).map(str::to_owned);
            prop_assert_eq!(view.text(field).map(std::borrow::Cow::into_owned), theirs);
        }
        prop_assert_eq!(view.fields().count(), seen);
    }

    #[test]
    fn a_walk_visits_every_value_with_its_pointer(object in object()) {
        let json = Json::Object(object);
        let text = json.to_string();
        let mut visited = 0;
        walk(&text, &mut |place| {
            visited += 1;
            let there = json.pointer(&place.pointer()).map(Json::to_string);
            assert_eq!(there.as_deref(), Some(place.raw()));
            Walk::Into
        });
        prop_assert_eq!(visited, count(&json) - 1);
    }

    #[test]
    fn the_quick_check_for_secrets_never_misses(
        before in "[a-zA-Z0-9 \"\\\\\n\u{1}:=é]{0,9}",
        secret in prop::sample::select(&[
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "Bearer abc123def456ghi789",
            "BASIC dXNlcjpwYXNzd29yZA==",
            "https://u:p@h",
            "-----BEGIN KEY----- x",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x",
            "AIzaSyA1234567890abcdefghijklmnopqrstuv",
            "ind_0123456789abcdef_0123456789abcdef0123456789abcdef",
            "indv_kq8Zr-0_x7Yw2mPd5nVt9sLb3cHf6jGa",
        ][..]),
        after in "[a-zA-Z0-9 \"\\\\\n\u{1}:=é]{0,9}",
        key in "[a-z]{1,3}",
    ) {
        let text = format!("{before}{secret}{after}");
        let event = Object::from_iter([(key, Json::Text(text.clone()))]);
        let bytes = Json::Object(event).to_canonical();
        let redacted = redact(&EventView::parse(&bytes).unwrap());
        prop_assert_eq!(redacted.is_some(), !secret_parts(&text).is_empty());
        if let Some(redacted) = redacted {
            prop_assert!(is_canonical(&redacted.bytes));
            prop_assert_eq!(redact(&EventView::parse(&redacted.bytes).unwrap()), None);
        }
    }

    #[test]
    fn what_is_admitted_is_canonical_and_admitted_again_unchanged(object in object()) {
        let mut object = object;
        object.insert("event_type", "order.paid");
        object.insert("actor", Object::from_iter([("id", "ann"), ("type", "human")]));
        object.insert("outcome", "completed");
        object.remove("outcome_raw");
        let raw = Json::Object(object).to_canonical();
        if let Ok(first) = admit(&raw, &admission(Mode::Lenient), &mut |bytes| bytes.fill(1)) {
            prop_assert!(is_canonical(&first.bytes));
            let view = EventView::parse(&first.bytes).unwrap();
            prop_assert_eq!(view.text(Field::Outcome).unwrap(), "success");
            prop_assert_eq!(view.text(Field::AuditId).unwrap(), first.audit_id.to_string());
            let again =
                admit(&first.bytes, &admission(Mode::Lenient), &mut |_| unreachable!()).unwrap();
            prop_assert_eq!(&again.bytes, &first.bytes);
            prop_assert_eq!(again.occurred_at, first.occurred_at);
            prop_assert_eq!(again.redactions, Vec::<String>::new());
        }
    }

    /// Admission follows the fields through its changes; what it says is what a pass would say.
    #[test]
    fn the_view_of_what_is_admitted_is_that_of_its_bytes(
        object in object(),
        id in prop::option::of(prop_oneof![
            Just("019a9b00-0000-7000-8000-000000000001"),
            Just("019A9B00-0000-7000-8000-000000000001"),
            Just("our-own-17"),
        ]),
        time in prop::option::of(Just("2026-11-20T09:00:00Z")),
        named in any::<bool>(),
        outcome in prop_oneof![Just("success"), Just("completed"), Just("")],
    ) {
        let mut object = object;
        for key in ["sealed", "sequence_number", "previous_hash", "record_hash", "ingested_at",
                    "outcome_raw", "source_event_id", "audit_id", "occurred_at", "tenant_id"] {
            object.remove(key);
        }
        object.insert("event_type", "order.paid");
        object.insert("actor", Object::from_iter([("id", "ann"), ("type", "human")]));
        object.insert("outcome", outcome);
        id.map(|id| object.insert("audit_id", id));
        time.map(|time| object.insert("occurred_at", time));
        if named {
            object.insert("tenant_id", "acme");
        }
        let raw = Json::Object(object).to_canonical();
        let tenant = TenantId::parse("acme").unwrap();
        let admission = Admission { tenant: Some(&tenant), ..admission(Mode::Lenient) };
        let Ok(admitted) = admit(&raw, &admission, &mut |bytes| bytes.fill(1)) else {
            return Ok(());
        };
        let (view, passed) = (admitted.view().unwrap(), EventView::parse(&admitted.bytes).unwrap());
        let all = |view: &EventView<'_>| -> Vec<_> {
            view.fields().map(|(field, _)| (field, view.span(field), view.member(field))).collect()
        };
        prop_assert_eq!(all(&view), all(&passed));
        prop_assert_eq!(view.after_sealed(), passed.after_sealed());
        let (hints, fresh) = (view.hints(), passed.hints());
        prop_assert!(hints.unlisted || !fresh.unlisted);
        prop_assert!(hints.loose_address || !fresh.loose_address);
    }

    #[test]
    fn leaves_are_read_as_written(
        object in object(),
        seq in any::<u64>(),
        micros in Micros::MIN.0..=Micros::MAX.0,
        previous_hash in any::<[u8; 32]>(),
        tenant in "[A-Za-z0-9_][A-Za-z0-9._:@-]{1,20}",
    ) {
        let event = Json::Object(object).to_canonical();
        let tenant_id = TenantId::parse(&tenant).unwrap();
        let head = LeafHead {
            ingested_at: Micros(micros),
            ledger: b"{\"policy\":1}",
            previous_hash: &previous_hash,
            sequence_number: seq,
            tenant_id: &tenant_id,
        };
        let mut leaf = Vec::new();
        write_leaf(&mut leaf, &event, &head).unwrap();
        prop_assert!(is_canonical(&leaf));
        let view = LeafView::parse(&leaf).unwrap();
        prop_assert_eq!(&LeafView::locate(&leaf).unwrap(), &view);
        prop_assert_eq!(view.event(), &event[..]);
        prop_assert_eq!((view.sequence_number, view.ingested_at.0), (seq, micros));
        prop_assert_eq!(view.previous_hash, previous_hash);
        prop_assert_eq!(view.tenant_id(), tenant);
    }
}

fn count(json: &Json) -> usize {
    1 + match json {
        Json::List(items) => items.iter().map(count).sum(),
        Json::Object(object) => object.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}

fn admission(mode: Mode) -> Admission<'static> {
    Admission {
        mode,
        catalogue: &NATIVE,
        dialect: "native",
        origin: Origin::Producer,
        tenant: None,
        now: Micros(1_772_366_400_000_000),
    }
}
