//! Examples in the description of the API: what a server took and gave, shortened.
//!
//! Tests read each as the type it is an example of; the record's hash is that of its leaf.

use serde_json::Value;

const EVENT: &str = r#"{"actor":{"id":"publisher","type":"agent"},
    "event_type":"content.publish","occurred_at":"2026-01-15T09:00:00Z","outcome":"success",
    "target":{"id":"post-456","type":"post"}}"#;

/// One that has a place in a stream, and one that was sent before.
const EVENTS: &str = r#"[{"_stream":{"epoch":1768467600000,"id":"web-1","number":0},
    "actor":{"id":"ada","type":"user"},"audit_id":"019bc0a1-4480-7c3e-9a51-0d6f1b2c3d4e",
    "event_type":"document.viewed","occurred_at":"2026-01-15T09:00:00Z","outcome":"success"},
    {"actor":{"id":"publisher","type":"agent"},"audit_id":"01a21b55-81ee-79bf-a26a-243dbad466b4",
    "event_type":"content.publish","occurred_at":"2026-01-15T09:00:00Z","outcome":"success",
    "target":{"id":"post-456","type":"post"}}]"#;

const SUBMITTED: &str = r#"{"receipt":{"tenant_id":"acme",
    "audit_id":"01a21b55-81ee-79bf-a26a-243dbad466b4","sequence_number":1,
    "record_hash":"606f4184a33c838d68d0b4c2cd4ba2239b30887c9823531c47bdad72264cf010",
    "ingested_at":"2026-11-27T04:48:38.382722Z"}}"#;

const RESULTS: &str = r#"{"results":[{"index":0,"status":201,"receipt":{"tenant_id":"acme",
    "audit_id":"019bc0a1-4480-7c3e-9a51-0d6f1b2c3d4e","sequence_number":2,
    "record_hash":"2f8aa99791b2d7769fccd6fe10304e34a5ad7336c9aabf30e4991fedbf091f63",
    "ingested_at":"2026-11-27T04:48:38.468819Z"}},
    {"index":1,"status":200,"receipt":{"tenant_id":"acme",
    "audit_id":"01a21b55-81ee-79bf-a26a-243dbad466b4","sequence_number":1,
    "record_hash":"606f4184a33c838d68d0b4c2cd4ba2239b30887c9823531c47bdad72264cf010",
    "ingested_at":"2026-11-27T04:48:38.382722Z"}}],"accepted":1,"repeated":1,"rejected":0}"#;

const RECORD: &str = r#"{"record":{"event":{"actor":{"id":"publisher","type":"agent"},
    "audit_id":"01a21b55-81ee-79bf-a26a-243dbad466b4","event_type":"content.publish",
    "occurred_at":"2026-01-15T09:00:00Z","outcome":"success",
    "target":{"id":"post-456","type":"post"}},"ingested_at":"2026-11-27T04:48:38.382722Z",
    "ledger":{"flags":["late"],"policy":1,"via":"http"},
    "previous_hash":"f8828d7aa5041dc781ed2afd12926caeefe43315b3f51bc9d1585cec3363fe4d",
    "record_version":1,"sequence_number":1,"tenant_id":"acme"},
    "record_hash":"606f4184a33c838d68d0b4c2cd4ba2239b30887c9823531c47bdad72264cf010"}"#;

/// The leaf of [`RECORD`]: one line, whose bytes are hashed.
const LEAF: &str = concat!(
    r#"{"event":{"actor":{"id":"publisher","type":"agent"},"#,
    r#""audit_id":"01a21b55-81ee-79bf-a26a-243dbad466b4","event_type":"content.publish","#,
    r#""occurred_at":"2026-01-15T09:00:00Z","outcome":"success","#,
    r#""target":{"id":"post-456","type":"post"}},"ingested_at":"2026-11-27T04:48:38.382722Z","#,
    r#""ledger":{"flags":["late"],"policy":1,"via":"http"},"#,
    r#""previous_hash":"f8828d7aa5041dc781ed2afd12926caeefe43315b3f51bc9d1585cec3363fe4d","#,
    r#""record_version":1,"sequence_number":1,"tenant_id":"acme"}"#,
);

const COUNTS: &str = r#"{"total":3,"counted":{"by":"index","exact":true},"facets":[{
    "name":"outcome","values":[{"value":"success","count":2,"sealed":false},
    {"value":"failure","count":1,"sealed":false}],"distinct":2,"more":false,"other":0,
    "complete":true,"closed":false}],"histogram":{"every":"day","zone":"UTC","bars":[{
    "from":"2026-01-15T00:00:00.000000Z","until":"2026-01-16T00:00:00.000000Z","count":3}]},
    "stats":[{"name":"duration","records":2,"sum":1500.0,"least":250.0,"greatest":1250.0,
    "p50":250.0,"p90":1250.0,"p95":1250.0,"p99":1250.0,"near":false,
    "counted":{"by":"index","exact":true}}],"indexed_up_to":5}"#;

