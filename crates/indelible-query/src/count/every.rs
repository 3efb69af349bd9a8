//! Bars of a histogram: minutes, hours, days, weeks and months, as a calendar has them in a zone.
//!
//! A day there may have 23 or 25 hours. Weeks begin on Monday.

use indelible_event::ids::Micros;
use indelible_store::{Error, Kind, Result};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// Bars of one histogram.
pub const BARS_MAX: usize = 2_000;
/// Bars of one whose length is chosen for it; of months there may be more.
pub const FITTING_BARS_MAX: usize = 300;

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// How long a bar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
}

impl Every {
    /// All there are, with the word for each and the short way to write it.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Minute, "minute", "1m"),
        (Self::Hour, "hour", "1h"),
        (Self::Day, "day", "1d"),
        (Self::Week, "week", "1w"),
        (Self::Month, "month", "1mo"),
    ];

    /// The one that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        let written = |(_, word, short): &&(Self, &str, &str)| *word == text || *short == text;
        Self::ALL.iter().find(written).map(|(every, ..)| *every)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        let this = Self::ALL.iter().find(|(every, ..)| *every == self);
        this.map_or("", |(_, word, _)| word)
    }
}

/// How long somebody asks that a bar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So long.
    Of(Every),
    /// The shortest of which there are at most [`FITTING_BARS_MAX`], else a month.
    Fitting,
}

impl Length {
    /// The word for it where nothing was counted yet.
    const FITTING: &'static str = "auto";

    /// The one that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            Self::FITTING => Some(Self::Fitting),
            _ => Every::parse(text).map(Self::Of),
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Of(every) => every.word(),
            Self::Fitting => Self::FITTING,
        }
    }
}

/// A histogram, as somebody asks for it.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// How long a bar is.
    pub length: Length,
    /// The zone whose days and hours they are.
    pub zone: TimeZone,
}

impl Histogram {
    /// The bars for what happened from the first time to the last; none where fitting ones would
    /// be too many, even months.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a time that no calendar has.
    pub(crate) fn bars(&self, span: Option<(Micros, Micros)>) -> Result<Option<Bars>> {
        let of = |every| Bars {
            every,
            zone: self.zone.clone(),
        };
        let (first, last) = match (self.length, span) {
            (Length::Of(every), _) => return Ok(Some(of(every))),
            (Length::Fitting, None) => return Ok(Some(of(Every::Minute))),
            (Length::Fitting, Some(span)) => span,
        };
        for (every, ..) in Every::ALL {
            let bars = of(every);
            let most = match every {
                Every::Month => BARS_MAX,
                _ => FITTING_BARS_MAX,
            };
            if bars.borders_up_to(most, first, last)?.is_some() {
                return Ok(Some(bars));
            }
        }
        Ok(None)
    }
}

/// Bars in a zone.
#[derive(Clone, Debug)]
pub struct Bars {
    /// How long each is.
    pub every: Every,
    /// The zone whose days and hours they are.
    pub zone: TimeZone,
}

impl Bars {
    /// The borders of all bars from the one that `first` is in to the one that `last` is in.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when these are too many.
    pub(crate) fn borders(&self, first: Micros, last: Micros) -> Result<Vec<Micros>> {
        let borders = self.borders_up_to(BARS_MAX, first, last)?;
        borders.ok_or_else(|| self.too_many())
    }

    /// The same, if there are at most so many bars.
    fn borders_up_to(
        &self,
        most: usize,
        first: Micros,
        last: Micros,
    ) -> Result<Option<Vec<Micros>>> {
        let mut border = self.start_of(first)?;
        let mut borders = vec![micros(&border)];
        while micros(&border) <= last {
            if borders.len() > most {
                return Ok(None);
            }
            border = self.next(&border)?;
            borders.push(micros(&border));
        }
        Ok(Some(borders))
    }

    /// The next longer bars that each of these lies within; days lie within weeks and months.
    pub(crate) fn around(&self) -> Option<Self> {
        let every = match self.every {
            Every::Minute => Every::Hour,
            Every::Hour => Every::Day,
            Every::Day | Every::Week | Every::Month => return None,
        };
        let zone = self.zone.clone();
        Some(Self { every, zone })
    }

