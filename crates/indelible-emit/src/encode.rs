//! From a draft to the bytes that are delivered; on the worker.
//!
//! Not here: whether the event may be committed, which the ledger decides. What leaves this machine
//! has its secrets replaced here, by the same rules as the ledger's.

use compact_str::CompactString;
use indelible_event::canonical::{Json, Number, Object};
use indelible_event::event::{Context, Event, Failure, Performance, Target};
use indelible_event::limits::{EVENT_BYTES_MAX, EVENT_RAW_BYTES_MAX};
use indelible_event::redact::redact;
use indelible_event::{AuditId, EventView, Micros, Problem, ProblemCode};

use crate::actor::Actor;
use crate::attachment::{self, Attached, split};
use crate::draft::{Built, Draft, More, Said};
#[cfg(feature = "tracing")]
use crate::line::Line;
use crate::options::Options;
use crate::payload::Payload;
use crate::proof;
use crate::shared::tenant;
use crate::transport::Outgoing;

/// Room for an event that says little.
const EVENT_BYTES_USUAL: usize = 512;

/// Makes the bytes of events.
pub(crate) struct Encoder {
    service: Option<String>,
    travels: bool,
    #[cfg(feature = "tracing")]
    log_events: bool,
}

/// An event with all that surrounds it.
struct Whole {
    /// The name that is meant for a tenant's.
    tenant: CompactString,
    audit_id: AuditId,
    event: Event,
    attached: Vec<Attached>,
}

/// An event that can be made, and cannot be sent.
#[derive(Debug)]
pub(crate) struct Unsendable {
    /// The name that is meant for a tenant's.
    pub(crate) tenant: CompactString,
    pub(crate) audit_id: AuditId,
    pub(crate) event: Vec<u8>,
    pub(crate) attached: Vec<Attached>,
    pub(crate) problems: Vec<Problem>,
}

impl Encoder {
    /// An encoder of events that travel to another machine, or do not.
    pub(crate) fn new(options: &Options, travels: bool) -> Self {
        Self {
            service: options.service.clone(),
            travels,
            #[cfg(feature = "tracing")]
            log_events: options.log_events,
        }
    }

    /// The bytes of an event that the program emitted, which a line of telemetry may tell of.
    pub(crate) fn encode(&self, draft: Draft) -> Result<Outgoing, Box<Unsendable>> {
        let said = self.event(draft);
        #[cfg(feature = "tracing")]
        let line = self.log_events.then(|| Line::of(&said.event)).flatten();
        let outgoing = self.bytes(said)?;
        #[cfg(feature = "tracing")]
        if let Some(line) = line {
            line.write(outgoing.tenant.as_str());
        }
        Ok(outgoing)
    }

    /// The bytes of an event of which no line tells: a statement of the emitter itself, or one
    /// whose transaction may be rolled back.
    pub(crate) fn untold(&self, draft: Draft) -> Result<Outgoing, Box<Unsendable>> {
        self.bytes(self.event(draft))
    }

    fn event(&self, draft: Draft) -> Whole {
        let (tenant, audit_id) = (draft.tenant, draft.audit_id);
        let mut attached = Vec::new();
        let mut event = match draft.said {
            Said::Built(built) => built.into_event(draft.occurred_at, &mut attached),
            Said::Whole(mut event, around) => {
                around.fill(&mut event);
                *event
            }
        };
        event.audit_id.get_or_insert_with(|| audit_id.to_string());
        event
            .occurred_at
            .get_or_insert_with(|| draft.occurred_at.to_rfc3339());
        if let Some(service) = &self.service {
            let source = event.source.get_or_insert_default();
            source.service.get_or_insert_with(|| service.clone());
        }
        if self.travels && event.more.get("tenant_id").is_none() {
            event.more.insert("tenant_id", tenant.as_str());
        }
        Whole {
            tenant,
            audit_id,
            event,
            attached,
        }
    }

