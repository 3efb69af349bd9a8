//! Partitions: a month of `ingested_at` each, made ahead.
//!
//! Ids begin with the time at which they were made, so theirs are months too. A month is made by a
//! function of the database's owner (`schema/0002.sql`), since a writer may not make tables.

use std::collections::BTreeSet;

use indelible_event::ids::Micros;
use indelible_store::{Error, Kind, Result};
use parking_lot::Mutex;
use tokio_postgres::Client;

use crate::failure::failed;

/// How many months are made ahead of the one that is written to.
const AHEAD: u32 = 3;

/// A calendar month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Month {
    year: u32,
    month: u32,
}

impl Month {
    fn of(at: Micros) -> Result<Self> {
        let text = at.to_rfc3339();
        let part = |range| text.get(range).and_then(|digits: &str| digits.parse().ok());
        // A year of more or fewer than four digits puts the hyphen elsewhere.
        let hyphen = text.as_bytes().get(4) == Some(&b'-');
        let month = part(0..4).zip(part(5..7)).filter(|_| hyphen);
        let (year, month) = month.ok_or_else(|| {
            Error::new(Kind::Invalid, format!("no partition for the time {text}"))
        })?;
        Ok(Self { year, month })
    }

    fn later(self, months: u32) -> Self {
        let count = self.year * 12 + self.month - 1 + months;
        Self {
            year: count / 12,
            month: count % 12 + 1,
        }
    }

    fn first_day(self) -> String {
        format!("{:04}-{:02}-01", self.year, self.month)
    }
}

/// Which months are there, as far as this process knows.
#[derive(Default)]
pub(crate) struct Months {
    known: Mutex<BTreeSet<Month>>,
}

impl Months {
    /// Sees that records of these times find their partition, and those of the months after.
    pub(crate) async fn provide(
        &self,
        client: &Client,
        times: impl Iterator<Item = Micros>,
    ) -> Result<()> {
        let wanted: BTreeSet<Month> = times.map(Month::of).collect::<Result<_>>()?;
        let ahead = wanted
            .iter()
            .flat_map(|month| (0..=AHEAD).map(|n| month.later(n)));
        let missing: BTreeSet<Month> = {
            let known = self.known.lock();
            ahead.filter(|month| !known.contains(month)).collect()
        };
        for month in missing {
            let make = "SELECT indelible.make_month($1::text::date)";
            let done = client.execute(make, &[&month.first_day()]).await;
            done.map_err(|error| failed("making the partitions of a month", error))?;
            self.known.lock().insert(month);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn months_go_on_over_the_end_of_a_year() {
        let december = Month::of(Micros(1_798_675_200_000_000)).unwrap();
        assert_eq!(december.first_day(), "2026-12-01");
        assert_eq!(december.later(1).first_day(), "2027-01-01");
        assert_eq!(december.later(13).first_day(), "2028-01-01");
        assert_eq!(Month::of(Micros(0)).unwrap().first_day(), "1970-01-01");
    }
}
