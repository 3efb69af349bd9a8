//! Facets and bars by the index: which values there are is read from some bodies, how many records
//! have each is counted in the index.
//!
//! Terms are filed as hashes, so an index does not know values. The next bodies that are read are
//! those of records that have none of the values known so far, until there are none of these, or
//! none with a value, or it was tried often enough.

use std::collections::BTreeMap;

use indelible_event::ids::Micros;
use indelible_event::{EventView, LeafView};
use indelible_store::{Direction, Expr, Group, Order, Query, Result, Tally};

use super::facet::{Facet, Ways};
use super::{Counting, FacetCounts, Source, ValueCount};
use crate::page::{PageLimit, Row, page};

/// Bodies that are read at a time.
const BODIES: usize = 256;
/// How often others are read.
const ROUNDS: usize = 6;
/// Values of one facet that are counted.
const VALUES_MAX: usize = 512;

/// What is known of a facet.
struct Known {
    facet: Facet,
    values: BTreeMap<String, Ways>,
    /// What the index counts of the values, in their order.
    counted: Group,
    /// Whether the records with none of the values are known to have none at all.
    no_more: bool,
    closed: bool,
}

/// The facets, and the bars between the borders.
pub(super) fn count(
    source: Source<'_>,
    query: &Query,
    wanted: &Counting,
    borders: &[Micros],
) -> Result<(Vec<FacetCounts>, Vec<u64>)> {
    let mut known: Vec<_> = wanted
        .facets
        .iter()
        .map(|facet| Known::new(*facet))
        .collect();
    if !known.is_empty() {
        for direction in [Direction::NewestFirst, Direction::OldestFirst] {
            let rows = read(source, query, query.expr.clone(), direction)?.0;
            for row in &rows {
                learn(source, row, &mut known)?;
            }
        }
    }
    let tally = |known: &[Known], borders: &[Micros]| {
        let wanted = Tally {
            borders: borders.to_vec(),
            groups: known.iter().map(Known::group).collect(),
            columns: Vec::new(),
        };
        source.index.tally(query, &wanted)
    };
    if borders.is_empty() && known.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let first = tally(&known, borders)?;
    keep(&mut known, first.groups);
    for _ in 0..ROUNDS {
        let mut learned = false;
        for at in 0..known.len() {
            learned |= look_further(source, query, &mut known, at)?;
        }
        if !learned {
            break;
        }
        let groups = tally(&known, &[])?.groups;
        keep(&mut known, groups);
    }
    let facets = known.into_iter().map(|known| known.finish(wanted.top));
    Ok((facets.collect(), first.bars))
}

fn keep(known: &mut [Known], groups: Vec<Group>) {
    for (known, group) in known.iter_mut().zip(groups) {
        known.counted = group;
    }
}

/// Reads records that have none of the known values of a facet; whether something was learned.
fn look_further(source: Source<'_>, query: &Query, known: &mut [Known], at: usize) -> Result<bool> {
    let Some(this) = known.get(at).filter(|this| this.wants_more()) else {
        return Ok(false);
    };
    let others = Expr::Not(Box::new(Expr::Or(this.group())));
    let others = Expr::And(vec![query.expr.clone(), others]);
    let (rows, whole) = read(source, query, others, Direction::NewestFirst)?;
    let before = this.size();
    for row in &rows {
        learn(source, row, known)?;
    }
    let this = known.get_mut(at);
    Ok(this.is_some_and(|this| {
        let learned = this.size() > before;
        this.no_more = whole && !learned;
        learned
    }))
}

/// Some records, and whether these are all.
fn read(
    source: Source<'_>,
    query: &Query,
    expr: Expr,
    direction: Direction,
) -> Result<(Vec<Row>, bool)> {
    let query = Query {
        expr,
        direction,
        order: Order::Time,
        ..query.clone()
    };
    let limit = PageLimit::from(BODIES);
    let page = page(source.index, source.ledger, &query, None, limit)?;
    Ok((page.rows, page.next.is_none() && page.damaged.is_empty()))
}

fn learn(source: Source<'_>, row: &Row, known: &mut [Known]) -> Result<()> {
    let leaf = LeafView::locate(&row.leaf).ok();
    let event = leaf
        .as_ref()
        .and_then(|leaf| EventView::parse(leaf.event()).ok());
    let Some(event) = event else {
        return Ok(());
    };
    let (opened, closed) = source.opened(&row.place.tenant, &row.sealed)?;
    for known in known {
        let values = known.facet.values(&event, &opened);
        known.closed |= closed && values.is_empty() && known.facet.may_be_sealed();
        for value in values {
            if known.values.len() < VALUES_MAX || known.values.contains_key(&value.text) {
                known.values.entry(value.text).or_default().add(value.find);
            }
        }
    }
    Ok(())
}

impl Known {
    fn new(facet: Facet) -> Self {
        Self {
            facet,
            values: BTreeMap::new(),
            counted: Group::default(),
            no_more: false,
            closed: false,
        }
    }

    fn group(&self) -> Vec<Expr> {
        let values = self.values.iter();
        values
            .map(|(text, ways)| ways.expr(self.facet, text))
            .collect()
    }

    /// Values, and the ways to find them.
    fn size(&self) -> usize {
        let ways = self.values.values();
        ways.map(|ways| usize::from(ways.is_clear) + ways.finds.len())
            .sum()
    }

    fn wants_more(&self) -> bool {
        self.counted.none > 0 && !self.no_more && self.values.len() < VALUES_MAX
    }

    fn finish(self, top: usize) -> FacetCounts {
        let values = self.values.into_iter().zip(self.counted.counts);
        let values = values.map(|((value, ways), count)| ValueCount {
            value,
            sealed: !ways.finds.is_empty(),
            count,
        });
        let none = self.counted.none;
        let rest = if self.no_more && !self.closed {
            0
        } else {
            none
        };
        let counts = FacetCounts::top(values.collect(), top, (none, rest));
        FacetCounts {
            complete: counts.complete && self.facet.is_plain(),
            closed: self.closed,
            ..counts
        }
    }
}
