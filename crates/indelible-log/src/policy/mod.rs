//! What of an event is personal: the policy by which fields are sealed.
//!
//! A policy is data, numbered, and kept; records say under which number they were sealed. Not here:
//! who the subject of a value is and how it is sealed (`seal`). `spec/sealing.md` §policy.

mod rules;

use indelible_event::Field;
use serde::{Deserialize, Serialize};

pub(crate) use rules::{Action, Capture, Node, Rule, unescape_segment};

/// Fields of the model that are personal as they stand.
const FIELDS: [&str; 8] = [
    "/actor/name",
    "/actor/email",
    "/actor/ip",
    "/actor/user_agent",
    "/target/name",
    "/target/email",
    "/target/ip",
    "/target/user_agent",
];
/// What an importer could not map.
const WHOLE: [&str; 1] = ["/raw"];
/// Texts that stay searchable, with what is personal in them masked.
const MASKED: [&str; 2] = ["/description", "/error/message"];
/// What stands in an address or user agent when a service of a cloud calls itself.
const SERVICES: [&str; 2] = [".amazonaws.com", "AWS Internal"];
/// Fields that the ledger acts on; they name things and stay.
const KEPT: [&str; 15] = [
    "",
    "/actor",
    "/actor/id",
    "/actor/type",
    "/audit_id",
    "/event_type",
    "/occurred_at",
    "/outcome",
    "/sealed",
    "/source_event_id",
    "/target",
    "/target/id",
    "/target/type",
    "/target/uid",
    "/tenant_id",
];

/// Which fields of an event are sealed. Made from JSON; the default is [`SealingPolicy::default`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct SealingPolicy {
    draft: Draft,
    rules: Node,
    places: Option<Vec<Place>>,
}

/// A field of the model that the policy has a word on.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) field: Field,
    pub(crate) node: Node,
}

/// A policy as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Its number; a change is a new number.
    pub version: u64,
    /// Seals nothing at all, when set.
    #[serde(default)]
    pub off: bool,
    /// JSON pointers of values that are sealed and can be searched for; a segment `*` stands for
    /// every member or item.
    pub fields: Vec<String>,
    /// JSON pointers of values that are sealed whole and cannot be searched for.
    pub whole: Vec<String>,
    /// JSON pointers of texts in which addresses of mail, phone and IP are masked, the whole text
    /// being sealed.
    pub masked: Vec<String>,
    /// Whether a string that as a whole is an e-mail address is sealed wherever it stands.
    pub email_values: bool,
    /// Whether an IP address under a key that says so is sealed wherever it stands.
    pub ip_values: bool,
    /// Addresses and user agents that name a service and stay: whole texts, or, with a leading dot,
    /// endings of host names.
    pub services: Vec<String>,
}

impl Default for Draft {
    fn default() -> Self {
        let owned = |pointers: &[&str]| pointers.iter().map(|&p| p.to_owned()).collect();
        Self {
            version: 1,
            off: false,
            fields: owned(&FIELDS),
            whole: owned(&WHOLE),
            masked: owned(&MASKED),
            email_values: true,
            ip_values: true,
            services: owned(&SERVICES),
        }
    }
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not a JSON pointer.
    #[error("{0:?} is not a json pointer: it starts with / and writes ~ as ~0 and / as ~1")]
    Pointer(String),
    /// A field that must stay.
    #[error("{0:?} cannot be sealed: the ledger files and numbers records by it")]
    Kept(String),
    /// A pointer that is there twice or below another.
    #[error("{0:?} stands twice, or within another pointer of the policy: remove one of them")]
    Twice(String),
    /// No policy as it is written down.
    #[error("{0}")]
    Json(String),
    /// The number of the default under another policy.
    #[error(
        "version 1 is the default policy, which says something else: give it a number from 2 on, \
         and another one with every change"
    )]
    Number,
}

impl TryFrom<Draft> for SealingPolicy {
    type Error = PolicyError;

    fn try_from(draft: Draft) -> Result<Self, PolicyError> {
        let mut rules = Node::default();
        let lists = [
            (&draft.fields, Action::Field),
            (&draft.whole, Action::Whole),
            (&draft.masked, Action::Mask),
        ];
        for (pointers, action) in lists {
            for pointer in pointers {
                if KEPT.contains(&pointer.as_str()) || pointer.starts_with("/sealed/") {
                    return Err(PolicyError::Kept(pointer.clone()));
                }
                rules.add(pointer, action)?;
            }
        }
        rules.capture();
        let places = places(&draft, &rules);
        Ok(Self {
            draft,
            rules,
            places,
        })
    }
}

impl From<SealingPolicy> for Draft {
    fn from(policy: SealingPolicy) -> Self {
        policy.draft
    }
}

impl Default for SealingPolicy {
    /// Names, mail and IP addresses and user agents of actor and target; addresses anywhere; texts
    /// masked.
    fn default() -> Self {
        let draft = Draft::default();
        Self::try_from(draft.clone()).unwrap_or(Self {
            draft,
            rules: Node::default(),
            places: None,
        })
    }
}

impl SealingPolicy {
    /// A policy that seals nothing, for tests and for people who must not seal.
    pub fn off() -> Self {
        let draft = Draft {
            off: true,
            ..Draft::default()
        };
        Self::try_from(draft.clone()).unwrap_or(Self {
            draft,
            rules: Node::default(),
            places: None,
        })
    }