    pub(crate) fn too_many(&self) -> Error {
        let word = self.every.word();
        let a = if self.every == Every::Hour { "an" } else { "a" };
        let text = format!(
            "there would be more than {BARS_MAX} bars of {a} {word}: ask for longer ones, or for \
             less time with since: and until:"
        );
        Error::new(Kind::Invalid, text)
    }

    /// The bar that a time is in: its first moment, and that of the next one.
    pub(crate) fn bar(&self, at: Micros) -> Result<(Micros, Micros)> {
        let start = self.start_of(at)?;
        let next = self.next(&start)?;
        Ok((micros(&start), micros(&next)))
    }

    fn start_of(&self, at: Micros) -> Result<Zoned> {
        let at = Timestamp::from_microsecond(at.0).map_err(off)?;
        let at = at.to_zoned(self.zone.clone());
        let start = match self.every {
            Every::Minute => return Ok(begun(&at, MINUTE)),
            Every::Hour => return Ok(begun(&at, HOUR)),
            Every::Day => at.start_of_day(),
            Every::Week => {
                let days = i64::from(at.weekday().to_monday_zero_offset());
                let monday = at.date().checked_sub(days.days());
                monday.and_then(|monday| monday.to_zoned(self.zone.clone()))
            }
            Every::Month => at.date().first_of_month().to_zoned(self.zone.clone()),
        };
        start.map_err(off)
    }

    fn next(&self, start: &Zoned) -> Result<Zoned> {
        let date = start.date();
        let next = match self.every {
            Every::Minute => return ended(start, MINUTE).map_err(off),
            Every::Hour => return ended(start, HOUR).map_err(off),
            Every::Day => date.tomorrow(),
            Every::Week => date.checked_add(1.week()),
            Every::Month => date.checked_add(1.month()),
        };
        next.and_then(|next| next.to_zoned(self.zone.clone()))
            .map_err(off)
    }
}

/// The hour or minute that a time is in, as the clock has it there, begins; where clocks were
/// changed within it, it begins anew.
fn begun(at: &Zoned, seconds: i64) -> Zoned {
    let local = at.timestamp().as_second() + i64::from(at.offset().seconds());
    let past = SignedDuration::from_secs(local.rem_euclid(seconds));
    let past = past + SignedDuration::from_nanos(at.timestamp().subsec_nanosecond().into());
    let start = at.timestamp().checked_sub(past).unwrap_or(at.timestamp());
    let zone = at.time_zone();
    let next = at.timestamp().checked_add(SignedDuration::from_nanos(1));
    let changes = zone.preceding(next.unwrap_or(at.timestamp()));
    let within = changes.map(|change| change.timestamp());
    let mut within = within.take_while(|change| *change > start);
    let changed = within.find(|change| changes_clocks(zone, *change));
    changed.unwrap_or(start).to_zoned(zone.clone())
}

/// When the one that begins so ends.
fn ended(start: &Zoned, seconds: i64) -> std::result::Result<Zoned, jiff::Error> {
    let local = start.timestamp().as_second() + i64::from(start.offset().seconds());
    let left = SignedDuration::from_secs(seconds - local.rem_euclid(seconds));
    let end = start.timestamp().checked_add(left)?;
    let zone = start.time_zone();
    let changes = zone.following(start.timestamp());
    let within = changes.map(|change| change.timestamp());
    let mut within = within.take_while(|change| *change < end);
    let changed = within.find(|change| changes_clocks(zone, *change));
    Ok(changed.unwrap_or(end).to_zoned(zone.clone()))
}

/// Whether clocks show another time from then on, and not only the zone another name.
fn changes_clocks(zone: &TimeZone, at: Timestamp) -> bool {
    let before = at.checked_sub(SignedDuration::from_nanos(1));
    before.is_ok_and(|before| zone.to_offset(before) != zone.to_offset(at))
}

fn micros(at: &Zoned) -> Micros {
    Micros(at.timestamp().as_microsecond())
}

