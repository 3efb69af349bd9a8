//! Where a page ended, as opaque text for the next request.
//!
//! A cursor names its query by a hash, so that it is not taken for another one's; it grants
//! nothing: scopes are checked on every page anew. It also carries the time at which the first page
//! was asked: the next page's text is parsed with that as now, so that `since:24h` stays what it
//! was.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_event::ids::{Micros, TenantId};
use indelible_merkle::sha256;
use indelible_store::{Direction, Order, Place};

use crate::ask::Parsed;

const VERSION: u8 = 1;
/// Bytes of the hash that names the query.
const NAME_BYTES: usize = 16;

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last place of the page; the next page starts after it.
    pub place: Place,
    /// The mark of the index that the first page was asked at.
    pub as_of: u64,
    /// When the first page was asked.
    pub now: Micros,
    query: [u8; NAME_BYTES],
}

/// Why a cursor cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It is not a cursor, or not one of this version.
    #[error("this is not a cursor: ask for the first page again")]
    Malformed,
    /// It belongs to another query, order or direction.
    #[error("the cursor belongs to another query: ask for the first page again")]
    Foreign,
}

impl Cursor {
    /// The cursor after `place` of a query first asked at `now`.
    pub fn new(asked: &Asked<'_>, place: Place, as_of: u64, now: Micros) -> Self {
        Self {
            place,
            as_of,
            now,
            query: asked.name(),
        }
    }

    /// Whether it belongs to this query.
    ///
    /// # Errors
    /// [`CursorError::Foreign`] if it does not.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), CursorError> {
        if self.query == asked.name() {
            Ok(())
        } else {
            Err(CursorError::Foreign)
        }
    }

    /// The text to hand out: letters, digits, `-` and `_`.
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.query);
        bytes.extend_from_slice(&self.as_of.to_be_bytes());
        bytes.extend_from_slice(&self.now.0.to_be_bytes());
        bytes.extend_from_slice(&self.place.occurred_at.0.to_be_bytes());
        bytes.extend_from_slice(&self.place.sequence_number.to_be_bytes());
        bytes.extend_from_slice(self.place.tenant.as_str().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Cursor::encode`] wrote.
    ///
    /// # Errors
    /// [`CursorError::Malformed`] for any other text.
    pub fn decode(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| CursorError::Malformed)?;
        Self::read(&bytes).ok_or(CursorError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (query, rest) = rest.split_first_chunk::<NAME_BYTES>()?;
        let (as_of, rest) = rest.split_first_chunk::<8>()?;
        let (now, rest) = rest.split_first_chunk::<8>()?;
        let (occurred_at, rest) = rest.split_first_chunk::<8>()?;
        let (sequence_number, tenant) = rest.split_first_chunk::<8>()?;
        let place = Place {
            occurred_at: Micros(i64::from_be_bytes(*occurred_at)),
            tenant: TenantId::parse(std::str::from_utf8(tenant).ok()?).ok()?,
            sequence_number: u64::from_be_bytes(*sequence_number),
        };
        let now = Micros(i64::from_be_bytes(*now));
        let as_of = u64::from_be_bytes(*as_of);
        (*version == VERSION).then_some(Self {
            place,
            as_of,
            now,
            query: *query,
        })
    }
}

/// What a cursor belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The query, before tenants and keys: those may change between pages.
    pub parsed: &'a Parsed,
    /// The order of the answer.
    pub order: Order,
    /// Its direction.
    pub direction: Direction,
}

impl Asked<'_> {
    fn name(&self) -> [u8; NAME_BYTES] {
        let order = match self.order {
            Order::Time => "time",
            Order::Sequence => "sequence",
        };
        let direction = match self.direction {
            Direction::NewestFirst => "newest",
            Direction::OldestFirst => "oldest",
        };
        let hash = sha256(format!("{order}\0{direction}\0{}", self.parsed).as_bytes());
        hash.as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{ParseContext, parse};

    fn parsed(text: &str) -> Parsed {
        parse(text, &ParseContext::utc(Micros(1_000_000))).unwrap()
    }

    fn asked(parsed: &Parsed) -> Asked<'_> {
        Asked {
            parsed,
            order: Order::Time,
            direction: Direction::NewestFirst,
        }
    }

    fn place() -> Place {
        let tenant = TenantId::parse("acme").unwrap();
        Place {
            occurred_at: Micros(-5),
            tenant,
            sequence_number: u64::MAX,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let query = parsed("actor:a since:2020-01-01");
        let cursor = Cursor::new(&asked(&query), place(), 7, Micros(9));
        let text = cursor.encode();
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
            "{text}"
        );
        let read = Cursor::decode(&text).unwrap();
        assert_eq!(read, cursor);
        assert_eq!(read.check(&asked(&query)), Ok(()));
    }

    #[test]
    fn another_query_order_or_direction_is_refused() {
        let query = parsed("actor:a");
        let cursor = Cursor::new(&asked(&query), place(), 7, Micros(9));
        for text in [
            "actor:b",
            "",
            "-actor:a",
            "actor:a tenant:acme",
            "actor:a since:2020-01-01",
        ] {
            let other = parsed(text);
            assert_eq!(
                cursor.check(&asked(&other)),
                Err(CursorError::Foreign),
                "{text}"
            );
        }
        let order = Asked {
            order: Order::Sequence,
            ..asked(&query)
        };
        assert_eq!(cursor.check(&order), Err(CursorError::Foreign));
        let direction = Asked {
            direction: Direction::OldestFirst,
            ..asked(&query)
        };
        assert_eq!(cursor.check(&direction), Err(CursorError::Foreign));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let text = Cursor::new(&asked(&parsed("a")), place(), 7, Micros(9)).encode();
        for end in 0..text.len() - 5 {
            assert_eq!(
                Cursor::decode(&text[..end]),
                Err(CursorError::Malformed),
                "{end}"
            );
        }
        let other_version = format!("Ag{}", &text[2..]);
        for wrong in ["", "!", "a b", "AQ==", &other_version] {
            assert_eq!(
                Cursor::decode(wrong),
                Err(CursorError::Malformed),
                "{wrong}"
            );
        }
    }
}
