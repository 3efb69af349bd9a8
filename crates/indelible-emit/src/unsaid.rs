//! Statements that the ledger did not take, kept in memory. Those of a tenant that is not there are
//! said again when an event of that tenant has a receipt; those that were tried as often as events
//! may be, when anything has one, and at the close until its deadline. What is left then goes to
//! the spool, for whoever comes next.
//!
//! Without it, what was lost of a tenant that is made later, or while the ledger was out of reach,
//! would be a gap in its log, though its emitter had declared it. Invariant: bounded; what finds no
//! room is a gap, which is never better than the truth.

use std::collections::HashMap;

use indelible_event::TenantId;

use crate::transport::Outgoing;

/// The most statements that are kept, of all tenants that are not there.
const STATEMENTS_MAX: usize = 1_000;
/// The most that are kept while the ledger is out of reach; more than a line in memory holds, since
/// no losses are declared meanwhile.
const GIVEN_UP_MAX: usize = 10_000;

/// Statements that are not in the ledger, by tenant, in order.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    by_tenant: HashMap<TenantId, Vec<Outgoing>>,
    count: usize,
    /// Given up though their tenants may be there.
    given_up: Vec<Outgoing>,
}

impl Unsaid {
    /// Keeps a statement, if there is room.
    pub(crate) fn keep(&mut self, statement: Outgoing) {
        if self.count < STATEMENTS_MAX {
            self.count += 1;
            let tenant = statement.tenant.clone();
            self.by_tenant.entry(tenant).or_default().push(statement);
        }
    }

    /// Keeps a statement that was tried as often as events may be, if there is room.
    pub(crate) fn keep_given_up(&mut self, statement: Outgoing) {
        if self.given_up.len() < GIVEN_UP_MAX {
            self.given_up.push(statement);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && self.given_up.is_empty()
    }

    /// Whether the ledger was out of reach for some of them.
    pub(crate) fn any_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// Those that were given up, in order.
    pub(crate) fn take_given_up(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.given_up)
    }

    /// All of them, of each tenant in order.
    pub(crate) fn take(&mut self) -> Vec<Outgoing> {
        self.count = 0;
        let mut all = self.take_given_up();
        all.extend(self.by_tenant.drain().flat_map(|(_, said)| said));
        all
    }

    /// The statements of a tenant, which is there now.
    pub(crate) fn of(&mut self, tenant: &TenantId) -> Vec<Outgoing> {
        let statements = self.by_tenant.remove(tenant).unwrap_or_default();
        self.count -= statements.len();
        statements
    }
}
