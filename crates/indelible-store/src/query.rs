//! The query as data, and what it means for one record.
//!
//! [`Expr::matches`] is the definition; an index may only narrow down where it is asked. Text comes
//! from the query crate's parser, which also resolves personal values to [`Expr::Sealed`].

use std::cmp::Ordering;
use std::ops::Range;

use indelible_event::EventView;
use indelible_event::ids::{AuditId, Micros, TenantId};

use crate::terms::{Key, TEXT_FIELDS, Terms, any_text, words};
use crate::value::{Path, Test, names_attachment};
use crate::{FindHash, Network, Pattern, Place, SealedValue};

/// A condition on one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Every record.
    All,
    /// Filed under this normalised text.
    Is(Key, String),
    /// Carries a sealed value with one of these find hashes.
    Sealed(Vec<FindHash>),
    /// These words stand side by side in one text field.
    Phrase(Vec<String>),
    /// Has this audit id.
    Id(AuditId),
    /// Its sequence number lies in the range.
    Sequence(Range<u64>),
    /// What it is filed under matches; compared as a whole, however long it is.
    Like(Key, Pattern),
    /// The address of its actor, where that is in clear, is in the network.
    Within(Network),
    /// Words that match these stand side by side in one text field.
    PhraseLike(Vec<Pattern>),
    /// A value that the path leads to passes the test.
    At(Path, Test),
    /// Names something that is stored beside the log.
    Attachment,
    /// Not this.
    Not(Box<Expr>),
    /// All of these.
    And(Vec<Expr>),
    /// Any of these.
    Or(Vec<Expr>),
}

/// The order of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// By (`occurred_at`, tenant, sequence number).
    Time,
    /// By (tenant, sequence number).
    Sequence,
}

/// Which end of the order comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Descending.
    NewestFirst,
    /// Ascending.
    OldestFirst,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Only these tenants' logs; `None` is all the caller may read.
    pub tenants: Option<Vec<TenantId>>,
    /// The condition.
    pub expr: Expr,
    /// `since`..`until` of `occurred_at`.
    pub occurred: Range<Micros>,
    /// `ingested-since`..`ingested-until` of `ingested_at`.
    pub ingested: Range<Micros>,
    /// The order.
    pub order: Order,
    /// Its direction.
    pub direction: Direction,
    /// Records after this mark of the index do not enter; `None` is all there is now.
    pub as_of: Option<u64>,
}

impl Default for Query {
    /// Every record, newest first by time.
    fn default() -> Self {
        let ever = Micros(i64::MIN)..Micros(i64::MAX);
        Self {
            tenants: None,
            expr: Expr::All,
            occurred: ever.clone(),
            ingested: ever,
            order: Order::Time,
            direction: Direction::NewestFirst,
            as_of: None,
        }
    }
}

impl Query {
    /// Which of two places comes first in the answer.
    pub fn compare(&self, a: &Place, b: &Place) -> Ordering {
        let ascending = match self.order {
            Order::Time => a.cmp(b),
            Order::Sequence => (&a.tenant, a.sequence_number).cmp(&(&b.tenant, b.sequence_number)),
        };
        match self.direction {
            Direction::OldestFirst => ascending,
            Direction::NewestFirst => ascending.reverse(),
        }
    }

    /// Whether the log is one of those asked for.
    pub fn wants_tenant(&self, tenant: &TenantId) -> bool {
        self.tenants
            .as_ref()
            .is_none_or(|tenants| tenants.contains(tenant))
    }
}

/// What of a record a condition looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its place in the log.
    pub sequence_number: u64,
    /// Its id.
    pub audit_id: AuditId,
    /// Its event, as it stands in the leaf.
    pub event: &'a EventView<'a>,
    /// Its terms ([`crate::terms::extract`]).
    pub terms: &'a Terms,
    /// Its personal values, with find hashes.
    pub sealed: &'a [SealedValue],
}

/// Computes what finds a sealed value; has the keys.
pub trait Finder: Send + Sync {
    /// The find hash of `normalised` under `search_name` (`/actor/ip`, `email` …) in the tenant's
    /// log; `None` when the tenant's index key is not at hand, so that sealed values cannot be
    /// searched.
    fn find(&self, tenant: &TenantId, search_name: &str, normalised: &str) -> Option<FindHash>;
}

impl Expr {
    /// Whether the condition looks at the event's text, rather than at its terms and place alone.
    pub fn looks_at_text(&self) -> bool {
        match self {
            Self::Not(inner) => inner.looks_at_text(),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::looks_at_text),
            Self::All | Self::Is(..) | Self::Sealed(_) | Self::Id(_) | Self::Sequence(_) => false,
            _ => true,
        }
    }

    /// Whether a term alone decides: one word of a text, which is filed as a whole.
    pub fn is_word(words: &[String]) -> bool {
        matches!(words, [word] if word.len() < Terms::TERM_BYTES_MAX)
    }

    /// Whether the condition looks at the terms that the event is filed under.
    pub fn looks_at_terms(&self) -> bool {
        match self {
            Self::Is(..) => true,
            Self::Not(inner) => inner.looks_at_terms(),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::looks_at_terms),
            _ => false,
        }
    }

    /// Whether the condition holds for the record.
    pub fn matches(&self, record: &Subject<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Is(key, text) => record.terms.contains(*key, text),
            Self::Sealed(finds) => record
                .sealed
                .iter()
                .any(|value| value.find.is_some_and(|f| finds.contains(&f))),
            Self::Phrase(phrase) => has_phrase(record.event, phrase, |word, w| word == w),
            Self::Like(key, pattern) => any_text(record.event, *key, &|text| pattern.matches(text)),
            Self::Within(network) => {
                any_text(record.event, Key::Ip, &|text| network.contains(text))
            }
            Self::PhraseLike(phrase) => has_phrase(record.event, phrase, Pattern::matches),
            Self::Id(id) => record.audit_id == *id,
            Self::Sequence(range) => range.contains(&record.sequence_number),
            Self::At(path, test) => path.leads_to(test, record.event),
            Self::Attachment => names_attachment(record.event.as_str()),
            Self::Not(inner) => !inner.matches(record),
            Self::And(all) => all.iter().all(|e| e.matches(record)),
            Self::Or(any) => any.iter().any(|e| e.matches(record)),
        }
    }
}

fn has_phrase<W>(event: &EventView<'_>, phrase: &[W], is: impl Fn(&W, &str) -> bool) -> bool {
    TEXT_FIELDS.iter().any(|&field| {
        event.text(field).is_some_and(|text| {
            let found: Vec<_> = words(&text).collect();
            phrase.is_empty()
                || found
                    .windows(phrase.len())
                    .any(|w| w.iter().zip(phrase).all(|(found, word)| is(word, found)))
        })
    })
}
