//! The words of a key: `sourceIPAddress` is source, ip, address.
//!
//! Not here: what words mean; redaction and sealing each have their lists. Words are split at
//! camel case and at ASCII characters that are neither letters nor digits; only ASCII letters
//! have case. Source: `spec/event.md`, section 9.

/// The words of a key, in lower case: `APIKeyOf_theUser-2` is api, key, of, the, user, 2.
pub fn words(key: &str) -> Vec<String> {
    let bytes = key.as_bytes();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, character) in key.char_indices() {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(at + 1);
        let starts_word = character.is_ascii_uppercase()
            && (before.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                || after.is_some_and(u8::is_ascii_lowercase));
        let separates = character.is_ascii() && !character.is_ascii_alphanumeric();
        if (starts_word || separates) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if !separates {
            word.push(character.to_ascii_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether some words of a key that stand side by side, joined, are this word: `iPAddress` is i,
/// p, address, and has `ip`.
pub fn has_word(key: &str, word: &str) -> bool {
    let words = words(key);
    (0..words.len()).any(|from| {
        let mut rest = word;
        for part in &words[from..] {
            match rest.strip_prefix(part.as_str()) {
                Some("") => return true,
                Some(more) => rest = more,
                None => return false,
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_into_words() {
        for (key, expected) in [
            ("", ""),
            ("key", "key"),
            ("APIKeyOf_theUser-2", "api key of the user 2"),
            ("sourceIPAddress", "source ip address"),
            ("x-amz.security token", "x amz security token"),
            ("sha256Sum", "sha256 sum"),
            ("__a__", "a"),
            ("\u{e9}T\u{e9}", "\u{e9}t\u{e9}"),
        ] {
            assert_eq!(words(key).join(" "), expected, "{key}");
        }
    }

    #[test]
    fn words_are_found_whole() {
        for key in [
            "ip",
            "publicIp",
            "iPAddress",
            "privateIpAddress",
            "source_ip",
            "IP",
            "ips.ip",
        ] {
            assert!(has_word(key, "ip"), "{key}");
        }
        for key in [
            "",
            "ship",
            "tip",
            "ipsum",
            "recipient",
            "description",
            "i",
            "ips",
        ] {
            assert!(!has_word(key, "ip"), "{key}");
        }
    }
}
