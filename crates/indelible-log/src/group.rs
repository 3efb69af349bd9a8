//! A group commit while it is built, and what becomes of its items.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use indelible_event::{AuditId, Micros, TenantId};
use indelible_proof::receipt::Receipt;
use indelible_store::{Append, Commit, Error, Expected, Head, NewRecord, Turn};

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

/// An item as it goes from thread to thread: some hundred bytes that are not moved.
pub(crate) type Handed = Box<Item>;

impl Item {
    /// A producer's event.
    pub(crate) fn new(prepared: Prepared, ticket: Option<Ticket>) -> Handed {
        Box::new(Self {
            prepared,
            ticket,
            attempts: 0,
            own: false,
        })
    }

    /// A record of the ledger's own.
    pub(crate) fn own(prepared: Prepared, ticket: Option<Ticket>) -> Handed {
        let mut item = Self::new(prepared, ticket);
        item.own = true;
        item
    }
}

/// Kind and id of who asks for a tenant's log.
pub(crate) type Asker = (&'static str, String);

/// What the sequencer is asked to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Give an event its place.
    Event(Handed),
    /// Give a tenant its log, for somebody of this kind and id.
    Create(TenantId, Asker, Ticket),
}

/// Items that are committed together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) epoch: u64,
    pub(crate) commit: Commit,
    /// The right to be next, where another writer was faster before.
    pub(crate) turn: Option<Box<dyn Turn>>,
    /// For each append, for each record, the item it came from.
    pub(crate) items: Vec<Vec<Handed>>,
}

impl Group {
    /// Takes the items back out, to be sequenced again or failed.
    pub(crate) fn unwind(self) -> Vec<Handed> {
        let mut back = Vec::new();
        for (append, items) in self.commit.appends.into_iter().zip(self.items) {
            for (record, mut item) in append.records.into_iter().zip(items) {
                item.prepared.take_back(record.leaf);
                item.prepared.filed = record.filed;
                item.prepared.sealed = record.sealed;
                back.push(item);
            }
        }
        back
    }

    /// Tells every submitter that its event is durable.
    pub(crate) fn acknowledge(self) {
        let appends = self.commit.appends.iter().zip(self.items);
        settle_all(appends.flat_map(|(append, items)| {
            let numbered = (append.expected.size..).zip(&append.records).zip(items);
            numbered.filter_map(|((sequence_number, record), item)| {
                let receipt = Receipt {
                    tenant_id: append.tenant.clone(),
                    audit_id: record.audit_id,
                    sequence_number,
                    record_hash: record.record_hash,
                    ingested_at: record.ingested_at,
                };
                Some((item.ticket?, Outcome::New(receipt)))
            })
        }));
    }
}

/// A group while it is built.
pub(crate) struct Building {
    pub(crate) group: Group,
    pub(crate) places: HashMap<TenantId, usize>,
    pub(crate) ids: HashSet<AuditId>,
    pub(crate) now: Micros,
    /// Room for what stands behind the event in a leaf.
    pub(crate) leaf_end: Vec<u8>,
    pub(crate) settled: Vec<(Ticket, Outcome)>,
}

impl Building {
    /// The item of the tenant's `log.created` in this group.
    pub(crate) fn created(&mut self, tenant: &TenantId) -> Option<&mut Item> {
        let place = *self.places.get(tenant)?;
        self.group
            .items
            .get_mut(place)?
            .first_mut()
            .map(AsMut::as_mut)
    }

    /// Notes what became of an item.
    pub(crate) fn settle(&mut self, ticket: Option<Ticket>, outcome: Outcome) {
        self.settled.extend(ticket.map(|ticket| (ticket, outcome)));
    }

    /// Fails items, all for the same reason.
    pub(crate) fn fail(&mut self, items: Vec<Handed>, error: Error) {
        let error = Arc::new(error);
        for item in items {
            self.settle(item.ticket, Outcome::Failed(Arc::clone(&error)));
        }
    }

    /// Fails everything that was taken, all for the same reason.
    pub(crate) fn fail_all(
        &mut self,
        creates: Vec<(TenantId, Asker, Ticket)>,
        taken: Vec<(TenantId, Vec<Handed>)>,
        error: Error,
    ) {
        let error = Arc::new(error);
        let items = taken.into_iter().flat_map(|(_, items)| items);
        let tickets = creates.into_iter().map(|(_, _, ticket)| ticket);
        let tickets = tickets.chain(items.filter_map(|item| item.ticket));
        let failed = tickets.map(|ticket| (ticket, Outcome::Failed(Arc::clone(&error))));
        self.settled.extend(failed);
    }

    /// The place of the tenant's append, which builds on `head`.
    pub(crate) fn append(&mut self, tenant: &TenantId, head: &Head) -> usize {
        if let Some(place) = self.places.get(tenant) {
            return *place;
        }
        let appends = &mut self.group.commit.appends;
        let place = appends.len();
        appends.push(Append {
            tenant: tenant.clone(),
            expected: Expected {
                size: head.frontier.size(),
                last_hash: head.last_hash,
            },
            records: Vec::new(),
            head: head.clone(),
        });
        self.group.items.push(Vec::new());
        self.places.insert(tenant.clone(), place);
        place
    }

    pub(crate) fn push(&mut self, place: usize, record: NewRecord, item: Handed) {
        let append = self.group.commit.appends.get_mut(place);
        if let (Some(append), Some(items)) = (append, self.group.items.get_mut(place)) {
            append.records.push(record);
            items.push(item);
        }
    }
}
