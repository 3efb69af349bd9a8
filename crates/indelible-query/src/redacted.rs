//! A query text without the secrets that somebody typed into it, to be kept.
//!
//! What is left says what was asked, and need not be read as a query again. Not here: which keys
//! and texts are secret, which is of events and their redaction (`spec/event.md`, "Redaction").

use indelible_event::redact::{REDACTED, is_secret_key, secret_parts};

use crate::error::Place;
use crate::inside::read_path;
use crate::lex::{Lexer, Token};

/// The text with `[REDACTED]` in the place of secrets: values of paths with a secret's name, and
/// whatever would be taken out of an event.
pub fn redacted(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars();
    let mut column = 1;
    for place in secret_values(text) {
        clean.extend(rest.by_ref().take(place.column.saturating_sub(column)));
        clean.push_str(REDACTED);
        rest.by_ref().take(place.length).for_each(drop);
        column = place.column + place.length;
    }
    clean.extend(rest);
    for part in secret_parts(&clean).into_iter().rev() {
        clean.replace_range(part, REDACTED);
    }
    clean
}

/// Where values of paths stand that have a secret's name, in their order.
fn secret_values(text: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for (token, _) in Lexer::new(text) {
        if let Token::Qualified(name, _, _, values) = token
            && is_secret(&name)
        {
            let values = values.into_iter().map(|value| value.place);
            places.extend(values.filter(|place| place.length > 0));
        }
    }
    places
}

fn is_secret(name: &str) -> bool {
    match read_path(name) {
        Some(Ok(path)) => path.steps.iter().any(|step| is_secret_key(step)),
        Some(Err(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_were_typed_are_not_kept() {
        let hex = "0123456789abcdef";
        let key = format!("ind_{hex}_{}", hex.repeat(4));
        for (typed, kept) in [
            ("actor:ada data.amount>100", "actor:ada data.amount>100"),
            ("data.password:\"x y\" é", "data.password:[REDACTED] é"),
            (
                "é -DATA.db.password=x,\"y\\\"z\" a",
                "é -DATA.db.password=[REDACTED],[REDACTED] a",
            ),
            (
                "(data.user\\.apiKey!=k7 OR b)",
                "(data.user\\.apiKey!=[REDACTED] OR b)",
            ),
            ("changes.token.to:abc", "changes.token.to:[REDACTED]"),
            (
                "data.prompt_tokens>5 data.token:",
                "data.prompt_tokens>5 data.token:",
            ),
            (
                "has:data.password \"password\"",
                "has:data.password \"password\"",
            ),
            (key.as_str(), "ind_0123456789abcdef_[REDACTED]"),
            ("\"Bearer abc123def456ghi789\"", "\"Bearer [REDACTED]\""),
            ("id:eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x", "id:[REDACTED]"),
            (
                "data.password:\"never closed",
                "data.password:\"never closed",
            ),
        ] {
            assert_eq!(redacted(typed), kept, "{typed}");
            assert_eq!(redacted(kept), kept, "and not twice");
        }
    }
}