    fn bytes(&self, whole: Whole) -> Result<Outgoing, Box<Unsendable>> {
        let (audit_id, mut attached) = (whole.audit_id, whole.attached);
        let nameless = !attached.is_empty() && has_nameless(&whole.event);
        let mut bytes = Vec::with_capacity(EVENT_BYTES_USUAL);
        whole.event.into_json().write(&mut bytes);
        // Where what stands beside it was named, before anything was replaced.
        let said = (!attached.is_empty()).then(|| bytes.clone());
        // Nobody looks for secrets in what stands beside an event.
        if self.travels || bytes.len() > EVENT_BYTES_MAX || !attached.is_empty() {
            let view = EventView::parse(&bytes).ok();
            if let Some(redacted) = view.and_then(|view| redact(&view)) {
                bytes = redacted.bytes;
            }
            bytes = split(bytes, &mut attached);
        }
        let place = |digest: &str| {
            let here = |event: &[u8]| attachment::place(event, digest);
            let place = here(&bytes).or_else(|| here(said.as_deref()?));
            place.unwrap_or_default()
        };
        let fits = || {
            fits(&bytes)
                .and_then(|()| attachment::check(&attached, nameless, place))
                .and_then(|()| named(&bytes, &attached, place))
        };
        let tenant = match tenant(&whole.tenant).and_then(|tenant| fits().map(|()| tenant)) {
            Ok(tenant) => tenant,
            Err(problems) => {
                return Err(Box::new(Unsendable {
                    tenant: whole.tenant,
                    audit_id,
                    event: bytes,
                    attached,
                    problems,
                }));
            }
        };
        Ok(Outgoing {
            tenant,
            audit_id,
            event: bytes,
            stream: None,
            attached,
        })
    }
}

fn fits(event: &[u8]) -> Result<(), Vec<Problem>> {
    if event.len() <= EVENT_RAW_BYTES_MAX {
        return Ok(());
    }
    let text = format!(
        "the event is {} bytes long and may have {EVENT_RAW_BYTES_MAX}",
        event.len()
    );
    Err(vec![Problem::at("", ProblemCode::TooLarge, text)])
}

/// Refuses what stands beside an event that does not name it: its name was one of a secret, and
/// what stood under it was replaced. Nobody would find it, and it would be collected.
fn named(
    event: &[u8],
    attached: &[Attached],
    place: impl Fn(&str) -> String,
) -> Result<(), Vec<Problem>> {
    match attachment::unnamed(event, attached) {
        None => Ok(()),
        Some(lost) => {
            let text = format!(
                "the attachment {} stands under a name of a secret, whose value is redacted: give \
                 it another name",
                lost.digest
            );
            let place = place(&lost.digest);
            Err(vec![Problem::at(place, ProblemCode::Contradiction, text)])
        }
    }
}

impl Built {
    fn into_event(self, occurred_at: Micros, attached: &mut Vec<Attached>) -> Event {
        let outcome = self.outcome.as_str();
        let more = self.more.map(|more| *more).unwrap_or_default();
        let (mut event, target_name) = more.into_event(occurred_at, outcome, attached);
        event.event_type = Some(self.event_type.into());
        event.outcome = Some(outcome.to_owned());
        if let Some(said) = self.actor {
            event.actor = Some(actor(said, event.actor.take()));
        }
        let [kind, id] = self.target;
        let target = event.target.take().unwrap_or_default();
        event.target = Some(Target {
            kind: Some(kind.into()),
            id: Some(id.into()),
            name: target_name.or(target.name),
            ..target
        });
        self.around.fill(&mut event);
        event
            .actor
            .get_or_insert_with(|| actor(Actor::anonymous(), None));
        event
    }
}

