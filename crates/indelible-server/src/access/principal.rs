//! Who a request is by, and what of the ledger is there for it.
//!
//! Not how that is found out: keys are `super::Access`'s.

use std::sync::Arc;

use indelible_api::Role;
use indelible_event::ids::TenantId;

/// Kind and id of who did something, as records have them.
pub type Actor<'a> = (&'a str, &'a str);

/// Who a request is by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Anybody, on an open server.
    Open,
    /// The holder of a key.
    Key {
        /// The key's id.
        id: Arc<str>,
        /// What it may do.
        role: Role,
        /// The tenants it is bound to; `None` for all.
        tenants: Option<Arc<[TenantId]>>,
        /// The query text that everything it asks is narrowed by.
        query: Option<Arc<str>>,
    },
}

impl Principal {
    /// What it may do.
    pub fn role(&self) -> Role {
        match self {
            Self::Open => Role::Admin,
            Self::Key { role, .. } => *role,
        }
    }

    fn tenants(&self) -> Option<&[TenantId]> {
        match self {
            Self::Open => None,
            Self::Key { tenants, .. } => tenants.as_deref(),
        }
    }

    /// The query text that everything it asks is narrowed by.
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Key { query, .. } => query.as_deref(),
        }
    }

    /// Whether the tenant's log exists for it. The ledger's own logs are for auditors of all
    /// tenants.
    pub fn may_see(&self, tenant: &TenantId) -> bool {
        match self.tenants() {
            None => *self == Self::Open || !tenant.is_ours() || self.role().may_audit(),
            Some(tenants) => tenants.contains(tenant),
        }
    }

    /// Whether it is bound to no tenant and no query.
    pub fn sees_all(&self) -> bool {
        self.tenants().is_none() && self.query().is_none()
    }

    /// The only tenant it is bound to.
    pub fn only_tenant(&self) -> Option<&TenantId> {
        match self.tenants() {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// Whether it is bound to this tenant by name.
    pub fn names(&self, tenant: &TenantId) -> bool {
        self.tenants()
            .is_some_and(|tenants| tenants.contains(tenant))
    }

    /// What telemetry and leaves call it.
    pub fn submitter(&self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Key { id, .. } => Some(format!("key:{id}")),
        }
    }

    /// The kind of actor it is in the ledger's own records; its id there is the submitter's.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Open => "anonymous",
            Self::Key { .. } => "service",
        }
    }
}
