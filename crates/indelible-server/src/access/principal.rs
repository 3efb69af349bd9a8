//! Who a request is by, and what of the ledger is there for it.
//!
//! Not how that is found out: `super::Access` knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use indelible_api::Role;
use indelible_event::ids::TenantId;
use indelible_log::mask::Sight;

/// Kind and id of who did something, as records have them.
pub type Actor<'a> = (&'a str, &'a str);

/// Who a request is by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Anybody, on an open server.
    Open,
    /// Somebody who is known.
    Known {
        /// By what, and as whom.
        who: Who,
        /// What it may do.
        role: Role,
        /// The tenants it is bound to; `None` for all.
        tenants: Option<Arc<[TenantId]>>,
        /// The query texts that everything it asks is narrowed by, each of them.
        queries: Arc<[Arc<str>]>,
    },
}

/// By what somebody is known, and as whom; no personal value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By a key, and its id.
    Key(Arc<str>),
    /// By a token of the trusted issuer, and what its subject is called here.
    Token(Arc<str>),
    /// By the word of a trusted proxy, and what its user is called here.
    Proxy(Arc<str>),
    /// By a viewer token, and the id of the key that made it.
    Viewer(Arc<str>),
}

impl Principal {
    /// What it may do.
    pub fn role(&self) -> Role {
        match self {
            Self::Open => Role::Admin,
            Self::Known { role, .. } => *role,
        }
    }

    fn tenants(&self) -> Option<&[TenantId]> {
        match self {
            Self::Open => None,
            Self::Known { tenants, .. } => tenants.as_deref(),
        }
    }

    /// The query texts that everything it asks is narrowed by, each of them.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        let queries: &[Arc<str>] = match self {
            Self::Open => &[],
            Self::Known { queries, .. } => queries,
        };
        queries.iter().map(|query| &**query)
    }

    /// Whether it is bound by a query.
    pub fn is_narrowed(&self) -> bool {
        self.queries().next().is_some()
    }

    /// Whether the tenant's log exists for it. The ledger's own logs are for auditors of all
    /// tenants.
    pub fn may_see(&self, tenant: &TenantId) -> bool {
        match self.tenants() {
            None => *self == Self::Open || !tenant.is_ours() || self.role().may_audit(),
            Some(tenants) => tenants.contains(tenant),
        }
    }

    /// Whether of the tenant's log only a part is there for it: of the ledger's own, for who reads
    /// a tenant, what is about that tenant. A viewer is nobody who is to see who reads what.
    pub fn sees_part_of(&self, tenant: &TenantId) -> bool {
        let is_viewer = matches!(
            self,
            Self::Known {
                who: Who::Viewer(_),
                ..
            }
        );
        tenant.is_ours() && self.role().may_read() && !is_viewer && !self.may_see(tenant)
    }

    /// The tenants it is bound to; `None` for all.
    pub fn bound_to(&self) -> Option<&[TenantId]> {
        self.tenants()
    }

    /// How it sees personal values.
    pub fn sight(&self) -> Sight {
        if self.role().may_see_personal() {
            Sight::Clear
        } else {
            Sight::Masked
        }
    }

    /// Names all that it may see: whose cursors are its own. What tells it apart from another that
    /// may see the same is not in it, so that a new secret, or another key, goes on.
    pub(crate) fn scope(&self) -> String {
        let queries = self.queries().map(|query| format!("\n{query}"));
        std::iter::once(self.scope_tenants())
            .chain(queries)
            .collect()
    }

    fn scope_tenants(&self) -> String {
        match self.tenants() {
            None => "*".to_owned(),
            Some(tenants) => {
                // However they were named, in which order and how often.
                let names: BTreeSet<_> = tenants.iter().map(TenantId::as_str).collect();
                Vec::from_iter(names).join(" ")
            }
        }
    }

    /// Whose work is done for it, where turns are taken: the tenants' that it is bound to, or its
    /// own.
    pub(crate) fn party(&self) -> String {
        match self.tenants() {
            None => self.submitter().unwrap_or_default(),
            Some(_) => self.scope_tenants(),
        }
    }

    /// Whether it is bound to no tenant and no query.
    pub fn sees_all(&self) -> bool {
        self.tenants().is_none() && !self.is_narrowed()
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
            Self::Known { who, .. } => Some(who.name()),
        }
    }

    /// Who pays for its requests: a viewer's the key that made its token.
    pub(crate) fn payer(&self) -> Option<String> {
        match self {
            Self::Known {
                who: Who::Viewer(key),
                ..
            } => Some(Who::Key(Arc::clone(key)).name()),
            _ => self.submitter(),
        }
    }

    /// The kind of actor it is in the ledger's own records; its id there is the submitter's.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Open => "anonymous",
            Self::Known { .. } => "service",
        }
    }
}

impl Who {
    /// What telemetry and leaves call it.
    fn name(&self) -> String {
        match self {
            Self::Key(id) => format!("key:{id}"),
            Self::Token(name) => format!("jwt:{name}"),
            Self::Proxy(name) => format!("proxy:{name}"),
            Self::Viewer(key) => format!("viewer:{key}"),
        }
    }
}
