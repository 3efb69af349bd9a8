//! What is different now: the values, if they are to be told, and the names of what changed.

use indelible_event::canonical::{Json, Object};
use indelible_event::event;

use crate::payload::Payload;

/// What was said of changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) before: Option<Payload>,
    pub(crate) after: Option<Payload>,
    pub(crate) fields: Option<Vec<String>>,
}

impl Changes {
    /// Bytes that are not in the value itself; `None` when a value is nested too deep.
    pub(crate) fn weight(&self) -> Option<usize> {
        let names = self.fields.iter().flatten();
        let mut sum = names.map(|name| size_of::<String>() + name.len()).sum();
        for payload in [&self.before, &self.after].into_iter().flatten() {
            sum += payload.weight()?;
        }
        Some(sum)
    }

    /// The changes as an event has them; `None` when nothing was said.
    pub(crate) fn tell(self) -> Option<event::Changes> {
        let before = self.before.map(Payload::into_json);
        let after = self.after.map(Payload::into_json);
        let found = match (&before, &after) {
            (Some(before), Some(after)) => changed(before, after),
            _ => None,
        };
        let fields = self.fields.or(found);
        if before.is_none() && after.is_none() && fields.is_none() {
            return None;
        }
        Some(event::Changes {
            before,
            after,
            fields,
            ..event::Changes::default()
        })
    }
}

/// The names of the fields that differ, in order; `None` when there are values without fields.
fn changed(before: &Json, after: &Json) -> Option<Vec<String>> {
    let none = Object::new();
    let fields = |json| match json {
        &Json::Null => Some(&none),
        json => json.as_object(),
    };
    let mut names = Vec::new();
    compare(fields(before)?, fields(after)?, "", &mut names);
    names.sort_unstable();
    Some(names)
}

fn compare(before: &Object, after: &Object, path: &str, names: &mut Vec<String>) {
    for (key, old) in before.iter() {
        match (after.get(key), old) {
            (Some(new), old) if new == old => {}
            (Some(Json::Object(new)), Json::Object(old)) => {
                compare(old, new, &format!("{path}{key}."), names);
            }
            _ => names.push(format!("{path}{key}")),
        }
    }
    for (key, _) in after.iter() {
        if before.get(key).is_none() {
            names.push(format!("{path}{key}"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn names(before: &str, after: &str) -> Option<Vec<String>> {
        let json = |text: &str| Json::parse(text.as_bytes()).unwrap();
        changed(&json(before), &json(after))
    }

    #[test]
    fn what_differs_is_named() {
        for (before, after, expected) in [
            (r#"{"a":1}"#, r#"{"a":1}"#, vec![]),
            (
                r#"{"a":1,"b":1,"c":1}"#,
                r#"{"b":2,"c":1,"d":1}"#,
                vec!["a", "b", "d"],
            ),
            (
                r#"{"address":{"city":"a","zip":{"x":1}}}"#,
                r#"{"address":{"city":"b","zip":{"x":2,"y":1}}}"#,
                vec!["address.city", "address.zip.x", "address.zip.y"],
            ),
            // An array is one field, and so is what stops or begins to be an object.
            (
                r#"{"a":[{"x":1}],"b":{"x":1}}"#,
                r#"{"a":[{"x":2}],"b":1}"#,
                vec!["a", "b"],
            ),
            ("null", r#"{"a":{"x":1},"b":1}"#, vec!["a", "b"]),
            (r#"{"a":null}"#, "null", vec!["a"]),
            // Numbers are told as they are written.
            (r#"{"a":1}"#, r#"{"a":1.0}"#, vec!["a"]),
        ] {
            assert_eq!(names(before, after).unwrap(), expected, "{before} {after}");
        }
    }

    #[test]
    fn values_without_fields_have_none_to_name() {
        for (before, after) in [("1", "2"), ("[1]", "[2]"), ("{}", "1"), ("\"a\"", "null")] {
            assert_eq!(names(before, after), None);
        }
    }
}
