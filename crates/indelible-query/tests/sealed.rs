//! Sealed values are found by their text where keys are at hand, and the answer says where not.

#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::ids::{Micros, TenantId};
use indelible_query::{ParseContext, Resolved, page, parse, resolve};
use indelible_store::conformance::{Generator, Mix, Seals};
use indelible_store::memory::MemoryLedger;
use indelible_store::{Commit, Expr, FindHash, Finder, Index as _, Key, Ledger as _, Query};

/// Has the keys of one tenant alone.
struct KeysOf(TenantId);

impl Finder for KeysOf {
    fn find(&self, tenant: &TenantId, search_name: &str, normalised: &str) -> Option<FindHash> {
        (*tenant == self.0).then(|| Seals::hash(tenant, search_name, normalised))
    }
}

fn tenants() -> Vec<TenantId> {
    (0..2)
        .map(|n| TenantId::parse(&format!("tenant-{n}")).unwrap())
        .collect()
}

fn resolved(text: &str, finder: Option<&dyn Finder>) -> Resolved {
    let parsed = parse(text, &ParseContext::utc(Micros(0))).unwrap();
    resolve(&parsed, &tenants(), finder)
}

/// A ledger in which every actor is sealed, or none.
fn ledger(personal_percent: u64) -> MemoryLedger {
    let mix = Mix {
        tenants: 2,
        personal_percent,
        ..Mix::default()
    };
    let mut generator = Generator::new(7, mix);
    let ledger = MemoryLedger::new();
    for _ in 0..10 {
        let appends = (0..2).map(|tenant| generator.append(tenant, 20)).collect();
        ledger.append(&Commit { appends }).unwrap();
    }
    ledger
}

fn count(ledger: &MemoryLedger, query: &Query) -> usize {
    page(ledger, ledger, query, None, 10_000)
        .unwrap()
        .rows
        .len()
}

#[test]
fn sealed_and_clear_values_are_found_by_the_same_text() {
    // The same seed makes the same records, but for the sealing.
    let (sealed, clear) = (ledger(100), ledger(0));
    for (text, least) in [
        ("actor:\"actor number 0\"", 10),
        ("\"Actor Number 1\"", 10),
        ("ip:10.1.1.1", 10),
        ("10.1.1.1", 10),
        ("ip:10.1.1.1 actor:\"Actor Number 1\"", 10),
        ("agent-string:browser/0.0", 30),
        ("-ip:10.1.1.1", 200),
        ("ip:10.9.9.9", 0),
    ] {
        let Resolved { query, unsearched } = resolved(text, Some(&Seals));
        assert!(unsearched.is_empty());
        let found = count(&sealed, &query);
        assert_eq!(found > 0, least > 0, "{text}");
        assert!(found >= least, "{text}: {found}");
        let without = resolved(text, None).query;
        if !text.starts_with('-') {
            assert_eq!(count(&sealed, &without), 0, "{text} is not sealed");
        }
        assert!(count(&clear, &without) >= least, "{text}");
        assert_eq!(count(&clear, &without), count(&clear, &query), "{text}");
    }
}

#[test]
fn tenants_without_keys_are_named() {
    let all = tenants();
    let finder = KeysOf(all[1].clone());
    for text in [
        "actor:x",
        "target:x",
        "ip:::1",
        "email:a@b",
        "agent-string:x",
        "x",
        "-actor:x",
    ] {
        assert_eq!(resolved(text, Some(&finder)).unsearched, all[..1], "{text}");
        assert_eq!(resolved(text, None).unsearched, all, "{text}");
    }
    for text in [
        "",
        "type:x outcome:denied",
        "seq:1",
        "id:x",
        "correlation:x",
        "since:1d",
    ] {
        assert!(resolved(text, None).unsearched.is_empty(), "{text}");
    }
    let one = resolved("actor:x tenant:tenant-1", Some(&finder));
    assert!(one.unsearched.is_empty());
}

#[test]
fn sealed_addresses_of_small_networks_are_found() {
    let all = tenants();
    let (sealed, clear) = (ledger(100), ledger(0));
    for text in [
        "ip:10.1.1.0/24",
        "ip:10.1.1.0/30",
        "ip:10.0.0.0/24,10.1.1.0/24",
    ] {
        let Resolved { query, unsearched } = resolved(text, Some(&Seals));
        assert!(unsearched.is_empty(), "{text}");
        for ledger in [&sealed, &clear] {
            let found = count(ledger, &query);
            assert!((10..100).contains(&found), "{text}: {found}");
        }
        let without = resolved(text, None);
        assert_eq!(count(&sealed, &without.query), 0, "{text}");
        assert_eq!(without.unsearched, all, "{text}");
    }
    // Of a large one the addresses in clear, and the answer says that it lacks the sealed ones.
    let Resolved { query, unsearched } = resolved("ip:10.0.0.0/8", Some(&Seals));
    assert_eq!(unsearched, all);
    assert_eq!(count(&clear, &query), 400);
    assert_eq!(count(&sealed, &query), 0);
    let one = KeysOf(all[1].clone());
    assert_eq!(resolved("ip:10.1.1.0/24", Some(&one)).unsearched, all[..1]);
    // So many tenants that their hashes would be too many.
    let many: Vec<_> = (0..200)
        .map(|n| TenantId::parse(&format!("t{n}")).unwrap())
        .collect();
    let parsed = parse("ip:10.1.1.0/24", &ParseContext::utc(Micros(0))).unwrap();
    assert_eq!(resolve(&parsed, &many, Some(&Seals)).unsearched.len(), 200);
}

