//! What else can be said of an event that has what every event needs, and the end: `emit`.
//!
//! Not here: the steps that every event takes (`builder`). Where a step is said twice, the later
//! word stands; objects of metadata are merged, changes follow each other, and proofs are kept side
//! by side.

use std::time::Duration;

use indelible_event::{AuditId, Event, Micros};

use crate::attachment::Attachment;
use crate::builder::EventBuilder;
use crate::class::Class;
use crate::context::{Around, Context};
use crate::denial::Denial;
use crate::draft::{More, Said};
use crate::envelope::Envelope;
use crate::llm::LlmContext;
use crate::payload::Payload;
use crate::proof::Proof;
use crate::ticket::{Committed, Ticket};

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

    /// What shows that it happened. Several stand in the event as one, a `bundle`, each in `data`
    /// under its type.
    pub fn proof(mut self, proof: Proof) -> Self {
        self.more().proofs.push(proof);
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

    /// A picture of it, as proof; it is kept beside the log.
    pub fn picture_proof(self, picture: Attachment) -> Self {
        self.proof(Proof::picture(picture))
    }

    /// Bytes that are kept beside the log: a file, a prompt, an answer. `metadata` names them under
    /// this name, or `name_2`, `name_3` … where there is something of that name already.
    pub fn attach(mut self, name: impl Into<String>, attachment: Attachment) -> Self {
        self.more().attachments.push((name.into(), attachment));
        self
    }

    /// The hash of what shows it, as proof.
    pub fn hash_proof(self, hash: impl Into<String>) -> Self {
        self.proof(Proof::hash(hash))
    }

    /// Where it can be seen, as proof.
    pub fn url_proof(self, url: impl Into<String>) -> Self {
        self.proof(Proof::url(url))
    }

    /// What was before and what is now. The worker finds out which fields differ, and names them:
    /// `address.city` for a field of an object in an object, `address\.city` for one of that name;
    /// an array is one field. `null` is an object without fields, so that making and deleting name
    /// all of them. Said again, it is the next change: each field was what it was at first, and is
    /// what it is at last.
    pub fn changes(mut self, before: impl Into<Payload>, after: impl Into<Payload>) -> Self {
        let change = (before.into(), after.into());
        self.more().changes.said.push(change);
        self
    }

    /// Which fields differ, by name: for values that are to stay out of the event.
    pub fn changed_fields<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.more().changes.fields = Some(names);
        self
    }

    /// An envelope around a payload, each part of it in its place of the event.
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.more().envelope = Some(Box::new(envelope));
        self
    }

    /// What a language model was asked and what it cost.
    pub fn llm_context(mut self, context: LlmContext) -> Self {
        self.more().llm = Some(Box::new(context));
        self
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

    /// The context that it is of, instead of what surrounds the place where it is emitted.
    pub fn context(mut self, context: &Context) -> Self {
        self.around = Some(Around::of(context.clone()));
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
            mut built,
            around,
        } = self;
        built.around = around.unwrap_or_else(Around::now);
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

    pub(crate) fn refuse(&mut self, denial: Denial) {
        let more = self.more();
        more.error_message.clone_from(&denial.reason);
        more.denial = denial.says_more().then(|| Box::new(denial));
    }

    pub(crate) fn more(&mut self) -> &mut More {
        self.built.more.get_or_insert_default()
    }
}
