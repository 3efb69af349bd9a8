//! The invariant on generated events: unsealing gives back, byte for byte, what was sealed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;

use indelible_event::EventView;
use indelible_event::canonical::{Json, is_canonical};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::known::known;
use super::scan::{Scan, Whose, scan};
use super::tests::{keyring, left, open, seal, text};
use super::unseal;
use crate::policy::SealingPolicy;

/// JSON that is likely to hold something personal.
fn json() -> impl Strategy<Value = Json> {
    let word = prop_oneof![
        Just("a@example.com".to_owned()),
        Just("192.0.2.9".to_owned()),
        Just("2001:db8::5".to_owned()),
        Just("call +49 30 1234567 at once".to_owned()),
        Just("[sealed]".to_owned()),
        Just(String::new()),
        any::<String>(),
    ];
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|n| Json::Number(n.into())),
        word.prop_map(Json::Text),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "ip",
            "publicIp",
            "a",
            "data",
            "metadata",
            "name",
            "email",
            "id",
            "type",
            "uid",
            "raw",
            "user_agent",
            "description",
            "error",
            "message",
            "zz",
            "se",
            "sealee",
            "seam",
            "a/b",
            "a~b",
            "é",
            "\u{1f600}",
            "\u{e000}",
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|key| if key == "sealed" {
            "unsealed".into()
        } else {
            key
        }),
    ]
}

fn event() -> impl Strategy<Value = Json> {
    let party = || {
        prop::collection::vec((key(), json()), 0..6)
            .prop_map(|members| Json::Object(members.into_iter().collect()))
    };
    let members = prop::collection::vec((key(), json()), 0..8);
    (party(), party(), members).prop_map(|(actor, target, members)| {
        let mut members: Vec<(String, Json)> = members;
        members.push(("actor".into(), actor));
        members.push(("target".into(), target));
        Json::Object(members.into_iter().collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn unsealing_gives_back_what_was_sealed(event in event()) {
        let keyring = keyring();
        let event = event.to_canonical();
        let sealed = seal(&keyring, &event);
        prop_assert!(is_canonical(&sealed.bytes), "{}", text(&sealed.bytes));
        let opened = open(&keyring, &sealed);
        let unsealed = unseal(&sealed.bytes, &opened).unwrap();
        prop_assert_eq!(text(&unsealed), text(&event));
        // Nothing that was sealed stands in the leaf as a whole string any more, under its key.
        let json = Json::parse(&sealed.bytes).unwrap();
        for (pointer, value) in left(&keyring, &sealed) {
            if let Some(there) = json.pointer(&pointer) {
                let there = there.to_canonical();
                let gone = text(&there) != value || value == "\"[sealed]\"";
                prop_assert!(gone, "{} {}", pointer, value);
            }
        }
        let view = EventView::parse(&event).unwrap();
        let moved = sealed.view(&view).unwrap();
        let parsed = EventView::parse(&sealed.bytes).unwrap();
        prop_assert!(moved.fields().eq(parsed.fields()), "{}", text(&sealed.bytes));
        // The same event again is the same bytes: what makes a repeat a repeat.
        prop_assert_eq!(&seal(&keyring, &event).bytes, &sealed.bytes);
    }
}

/// Values of the model's fields, some of them personal, and little else.
fn model_event() -> impl Strategy<Value = Json> {
    let places = [
        "/action",
        "/actor/email",
        "/actor/id",
        "/actor/ip",
        "/actor/name",
        "/actor/role",
        "/actor/type",
        "/actor/user_agent",
        "/context/request_id",
        "/data",
        "/description",
        "/error/message",
        "/source/service",
        "/target/email",
        "/target/id",
        "/target/name",
        "/target/type",
        "/target/uid",
        "/tier",
        "/zz",
    ];
    let value = prop_oneof![
        8 => prop::sample::select(vec![
            "", "ann", "Ann Lee", "user", "a@example.com", "192.0.2.9", "call +49 30 1234567",
            "ec2.amazonaws.com", "mail a@example.com at once", "1.2", "a \u{e9} \u{2028}",
        ])
        .prop_map(|word| Json::Text(word.into())),
        1 => json(),
    ];
    let members = prop::collection::vec((prop::sample::select(places.to_vec()), value), 1..12);
    members.prop_map(|members| {
        let mut event = std::collections::BTreeMap::<&str, Vec<(String, Json)>>::new();
        for (place, value) in members {
            let (group, key) = place[1..].split_once('/').unwrap_or(("", &place[1..]));
            let group = event.entry(group).or_default();
            group.retain(|(known, _)| known != key);
            group.push((key.into(), value));
        }
        let mut top = event.remove("").unwrap_or_default();
        let groups = event.into_iter();
        top.extend(groups.map(|(key, of)| (key.into(), Json::Object(of.into_iter().collect()))));
        Json::Object(top.into_iter().collect())
    })
}

#[test]
fn the_short_way_says_what_the_pass_over_all_says() {
    let policy = SealingPolicy::default();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(8_000));
    let (answered, found) = (Cell::new(0_u32), Cell::new(0_usize));
    let outcome = runner.run(&model_event(), |event| {
        let event = event.to_canonical();
        let view = EventView::parse(&event).unwrap();
        let Some(short) = known(&view, &policy) else {
            return Ok(());
        };
        let long = scan(view.as_str(), &policy).unwrap();
        answered.set(answered.get() + 1);
        found.set(found.get() + long.found.len());
        prop_assert_eq!(short.sealed_at, long.sealed_at);
        for whose in [Whose::Actor, Whose::Target] {
            let identity = |scan: &Scan<'_>| {
                let tokens = scan.identity(view.as_str(), whose);
                tokens.map(|(kind, id)| (kind.to_owned(), id.to_owned()))
            };
            prop_assert_eq!(identity(&short), identity(&long));
        }
        let facts = |scan: &Scan<'_>| {
            let facts = scan.found.iter().map(|found| {
                let place = (found.value.clone(), found.member.clone(), found.whose);
                let name = found.search_name.clone().map(String::from);
                (
                    place,
                    found.pointer.to_string(),
                    name,
                    found.instead.clone(),
                )
            });
            facts.collect::<Vec<_>>()
        };
        prop_assert_eq!(facts(&short), facts(&long));
        let keyring = keyring();
        let sealed = seal(&keyring, &event);
        let parsed = EventView::parse(&sealed.bytes).unwrap();
        let moved = sealed.view(&view).unwrap();
        prop_assert!(
            moved.fields().eq(parsed.fields()),
            "{}",
            text(&sealed.bytes)
        );
        Ok(())
    });
    outcome.unwrap();
    assert!(
        answered.get() > 1_000,
        "only {} events were simple",
        answered.get()
    );
    assert!(
        found.get() > 1_000,
        "only {} values were personal",
        found.get()
    );
}
