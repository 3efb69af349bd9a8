//! Events as they are received: canonical form, its fast check, views, redaction, admission.

use indelible_event::canonical::{Json, canonicalize, is_canonical};
use indelible_event::catalogue::NATIVE;
use indelible_event::redact::redact;
use indelible_event::walk::{Walk, walk};
use indelible_event::{Admission, EventView, Field, Micros, Mode, Origin, admit};

use crate::vectors::{texts, vectors};

/// Whether any of it is JSON; panics where the ways to read it disagree, where what is admitted is
/// not canonical, or where it is not admitted again as it is.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    for mode in [Mode::Strict, Mode::Lenient] {
        admitted(input, mode);
    }
    let json = Json::parse(input);
    let fast = is_canonical(input);
    match (&json, canonicalize(input)) {
        (Ok(json), Ok(canonical)) => {
            assert_eq!(json.to_canonical(), *canonical);
            assert!(is_canonical(&canonical));
            assert_eq!(fast, *canonical == *input);
            view(&canonical, json);
        }
        (Err(slow), Err(problems)) => {
            assert!(!fast && !problems.is_empty());
            assert_eq!(slow, &problems);
        }
        _ => panic!("read in one way and refused in another"),
    }
    json.is_ok()
}

/// Views and walks see what the parsed value has.
fn view(canonical: &[u8], json: &Json) {
    let Ok(view) = EventView::parse(canonical) else {
        assert!(json.as_object().is_none(), "a canonical object has a view");
        return;
    };
    assert!(json.as_object().is_some());
    let mut visited = 0;
    walk(view.as_str(), &mut |place| {
        visited += 1;
        let there = json.pointer(&place.pointer()).map(Json::to_string);
        assert_eq!(there.as_deref(), Some(place.raw()));
        Walk::Into
    });
    assert_eq!(visited, count(json) - 1);
    if let Some(redacted) = redact(&view) {
        assert!(is_canonical(&redacted.bytes));
        let again = EventView::parse(&redacted.bytes).expect("what is redacted is an object");
        assert_eq!(redact(&again), None);
    }
}

fn count(json: &Json) -> usize {
    1 + match json {
        Json::List(items) => items.iter().map(count).sum(),
        Json::Object(object) => object.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}

fn admitted(input: &[u8], mode: Mode) {
    let admission = Admission {
        mode,
        catalogue: &NATIVE,
        dialect: "native",
        origin: Origin::Producer,
        tenant: None,
        now: Micros(1_772_366_400_000_000),
    };
    let first = match admit(input, &admission, &mut |bytes| bytes.fill(1)) {
        Ok(first) => first,
        Err(problems) => {
            assert!(!problems.is_empty());
            return;
        }
    };
    assert!(is_canonical(&first.bytes));
    let view = EventView::parse(&first.bytes).expect("what is admitted is an object");
    let audit_id = view
        .text(Field::AuditId)
        .expect("what is admitted has an id");
    assert_eq!(audit_id, first.audit_id.to_string());
    let mut random = |_: &mut [u8]| panic!("the id is there");
    let again = admit(&first.bytes, &admission, &mut random)
        .unwrap_or_else(|problems| panic!("admitted once and then refused: {problems:?}"));
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(again.occurred_at, first.occurred_at);
    assert_eq!(again.audit_id, first.audit_id);
    assert!(again.redactions.is_empty());
}

/// Texts that are canonical, that are not, and events that admission takes, mends and refuses.
pub fn seeds() -> Vec<Vec<u8>> {
    ["canonical", "event-admission", "event-redaction"]
        .iter()
        .flat_map(|name| texts(&vectors(name), &["input"]))
        .collect()
}
