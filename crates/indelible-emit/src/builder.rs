//! The builder: one type per step, so that what every event needs cannot be forgotten.
//!
//! Tenant, action, actor, target, outcome, in this order; then what else is known; then
//! [`EventBuilder::emit`]. Every builder is a value of its own: two of them cannot mix.

use std::time::Duration;

use compact_str::CompactString;
use indelible_event::{AuditId, Event, Micros, Outcome};

use crate::actor::Actor;
use crate::class::Class;
use crate::draft::{Built, More, Said};
use crate::emitter::Shared;
use crate::payload::Payload;
use crate::proof::Proof;
use crate::ticket::{Committed, Ticket};

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
    actor: Actor,
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
    shared: &'a Shared,
    tenant: CompactString,
    class: Option<Class>,
    built: Built,
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
            actor,
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

    /// The actor may not, and why.
    pub fn denied(self, reason: impl Into<String>) -> EventBuilder<'a> {
        let mut builder = self.outcome(Outcome::Denied);
        builder.more().error_message = Some(reason.into());
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
            },
        }
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])+ $name:ident => $field:ident;)+) => {
        $(
            $(#[$doc])+
            pub fn $name(mut self, text: impl Into<String>) -> Self {
                self.more().$field = Some(text.into());
                self
            }
        )+
    };
}

impl EventBuilder<'_> {
    texts! {
        /// In a sentence.
        description => description;
        /// What kind of thing it is about.
        category => category;
        /// How grave it is: `debug`, `info`, `warning`, `error` or `critical`.
        severity => severity;
        /// What the target is called; personal data if it is a person's.
        target_name => target_name;
        /// What belongs together.
        correlation => correlation_id;
        /// The request that it was.
        request => request_id;
        /// The event that it follows from.
        child_of => parent_id;
        /// The platform it was done on.
        platform => platform;
        /// The way it was done: `api`, `browser` …
        lane => lane;
        /// What the same attempt, tried again, has again.
        idempotency_key => idempotency_key;
    }

    /// The trace and span it belongs to.
    pub fn trace(mut self, trace_id: impl Into<String>, span_id: impl Into<String>) -> Self {
        let more = self.more();
        more.trace_id = Some(trace_id.into());
        more.span_id = Some(span_id.into());
        self
    }

    /// How long it took.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.more().duration_ms = Some(duration.as_secs_f64() * 1e3);
        self
    }

    /// What shows that it happened.
    pub fn proof(mut self, proof: Proof) -> Self {
        self.more().proof = Some(proof);
        self
    }

    /// What an interface answered, as proof.
    pub fn api_proof(self, data: impl Into<Payload>) -> Self {
        self.proof(Proof::api_response(data))
    }

    /// Where a picture of it is kept, as proof.
    pub fn screenshot_proof(self, url: impl Into<String>) -> Self {
        self.proof(Proof::screenshot(url))
    }

    /// What the event is about, in any form.
    pub fn data(mut self, data: impl Into<Payload>) -> Self {
        self.more().data = Some(data.into());
        self
    }

    /// What else is known; the members of several calls are merged, the later ones winning.
    pub fn metadata(mut self, metadata: impl Into<Payload>) -> Self {
        let metadata = metadata.into();
        let more = self.more();
        match &mut more.metadata {
            Some(known) => known.merge(metadata),
            none => *none = Some(metadata),
        }
        self
    }

    /// Any other field of the event model; where the builder has a step for it, the step wins.
    pub fn with(mut self, set: impl FnOnce(&mut Event)) -> Self {
        set(self.more().rest.get_or_insert_default());
        self
    }

    /// When it happened, if not now: a [`std::time::SystemTime`], or [`Micros`] since 1970.
    pub fn at(mut self, occurred_at: impl Into<Micros>) -> Self {
        self.more().occurred_at = Some(occurred_at.into());
        self
    }

    /// The id it is to have: the same id and content are committed once, however often they come.
    pub fn id(mut self, audit_id: AuditId) -> Self {
        self.more().audit_id = Some(audit_id);
        self
    }

    /// What is to be promised of the event, whatever the policy says.
    pub fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// Emits the event. Never waits, never panics, never fails the caller; the ticket can be
    /// dropped, or says what became of it.
    pub fn emit(self) -> Ticket {
        let Self {
            shared,
            tenant,
            class,
            built,
        } = self;
        let more = built.more.as_deref();
        let (id, at) = more.map_or((None, None), |more| (more.audit_id, more.occurred_at));
        shared.emit(tenant, Said::Built(built), class, (id, at))
    }

    /// Emits the event as one that must not be gone on without, unless its class was said: the
    /// receipt to come, or why the caller must not go on.
    pub fn commit(mut self) -> Committed {
        self.class.get_or_insert(Class::FailClosed);
        self.emit().committed()
    }

    fn more(&mut self) -> &mut More {
        self.built.more.get_or_insert_default()
    }
}
