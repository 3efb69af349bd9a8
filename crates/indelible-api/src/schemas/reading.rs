//! Schemas of what is read beside records themselves: counts, and what belongs to a record.

use serde_json::{Value, json};

use super::{count, list, object, or_null, reference, text, time};

/// Of counts.
pub(super) fn counts() -> Value {
    let yes = || json!({"type": "boolean"});
    json!({
        "Counts": object(6, &[
            ("total", count()),
            ("counted", reference("Counted")),
            ("facets", list("Facet")),
            ("histogram", json!({"anyOf": [reference("Histogram"), {"type": "null"}]})),
            ("stats", list("Stat")),
            ("indexed_up_to", or_null("integer")),
            ("unreadable", list("Unreadable")),
            ("unsearched", json!({"type": "array", "items": text()})),
        ]),
        "Counted": object(2, &[
            ("by", json!({"enum": ["index", "records"]})),
            ("exact", yes()),
            ("looked_at", count()),
            ("of", count()),
        ]),
        "Facet": object(7, &[
            ("name", text()), ("values", list("FacetValue")), ("distinct", count()),
            ("more", yes()), ("other", count()), ("complete", yes()), ("closed", yes()),
        ]),
        "FacetValue": object(3, &[("value", text()), ("count", count()), ("sealed", yes())]),
        "Histogram": object(3, &[("every", text()), ("zone", text()), ("bars", list("Bar"))]),
        "Bar": object(3, &[("from", time()), ("until", time()), ("count", count())]),
        "Stat": object(11, &[
            ("name", text()),
            ("records", count()),
            ("sum", json!({"type": "number"})),
            ("least", or_null("number")),
            ("greatest", or_null("number")),
            ("p50", or_null("number")),
            ("p90", or_null("number")),
            ("p95", or_null("number")),
            ("p99", or_null("number")),
            ("near", yes()),
            ("counted", reference("Counted")),
        ]),
    })
}

/// Of what belongs to a record.
pub(super) fn related() -> Value {
    let yes = || json!({"type": "boolean"});
    let number = || json!({"type": "number"});
    let texts = || json!({"type": "array", "items": text()});
    let maybe = |name: &str| json!({"anyOf": [reference(name), {"type": "null"}]});
    json!({
        "Related": object(9, &[
            ("tenant_id", text()),
            ("record", reference("Brief")),
            ("ancestors", list("Brief")),
            ("above", reference("Above")),
            ("descendants", list("Brief")),
            ("more_below", yes()),
            ("cycle_below", yes()),
            ("correlation", maybe("Timeline")),
            ("execution", maybe("Execution")),
            ("unreadable", list("Unreadable")),
        ]),
        "Above": object(2, &[
            ("end", json!({"enum": ["root", "missing", "cycle", "more"]})),
            ("parent_id", or_null("string")),
        ]),
        "Brief": object(14, &[
            ("audit_id", text()),
            ("sequence_number", count()),
            ("depth", count()),
            ("parent_id", or_null("string")),
            ("occurred_at", time()),
            ("event_type", or_null("string")),
            ("actor", or_null("string")),
            ("target", or_null("string")),
            ("outcome", or_null("string")),
            ("duration_ms", or_null("number")),
            ("node", or_null("string")),
            ("model", or_null("string")),
            ("tokens", or_null("number")),
            ("cost_usd", or_null("number")),
        ]),
        "Timeline": object(3, &[("id", text()), ("records", list("Brief")), ("more", yes())]),
        "Execution": object(11, &[
            ("id", text()),
            ("agent", or_null("string")),
            ("started_at", or_null("string")),
            ("ended_at", or_null("string")),
            ("duration_ms", number()),
            ("outcome", or_null("string")),
            ("tokens", number()),
            ("cost_usd", number()),
            ("nodes", list("Node")),
            ("records", list("Brief")),
            ("more", yes()),
        ]),
        "Node": object(7, &[
            ("name", text()), ("records", count()), ("duration_ms", number()),
            ("outcome", or_null("string")), ("models", texts()), ("tokens", number()),
            ("cost_usd", number()),
        ]),
    })
}
