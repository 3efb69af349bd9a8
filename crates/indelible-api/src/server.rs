//! What a server says of itself to whoever asks with a key: what that key may do, and, to admins,
//! the settings that are in force.
//!
//! Not here: how a setting is read or what it does, which the command knows. Source:
//! `docs/server.md`.

use serde::{Deserialize, Serialize};

use crate::Role;

/// What something may be needed for, and who is refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum May {
    /// To send events.
    Emit,
    /// To search and read records.
    Read,
    /// To read what counts or hashes whole logs.
    Whole,
    /// To see checkpoints.
    Audit,
    /// To manage keys and tenants.
    Administer,
}

impl May {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Emit,
        Self::Read,
        Self::Whole,
        Self::Audit,
        Self::Administer,
    ];

    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Emit => "emit",
            Self::Read => "read",
            Self::Whole => "whole",
            Self::Audit => "audit",
            Self::Administer => "administer",
        }
    }
}

/// What whoever asks may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// The role.
    pub role: Role,
    /// What is not refused.
    pub may: Vec<May>,
    /// The tenants it is bound to; `None` for all.
    pub tenants: Option<Vec<String>>,
}

/// The settings that a server runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Each, by name.
    pub settings: Vec<Setting>,
}

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub setting: String,
    /// Its value as text, without secrets; `None` when it is not set and has no default.
    pub value: Option<String>,
    /// Where the value comes from: `default`, the command line, a variable, a file.
    pub source: String,
    /// The variable of the environment that sets it.
    pub variable: String,
    /// What it is for.
    pub doc: String,
}
