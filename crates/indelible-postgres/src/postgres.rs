//! A database as ledger, index, state and key store.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use deadpool_postgres::Object;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::Hash;
use indelible_proof::finding::Finding;
use indelible_store::{
    Change, Commit, Entry, Error, FindHash, Handle, Head, Hits, Index, Kind, Ledger, Place, Query,
    Result, RowOpener, SealedValue, State, Stored, Tallied, Tally, TermKey, Turn, Version,
};

use crate::about::{About, about};
use crate::append::{self, Terms};
use crate::check::{Beside, Tell};
use crate::database::Database;
use crate::months::Months;
use crate::read::Cursor;
use crate::state::{Scan, Table};
use crate::{Options, check, marks, mend, named, read, scattered};
use crate::{schema, search, state, tally, timescale};

/// A ledger, the index over it and small state in one database.
///
/// Calls block. A task of a runtime with many threads may make them, of one with a single thread
/// not.
pub struct Postgres {
    database: Arc<Database>,
    state: Values,
    months: Arc<Months>,
    id: [u8; 16],
    terms: Terms,
    about: About,
}

/// What names a ledger that is new; random.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// Its id.
    pub id: [u8; 16],
    /// With what terms are hashed.
    pub term_key: [u8; 16],
}

/// One of the tables of small values.
struct Values {
    database: Arc<Database>,
    table: Table,
}

impl Postgres {
    /// Connects, makes the tables or brings them up to date, and makes the ledger when there is
    /// none yet, as `fresh` says; when several make one at once, one of them is first and names it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a URL that is none and for a role, password or database that is not
    /// there; [`Kind::Unavailable`] when no server answers; [`Kind::ReadOnly`] when whoever
    /// connects may not do what is needed, with what to do; [`Kind::Format`] when PostgreSQL is too
    /// old or the tables are of a newer program; and those of `fresh`.
    pub fn open(options: &Options, fresh: impl FnOnce() -> Result<Fresh>) -> Result<Self> {
        let database = Database::new(options)?;
        let without = database.run_as_owner(async |client| timescale::provide(&client).await)?;
        database.run_as_owner(async |mut client| schema::migrate(&mut client, without).await)?;
        if !database.run(async |client| named::is_there(client).await)? {
            let fresh = fresh()?;
            database.run(async |client| named::make(client, &fresh).await)?;
        }
        Self::with(database, options)
    }

    /// Connects to the ledger that is there; `None` when there is none.
    ///
    /// # Errors
    /// As [`Postgres::open`]; [`Kind::Format`] also when the tables are of an older program, which
    /// a server brings up to date.
    pub fn find(options: &Options) -> Result<Option<Self>> {
        let database = Database::new(options)?;
        if !database.run_as_owner(async |client| schema::is_there(&client).await)?
            || !database.run(async |client| named::is_there(client).await)?
        {
            return Ok(None);
        }
        Self::with(database, options).map(Some)
    }

    fn with(database: Database, options: &Options) -> Result<Self> {
        let (name, about) = database.run(async |client| {
            let name = named::read(client).await?;
            Ok((name, about(client).await?))
        })?;
        database.warm(options.connections_min.min(options.connections_max))?;
        let database = Arc::new(database);
        let state = Values {
            database: Arc::clone(&database),
            table: Table::State,
        };
        Ok(Self {
            database,
            state,
            months: Arc::default(),
            id: name.id,
            terms: name.terms,
            about,
        })
    }

    /// Where it is, without the password.
    pub fn address(&self) -> String {
        self.database.address()
    }

    /// Which ledger it is.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The key store: wrapped keys, in a table of their own.
    pub fn key_store(&self) -> Arc<dyn State> {
        Arc::new(Values {
            database: Arc::clone(&self.database),
            table: Table::Keys,
        })
    }

