//! Slips of the pen are told from free text, with what to write instead.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::ids::Micros;
use indelible_query::{ParseContext, parse};

fn context() -> ParseContext {
    ParseContext::utc(Micros::parse("2026-11-20T10:30:00Z").unwrap())
}

/// Text, column, length, part of the message, suggestion.
type Case = (
    &'static str,
    usize,
    usize,
    &'static str,
    Option<&'static str>,
);

/// Slips that would pass for free text, or for another sign.
const SLIPS: &[Case] = &[
    (
        "!outcome:denied",
        1,
        15,
        "write `-`",
        Some("-outcome:denied"),
    ),
    (
        "a !actor:\"B J\" b",
        3,
        12,
        "write `-`",
        Some("-actor:\"B J\""),
    ),
    ("!(a OR b) c", 1, 9, "write `-`", Some("-(a OR b)")),
    ("!login", 1, 6, "write `-`", Some("-login")),
    ("a ! b", 3, 1, "nothing stands before this sign", None),
    ("!=x", 1, 3, "nothing stands before this sign", None),
    ("data.a!", 1, 7, "`!` is no sign", None),
    ("data.a!5", 1, 8, "`!` is no sign", Some("data.a!=5")),
    ("data.a!:5", 1, 9, "`!` is no sign", Some("data.a!=5")),
    ("x outcome!:y", 3, 10, "`!` is no sign", Some("outcome!=y")),
    (
        "since:2026-11-20T10:00:00 01:00 x",
        1,
        31,
        "`%2B` in a URL",
        Some("since:2026-11-20T10:00:00+01:00"),
    ),
    (
        "x ingested-until:2026-11-20 10:00",
        3,
        31,
        "write `T`",
        Some("ingested-until:2026-11-20T10:00"),
    ),
    ("actor :x", 1, 8, "no blanks around a sign", Some("actor:x")),
    (
        "actor : \"B J\" c",
        1,
        13,
        "no blanks around a sign",
        Some("actor:\"B J\""),
    ),
    (
        "a data.b > 100",
        3,
        12,
        "no blanks around a sign",
        Some("data.b>100"),
    ),
    (
        "outcome != x",
        1,
        12,
        "no blanks around a sign",
        Some("outcome!=x"),
    ),
    ("actor :", 1, 7, "no blanks around a sign", None),
    (
        "a actor: x b",
        3,
        8,
        "no blanks before a value",
        Some("actor:x"),
    ),
    (
        "data.a: 5",
        1,
        9,
        "no blanks before a value",
        Some("data.a:5"),
    ),
    (
        "since: 24h",
        1,
        10,
        "no blanks before a value",
        Some("since:24h"),
    ),
    (
        "outcome:x, y, z",
        1,
        15,
        "no blanks before a value",
        Some("outcome:x,y,z"),
    ),
    (
        "outcome:x ,y",
        1,
        12,
        "no blanks around a comma",
        Some("outcome:x,y"),
    ),
    (
        "outcome:x , y",
        1,
        13,
        "no blanks around a comma",
        Some("outcome:x,y"),
    ),
    ("data.a==1", 1, 9, "write `=`", Some("data.a=1")),
    ("data.a===1", 1, 10, "write `=`", Some("data.a=1")),
    ("data.a=>1", 1, 9, "write `>=`", Some("data.a>=1")),
    ("data.a=<1", 1, 9, "write `<=`", Some("data.a<=1")),
    ("data.a<>1", 1, 9, "write `!=`", Some("data.a!=1")),
    (
        "outcome<>x,\"y\"",
        1,
        14,
        "write `!=`",
        Some("outcome!=x,\"y\""),
    ),
    ("data.a!==1", 1, 10, "write `!=`", Some("data.a!=1")),
    ("data.a!>1", 1, 9, "write `<=`", Some("data.a<=1")),
    ("data.a==", 1, 8, "write `=`", None),
    ("ip:foo", 4, 3, "no IP address", None),
    ("ip:localhost", 4, 9, "no IP address", None),
    ("ip:fe80::g", 4, 7, "no IP address", None),
    (
        "ip:10.0.0.1-10.0.0.9",
        4,
        17,
        "a network like 10.0.0.0/8",
        None,
    ),
    ("ip:::1,a.example:443", 8, 13, "no IP address", None),
    ("ip:10.***.***.***", 4, 14, "no wildcards", None),
    ("ai.model:x", 1, 8, "no qualifier `ai.model`", Some("model")),
    (
        "event_type:x",
        1,
        10,
        "no qualifier `event_type`",
        Some("type"),
    ),
    ("user:x", 1, 4, "no qualifier `user`", Some("actor")),
    ("action:x", 1, 6, "no qualifier `action`", Some("type")),
    (
        "ip_address:x",
        1,
        10,
        "no qualifier `ip_address`",
        Some("ip"),
    ),
    ("actor.id:x", 1, 8, "no qualifier `actor.id`", Some("actor")),
    (
        "performance.duration_ms>1",
        1,
        23,
        "no qualifier",
        Some("duration"),
    ),
    ("occurred_at>1", 1, 11, "no qualifier", Some("since")),
    ("message:x", 1, 7, "write them alone", None),
];

#[test]
fn what_is_text_all_the_same() {
    for text in [
        "\"!outcome:x\"",
        "\"!\"",
        "wow! great",
        "actor ::1",
        "\"actor\" :x",
        "actor \":x\"",
        "\"status\" \"> 400\"",
        "outcome:success (,x)",
        "\"actor\" (:x*)",
        "data.amount",
        "status",
        "ip:\"localhost\"",
        "\"data.amount!\"",
        "data.a\\!:5",
    ] {
        let parsed = parse(text, &context()).unwrap_or_else(|errors| panic!("{}", errors[0]));
        let again = parse(&parsed.to_string(), &context());
        assert_eq!(again, Ok(parsed), "{text}");
    }
}

#[test]
fn slips_say_what_to_write() {
    for (text, column, length, message, suggestion) in SLIPS {
        let errors = parse(text, &context()).expect_err(text);
        let [error] = errors.as_slice() else {
            panic!("{text}: {errors:?}")
        };
        let place = (error.column(), error.length());
        assert_eq!(place, (*column, *length), "{text}: {error}");
        assert!(error.message().contains(message), "{text}: {error}");
        assert_eq!(error.suggestion(), *suggestion, "{text}: {error}");
    }
}
