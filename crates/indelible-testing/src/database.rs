//! A database per test on the server that `INDELIBLE_TEST_POSTGRES` names, gone when the test ends.
//!
//! Not here: starting a server, which `cargo xtask services` does.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose database does not answer has failed"
)]

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls, Row};

use crate::TEST_POSTGRES;

/// An empty database.
#[derive(Debug)]
pub struct Database {
    server: String,
    /// Its name.
    pub name: String,
    /// How a superuser reaches it.
    pub url: String,
}

impl Database {
    /// Makes it.
    ///
    /// # Panics
    /// When there is no server: ask [`postgres`](crate::postgres) before.
    pub fn make() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var(TEST_POSTGRES).unwrap();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("indelible_{}_{number}", std::process::id());
        sql(&server, &format!("CREATE DATABASE {name}"));
        let database = Self {
            url: with_database(&server, &name),
            server,
            name,
        };
        // Left by a test process of the same number, perhaps; what it holds is gone.
        let left = database.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'indelible'");
        assert_eq!(left.len(), 0);
        database
    }

    /// The same database for a role of its own.
    ///
    /// # Panics
    /// When the server's URL names no user.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let (_, rest) = self.url.split_once('@').unwrap();
        format!("postgres://{user}:{password}@{rest}")
    }

    /// Runs statements as a superuser.
    ///
    /// # Panics
    /// When one is refused.
    pub fn sql(&self, statements: &str) {
        sql(&self.url, statements);
    }

    /// What a superuser reads.
    ///
    /// # Panics
    /// When the query is refused.
    pub fn rows(&self, query: &str) -> Vec<Row> {
        rows(&self.url, query)
    }

    /// Runs a statement as a superuser in a transaction that ends when `while_held` has run.
    ///
    /// # Panics
    /// When it is refused, or `while_held` panics.
    pub fn held(&self, statement: &str, while_held: impl FnOnce() + Send) {
        connected(&self.url, async |mut client| {
            let transaction = client.transaction().await.unwrap();
            transaction.batch_execute(statement).await.unwrap();
            // On a thread of its own: the product's calls are not for one that is in a runtime.
            std::thread::scope(|scope| scope.spawn(while_held).join().unwrap());
            transaction.commit().await.unwrap();
        });
    }

    /// What is said of statements that are refused, run as a superuser.
    ///
    /// # Panics
    /// When they are not.
    pub fn refusal(&self, statements: &str) -> String {
        let error = connected(&self.url, async |client| {
            client.batch_execute(statements).await
        });
        let error = error.unwrap_err();
        error.as_db_error().unwrap().message().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        sql(&self.server, &drop);
    }
}

/// The same server, another database.
///
/// # Panics
/// When the URL names no database.
pub fn with_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// What is read there.
///
/// # Panics
/// When the query is refused.
pub fn rows(url: &str, query: &str) -> Vec<Row> {
    connected(url, async |client| client.query(query, &[]).await.unwrap())
}

/// Runs statements.
///
/// # Panics
/// When one is refused.
pub fn sql(url: &str, statements: &str) {
    connected(url, async |client| {
        client.batch_execute(statements).await.unwrap();
    });
}

fn connected<T>(url: &str, work: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let outcome = work(client).await;
        connection.await.unwrap().unwrap();
        outcome
    })
}
