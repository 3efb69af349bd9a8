//! Times: RFC 3339 text to microseconds since the Unix epoch and back.
//!
//! Not here: clocks; the time of day always arrives by parameter. `occurred_at` is kept as its
//! producer wrote it and only its column value is computed here. See `spec/event.md`, "Times".

use std::fmt;
use std::time::SystemTime;

/// Microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The shape is not that of RFC 3339.
    #[error("write the time as RFC 3339, like 2026-01-31T23:59:59.123Z")]
    Shape,
    /// A month, day, hour, minute, second or offset is out of its range.
    #[error("the time names a day or an hour that does not exist")]
    NoSuchTime,
    /// The time is before the year 0001 or after 9999 in UTC.
    #[error("the time must lie between the years 0001 and 9999")]
    OutOfRange,
}

/// Finer than microseconds is cut, as from RFC 3339; what the range cannot hold is its end.
impl From<SystemTime> for Micros {
    fn from(time: SystemTime) -> Self {
        let micros = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => {
                let nanos = before.duration().as_nanos();
                i64::try_from(nanos.div_ceil(1_000)).map_or(i64::MIN, |micros| -micros)
            }
        };
        Self(micros).clamp(Self::MIN, Self::MAX)
    }
}

impl Micros {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Reads RFC 3339: `T`, `t` or a space between date and time, any number of fraction digits
    /// (finer than microseconds is cut), `Z`, `z`, an offset, or nothing, which means UTC. Second
    /// 60 counts as the next second.
    ///
    /// # Errors
    /// Says whether the shape, the calendar or the range is wrong.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let b = text.as_bytes();
        let Some((head, rest)) = b.split_first_chunk::<19>() else {
            return Err(TimeError::Shape);
        };
        let separators = head[4] == b'-'
            && head[7] == b'-'
            && matches!(head[10], b'T' | b't' | b' ')
            && head[13] == b':'
            && head[16] == b':';
        if !separators {
            return Err(TimeError::Shape);
        }
        let year = two(head[0], head[1])? * 100 + two(head[2], head[3])?;
        let (month, day) = (two(head[5], head[6])?, two(head[8], head[9])?);
        let (hour, minute) = (two(head[11], head[12])?, two(head[14], head[15])?);
        let second = two(head[17], head[18])?;
        let (micros, rest) = fraction(rest)?;
        let offset_s = offset_seconds(rest)?;
        let calendar = (1..=12).contains(&month)
            && day >= 1
            && day <= days_in_month(year, month)
            && hour <= 23
            && minute <= 59
            && second <= 60;
        if !calendar {
            return Err(TimeError::NoSuchTime);
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
                - offset_s;
        let value = Self(seconds * 1_000_000 + micros);
        if year < 1 || value < Self::MIN || value > Self::MAX {
            return Err(TimeError::OutOfRange);
        }
        Ok(value)
    }

    /// RFC 3339 in UTC with exactly six decimals and `Z`: the form of `ingested_at`, 27 bytes.
    ///
    /// Values outside the years 0001 to 9999 are clamped to them.
    pub fn to_rfc3339(self) -> String {
        let mut out = Vec::with_capacity(27);
        self.write_rfc3339(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// RFC 3339 in UTC with exactly three decimals and `Z`: the form of a filled `occurred_at`.
    pub fn to_rfc3339_ms(self) -> String {
        let mut text = self.to_rfc3339();
        text.truncate(23);
        text.push('Z');
        text
    }

    /// Appends the 27 bytes of [`Micros::to_rfc3339`].
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let micros = self.clamped();
        let seconds = micros.div_euclid(1_000_000);
        let fraction = micros.rem_euclid(1_000_000);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        for (place, value) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, of_day / 3_600),
            (14..16, of_day / 60 % 60),
            (17..19, of_day % 60),
            (20..26, fraction),
        ] {
            digits(&mut text[place], value);
        }
        out.extend_from_slice(&text);
    }

    /// From milliseconds since the Unix epoch; `None` outside the years 0001 to 9999.
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        let value = Self(ms.checked_mul(1_000)?);
        (Self::MIN..=Self::MAX).contains(&value).then_some(value)
    }

    /// Milliseconds since the Unix epoch, finer digits cut, 0 before the epoch: what an id holds.
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000)).unwrap_or(0)
    }

    fn clamped(self) -> i64 {
        self.0.clamp(Self::MIN.0, Self::MAX.0)
    }
}

