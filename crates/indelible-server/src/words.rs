//! What is wrong with a body or with the query of a URL, in our words: those of the readers we use
//! speak to programmers, change with them, and repeat what was sent.

use axum::extract::rejection::QueryRejection;
use indelible_api::{Problem, ProblemKind};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::answer::{Refusal, refuse};

/// So much of a name that was sent is repeated.
const NAME_CHARS_MAX: usize = 64;

/// What a JSON body says, or what is wrong with it and where: the place has a pointer where it is a
/// value that is of another kind than it must be.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        // Where a word of some is expected, a number is told as if it were no JSON.
        let is_of_value = member(&error.to_string()).is_none()
            && serde_json::from_slice::<IgnoredAny>(body).is_ok();
        let pointer = pointer.filter(|_| is_of_value);
        let text = of_json(&error, pointer.as_deref());
        let problem = Problem::new(ProblemKind::BadRequest, text);
        match pointer {
            Some(pointer) => problem.at(pointer),
            None => problem,
        }
    })?;
    let ended = reader.end();
    ended.map_err(|error| refuse(ProblemKind::BadRequest, of_json(&error, None)))?;
    Ok(read)
}

/// The pointer of a place in a body (RFC 6901); `None` for the body itself.
fn pointer(path: &Path) -> Option<String> {
    let mut pointer = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.extend(name.chars().take(NAME_CHARS_MAX));
    }
    (!pointer.is_empty()).then_some(pointer)
}

/// What is wrong with a JSON body, and where. Names of members are told, values never.
fn of_json(error: &serde_json::Error, pointer: Option<&str>) -> String {
    let what = match (error.classify(), pointer) {
        (_, Some(pointer)) => &format!(
            "the body: the value at `{pointer}` is not of the form that /openapi.json describes"
        ),
        (Category::Data, None) => match member(&error.to_string()) {
            Some(said) => &format!("the body: {said}"),
            None => "the body is JSON and not of the form that /openapi.json describes",
        },
        (Category::Eof, None) => "the body ends before its JSON does",
        (Category::Syntax | Category::Io, None) => "the body is not JSON",
    };
    let (line, column) = (error.line(), error.column());
    format!("{what}: line {line}, column {column}")
}

/// What is wrong with the members of an object, where that is it.
fn member(text: &str) -> Option<String> {
    let mut quoted = text.split('`').skip(1).step_by(2);
    let name = quoted.next()?;
    let short: String = name.chars().take(NAME_CHARS_MAX).collect();
    if text.starts_with("unknown field") {
        let known: Vec<_> = quoted.collect();
        return Some(format!(
            "the member `{short}` is not one of {}",
            known.join(", ")
        ));
    }
    let what = [
        ("missing", "is missing"),
        ("duplicate", "stands there twice"),
    ];
    let what = what
        .iter()
        .find(|(begin, _)| text.starts_with(&format!("{begin} field")))?;
    Some(format!("the member `{short}` {}", what.1))
}

/// What is wrong with the query of a URL, by the names of its parameters and never by their values.
pub(crate) fn of_query(error: &QueryRejection) -> String {
    told(&error.body_text())
}

