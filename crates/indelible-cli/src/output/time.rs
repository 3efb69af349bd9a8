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
    }
}
