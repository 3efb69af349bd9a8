//! Times as people write them in a query.
//!
//! Not times of records: those are RFC 3339 and read by [`Micros::parse`]. Here a time without a
//! zone is one of the asker's zone.

use indelible_event::ids::{Micros, TimeError};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// What a text depends on beside its letters.
#[derive(Clone, Debug)]
pub struct ParseContext {
    /// Now; what `24h` counts back from.
    pub now: Micros,
    /// The zone that days and times without a zone are in.
    pub zone: TimeZone,
}

impl ParseContext {
    /// In UTC.
    pub fn utc(now: Micros) -> Self {
        Self {
            now,
            zone: TimeZone::UTC,
        }
    }
}

/// Which end of a day a day stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `since:` a day is from its start on.
    Start,
    /// `until:` a day is up to its end.
    End,
}

/// What forms there are, for messages.
const FORMS: &str = "write a time like 2026-11-20, 2026-11-20T10:00, 2026-11-20T10:00:00Z, \
                     24h, 7d, today or yesterday";
const NOT_THERE: &str = "this day or hour does not exist";
const OUT_OF_RANGE: &str = "the time must lie between the years 0001 and 9999";

/// Reads a time.
pub(crate) fn read(text: &str, end: End, context: &ParseContext) -> Result<Micros, &'static str> {
    let text = text.trim();
    if let Some(back) = relative(text) {
        let micros = context.now.0.checked_sub(back).map(Micros);
        return micros.filter(|m| *m >= Micros::MIN).ok_or(OUT_OF_RANGE);
    }
    match text {
        "now" => return Ok(context.now),
        "today" => return day(today(context)?, end, &context.zone),
        "yesterday" => {
            let yesterday = today(context)?.yesterday().map_err(|_| OUT_OF_RANGE)?;
            return day(yesterday, end, &context.zone);
        }
        _ => {}
    }
    if let Some((year, month, date)) = ymd(text) {
        let date = Date::new(year, month, date).map_err(|_| NOT_THERE)?;
        return day(date, end, &context.zone);
    }
    // RFC 3339 with a zone, seconds optional as ISO 8601 has them.
    let text = with_seconds(text);
    let local = Micros::parse(&text).map_err(said)?;
    if has_zone(&text) {
        Ok(local)
    } else {
        in_zone(local, &context.zone)
    }
}

/// Microseconds back, for `24h` and the like; too many of them are the most there can be.
fn relative(text: &str) -> Option<i64> {
    let unit_s = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count = text.get(..text.len() - 1)?;
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count = count.parse().unwrap_or(i64::MAX);
    Some(count.saturating_mul(unit_s).saturating_mul(1_000_000))
}

fn today(context: &ParseContext) -> Result<Date, &'static str> {
    let now = jiff::Timestamp::from_microsecond(context.now.0).map_err(|_| OUT_OF_RANGE)?;
    Ok(now.to_zoned(context.zone.clone()).date())
}

fn day(date: Date, end: End, zone: &TimeZone) -> Result<Micros, &'static str> {
    let date = match end {
        End::Start => date,
        End::End => date.tomorrow().map_err(|_| OUT_OF_RANGE)?,
    };
    let start = date.to_zoned(zone.clone()).map_err(|_| OUT_OF_RANGE)?;
    checked(start.timestamp().as_microsecond())
}

/// The instant that a clock in `zone` shows `local` at; in a gap or a fold as Temporal decides.
fn in_zone(local: Micros, zone: &TimeZone) -> Result<Micros, &'static str> {
    let read = jiff::Timestamp::from_microsecond(local.0).map_err(|_| OUT_OF_RANGE)?;
    let civil: DateTime = TimeZone::UTC.to_datetime(read);
    let zoned = civil.to_zoned(zone.clone()).map_err(|_| OUT_OF_RANGE)?;
    checked(zoned.timestamp().as_microsecond())
}

fn checked(micros: i64) -> Result<Micros, &'static str> {
    let micros = Micros(micros);
    (Micros::MIN..=Micros::MAX)
        .contains(&micros)
        .then_some(micros)
        .ok_or(OUT_OF_RANGE)
}

fn said(error: TimeError) -> &'static str {
    match error {
        TimeError::Shape => FORMS,
        TimeError::NoSuchTime => NOT_THERE,
        TimeError::OutOfRange => OUT_OF_RANGE,
    }
}

fn ymd(text: &str) -> Option<(i16, i8, i8)> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let digits = |s: &str, n| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))
}

