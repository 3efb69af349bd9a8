//! From an event to its terms, on the path of every commit: one buffer, no allocation for ASCII.
//!
//! Says in fast code what [`normalise`], [`last_segment`] and [`words`](super::words) say in plain
//! code; the tests hold the two together.

use std::collections::HashSet;
use std::sync::LazyLock;

use indelible_event::{EventView, Field};

use super::{
    Column, Key, TEXT_FIELDS, Terms, cut, last_segment, normalise, normalise_address,
    sealed_subjects,
};

/// So many words are compared one by one; beyond them a set says whether a word is new.
const WORDS_COMPARED_MAX: usize = 48;
/// Bytes of a term before its text: key and length.
const HEAD_BYTES: usize = 3;

/// Adds every term of the event to `terms` and every typed number to `numbers`.
pub fn extract(event: &EventView<'_>, terms: &mut Terms, numbers: &mut Vec<(Column, f64)>) {
    // Most of an event is filed, but for its keys: one allocation instead of one per doubling.
    terms.bytes.reserve(event.as_str().len() / 2);
    for (field, _) in event.fields() {
        let filed = FILED.get(field as usize).copied().unwrap_or_default();
        if let Some(key) = filed.key
            && let Some(text) = event.text(field)
        {
            terms.file(key, &text);
        }
        if let Some(column) = filed.column
            && let Some(number) = event.number(field)
        {
            numbers.push((column, number));
        }
    }
    if event.raw(Field::Category).is_none()
        && let Some(text) = event.text(Field::EventType)
        && let Some(first) = text.trim().split('.').next()
    {
        terms.push_normalised(Key::Category, first);
    }
    if event.raw(Field::Sealed).is_some() {
        for subject in sealed_subjects(event) {
            terms.push(Key::Subject, subject);
        }
    }
    let mut words = Words::new(terms);
    for field in TEXT_FIELDS {
        if let Some(text) = event.text(field) {
            words.file_all(&text);
        }
    }
}

/// What becomes of a field's value.
#[derive(Clone, Copy, Default)]
struct Filed {
    key: Option<Key>,
    column: Option<Column>,
}

/// By field.
static FILED: LazyLock<[Filed; Field::COUNT]> = LazyLock::new(|| {
    let mut filed = [Filed::default(); Field::COUNT];
    for key in Key::ALL {
        for &field in key.fields() {
            if let Some(place) = filed.get_mut(field as usize) {
                place.key = Some(key);
            }
        }
    }
    for (column, field) in Column::ALL {
        if let Some(place) = filed.get_mut(field as usize) {
            place.column = Some(column);
        }
    }
    filed
});

impl Terms {
    /// Files the record under the whole value of a field.
    fn file(&mut self, key: Key, text: &str) {
        if key == Key::Ip {
            self.push(key, &normalise_address(text));
            return;
        }
        self.push_normalised(key, text);
        if matches!(key, Key::Actor | Key::Target)
            && let Some(last) = last_segment(trimmed(text))
        {
            self.push_normalised(key, last);
        }
    }

    /// As [`Terms::push`], but trims and lower-cases.
    fn push_normalised(&mut self, key: Key, text: &str) {
        if text.is_ascii() {
            self.push_ascii(key, cut(trimmed(text)).as_bytes());
        } else {
            self.push(key, &normalise(text));
        }
    }

    /// Files ASCII text that is trimmed and short enough, lower-cased.
    fn push_ascii(&mut self, key: Key, text: &[u8]) {
        let start = self.bytes.len() + HEAD_BYTES;
        let [low, high] = u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes();
        self.bytes.reserve(HEAD_BYTES + text.len());
        self.bytes.extend_from_slice(&[key as u8, low, high]);
        self.bytes.extend_from_slice(text);
        if let Some(filed) = self.bytes.get_mut(start..) {
            filed.make_ascii_lowercase();
        }
    }
}

/// Trims; mostly there is nothing to do.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// Files each word once.
struct Words<'a> {
    terms: &'a mut Terms,
    /// Where the words begin.
    start: usize,
    count: usize,
    /// All words, once there are many.
    seen: Option<HashSet<Box<[u8]>>>,
}

