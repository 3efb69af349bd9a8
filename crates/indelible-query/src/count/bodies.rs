//! Counting where bodies decide: each that may match is read, checked and counted, up to a bound.
//!
//! Within the bound in the order they lie in, which is the fastest; beyond it the newest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use indelible_event::ids::{Micros, TenantId};
use indelible_event::{EventView, LeafView};
use indelible_store::{
    Column, Direction, Expr, Order, Place, Query, Result, SealedValue, Spread, Stored,
    StoredRecord, Terms, terms,
};

use super::{
    Bars, CountedBy, Counting, Counts, Every, FacetCounts, Length, OpenedValue, Source, ValueCount,
};
use crate::checking::Checking;
use crate::page::{Damage, Lost, runs};

/// Hits whose bodies are read at a time.
const HITS: usize = 8_192;
/// Values of one facet that are told apart.
const VALUES_MAX: usize = 10_000;
/// Damaged places that are told.
const DAMAGED_MAX: usize = 100;

/// How often a value was met.
#[derive(Default)]
struct Met {
    count: u64,
    /// Whether it is the value of the facet somewhere, and not only what else is filed.
    is_value: bool,
    sealed: bool,
}

/// A bar: where it starts, where it ends, and how many.
type Drawn = (Micros, Micros, u64);

/// A facet being counted.
#[derive(Default)]
struct Values {
    met: HashMap<String, Met>,
    other: u64,
    /// Of these, those that have a value, of which there are too many, or one that stays closed.
    rest: u64,
    closed: bool,
}

/// An answer being counted.
struct Walk<'a> {
    source: Source<'a>,
    wanted: &'a Counting,
    checking: Checking<'a>,
    total: u64,
    facets: Vec<Values>,
    /// In which bars is counted while it is not known which fit.
    finest: Option<Bars>,
    bars: BTreeMap<Micros, u64>,
    /// The bar of the record before.
    bar: (Micros, Micros),
    numbers: Vec<Spread>,
    damaged: Vec<Damage>,
    terms: Terms,
    columns: Vec<(Column, f64)>,
}

/// Counts; `of` is how many may match.
pub(super) fn count(
    source: Source<'_>,
    query: &Query,
    wanted: &Counting,
    of: u64,
) -> Result<Counts> {
    let mut walk = Walk::new(source, wanted, &query.expr);
    let looked_at = walk.run(query, of)?;
    let (every, bars) = walk.all_bars()?;
    let by = if looked_at < of {
        CountedBy::Some { looked_at, of }
    } else {
        CountedBy::Bodies
    };
    let facets = walk.facets.into_iter().map(|values| {
        let mut facet = values.finish(wanted.top);
        facet.complete &= looked_at >= of;
        facet
    });
    Ok(Counts {
        total: walk.total,
        by,
        facets: facets.collect(),
        every,
        bars_end: bars.last().map(|(_, end, _)| *end),
        bars: bars
            .into_iter()
            .map(|(start, _, count)| (start, count))
            .collect(),
        numbers: walk
            .numbers
            .into_iter()
            .map(|numbers| (numbers, by))
            .collect(),
        damaged: walk.damaged,
        as_of: 0,
    })
}

/// The numbers alone, of an index that keeps no columns.
pub(super) fn numbers(
    source: Source<'_>,
    query: &Query,
    columns: &[Column],
    of: u64,
) -> Result<Vec<(Spread, CountedBy)>> {
    let wanted = Counting {
        columns: columns.to_vec(),
        ..Counting::default()
    };
    Ok(count(source, query, &wanted, of)?.numbers)
}

impl<'a> Walk<'a> {
    fn new(source: Source<'a>, wanted: &'a Counting, expr: &'a Expr) -> Self {
        Self {
            source,
            wanted,
            checking: Checking::new(expr),
            total: 0,
            facets: wanted.facets.iter().map(|_| Values::default()).collect(),
            finest: finest(wanted),
            bars: BTreeMap::new(),
            bar: (Micros(0), Micros(0)),
            numbers: vec![Spread::default(); wanted.columns.len()],
            damaged: Vec::new(),
            terms: Terms::default(),
            columns: Vec::new(),
        }
    }

