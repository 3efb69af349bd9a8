//! Pages: none skipped, none repeated, in order, whatever is committed meanwhile; damage is told.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::{Bound, ControlFlow, Range};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use indelible_event::Field;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::{Hash, leaf_hash};
use indelible_query::{Damage, Lost, Page, PageLimit, Seen, for_each, page};
use indelible_store::conformance::queries::Queries;
use indelible_store::conformance::{Generator, Mix, Random, seed};
use indelible_store::memory::MemoryLedger;
use indelible_store::{
    Commit, Decimal, Expr, Head, Hits, Index, Ledger, Path, Place, Query, Result, Stored,
    StoredRecord, Test, Unread,
};

/// Says that every record in the tenants and times of a query may match: the widest superset.
struct Loose<'a>(&'a MemoryLedger);

impl Index for Loose<'_> {
    fn mark(&self) -> Result<u64> {
        self.0.mark()
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        self.0.search(
            &Query {
                expr: Expr::All,
                ..query.clone()
            },
            after,
            limit,
        )
    }
}

fn pages(index: &dyn Index, ledger: &dyn Ledger, query: &Query, limit: usize) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    let mut query = query.clone();
    loop {
        let after = pages.last().and_then(|page| page.next.clone());
        let page = page(index, ledger, &query, after.as_ref(), limit).unwrap();
        query.as_of = Some(page.as_of);
        let more = page.next.is_some();
        assert!(
            page.rows.len() == limit || !more,
            "a page that is neither full nor the last"
        );
        pages.push(page);
        if !more {
            return pages;
        }
    }
}

fn places(pages: &[Page]) -> Vec<Place> {
    pages
        .iter()
        .flat_map(|page| &page.rows)
        .map(|row| row.place.clone())
        .collect()
}

#[test]
fn pages_are_the_whole_answer_in_order() {
    let seed = seed("pages", 1);
    let mut generator = Generator::new(seed, Mix::default());
    let mut queries = Queries::new(seed);
    let ledger = MemoryLedger::new();
    for _ in 0..15 {
        let commit = generator.commit(15);
        commit
            .appends
            .iter()
            .for_each(|append| queries.show(append));
        ledger.append(&commit).unwrap();
    }
    let mut random = Random::new(seed);
    let marks: Vec<u64> = (1..=ledger.mark().unwrap()).collect();
    let asked: Vec<_> = (0..60).map(|_| queries.draw(&marks)).collect();
    let (mut rows, mut several) = (0, 0);
    for (query, expected) in asked.iter().zip(ledger.matching(&asked)) {
        let least = 1 + expected.len() / 6;
        let limit = least + random.index(20);
        let exact = pages(&ledger, &ledger, query, limit);
        assert_eq!(places(&exact), expected, "{query:#?}");
        let loose = pages(&Loose(&ledger), &ledger, query, limit);
        assert_eq!(places(&loose), expected, "{query:#?}");
        assert!(
            exact
                .iter()
                .chain(&loose)
                .all(|page| page.damaged.is_empty())
        );
        let mut all = Vec::new();
        let visit = &mut |seen| {
            all.push(seen);
            ControlFlow::Continue(())
        };
        for_each(&Loose(&ledger), &ledger, query, None, visit).unwrap();
        let expected_rows = exact
            .iter()
            .flat_map(|page| page.rows.clone())
            .map(Seen::Row);
        assert!(all.into_iter().eq(expected_rows));
        for row in exact.iter().flat_map(|page| &page.rows) {
            assert_eq!(row.record_hash, leaf_hash(&row.leaf));
        }
        rows += expected.len();
        several += usize::from(exact.len() > 1);
    }
    assert!(
        rows > 500 && several > 10,
        "{rows} rows, {several} answers of several pages"
    );
}

/// Counts the records that are read.
struct Counting<'a>(&'a MemoryLedger, AtomicUsize);

impl Ledger for Counting<'_> {
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
        self.0.read(tenant, range, &mut |stored| {
            self.1.fetch_add(1, Relaxed);
            visit(stored)
        })
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.0.subtree(tenant, level, index)
    }
}

