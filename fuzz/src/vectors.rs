//! The vectors of `spec/vectors`, as seeds.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A file of the repository as text.
///
/// # Panics
/// When it cannot be read: it is part of this repository.
pub(crate) fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The vectors called `name`.
///
/// # Panics
/// When they are not there or no JSON.
pub(crate) fn vectors(name: &str) -> Value {
    let path = format!("spec/vectors/{name}.json");
    serde_json::from_str(&text(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text that stands under one of `keys`, by itself or in a list, anywhere in `value`.
pub(crate) fn texts(value: &Value, keys: &[&str]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    collect(value, false, keys, &mut found);
    found
}

fn collect(value: &Value, wanted: bool, keys: &[&str], found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if wanted => found.push(text.clone().into_bytes()),
        Value::Array(items) => {
            for item in items {
                collect(item, wanted, keys, found);
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                collect(value, keys.contains(&key.as_str()), keys, found);
            }
        }
        _ => {}
    }
}
