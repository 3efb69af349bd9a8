//! What is wrong with a query text, and where.
//!
//! Not errors of storage (those are [`indelible_store::Error`]). Columns count characters from 1.

use std::fmt;
use std::sync::Arc;

/// The widest piece of the text that is drawn, characters.
const DRAWN_CHARS_MAX: usize = 100;

/// One thing wrong with a query text.
///
/// Its `Display` is the message, then the text with a line of carets under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    text: Arc<str>,
    column: usize,
    length: usize,
    message: String,
    suggestion: Option<String>,
}

impl QueryError {
    pub(crate) fn new(text: &Arc<str>, place: &Place, message: impl Into<String>) -> Self {
        Self {
            text: Arc::clone(text),
            column: place.column,
            length: place.length,
            message: message.into(),
            suggestion: None,
        }
    }

    #[must_use]
    pub(crate) fn suggesting(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// The column it starts at, in characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// How many characters it covers; 0 at the end of the text.
    pub fn length(&self) -> usize {
        self.length
    }

    /// What is wrong and what to do, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What may have been meant, to be written in its place.
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "column {}: {}", self.column, self.message)?;
        // A long text is drawn from a little before the place.
        let skipped = (self.column - 1).saturating_sub(DRAWN_CHARS_MAX / 2);
        let rest = self.text.chars().skip(skipped);
        let drawn: String = rest
            .take(DRAWN_CHARS_MAX)
            .map(|c| if takes_a_column(c) { c } else { ' ' })
            .collect();
        writeln!(f, "  {drawn}")?;
        let before = self.column - 1 - skipped;
        let carets = self.length.clamp(1, DRAWN_CHARS_MAX - before);
        write!(f, "  {:before$}{:^<carets$}", "", "")?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, " did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

impl std::error::Error for QueryError {}

/// Whether it is drawn, and as itself: what is not, or turns the direction of writing around, would
/// move the carets away from their place.
fn takes_a_column(c: char) -> bool {
    let is_format = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_whitespace() && !c.is_control() && !is_format
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1, in characters.
    pub column: usize,
    /// In characters.
    pub length: usize,
}

impl Place {
    /// From the start of this piece to the end of `last`.
    pub fn to(self, last: Self) -> Self {
        let end = (last.column + last.length).max(self.column);
        Self {
            column: self.column,
            length: end - self.column,
        }
    }
}
