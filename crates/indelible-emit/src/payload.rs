//! Free JSON in an event: taken over as it is, looked at once to know its size and depth.
//!
//! Not here: JSON text, which is made on the worker. What is nested too deep never gets there: it
//! has no weight, and is let go on the caller's thread, whose stack made it.

use indelible_event::canonical::{Json, Object};
use indelible_event::limits::DEPTH_MAX;
use serde_json::Value;

/// A JSON value in the form the caller had it.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Value(Value),
    Json(Json),
}

/// What an array or object weighs beside what is in it, in bytes.
const NEST_BYTES: usize = 64;

impl Payload {
    /// About how many bytes it holds; `None` when it is nested deeper than in any event.
    pub(crate) fn weight(&self) -> Option<usize> {
        match &self.0 {
            Form::Value(value) => value_weight(value, DEPTH_MAX - 1),
            Form::Json(json) => json.weight_within(DEPTH_MAX - 1),
        }
    }

    /// The value.
    pub(crate) fn into_json(self) -> Json {
        match self.0 {
            Form::Value(value) => json(value),
            Form::Json(json) => json,
        }
    }

    /// The members of both objects, the other's first; something that is no object is replaced.
    pub(crate) fn merge(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Form::Value(Value::Object(mine)), Form::Value(Value::Object(theirs))) => {
                mine.extend(theirs);
            }
            (Form::Json(Json::Object(mine)), Form::Json(Json::Object(theirs))) => {
                for (key, value) in theirs {
                    mine.insert(key, value);
                }
            }
            (Form::Json(_), Form::Value(theirs)) => self.merge(Self(Form::Json(json(theirs)))),
            (Form::Value(mine), theirs @ Form::Json(_)) => {
                self.0 = Form::Json(json(std::mem::take(mine)));
                self.merge(Self(theirs));
            }
            (mine, theirs) => *mine = theirs,
        }
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self(Form::Value(value))
    }
}

impl From<Json> for Payload {
    fn from(json: Json) -> Self {
        Self(Form::Json(json))
    }
}

impl From<Object> for Payload {
    fn from(object: Object) -> Self {
        Self::from(Json::Object(object))
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(Form::Value(Value::String(text.to_owned())))
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self(Form::Value(Value::String(text)))
    }
}

/// `None` when it is nested deeper than `depth`.
fn value_weight(value: &Value, depth: usize) -> Option<usize> {
    Some(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => size_of::<Value>(),
        Value::String(text) => size_of::<Value>() + text.len(),
        Value::Array(items) => {
            let depth = depth.checked_sub(1)?;
            let mut sum = NEST_BYTES;
            for item in items {
                sum += value_weight(item, depth)?;
            }
            sum
        }
        Value::Object(members) => {
            let depth = depth.checked_sub(1)?;
            let mut sum = NEST_BYTES;
            for (key, item) in members {
                sum += size_of::<String>() + key.len() + value_weight(item, depth)?;
            }
            sum
        }
    })
}

fn json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        // What serde_json writes is a number of the grammar, and short.
        Value::Number(number) => indelible_event::canonical::Number::parse(&number.to_string())
            .map_or(Json::Null, Json::Number),
        Value::String(text) => Json::Text(text),
        Value::Array(items) => Json::List(items.into_iter().map(json).collect()),
        Value::Object(members) => Json::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, json(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json as value;

    #[test]
    fn values_become_the_json_they_are() {
        let payload = Payload::from(
            value!({"b":[1,-2,0.1,null,true,"é"],"a":{"x":18_446_744_073_709_551_615_u64}}),
        );
        assert!(payload.weight().unwrap() > 100);
        let json = payload.into_json();
        assert_eq!(
            json.to_string(),
            r#"{"a":{"x":18446744073709551615},"b":[1,-2,0.1,null,true,"é"]}"#
        );
    }

    #[test]
    fn merging_is_shallow_and_the_later_wins() {
        let mut payload = Payload::from(value!({"a":{"x":1},"b":1}));
        payload.merge(value!({"a":{"y":2},"c":3}).into());
        payload.merge(Json::parse(br#"{"b":1.50}"#).unwrap().into());
        payload.merge(value!({"d":4}).into());
        let json = payload.into_json();
        assert_eq!(json.to_string(), r#"{"a":{"y":2},"b":1.50,"c":3,"d":4}"#);
    }

    #[test]
    fn what_is_nested_too_deep_has_no_weight() {
        let nested = |depth| (0..depth).fold(value!(1), |inner, _| value!([inner]));
        assert!(Payload::from(nested(DEPTH_MAX - 1)).weight().is_some());
        assert_eq!(Payload::from(nested(DEPTH_MAX)).weight(), None);
    }
}
