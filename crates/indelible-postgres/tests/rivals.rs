//! Two ledgers on one database, many writers, and connections that are cut while they commit: every
//! record is there exactly once, where its receipt says, and every log is contiguous.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::leaf::LeafView;
use indelible_merkle::{Frontier, Hash};
use indelible_postgres::Postgres;
use indelible_proof::verify::LogVerifier;
use indelible_store::conformance::generate::new_record;
use indelible_store::{Append, Commit, Expected, Head, Kind, Ledger, Stored};
use indelible_testing::{Dice, rounds};

use support::{Place, available};

/// Writers on each of the two ledgers.
const WRITERS: u64 = 4;
/// Commits of each writer, and records of each commit and tenant, at most.
const COMMITS: u64 = 40;
const RECORDS_MAX: u64 = 8;
const AT: i64 = 1_790_000_000_000_000;

/// How often what happened.
#[derive(Debug, Default)]
struct Seen {
    conflicts: AtomicU64,
    unknown: AtomicU64,
    cut: AtomicU64,
}

/// What a writer knows of what it wrote: where each record is.
type Receipts = BTreeMap<(TenantId, AuditId), u64>;

struct Writer<'a> {
    ledger: &'a Postgres,
    tenants: &'a [TenantId],
    dice: Dice,
    seen: &'a Seen,
    receipts: Receipts,
}

impl Writer<'_> {
    fn write(&mut self) {
        // One to three tenants, in any order; the ledger's business is to lock them in its own.
        let count = 1 + self.dice.below(3.min(self.tenants.len() as u64));
        let first = self.dice.place(self.tenants.len());
        let mut wanted = BTreeMap::new();
        for n in 0..count {
            let at = (first + usize::try_from(n).unwrap()) % self.tenants.len();
            let records = 1 + self.dice.below(RECORDS_MAX);
            let ids: Vec<AuditId> = (0..records).map(|_| self.mint()).collect();
            wanted.insert(self.tenants[at].clone(), ids);
        }
        while !wanted.is_empty() {
            // The order of the caller: whoever lost reads, and asks for the same ids again.
            match self.attempt(&mut wanted) {
                Ok(()) => {}
                Err(Kind::Conflict) => count_one(&self.seen.conflicts),
                Err(Kind::UnknownOutcome) => count_one(&self.seen.unknown),
                Err(Kind::Unavailable) => count_one(&self.seen.cut),
                Err(kind) => panic!("{kind:?}"),
            }
        }
    }

    fn mint(&mut self) -> AuditId {
        let random = std::array::from_fn(|_| u8::try_from(self.dice.below(256)).unwrap());
        AuditId::mint(u64::try_from(AT / 1_000).unwrap(), random)
    }

    /// Takes out what is there already and appends the rest.
    fn attempt(&mut self, wanted: &mut BTreeMap<TenantId, Vec<AuditId>>) -> Result<(), Kind> {
        let mut appends = Vec::new();
        for (tenant, ids) in wanted.iter_mut() {
            let head = self.ledger.head(tenant).map_err(|error| error.kind())?;
            let found = self
                .ledger
                .find(tenant, ids)
                .map_err(|error| error.kind())?;
            let there = ids.iter().zip(&found);
            for (id, number) in there.filter_map(|(id, number)| Some((*id, (*number)?))) {
                let before = self.receipts.insert((tenant.clone(), id), number);
                assert!(before.is_none_or(|before| before == number), "two places");
            }
            let mut found = found.iter();
            ids.retain(|_| found.next().unwrap().is_none());
            if !ids.is_empty() {
                appends.push(append(tenant, head, ids));
            }
        }
        wanted.retain(|_, ids| !ids.is_empty());
        if appends.is_empty() {
            return Ok(());
        }
        let commit = Commit { appends };
        self.ledger.append(&commit).map_err(|error| {
            let known = [Kind::Conflict, Kind::UnknownOutcome, Kind::Unavailable];
            assert!(known.contains(&error.kind()), "{error}");
            error.kind()
        })?;
        for append in &commit.appends {
            for (number, record) in (append.expected.size..).zip(&append.records) {
                let key = (append.tenant.clone(), record.audit_id);
                assert_eq!(self.receipts.insert(key, number), None, "committed twice");
            }
        }
        wanted.clear();
        Ok(())
    }
}

