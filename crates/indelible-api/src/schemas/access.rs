//! Schemas of keys, viewer tokens, and what a server says of itself; a test of `schemas` holds them
//! against the types.

use serde_json::{Value, json};

use super::{TENANT, closed, list, object, or_null, reference, text, time};
use crate::limits::{KEY_NAME_CHARS_MAX, KEY_TENANTS_MAX, QUERY_BYTES_MAX, RATE_MAX};

/// How a moment that is to come may be said.
const MOMENT: &str = "^([0-9]{1,6}[smhdw]|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].*)?)$";

pub(super) fn keys() -> Value {
    let role = json!({"enum": crate::Role::ALL.map(crate::Role::word)});
    let tenants = json!({"type": ["array", "null"], "items": text()});
    let name = json!({
        "type": ["string", "null"],
        "maxLength": KEY_NAME_CHARS_MAX,
        "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$",
    });
    let query = json!({
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": QUERY_BYTES_MAX,
        "description": "Only for the role reader.",
    });
    let moment = json!({
        "type": ["string", "null"],
        "pattern": MOMENT,
        "description": "A time that is to come, or so long from now: 90d, 12h, 30m.",
    });
    let grace = json!({"type": ["string", "null"], "pattern": "^(0|[0-9]{1,6}[smhdw])$"});
    let mut create = closed(object(
        2,
        &[
            ("role", role.clone()),
            ("tenants", whom()),
            ("name", name),
            ("query", query),
            ("expires", moment.clone()),
            ("limits", rates()),
        ],
    ));
    // An admin is bound to no tenants.
    let bindable = crate::Role::ALL
        .into_iter()
        .filter(|role| !role.may_administer());
    let bindable: Vec<_> = bindable.map(crate::Role::word).collect();
    create["anyOf"] = json!([
        {"properties": {"role": {"enum": bindable}}},
        {"properties": {"tenants": {"const": crate::KeyTenants::ALL}}},
    ]);
    json!({
        "Key": object(6, &[
            ("id", text()),
            ("role", role),
            ("tenants", tenants.clone()),
            ("name", or_null("string")),
            ("created_at", time()),
            ("revoked_at", or_null("string")),
            ("query", or_null("string")),
            ("expires_at", or_null("string")),
            ("rotated_at", or_null("string")),
            ("old_secret_until", or_null("string")),
            ("last_used_at", or_null("string")),
            ("limits", rates()),
        ]),
        "Keys": object(1, &[("keys", list("Key"))]),
        "CreateKey": create,
        "RotateKey": closed(object(0, &[("grace", grace), ("expires", moment)])),
        "CreatedKey": object(2, &[("key", reference("Key")), ("bearer", text())]),
    })
}

/// The tenants that a key is for.
fn whom() -> Value {
    json!({
        "anyOf": [
            {
                "type": "array",
                "items": {"type": "string", "pattern": TENANT},
                "minItems": 1,
                "maxItems": KEY_TENANTS_MAX,
            },
            {"const": crate::KeyTenants::ALL},
        ],
        "description": "Whom it is for: names, or * for all tenants, also those that come later.",
    })
}

/// How much may come in a second, or null.
fn rates() -> Value {
    let most = || json!({"type": ["integer", "null"], "minimum": 0, "maximum": RATE_MAX});
    let rates = closed(object(
        0,
        &[
            ("requests_per_s", most()),
            ("events_per_s", most()),
            ("bytes_per_s", most()),
        ],
    ));
    json!({"anyOf": [rates, {"type": "null"}]})
}

pub(super) fn viewers() -> Value {
    json!({
        "CreateViewerToken": closed(object(1, &[
            ("tenant", json!({"type": "string", "pattern": TENANT})),
            ("query", json!({
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": QUERY_BYTES_MAX,
            })),
            ("for", json!({
                "type": ["string", "null"],
                "pattern": "^[0-9]{1,6}[smhd]$",
                "description": "How long it is good: 15m when left out, at most 24h.",
            })),
        ])),
        "ViewerToken": object(2, &[
            ("bearer", text()),
            ("tenant", text()),
            ("query", or_null("string")),
            ("expires_at", time()),
        ]),
    })
}

pub(super) fn server() -> Value {
    let may = json!({"enum": crate::May::ALL.map(crate::May::word)});
    json!({
        "Allowed": object(3, &[
            ("role", json!({"enum": crate::Role::ALL.map(crate::Role::word)})),
            ("may", json!({"type": "array", "items": may})),
            ("tenants", json!({"type": ["array", "null"], "items": text()})),
        ]),
        "InForce": object(1, &[("settings", list("Setting"))]),
        "Setting": object(5, &[
            ("setting", text()),
            ("value", or_null("string")),
            ("source", text()),
            ("variable", text()),
            ("doc", text()),
        ]),
    })
}