#[test]
fn a_page_that_looked_at_enough_ends_and_leads_on() {
    let mut generator = Generator::new(seed("looking", 1), Mix::default());
    let ledger = MemoryLedger::new();
    for _ in 0..10 {
        let appends = (0..3).map(|tenant| generator.append(tenant, 30)).collect();
        ledger.append(&Commit { appends }).unwrap();
    }
    let path = Path {
        field: Field::Data,
        steps: vec!["amount".to_owned()],
    };
    let few = Decimal::parse("300").map(Bound::Excluded).unwrap();
    let mut query = Query {
        expr: Expr::At(path, Test::Number(Bound::Unbounded, few)),
        ..Query::default()
    };
    let expected = ledger.matching(std::slice::from_ref(&query)).remove(0);
    assert!(expected.len() > 5 && expected.len() < 100);
    let counting = Counting(&ledger, AtomicUsize::new(0));
    let limit = PageLimit {
        looked_at: 50,
        ..PageLimit::from(20)
    };
    let (mut found, mut after, mut empty, mut pages) = (Vec::new(), None, 0, 0);
    loop {
        let page = page(&Loose(&ledger), &counting, &query, after.as_ref(), limit).unwrap();
        // Those between two hits are read over, never more than 64 hits at a time.
        assert!(counting.1.swap(0, Relaxed) <= 64 * 9, "looked at too much");
        empty += usize::from(page.rows.is_empty());
        pages += 1;
        found.extend(page.rows.into_iter().map(|row| row.place));
        (after, query.as_of) = (page.next, Some(page.as_of));
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
    assert!(empty > 0 && pages > 10, "{pages} pages, {empty} empty");
}

#[test]
fn what_is_committed_between_pages_does_not_enter() {
    let mix = Mix {
        late_percent: 60,
        ..Mix::default()
    };
    let mut generator = Generator::new(seed("commits between pages", 1), mix);
    let ledger = MemoryLedger::new();
    ledger.append(&generator.commit(40)).unwrap();
    let query = Query::default();
    let expected = ledger.matching(std::slice::from_ref(&query)).remove(0);
    let (mut found, mut after, mut as_of) = (Vec::new(), None, None);
    loop {
        let query = Query {
            as_of,
            ..query.clone()
        };
        let page = page(&ledger, &ledger, &query, after.as_ref(), 3).unwrap();
        found.extend(page.rows.into_iter().map(|row| row.place));
        ledger.append(&generator.commit(10)).unwrap();
        as_of = Some(page.as_of);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

/// A ledger some of whose records cannot be read.
struct Broken<'a> {
    inner: &'a MemoryLedger,
    tenant: TenantId,
    damaged: Range<u64>,
    /// One that reads as bytes which are no record.
    garbled: u64,
}

impl Ledger for Broken<'_> {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        self.inner.tenants()
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        self.inner.head(tenant)
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        self.inner.find(tenant, ids)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        self.inner.append(commit)
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut told = false;
        self.inner.read(tenant, range, &mut |stored| match &stored {
            Stored::Record(record) if *tenant == self.tenant => {
                let number = record.sequence_number;
                if self.damaged.contains(&number) {
                    if std::mem::replace(&mut told, true) {
                        return ControlFlow::Continue(());
                    }
                    let place = indelible_proof::finding::Place {
                        file: "block".to_owned(),
                        bytes: 3..9,
                    };
                    let range = self.damaged.clone();
                    return visit(Stored::Damaged { range, place });
                }
                if number == self.garbled {
                    return visit(Stored::Record(StoredRecord {
                        leaf: b"{}",
                        ..*record
                    }));
                }
                visit(stored)
            }
            _ => visit(stored),
        })
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.inner.subtree(tenant, level, index)
    }
}

