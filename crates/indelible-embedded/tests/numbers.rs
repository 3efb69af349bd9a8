//! Typed columns narrow a search down: in merged and sealed segments and in the tail.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::Bound;

use indelible_store::memory::MemoryLedger;
use indelible_store::terms::Column;
use indelible_store::{Decimal, Expr, Index, Ledger, Query, Test};
use support::*;

#[test]
fn only_records_whose_number_fits_are_hits() {
    let (disk, commits) = filled();
    let (ledger, reference) = (open(&disk), MemoryLedger::new());
    for commit in &commits {
        reference.append(commit).unwrap();
    }
    let number = |text: &str| Decimal::parse(text).unwrap();
    let (mut found, mut all) = (0, 0);
    for (column, field) in Column::ALL {
        for (from, to) in [
            ("0", "100"),
            ("0.3", "0.3"),
            ("404", "4000"),
            ("-1", "1e500"),
        ] {
            let test = Test::Number(Bound::Included(number(from)), Bound::Included(number(to)));
            let query = Query {
                expr: Expr::At(field.into(), test),
                ..Query::default()
            };
            let hits = ledger.search(&query, None, 10_000).unwrap().hits;
            let expected = reference.matching(std::slice::from_ref(&query)).remove(0);
            // A double of a column may stand for two numbers, but none of these is so near another.
            assert!(hits.len() <= expected.len() + 8, "{column:?} {from} {to}");
            assert!(expected.iter().all(|place| hits.contains(place)));
            found += expected.len();
            all += usize::try_from(reference.mark().unwrap()).unwrap();
        }
    }
    assert!(found > 50 && found < all / 2, "{found} of {all}");
}
