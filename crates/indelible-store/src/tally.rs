//! What an index counts: how many records a query finds, and how they are spread over times, values
//! and numbers.
//!
//! Not evidence, as nothing of an index is. What is not exact counts records that only may match,
//! and says so. Numbers are doubles, as the typed columns are.

use std::collections::BTreeMap;

use indelible_event::ids::Micros;

use crate::{Column, Expr};

/// So many values of a column are told apart; of more, the percentiles are near ones.
const VALUES_MAX: usize = 65_536;
/// What is left of a value then: sign, exponent and eight bits, which is less than 0.4 % off.
const NEAR_BITS: u64 = !((1 << 44) - 1);

/// What is to be counted beside how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Borders in ascending order: between each two of them is a bar, from the first, which is in
    /// it, to the second, which is not.
    pub borders: Vec<Micros>,
    /// Groups of conditions, each a term, sealed values, or several of these of which one must be
    /// there: how many of the records each holds for, and for how many none of a group does.
    pub groups: Vec<Vec<Expr>>,
    /// Columns whose values are wanted.
    pub columns: Vec<Column>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tallied {
    /// Records.
    pub total: u64,
    /// Whether these are the records that match; otherwise some only may, and nothing but `total`
    /// need be filled in.
    pub exact: bool,
    /// `occurred_at` of the earliest and of the latest.
    pub span: Option<(Micros, Micros)>,
    /// For each bar how many records happened in it.
    pub bars: Vec<u64>,
    /// For each group.
    pub groups: Vec<Group>,
    /// For each column; `None` where the index keeps no columns.
    pub numbers: Option<Vec<Spread>>,
}

/// A group of conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// For how many records each holds.
    pub counts: Vec<u64>,
    /// For how many none does.
    pub none: u64,
}

impl Tally {
    /// Nothing counted yet, with room for all of it.
    pub fn begin(&self) -> Tallied {
        let group = |group: &Vec<Expr>| Group {
            counts: vec![0; group.len()],
            none: 0,
        };
        Tallied {
            total: 0,
            exact: true,
            span: None,
            bars: vec![0; self.borders.len().saturating_sub(1)],
            groups: self.groups.iter().map(group).collect(),
            numbers: Some(vec![Spread::default(); self.columns.len()]),
        }
    }

    /// The bar of a time, if it is in one.
    pub fn bar(&self, at: Micros) -> Option<usize> {
        let bar = self.borders.partition_point(|border| *border <= at);
        let bar = bar.checked_sub(1)?;
        (bar + 1 < self.borders.len()).then_some(bar)
    }
}

impl Tallied {
    /// Adds what was counted of other records, asked alike.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.exact &= other.exact;
        if let Some((earliest, latest)) = other.span {
            self.reach(earliest, latest);
        }
        add(&mut self.bars, &other.bars);
        for (group, of) in self.groups.iter_mut().zip(&other.groups) {
            add(&mut group.counts, &of.counts);
            group.none += of.none;
        }
        let numbers = self.numbers.iter_mut().flatten();
        for (spread, of) in numbers.zip(other.numbers.iter().flatten()) {
            spread.add_all(of);
        }
    }

    /// Widens the span.
    pub fn reach(&mut self, earliest: Micros, latest: Micros) {
        let (from, to) = self.span.unwrap_or((earliest, latest));
        self.span = Some((from.min(earliest), to.max(latest)));
    }
}

fn add(counts: &mut [u64], others: &[u64]) {
    for (count, other) in counts.iter_mut().zip(others) {
        *count += other;
    }
}

/// Numbers, and how they are spread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// How often each value, by what orders the values; each of them, or near ones.
    values: BTreeMap<u64, u64>,
    count: u64,
    /// Of the values that are not told apart any more: what they come to, and least and greatest.
    near: Option<(f64, f64, f64)>,
}

