//! The sequencer: same, new or conflict by audit id; a number, the previous hash, a leaf.
//!
//! One thread runs it. It builds on heads that are not durable yet (the pipeline makes sure that a
//! group is acknowledged only after all before it) and forgets them when a commit fails. An id that
//! is in flight is never judged: its event waits until the pipeline is drained, so that only what
//! is durable is ever called a repeat.
//!
//! `spec/leaf.md`, `spec/chain.md`.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::slice;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _, HashSet};
use indelible_event::leaf::write_leaf_end;
use indelible_event::limits::LEAF_BYTES_MAX;
use indelible_event::{
    AuditId, LeafHead, LeafView, Ledger as LedgerObject, Micros, Problem, ProblemCode, StreamClaim,
    TenantId, TooLong,
};
use indelible_merkle::{Frontier, Hash, leaf_hash};
use indelible_proof::receipt::Receipt;
use indelible_store::{Commit, Error, Head, Kind, NewRecord, Result, Stored, Turn};

use crate::conflict::Conflicts;
use crate::group::{Asker, Building, Group, Handed, Item, Work};
use crate::log::Shared;
use crate::outcome::{Outcome, Ticket, settle_all};
use crate::own::{LEDGER, OwnEvent, SYSTEM_TENANT, event_conflicted, tenant_created};
use crate::prepare::Prepared;
use crate::repeat::same_content;
use crate::tenants::create_log;

/// Tenants to be created, and events by tenant, each in the order they came.
type Taken = (Vec<Create>, Vec<OfTenant>);
type Create = (TenantId, Asker, Ticket);
type OfTenant = (TenantId, Vec<Handed>);

/// The turn, if there is one, and for each tenant's events where they are if they are there.
type Looked = (Option<Box<dyn Turn>>, Vec<Result<Vec<Option<u64>>>>);

/// Placed, or given back with what became of it.
type Placed = std::result::Result<(), (Handed, Outcome)>;

pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    heads: HashMap<TenantId, Head>,
    conflicts: Conflicts,
    in_flight: VecDeque<HashSet<AuditId>>,
    pub(crate) epoch: u64,
}

