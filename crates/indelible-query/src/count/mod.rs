//! How many records match, and how they are spread: over values, times and numbers.
//!
//! Where terms and places decide, the index counts, and bodies are read for the names of values
//! only; where bodies decide they are read (`bodies`), up to a bound, beyond which an answer says
//! what share of them was looked at. What an index counts is never evidence: an answer says who
//! counted. As of one mark, which the answer names.

mod asked;
mod bodies;
mod every;
mod facet;
mod looked;
mod sample;
mod tenants;

pub use asked::{TOP_DEFAULT, Written};
use every::Bars;
pub use every::{BARS_MAX, Every, FITTING_BARS_MAX, Histogram, Length};
pub use facet::{Facet, OpenedValue};

use indelible_event::ids::{Micros, TenantId};
use indelible_store::{
    Column, Finder, Index, Ledger, Query, Result, SealedValue, Spread, Tallied, Tally,
};

use crate::page::Damage;
use crate::qualifier::{Meaning, Qualifier};

/// Facets of one answer.
pub const FACETS_MAX: usize = 16;
/// Values of a facet that an answer names.
pub const TOP_MAX: usize = 1_000;

/// Opens a personal value of a record of a tenant, where whoever asks may see it; `None` where it
/// stays closed.
pub type Open<'a> = &'a dyn Fn(&TenantId, &SealedValue) -> Result<Option<OpenedValue>>;

/// Where records are counted.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Finds them.
    pub index: &'a dyn Index,
    /// Has their bodies.
    pub ledger: &'a dyn Ledger,
    /// Opens their personal values.
    pub open: Open<'a>,
    /// Finds a value that was met in one tenant in all others, where `open` gives it as it is.
    pub finder: Option<&'a dyn Finder>,
    /// So many bodies are looked at, where bodies decide.
    pub bodies_max: u64,
}

/// What is counted beside how many there are.
#[derive(Clone, Debug, Default)]
pub struct Counting {
    /// By which values.
    pub facets: Vec<Facet>,
    /// How many values of each facet are named, the most frequent ones.
    pub top: usize,
    /// By which times.
    pub bars: Option<Histogram>,
    /// Of which columns the numbers are put together.
    pub columns: Vec<Column>,
}

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    /// The index: exactly, as far as an index can be believed.
    Index,
    /// Whoever looked at the bodies of all records that could match.
    Bodies,
    /// The same with some of them: so many of so many, the newest. All counts are of these.
    Some {
        /// Looked at.
        looked_at: u64,
        /// That may match.
        of: u64,
    },
}

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// How many match.
    pub total: u64,
    /// Who counted.
    pub by: CountedBy,
    /// For each facet its values.
    pub facets: Vec<FacetCounts>,
    /// The bars, from the first that has a record to the last: where each begins, and how many.
    pub bars: Vec<(Micros, u64)>,
    /// Where the last bar ends.
    pub bars_end: Option<Micros>,
    /// How long a bar is; none where none were asked for, or fitting ones would be too many.
    pub every: Option<Every>,
    /// For each column its numbers, and who counted them.
    pub numbers: Vec<(Spread, CountedBy)>,
    /// What could not be read and may be lacking.
    pub damaged: Vec<Damage>,
    /// The mark that all of it is as of.
    pub as_of: u64,
}

/// How often which values of a facet are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FacetCounts {
    /// The most frequent ones, of equally frequent ones in the order of their texts.
    pub values: Vec<ValueCount>,
    /// How many values were counted.
    pub distinct: u64,
    /// Whether there may be more values than were counted.
    pub more: bool,
    /// How many records have none of the values named here: another one, or none.
    pub other: u64,
    /// Whether no other value can be as frequent as those named: these are the most frequent ones.
    pub complete: bool,
    /// Whether personal values were met that stay closed; their records are among the others.
    pub closed: bool,
}

/// A value, and for how many records a query finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueCount {
    /// The value, normalised.
    pub value: String,
    /// Whether it is a personal one that was opened, somewhere at least.
    pub sealed: bool,
    /// In how many records.
    pub count: u64,
}

