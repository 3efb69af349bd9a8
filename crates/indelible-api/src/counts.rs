//! Counts of what a query finds. Not evidence: where an index counted, it says so.

use serde::{Deserialize, Serialize};

use crate::Unreadable;

/// An answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// How many records match; of those looked at, where these are not all.
    pub total: u64,
    /// Who counted.
    pub counted: Counted,
    /// For each facet its values.
    pub facets: Vec<Facet>,
    /// The histogram, if one was asked for; null too where bars that fit would be too many.
    pub histogram: Option<Histogram>,
    /// For each column its numbers.
    pub stats: Vec<Stat>,
    /// The mark of the index that all of it is as of. Null for a key that is bound.
    pub indexed_up_to: Option<u64>,
    /// Records that the answer may lack because they cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// Tenants whose personal values were not searched, since their keys are not at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsearched: Vec<String>,
}

/// Who counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// From what.
    pub by: CountedBy,
    /// Whether all records that may match were counted, could be read and were searched; otherwise
    /// counts are those of `looked_at` of `of` records, or lack what is `unreadable`, or are about
    /// right where sealed values are `unsearched`.
    pub exact: bool,
    /// Records whose bodies were looked at, where these are not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<u64>,
    /// Of so many that may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// From what it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedBy {
    /// From the index.
    #[default]
    Index,
    /// From the records themselves.
    Records,
}

/// How often which values are there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Facet {
    /// The qualifier.
    pub name: String,
    /// The most frequent values; each count is what the query finds with the value beside it.
    pub values: Vec<FacetValue>,
    /// How many values were counted.
    pub distinct: u64,
    /// Whether there may be more values than these: `distinct` is the least that there are.
    pub more: bool,
    /// Records with none of the values named here: another one, or none at all.
    pub other: u64,
    /// Whether no other value can be as frequent as those named.
    pub complete: bool,
    /// Whether there are personal values that stay closed; their records are among the others.
    pub closed: bool,
}

/// One value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FacetValue {
    /// The value, in lower case as it is compared.
    pub value: String,
    /// In how many records.
    pub count: u64,
    /// Whether it is a personal one that was opened.
    pub sealed: bool,
}

/// Counts over time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// How long a bar is.
    pub every: String,
    /// The zone whose days these are.
    pub zone: String,
    /// From the first that has a record to the last, those without records too.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Bar {
    /// Its first moment.
    pub from: String,
    /// The first moment after it.
    pub until: String,
    /// How many records happened in it.
    pub count: u64,
}

/// Numbers of a column, as doubles.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stat {
    /// The qualifier.
    pub name: String,
    /// How many records have the number.
    pub records: u64,
    /// What they come to.
    pub sum: f64,
    /// The least; null when no record has one.
    pub least: Option<f64>,
    /// The greatest.
    pub greatest: Option<f64>,
    /// The number that half of them do not exceed.
    pub p50: Option<f64>,
    /// The number that 90 of 100 do not exceed.
    pub p90: Option<f64>,
    /// The number that 95 of 100 do not exceed.
    pub p95: Option<f64>,
    /// The number that 99 of 100 do not exceed.
    pub p99: Option<f64>,
    /// Whether the percentiles are up to 0.4 % too near to zero, as they are of very many different
    /// numbers.
    pub near: bool,
    /// Who counted these.
    pub counted: Counted,
}
