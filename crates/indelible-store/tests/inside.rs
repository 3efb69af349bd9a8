//! What conditions on values inside of events mean.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::Bound;

use indelible_event::ids::AuditId;
use indelible_event::{EventView, Field, canonical::canonicalize};
use indelible_store::{Decimal, Expr, Path, Subject, Terms, Test};

const EVENT: &str = r#"{"data":{"amount":9007199254740993,"code":"100","empty":"","flag":true,
    "items":[{"sku":"A-1","price":1.50},{"sku":"Ünï","price":12}],"none":null,"tags":["Red",[7]],
    "a.b":{"c\\":"ß"},"7":"seven","hole":{},"mark":"[sealed]"},
    "changes":{"after":{"role":" Admin "},"fields":["role"]},
    "performance":{"duration_ms":250.5},"ai":{"cost_usd":1e400},"http":{"status":"404"},
    "actor":{},"error":null,"description":"","metadata":[],"soc":{"a":null}}"#;

fn holds(expr: &Expr) -> bool {
    let event = canonicalize(EVENT.as_bytes()).unwrap();
    let event = EventView::parse(&event).unwrap();
    expr.matches(&Subject {
        sequence_number: 0,
        audit_id: AuditId([0; 16]),
        event: &event,
        terms: &Terms::default(),
        sealed: &[],
    })
}

fn at(path: &str, test: Test) -> bool {
    let mut steps = path.split('/').map(str::to_owned);
    let root = steps.next().unwrap();
    let field = Field::ALL.iter().copied().find(|f| f.path() == root);
    let (field, steps) = (field.unwrap(), steps.collect());
    holds(&Expr::At(Path { field, steps }, test))
}

fn number(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn exactly(text: &str) -> Test {
    Test::Number(Bound::Included(number(text)), Bound::Included(number(text)))
}

fn above(text: &str) -> Test {
    Test::Number(Bound::Excluded(number(text)), Bound::Unbounded)
}

fn text(text: &str) -> Test {
    Test::Text(text.to_owned())
}

#[test]
fn numbers_are_not_rounded_and_are_no_texts() {
    for (path, test, expected) in [
        ("data/amount", exactly("9007199254740993"), true),
        ("data/amount", exactly("9007199254740992"), false),
        ("data/amount", exactly("9007199254740993.0"), true),
        ("data/amount", above("9007199254740992"), true),
        ("data/amount", above("9007199254740993"), false),
        ("data/amount", text("9007199254740993"), false),
        ("data/code", exactly("100"), false),
        ("data/code", text("100"), true),
        ("data/flag", exactly("1"), false),
        ("data/none", exactly("0"), false),
        ("performance.duration_ms", exactly("250.50"), true),
        // What no double holds is in no column.
        ("ai.cost_usd", above("1"), false),
        ("http.status", exactly("404"), false),
        ("http.status", text("404"), true),
    ] {
        assert_eq!(at(path, test.clone()), expected, "{path} {test:?}");
    }
}

#[test]
fn words_and_texts_are_told_apart() {
    for (path, test, expected) in [
        ("data/flag", Test::Flag(true), true),
        ("data/flag", Test::Flag(false), false),
        ("data/flag", text("true"), false),
        ("data/none", Test::Null, true),
        ("data/missing", Test::Null, false),
        ("data/empty", text(""), true),
        ("data/none", text(""), false),
        ("changes/after/role", text("admin"), true),
        ("changes/after/role", text("adm"), false),
        ("changes/after", text("admin"), false),
    ] {
        assert_eq!(at(path, test.clone()), expected, "{path} {test:?}");
    }
}

#[test]
fn paths_lead_through_lists_and_odd_keys() {
    for (path, test, expected) in [
        ("data/items/0/sku", text("a-1"), true),
        ("data/items/1/sku", text("a-1"), false),
        ("data/items/2/sku", text("a-1"), false),
        ("data/items/sku", text("ünï"), true),
        ("data/items/price", exactly("1.5"), true),
        ("data/items/price", above("12"), false),
        ("data/tags", text("red"), true),
        ("data/tags", exactly("7"), true),
        ("data/tags/1/0", exactly("7"), true),
        ("data/tags/0", text("red"), true),
        ("data/tags/0", exactly("7"), false),
        ("data/a.b/c\\", text("ß"), true),
        ("data/7", text("seven"), true),
        ("data/ITEMS/0/sku", text("a-1"), false),
        ("data/amount/0", exactly("9007199254740993"), false),
        ("changes/fields", text("role"), true),
    ] {
        assert_eq!(at(path, test.clone()), expected, "{path} {test:?}");
    }
}

#[test]
fn what_says_nothing_is_not_there() {
    for (path, expected) in [
        ("data", true),
        ("data/flag", true),
        ("data/items", true),
        ("data/items/price", true),
        ("data/items/none", false),
        ("data/none", false),
        ("data/empty", false),
        ("data/hole", false),
        ("data/missing", false),
        ("changes", true),
        ("changes.after", true),
        ("changes.before", false),
        ("error", false),
        ("description", false),
        ("metadata", false),
        ("actor", false),
        ("soc", true),
        ("sealed", false),
    ] {
        assert_eq!(at(path, Test::There), expected, "{path}");
    }
    assert!(!holds(&Expr::Attachment));
}