/// As RFC 3339 UTC with six decimals.
impl serde::Serialize for Micros {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl<'de> serde::Deserialize<'de> for Micros {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

fn two(a: u8, b: u8) -> Result<i64, TimeError> {
    if a.is_ascii_digit() && b.is_ascii_digit() {
        Ok(i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    } else {
        Err(TimeError::Shape)
    }
}

/// Microseconds of an optional `.digits`, and what follows it.
fn fraction(rest: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some((b'.', digits)) = rest.split_first() else {
        return Ok((0, rest));
    };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return Err(TimeError::Shape);
    }
    let (digits, rest) = digits.split_at(count);
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + digits.get(place).map_or(0, |b| i64::from(b - b'0'));
    }
    Ok((micros, rest))
}

fn offset_seconds(zone: &[u8]) -> Result<i64, TimeError> {
    match *zone {
        [] | [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return Err(TimeError::NoSuchTime);
            }
            let seconds = hours * 3_600 + minutes * 60;
            Ok(if sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(TimeError::Shape),
    }
}

/// Writes the last digits of a value, as many as there is room for.
fn digits(out: &mut [u8], mut value: i64) {
    for place in out.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (years of 400-year eras, March first).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_system_s_times() {
        let epoch = SystemTime::UNIX_EPOCH;
        let of = |time: SystemTime| Micros::from(time).0;
        assert_eq!(of(epoch), 0);
        assert_eq!(of(epoch + Duration::from_nanos(1_999)), 1);
        assert_eq!(of(epoch - Duration::from_nanos(1)), -1);
        assert_eq!(of(epoch - Duration::from_micros(5)), -5);
        let late = epoch + Duration::from_secs(1 << 40);
        assert_eq!(Micros::from(late), Micros::MAX);
    }

    #[test]
    fn known_times() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00", 0),
            ("1970-01-01 00:00:00.0000019", 1),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2026-02-28t12:00:00.5+02:00", 1_772_272_800_500_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("0001-01-01T00:00:00Z", Micros::MIN.0),
            ("9999-12-31T23:59:59.999999999Z", Micros::MAX.0),
        ] {
            assert_eq!(Micros::parse(text), Ok(Micros(micros)), "{text}");
        }
    }

    #[test]
    fn refused_times() {
        use TimeError::{NoSuchTime, OutOfRange, Shape};
        for (text, error) in [
            ("", Shape),
            ("2026-01-01", Shape),
            ("2026-01-01T00:00", Shape),
            ("2026-01-01T00:00:00.Z", Shape),
            ("2026-01-01T00:00:00ZZ", Shape),
            ("2026-01-01T00:00:00+0100", Shape),
            ("2026-01-01_00:00:00Z", Shape),
            ("20x6-01-01T00:00:00Z", Shape),
            ("2025-02-29T00:00:00Z", NoSuchTime),
            ("2026-13-01T00:00:00Z", NoSuchTime),
            ("2026-00-01T00:00:00Z", NoSuchTime),
            ("2026-04-31T00:00:00Z", NoSuchTime),
            ("2026-01-01T24:00:00Z", NoSuchTime),
            ("2026-01-01T00:60:00Z", NoSuchTime),
            ("2026-01-01T00:00:61Z", NoSuchTime),
            ("2026-01-01T00:00:00+24:00", NoSuchTime),
            ("0000-12-31T23:59:59Z", OutOfRange),
            ("0001-01-01T00:00:00+00:01", OutOfRange),
            ("9999-12-31T23:59:59-00:01", OutOfRange),
        ] {
            assert_eq!(Micros::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads_back() {
        for micros in [
            Micros::MIN.0,
            -1,
            0,
            1,
            951_782_399_999_999,
            1_772_272_800_500_000,
            Micros::MAX.0,
        ] {
            let text = Micros(micros).to_rfc3339();
            assert_eq!(text.len(), 27);
            assert_eq!(Micros::parse(&text), Ok(Micros(micros)), "{text}");
        }
        assert_eq!(Micros(1_999).to_rfc3339_ms(), "1970-01-01T00:00:00.001Z");
        assert_eq!(Micros(i64::MAX).to_rfc3339(), Micros::MAX.to_rfc3339());
    }

    #[test]
    fn agrees_with_an_independent_calendar() {
        for day in (-719_162_i64..2_932_896).step_by(997) {
            let micros = Micros(day * 86_400_000_000 + 3_661_000_007);
            let theirs = jiff::Timestamp::from_microsecond(micros.0).unwrap();
            assert_eq!(format!("{theirs:.6}"), micros.to_rfc3339());
        }
    }
}
