//! Facets and bars by the index: which values there are is read from some bodies, how many records
//! have each is counted in the index.
//!
//! Terms are filed as hashes, so an index does not know values. The next bodies that are read are
//! those of records that have none of the values known so far, until there are none of these, or
//! none with a value, or it was tried often enough.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use indelible_event::ids::{Micros, TenantId};
use indelible_event::{EventView, LeafView};
use indelible_store::{Direction, Expr, Finder, Group, Order, Query, Result, Tally};

use super::facet::{Facet, Value, Ways};
use super::{Counting, FacetCounts, Source, ValueCount};
use crate::page::{PageLimit, Row, page};
use crate::resolve::{FINDS_MAX, search_names};

/// Bodies that are read at a time.
const BODIES: usize = 512;
/// How often others are read.
const ROUNDS: usize = 4;
/// Values of one facet that are counted.
const VALUES_MAX: usize = 512;

/// What is known of a facet.
struct Known<'a> {
    facet: Facet,
    /// How a value that was met in one tenant is found in all of them, where that can be said.
    everywhere: Option<(&'a dyn Finder, &'a [TenantId])>,
    values: BTreeMap<String, Ways>,
    /// What the index counts of the values, in their order.
    counted: Group,
    /// How much was known when that was counted.
    counted_at: usize,
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
        .map(|facet| Known::new(*facet, source.finder, query.tenants.as_deref()))
        .collect();
    if !known.is_empty() {
        for direction in [Direction::NewestFirst, Direction::OldestFirst] {
            let rows = read(source, query, query.expr.clone(), direction)?.0;
            for row in &rows {
                learn(source, row, &mut known)?;
            }
        }
    }
    if borders.is_empty() && known.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let bars = recount(source, query, known.iter_mut().collect(), borders)?;
    for _ in 0..ROUNDS {
        for at in 0..known.len() {
            look_further(source, query, &mut known, at)?;
        }
        // What is read for one facet may tell of another.
        let stale: Vec<_> = known.iter_mut().filter(|known| known.is_stale()).collect();
        if stale.is_empty() {
            break;
        }
        recount(source, query, stale, &[])?;
    }
    let facets = known.into_iter().map(|known| known.finish(wanted.top));
    Ok((facets.collect(), bars))
}

/// Counts the values of these facets, and the bars.
fn recount(
    source: Source<'_>,
    query: &Query,
    known: Vec<&mut Known<'_>>,
    borders: &[Micros],
) -> Result<Vec<u64>> {
    let wanted = Tally {
        borders: borders.to_vec(),
        groups: known.iter().map(|known| known.group()).collect(),
        columns: Vec::new(),
    };
    let tallied = source.index.tally(query, &wanted)?;
    for (known, group) in known.into_iter().zip(tallied.groups) {
        known.counted_at = known.size();
        known.counted = group;
    }
    Ok(tallied.bars)
}

/// Reads records that have none of the known values of a facet.
fn look_further(
    source: Source<'_>,
    query: &Query,
    known: &mut [Known<'_>],
    at: usize,
) -> Result<()> {
    let Some(this) = known.get(at).filter(|this| this.wants_more()) else {
        return Ok(());
    };
    let others = Expr::Not(Box::new(Expr::Or(this.group())));
    let others = Expr::And(vec![query.expr.clone(), others]);
    let (rows, whole) = read(source, query, others, Direction::NewestFirst)?;
    let before = this.size();
    for row in &rows {
        learn(source, row, known)?;
    }
    if let Some(this) = known.get_mut(at) {
        this.no_more = whole && this.size() == before;
    }
    Ok(())
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

fn learn(source: Source<'_>, row: &Row, known: &mut [Known<'_>]) -> Result<()> {
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
            known.meet(value);
        }
    }
    Ok(())
}

impl<'a> Known<'a> {
    fn new(facet: Facet, finder: Option<&'a dyn Finder>, tenants: Option<&'a [TenantId]>) -> Self {
        let tenants = tenants.unwrap_or_default();
        let finds = search_names(facet.key).len() * tenants.len() * VALUES_MAX;
        let finder = finder.filter(|_| facet.may_be_sealed() && finds <= FINDS_MAX);
        Self {
            facet,
            everywhere: finder.map(|finder| (finder, tenants)),
            values: BTreeMap::new(),
            counted: Group::default(),
            counted_at: 0,
            no_more: false,
            closed: false,
        }
    }

    fn meet(&mut self, value: Value) {
        let is_full = self.values.len() >= VALUES_MAX;
        let ways = match self.values.entry(value.text) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if is_full => return,
            Entry::Vacant(place) => {
                let what = (self.facet, place.key().as_str());
                let everywhere = self.everywhere;
                let all =
                    everywhere.map(|(finder, tenants)| Ways::everywhere(what, finder, tenants));
                place.insert(all.unwrap_or_default())
            }
        };
        ways.add(value.find);
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

    /// Whether more is known than was counted.
    fn is_stale(&self) -> bool {
        self.size() != self.counted_at
    }

    fn wants_more(&self) -> bool {
        self.counted.none > 0 && !self.no_more && self.values.len() < VALUES_MAX
    }

    fn finish(self, top: usize) -> FacetCounts {
        let values = self.values.into_iter().zip(self.counted.counts);
        let values = values.map(|((value, ways), count)| ValueCount {
            value,
            sealed: ways.is_sealed,
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