impl Sequencer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            heads: HashMap::new(),
            conflicts: Conflicts::default(),
            in_flight: VecDeque::new(),
            epoch: 1,
        }
    }

    /// The oldest group in flight is durable.
    pub(crate) fn committed(&mut self) {
        self.in_flight.pop_front();
    }

    /// A commit failed and nothing is in flight any more: forget what was built on.
    pub(crate) fn reset(&mut self) {
        self.heads.clear();
        self.in_flight.clear();
        self.epoch += 1;
    }

    /// Builds a group from the front of `waiting`. An empty group means that the first of them has
    /// to wait until nothing is in flight, or that everything taken was settled without a commit.
    ///
    /// In turn, its keys are in the key store before it is built, and no other writer moves the
    /// heads that it builds on; nothing may be in flight then.
    pub(crate) fn build(&mut self, waiting: &mut VecDeque<Work>, in_turn: bool) -> Group {
        let mut building = Building {
            group: Group {
                epoch: self.epoch,
                commit: Commit::default(),
                turn: None,
                items: vec![],
            },
            places: HashMap::new(),
            ids: HashSet::default(),
            now: self.shared.env.clock.now(),
            leaf_end: Vec::new(),
            settled: Vec::new(),
        };
        let (creates, mut taken) = self.take(waiting, &mut building.ids);
        self.seal_again(&mut building, &mut taken, in_turn);
        match self.look(&creates, &taken, in_turn) {
            Ok((turn, found)) => {
                building.group.turn = turn;
                for (tenant, by, ticket) in creates {
                    self.create(&mut building, &tenant, (by, ticket));
                }
                for ((tenant, items), found) in taken.into_iter().zip(found) {
                    self.sequence(&mut building, &tenant, items, found);
                }
            }
            Err(error) => building.fail_all(creates, taken, error),
        }
        settle_all(building.settled);
        for append in &mut building.group.commit.appends {
            if let Some(head) = self.heads.get(&append.tenant) {
                append.head.clone_from(head);
            }
        }
        if !building.group.commit.appends.is_empty() {
            self.in_flight.push_back(building.ids);
        }
        building.group
    }

    /// Takes what makes a group from the front of `waiting`: tenants to be created, and events by
    /// tenant. An id that is in flight, or twice in the group, ends it.
    fn take(&self, waiting: &mut VecDeque<Work>, ids: &mut HashSet<AuditId>) -> Taken {
        let limits = self.shared.options.limits;
        let mut places: HashMap<TenantId, usize> = HashMap::new();
        let (mut creates, mut taken): Taken = Default::default();
        let mut bytes = 0;
        while let Some(work) = waiting.pop_front() {
            let item = match work {
                Work::Event(item) => item,
                Work::Create(tenant, by, ticket) => {
                    creates.push((tenant, by, ticket));
                    continue;
                }
            };
            let id = item.prepared.audit_id;
            let full = ids.len() >= limits.group_records_max || bytes >= limits.group_bytes_max;
            if full || self.in_flight.iter().any(|g| g.contains(&id)) || !ids.insert(id) {
                waiting.push_front(Work::Event(item));
                break;
            }
            bytes += item.prepared.leaf.len();
            let tenant = &item.prepared.tenant;
            let place = places.get(tenant).copied().unwrap_or_else(|| {
                places.insert(tenant.clone(), taken.len());
                taken.push((tenant.clone(), Vec::new()));
                taken.len() - 1
            });
            if let Some((_, items)) = taken.get_mut(place) {
                items.push(item);
            }
        }
        (creates, taken)
    }

    /// Seals again what was sealed under a key that was not the first. In turn that is known of
    /// all: what is taken then meets no rival's key any more when it is committed.
    fn seal_again(&self, building: &mut Building, taken: &mut [OfTenant], in_turn: bool) {
        let keyring = &self.shared.keyring;
        if in_turn {
            // What is not written now is tried again, and told, where the group is committed.
            let _ = keyring.flush_pending();
        }
        let superseded = |item: &Handed| {
            let keys = &item.prepared.new_keys;
            keys.iter().any(|subject| subject.is_superseded())
        };
        for (_, items) in taken {
            if !items.iter().any(superseded) {
                continue;
            }
            for mut item in std::mem::take(items) {
                let again = superseded(&item);
                match again.then(|| item.prepared.seal_again(keyring)) {
                    Some(Err(error)) => building.fail(vec![item], error),
                    Some(Ok(())) | None => items.push(item),
                }
            }
        }
    }

    /// Asks the ledger what it has of the ids, and for the heads that are not known yet.
    fn look(&mut self, creates: &[Create], taken: &[OfTenant], in_turn: bool) -> Result<Looked> {
        let ledger = &self.shared.stores.ledger;
        let all = creates.iter().map(|(tenant, ..)| tenant);
        let all = all.chain(taken.iter().map(|(tenant, _)| tenant));
        let unknown: Vec<TenantId> = all
            .filter(|tenant| !self.heads.contains_key(*tenant))
            .cloned()
            .collect();
        // None is known then, for a conflict is what came before.
        let turn = if in_turn {
            ledger.turn(&unknown)?
        } else {
            None
        };
        if !unknown.is_empty() {
            // What is not there, or cannot be read, is asked again where it is needed.
            let heads = unknown.iter().zip(ledger.heads_to_extend(&unknown));
            let known = heads.filter_map(|(tenant, head)| Some((tenant.clone(), head.ok()??)));
            self.heads.extend(known);
        }
        let id = |item: &Handed| item.prepared.audit_id;
        let ids: Vec<Vec<AuditId>> = taken
            .iter()
            .map(|(_, items)| items.iter().map(id).collect())
            .collect();
        let wanted = taken.iter().zip(&ids);
        let wanted: Vec<_> = wanted
            .map(|((tenant, _), ids)| (tenant, &ids[..]))
            .collect();
        Ok((turn, ledger.find_all(&wanted)))
    }

    /// Settles the events of a tenant whose id the ledger has, and gives the others their places.
    fn sequence(
        &mut self,
        building: &mut Building,
        tenant: &TenantId,
        items: Vec<Handed>,
        found: Result<Vec<Option<u64>>>,
    ) {
        let found = match found {
            Ok(found) => found,
            Err(e) => return building.fail(items, e),
        };
        let mut fresh = Vec::with_capacity(items.len());
        for (item, found) in items.into_iter().zip(found) {
            if let Some(number) = found {
                let outcome = self.compare(building, &item.prepared, number);
                building.settle(item.ticket, outcome);
            } else {
                fresh.push(item);
            }
        }
        if fresh.is_empty() {
            return;
        }
        let first = fresh.first().map(|item| &*item.prepared.ledger);
        if let Err(e) = self.head_for(building, tenant, || submitter(first)) {
            return building.fail(fresh, e);
        }
        let Some(head) = self.heads.get_mut(tenant) else {
            let e = Error::new(Kind::NotFound, format!("tenant {tenant} has no log"));
            return building.fail(fresh, e);
        };
        for item in fresh {
            if let Err((item, outcome)) = place(building, tenant, head, item) {
                building.settle(item.ticket, outcome);
            }
        }
    }

    /// The same content again is a repeat, other content a conflict.
    fn compare(&mut self, building: &mut Building, new: &Prepared, number: u64) -> Outcome {
        let ledger = &self.shared.stores.ledger;
        let mut verdict = None;
        let read = ledger.read(&new.tenant, number..number + 1, &mut |stored| {
            verdict = Some(match stored {
                Stored::Record(record) => match LeafView::locate(record.leaf) {
                    Err(problem) => Err(problem.to_string()),
                    Ok(leaf) => {
                        let receipt = Receipt {
                            tenant_id: new.tenant.clone(),
                            audit_id: new.audit_id,
                            sequence_number: number,
                            record_hash: leaf_hash(record.leaf),
                            ingested_at: leaf.ingested_at,
                        };
                        let other_claim = claim(leaf.ledger()) != claim(&new.ledger);
                        same_content(&self.shared.keyring, new, leaf.event())
                            .map(|same| (same, receipt, other_claim))
                            .map_err(|e| e.to_string())
                    }
                },
                Stored::Damaged { place, .. } => Err(place.to_string()),
            });
            ControlFlow::Break(())
        });
        let damaged = |why: String| {
            let context = format!(
                "record {number} of {} cannot be compared: {why}",
                new.tenant
            );
            Outcome::Failed(Arc::new(Error::new(Kind::Corrupt, context)))
        };
        match (read, verdict) {
            (Err(e), _) => Outcome::Failed(Arc::new(e)),
            (Ok(()), None) => damaged("it is not there".to_owned()),
            (Ok(()), Some(Err(why))) => damaged(why),
            (Ok(()), Some(Ok((true, receipt, other_claim)))) => Outcome::Repeat {
                receipt,
                other_claim,
            },
            (Ok(()), Some(Ok((false, receipt, _)))) => {
                if let Some(count) = self.conflicts.note(&new.tenant, new.audit_id, building.now) {
                    let kept = receipt.record_hash.to_string();
                    let own = event_conflicted(
                        (&self.shared.env, building.now),
                        &new.audit_id,
                        &kept,
                        count,
                    );
                    // Conflicts are told to the submitter in any case; the record of them is lost
                    // only when the log cannot be appended to at all.
                    let _ = self.place_own(building, &new.tenant, &own, None);
                }
                Outcome::Conflict(receipt)
            }
        }
    }

    fn place_own(
        &mut self,
        building: &mut Building,
        tenant: &TenantId,
        own: &OwnEvent,
        ticket: Option<Ticket>,
    ) -> Result<()> {
        let prepared = Prepared::own(tenant, own, self.shared.incarnation);
        building.ids.insert(prepared.audit_id);
        let Some(head) = self.heads.get_mut(tenant) else {
            let context = format!("tenant {tenant} has no log");
            return Err(Error::new(Kind::NotFound, context));
        };
        place(building, tenant, head, Item::own(prepared, ticket)).map_err(|_| {
            let context = "a record of the ledger's own is too large";
            Error::new(Kind::Invalid, context)
        })
    }

    fn create(
        &mut self,
        building: &mut Building,
        tenant: &TenantId,
        (by, ticket): (Asker, Ticket),
    ) {
        let known = self.heads.contains_key(tenant);
        let outcome = match self.head_for(building, tenant, || by) {
            Err(e) => Outcome::Failed(Arc::new(e)),
            // It is in this group, or durable, or in flight: a commit that fails is told to whoever
            // needs the tenant next.
            Ok(()) if !known && building.places.contains_key(tenant) => {
                if let Some(item) = building.created(tenant) {
                    item.ticket = Some(ticket);
                }
                return;
            }
            Ok(()) => Outcome::Failed(Arc::new(Error::new(Kind::Conflict, "it has a log"))),
        };
        building.settled.push((ticket, outcome));
    }

    /// Makes sure that the tenant's head is known, and gives it a log if it may have one: by whom,
    /// its record says.
    fn head_for(
        &mut self,
        building: &mut Building,
        tenant: &TenantId,
        by: impl FnOnce() -> Asker,
    ) -> Result<()> {
        if self.heads.contains_key(tenant) {
            return Ok(());
        }
        let heads = &mut self
            .shared
            .stores
            .ledger
            .heads_to_extend(slice::from_ref(tenant));
        if let Some(head) = heads.pop().unwrap_or(Ok(None))? {
            self.heads.insert(tenant.clone(), head);
            return Ok(());
        }
        let (created, row) = create_log(&self.shared, tenant, building.now)?;
        let empty = Head {
            frontier: Frontier::new(),
            last_hash: Hash::ZERO,
            last_ingested_at: Micros(i64::MIN),
        };
        self.heads.insert(tenant.clone(), empty);
        if let Err(e) = self.place_own(building, tenant, &created, None) {
            self.heads.remove(tenant);
            return Err(e);
        }
        if tenant.as_str() != SYSTEM_TENANT {
            let system = self.shared.system.clone();
            let (kind, id) = by();
            let now = (&self.shared.env, building.now);
            let own = tenant_created(now, tenant, &row.log_id, (kind, &id));
            self.head_for(building, &system, ledger_itself)?;
            self.place_own(building, &system, &own, None)?;
        }
        Ok(())
    }
}

