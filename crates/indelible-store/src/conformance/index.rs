//! The rules of the role [`Index`]: never less than what matches, in order, page by page.

use indelible_event::EventView;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::leaf::LeafView;

use crate::conformance::ledger::{Read, read_all};
use crate::conformance::queries::Queries;
use crate::conformance::tallies;
use crate::conformance::{Generator, LedgerFixture, MakeLedger, Mix, Random, seed};
use crate::memory::MemoryLedger;
use crate::{
    Commit, Direction, Expr, Index, Ledger, Order, Place, Query, SealedValue, Subject, Terms, terms,
};

/// Queries are asked of several ledgers, each built anew.
const WORLDS: usize = 5;
/// Records of one such ledger, about.
const RECORDS: usize = 400;
/// Of 100 queries, how many must find something for the comparison to count.
const NON_EMPTY_PERCENT: usize = 30;
/// Of 100 counts, how many must be exact: those of queries that an index answers by terms.
const EXACT_PERCENT: usize = 25;

/// Hits of a whole answer, page by page, with what the contract says of pages checked.
fn pages(index: &dyn Index, query: &Query, limit: usize) -> Vec<Place> {
    let mut all: Vec<Place> = Vec::new();
    loop {
        let page = index.search(query, all.last(), limit).unwrap();
        assert!(
            page.hits.len() <= limit,
            "{} hits on a page of {limit}",
            page.hits.len()
        );
        assert!(
            page.exhausted || !page.hits.is_empty(),
            "an empty page that is not the last"
        );
        for hit in page.hits {
            let before = all.last();
            let in_order = before.is_none_or(|before| query.compare(before, &hit).is_lt());
            assert!(in_order, "{hit:?} after {before:?} in {query:?}");
            assert!(
                query.wants_tenant(&hit.tenant),
                "{hit:?} of a tenant not asked for"
            );
            assert!(
                query.occurred.contains(&hit.occurred_at),
                "{hit:?} outside of {query:?}"
            );
            all.push(hit);
        }
        if page.exhausted {
            return all;
        }
    }
}

/// A body as the query layer sees it.
pub(super) struct Body<'a> {
    pub(super) event: EventView<'a>,
    audit_id: AuditId,
    pub(super) terms: Terms,
    pub(super) sealed: &'a [SealedValue],
    sequence_number: u64,
}

impl<'a> Body<'a> {
    fn new(read: &'a Read) -> Self {
        let leaf = LeafView::parse(&read.leaf).unwrap();
        let event = EventView::parse(leaf.event()).unwrap();
        let audit_id = event.text(indelible_event::Field::AuditId).unwrap();
        let mut body = Self {
            audit_id: AuditId::parse(&audit_id).unwrap(),
            terms: Terms::default(),
            sealed: &read.sealed,
            sequence_number: read.sequence_number,
            event,
        };
        terms::extract(&body.event, &mut body.terms, &mut Vec::new());
        body
    }

    pub(super) fn matches(&self, expr: &Expr) -> bool {
        expr.matches(&Subject {
            sequence_number: self.sequence_number,
            audit_id: self.audit_id,
            event: &self.event,
            terms: &self.terms,
            sealed: self.sealed,
        })
    }
}

/// An index over nothing finds nothing, and says that there is no more.
pub fn an_empty_index_finds_nothing(make: MakeLedger<'_>) {
    let fixture = make();
    let page = fixture.index().search(&Query::default(), None, 10).unwrap();
    assert!(page.hits.is_empty() && page.exhausted);
    let as_of = Some(fixture.index().mark().unwrap());
    let page = fixture
        .index()
        .search(
            &Query {
                as_of,
                ..Query::default()
            },
            None,
            10,
        )
        .unwrap();
    assert!(page.hits.is_empty() && page.exhausted);
}

