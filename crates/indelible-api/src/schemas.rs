//! JSON Schemas of the shapes, by hand, and the test that real values have exactly these members.

use indelible_event::{ActorType, Outcome};
use serde_json::{Map, Value, json};

mod access;
mod exports;
mod reading;

use self::access::{keys, server, viewers};
use self::exports::exports;
use self::reading::{counts, related};

/// Every schema by name.
pub(crate) fn schemas() -> Value {
    let mut all = Map::new();
    let asked = [counts(), related(), exports()];
    let access = [keys(), viewers(), server()];
    let groups = [events(), problems(), records(), ledger(), streams()];
    for group in groups.into_iter().chain(asked).chain(access) {
        if let Value::Object(group) = group {
            all.extend(group);
        }
    }
    Value::Object(all)
}

fn text() -> Value {
    json!({"type": "string"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A number of 64 bits without sign.
fn number() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u64::MAX})
}

fn hash() -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn or_null(of: &str) -> Value {
    json!({"type": [of, "null"]})
}

fn list(of: &str) -> Value {
    json!({"type": "array", "items": reference(of)})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object of these members, of which the first `required` must be there.
fn object(required: usize, members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    let names: Vec<_> = members
        .iter()
        .take(required)
        .map(|(name, _)| *name)
        .collect();
    json!({"type": "object", "properties": properties, "required": names})
}

/// A tenant's name that a producer may send.
const TENANT: &str = "^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$";
const UUID_V7: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";

/// The forms of an event's type (spec/event.md §6).
const EVENT_TYPE: &str = r"^(api\.[a-z]+\./[!-~]*|[a-z0-9_]+(\.[a-z0-9_]+)+)$";

/// The same of a request that takes no other members; an answer may get more later.
fn closed(mut object: Value) -> Value {
    object["additionalProperties"] = json!(false);
    object
}

fn events() -> Value {
    let other_claim = ("other_claim", json!({"type": "boolean"}));
    let name = json!({"type": ["string", "null"], "maxLength": 4096});
    json!({
        "Event": {
            "type": "object",
            "description": "An event as spec/event.md has it; unknown keys are kept.",
            "properties": {
                "_stream": reference("Claim"),
                "audit_id": {"type": ["string", "null"], "pattern": UUID_V7},
                "tenant_id": {"type": ["string", "null"], "pattern": TENANT},
                "event_type": {"type": "string", "maxLength": 256, "pattern": EVENT_TYPE},
                "occurred_at": {"type": ["string", "null"], "format": "date-time"},
                "outcome": {"enum": Outcome::WORDS},
                "description": {"type": ["string", "null"], "maxLength": 32_768},
                "actor": {
                    "type": "object",
                    "properties": {
                        "type": {"enum": ActorType::WORDS},
                        "id": {"type": "string", "minLength": 1, "maxLength": 1024},
                        "name": name,
                    },
                    "required": ["type", "id"],
                },
                "target": {
                    "type": ["object", "null"],
                    "properties": {
                        "type": {"type": ["string", "null"], "maxLength": 256},
                        "id": {"type": ["string", "null"], "maxLength": 1024},
                        "name": name,
                    },
                },
            },
            "required": ["event_type", "actor", "outcome"],
            "additionalProperties": true,
            // An event that claims a place in a stream has an id of its own.
            "dependentSchemas": {"_stream": {
                "properties": {"audit_id": {"type": "string"}},
                "required": ["audit_id"],
            }},
        },
        "Claim": closed(object(3, &[
            ("epoch", number()),
            ("id", json!({"type": "string", "minLength": 1, "maxLength": 128})),
            ("number", number()),
        ])),
        "Receipt": object(5, &[
            ("tenant_id", text()),
            ("audit_id", json!({"type": "string", "format": "uuid"})),
            ("sequence_number", count()),
            ("record_hash", hash()),
            ("ingested_at", time()),
        ]),
        "AttachmentStored": object(1, &[("attachment", reference("AttachmentNamed"))]),
        "AttachmentNamed": object(3, &[
            ("bytes", count()),
            ("digest", json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})),
            ("type", text()),
        ]),
        "Submitted": object(1, &[("receipt", reference("Receipt")), other_claim.clone()]),
        "BatchItem": object(2, &[
            ("index", count()),
            ("status", json!({"type": "integer"})),
            ("receipt", reference("Receipt")),
            ("problem", reference("Problem")),
            other_claim,
        ]),
        "BatchResponse": object(4, &[
            ("results", list("BatchItem")),
            ("accepted", count()), ("repeated", count()), ("rejected", count()),
        ]),
    })
}

fn problems() -> Value {
    json!({
        "Defect": object(3, &[
            ("pointer", text()), ("code", text()), ("message", text()), ("offset", count()),
        ]),
        "Problem": object(5, &[
            ("type", json!({"type": "string", "format": "uri"})),
            ("title", text()),
            ("status", json!({"type": "integer", "minimum": 400, "maximum": 599})),
            ("detail", text()),
            ("next", text()),
            ("pointer", text()),
            ("problems", list("Defect")),
            ("receipt", reference("Receipt")),
            ("request_id", text()),
            ("retry_after_s", count()),
        ]),
    })
}

