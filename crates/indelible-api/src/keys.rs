//! API keys as they go over the wire: roles, bindings, and the one moment a secret is seen.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// How much may come in a second; what is left out has no limit here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_s: Option<u64>,
    /// Events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_per_s: Option<u64>,
    /// Bytes of events and attachments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<u64>,
}

impl Rates {
    /// All, in the order of their fields; 0 is no limit.
    pub fn all(&self) -> [Option<u64>; 3] {
        let all = [self.requests_per_s, self.events_per_s, self.bytes_per_s];
        all.map(|most| most.filter(|most| *most > 0))
    }

    /// Whether none is set.
    pub fn is_unlimited(&self) -> bool {
        self.all() == [None; 3]
    }

    /// These, and the others' where these say nothing.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self {
            requests_per_s: self.requests_per_s.or(others.requests_per_s),
            events_per_s: self.events_per_s.or(others.events_per_s),
            bytes_per_s: self.bytes_per_s.or(others.bytes_per_s),
        }
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
    /// How much it may ask for, where that is other than the server's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Rates>,
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

/// The tenants that a key is made for: `"*"`, or a list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTenants {
    /// All, also those that come later.
    All,
    /// These.
    Only(Vec<String>),
}

impl KeyTenants {
    /// How all are written.
    pub const ALL: &str = "*";

    /// The names; `None` for all.
    pub fn names(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names),
        }
    }
}

impl Serialize for KeyTenants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str(Self::ALL),
            Self::Only(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for KeyTenants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = KeyTenants;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`*` or a list of tenants")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyTenants, E> {
                match text {
                    KeyTenants::ALL => Ok(KeyTenants::All),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<KeyTenants, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(names)).map(KeyTenants::Only)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Request of `POST /v1/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What it may do.
    pub role: Role,
    /// The tenants it is for, which has to be said; an admin is for all.
    pub tenants: KeyTenants,
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// For a reader: a query text that all it asks is narrowed by.
    #[serde(default)]
    pub query: Option<String>,
    /// When it ends by itself: a time, or from now on as `90d`; left out or null: never.
    #[serde(default)]
    pub expires: Option<String>,
    /// How much it may ask for, in the place of what the server's settings say; 0: no limit.
    #[serde(default)]
    pub limits: Option<Rates>,
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
