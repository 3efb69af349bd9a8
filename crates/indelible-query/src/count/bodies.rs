//! Counting where bodies decide: each that may match is read, checked and counted, up to a bound.
//!
//! Within the bound in the order they lie in, which is the fastest; beyond it the newest. Two
//! threads look at them, half of some hits each; what matches is counted by one, in their order.

use std::collections::{BTreeMap, HashMap, HashSet};

use indelible_event::ids::{Micros, TenantId};
use indelible_event::{EventView, LeafView};
use indelible_store::{
    Column, Direction, Expr, Order, Place, Query, Result, SealedValue, Spread, Terms, terms,
};

use super::looked::{Kept, Looked, key};
use super::{
    Bars, CountedBy, Counting, Counts, Every, FacetCounts, Length, OpenedValue, Source, ValueCount,
};
use crate::page::Damage;

/// Hits whose bodies are read at a time.
const HITS: usize = 8_192;
/// The same where what matches is kept until it is counted.
const KEPT: usize = 512;
/// From so many on two threads share them.
const SHARED: usize = 128;
/// Values of one facet that are told apart.
const VALUES_MAX: usize = 10_000;
/// Damaged places that are told.
const DAMAGED_MAX: usize = 100;

/// How often a value was met.
#[derive(Default)]
struct Met {
    /// Which of the values met it is.
    number: usize,
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
    /// How many records have the same values, where these are several.
    together: HashMap<Vec<usize>, u64>,
    /// Records that have a value, of which there are too many, or one that stays closed.
    rest: u64,
    /// Whether a value was passed over.
    more: bool,
    closed: bool,
}

/// An answer being counted.
struct Walk<'a> {
    source: Source<'a>,
    wanted: &'a Counting,
    expr: &'a Expr,
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
    let total = walk.total;
    let facets = walk.facets.into_iter().map(|values| {
        let mut facet = values.finish(wanted.top, total);
        facet.complete &= looked_at >= of;
        facet.more |= looked_at < of;
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
            expr,
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
        let mut sorted: Vec<_> = hits.iter().collect();
        sorted.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let (ledger, expr) = (self.source.ledger, self.expr);
        let wanted = self.wanted;
        let keeps =
            !(wanted.facets.is_empty() && wanted.columns.is_empty() && wanted.bars.is_none());
        let at_once = if keeps { KEPT } else { HITS };
        for some in sorted.chunks(at_once) {
            let look = |hits| Looked::at(ledger, (expr, keeps), hits);
            let (first, second) = some.split_at(some.len() / 2);
            if some.len() < SHARED || !has_cores() {
                self.take(look(some)?)?;
                continue;
            }
            let (first, second) = std::thread::scope(|scope| {
                let second = scope.spawn(|| look(second));
                (look(first), second.join())
            });
            self.take(first?)?;
            self.take(second.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)?;
        }
        Ok(())
    }

    fn take(&mut self, looked: Looked<'_>) -> Result<()> {
        self.total += looked.total;
        for damage in looked.damaged {
            if self.damaged.len() < DAMAGED_MAX && !self.damaged.contains(&damage) {
                self.damaged.push(damage);
            }
        }
        looked.kept.iter().try_for_each(|kept| self.count(kept))
    }

    fn count(&mut self, kept: &Kept<'_>) -> Result<()> {
        let leaf = LeafView::locate(&kept.leaf).ok();
        let event = leaf.and_then(|leaf| EventView::parse(leaf.event()).ok());
        let Some(event) = event else {
            return Ok(());
        };
        let at = kept.hit.occurred_at;
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
        let (opened, closed) = self.source.opened(&kept.hit.tenant, &kept.sealed)?;
        for (facet, values) in self.wanted.facets.iter().zip(&mut self.facets) {
            let own = facet.values(&kept.hit.tenant, &event, &opened);
            let of_facet = |key| facet.key() == Some(key);
            let filed = self.terms.iter().filter(|(key, _)| of_facet(*key));
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

fn has_cores() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

impl Values {
    fn meet(&mut self, own: &[super::facet::Value], filed: HashSet<&str>, closed: bool) {
        self.closed |= closed;
        let mut texts = filed;
        texts.extend(own.iter().map(|value| value.text.as_str()));
        let mut has_one = false;
        let mut numbers = Vec::with_capacity(texts.len());
        for text in texts {
            let number = self.met.len();
            if number >= VALUES_MAX && !self.met.contains_key(text) {
                self.more |= own.iter().any(|value| value.text == text);
                continue;
            }
            let met = self.met.entry(text.to_owned()).or_insert_with(|| Met {
                number,
                ..Met::default()
            });
            met.count += 1;
            numbers.push(met.number);
            for value in own.iter().filter(|value| value.text == text) {
                met.is_value = true;
                met.sealed |= value.find.is_some();
                has_one = true;
            }
        }
        if numbers.len() > 1 {
            numbers.sort_unstable();
            *self.together.entry(numbers).or_default() += 1;
        }
        if !has_one {
            self.rest += u64::from(closed || !own.is_empty());
        }
    }

    /// The most frequent values of so many records.
    fn finish(self, top: usize, total: u64) -> FacetCounts {
        let met = self.met.iter().filter(|(_, met)| met.is_value);
        let values = met.map(|(value, met)| ValueCount {
            value: value.clone(),
            sealed: met.sealed,
            count: met.count,
        });
        let counts = FacetCounts::top(values.collect(), top, self.rest);
        let named = counts.values.iter();
        let named = named.filter_map(|value| Some(self.met.get(&value.value)?.number));
        let named: HashSet<usize> = named.collect();
        // Who has several of them is counted once.
        let sum: u64 = counts.values.iter().map(|value| value.count).sum();
        let again = self.together.iter().map(|(numbers, records)| {
            let several = numbers
                .iter()
                .filter(|number| named.contains(number))
                .count();
            several.saturating_sub(1) as u64 * records
        });
        FacetCounts {
            more: counts.more || self.more,
            other: (total + again.sum::<u64>()).saturating_sub(sum),
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
