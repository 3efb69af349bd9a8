//! The OpenAPI 3.1 description, made from the table of routes in `routes.rs`.
//!
//! Shapes are in `schemas.rs` and examples in `examples.rs`; tests there hold both against the
//! types of this crate.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::examples;
use crate::problem::{CONTENT_TYPE, ProblemKind};
use crate::schemas::schemas;
use crate::{JSON, NDJSON};

pub use crate::routes::{Answer, Body, Parameter, ROUTES, Route};

/// Problems of every route that asks who somebody is.
const EVERYWHERE: [ProblemKind; 10] = [
    ProblemKind::BadRequest,
    ProblemKind::Unauthorized,
    ProblemKind::KeyExpired,
    ProblemKind::KeyRevoked,
    ProblemKind::Forbidden,
    ProblemKind::Misdirected,
    ProblemKind::RateLimited,
    ProblemKind::Internal,
    ProblemKind::Overloaded,
    ProblemKind::Unavailable,
];

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
    if let Some(content) = body(route) {
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

fn body(route: &Route) -> Option<Value> {
    let event = json!({"$ref": "#/components/schemas/Event"});
    let mut content = match route.body {
        Body::None => return None,
        Body::Event => json!({JSON: {"schema": event}}),
        Body::Events => json!({
            JSON: {"schema": {"type": "array", "maxItems": 100_000, "items": event}},
            NDJSON: {"schema": {"type": "string", "description": "One event per line."}},
        }),
        Body::Bytes => json!({"*/*": {}}),
        Body::Json(name) => json!({JSON: {"schema": reference(name)}}),
    };
    if let Some(example) = examples::taken(route.method, route.path) {
        content[JSON]["example"] = example;
    }
    Some(content)
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

fn retry_after(description: &str, is_always_there: bool) -> Value {
    json!({"Retry-After": {
        "description": description,
        "required": is_always_there,
        "schema": {"type": "integer", "minimum": 1, "description": "Seconds."},
    }})
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    for answer in route.answers {
        let (status, mut content) = match *answer {
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
        if let Some(example) = examples::given(route.method, route.path) {
            content[JSON]["example"] = example;
        }
        let description = if status == 201 { "New." } else { "Done." };
        let mut response = json!({"description": description, "content": content});
        if route.body == Body::Event {
            response["links"] = links();
        }
        if route.body == Body::Events {
            response["headers"] = retry_after("Where a result has status 503.", false);
        }
        responses.insert(status.to_string(), response);
    }
    // Told before anything of ours sees the request, so without a problem document.
    let headers = json!({"description": "The request line and headers are over 32 KiB."});
    responses.insert("431".to_owned(), headers);
    let everywhere: &[ProblemKind] = if route.who.is_empty() {
        &[ProblemKind::Misdirected, ProblemKind::Overloaded]
    } else {
        &EVERYWHERE
    };
    let mut problems: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for kind in everywhere.iter().chain(route.problems) {
        let told = format!("{}: {}.", kind.title(), kind.next());
        problems.entry(kind.status()).or_default().push(told);
    }
    for (status, told) in problems {
        let mut response = json!({
            "description": told.join(" "),
            "content": {CONTENT_TYPE: {"schema": reference("Problem")}},
        });
        if matches!(status, 429 | 503) {
            response["headers"] = retry_after("When to send it again.", true);
        }
        // Not ready is no problem document: it says what is not done.
        if route.path.starts_with("/health") && status == 503 {
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
    fn whoever_may_get_a_503_is_told_of_retry_after() {
        for route in ROUTES.iter().filter(|route| !route.who.is_empty()) {
            let responses = responses(route);
            let unavailable = &responses["503"]["headers"]["Retry-After"];
            assert_eq!(unavailable["required"], true, "{}", route.path);
            let of_a_batch = &responses["200"]["headers"]["Retry-After"];
            assert_eq!(of_a_batch.is_object(), route.body == Body::Events);
        }
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
