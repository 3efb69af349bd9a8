//! Moments that are to come, and spans, as people write them: `90d`, `2027-01-01`, RFC 3339.

use indelible_event::ids::Micros;
use indelible_store::{Error, Kind, Result};

/// Digits of a span's count.
const DIGITS_MAX: usize = 6;
/// A date alone has so many characters, and stands for its start in UTC.
const DATE_CHARS: usize = 10;

/// Microseconds of a span; `0` needs no unit.
pub(super) fn span(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let unit_s = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count = text.get(..text.len() - 1)?;
    let is_number = (1..=DIGITS_MAX).contains(&count.len());
    if !is_number || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: i64 = count.parse().ok()?;
    Some(count * unit_s * 1_000_000)
}

/// The moment that a text stands for, which must lie behind `now`.
pub(super) fn to_come(text: &str, now: Micros) -> Result<Micros> {
    let wrong = || {
        let what = format!(
            "`{text}` is no end of a key: write so long from now, as 90d or 12h, or a time like \
             2027-01-31 or 2027-01-31T12:00:00Z"
        );
        Error::new(Kind::Invalid, what)
    };
    let at = match span(text) {
        Some(span) => now.0.checked_add(span).map(Micros),
        None if text.len() == DATE_CHARS => Micros::parse(&format!("{text}T00:00:00Z")).ok(),
        None => Micros::parse(text).ok(),
    };
    let at = at.filter(|at| *at <= Micros::MAX).ok_or_else(wrong)?;
    if at <= now {
        let what = format!("`{text}` is not to come: a key ends after it is made");
        return Err(Error::new(Kind::Invalid, what));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: Micros = Micros(1_770_000_000_000_000);

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("0h", Some(0)),
            ("90s", Some(90)),
            ("2m", Some(120)),
            ("24h", Some(86_400)),
            ("90d", Some(90 * 86_400)),
            ("1w", Some(604_800)),
            ("", None),
            ("h", None),
            ("-1h", None),
            ("1.5h", None),
            ("1 h", None),
            ("1y", None),
            ("1234567d", None),
            ("5", None),
            ("1ü", None),
        ] {
            assert_eq!(span(text), seconds.map(|s: i64| s * 1_000_000), "{text}");
        }
    }

    #[test]
    fn a_moment_is_one_that_is_to_come() {
        let at = |text| to_come(text, NOW).map(Micros::to_rfc3339);
        assert_eq!(at("1d").unwrap(), "2026-02-03T02:40:00.000000Z");
        assert_eq!(at("2027-01-31").unwrap(), "2027-01-31T00:00:00.000000Z");
        assert_eq!(
            at("2027-01-31T12:00:00+01:00").unwrap(),
            "2027-01-31T11:00:00.000000Z"
        );
        for wrong in [
            "",
            "0",
            "0d",
            "2026-01-01",
            "tomorrow",
            "2027-02-30",
            "999999w",
        ] {
            let error = to_come(wrong, NOW).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{wrong}");
        }
    }
}
