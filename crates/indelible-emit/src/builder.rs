//! The builder: one type per step, so that what every event needs cannot be forgotten.
//!
//! Tenant, action, actor, target, outcome, in this order; then what else is known (`details`); then
//! [`EventBuilder::emit`]. Every builder is a value of its own: two of them cannot mix.

use compact_str::CompactString;
use indelible_event::Outcome;

use crate::actor::Actor;
use crate::begun::Begun;
use crate::class::Class;
use crate::context::Around;
use crate::denial::Denial;
use crate::draft::Built;
use crate::shared::Shared;

/// An event that lacks its action; see [`Emitter::for_tenant`](crate::Emitter::for_tenant).
#[derive(Debug)]
#[must_use = "nothing is emitted before `emit`"]
pub struct NeedsAction<'a> {
    shared: &'a Shared,
    tenant: CompactString,
}

/// An event that lacks its actor.
#[derive(Debug)]
#[must_use = "nothing is emitted before `emit`"]
pub struct NeedsActor<'a> {
    shared: &'a Shared,
    tenant: CompactString,
    event_type: CompactString,
}

/// An event that lacks its target.
#[derive(Debug)]
#[must_use = "nothing is emitted before `emit`"]
pub struct NeedsTarget<'a> {
    before: NeedsActor<'a>,
    actor: Option<Actor>,
}

/// An event that lacks its outcome.
#[derive(Debug)]
#[must_use = "nothing is emitted before `emit`"]
pub struct NeedsOutcome<'a> {
    before: NeedsTarget<'a>,
    target: [CompactString; 2],
}

/// An event that has what every event needs.
#[derive(Debug)]
#[must_use = "nothing is emitted before `emit`"]
pub struct EventBuilder<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) tenant: CompactString,
    pub(crate) class: Option<Class>,
    pub(crate) built: Built,
    /// What surrounds it, if not what is there when it is emitted.
    pub(crate) around: Option<Around>,
}

impl<'a> NeedsAction<'a> {
    pub(crate) fn new(shared: &'a Shared, tenant: CompactString) -> Self {
        Self { shared, tenant }
    }

    /// What was done, as `noun.verb`: the event type.
    pub fn action(self, event_type: impl AsRef<str>) -> NeedsActor<'a> {
        NeedsActor {
            shared: self.shared,
            tenant: self.tenant,
            event_type: CompactString::new(event_type.as_ref()),
        }
    }
}

impl<'a> NeedsActor<'a> {
    /// Who did it.
    pub fn actor(self, actor: Actor) -> NeedsTarget<'a> {
        NeedsTarget {
            before: self,
            actor: Some(actor),
        }
    }

    /// Whoever acts here by the [context](crate::Context); nobody known when it does not say.
    pub fn current_actor(self) -> NeedsTarget<'a> {
        NeedsTarget {
            before: self,
            actor: None,
        }
    }
}

impl<'a> NeedsTarget<'a> {
    /// On what.
    pub fn target(self, kind: impl AsRef<str>, id: impl AsRef<str>) -> NeedsOutcome<'a> {
        NeedsOutcome {
            before: self,
            target: [
                CompactString::new(kind.as_ref()),
                CompactString::new(id.as_ref()),
            ],
        }
    }
}

impl<'a> NeedsOutcome<'a> {
    /// It was done.
    pub fn succeeded(self) -> EventBuilder<'a> {
        self.outcome(Outcome::Success)
    }

    /// It was tried and not done, and why.
    pub fn failed(self, code: impl Into<String>, message: impl Into<String>) -> EventBuilder<'a> {
        let mut builder = self.outcome(Outcome::Failure);
        let more = builder.more();
        more.error_code = Some(code.into());
        more.error_message = Some(message.into());
        builder
    }

    /// The actor may not, and why: a reason, or all that a guard knows as a [`Denial`].
    pub fn denied(self, denial: impl Into<Denial>) -> EventBuilder<'a> {
        let mut builder = self.outcome(Outcome::Denied);
        builder.refuse(denial.into());
        builder
    }

    /// Some of it was done.
    pub fn partial(self) -> EventBuilder<'a> {
        self.outcome(Outcome::Partial)
    }

    /// It waits for something.
    pub fn pending(self) -> EventBuilder<'a> {
        self.outcome(Outcome::Pending)
    }

    /// How it ended, in any of the words there are.
    pub fn outcome(self, outcome: Outcome) -> EventBuilder<'a> {
        let Self { before, target } = self;
        let NeedsTarget { before, actor } = before;
        EventBuilder {
            shared: before.shared,
            tenant: before.tenant,
            class: None,
            built: Built {
                event_type: before.event_type,
                actor,
                target,
                outcome,
                more: None,
                around: Around::default(),
            },
            around: None,
        }
    }

    /// Begins what ends later: the outcome is said to what this returns, and if that is dropped
    /// before, the event is a failure.
    pub fn begin(self) -> Begun<'a> {
        let shared = self.before.before.shared;
        Begun::new(self, shared)
    }
}
