//! What others call our qualifiers: fields by their places in an event, and words of other tools.
//!
//! Only to say what may have been meant; none of them is read. Source: `spec/event.md`, and the
//! names that logs of clouds, the Elastic Common Schema and OCSF have.

use indelible_event::Field;

use crate::qualifier::{Meaning, QUALIFIERS};

/// A qualifier, and what it is called elsewhere: in lower case, `_` for `-`.
const NAMES: &[(&str, &[&str])] = &[
    (
        "actor",
        &[
            "user",
            "username",
            "user_name",
            "user_id",
            "userid",
            "user.id",
            "user.name",
            "actor_id",
            "actor_name",
            "principal",
            "identity",
            "author",
            "caller",
            "who",
            "by",
        ],
    ),
    ("actor.type", &["actor_type", "user_type", "user.type"]),
    (
        "target",
        &[
            "target_id",
            "resource",
            "resource_id",
            "object",
            "object_id",
            "entity",
            "entity_id",
        ],
    ),
    (
        "target.type",
        &[
            "target_type",
            "resource_type",
            "resource.type",
            "object_type",
            "entity_type",
        ],
    ),
    (
        "type",
        &[
            "event",
            "event.type",
            "event.action",
            "event_name",
            "eventname",
            "action",
            "operation",
            "activity",
            "verb",
        ],
    ),
    ("category", &["event.category", "event_category"]),
    (
        "outcome",
        &["result", "event.outcome", "success", "verdict"],
    ),
    (
        "severity",
        &["level", "log.level", "log_level", "loglevel", "priority"],
    ),
    (
        "tenant",
        &[
            "tenant_id",
            "org",
            "org_id",
            "organization",
            "organisation",
            "customer",
            "account",
            "account_id",
            "workspace",
        ],
    ),
    ("correlation", &["correlation_id", "corr"]),
    ("request", &["request_id", "requestid", "req"]),
    (
        "trace",
        &[
            "trace_id", "traceid", "trace.id", "span", "span_id", "span.id",
        ],
    ),
    (
        "ip",
        &[
            "ip_address",
            "ipaddress",
            "address",
            "addr",
            "client_ip",
            "clientip",
            "client.ip",
            "source_ip",
            "source.ip",
            "src_ip",
            "sourceipaddress",
            "remote_ip",
            "remote_addr",
        ],
    ),
    (
        "email",
        &[
            "mail",
            "e_mail",
            "email_address",
            "user.email",
            "actor_email",
        ],
    ),
    ("session", &["session_id", "sessionid"]),
    ("project", &["project_id"]),
    (
        "service",
        &[
            "source",
            "service.name",
            "service_name",
            "app",
            "application",
            "component",
        ],
    ),
    ("investigation", &["investigation_id", "case"]),
    ("alert", &["alert_id"]),
    ("agent", &["agent_type", "ai_agent"]),
    ("model", &["ai_model", "model_name", "llm"]),
    ("light", &["traffic_light"]),
    ("proof", &["proof_type"]),
    (
        "agent-string",
        &[
            "user_agent",
            "useragent",
            "user_agent.original",
            "ua",
            "browser",
        ],
    ),
    ("parent", &["parent_id", "parent.id"]),
    (
        "id",
        &["audit_id", "event_id", "eventid", "event.id", "uuid"],
    ),
    ("seq", &["sequence", "sequence_number", "number", "offset"]),
    ("has", &["exists", "_exists_"]),
    (
        "duration",
        &["duration_ms", "event.duration", "took", "elapsed"],
    ),
    ("tokens", &["total_tokens", "token_count"]),
    (
        "tokens.prompt",
        &["prompt_tokens", "input_tokens", "tokens.input"],
    ),
    (
        "tokens.completion",
        &["completion_tokens", "output_tokens", "tokens.output"],
    ),
    ("cost", &["cost_usd", "price"]),
    ("latency", &["latency_ms"]),
    (
        "status",
        &["status_code", "http_status", "http.response.status_code"],
    ),
    (
        "since",
        &[
            "from",
            "after",
            "start",
            "start_time",
            "time",
            "timestamp",
            "date",
            "occurred_at",
        ],
    ),
    ("until", &["to", "before", "end", "end_time"]),
    (
        "ingested-since",
        &["ingested", "ingested_at", "received", "committed"],
    ),
];

/// Texts, which words without a qualifier are looked up in.
const TEXTS: &[&str] = &[
    "description",
    "message",
    "msg",
    "text",
    "error",
    "error.code",
    "error.message",
    "path",
    "http.path",
    "url",
];

/// The qualifier that is meant by a name of others.
pub(crate) fn meant(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let of_field = || {
        let field = Field::ALL.iter().find(|field| field.path() == name)?;
        let asks = QUALIFIERS.iter().find(|qualifier| match qualifier.meaning {
            Meaning::Is(key) => key.fields().contains(field),
            Meaning::Id => *field == Field::SourceEventId,
            Meaning::Number(number, _) => number == *field,
            _ => false,
        });
        asks.map(|qualifier| qualifier.name)
    };
    let of_others = NAMES
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()));
    of_others.map(|(ours, _)| *ours).or_else(of_field)
}

/// Whether it is a text, and no qualifier is needed.
pub(crate) fn is_text(name: &str) -> bool {
    TEXTS.contains(&name.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Qualifier;

    #[test]
    fn names_of_others_lead_to_one_of_ours_each() {
        let mut seen = Vec::new();
        for (ours, names) in NAMES {
            assert!(Qualifier::named(ours).is_some(), "{ours}");
            for name in *names {
                assert!(Qualifier::named(name).is_none(), "{name} is ours");
                assert!(!seen.contains(name) && !is_text(name), "{name} twice");
                assert_eq!(meant(name), Some(*ours));
                seen.push(name);
            }
        }
    }

    #[test]
    fn every_field_that_a_qualifier_looks_at_leads_to_it() {
        for qualifier in QUALIFIERS {
            let fields = match qualifier.meaning {
                Meaning::Is(key) => key.fields(),
                Meaning::Number(ref field, _) => std::slice::from_ref(field),
                _ => &[],
            };
            for field in fields {
                let path = field.path();
                let found = Qualifier::named(&path)
                    .map(|own| own.name)
                    .or_else(|| meant(&path));
                assert_eq!(found, Some(qualifier.name), "{path}");
            }
        }
        assert_eq!(meant("User-Agent"), Some("agent-string"));
        assert_eq!(meant("nothing"), None);
    }
}
