//! Telling what an answer lacks: damage met on the way, place by place, on standard error.
//!
//! What it is not: finding it. The ranges are those that `verify` and `fsck` name, as far as the
//! answer goes.

use std::collections::{BTreeMap, BTreeSet};

use indelible_event::ids::TenantId;
use indelible_log::verify::lost_tails;
use indelible_proof::finding::Place;
use indelible_query::{Damage, Lost};
use indelible_store::Query;

use crate::exit::{Failure, OrCould, Result};
use crate::ledger::Reading;
use crate::output::Output;

/// Damaged places that are named one by one.
const PLACES_MAX: usize = 50;

/// What was met at one place: whose, and what of it.
type Key = (String, Option<TenantId>, bool);

/// Damage that was met.
#[derive(Default)]
pub struct Told {
    /// First numbers of records, and the numbers after their last.
    places: BTreeMap<Key, BTreeSet<(u64, u64)>>,
    more: bool,
}

impl Told {
    /// Takes damage.
    pub fn damage(&mut self, damage: Damage) {
        let (tenant, range) = damage.log.unzip();
        let key = (damage.place, tenant, damage.lost == Lost::Values);
        if self.places.len() >= PLACES_MAX && !self.places.contains_key(&key) {
            self.more = true;
            return;
        }
        let records = self.places.entry(key).or_default();
        records.extend(range.map(|range| (range.start, range.end)));
    }

    /// Tells of it; what the command ends with.
    ///
    /// # Errors
    /// [`Failure::No`] when there was any, [`Failure::Could`] when a store cannot be asked.
    pub fn finish(mut self, reading: &Reading, query: &Query, output: &Output) -> Result {
        self.lost_tails(reading, query)?;
        self.tell("the answer may lack records", output)
    }

    /// Tells of all that was taken, and what it means; what the command ends with.
    ///
    /// # Errors
    /// [`Failure::No`] when there was any.
    pub fn tell(self, meaning: &str, output: &Output) -> Result {
        if self.places.is_empty() {
            return Ok(());
        }
        for ((place, tenant, values), records) in &self.places {
            let values = if *values { "personal values of " } else { "" };
            match tenant {
                Some(tenant) => {
                    let which = numbers(records);
                    output.error(format_args!(
                        "{values}{which} of {tenant} cannot be read: {place}"
                    ));
                }
                None => output.error(format_args!("{values}records cannot be read: {place}")),
            }
        }
        if self.more {
            output.error("and more places");
        }
        output.warn(format_args!("{meaning}: run `indelible verify`"));
        Err(Failure::No)
    }

    /// Takes the records that were published and are not here, which no index can tell of; and by
    /// them names whose records stood in bytes that cannot be read.
    fn lost_tails(&mut self, reading: &Reading, query: &Query) -> Result {
        if !reading.has_state() {
            return Ok(());
        }
        let lost = lost_tails(&reading.stores).or_could("compare the published heads")?;
        for lost in lost
            .into_iter()
            .filter(|lost| query.wants_tenant(&lost.tenant))
        {
            let place = where_of(lost.place.as_ref());
            self.places.remove(&(place.clone(), None, false));
            self.damage(Damage {
                lost: Lost::Records,
                log: Some((lost.tenant, lost.records.first..lost.records.last + 1)),
                place,
            });
        }
        Ok(())
    }
}

/// Where the damage is, for people; without a place, that nothing is left of it.
pub fn where_of(place: Option<&Place>) -> String {
    place.map_or_else(
        || "they were published and are not here".to_owned(),
        ToString::to_string,
    )
}

/// `record 4`, `records 4 to 7`, or how many of them where it is not all.
fn numbers(records: &BTreeSet<(u64, u64)>) -> String {
    let (mut count, mut end) = (0, 0);
    for &(from, to) in records {
        count += to.saturating_sub(from.max(end));
        end = end.max(to);
    }
    let first = records.first().map_or(0, |(first, _)| *first);
    let last = end.saturating_sub(1);
    if first + 1 == end {
        format!("record {first}")
    } else if first + count == end {
        format!("records {first} to {last}")
    } else {
        format!("{count} of the records {first} to {last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_meet_or_overlap_are_one() {
        let of = |ranges: &[(u64, u64)]| numbers(&ranges.iter().copied().collect());
        assert_eq!(of(&[(4, 6), (6, 8), (5, 7)]), "records 4 to 7");
        assert_eq!(of(&[(21, 22)]), "record 21");
        assert_eq!(of(&[(4, 5), (9, 10)]), "2 of the records 4 to 9");
    }
}