#[test]
fn damage_is_part_of_the_answer() {
    let mut generator = Generator::new(seed("damage", 1), Mix::default());
    let ledger = MemoryLedger::new();
    for tenant in [0, 1, 0] {
        ledger
            .append(&Commit {
                appends: vec![generator.append(tenant, 30)],
            })
            .unwrap();
    }
    let tenant = generator.tenants().next().unwrap().clone();
    let broken = Broken {
        inner: &ledger,
        tenant: tenant.clone(),
        damaged: 10..14,
        garbled: 40,
    };
    // A condition that holds for every record, so that bodies are looked at.
    let never = Expr::Is(indelible_store::Key::Type, "none".to_owned());
    let query = Query {
        expr: Expr::Not(Box::new(never)),
        ..Query::default()
    };
    let lost = |place: &Place| {
        place.tenant == tenant
            && ((10..14).contains(&place.sequence_number) || place.sequence_number == 40)
    };
    let mut expected = ledger.matching(std::slice::from_ref(&query)).remove(0);
    expected.retain(|place| !lost(place));
    assert_eq!(expected.len(), 85);
    let block = Damage {
        lost: Lost::Records,
        log: Some((tenant.clone(), 10..14)),
        place: "block, bytes 3 to 9".to_owned(),
    };
    let place = "the stored bytes are not a record".to_owned();
    let garbled = Damage {
        lost: Lost::Records,
        log: Some((tenant.clone(), 40..41)),
        place,
    };
    for limit in [1, 7, 1_000] {
        let pages = pages(&ledger, &broken, &query, limit);
        assert_eq!(places(&pages), expected);
        for damage in [&block, &garbled] {
            assert!(
                pages.iter().any(|page| page.damaged.contains(damage)),
                "{damage:?}"
            );
        }
        assert!(
            pages
                .iter()
                .flat_map(|p| &p.damaged)
                .all(|d| *d == block || *d == garbled)
        );
        assert!(
            limit < 1_000 || pages[0].damaged.len() == 2,
            "said more than once on a page"
        );
    }
}

#[test]
fn an_index_that_invents_records_is_told() {
    struct Inventing(Place);
    impl Index for Inventing {
        fn mark(&self) -> Result<u64> {
            Ok(1)
        }

        fn search(&self, _: &Query, _: Option<&Place>, _: usize) -> Result<Hits> {
            Ok(Hits {
                hits: vec![self.0.clone()],
                exhausted: true,
            })
        }
    }
    let tenant = TenantId::parse("acme").unwrap();
    let index = Inventing(Place {
        occurred_at: Micros(0),
        tenant: tenant.clone(),
        sequence_number: 4,
    });
    let page = page(&index, &MemoryLedger::new(), &Query::default(), None, 5).unwrap();
    assert!(page.rows.is_empty());
    assert_eq!(page.damaged.len(), 1);
    assert_eq!(page.damaged[0].log, Some((tenant, 4..5)));
    assert_eq!(page.next, None);
}

#[test]
fn a_visitor_that_breaks_is_called_no_more() {
    let mut generator = Generator::new(seed("breaking", 1), Mix::default());
    let ledger = MemoryLedger::new();
    ledger
        .append(&Commit {
            appends: vec![generator.append(0, 30)],
        })
        .unwrap();
    let mut seen = 0;
    let visit = &mut |_| {
        seen += 1;
        if seen == 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let as_of = for_each(&ledger, &ledger, &Query::default(), None, visit).unwrap();
    assert_eq!((seen, as_of), (4, 30));
}

/// An index that could not read everything.
struct Lacking<'a>(&'a MemoryLedger, Vec<Unread>);

impl Index for Lacking<'_> {
    fn mark(&self) -> Result<u64> {
        self.0.mark()
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        self.0.search(query, after, limit)
    }

    fn unread(&self, _: &Query) -> Result<Vec<Unread>> {
        Ok(self.1.clone())
    }
}

#[test]
fn what_an_index_could_not_read_is_said_with_every_page() {
    let mut generator = Generator::new(seed("unread", 1), Mix::default());
    let ledger = MemoryLedger::new();
    let appends = vec![generator.append(0, 30)];
    ledger.append(&Commit { appends }).unwrap();
    let place = |file: &str| indelible_proof::finding::Place {
        file: file.to_owned(),
        bytes: 3..9,
    };
    let tenant = TenantId::parse("acme").unwrap();
    let unread = vec![
        Unread {
            log: Some((tenant.clone(), 7..9)),
            place: place("a"),
        },
        Unread::somewhere(place("b")),
    ];
    let index = Lacking(&ledger, unread);
    let damage = |log, place: &str| Damage {
        lost: Lost::Records,
        log,
        place: place.to_owned(),
    };
    let expected = [
        damage(Some((tenant, 7..9)), "a, bytes 3 to 9"),
        damage(None, "b, bytes 3 to 9"),
    ];
    let pages = pages(&index, &ledger, &Query::default(), 20);
    assert_eq!(pages.len(), 2);
    for page in &pages {
        assert_eq!(page.damaged, expected);
    }
    let mut seen = Vec::new();
    let visit = &mut |what| {
        if let Seen::Damaged(damage) = what {
            seen.push(damage);
        }
        ControlFlow::Continue(())
    };
    for_each(&index, &ledger, &Query::default(), None, visit).unwrap();
    assert_eq!(seen, expected);
}
