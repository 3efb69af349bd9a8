//! Numbers as they are written: compared digit by digit, never rounded.
//!
//! A number in an event is text of up to 64 characters (`spec/canonical-form.md`), which no machine
//! number holds. Not here: arithmetic beyond a whole factor, which units need.

use std::cmp::Ordering;
use std::fmt;

/// Longer texts are no numbers here: some more than an event's, for what units add.
const CHARS_MAX: usize = 80;
/// An exponent in two limbs of base 10^37, which hold any that fits [`CHARS_MAX`] characters.
const LIMB: i128 = 10_i128.pow(37);
const LIMB_DIGITS: usize = 37;
/// Numbers that take no more characters are written without an exponent.
const PLAIN_CHARS_MAX: usize = 40;

/// A decimal number of any size; equal ones are equal however they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// The value is `0.d1 d2 … × 10^exponent`; zero has no digits and exponent 0.
    exponent: Exponent,
    /// From 0 to 9, the first and the last of them not 0.
    digits: Vec<u8>,
}

/// High and low limb; the low one is never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Exponent(i128, i128);

impl Exponent {
    fn plus(self, shift: i128) -> Self {
        let low = self.1 + shift;
        Self(self.0 + low.div_euclid(LIMB), low.rem_euclid(LIMB))
    }

    /// Digits with a sign before them or none, as JSON has them.
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.is_empty() || !is_digits(digits) {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        if digits.len() > 2 * LIMB_DIGITS {
            return None;
        }
        let (high, low) = digits.split_at(digits.len().saturating_sub(LIMB_DIGITS));
        let limb = |text: &str| -> Option<i128> {
            if text.is_empty() {
                return Some(0);
            }
            text.parse().ok()
        };
        let (high, low) = (limb(high)?, limb(low)?);
        Some(if negative {
            Self(-high, 0).plus(-low)
        } else {
            Self(high, low)
        })
    }

    /// The number itself, where it fits one limb.
    fn small(self) -> Option<i128> {
        match self {
            Self(0, low) => Some(low),
            Self(-1, low) => Some(low - LIMB),
            _ => None,
        }
    }
}

impl fmt::Display for Exponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(small) = self.small() {
            return write!(f, "{small}");
        }
        let (sign, Self(high, low)) = if self.0 < 0 {
            // Both limbs of the number without its sign.
            ("-", Self(-self.0, 0).plus(-self.1))
        } else {
            ("", *self)
        };
        write!(f, "{sign}{high}{low:0LIMB_DIGITS$}")
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

impl Decimal {
    /// Reads a number of JSON.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > CHARS_MAX {
            return None;
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Exponent::parse(exponent)?),
            None => (unsigned, Exponent(0, 0)),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(both) => both,
            None => (mantissa, ""),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0');
        let point = i128::try_from(whole.len()).ok()?;
        Some(Self::of(negative, exponent.plus(point), digits.collect()))
    }

    /// Without zeros at either end.
    fn of(negative: bool, exponent: Exponent, mut digits: Vec<u8>) -> Self {
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            let exponent = Exponent(0, 0);
            return Self {
                negative: false,
                exponent,
                digits,
            };
        }
        let exponent = exponent.plus(-i128::try_from(zeros).unwrap_or(0));
        Self {
            negative,
            exponent,
            digits,
        }
    }

    /// So many times the number; the factor is at most a thousand million.
    #[must_use]
    pub fn times(&self, factor: u32) -> Self {
        let mut product = Vec::with_capacity(self.digits.len() + 10);
        let mut carry = 0_u64;
        for digit in self.digits.iter().rev() {
            carry += u64::from(*digit) * u64::from(factor);
            product.push(u8::try_from(carry % 10).unwrap_or(0));
            carry /= 10;
        }
        while carry > 0 {
            product.push(u8::try_from(carry % 10).unwrap_or(0));
            carry /= 10;
        }
        product.reverse();
        let longer = product.len().saturating_sub(self.digits.len());
        let exponent = self.exponent.plus(i128::try_from(longer).unwrap_or(0));
        Self::of(self.negative, exponent, product)
    }

    /// The nearest double, which may be infinite or zero: never on the other side of another
    /// number's nearest double than the number is.
    pub fn nearest(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// Without an exponent, where that is short.
    fn plain(&self, digits: &str) -> Option<String> {
        let point = self.exponent.small()?;
        let width = i128::try_from(PLAIN_CHARS_MAX).ok()?;
        if !(-width..=width).contains(&point) {
            return None;
        }
        let text = if let Ok(point) = usize::try_from(point)
            && point > 0
        {
            match digits.split_at_checked(point) {
                Some((whole, "")) => whole.to_owned(),
                Some((whole, fraction)) => format!("{whole}.{fraction}"),
                None => format!("{digits:0<point$}"),
            }
        } else {
            let zeros = usize::try_from(-point).ok()?;
            format!("0.{:0<zeros$}{digits}", "")
        };
        (text.len() <= PLAIN_CHARS_MAX).then_some(text)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sign().cmp(&other.sign()).then_with(|| {
            let size = self.exponent.cmp(&other.exponent);
            let size = size.then_with(|| self.digits.cmp(&other.digits));
            if self.negative { size.reverse() } else { size }
        })
    }
}

