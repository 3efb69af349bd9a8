//! What is learnt of a request while it is answered.

use std::sync::{Arc, Mutex, PoisonError};

use indelible_emit::{Actor, Denial, Payload};

/// A request's event to come, in the request's extensions: guards and handlers tell it what the
/// head of the request does not say.
#[derive(Debug, Clone, Default)]
pub struct RequestAudit(Arc<Mutex<Learnt>>);

#[derive(Debug, Default)]
pub(super) struct Learnt {
    pub(super) actor: Option<Actor>,
    pub(super) tenant: Option<String>,
    pub(super) denial: Option<Denial>,
    pub(super) metadata: Vec<Payload>,
}

impl RequestAudit {
    /// Who acts, with the role as of now. The client's address, its user agent and its session
    /// are added where the actor has none.
    pub fn identify(&self, actor: Actor) {
        self.learn(|learnt| learnt.actor = Some(actor));
    }

    /// Whose log it belongs to.
    pub fn tenant(&self, tenant: impl Into<String>) {
        let tenant = tenant.into();
        self.learn(|learnt| learnt.tenant = Some(tenant));
    }

    /// Why a guard refuses. It is told when the answer is 401 or 403.
    pub fn deny(&self, denial: impl Into<Denial>) {
        let denial = denial.into();
        self.learn(|learnt| learnt.denial = Some(denial));
    }

    /// What else is known; the members of several are merged.
    pub fn metadata(&self, metadata: impl Into<Payload>) {
        let metadata = metadata.into();
        self.learn(|learnt| learnt.metadata.push(metadata));
    }

    pub(super) fn take(&self) -> Learnt {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, learn: impl FnOnce(&mut Learnt)) {
        learn(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