const TENANTS: &str = r#"{"tenants":[{"tenant_id":"acme",
    "log_id":"b3ff71f29e9386015f73e2252962d67b","records":3,"published":3,
    "last_ingested_at":"2026-11-27T04:48:38.468819Z","verdict":{
    "verified_at":"2026-11-27T04:48:44.120305Z","records":3,"anchored_records":3,
    "integrity":"anchored","findings":[],"completeness":[{"stream":"web-1",
    "verdict":"open to 0, last heard 2026-11-27T04:48:38.468819Z","clean":true}],
    "unnumbered":1}}],"next_cursor":null,"logs":{"all":1,"anchored":1,"broken":0}}"#;

const STREAMS: &str = r#"{"streams":[{"tenant_id":"acme","stream":"web-1","records":1,
    "limited":false,"verdict":"open to 0, last heard 2026-11-27T04:48:38.468819Z",
    "word":"open","epoch":1768467600000,"gaps":[],"last":0,"lost":[],"credentials":1,
    "submitted_by":null}],"next_cursor":null,"behind":0}"#;

const CREATE_TENANT: &str = r#"{"tenant_id":"globex"}"#;

const TENANT: &str = r#"{"tenant_id":"globex","log_id":"c2e0072706f2566f0b9521c9b72ed6eb",
    "records":1,"published":0,"last_ingested_at":"2026-11-27T04:48:44.736753Z","verdict":null}"#;

const CREATE_KEY: &str = r#"{"role":"emitter","tenants":["acme"],"name":"shop",
    "expires":"90d"}"#;

const ROTATE_KEY: &str = r#"{"grace":"24h"}"#;

const KEY: &str = r#"{"id":"99680fe614ef1c6f","role":"emitter","tenants":["acme"],"name":"shop",
    "query":null,"created_at":"2026-11-27T04:48:44.937003Z",
    "expires_at":"2027-02-25T04:48:44.937003Z","rotated_at":null,"old_secret_until":null,
    "last_used_at":null,"revoked_at":null}"#;

const BEARER: &str = "ind_99680fe614ef1c6f_<64 hex digits>";

const CREATE_VIEWER: &str = r#"{"tenant":"acme","query":"target:invoice-7","for":"15m"}"#;

const VIEWER: &str = r#"{"bearer":"indv_<sealed text>","tenant":"acme",
    "query":"target:invoice-7","expires_at":"2026-11-27T05:03:44.937003Z"}"#;

const CREATE_EXPORT: &str = r#"{"format":"csv","q":"outcome:failure since:2026-01-01",
    "tenant":"acme","columns":"occurred_at,actor.id,event_type,outcome","order":"seq"}"#;

const ALLOWED: &str = r#"{"role":"reader","may":["read","whole"],"tenants":["acme"]}"#;
const IN_FORCE: &str = r#"{"settings":[{"setting":"server.listen","value":"127.0.0.1:8080",
    "source":"default","variable":"INDELIBLE_SERVER__LISTEN","doc":"Address and port."}]}"#;
const EXPORT: &str = r#"{"id":"5d2f0c3a9b7e41f08a6c1e2d3b4f5a60","status":"done","format":"csv",
    "q":"outcome:failure since:2026-01-01","tenant":"acme",
    "columns":"occurred_at,actor.id,event_type,outcome","order":"seq",
    "created_at":"2026-11-27T04:48:44.937003Z","expires_at":"2026-11-28T04:48:44.937003Z",
    "records":1204,"of":1204,"bytes":98231,"failure":null}"#;

/// What a route takes, for example.
pub(crate) fn taken(method: &str, path: &str) -> Option<Value> {
    Some(read(match (method, path) {
        ("post", "/v1/events") => EVENT,
        ("post", "/v1/events:batch") => EVENTS,
        ("post", "/v1/tenants") => CREATE_TENANT,
        ("post", "/v1/keys") => CREATE_KEY,
        ("post", "/v1/keys/{id}/rotate") => ROTATE_KEY,
        ("post", "/v1/viewer-tokens") => CREATE_VIEWER,
        ("post", "/v1/exports") => CREATE_EXPORT,
        _ => return None,
    }))
}