/// As a number of JSON, which is read back as the same.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let digits: String = self.digits.iter().map(|d| char::from(b'0' + d)).collect();
        if let Some(plain) = self.plain(&digits) {
            return f.write_str(&plain);
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{first}{point}{rest}e{}", self.exponent.plus(-1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_ordered_as_they_are_written() {
        let nines = "9".repeat(60);
        let ascending = [
            format!("-1e{nines}"),
            "-1e400".into(),
            "-10".into(),
            "-9.5".into(),
            "-0.1".into(),
            format!("1e-{nines}"),
            format!("2e-{nines}"),
            "1e-400".into(),
            "0.1".into(),
            "0.10000000000000000000000000000000000001".into(),
            "1".into(),
            "9007199254740992".into(),
            "9007199254740993".into(),
            "1e308".into(),
            format!("0.98e{nines}"),
            format!("9.9e{}8", &nines[..59]),
            format!("1e{nines}"),
        ];
        for (a, first) in ascending.iter().enumerate() {
            for (b, second) in ascending.iter().enumerate() {
                let order = number(first).cmp(&number(second));
                // Two of them are written apart and compare by exponents of sixty digits.
                assert_eq!(order, a.cmp(&b), "{first} {second}");
            }
        }
    }

    #[test]
    fn ways_to_write_a_number_are_one_number() {
        for same in [
            &["0", "-0", "0.0", "0e9", "-0.00e-7"][..],
            &["1.5", "1.50", "15e-1", "0.15E+1", "150e-02"],
            &["1000", "1e3", "1.0e+3", "0.1e4"],
            &["-0.001", "-1e-3"],
        ] {
            for text in same {
                assert_eq!(number(text), number(same[0]), "{text}");
            }
        }
        assert_eq!(number("1.50").to_string(), "1.5");
        assert_eq!(number("-1e-3").to_string(), "-0.001");
        assert_eq!(number("12e40").to_string(), "1.2e41");
        assert_eq!(number("1e21").to_string(), "1000000000000000000000");
    }

    #[test]
    fn what_is_no_number_of_json_is_none() {
        let long = "1".repeat(81);
        for text in [
            "", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+", "0x1", "1_0", "1 ", "NaN", "--1",
            "1e1.5", "1.-5", "1..2", &long,
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?(e[+-]?[0-9]{1,20})?") {
            let number = number(&text);
            prop_assert_eq!(Decimal::parse(&number.to_string()), Some(number.clone()));
            prop_assert_eq!(number.nearest().to_bits(), text.parse::<f64>().unwrap().to_bits()
                & if number.digits.is_empty() { 0 } else { u64::MAX });
        }

        #[test]
        fn small_ones_are_as_machine_numbers(a in -10_000_i64..10_000, b in -10_000_i64..10_000,
                                             cut in 0_usize..4, factor in 0_u32..5_000) {
            let shift = |n: i64| number(&format!("{n}e-{cut}"));
            prop_assert_eq!(shift(a).cmp(&shift(b)), a.cmp(&b));
            prop_assert_eq!(shift(a).times(factor), shift(a * i64::from(factor)));
        }
    }
}
