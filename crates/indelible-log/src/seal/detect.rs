//! What looks personal: e-mail, phone and IP addresses, as whole values and inside texts.
//!
//! The rules prefer to miss a number that nobody would dial over masking version numbers, dates,
//! account numbers and identifiers; what they mask is sealed, not lost. Not here: which values are
//! looked at (`scan`). `spec/sealing.md` §detection has the rules, `spec/vectors` the examples.

mod numbers;
mod words;

use std::net::Ipv6Addr;
use std::ops::Range;

pub(crate) use words::names_ip;

/// What was found in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// An IP address.
    Ip,
}

impl Mark {
    /// What stands in its place.
    pub fn text(self) -> &'static str {
        match self {
            Self::Email => "[email]",
            Self::Phone => "[phone]",
            Self::Ip => "[ip]",
        }
    }
}

/// Whether a text as a whole is an e-mail address.
pub fn is_email(text: &str) -> bool {
    let at = memchr::memchr(b'@', text.as_bytes());
    at.and_then(|at| email_around(text.as_bytes(), at)) == Some(0..text.len())
}

/// Whether a text as a whole is an IP address.
pub fn is_ip(text: &str) -> bool {
    // An address is short and starts with a digit, a hex letter or a colon.
    text.len() <= 45
        && text
            .as_bytes()
            .first()
            .is_some_and(|b| b.is_ascii_hexdigit() || *b == b':')
        && text.parse::<std::net::IpAddr>().is_ok()
}

/// The text with marks in place of what is personal in it; `None` when nothing is.
pub fn mask(text: &str) -> Option<String> {
    let marks = marks(text);
    if marks.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, mark) in marks {
        out.push_str(&text[at..range.start]);
        out.push_str(mark.text());
        at = range.end;
    }
    out.push_str(&text[at..]);
    Some(out)
}

/// What is personal in a text, from left to right.
pub fn marks(text: &str) -> Vec<(Range<usize>, Mark)> {
    let bytes = text.as_bytes();
    let mut marks = Vec::new();
    if !may_have_any(bytes) {
        return marks;
    }
    for at in memchr::memchr_iter(b'@', bytes) {
        if let Some(range) = email_around(bytes, at) {
            // The '@' of "a@b.c@d.e" may belong to the address before it.
            if marks
                .last()
                .is_none_or(|(last, _): &(Range<usize>, Mark)| last.end <= range.start)
            {
                marks.push((range, Mark::Email));
            }
        }
    }
    let mut taken = marks.clone().into_iter().peekable();
    let mut at = 0;
    while at < bytes.len() {
        while taken.next_if(|(range, _)| range.end <= at).is_some() {}
        if let Some((range, _)) = taken.peek()
            && range.start <= at
        {
            at = range.end;
            continue;
        }
        match number_at(bytes, at) {
            Some((range, mark)) if taken.peek().is_none_or(|(t, _)| range.end <= t.start) => {
                at = range.end;
                marks.push((range, mark));
            }
            _ => at += 1,
        }
    }
    marks.sort_by_key(|(range, _)| range.start);
    marks
}

/// Cheap, and wrong only in saying yes: every find has an at sign, four digits or two colons.
fn may_have_any(bytes: &[u8]) -> bool {
    let (mut digits, mut colons, mut ats) = (0_u32, 0_u32, 0_u32);
    for byte in bytes {
        digits += u32::from(byte.is_ascii_digit());
        colons += u32::from(*byte == b':');
        ats += u32::from(*byte == b'@');
    }
    ats > 0 || digits >= 4 || colons >= 2
}

fn number_at(bytes: &[u8], at: usize) -> Option<(Range<usize>, Mark)> {
    let first = bytes[at];
    if first == b'+' || first == b'(' || first.is_ascii_digit() {
        if let Some(end) = ipv4_end(bytes, at) {
            return Some((at..end, Mark::Ip));
        }
        if let Some(end) = numbers::phone_end(bytes, at) {
            return Some((at..end, Mark::Phone));
        }
    }
    if first == b':' || first.is_ascii_hexdigit() {
        return ipv6_end(bytes, at).map(|end| (at..end, Mark::Ip));
    }
    None
}

/// Letters of any alphabet count as letters: every byte above ASCII does.
fn is_wordish(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

fn before(bytes: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).map(|at| bytes[at])
}

/// The e-mail address around an at sign.
fn email_around(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    const LOCAL_BYTES_MAX: usize = 64;
    let is_local = |byte: u8| is_wordish(byte) || b".!#$%&'*+-?^_~".contains(&byte);
    let is_domain = |byte: u8| is_wordish(byte) || b"-.".contains(&byte);
    let mut start = at
        - bytes[..at]
            .iter()
            .rev()
            .take_while(|b| is_local(**b))
            .count();
    while matches!(bytes[start], b'.' | b'\'') {
        start += 1;
    }
    let local = &bytes[start..at];
    if local.len() > LOCAL_BYTES_MAX || !local.iter().any(|b| is_wordish(*b)) {
        return None;
    }
    let run = bytes[at + 1..]
        .iter()
        .take_while(|b| is_domain(**b))
        .count();
    let mut domain = &bytes[at + 1..at + 1 + run];
    if let Some(gap) = domain.windows(2).position(|pair| pair == b"..") {
        domain = &domain[..gap];
    }
    while let Some((b'.' | b'-', rest)) = domain.split_last() {
        domain = rest;
    }
    let mut labels = domain.split(|b| *b == b'.');
    let top = labels.next_back()?;
    let named = top.len() >= 2
        && (top.starts_with(b"xn--") || top.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80));
    let mut others = labels.peekable();
    let whole = others.peek().is_some()
        && others
            .all(|label| !label.is_empty() && !label.starts_with(b"-") && !label.ends_with(b"-"));
    (named && whole).then_some(start..at + 1 + domain.len())
}

