//! Schemas of exports; a test of `schemas` holds them against the types. Not here: what a format
//! is.

use serde_json::{Value, json};

use super::{TENANT, closed, count, list, object, or_null, text, time};
use crate::limits::{EXPORT_COLUMNS_BYTES_MAX, QUERY_BYTES_MAX};

pub(super) fn exports() -> Value {
    let formats = json!({"enum": ["leaves", "joined", "csv", "parquet"]});
    let orders = ["seq", "seq-newest", "oldest", "newest"];
    json!({
        "CreateExport": closed(object(1, &[
            ("format", formats.clone()),
            ("q", json!({"type": ["string", "null"], "maxLength": QUERY_BYTES_MAX})),
            ("tenant", json!({"type": ["string", "null"], "pattern": TENANT})),
            ("columns", json!({
                "type": ["string", "null"],
                "maxLength": EXPORT_COLUMNS_BYTES_MAX,
                "pattern": "^[a-z_., ]*$",
            })),
            ("order", json!({"type": ["string", "null"], "enum": [
                orders[0], orders[1], orders[2], orders[3], null,
            ]})),
        ])),
        "Export": object(13, &[
            ("id", json!({"type": "string", "pattern": "^[0-9a-f]{32}$"})),
            ("status", json!({"enum": ["waiting", "running", "done", "failed"]})),
            ("format", formats),
            ("q", text()),
            ("tenant", or_null("string")),
            ("columns", or_null("string")),
            ("order", json!({"enum": orders})),
            ("created_at", time()),
            ("expires_at", time()),
            ("records", count()),
            ("of", or_null("integer")),
            ("bytes", count()),
            ("failure", or_null("string")),
            ("unreadable", list("Unreadable")),
            ("unsearched", json!({"type": "array", "items": text()})),
        ]),
        "Exports": object(1, &[("exports", list("Export"))]),
    })
}
