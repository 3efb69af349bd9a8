//! Attachments on the wire: the answer to an upload is what stands in the event.

use serde::{Deserialize, Serialize};

/// Answer of `PUT /v1/attachments/{digest}`: 201 when it is new, 200 when it was there. It takes
/// the place of the value in the event, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentStored {
    /// What was stored.
    pub attachment: AttachmentNamed,
}

/// An attachment as an event names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentNamed {
    /// How many bytes it has.
    pub bytes: u64,
    /// `sha256:` and the 64 hex digits of the SHA-256 of its bytes.
    pub digest: String,
    /// Its content type.
    #[serde(rename = "type")]
    pub media_type: String,
}
