//! One JSON object taken apart into names and raw values, in the order they stand.
//!
//! Values are kept as text, so numbers keep every digit.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object.
#[derive(Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Takes `json` apart, if it is an object.
    pub fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The raw value of `name`.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.get())
    }

    /// The text of `name`, if it is a string and not empty.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str::<String>(self.raw(name)?)
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// The members of `name`, if it is an object.
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::of(self.raw(name)?)
    }

    /// Names and raw values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.get()))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    members.push((name.0, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A key, borrowed when it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Writes an object member by member; give names in order and the result is canonical.
#[derive(Debug, Default)]
pub struct Writer {
    json: String,
}

impl Writer {
    /// Adds a member with a raw value.
    pub fn raw(&mut self, name: &str, value: &str) -> &mut Self {
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        self.json.push_str(&quote(name));
        self.json.push(':');
        self.json.push_str(value);
        self
    }

    /// Adds a member with a string.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        let quoted = quote(value);
        self.raw(name, &quoted)
    }

    /// Adds a member with a string, if there is one.
    pub fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// The object.
    pub fn finish(mut self) -> String {
        if self.json.is_empty() {
            self.json.push('{');
        }
        self.json.push('}');
        self.json
    }
}

/// `text` as a JSON string.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn values_stay_as_written() {
        let json = r#"{"a":1.50,"b\n":{"c":[1e400]},"d":"x\ty","e":""}"#;
        let members = Members::of(json).unwrap();
        assert_eq!(members.raw("a"), Some("1.50"));
        assert_eq!(members.object("b\n").unwrap().raw("c"), Some("[1e400]"));
        assert_eq!(members.text("d").as_deref(), Some("x\ty"));
        assert_eq!(
            (members.text("e"), members.text("a"), members.raw("z")),
            (None, None, None)
        );
        assert!(Members::of("[1]").is_none());
        let mut writer = Writer::default();
        for (name, value) in members.iter() {
            writer.raw(name, value);
        }
        assert_eq!(writer.finish(), json);
        assert_eq!(Writer::default().finish(), "{}");
    }
}
