//! What paths, numbers, wildcards and networks mean.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::Bound;

use indelible_event::Field;
use indelible_event::ids::Micros;
use indelible_query::{Ask, ParseContext, parse};
use indelible_store::{Decimal, Key, Network, Path, Pattern, Test};

fn ask(text: &str) -> Ask {
    let parsed = parse(text, &ParseContext::utc(Micros(0)));
    parsed
        .unwrap_or_else(|errors| panic!("{text}: {}", errors[0]))
        .ask
}

fn refused(text: &str) -> String {
    let errors = parse(text, &ParseContext::utc(Micros(0))).expect_err(text);
    errors[0].message().to_owned()
}

fn word(text: &str) -> Ask {
    Ask::Text(text.to_owned())
}

fn is(key: Key, text: &str) -> Ask {
    Ask::Is(key, text.to_owned())
}

fn at(field: Field, steps: &[&str], test: Test) -> Ask {
    let steps = steps.iter().map(|step| (*step).to_owned()).collect();
    Ask::At(Path { field, steps }, test)
}

fn number(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn range(from: &str, to: &str) -> Test {
    let end = |text: &str| match text {
        "" => Bound::Unbounded,
        text => Bound::Included(number(text)),
    };
    Test::Number(end(from), end(to))
}

fn text(text: &str) -> Test {
    Test::Text(text.to_owned())
}

#[test]
fn what_is_there() {
    for (name, field) in [
        ("proof", Field::Proof),
        ("Error", Field::Error),
        ("http.path", Field::HttpPath),
        ("parent", Field::ParentId),
        ("service", Field::SourceService),
        ("cost", Field::AiCostUsd),
        ("status", Field::HttpStatus),
        ("target", Field::Target),
        ("type", Field::EventType),
        ("personal", Field::Sealed),
    ] {
        let expected = at(field, &[], Test::There);
        assert_eq!(ask(&format!("has:{name}")), expected, "{name}");
    }
    assert_eq!(ask("has:attachment"), Ask::Attachment);
    let path = at(Field::Data, &["a.b", "C d"], Test::There);
    assert_eq!(ask("has:\"data.a\\\\.b.C\\\\ d\""), path);
    assert_eq!(ask("has!=error"), ask("-has:error"));
}

#[test]
fn numbers_of_the_model() {
    let above = |text| Test::Number(Bound::Excluded(number(text)), Bound::Unbounded);
    for (text, field, test) in [
        ("duration>500ms", Field::DurationMs, above("500")),
        ("duration>1.5S", Field::DurationMs, above("1500")),
        ("duration>2m", Field::DurationMs, above("120000")),
        ("latency>0.0001h", Field::AiLatencyMs, above("360")),
        ("duration>7", Field::DurationMs, above("7")),
        ("tokens=7", Field::AiTotalTokens, range("7", "7")),
        ("tokens.prompt>=7", Field::AiPromptTokens, range("7", "")),
        (
            "tokens.completion<=7",
            Field::AiCompletionTokens,
            range("", "7"),
        ),
        ("cost:0.1..1e3", Field::AiCostUsd, range("0.1", "1000")),
        ("confidence:..0.5", Field::AiConfidence, range("", "0.5")),
        ("status:500..", Field::HttpStatus, range("500", "")),
    ] {
        assert_eq!(ask(text), at(field, &[], test), "{text}");
    }
    let below = Test::Number(Bound::Unbounded, Bound::Excluded(number("-1")));
    assert_eq!(ask("cost<-1"), at(Field::AiCostUsd, &[], below));
    assert_eq!(ask("cost!=1"), ask("-cost:1"));
    assert_eq!(ask("status:200,404"), ask("status:200 OR status=404"));
}

#[test]
fn paths_and_their_values() {
    for (said, field, steps, test) in [
        ("data.a:x", Field::Data, &["a"][..], text("x")),
        (
            "DATA.Ab.0.c=Paid",
            Field::Data,
            &["Ab", "0", "c"],
            text("paid"),
        ),
        (
            "changes.after.rôle:\"A b\"",
            Field::Changes,
            &["after", "rôle"],
            text("a b"),
        ),
        ("data.a\\.b\\>c:1", Field::Data, &["a.b>c"], range("1", "1")),
        ("data.a-b@c:true", Field::Data, &["a-b@c"], Test::Flag(true)),
        ("data.a:\"true\"", Field::Data, &["a"], text("true")),
        ("data.a:NULL", Field::Data, &["a"], Test::Null),
        ("data.a:\"\"", Field::Data, &["a"], text("")),
        ("data.a:\"7\"", Field::Data, &["a"], text("7")),
        ("data.a:007", Field::Data, &["a"], text("007")),
        ("data.a:1..2", Field::Data, &["a"], range("1", "2")),
        ("data.a:../x", Field::Data, &["a"], text("../x")),
        ("data.a:a:b", Field::Data, &["a"], text("a:b")),
    ] {
        assert_eq!(ask(said), at(field, steps, test), "{said}");
    }
    assert_eq!(ask("data.a!=1"), ask("-data.a:1"));
    assert_eq!(ask("data.amount"), word("data.amount"));
    assert_eq!(ask("database.x"), word("database.x"));
}

#[test]
fn networks() {
    let within = |text| Ask::Within(Network::parse(text).unwrap());
    assert_eq!(ask("ip:10.1.2.3/8"), within("10.0.0.0/8"));
    assert_eq!(ask("ip:2001:DB8::/32"), within("2001:db8::/32"));
    let list = Ask::Or(vec![within("::/0"), is(Key::Ip, "10.0.0.1")]);
    assert_eq!(ask("ip:::/0,10.0.0.1"), list);
}

#[test]
fn wildcards() {
    let like = |key, text: &str| Ask::Like(key, Pattern::parse(text));
    assert_eq!(ask("actor:Bert*"), like(Key::Actor, "bert*"));
    assert_eq!(
        ask("target:*/invoices/?"),
        like(Key::Target, "*/invoices/?")
    );
    assert_eq!(ask("outcome:fail*"), like(Key::Outcome, "fail*"));
    assert_eq!(ask("id:ext-*"), Ask::IdLike(Pattern::parse("ext-*")));
    let path = at(Field::Data, &["a"], Test::Like(Pattern::parse("p?id")));
    assert_eq!(ask("data.a:P?id"), path);
    assert_eq!(ask("log*"), Ask::TextLike("log*".to_owned()));
    assert_eq!(ask("type:auth.*,x"), ask("type:auth.* OR type:x"));
    // Escaped, in quotes, or where it is none: the sign itself.
    assert_eq!(ask(r"actor:a\*b\?\\c\d"), is(Key::Actor, r"a*b?\c\d"));
    assert_eq!(ask("actor:\"a*\""), is(Key::Actor, "a*"));
    assert_eq!(ask(r"data.a:\*"), at(Field::Data, &["a"], text("*")));
    assert_eq!(ask("data.a:\"p*\""), at(Field::Data, &["a"], text("p*")));
    assert_eq!(ask(r"a\*b"), word("a*b"));
    assert_eq!(ask("why?"), word("why?"));
    let long = format!("actor:{}*", "a".repeat(128));
    assert!(refused(&long).contains("at most 128"));
    assert!(refused(&long.replace("actor:", "")).contains("at most 128"));
    assert!(refused(&long.replace("actor", "data.a")).contains("at most 128"));
}
