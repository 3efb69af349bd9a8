//! An owned JSON value whose numbers keep every digit.
//!
//! Not here: typed events (`event`), and anything on the hot path, which works on spans of the
//! canonical bytes. Objects are always in canonical key order, so equal values are equal bytes.

use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::scan::{number_end, utf16_order};
use super::string::write_string;
use crate::problem::Problem;

/// A JSON value.
///
/// Its serde forms work with `serde_json`, whose raw values carry the numbers through untouched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its token.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Object),
}

/// A number token of the JSON grammar, at most 64 bytes, kept verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// Takes a token if it is a JSON number within the limit.
    pub fn parse(token: &str) -> Option<Self> {
        (number_end(token.as_bytes(), 0) == Some(token.len())).then(|| Self(token.to_owned()))
    }

    /// Writes a finite number; `None` for the others, which JSON does not have.
    pub fn from_f64(value: f64) -> Option<Self> {
        serde_json::Number::from_f64(value).map(|number| Self(number.to_string()))
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// The nearest double; `None` if the number is too large for one.
    pub fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// The value, if the token is that of a non-negative integer of 64 bits.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(value.to_string())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(value.to_string())
    }
}

/// The members of a JSON object, in canonical order, each key once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object(Vec<(String, Json)>);

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// Sets a key and returns the value it had.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Json>) -> Option<Json> {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// The members in canonical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// About how many bytes of memory the members take; `None` when they are nested so that this
    /// object has more than `depth` levels, itself the first.
    pub fn weight_within(&self, depth: usize) -> Option<usize> {
        let depth = depth.checked_sub(1)?;
        let mut sum = 0;
        for (key, value) in &self.0 {
            sum += size_of::<(String, Json)>() + key.len() + value.weight_within(depth)?;
        }
        Some(sum)
    }

    /// Takes members that are in order already and have no key twice.
    pub(crate) fn from_sorted(members: Vec<(String, Json)>) -> Self {
        Self(members)
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| utf16_order(known, key))
    }
}

impl IntoIterator for Object {
    type Item = (String, Json);
    type IntoIter = std::vec::IntoIter<(String, Json)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Into<String>, V: Into<Json>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let mut object = Self::new();
        for (key, value) in members {
            object.insert(key, value);
        }
        object
    }
}

impl Json {
    /// Reads any JSON text.
    ///
    /// # Errors
    /// Every problem of the text; see [`super::canonicalize`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        super::parse::parse(bytes)
    }

    /// Appends the canonical form.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(number) => out.extend_from_slice(number.token().as_bytes()),
            Self::Text(text) => write_string(out, text),
            Self::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(object) => {
                out.push(b'{');
                for (index, (key, value)) in object.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_string(out, key);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The canonical form.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// About how many bytes of memory are behind the value; `None` when it is nested deeper than
    /// `depth` levels.
    pub fn weight_within(&self, depth: usize) -> Option<usize> {
        match self {
            Self::Null | Self::Bool(_) => Some(0),
            Self::Number(number) => Some(number.token().len()),
            Self::Text(text) => Some(text.len()),
            Self::List(items) => {
                let depth = depth.checked_sub(1)?;
                let mut sum = 0;
                for item in items {
                    sum += size_of::<Self>() + item.weight_within(depth)?;
                }
                Some(sum)
            }
            Self::Object(object) => object.weight_within(depth),
        }
    }

    /// The text, if this is a string.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self {
            Some(object)
        } else {
            None
        }
    }

    /// The items, if this is an array.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The value, if this is a non-negative integer of 64 bits.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self {
            number.as_u64()
        } else {
            None
        }
    }

    /// The value at a JSON pointer (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer
            .strip_prefix('/')?
            .split('/')
            .try_fold(self, |value, token| {
                let token = token.replace("~1", "/").replace("~0", "~");
                match value {
                    Self::Object(object) => object.get(&token),
                    Self::List(items) => items.get(token.parse::<usize>().ok()?),
                    _ => None,
                }
            })
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_canonical()))
    }
}

macro_rules! into_json {
    ($($from:ty => $make:expr;)+) => {
        $(impl From<$from> for Json {
            fn from(value: $from) -> Self {
                $make(value)
            }
        })+
    };
}

into_json! {
    bool => Json::Bool;
    u64 => |value| Json::Number(Number::from(value));
    i64 => |value| Json::Number(Number::from(value));
    Number => Json::Number;
    String => Json::Text;
    &str => |value: &str| Json::Text(value.to_owned());
    Vec<Json> => Json::List;
    Object => Json::Object;
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string())
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get().as_bytes()).map_err(|problems| match problems.first() {
            Some(problem) => D::Error::custom(problem),
            None => D::Error::custom("not json"),
        })
    }
}
