//! A database per test on the server that `INDELIBLE_TEST_POSTGRES` names, gone when the test ends.
//!
//! Not here: starting a server, which `cargo xtask services` does.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests use what they need of it"
)]

use std::sync::atomic::{AtomicU32, Ordering};

use indelible_postgres::{Fresh, Options, Postgres};
use indelible_testing::TEST_POSTGRES;
use tokio_postgres::{Client, NoTls, Row};

/// Whether there is a server; declares the test skipped where not.
pub fn available(test: &str) -> bool {
    indelible_testing::postgres(test).is_some()
}

/// What names a new ledger.
pub fn fresh(n: u8) -> Fresh {
    Fresh {
        id: [n; 16],
        term_key: [n; 16],
    }
}

/// An empty database.
pub struct Place {
    server: String,
    pub name: String,
    pub url: String,
}

impl Place {
    /// Makes it.
    pub fn make() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var(TEST_POSTGRES).unwrap();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("indelible_{}_{number}", std::process::id());
        sql(&server, &format!("CREATE DATABASE {name}"));
        let place = Self {
            url: with_database(&server, &name),
            server,
            name,
        };
        // Left by a test process of the same number, perhaps; what it holds is gone.
        assert_eq!(
            place
                .rows("SELECT 1 FROM pg_namespace WHERE nspname = 'indelible'")
                .len(),
            0
        );
        place
    }

    /// The database for one of a role of its own.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let (_, rest) = self.url.split_once('@').unwrap();
        format!("postgres://{user}:{password}@{rest}")
    }

    /// Opens it, with few connections: many tests share a server.
    pub fn open(&self) -> Postgres {
        Postgres::open(&options(&self.url), || Ok(fresh(7))).unwrap()
    }

    /// Runs statements as a superuser.
    pub fn sql(&self, statements: &str) {
        sql(&self.url, statements);
    }

    /// What a superuser reads.
    pub fn rows(&self, query: &str) -> Vec<Row> {
        connected(&self.url, async |client| {
            client.query(query, &[]).await.unwrap()
        })
    }

    /// Runs a statement as a superuser in a transaction that ends when `while_held` has run.
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
    pub fn refusal(&self, statements: &str) -> String {
        let error = connected(&self.url, async |client| {
            client.batch_execute(statements).await
        });
        let error = error.expect_err("it must be refused");
        error.as_db_error().unwrap().message().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        sql(&self.server, &drop);
    }
}

/// Options with few connections.
pub fn options(url: &str) -> Options {
    Options {
        connections_min: 1,
        connections_max: 4,
        ..Options::new(url)
    }
}

/// The same server, another database.
pub fn with_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// Runs statements.
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
