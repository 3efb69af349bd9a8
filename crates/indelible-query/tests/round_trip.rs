//! Whatever is typed is read or refused, and what is read can be written and read again.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::ids::Micros;
use indelible_query::{DEPTH_MAX, ParseContext, QUALIFIERS, parse};
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn context() -> ParseContext {
    ParseContext::utc(Micros::parse("2026-11-20T10:30:00Z").unwrap())
}

/// Values inside of an event.
fn inside() -> impl Strategy<Value = String> {
    let paths = vec![
        "data.a",
        "changes.after.role",
        "data.0.Ü",
        "data.a\\.b\\ c",
        "duration",
        "cost",
        "tokens.prompt",
        "seq",
        "outcome",
    ];
    let signs = vec![":", "=", "!=", ">", ">=", "<", "<="];
    let tests = vec![
        "1",
        "-0.50",
        "1e400",
        "1..2",
        "5..",
        "..3",
        "1.5s",
        "true",
        "null",
        "\"7\"",
        "x",
        "a,b",
        "\"1..2\"",
        "\">1\"",
        "\"\"",
        "1,2..3",
        "failure",
        "007",
        "\"true\",true",
    ];
    let parts = vec![
        "has:proof,error ",
        "has:attachment,personal ",
        "has:data.a ",
        "-has:cost ",
        "has:\"data.a\\\\ b\" ",
    ];
    prop_oneof![
        4 => (prop::sample::select(paths), prop::sample::select(signs), prop::sample::select(tests))
            .prop_map(|(path, sign, test)| format!("{path}{sign}{test} ")),
        1 => prop::sample::select(parts).prop_map(str::to_owned),
    ]
}

/// Pieces that make texts which are mostly right.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<String> = QUALIFIERS.iter().map(|q| format!("{}:", q.name)).collect();
    let values = vec![
        "a",
        "Bert-Jan",
        "\"a b\"",
        "failure",
        "critical",
        "user",
        "7",
        "10..20",
        "..3",
        "5..",
        "2026-11-20",
        "24h",
        "\"x\\\"y\\\\\"",
        "a,b",
        "\"a,b\",c",
        "10.0.0.1",
        "::1",
        "Log*",
        "a\\*b*",
        "a\\*",
        "*:x?",
        "10.0.0.0/8",
        "10.1.2.3/31,::1/128",
        "why?",
        "\"why?\"",
        "\"a*b\"",
        "\"-x\"",
        "\"!x\"",
        "\":x\"",
        ":x*",
        ",x",
        "\"actor\"",
        "\"data.a\"",
        "\"data.a!x\"",
        "\"OR\"",
        "\"actor:x\"",
        "\"10.0.0.0/8\"",
        "Ünïcode",
        "\"\u{2003}x\"",
        "ẞ",
        "İ",
        "a\\b",
        "\"(\"",
        "018f3c2e-7b1a-7def-8abc-0123456789ab",
    ];
    prop_oneof![
        5 => inside(),
        4 => (prop::sample::select(names), prop::sample::select(values.clone()))
            .prop_map(|(name, value)| format!("{name}{value} ")),
        3 => prop::sample::select(values).prop_map(|value| format!("{value} ")),
        2 => prop::sample::select(vec!["OR ", "AND ", "NOT ", "-", "!", "(", ") ", " "])
            .prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..8).prop_map(|pieces| pieces.concat())
}

/// Reads the text; if it is one, writes it and reads that elsewhere and at another time.
fn read_write_read(text: &str) -> bool {
    let parsed = match parse(text, &context()) {
        Ok(parsed) => parsed,
        Err(errors) => {
            let end = text.chars().count() + 1;
            for error in &errors {
                assert!(
                    error.column() >= 1 && error.column() + error.length() <= end,
                    "{error}"
                );
                assert!(error.to_string().contains('^'));
            }
            assert!(!errors.is_empty());
            return false;
        }
    };
    let written = parsed.to_string();
    let elsewhere = ParseContext {
        now: Micros(0),
        zone: TimeZone::fixed(jiff::tz::offset(-5)),
    };
    match parse(&written, &elsewhere) {
        Ok(again) => assert_eq!(again, parsed, "{text:?} was written {written:?}"),
        Err(errors) => panic!("{text:?} was written {written:?}: {}", errors[0]),
    }
    assert_eq!(parse(&written, &elsewhere).unwrap().to_string(), written);
    true
}

#[test]
fn a_sign_alone_stays_quoted() {
    assert!(read_write_read("\"-\" a") && read_write_read("-\"-\""));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_of_pieces(text in text()) {
        read_write_read(&text);
    }

    #[test]
    fn any_text_at_all(text in any::<String>()) {
        read_write_read(&text);
    }

    #[test]
    fn any_bytes_of_the_language(text in "[-a-cK.:=<>!?,\"\\\\().* AND OR\u{e9}0-9]{0,40}") {
        read_write_read(&text);
    }
}

#[test]
fn enough_texts_of_pieces_are_right() {
    // Else the properties above would say little.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let right = (0..500).filter(|_| {
        let tree = text().new_tree(&mut runner).unwrap();
        read_write_read(&tree.current())
    });
    assert!(right.count() > 75);
}

#[test]
fn what_is_as_deep_as_it_may_be_is_read_back() {
    let signs = format!("{}a", "-".repeat(DEPTH_MAX));
    let half = DEPTH_MAX / 2;
    let groups = format!("{}a b{}", "-(".repeat(half), ")".repeat(half));
    for text in [signs, groups] {
        let parsed = parse(&text, &context()).unwrap();
        let again = parse(&parsed.to_string(), &context());
        assert_eq!(again, Ok(parsed), "{text}");
    }
}

#[test]
fn written_as_people_write() {
    for (text, written) in [
        ("actor:a   AND outcome:failure", "actor:a outcome:failure"),
        (
            "outcome:failure OR outcome:denied",
            "outcome:failure,denied",
        ),
        ("-outcome:failure,denied", "-outcome:failure,denied"),
        ("NOT (a b)", "-(a b)"),
        ("--a", "a"),
        (
            "(a OR b) since:2026-11-20",
            "(a OR b) since:2026-11-20T00:00:00.000000Z",
        ),
        ("a OR (b c)", "a OR (b c)"),
        ("seq:..9 seq:4.. seq:5", "seq:0..9 seq:4.. seq:5"),
        ("tenant:b,a", "tenant:a,b"),
        (
            "duration>1.50s OR duration<2",
            "duration>1500 OR duration<2",
        ),
        ("data.a>=1 data.a:..2", "data.a>=1 data.a<=2"),
        ("data.a:1..2,7.0,\"7\",x", "data.a:1..2,7,\"7\",x"),
        ("data.a!=TRUE", "-data.a:true"),
        ("has:PROOF OR has:parent", "has:proof,context.parent_id"),
        ("has:personal has:attachment", "has:personal has:attachment"),
        ("seq>=4", "seq:4.."),
        ("actor.type:\"root\"", "actor.type:\"root\""),
        ("", ""),
    ] {
        assert_eq!(
            parse(text, &context()).unwrap().to_string(),
            written,
            "{text}"
        );
    }
}
