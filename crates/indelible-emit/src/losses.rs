//! What was lost, until it is declared: by tenant, stream, epoch and reason, as ranges of numbers.
//!
//! What a caller's thread drops has no number yet; it is tallied by tenant, and the worker gives it
//! numbers. Only what certainly was not committed comes here: a number whose fate is unknown is
//! left open, and the verdict says so. Source: `spec/stream.md` §3.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use compact_str::CompactString;
use indelible_event::{StreamClaim, TenantId};

pub(crate) use crate::statement::{CONFLICT, REFUSED, REPEAT};

/// Why an event is not in the ledger, in the words of its loss record.
pub(crate) type Why = Cow<'static, str>;

pub(crate) const QUEUE_FULL: Why = Cow::Borrowed("queue full");
pub(crate) const GIVEN_UP: Why = Cow::Borrowed("given up after all attempts");
pub(crate) const NOT_DELIVERED: Why = Cow::Borrowed("not delivered at the close");
pub(crate) const UNAVAILABLE: Why =
    Cow::Borrowed("ledger out of reach, and the caller did not go on");

/// Our own reasons, with the words of their metric; others are rules of somebody's.
pub(crate) const REASONS: [(&str, &str); 7] = [
    (as_text(&QUEUE_FULL), "queue_full"),
    (as_text(&REFUSED), "refused"),
    (as_text(&CONFLICT), "conflict"),
    (as_text(&REPEAT), "repeated"),
    (as_text(&GIVEN_UP), "given_up"),
    (as_text(&NOT_DELIVERED), "closed"),
    (as_text(&UNAVAILABLE), "unreachable"),
];

const fn as_text(why: &Why) -> &'static str {
    match why {
        Cow::Borrowed(text) => text,
        Cow::Owned(_) => "",
    }
}

/// The most tenants and reasons that are told apart before the worker looks.
const TALLIED_MAX: usize = 65_536;
const STRIPES: usize = 16;

/// What callers' threads dropped.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    stripes: [Mutex<HashMap<(CompactString, Why), u64>>; STRIPES],
    next: AtomicUsize,
    any: AtomicBool,
    /// Something was dropped of which nobody can say whose it was.
    overflowed: AtomicBool,
}

impl Tally {
    /// Counts events of a tenant. The first stripe that is free is taken, so that a thread waits
    /// only when sixteen others are here.
    #[cold]
    pub(crate) fn add(&self, tenant: &CompactString, why: Why, count: u64) {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % STRIPES;
        let (after, before) = (
            self.stripes.iter().skip(first),
            self.stripes.iter().take(first),
        );
        let free = after
            .chain(before)
            .find_map(|stripe| stripe.try_lock().ok());
        let own = &self.stripes[first];
        let mut stripe = free.unwrap_or_else(|| own.lock().unwrap_or_else(PoisonError::into_inner));
        if stripe.len() >= TALLIED_MAX / STRIPES {
            self.overflowed.store(true, Ordering::SeqCst);
            return;
        }
        *stripe.entry((tenant.clone(), why)).or_default() += count;
        drop(stripe);
        self.any.store(true, Ordering::SeqCst);
    }

    /// What was counted since the last time.
    pub(crate) fn take(&self) -> Vec<((CompactString, Why), u64)> {
        if !self.any.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for stripe in &self.stripes {
            taken.extend(
                stripe
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .drain(),
            );
        }
        taken
    }

    /// Whether something was dropped that is in no count.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed.load(Ordering::SeqCst)
    }
}

/// Losses to be declared.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// First numbers to last ones.
    ranges: BTreeMap<(TenantId, String, u64, Why), BTreeMap<u64, u64>>,
}

/// One loss record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) tenant: TenantId,
    pub(crate) stream: String,
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) why: Why,
}

impl Losses {
    /// Adds `count` numbers from a claim on.
    pub(crate) fn add(&mut self, tenant: &TenantId, first: &StreamClaim, count: u64, why: Why) {
        if count == 0 {
            return;
        }
        let key = (tenant.clone(), first.id.clone(), first.epoch, why);
        let ranges = self.ranges.entry(key).or_default();
        let (mut from, mut to) = (first.number, first.number + (count - 1));
        if let Some((before, last)) = ranges.range(..=from).next_back()
            && *last + 1 >= from
        {
            from = *before;
            to = to.max(*last);
        }
        while let Some((next, last)) = ranges.range(from..=to.saturating_add(1)).next() {
            let (next, last) = (*next, *last);
            to = to.max(last);
            ranges.remove(&next);
        }
        ranges.insert(from, to);
    }

    /// Takes over what another holds.
    pub(crate) fn append(&mut self, other: &mut Self) {
        for loss in other.take(usize::MAX) {
            let claim = StreamClaim {
                epoch: loss.epoch,
                id: loss.stream,
                number: loss.first,
            };
            self.add(&loss.tenant, &claim, loss.last - loss.first + 1, loss.why);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes what is to be declared, at most so many.
    pub(crate) fn take(&mut self, max: usize) -> Vec<Loss> {
        let mut losses = Vec::new();
        while losses.len() < max
            && let Some(mut entry) = self.ranges.first_entry()
        {
            let (tenant, stream, epoch, why) = entry.key().clone();
            while losses.len() < max
                && let Some((first, last)) = entry.get_mut().pop_first()
            {
                losses.push(Loss {
                    tenant: tenant.clone(),
                    stream: stream.clone(),
                    epoch,
                    first,
                    last,
                    why: why.clone(),
                });
            }
            if entry.get().is_empty() {
                entry.remove();
            }
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn claim(number: u64) -> StreamClaim {
        StreamClaim {
            epoch: 1,
            id: "s".to_owned(),
            number,
        }
    }

    #[test]
    fn losses_side_by_side_are_one_and_reasons_stay_apart() {
        let tenant = TenantId::parse("acme").unwrap();
        let mut losses = Losses::default();
        for number in [5, 3, 4, 9, 0] {
            losses.add(&tenant, &claim(number), 1, QUEUE_FULL);
        }
        losses.add(&tenant, &claim(10), 5, QUEUE_FULL);
        losses.add(&tenant, &claim(6), 1, REFUSED);
        let taken = losses.take(3);
        let spans: Vec<_> = taken.iter().map(|loss| (loss.first, loss.last)).collect();
        assert_eq!(spans, [(0, 0), (3, 5), (9, 14)]);
        let rest = losses.take(3);
        assert_eq!((rest[0].first, rest[0].why.clone()), (6, REFUSED));
        assert!(losses.is_empty());
    }

    #[test]
    fn a_tally_from_many_threads_is_exact() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let tally = &tally;
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        let tenant = CompactString::from(if thread % 2 == 0 { "a" } else { "b" });
                        tally.add(&tenant, QUEUE_FULL, 1);
                    }
                });
            }
        });
        let mut counts = HashMap::new();
        for ((tenant, _), count) in tally.take() {
            *counts.entry(tenant).or_insert(0) += count;
        }
        assert_eq!(counts.values().copied().collect::<Vec<_>>(), [4_000, 4_000]);
        assert!(tally.take().is_empty() && !tally.overflowed());
    }
}