impl Spread {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        // There is one zero.
        let value = value + 0.0;
        if let Some((sum, least, greatest)) = &mut self.near {
            *sum += value;
            *least = least.min(value);
            *greatest = greatest.max(value);
            *self
                .values
                .entry(order(value.to_bits() & NEAR_BITS))
                .or_default() += 1;
            return;
        }
        *self.values.entry(order(value.to_bits())).or_default() += 1;
        if self.values.len() > VALUES_MAX {
            self.come_near();
        }
    }

    /// Adds all values of another.
    fn add_all(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        let others = (other.sum(), other.least(), other.greatest());
        if other.near.is_some() && self.near.is_none() {
            self.come_near();
        }
        self.count += other.count;
        let mask = self.near.map_or(u64::MAX, |_| NEAR_BITS);
        for (value, count) in &other.values {
            *self.values.entry(order(bits(*value) & mask)).or_default() += count;
        }
        if let Some((sum, least, greatest)) = &mut self.near {
            *sum += others.0;
            *least = least.min(others.1);
            *greatest = greatest.max(others.2);
        } else if self.values.len() > VALUES_MAX {
            self.come_near();
        }
    }

    /// Tells values apart no longer that are near each other.
    fn come_near(&mut self) {
        self.near = Some((self.sum(), self.least(), self.greatest()));
        for (value, count) in std::mem::take(&mut self.values) {
            *self
                .values
                .entry(order(bits(value) & NEAR_BITS))
                .or_default() += count;
        }
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether percentiles are values that are there; otherwise they are less than 0.4 % off.
    pub fn is_exact(&self) -> bool {
        self.near.is_none()
    }

    /// What they come to, added as doubles.
    pub fn sum(&self) -> f64 {
        if let Some((sum, ..)) = self.near {
            return sum;
        }
        // By Neumaier: what each step loses is added in the end.
        let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
        for (value, count) in &self.values {
            let next = f64::from_bits(bits(*value)) * as_f64(*count);
            let whole = sum + next;
            lost += if sum.abs() >= next.abs() {
                (sum - whole) + next
            } else {
                (next - whole) + sum
            };
            sum = whole;
        }
        sum + lost
    }

    /// The least value; 0 where there is none.
    pub fn least(&self) -> f64 {
        let first = self.values.first_key_value();
        let least = first.map_or(0.0, |(value, _)| f64::from_bits(bits(*value)));
        self.near.map_or(least, |(_, least, _)| least)
    }

    /// The greatest value; 0 where there is none.
    pub fn greatest(&self) -> f64 {
        let last = self.values.last_key_value();
        let greatest = last.map_or(0.0, |(value, _)| f64::from_bits(bits(*value)));
        self.near.map_or(greatest, |(.., greatest)| greatest)
    }

    /// The least value that so many of a hundred values do not exceed; 0 where there is none.
    pub fn percentile(&self, percent: u64) -> f64 {
        let rank = u128::from(self.count) * u128::from(percent.min(100));
        let rank = rank.div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.values.iter().find(|(_, count)| {
            seen += u128::from(**count);
            seen >= rank
        });
        at.map_or(0.0, |(value, _)| f64::from_bits(bits(*value)))
    }
}

/// The bits of a double as a number that is in the order of the doubles.
fn order(bits: u64) -> u64 {
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// And back.
fn bits(order: u64) -> u64 {
    if order >> 63 == 1 {
        order & !(1 << 63)
    } else {
        !order
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "there are fewer than 2^53 records"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "exact is what is promised")]
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Spread {
        let mut spread = Spread::default();
        for value in values {
            spread.add(*value);
        }
        spread
    }

    #[test]
    fn sums_and_percentiles_are_those_of_the_sorted_values() {
        let spread = of(&[3.0, -1.5, 3.0, 10.0, 0.0, -0.0]);
        assert_eq!((spread.count(), spread.sum()), (6, 14.5));
        assert_eq!((spread.least(), spread.greatest()), (-1.5, 10.0));
        let found = [0, 16, 17, 50, 67, 84, 100].map(|percent| spread.percentile(percent));
        assert_eq!(found, [-1.5, -1.5, 0.0, 0.0, 3.0, 10.0, 10.0]);
        assert!(spread.is_exact());
        assert_eq!(of(&[]).percentile(50), 0.0);
        assert_eq!(
            of(&[1e16, 1.0, -1e16]).sum(),
            1.0,
            "no digit is lost on the way"
        );
    }

    #[test]
    fn what_is_counted_apart_comes_to_the_same() {
        let values: Vec<f64> = (0..150_000).map(|n| f64::from(n % 90_000) / 7.0).collect();
        // Few values; too many together; too many in either.
        for (count, at) in [
            (900, 500),
            (80_000, 40_000),
            (150_000, 70_000),
            (150_000, 80_000),
        ] {
            let (one, other) = values[..count].split_at(at);
            for (one, other) in [(one, other), (other, one), (&values[..count], &[][..])] {
                let mut apart = of(one);
                apart.add_all(&of(other));
                let whole = of(&values[..count]);
                assert_eq!(apart.values, whole.values, "{count}");
                let facts = |of: &Spread| (of.count(), of.is_exact(), of.least(), of.greatest());
                assert_eq!(facts(&apart), facts(&whole));
                assert!((apart.sum() / whole.sum() - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn of_very_many_values_percentiles_are_near() {
        let values: Vec<f64> = (1..=200_000).map(|n| f64::from(n) / 7.0).collect();
        let spread = of(&values);
        assert!(!spread.is_exact() && spread.values.len() < 10_000);
        assert_eq!(spread.count(), 200_000);
        assert_eq!(
            (spread.least(), spread.greatest()),
            (values[0], values[199_999])
        );
        let sum: f64 = values.iter().sum();
        assert!((spread.sum() / sum - 1.0).abs() < 1e-9);
        for percent in [1_u32, 50, 99] {
            let exact = values[2_000 * percent as usize - 1];
            let off = (spread.percentile(percent.into()) / exact - 1.0).abs();
            assert!(off < 0.004, "{percent}: {off}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_numbers(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(bits(order(a.to_bits())), a.to_bits());
            let ordered = order(a.to_bits()).cmp(&order(b.to_bits()));
            prop_assert_eq!(ordered, a.total_cmp(&b));
        }
    }

    #[test]
    fn a_bar_has_its_first_border_and_not_its_last() {
        let tally = Tally {
            borders: [0, 10, 30].map(Micros).into(),
            ..Tally::default()
        };
        let found = [-1, 0, 9, 10, 29, 30].map(|at| tally.bar(Micros(at)));
        assert_eq!(found, [None, Some(0), Some(0), Some(1), Some(1), None]);
        assert_eq!(Tally::default().bar(Micros(0)), None);
    }
}
