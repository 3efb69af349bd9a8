//! The OpenAPI 3.1 description, made from one table of routes.
//!
//! The server builds its router beside this table and a test compares the two, so that what is
//! described is what is served. Shapes are in `schemas.rs`; a test there reads real values by them.

use serde_json::{Map, Value, json};

use crate::problem::CONTENT_TYPE;
use crate::schemas::schemas;
use crate::{JSON, NDJSON};

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// `get`, `post`, `put` or `delete`.
    pub method: &'static str,
    /// The path, with `{names}`.
    pub path: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Who may, in words; empty when everybody may.
    pub who: &'static str,
    /// Parameters of the query.
    pub query: &'static [Parameter],
    /// What it takes.
    pub body: Body,
    /// Statuses of success, and what comes with them.
    pub answers: &'static [Answer],
    /// Statuses of problems it may answer with, beside those of every route.
    pub problems: &'static [u16],
}

/// One parameter of the query.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its JSON Schema, as text.
    pub schema: &'static str,
    /// What it does.
    pub description: &'static str,
}

/// What a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// One event.
    Event,
    /// A batch of events.
    Events,
    /// JSON of this schema.
    Json(&'static str),
    /// Bytes of any type.
    Bytes,
}

/// What comes with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// JSON of this schema.
    Json(u16, &'static str),
    /// JSON of this schema, or one record per line.
    Records(u16, &'static str),
    /// Text, or bytes, of this content type.
    Text(u16, &'static str),
}

const TENANT: Parameter = Parameter {
    name: "tenant",
    schema: r#"{"type":"string","pattern":"^[A-Za-z0-9_][A-Za-z0-9._:@-]{0,127}$"}"#,
    description: "The tenant; may be left out where the key or the event names one.",
};
const LIMIT: Parameter = Parameter {
    name: "limit",
    schema: r#"{"type":"integer","minimum":1,"maximum":1000,"default":100}"#,
    description: "What a page has at most.",
};
const CURSOR: Parameter = Parameter {
    name: "cursor",
    schema: r#"{"type":"string","maxLength":1024}"#,
    description: "The next_cursor of the page before.",
};
const INTEGRITY: Parameter = Parameter {
    name: "integrity",
    schema: r#"{"enum":["anchored","consistent_not_anchored","broken"]}"#,
    description: "Only the logs with this verdict.",
};
const LIST: [Parameter; 6] = [
    Parameter {
        name: "q",
        schema: r#"{"type":"string","maxLength":4096}"#,
        description: "A query text (docs/query.md); empty asks for every record.",
    },
    TENANT,
    LIMIT,
    Parameter {
        name: "cursor",
        schema: r#"{"type":"string","maxLength":1024}"#,
        description: "The next_cursor of the page before, with the same query and order.",
    },
    Parameter {
        name: "order",
        schema: r#"{"enum":["newest","oldest","seq","seq-newest"],"default":"newest"}"#,
        description: "By time, newest or oldest first, or by sequence number.",
    },
    Parameter {
        name: "after",
        schema: r#"{"type":"string","maxLength":1024}"#,
        description: "A receipt, the answer it came in, or tenant_id/sequence_number: wait for it.",
    },
];

/// Every route.
pub const ROUTES: &[Route] = &[
    Route {
        method: "post",
        path: "/v1/events",
        summary: "Commit one event and answer with its receipt.",
        who: "emitter, admin",
        query: &[TENANT],
        body: Body::Event,
        answers: &[
            Answer::Json(201, "Submitted"),
            Answer::Json(200, "Submitted"),
        ],
        problems: &[404, 408, 409, 413, 415, 422],
    },
    Route {
        method: "post",
        path: "/v1/events:batch",
        summary: "Commit up to 100,000 events and answer with one result for each.",
        who: "emitter, admin",
        query: &[TENANT],
        body: Body::Events,
        answers: &[Answer::Json(200, "BatchResponse")],
        problems: &[408, 413, 415],
    },
    Route {
        method: "put",
        path: "/v1/attachments/{digest}",
        summary: "Store what does not fit an event, up to 64 MiB, before the event that names it.",
        who: "emitter, admin",
        query: &[TENANT],
        body: Body::Bytes,
        answers: &[
            Answer::Json(201, "AttachmentStored"),
            Answer::Json(200, "AttachmentStored"),
        ],
        problems: &[404, 408, 413, 415, 422],
    },
    Route {
        method: "get",
        path: "/v1/attachments/{digest}",
        summary: "Read an attachment.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT],
        body: Body::None,
        answers: &[Answer::Text(200, "*/*")],
        problems: &[404, 422],
    },
    Route {
        method: "get",
        path: "/v1/records",
        summary: "Find records.",
        who: "reader, auditor, privacy_officer, admin",
        query: &LIST,
        body: Body::None,
        answers: &[Answer::Records(200, "RecordList")],
        problems: &[404, 409],
    },
    Route {
        method: "get",
        path: "/v1/records/{audit_id}",
        summary: "Read one record.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT],
        body: Body::None,
        answers: &[Answer::Json(200, "Record")],
        problems: &[404, 409],
    },
    Route {
        method: "get",
        path: "/v1/records/{audit_id}/proof",
        summary: "Prove one record under the newest signed checkpoint.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT],
        body: Body::None,
        answers: &[Answer::Json(200, "RecordProof")],
        problems: &[404, 409],
    },
    Route {
        method: "get",
        path: "/v1/checkpoints",
        summary: "The newest signed checkpoints, of the registry and of each tenant.",
        who: "auditor, privacy_officer, admin",
        query: &[TENANT, LIMIT, CURSOR],
        body: Body::None,
        answers: &[Answer::Json(200, "Checkpoints")],
        problems: &[404],
    },
    Route {
        method: "get",
        path: "/v1/tenants",
        summary: "The tenants, the size of their logs, and the two verdicts on each.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[LIMIT, CURSOR, INTEGRITY],
        body: Body::None,
        answers: &[Answer::Json(200, "Tenants")],
        problems: &[],
    },
    Route {
        method: "get",
        path: "/v1/streams",
        summary: "The producers' streams, and what is missing of them.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT, LIMIT, CURSOR],
        body: Body::None,
        answers: &[Answer::Json(200, "Streams")],
        problems: &[404],
    },
    Route {
        method: "post",
        path: "/v1/tenants",
        summary: "Create a tenant's log, if it is not there.",
        who: "admin of all tenants",
        query: &[],
        body: Body::Json("CreateTenant"),
        answers: &[Answer::Json(201, "Tenant"), Answer::Json(200, "Tenant")],
        problems: &[408, 413, 415],
    },
    Route {
        method: "get",
        path: "/v1/keys",
        summary: "List the API keys, without their secrets.",
        who: "admin of all tenants",
        query: &[],
        body: Body::None,
        answers: &[Answer::Json(200, "Keys")],
        problems: &[],
    },
    Route {
        method: "post",
        path: "/v1/keys",
        summary: "Make an API key; the answer is the only place where its secret is seen.",
        who: "admin of all tenants",
        query: &[],
        body: Body::Json("CreateKey"),
        answers: &[Answer::Json(201, "CreatedKey")],
        problems: &[408, 413, 415],
    },
    Route {
        method: "delete",
        path: "/v1/keys/{id}",
        summary: "Revoke an API key, at once and for good.",
        who: "admin of all tenants",
        query: &[],
        body: Body::None,
        answers: &[Answer::Json(200, "Key")],
        problems: &[404],
    },
    open(
        "/health/live",
        "Whether the process answers.",
        &[Answer::Json(200, "Health")],
    ),
    open(
        "/health/ready",
        "Whether work gets done: commits, checkpoints, verifier.",
        &[Answer::Json(200, "Health")],
    ),
    Route {
        who: "admin of all tenants",
        ..open(
            "/metrics",
            "Figures in the Prometheus text format.",
            &[Answer::Text(200, "text/plain")],
        )
    },
    open(
        "/openapi.json",
        "This description.",
        &[Answer::Text(200, JSON)],
    ),
    open(
        "/docs",
        "This description as a page.",
        &[Answer::Text(200, "text/html")],
    ),
];

const fn open(path: &'static str, summary: &'static str, answers: &'static [Answer]) -> Route {
    Route {
        method: "get",
        path,
        summary,
        who: "",
        query: &[],
        body: Body::None,
        answers,
        problems: &[],
    }
}

/// The whole description.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_owned(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Indelible",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A tamper-evident audit trail.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "ind_<id>_<secret>; a server without keys asks for none.",
                },
            },
        },
        "security": [{"key": []}, {}],
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route),
    });
    let Some(members) = operation.as_object_mut() else {
        return operation;
    };
    if route.who.is_empty() {
        members.insert("security".to_owned(), json!([]));
    } else {
        members.insert(
            "description".to_owned(),
            json!(format!("Roles: {}.", route.who)),
        );
    }
    if let Some(content) = body(route.body) {
        members.insert(
            "requestBody".to_owned(),
            json!({"required": true, "content": content}),
        );
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && *word != "v1");
    [route.method]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

