//! Counts over a part in which one value fills whole containers of a bitmap: 65,536 rows and more
//! that follow each other. Other tests have parts that are too small for that.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::{Frontier, Hash};
use indelible_store::conformance::generate::new_record;
use indelible_store::{
    Append, Column, Commit, Direction, Expected, Expr, Group, Head, Index, Key, Ledger, Order,
    Query, Spread, Tallied, Tally,
};

const RECORDS: u64 = 70_001;
/// The last one seals them.
const SEALED: u32 = 70_000;
/// From here on another actor does something.
const OTHERS: u64 = 68_000;
const AT_ONCE: u64 = 7_000;
const SECOND: i64 = 1_000_000;

/// What stands in the record with a number.
struct Made {
    actor: &'static str,
    target: String,
    outcome: &'static str,
    at: Micros,
    duration: u64,
}

impl Made {
    fn of(number: u64) -> Self {
        Self {
            actor: if number < OTHERS { "one" } else { "other" },
            target: format!("t-{}", number % 1_000),
            outcome: if number.is_multiple_of(3) {
                "failure"
            } else {
                "success"
            },
            at: Micros(i64::try_from(number).unwrap() * SECOND),
            duration: number % 500,
        }
    }

    fn holds(&self, expr: &Expr) -> bool {
        match expr {
            Expr::All => true,
            Expr::Is(Key::Actor, text) => self.actor == text,
            Expr::Is(Key::Target, text) => self.target == *text,
            Expr::Is(Key::Outcome, text) => self.outcome == text,
            Expr::And(parts) => parts.iter().all(|part| self.holds(part)),
            Expr::Not(inner) => !self.holds(inner),
            _ => panic!("{expr:?}"),
        }
    }
}

/// A ledger with one sealed part, and nothing else.
fn ledger(disk: &FaultyDisk) -> Embedded {
    Embedded::create(disk, [1; 16], [2; 16], Micros(0)).unwrap();
    let options = Options {
        seal_records: SEALED,
        merge_segments: 0,
        background: false,
        ..Options::default()
    };
    let ledger = Embedded::open(Arc::new(disk.clone()), None, options, &mut |_| {}).unwrap();
    let tenant = TenantId::parse("acme").unwrap();
    let mut head = Head {
        frontier: Frontier::new(),
        last_hash: Hash::ZERO,
        last_ingested_at: Micros(0),
    };
    for first in (0..RECORDS).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let expected = Expected {
            size: head.frontier.size(),
            last_hash: head.last_hash,
        };
        let records = (first..RECORDS.min(first + AT_ONCE)).map(|number| {
            let made = Made::of(number);
            let id = AuditId((u128::from(number) + 1).to_be_bytes());
            let event = format!(
                r#"{{"actor":{{"id":"{}","type":"user"}},"audit_id":"{id}","event_type":"a.b","occurred_at":"{}","outcome":"{}","performance":{{"duration_ms":{}}},"target":{{"id":"{}","type":"x"}}}}"#,
                made.actor,
                made.at.to_rfc3339(),
                made.outcome,
                made.duration,
                made.target,
            );
            let times = (id, made.at, made.at);
            new_record(&tenant, &mut head, event.as_bytes(), times, Vec::new())
        });
        let append = Append {
            records: records.collect(),
            tenant: tenant.clone(),
            expected,
            head: head.clone(),
        };
        let appends = vec![append];
        ledger.append(&Commit { appends }).unwrap();
    }
    let manifest = disk.read("segments/MANIFEST").unwrap();
    let manifest = String::from_utf8(manifest).unwrap();
    assert_eq!(manifest.matches("\"clustered\"").count(), 1, "{manifest}");
    ledger
}

fn walked(query: &Query, wanted: &Tally) -> Tallied {
    let found = (0..RECORDS)
        .map(Made::of)
        .filter(|made| made.holds(&query.expr) && query.occurred.contains(&made.at));
    let found: Vec<_> = found.collect();
    let mut tallied = wanted.begin();
    tallied.total = found.len() as u64;
    let mut spread = Spread::default();
    for made in &found {
        tallied.reach(made.at, made.at);
        if let Some(bar) = wanted.bar(made.at) {
            tallied.bars[bar] += 1;
        }
        spread.add(f64::from(u32::try_from(made.duration).unwrap()));
    }
    tallied.numbers = Some(vec![spread]);
    let count =
        |test: &dyn Fn(&Made) -> bool| found.iter().filter(|made| test(made)).count() as u64;
    let group = |group: &Vec<Expr>| Group {
        counts: group
            .iter()
            .map(|expr| count(&|made| made.holds(expr)))
            .collect(),
        none: count(&|made| !group.iter().any(|expr| made.holds(expr))),
    };
    tallied.groups = wanted.groups.iter().map(group).collect();
    tallied
}

#[test]
fn rows_that_fill_whole_containers_are_all_counted() {
    let disk = FaultyDisk::new(0);
    let ledger = ledger(&disk);
    let is = |key, text: &str| Expr::Is(key, text.to_owned());
    let targets = (0..60).map(|n| is(Key::Target, &format!("t-{}", n * 7)));
    let wanted = Tally {
        borders: (0..=20).map(|hour| Micros(hour * 3_600 * SECOND)).collect(),
        groups: vec![
            targets.chain([is(Key::Target, "none")]).collect(),
            vec![is(Key::Actor, "one")],
            vec![is(Key::Actor, "other"), is(Key::Outcome, "failure")],
            Vec::new(),
        ],
        columns: vec![Column::DurationMs],
    };
    let one = || is(Key::Actor, "one");
    let failed = || is(Key::Outcome, "failure");
    for expr in [
        Expr::All,
        one(),
        is(Key::Actor, "other"),
        Expr::Not(Box::new(is(Key::Actor, "other"))),
        Expr::And(vec![one(), failed()]),
        Expr::And(vec![one(), Expr::Not(Box::new(failed()))]),
        is(Key::Target, "t-7"),
    ] {
        let ever = Query::default().occurred;
        let late = Micros(65_530 * SECOND)..Micros(68_500 * SECOND);
        for occurred in [ever, late] {
            let query = Query {
                expr: expr.clone(),
                occurred,
                ..Query::default()
            };
            let found = ledger.tally(&query, &wanted).unwrap();
            assert!(found == walked(&query, &wanted), "{found:#?} of {query:#?}");
        }
    }
    // And pages end where the run does.
    let query = Query {
        expr: one(),
        order: Order::Sequence,
        direction: Direction::NewestFirst,
        ..Query::default()
    };
    let page = ledger.search(&query, None, 3_000).unwrap();
    let numbers = page.hits.iter().map(|hit| hit.sequence_number);
    assert!(numbers.eq((OTHERS - 3_000..OTHERS).rev()));
}
