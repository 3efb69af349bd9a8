//! A facet by tenant, by the index: some logs together have no fewer records than each of them, so
//! the largest number of some is split until it is that of one.

use std::collections::BinaryHeap;
use std::ops::Range;

use indelible_event::ids::TenantId;
use indelible_store::{Query, Result, Tally};

use super::{FacetCounts, Source, ValueCount};

/// How often some are split, each of which is a question to the index.
const SPLITS_MAX: usize = 256;

/// Of so many records the most frequent tenants.
pub(super) fn count(
    source: Source<'_>,
    query: &Query,
    (top, total): (usize, u64),
) -> Result<FacetCounts> {
    let tenants = match &query.tenants {
        Some(tenants) => tenants.clone(),
        None => source.ledger.tenants()?,
    };
    let of = |some: Range<usize>| -> Result<u64> {
        let query = Query {
            tenants: tenants.get(some).map(<[TenantId]>::to_vec),
            ..query.clone()
        };
        Ok(source.index.tally(&query, &Tally::default())?.total)
    };
    let mut ones = Vec::new();
    let mut several = BinaryHeap::from([(total, 0, tenants.len())]);
    let mut splits = 0;
    while let Some((count, from, to)) = several.pop() {
        if count == 0 {
            continue;
        }
        if to - from == 1 {
            ones.push((from, count));
            continue;
        }
        if splits == SPLITS_MAX {
            several.push((count, from, to));
            break;
        }
        splits += 1;
        let middle = from.midpoint(to);
        let first = of(from..middle)?;
        several.push((first, from, middle));
        several.push((count.saturating_sub(first), middle, to));
    }
    // Nobody among those that were not told apart has more than they have together.
    let rest = several.iter().map(|(count, ..)| *count).max();
    let value = |(at, count): (usize, u64)| {
        let value = tenants.get(at)?.to_string();
        let sealed = false;
        Some(ValueCount {
            value,
            sealed,
            count,
        })
    };
    let values = ones.into_iter().filter_map(value).collect();
    let facet = FacetCounts::top(values, top, rest.unwrap_or(0));
    let named: u64 = facet.values.iter().map(|value| value.count).sum();
    Ok(FacetCounts {
        other: total.saturating_sub(named),
        ..facet
    })
}
