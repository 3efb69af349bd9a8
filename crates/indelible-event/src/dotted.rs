//! Paths into values as people write them: keys with dots between them, a backslash before a sign
//! that is part of a key, numbers for items of lists.
//!
//! Not JSON pointers, which programs write. Source: `docs/query.md`, "Paths".

use std::borrow::Cow;

use crate::canonical::unescape;
use crate::walk::{Walk, walk};

/// The keys of a path; `None` where one is missing.
pub fn read(text: &str) -> Option<Vec<String>> {
    let mut steps = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, steps.last_mut()) {
            ('.', _) => steps.push(String::new()),
            ('\\', Some(step)) => step.extend(chars.next()),
            (_, Some(step)) => step.push(c),
            (_, None) => {}
        }
    }
    steps.iter().all(|step| !step.is_empty()).then_some(steps)
}

/// Writes keys so that they are read back, each behind a dot.
pub fn write(steps: &[String], out: &mut String) {
    for step in steps {
        out.push('.');
        for c in step.chars() {
            if !c.is_alphanumeric() && !matches!(c, '_' | '-') {
                out.push('\\');
            }
            out.push(c);
        }
    }
}

/// The JSON value that keys lead to from this one: of a list that is met with a key, the list of
/// what the key leads to in its items. `None` where there is none.
pub fn value<'a>(token: &'a str, steps: &[String]) -> Option<Cow<'a, str>> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(token.into());
    };
    let is_list = token.starts_with('[');
    let number = step.parse::<usize>().ok().filter(|_| is_list);
    if is_list && number.is_none() {
        let mut items = Vec::new();
        walk(token, &mut |place| {
            items.extend(value(place.raw(), steps).map(Cow::into_owned));
            Walk::Over
        });
        return (!items.is_empty()).then(|| format!("[{}]", items.join(",")).into());
    }
    let (mut at, mut found) = (0, None);
    walk(token, &mut |place| {
        let is_it = match number {
            Some(number) => number == at,
            None => place
                .key()
                .is_some_and(|key| unescape(key) == step.as_str()),
        };
        at += 1;
        if !is_it {
            return Walk::Over;
        }
        found = Some(place.span());
        Walk::Stop
    });
    value(token.get(found?)?, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written_back() {
        for (text, keys) in [
            ("a", Some(&["a"][..])),
            ("a.b-c.0", Some(&["a", "b-c", "0"])),
            (r"a\.b.\ c\,\\", Some(&["a.b", r" c,\"])),
            ("", None),
            ("a.", None),
            (".a", None),
            ("a..b", None),
        ] {
            let steps = read(text);
            let found = steps.as_deref().map(<[String]>::to_vec);
            let wanted = keys.map(|keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(found, wanted, "{text}");
            let mut written = String::new();
            write(&steps.clone().unwrap_or_default(), &mut written);
            let again = written.strip_prefix('.').and_then(read);
            assert_eq!(again, steps, "{text}");
        }
    }

    #[test]
    fn values_are_those_that_stand_there() {
        let token = r#"{"a":{"b.c":1.50,"n":null},"items":[{"sku":"X"},{},{"sku":7,"of":[1,2]}]}"#;
        for (path, found) in [
            ("a", Some(r#"{"b.c":1.50,"n":null}"#)),
            (r"a.b\.c", Some("1.50")),
            ("a.n", Some("null")),
            ("a.b", None),
            ("a.n.x", None),
            ("items.0.sku", Some("\"X\"")),
            ("items.3", None),
            ("items.sku", Some(r#"["X",7]"#)),
            ("items.of.1", Some("[2]")),
            ("items.nothing", None),
            ("nothing", None),
        ] {
            let steps = read(path).unwrap_or_default();
            assert_eq!(value(token, &steps).as_deref(), found, "{path}");
        }
    }
}
