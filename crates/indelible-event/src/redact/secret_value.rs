//! Which parts of a text are secrets.
//!
//! Not here: keys (`secret_key`). Found are: bearer and basic headers, PEM blocks, passwords in
//! URLs, JSON web tokens, cloud secret keys, and what opens a ledger like ours. What stands in for
//! a secret is never a secret itself, so redacting twice changes nothing. Source: `spec/event.md`,
//! "Redaction".

use std::ops::Range;

use super::REDACTED;

/// The length of an AWS secret access key.
pub(crate) const AWS_KEY_BYTES: usize = 40;

/// How the secrets begin that open a ledger: an API key's and a viewer token's.
pub(super) const LEDGER_KEYS: [&str; 2] = ["ind_", VIEWER_TOKEN];
const VIEWER_TOKEN: &str = "indv_";
/// What is shorter is no secret of a ledger, nor enough of one.
const LEDGER_SECRET_MIN: usize = 32;

/// The parts of a text that are secrets, in order, none overlapping another.
pub fn secret_parts(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    headers(text, &mut parts);
    pem_blocks(text, &mut parts);
    url_passwords(text, &mut parts);
    web_tokens(text, &mut parts);
    cloud_keys(text, &mut parts);
    ledger_keys(text, &mut parts);
    parts.retain(|part| !part.is_empty() && &text[part.clone()] != REDACTED);
    parts.sort_by_key(|part| (part.start, part.end));
    parts.dedup_by(|later, earlier| {
        let overlap = later.start < earlier.end;
        if overlap {
            earlier.end = earlier.end.max(later.end);
        }
        overlap
    });
    parts
}

/// The run of bytes from `start` that are of a kind.
fn run(text: &str, start: usize, of_kind: impl Fn(u8) -> bool) -> Range<usize> {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    start..start + rest.iter().take_while(|b| of_kind(**b)).count()
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

/// The digits of an AWS secret access key, which has no padding.
pub(super) fn is_key_digit(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')
}

fn is_base64_url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

fn is_token68(b: u8) -> bool {
    is_base64(b) || matches!(b, b'-' | b'_' | b'.' | b'~')
}

fn starts_word(text: &str, at: usize) -> bool {
    at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric()
}

/// `Bearer <token>` and `Basic <base64 of name:password>`.
fn headers(text: &str, parts: &mut Vec<Range<usize>>) {
    for at in memchr::memchr2_iter(b'b', b'B', text.as_bytes()) {
        if !starts_word(text, at) {
            continue;
        }
        for scheme in ["bearer", "basic"] {
            let end = at + scheme.len();
            if !text
                .get(at..end)
                .is_some_and(|word| is_scheme(word, scheme))
            {
                continue;
            }
            let spaces = run(text, end, |b| b == b' ');
            let token = run(text, spaces.end, is_token68);
            let looks_secret = if scheme == "basic" {
                is_basic
            } else {
                is_bearer
            };
            let named = after_authorization(&text[..at]);
            if !spaces.is_empty() && (named || looks_secret(&text[token.clone()])) {
                parts.push(token);
            }
        }
    }
}

/// Whether a word is a scheme as it is usually written: `bearer`, `Bearer` or `BEARER`.
fn is_scheme(word: &str, scheme: &str) -> bool {
    word.eq_ignore_ascii_case(scheme)
        && (word[1..] == scheme[1..] || word[1..] == scheme[1..].to_ascii_uppercase())
}

/// Whether the text ends like `Authorization: ` or `"authorization":"`.
fn after_authorization(text: &str) -> bool {
    let name = text.trim_end_matches([' ', ':', '=', '"', '\'']);
    let from = name.len().saturating_sub("authorization".len());
    name.get(from..)
        .is_some_and(|name| name.eq_ignore_ascii_case("authorization"))
}

/// Long and no word: prose like `bearer of bad news` is not.
fn is_bearer(token: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| token.as_bytes().iter().any(kind);
    token.len() >= 16
        && (has(u8::is_ascii_digit) || (has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)))
}

/// Decodes to `name:password`.
fn is_basic(token: &str) -> bool {
    let decoded = decode_base64(token);
    token.len() >= 4 && decoded.contains(&b':') && decoded.iter().all(|b| *b >= 0x20)
}

