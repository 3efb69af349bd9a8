//! Searching all parts for a page of hits in the query's order.
//!
//! Every part is asked for the rows that may match; times, tenants, order and mark are exact. A
//! page in the order of time stops as soon as no part, and in it no chunk of rows, can beat its
//! last row.

mod eval;
mod filter;
mod marks;
pub(crate) mod tally;
mod top;

use std::ops::Range;

use indelible_event::ids::TenantId;
use indelible_store::{Direction, Expr, Hits, Order, Place, Query, Result};
use roaring::RoaringBitmap;

use self::eval::{Rows, eval};
use self::filter::Filter;
use self::top::Top;
use crate::hashing::Hashing;
use crate::part::{Part, PartRef, View};
use crate::segment::column::CHUNK_ROWS;

/// So many tenants' rows are put together; those of more are told apart one by one.
const TENANTS_MAX: usize = 16;

/// A search of a view.
pub(crate) struct Search<'a> {
    pub(crate) view: &'a View,
    pub(crate) hashing: &'a Hashing,
    pub(crate) query: &'a Query,
    pub(crate) after: Option<&'a Place>,
    pub(crate) limit: usize,
}

impl Search<'_> {
    /// The page; `tenants` are all there are, in order.
    pub(crate) fn run(&self, tenants: &[TenantId]) -> Result<Hits> {
        if self.limit == 0 || self.query.occurred.is_empty() || self.query.ingested.is_empty() {
            return Ok(Hits {
                hits: Vec::new(),
                exhausted: self.limit > 0,
            });
        }
        let mut hits = match self.query.order {
            Order::Time => self.by_time()?,
            Order::Sequence => self.by_sequence(tenants)?,
        };
        let exhausted = hits.len() <= self.limit;
        hits.truncate(self.limit);
        // In files that somebody put together a record may stand twice, or out of its order.
        hits.dedup_by(|hit, before| !self.query.compare(before, hit).is_lt());
        Ok(Hits { hits, exhausted })
    }

    fn newest_first(&self) -> bool {
        self.query.direction == Direction::NewestFirst
    }

    /// The best time in (smallest, largest), for the direction.
    fn best(&self, (min, max): (i64, i64)) -> i64 {
        if self.newest_first() { max } else { min }
    }

    /// Smallest and largest time of the rows of a part that the query may want.
    fn span(&self, part: &dyn Part) -> Result<Option<(i64, i64)>> {
        let directory = part.directory()?;
        let wanted = directory
            .tenants
            .iter()
            .filter(|t| self.query.wants_tenant(&t.tenant));
        let span = wanted
            .map(|t| t.occurred)
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        Ok(span.filter(|span| self.overlaps(*span)))
    }

    /// Whether the query, and the page's start, let anything of this span of times in.
    fn overlaps(&self, (min, max): (i64, i64)) -> bool {
        let wanted = &self.query.occurred;
        let inside = max >= wanted.start.0 && min < wanted.end.0;
        let ahead = self.after.is_none_or(|after| {
            if self.newest_first() {
                min <= after.occurred_at.0
            } else {
                max >= after.occurred_at.0
            }
        });
        inside && ahead
    }

    fn by_time(&self) -> Result<Vec<Place>> {
        let mut parts: Vec<(i64, &PartRef)> = Vec::with_capacity(self.view.parts.len());
        for part in &self.view.parts {
            // What the manifest says of a segment saves opening it.
            let outside = matches!(part, PartRef::Segment(s) if !self.overlaps(s.facts.occurred));
            if !outside && let Some(span) = part.with(|part| self.span(part))? {
                parts.push((self.best(span), part));
            }
        }
        parts.sort_by_key(|(best, _)| *best);
        if self.newest_first() {
            parts.reverse();
        }
        let mut top = Top::new(self.limit + 1, self.query.direction);
        for (best, part) in parts {
            if !top.may_enter(best) {
                break;
            }
            part.with(|part| self.part_by_time(part, &mut top))?;
        }
        Ok(top.into_sorted())
    }

    fn part_by_time(&self, part: &dyn Part, top: &mut Top) -> Result<()> {
        let Some(mut filter) = Filter::new(part, self.query)? else {
            return Ok(());
        };
        let (rows, _) = eval(part, self.hashing, &self.query.expr)?;
        let rows = rows.and(self.rows_of_tenants(part)?);
        if rows.is_empty() {
            return Ok(());
        }
        for (best, chunk) in self.chunks(part, &rows)? {
            if !top.may_enter(best) {
                break;
            }
            let first = crate::bytes::to_u32(chunk * CHUNK_ROWS);
            let range = first..filter.rows().min(first + crate::bytes::to_u32(CHUNK_ROWS));
            let mut take = |row: u32| -> Result<()> {
                let occurred = filter.occurred(row)?;
                if top.may_enter(occurred)
                    && let Some(place) = filter.place(row, occurred)?
                    && self
                        .after
                        .is_none_or(|after| self.query.compare(after, &place).is_lt())
                {
                    top.push(place);
                }
                Ok(())
            };
            match &rows {
                Rows::All => range.into_iter().try_for_each(&mut take)?,
                Rows::Some(rows) => rows.range(range).try_for_each(&mut take)?,
            }
        }
        Ok(())
    }

    /// The rows of the tenants that are asked for; without it a term that is frequent with others
    /// would be looked at row by row.
    fn rows_of_tenants(&self, part: &dyn Part) -> Result<Rows> {
        let tenants = match &self.query.tenants {
            Some(tenants) if tenants.len() <= TENANTS_MAX => tenants,
            _ => return Ok(Rows::All),
        };
        let directory = part.directory()?;
        let mut rows = RoaringBitmap::new();
        for number in tenants.iter().filter_map(|tenant| directory.find(tenant)) {
            for (run, _) in directory.rows_between(number, 0..u64::MAX) {
                rows.insert_range(run);
            }
        }
        Ok(Rows::Some(rows))
    }

    /// The chunks that hold rows of `rows`, best time first.
    fn chunks(&self, part: &dyn Part, rows: &Rows) -> Result<Vec<(i64, usize)>> {
        let count = (part.directory()?.rows as usize).div_ceil(CHUNK_ROWS);
        let mut numbers: Vec<usize> = match rows {
            Rows::Some(rows) if rows.len() < count as u64 => {
                rows.iter().map(|row| row as usize / CHUNK_ROWS).collect()
            }
            _ => (0..count).collect(),
        };
        numbers.dedup();
        let mut chunks = Vec::with_capacity(numbers.len());
        for number in numbers {
            let zone = part.zone(number)?;
            if self.overlaps(zone) {
                chunks.push((self.best(zone), number));
            }
        }
        chunks.sort_unstable();
        if self.newest_first() {
            chunks.reverse();
        }
        Ok(chunks)
    }

    fn by_sequence(&self, tenants: &[TenantId]) -> Result<Vec<Place>> {
        let mut hits = Vec::new();
        let mut found: Vec<Option<Rows>> = vec![None; self.view.parts.len()];
        let newest = self.newest_first();
        let ordered: Box<dyn Iterator<Item = &TenantId>> = if newest {
            Box::new(tenants.iter().rev())
        } else {
            Box::new(tenants.iter())
        };
        let (numbers, rest) = numbered(&self.query.expr);
        for tenant in ordered.filter(|tenant| self.query.wants_tenant(tenant)) {
            let mut range = numbers.clone();
            if let Some(after) = self.after {
                let order = tenant.cmp(&after.tenant);
                if order == std::cmp::Ordering::Equal {
                    let at = after.sequence_number;
                    if newest {
                        range.end = range.end.min(at);
                    } else {
                        range.start = range.start.max(at.saturating_add(1));
                    }
                } else if order.is_gt() == newest {
                    continue;
                }
            }
            let (count, log) = (self.view.parts.len(), (tenant, range));
            for step in 0..count {
                let at = if newest { count - 1 - step } else { step };
                if let (Some(part), Some(found)) = (self.view.parts.get(at), found.get_mut(at)) {
                    part.with(|part| self.part_of(part, (&log, &rest), found, &mut hits))?;
                }
                if hits.len() > self.limit {
                    return Ok(hits);
                }
            }
        }
        Ok(hits)
    }

    /// Adds the hits of a part in one tenant's log that fit the condition, in order, up to one over
    /// the limit.
    fn part_of(
        &self,
        part: &dyn Part,
        (log, expr): (&(&TenantId, Range<u64>), &Expr),
        found: &mut Option<Rows>,
        hits: &mut Vec<Place>,
    ) -> Result<()> {
        let (tenant, range) = log;
        let directory = part.directory()?;
        let Some(number) = directory.find(tenant) else {
            return Ok(());
        };
        let mut runs: Vec<_> = directory.rows_between(number, range.clone()).collect();
        if runs.is_empty() {
            return Ok(());
        }
        let Some(mut filter) = Filter::new(part, self.query)? else {
            return Ok(());
        };
        if found.is_none() {
            *found = Some(eval(part, self.hashing, expr)?.0);
        }
        let Some(rows) = found else {
            return Ok(());
        };
        let mut take = |row: u32| -> Result<bool> {
            let occurred = filter.occurred(row)?;
            hits.extend(filter.place(row, occurred)?);
            Ok(hits.len() > self.limit)
        };
        if self.newest_first() {
            runs.reverse();
        }
        for (run, _) in runs {
            let wanted: Box<dyn Iterator<Item = u32>> = match (&*rows, self.newest_first()) {
                (Rows::All, false) => Box::new(run),
                (Rows::All, true) => Box::new(run.rev()),
                (Rows::Some(rows), false) => Box::new(rows.range(run)),
                (Rows::Some(rows), true) => Box::new(rows.range(run).rev()),
            };
            for row in wanted {
                if take(row)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The sequence numbers that a condition leaves, and what it asks beside them.
fn numbered(expr: &Expr) -> (Range<u64>, Expr) {
    match expr {
        Expr::Sequence(range) => (range.clone(), Expr::All),
        Expr::And(all) => {
            let (mut range, mut rest) = (0..u64::MAX, Vec::with_capacity(all.len()));
            for inner in all {
                let (these, inner) = numbered(inner);
                range = range.start.max(these.start)..range.end.min(these.end);
                rest.push(inner);
            }
            (range, Expr::And(rest))
        }
        _ => (0..u64::MAX, expr.clone()),
    }
}