/// What a route answers with success, for example.
pub(crate) fn given(method: &str, path: &str) -> Option<Value> {
    let (key, list) = (|| read(KEY), |of: Value| Value::Array(vec![of]));
    Some(match (method, path) {
        ("post", "/v1/events") => read(SUBMITTED),
        ("post", "/v1/events:batch") => read(RESULTS),
        ("get", "/v1/records") => serde_json::json!({
            "records": list(record()), "next_cursor": null, "indexed_up_to": 5,
        }),
        ("get", "/v1/counts") => read(COUNTS),
        ("get", "/v1/records/{audit_id}") => record(),
        ("get", "/v1/tenants") => read(TENANTS),
        ("get", "/v1/streams") => read(STREAMS),
        ("post", "/v1/tenants") => read(TENANT),
        ("get", "/v1/access") => read(ALLOWED),
        ("get", "/v1/configuration") => read(IN_FORCE),
        ("get", "/v1/keys") => serde_json::json!({"keys": list(key())}),
        ("post", "/v1/keys" | "/v1/keys/{id}/rotate") => {
            serde_json::json!({"key": key(), "bearer": BEARER})
        }
        ("post", "/v1/viewer-tokens") => read(VIEWER),
        ("post", "/v1/exports") | ("get" | "delete", "/v1/exports/{id}") => read(EXPORT),
        ("get", "/v1/exports") => serde_json::json!({"exports": list(read(EXPORT))}),
        _ => return None,
    })
}

fn record() -> Value {
    let mut record = read(RECORD);
    record["leaf"] = LEAF.into();
    record
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_event::catalogue::NATIVE;
    use indelible_event::ids::{Micros, TenantId};
    use indelible_event::{Admission, Mode, Origin, StreamClaim, admit};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::routes::ROUTES;

    fn is<T: Serialize + DeserializeOwned>(method: &str, path: &str) {
        let example = given(method, path).unwrap();
        let read: T = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), example, "{path}");
    }

    #[test]
    fn answers_are_of_the_types_of_their_routes() {
        is::<crate::Submitted>("post", "/v1/events");
        is::<crate::BatchResponse>("post", "/v1/events:batch");
        is::<crate::RecordList>("get", "/v1/records");
        is::<crate::Counts>("get", "/v1/counts");
        is::<crate::Record>("get", "/v1/records/{audit_id}");
        is::<crate::Tenants>("get", "/v1/tenants");
        is::<crate::Streams>("get", "/v1/streams");
        is::<crate::Tenant>("post", "/v1/tenants");
        is::<crate::Keys>("get", "/v1/keys");
        is::<crate::Allowed>("get", "/v1/access");
        is::<crate::InForce>("get", "/v1/configuration");
        is::<crate::CreatedKey>("post", "/v1/keys");
        is::<crate::Export>("post", "/v1/exports");
        is::<crate::Exports>("get", "/v1/exports");
        let leaf: Value = serde_json::from_str(LEAF).unwrap();
        let record = record();
        assert_eq!(record["record"], leaf);
        let hash = indelible_merkle::leaf_hash(LEAF.as_bytes()).to_string();
        assert_eq!(record["record_hash"], hash);
    }

    #[test]
    fn what_is_taken_can_be_taken() {
        let wanted = taken("post", "/v1/tenants").unwrap();
        serde_json::from_value::<crate::CreateTenant>(wanted).unwrap();
        let wanted = taken("post", "/v1/keys").unwrap();
        serde_json::from_value::<crate::CreateKey>(wanted).unwrap();
        let mut events = vec![taken("post", "/v1/events").unwrap()];
        let batch = taken("post", "/v1/events:batch").unwrap();
        for event in batch.as_array().unwrap() {
            let text = event.to_string();
            let claimed = StreamClaim::take_out(text.as_bytes());
            events.push(claimed.map_or(event.clone(), |(_, event)| {
                serde_json::from_slice(&event).unwrap()
            }));
        }
        let tenant = TenantId::parse("acme").unwrap();
        for event in events {
            let rules = Admission {
                mode: Mode::Strict,
                catalogue: &NATIVE,
                dialect: NATIVE.name,
                origin: Origin::Producer,
                tenant: Some(&tenant),
                now: Micros(1_768_500_000_000_000),
            };
            let event = event.to_string();
            let admitted = admit(event.as_bytes(), &rules, &mut |bytes| bytes.fill(7));
            assert!(admitted.is_ok(), "{event}\n{:?}", admitted.err());
        }
    }

    #[test]
    fn every_route_that_takes_json_has_an_example() {
        use crate::routes::Body;
        for route in ROUTES {
            let takes = !matches!(route.body, Body::None | Body::Bytes);
            let example = taken(route.method, route.path);
            assert_eq!(example.is_some(), takes, "{} {}", route.method, route.path);
        }
    }
}