fn off(error: jiff::Error) -> Error {
    let said = "a record is of a time that no calendar has";
    Error::new(Kind::Invalid, said).caused_by(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn borders(every: Every, zone: &str, first: &str, last: &str) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let bars = Bars { every, zone };
        let at = |text| Micros::parse(text).unwrap();
        let borders = bars.borders(at(first), at(last)).unwrap();
        for pair in borders.windows(2) {
            assert_eq!(bars.bar(pair[0]).unwrap(), (pair[0], pair[1]));
            let last = Micros(pair[1].0 - 1);
            assert_eq!(bars.bar(last).unwrap(), (pair[0], pair[1]));
        }
        borders.iter().map(|border| border.to_rfc3339()).collect()
    }

    #[test]
    fn days_weeks_and_months_are_those_of_the_zone() {
        let (from, to) = ("2026-03-28T23:30:00Z", "2026-03-29T22:00:00Z");
        let days = borders(Every::Day, "Europe/Berlin", from, to);
        // The night in which the clocks went forward has 23 hours.
        assert_eq!(days.len(), 3);
        assert!(days[0].starts_with("2026-03-28T23:00") && days[1].starts_with("2026-03-29T22:00"));
        let weeks = borders(Every::Week, "Europe/Berlin", from, to);
        assert!(
            weeks[0].starts_with("2026-03-22T23:00") && weeks[1].starts_with("2026-03-29T22:00")
        );
        let months = borders(Every::Month, "America/New_York", "2026-01-31T23:00:00Z", to);
        assert_eq!(months.len(), 4);
        assert!(
            months[0].starts_with("2026-01-01T05:00") && months[3].starts_with("2026-04-01T04:00")
        );
    }

    #[test]
    fn the_hour_that_comes_twice_is_two_bars() {
        let hours = borders(
            Every::Hour,
            "Europe/Berlin",
            "2026-10-25T00:10:00Z",
            "2026-10-25T01:50:00Z",
        );
        assert_eq!(hours.len(), 3);
        let minutes = borders(
            Every::Minute,
            "UTC",
            "2026-01-01T00:00:59Z",
            "2026-01-01T00:01:00Z",
        );
        assert_eq!(minutes.len(), 3);
    }

    /// Clocks on Lord Howe Island go forward and back by half an hour, those of Dublin change the
    /// name of the zone too, and Samoa left out a day.
    #[test]
    fn bars_meet_where_clocks_change_by_less_than_an_hour() {
        let lord_howe = "Australia/Lord_Howe";
        let (from, to) = ("2026-04-04T13:30:00Z", "2026-04-04T16:10:00Z");
        let back = borders(Every::Hour, lord_howe, from, to);
        let back: Vec<_> = back.iter().map(|border| &border[11..16]).collect();
        // 00:00, 01:00, again 01:30, 02:00, 03:00.
        assert_eq!(back, ["13:00", "14:00", "15:00", "15:30", "16:30"]);
        let (from, to) = ("2026-10-03T14:40:00Z", "2026-10-03T16:10:00Z");
        let forward = borders(Every::Hour, lord_howe, from, to);
        let forward: Vec<_> = forward.iter().map(|border| &border[11..16]).collect();
        // 01:00, 02:30, 03:00, 04:00.
        assert_eq!(forward, ["14:30", "15:30", "16:00", "17:00"]);
        let days = |from, to| {
            let days = borders(Every::Day, lord_howe, from, to);
            let at = |text: &String| Micros::parse(text).unwrap().0;
            let long = days.windows(2).map(|pair| at(&pair[1]) - at(&pair[0]));
            long.map(|us| us / 60_000_000).collect::<Vec<_>>()
        };
        assert_eq!(
            days("2026-04-03T20:00:00Z", "2026-04-05T20:00:00Z"),
            [1_440, 1_470, 1_440]
        );
        assert_eq!(
            days("2026-10-02T20:00:00Z", "2026-10-04T20:00:00Z"),
            [1_440, 1_410, 1_440]
        );
        for (zone, from, to) in [
            (lord_howe, "2026-04-01T00:00:00Z", "2026-04-08T00:00:00Z"),
            (lord_howe, "2026-10-01T00:00:00Z", "2026-10-07T00:00:00Z"),
            (
                "Europe/Dublin",
                "2026-10-24T00:00:00Z",
                "2026-10-27T00:00:00Z",
            ),
            (
                "Pacific/Apia",
                "2011-12-28T00:00:00Z",
                "2012-01-02T00:00:00Z",
            ),
            (
                "Africa/Monrovia",
                "1972-01-06T00:00:00Z",
                "1972-01-08T00:00:00Z",
            ),
            (
                "America/Havana",
                "2026-10-31T00:00:00Z",
                "2026-11-03T00:00:00Z",
            ),
        ] {
            let zone_of = |every| Bars {
                every,
                zone: TimeZone::get(zone).unwrap(),
            };
            for every in [Every::Hour, Every::Day, Every::Week, Every::Month] {
                let borders = borders(every, zone, from, to);
                let around = zone_of(every).around();
                for pair in borders.windows(2) {
                    assert!(pair[0] < pair[1], "{zone} {borders:?}");
                    let ends = [&pair[0], &pair[1]].map(|text| Micros::parse(text).unwrap());
                    let outer = around.as_ref().map(|bars| bars.bar(ends[0]).unwrap());
                    let lies_within = outer.is_none_or(|(_, end)| ends[1] <= end);
                    assert!(lies_within, "{zone} {pair:?}");
                }
            }
        }
    }

    #[test]
    fn too_many_bars_are_refused() {
        let bars = Bars {
            every: Every::Minute,
            zone: TimeZone::UTC,
        };
        let minutes = |n: usize| Micros(i64::try_from(n).unwrap() * 60_000_000);
        assert_eq!(
            bars.borders(Micros(0), minutes(BARS_MAX - 1))
                .unwrap()
                .len(),
            BARS_MAX + 1
        );
        let error = bars.borders(Micros(0), minutes(BARS_MAX)).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("bars of a minute"), "{error}");
        let every = Every::Hour;
        let hours = Bars { every, ..bars };
        let error = hours.too_many().to_string();
        assert!(error.contains("bars of an hour:"), "{error}");
    }

    #[test]
    fn fitting_bars_are_the_shortest_of_which_there_are_not_too_many() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let length = Length::Fitting;
        let asked = Histogram { length, zone };
        let at = |text| Micros::parse(text).unwrap();
        let from = at("2026-01-01T00:00:00Z");
        let fitting = |until| {
            asked
                .bars(Some((from, until)))
                .unwrap()
                .map(|bars| bars.every)
        };
        let most = i64::try_from(FITTING_BARS_MAX).unwrap();
        let after = |bars: i64, us: i64| Micros(from.0 + bars * us - 1);
        let minute = 60_000_000;
        for (until, every) in [
            (from, Every::Minute),
            (after(most, minute), Every::Minute),
            (after(most + 1, minute), Every::Hour),
            (after(most, 60 * minute), Every::Hour),
            (after(most + 1, 60 * minute), Every::Day),
            (at("2026-10-27T22:59:59Z"), Every::Day),
            (at("2026-10-27T23:00:00Z"), Every::Week),
            (at("2031-09-01T00:00:00Z"), Every::Week),
            (at("2032-01-01T00:00:00Z"), Every::Month),
            (at("2192-01-01T00:00:00Z"), Every::Month),
        ] {
            assert_eq!(fitting(until), Some(every), "{}", until.to_rfc3339());
        }
        assert_eq!(fitting(at("2193-01-01T00:00:00Z")), None, "2,000 months");
        assert_eq!(asked.bars(None).unwrap().unwrap().every, Every::Minute);
    }

    #[test]
    fn each_can_be_written_in_two_ways() {
        for (every, word, short) in Every::ALL {
            assert_eq!(Every::parse(word), Some(every));
            assert_eq!(Every::parse(short), Some(every));
        }
        assert_eq!(Every::parse("2h"), None);
        assert_eq!(Length::parse("1w"), Some(Length::Of(Every::Week)));
        let auto = Length::parse("auto").unwrap();
        assert_eq!((auto, auto.word()), (Length::Fitting, "auto"));
        assert_eq!(Length::parse("2h"), None);
    }
}