/// A part of a proof: hashes that lead from one root to the next.
fn path() -> Value {
    json!({
        "type": "object",
        "properties": {"path": {"type": "array", "items": hash()}},
        "required": ["path"],
    })
}

fn records() -> Value {
    json!({
        "Record": object(3, &[
            ("record", json!({"type": "object"})),
            ("record_hash", hash()),
            ("leaf", text()),
            ("personal", json!({"enum": ["masked", "sealed"]})),
            ("disclosures", list("Disclosures")),
        ]),
        "Disclosures": object(2, &[
            ("subject", text()),
            ("disclosures", json!({"type": "array", "items": text()})),
        ]),
        "RecordList": object(3, &[
            ("records", list("Record")),
            ("next_cursor", or_null("string")),
            ("indexed_up_to", or_null("integer")),
            ("unreadable", list("Unreadable")),
            ("unsearched", json!({"type": "array", "items": text()})),
        ]),
        "Unreadable": object(1, &[
            ("place", text()), ("tenant_id", text()), ("first", count()), ("last", count()),
        ]),
        "RecordProof": {
            "type": "object",
            "description": "A proof as spec/receipt.md has it, for indelible verify --proof.",
            "properties": {
                "log": path(), "proof_version": {"const": 1}, "receipt": reference("Receipt"),
                "registry": path(), "snapshot": path(),
            },
            "required": ["log", "proof_version", "receipt", "registry", "snapshot"],
        },
    })
}

fn ledger() -> Value {
    json!({
        "Checkpoints": object(3, &[
            ("registry", json!({"anyOf": [reference("RegistryCheckpoint"), {"type": "null"}]})),
            ("tenants", list("TenantCheckpoint")),
            ("next_cursor", or_null("string")),
        ]),
        "RegistryCheckpoint": object(3, &[
            ("size", count()), ("snapshot", text()), ("checkpoint", text()),
        ]),
        "TenantCheckpoint": object(5, &[
            ("tenant_id", text()),
            ("log_id", text()),
            ("size", count()),
            ("root", hash()),
            ("checkpoint", text()),
        ]),
        "Tenants": object(3, &[
            ("tenants", list("Tenant")),
            ("next_cursor", or_null("string")),
            ("logs", reference("Logs")),
        ]),
        "Logs": object(3, &[("all", count()), ("anchored", count()), ("broken", count())]),
        "CreateTenant": closed(object(1, &[
            ("tenant_id", json!({"type": "string", "pattern": TENANT})),
        ])),
        "Tenant": object(6, &[
            ("tenant_id", text()),
            ("log_id", or_null("string")),
            ("records", or_null("integer")),
            ("published", count()),
            ("last_ingested_at", or_null("string")),
            ("verdict", json!({"anyOf": [reference("Verdict"), {"type": "null"}]})),
        ]),
        "Verdict": object(7, &[
            ("verified_at", time()),
            ("records", count()),
                ("anchored_records", count()),
            ("integrity", json!({"enum": ["anchored", "consistent_not_anchored", "broken"]})),
            ("findings", json!({"type": "array", "items": text()})),
            ("completeness", list("Completeness")),
            ("unnumbered", count()),
        ]),
        "Completeness": object(3, &[
            ("stream", text()), ("verdict", text()), ("clean", json!({"type": "boolean"})),
        ]),
        "Health": object(1, &[
            ("status", json!({"enum": ["ok", "failing"]})),
            ("reasons", json!({"type": "array", "items": text()})),
            ("ledger", text()),
        ]),
    })
}