impl More {
    /// The event without what every event has, and the target's name.
    fn into_event(
        self,
        occurred_at: Micros,
        outcome: &str,
        attached: &mut Vec<Attached>,
    ) -> (Event, Option<String>) {
        let mut event = self.rest.map(|event| *event).unwrap_or_default();
        if let Some(envelope) = self.envelope {
            envelope.tell(&mut event, outcome);
        }
        let set = |place: &mut Option<String>, value: Option<String>| {
            if value.is_some() {
                *place = value;
            }
        };
        set(&mut event.description, self.description);
        set(&mut event.category, self.category);
        set(&mut event.severity, self.severity);
        set(&mut event.platform, self.platform);
        set(&mut event.lane, self.lane);
        set(&mut event.idempotency_key, self.idempotency_key);
        let context = [
            &self.correlation_id,
            &self.request_id,
            &self.trace_id,
            &self.span_id,
            &self.parent_id,
        ];
        if context.into_iter().any(Option::is_some) {
            let context: &mut Context = event.context.get_or_insert_default();
            set(&mut context.correlation_id, self.correlation_id);
            set(&mut context.request_id, self.request_id);
            set(&mut context.trace_id, self.trace_id);
            set(&mut context.span_id, self.span_id);
            set(&mut context.parent_id, self.parent_id);
        }
        if self.error_code.is_some() || self.error_message.is_some() {
            let error: &mut Failure = event.error.get_or_insert_default();
            set(&mut error.code, self.error_code);
            set(&mut error.message, self.error_message);
        }
        if let Some(ms) = self.duration_ms.and_then(Number::from_f64) {
            let performance: &mut Performance = event.performance.get_or_insert_default();
            performance.duration_ms = Some(ms);
        }
        event.proof = proof::tell(self.proofs, occurred_at, attached).or(event.proof);
        event.data = self.data.map(Payload::into_json).or(event.data);
        event.metadata = self.metadata.map(Payload::into_json).or(event.metadata);
        for (name, attachment) in self.attachments {
            let mut member = Object::new();
            member.insert(free_name(&event, name), attachment.tell(attached));
            add_metadata(&mut event, member);
        }
        event.changes = self.changes.tell().or(event.changes);
        if let Some(llm) = self.llm {
            llm.tell(&mut event);
        }
        if let Some(denial) = self.denial {
            let details = denial.tell(&mut event);
            add_data(&mut event, details);
        }
        (event, self.target_name)
    }
}

/// Whether metadata has an attachment whose name has no letter.
fn has_nameless(event: &Event) -> bool {
    let metadata = event.metadata.as_ref().and_then(Json::as_object);
    let nameless = metadata.and_then(|metadata| metadata.get("")?.as_object());
    nameless.is_some_and(|value| value.get("attachment").is_some())
}

/// The name, or the first of `name_2`, `name_3` … that metadata has not got yet.
fn free_name(event: &Event, name: String) -> String {
    let is_taken = |name: &str| match &event.metadata {
        Some(Json::Object(known)) => known.get(name).is_some(),
        _ => false,
    };
    if !is_taken(&name) {
        return name;
    }
    let others = (2..).map(|n| format!("{name}_{n}"));
    let free = { others }.find(|other| !is_taken(other));
    free.unwrap_or(name)
}

/// Adds members to the metadata; metadata that is no object is replaced, as when it is merged.
fn add_metadata(event: &mut Event, members: Object) {
    match &mut event.metadata {
        Some(Json::Object(known)) => {
            for (key, value) in members {
                known.insert(key, value);
            }
        }
        place => *place = Some(Json::Object(members)),
    }
}

/// Adds members to the data, or beside it where it has none.
fn add_data(event: &mut Event, members: Object) {
    let place = match &mut event.data {
        Some(Json::Object(_)) | None => &mut event.data,
        Some(_) => &mut event.metadata,
    };
    let place = place.get_or_insert_with(|| Json::Object(Object::new()));
    if let Json::Object(known) = place {
        for (key, value) in members {
            if known.get(&key).is_none() {
                known.insert(key, value);
            }
        }
    }
}

fn actor(
    actor: Actor,
    rest: Option<indelible_event::event::Actor>,
) -> indelible_event::event::Actor {
    let mut rest = rest.unwrap_or_default();
    rest.kind = Some(actor.kind.as_str().to_owned());
    rest.id = Some(actor.id.into());
    let Some(more) = actor.more else {
        return rest;
    };
    indelible_event::event::Actor {
        name: more.name.or(rest.name),
        email: more.email.or(rest.email),
        role: more.role.or(rest.role),
        ip: more.ip.or(rest.ip),
        user_agent: more.user_agent.or(rest.user_agent),
        session_id: more.session_id.or(rest.session_id),
        ..rest
    }
}
