//! [`Ledger`] and [`Index`] in memory. Searches are exact: [`Expr::matches`] on every record.
//!
//! [`Expr::matches`]: crate::Expr::matches

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{ControlFlow, Range};

use indelible_event::EventView;
use indelible_event::ids::{AuditId, TenantId};
use indelible_event::leaf::LeafView;
use indelible_merkle::{Hash, root_of};
use parking_lot::RwLock;

use crate::terms::extract;
use crate::{
    Append, Column, Commit, Error, Head, Hits, Index, Kind, Ledger, NewRecord, Place, Query,
    Result, Stored, StoredRecord, Subject, Tallied, Tally, Terms,
};

/// A ledger and its index in memory.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    inner: RwLock<Inner>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    logs: BTreeMap<TenantId, Log>,
    /// Records committed, in all logs.
    count: u64,
}

#[derive(Clone, Debug)]
struct Log {
    head: Head,
    records: Vec<Kept>,
    ids: HashMap<AuditId, u64>,
}

#[derive(Clone, Debug)]
struct Kept {
    /// How many records of all logs were committed before it.
    ordinal: u64,
    record: NewRecord,
    terms: Terms,
}

impl MemoryLedger {
    /// A ledger without logs.
    pub fn new() -> Self {
        Self::default()
    }

    /// A ledger of its own with the same records, as a backup is.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            inner: RwLock::new(self.inner.read().clone()),
        }
    }

    /// For each query all records that match, in its order: what every index is compared with.
    pub fn matching(&self, queries: &[Query]) -> Vec<Vec<Place>> {
        let inner = self.inner.read();
        let mut found = vec![Vec::new(); queries.len()];
        let texts = queries.iter().any(|query| query.expr.looks_at_text());
        for (tenant, log) in &inner.logs {
            for (sequence_number, kept) in (0..).zip(&log.records) {
                // Bytes that are no leaf have no text, but an id and a place.
                let leaf = texts.then(|| LeafView::locate(&kept.record.leaf));
                let event = leaf
                    .and_then(std::result::Result::ok)
                    .map_or(b"{}".as_slice(), |leaf| leaf.event());
                let Ok(event) = EventView::parse(event).or_else(|_| EventView::parse(b"{}")) else {
                    continue;
                };
                let place = Place {
                    occurred_at: kept.record.occurred_at,
                    tenant: tenant.clone(),
                    sequence_number,
                };
                for (query, found) in queries.iter().zip(&mut found) {
                    if kept.is_wanted(query, &place, &event) {
                        found.push(place.clone());
                    }
                }
            }
        }
        for (query, found) in queries.iter().zip(&mut found) {
            found.sort_by(|a, b| query.compare(a, b));
        }
        found
    }
}

/// The terms of the event in a leaf; bytes that are no leaf have none.
fn terms_of(leaf: &[u8]) -> Terms {
    let mut terms = Terms::default();
    let leaf = LeafView::locate(leaf).ok();
    let event = leaf.and_then(|leaf| EventView::parse(leaf.event()).ok());
    if let Some(event) = event {
        extract(&event, &mut terms, &mut Vec::new());
    }
    terms
}

impl Kept {
    fn is_wanted(&self, query: &Query, place: &Place, event: &EventView<'_>) -> bool {
        query.as_of.is_none_or(|mark| self.ordinal < mark)
            && query.wants_tenant(&place.tenant)
            && query.occurred.contains(&self.record.occurred_at)
            && query.ingested.contains(&self.record.ingested_at)
            && query.expr.matches(&Subject {
                sequence_number: place.sequence_number,
                audit_id: self.record.audit_id,
                event,
                terms: &self.terms,
                sealed: &self.record.sealed,
            })
    }
}

impl Kept {
    fn count(&self, place: &Place, wanted: &Tally, tallied: &mut Tallied) {
        tallied.total += 1;
        tallied.reach(place.occurred_at, place.occurred_at);
        let bar = wanted.bar(place.occurred_at);
        if let Some(bar) = bar.and_then(|bar| tallied.bars.get_mut(bar)) {
            *bar += 1;
        }
        let leaf = LeafView::locate(&self.record.leaf);
        let event = leaf.map_or(b"{}".as_slice(), |leaf| leaf.event());
        let Ok(event) = EventView::parse(event).or_else(|_| EventView::parse(b"{}")) else {
            return;
        };
        let subject = Subject {
            sequence_number: place.sequence_number,
            audit_id: self.record.audit_id,
            event: &event,
            terms: &self.terms,
            sealed: &self.record.sealed,
        };
        for (group, counted) in wanted.groups.iter().zip(&mut tallied.groups) {
            let mut none = 1;
            for (expr, count) in group.iter().zip(&mut counted.counts) {
                if expr.matches(&subject) {
                    *count += 1;
                    none = 0;
                }
            }
            counted.none += none;
        }
        let fields = Column::ALL.iter();
        for (column, spread) in wanted
            .columns
            .iter()
            .zip(tallied.numbers.iter_mut().flatten())
        {
            let field = fields.clone().find(|(of, _)| of == column);
            if let Some(number) = field.and_then(|(_, field)| event.number(*field)) {
                spread.add(number);
            }
        }
    }
}