/// What an append returned for is found by the next search (after [`LedgerFixture::settle`]).
pub fn a_record_is_found_as_soon_as_it_is_committed(make: MakeLedger<'_>) {
    let fixture = make();
    let mut generator = Generator::new(seed("found at once", 1), Mix::default());
    for round in 0..20 {
        let append = generator.append(round % 3, 2);
        let wanted = append
            .records
            .iter()
            .map(|r| Expr::Id(r.audit_id))
            .collect::<Vec<_>>();
        fixture
            .ledger()
            .append(&Commit {
                appends: vec![append],
            })
            .unwrap();
        fixture.settle();
        for expr in wanted {
            let query = Query {
                expr,
                ..Query::default()
            };
            assert_eq!(pages(fixture.index(), &query, 10).len(), 1, "round {round}");
        }
    }
}

/// With `as_of` an answer stays what it was, whatever is committed later, late events included, and
/// after reopening.
pub fn records_after_the_mark_do_not_enter(make: MakeLedger<'_>) {
    let mut fixture = make();
    let mix = Mix {
        late_percent: 50,
        ..Mix::default()
    };
    let mut generator = Generator::new(seed("marks", 1), mix);
    let mut seen: Vec<(Query, Vec<Place>)> = Vec::new();
    for round in 0..8 {
        fixture.ledger().append(&generator.commit(10)).unwrap();
        fixture.settle();
        let as_of = Some(fixture.index().mark().unwrap());
        for order in [Order::Time, Order::Sequence] {
            let query = Query {
                order,
                as_of,
                ..Query::default()
            };
            let now = pages(
                fixture.index(),
                &Query {
                    as_of: None,
                    ..query.clone()
                },
                7,
            );
            assert_eq!(pages(fixture.index(), &query, 9), now, "round {round}");
            seen.push((query, now));
        }
        for (query, answer) in &seen {
            assert_eq!(&pages(fixture.index(), query, 5), answer, "round {round}");
        }
        if round == 4 {
            fixture = fixture.reopen();
        }
    }
}

/// Many records of one time, in several logs, come in order of tenant and sequence number, none
/// skipped and none repeated at page borders.
pub fn equal_times_are_told_apart(make: MakeLedger<'_>) {
    let fixture = make();
    let mut generator = Generator::new(seed("equal times", 1), Mix::default());
    let mut expected = Vec::new();
    for tenant in [2, 0, 1, 0, 2] {
        let mut append = generator.append(tenant, 30);
        for (sequence_number, record) in (append.expected.size..).zip(&mut append.records) {
            record.occurred_at = Micros(1_000_000);
            let tenant = append.tenant.clone();
            expected.push(Place {
                occurred_at: record.occurred_at,
                tenant,
                sequence_number,
            });
        }
        fixture
            .ledger()
            .append(&Commit {
                appends: vec![append],
            })
            .unwrap();
    }
    fixture.settle();
    expected.sort();
    for limit in [1, 7, 150, 1_000] {
        let query = Query {
            direction: Direction::OldestFirst,
            ..Query::default()
        };
        assert_eq!(pages(fixture.index(), &query, limit), expected);
        let newest = Query {
            direction: Direction::NewestFirst,
            ..query
        };
        let mut found = pages(fixture.index(), &newest, limit);
        found.reverse();
        assert_eq!(found, expected);
    }
}

/// Records that every qualifier finds something among.
pub(super) fn mix() -> Mix {
    Mix {
        rare_percent: 30,
        ..Mix::default()
    }
}

/// One ledger and its reference with the same records.
struct World {
    fixture: Box<dyn LedgerFixture>,
    reference: MemoryLedger,
    queries: Queries,
    /// The same moments as the store's index and as the reference counts them.
    marks: Vec<(u64, u64)>,
    tenants: Vec<TenantId>,
}