/// The ledger, as who makes a log that nobody asked for.
fn ledger_itself() -> Asker {
    (LEDGER.0, LEDGER.1.to_owned())
}

/// Who submitted an event, by the `ledger` object of its record.
fn submitter(ledger: Option<&[u8]>) -> Asker {
    let object = ledger.and_then(|ledger| LedgerObject::parse(ledger).ok());
    let by = object.and_then(|object| object.submitted_by);
    by.map_or_else(ledger_itself, |by| ("service", by))
}

/// The place in a stream that a record's `ledger` object says.
fn claim(ledger: &[u8]) -> Option<StreamClaim> {
    LedgerObject::parse(ledger).ok()?.stream
}

/// Gives the item its place in the group: number, leaf, hash.
fn place(building: &mut Building, tenant: &TenantId, head: &mut Head, mut item: Handed) -> Placed {
    let prepared = &mut item.prepared;
    let ingested_at = building.now.max(head.last_ingested_at);
    let leaf_head = LeafHead {
        ingested_at,
        ledger: &prepared.ledger,
        previous_hash: head.last_hash.as_bytes(),
        sequence_number: head.frontier.size(),
        tenant_id: tenant,
    };
    building.leaf_end.clear();
    write_leaf_end(&mut building.leaf_end, &leaf_head);
    let bytes = prepared.leaf.len() + building.leaf_end.len();
    if bytes > LEAF_BYTES_MAX {
        let problem = Problem::at("", ProblemCode::TooLarge, TooLong { bytes }.to_string());
        return Err((item, Outcome::Refused(vec![problem])));
    }
    let mut leaf = std::mem::take(&mut prepared.leaf);
    leaf.extend_from_slice(&building.leaf_end);
    let append = building.append(tenant, head);
    let record_hash = leaf_hash(&leaf);
    head.frontier.append(record_hash);
    head.last_hash = record_hash;
    head.last_ingested_at = ingested_at;
    let record = NewRecord {
        leaf,
        record_hash,
        audit_id: prepared.audit_id,
        occurred_at: prepared.occurred_at,
        ingested_at,
        filed: prepared.filed.take(),
        sealed: std::mem::take(&mut prepared.sealed),
    };
    building.push(append, record, item);
    Ok(())
}
