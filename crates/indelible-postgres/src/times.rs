//! Times and ids as PostgreSQL has them: `timestamptz` counts microseconds as we do, from 2000 on.
//!
//! Source: PostgreSQL 15 documentation, 8.5 "Date/Time Types": 4713 BC to 294276 AD.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use indelible_event::ids::Micros;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// From 1970 to 2000, microseconds.
const EPOCH: i64 = 946_684_800_000_000;
/// The first and the last microsecond it holds, from 2000.
const RANGE: [i64; 2] = [-211_813_488_000_000_000, 9_223_371_331_199_999_999];

/// A time as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Micros);

impl Time {
    /// Before every time that is stored.
    pub(crate) const LEAST: Self = Self(Micros(i64::MIN));

    /// Whether it can be stored as it is.
    pub(crate) fn fits(self) -> bool {
        let since_2000 = self.0.0.checked_sub(EPOCH);
        since_2000.is_some_and(|micros| (RANGE[0]..=RANGE[1]).contains(&micros))
    }
}

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0.0.saturating_sub(EPOCH).clamp(RANGE[0], RANGE[1]));
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let since_2000 = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Micros(since_2000.saturating_add(EPOCH))))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TIMESTAMPTZ
    }
}

/// An id as `uuid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uuid(pub(crate) [u8; 16]);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn times_come_back_as_they_were() {
        for micros in [0, -1, EPOCH, 1_800_000_000_123_456, 253_402_300_799_999_999] {
            let time = Time(Micros(micros));
            assert!(time.fits());
            let mut bytes = BytesMut::new();
            time.to_sql(&Type::TIMESTAMPTZ, &mut bytes).unwrap();
            assert_eq!(Time::from_sql(&Type::TIMESTAMPTZ, &bytes).unwrap(), time);
        }
        assert!(Time(Micros(i64::MAX)).fits());
        assert!(!Time(Micros(i64::MIN)).fits() && !Time(Micros(RANGE[0] + EPOCH - 1)).fits());
    }
}
