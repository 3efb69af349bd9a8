//! Which keys name a secret.
//!
//! Not here: which values do (`secret_value`). A key is secret when its last words, joined, are
//! one of a list; words are split at camel case, underscores, dashes, dots and spaces. Substrings
//! never count: `author` and `monkey` are no secrets. Source: `spec/event.md`, "Redaction".

use crate::keys::words;

/// The joined last words of keys whose value is a secret.
const SECRET: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "privatekey",
    "secretkey",
    "secretaccesskey",
    "clientsecret",
    "authorization",
    "cookie",
    "credential",
    "credentials",
];

/// The joined last words of keys that end like a secret and are none.
const HARMLESS: [&str; 5] = [
    "nexttoken",
    "pagetoken",
    "continuationtoken",
    "clientrequesttoken",
    "clienttoken",
];

/// Keys that name a key pair without being its secret half; kept even inside a secret object.
const NAMES_OF_KEYS: [&str; 2] = ["accesskeyid", "keyid"];

/// Whether a key, as it stands between its quotes, could be secret: it ends like one, separators
/// and case apart. Quick; may say yes wrongly, since it knows no words.
#[inline]
pub(crate) fn may_be(key: &[u8]) -> bool {
    let Some([before, last]) = key.last_chunk::<2>() else {
        return false;
    };
    let ends_some_secret = matches!(
        [before | 0x20, last | 0x20],
        [b'r' | b'w', b'd']
            | [b's' | b'i', b'e']
            | [b'e', b't' | b'n' | b'y']
            | [b'o', b'n']
            | [b'a', b'l']
            | [b'l', b's']
    );
    let plain = before.is_ascii_alphanumeric() && last.is_ascii_alphanumeric();
    (ends_some_secret || !plain) && ends_like_a_secret(key)
}

fn ends_like_a_secret(key: &[u8]) -> bool {
    // What an escape stands for is not looked up here.
    memchr::memchr(b'\\', key).is_some()
        || SECRET.iter().any(|secret| {
            let mut letters = key
                .iter()
                .rev()
                .filter(|b| b.is_ascii_alphanumeric() || **b >= 0x80);
            secret.bytes().rev().all(|expected| {
                letters
                    .next()
                    .is_some_and(|b| b.to_ascii_lowercase() == expected)
            })
        })
}

/// Whether a key names a secret.
pub fn is_secret_key(key: &str) -> bool {
    if !may_be(key.as_bytes()) {
        return false;
    }
    let words = words(key);
    ends_with(&words, &SECRET) && !ends_with(&words, &HARMLESS)
}

/// Whether a key names a key pair, so that its value is no secret even among secrets.
pub(crate) fn names_a_key(key: &str) -> bool {
    ends_with(&words(key), &NAMES_OF_KEYS)
}

fn ends_with(words: &[String], list: &[&str]) -> bool {
    let mut joined = String::new();
    for word in words.iter().rev() {
        joined.insert_str(0, word);
        if list.contains(&joined.as_str()) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_may_be() {
        for word in SECRET {
            let split = word.split_at(word.len() - 1);
            for key in [
                word.to_owned(),
                word.to_uppercase(),
                format!("my_{word}"),
                format!("{word}-"),
                format!("{}_{}", split.0, split.1),
            ] {
                assert!(may_be(key.as_bytes()) || !is_secret_key(&key), "{key}");
            }
            assert!(may_be(word.as_bytes()), "{word}");
        }
        for key in ["", "d", "amount", "channel", "version", "monkey", "author"] {
            assert!(!may_be(key.as_bytes()) || key == "monkey", "{key}");
        }
    }
}