    /// Every finding in what is derived from leaves: the columns beside them, `ids`, `subtrees`,
    /// `heads`; and what leaves say of themselves that keeps it from being mended. It may run
    /// beside writers, and needs bounded memory.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn check(&self, beside: &Beside<'_>, tell: Tell<'_>) -> Result<Vec<Finding>> {
        let terms = self.terms;
        self.database
            .run(async |client| check::check(client, terms, beside, tell).await)
    }

    /// Makes again what [`Postgres::check`] finds derived and damaged; no leaf is touched. Whoever
    /// connects must own the tables.
    ///
    /// # Errors
    /// [`Kind::ReadOnly`] for who may not; [`Kind::Unavailable`], also while somebody commits to a
    /// log of which the head is to be mended.
    pub fn mend(&self, beside: &Beside<'_>, tell: Tell<'_>) -> Result<()> {
        let terms = self.terms;
        self.database
            .run_as_owner(async |client| mend::mend(&client, terms, beside, tell).await)
    }

    /// What is worth saying of the server, and of the tables in it.
    pub fn about(&self) -> &About {
        &self.about
    }
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
        let heads = self.heads(std::slice::from_ref(tenant)).pop();
        heads.unwrap_or(Ok(None))
    }

    fn heads(&self, tenants: &[TenantId]) -> Vec<Result<Option<Head>>> {
        let heads = self
            .database
            .run(async |client| read::heads(client, tenants).await);
        for_each(heads, tenants.len())
    }

    fn heads_to_extend(&self, tenants: &[TenantId]) -> Vec<Result<Option<Head>>> {
        let heads = self
            .database
            .run(async |client| read::heads_to_extend(client, tenants).await);
        for_each(heads, tenants.len())
    }

    fn find(&self, tenant: &TenantId, ids: &[AuditId]) -> Result<Vec<Option<u64>>> {
        let found = self.find_all(&[(tenant, ids)]).pop();
        found.unwrap_or_else(|| Ok(Vec::new()))
    }

    fn find_all(&self, wanted: &[(&TenantId, &[AuditId])]) -> Vec<Result<Vec<Option<u64>>>> {
        let found = self
            .database
            .run(async |client| read::find(client, wanted).await);
        let found = found.map(|found| found.into_iter().map(Ok).collect());
        for_each(found, wanted.len())
    }

    fn term_key(&self) -> Option<TermKey> {
        Some(self.terms.key)
    }

    fn append(&self, commit: &Commit) -> Result<()> {
        append::check_shape(commit)?;
        self.database.run(async |client| {
            self.months.provide(client, ingested(commit)).await?;
            append::append(client, commit, self.terms).await
        })
    }

    fn turn(&self, tenants: &[TenantId]) -> Result<Option<Box<dyn Turn>>> {
        let client = self.database.take()?;
        let hold = async |client: &mut Object| append::hold(client, tenants).await;
        let ((), client) = self.database.run_on(client, hold)?;
        Ok(Some(Box::new(Held {
            database: Arc::clone(&self.database),
            months: Arc::clone(&self.months),
            terms: self.terms,
            client: Some(client),
        })))
    }

    fn read(
        &self,
        tenant: &TenantId,
        range: Range<u64>,
        visit: &mut dyn FnMut(Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let database = &self.database;
        let end = database.run(async |client| read::end(client, tenant, range.end).await)?;
        let mut next = Some(Cursor::at(range.start)).filter(|_| range.start < end);
        while let Some(from) = next {
            let chunk =
                database.run(async |client| read::chunk(client, tenant, from, end).await)?;
            // Outside of the call, so that who reads may ask for more, and holds no connection.
            next = chunk.visit(tenant, from, end, visit)?;
        }
        Ok(())
    }

    fn read_ranges<'a>(
        &self,
        mut wanted: &[(&'a TenantId, Range<u64>)],
        visit: &mut dyn FnMut(&'a TenantId, Stored<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() && !wanted.is_empty() {
            let (group, rest) = scattered::group(wanted);
            wanted = rest;
            let mut chunks = Vec::new();
            if group.len() > 1 {
                let database = &self.database;
                chunks = database.run(async |client| scattered::chunks(client, group).await)?;
            }
            chunks.resize_with(group.len(), || None);
            for ((tenant, range), chunk) in group.iter().zip(chunks) {
                let mut visit = |stored: Stored<'_>| {
                    flow = visit(tenant, stored);
                    flow
                };
                match chunk {
                    Some(chunk) => drop(chunk.whole(tenant, range, &mut visit)?),
                    None => self.read(tenant, range.clone(), &mut visit)?,
                }
                if flow.is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn subtree(&self, tenant: &TenantId, level: u32, index: u64) -> Result<Hash> {
        self.database
            .run(async |client| read::subtree(client, tenant, level, index).await)
    }
}

/// Times of commit of all records.
fn ingested(commit: &Commit) -> impl Iterator<Item = Micros> {
    let records = commit.appends.iter().flat_map(|append| &append.records);
    records.map(|record| record.ingested_at)
}

/// What became of one call for many: the failure of the call is that of each.
fn for_each<T>(call: Result<Vec<Result<T>>>, count: usize) -> Vec<Result<T>> {
    call.unwrap_or_else(|error| {
        let each = || Err(Error::new(error.kind(), error.context()));
        std::iter::repeat_with(each).take(count).collect()
    })
}

/// A connection in a transaction that holds some heads.
struct Held {
    database: Arc<Database>,
    months: Arc<Months>,
    terms: Terms,
    client: Option<Object>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl Turn for Held {
    fn append(mut self: Box<Self>, commit: &Commit) -> Result<()> {
        append::check_shape(commit)?;
        // On a connection of its own: it makes tables, which commit by themselves.
        self.database
            .run(async |client| self.months.provide(client, ingested(commit)).await)?;
        let Some(client) = self.client.take() else {
            return Err(Error::new(Kind::Invalid, "the turn was used"));
        };
        let terms = self.terms;
        let append = async |client: &mut Object| append::append_within(client, commit, terms).await;
        self.database.run_on(client, append).map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // A connection that cannot do this is lost, and its locks with it.
            let _ = self.database.run_on(client, async |client: &mut Object| {
                append::roll_back(client).await;
                Ok(())
            });
        }
    }
}

/// Tells from the table what finds a row, without any key: for whoever copies records from here.
impl RowOpener for Postgres {
    fn find(&self, tenant: &TenantId, handle: Handle, row: &[u8]) -> Option<FindHash> {
        let value = SealedValue {
            handle,
            find: None,
            blob: false,
            row: row.into(),
        };
        let find = async |client: &mut Object| read::find_hash(client, tenant, &value).await;
        self.database.run(find).ok().flatten()
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

    fn tally(&self, query: &Query, wanted: &Tally) -> Result<Tallied> {
        let terms = self.terms;
        self.database
            .run(async |client| tally::tally(client, query, wanted, terms).await)
    }
}

impl State for Postgres {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        self.state.get(space, key)
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.state.scan(space, prefix, after, limit)
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        self.state.apply(changes)
    }
}

impl State for Values {
    fn get(&self, space: &'static str, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        self.database
            .run(async |client| state::get(client, self.table, space, key).await)
    }

    fn scan(
        &self,
        space: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let wanted = Scan {
            space,
            prefix,
            after,
            limit,
        };
        self.database
            .run(async |client| state::scan(client, self.table, wanted).await)
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        self.database
            .run(async |client| state::apply(client, self.table, changes).await)
    }
}