/// Where four numbers up to 255 with dots between them end, if they are an address.
fn ipv4_end(bytes: &[u8], at: usize) -> Option<usize> {
    match before(bytes, at) {
        Some(b'-') if !before(bytes, at - 1).is_some_and(|b| b.is_ascii_digit()) => return None,
        Some(byte) if is_wordish(byte) || b"._".contains(&byte) => return None,
        _ => {}
    }
    let mut end = at;
    for part in 0..4 {
        if part > 0 {
            if bytes.get(end) != Some(&b'.') {
                return None;
            }
            end += 1;
        }
        let digits = bytes[end..]
            .iter()
            .take(4)
            .take_while(|b| b.is_ascii_digit())
            .count();
        let octet = &bytes[end..end + digits];
        let value = octet
            .iter()
            .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        if digits == 0 || value > 255 || (digits > 1 && octet[0] == b'0') {
            return None;
        }
        end += digits;
    }
    let next = bytes.get(end).copied();
    let after = bytes.get(end + 1).copied();
    let goes_on = match next {
        Some(b'.') => after.is_some_and(|b| b.is_ascii_digit()),
        Some(b'-') => after.is_some_and(|b| b.is_ascii_alphabetic()),
        Some(byte) => is_wordish(byte) || byte == b'_',
        None => false,
    };
    (!goes_on && !words::follows_version(&bytes[..at])).then_some(end)
}

/// Where an IPv6 address ends. It has a digit, so that `a::b` in code is left alone.
fn ipv6_end(bytes: &[u8], at: usize) -> Option<usize> {
    if before(bytes, at).is_some_and(|b| is_wordish(b) || b"._:-".contains(&b)) {
        return None;
    }
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    let run = bytes[at..]
        .iter()
        .take(64)
        .take_while(|b| is_part(**b))
        .count();
    if bytes
        .get(at + run)
        .is_some_and(|b| is_wordish(*b) || *b == b'_')
    {
        return None;
    }
    let mut found = &bytes[at..at + run];
    while let Some((b'.', rest)) = found.split_last() {
        found = rest;
    }
    if found.ends_with(b":") && !found.ends_with(b"::") {
        found = &found[..found.len() - 1];
    }
    let colons = memchr::memchr_iter(b':', found).take(2).count();
    let plausible = colons == 2 && found.iter().any(u8::is_ascii_digit);
    let text = str::from_utf8(found).ok()?;
    (plausible && text.parse::<Ipv6Addr>().is_ok()).then_some(at + found.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        mask: Vec<(String, String)>,
        email: Examples,
        ip: Examples,
        ip_key: Examples,
    }

    #[derive(Deserialize)]
    struct Examples {
        yes: Vec<String>,
        no: Vec<String>,
    }

    impl Examples {
        fn check(&self, test: fn(&str) -> bool) {
            assert!(!self.yes.is_empty() && !self.no.is_empty());
            for text in &self.yes {
                assert!(test(text), "{text:?}");
            }
            for text in &self.no {
                assert!(!test(text), "{text:?}");
            }
        }
    }

    #[test]
    fn vectors() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../spec/vectors/sealing-text.json"
        );
        let vectors: Vectors = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert!(vectors.mask.len() > 60);
        let wrong: Vec<_> = vectors
            .mask
            .iter()
            .map(|(text, expected)| (text, expected, mask(text).unwrap_or_else(|| text.clone())))
            .filter(|(_, expected, masked)| *expected != masked)
            .collect();
        assert!(wrong.is_empty(), "text, expected, masked: {wrong:#?}");
        vectors.email.check(is_email);
        vectors.ip.check(is_ip);
        vectors.ip_key.check(names_ip);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through(text in any::<String>()) {
            let found = marks(&text);
            for pair in found.windows(2) {
                prop_assert!(pair[0].0.end <= pair[1].0.start);
            }
            for (range, _) in &found {
                prop_assert!(text.get(range.clone()).is_some_and(|found| !found.is_empty()));
            }
            prop_assert_eq!(mask(&text).is_some(), !found.is_empty());
        }

        #[test]
        fn dense_text_is_looked_through(text in "[0-9a-f+:.@ ()/a-]{0,40}") {
            for (range, _) in marks(&text) {
                prop_assert!(text.get(range).is_some());
            }
        }

        #[test]
        fn addresses_are_found_in_any_sentence(a: [u8; 4], b: [u16; 8]) {
            let (v4, v6) = (std::net::Ipv4Addr::from(a), Ipv6Addr::from(b));
            let text = format!("from {v4} to you, {v4}");
            prop_assert_eq!(mask(&text).unwrap(), "from [ip] to you, [ip]");
            let text = format!("from {v6} to you");
            if v6.to_string().bytes().any(|b| b.is_ascii_digit()) {
                prop_assert_eq!(mask(&text).unwrap(), "from [ip] to you");
            }
            prop_assert!(is_ip(&v4.to_string()) && is_ip(&v6.to_string()));
        }
    }
}
