//! What is different now: the values, if they are to be told, and the names of what changed.

use indelible_event::canonical::{Json, Object};
use indelible_event::event;

use crate::payload::Payload;

/// What was said of changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// What was before and what came after, one change after another.
    pub(crate) said: Vec<(Payload, Payload)>,
    pub(crate) fields: Option<Vec<String>>,
}

impl Changes {
    /// Bytes that are not in the value itself; `None` when a value is nested too deep.
    pub(crate) fn weight(&self) -> Option<usize> {
        let names = self.fields.iter().flatten();
        let mut sum = names.map(|name| size_of::<String>() + name.len()).sum();
        for payload in self.said.iter().flat_map(|(before, after)| [before, after]) {
            sum += payload.weight()?;
        }
        Some(sum)
    }

    /// The changes as an event has them; `None` when nothing was said.
    pub(crate) fn tell(self) -> Option<event::Changes> {
        let said = self.said.into_iter();
        let said = said.map(|(before, after)| (before.into_json(), after.into_json()));
        let (before, after) = said.reduce(then).unzip();
        let found = match (&before, &after) {
            (Some(before), Some(after)) => changed(before, after),
            _ => None,
        };
        let fields = self.fields.or(found);
        if before.is_none() && fields.is_none() {
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

/// Two changes as one: of each field what was before the first that knows it, and what is after the
/// last. Values without fields are taken as a whole.
fn then(first: (Json, Json), second: (Json, Json)) -> (Json, Json) {
    let none = Object::new();
    let values = [&first.0, &first.1, &second.0, &second.1];
    let fields = values.map(|value| fields(value, &none));
    let [Some(before), Some(then), Some(again), Some(after)] = fields else {
        return (first.0, second.1);
    };
    // What only the other change knows stands as it was.
    let with = |own: &Object, others: &Object, known: [&Object; 2]| {
        let mut all = own.clone();
        let more = others
            .iter()
            .filter(|(key, _)| known.iter().all(|it| it.get(key).is_none()));
        for (key, value) in more {
            all.insert(key, value.clone());
        }
        all
    };
    let before = with(before, again, [before, then]);
    let after = with(after, then, [again, after]);
    let tell = |object: Object, was: &Json| match was {
        Json::Null if object.iter().next().is_none() => Json::Null,
        _ => Json::Object(object),
    };
    (tell(before, &first.0), tell(after, &second.1))
}

/// The fields of a value that has some, or could have; `null` has none.
fn fields<'a>(json: &'a Json, none: &'a Object) -> Option<&'a Object> {
    match json {
        Json::Null => Some(none),
        json => json.as_object(),
    }
}

/// The names of the fields that differ, in order; `None` when there are values without fields.
fn changed(before: &Json, after: &Json) -> Option<Vec<String>> {
    let (mut names, none) = (Vec::new(), Object::new());
    let (before, after) = (fields(before, &none)?, fields(after, &none)?);
    compare(before, after, "", &mut names);
    names.sort_unstable();
    Some(names)
}

/// The name of a field below another: a dot or a backslash that is its own stands behind a
/// backslash, so that no two fields have one name.
fn name(path: &str, key: &str) -> String {
    let key = key.replace('\\', "\\\\").replace('.', "\\.");
    format!("{path}{key}")
}

fn compare(before: &Object, after: &Object, path: &str, names: &mut Vec<String>) {
    for (key, old) in before.iter() {
        match (after.get(key), old) {
            (Some(new), old) if new == old => {}
            (Some(Json::Object(new)), Json::Object(old)) => {
                compare(old, new, &format!("{}.", name(path, key)), names);
            }
            _ => names.push(name(path, key)),
        }
    }
    for (key, _) in after.iter() {
        if before.get(key).is_none() {
            names.push(name(path, key));
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
            // A name with a dot in it is not the way to a field.
            (
                r#"{"a":{"b":1},"a.b":1,"a\\":{"b":1}}"#,
                r#"{"a":{"b":2},"a.b":2,"a\\":{"b":2}}"#,
                vec![r"a.b", r"a\.b", r"a\\.b"],
            ),
            // Numbers are told as they are written.
            (r#"{"a":1}"#, r#"{"a":1.0}"#, vec!["a"]),
        ] {
            assert_eq!(names(before, after).unwrap(), expected, "{before} {after}");
        }
    }

    #[test]
    fn one_change_after_another_is_told_as_one() {
        let json = |text: &str| Json::parse(text.as_bytes()).unwrap();
        for (first, second, expected) in [
            // The same field twice, and another.
            (
                (r#"{"a":1,"c":1}"#, r#"{"a":2,"c":1}"#),
                (r#"{"a":2,"b":1}"#, r#"{"a":3,"b":2}"#),
                (r#"{"a":1,"b":1,"c":1}"#, r#"{"a":3,"b":2,"c":1}"#),
            ),
            // Made and removed again, removed and made again.
            (
                (r#"{"b":1}"#, r#"{"a":1}"#),
                (r#"{"a":1}"#, r#"{"b":2}"#),
                (r#"{"b":1}"#, r#"{"b":2}"#),
            ),
            (
                ("null", r#"{"a":1}"#),
                (r#"{"a":1}"#, "null"),
                ("null", "null"),
            ),
            (("null", "{}"), (r#"{"a":1}"#, "{}"), (r#"{"a":1}"#, "{}")),
            (
                ("1", "2"),
                (r#"{"a":1}"#, r#"{"a":2}"#),
                ("1", r#"{"a":2}"#),
            ),
        ] {
            let of = |(before, after): (&str, &str)| (json(before), json(after));
            assert_eq!(
                then(of(first), of(second)),
                of(expected),
                "{first:?} {second:?}"
            );
        }
    }

    #[test]
    fn values_without_fields_have_none_to_name() {
        for (before, after) in [("1", "2"), ("[1]", "[2]"), ("{}", "1"), ("\"a\"", "null")] {
            assert_eq!(names(before, after), None);
        }
    }
}
