//! A live tail: what is said of records as they are committed.
//!
//! As server-sent events the name stands in `event:`, the cursor in `id:` and the rest in `data:`;
//! over WebSocket a text message is a [`Said`].

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Content type of a tail.
pub const EVENT_STREAM: &str = "text/event-stream";

/// The tail has begun; records behind its cursor follow.
pub const OPEN: &str = "open";
/// A record: `data` is a [`crate::Record`].
pub const RECORD: &str = "record";
/// Records that the tail may lack, since they cannot be read: `data` is a [`crate::Unreadable`].
pub const UNREADABLE: &str = "unreadable";
/// Nothing else was said for a while.
pub const HEARTBEAT: &str = "heartbeat";
/// The tail ends: `data` is a [`TailEnd`].
pub const END: &str = "end";

/// One message of a tail over WebSocket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Said {
    /// What it is: [`OPEN`], [`RECORD`], [`UNREADABLE`], [`HEARTBEAT`] or [`END`].
    pub event: String,
    /// Where to go on behind it: give it as `after`.
    pub cursor: String,
    /// The rest, by what it is.
    pub data: Box<RawValue>,
}

/// With what a tail begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailOpen {
    /// Tenants whose personal values are not searched, since their keys are not at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsearched: Vec<String>,
}

/// Why a tail ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailEnd {
    /// The reason, for programs.
    pub reason: TailReason,
    /// The same for people.
    pub detail: String,
    /// Where to go on; null when that is not allowed any more.
    pub next_cursor: Option<String>,
}

/// Why a tail ends, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TailReason {
    /// Whoever reads it is slower than records come.
    TooSlow,
    /// The key is not in force any more.
    NotInForce,
    /// The server is stopping.
    Stopping,
    /// The ledger could not be read.
    Failed,
}

impl TailReason {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooSlow => "too-slow",
            Self::NotInForce => "not-in-force",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }

    /// Whether a tail may be opened again at its cursor.
    pub fn may_go_on(self) -> bool {
        self != Self::NotInForce
    }
}
