//! What records are filed under, and what conditions mean on one record.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::{EventView, LeafView};
use indelible_store::conformance::{Generator, Mix};
use indelible_store::terms::{any_text, extract, normalise, normalise_address, words};
use indelible_store::{
    Column, Direction, Error, Expr, FindHash, Handle, Key, Kind, Order, Pattern, Place, Query,
    Retry, SealedValue, Subject, Terms,
};

const EVENT: &str = concat!(
    r#"{"action":"PutObject","actor":{"id":"arn:aws:iam::1:user/Bert-Jan","#,
    r#""ip":"2001:DB8:0::1","name":"Bert Jan","type":"User"},"ai":{"cost_usd":0.25,"#,
    r#""total_tokens":12},"audit_id":"018f3c2e-7b1a-7def-8abc-0123456789ab","#,
    r#""context":{"correlation_id":"Corr-1","span_id":"s1","trace_id":"t1"},"#,
    r#""description":"Größe \"signed in\" twice, twice","error":{"code":"AccessDenied"},"#,
    r#""event_type":"s3.PutObject","occurred_at":"2026-11-20T10:00:00Z","#,
    r#""outcome":"failure","sealed":[{"root":"00","subject":"sub_aa"},{"root":"01","#,
    r#""subject":"sub_bb"}],"target":{"id":"bucket/","type":"bucket"}}"#,
);

fn filed(event: &str) -> (Terms, Vec<(Column, f64)>) {
    let (mut terms, mut numbers) = (Terms::default(), Vec::new());
    extract(
        &EventView::parse(event.as_bytes()).unwrap(),
        &mut terms,
        &mut numbers,
    );
    (terms, numbers)
}

fn of(terms: &Terms, key: Key) -> Vec<String> {
    terms
        .iter()
        .filter(|(k, _)| *k == key)
        .map(|(_, text)| text.to_owned())
        .collect()
}

