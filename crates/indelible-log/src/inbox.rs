//! Work that waits to be numbered: by tenant, each in its turn, so that a tenant that brings much
//! does not keep those waiting who bring little.
//!
//! The events of one tenant keep their order; between tenants there is none.

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt as _};
use indelible_event::ids::TenantId;

use crate::group::{Handed, Work};

/// Events of one tenant that are taken in its turn.
const TURN: usize = 64;

/// What waits.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Tenants to be created, before everything else.
    creates: VecDeque<Work>,
    by_tenant: HashMap<TenantId, Queue>,
    /// The tenants with events, in the order of their turns.
    turns: VecDeque<TenantId>,
    events: usize,
    bytes: usize,
}

/// The events of one tenant.
#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Handed>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, item: Handed) {
        self.bytes += bytes(&item);
        self.items.push_back(item);
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            creates: VecDeque::new(),
            by_tenant: HashMap::new(),
            turns: VecDeque::new(),
            events: 0,
            bytes: 0,
        }
    }
}

impl Inbox {
    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        self.events + self.creates.len()
    }

    /// The bytes of the events that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one of these is of a tenant of which no more bytes wait.
    pub(crate) fn has_little_of(&self, items: &[Handed], bytes: usize) -> bool {
        let mut runs = items.chunk_by(|a, b| a.prepared.tenant == b.prepared.tenant);
        runs.any(|run| {
            let first = run.first();
            let queue = first.and_then(|item| self.by_tenant.get(&item.prepared.tenant));
            queue.is_none_or(|queue| queue.bytes <= bytes)
        })
    }

    pub(crate) fn create(&mut self, work: Work) {
        self.creates.push_back(work);
    }

    pub(crate) fn push(&mut self, items: Vec<Handed>) {
        self.events += items.len();
        self.bytes += items.iter().map(bytes).sum::<usize>();
        let mut items = items.into_iter().peekable();
        while let Some(first) = items.next() {
            let tenant = first.prepared.tenant.clone();
            let queue = self.by_tenant.entry(tenant.clone()).or_default();
            if queue.items.is_empty() {
                self.turns.push_back(tenant.clone());
            }
            queue.push(first);
            while let Some(next) = items.next_if(|next| next.prepared.tenant == tenant) {
                queue.push(next);
            }
        }
    }

    /// Moves so many and so many bytes, or a turn more, behind what is there; whether that was
    /// something.
    pub(crate) fn take(
        &mut self,
        into: &mut VecDeque<Work>,
        (count, bytes_max): (usize, usize),
    ) -> bool {
        let (before, bytes_before) = (into.len(), self.bytes);
        into.append(&mut self.creates);
        while into.len() - before < count && bytes_before - self.bytes < bytes_max {
            let Some(tenant) = self.turns.pop_front() else {
                break;
            };
            let Some(queue) = self.by_tenant.get_mut(&tenant) else {
                continue;
            };
            let turn = queue.items.len().min(TURN);
            let mut taken = 0;
            for item in queue.items.drain(..turn) {
                taken += bytes(&item);
                into.push_back(Work::Event(item));
            }
            queue.bytes -= taken;
            self.bytes -= taken;
            self.events -= turn;
            if queue.items.is_empty() {
                self.by_tenant.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
        }
        into.len() > before
    }
}

fn bytes(item: &Handed) -> usize {
    item.prepared.leaf.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bytes::BytesMut;
    use indelible_event::{AuditId, Micros};

    use super::*;
    use crate::group::Item;
    use crate::prepare::Prepared;

    fn item(tenant: &str, n: u64) -> Handed {
        let leaf = BytesMut::from(n.to_string().as_bytes());
        let prepared = Prepared {
            tenant: TenantId::parse(tenant).unwrap(),
            audit_id: AuditId::mint(n, [0; 10]),
            occurred_at: Micros(0),
            event_end: leaf.len(),
            leaf,
            ledger: [].into(),
            filed: None,
            sealed: Vec::new(),
            policy: None,
            new_keys: Vec::new(),
        };
        Item::new(prepared, None)
    }

    fn names(taken: &VecDeque<Work>) -> Vec<(String, String)> {
        let name = |work: &Work| match work {
            Work::Event(item) => {
                let leaf = String::from_utf8(item.prepared.leaf.to_vec()).unwrap();
                (item.prepared.tenant.to_string(), leaf)
            }
            Work::Create(tenant, ..) => (tenant.to_string(), String::new()),
        };
        taken.iter().map(name).collect()
    }

    #[test]
    fn who_brings_little_comes_in_his_turn_and_each_keeps_his_order() {
        let mut inbox = Inbox::default();
        inbox.push((0..10_000).map(|n| item("flood", n)).collect());
        inbox.push(vec![
            item("quiet", 0),
            item("flood", 10_000),
            item("quiet", 1),
        ]);
        assert_eq!(inbox.len(), 10_003);
        let mut taken = VecDeque::new();
        assert!(inbox.take(&mut taken, (100, usize::MAX)));
        let first = names(&taken);
        let place = first.iter().position(|(tenant, _)| tenant == "quiet");
        assert_eq!(place, Some(TURN), "behind one turn of the other");
        while inbox.take(&mut taken, (100, usize::MAX)) {}
        let all = names(&taken);
        for (tenant, count) in [("flood", 10_001), ("quiet", 2)] {
            let of = all.iter().filter(|(of, _)| of == tenant);
            let of: Vec<u64> = of.map(|(_, n)| n.parse().unwrap()).collect();
            assert_eq!(of, (0..count).collect::<Vec<_>>(), "{tenant}");
        }
        assert_eq!(
            (inbox.len(), inbox.bytes(), inbox.by_tenant.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn bytes_bound_what_is_taken_and_little_is_told_from_much() {
        let mut inbox = Inbox::default();
        inbox.push((100_000..101_000).map(|n| item("flood", n)).collect());
        assert!(!inbox.has_little_of(&[item("flood", 1)], 1_000));
        assert!(inbox.has_little_of(&[item("flood", 1), item("quiet", 1)], 1_000));
        let mut taken = VecDeque::new();
        inbox.take(&mut taken, (usize::MAX, 600));
        assert_eq!(taken.len(), 2 * TURN);
        assert_eq!(inbox.bytes(), (1_000 - 2 * TURN) * 6);
    }
}