    /// The policy that a file has, as JSON.
    ///
    /// # Errors
    /// It is none, or has the number of another one.
    pub fn from_json(text: &[u8]) -> Result<Self, PolicyError> {
        let draft = serde_json::from_slice::<Draft>(text);
        let draft = draft.map_err(|error| PolicyError::Json(error.to_string()))?;
        if draft.version < 2 && draft != Draft::default() {
            return Err(PolicyError::Number);
        }
        Self::try_from(draft)
    }

    /// The policy as it is written down.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Its number.
    pub fn version(&self) -> u64 {
        self.draft.version
    }

    /// Whether it seals nothing.
    pub fn is_off(&self) -> bool {
        self.draft.off
    }

    pub(crate) fn rules(&self) -> &Node {
        &self.rules
    }

    /// What it has a word on, in the order in which it stands in an event, if that is fields of
    /// the model, and beside them keys of the event, the actor and the target that are none.
    pub(crate) fn places(&self) -> Option<&[Place]> {
        self.places.as_deref()
    }

    /// Whether a text names a service rather than anybody's machine or program.
    pub(crate) fn is_service(&self, text: &str) -> bool {
        self.draft
            .services
            .iter()
            .any(|service| match service.strip_prefix('.') {
                Some(_) => {
                    text.len() > service.len()
                        && text.ends_with(service.as_str())
                        && text
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
                }
                None => text == service,
            })
    }
}

/// See [`SealingPolicy::places`].
fn places(draft: &Draft, rules: &Node) -> Option<Vec<Place>> {
    const CAPTURED: [Field; 5] = [
        Field::ActorType,
        Field::ActorId,
        Field::TargetType,
        Field::TargetId,
        Field::TargetUid,
    ];
    let mut fields = CAPTURED.to_vec();
    let pointers = [&draft.fields, &draft.whole, &draft.masked];
    for pointer in pointers.into_iter().flatten() {
        let mut segments = pointer.split('/').skip(1);
        let (first, rest) = (segments.next()?, segments.count());
        match Field::from_pointer(pointer) {
            Some(field) => fields.push(field),
            // The view says whether there is such a key at all.
            None if first != "*" && rest == 0 => {}
            None if matches!(first, "actor" | "target") && rest == 1 && !pointer.ends_with('*') => {
            }
            None => return None,
        }
    }
    // The view does not say whether this one looks like an address.
    if draft.ip_values && !fields.contains(&Field::ActorIp) {
        return None;
    }
    fields.sort_by_key(|field| field.pointer());
    fields
        .into_iter()
        .map(|field| {
            Some(Place {
                field,
                node: rules.at(field.pointer())?.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with(fields: &[&str]) -> Result<SealingPolicy, PolicyError> {
        let fields = fields.iter().map(|&f| f.to_owned()).collect();
        Draft {
            fields,
            ..Draft::default()
        }
        .try_into()
    }

    #[test]
    fn the_default_goes_through_json() {
        let policy = SealingPolicy::default();
        let json = serde_json::to_string(&policy).unwrap();
        let back: SealingPolicy = serde_json::from_str(&json).unwrap();
        assert_eq!(back.draft(), policy.draft());
        assert_eq!((back.version(), back.is_off()), (1, false));
        assert!(SealingPolicy::off().is_off());
        let unknown = json.replacen("\"version\"", "\"colour\":1,\"version\"", 1);
        assert!(serde_json::from_str::<SealingPolicy>(&unknown).is_err());
    }

    #[test]
    fn a_policy_of_ones_own_has_a_number_of_its_own() {
        let default = serde_json::to_string(&Draft::default()).unwrap();
        let read = |text: &str| SealingPolicy::from_json(text.as_bytes());
        assert_eq!(read(&default).unwrap().version(), 1);
        let other = default.replace("/actor/name", "/data/phone");
        assert_eq!(read(&other).unwrap_err(), PolicyError::Number);
        let other = other.replace("\"version\":1", "\"version\":2");
        assert_eq!(read(&other).unwrap().draft().fields[0], "/data/phone");
        assert!(matches!(read("{}"), Err(PolicyError::Json(_))));
    }

    #[test]
    fn what_cannot_be_sealed_is_refused() {
        for kept in KEPT {
            assert_eq!(with(&[kept]).unwrap_err(), PolicyError::Kept(kept.into()));
        }
        assert!(matches!(
            with(&["/sealed/0/root"]),
            Err(PolicyError::Kept(_))
        ));
        for wrong in ["data", "/a~", "/a~2b"] {
            assert_eq!(
                with(&[wrong]).unwrap_err(),
                PolicyError::Pointer(wrong.into())
            );
        }
        for (one, two) in [("/a/b", "/a/b"), ("/a/b", "/a/b/c"), ("/a/b/c", "/a/b")] {
            assert_eq!(
                with(&[one, two]).unwrap_err(),
                PolicyError::Twice(two.into())
            );
        }
        assert!(with(&["/a/b", "/a/c", "/d/*/e", "/d/0", "/x~1y~0z"]).is_ok());
    }

    #[test]
    fn services_are_told_from_people() {
        let policy = SealingPolicy::default();
        for service in ["ec2.amazonaws.com", "AWS Internal", "a.b.amazonaws.com"] {
            assert!(policy.is_service(service), "{service}");
        }
        for other in [
            ".amazonaws.com",
            "amazonaws.com",
            "192.0.2.1",
            "x y.amazonaws.com",
            "aws",
        ] {
            assert!(!policy.is_service(other), "{other}");
        }
    }
}
