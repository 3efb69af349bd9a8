//! Connections and the runtime they live on, behind calls that block.
//!
//! The roles block ([`indelible_store`]); the client is asynchronous. A runtime of one thread keeps
//! the connections going, and whoever calls waits on a thread of their own. A task of a runtime
//! with many threads may call as well, and keeps one of them; of a runtime with one thread it must
//! not.
//!
//! A session works as the role `indelible_writer`, whoever it connects as: what that role may not
//! do, no mistake of ours does.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
    TimeoutType,
};
use indelible_store::{Error, Kind, Result};
use tokio::time::timeout;
use tokio_postgres::{Client, Config};

use crate::failure::{failed, no_connection};
use crate::{Options, secure};

/// A pool of connections.
pub(crate) struct Database {
    config: Config,
    connect_timeout: Duration,
    pool: Pool,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Database {
    /// A pool that has no connection yet.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let mut config = secure::config(&options.url)?;
        config.connect_timeout(options.connect_timeout);
        let recycling_method = RecyclingMethod::Fast;
        let manager = ManagerConfig { recycling_method };
        let manager = Manager::from_config(config.clone(), secure::tls(&config)?, manager);
        let session = session(options);
        let settle = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let session = session.clone();
            Box::pin(async move {
                client
                    .batch_execute(&session)
                    .await
                    .map_err(HookError::Backend)
            })
        });
        let pool = Pool::builder(manager)
            .max_size(options.connections_max)
            .wait_timeout(Some(options.connect_timeout))
            .create_timeout(Some(options.connect_timeout))
            .post_create(settle)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::new(Kind::Invalid, "the pool").caused_by(error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("indelible-postgres")
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Unavailable, "starting a thread").caused_by(error))?;
        Ok(Self {
            config,
            connect_timeout: options.connect_timeout,
            pool,
            runtime: Some(runtime),
        })
    }

    /// Runs what needs a connection, and waits for it.
    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&mut Object) -> Result<T>) -> Result<T> {
        self.run_on(self.take()?, work).map(|(value, _)| value)
    }

    /// A connection, which goes back to the pool when it is dropped.
    pub(crate) fn take(&self) -> Result<Object> {
        self.wait(async {
            let connection = self.pool.get().await;
            connection.map_err(|error| self.refused(error))
        })
    }

    /// Runs what needs this connection, waits for it, and gives the connection back if it is good.
    pub(crate) fn run_on<T>(
        &self,
        mut connection: Object,
        work: impl AsyncFnOnce(&mut Object) -> Result<T>,
    ) -> Result<(T, Object)> {
        match self.wait(work(&mut connection)) {
            Ok(value) => Ok((value, connection)),
            Err(error) => {
                if matches!(error.kind(), Kind::Unavailable | Kind::UnknownOutcome) {
                    // It may be cut, and not be known to be yet: nobody else is to find that out.
                    drop(Object::take(connection));
                }
                Err(error)
            }
        }
    }

    /// Runs what needs the rights of whoever connects, on a connection of its own.
    pub(crate) fn run_as_owner<F, T>(&self, work: impl FnOnce(Client) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let tls = secure::tls(&self.config)?;
        self.wait(async {
            // Who accepts and never answers is waited for no longer than who does not accept.
            let connected = timeout(self.connect_timeout, self.config.connect(tls)).await;
            let connected = connected.map_err(|_| self.silent())?;
            let (client, connection) =
                connected.map_err(|error| failed(&secure::named(&self.config), error))?;
            // Ends with its client; what goes wrong on it is told there.
            tokio::spawn(connection);
            work(client).await
        })
    }

    /// Where it is, for people.
    pub(crate) fn address(&self) -> String {
        secure::named(&self.config)
    }

    /// Makes connections ahead.
    pub(crate) fn warm(&self, connections: usize) -> Result<()> {
        self.wait(async {
            let mut made = Vec::with_capacity(connections);
            for _ in 0..connections {
                made.push(self.pool.get().await.map_err(|error| self.refused(error))?);
            }
            Ok(())
        })
    }

    fn silent(&self) -> Error {
        let address = secure::named(&self.config);
        let ms = self.connect_timeout.as_millis();
        Error::new(
            Kind::Unavailable,
            format!("{address}: no answer within {ms} ms"),
        )
    }

    fn refused(&self, error: PoolError) -> Error {
        match error {
            PoolError::Timeout(TimeoutType::Create) => self.silent(),
            error => no_connection(&secure::named(&self.config), error),
        }
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let closed = || Error::new(Kind::Unavailable, "the database is closed");
        let runtime = self.runtime.as_ref().ok_or_else(closed)?;
        tokio::task::block_in_place(|| runtime.block_on(work))
    }
}

/// What a session is told before it is used.
fn session(options: &Options) -> String {
    format!(
        "SET ROLE indelible_writer; SET search_path = pg_catalog; SET timezone = 'UTC'; \
         SET jit = off; SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; \
         SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') IN ('off', 'local')",
        options.statement_timeout.as_millis(),
        options.lock_timeout.as_millis(),
        options.stall_timeout.as_millis(),
    )
}

impl Drop for Database {
    fn drop(&mut self) {
        self.pool.close();
        // Dropped as it is, it would wait, which an asynchronous task must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
