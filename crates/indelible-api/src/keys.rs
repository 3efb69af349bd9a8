//! API keys as they go over the wire: roles, bindings, and the one moment a secret is seen.

use serde::{Deserialize, Serialize};

/// What a key may do in the tenants it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Send events; read nothing.
    Emitter,
    /// Search and read records, with their proofs.
    Reader,
    /// As a reader; checkpoints and verdicts too.
    Auditor,
    /// As an auditor; erasure, once there is one.
    PrivacyOfficer,
    /// Everything, keys and tenants included.
    Admin,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Self; 5] = [
        Self::Emitter,
        Self::Reader,
        Self::Auditor,
        Self::PrivacyOfficer,
        Self::Admin,
    ];

    /// Its word on the wire and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Emitter => "emitter",
            Self::Reader => "reader",
            Self::Auditor => "auditor",
            Self::PrivacyOfficer => "privacy_officer",
            Self::Admin => "admin",
        }
    }

    /// Whether it may send events.
    pub fn may_emit(self) -> bool {
        matches!(self, Self::Emitter | Self::Admin)
    }

    /// Whether it may search and read.
    pub fn may_read(self) -> bool {
        self != Self::Emitter
    }

    /// Whether it may see checkpoints and verdicts.
    pub fn may_audit(self) -> bool {
        matches!(self, Self::Auditor | Self::PrivacyOfficer | Self::Admin)
    }

    /// Whether it may see personal values as they are, and not their shapes alone.
    pub fn may_see_personal(self) -> bool {
        matches!(self, Self::PrivacyOfficer | Self::Admin)
    }

    /// Whether it may make keys and see the server's figures.
    pub fn may_administer(self) -> bool {
        self == Self::Admin
    }
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Names it; the middle of `ind_<id>_<secret>`.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// The tenants it is bound to; null for all.
    pub tenants: Option<Vec<String>>,
    /// For people.
    pub name: Option<String>,
    /// What a reader is bound to beside tenants: it sees records of this query and no others.
    #[serde(default)]
    pub query: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When it ends by itself; null for never.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// When its secret was last replaced, if it was.
    #[serde(default)]
    pub rotated_at: Option<String>,
    /// Until when the secret before that is taken too.
    #[serde(default)]
    pub old_secret_until: Option<String>,
    /// The hour in which it was last used, if it was.
    #[serde(default)]
    pub last_used_at: Option<String>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<String>,
}

/// Answer of `GET /v1/keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// All keys, the revoked ones too.
    pub keys: Vec<Key>,
}

/// Request of `POST /v1/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What it may do.
    pub role: Role,
    /// The tenants it is bound to; left out or null: all. An admin is bound to none.
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// For a reader: a query text that all it asks is narrowed by.
    #[serde(default)]
    pub query: Option<String>,
    /// When it ends by itself: a time, or from now on as `90d`; left out or null: never.
    #[serde(default)]
    pub expires: Option<String>,
}

/// Request of `POST /v1/keys/{id}/rotate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the secret in force until now is taken beside the new one, as `24h`, which is what
    /// it is when left out; `0`: no longer.
    #[serde(default)]
    pub grace: Option<String>,
    /// When the key ends by itself from now on, as when it is made; left out or null: as before.
    #[serde(default)]
    pub expires: Option<String>,
}

/// Answer of `POST /v1/keys` and of a rotation: the only time that the secret is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    /// What was made, or has a new secret.
    pub key: Key,
    /// `ind_<id>_<secret>`, to be sent as `Authorization: Bearer`.
    pub bearer: String,
}
