//! What belongs to a record: its tree, its correlation, and the execution of an agent.

use serde::{Deserialize, Serialize};

use crate::Unreadable;

/// An answer. Records are told in brief; each can be read by its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Related {
    /// Whose log.
    pub tenant_id: String,
    /// The record.
    pub record: Brief,
    /// Its parent, the parent of that, and so on.
    pub ancestors: Vec<Brief>,
    /// How the way up ends.
    pub above: Above,
    /// What came of it, level by level, each in the order of time.
    pub descendants: Vec<Brief>,
    /// Whether there are more below.
    pub more_below: bool,
    /// Whether records below name it, or one above it, as what came of them.
    pub cycle_below: bool,
    /// The records with its correlation id.
    pub correlation: Option<Timeline>,
    /// The execution it is part of.
    pub execution: Option<Execution>,
    /// Records that may be lacking because they cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
}

/// How the way up ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// Where.
    pub end: End,
    /// The id that was named and not followed; null at the root.
    pub parent_id: Option<String>,
}

/// Where the way up ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// At a record that names no parent.
    Root,
    /// At one whose parent is not there.
    Missing,
    /// At one whose parent is on the way already.
    Cycle,
    /// It goes on, further than is followed.
    More,
}

/// A record in brief: what it does not say is null.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Brief {
    /// Its id.
    pub audit_id: String,
    /// Its place in the log.
    pub sequence_number: u64,
    /// How far below the record it is; 0 elsewhere.
    pub depth: u64,
    /// Its parent, as it names it.
    pub parent_id: Option<String>,
    /// When it happened.
    pub occurred_at: String,
    /// What.
    pub event_type: Option<String>,
    /// Who: the name, else the id.
    pub actor: Option<String>,
    /// On what: the name, else the id.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<f64>,
    /// The node of an agent's graph (`ai.trace.node`).
    pub node: Option<String>,
    /// The AI model.
    pub model: Option<String>,
    /// All tokens of the call.
    pub tokens: Option<f64>,
    /// What it cost, in US dollars.
    pub cost_usd: Option<f64>,
}

/// Some records, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// What they have in common.
    pub id: String,
    /// The records.
    pub records: Vec<Brief>,
    /// Whether there are more.
    pub more: bool,
}

/// An execution of an agent: the records whose request id, or target, is its id. Sums are of the
/// records that are here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// The type of agent, as the first record that has one says.
    pub agent: Option<String>,
    /// When the first of its records happened.
    pub started_at: Option<String>,
    /// When the last did.
    pub ended_at: Option<String>,
    /// How long from the one to the other, in milliseconds.
    pub duration_ms: f64,
    /// How the last of its records ended.
    pub outcome: Option<String>,
    /// All tokens.
    pub tokens: f64,
    /// All costs, in US dollars.
    pub cost_usd: f64,
    /// Its nodes, in the order in which they first appear.
    pub nodes: Vec<Node>,
    /// Its records, oldest first.
    pub records: Vec<Brief>,
    /// Whether there are more.
    pub more: bool,
}

/// A node of an agent's graph.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// How many records are of it.
    pub records: u64,
    /// How long these took together, in milliseconds.
    pub duration_ms: f64,
    /// How the last of them ended.
    pub outcome: Option<String>,
    /// The models they name.
    pub models: Vec<String>,
    /// Their tokens.
    pub tokens: f64,
    /// Their costs, in US dollars.
    pub cost_usd: f64,
}