/// The typed column that a qualifier of this name compares.
pub fn column_named(name: &str) -> Option<Column> {
    column_of(Qualifier::named(name)?)
}

/// The name of the qualifier that compares a column.
pub fn column_name(column: Column) -> &'static str {
    let mut qualifiers = crate::QUALIFIERS.iter();
    let found = qualifiers.find(|qualifier| column_of(qualifier) == Some(column));
    found.map_or("", |qualifier| qualifier.name)
}

fn column_of(qualifier: &Qualifier) -> Option<Column> {
    let Meaning::Number(field, _) = qualifier.meaning else {
        return None;
    };
    let of_field = |(column, of)| (of == field).then_some(column);
    Column::ALL.into_iter().find_map(of_field)
}

/// Counts what the query finds.
///
/// # Errors
/// Those of the index and of the ledger; [`indelible_store::Kind::Invalid`] where there would be
/// more than [`BARS_MAX`] bars.
pub fn count(source: Source<'_>, query: &Query, wanted: &Counting) -> Result<Counts> {
    let as_of = match query.as_of {
        Some(mark) => mark,
        None => source.index.mark()?,
    };
    let query = Query {
        as_of: Some(as_of),
        ..query.clone()
    };
    let first = source.index.tally(
        &query,
        &Tally {
            columns: wanted.columns.clone(),
            ..Tally::default()
        },
    )?;
    let mut counts = if first.exact {
        by_index(source, &query, wanted, first)?
    } else {
        bodies::count(source, &query, wanted, first.total)?
    };
    counts.as_of = as_of;
    let unread = source.index.unread(&query)?.into_iter();
    counts.damaged.extend(unread.map(Damage::of));
    Ok(counts)
}

fn by_index(
    source: Source<'_>,
    query: &Query,
    wanted: &Counting,
    first: Tallied,
) -> Result<Counts> {
    let bars = drawn(wanted, first.span)?;
    let borders = match (&bars, first.span) {
        (Some(bars), Some((from, to))) => bars.borders(from, to)?,
        _ => Vec::new(),
    };
    let numbers = match first.numbers {
        Some(numbers) => numbers.into_iter().map(|n| (n, CountedBy::Index)).collect(),
        None => bodies::numbers(source, query, &wanted.columns, first.total)?,
    };
    let mut counts = Counts {
        total: first.total,
        by: CountedBy::Index,
        facets: Vec::new(),
        bars: Vec::new(),
        bars_end: borders.last().copied(),
        every: bars.map(|bars| bars.every),
        numbers,
        damaged: Vec::new(),
        as_of: 0,
    };
    let (facets, bars) = sample::count(source, query, (wanted, first.total), &borders)?;
    let mut by_terms = facets.into_iter();
    for facet in &wanted.facets {
        counts.facets.extend(match facet.key() {
            Some(_) => by_terms.next(),
            None => Some(tenants::count(source, query, (wanted.top, first.total))?),
        });
    }
    counts.bars = borders.into_iter().zip(bars).collect();
    Ok(counts)
}

/// The bars that are drawn of what happened in this span.
fn drawn(wanted: &Counting, span: Option<(Micros, Micros)>) -> Result<Option<Bars>> {
    match &wanted.bars {
        Some(asked) => asked.bars(span),
        None => Ok(None),
    }
}

impl FacetCounts {
    /// Of all values that were counted the most frequent ones; `rest` is how many records may have
    /// values that were not. How many have none of these is left to the caller.
    fn top(mut values: Vec<ValueCount>, top: usize, rest: u64) -> Self {
        values.retain(|value| value.count > 0);
        values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        let distinct = values.len() as u64;
        values.truncate(top);
        let least = values.last().map_or(0, |value| value.count);
        Self {
            values,
            distinct,
            more: rest > 0,
            other: 0,
            complete: rest <= least && (rest == 0 || distinct >= top as u64),
            closed: false,
        }
    }
}
