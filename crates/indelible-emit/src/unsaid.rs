//! Statements that the ledger did not take, since their tenant is not there: kept in memory, and
//! said again when an event of that tenant has a receipt; what is left at the close goes to the
//! spool, for whoever comes next.
//!
//! Without it, what was lost of a tenant that is made later would be a gap in its log, though its
//! emitter had declared it. Invariant: bounded; what finds no room is a gap, which is never better
//! than the truth.

use std::collections::HashMap;

use indelible_event::TenantId;

use crate::transport::Outgoing;

/// The most statements that are kept, of all tenants.
const STATEMENTS_MAX: usize = 1_000;

/// Statements that are not in the ledger, by tenant, in order.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    by_tenant: HashMap<TenantId, Vec<Outgoing>>,
    count: usize,
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

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, of each tenant in order.
    pub(crate) fn take(&mut self) -> Vec<Outgoing> {
        self.count = 0;
        self.by_tenant.drain().flat_map(|(_, said)| said).collect()
    }

    /// The statements of a tenant, which is there now.
    pub(crate) fn of(&mut self, tenant: &TenantId) -> Vec<Outgoing> {
        let statements = self.by_tenant.remove(tenant).unwrap_or_default();
        self.count -= statements.len();
        statements
    }
}