fn told(text: &str) -> String {
    let mut quoted = text.split('`').skip(1).step_by(2);
    let parameter = |name: &str| format!("the URL's query: the parameter `{name}`");
    if text.contains("unknown field") {
        let unknown = quoted.next().unwrap_or_default();
        let known: Vec<_> = quoted.collect();
        if known.is_empty() {
            return format!("{} is not taken, nor is any other", parameter(unknown));
        }
        return format!("{} is not one of {}", parameter(unknown), known.join(", "));
    }
    if text.contains("duplicate field") {
        let name = quoted.next().unwrap_or_default();
        return format!("{} stands there twice", parameter(name));
    }
    // `…: limit: what is wrong with its value`
    let name = text.split(": ").nth(1).unwrap_or_default();
    let choices: Vec<_> = quoted.skip(1).collect();
    if text.contains("unknown variant") {
        return format!("{} is none of {}", parameter(name), choices.join(", "));
    }
    format!("{} has a value that it does not take", parameter(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use axum::extract::Query;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[expect(dead_code, reason = "only read")]
        limit: Option<usize>,
        #[expect(dead_code, reason = "only read")]
        order: Option<Order>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Newest,
        Oldest,
    }

    #[test]
    fn a_parameter_is_named_and_its_value_is_not() {
        for (query, expected) in [
            ("since=now", "`since` is not one of limit, order"),
            ("limit=1&limit=2", "`limit` stands there twice"),
            ("limit=secret", "`limit` has a value that it does not take"),
            ("order=secret", "`order` is none of newest, oldest"),
        ] {
            let uri = format!("/x?{query}").parse().unwrap();
            let error = Query::<Wanted>::try_from_uri(&uri).unwrap_err();
            let told = of_query(&error);
            assert_eq!(told, format!("the URL's query: the parameter {expected}"));
        }
    }

    #[test]
    fn where_none_is_taken_that_is_said() {
        let uri = "/x?limit=secret".parse().unwrap();
        let error = Query::<crate::submit::Nothing>::try_from_uri(&uri).unwrap_err();
        let expected = "the URL's query: the parameter `limit` is not taken, nor is any other";
        assert_eq!(of_query(&error), expected);
    }

    #[test]
    fn a_member_that_is_missing_or_long_is_named_in_short() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            #[expect(dead_code, reason = "only read")]
            name: String,
        }
        let said = |body: &str| read_json::<Named>(body.as_bytes()).unwrap_err().0.detail;
        assert!(said("{}").starts_with("the body: the member `name` is missing"));
        let long = said(&format!("{{\"{}\":1}}", "x".repeat(5_000)));
        assert!(
            long.len() < 200 && long.contains("is not one of name"),
            "{long}"
        );
        let hostile = said("{\"a`b`c\":1}");
        assert!(hostile.starts_with("the body: the member `a`"), "{hostile}");
    }

    #[test]
    fn a_body_that_cannot_be_read_is_told_by_its_place() {
        for (body, expected) in [
            ("{\"limit\": x}", "the body is not JSON: line 1, column 11"),
            (
                "{\"limit\":\n1",
                "the body ends before its JSON does: line 2, column 1",
            ),
            (
                "{\"limit\":\"secret\"}",
                "the body: the value at `/limit` is not of the form that /openapi.json describes: \
                 line 1, column 17",
            ),
            (
                "{\"limits\":1}",
                "the body: the member `limits` is not one of limit, order: line 1, column 9",
            ),
            (
                "{\"limit\":1,\"limit\":2}",
                "the body: the member `limit` stands there twice: line 1, column 18",
            ),
            (
                "7",
                "the body is JSON and not of the form that /openapi.json describes: \
                 line 1, column 1",
            ),
            ("{\"limit\":1} x", "the body is not JSON: line 1, column 13"),
        ] {
            let refusal = read_json::<Wanted>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.0.detail, expected);
        }
    }

    #[test]
    fn a_value_of_another_kind_is_told_by_its_pointer() {
        for (body, pointer) in [
            (r#"{"role":"reader","tenants":5}"#, "/tenants"),
            (r#"{"role":"reader","tenants":["a",5]}"#, "/tenants/1"),
            (r#"{"role":7,"tenants":"*"}"#, "/role"),
            (r#"{"role":"king","tenants":"*"}"#, "/role"),
            (
                r#"{"role":"reader","tenants":"*","limits":{"events_per_s":"secret"}}"#,
                "/limits/events_per_s",
            ),
        ] {
            let refusal = read_json::<indelible_api::CreateKey>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.0.pointer.as_deref(), Some(pointer), "{body}");
            let detail = &refusal.0.detail;
            assert!(detail.contains(&format!("`{pointer}`")), "{detail}");
            assert!(
                !detail.contains("secret") && !detail.contains("king"),
                "{detail}"
            );
        }
        let body = br#"{"role":"reader","tenats":5}"#;
        let refusal = read_json::<indelible_api::CreateKey>(body).unwrap_err();
        assert_eq!(refusal.0.pointer, None);
        assert!(refusal.0.detail.contains("`tenats` is not one of"));
    }
}
