//! Records of one ledger into another, as they are: the same leaves, hashes and places.
//!
//! Nothing is numbered, hashed into a chain or sealed anew. The other ledger's heads say how far an
//! earlier copy came; a log of it that is not the beginning of ours is refused. [`extends`] says so
//! before anything is copied.

use std::ops::ControlFlow;

use bytes::BytesMut;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::{EventView, Field, LeafView};
use indelible_merkle::{Frontier, Hash, leaf_hash};
use indelible_store::{
    Append, Commit, Error, Expected, Head, Kind, Ledger, NewRecord, Result, Stored,
};

/// Records that are committed together.
const GROUP_RECORDS_MAX: u64 = 4_096;
/// Bytes of leaves that are committed together, but for one more.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// What came over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Logs.
    pub tenants: u64,
    /// Records of all logs that are in the other ledger now.
    pub records: u64,
    /// Of these, those that this call brought.
    pub brought: u64,
}

/// How far a ledger's logs go.
pub type Heads = Vec<(TenantId, Head)>;

/// How far all logs go now.
///
/// # Errors
/// As the ledger's; [`Kind::Corrupt`] for a log whose end cannot be told.
pub fn heads(ledger: &dyn Ledger) -> Result<Heads> {
    let mut heads = Vec::new();
    for tenant in ledger.tenants()? {
        if let Some(head) = ledger.head(&tenant)? {
            heads.push((tenant, head));
        }
    }
    Ok(heads)
}

/// Whether every log of `copy` is the beginning of a log here.
///
/// # Errors
/// [`Kind::Invalid`] naming the first that is not; else as the ledgers'.
pub fn extends(ledger: &dyn Ledger, copy: &dyn Ledger) -> Result<()> {
    for (tenant, old) in heads(copy)? {
        let size = old.frontier.size();
        let now = ledger.head(&tenant)?.map_or(0, |head| head.frontier.size());
        if now < size {
            let said = format!("the log of {tenant} has {now} records and its copy {size}");
            return Err(Error::new(Kind::Invalid, said));
        }
        // The complete subtrees of the copy, largest first.
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        for (level, hash) in levels.zip(old.frontier.hashes()) {
            let is_same = ledger.subtree(&tenant, level, (size >> level) - 1)? == *hash;
            if !is_same {
                let said = format!("the log of {tenant} is not the one that was copied");
                return Err(Error::new(Kind::Invalid, said));
            }
        }
    }
    Ok(())
}

/// Copies logs as far as `heads` say, and tells how many of how many records are there.
///
/// # Errors
/// [`Kind::Corrupt`] when a record cannot be read; [`Kind::Invalid`] when the other ledger has
/// another log of that name; else as the ledgers'. What was copied stays.
pub fn copy_logs(
    from: &dyn Ledger,
    heads: &Heads,
    to: &dyn Ledger,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Copied> {
    let total = heads.iter().map(|(_, head)| head.frontier.size()).sum();
    let mut copied = Copied::default();
    let mut group = Group::default();
    for (tenant, end) in heads {
        let mut head = to.head(tenant)?.unwrap_or_else(empty);
        copied.records += head.frontier.size();
        while head.frontier.size() < end.frontier.size() {
            tell(copied.records, total);
            let append = next(from, tenant, &head, end.frontier.size())?;
            head = append.head.clone();
            let count = append.records.len() as u64;
            copied.records += count;
            copied.brought += count;
            group.add(append);
            // A log stands in a commit once.
            if group.is_full() || head.frontier.size() < end.frontier.size() {
                group.commit(to)?;
            }
        }
        if head != *end {
            let said = format!("the log of {tenant} there is another one");
            return Err(Error::new(Kind::Invalid, said));
        }
        copied.tenants += 1;
    }
    group.commit(to)?;
    Ok(copied)
}

/// What is committed together: many short logs, or a part of a long one.
#[derive(Default)]
struct Group {
    commit: Commit,
    records: u64,
    bytes: usize,
}

impl Group {
    fn add(&mut self, append: Append) {
        self.records += append.records.len() as u64;
        self.bytes += append.records.iter().map(|r| r.leaf.len()).sum::<usize>();
        self.commit.appends.push(append);
    }

    fn is_full(&self) -> bool {
        self.records >= GROUP_RECORDS_MAX || self.bytes >= GROUP_BYTES_MAX
    }

    fn commit(&mut self, to: &dyn Ledger) -> Result<()> {
        let group = std::mem::take(self);
        if group.commit.appends.is_empty() {
            return Ok(());
        }
        to.append(&group.commit)
    }
}

fn empty() -> Head {
    Head {
        frontier: Frontier::new(),
        last_hash: Hash::ZERO,
        last_ingested_at: Micros(i64::MIN),
    }
}

/// The records after a head and before `end`, as many as are committed together.
fn next(from: &dyn Ledger, tenant: &TenantId, head: &Head, end: u64) -> Result<Append> {
    let expected = Expected {
        size: head.frontier.size(),
        last_hash: head.last_hash,
    };
    let (mut head, mut records) = (head.clone(), Vec::new());
    let (mut bytes, mut failed) = (0, None);
    let range = expected.size..end.min(expected.size + GROUP_RECORDS_MAX);
    from.read(tenant, range, &mut |stored| {
        match record(tenant, head.frontier.size(), &stored) {
            Ok(record) => {
                head.frontier.append(record.record_hash);
                head.last_hash = record.record_hash;
                head.last_ingested_at = record.ingested_at;
                bytes += record.leaf.len();
                records.push(record);
            }
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        if bytes < GROUP_BYTES_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if records.is_empty() {
        let said = format!("the log of {tenant} has no record {}", expected.size);
        return Err(Error::new(Kind::Corrupt, said));
    }
    Ok(Append {
        tenant: tenant.clone(),
        expected,
        records,
        head,
    })
}

/// The stored record of this number as one to append: the same leaf, and what is read in it.
fn record(tenant: &TenantId, awaited: u64, stored: &Stored<'_>) -> Result<NewRecord> {
    let corrupt = |number: u64, why: &str| {
        let said = format!("record {number} of {tenant} cannot be copied: {why}; see verify");
        Error::new(Kind::Corrupt, said)
    };
    let stored = match stored {
        Stored::Record(stored) => stored,
        Stored::Damaged { range, place } => {
            return Err(corrupt(range.start, &place.to_string()));
        }
    };
    let number = stored.sequence_number;
    if number != awaited {
        return Err(corrupt(number, "it stands twice"));
    }
    if let Some(place) = stored.unread {
        return Err(corrupt(number, &place.to_string()));
    }
    let leaf = LeafView::locate(stored.leaf).map_err(|e| corrupt(number, &e.to_string()))?;
    let event = EventView::parse(leaf.event()).map_err(|e| corrupt(number, &e.to_string()))?;
    let id = event.text(Field::AuditId);
    let id = id.and_then(|text| AuditId::parse(&text).ok());
    let occurred_at = event.text(Field::OccurredAt);
    let occurred_at = occurred_at.and_then(|text| Micros::parse(&text).ok());
    Ok(NewRecord {
        leaf: BytesMut::from(stored.leaf),
        record_hash: leaf_hash(stored.leaf),
        audit_id: id.ok_or_else(|| corrupt(number, "it has no id"))?,
        occurred_at: occurred_at.unwrap_or(leaf.ingested_at),
        ingested_at: leaf.ingested_at,
        filed: None,
        sealed: stored.sealed.to_vec(),
    })
}
