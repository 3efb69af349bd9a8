//! Viewer tokens as they go over the wire.

use serde::{Deserialize, Serialize};

/// Request of `POST /v1/viewer-tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateViewerToken {
    /// Whose records it shows.
    pub tenant: String,
    /// A query text that all it asks is narrowed by, beside that of the key that makes it.
    #[serde(default)]
    pub query: Option<String>,
    /// How long it is good, as `15m`, which is what it is when left out; at most `24h`.
    #[serde(default, rename = "for")]
    pub lasts: Option<String>,
}

/// Answer of `POST /v1/viewer-tokens`: the only time that the token is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerToken {
    /// `indv_…`, to be sent as `Authorization: Bearer`.
    pub bearer: String,
    /// Whose records it shows.
    pub tenant: String,
    /// The query text that all it asks is narrowed by, if it has one.
    pub query: Option<String>,
    /// When it ends.
    pub expires_at: String,
}
