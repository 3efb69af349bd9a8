//! Facets and bars by the index: which values there are is read from some bodies, how many records
//! have each is counted in the index.
//!
//! Terms are filed as hashes, so an index does not know values. Read are the newest bodies, the
//! oldest, and some from all over the logs; the values met most often are counted. The next bodies
//! that are read are those of records that have none of the values known so far, until there are
//! none of these, or none with a value, or it was tried often enough.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use indelible_event::ids::{Micros, TenantId};
use indelible_event::{EventView, Field, LeafView};
use indelible_store::{
    Direction, Expr, FindHash, Finder, Group, Order, Query, Result, SealedValue, Stored,
    StoredRecord, Tally,
};

use super::facet::{Facet, Value, Ways};
use super::{Counting, FacetCounts, Source, ValueCount};
use crate::checking::Checking;
use crate::page::{PageLimit, Row, page};
use crate::resolve::{FINDS_MAX, search_names};

/// Bodies that are read at a time.
const BODIES: usize = 512;
/// So many places of the logs are looked at, and so many records there, which mostly lie together.
const SPOTS: usize = 64;
const SPOT_RECORDS: u64 = 32;
/// 2^64 over the golden ratio: multiples of it are spread evenly.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
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

/// The facets of so many records that count by terms, and the bars between the borders.
pub(super) fn count(
    source: Source<'_>,
    query: &Query,
    (wanted, total): (&Counting, u64),
    borders: &[Micros],
) -> Result<(Vec<FacetCounts>, Vec<u64>)> {
    let mut known: Vec<_> = wanted
        .facets
        .iter()
        .filter(|facet| facet.key().is_some())
        .map(|facet| Known::new(*facet, source.finder, query.tenants.as_deref()))
        .collect();
    if !known.is_empty() {
        let mut met = Met::of(source, &mut known);
        let read = |direction| read(source, query, query.expr.clone(), direction);
        let (newest, whole) = read(Direction::NewestFirst)?;
        newest.iter().try_for_each(|row| met.row(row))?;
        if !whole {
            let (oldest, _) = read(Direction::OldestFirst)?;
            oldest.iter().try_for_each(|row| met.row(row))?;
            survey(source, query, &mut met)?;
        }
        met.learn();
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
    let mut facets: Vec<_> = known
        .iter()
        .map(|known| known.finish(wanted.top, total))
        .collect();
    count_others(source, query, &known, &mut facets)?;
    Ok((facets, bars))
}

/// Counts the records that have none of the values that are named.
fn count_others(
    source: Source<'_>,
    query: &Query,
    known: &[Known<'_>],
    facets: &mut [FacetCounts],
) -> Result<()> {
    let names_all = |facet: &FacetCounts| facet.distinct == facet.values.len() as u64;
    let group = |(known, facet): (&Known<'_>, &FacetCounts)| {
        let named = facet.values.iter().filter(|_| !names_all(facet));
        let ways = named.filter_map(|value| known.values.get_key_value(&value.value));
        ways.map(|(text, ways)| ways.expr(known.facet, text))
            .collect()
    };
    let wanted = Tally {
        groups: known.iter().zip(facets.iter()).map(group).collect(),
        ..Tally::default()
    };
    let counted = if facets.iter().all(names_all) {
        Vec::new()
    } else {
        source.index.tally(query, &wanted)?.groups
    };
    for (at, (known, facet)) in known.iter().zip(facets).enumerate() {
        facet.other = match counted.get(at).filter(|_| !names_all(facet)) {
            Some(group) => group.none,
            None => known.counted.none,
        };
    }
    Ok(())
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
    let mut met = Met::of(source, known);
    rows.iter().try_for_each(|row| met.row(row))?;
    met.learn();
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

/// Looks at records all over the logs: the newest and the oldest may be unlike the others, by
/// chance or because somebody wants it so.
fn survey(source: Source<'_>, query: &Query, met: &mut Met<'_, '_, '_>) -> Result<()> {
    let tenants = match &query.tenants {
        Some(tenants) => tenants.clone(),
        None => source.ledger.tenants()?,
    };
    let heads = source.ledger.heads(&tenants).into_iter();
    let sizes = heads.map(|head| Ok(head?.map_or(0, |head| head.frontier.size())));
    let sizes = sizes.collect::<Result<Vec<u64>>>()?;
    let all: u64 = sizes.iter().sum();
    let mut spots = Vec::with_capacity(SPOTS);
    for spot in 0..SPOTS as u64 {
        // Each somewhere in its part of all records, which nobody knows beforehand who emits.
        let part = (all / SPOTS as u64).max(1);
        let scattered = (spot + 1).wrapping_mul(all | 1).wrapping_mul(SCATTER) >> 32;
        let mut at = spot * part + scattered % part;
        for (tenant, size) in tenants.iter().zip(&sizes) {
            if at < *size {
                spots.push((tenant, at..size.min(&(at + SPOT_RECORDS)).to_owned()));
                break;
            }
            at -= size;
        }
    }
    let mut checking = Checking::new(&query.expr);
    let mut result = Ok(());
    source.ledger.read_ranges(&spots, &mut |tenant, stored| {
        if let Stored::Record(record) = stored
            && matches(&mut checking, query, &record)
        {
            result = met.record(tenant, record.leaf, record.sealed);
        }
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    result
}

/// Whether a record is one that the query finds; one that cannot be read tells nothing.
fn matches(checking: &mut Checking<'_>, query: &Query, record: &StoredRecord<'_>) -> bool {
    let Some(leaf) = LeafView::locate(record.leaf).ok() else {
        return false;
    };
    let Some(event) = EventView::parse(leaf.event()).ok() else {
        return false;
    };
    let occurred = event.text(Field::OccurredAt);
    let occurred = occurred.and_then(|text| Micros::parse(&text).ok());
    occurred.is_some_and(|at| query.occurred.contains(&at))
        && checking.holds(record, &event) == Some(true)
}

/// The values of some records, and how often each was met.
struct Met<'s, 'k, 'f> {
    source: Source<'s>,
    known: &'k mut [Known<'f>],
    values: Vec<HashMap<String, Vec<Option<FindHash>>>>,
}

impl<'s, 'k, 'f> Met<'s, 'k, 'f> {
    fn of(source: Source<'s>, known: &'k mut [Known<'f>]) -> Self {
        let values = known.iter().map(|_| HashMap::new()).collect();
        Self {
            source,
            known,
            values,
        }
    }

    fn row(&mut self, row: &Row) -> Result<()> {
        self.record(&row.place.tenant, &row.leaf, &row.sealed)
    }

    fn record(&mut self, tenant: &TenantId, leaf: &[u8], sealed: &[SealedValue]) -> Result<()> {
        let leaf = LeafView::locate(leaf).ok();
        let event = leaf.as_ref();
        let event = event.and_then(|leaf| EventView::parse(leaf.event()).ok());
        let Some(event) = event else {
            return Ok(());
        };
        let (opened, closed) = self.source.opened(tenant, sealed)?;
        for (known, met) in self.known.iter_mut().zip(&mut self.values) {
            let values = known.facet.values(tenant, &event, &opened);
            known.closed |= closed && values.is_empty() && known.facet.may_be_sealed();
            for value in values {
                met.entry(value.text).or_default().push(value.find);
            }
        }
        Ok(())
    }

    /// Knows them: where there are too many those that were met most often.
    fn learn(self) {
        for (known, met) in self.known.iter_mut().zip(self.values) {
            let mut met: Vec<_> = met.into_iter().collect();
            met.sort_by(|(a, of_a), (b, of_b)| (of_b.len(), a).cmp(&(of_a.len(), b)));
            for (text, finds) in met {
                for find in finds {
                    let text = text.clone();
                    known.meet(Value { text, find });
                }
            }
        }
    }
}

impl<'a> Known<'a> {
    fn new(facet: Facet, finder: Option<&'a dyn Finder>, tenants: Option<&'a [TenantId]>) -> Self {
        let tenants = tenants.unwrap_or_default();
        let names = facet.key().map_or(&[][..], search_names);
        let finds = names.len() * tenants.len() * VALUES_MAX;
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

    fn finish(&self, top: usize, total: u64) -> FacetCounts {
        let values = self.values.iter().zip(&self.counted.counts);
        let values = values.map(|((value, ways), count)| ValueCount {
            value: value.clone(),
            sealed: ways.is_sealed,
            count: *count,
        });
        let rest = if self.no_more && !self.closed {
            0
        } else {
            self.counted.none
        };
        let counts = FacetCounts::top(values.collect(), top, rest);
        // A value hides behind others only where there is a record.
        let hides = !self.facet.is_plain() && total > 0;
        FacetCounts {
            complete: counts.complete && !hides,
            more: counts.more || hides,
            closed: self.closed,
            ..counts
        }
    }
}