fn count_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn append(tenant: &TenantId, head: Option<Head>, ids: &[AuditId]) -> Append {
    let mut head = head.unwrap_or(Head {
        frontier: Frontier::new(),
        last_hash: Hash::ZERO,
        last_ingested_at: Micros(AT),
    });
    let expected = Expected {
        size: head.frontier.size(),
        last_hash: head.last_hash,
    };
    let record = |id: &AuditId| {
        let event = format!("{{\"audit_id\":\"{id}\",\"event_type\":\"race.run\"}}");
        let times = (*id, Micros(AT), Micros(AT));
        new_record(tenant, &mut head, event.as_bytes(), times, Vec::new())
    };
    let records = ids.iter().map(record).collect();
    Append {
        tenant: tenant.clone(),
        expected,
        records,
        head,
    }
}

/// Every receipt is in the ledger exactly once, and nothing else is.
fn check(ledger: &dyn Ledger, tenants: &[TenantId], receipts: &Receipts) {
    let mut found = Receipts::new();
    for tenant in tenants {
        let head = ledger.head(tenant).unwrap().unwrap();
        let mut verifier = LogVerifier::new(tenant.as_str());
        let visit = &mut |stored: Stored<'_>| {
            let Stored::Record(record) = stored else {
                panic!("{stored:?}")
            };
            verifier.push(record.leaf);
            let leaf = LeafView::parse(record.leaf).unwrap();
            let text = std::str::from_utf8(leaf.event()).unwrap();
            let id = AuditId::parse(text.split('"').nth(3).unwrap()).unwrap();
            let again = found.insert((tenant.clone(), id), record.sequence_number);
            assert_eq!(again, None, "{id} is there twice");
            ControlFlow::Continue(())
        };
        ledger.read(tenant, 0..u64::MAX, visit).unwrap();
        verifier.stored_head(head.frontier.size(), head.frontier.root());
        let verdict = verifier.finish();
        assert!(verdict.is_sound(), "{tenant}: {verdict:?}");
    }
    assert!(
        &found == receipts,
        "{} records, {} receipts",
        found.len(),
        receipts.len()
    );
}

fn race(tenants: u64) {
    let place = Place::make();
    let ledgers = [place.open(), place.open()];
    let tenants: Vec<TenantId> = (0..tenants)
        .map(|n| TenantId::parse(&format!("tenant-{n}")).unwrap())
        .collect();
    let (seen, done) = (Seen::default(), AtomicBool::new(false));
    let mut dice = Dice::seeded();
    let commits = rounds("INDELIBLE_RIVAL_COMMITS", COMMITS, COMMITS * 20);
    let receipts: Receipts = std::thread::scope(|scope| {
        let cutter = scope.spawn(|| cut(&place, &done));
        let writers: Vec<_> = (0..WRITERS * 2)
            .map(|n| {
                let mut writer = Writer {
                    ledger: &ledgers[usize::try_from(n % 2).unwrap()],
                    tenants: &tenants,
                    dice: Dice::of(dice.below(u64::MAX)),
                    seen: &seen,
                    receipts: Receipts::new(),
                };
                scope.spawn(move || {
                    (0..commits).for_each(|_| writer.write());
                    writer.receipts
                })
            })
            .collect();
        let ended: Vec<_> = writers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        // Before anything fails, so that a failure is told and not waited for.
        done.store(true, Ordering::Relaxed);
        let receipts = ended.into_iter().flat_map(Result::unwrap).collect();
        assert!(cutter.join().unwrap() > 0, "nothing was cut");
        receipts
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    eprintln!("{tenants} tenants: {seen:?}", tenants = tenants.len());
    assert!(count(&seen.conflicts) > 0, "they never met");
    assert!(
        count(&seen.cut) + count(&seen.unknown) > 0,
        "no writer was cut off"
    );
    drop(ledgers);
    let all: Vec<TenantId> = receipts.keys().map(|(tenant, _)| tenant.clone()).collect();
    let written: Vec<TenantId> = tenants.into_iter().filter(|t| all.contains(t)).collect();
    check(&place.open(), &written, &receipts);
}

/// Ends connections of both ledgers until told to stop; how many.
fn cut(place: &Place, done: &AtomicBool) -> usize {
    let mut cut = 0;
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(25));
        let busy = place.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'indelible' \
             AND state <> 'idle' ORDER BY random() LIMIT 2",
        );
        cut += busy.len();
    }
    cut
}

#[test]
fn two_ledgers_race_on_one_tenant() {
    if available("two_ledgers_race_on_one_tenant") {
        race(1);
    }
}

#[test]
fn two_ledgers_race_on_many_tenants() {
    if available("two_ledgers_race_on_many_tenants") {
        race(9);
    }
}
