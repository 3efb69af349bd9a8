//! Facets of very many values and tenants: the most frequent ones are named, what is not is said.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use indelible_query::count::{Counting, Written, count};
use indelible_store::conformance::{Generator, Mix, seed};
use indelible_store::memory::MemoryLedger;
use indelible_store::{Commit, Expr, Index, Key, Ledger, Query};
use jiff::tz::TimeZone;
use support::{Walking, acted, filled, source};

#[test]
fn tenants_are_counted_as_a_query_for_each_counts_them() {
    let (ledger, mut queries) = filled("tenants", 20);
    let written = Written {
        facets: "outcome,tenant",
        top: Some(2),
        ..Written::default()
    };
    let wanted = Counting::read(&written, &TimeZone::UTC).unwrap();
    let mut several = 0;
    for _ in 0..60 {
        let query = queries.draw(&[ledger.mark().unwrap()]);
        let mut expected = BTreeMap::<String, u64>::new();
        for place in ledger.matching(std::slice::from_ref(&query)).remove(0) {
            *expected.entry(place.tenant.to_string()).or_default() += 1;
        }
        several += usize::from(expected.len() > 2);
        for index in [&ledger as &dyn Index, &Walking(&ledger)] {
            let counts = count(source(index, &ledger), &query, &wanted).unwrap();
            let facet = &counts.facets[1];
            let mut ordered: Vec<_> = expected.iter().map(|(name, n)| (*n, name)).collect();
            ordered.sort_by(|(a, of_a), (b, of_b)| b.cmp(a).then_with(|| of_a.cmp(of_b)));
            let named = facet.values.iter().map(|value| (value.count, &value.value));
            let others: u64 = ordered.iter().skip(2).map(|(n, _)| n).sum();
            ordered.truncate(2);
            assert_eq!(named.collect::<Vec<_>>(), ordered, "{query:#?}");
            assert_eq!(
                (facet.other, facet.distinct),
                (others, expected.len() as u64)
            );
            assert!(facet.complete && !facet.more, "{query:#?}");
        }
    }
    assert!(several > 5, "{several}");
}

#[test]
fn of_very_many_tenants_the_most_frequent_are_named() {
    let mix = Mix {
        tenants: 1_000,
        ..Mix::default()
    };
    let mut generator = Generator::new(seed("many tenants", 1), mix);
    let ledger = MemoryLedger::new();
    let appends =
        (0..1_000).map(|n| generator.append(n, if n % 100 == 7 { 3 + n / 100 } else { 1 }));
    let appends = appends.collect();
    ledger.append(&Commit { appends }).unwrap();
    let written = Written {
        facets: "tenant",
        top: Some(5),
        ..Written::default()
    };
    let wanted = Counting::read(&written, &TimeZone::UTC).unwrap();
    let counts = count(source(&ledger, &ledger), &Query::default(), &wanted).unwrap();
    let facet = &counts.facets[0];
    let named = facet
        .values
        .iter()
        .map(|value| (&value.value[..], value.count));
    let expected = [9, 8, 7, 6, 5].map(|n| (format!("tenant-{n}07"), n + 3));
    assert!(named.eq(expected.iter().map(|(name, count)| (&name[..], *count))));
    assert!(facet.complete && facet.more, "{facet:?}");
    assert_eq!(facet.other, counts.total - 50);
}

#[test]
fn more_values_than_are_counted_are_said_to_be_more() {
    let ledger = acted(12_000, |number| {
        (format!("actor-{number}"), i64::try_from(number).unwrap())
    });
    let written = Written {
        facets: "actor,type",
        top: Some(3),
        ..Written::default()
    };
    let wanted = Counting::read(&written, &TimeZone::UTC).unwrap();
    for (index, counted) in [
        (&ledger as &dyn Index, 512),
        (&Walking(&ledger) as &dyn Index, 10_000),
    ] {
        let counts = count(source(index, &ledger), &Query::default(), &wanted).unwrap();
        let [actors, types] = &counts.facets[..] else {
            panic!("{counts:?}")
        };
        assert_eq!((actors.distinct, actors.more), (counted, true));
        assert_eq!((actors.values.len(), actors.other), (3, 11_997));
        assert_eq!((types.distinct, types.more, types.other), (1, false, 0));
    }
}

/// What stands in the record with a number: its actor and its time.
type Made = Box<dyn Fn(u64) -> (String, i64)>;

#[test]
fn the_most_frequent_value_is_named_however_many_newer_ones_there_are() {
    let day = 86_400_000_000;
    let noise = |number: u64| format!("noise-{number}");
    let logs: [(&str, u64, Made); 3] = [
        // Whoever may emit says times ahead, and an actor each.
        (
            "behind",
            6_000,
            Box::new(move |n| match n {
                0..5_000 => ("heavy".to_owned(), i64::try_from(n).unwrap()),
                _ => (noise(n), day + i64::try_from(n).unwrap()),
            }),
        ),
        // At both ends of time.
        (
            "between",
            8_000,
            Box::new(move |n| match n {
                0..1_500 => (noise(n), i64::try_from(n).unwrap()),
                1_500..6_500 => ("heavy".to_owned(), day + i64::try_from(n).unwrap()),
                _ => (noise(n), 2 * day + i64::try_from(n).unwrap()),
            }),
        ),
        // Everywhere, one of eight.
        (
            "among",
            40_000,
            Box::new(move |n| match n % 8 {
                0 => ("heavy".to_owned(), i64::try_from(n).unwrap()),
                _ => (noise(n), i64::try_from(n).unwrap()),
            }),
        ),
    ];
    for (name, records, made) in logs {
        let ledger = acted(records, made);
        let written = Written {
            facets: "actor",
            top: Some(3),
            ..Written::default()
        };
        let wanted = Counting::read(&written, &TimeZone::UTC).unwrap();
        for expr in [Expr::All, Expr::Is(Key::Outcome, "success".to_owned())] {
            let query = Query {
                expr,
                ..Query::default()
            };
            let counts = count(source(&ledger, &ledger), &query, &wanted).unwrap();
            let facet = &counts.facets[0];
            assert!(!facet.complete, "{name}");
            assert_eq!(
                (&facet.values[0].value[..], facet.values[0].count),
                ("heavy", 5_000),
                "{name}"
            );
        }
    }
}
