//! What a text asks for, before keys and tenants are known.
//!
//! Not the query of an index: that is [`indelible_store::Query`], made by [`crate::resolve`].
//! Invariant: `parse(parsed.to_string())` gives an equal [`Parsed`], whenever and wherever.

use std::fmt;
use std::ops::Range;

use indelible_event::ids::{Micros, TenantId};
use indelible_store::{Key, Network, Path, Pattern, Test};

use crate::address::is_address_or_name;
use crate::inside;
use crate::lex::{begins_apart, quote, write_value, write_word};
use crate::qualifier::Qualifier;
use crate::resolve::search_names;

/// All of time: no bound on either side.
pub(crate) const EVER: Range<Micros> = Micros(i64::MIN)..Micros(i64::MAX);

/// A condition as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Every record.
    All,
    /// A word or quoted text: words side by side, or the whole of an identifier.
    Text(String),
    /// A qualifier's value, normalised.
    Is(Key, String),
    /// An audit id or a source's own id, normalised.
    Id(String),
    /// Sequence numbers.
    Sequence(Range<u64>),
    /// A word with wildcards, as it was written: words side by side, or the whole of an identifier.
    TextLike(String),
    /// A qualifier's value with wildcards.
    Like(Key, Pattern),
    /// A network of IP addresses.
    Within(Network),
    /// An audit id or a source's own id, with wildcards.
    IdLike(Pattern),
    /// What a path leads to passes the test.
    At(Path, Test),
    /// It names an attachment.
    Attachment,
    /// Not this.
    Not(Box<Self>),
    /// All of these.
    And(Vec<Self>),
    /// Any of these.
    Or(Vec<Self>),
}

/// A text that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The condition.
    pub ask: Ask,
    /// The tenants it names, sorted; `None` when it names none.
    pub tenants: Option<Vec<TenantId>>,
    /// `since:` and `until:`.
    pub occurred: Range<Micros>,
    /// `ingested-since:` and `ingested-until:`.
    pub ingested: Range<Micros>,
}

impl Default for Parsed {
    /// What the empty text asks: every record.
    fn default() -> Self {
        Self {
            ask: Ask::All,
            tenants: None,
            occurred: EVER,
            ingested: EVER,
        }
    }
}

impl Ask {
    /// Not `inner`; two negations are none.
    pub(crate) fn not(inner: Self) -> Self {
        match inner {
            Self::Not(inner) => *inner,
            inner => Self::Not(Box::new(inner)),
        }
    }

    /// All of `parts`, flat.
    pub(crate) fn and(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All => {}
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::All,
            1 => flat.swap_remove(0),
            _ => Self::And(flat),
        }
    }

    /// Any of `parts`, flat.
    pub(crate) fn or(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 {
            flat.swap_remove(0)
        } else {
            Self::Or(flat)
        }
    }

    /// Whether it may ask for a part of a sealed value, which is found by the whole of it only.
    pub fn asks_for_parts(&self) -> bool {
        match self {
            Self::TextLike(_) | Self::Within(_) => true,
            Self::Like(key, _) => !search_names(*key).is_empty(),
            Self::Not(inner) => inner.asks_for_parts(),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::asks_for_parts),
            _ => false,
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            // Only at the top, where nothing is written.
            Self::All => {}
            Self::Text(text) => write_word(text, out),
            // Alone, lest what it begins with belongs to a name before it.
            Self::TextLike(text) if begins_apart(text) => {
                out.push('(');
                out.push_str(text);
                out.push(')');
            }
            Self::TextLike(text) => out.push_str(text),
            Self::Is(key, _) | Self::Like(key, _) => {
                write_name(qualifier_name(*key), out);
                self.write_listed(out);
            }
            Self::Within(_) => {
                write_name("ip", out);
                self.write_listed(out);
            }
            Self::Id(_) | Self::IdLike(_) => {
                write_name("id", out);
                self.write_listed(out);
            }
            Self::Sequence(_) => {
                write_name("seq", out);
                self.write_listed(out);
            }
            Self::At(path, test) => inside::write(path, test, out),
            Self::Attachment => {
                write_name("has", out);
                self.write_listed(out);
            }
            Self::Not(inner) => {
                out.push('-');
                inner.write_one(out);
            }
            Self::And(parts) => write_joined(parts, " ", out),
            Self::Or(parts) => match list_name(parts) {
                Some(name) => {
                    write_name(&name, out);
                    for (index, part) in parts.iter().enumerate() {
                        if index > 0 {
                            out.push(',');
                        }
                        part.write_listed(out);
                    }
                }
                None => write_joined(parts, " OR ", out),
            },
        }
    }

    /// Writes it so that it binds as one.
    fn write_one(&self, out: &mut String) {
        let loose = match self {
            Self::And(_) => true,
            Self::Or(parts) => list_name(parts).is_none(),
            _ => false,
        };
        if loose {
            out.push('(');
        }
        self.write(out);
        if loose {
            out.push(')');
        }
    }

    /// Writes the value alone, as it stands behind the colon.
    fn write_listed(&self, out: &mut String) {
        match self {
            Self::Is(key, text) => match Qualifier::of(*key) {
                Some(qualifier) if !qualifier.knows(text) => quote(text, out),
                _ if *key == Key::Ip => quote_address(text, out),
                _ => write_value(text, out),
            },
            Self::Id(text) => write_value(text, out),
            Self::Within(network) => out.push_str(&network.to_string()),
            Self::Like(_, pattern) | Self::IdLike(pattern) => out.push_str(&pattern.to_string()),
            Self::Sequence(range) => out.push_str(&sequence_text(range)),
            Self::At(path, test) => inside::write_listed(path, test, out),
            Self::Attachment => out.push_str(inside::ATTACHMENT),
            _ => {}
        }
    }
}