fn parameters(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let schema = match name {
            "digest" => json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}),
            _ => json!({"type": "string", "minLength": 1}),
        };
        Some(json!({"name": name, "in": "path", "required": true, "schema": schema}))
    });
    let in_query = route.query.iter().map(|parameter| {
        let schema: Value = serde_json::from_str(parameter.schema).unwrap_or_default();
        json!({
            "name": parameter.name,
            "in": "query",
            "schema": schema,
            "description": parameter.description,
        })
    });
    in_path.chain(in_query).collect()
}

fn body(body: Body) -> Option<Value> {
    let event = json!({"$ref": "#/components/schemas/Event"});
    match body {
        Body::None => None,
        Body::Event => Some(json!({JSON: {"schema": event}})),
        Body::Events => Some(json!({
            JSON: {"schema": {"type": "array", "maxItems": 100_000, "items": event}},
            NDJSON: {"schema": {"type": "string", "description": "One event per line."}},
        })),
        Body::Bytes => Some(json!({"*/*": {}})),
        Body::Json(name) => Some(json!({JSON: {"schema": reference(name)}})),
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// From a receipt to the record and its proof.
fn links() -> Value {
    let link = |operation: &str| {
        json!({
            "operationId": operation,
            "parameters": {"audit_id": "$response.body#/receipt/audit_id"},
        })
    };
    json!({
        "record": link("get_records_audit_id"),
        "proof": link("get_records_audit_id_proof"),
    })
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    for answer in route.answers {
        let (status, content) = match *answer {
            Answer::Json(status, name) => (status, json!({JSON: {"schema": reference(name)}})),
            Answer::Records(status, name) => (
                status,
                json!({
                    JSON: {"schema": reference(name)},
                    NDJSON: {"schema": {"type": "string", "description": "One record per line."}},
                }),
            ),
            Answer::Text(status, content_type) => (status, json!({content_type: {}})),
        };
        let description = if status == 201 { "New." } else { "Done." };
        let mut response = json!({"description": description, "content": content});
        if route.body == Body::Event {
            response["links"] = links();
        }
        responses.insert(status.to_string(), response);
    }
    // Told before anything of ours sees the request, so without a problem document.
    let headers = json!({"description": "The request line and headers are over 32 KiB."});
    responses.insert("431".to_owned(), headers);
    let everywhere: &[u16] = if route.who.is_empty() {
        &[421, 503]
    } else {
        &[400, 401, 403, 421, 500, 503]
    };
    for status in everywhere.iter().chain(route.problems) {
        let mut response = json!({
            "description": "A problem.",
            "content": {CONTENT_TYPE: {"schema": reference("Problem")}},
        });
        // Not ready is no problem document: it says what is not done.
        if route.path.starts_with("/health") && *status == 503 {
            response = json!({
                "description": "Not ready.",
                "content": {JSON: {"schema": reference("Health")}},
            });
        }
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn operations_have_names_of_their_own() {
        let names: BTreeSet<_> = ROUTES.iter().map(operation_id).collect();
        assert_eq!(names.len(), ROUTES.len());
    }

    #[test]
    fn every_link_leads_to_an_operation() {
        let names: BTreeSet<_> = ROUTES.iter().map(operation_id).collect();
        for link in links().as_object().unwrap().values() {
            assert!(names.contains(link["operationId"].as_str().unwrap()));
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut referenced = BTreeSet::new();
        for part in text.split(r##""$ref":"#/components/schemas/"##).skip(1) {
            referenced.insert(part.split('"').next().unwrap().to_owned());
        }
        let there: BTreeSet<_> = schemas.keys().cloned().collect();
        assert_eq!(referenced, there);
        for route in ROUTES {
            for parameter in route.query {
                serde_json::from_str::<Value>(parameter.schema).unwrap();
            }
            assert!(!responses(route).as_object().unwrap().is_empty());
        }
    }
}
