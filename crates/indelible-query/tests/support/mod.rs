//! What counts are counted of, and an index that cannot count.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by several test programs"
)]

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::{Frontier, Hash};
use indelible_query::count::{OpenedValue, Source};
use indelible_store::conformance::generate::new_record;
use indelible_store::conformance::queries::Queries;
use indelible_store::conformance::{Generator, Mix, seed};
use indelible_store::memory::MemoryLedger;
use indelible_store::{
    Append, Commit, Expected, Expr, Head, Hits, Index, Ledger, Place, Query, Result, SealedValue,
};

/// Cannot count: everything that is asked for is left to the bodies.
pub struct Walking<'a>(pub &'a MemoryLedger);

impl Index for Walking<'_> {
    fn mark(&self) -> Result<u64> {
        self.0.mark()
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        let query = Query {
            expr: Expr::All,
            ..query.clone()
        };
        self.0.search(&query, after, limit)
    }
}

/// The generated values say what they are in their first bytes; here it is enough that equal ones
/// are equal.
#[expect(clippy::unnecessary_wraps, reason = "opening may fail elsewhere")]
pub fn open(_: &TenantId, value: &SealedValue) -> Result<Option<OpenedValue>> {
    Ok(value.find.map(|find| OpenedValue {
        pointer: "/actor/ip".to_owned(),
        text: format!("{find:?}"),
        find,
    }))
}

pub fn source<'a>(index: &'a dyn Index, ledger: &'a MemoryLedger) -> Source<'a> {
    Source {
        index,
        ledger,
        open: &open,
        finder: None,
        bodies_max: 1_000_000,
    }
}

pub fn filled(name: &str, commits: usize) -> (MemoryLedger, Queries) {
    let seed = seed(name, 1);
    let mut generator = Generator::new(seed, Mix::default());
    let mut queries = Queries::new(seed);
    let ledger = MemoryLedger::new();
    for _ in 0..commits {
        let commit = generator.commit(20);
        commit
            .appends
            .iter()
            .for_each(|append| queries.show(append));
        ledger.append(&commit).unwrap();
    }
    (ledger, queries)
}

/// A log in which each number's record has the actor and the time that `made` says.
pub fn acted(records: u64, made: impl Fn(u64) -> (String, i64)) -> MemoryLedger {
    let tenant = TenantId::parse("acme").unwrap();
    let ledger = MemoryLedger::new();
    let mut head = Head {
        frontier: Frontier::new(),
        last_hash: Hash::ZERO,
        last_ingested_at: Micros(0),
    };
    let made = (0..records).map(|number| {
        let (actor, at) = made(number);
        let id = AuditId((u128::from(number) + 1).to_be_bytes());
        let at = Micros(at);
        let event = format!(
            r#"{{"actor":{{"id":"{actor}","type":"user"}},"audit_id":"{id}","event_type":"a.b","occurred_at":"{}","outcome":"success"}}"#,
            at.to_rfc3339()
        );
        let times = (id, at, Micros(1_000 + number.cast_signed()));
        new_record(&tenant, &mut head, event.as_bytes(), times, Vec::new())
    });
    let records = made.collect();
    let append = Append {
        tenant,
        expected: Expected {
            size: 0,
            last_hash: Hash::ZERO,
        },
        records,
        head,
    };
    ledger
        .append(&Commit {
            appends: vec![append],
        })
        .unwrap();
    ledger
}
