//! The invariant on generated events: unsealing gives back, byte for byte, what was sealed.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::{Json, is_canonical};
use proptest::prelude::*;

use super::tests::{keyring, left, open, seal, text};
use super::unseal;

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
        // The same event again is the same bytes: what makes a repeat a repeat.
        prop_assert_eq!(&seal(&keyring, &event).bytes, &sealed.bytes);
    }
}
