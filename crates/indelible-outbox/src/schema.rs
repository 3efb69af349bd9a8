//! The tables of an outbox: as SQL, and made.

use std::time::Duration;

use indelible_postgres::failure::failed;
use indelible_store::{Error, Kind, Result};

use crate::session::Address;

/// The tables, as SQL that may be applied again.
pub const SCHEMA: &str = include_str!("../schema.sql");

/// As long as making tables may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// The oldest version that has all that is used.
const VERSION_MIN: i32 = 140_000;

/// The outbox in a database. Its calls block: from a task of a runtime with one thread they panic.
pub struct Outbox(Address);

impl std::fmt::Debug for Outbox {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Outbox").field(&self.named()).finish()
    }
}

impl Outbox {
    /// The outbox at `postgres://user:password@host/database`; nothing is connected yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is no such URL.
    pub fn at(url: &str) -> Result<Self> {
        Address::parse(url).map(Self)
    }

    /// Where it is, for people; never with the password.
    pub fn named(&self) -> String {
        self.0.named()
    }

    /// Makes what of its tables is not there.
    ///
    /// # Errors
    /// As for any statement: no connection, or no right to make tables.
    pub fn install(&self) -> Result<()> {
        let session = self.0.connect(PATIENCE)?;
        session.transaction(async |client| {
            let oops = |error| failed("making the tables of the outbox", error);
            // Two at once would make one type twice.
            let lock = "SELECT pg_advisory_xact_lock(x'696e646c696e7374'::bigint)";
            client.batch_execute(lock).await.map_err(oops)?;
            client.batch_execute(SCHEMA).await.map_err(oops)
        })
    }

    /// Whether it is there and can be used.
    ///
    /// # Errors
    /// [`Kind::Format`] when there are no tables, or the server is too old.
    pub fn check(&self) -> Result<()> {
        let session = self.0.connect(PATIENCE)?;
        let select = "SELECT current_setting('server_version_num')::int, \
             to_regclass('indelible_outbox') IS NOT NULL";
        let row = session.run(async |client| {
            let row = client.query_one(select, &[]).await;
            row.map_err(|error| failed("looking for the outbox", error))
        })?;
        let version: i32 = row.get(0);
        if version < VERSION_MIN {
            let major = version / 10_000;
            let said = format!("PostgreSQL {major} is too old: 14 or newer is needed");
            return Err(Error::new(Kind::Format, said));
        }
        if row.get(1) {
            return Ok(());
        }
        let said = format!(
            "there is no table indelible_outbox in {}: make it with indelible relay --install, or \
             with what --print-schema prints",
            self.named()
        );
        Err(Error::new(Kind::Format, said))
    }
}