impl<'a> Words<'a> {
    fn new(terms: &'a mut Terms) -> Self {
        Self {
            start: terms.bytes.len(),
            terms,
            count: 0,
            seen: None,
        }
    }

    fn file_all(&mut self, text: &str) {
        if text.is_ascii() {
            for piece in text.as_bytes().split(|b| !b.is_ascii_alphanumeric()) {
                if !piece.is_empty() {
                    let piece = piece.get(..Terms::TERM_BYTES_MAX).unwrap_or(piece);
                    self.file(|terms| terms.push_ascii(Key::Word, piece));
                }
            }
        } else {
            for piece in text.split(|c: char| !c.is_alphanumeric()) {
                if !piece.is_empty() {
                    self.file(|terms| terms.push_normalised(Key::Word, piece));
                }
            }
        }
    }

    /// Keeps the word that `push` files, if it is new.
    fn file(&mut self, push: impl FnOnce(&mut Terms)) {
        let end = self.terms.bytes.len();
        push(self.terms);
        if self.is_known(end) {
            self.terms.bytes.truncate(end);
        } else {
            self.count += 1;
        }
    }

    /// Whether the word that was just filed at `end` was filed before.
    fn is_known(&mut self, end: usize) -> bool {
        let filed = self.terms.bytes.get(self.start..).unwrap_or_default();
        let (known, new) = filed.split_at_checked(end - self.start).unwrap_or_default();
        let word = new.get(HEAD_BYTES..).unwrap_or_default();
        if self.count < WORDS_COMPARED_MAX {
            return texts(known).any(|text| text.first() == word.first() && text == word);
        }
        let all = || texts(known).map(Box::from).collect();
        !self.seen.get_or_insert_with(all).insert(Box::from(word))
    }
}

/// The texts of some terms, one behind the other.
fn texts(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&[_, low, high], tail) = rest.split_first_chunk::<HEAD_BYTES>()?;
        let (text, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        rest = tail;
        Some(text)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::conformance::Random;
    use crate::terms::words;

    const PIECES: [&str; 17] = [
        "\u{b}",
        "Word",
        "word",
        "WORD",
        " ",
        "-",
        "\u{e9}t\u{e9}",
        "\u{130}",
        "\u{3a3}\u{3a3}",
        "/",
        ":",
        "7",
        "\u{6771}\u{4eac}",
        ".",
        "\t",
        "x",
        "\u{2003}",
    ];

    fn text(random: &mut Random) -> String {
        let mut text: String = (0..random.below(12))
            .map(|_| *random.pick(&PIECES))
            .collect();
        if random.chance(20) {
            text += &random.below(90).to_string();
        }
        text + &"long".repeat(random.index(90) * random.index(2))
    }

    #[test]
    fn values_are_filed_as_normalise_says() {
        let mut random = Random::new(1);
        for _ in 0..3_000 {
            let text = text(&mut random);
            let mut fast = Terms::default();
            fast.push_normalised(Key::Type, &text);
            let mut plain = Terms::default();
            plain.push(Key::Type, &normalise(&text));
            assert_eq!(fast, plain, "{text:?}");
        }
    }

    #[test]
    fn words_are_filed_once_each_in_their_order() {
        let mut random = Random::new(2);
        // Few and many words: both ways of telling a new one.
        for round in 0..300 {
            let texts: Vec<_> = (0..round % 60).map(|_| text(&mut random)).collect();
            let mut fast = Terms::default();
            let mut filing = Words::new(&mut fast);
            for text in &texts {
                filing.file_all(text);
            }
            let mut plain = Terms::default();
            for word in texts.iter().flat_map(|text| words(text)) {
                if !plain.contains(Key::Word, &word) {
                    plain.push(Key::Word, &word);
                }
            }
            assert_eq!(fast, plain, "{texts:?}");
        }
        let all: Vec<_> = (0..300).map(|n| format!("w{}", n % 150)).collect();
        let mut fast = Terms::default();
        Words::new(&mut fast).file_all(&all.join(" "));
        assert_eq!(fast.iter().count(), 150);
    }
}