fn streams() -> Value {
    let range = json!([count(), count()]);
    let loss = json!([count(), count(), text()]);
    let tuples = |of: Value, length: usize| {
        let tuple = json!({
            "type": "array", "prefixItems": of, "minItems": length, "maxItems": length,
        });
        json!({"type": "array", "items": tuple})
    };
    let words = [
        "complete",
        "open",
        "ended-unclean",
        "declared-loss",
        "undeclared-gap",
        "unnumbered",
    ];
    json!({
        "Streams": object(3, &[
            ("streams", list("Stream")),
            ("next_cursor", or_null("string")),
            ("behind", count()),
        ]),
        "Stream": object(6, &[
            ("tenant_id", text()),
            ("stream", or_null("string")),
            ("records", count()),
            ("limited", json!({"type": "boolean"})),
            ("verdict", text()),
            ("word", json!({"enum": words})),
            ("epoch", count()),
            ("gaps", tuples(range, 2)),
            ("last", or_null("integer")),
            ("lost", tuples(loss, 3)),
            ("credentials", count()),
            ("submitted_by", or_null("string")),
        ]),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// A value of the schema with every member, made from the schema alone.
    fn example(schema: &Value, all: &Value) -> Value {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return match name {
                "Event" | "RecordProof" => json!({}),
                _ => example(&all[name], all),
            };
        }
        // Beside a type it only narrows what the type says.
        if schema["type"].is_null()
            && let Some(first) = schema["anyOf"].get(0)
        {
            return example(first, all);
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        let kind = schema["type"].get(0).unwrap_or(&schema["type"]);
        match kind.as_str().unwrap() {
            "object" => {
                let empty = Map::new();
                let members = schema["properties"].as_object().unwrap_or(&empty);
                let members = members.iter().map(|(k, v)| (k.clone(), example(v, all)));
                Value::Object(members.collect())
            }
            "array" => match schema["prefixItems"].as_array() {
                Some(items) => items.iter().map(|item| example(item, all)).collect(),
                None => json!([example(&schema["items"], all)]),
            },
            "integer" => json!(schema["minimum"].as_u64().unwrap_or(0)),
            "boolean" => json!(true),
            "number" => json!(1.5),
            _ if schema["format"] == "uuid" => json!("019a9b00-0000-7000-8000-000000000001"),
            _ if schema["format"] == "date-time" => json!("2026-11-20T09:00:00.000000Z"),
            _ if schema["pattern"].is_string() => json!("0".repeat(64)),
            _ => json!("acme"),
        }
    }

    fn agrees<T: Serialize + DeserializeOwned>(name: &str) {
        let all = schemas();
        let mut full = example(&all[name], &all);
        if name == "BatchItem" {
            full.as_object_mut().unwrap().remove("problem");
        }
        let read: T = serde_json::from_value(full.clone())
            .unwrap_or_else(|error| panic!("{name}: {error}: {full}"));
        let written = serde_json::to_value(read).unwrap();
        let names = |value: &Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(names(&written), names(&full), "{name}");
        // What the schema calls required is what cannot be left out, and is always written.
        let required = all[name]["required"].as_array().unwrap();
        for member in names(&full) {
            let mut less = full.clone();
            less.as_object_mut().unwrap().remove(&member);
            let needed = required.contains(&json!(member));
            let may_be_null = all[name]["properties"][&member]["type"]
                .as_array()
                .is_some_and(|kinds| kinds.contains(&json!("null")))
                || all[name]["properties"][&member]["anyOf"].is_array();
            if needed && !may_be_null && name != "BatchItem" {
                assert!(
                    serde_json::from_value::<T>(less).is_err(),
                    "{name}.{member}"
                );
            }
        }
    }

    #[test]
    fn shapes_are_as_their_schemas_say() {
        agrees::<indelible_proof::receipt::Receipt>("Receipt");
        agrees::<crate::Submitted>("Submitted");
        agrees::<crate::AttachmentStored>("AttachmentStored");
        agrees::<crate::AttachmentNamed>("AttachmentNamed");
        agrees::<crate::BatchItem>("BatchItem");
        agrees::<crate::Problem>("Problem");
        agrees::<crate::Defect>("Defect");
        agrees::<crate::Unreadable>("Unreadable");
        agrees::<crate::Counts>("Counts");
        agrees::<crate::counts::Counted>("Counted");
        agrees::<crate::counts::Facet>("Facet");
        agrees::<crate::counts::FacetValue>("FacetValue");
        agrees::<crate::counts::Histogram>("Histogram");
        agrees::<crate::counts::Bar>("Bar");
        agrees::<crate::counts::Stat>("Stat");
        agrees::<crate::Related>("Related");
        agrees::<crate::related::Above>("Above");
        agrees::<crate::related::Brief>("Brief");
        agrees::<crate::related::Timeline>("Timeline");
        agrees::<crate::related::Execution>("Execution");
        agrees::<crate::related::Node>("Node");
        agrees::<crate::Checkpoints>("Checkpoints");
        agrees::<crate::RegistryCheckpoint>("RegistryCheckpoint");
        agrees::<crate::TenantCheckpoint>("TenantCheckpoint");
        agrees::<crate::Tenants>("Tenants");
        agrees::<crate::Logs>("Logs");
        agrees::<crate::CreateTenant>("CreateTenant");
        agrees::<crate::Tenant>("Tenant");
        agrees::<crate::Verdict>("Verdict");
        agrees::<crate::Completeness>("Completeness");
        agrees::<crate::Streams>("Streams");
        agrees::<crate::Allowed>("Allowed");
        agrees::<crate::InForce>("InForce");
        agrees::<crate::Stream>("Stream");
        agrees::<indelible_event::StreamClaim>("Claim");
        agrees::<crate::Health>("Health");
        agrees::<crate::Key>("Key");
        agrees::<crate::Keys>("Keys");
        agrees::<crate::CreateKey>("CreateKey");
        agrees::<crate::CreatedKey>("CreatedKey");
        agrees::<crate::RotateKey>("RotateKey");
        agrees::<crate::CreateViewerToken>("CreateViewerToken");
        agrees::<crate::ViewerToken>("ViewerToken");
        agrees::<crate::CreateExport>("CreateExport");
        agrees::<crate::Export>("Export");
        agrees::<crate::Exports>("Exports");
        // A batch: its items are either of two, which the example cannot choose.
        let batch = crate::BatchResponse::default();
        let names = serde_json::to_value(batch).unwrap();
        let properties = schemas()["BatchResponse"]["properties"].clone();
        let of =
            |v: &Value| -> BTreeSet<String> { v.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(of(&names), of(&properties));
    }
}
