//! Rows that the ledger refused for good: seen, put back in line, or removed by a person.
//!
//! Put back, a row is sent again by the relay, under the id and the number that it has: what is in
//! the ledger then is declared lost no more. Not here: the way to the ledger.

use std::time::Duration;

use indelible_api::Problem;
use indelible_event::Micros;
use indelible_postgres::failure::failed;
use indelible_store::Result;
use tokio_postgres::Row as Read;
use tokio_postgres::types::{ToSql, Type};

use crate::session::{Address, Session};

/// How long somebody may think before his session is ended.
const PATIENCE: Duration = Duration::from_mins(10);

/// The refused rows of an outbox.
pub struct Refused(Session);

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedRow {
    /// Its place in the outbox, which names it.
    pub place: i64,
    /// The event's id.
    pub audit_id: String,
    /// Whose log it was meant for.
    pub tenant: String,
    /// When it was refused.
    pub at: Micros,
    /// Why; nothing where that cannot be read.
    pub problem: Option<Problem>,
    /// The event, as it was written.
    pub event: Vec<u8>,
}

/// Which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All there are.
    All,
    /// Those at these places.
    Places(Vec<i64>),
}

impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refused").finish_non_exhaustive()
    }
}

impl Refused {
    /// Those of the outbox in a database.
    ///
    /// # Errors
    /// When it is no URL, or the database is not reached.
    pub fn of(url: &str) -> Result<Self> {
        Address::parse(url)?.connect(PATIENCE).map(Self)
    }

    /// At most so many behind a place, in order.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn after(&self, place: i64, limit: i64) -> Result<Vec<RefusedRow>> {
        self.read(
            "place > $1 ORDER BY place LIMIT $2",
            &[(&place, Type::INT8), (&limit, Type::INT8)],
        )
    }

    /// The one at a place.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn at(&self, place: i64) -> Result<Option<RefusedRow>> {
        let mut rows = self.read("place = $1", &[(&place, Type::INT8)])?;
        Ok(rows.pop())
    }

    fn read(&self, which: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<RefusedRow>> {
        let select = format!(
            "SELECT place, audit_id::text, tenant_id, \
                 (extract(epoch FROM refused_at) * 1000000)::bigint, problem, event \
             FROM indelible_outbox_refused WHERE {which}"
        );
        let rows = self.0.run(async |client| {
            let rows = client.query_typed(&select, values).await;
            rows.map_err(|error| failed("reading the refused rows of the outbox", error))
        })?;
        Ok(rows.iter().map(row).collect())
    }

    /// Puts rows back in line; how many.
    ///
    /// # Errors
    /// When the tables cannot be changed; nothing of it was done then.
    pub fn put_back(&self, which: &Which) -> Result<u64> {
        let insert = "WITH back AS (DELETE FROM indelible_outbox_refused WHERE \
                 $1::bigint[] IS NULL OR place = ANY ($1) \
                 RETURNING audit_id, tenant_id, event, written_at, epoch, number) \
             INSERT INTO indelible_outbox \
                 (audit_id, tenant_id, event, written_at, epoch, number) SELECT * FROM back";
        self.change(insert, which)
    }

    /// Removes rows for good; how many.
    ///
    /// # Errors
    /// When the table cannot be changed; nothing of it was done then.
    pub fn remove(&self, which: &Which) -> Result<u64> {
        let delete = "DELETE FROM indelible_outbox_refused WHERE \
             $1::bigint[] IS NULL OR place = ANY ($1)";
        self.change(delete, which)
    }

    fn change(&self, statement: &str, which: &Which) -> Result<u64> {
        let places = match which {
            Which::All => None,
            Which::Places(places) => Some(places),
        };
        self.0.run(async |client| {
            let changed = client
                .execute_typed(statement, &[(&places, Type::INT8_ARRAY)])
                .await;
            changed.map_err(|error| failed("changing the refused rows of the outbox", error))
        })
    }
}

fn row(row: &Read) -> RefusedRow {
    RefusedRow {
        place: row.get(0),
        audit_id: row.get(1),
        tenant: row.get(2),
        at: Micros(row.get(3)),
        problem: serde_json::from_str(row.get(4)).ok(),
        event: row.get(5),
    }
}