impl World {
    fn build(make: MakeLedger<'_>, seed: u64) -> Self {
        let mut generator = Generator::new(seed, mix());
        let mut world = Self {
            fixture: make(),
            reference: MemoryLedger::new(),
            queries: Queries::new(seed ^ 0x7175_6572),
            marks: Vec::new(),
            tenants: generator.tenants().cloned().collect(),
        };
        let mut random = Random::new(seed ^ 0x776f_726c);
        let (mut records, mut rounds) = (0, 0);
        while records < RECORDS {
            let commit = generator.commit(random.between(1, 20));
            records += commit
                .appends
                .iter()
                .map(|a| a.records.len())
                .sum::<usize>();
            rounds += 1;
            commit
                .appends
                .iter()
                .for_each(|append| world.queries.show(append));
            world.reference.append(&commit).unwrap();
            world.fixture.ledger().append(&commit).unwrap();
            if random.chance(10) || rounds == 1 {
                world.fixture.settle();
                let mark = world.fixture.index().mark().unwrap();
                world.marks.push((mark, world.reference.mark().unwrap()));
            }
            if random.chance(4) {
                world.fixture = world.fixture.reopen();
            }
        }
        world.fixture.settle();
        world
    }

    /// Compares `count` queries; returns how many found something.
    fn compare(&mut self, count: usize, random: &mut Random) -> usize {
        let choices: Vec<u64> = (0..self.marks.len() as u64).collect();
        let asked: Vec<Query> = (0..count).map(|_| self.queries.draw(&choices)).collect();
        let with_mark = |query: &Query, of: fn(&(u64, u64)) -> u64| Query {
            as_of: query.as_of.map(|choice| of(&self.marks[choice as usize])),
            ..query.clone()
        };
        let of_reference: Vec<_> = asked.iter().map(|q| with_mark(q, |m| m.1)).collect();
        let expected = self.reference.matching(&of_reference);
        let reads: Vec<(&TenantId, Vec<Read>)> = self
            .tenants
            .iter()
            .map(|tenant| (tenant, read_all(self.fixture.ledger(), tenant, 0..u64::MAX)))
            .collect();
        let bodies: tallies::Bodies<'_> = reads
            .iter()
            .flat_map(|(tenant, reads)| {
                reads
                    .iter()
                    .map(|read| ((*tenant, read.sequence_number), Body::new(read)))
            })
            .collect();
        let (mut non_empty, mut exact) = (0, 0);
        for (asked, expected) in asked.iter().zip(expected) {
            let query = with_mark(asked, |m| m.0);
            // Now and then a page of one; never hundreds of pages for one answer.
            let smallest = (expected.len() as u64 / 8).max(1);
            let limit = random.between(smallest, smallest + 60) as usize;
            let mut found = pages(self.fixture.index(), &query, limit);
            found.retain(|hit| bodies[&(&hit.tenant, hit.sequence_number)].matches(&query.expr));
            non_empty += usize::from(!expected.is_empty());
            assert!(
                found == expected,
                "{} records instead of {} on pages of {limit} for {query:#?}\nmissing: {:#?}\n\
                 too many: {:#?}",
                found.len(),
                expected.len(),
                expected
                    .iter()
                    .filter(|place| !found.contains(place))
                    .collect::<Vec<_>>(),
                found
                    .iter()
                    .filter(|place| !expected.contains(place))
                    .collect::<Vec<_>>(),
            );
            let index = self.fixture.index();
            exact += usize::from(tallies::compare(index, &query, &expected, &bodies, random));
        }
        assert!(
            exact * 100 >= count * EXACT_PERCENT,
            "{exact} of {count} counts are exact"
        );
        non_empty
    }
}