/// What this ledger does not take, whatever its heads are.
fn check_shape(commit: &Commit) -> Result<()> {
    commit.check()?;
    for append in &commit.appends {
        let mut ids = BTreeSet::new();
        if !append.records.iter().all(|r| ids.insert(r.audit_id)) {
            let said = "an append has an audit id twice";
            return Err(Error::new(Kind::Invalid, said));
        }
    }
    Ok(())
}

impl Inner {
    fn check_heads(&self, append: &Append) -> Result<()> {
        let (size, last_hash) = match self.logs.get(&append.tenant) {
            Some(log) => (log.head.frontier.size(), log.head.last_hash),
            None => (0, Hash::ZERO),
        };
        if (size, last_hash) != (append.expected.size, append.expected.last_hash) {
            let said = format!("the log of {} ends at {size}: read its head", append.tenant);
            return Err(Error::new(Kind::Conflict, said));
        }
        let known = |r: &NewRecord| {
            self.logs
                .get(&append.tenant)
                .is_some_and(|log| log.ids.contains_key(&r.audit_id))
        };
        match append.records.iter().find(|r| known(r)) {
            Some(r) => {
                let said = format!("{} is in the log of {} already", r.audit_id, append.tenant);
                Err(Error::new(Kind::Conflict, said))
            }
            None => Ok(()),
        }
    }

    fn apply(&mut self, append: &Append) {
        let log = self
            .logs
            .entry(append.tenant.clone())
            .or_insert_with(|| Log {
                head: append.head.clone(),
                records: Vec::new(),
                ids: HashMap::new(),
            });
        for record in &append.records {
            log.ids.insert(record.audit_id, log.records.len() as u64);
            log.records.push(Kept {
                ordinal: self.count,
                record: record.clone(),
                terms: terms_of(&record.leaf),
            });
            self.count += 1;
        }
        log.head = append.head.clone();
    }
}

impl Ledger for MemoryLedger {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        Ok(self.inner.read().logs.keys().cloned().collect())
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        Ok(self
            .inner
            .read()
            .logs
            .get(tenant)
            .map(|log| log.head.clone()))
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        let inner = self.inner.read();
        let log = inner.logs.get(tenant);
        Ok(ids.iter().map(|id| log?.ids.get(id).copied()).collect())
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        check_shape(commit)?;
        let mut inner = self.inner.write();
        commit
            .appends
            .iter()
            .try_for_each(|append| inner.check_heads(append))?;
        commit.appends.iter().for_each(|append| inner.apply(append));
        Ok(())
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let inner = self.inner.read();
        let Some(log) = inner.logs.get(tenant) else {
            return Ok(());
        };
        let records = (0..)
            .zip(&log.records)
            .filter(|(number, _)| range.contains(number));
        for (sequence_number, kept) in records {
            let record = StoredRecord {
                sequence_number,
                leaf: &kept.record.leaf,
                sealed: &kept.record.sealed,
                unread: None,
            };
            if visit(Stored::Record(record)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        let inner = self.inner.read();
        let leaves = 1_u64.checked_shl(level);
        let start = leaves.and_then(|leaves| leaves.checked_mul(index));
        let end = start.and_then(|start| start.checked_add(leaves?));
        let complete = start.zip(end).and_then(|(start, end)| {
            let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
            inner.logs.get(tenant)?.records.get(range)
        });
        let Some(records) = complete else {
            let said = format!("subtree {index} of level {level} is not complete in {tenant}");
            return Err(Error::new(Kind::NotFound, said));
        };
        Ok(root_of(records.iter().map(|kept| kept.record.record_hash)))
    }
}

impl Index for MemoryLedger {
    fn mark(&self) -> Result<u64> {
        Ok(self.inner.read().count)
    }

    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        let found = self.matching(std::slice::from_ref(query)).pop();
        let inner = self.inner.read();
        let mut tallied = wanted.begin();
        for place in found.unwrap_or_default() {
            let log = inner.logs.get(&place.tenant);
            let number = usize::try_from(place.sequence_number).unwrap_or(usize::MAX);
            if let Some(kept) = log.and_then(|log| log.records.get(number)) {
                kept.count(&place, wanted, &mut tallied);
            }
        }
        Ok(tallied)
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        let mut all = self
            .matching(std::slice::from_ref(query))
            .pop()
            .unwrap_or_default();
        if let Some(after) = after {
            all.retain(|place| query.compare(place, after).is_gt());
        }
        let exhausted = all.len() <= limit;
        all.truncate(limit);
        Ok(Hits {
            hits: all,
            exhausted,
        })
    }
}
