//! Counting what a query finds: from postings and columns, without a body.
//!
//! Exact where terms and places decide; where bodies do it says that it is not, and counts only how
//! many would have to be read. Whole chunks of rows are counted by their least and greatest time.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use indelible_event::ids::Micros;
use indelible_store::{Column, Expr, Query, Result, Spread, Tallied, Tally};
use roaring::RoaringBitmap;

use super::eval::{Rows, eval, hash_of};
use super::filter::Filter;
use super::marks::{Among, Marks};
use crate::bytes::to_u32;
use crate::hashing::Hashing;
use crate::part::{Part, PartRef, View};
use crate::segment::column::CHUNK_ROWS;
use crate::segment::postings::Filed;

/// A count over a view.
pub(crate) struct Counting<'a> {
    pub(crate) view: &'a View,
    pub(crate) hashing: &'a Hashing,
    pub(crate) query: &'a Query,
    pub(crate) wanted: &'a Tally,
    /// Rows of segments from which on two threads count.
    pub(crate) shared_rows: u64,
}

/// Rows of a part that are counted.
struct Counted<'a> {
    part: &'a dyn Part,
    filter: Filter<'a>,
    rows: RoaringBitmap,
}

impl Counting<'_> {
    /// Counts.
    pub(crate) fn run(&self) -> Result<Tallied> {
        let ever = !self.query.occurred.is_empty() && !self.query.ingested.is_empty();
        // What the manifest says of a segment saves opening it.
        let outside = |part: &&PartRef| match part {
            PartRef::Segment(segment) => !self.overlaps(segment.facts.occurred),
            PartRef::Tail(_) => false,
        };
        let parts = self.view.parts.iter().filter(|part| ever && !outside(part));
        let parts: Vec<&PartRef> = parts.collect();
        let next = AtomicUsize::new(0);
        let count = || {
            let mut tallied = self.wanted.begin();
            while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                part.with(|part| self.part(part, &mut tallied))?;
            }
            Ok(tallied)
        };
        if !self.is_large(&parts) {
            return count();
        }
        let (own, other) = std::thread::scope(|scope| {
            let other = scope.spawn(count);
            (count(), other.join())
        });
        let mut tallied = own?;
        tallied.add(&other.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        Ok(tallied)
    }

    /// Whether it pays to count in two threads.
    fn is_large(&self, parts: &[&PartRef]) -> bool {
        let rows = |part: &&PartRef| match part {
            PartRef::Segment(segment) => segment.facts.range().end - segment.facts.first,
            PartRef::Tail(_) => 0,
        };
        let counts = !(self.wanted.groups.is_empty() && self.wanted.columns.is_empty());
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        counts && parts.iter().map(rows).sum::<u64>() >= self.shared_rows && cores() > 1
    }

    fn overlaps(&self, (min, max): (i64, i64)) -> bool {
        let wanted = &self.query.occurred;
        max >= wanted.start.0 && min < wanted.end.0
    }

    fn is_within(&self, (min, max): (i64, i64)) -> bool {
        let wanted = &self.query.occurred;
        min >= wanted.start.0 && max < wanted.end.0
    }

    fn part(&self, part: &dyn Part, tallied: &mut Tallied) -> Result<()> {
        let Some(filter) = Filter::new(part, self.query)? else {
            return Ok(());
        };
        let (rows, exact) = eval(part, self.hashing, &self.query.expr)?;
        if rows.is_empty() {
            return Ok(());
        }
        tallied.exact &= exact && part.unfiled().is_none();
        let rows = rows_of(part, &filter, rows)?;
        let mut counted = Counted { part, filter, rows };
        self.leave_out(&mut counted)?;
        tallied.total += counted.rows.len();
        if counted.rows.is_empty() || !tallied.exact {
            return Ok(());
        }
        self.times(&mut counted, tallied)?;
        self.groups(&counted, tallied)?;
        let numbers = tallied.numbers.iter_mut().flatten();
        for (column, spread) in self.wanted.columns.iter().zip(numbers) {
            counted.numbers(*column, spread)?;
        }
        Ok(())
    }

    /// Counts for how many rows each condition of the groups holds, and for how many none does.
    fn groups(&self, counted: &Counted<'_>, tallied: &mut Tallied) -> Result<()> {
        let wanted = self.wanted.groups.iter().zip(&mut tallied.groups);
        let mut among = Among::new(&counted.rows, counted.filter.rows());
        let mut exact = true;
        for (group, of) in wanted {
            let mut few = Marks::none(counted.filter.rows());
            let mut many = RoaringBitmap::new();
            for (expr, count) in group.iter().zip(&mut of.counts) {
                // What is filed as few rows is gone through once, and never made a set.
                match self.filed(counted.part, expr)? {
                    Some(Filed::Few(rows)) => {
                        among.expect(rows.len());
                        for row in rows.into_iter().filter(|row| among.has(*row)) {
                            few.mark(row);
                            *count += 1;
                        }
                    }
                    Some(Filed::Many(rows)) => {
                        let rows = rows & &counted.rows;
                        *count += rows.len();
                        many |= rows;
                    }
                    None => {
                        let (rows, sure) = self.holding(counted, expr)?;
                        *count += rows.len();
                        exact &= sure;
                        many |= rows;
                    }
                }
            }
            many |= few.set();
            of.none += counted.rows.len() - many.len();
        }
        tallied.exact &= exact;
        Ok(())
    }

    /// The rows of a condition that is a term, in a part that has filed all of its rows.
    fn filed(&self, part: &dyn Part, expr: &Expr) -> Result<Option<Filed>> {
        let Expr::Is(key, text) = expr else {
            return Ok(None);
        };
        let hash = hash_of(self.hashing, *key, text).filter(|_| part.unfiled().is_none());
        hash.map(|hash| part.filed(hash)).transpose()
    }

    /// The counted rows that a condition of a group holds for, and whether it does for all.
    fn holding(&self, counted: &Counted<'_>, expr: &Expr) -> Result<(RoaringBitmap, bool)> {
        let (rows, sure) = eval(counted.part, self.hashing, expr)?;
        Ok(match rows {
            Rows::All => (counted.rows.clone(), sure),
            Rows::Some(rows) => (rows & &counted.rows, sure),
        })
    }

    /// Takes out the rows that happened at other times, or were committed at others.
    fn leave_out(&self, counted: &mut Counted<'_>) -> Result<()> {
        let ever = Query::default().occurred;
        if self.query.occurred == ever && counted.filter.sees_all() {
            return Ok(());
        }
        let sees_all = counted.filter.sees_all();
        let mut others = RoaringBitmap::new();
        for (chunk, range) in counted.chunks() {
            let zone = counted.part.zone(chunk)?;
            if !self.overlaps(zone) {
                others.insert_range(range);
                continue;
            }
            let within = self.is_within(zone);
            if within && sees_all {
                continue;
            }
            for row in counted.rows.range(range) {
                let happened = within || {
                    let at = counted.filter.occurred(row)?;
                    self.query.occurred.contains(&Micros(at))
                };
                if !happened || !counted.filter.is_seen(row)? {
                    others.insert(row);
                }
            }
        }
        counted.rows -= others;
        Ok(())
    }

    /// Counts the rows into bars, and widens the span to them.
    fn times(&self, counted: &mut Counted<'_>, tallied: &mut Tallied) -> Result<()> {
        // Rows next to each other whose times are in one bar are counted at once.
        let mut run = (None, 0..0);
        for (chunk, range) in counted.chunks() {
            let (min, max) = counted.part.zone(chunk)?;
            let spanned = |span: (Micros, Micros)| span.0.0 <= min && max <= span.1.0;
            let mut spans = tallied.span.is_some_and(spanned);
            if !spans && counted.has_all(range.clone()) {
                tallied.reach(Micros(min), Micros(max));
                spans = true;
            }
            let (first, last) = (Micros(min), Micros(max));
            if spans && self.is_one_bar(first, last) {
                let bar = self.wanted.bar(first);
                if run.0 != bar || run.1.end != range.start {
                    counted.count(&run, tallied);
                    run = (bar, range.start..range.start);
                }
                run.1.end = range.end;
                continue;
            }
            let mut last = None;
            for row in counted.rows.range(range) {
                let at = Micros(counted.filter.occurred(row)?);
                tallied.reach(at, at);
                // Rows are mostly in the order of their times.
                let bar = last.filter(|bar| self.is_in(*bar, at));
                last = bar.or_else(|| self.wanted.bar(at));
                if let Some(bar) = last.and_then(|bar| tallied.bars.get_mut(bar)) {
                    *bar += 1;
                }
            }
        }
        counted.count(&run, tallied);
        Ok(())
    }

    /// Whether all times of a span are in one bar, or none of them is in any.
    fn is_one_bar(&self, min: Micros, max: Micros) -> bool {
        let borders = &self.wanted.borders;
        let (bar, at) = (self.wanted.bar(min), self.wanted.bar(max));
        let beside = borders.first().is_none_or(|first| max < *first)
            || borders.last().is_none_or(|last| min >= *last);
        bar == at && (bar.is_some() || beside)
    }

    fn is_in(&self, bar: usize, at: Micros) -> bool {
        match self.wanted.borders.get(bar..bar + 2) {
            Some([from, to]) => *from <= at && at < *to,
            _ => false,
        }
    }
}

