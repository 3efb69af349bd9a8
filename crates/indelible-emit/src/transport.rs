//! The way to the ledger, as the worker sees it.

use std::sync::Arc;
use std::time::Duration;

use indelible_event::{AuditId, Problem, ProblemCode, StreamClaim, TenantId};
use indelible_proof::receipt::Receipt;

use crate::attachment::Attached;
use crate::ticket::{EmitError, Settled};

/// An event on its way: JSON by now, and the same bytes at every attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Whose log.
    pub tenant: TenantId,
    /// Its id, which is in the bytes too.
    pub audit_id: AuditId,
    /// The event in canonical form.
    pub event: Vec<u8>,
    /// Its place in the emitter's stream, which is no part of the event; a statement about the
    /// stream has none.
    pub stream: Option<StreamClaim>,
    /// What stands beside it, and is to be stored before it is delivered.
    pub attached: Vec<Attached>,
}

impl Outgoing {
    /// Its bytes, and of what stands beside it.
    pub(crate) fn bytes(&self) -> usize {
        let beside: usize = self.attached.iter().map(|it| it.bytes.len()).sum();
        self.event.len() + beside
    }
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is in the log now.
    Committed(Receipt),
    /// It was in the log already: since an earlier attempt, or because it was emitted before.
    Repeated {
        /// The first one.
        receipt: Receipt,
        /// Whether its record has another place in a stream than this one was sent with, which then
        /// certainly has no record.
        other_claim: bool,
    },
    /// Its id is taken by other content.
    Conflict(Option<Box<Receipt>>),
    /// It cannot be taken as it is.
    Refused(Vec<Problem>),
    /// It is not known to be in the log: try again, with the same bytes.
    Again {
        /// Not before this long, if the other side said so.
        after: Option<Duration>,
        /// Whether it may be in the log, since the other side may have been reached; otherwise it
        /// certainly is not.
        reached: bool,
        /// Why.
        reason: Arc<str>,
    },
    /// Nothing of this emitter is taken before a person corrects something, a key for instance.
    /// What is in the spool waits for that; the rest is given up.
    Denied(Arc<str>),
    /// The tenant is not there, or not for this key. Whoever can hold its events back alone waits
    /// until somebody makes it; for the others it is as [`Verdict::Failed`].
    NoTenant(Arc<str>),
    /// Trying again does not help.
    Failed(Arc<str>),
}

impl Verdict {
    /// What its ticket says, if there is no further attempt.
    pub(crate) fn settled(self) -> Settled {
        match self {
            Self::Committed(receipt) | Self::Repeated { receipt, .. } => Ok(receipt),
            Self::Conflict(receipt) => Err(EmitError::Conflict(receipt)),
            Self::Refused(problems) => Err(EmitError::Refused(problems)),
            Self::Failed(reason)
            | Self::NoTenant(reason)
            | Self::Denied(reason)
            | Self::Again { reason, .. } => Err(EmitError::Failed(reason)),
        }
    }
}

/// How much of what stands beside an event is stored at once: each waits for a disk of its own
/// accord, and more would wait for each other.
pub const ATTACHED_MAX: usize = 8;

/// Stores each with `store`, all of them at once; the answer is that of [`Transport::attach`].
///
/// # Errors
/// The first that is not stored, by place.
pub fn at_once(
    attached: &[Attached],
    store: impl Fn(&Attached) -> Result<(), Verdict> + Sync,
) -> Result<(), (usize, Verdict)> {
    let panicked = || {
        Err(Verdict::Again {
            after: None,
            reached: false,
            reason: "an upload panicked".into(),
        })
    };
    let stored: Vec<_> = match attached {
        [one] => vec![store(one)],
        several => std::thread::scope(|scope| {
            let store = &store;
            let threads: Vec<_> = several
                .iter()
                .map(|attached| scope.spawn(move || store(attached)))
                .collect();
            let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended
                .map(|ended| ended.unwrap_or_else(|_| panicked()))
                .collect()
        }),
    };
    for (place, stored) in stored.into_iter().enumerate() {
        stored.map_err(|verdict| (place, verdict))?;
    }
    Ok(())
}

/// Delivers events; called by one worker, one batch at a time.
pub trait Transport: Send {
    /// Whether the event must say whose it is, in `tenant_id`.
    fn names_tenant(&self) -> bool {
        false
    }

    /// Delivers a batch and waits for what becomes of it: one verdict per event, in order. An event
    /// without a verdict counts as [`Verdict::Again`].
    ///
    /// It must return within a bounded time. A panic counts as [`Verdict::Again`] for all.
    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict>;

    /// Stores what stands beside an event of a tenant, durably, before the event is delivered: at
    /// most [`ATTACHED_MAX`] at a time, which may be stored at once.
    ///
    /// # Errors
    /// How many of them are stored, from the first, and what becomes of the event for want of the
    /// next: where nothing can be, it is refused as too large. As for [`Transport::deliver`], it
    /// must return within a bounded time.
    fn attach(&mut self, tenant: &TenantId, attached: &[Attached]) -> Result<(), (usize, Verdict)> {
        let _ = (tenant, attached);
        let text = "the event has no room for it, and nothing is stored beside events there";
        let problem = Problem::at("", ProblemCode::TooLarge, text);
        Err((0, Verdict::Refused(vec![problem])))
    }

    /// Called after every batch and, about once per interval, when there is none: for what need not
    /// keep anybody waiting.
    fn rest(&mut self) {}

    /// Called once, after the last batch of an emitter that was closed.
    fn finish(&mut self) {}
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn names_tenant(&self) -> bool {
        (**self).names_tenant()
    }

    fn deliver(&mut self, batch: &[Outgoing]) -> Vec<Verdict> {
        (**self).deliver(batch)
    }

    fn attach(&mut self, tenant: &TenantId, attached: &[Attached]) -> Result<(), (usize, Verdict)> {
        (**self).attach(tenant, attached)
    }

    fn rest(&mut self) {
        (**self).rest();
    }

    fn finish(&mut self) {
        (**self).finish();
    }
}
