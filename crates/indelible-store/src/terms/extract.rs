//! From an event to its terms, on the path of every commit: one buffer, no allocation for ASCII.
//!
//! Says in fast code what [`normalise`], [`last_segment`] and [`words`](super::words) say in plain
//! code; the tests hold the two together.

use std::collections::HashSet;
use std::sync::LazyLock;

use indelible_event::{EventView, Field};

use super::{
    Column, Key, TEXT_FIELDS, TermKey, Terms, cut, last_segment, normalise, normalise_address,
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
    file_event(event, &mut Texts::of(terms), numbers);
}

/// As [`extract`], but adds the hashes of the terms under a key: without a copy of their texts.
pub fn extract_hashes(
    event: &EventView<'_>,
    key: &TermKey,
    hashes: &mut Vec<u64>,
    numbers: &mut Vec<(Column, f64)>,
) {
    let words_from = hashes.len();
    let mut hashed = Hashed {
        key,
        hashes,
        words_from,
    };
    file_event(event, &mut hashed, numbers);
}

fn file_event(event: &EventView<'_>, filing: &mut impl Filing, numbers: &mut Vec<(Column, f64)>) {
    for (field, _) in event.fields() {
        let filed = FILED.get(field as usize).copied().unwrap_or_default();
        if let Some(key) = filed.key
            && let Some(text) = event.text(field)
        {
            file_field(filing, key, &text);
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
        file_normalised(filing, Key::Category, first);
    }
    if event.raw(Field::Sealed).is_some() {
        for subject in sealed_subjects(event) {
            filing.push(Key::Subject, subject);
        }
    }
    filing.begin_words();
    for field in TEXT_FIELDS {
        if let Some(text) = event.text(field) {
            file_words(filing, &text);
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

/// Where terms go.
trait Filing {
    /// Files the record under a text that is normalised.
    fn push(&mut self, key: Key, text: &str);
    /// Files the record under ASCII text that is trimmed and short enough, lower-cased.
    fn push_ascii(&mut self, key: Key, text: &[u8]);
    /// From here on words are filed, each of which ends with [`Filing::end_word`].
    fn begin_words(&mut self);
    /// The term that was filed last is a word, which may be known already.
    fn end_word(&mut self);
}

/// Files the record under the whole value of a field.
fn file_field(filing: &mut impl Filing, key: Key, text: &str) {
    if key == Key::Ip {
        filing.push(key, &normalise_address(text));
        return;
    }
    file_normalised(filing, key, text);
    if matches!(key, Key::Actor | Key::Target)
        && let Some(last) = last_segment(trimmed(text))
    {
        file_normalised(filing, key, last);
    }
}

/// Files the record under a text, trimmed and lower-cased.
fn file_normalised(filing: &mut impl Filing, key: Key, text: &str) {
    if text.is_ascii() {
        filing.push_ascii(key, cut(trimmed(text)).as_bytes());
    } else {
        filing.push(key, &normalise(text));
    }
}

/// Files the record under every word of a text.
fn file_words(filing: &mut impl Filing, text: &str) {
    if text.is_ascii() {
        for piece in text.as_bytes().split(|b| !b.is_ascii_alphanumeric()) {
            if !piece.is_empty() {
                let piece = piece.get(..Terms::TERM_BYTES_MAX).unwrap_or(piece);
                filing.push_ascii(Key::Word, piece);
                filing.end_word();
            }
        }
    } else {
        for piece in text.split(|c: char| !c.is_alphanumeric()) {
            if !piece.is_empty() {
                file_normalised(filing, Key::Word, piece);
                filing.end_word();
            }
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

/// Files hashes. A word may be filed again when many others came between: that does no harm.
struct Hashed<'a> {
    key: &'a TermKey,
    hashes: &'a mut Vec<u64>,
    words_from: usize,
}

impl Filing for Hashed<'_> {
    fn push(&mut self, key: Key, text: &str) {
        self.hashes.push(self.key.term(key, cut(text).as_bytes()));
    }

    fn push_ascii(&mut self, key: Key, text: &[u8]) {
        let mut room = [0; Terms::TERM_BYTES_MAX];
        let mut text = text;
        if text.iter().any(u8::is_ascii_uppercase)
            && let Some(lower) = room.get_mut(..text.len())
        {
            lower.copy_from_slice(text);
            lower.make_ascii_lowercase();
            text = lower;
        }
        self.hashes.push(self.key.term(key, text));
    }

    fn begin_words(&mut self) {
        self.words_from = self.hashes.len();
    }

    fn end_word(&mut self) {
        let words = self.hashes.get(self.words_from..).unwrap_or_default();
        if let Some((word, before)) = words.split_last() {
            let near = before.len().saturating_sub(WORDS_COMPARED_MAX);
            if before.get(near..).unwrap_or_default().contains(word) {
                self.hashes.pop();
            }
        }
    }
}

/// Files texts, each word once.
struct Texts<'a> {
    terms: &'a mut Terms,
    /// Where the words begin.
    start: usize,
    /// Where the last word ends.
    end: usize,
    count: usize,
    /// All words, once there are many.
    seen: Option<HashSet<Box<[u8]>>>,
}

impl<'a> Texts<'a> {
    fn of(terms: &'a mut Terms) -> Self {
        let mut texts = Self {
            terms,
            start: 0,
            end: 0,
            count: 0,
            seen: None,
        };
        texts.begin_words();
        texts
    }

    /// Whether the word that was just filed was filed before.
    fn is_known(&mut self) -> bool {
        let filed = self.terms.bytes.get(self.start..).unwrap_or_default();
        let known = self.end - self.start;
        let (known, new) = filed.split_at_checked(known).unwrap_or_default();
        let word = new.get(HEAD_BYTES..).unwrap_or_default();
        if self.count < WORDS_COMPARED_MAX {
            return texts(known).any(|text| text.first() == word.first() && text == word);
        }
        let all = || texts(known).map(Box::from).collect();
        !self.seen.get_or_insert_with(all).insert(Box::from(word))
    }
}

impl Filing for Texts<'_> {
    fn push(&mut self, key: Key, text: &str) {
        self.terms.push(key, text);
    }

    fn push_ascii(&mut self, key: Key, text: &[u8]) {
        let bytes = &mut self.terms.bytes;
        let start = bytes.len() + HEAD_BYTES;
        let [low, high] = u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes();
        bytes.reserve(HEAD_BYTES + text.len());
        bytes.extend_from_slice(&[key as u8, low, high]);
        bytes.extend_from_slice(text);
        if let Some(filed) = bytes.get_mut(start..) {
            filed.make_ascii_lowercase();
        }
    }

    fn begin_words(&mut self) {
        self.start = self.terms.bytes.len();
        self.end = self.start;
    }

    fn end_word(&mut self) {
        if self.is_known() {
            self.terms.bytes.truncate(self.end);
        } else {
            self.count += 1;
            self.end = self.terms.bytes.len();
        }
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
            file_normalised(&mut Texts::of(&mut fast), Key::Type, &text);
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
            let mut filing = Texts::of(&mut fast);
            for text in &texts {
                file_words(&mut filing, text);
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
        file_words(&mut Texts::of(&mut fast), &all.join(" "));
        assert_eq!(fast.iter().count(), 150);
    }

    #[test]
    fn hashes_are_those_of_the_texts() {
        let key = TermKey::new(&[3; 16]);
        let mut random = Random::new(3);
        for _ in 0..1_000 {
            let (value, words) = (text(&mut random), text(&mut random));
            let (mut terms, mut hashes) = (Terms::default(), Vec::new());
            let mut hashed = Hashed {
                key: &key,
                hashes: &mut hashes,
                words_from: 0,
            };
            file_field(&mut Texts::of(&mut terms), Key::Target, &value);
            file_words(&mut Texts::of(&mut terms), &words);
            file_field(&mut hashed, Key::Target, &value);
            hashed.begin_words();
            file_words(&mut hashed, &words);
            let hash = |(term, text): (Key, &[u8])| key.term(term, text);
            let expected: Vec<_> = terms.iter_bytes().map(hash).collect();
            assert_eq!(hashes, expected, "{value:?} {words:?}");
        }
    }
}