/// Those of the rows that are of tenants that are asked for, and can be read.
fn rows_of(part: &dyn Part, filter: &Filter<'_>, rows: Rows) -> Result<RoaringBitmap> {
    let directory = part.directory()?;
    let holes = directory.holes();
    let mut of_tenants = RoaringBitmap::new();
    if filter.tenants().iter().all(|wanted| *wanted) {
        of_tenants.insert_range(0..directory.rows);
    } else {
        for (number, wanted) in (0_u32..).zip(filter.tenants()) {
            let runs = directory.rows_between(number, 0..u64::MAX);
            for (run, _) in runs.filter(|_| *wanted) {
                of_tenants.insert_range(run);
            }
        }
    }
    if !holes.is_empty() {
        of_tenants -= holes;
    }
    Ok(match rows {
        Rows::All => of_tenants,
        Rows::Some(rows) => rows & of_tenants,
    })
}

impl Counted<'_> {
    /// Whether all rows of the range are counted.
    fn has_all(&self, range: Range<u32>) -> bool {
        self.rows.contains_range(range)
    }

    /// Counts the rows of a range into their bar, if they are in one.
    fn count(&self, (bar, range): &(Option<usize>, Range<u32>), tallied: &mut Tallied) {
        if let Some(bar) = bar.and_then(|bar| tallied.bars.get_mut(bar)) {
            *bar += self.rows.range_cardinality(range.clone());
        }
    }

    /// The chunks that hold counted rows, with the rows they have.
    fn chunks(&self) -> Vec<(usize, Range<u32>)> {
        let mut chunks: Vec<(usize, Range<u32>)> = Vec::new();
        let mut next = self.rows.min();
        while let Some(row) = next {
            let chunk = row as usize / CHUNK_ROWS;
            let first = to_u32(chunk * CHUNK_ROWS);
            let end = first.saturating_add(to_u32(CHUNK_ROWS));
            chunks.push((chunk, first..end.min(self.filter.rows())));
            next = self.rows.range(end..).next();
        }
        chunks
    }

    fn numbers(&self, column: Column, spread: &mut Spread) -> Result<()> {
        if self.rows.len() == u64::from(self.filter.rows()) {
            return self.part.numbers(column, &mut |_, value| spread.add(value));
        }
        // Both are in order.
        let mut rows = self.rows.iter().peekable();
        self.part.numbers(column, &mut |row, value| {
            while rows.next_if(|counted| *counted < row).is_some() {}
            if rows.next_if_eq(&row).is_some() {
                spread.add(value);
            }
        })
    }
}
