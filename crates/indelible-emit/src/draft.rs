//! An event as its caller said it: what the builder fills and the queue holds.
//!
//! Not here: the event model, into which the worker makes it. Short texts lie in the draft itself,
//! so that an ordinary event is one allocation; what few events say is in a second one.

use compact_str::CompactString;
use indelible_event::{AuditId, Event, Micros, Outcome};

use crate::actor::Actor;
use crate::attachment::Attachment;
use crate::changes::Changes;
use crate::context::Around;
use crate::denial::Denial;
use crate::envelope::Envelope;
use crate::llm::LlmContext;
use crate::payload::Payload;
use crate::proof::Proof;

/// An event that is not JSON yet.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) tenant: CompactString,
    pub(crate) audit_id: AuditId,
    pub(crate) occurred_at: Micros,
    pub(crate) said: Said,
}

/// What was said.
#[derive(Debug)]
pub(crate) enum Said {
    /// With the builder.
    Built(Built),
    /// As a whole event.
    Whole(Box<Event>, Around),
}

/// What the builder collected.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) event_type: CompactString,
    /// None is whoever acts by the context.
    pub(crate) actor: Option<Actor>,
    pub(crate) target: [CompactString; 2],
    pub(crate) outcome: Outcome,
    pub(crate) more: Option<Box<More>>,
    /// Known when it is emitted.
    pub(crate) around: Around,
}

/// What few events say.
#[derive(Debug, Default)]
pub(crate) struct More {
    pub(crate) audit_id: Option<AuditId>,
    pub(crate) occurred_at: Option<Micros>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) target_name: Option<String>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) span_id: Option<String>,
    pub(crate) parent_id: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) lane: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) duration_ms: Option<f64>,
    pub(crate) proofs: Vec<Proof>,
    pub(crate) changes: Changes,
    pub(crate) denial: Option<Box<Denial>>,
    pub(crate) envelope: Option<Box<Envelope>>,
    pub(crate) llm: Option<Box<LlmContext>>,
    pub(crate) data: Option<Payload>,
    pub(crate) metadata: Option<Payload>,
    pub(crate) attachments: Vec<(String, Attachment)>,
    pub(crate) rest: Option<Box<Event>>,
}

impl Draft {
    /// About how many bytes it holds, which is what the queue counts; `None` when it is nested
    /// deeper than an event may be.
    pub(crate) fn weight(&self) -> Option<usize> {
        let said = match &self.said {
            Said::Built(built) => built.weight()?,
            Said::Whole(event, around) => event.weight()? + around.weight(),
        };
        Some(size_of::<Self>() + self.tenant.len() + said)
    }
}

impl Said {
    /// Its type and how it ended, as far as that is said in our words.
    pub(crate) fn kind(&self) -> (&str, Option<Outcome>) {
        match self {
            Self::Built(built) => (&built.event_type, Some(built.outcome)),
            Self::Whole(event, _) => (
                event.event_type.as_deref().unwrap_or_default(),
                event.outcome.as_deref().and_then(Outcome::parse),
            ),
        }
    }
}

impl Built {
    fn weight(&self) -> Option<usize> {
        let target: usize = self.target.iter().map(CompactString::len).sum();
        let more = match &self.more {
            Some(more) => more.weight()?,
            None => 0,
        };
        let actor = self.actor.as_ref().map_or(0, Actor::weight);
        Some(self.event_type.len() + actor + target + more + self.around.weight())
    }
}

impl More {
    fn weight(&self) -> Option<usize> {
        let texts = [
            &self.error_code,
            &self.error_message,
            &self.description,
            &self.category,
            &self.severity,
            &self.target_name,
            &self.correlation_id,
            &self.request_id,
            &self.trace_id,
            &self.span_id,
            &self.parent_id,
            &self.platform,
            &self.lane,
            &self.idempotency_key,
        ];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let payloads = [&self.data, &self.metadata];
        let proof = self
            .proofs
            .iter()
            .map(Proof::weight)
            .sum::<Option<usize>>()?;
        let rest = self.rest.as_ref().map_or(Some(0), |event| event.weight())?;
        let envelope = self.envelope.as_ref().map_or(Some(0), |it| it.weight())?;
        let mut sum = size_of::<Self>() + texts + proof + rest + envelope;
        sum += self.changes.weight()?;
        sum += self.denial.as_ref().map_or(0, |denial| denial.weight());
        sum += self.llm.as_ref().map_or(0, |llm| llm.weight());
        for (name, attachment) in &self.attachments {
            sum += name.len() + attachment.weight();
        }
        for payload in payloads.into_iter().flatten() {
            sum += payload.weight()?;
        }
        Some(sum)
    }
}
