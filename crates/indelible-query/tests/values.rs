//! A personal value that cannot be read: its record is shown, what is missing is told, and a search
//! that may have asked for it says so.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::{ControlFlow, Range};

use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::Hash;
use indelible_proof::finding;
use indelible_query::{Damage, Lost, Page, Seen, for_each, page};
use indelible_store::conformance::{Generator, Mix};
use indelible_store::memory::MemoryLedger;
use indelible_store::{Commit, Expr, FindHash, Head, Ledger, Query, Result, Stored, StoredRecord};

/// A ledger in which one record's personal values cannot be read.
struct Broken<'a>(&'a MemoryLedger, u64);

impl Ledger for Broken<'_> {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        self.0.tenants()
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        self.0.head(tenant)
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        self.0.find(tenant, ids)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        self.0.append(commit)
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let place = finding::Place {
            file: "records".to_owned(),
            bytes: 3..9,
        };
        self.0.read(tenant, range, &mut |stored| match stored {
            Stored::Record(record) if record.sequence_number == self.1 => {
                let mut sealed = record.sealed.to_vec();
                for value in &mut sealed {
                    (value.find, value.row) = (None, [].into());
                }
                visit(Stored::Record(StoredRecord {
                    sealed: &sealed,
                    unread: Some(&place),
                    ..record
                }))
            }
            other => visit(other),
        })
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.0.subtree(tenant, level, index)
    }
}

fn numbers(page: &Page) -> Vec<u64> {
    let mut numbers: Vec<_> = page.rows.iter().map(|r| r.place.sequence_number).collect();
    numbers.sort_unstable();
    numbers
}

/// The numbers and the damages of all pages.
fn answer(
    (index, ledger): (&MemoryLedger, &Broken<'_>),
    query: &Query,
    limit: usize,
) -> (Vec<u64>, Vec<Damage>) {
    let (mut after, mut query) = (None, query.clone());
    let (mut found, mut damages) = (Vec::new(), Vec::new());
    loop {
        let page = page(index, ledger, &query, after.as_ref(), limit).unwrap();
        found.extend(numbers(&page));
        damages.extend(page.damaged);
        (after, query.as_of) = (page.next, Some(page.as_of));
        if after.is_none() {
            found.sort_unstable();
            damages.dedup();
            return (found, damages);
        }
    }
}

#[test]
fn a_value_that_cannot_be_read_is_part_of_the_answer() {
    let ledger = MemoryLedger::new();
    let mix = Mix {
        tenants: 1,
        personal_percent: 100,
        ..Mix::default()
    };
    let append = Generator::new(3, mix).append(0, 30);
    let tenant = append.tenant.clone();
    let found_by = |n: usize| append.records[n].sealed.iter().find_map(|value| value.find);
    let damaged = (0..30).find(|n| found_by(*n).is_some()).unwrap();
    let find = found_by(damaged).unwrap();
    ledger
        .append(&Commit {
            appends: vec![append],
        })
        .unwrap();
    let damaged = damaged as u64;
    let broken = Broken(&ledger, damaged);
    let told = Damage {
        lost: Lost::Values,
        log: Some((tenant, damaged..damaged + 1)),
        place: "records, bytes 3 to 9".to_owned(),
    };
    let sealed = |find| Expr::Sealed(vec![find]);
    let other = Expr::Sequence(0..damaged);
    for (expr, shown, says) in [
        (Expr::All, true, true),
        (sealed(find), false, true),
        (
            Expr::Not(Box::new(Expr::And(vec![sealed(find)]))),
            true,
            false,
        ),
        (Expr::Or(vec![Expr::All, sealed(find)]), true, true),
        (sealed(FindHash([7; 16])), false, false),
        (other, false, false),
    ] {
        let query = Query {
            expr: expr.clone(),
            ..Query::default()
        };
        let whole = numbers(&page(&ledger, &ledger, &query, None, 99).unwrap());
        for limit in [1, 99] {
            let (found, damages) = answer((&ledger, &broken), &query, limit);
            let expected: Vec<_> = whole
                .iter()
                .copied()
                .filter(|n| *n != damaged || shown)
                .collect();
            assert_eq!(found, expected, "{expr:?}");
            assert_eq!(
                damages,
                Vec::from_iter(says.then(|| told.clone())),
                "{expr:?}"
            );
        }
        let mut seen = Vec::new();
        for_each(&ledger, &broken, &query, None, &mut |what| {
            seen.push(what);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(
            seen.contains(&Seen::Damaged(told.clone())),
            says,
            "{expr:?}"
        );
    }
}