fn decode_base64(token: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in token.bytes().take_while(|b| *b != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return Vec::new(),
        };
        bits = (bits << 6 | u32::from(digit)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    out
}

/// From `-----BEGIN …` to the end of its `-----END …-----`, or of the text.
fn pem_blocks(text: &str, parts: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(start) = text[from..].find("-----BEGIN ").map(|at| from + at) {
        let end = text[start..]
            .find("-----END ")
            .map(|at| start + at + "-----END ".len())
            .and_then(|label| text[label..].find("-----").map(|at| label + at + 5))
            .unwrap_or(text.len());
        parts.push(start..end);
        from = end;
    }
}

/// The password of `scheme://name:password@host`.
fn url_passwords(text: &str, parts: &mut Vec<Range<usize>>) {
    parts.extend(
        text.match_indices("://")
            .filter_map(|(at, _)| url_password(text, at + 3)),
    );
}

/// Whether the URL whose `://` ends at a place has a password.
pub(super) fn url_has_password(text: &str, after_scheme: usize) -> bool {
    url_password(text, after_scheme).is_some()
}

fn url_password(text: &str, start: usize) -> Option<Range<usize>> {
    let authority = run(text, start, |b| b > b' ' && !b"/?#\"'<>\\".contains(&b));
    let (user_info, _) = text.get(authority)?.rsplit_once('@')?;
    let (name, password) = user_info.split_once(':')?;
    let password_start = start + name.len() + 1;
    (!password.is_empty()).then_some(password_start..password_start + password.len())
}

/// JSON web tokens: three base64url parts, the first of which is a JSON object.
fn web_tokens(text: &str, parts: &mut Vec<Range<usize>>) {
    for (at, _) in text.match_indices("eyJ") {
        if at > 0 && is_base64_url(text.as_bytes()[at - 1]) {
            continue;
        }
        let header = run(text, at, is_base64_url);
        let payload = run(text, header.end + 1, is_base64_url);
        let dot = |at: usize| text.as_bytes().get(at) == Some(&b'.');
        if dot(header.end) && dot(payload.end) && header.len() >= 8 && payload.len() >= 4 {
            // The signature may be empty, and an encrypted token has two more parts.
            let end = run(text, payload.end, |b| is_base64_url(b) || b == b'.').end;
            parts.push(at..end);
        }
    }
}

/// Secret keys of the large clouds: AWS (40 characters of base64), Azure and Google.
fn cloud_keys(text: &str, parts: &mut Vec<Range<usize>>) {
    for prefix in ["AccountKey=", "SharedAccessKey="] {
        for (at, _) in text.match_indices(prefix) {
            let key = run(text, at + prefix.len(), is_base64);
            if key.len() >= 40 {
                parts.push(key);
            }
        }
    }
    for (at, _) in text.match_indices("AIza") {
        let key = run(text, at, is_base64_url);
        if key.len() == 39 && starts_word(text, at) {
            parts.push(key);
        }
    }
    let mut at = 0;
    while at < text.len() {
        // A piece between the dashes of a longer token is not a key.
        let token = run(text, at, |b| is_key_digit(b) || is_base64_url(b));
        let padded = text.as_bytes().get(token.end) == Some(&b'=');
        let bytes = &text.as_bytes()[token.clone()];
        let is_key = bytes.len() == AWS_KEY_BYTES && bytes.iter().all(|b| is_key_digit(*b));
        if is_key && !padded && is_random(bytes) {
            parts.push(token.clone());
        }
        at = token.end + 1;
    }
}

/// The secret of an API key of a ledger (`ind_<id>_<secret>`), and viewer tokens (`indv_…`).
fn ledger_keys(text: &str, parts: &mut Vec<Range<usize>>) {
    let found = LEDGER_KEYS.into_iter().flat_map(|prefix| {
        let found = text.match_indices(prefix);
        found.filter_map(move |(at, _)| ledger_key(text, at + prefix.len()))
    });
    parts.extend(found);
}

/// The secret behind the prefix that ends at a place, if one is there.
pub(super) fn ledger_key(text: &str, start: usize) -> Option<Range<usize>> {
    let secret = if text.get(..start)?.ends_with(VIEWER_TOKEN) {
        run(text, start, is_base64_url)
    } else {
        let id = run(text, start, |b| b.is_ascii_hexdigit());
        let is_id = id.len() == 16 && text.as_bytes().get(id.end) == Some(&b'_');
        is_id.then(|| run(text, id.end + 1, |b| b.is_ascii_hexdigit()))?
    };
    (secret.len() >= LEDGER_SECRET_MIN).then_some(secret)
}

/// Whether 40 characters look drawn at random: all three kinds, changing often. Names and paths
/// change rarely, digests in hexadecimal have one case.
pub(super) fn is_random(token: &[u8]) -> bool {
    const CHANGES_MIN: usize = 15;
    let kind = |b: u8| match b {
        b'A'..=b'Z' => 0,
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let kinds: Vec<u8> = token.iter().copied().map(kind).collect();
    let all = (0..3).all(|kind| kinds.contains(&kind));
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    all && changes >= CHANGES_MIN
}
