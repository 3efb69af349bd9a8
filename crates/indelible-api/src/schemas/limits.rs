//! The shapes of limits.

use serde_json::{Value, json};

use super::{closed, object};
use crate::limits::RATE_MAX;

/// How much may come in a second, or null.
pub(super) fn rates() -> Value {
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
