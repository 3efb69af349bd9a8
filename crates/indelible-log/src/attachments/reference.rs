//! How an event names an attachment: `{"attachment":{"bytes":n,"digest":"sha256:…","type":"…"}}`.
//!
//! Found in canonical bytes by their first bytes, which cannot stand within a string: there a
//! quote has a backslash before it, and here a brace. `spec/attachment.md` §1.

use std::fmt;
use std::sync::LazyLock;

use indelible_merkle::Hash;
use memchr::memmem::Finder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

const BEGINS: &[u8] = b"{\"attachment\":{\"bytes\":";
/// Searches for [`BEGINS`]. Making it costs more than the search of an event.
static SEARCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGINS));
const PREFIX: &str = "sha256:";

/// SHA-256 of an attachment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub Hash);

impl Digest {
    /// Reads `sha256:` and 64 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        Hash::from_hex(digits.as_bytes()).ok().map(Self)
    }

    /// Of the bytes that went into a hasher.
    pub(super) fn of(hasher: Sha256) -> Self {
        Self(Hash::from_bytes(hasher.finalize().into()))
    }

    /// As a JSON string.
    pub(super) fn token(self) -> String {
        format!("\"{self}\"")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

/// An attachment as an event names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// How many bytes it has.
    pub bytes: u64,
    /// What they hash to.
    pub digest: Digest,
    /// Its content type, as the producer says.
    pub media_type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    attachment: Named,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    bytes: u64,
    digest: String,
    r#type: String,
}

impl TryFrom<Holder> for Reference {
    type Error = ();

    fn try_from(holder: Holder) -> Result<Self, ()> {
        let Named {
            bytes,
            digest,
            r#type: media_type,
        } = holder.attachment;
        Ok(Self {
            bytes,
            digest: Digest::parse(&digest).ok_or(())?,
            media_type,
        })
    }
}

/// The attachments that canonical bytes name, in their order. What is not exactly of the form is a
/// value like any other.
pub fn references(canonical: &[u8]) -> impl Iterator<Item = Reference> {
    SEARCH.find_iter(canonical).filter_map(|at| {
        let rest = canonical.get(at..)?;
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Holder>();
        values.next()?.ok()?.try_into().ok()
    })
}

/// Where canonical bytes name this attachment first: a JSON pointer, for a person.
pub(crate) fn pointer(canonical: &[u8], digest: &Digest) -> String {
    let value = serde_json::from_slice(canonical).unwrap_or_default();
    let mut path = String::new();
    seek(&value, &digest.to_string(), &mut path);
    path
}

fn seek(value: &serde_json::Value, digest: &str, path: &mut String) -> bool {
    let length = path.len();
    let found = |path: &mut String, key: &str, inner| {
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let found = seek(inner, digest, path);
        if !found {
            path.truncate(length);
        }
        found
    };
    match value {
        serde_json::Value::Object(members) => {
            let named = members.get("attachment").and_then(|a| a.get("digest"));
            if named.is_some_and(|named| named == digest) {
                path.push_str("/attachment");
                return true;
            }
            members.iter().any(|(key, inner)| found(path, key, inner))
        }
        serde_json::Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.any(|(at, inner)| found(path, &at.to_string(), inner))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_store::value::names_attachment;

    /// Searching says in its own code what an attachment's name is.
    #[test]
    fn only_what_is_exactly_of_the_form_names_an_attachment() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let whole = format!(r#"{{"attachment":{{"bytes":7,"digest":"{digest}","type":"a/b"}}}}"#);
        let event = format!(r#"{{"data":{{"a/~":[1,{whole}],"b":{whole}}},"x":"y"}}"#);
        let found: Vec<_> = references(event.as_bytes()).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].bytes, 7);
        assert_eq!(found[0].digest.to_string(), digest);
        assert_eq!(found[0].media_type, "a/b");
        assert!(names_attachment(&event));
        let odd = event.replace("a/b", r#"a\\\"}}b"#);
        assert!(references(odd.as_bytes()).count() == 2 && names_attachment(&odd));
        let place = pointer(event.as_bytes(), &found[0].digest);
        assert_eq!(place, "/data/a~1~0/1/attachment");
        let text = serde_json::to_string(&whole).unwrap();
        for other in [
            text,
            whole.replace("sha256:0f", "sha256:0F"),
            whole.replace("sha256:", "sha512:"),
            whole.replace("\"type\"", "\"kind\""),
            whole.replace("}}", r#","x":1}}"#),
            whole.replace("}}", r#"},"x":1}"#),
            whole.replace(":7,", ":-7,"),
            whole.replace("0f0f", "0f"),
        ] {
            let event = format!(r#"{{"data":{other}}}"#);
            assert_eq!(references(event.as_bytes()).count(), 0, "{event}");
            assert!(!names_attachment(&event), "{event}");
        }
    }
}