/// Random queries over random ledgers, in both orders and directions, with limits, cursors and
/// marks, give the records that the reference gives, once bodies are checked.
pub fn random_queries_agree_with_the_reference(make: MakeLedger<'_>, queries: usize) {
    let seed = seed("queries", 1);
    let mut random = Random::new(seed);
    let mut non_empty = 0;
    let per_world = queries.div_ceil(WORLDS);
    for _ in 0..WORLDS {
        let mut world = World::build(make, random.number());
        non_empty += world.compare(per_world, &mut random);
    }
    let asked = per_world * WORLDS;
    eprintln!("queries: {asked} asked, {non_empty} found something");
    assert!(
        non_empty * 100 >= asked * NON_EMPTY_PERCENT,
        "{non_empty} of {asked} found something"
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Key;

    /// What must be asked for, beside every key.
    const KINDS: [&str; 26] = [
        "All",
        "Sealed",
        "Phrase",
        "Id",
        "Sequence",
        "Within",
        "Within v6",
        "PhraseLike",
        "Attachment",
        "Not",
        "And",
        "Or",
        "Not Is",
        "Not Like",
        "Not At",
        "Not Or",
        "Not And",
        "Not Within",
        "At There",
        "At Null inside",
        "At Flag inside",
        "At Text inside",
        "At Like inside",
        "At Number inside",
        "At Number",
        "At There inside",
    ];

    /// The kinds of a condition and of those within it; of terms and paths with what they ask.
    fn kinds(expr: &Expr, negated: bool, seen: &mut BTreeSet<String>) {
        let text = format!("{expr:?}");
        let kind: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
        let of = |what: &dyn std::fmt::Debug| {
            let what = format!("{what:?}");
            let what = what.split(['(', ' ']).next().unwrap_or_default().to_owned();
            format!("{kind} {what}")
        };
        seen.insert(match expr {
            Expr::Is(key, _) | Expr::Like(key, _) => of(key),
            Expr::At(path, test) => of(test) + if path.steps.is_empty() { "" } else { " inside" },
            Expr::Within(network) if network.to_string().contains(':') => "Within v6".to_owned(),
            _ => kind.clone(),
        });
        if negated {
            seen.insert("Not ".to_owned() + &kind);
        }
        match expr {
            Expr::Not(inner) => kinds(inner, true, seen),
            Expr::And(parts) | Expr::Or(parts) => {
                for part in parts {
                    kinds(part, false, seen);
                }
            }
            _ => {}
        }
    }

    /// Of what a query can ask nothing is left out, and what is asked for is there.
    #[test]
    fn generated_queries_ask_for_everything_there_is() {
        let (mut generator, mut queries) = (Generator::new(1, mix()), Queries::new(2));
        let reference = MemoryLedger::new();
        for _ in 0..40 {
            let commit = generator.commit(20);
            commit
                .appends
                .iter()
                .for_each(|append| queries.show(append));
            reference.append(&commit).unwrap();
        }
        let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
        let asked: Vec<_> = (0..8_000).map(|_| queries.draw(&[7])).collect();
        let answers = reference.matching(&asked);
        let ever = Query::default().occurred;
        for (query, answer) in asked.iter().zip(answers) {
            kinds(&query.expr, false, &mut seen);
            for (kind, is) in [
                ("tenants", query.tenants.is_some()),
                ("occurred", query.occurred != ever),
                ("ingested", query.ingested != ever),
                ("as of", query.as_of.is_some()),
                ("by number", query.order == Order::Sequence),
                ("oldest first", query.direction == Direction::OldestFirst),
            ] {
                if is {
                    seen.insert(kind.to_owned());
                }
            }
            if !answer.is_empty() {
                kinds(&query.expr, false, &mut found);
            }
        }
        let mut wanted: Vec<String> = KINDS.map(str::to_owned).into();
        let kinds = Key::ALL
            .iter()
            .flat_map(|key| [format!("Is {key:?}"), format!("Like {key:?}")]);
        wanted.extend(kinds);
        for kind in wanted {
            assert!(found.contains(&kind), "{kind}");
        }
        for kind in [
            "tenants",
            "occurred",
            "ingested",
            "as of",
            "by number",
            "oldest first",
        ] {
            assert!(seen.contains(kind), "{kind}");
        }
    }
}
