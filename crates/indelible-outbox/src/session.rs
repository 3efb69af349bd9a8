//! A session with the database of an outbox, behind calls that block.
//!
//! All that a relay writes, it writes in the session that holds its lock. A session that is gone
//! has no lock and writes nothing: so a relay that stood still, or was cut off, does no harm to the
//! one that took over. Invariant: a session of which one call failed is used no more.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use indelible_postgres::failure::failed;
use indelible_postgres::secure;
use indelible_store::{Error, Kind, Result};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement may take before the server ends it.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a call may take: the way to the server may swallow all there is.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);
/// How often in its stall timeout a session says that it lives.
const SIGNS_OF_LIFE: u32 = 4;

/// Where a database is.
pub(crate) struct Address(Config);

/// An open session.
pub(crate) struct Session {
    client: Arc<Client>,
    runtime: Option<Runtime>,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let mut config = secure::config(url)?;
        config.connect_timeout(CONNECT_TIMEOUT);
        // A missing certificate store is told at once, not when the first row waits.
        secure::tls(&config)?;
        Ok(Self(config))
    }

    /// The place, for people.
    pub(crate) fn named(&self) -> String {
        secure::named(&self.0)
    }

    /// Connects; the server ends the session when nothing is heard of it for `stall_timeout`.
    pub(crate) fn connect(&self, stall_timeout: Duration) -> Result<Session> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("indelible-outbox")
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Unavailable, "starting a thread").caused_by(error))?;
        let tls = secure::tls(&self.0)?;
        let settings = settings(stall_timeout);
        let connect = async {
            let connected = self.0.connect(tls).await;
            let (client, connection) = connected.map_err(|error| failed(&self.named(), error))?;
            // Ends with its client; what goes wrong on it is told there.
            tokio::spawn(connection);
            let set = client.batch_execute(&settings).await;
            set.map_err(|error| failed(&self.named(), error))?;
            Ok(client)
        };
        let client = Arc::new(within(
            &runtime,
            CONNECT_TIMEOUT + STATEMENT_TIMEOUT,
            connect,
        )?);
        let live = live(Arc::downgrade(&client), stall_timeout / SIGNS_OF_LIFE);
        runtime.spawn(live);
        Ok(Session {
            client,
            runtime: Some(runtime),
        })
    }
}

impl Session {
    /// Runs what asks the database, and waits for it.
    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
        let closed = || Error::new(Kind::Unavailable, "the session is closed");
        let runtime = self.runtime.as_ref().ok_or_else(closed)?;
        within(runtime, CALL_TIMEOUT, work(&self.client))
    }

    /// Runs what changes several tables as one. After an error the transaction is open, and the
    /// session is of no use.
    pub(crate) fn transaction<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
        self.run(async |client| {
            let oops = |error| failed("changing the outbox", error);
            client.batch_execute("BEGIN").await.map_err(oops)?;
            let value = work(client).await?;
            client.batch_execute("COMMIT").await.map_err(oops)?;
            Ok(value)
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn within<T>(
    runtime: &Runtime,
    timeout: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let late = |_| Error::new(Kind::Unavailable, "the database does not answer");
    let work = async { tokio::time::timeout(timeout, work).await };
    // On a thread of a runtime with many threads it may be called as well.
    tokio::task::block_in_place(|| runtime.block_on(work)).map_err(late)?
}

/// Says that the session lives, for as long as it does: while a batch is under way its own thread
/// asks nothing.
async fn live(client: Weak<Client>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        if client.simple_query("").await.is_err() {
            return;
        }
    }
}

/// What a session is told before it is used. What is known of the rows of a queue is always old,
/// so the planner is told to read by an index: else a long one is read whole for every batch.
fn settings(stall_timeout: Duration) -> String {
    let (stall, statement) = (stall_timeout.as_millis(), STATEMENT_TIMEOUT.as_millis());
    format!(
        "SET timezone = 'UTC'; SET jit = off; SET enable_seqscan = off; \
         SET enable_bitmapscan = off; SET statement_timeout = {statement}; \
         SET idle_session_timeout = {stall}; SET idle_in_transaction_session_timeout = {stall}; \
         SET default_transaction_isolation = 'read committed'; \
         SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    )
}
