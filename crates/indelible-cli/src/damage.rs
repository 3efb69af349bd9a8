//! Telling what an answer lacks: damage met on the way, place by place, on standard error.
//!
//! What it is not: finding it. The ranges are those that `verify` and `fsck` name, as far as the
//! answer goes.

use std::collections::{BTreeMap, BTreeSet};

use indelible_event::ids::TenantId;
use indelible_log::Stores;
use indelible_log::verify::lost_tails;
use indelible_query::{Damage, Lost};
use indelible_store::Query;

use crate::exit::{Failure, OrCould, Result};
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
    pub fn finish(mut self, stores: &Stores, query: &Query, output: &Output) -> Result {
        if self.places.is_empty() {
            return Ok(());
        }
        self.name_owners(stores, query)?;
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
        output.warn("the answer may lack records: run `indelible verify`");
        Err(Failure::No)
    }

    /// Names whose records stood where the index cannot tell it: by what was published of the logs.
    fn name_owners(&mut self, stores: &Stores, query: &Query) -> Result {
        if self.places.keys().all(|(_, tenant, _)| tenant.is_some()) {
            return Ok(());
        }
        let lost = lost_tails(stores).or_could("compare the published heads")?;
        for lost in lost
            .into_iter()
            .filter(|lost| query.wants_tenant(&lost.tenant))
        {
            let place = lost.place.to_string();
            self.places.remove(&(place.clone(), None, false));
            let records = self.places.entry((place, Some(lost.tenant), false));
            let (first, last) = (lost.records.first, lost.records.last);
            records.or_default().insert((first, last + 1));
        }
        Ok(())
    }
}

/// `records 4 to 7`, or how many of them where it is not all.
fn numbers(records: &BTreeSet<(u64, u64)>) -> String {
    let (mut count, mut end) = (0, 0);
    for &(from, to) in records {
        count += to.saturating_sub(from.max(end));
        end = end.max(to);
    }
    let first = records.first().map_or(0, |(first, _)| *first);
    let last = end.saturating_sub(1);
    if first + count == end {
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
        assert_eq!(of(&[(4, 5), (9, 10)]), "2 of the records 4 to 9");
    }
}
