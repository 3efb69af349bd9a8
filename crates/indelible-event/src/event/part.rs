//! How JSON values become typed parts of an event and back, losing nothing.
//!
//! Not here: which parts there are (`event`), and whether their values are right (`validate`).
//! A value that a part does not take, `null` above all, stays among the unknown keys under its
//! own name, so that reading and writing an event gives the same bytes.

use std::collections::BTreeMap;

use crate::canonical::{Json, Number, Object};

/// A type that a JSON value can be read as.
pub(super) trait Part: Sized {
    /// Reads the value, or gives it back if it is of another type.
    fn take(json: Json) -> Result<Self, Json>;
    /// Writes the value.
    fn give(self) -> Json;
    /// The bytes behind the value; `None` when it is nested deeper than `depth`.
    fn weight(&self, depth: usize) -> Option<usize>;
}

impl Part for String {
    fn take(json: Json) -> Result<Self, Json> {
        if let Json::Text(text) = json {
            Ok(text)
        } else {
            Err(json)
        }
    }
    fn give(self) -> Json {
        Json::Text(self)
    }
    fn weight(&self, _depth: usize) -> Option<usize> {
        Some(self.len())
    }
}

impl Part for bool {
    fn take(json: Json) -> Result<Self, Json> {
        if let Json::Bool(value) = json {
            Ok(value)
        } else {
            Err(json)
        }
    }
    fn give(self) -> Json {
        Json::Bool(self)
    }
    fn weight(&self, _depth: usize) -> Option<usize> {
        Some(0)
    }
}

impl Part for Number {
    fn take(json: Json) -> Result<Self, Json> {
        if let Json::Number(number) = json {
            Ok(number)
        } else {
            Err(json)
        }
    }
    fn give(self) -> Json {
        Json::Number(self)
    }
    fn weight(&self, _depth: usize) -> Option<usize> {
        Some(self.token().len())
    }
}

impl Part for Json {
    fn take(json: Json) -> Result<Self, Json> {
        if json == Self::Null {
            Err(json)
        } else {
            Ok(json)
        }
    }
    fn give(self) -> Json {
        self
    }
    fn weight(&self, depth: usize) -> Option<usize> {
        self.weight_within(depth)
    }
}

impl Part for Object {
    fn take(json: Json) -> Result<Self, Json> {
        if let Json::Object(object) = json {
            Ok(object)
        } else {
            Err(json)
        }
    }
    fn give(self) -> Json {
        Json::Object(self)
    }
    fn weight(&self, depth: usize) -> Option<usize> {
        self.weight_within(depth)
    }
}

impl Part for Vec<String> {
    fn take(json: Json) -> Result<Self, Json> {
        match json {
            Json::List(items) if items.iter().all(|item| item.as_text().is_some()) => Ok(items
                .into_iter()
                .filter_map(|item| String::take(item).ok())
                .collect()),
            other => Err(other),
        }
    }
    fn give(self) -> Json {
        Json::List(self.into_iter().map(Json::Text).collect())
    }
    fn weight(&self, _depth: usize) -> Option<usize> {
        Some(
            self.iter()
                .map(|text| size_of::<String>() + text.len())
                .sum(),
        )
    }
}

impl Part for BTreeMap<String, String> {
    fn take(json: Json) -> Result<Self, Json> {
        match json {
            Json::Object(object) if object.iter().all(|(_, item)| item.as_text().is_some()) => {
                Ok(object
                    .into_iter()
                    .filter_map(|(key, item)| Some((key, String::take(item).ok()?)))
                    .collect())
            }
            other => Err(other),
        }
    }
    fn give(self) -> Json {
        Json::Object(self.into_iter().collect())
    }
    fn weight(&self, _depth: usize) -> Option<usize> {
        let texts = self.iter().flat_map(|(key, value)| [key, value]);
        Some(texts.map(|text| size_of::<String>() + text.len()).sum())
    }
}

/// Takes a key out of the members and reads it; a value of another type is put back.
pub(super) fn take_member<T: Part>(members: &mut Object, key: &str) -> Option<T> {
    match T::take(members.remove(key)?) {
        Ok(part) => Some(part),
        Err(json) => {
            members.insert(key, json);
            None
        }
    }
}

/// Writes a part, unless it is absent.
pub(super) fn give_member<T: Part>(members: &mut Object, key: &str, part: Option<T>) {
    if let Some(part) = part {
        members.insert(key, part.give());
    }
}
