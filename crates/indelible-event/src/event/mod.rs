//! The unified model as owned, typed values: for whoever makes an event or wants all of one.
//!
//! Not here: the hot path, which looks at spans of bytes (`view`), and rules (`validate`): a model
//! holds whatever it was given. Keys without a field of their own are in `more`, so nothing that
//! an event says is lost by reading and writing it. Source: `spec/event.md`, "Fields".

mod part;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::canonical::{Json, Number, Object};
use crate::limits::DEPTH_MAX;
use crate::problem::{Problem, ProblemCode};
use crate::words::{ActorType, Outcome};
use part::{Part, give_member, take_member};

macro_rules! model {
    ($($(#[$doc:meta])+ $name:ident { $($field:ident $key:literal $kind:ty;)+ })+) => {
        $(
            $(#[$doc])+
            #[derive(Debug, Clone, PartialEq, Eq, Default)]
            pub struct $name {
                $(#[doc = concat!("`", $key, "`")] pub $field: Option<$kind>,)+
                /// Every other key, and those above whose value has another type.
                pub more: Object,
            }

            impl Part for $name {
                fn take(json: Json) -> Result<Self, Json> {
                    let mut members = Object::take(json)?;
                    Ok(Self {
                        $($field: take_member(&mut members, $key),)+
                        more: members,
                    })
                }

                fn give(self) -> Json {
                    let mut members = self.more;
                    $(give_member(&mut members, $key, self.$field);)+
                    Json::Object(members)
                }

                fn weight(&self, depth: usize) -> Option<usize> {
                    let mut sum = self.more.weight_within(depth)?;
                    let depth = depth.checked_sub(1)?;
                    $(if let Some(part) = &self.$field {
                        sum += part.weight(depth)?;
                    })+
                    Some(sum)
                }
            }
        )+
    };
}

model! {
    /// What a producer says happened.
    Event {
        audit_id "audit_id" String;
        source_event_id "source_event_id" String;
        schema_version "schema_version" String;
        occurred_at "occurred_at" String;
        event_type "event_type" String;
        category "category" String;
        action "action" String;
        description "description" String;
        outcome "outcome" String;
        outcome_raw "outcome_raw" String;
        severity "severity" String;
        actor "actor" Actor;
        target "target" Target;
        source "source" Source;
        context "context" Context;
        http "http" Http;
        decision "decision" Decision;
        error "error" Failure;
        performance "performance" Performance;
        platform "platform" String;
        lane "lane" String;
        surface "surface" String;
        idempotency_key "idempotency_key" String;
        proof "proof" Proof;
        changes "changes" Changes;
        data "data" Json;
        source_payload "source_payload" Json;
        metadata "metadata" Json;
        security "security" Security;
        retention_days "retention_days" Number;
        legal_hold "legal_hold" Object;
        verification_status "verification_status" String;
        ai "ai" Ai;
        compliance "compliance" Compliance;
        soc "soc" Object;
        notification "notification" Notification;
    }
    /// Who acted.
    Actor {
        kind "type" String;
        kind_raw "type_raw" String;
        id "id" String;
        name "name" String;
        email "email" String;
        role "role" String;
        permissions "permissions" Vec<String>;
        ip "ip" String;
        user_agent "user_agent" String;
        session_id "session_id" String;
    }
    /// On what.
    Target {
        kind "type" String;
        id "id" String;
        name "name" String;
        email "email" String;
        uid "uid" String;
        namespace "namespace" String;
        cluster_id "cluster_id" String;
        metadata "metadata" Json;
    }
    /// Which system says so.
    Source {
        service "service" String;
    }
    /// What belongs together.
    Context {
        correlation_id "correlation_id" String;
        request_id "request_id" String;
        trace_id "trace_id" String;
        span_id "span_id" String;
        parent_id "parent_id" String;
        project_id "project_id" String;
        investigation_id "investigation_id" String;
        alert_id "alert_id" String;
        entity_ids "entity_ids" Vec<String>;
        refs "refs" BTreeMap<String, String>;
    }
    /// The HTTP request that it was.
    Http {
        method "method" String;
        path "path" String;
        status "status" Number;
    }
    /// What an authorisation decided.
    Decision {
        decision "decision" String;
        policy_id "policy_id" String;
        required_role "required_role" String;
        actual_role "actual_role" String;
        required_permission "required_permission" String;
    }
    /// What went wrong.
    Failure {
        code "code" String;
        message "message" String;
    }
    /// What it cost.
    Performance {
        duration_ms "duration_ms" Number;
        db_query_ms "db_query_ms" Number;
        external_api_ms "external_api_ms" Number;
        memory_used_mb "memory_used_mb" Number;
        file_upload_ms "file_upload_ms" Number;
    }
    /// What shows that it happened.
    Proof {
        kind "type" String;
        data "data" Json;
        url "url" String;
        hash "hash" String;
        captured_at "captured_at" String;
        level "level" Number;
        artifact_refs "artifact_refs" Vec<String>;
        dom_hash "dom_hash" String;
        permalink "permalink" String;
        platform_object_id "platform_object_id" String;
        identity_fingerprint_ok "identity_fingerprint_ok" bool;
        tool "tool" String;
        tool_version "tool_version" String;
    }
    /// What is different now.
    Changes {
        before "before" Json;
        after "after" Json;
        fields "fields" Vec<String>;
    }
    /// How delicate it is.
    Security {
        classification "classification" String;
        is_sensitive "is_sensitive" bool;
        pii_detected "pii_detected" bool;
        encryption_used "encryption_used" bool;
    }
    /// What a model did.
    Ai {
        agent_type "agent_type" String;
        provider "provider" String;
        model "model" String;
        tier "tier" String;
        prompt_tokens "prompt_tokens" Number;
        completion_tokens "completion_tokens" Number;
        total_tokens "total_tokens" Number;
        cache_read_tokens "cache_read_tokens" Number;
        cache_write_tokens "cache_write_tokens" Number;
        cost_usd "cost_usd" Number;
        latency_ms "latency_ms" Number;
        confidence "confidence" Number;
        reasoning "reasoning" String;
        tools_used "tools_used" Vec<String>;
    }
    /// What rules say of it.
    Compliance {
        regulations "regulations" Vec<String>;
        traffic_light "traffic_light" String;
        issues_found "issues_found" Number;
        critical_issues "critical_issues" Number;
        findings "findings" Json;
    }
    /// Whom it was told.
    Notification {
        remediation_id "remediation_id" String;
        notification_id "notification_id" String;
        recipient "recipient" String;
        channel "channel" String;
        message_summary "message_summary" String;
        status "status" String;
        sent_at "sent_at" String;
        delivery_status "delivery_status" String;
        escalation_level "escalation_level" Number;
    }
}

impl Event {
    /// An event with what every event needs.
    pub fn new(
        event_type: impl Into<String>,
        actor_type: ActorType,
        actor_id: impl Into<String>,
        outcome: Outcome,
    ) -> Self {
        Self {
            event_type: Some(event_type.into()),
            actor: Some(Actor {
                kind: Some(actor_type.as_str().to_owned()),
                id: Some(actor_id.into()),
                ..Actor::default()
            }),
            outcome: Some(outcome.as_str().to_owned()),
            ..Self::default()
        }
    }

    /// The same event on a target.
    #[must_use]
    pub fn on(mut self, target_type: impl Into<String>, target_id: impl Into<String>) -> Self {
        let target = self.target.get_or_insert_default();
        target.kind = Some(target_type.into());
        target.id = Some(target_id.into());
        self
    }

    /// The same event with free payload.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Json>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Reads an event; nothing is checked but that it is a JSON object.
    ///
    /// # Errors
    /// Every problem of the text; see [`crate::canonical::canonicalize`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        Self::take(Json::parse(bytes)?).map_err(|_| {
            vec![Problem::at(
                "",
                ProblemCode::WrongType,
                "write the event as a json object",
            )]
        })
    }

    /// About how many bytes of memory it takes; `None` when it is nested deeper than an event may
    /// be ([`DEPTH_MAX`]).
    pub fn weight(&self) -> Option<usize> {
        Some(size_of::<Self>() + Part::weight(self, DEPTH_MAX)?)
    }

    /// The event as a JSON value.
    pub fn into_json(self) -> Json {
        self.give()
    }

    /// The canonical bytes.
    pub fn to_canonical(&self) -> Vec<u8> {
        self.clone().give().to_canonical()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clone().give().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        Self::take(json).map_err(|_| serde::de::Error::custom("write the event as a json object"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::field::{Field, Group};

    #[test]
    fn reading_and_writing_loses_nothing() {
        for text in [
            r#"{"actor":null,"data":null,"event_type":7,"x":{"y":[1.0,1e400,-0]}}"#,
            r#"{"actor":{"id":"a","name":null,"permissions":["r",1],"type":"user","z":1}}"#,
            r#"{"ai":{"cost_usd":0.10,"total_tokens":18446744073709551616},"target":[]}"#,
            r#"{"context":{"refs":{"a":"b"}},"proof":{"identity_fingerprint_ok":"no"}}"#,
            "{}",
        ] {
            let event = Event::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(event.to_canonical()).unwrap(), text);
            let again: Event =
                serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            assert_eq!(again, event);
        }
        assert!(Event::parse(b"[]").is_err());
        assert!(serde_json::from_str::<Event>("[]").is_err());
    }

    #[test]
    fn builders_set_the_fields_of_the_model() {
        let event = Event::new(
            "content.publish",
            ActorType::Agent,
            "publisher",
            Outcome::Success,
        )
        .on("post", "456")
        .with_data(Object::from_iter([("n", 1_u64)]));
        assert_eq!(
            String::from_utf8(event.to_canonical()).unwrap(),
            r#"{"actor":{"id":"publisher","type":"agent"},"data":{"n":1},"event_type":"content.publish","outcome":"success","target":{"id":"456","type":"post"}}"#
        );
    }

    #[test]
    fn what_is_nested_too_deep_has_no_weight() {
        let nested = |depth| (0..depth).fold(Json::Null, |inner, _| Json::List(vec![inner]));
        let weight = |depth| Event::default().with_data(nested(depth)).weight();
        assert!(weight(1) > Event::default().weight());
        assert!(weight(DEPTH_MAX - 1).is_some());
        assert_eq!(weight(DEPTH_MAX), None);
        assert_eq!(weight(1_000), None);
    }

    #[test]
    fn every_field_of_the_table_has_one_in_the_model() {
        // Only the ledger writes these, or they are taken over as unknown keys.
        let not_modelled = [
            Field::TenantId,
            Field::HashAlgorithm,
            Field::PayloadHash,
            Field::EventDate,
            Field::Sealed,
            Field::SequenceNumber,
            Field::PreviousHash,
            Field::RecordHash,
            Field::IngestedAt,
            Field::Stream,
        ];
        for field in Field::ALL
            .iter()
            .filter(|field| !not_modelled.contains(field))
        {
            let samples = ["\"x\"", "1", "true", "[\"x\"]", "{\"x\":\"x\"}"].map(|sample| {
                match field.group() {
                    Group::Root => format!("{{\"{}\":{sample}}}", field.key()),
                    group => {
                        let outer = group.field().unwrap().key();
                        format!("{{\"{outer}\":{{\"{}\":{sample}}}}}", field.key())
                    }
                }
            });
            let typed = samples.iter().any(|sample| {
                let event = Event::parse(sample.as_bytes()).unwrap();
                !format!("{event:?}").contains(&format!("(\"{}\", ", field.key()))
            });
            assert!(typed, "{}", field.pointer());
        }
    }
}
