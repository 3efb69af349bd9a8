//! Text with wildcards: `*` for any run of characters, `?` for one; a backslash takes what they
//! mean from either, and from itself.
//!
//! Compared with normalised text, character by character. Matching takes at most the characters of
//! both multiplied, so who reads patterns bounds them.

use std::fmt;

use crate::terms::normalise;

/// A text with wildcards, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// This character.
    Is(char),
    /// Any character.
    One,
    /// Any run of characters, none included.
    Run,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let normalised = normalise(text);
        let mut chars = normalised.chars().peekable();
        while let Some(c) = chars.next() {
            let piece = match c {
                '*' => Piece::Run,
                '?' => Piece::One,
                '\\' => Piece::Is(chars.next_if(|c| is_sign(*c)).unwrap_or('\\')),
                c => Piece::Is(c),
            };
            if piece != Piece::Run || pieces.last() != Some(&Piece::Run) {
                pieces.push(piece);
            }
        }
        Self { pieces }
    }

    /// The text that alone matches; `None` if there are wildcards.
    pub fn literal(&self) -> Option<String> {
        let literal = self.pieces.iter().map(|piece| match piece {
            Piece::Is(c) => Some(*c),
            _ => None,
        });
        literal.collect()
    }

    /// How many characters and wildcards it has.
    pub fn length(&self) -> usize {
        self.pieces.len()
    }

    /// Whether a normalised text matches as a whole.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        // Where the last run began, and the text behind what it takes.
        let mut run: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            let next = rest.next();
            match (self.pieces.get(at), next) {
                (Some(Piece::Run), _) => {
                    at += 1;
                    run = Some((at, before.clone()));
                    rest = before;
                }
                (None, None) => return true,
                (Some(Piece::One), Some(_)) => at += 1,
                (Some(Piece::Is(c)), Some(found)) if *c == found => at += 1,
                _ => match &mut run {
                    // The run takes one character more.
                    Some((behind, from)) => {
                        if from.next().is_none() {
                            return false;
                        }
                        (at, rest) = (*behind, from.clone());
                    }
                    None => return false,
                },
            }
        }
    }

    /// Words that stand in every text that matches: letters and digits between ends and signs, all
    /// of them ASCII, for which alone words of a text are cut the same way before and after it is
    /// normalised.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        // `None` once a wildcard or another character belongs to the word or may do so.
        let mut word = Some(String::new());
        for piece in &self.pieces {
            match (piece, &mut word) {
                (Piece::Is(c), Some(word)) if c.is_ascii_alphanumeric() => word.push(*c),
                (Piece::Is(c), _) if c.is_ascii_alphanumeric() => {}
                (Piece::Is(c), _) if c.is_ascii() => {
                    words.extend(word.replace(String::new()));
                }
                _ => word = None,
            }
        }
        words.extend(word);
        words.retain(|word| !word.is_empty());
        words
    }
}

/// A text without wildcards, its escapes resolved: as it was written otherwise.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' {
            chars.next_if(|c| is_sign(*c))
        } else {
            None
        };
        out.push(escaped.unwrap_or(c));
    }
    out
}

fn is_sign(c: char) -> bool {
    matches!(c, '*' | '?' | '\\')
}

/// As it is read.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Is(c) if is_sign(*c) => write!(f, "\\{c}"),
            Piece::Is(c) => write!(f, "{c}"),
            Piece::One => f.write_str("?"),
            Piece::Run => f.write_str("*"),
        })
    }
}

/// The whole of a text in which `*` is a wildcard, and `?` is not.
pub fn whole_pattern(text: &str) -> Pattern {
    let mut pattern = Pattern::parse(text);
    for piece in &mut pattern.pieces {
        if *piece == Piece::One {
            *piece = Piece::Is('?');
        }
    }
    pattern
}

/// The words of a text in which `*` is a wildcard: patterns of letters and digits.
pub fn word_patterns(text: &str) -> Vec<Pattern> {
    let mut pieces = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // What has a backslash before it is a sign, and no part of a word.
        let escaped = c == '\\' && chars.next_if(|c| is_sign(*c)).is_some();
        pieces.push(if escaped { ' ' } else { c });
    }
    pieces
        .split(|c: char| !c.is_alphanumeric() && c != '*')
        .filter(|word| !word.is_empty())
        .map(Pattern::parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, as plainly as it can be said.
    fn plainly(pieces: &[Piece], text: &[char]) -> bool {
        match (pieces.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((Piece::Run, rest)), _) => {
                (0..=text.len()).any(|taken| plainly(rest, &text[taken..]))
            }
            (Some((Piece::One, rest)), Some((_, after))) => plainly(rest, after),
            (Some((Piece::Is(c), rest)), Some((found, after))) => {
                c == found && plainly(rest, after)
            }
            _ => false,
        }
    }

    #[test]
    fn patterns_match_as_a_whole() {
        for (pattern, text, expected) in [
            ("bert*", "bert-jan", true),
            ("bert*", "bert", true),
            ("bert*", "gilbert", false),
            ("*/invoices/*", "acme/invoices/7", true),
            ("*/invoices/*", "invoices/7", false),
            ("a?c", "abc", true),
            ("a?c", "a\u{fc}c", true),
            ("a?c", "ac", false),
            ("A*", "abc", true),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            (r"a\?\\", r"a?\", true),
            (r"corp\b*", r"corp\bert", true),
            ("*", "", true),
            ("?", "", false),
            ("", "", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
        assert_eq!(Pattern::parse(r"a\*B").literal().as_deref(), Some("a*b"));
        assert_eq!(Pattern::parse("a*").literal(), None);
    }

    #[test]
    fn words_that_every_match_has() {
        for (pattern, words) in [
            ("auth.*", &["auth"][..]),
            ("*.login", &["login"]),
            ("auth.mfa.f*", &["auth", "mfa"]),
            ("a?b.c", &["c"]),
            ("auth*", &[]),
            ("é.x-y*", &["x"]),
            ("x-é.y", &["x", "y"]),
            ("api.get./orders/*", &["api", "get", "orders"]),
        ] {
            assert_eq!(Pattern::parse(pattern).words(), words, "{pattern}");
        }
        let words: Vec<_> = word_patterns(r"Bert-j* a\*b\c?")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(words, ["bert", "j*", "a", "b", "c"]);
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(pattern in "[ab*?\\\\]{0,8}", text in "[ab*?\\\\]{0,8}") {
            let pattern = Pattern::parse(&pattern);
            let chars: Vec<_> = text.chars().collect();
            prop_assert_eq!(pattern.matches(&text), plainly(&pattern.pieces, &chars));
            prop_assert_eq!(Pattern::parse(&pattern.to_string()), pattern);
        }

        #[test]
        fn words_are_in_every_match(
            pattern in "[aK.\\-*?\u{130}\u{3a3}]{0,8}",
            text in "[AkK.\\-\u{130}\u{3a3}]{0,8}",
        ) {
            let pattern = Pattern::parse(&pattern);
            if pattern.matches(&normalise(&text)) {
                let of_text: Vec<_> = crate::terms::words(&text).collect();
                for word in pattern.words() {
                    let is_there = of_text.contains(&word.as_str().into());
                    prop_assert!(is_there, "{pattern} {text} {word}");
                }
            }
        }
    }
}
