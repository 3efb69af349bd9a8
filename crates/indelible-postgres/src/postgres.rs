//! A database as ledger, index and state.

use std::ops::{ControlFlow, Range};

use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::Hash;
use indelible_store::{
    Change, Commit, Entry, Error, Head, Hits, Index, Kind, Ledger, Place, Query, Result, State,
    Stored, TermKey, Version,
};
use tokio_postgres::Client;

use crate::append::{self, Terms};
use crate::database::Database;
use crate::failure::failed;
use crate::months::Months;
use crate::{Options, marks, read, schema, search, state};

/// A ledger, the index over it and small state in one database.
///
/// Calls block; they are not to be made from within an asynchronous task.
pub struct Postgres {
    database: Database,
    months: Months,
    terms: Terms,
    about: About,
}

/// What is worth saying of the server when it is first reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its version, as it writes it: `15.13`.
    pub version: String,
    /// Whether what it says is committed survives a power loss; not so with `fsync` off.
    pub durable: bool,
}

impl Postgres {
    /// Connects, and makes the tables or brings them up to date.
    ///
    /// `term_key` is random; the first to come to a new database gives it its own.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a URL that is none and for a role, password or database that is not
    /// there; [`Kind::Unavailable`] when no server answers; [`Kind::ReadOnly`] when whoever
    /// connects may not do what is needed, with what to do; [`Kind::Format`] when PostgreSQL is too
    /// old or the tables are of a newer program.
    pub fn open(options: &Options, term_key: [u8; 16]) -> Result<Self> {
        let database = Database::new(options)?;
        database.run_as_owner(async |mut client| schema::migrate(&mut client).await)?;
        let (terms, about) = database.run(async |client| {
            let terms = terms(client, term_key).await?;
            Ok((terms, about(client).await?))
        })?;
        database.warm(options.connections_min.min(options.connections_max))?;
        let months = Months::default();
        Ok(Self {
            database,
            months,
            terms,
            about,
        })
    }

    /// What is worth saying of the server.
    pub fn about(&self) -> &About {
        &self.about
    }
}

/// The key of terms and the era in force.
async fn terms(client: &Client, term_key: [u8; 16]) -> Result<Terms> {
    let oops = |error| failed("reading what names the database", error);
    let cluster: i64 = client
        .query_one("SELECT system_identifier FROM pg_control_system()", &[])
        .await
        .map_err(oops)?
        .get(0);
    let insert = "INSERT INTO indelible.ledger (term_key, era, cluster) VALUES ($1, 1, $2) \
         ON CONFLICT (one) DO UPDATE SET era = ledger.era + 1, cluster = excluded.cluster \
         WHERE ledger.cluster <> excluded.cluster";
    client
        .execute(insert, &[&term_key.as_slice(), &cluster])
        .await
        .map_err(oops)?;
    let select = "SELECT term_key, era FROM indelible.ledger";
    let row = client.query_one(select, &[]).await.map_err(oops)?;
    let key: [u8; 16] = row
        .get::<_, &[u8]>(0)
        .try_into()
        .map_err(|_| Error::new(Kind::Corrupt, "the key of terms is not 16 bytes long"))?;
    Ok(Terms {
        key: TermKey::new(&key),
        era: row.get(1),
    })
}

async fn about(client: &Client) -> Result<About> {
    let select = "SELECT split_part(current_setting('server_version'), ' ', 1), \
         current_setting('fsync')::bool";
    let row = client.query_one(select, &[]).await;
    let row = row.map_err(|error| failed("reading the server's version", error))?;
    Ok(About {
        version: row.get(0),
        durable: row.get(1),
    })
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.write_str("Postgres")
    }
}

impl Ledger for Postgres {
    fn tenants(&self) -> Result<Vec<TenantId>> {
        self.database
            .run(async |client| read::tenants(client).await)
    }

    fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        self.database
            .run(async |client| read::head(client, tenant).await)
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        self.database
            .run(async |client| read::find(client, tenant, ids).await)
    }

    fn term_key(&self) -> Option<TermKey> {
        Some(self.terms.key)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        append::check_shape(commit)?;
        let times = || commit.appends.iter().flat_map(|append| &append.records);
        self.database.run(async |client| {
            self.months
                .provide(client, times().map(|record| record.ingested_at))
                .await?;
            append::append(client, commit, self.terms).await
        })
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let size = |head: Head| head.frontier.size();
        let end = self.head(tenant)?.map_or(0, size).min(range.end);
        let mut from = range.start;
        while from < end {
            let wanted = from..end;
            let database = &self.database;
            let chunk = database.run(async |client| read::chunk(client, tenant, wanted).await)?;
            // Outside of the call, so that who reads may ask for more, and holds no connection.
            match chunk.visit(tenant, from..end, visit) {
                ControlFlow::Continue(next) => from = next,
                ControlFlow::Break(()) => break,
            }
        }
        Ok(())
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.database
            .run(async |client| read::subtree(client, tenant, level, index).await)
    }
}

impl Index for Postgres {
    fn mark(&self) -> Result<u64> {
        self.database
            .run(async |client| marks::make(client, self.terms.era).await)
    }

    fn search(&self, query: &Query, after: Option<&Place>, limit: usize) -> Result<Hits> {
        let terms = self.terms;
        self.database
            .run(async |client| search::search(client, query, after, limit, terms).await)
    }
}

impl State for Postgres {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        self.database
            .run(async |client| state::get(client, space, key).await)
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.database
            .run(async |client| state::scan(client, space, prefix, after, limit).await)
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        self.database
            .run(async |client| state::apply(client, changes).await)
    }
}
