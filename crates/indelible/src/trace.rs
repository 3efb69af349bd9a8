//! Marked events of `tracing` as events of the audit trail.
//!
//! An event with the field `audit.event_type` is emitted; whatever has no such field is not looked
//! at. `audit.tenant`, `audit.actor_type`, `audit.actor_id`, `audit.target_type`,
//! `audit.target_id`, `audit.outcome`, `audit.error_code` and `audit.correlation` say the rest, the
//! message is the description, the level the severity, and every other field is metadata.
//!
//! What is not said: the tenant is the context's or the layer's, the actor the context's, the
//! target the code it stands in, and the outcome `unknown`. Spans are not looked at. The lines that
//! the emitter writes about its own events have no such field, so nothing goes round in circles.

use std::sync::Arc;

use indelible_emit::{Actor, Context, EventBuilder, NeedsOutcome, Payload};
use indelible_event::canonical::{Json, Number, Object};
use indelible_event::{ActorType, Outcome};
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer;

use crate::audit::Audit;

/// The field that makes an event one of the audit trail.
pub const MARKER: &str = "audit.event_type";

/// Emits marked events of `tracing`.
#[derive(Debug, Clone)]
pub struct EventLayer {
    audit: Arc<Audit>,
    tenant: String,
}

/// What the fields of one event said.
#[derive(Default)]
struct Said {
    event_type: String,
    tenant: Option<String>,
    actor_type: Option<String>,
    actor_id: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    outcome: Option<String>,
    error_code: Option<String>,
    correlation: Option<String>,
    message: Option<String>,
    rest: Object,
}

impl EventLayer {
    /// A layer that emits into an audit trail, for a tenant where neither the event nor the
    /// [context](Context) names one.
    pub fn new(audit: impl Into<Arc<Audit>>, tenant: impl Into<String>) -> Self {
        Self {
            audit: audit.into(),
            tenant: tenant.into(),
        }
    }
}

impl<S: Subscriber> Layer<S> for EventLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.fields().field(MARKER).is_none() {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        said.emit(self, metadata);
    }
}

impl Said {
    fn emit(self, layer: &EventLayer, metadata: &Metadata<'_>) {
        let context = Context::current();
        let tenant = self.tenant.as_deref().or(context.tenant_id());
        let event = layer.audit.for_tenant(tenant.unwrap_or(&layer.tenant));
        let event = event.action(&self.event_type);
        let event = match (self.actor_type.as_deref(), self.actor_id) {
            (None, None) => event.current_actor(),
            (kind, id) => {
                let kind = kind.and_then(ActorType::parse).unwrap_or(ActorType::User);
                event.actor(Actor::new(kind, id.unwrap_or_else(|| "unknown".to_owned())))
            }
        };
        let target_type = self.target_type.as_deref().unwrap_or("code");
        let target_id = self.target_id.as_deref().unwrap_or(metadata.target());
        let event = event.target(target_type, target_id);
        let reason = self.message.clone();
        let event = ended(event, self.outcome, self.error_code, reason);
        let mut event = event.severity(severity(*metadata.level()));
        if let Some(message) = self.message {
            event = event.description(message);
        }
        if let Some(correlation) = self.correlation {
            event = event.correlation(correlation);
        }
        if !self.rest.is_empty() {
            event = event.metadata(Payload::from(self.rest));
        }
        let _ = event.emit();
    }

    fn tell(&mut self, field: &Field, value: impl FnOnce() -> Json) {
        let name = field.name();
        let place = match name {
            MARKER => {
                self.event_type = text(value());
                return;
            }
            "audit.tenant" => &mut self.tenant,
            "audit.actor_type" => &mut self.actor_type,
            "audit.actor_id" => &mut self.actor_id,
            "audit.target_type" => &mut self.target_type,
            "audit.target_id" => &mut self.target_id,
            "audit.outcome" => &mut self.outcome,
            "audit.error_code" => &mut self.error_code,
            "audit.correlation" => &mut self.correlation,
            "message" => &mut self.message,
            _ => {
                self.rest.insert(name, value());
                return;
            }
        };
        *place = Some(text(value()));
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.tell(field, || Json::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.tell(field, || Json::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.tell(field, || Json::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.tell(field, || number(&value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.tell(field, || number(&value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let number = Number::from_f64(value);
        self.tell(field, || {
            number.map_or_else(|| Json::Text(value.to_string()), Json::Number)
        });
    }
}

/// An outcome that is none of the model is `unknown`, with the word beside it.
fn ended(
    event: NeedsOutcome<'_>,
    word: Option<String>,
    error_code: Option<String>,
    reason: Option<String>,
) -> EventBuilder<'_> {
    let known = word.as_deref().map(Outcome::parse);
    let mut event = match known {
        Some(Some(Outcome::Denied)) => event.denied(reason.unwrap_or_default()),
        Some(Some(outcome)) => event.outcome(outcome),
        Some(None) | None => event.outcome(Outcome::Unknown),
    };
    if known == Some(None) {
        event = event.with(|event| event.outcome_raw = word);
    }
    match error_code {
        Some(code) => event.with(|event| {
            event.error.get_or_insert_default().code = Some(code);
        }),
        None => event,
    }
}

fn text(json: Json) -> String {
    match json {
        Json::Text(text) => text,
        other => other.to_string(),
    }
}

fn number(token: &str) -> Json {
    Number::parse(token).map_or_else(|| Json::Text(token.to_owned()), Json::Number)
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}
