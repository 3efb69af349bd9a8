//! A group commit while it is built, and what becomes of its items.

use foldhash::{HashMap, HashSet};
use indelible_event::{AuditId, Micros, TenantId};
use indelible_proof::receipt::Receipt;
use indelible_store::{Append, Commit, Expected, Head, NewRecord};

use crate::outcome::{Outcome, Ticket, settle_all};
use crate::prepare::Prepared;

/// An event and where its outcome goes; the ledger's own records have no ticket.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) prepared: Prepared,
    pub(crate) ticket: Option<Ticket>,
    /// How often a commit with it failed in a way that is worth another attempt.
    pub(crate) attempts: u32,
    /// Whether the ledger wrote it itself; it is made anew, never sequenced again.
    pub(crate) own: bool,
}

/// What the sequencer is asked to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Give an event its place.
    Event(Box<Item>),
    /// Give a tenant its log.
    Create(TenantId, Ticket),
}

/// Items that are committed together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) epoch: u64,
    pub(crate) commit: Commit,
    /// For each append, for each record, the item it came from.
    pub(crate) items: Vec<Vec<Item>>,
}

impl Group {
    /// Takes the items back out, to be sequenced again or failed.
    pub(crate) fn unwind(self) -> Vec<Item> {
        let mut back = Vec::new();
        for (append, items) in self.commit.appends.into_iter().zip(self.items) {
            for (record, mut item) in append.records.into_iter().zip(items) {
                item.prepared.terms = record.terms;
                item.prepared.numbers = record.numbers;
                item.prepared.sealed = record.sealed;
                back.push(item);
            }
        }
        back
    }

    /// Tells every submitter that its event is durable.
    pub(crate) fn acknowledge(self) {
        let mut outcomes = Vec::new();
        for (append, items) in self.commit.appends.into_iter().zip(self.items) {
            for (place, (record, item)) in append.records.iter().zip(items).enumerate() {
                let Some(ticket) = item.ticket else { continue };
                let receipt = Receipt {
                    tenant_id: append.tenant.clone(),
                    audit_id: record.audit_id,
                    sequence_number: append.expected.size + place as u64,
                    record_hash: record.record_hash,
                    ingested_at: record.ingested_at,
                };
                outcomes.push((ticket, Outcome::New(receipt)));
            }
        }
        settle_all(outcomes);
    }
}

/// A group while it is built.
pub(crate) struct Building {
    pub(crate) group: Group,
    pub(crate) places: HashMap<TenantId, usize>,
    pub(crate) ids: HashSet<AuditId>,
    pub(crate) now: Micros,
    pub(crate) settled: Vec<(Ticket, Outcome)>,
}

impl Building {
    /// The item of the tenant's `log.created` in this group.
    pub(crate) fn created(&mut self, tenant: &TenantId) -> Option<&mut Item> {
        let place = *self.places.get(tenant)?;
        self.group.items.get_mut(place)?.first_mut()
    }

    pub(crate) fn push(&mut self, before: Expected, head: &Head, record: NewRecord, item: Item) {
        let tenant = item.prepared.tenant.clone();
        let expected = before;
        let appends = &mut self.group.commit.appends;
        let place = *self.places.entry(tenant.clone()).or_insert_with(|| {
            appends.push(Append {
                tenant,
                expected,
                records: Vec::new(),
                head: head.clone(),
            });
            self.group.items.push(Vec::new());
            appends.len() - 1
        });
        if let (Some(append), Some(items)) =
            (appends.get_mut(place), self.group.items.get_mut(place))
        {
            append.records.push(record);
            items.push(item);
        }
    }
}
