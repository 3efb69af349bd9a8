//! A set of numbers kept as ranges: mostly one, growing at its end.
//!
//! Invariant: ranges are sorted, disjoint and not adjacent; never more than the bound.

use crate::finding::Span;

/// A bounded set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    spans: Vec<Span>,
}

impl Ranges {
    /// Whether `number` is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.spans.partition_point(|span| span.last < number);
        self.spans.get(at).is_some_and(|span| span.first <= number)
    }

    /// Adds the numbers of `span`; `false`, with nothing added, when that needed more than `max`
    /// ranges.
    pub fn insert(&mut self, span: Span, max: usize) -> bool {
        if let Some(end) = self.spans.last_mut()
            && end.first <= span.first
            && span.first <= end.last.saturating_add(1)
        {
            end.last = end.last.max(span.last);
            return true;
        }
        let from = self
            .spans
            .partition_point(|old| old.last.saturating_add(1) < span.first);
        let to = self
            .spans
            .partition_point(|old| old.first <= span.last.saturating_add(1));
        if from == to {
            if self.spans.len() >= max {
                return false;
            }
            self.spans.insert(from, span);
        } else {
            let first = self.spans[from].first.min(span.first);
            let last = self.spans[to - 1].last.max(span.last);
            self.spans.splice(from..to, [Span { first, last }]);
        }
        true
    }

    /// Takes one number out; `false` when it was not in. May split a range beyond the bound by one.
    pub fn remove(&mut self, number: u64) -> bool {
        let at = self.spans.partition_point(|span| span.last < number);
        let Some(&span) = self.spans.get(at).filter(|span| span.first <= number) else {
            return false;
        };
        let before = (span.first < number).then(|| Span::new(span.first, number - 1));
        let after = (number < span.last).then(|| Span::new(number + 1, span.last));
        self.spans.splice(at..=at, before.into_iter().chain(after));
        true
    }

    /// The ranges, sorted.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The numbers of `span` that are in the set.
    pub fn within(&self, span: Span) -> Vec<Span> {
        let from = self.spans.partition_point(|old| old.last < span.first);
        self.spans[from..]
            .iter()
            .take_while(|old| old.first <= span.last)
            .map(|old| Span::new(old.first.max(span.first), old.last.min(span.last)))
            .collect()
    }

    /// The set of these ranges; `None` when they are not sorted, disjoint and apart.
    pub(super) fn from_spans(spans: Vec<Span>) -> Option<Self> {
        let apart = |pair: &[Span]| {
            let next = pair[0].last.checked_add(1);
            next.is_some_and(|next| next < pair[1].first)
        };
        let good = spans.iter().all(|span| span.first <= span.last);
        (good && spans.windows(2).all(apart)).then_some(Self { spans })
    }

    /// The largest number.
    pub fn last(&self) -> Option<u64> {
        self.spans.last().map(|span| span.last)
    }

    /// The numbers from 0 to `last` that are in neither set.
    pub fn missing_to(&self, other: &Self, last: u64) -> Vec<Span> {
        let mut both: Vec<Span> = self.spans.iter().chain(&other.spans).copied().collect();
        both.sort_unstable();
        let mut missing = Vec::new();
        let mut next = 0;
        for span in both {
            if span.first > next && next <= last {
                missing.push(Span::new(next, last.min(span.first - 1)));
            }
            let Some(behind) = span.last.checked_add(1) else {
                return missing;
            };
            next = next.max(behind);
        }
        if next <= last {
            missing.push(Span::new(next, last));
        }
        missing
    }

    /// The numbers of `span` that are not in the set.
    pub fn outside(&self, span: Span) -> Vec<Span> {
        let mut left = Vec::new();
        let mut next = span.first;
        let from = self.spans.partition_point(|old| old.last < span.first);
        let cuts = self.spans[from..].iter();
        for cut in cuts.take_while(|cut| cut.first <= span.last) {
            if cut.first > next {
                left.push(Span::new(next, cut.first - 1));
            }
            let Some(behind) = cut.last.checked_add(1) else {
                return left;
            };
            next = next.max(behind);
        }
        if next <= span.last {
            left.push(Span::new(next, span.last));
        }
        left
    }

    /// This set without the numbers of `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let spans = self.spans.iter().flat_map(|span| other.outside(*span));
        Self {
            spans: spans.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec(
            (0..60_u64, 0..6_u64).prop_map(|(a, n)| Span::new(a, a + n)),
            0..20,
        )
    }

    fn set(spans: &[Span]) -> BTreeSet<u64> {
        spans
            .iter()
            .flat_map(|span| span.first..=span.last)
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(
            a in spans(), b in spans(), out in prop::collection::vec(0..66_u64, 0..9)
        ) {
            let (mut ours, mut other) = (Ranges::default(), Ranges::default());
            for span in &a { prop_assert!(ours.insert(*span, 100)); }
            for span in &b { prop_assert!(other.insert(*span, 100)); }
            let (mut model, theirs) = (set(&a), set(&b));
            for number in out {
                prop_assert_eq!(ours.remove(number), model.remove(&number));
            }
            prop_assert_eq!(set(ours.spans()), model.clone());
            for pair in ours.spans().windows(2) {
                prop_assert!(pair[0].last + 1 < pair[1].first);
            }
            for number in 0..70 {
                prop_assert_eq!(ours.contains(number), model.contains(&number));
            }
            let missing: BTreeSet<u64> =
                (0..=64).filter(|n| !model.contains(n) && !theirs.contains(n)).collect();
            prop_assert_eq!(set(&ours.missing_to(&other, 64)), missing);
            for span in &b {
                let both = set(&[*span]).intersection(&model).copied().collect();
                prop_assert_eq!(set(&ours.within(*span)), both);
            }
            let again = Ranges::from_spans(ours.spans().to_vec());
            prop_assert_eq!(again.as_ref(), Some(&ours));
            let left: BTreeSet<u64> = model.difference(&theirs).copied().collect();
            prop_assert_eq!(set(ours.without(&other).spans()), left);
        }
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        for spans in [
            vec![Span::new(2, 1)],
            vec![Span::new(1, 2), Span::new(3, 4)],
            vec![Span::new(5, 6), Span::new(1, 2)],
            vec![Span::new(0, u64::MAX), Span::one(1)],
        ] {
            assert_eq!(Ranges::from_spans(spans), None);
        }
    }

    #[test]
    fn the_last_number_of_all_is_a_number_like_others() {
        let (mut ranges, none) = (Ranges::default(), Ranges::default());
        assert!(ranges.insert(Span::one(u64::MAX), 9) && ranges.insert(Span::one(3), 9));
        let missing = ranges.missing_to(&none, u64::MAX);
        assert_eq!(missing, [Span::new(0, 2), Span::new(4, u64::MAX - 1)]);
        assert_eq!(ranges.without(&ranges.clone()), none);
        assert_eq!(none.missing_to(&none, u64::MAX), [Span::new(0, u64::MAX)]);
    }

    #[test]
    fn the_bound_holds() {
        let mut ranges = Ranges::default();
        assert!(ranges.insert(Span::one(1), 2) && ranges.insert(Span::one(5), 2));
        assert!(!ranges.insert(Span::one(9), 2));
        assert!(!ranges.contains(9));
        assert!(ranges.insert(Span::new(2, 4), 2));
        assert_eq!(ranges.spans(), [Span::new(1, 5)]);
    }
}
