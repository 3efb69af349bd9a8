//! Times as people read them: in their own zone, or in UTC.

use indelible_event::ids::Micros;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The zone of the times that are shown.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The local zone.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn local() -> Result<Self, jiff::Error> {
        TimeZone::try_system().map(Self)
    }

    /// The zone itself.
    pub fn zone(&self) -> &TimeZone {
        &self.0
    }

    /// This one.
    pub fn of(zone: &TimeZone) -> Self {
        Self(zone.clone())
    }

    /// Whether clocks in it are as far from UTC at both times.
    pub fn is_same(&self, one: Micros, other: Micros) -> bool {
        let offset = |time: Micros| {
            let stamp = Timestamp::from_microsecond(time.0).ok();
            stamp.map(|stamp| self.0.to_offset(stamp))
        };
        offset(one) == offset(other)
    }

    /// As [`Zone::seconds`], with how far clocks are from UTC: `2023-07-10 13:45:02+02:00`.
    pub fn seconds_and_offset(&self, time: Micros) -> String {
        let zoned = Timestamp::from_microsecond(time.0).map(|at| at.to_zoned(self.0.clone()));
        zoned.map_or_else(
            |_| time.to_rfc3339(),
            |at| at.strftime("%Y-%m-%d %H:%M:%S%:z").to_string(),
        )
    }

    /// `2023-07-10 13:45:02`, in this zone; UTC has a `Z` behind it.
    pub fn seconds(&self, time: Micros) -> String {
        let utc = self.0 == TimeZone::UTC;
        let format = if utc {
            "%Y-%m-%d %H:%M:%SZ"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        Timestamp::from_microsecond(time.0).map_or_else(
            |_| time.to_rfc3339(),
            |stamp| stamp.to_zoned(self.0.clone()).strftime(format).to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn zones_shift_and_utc_says_so() {
        let time = Micros(1_688_989_502_123_456);
        assert_eq!(Zone(TimeZone::UTC).seconds(time), "2023-07-10 11:45:02Z");
        let fixed = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(Zone(fixed).seconds(time), "2023-07-10 13:45:02");
        let lord_howe = TimeZone::get("Australia/Lord_Howe").unwrap();
        let zone = Zone::of(&lord_howe);
        let back = Micros::parse("2026-04-04T15:00:00Z").unwrap();
        let before = Micros(back.0 - 1_800_000_000);
        let shown = [before, back].map(|at| zone.seconds_and_offset(at));
        assert_eq!(
            shown,
            ["2026-04-05 01:30:00+11:00", "2026-04-05 01:30:00+10:30"]
        );
        assert!(!zone.is_same(before, back) && zone.is_same(back, back));
    }
}
