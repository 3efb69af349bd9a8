//! What texts mean, and where errors point.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::ids::Micros;
use indelible_query::{Ask, DEPTH_MAX, ParseContext, Parsed, QueryError, TERMS_MAX, parse};
use indelible_store::Key;

fn context() -> ParseContext {
    ParseContext::utc(Micros::parse("2026-11-20T10:30:00Z").unwrap())
}

fn ask(text: &str) -> Ask {
    parsed(text).ask
}

fn parsed(text: &str) -> Parsed {
    parse(text, &context()).unwrap_or_else(|errors| panic!("{text}: {}", errors[0]))
}

fn errors(text: &str) -> Vec<QueryError> {
    parse(text, &context()).expect_err(text)
}

fn word(text: &str) -> Ask {
    Ask::Text(text.to_owned())
}

fn is(key: Key, text: &str) -> Ask {
    Ask::Is(key, text.to_owned())
}

fn not(inner: Ask) -> Ask {
    Ask::Not(Box::new(inner))
}

#[test]
fn words_quotes_and_qualifiers() {
    assert_eq!(ask(""), Ask::All);
    assert_eq!(ask("  \t\n "), Ask::All);
    assert_eq!(ask("login"), word("login"));
    assert_eq!(ask("bert-jan"), word("bert-jan"));
    assert_eq!(ask("\"signed in\""), word("signed in"));
    assert_eq!(ask(r#""a \"b\" \\ c""#), word(r#"a "b" \ c"#));
    assert_eq!(ask("12:30"), word("12:30"));
    assert_eq!(ask("2001:db8::1"), word("2001:db8::1"));
    assert_eq!(ask("::1"), word("::1"));
    assert_eq!(ask("\"-\""), word("-"));
    assert_eq!(ask("Größe"), word("Größe"));
    assert_eq!(ask("actor:Bert-Jan"), is(Key::Actor, "bert-jan"));
    assert_eq!(ask("ACTOR:x"), is(Key::Actor, "x"));
    assert_eq!(ask("actor:\"Bert Jan\""), is(Key::Actor, "bert jan"));
    assert_eq!(
        ask("actor:arn:aws:iam::1:user/x"),
        is(Key::Actor, "arn:aws:iam::1:user/x")
    );
    assert_eq!(ask("actor.type:USER"), is(Key::ActorType, "user"));
    assert_eq!(ask("ip:2001:DB8:0::1"), is(Key::Ip, "2001:db8::1"));
    assert_eq!(ask("ip:\"10.0.0.0/8\""), is(Key::Ip, "10.0.0.0/8"));
    // What no address can be is searched for as it stands where somebody insists.
    for text in ["300.1.1.1", "10.0.0.1:443", "10.0.0"] {
        let quoted = format!("ip:\"{text}\"");
        assert_eq!(ask(&quoted), is(Key::Ip, text));
        assert_eq!(parse(&quoted, &context()).unwrap().to_string(), quoted);
    }
    assert_eq!(
        ask("ip:cloudtrail.amazonaws.com"),
        is(Key::Ip, "cloudtrail.amazonaws.com")
    );
    assert_eq!(ask("outcome:\"odd word\""), is(Key::Outcome, "odd word"));
    assert_eq!(ask("id:ABC"), Ask::Id("abc".to_owned()));
}

#[test]
fn every_qualifier_of_a_term_has_its_key() {
    for (name, key) in [
        ("actor", Key::Actor),
        ("target", Key::Target),
        ("target.type", Key::TargetType),
        ("type", Key::Type),
        ("category", Key::Category),
        ("correlation", Key::Correlation),
        ("request", Key::Request),
        ("trace", Key::Trace),
        ("email", Key::Email),
        ("session", Key::Session),
        ("project", Key::Project),
        ("service", Key::Service),
        ("investigation", Key::Investigation),
        ("alert", Key::Alert),
        ("subject", Key::Subject),
        ("agent", Key::Agent),
        ("model", Key::Model),
        ("agent-string", Key::UserAgent),
        ("parent", Key::Parent),
    ] {
        assert_eq!(ask(&format!("{name}:x1")), is(key, "x1"));
    }
    for (text, key, value) in [
        ("ip:10.0.0.7", Key::Ip, "10.0.0.7"),
        ("actor.type:agent", Key::ActorType, "agent"),
        ("outcome:denied", Key::Outcome, "denied"),
        ("severity:critical", Key::Severity, "critical"),
        ("light:amber", Key::Light, "amber"),
        ("proof:bundle", Key::Proof, "bundle"),
    ] {
        assert_eq!(ask(text), is(key, value));
    }
}

#[test]
fn lists_negation_and_groups() {
    let (a, b, c) = (word("a"), word("b"), word("c"));
    assert_eq!(ask("a b"), Ask::And(vec![a.clone(), b.clone()]));
    assert_eq!(ask("a AND b"), ask("a b"));
    assert_eq!(
        ask("(a b) c"),
        Ask::And(vec![a.clone(), b.clone(), c.clone()])
    );
    assert_eq!(
        ask("a OR b OR c"),
        Ask::Or(vec![a.clone(), b.clone(), c.clone()])
    );
    let and = Ask::And(vec![b.clone(), c.clone()]);
    assert_eq!(ask("a OR b c"), Ask::Or(vec![a.clone(), and]));
    let or = Ask::Or(vec![a.clone(), b.clone()]);
    assert_eq!(ask("(a OR b) c"), Ask::And(vec![or, c]));
    assert_eq!(ask("-a"), not(a.clone()));
    assert_eq!(ask("NOT a"), not(a.clone()));
    assert_eq!(ask("NOT -a"), a);
    assert_eq!(ask("-(NOT -a)"), not(a.clone()));
    assert_eq!(ask("-(a b)"), not(Ask::And(vec![a.clone(), b.clone()])));
    assert_eq!(ask("-a b"), Ask::And(vec![not(a.clone()), b]));
    assert_eq!(ask("\"AND\" or"), Ask::And(vec![word("AND"), word("or")]));
    let list = Ask::Or(vec![
        is(Key::Outcome, "failure"),
        is(Key::Outcome, "denied"),
    ]);
    assert_eq!(ask("outcome:failure,denied"), list);
    assert_eq!(ask("-outcome:failure,denied"), not(list));
    let names = Ask::Or(vec![is(Key::Actor, "a, b"), is(Key::Actor, "c")]);
    assert_eq!(ask("actor:\"a, b\",c"), names);
}

#[test]
fn sequences() {
    for (text, range) in [
        ("seq:7", 7..8),
        ("seq:10..20", 10..21),
        ("seq:10..", 10..u64::MAX),
        ("seq:..20", 0..21),
        ("seq:0..0", 0..1),
        ("seq:18446744073709551614", u64::MAX - 1..u64::MAX),
    ] {
        assert_eq!(ask(text), Ask::Sequence(range), "{text}");
    }
    assert_eq!(
        ask("seq:1,5"),
        Ask::Or(vec![Ask::Sequence(1..2), Ask::Sequence(5..6)])
    );
    for (text, range) in [
        ("seq>7", 8..u64::MAX),
        ("seq>=7", 7..u64::MAX),
        ("seq<7", 0..7),
        ("seq<=7", 0..8),
        ("seq=7", 7..8),
    ] {
        assert_eq!(ask(text), Ask::Sequence(range), "{text}");
    }
}

#[test]
fn bounds_leave_the_condition() {
    let text = "since:24h actor:a until:2026-11-20 tenant:b,a ingested-since:2026-01-01T00:00Z";
    let parsed = parsed(text);
    assert_eq!(parsed.ask, is(Key::Actor, "a"));
    let names: Vec<_> = parsed
        .tenants
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        parsed.occurred.start.to_rfc3339(),
        "2026-11-19T10:30:00.000000Z"
    );
    assert_eq!(
        parsed.occurred.end.to_rfc3339(),
        "2026-11-21T00:00:00.000000Z"
    );
    assert_eq!(
        parsed.ingested.start.to_rfc3339(),
        "2026-01-01T00:00:00.000000Z"
    );
    assert_eq!(parsed.ingested.end, Micros(i64::MAX));
    // The narrower of two.
    let narrow = self::parsed("since:7d (since:1d x) tenant:a,b tenant:b,c");
    assert_eq!(
        narrow.occurred.start.to_rfc3339(),
        "2026-11-19T10:30:00.000000Z"
    );
    assert_eq!(narrow.tenants.unwrap()[0].as_str(), "b");
    assert_eq!(narrow.ask, word("x"));
}

/// Text, column, length, part of the message, suggestion.
type Case = (
    &'static str,
    usize,
    usize,
    &'static str,
    Option<&'static str>,
);

const CASES: &[Case] = &[
    (
        "acter:bob",
        1,
        5,
        "there is no qualifier `acter`",
        Some("actor"),
    ),
    (
        "a otucome:x",
        3,
        7,
        "there is no qualifier `otucome`",
        Some("outcome"),
    ),
    ("arn:aws:iam::1", 1, 3, "quote it", None),
    (
        "outcome:failed",
        9,
        6,
        "is one of success, failure",
        Some("failure"),
    ),
    ("outcome:sucess", 9, 6, "is one of", Some("success")),
    ("outcome:success,x", 17, 1, "is one of", None),
    ("severity:warn", 10, 4, "is one of debug", Some("warning")),
    ("actor.type:usr", 12, 3, "is one of user", Some("user")),
    ("actor:", 7, 0, "`actor:` needs a value", None),
    ("actor:a,", 9, 0, "`actor:` needs a value", None),
    ("actor:\" \"", 7, 3, "`actor:` needs a value", None),
    ("\"\"", 1, 2, "the quotes are empty", None),
    ("-", 1, 1, "stands before nothing", None),
    ("a - b", 3, 1, "stands before nothing", None),
    ("(a -)", 4, 1, "stands before nothing", None),
    ("a \"bc", 3, 3, "the quote is not closed", None),
    ("actor:\"bc", 7, 3, "the quote is not closed", None),
    ("(a", 1, 1, "the parenthesis is not closed", None),
    ("a )", 3, 1, "nothing is open here", None),
    ("a ()", 3, 2, "the parentheses are empty", None),
    ("a OR", 5, 0, "is missing here", None),
    ("AND a", 1, 3, "is missing before this", None),
    ("a OR OR b", 6, 2, "is missing before this", None),
    ("NOT", 4, 0, "is missing here", None),
    ("* x", 1, 1, "some of the word beside `*`", None),
    ("x -*-*", 4, 3, "some of the word beside `*`", None),
    ("ip:10.0.*", 4, 6, "no wildcards", Some("10.0.0.0/16")),
    ("ip:300.1.1.1", 4, 9, "no IP address", None),
    ("ip:10.0.0.1,10.0.0", 13, 6, "no IP address", None),
    ("ip:10.0.0.1:443", 4, 12, "no IP address", None),
    ("ip:2001:db8:::1", 4, 12, "no IP address", None),
    (
        "proof:screen",
        7,
        6,
        "is one of screenshot",
        Some("screenshot"),
    ),
    (
        "x data.amount!>1",
        3,
        14,
        "write `<=`",
        Some("data.amount<=1"),
    ),
    ("data.amount!<=1", 1, 15, "write `>`", Some("data.amount>1")),
    ("duration!>=1s", 1, 13, "write `<`", Some("duration<1s")),
    ("seq:1*", 5, 2, "write sequence numbers", None),
    ("cost:1*", 6, 2, "write a number here", None),
    ("tenant:ac*", 8, 3, "a tenant is 1 to 128", None),
    ("has:pro*", 5, 4, "has this name", None),
    ("ip:10.0.0.0/33", 4, 11, "0 to 32", None),
    ("ip:10.0.0/8", 4, 8, "a network is an address", None),
    ("ip:::1,::/129", 8, 6, "to 128 for IPv6", None),
    ("seq:20..10", 5, 6, "the smaller one first", None),
    ("seq:..", 5, 2, "write sequence numbers", None),
    ("seq:-1", 5, 2, "write sequence numbers", None),
    (
        "seq:18446744073709551615",
        5,
        20,
        "write sequence numbers",
        None,
    ),
    ("since:tomorrow", 7, 8, "write a time like", None),
    ("since:2026-02-30", 7, 10, "does not exist", None),
    ("since:1d,2d", 1, 11, "one time, not a list", None),
    ("until:7d since:1d", 10, 8, "ends before it begins", None),
    ("a OR since:1d", 6, 8, "bounds the whole query", None),
    ("-tenant:acme", 2, 11, "bounds the whole query", None),
    ("tenant:a/b", 8, 3, "a tenant is 1 to 128", None),
    (
        "tenant:a tenant:b",
        10,
        8,
        "no tenant is named by both",
        None,
    ),
    ("has:prof", 5, 4, "has this name", Some("proof")),
    ("has:atachment", 5, 9, "has this name", Some("attachment")),
    (
        "has:http.stauts",
        5,
        11,
        "has this name",
        Some("http.status"),
    ),
    ("has:actor.ip", 5, 8, "not in the record", Some("personal")),
    ("has:email", 5, 5, "not in the record", Some("personal")),
    ("has:sequence_number", 5, 15, "has this name", None),
    ("has:data..x", 5, 7, "has this name", None),
    ("has:", 5, 0, "`has:` needs a value", None),
    ("has>1", 1, 5, "`has` has no order: write `has:`", None),
    ("x outcome>=failure", 3, 16, "`outcome` has no order", None),
    ("since>1d", 1, 8, "`since` has no order", None),
    ("since!=1d", 1, 9, "bounds the whole query", None),
    (
        "durations>5",
        1,
        9,
        "no qualifier `durations`",
        Some("duration"),
    ),
    (
        "dta.amount>5",
        1,
        10,
        "no qualifier `dta.amount`",
        Some("data.amount"),
    ),
    (
        "change.after.x:5",
        1,
        14,
        "no qualifier `change.after.x`",
        Some("changes.after.x"),
    ),
    ("key=value", 1, 3, "quote it", None),
    ("duration:fast", 10, 4, "like 500ms", None),
    ("duration:5x", 10, 2, "like 500ms", None),
    ("duration:\"5\"", 10, 3, "like 500ms", None),
    ("tokens:5ms", 8, 3, "write a number here", None),
    ("cost:.5", 6, 2, "write a number here", None),
    ("cost>1,2", 1, 8, "one number, not a list", None),
    ("cost>1..2", 6, 4, "write a number here", None),
    ("cost:2..1", 6, 4, "the smaller end first", None),
    ("cost:..", 6, 2, "write a number here", None),
    ("cost:>1", 6, 2, "in place of the colon", None),
    ("data.a:>=1", 8, 3, "in place of the colon", None),
    ("data.a>", 8, 0, "write a number here", None),
    ("data.a>x", 8, 1, "write a number here", None),
    ("data.a:", 8, 0, "a value is missing here", None),
    ("data.:7", 1, 5, "a key is missing", None),
    ("x data.a..b:7", 3, 9, "a key is missing", None),
    ("data.a:3..2", 8, 4, "the smaller end first", None),
    ("seq>1..2", 5, 4, "one sequence number", None),
    ("seq<0", 1, 5, "no such sequence numbers", None),
    (
        "größe ünter:x actr:y",
        15,
        4,
        "no qualifier `actr`",
        Some("actor"),
    ),
];

#[test]
fn errors_point_at_their_column() {
    for (text, column, length, message, suggestion) in CASES {
        let errors = errors(text);
        let [error] = errors.as_slice() else {
            panic!("{text}: {errors:?}")
        };
        assert_eq!(
            (error.column(), error.length()),
            (*column, *length),
            "{text}: {error}"
        );
        assert!(error.message().contains(message), "{text}: {error}");
        assert_eq!(error.suggestion(), *suggestion, "{text}: {error}");
        assert!(
            !error.message().ends_with('.') && !error.message().starts_with(char::is_uppercase)
        );
    }
}

#[test]
fn all_mistakes_are_reported_in_order() {
    let found = errors("acter:x (outcome:failed OR seq:x) since:never");
    let columns: Vec<_> = found.iter().map(QueryError::column).collect();
    assert_eq!(columns, [1, 18, 32, 41]);
}

#[test]
fn carets_stand_below_what_is_wrong_behind_characters_that_no_terminal_draws() {
    let error = parse("\u{202e}\u{200b}a actr:x", &context()).unwrap_err();
    let drawn = error[0].to_string();
    let lines: Vec<_> = drawn.lines().collect();
    assert_eq!(lines[1], "    a actr:x");
    assert!(lines[2].starts_with("      ^^^^ did"), "{drawn}");
}

#[test]
fn an_error_is_drawn_under_its_text() {
    let drawn = errors("actor:a acter:bob\tx")[0].to_string();
    let expected = "column 9: there is no qualifier `acter`\n  actor:a acter:bob x\n          \
                    ^^^^^ did you mean `actor`?";
    assert_eq!(drawn, expected);
    let long = format!("{} (", "word ".repeat(200));
    let drawn = errors(&long)[0].to_string();
    let lines: Vec<_> = drawn.lines().collect();
    let [_, text, carets] = lines.as_slice() else {
        panic!("{drawn}")
    };
    assert!(text.chars().count() <= 110, "{drawn}");
    let at = carets.find('^').unwrap();
    assert!(at + 1 >= text.trim_end().len() - 1, "{drawn}");
}

#[test]
fn nothing_is_unbounded() {
    let deep = "(".repeat(DEPTH_MAX) + "a" + &")".repeat(DEPTH_MAX);
    assert_eq!(ask(&deep), word("a"));
    let deeper = "(".repeat(1_000) + "a";
    assert!(errors(&deeper)[0].message().contains("deep"));
    let signs = "-".repeat(10_000) + "a";
    assert!(errors(&signs)[0].message().contains("deep"));
    let many = "a ".repeat(TERMS_MAX + 1);
    let found = errors(&many);
    assert_eq!((found.len(), found[0].column()), (1, 2 * TERMS_MAX + 1));
    assert_eq!(errors(&"a".repeat(20_000))[0].column(), 1);
}