/// Other texts would be read as a network, or as a mistake.
fn quote_address(text: &str, out: &mut String) {
    if is_address_or_name(text) {
        write_value(text, out);
    } else {
        quote(text, out);
    }
}

fn qualifier_name(key: Key) -> &'static str {
    Qualifier::of(key).map_or("", |q| q.name)
}

/// The qualifier that all of `parts` are values of.
fn list_name(parts: &[Ask]) -> Option<String> {
    let name = |part: &Ask| match part {
        Ask::Is(key, _) | Ask::Like(key, _) => Some(qualifier_name(*key).to_owned()),
        Ask::Within(_) => Some("ip".to_owned()),
        Ask::Id(_) | Ask::IdLike(_) => Some("id".to_owned()),
        Ask::Sequence(_) => Some("seq".to_owned()),
        Ask::At(path, test) => inside::list_name(path, test),
        Ask::Attachment => Some("has".to_owned()),
        _ => None,
    };
    let first = name(parts.first()?)?;
    parts
        .iter()
        .all(|part| name(part).as_ref() == Some(&first))
        .then_some(first)
}

fn write_name(name: &str, out: &mut String) {
    out.push_str(name);
    out.push(':');
}

fn write_joined(parts: &[Ask], between: &str, out: &mut String) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        match part {
            // Stands alone in either list: a sign binds tighter than both.
            Ask::Not(_) => part.write(out),
            _ => part.write_one(out),
        }
    }
}

fn sequence_text(range: &Range<u64>) -> String {
    let last = range.end.wrapping_sub(1);
    match (range.start, range.end) {
        (first, _) if first == last => first.to_string(),
        (first, u64::MAX) => format!("{first}.."),
        (first, _) => format!("{first}..{last}"),
    }
}

impl fmt::Display for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces: Vec<String> = Vec::new();
        if self.ask != Ask::All {
            let mut text = String::new();
            let bounded = self.tenants.is_some() || self.occurred != EVER || self.ingested != EVER;
            // Beside bounds alternatives need parentheses, since AND binds tighter.
            if bounded && matches!(self.ask, Ask::Or(_)) {
                self.ask.write_one(&mut text);
            } else {
                self.ask.write(&mut text);
            }
            pieces.push(text);
        }
        if let Some(tenants) = &self.tenants {
            let names: Vec<_> = tenants.iter().map(TenantId::as_str).collect();
            pieces.push(format!("tenant:{}", names.join(",")));
        }
        for (range, prefix) in [(&self.occurred, ""), (&self.ingested, "ingested-")] {
            if range.start != EVER.start {
                pieces.push(format!("{prefix}since:{}", range.start.to_rfc3339()));
            }
            if range.end != EVER.end {
                pieces.push(format!("{prefix}until:{}", range.end.to_rfc3339()));
            }
        }
        f.write_str(&pieces.join(" "))
    }
}