#[test]
fn parts_of_sealed_values_are_said_not_to_be_searched() {
    let all = tenants();
    let (sealed, clear) = (ledger(100), ledger(0));
    for (text, least) in [
        ("actor:\"actor number 0\" OR actor:\"actor num*\"", 10),
        ("actor:actor?num*", 200),
        ("agent-string:brow*.0", 200),
        ("actor:*umber?4", 5),
    ] {
        let Resolved { query, unsearched } = resolved(text, Some(&Seals));
        let parts = parse(text, &ParseContext::utc(Micros(0))).unwrap();
        assert_eq!(parts.ask.asks_for_parts(), !unsearched.is_empty(), "{text}");
        if text.contains(" OR ") {
            continue;
        }
        assert_eq!(unsearched, all, "{text}");
        // Found where they stand in clear, and never through the body where they are sealed.
        assert!(count(&clear, &query) >= least, "{text}");
        assert_eq!(count(&sealed, &query), 0, "{text}");
    }
    for text in ["email:*@x", "target:x*", "x*", "-actor:x*"] {
        assert_eq!(resolved(text, Some(&Seals)).unsearched, all, "{text}");
    }
    for text in [
        "type:x*",
        "data.a:x*",
        "id:x*",
        "correlation:x?",
        "has:error",
        "cost>1",
    ] {
        let parts = parse(text, &ParseContext::utc(Micros(0))).unwrap();
        assert!(!parts.ask.asks_for_parts(), "{text}");
        assert!(resolved(text, None).unsearched.is_empty(), "{text}");
    }
}

#[test]
fn search_names_are_those_of_the_sealer() {
    let sealed = |text: &str| match resolved(text, Some(&Seals)).query.expr {
        Expr::Or(parts) => parts
            .into_iter()
            .find_map(|part| {
                if let Expr::Sealed(finds) = part {
                    Some(finds)
                } else {
                    None
                }
            })
            .unwrap(),
        other => panic!("{other:?}"),
    };
    for (text, value, names) in [
        (
            "actor:X",
            "x",
            &["/actor/name", "/actor/id", "/actor/email"][..],
        ),
        (
            "target:X",
            "x",
            &["/target/name", "/target/id", "/target/uid", "/target/email"],
        ),
        (
            "ip:2001:DB8:0::1",
            "2001:db8::1",
            &["/actor/ip", "/target/ip", "ip"],
        ),
        (
            "email:A@b.c",
            "a@b.c",
            &[
                "/actor/email",
                "/target/email",
                "/actor/id",
                "/target/id",
                "email",
            ],
        ),
        (
            "agent-string:\"Moz 5\"",
            "moz 5",
            &["/actor/user_agent", "/target/user_agent"],
        ),
    ] {
        let hash = |tenant| {
            names
                .iter()
                .map(move |name| Seals::hash(tenant, name, value))
        };
        let all = tenants();
        let mut expected: Vec<_> = all.iter().flat_map(hash).collect();
        expected.sort();
        assert_eq!(sealed(text), expected, "{text}");
    }
}

#[test]
fn tenants_are_those_allowed_and_named() {
    let names = |text: &str| {
        let tenants = resolved(text, None).query.tenants.unwrap();
        tenants.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["tenant-0", "tenant-1"]);
    assert_eq!(names("tenant:tenant-1,secret"), ["tenant-1"]);
    assert!(names("tenant:secret").is_empty());
    let nobody = resolve(&indelible_query::Parsed::default(), &[], None).query;
    let ledger = ledger(50);
    assert_eq!(count(&ledger, &nobody), 0);
    assert!(ledger.mark().unwrap() > 0);
}

#[test]
fn a_word_is_text_or_a_whole_identifier() {
    let Expr::Or(parts) = resolved("Bert-Jan", None).query.expr else {
        panic!("alternatives")
    };
    assert!(parts.contains(&Expr::Phrase(vec!["bert".into(), "jan".into()])));
    for key in [
        Key::Actor,
        Key::Target,
        Key::Correlation,
        Key::Request,
        Key::Trace,
        Key::Session,
        Key::SourceId,
        Key::Subject,
    ] {
        assert!(parts.contains(&Expr::Is(key, "bert-jan".into())), "{key:?}");
    }
    // Nothing but signs: no phrase of no words, which would be every record.
    let Expr::Or(parts) = resolved("???", None).query.expr else {
        panic!("alternatives")
    };
    assert!(!parts.iter().any(|part| matches!(part, Expr::Phrase(_))));
}

/// Nobody has sealed anything.
struct NoKeys;

impl Finder for NoKeys {
    fn find(&self, _: &TenantId, _: &str, _: &str) -> Option<FindHash> {
        Some(FindHash::NOTHING)
    }
}

#[test]
fn where_nothing_is_sealed_nothing_is_said_to_be_unsearched() {
    for text in ["b*", "actor:b*", "ip:10.0.0.0/8"] {
        assert!(
            resolved(text, Some(&NoKeys)).unsearched.is_empty(),
            "{text}"
        );
        assert!(!resolved(text, None).unsearched.is_empty(), "{text}");
    }
}