    /// Walks; how many records it looked at.
    fn run(&mut self, query: &Query, of: u64) -> Result<u64> {
        let (order, direction) = if of > self.source.bodies_max {
            (Order::Time, Direction::NewestFirst)
        } else {
            (Order::Sequence, Direction::OldestFirst)
        };
        let query = Query {
            order,
            direction,
            ..query.clone()
        };
        let (mut looked_at, mut after) = (0, None::<Place>);
        while looked_at < self.source.bodies_max {
            let left = self.source.bodies_max - looked_at;
            let limit = HITS.min(usize::try_from(left).unwrap_or(HITS));
            let page = self.source.index.search(&query, after.as_ref(), limit)?;
            looked_at += page.hits.len() as u64;
            self.read(&page.hits)?;
            after = page.hits.into_iter().next_back();
            if page.exhausted || after.is_none() {
                return Ok(looked_at.max(of));
            }
        }
        Ok(looked_at)
    }

    fn read(&mut self, hits: &[Place]) -> Result<()> {
        let source = self.source;
        // Hits whose records were not met yet.
        let mut missing: HashMap<(&TenantId, u64), Micros> = hits
            .iter()
            .map(|hit| ((&hit.tenant, hit.sequence_number), hit.occurred_at))
            .collect();
        let mut result = Ok(());
        source
            .ledger
            .read_ranges(&runs(hits), &mut |tenant, stored| {
                match stored {
                    Stored::Record(record) => {
                        if let Some(at) = missing.remove(&(tenant, record.sequence_number)) {
                            result = self.meet(tenant, &record, at);
                        }
                    }
                    Stored::Damaged { range, place } => {
                        let before = missing.len();
                        missing.retain(|(of, number), _| *of != tenant || !range.contains(number));
                        if missing.len() < before {
                            self.damage(tenant, range, place.to_string());
                        }
                    }
                }
                match result {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            })?;
        result?;
        for (tenant, number) in missing.into_keys() {
            let said = "the index names a record that the log lacks".to_owned();
            self.damage(tenant, number..number + 1, said);
        }
        Ok(())
    }

    fn damage(&mut self, tenant: &TenantId, range: std::ops::Range<u64>, place: String) {
        let log = Some((tenant.clone(), range));
        let lost = Lost::Records;
        let damage = Damage { lost, log, place };
        if self.damaged.len() < DAMAGED_MAX && !self.damaged.contains(&damage) {
            self.damaged.push(damage);
        }
    }

    fn meet(&mut self, tenant: &TenantId, record: &StoredRecord<'_>, at: Micros) -> Result<()> {
        let leaf = LeafView::locate(record.leaf).ok();
        let event = leaf.and_then(|leaf| EventView::parse(leaf.event()).ok());
        let matches = event
            .as_ref()
            .and_then(|event| self.checking.holds(record, event));
        let (Some(event), Some(matches)) = (event, matches) else {
            let number = record.sequence_number;
            let said = "the stored bytes are not a record".to_owned();
            self.damage(tenant, number..number + 1, said);
            return Ok(());
        };
        if !matches {
            return Ok(());
        }
        self.total += 1;
        self.time(at)?;
        for (column, spread) in self.wanted.columns.iter().zip(&mut self.numbers) {
            let field = Column::ALL.iter().find(|(of, _)| of == column);
            if let Some(number) = field.and_then(|(_, field)| event.number(*field)) {
                spread.add(number);
            }
        }
        if self.facets.is_empty() {
            return Ok(());
        }
        self.terms.clear();
        self.columns.clear();
        terms::extract(&event, &mut self.terms, &mut self.columns);
        let (opened, closed) = self.source.opened(tenant, record.sealed)?;
        for (facet, values) in self.wanted.facets.iter().zip(&mut self.facets) {
            let own = facet.values(&event, &opened);
            let filed = self.terms.iter().filter(|(key, _)| *key == facet.key);
            let filed: HashSet<&str> = filed.map(|(_, text)| text).collect();
            let closed = closed && own.is_empty() && facet.may_be_sealed();
            values.meet(&own, filed, closed);
        }
        Ok(())
    }

    /// Counts a time in its bar.
    fn time(&mut self, at: Micros) -> Result<()> {
        let (Some(asked), Some(bars)) = (&self.wanted.bars, &self.finest) else {
            return Ok(());
        };
        if !(self.bar.0 <= at && at < self.bar.1) {
            self.bar = bars.bar(at)?;
        }
        *self.bars.entry(self.bar.0).or_default() += 1;
        if self.bars.len() <= super::BARS_MAX {
            return Ok(());
        }
        // Of days there are no more than bodies that are looked at.
        let around = match asked.length {
            Length::Of(_) => return Err(bars.too_many()),
            Length::Fitting => bars.around(),
        };
        if let Some(around) = around {
            for (start, count) in std::mem::take(&mut self.bars) {
                *self.bars.entry(around.bar(start)?.0).or_default() += count;
            }
            self.bar = (Micros(0), Micros(0));
            self.finest = Some(around);
        }
        Ok(())
    }

    /// The bars from the first to the last, those without records too, and how long each is.
    fn all_bars(&self) -> Result<(Option<Every>, Vec<Drawn>)> {
        let ends = self.bars.first_key_value().zip(self.bars.last_key_value());
        let span = ends.map(|((first, _), (last, _))| (*first, *last));
        let bars = super::drawn(self.wanted, span)?;
        let every = bars.as_ref().map(|bars| bars.every);
        let (Some(bars), Some((first, last))) = (bars, span) else {
            return Ok((every, Vec::new()));
        };
        let borders = bars.borders(first, last)?;
        let bar = |pair: &[Micros]| match pair {
            [start, end] => {
                let counted = self.bars.range(*start..*end).map(|(_, count)| *count);
                Some((*start, *end, counted.sum()))
            }
            _ => None,
        };
        Ok((every, borders.windows(2).filter_map(bar).collect()))
    }
}

fn finest(wanted: &Counting) -> Option<Bars> {
    let asked = wanted.bars.as_ref()?;
    let every = match asked.length {
        Length::Of(every) => every,
        Length::Fitting => Every::Minute,
    };
    let zone = asked.zone.clone();
    Some(Bars { every, zone })
}

impl Values {
    fn meet(&mut self, own: &[super::facet::Value], filed: HashSet<&str>, closed: bool) {
        self.closed |= closed;
        let mut texts = filed;
        texts.extend(own.iter().map(|value| value.text.as_str()));
        let mut has_one = false;
        for text in texts {
            if self.met.len() >= VALUES_MAX && !self.met.contains_key(text) {
                continue;
            }
            let met = self.met.entry(text.to_owned()).or_default();
            met.count += 1;
            for value in own.iter().filter(|value| value.text == text) {
                met.is_value = true;
                met.sealed |= value.find.is_some();
                has_one = true;
            }
        }
        if !has_one {
            self.other += 1;
            self.rest += u64::from(closed || !own.is_empty());
        }
    }

    fn finish(self, top: usize) -> FacetCounts {
        let met = self.met.into_iter().filter(|(_, met)| met.is_value);
        let values = met.map(|(value, met)| ValueCount {
            value,
            sealed: met.sealed,
            count: met.count,
        });
        let counts = FacetCounts::top(values.collect(), top, (self.other, self.rest));
        FacetCounts {
            closed: self.closed,
            ..counts
        }
    }
}

impl Source<'_> {
    /// Personal values as far as they open, and whether some do not.
    pub(super) fn opened(
        &self,
        tenant: &TenantId,
        sealed: &[SealedValue],
    ) -> Result<(Vec<OpenedValue>, bool)> {
        let (mut opened, mut closed) = (Vec::new(), false);
        for value in sealed {
            match (self.open)(tenant, value)? {
                Some(value) => opened.push(value),
                None => closed |= !value.blob,
            }
        }
        Ok((opened, closed))
    }
}