#[test]
fn fields_are_filed_under_their_keys() {
    let (terms, numbers) = filed(EVENT);
    for (key, expected) in [
        (Key::Type, &["s3.putobject"][..]),
        (Key::Category, &["s3"]),
        (
            Key::Actor,
            &["arn:aws:iam::1:user/bert-jan", "bert-jan", "bert jan"],
        ),
        (Key::ActorType, &["user"]),
        // Nothing stands behind the last slash.
        (Key::Target, &["bucket/"]),
        (Key::Correlation, &["corr-1"]),
        (Key::Trace, &["t1", "s1"]),
        (Key::Ip, &["2001:db8::1"]),
        (Key::Subject, &["sub_aa", "sub_bb"]),
        (Key::Session, &[]),
        (
            Key::Word,
            &[
                "größe",
                "signed",
                "in",
                "twice",
                "accessdenied",
                "s3",
                "putobject",
            ],
        ),
    ] {
        assert_eq!(of(&terms, key), expected, "{key:?}");
    }
    assert_eq!(
        numbers,
        [(Column::TotalTokens, 12.0), (Column::CostUsd, 0.25)]
    );
    let (own, _) = filed(r#"{"category":"Billing","event_type":"payment.captured"}"#);
    assert_eq!(of(&own, Key::Category), ["billing"]);
    assert_eq!(filed("{}").0.iter().count(), 0);
}

#[test]
fn keys_are_numbered_once() {
    for (index, key) in Key::ALL.into_iter().enumerate() {
        assert_eq!(key as usize, index + 1);
        assert_eq!(Key::from_number(key as u8), Some(key));
    }
    assert_eq!((Key::from_number(0), Key::from_number(28)), (None, None));
}

#[test]
fn long_terms_are_cut_alike_when_filed_and_when_asked_for() {
    let long = "é".repeat(200);
    let mut terms = Terms::default();
    terms.push(Key::Actor, &long);
    assert_eq!(of(&terms, Key::Actor), ["é".repeat(128)]);
    assert!(terms.contains(Key::Actor, &long));
    assert!(terms.contains(Key::Actor, &"é".repeat(150)));
    assert!(!terms.contains(Key::Actor, &"é".repeat(127)));
    assert!(!terms.contains(Key::Target, &long));
    terms.clear();
    assert!(!terms.contains(Key::Actor, &long));
}

#[test]
fn texts_are_normalised() {
    for (text, expected) in [
        (" A b ", "a b"),
        ("ÄÖ", "äö"),
        ("plain", "plain"),
        (" ", ""),
    ] {
        assert_eq!(normalise(text), expected);
        assert_eq!(normalise_address(text), expected);
    }
    for (text, expected) in [
        ("::FFFF:10.0.0.1", "::ffff:10.0.0.1"),
        ("010.0.0.1", "010.0.0.1"),
        ("0:0::1", "::1"),
    ] {
        assert_eq!(normalise_address(text), expected);
    }
    assert_eq!(
        words("a-B_c'd 東京, x").collect::<Vec<_>>(),
        ["a", "b", "c", "d", "東京", "x"]
    );
}

#[test]
fn conditions_hold_as_they_say() {
    let event = EventView::parse(EVENT.as_bytes()).unwrap();
    let (terms, _) = filed(EVENT);
    let find = FindHash([7; 16]);
    let sealed = [SealedValue {
        handle: Handle([1; 16]),
        find: Some(find),
        blob: false,
        row: [0].as_slice().into(),
    }];
    let id = AuditId::parse("018f3c2e-7b1a-7def-8abc-0123456789ab").unwrap();
    let holds = |expr: &Expr| {
        let sealed = &sealed;
        expr.matches(&Subject {
            sequence_number: 5,
            audit_id: id,
            event: &event,
            terms: &terms,
            sealed,
        })
    };
    let is = |key, text: &str| Expr::Is(key, text.to_owned());
    let phrase = |text: &str| Expr::Phrase(text.split(' ').map(str::to_owned).collect());
    for (expr, expected) in [
        (Expr::All, true),
        (is(Key::Actor, "bert-jan"), true),
        (is(Key::Target, "bert-jan"), false),
        (phrase("signed in"), true),
        (phrase("in signed"), false),
        (phrase("größe signed in twice twice"), true),
        (phrase("twice twice twice"), false),
        // Side by side in one field, not across two.
        (phrase("twice accessdenied"), false),
        (Expr::Sealed(vec![FindHash([8; 16]), find]), true),
        (Expr::Sealed(vec![FindHash([8; 16])]), false),
        (Expr::Sealed(Vec::new()), false),
        (Expr::Id(id), true),
        (Expr::Id(AuditId([0; 16])), false),
        (Expr::Sequence(5..6), true),
        (Expr::Sequence(0..5), false),
        (Expr::And(vec![Expr::All, Expr::Sequence(0..5)]), false),
        (Expr::And(Vec::new()), true),
        (Expr::Or(vec![Expr::Sequence(0..5), Expr::All]), true),
        (Expr::Or(Vec::new()), false),
    ] {
        assert_eq!(holds(&expr), expected, "{expr:?}");
        assert_eq!(
            holds(&Expr::Not(Box::new(expr.clone()))),
            !expected,
            "not {expr:?}"
        );
    }
}

#[test]
fn both_orders_both_ways() {
    let place = |at, tenant: &str, sequence_number| Place {
        occurred_at: Micros(at),
        tenant: TenantId::parse(tenant).unwrap(),
        sequence_number,
    };
    let sorted = |order, direction| {
        let query = Query {
            order,
            direction,
            ..Query::default()
        };
        let mut places = [
            place(2, "a", 0),
            place(1, "a", 1),
            place(1, "b", 0),
            place(3, "b", 1),
        ];
        places.sort_by(|a, b| query.compare(a, b));
        places
            .iter()
            .map(|p| format!("{}{}", p.tenant, p.sequence_number))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        sorted(Order::Time, Direction::OldestFirst),
        ["a1", "b0", "a0", "b1"]
    );
    assert_eq!(
        sorted(Order::Time, Direction::NewestFirst),
        ["b1", "a0", "b0", "a1"]
    );
    assert_eq!(
        sorted(Order::Sequence, Direction::OldestFirst),
        ["a0", "a1", "b0", "b1"]
    );
    assert_eq!(
        sorted(Order::Sequence, Direction::NewestFirst),
        ["b1", "b0", "a1", "a0"]
    );
}

#[test]
fn errors_say_what_to_do() {
    let cause = std::io::Error::other("device gone");
    let error = Error::new(Kind::UnknownOutcome, "writing journal 7").caused_by(cause);
    assert_eq!(error.to_string(), "writing journal 7: device gone");
    assert_eq!(
        (error.kind(), error.retry()),
        (Kind::UnknownOutcome, Retry::AfterReading)
    );
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(Error::new(Kind::NoSpace, "x").retry(), Retry::Later);
    assert_eq!(Error::new(Kind::Invalid, "x").retry(), Retry::No);
}

#[test]
fn texts_in_plain_code_are_the_terms() {
    let mut generator = Generator::new(3, Mix::default());
    let mut count = 0;
    for record in generator.append(0, 300).records {
        let leaf = LeafView::parse(&record.leaf).unwrap();
        let event = EventView::parse(leaf.event()).unwrap();
        let mut terms = Terms::default();
        extract(&event, &mut terms, &mut Vec::new());
        for key in Key::ALL {
            let filed: Vec<_> = terms.iter().filter(|(k, _)| *k == key).collect();
            let every = |text: &str| {
                assert!(filed.contains(&(key, text)), "{key:?} {text} is not filed");
                false
            };
            assert!(!any_text(&event, key, &every));
            for (_, filed) in &filed {
                assert!(
                    any_text(&event, key, &|text| text == *filed),
                    "{key:?} {filed}"
                );
            }
            count += filed.len();
        }
    }
    assert!(count > 5_000, "{count}");
    // A text that is cut when it is filed is compared as a whole.
    let long = format!(r#"{{"target":{{"id":"a/{}z"}}}}"#, "x".repeat(400));
    let event = EventView::parse(long.as_bytes()).unwrap();
    let like = |text: &str| any_text(&event, Key::Target, &|t| Pattern::parse(text).matches(t));
    assert!(like("a/*xz") && like("x*xz") && !like("a/*xy"));
}