/// Adds `:00` to `…T10:00` with or without a zone behind it.
fn with_seconds(text: &str) -> String {
    let bytes = text.as_bytes();
    let minutes = bytes.len() >= 16 && bytes.get(13) == Some(&b':') && bytes.get(16) != Some(&b':');
    match (minutes, text.get(..16), text.get(16..)) {
        (true, Some(head), Some(zone)) => format!("{head}:00{zone}"),
        _ => text.to_owned(),
    }
}

fn has_zone(text: &str) -> bool {
    text.get(19..)
        .is_some_and(|rest| rest.contains(['Z', 'z', '+', '-']))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read_at(text: &str, end: End, zone: TimeZone) -> Result<String, &'static str> {
        let now = Micros::parse("2026-11-20T10:30:00Z").unwrap();
        read(text, end, &ParseContext { now, zone }).map(Micros::to_rfc3339)
    }

    #[test]
    fn every_form_is_read() {
        for (text, since, until) in [
            (
                "2026-11-20",
                "2026-11-20T00:00:00.000000Z",
                "2026-11-21T00:00:00.000000Z",
            ),
            (
                "today",
                "2026-11-20T00:00:00.000000Z",
                "2026-11-21T00:00:00.000000Z",
            ),
            (
                "yesterday",
                "2026-11-19T00:00:00.000000Z",
                "2026-11-20T00:00:00.000000Z",
            ),
            (
                "2026-12-31",
                "2026-12-31T00:00:00.000000Z",
                "2027-01-01T00:00:00.000000Z",
            ),
        ] {
            assert_eq!(
                read_at(text, End::Start, TimeZone::UTC).unwrap(),
                since,
                "{text}"
            );
            assert_eq!(
                read_at(text, End::End, TimeZone::UTC).unwrap(),
                until,
                "{text}"
            );
        }
        for (text, expected) in [
            ("now", "2026-11-20T10:30:00.000000Z"),
            ("30s", "2026-11-20T10:29:30.000000Z"),
            ("30m", "2026-11-20T10:00:00.000000Z"),
            ("24h", "2026-11-19T10:30:00.000000Z"),
            ("7d", "2026-11-13T10:30:00.000000Z"),
            ("2w", "2026-11-06T10:30:00.000000Z"),
            ("2026-11-20T10:00", "2026-11-20T10:00:00.000000Z"),
            ("2026-11-20T10:00Z", "2026-11-20T10:00:00.000000Z"),
            ("2026-11-20T10:00+02:00", "2026-11-20T08:00:00.000000Z"),
            ("2026-11-20 10:00:01", "2026-11-20T10:00:01.000000Z"),
            ("2026-11-20T10:00:01.5Z", "2026-11-20T10:00:01.500000Z"),
            ("2026-11-20T10:00:01.5-01:00", "2026-11-20T11:00:01.500000Z"),
        ] {
            assert_eq!(
                read_at(text, End::Start, TimeZone::UTC).unwrap(),
                expected,
                "{text}"
            );
            assert_eq!(
                read_at(text, End::End, TimeZone::UTC).unwrap(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn days_and_times_without_a_zone_are_the_askers() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let since = read_at("2026-11-20", End::Start, zone.clone()).unwrap();
        assert_eq!(since, "2026-11-19T22:00:00.000000Z");
        let until = read_at("2026-11-20", End::End, zone.clone()).unwrap();
        assert_eq!(until, "2026-11-20T22:00:00.000000Z");
        let local = read_at("2026-11-20T10:00:00", End::Start, zone.clone()).unwrap();
        assert_eq!(local, "2026-11-20T08:00:00.000000Z");
        let given = read_at("2026-11-20T10:00:00Z", End::Start, zone).unwrap();
        assert_eq!(given, "2026-11-20T10:00:00.000000Z");
    }

    #[test]
    fn what_is_not_a_time_says_what_is() {
        for (text, said) in [
            ("", FORMS),
            ("h", FORMS),
            ("-3h", FORMS),
            ("tomorrow", FORMS),
            ("2026-11", FORMS),
            ("20/11/2026", FORMS),
            ("2026-02-30", NOT_THERE),
            ("2026-11-20T25:00", NOT_THERE),
            ("99999999999999999999d", OUT_OF_RANGE),
            ("9999999999w", OUT_OF_RANGE),
            ("0000-01-01", OUT_OF_RANGE),
            ("é026-11-20T10:00", FORMS),
        ] {
            assert_eq!(
                read_at(text, End::Start, TimeZone::UTC),
                Err(said),
                "{text}"
            );
        }
    }
}
